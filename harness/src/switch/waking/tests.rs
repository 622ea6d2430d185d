use super::{BOUNDS_NS, Waking};
use std::time::Duration;

#[test]
fn it_learns_how_long_nine_of_ten_take_and_forgets_it_again() {
    let mut waking = Waking::new();
    let slept = |waking: &Waking| Duration::from_millis(1) - waking.sleep(Duration::from_millis(1));
    // Evenly from 1 to 100 µs, in an order that is none.
    for n in 0..5_000u64 {
        waking.woke(Duration::from_micros(n * 37 % 100 + 1));
    }
    let learned = slept(&waking);
    assert!((80..=100).contains(&learned.as_micros()), "{learned:?}");
    for _ in 0..100 {
        waking.woke(Duration::from_micros(5));
    }
    assert_eq!(slept(&waking), Duration::from_nanos(BOUNDS_NS[0]));
    for _ in 0..100 {
        waking.woke(Duration::from_secs(1));
    }
    assert_eq!(slept(&waking), Duration::from_nanos(BOUNDS_NS[1]));
    assert_eq!(waking.sleep(Duration::from_micros(1)), Duration::ZERO);
}
