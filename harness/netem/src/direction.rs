//! One way of a link: the fate of each packet.

use crate::profile::{Distribution, DropRule, Loss, Profile, Which};
use crate::rng::{Draw, Rng, name_key};
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
    /// Too much waits for the wire.
    QueueFull,
    /// The link is cut.
    Cut,
    /// The end that the packet goes to is not there.
    Down,
    /// The link flaps, and is down just now.
    Flap,
    /// A [`DropRule`] says so.
    Rule,
}

impl DropReason {
    /// For people.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::QueueFull => "queue full",
            Self::Cut => "cut",
            Self::Down => "node gone",
            Self::Flap => "flap",
            Self::Rule => "drop rule",
        }
    }
}

/// Which way a [`Direction`] goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Way {
    /// From the node to the switch.
    Up,
    /// From the switch to the node.
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
/// 1. **cut**, **down** or **flap**: nothing passes;
/// 2. **drop rule**: those of its packets that it names;
/// 3. **loss**;
/// 4. **corrupt**: one bit is flipped (both copies of a duplicate carry it);
/// 5. **duplicate**: the copy takes its own place in the queue;
/// 6. **queue and rate**: waits for the wire, or is dropped if the queue has no room;
/// 7. **delay and jitter**: in order, jitter never lets a packet overtake another;
/// 8. **reorder**: instead of 7, arrives as soon as it has left the wire.
///
/// What 3, 4, 5, 7 and 8 draw for a packet is a function of seed, link, way and the packet's number alone
/// ([`Direction::of_link`]); what 2 does, of how many packets the rule has matched; what 1 and 6 do, of time.
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
    /// Packets that the drop rule has matched.
    matched: u64,
    /// When the wire is free.
    free_at: u64,
    /// Packets that wait or are being sent: when the last bit leaves, and how many bytes.
    queue: VecDeque<(u64, usize)>,
    queued: usize,
    /// Arrival of the latest packet that was not reordered.
    latest: u64,
}

impl Direction {
    /// One way of a link of this name: its fates have nothing to do with those of other links or of the
    /// other way, and stay the same when links are added.
    #[must_use]
    pub const fn of_link(profile: Profile, seed: u64, link: &str, way: Way) -> Self {
        Self::new(profile, name_key(seed, link, way as u64))
    }

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
            matched: 0,
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

    /// Changes the impairments, for packets from now on. A drop rule that is another one counts anew.
    pub fn set_profile(&mut self, profile: Profile) {
        if profile.drop != self.profile.drop {
            self.matched = 0;
        }
        self.profile = profile;
    }

    /// Number of the next packet, from 0.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
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

    /// Sends a frame. `now_ns` does not go back.
    pub fn send_frame(&mut self, now_ns: u64, frame: &[u8]) -> Fate {
        self.send_head(now_ns, frame, frame.len())
    }

    /// Sends a packet of `len` bytes of which nothing more is known. `now_ns` does not go back.
    pub fn send(&mut self, now_ns: u64, len: usize) -> Fate {
        self.send_head(now_ns, &[], len)
    }

    fn send_head(&mut self, now_ns: u64, head: &[u8], len: usize) -> Fate {
        let index = self.index;
        self.index += 1;
        // The channel moves on whether or not the packet gets as far: bursts do not shift by a cut.
        let lost = self.lost(index);
        let dropped = if self.cut {
            Some(DropReason::Cut)
        } else if self.down {
            Some(DropReason::Down)
        } else if self.profile.flap.is_some_and(|flap| flap.is_down(now_ns)) {
            Some(DropReason::Flap)
        } else if self.ruled_out(head, len) {
            Some(DropReason::Rule)
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

    fn ruled_out(&mut self, head: &[u8], len: usize) -> bool {
        let Some(DropRule { filter, which }) = self.profile.drop else { return false };
        if !filter.matches(head, len) {
            return false;
        }
        self.matched += 1;
        match which {
            Which::All => true,
            Which::Nth(n) => self.matched == n,
            Which::Every(n) => n > 0 && self.matched.is_multiple_of(n),
        }
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
        let room = self.profile.queue;
        let full = self.queued.saturating_add(len) > room.bytes || self.queue.len() >= room.packets;
        if full && !self.queue.is_empty() {
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
        if self.rng.chance(Draw::Reorder, draw, self.profile.reorder) {
            return departure;
        }
        let at = departure.saturating_add(self.flight_ns(draw));
        self.latest = self.latest.max(at);
        self.latest
    }

    /// How long a packet is on its way.
    fn flight_ns(&self, draw: u64) -> u64 {
        let Profile { delay_ns, jitter_ns, distribution, .. } = self.profile;
        if jitter_ns == 0 {
            return delay_ns;
        }
        match distribution {
            Distribution::Uniform => {
                let above = self.rng.up_to(Draw::Jitter, draw, jitter_ns.saturating_mul(2));
                delay_ns.saturating_add(above).saturating_sub(jitter_ns)
            }
            Distribution::Normal => {
                let deviations = i128::from(self.rng.normal(Draw::Jitter, draw));
                let jitter = (i128::from(jitter_ns) * deviations) >> 32;
                u64::try_from((i128::from(delay_ns) + jitter).max(0)).unwrap_or(u64::MAX)
            }
            Distribution::Pareto => {
                let jitter = scaled(jitter_ns, self.rng.pareto(Draw::Jitter, draw));
                delay_ns.saturating_add_signed(jitter)
            }
        }
    }
}

/// So many times that many nanoseconds.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a jitter of days is not exact to the nanosecond"
)]
const fn scaled(ns: u64, times: f64) -> i64 {
    (ns as f64 * times) as i64
}

#[cfg(test)]
mod tests;
