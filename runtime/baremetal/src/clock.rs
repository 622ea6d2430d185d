//! The clock: the time stamp counter, which counts from the start of the machine.

use crate::{apic, cpu, serial};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use runtime_core::time::Instant;

/// Nanoseconds of a tick of the counter, in parts of 2^32.
static TICK: AtomicU64 = AtomicU64::new(0);
/// How long the counter is watched when its frequency is not known: 10 ms.
const WATCHED_NS: u32 = 10_000_000;

/// Sets the clock going. Without a frequency it is measured by the timer of the interrupt
/// controller, which counts nanoseconds on QEMU.
pub fn start(khz: Option<u64>) {
    let khz = khz.unwrap_or_else(|| {
        let khz = apic::ticks_during(WATCHED_NS) / u64::from(WATCHED_NS / 1_000_000);
        serial::say(format_args!("tsc_khz is not on the command line: measured {khz}"));
        khz.max(1)
    });
    TICK.store((1_000_000 << 32) / khz, Relaxed);
}

/// Time since the machine started.
#[must_use]
pub fn now() -> Instant {
    #[expect(clippy::cast_possible_truncation, reason = "584 years")]
    Instant(((u128::from(cpu::tsc()) * u128::from(TICK.load(Relaxed))) >> 32) as u64)
}
