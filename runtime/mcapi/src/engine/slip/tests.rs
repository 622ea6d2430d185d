use super::*;

fn after(many: usize, came: impl Fn(Slip) -> usize) -> u32 {
    let mut slip = Slip::default();
    for _ in 0..many {
        slip.learn(came(slip));
    }
    slip.looks()
}

#[test]
fn a_stream_is_let_go_ahead() {
    // A frame in every second look, and two while they are taken.
    assert_eq!(after(10, |slip| 2 + slip.looks() as usize / 2), MOST);
}

#[test]
fn what_comes_one_by_one_or_not_at_all_is_looked_for_at_once() {
    assert_eq!(after(10, |_| 1), 0);
    assert_eq!(after(10, |_| 0), 0);
}

#[test]
fn the_wait_is_no_longer_than_a_slow_stream_and_a_small_window_are_worth() {
    let slow = after(100, |slip| 2 + slip.looks() as usize / 16);
    assert!(slow <= 2, "{slow}");
    let window = after(100, |_| 5);
    assert!((8..=16).contains(&window), "{window}");
}

#[test]
fn who_sends_or_hears_nothing_more_is_at_once_as_before() {
    let mut slip = Slip(MOST);
    slip.forget();
    assert_eq!(slip.looks(), 0);
    let mut slip = Slip(MOST);
    let waits = std::iter::from_fn(|| {
        slip.learn(0);
        Some(slip.looks())
    });
    assert!(waits.take(6).sum::<u32>() < MOST, "a stream's end costs less than one wait more");
}
