//! The clock: the time stamp counter, which counts from the start of the machine.

use crate::cpu;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use runtime_core::time::Instant;

/// Nanoseconds of a tick of the counter, in parts of 2^32.
static TICK: AtomicU64 = AtomicU64::new(0);
/// Sets the clock going; the counter counts so many thousand times a second.
pub fn start(khz: u64) {
    TICK.store((1_000_000 << 32) / khz.max(1), Relaxed);
}

/// Time since the machine started.
#[must_use]
pub fn now() -> Instant {
    #[expect(clippy::cast_possible_truncation, reason = "584 years")]
    Instant(((u128::from(cpu::tsc()) * u128::from(TICK.load(Relaxed))) >> 32) as u64)
}
