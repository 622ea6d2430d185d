//! One way of a link: the fate of each packet.

use crate::profile::{Loss, Profile};
use crate::rng::{Draw, Rng};
use std::collections::VecDeque;

/// One arrival of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When, on the clock of [`Direction::send`].
    pub at_ns: u64,
    /// Flip this bit first, with [`Profile::corrupt_bytes`].
    pub corrupt: Option<u64>,
}

/// Why a packet, or a copy of it, does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The link lost it.
    Loss,
    /// Too many bytes wait for the wire.
    QueueFull,
    /// The link is cut.
    Cut,
    /// The end that the packet goes to is not there.
    Down,
}

/// What becomes of a packet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// None, one, or two arrivals.
    pub deliveries: Vec<Delivery>,
    /// Why the packet, or its second copy, was dropped.
    pub dropped: Option<DropReason>,
}

/// One way of a link. A packet passes these stages in this order:
///
/// 1. **cut** or **down**: nothing passes;
/// 2. **loss**;
/// 3. **corrupt**: one bit is flipped (both copies of a duplicate carry it);
/// 4. **duplicate**: the copy takes its own place in the queue;
/// 5. **queue and rate**: waits for the wire, or is dropped if the queue has no room;
/// 6. **delay and jitter**: in order, jitter never lets a packet overtake another;
/// 7. **reorder**: instead of 6, arrives as soon as it has left the wire.
///
/// A packet that is dropped in a stage uses nothing of a later one. Packets that are in flight when
/// the profile changes or the link is cut keep their fate.
#[derive(Clone, Debug)]
pub struct Direction {
    profile: Profile,
    rng: Rng,
    /// Number of the next packet.
    index: u64,
    bad: bool,
    cut: bool,
    down: bool,
    /// When the wire is free.
    free_at: u64,
    /// Packets that wait or are being sent: when the last bit leaves, and how many bytes.
    queue: VecDeque<(u64, usize)>,
    queued: usize,
    /// Arrival of the latest packet that was not reordered.
    latest: u64,
}

impl Direction {
    /// An idle direction.
    #[must_use]
    pub const fn new(profile: Profile, seed: u64) -> Self {
        Self {
            profile,
            rng: Rng::new(seed),
            index: 0,
            bad: false,
            cut: false,
            down: false,
            free_at: 0,
            queue: VecDeque::new(),
            queued: 0,
            latest: 0,
        }
    }

    /// The impairments in force.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Changes the impairments, for packets from now on.
    pub const fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// Lets nothing pass until [`Direction::heal`].
    pub const fn cut(&mut self) {
        self.cut = true;
    }

    /// Undoes [`Direction::cut`].
    pub const fn heal(&mut self) {
        self.cut = false;
    }

    /// Is the link cut?
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }

    /// Says whether the receiving end is there.
    pub const fn set_down(&mut self, down: bool) {
        self.down = down;
    }

    /// Sends a packet of `len` bytes. `now_ns` does not go back.
    pub fn send(&mut self, now_ns: u64, len: usize) -> Fate {
        let index = self.index;
        self.index += 1;
        // The channel moves on whether or not the packet gets as far: bursts do not shift by a cut.
        let lost = self.lost(index);
        let dropped = if self.cut {
            Some(DropReason::Cut)
        } else if self.down {
            Some(DropReason::Down)
        } else {
            lost.then_some(DropReason::Loss)
        };
        let mut fate = Fate { deliveries: Vec::new(), dropped };
        if fate.dropped.is_some() {
            return fate;
        }
        let damaged = self.rng.chance(Draw::Corrupt, index, self.profile.corrupt);
        let corrupt = damaged.then(|| self.rng.bits(Draw::CorruptBit, index));
        let copies =
            if self.rng.chance(Draw::Duplicate, index, self.profile.duplicate) { 2 } else { 1 };
        for copy in 0..copies {
            let Some(departure) = self.enqueue(now_ns, len) else {
                fate.dropped = Some(DropReason::QueueFull);
                break;
            };
            let at_ns = self.arrival(departure, index.wrapping_mul(2) + copy);
            fate.deliveries.push(Delivery { at_ns, corrupt });
        }
        fate
    }

    fn lost(&mut self, index: u64) -> bool {
        let p = match self.profile.loss {
            Loss::None => return false,
            Loss::Random(p) => p,
            Loss::GilbertElliott { to_bad, to_good, loss_good, loss_bad } => {
                let leave = if self.bad { to_good } else { to_bad };
                self.bad ^= self.rng.chance(Draw::Transition, index, leave);
                if self.bad { loss_bad } else { loss_good }
            }
        };
        self.rng.chance(Draw::Loss, index, p)
    }

    /// When the packet has left the wire, or `None` if the queue has no room.
    fn enqueue(&mut self, now_ns: u64, len: usize) -> Option<u64> {
        while let Some(&(gone, bytes)) = self.queue.front()
            && gone <= now_ns
        {
            self.queue.pop_front();
            self.queued -= bytes;
        }
        let Some(rate) = self.profile.rate_bits_per_s else {
            // A limit that was lifted: what waits still goes first.
            return Some(now_ns.max(self.queue.back().map_or(0, |(gone, _)| *gone)));
        };
        if !self.queue.is_empty() && self.queued.saturating_add(len) > self.profile.queue_bytes {
            return None;
        }
        let ns = (len as u128 * 8 * 1_000_000_000).div_ceil(u128::from(rate.max(1)));
        let ns = u64::try_from(ns).unwrap_or(u64::MAX);
        self.free_at = self.free_at.max(now_ns).saturating_add(ns);
        self.queue.push_back((self.free_at, len));
        self.queued += len;
        Some(self.free_at)
    }

    fn arrival(&mut self, departure: u64, draw: u64) -> u64 {
        let Profile { delay_ns, jitter_ns, reorder, .. } = self.profile;
        if self.rng.chance(Draw::Reorder, draw, reorder) {
            return departure;
        }
        let jitter = self.rng.up_to(Draw::Jitter, draw, jitter_ns);
        let at = departure.saturating_add(delay_ns).saturating_add(jitter);
        self.latest = self.latest.max(at);
        self.latest
    }
}

#[cfg(test)]
mod tests;
