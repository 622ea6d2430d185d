use super::*;

const SECOND: Duration = Duration::from_millis(1_000);
const HOUR: Duration = SECOND.times(3_600);

fn seconds(cost: Duration, mtbf: Duration) -> u64 {
    best_interval(cost, mtbf).0 / SECOND.0
}

#[test]
fn the_interval_is_that_of_young_and_daly() {
    // √(2·1·3600) = 84.85; 84.85 − ⅔ + 0.0013
    assert_eq!(seconds(SECOND, HOUR), 84);
    // √(2·60·3600) = 657.3; 657.3 − 40 + 0.6
    assert_eq!(seconds(SECOND.times(60), HOUR), 617);
    // 0.1 ms: √(2·0.0001·3600) = 0.8485
    assert_eq!(best_interval(Duration::from_micros(100), HOUR).as_micros() / 1_000, 848);
    assert_eq!(best_interval(Duration::ZERO, HOUR), Duration::ZERO);
    // A checkpoint that costs more than a failure is not worth more of them.
    assert_eq!(best_interval(HOUR.times(2), HOUR), HOUR);
    assert!(best_interval(SECOND, Duration(u64::MAX)) > HOUR);
}

#[test]
fn it_grows_with_the_cost_and_with_the_time_between_failures() {
    let costs = (1..200).map(|n| best_interval(SECOND.times(n), HOUR));
    assert!(costs.is_sorted());
    let times = (1..200).map(|n| best_interval(SECOND, SECOND.times(n)));
    assert!(times.is_sorted());
}

#[test]
fn time_counts_from_the_last_checkpoint_whoever_asked_for_it() {
    let at = |s: u64| Instant(SECOND.times(s).0);
    let mut pacer = Pacer::new(Policy::EveryUs(5_000_000), at(10));
    assert_eq!([14, 15, 90].map(|s| pacer.is_due(at(s))), [false, true, true]);
    pacer.began(at(92));
    assert_eq!([96, 97].map(|s| pacer.is_due(at(s))), [false, true]);
    assert_eq!(pacer.committed(SECOND), None);
    for policy in [Policy::Program, Policy::Barriers(3)] {
        assert!(!Pacer::new(policy, at(0)).is_due(at(1 << 20)));
    }
}

#[test]
fn what_was_measured_sets_the_next_interval() {
    let mut pacer = Pacer::new(Policy::AutoUs(HOUR.as_micros()), Instant(0));
    assert!(pacer.is_due(Instant(0)), "the first one measures");
    pacer.began(Instant(0));
    let next = pacer.committed(SECOND).unwrap();
    assert_eq!(next, best_interval(SECOND, HOUR));
    assert!(!pacer.is_due(Instant(next.0 - 1)) && pacer.is_due(Instant(next.0)));
}
