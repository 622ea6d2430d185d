//! When the runtime takes checkpoints by itself: at every so many barriers, at the first barrier after so
//! much time, or as often as costs least.
//!
//! Time is looked at where all ranks arrive, so that all agree; a rank that holds a lock at a barrier puts the
//! checkpoint off to the next one. What a checkpoint costs is measured: from when the rank's memory was frozen
//! until the commit, as if the rank had stood still all the time, which is the most that it can be. (What it waited
//! for the others before, it would have waited at any barrier.)
//! From that and the mean time between failures follows how much computing between two checkpoints loses
//! least (J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps",
//! 2006; its first term is Young's): with cost *c* and mean time *m*, √(2cm)·(1 + ⅓·√(c/2m) + ⅑·c/2m) − c, and
//! *m* where a checkpoint costs more than 2*m*.

use crate::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// Checkpoints besides those that the program asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// None.
    #[default]
    Program,
    /// At each barrier whose number this divides.
    Barriers(u32),
    /// At the first barrier after so many microseconds since the last one.
    EveryUs(u64),
    /// As often as costs least, where failures come so many microseconds apart on the average.
    AutoUs(u64),
}

impl Policy {
    /// At how many barriers; 0: not by their number.
    #[must_use]
    pub const fn barriers(self) -> u32 {
        if let Self::Barriers(every) = self { every } else { 0 }
    }
}

/// How much computing between two checkpoints loses least.
#[must_use]
pub fn best_interval(cost: Duration, mtbf: Duration) -> Duration {
    let (c, m) = (u128::from(cost.0), u128::from(mtbf.0));
    if c >= 2 * m {
        return mtbf;
    }
    let young = (2 * c * m).isqrt();
    // Multiplied out: ⅓·√(2cm)·√(c/2m) is c/3, and √(2cm)·⅑·c/2m has the root once.
    let best = (young + c / 3 + young * c / (18 * m)).saturating_sub(c);
    Duration(u64::try_from(best).unwrap_or(u64::MAX))
}

/// Where all ranks arrive: is it time for a checkpoint?
#[derive(Clone, Copy, Debug)]
pub(super) struct Pacer {
    policy: Policy,
    last: Instant,
    interval: Option<Duration>,
}

impl Pacer {
    /// The ranks begin to run.
    pub(super) const fn new(policy: Policy, now: Instant) -> Self {
        let interval = match policy {
            Policy::Program | Policy::Barriers(_) => None,
            Policy::EveryUs(micros) => Some(Duration::from_micros(micros)),
            // The first barrier has one: its cost is not known before.
            Policy::AutoUs(_) => Some(Duration::ZERO),
        };
        Self { policy, last: now, interval }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.interval.is_some_and(|interval| now.since(self.last) >= interval)
    }

    /// A checkpoint begins, by whomever it was asked for.
    pub(super) const fn began(&mut self, now: Instant) {
        self.last = now;
    }

    /// It is committed, and cost so much: the new interval, if it is measured.
    pub(super) fn committed(&mut self, cost: Duration) -> Option<Duration> {
        let Policy::AutoUs(mtbf) = self.policy else { return None };
        self.interval = Some(best_interval(cost, Duration::from_micros(mtbf)));
        self.interval
    }
}

#[cfg(test)]
mod tests;
