//! Which life of a node: a later one has a higher number, also when the machine was started anew in between, and
//! nothing was kept. So it is told by the clock.

use runtime_core::id::Generation;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Lives in a second, of one name: a count of 32 bits then lasts for eight years.
const PER_SECOND: u128 = 16;
/// 2026-01-01.
const BEGIN: Duration = Duration::from_secs(1_767_225_600);
/// Lives towards single peers, each after one that was given up, begin in between.
const TICK_NANOS: u128 = 1_000_000_000 / PER_SECOND;

/// The number of a life that begins now. Waits for the clock to reach it, so that no two have one, whichever
/// process they are of.
pub(super) fn next() -> Generation {
    let since = SystemTime::now().duration_since(UNIX_EPOCH + BEGIN).unwrap_or_default();
    let tick = since.as_nanos() / TICK_NANOS + 1;
    let left = (tick * TICK_NANOS).saturating_sub(since.as_nanos());
    sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0)));
    // Around once in eight years: whoever was there before takes it for an earlier life until it starts anew itself.
    #[expect(clippy::cast_possible_truncation, reason = "it goes around")]
    Generation(tick as u32)
}
