//! A pair of links in virtual time, over a network that does what it is told.

mod breaks;
mod congestion;
mod datagram;
mod frame;
mod handshake;
mod liveness;
mod noise;
mod probes;
mod road;
mod throughput;

use super::{Event, Link, Proto, Settings};
use crate::id::{Generation, NodeId, Peer};
use crate::node::{Image, Medium, Timer};
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// xorshift64*: small, seeded, ours.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True this many times in a thousand.
    pub(super) fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }
}

/// What the network does to frames, in thousandths.
#[derive(Clone, Copy, Default)]
pub(super) struct Chaos {
    loss: usize,
    duplicate: usize,
    corrupt: usize,
    jitter: Duration,
}

pub(super) const HEARTBEAT: Duration = Duration::from_millis(20);
pub(super) const DELAY: Duration = Duration::from_micros(200);

pub(super) fn settings(node: u16, generation: u32, medium: Medium) -> Settings {
    Settings {
        me: Peer { node: NodeId(node), generation: Generation(generation) },
        hash: [7; 32],
        ours: Image::Linux,
        theirs: Image::Linux,
        medium,
        mtu: 1500,
        heartbeat: HEARTBEAT,
        suspect_after: 5,
        join_timeout: Duration::from_millis(1000),
    }
}

/// Two nodes, 0 and 1, with a link each. What the links say, but for frames, is in `said`.
pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) links: [Link; 2],
    pub(super) said: [Vec<Event>; 2],
    /// Frames that the links sent, lost ones included.
    pub(super) frames: [usize; 2],
    /// Nothing gets through.
    pub(super) cut: bool,
    pub(super) chaos: Chaos,
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    serial: u64,
    rng: Rng,
}

impl Pair {
    pub(super) fn new(medium: Medium) -> Self {
        Self::of(settings(0, 1, medium), settings(1, 1, medium))
    }

    pub(super) fn of(a: Settings, b: Settings) -> Self {
        let now = Instant(1_000_000);
        let mut links = [Link::new(a, NodeId(1), now), Link::new(b, NodeId(0), now)];
        // One of them gets its buffers back: it behaves as the other one does.
        links[0].fill_buffers();
        Self {
            now,
            links,
            said: [Vec::new(), Vec::new()],
            frames: [0; 2],
            cut: false,
            chaos: Chaos::default(),
            wire: BTreeMap::new(),
            serial: 0,
            rng: Rng::new(1),
        }
    }

    /// A pair with its transports up that has run for 10 ms.
    pub(super) fn joined(medium: Medium) -> Self {
        let mut pair = Self::new(medium);
        pair.connect();
        pair.run(Duration::from_millis(10));
        assert!(pair.links.iter().all(Link::is_up));
        pair.said = [Vec::new(), Vec::new()];
        pair
    }

    pub(super) fn seeded(mut self, seed: u64, chaos: Chaos) -> Self {
        (self.rng, self.chaos) = (Rng::new(seed), chaos);
        self
    }

    pub(super) fn connect(&mut self) {
        let now = self.now;
        self.links.iter_mut().for_each(|link| link.transport_up(now));
        self.drain();
    }

    /// The connection closes; what is on the wire is lost.
    pub(super) fn disconnect(&mut self) {
        self.wire.clear();
        let now = self.now;
        self.links.iter_mut().for_each(|link| link.transport_down(now));
        self.drain();
    }

    /// Node 1 is replaced by its next life, with its transport down.
    pub(super) fn restart(&mut self, settings: Settings) {
        self.wire.clear();
        self.links[1] = Link::new(settings, NodeId(0), self.now);
        self.said[1].clear();
    }

    pub(super) fn send(&mut self, from: usize, payload: &[u8]) {
        let mut buffer = self.links[from].buffer(payload.len());
        assert!(buffer.is_empty());
        buffer.extend_from_slice(payload);
        self.links[from].send(self.now, Proto::Mcapi, buffer);
        self.drain();
    }

    /// Hands a frame to a link, as if it came from the wire.
    pub(super) fn inject(&mut self, to: usize, bytes: &[u8]) {
        self.links[to].handle_frame(self.now, bytes);
        self.drain();
    }

    /// Moves what the links have to say onto the wire and into `said`.
    pub(super) fn drain(&mut self) {
        for from in 0..2 {
            while let Some(event) = self.links[from].poll() {
                match event {
                    Event::Transmit(bytes) => self.carry(1 - from, bytes),
                    other => self.said[from].push(other),
                }
            }
        }
    }

    fn carry(&mut self, to: usize, mut bytes: Vec<u8>) {
        self.frames[1 - to] += 1;
        if self.cut || self.rng.chance(self.chaos.loss) {
            return;
        }
        if self.rng.chance(self.chaos.corrupt) {
            let at = self.rng.below(bytes.len());
            bytes[at] ^= 1 << self.rng.below(8);
        }
        for more in (0..1 + usize::from(self.rng.chance(self.chaos.duplicate))).rev() {
            let frame = if more > 0 { bytes.clone() } else { core::mem::take(&mut bytes) };
            let jitter = self.chaos.jitter.0;
            let jitter = if jitter == 0 { 0 } else { self.rng.next() % jitter };
            self.serial += 1;
            let at = self.now + DELAY + Duration(jitter);
            self.wire.insert((at, self.serial), (to, frame));
        }
    }

    /// Runs for `time`, each event at its time; frames before timers.
    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let frame = self.wire.keys().next().map(|(at, _)| *at);
            let timer = self.links.iter().filter_map(Link::deadline).map(|(at, _)| at).min();
            let Some(next) = frame.into_iter().chain(timer).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if frame == Some(next) {
                let (_, (to, bytes)) = self.wire.pop_first().unwrap();
                self.inject(to, &bytes);
                self.links[1 - to].recycle(bytes);
            } else {
                for link in &mut self.links {
                    link.tick(self.now);
                    let due = link.deadline();
                    assert!(due.is_none_or(|(at, _)| at > self.now), "{due:?} is still due");
                }
                self.drain();
            }
        }
    }

    /// What arrived at a node so far.
    pub(super) fn delivered(&self, at: usize) -> Vec<&[u8]> {
        let messages = self.said[at].iter().filter_map(|event| match event {
            Event::Deliver { payload, .. } => Some(&payload[..]),
            _ => None,
        });
        messages.collect()
    }

    pub(super) fn timer(&self, of: usize) -> Option<Timer> {
        self.links[of].deadline().map(|(_, timer)| timer)
    }
}

/// `n` messages that differ, with lengths from 0 to a few fragments.
pub(super) fn messages(rng: &mut Rng, n: usize, longest: usize) -> Vec<Vec<u8>> {
    let message = |_| {
        let length = rng.below(longest + 1);
        core::iter::repeat_with(|| rng.next().to_le_bytes()[7]).take(length).collect()
    };
    (0..n).map(message).collect()
}
