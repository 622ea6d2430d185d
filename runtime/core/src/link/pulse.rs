//! How long may a peer be silent? As long as its signs of life have shown, and not longer.
//!
//! A failure detector after Chen and Bertier (φ-accrual's relatives), which learns from the arrivals
//! themselves: of each heartbeat period the longest gap counts. Mean and mean deviation are smoothed as
//! Jacobson smooths round-trip times; the longest gap of late is kept as well and fades slowly, for
//! a machine that was held up once is held up again, which no mean remembers.

use crate::time::{Duration, Instant};

/// Periods before which nothing has been learnt.
const ENOUGH: u32 = 32;
/// The longest gap fades by this part of itself in each period: a busy machine holds its nodes up every few seconds.
const FADE: u64 = 1_024;
/// Mean deviations above the mean that a gap may lie.
const DEVIATIONS: u64 = 4;

/// The rhythm of a peer. Times are nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    heartbeat: Duration,
    /// Silence for longer is never borne: [`super::Settings::suspect_after`] heartbeats.
    most: Duration,
    periods: u32,
    began: Instant,
    longest_now: u64,
    mean: u64,
    deviation: u64,
    longest: u64,
    /// The longest gap of all, but for those while everything started.
    record: u64,
}

impl Pulse {
    pub(super) const fn new(heartbeat: Duration, suspect_after: u32, now: Instant) -> Self {
        Self {
            heartbeat,
            most: heartbeat.times(suspect_after as u64),
            periods: 0,
            began: now,
            longest_now: 0,
            mean: heartbeat.0,
            deviation: heartbeat.0 / 4,
            longest: heartbeat.0,
            record: 0,
        }
    }

    /// A sign of life, so long after the one before.
    pub(super) fn beat(&mut self, now: Instant, gap: Duration) {
        self.longest_now = self.longest_now.max(gap.0);
        if now.since(self.began) < self.heartbeat {
            return;
        }
        // A peer with much to say is heard more often than it promised: that promises nothing.
        let gap = core::mem::take(&mut self.longest_now).max(self.heartbeat.0);
        self.began = now;
        self.periods = self.periods.saturating_add(1);
        let off = gap.abs_diff(self.mean);
        self.deviation = self.deviation - self.deviation / 4 + off / 4;
        self.mean = self.mean - self.mean / 8 + gap / 8;
        // What happens while everything starts says nothing of later.
        if self.periods >= ENOUGH {
            self.longest = (self.longest - self.longest / FADE).max(gap);
            self.record = self.record.max(gap);
        }
    }

    /// The longest gap since all knew each other.
    pub(super) const fn record(&self) -> Duration {
        Duration(self.record)
    }

    /// Silence for longer than this makes the peer suspect: between half of what is allowed and all of it.
    pub(super) fn patience(&self) -> Duration {
        if self.periods < ENOUGH {
            return self.most;
        }
        let usual = self.mean + DEVIATIONS * self.deviation;
        let learnt = usual.max(self.longest).saturating_mul(2);
        Duration(learnt.clamp(self.most.0.div_ceil(2), self.most.0))
    }
}
