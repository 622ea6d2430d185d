//! A network in memory and in virtual time: late, lossy, and the same for the same seed.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use runtime_core::node::Medium;
use runtime_core::time::{Duration, Instant};

const DELAY: Duration = Duration::from_micros(50);
/// Of a way of the network, in nanoseconds a byte: 1 Gbit/s.
const NANOS_A_BYTE: u64 = 8;

/// xorshift64*.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap_or(0) % bound
    }

    fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1_000) < per_mille
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        core::iter::repeat_with(|| self.next().to_le_bytes()[7]).take(length).collect()
    }
}

/// What becomes of frames, in thousandths; all zero is a good network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) loss: usize,
    pub(crate) duplicate: usize,
    pub(crate) corrupt: usize,
    /// Delay of up to this on top.
    pub(crate) jitter: Duration,
}

/// A frame that arrives.
pub(crate) struct Arrival {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) now: Instant,
    pub(crate) faults: Faults,
    medium: Medium,
    wire: BTreeMap<(Instant, u64), (usize, usize, Vec<u8>)>,
    /// When each way is free again.
    free: BTreeMap<(usize, usize), Instant>,
    serial: u64,
    rng: Rng,
}

impl Network {
    pub(crate) fn new(medium: Medium, faults: Faults, seed: u64) -> Self {
        let (wire, free) = (BTreeMap::new(), BTreeMap::new());
        Self { now: Instant(1_000_000), faults, medium, wire, free, serial: 0, rng: Rng::new(seed) }
    }

    pub(crate) fn carry(&mut self, from: usize, to: usize, mut bytes: Vec<u8>) {
        let free = self.free.entry((from, to)).or_default();
        *free = (*free).max(self.now) + Duration(NANOS_A_BYTE * bytes.len() as u64);
        let arrives = *free + DELAY;
        let faults = if self.medium == Medium::Stream { Faults::default() } else { self.faults };
        if self.rng.chance(faults.loss) {
            return;
        }
        if self.rng.chance(faults.corrupt) {
            let at = self.rng.below(bytes.len());
            bytes[at] ^= 1 << self.rng.below(8);
        }
        for _ in 0..1 + usize::from(self.rng.chance(faults.duplicate)) {
            let late = self.rng.next() % faults.jitter.0.max(1);
            self.serial += 1;
            let frame = (from, to, bytes.clone());
            self.wire.insert((arrives + Duration(late), self.serial), frame);
        }
    }

    /// When the next frame arrives.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.wire.keys().next().map(|(at, _)| *at)
    }

    /// The next frame, and the clock goes on to its arrival.
    pub(crate) fn take(&mut self) -> Option<Arrival> {
        let ((at, _), (from, to, bytes)) = self.wire.pop_first()?;
        self.now = self.now.max(at);
        Some(Arrival { from, to, bytes })
    }

    /// What is on its way to or from a node is lost.
    pub(crate) fn clear(&mut self, node: usize) {
        self.wire.retain(|_, (from, to, _)| *from != node && *to != node);
    }
}
