use super::{Arrived, Lane, SMALL, gaps, moments, quantile};
use std::time::Duration;

fn arrived(numbers: &[u64]) -> Vec<Arrived> {
    numbers.iter().map(|&number| Arrived { number, took_ns: 1, at_ns: number }).collect()
}

#[test]
fn what_is_missing_is_counted_in_bursts() {
    assert_eq!(gaps(&arrived(&[1, 2, 3]), 3), (0, 0));
    assert_eq!(gaps(&arrived(&[2, 5, 6]), 8), (5, 3));
    assert_eq!(gaps(&arrived(&[3, 1, 2]), 3), (0, 0), "the order does not matter");
}

#[test]
fn quantiles_and_moments_are_those_of_the_values() {
    let values: Vec<u64> = (0..100).collect();
    assert_eq!([0, 50, 99, 100].map(|p| quantile(&values, p)), [0, 50, 99, 99]);
    assert_eq!(quantile(&[], 50), 0);
    assert_eq!(moments(&[1.0, 3.0]), (2.0, 1.0));
}

#[test]
fn frames_pass_the_switch_and_the_rule_of_the_link_is_kept() {
    let lane = Lane::new("drop: { every: 4 }").unwrap();
    let there = lane.send(10, SMALL, Duration::ZERO, 100).unwrap();
    let numbers: Vec<u64> = there.iter().map(|a| a.number).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7, 9, 10]);
}
