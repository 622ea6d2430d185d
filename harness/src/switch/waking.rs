//! How long before its time a thread must ask to be awake. A processor that sleeps takes longer to wake up than one
//! that is busy, and a guest of another machine longer still, so it is learned; whoever is awake too early looks at
//! the clock until it is time, on a processor that had nothing to do.

use std::time::Duration;

/// Nobody wakes up faster, or is waited for longer: 250 µs a frame are a quarter of a processor at 1000 frames/s.
const BOUNDS_NS: [u64; 2] = [10_000, 250_000];
/// In equilibrium nine of ten are awake in time.
const LONGER_NS: u64 = 9_000;
const SHORTER_NS: u64 = 1_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Waking {
    takes_ns: u64,
}

impl Waking {
    pub(super) const fn new() -> Self {
        Self { takes_ns: 40_000 }
    }

    /// For how long to sleep if something is due after `until`.
    pub(super) const fn sleep(&self, until: Duration) -> Duration {
        until.saturating_sub(Duration::from_nanos(self.takes_ns))
    }

    /// The thread woke up by itself so long after the time it asked for.
    pub(super) fn woke(&mut self, late: Duration) {
        let in_time = late <= Duration::from_nanos(self.takes_ns);
        let next = if in_time { self.takes_ns - SHORTER_NS } else { self.takes_ns + LONGER_NS };
        self.takes_ns = next.clamp(BOUNDS_NS[0], BOUNDS_NS[1]);
    }
}

#[cfg(test)]
mod tests;
