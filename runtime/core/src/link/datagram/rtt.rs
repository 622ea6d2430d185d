//! Round trips: measured, and what follows from them (after RFC 6298 and RFC 9002).

use super::ACK_DELAY;
use crate::time::{Duration, Instant};

/// Silence before a probe, as long as nothing is measured.
const INITIAL: u64 = 100_000_000;
/// More than a peer is commonly not scheduled for.
const MIN: u64 = 1_000_000;
const MAX: u64 = 1_000_000_000;
/// Longest silence that is put down to a peer that was not scheduled.
const SLOW: u64 = 20_000_000;
/// A shortest round trip that was not seen again for one to two of these is forgotten.
const MEMORY: Duration = Duration::from_millis(5_000);

#[derive(Clone, Debug)]
pub(in crate::link) struct Rtt {
    /// Smoothed round trip and its variation.
    measured: Option<(u64, u64)>,
    /// Shortest in the time since `turned`, and in the one before.
    shortest: [u64; 2],
    turned: Instant,
    /// Longest that was waited for when a probe had gone out for nothing, in the same two times.
    slow: [u64; 2],
    /// Shortest in this round and in the one before.
    recent: [u64; 2],
    backoff: u32,
}

impl Default for Rtt {
    fn default() -> Self {
        Self {
            measured: None,
            shortest: [u64::MAX; 2],
            turned: Instant(0),
            slow: [0; 2],
            recent: [u64::MAX; 2],
            backoff: 0,
        }
    }
}

impl Rtt {
    /// A round trip of a frame that was sent once. Only this ends a back-off (Karn), or the end of an outage: an
    /// acknowledgement of a frame sent twice does not say which of the two it is for.
    pub(in crate::link) fn sample(&mut self, now: Instant, trip: Duration) {
        let trip = trip.0.max(1);
        self.measured = Some(match self.measured {
            None => (trip, trip / 2),
            Some((smoothed, variation)) => (
                smoothed - smoothed / 8 + trip / 8,
                variation - variation / 4 + smoothed.abs_diff(trip) / 4,
            ),
        });
        self.backoff = 0;
        if now.since(self.turned) > MEMORY {
            (self.shortest, self.turned) = ([u64::MAX, self.shortest[0]], now);
            self.slow = [0, self.slow[0]];
        }
        self.shortest[0] = self.shortest[0].min(trip);
        self.recent[0] = self.recent[0].min(trip);
    }

    /// A window of frames has come and gone.
    pub(in crate::link) fn end_round(&mut self) {
        self.recent = [u64::MAX, self.recent[0]];
    }

    /// No round trip is shorter; zero before anything is measured.
    pub(in crate::link) fn shortest(&self) -> Duration {
        let shortest = self.shortest[0].min(self.shortest[1]);
        Duration(if shortest == u64::MAX { 0 } else { shortest })
    }

    /// The shortest round trip, and the shortest of late, in one unit: they differ by the queues on
    /// the way. The latter is not zero.
    pub(in crate::link) fn queueing(&self) -> (usize, usize) {
        let recent = self.recent[0].min(self.recent[1]);
        if recent == u64::MAX {
            return (1, 1);
        }
        let whole = |nanos: u64| usize::try_from(nanos >> 7).unwrap_or(usize::MAX >> 16);
        let (shortest, recent) = (whole(self.shortest().0), whole(recent));
        (shortest.max(1), recent.max(shortest).max(1))
    }

    /// A probe was for nothing: what it asked for took so long. Such times are no samples, for one that is rare
    /// is forgotten before the next comes; but who stood still will do so again.
    pub(in crate::link) fn was_slow(&mut self, took: Duration) {
        self.slow[0] = self.slow[0].max(took.0.min(SLOW));
    }

    /// A probe went out.
    pub(in crate::link) fn back_off(&mut self) {
        self.backoff = (self.backoff + 1).min(16);
    }

    /// The path was broken, and is not any more.
    pub(in crate::link) const fn end_back_off(&mut self) {
        self.backoff = 0;
    }

    /// Silence after which to probe, when so many frames are out.
    pub(in crate::link) fn timeout(&self, out: usize) -> Duration {
        let base = match self.measured {
            None => INITIAL,
            Some((smoothed, variation)) => {
                // Every second frame is acknowledged at once.
                let held = if out < 2 { ACK_DELAY.0 } else { 0 };
                smoothed.saturating_add(variation.saturating_mul(4)).saturating_add(held)
            }
        };
        let base = base.max(self.slow[0]).max(self.slow[1]);
        Duration(base.clamp(MIN, MAX)).times(1 << self.backoff).min(Duration(MAX))
    }
}
