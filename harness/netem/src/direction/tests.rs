use super::{Delivery, Direction, DropReason, Fate, Way};
use crate::{Distribution, DropRule, Filter, Flap, Loss, Profile, Queue, Which};

const PACKETS: usize = 20_000;

fn perfect() -> Profile {
    Profile::default()
}

fn fates(profile: Profile, seed: u64) -> Vec<Fate> {
    let mut direction = Direction::new(profile, seed);
    (0..PACKETS as u64).map(|i| direction.send(i * 1000, 100)).collect()
}

fn arrivals(fates: &[Fate]) -> Vec<u64> {
    fates.iter().flat_map(|fate| &fate.deliveries).map(|delivery| delivery.at_ns).collect()
}

fn share(fates: &[Fate], is: impl Fn(&Fate) -> bool) -> f64 {
    let n = u32::try_from(fates.iter().filter(|fate| is(fate)).count()).unwrap();
    f64::from(n) / f64::from(u32::try_from(fates.len()).unwrap())
}

fn near(actual: f64, expected: f64) {
    assert!((actual - expected).abs() < 0.02, "{actual} is not near {expected}");
}

fn one(at_ns: u64) -> Fate {
    Fate { deliveries: vec![Delivery { at_ns, corrupt: None }], dropped: None }
}

#[test]
fn a_perfect_link_delivers_at_once() {
    let mut direction = Direction::new(perfect(), 1);
    assert_eq!(direction.send(5, 1500), one(5));
    assert_eq!(direction.send(5, 0), one(5));
}

#[test]
fn the_delay_is_exact() {
    let mut direction = Direction::new(Profile { delay_ns: 2_000_000, ..perfect() }, 1);
    assert_eq!(direction.send(7, 1500), one(2_000_007));
}

#[test]
fn random_loss_has_its_rate() {
    let fates = fates(Profile { loss: Loss::Random(0.1), ..perfect() }, 3);
    near(share(&fates, |fate| fate.dropped == Some(DropReason::Loss)), 0.1);
    assert!(fates.iter().all(|fate| fate.deliveries.len() == usize::from(fate.dropped.is_none())));
}

#[test]
fn probabilities_of_zero_and_one_are_certain() {
    let never = fates(Profile { loss: Loss::Random(0.0), ..perfect() }, 3);
    assert!(never.iter().all(|fate| fate.dropped.is_none()));
    let always = fates(Profile { loss: Loss::Random(1.0), ..perfect() }, 3);
    assert!(always.iter().all(|fate| fate.dropped == Some(DropReason::Loss)));
}

#[test]
fn gilbert_elliott_loses_in_bursts() {
    let loss = Loss::GilbertElliott { to_bad: 0.01, to_good: 0.1, loss_good: 0.0, loss_bad: 1.0 };
    let fates = fates(Profile { loss, ..perfect() }, 4);
    let lost = |fate: &Fate| fate.dropped.is_some();
    near(share(&fates, lost), 0.01 / 0.11);
    let bursts = fates.windows(2).filter(|pair| !lost(&pair[0]) && lost(&pair[1])).count();
    let losses = fates.iter().filter(|fate| lost(fate)).count();
    let length = losses / bursts;
    assert!((7..=13).contains(&length), "a burst has {length} packets, expected 10");
}

#[test]
fn corruption_flips_different_bits() {
    let fates = fates(Profile { corrupt: 0.2, ..perfect() }, 5);
    near(share(&fates, |fate| fate.deliveries[0].corrupt.is_some()), 0.2);
    let mut bits: Vec<u64> = fates.iter().filter_map(|fate| fate.deliveries[0].corrupt).collect();
    let all = bits.len();
    bits.sort_unstable();
    bits.dedup();
    assert_eq!(bits.len(), all);
}

#[test]
fn duplicates_arrive_twice_and_share_their_damage() {
    let profile = Profile { duplicate: 0.3, corrupt: 0.5, ..perfect() };
    let fates = fates(profile, 6);
    near(share(&fates, |fate| fate.deliveries.len() == 2), 0.3);
    for fate in fates.iter().filter(|fate| fate.deliveries.len() == 2) {
        assert_eq!(fate.deliveries[0].corrupt, fate.deliveries[1].corrupt);
    }
}

#[test]
fn jitter_spreads_arrivals_but_keeps_the_order() {
    let profile = Profile { delay_ns: 26_000, jitter_ns: 25_000, ..perfect() };
    let spread = flights(profile, 7);
    assert!(spread.iter().all(|at| (1000..=51_000).contains(at)));
    assert!(spread.iter().any(|at| *at < 6000) && spread.iter().any(|at| *at > 46_000));
    assert!(arrivals(&fates(profile, 7)).is_sorted());
}

/// Times in flight of packets so far apart that each shows its own, in order of size.
fn flights(profile: Profile, seed: u64) -> Vec<u64> {
    let mut direction = Direction::new(profile, seed);
    let apart = 1_000_000_000;
    let flight = |i| direction.send(i * apart, 1).deliveries[0].at_ns - i * apart;
    let mut flights: Vec<u64> = (0..PACKETS as u64).map(flight).collect();
    flights.sort_unstable();
    flights
}

/// Mean and standard deviation.
fn moments(values: &[u64]) -> (f64, f64) {
    let n = f64::from(u32::try_from(values.len()).unwrap());
    let number = |v: &u64| f64::from(u32::try_from(*v).unwrap());
    let mean = values.iter().map(number).sum::<f64>() / n;
    let variance = values.iter().map(|v| (number(v) - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

#[test]
fn jitter_has_the_mean_and_the_spread_of_its_distribution() {
    let of = |distribution| Profile {
        delay_ns: 1_000_000,
        jitter_ns: 100_000,
        distribution,
        ..perfect()
    };
    let (mean, deviation) = moments(&flights(of(Distribution::Uniform), 1));
    near(mean / 1e6, 1.0);
    near(deviation / 1e5, 1.0 / 3f64.sqrt());
    let normal = flights(of(Distribution::Normal), 1);
    let (mean, deviation) = moments(&normal);
    near(mean / 1e6, 1.0);
    near(deviation / 1e5, 1.0);
    // One in 741 is more than three deviations off to each side.
    let far = normal.iter().filter(|at| **at > 1_300_000).count();
    assert!((15..45).contains(&far), "{far}");
    let pareto = flights(of(Distribution::Pareto), 1);
    let (mean, deviation) = moments(&pareto);
    near(mean / 1e6, 1.0);
    assert!((deviation / 1e5 - 1.0).abs() < 0.3, "{deviation}: its tail is heavy");
    assert!(pareto[0] >= 929_289, "{}: the steep side", pareto[0]);
    assert!(pareto[PACKETS / 2] < 1_000_000, "half of it lies below the mean");
    assert!(pareto[PACKETS - 1] > 2_000_000, "{}: the long tail", pareto[PACKETS - 1]);
}

#[test]
fn no_packet_arrives_before_it_has_left() {
    for distribution in [Distribution::Uniform, Distribution::Normal, Distribution::Pareto] {
        let profile = Profile { delay_ns: 10, jitter_ns: 1000, distribution, ..perfect() };
        assert_eq!(flights(profile, 3)[0], 0);
    }
}

/// Which packets of so many are dropped by a rule, from 1.
fn ruled_out(rule: DropRule, frames: &[Vec<u8>]) -> Vec<usize> {
    let mut direction = Direction::new(Profile { drop: Some(rule), ..perfect() }, 1);
    let fate = |frame: &Vec<u8>| direction.send_frame(0, frame).dropped;
    let fates: Vec<_> = frames.iter().map(fate).collect();
    assert!(fates.iter().all(|fate| matches!(fate, None | Some(DropReason::Rule))));
    (1..).zip(fates).filter(|(_, fate)| fate.is_some()).map(|(n, _)| n).collect()
}

fn frame(to: u8, from: u8, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mac = |n| [2, 0, 0, 0, 0, n];
    [&mac(to)[..], &mac(from), &ethertype.to_be_bytes(), payload].concat()
}

#[test]
fn the_nth_packet_and_every_nth_are_dropped_on_purpose() {
    let frames = vec![frame(1, 2, 0x88b5, &[0; 50]); 10];
    let rule = |which| DropRule { filter: Filter::default(), which };
    assert_eq!(ruled_out(rule(Which::Nth(3)), &frames), [3]);
    assert_eq!(ruled_out(rule(Which::Every(4)), &frames), [4, 8]);
    assert_eq!(ruled_out(rule(Which::Every(0)), &frames), [0; 0]);
    assert_eq!(ruled_out(rule(Which::All), &frames).len(), 10);
}

#[test]
fn a_filter_says_which_packets_count() {
    let frames = [
        frame(1, 2, 0x88b5, &[0xd5, 1, 2]),
        frame(3, 2, 0x0806, &[0; 60]),
        frame(1, 4, 0x88b5, &[0xd5, 1, 3, 0, 0]),
        frame(1, 2, 0x88b5, &[0xd5, 1, 2]),
    ];
    let all = |filter| ruled_out(DropRule { filter, which: Which::All }, &frames);
    let any = Filter::default();
    assert_eq!(all(any), [1, 2, 3, 4]);
    assert_eq!(all(Filter { ethertype: Some(0x0806), ..any }), [2]);
    assert_eq!(all(Filter { to: Some([2, 0, 0, 0, 0, 1]), ..any }), [1, 3, 4]);
    assert_eq!(all(Filter { from: Some([2, 0, 0, 0, 0, 4]), ..any }), [3]);
    assert_eq!(all(Filter { byte: Some((16, 2)), ..any }), [1, 4]);
    assert_eq!(all(Filter { byte: Some((18, 0)), ..any }), [2, 3], "the others are too short");
    assert_eq!(all(Filter { longer_than: Some(17), ..any }), [2, 3]);
    assert_eq!(all(Filter { shorter_than: Some(19), ..any }), [1, 4]);
    assert_eq!(all(Filter { longer_than: Some(17), shorter_than: Some(20), ..any }), [3]);
    let second = DropRule { filter: Filter { byte: Some((16, 2)), ..any }, which: Which::Nth(2) };
    assert_eq!(ruled_out(second, &frames), [4], "only what matches is counted");
}

#[test]
fn a_rule_counts_from_the_moment_that_it_is_set() {
    let rule = DropRule { filter: Filter::default(), which: Which::Nth(2) };
    let mut direction = Direction::new(perfect(), 1);
    direction.send(0, 1);
    let ruled = Profile { drop: Some(rule), ..perfect() };
    direction.set_profile(ruled);
    assert_eq!(direction.send(0, 1).dropped, None);
    // Another value changes; the count goes on.
    direction.set_profile(Profile { delay_ns: 5, ..ruled });
    assert_eq!(direction.send(0, 1).dropped, Some(DropReason::Rule));
    assert_eq!(direction.send(0, 1).dropped, None);
    assert_eq!(direction.index(), 4);
}

#[test]
fn a_flapping_link_is_up_for_a_part_of_each_period() {
    let flap = Flap { period_ns: 100, up_ns: 30, since_ns: 1000 };
    let mut direction = Direction::new(Profile { flap: Some(flap), ..perfect() }, 1);
    for (now, up) in [(0, true), (1000, true), (1029, true), (1030, false), (1099, false)] {
        let dropped = direction.send(now, 1).dropped;
        assert_eq!(dropped, (!up).then_some(DropReason::Flap), "at {now}");
    }
    assert_eq!(direction.send(1100, 1).dropped, None);
    let never = Flap { period_ns: 0, up_ns: 0, since_ns: 0 };
    assert!(!never.is_down(5));
}

#[test]
fn links_and_ways_have_fates_of_their_own() {
    let profile = Profile { loss: Loss::Random(0.5), ..perfect() };
    let pattern = |seed, link, way| -> Vec<bool> {
        let mut direction = Direction::of_link(profile, seed, link, way);
        (0..64).map(|_| direction.send(0, 1).dropped.is_some()).collect()
    };
    let first = pattern(42, "n0-sw0", Way::Up);
    assert_eq!(first, pattern(42, "n0-sw0", Way::Up));
    for other in [
        pattern(42, "n0-sw0", Way::Down),
        pattern(42, "n1-sw0", Way::Up),
        pattern(43, "n0-sw0", Way::Up),
        pattern(44, "n0-sw0", Way::Up),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn reordered_packets_overtake() {
    let fates = fates(Profile { delay_ns: 50_000, reorder: 0.1, ..perfect() }, 8);
    let at = arrivals(&fates);
    assert!(!at.is_sorted());
    let early = (0..PACKETS).filter(|i| at[*i] == *i as u64 * 1000).count();
    assert!((PACKETS / 12..PACKETS / 8).contains(&early), "{early}");
}

#[test]
fn the_rate_spaces_packets() {
    let profile = Profile { rate_bits_per_s: Some(8_000_000), delay_ns: 10, ..perfect() };
    let mut direction = Direction::new(profile, 9);
    // A byte takes a microsecond.
    assert_eq!(direction.send(0, 100), one(100_010));
    assert_eq!(direction.send(0, 50), one(150_010));
    assert_eq!(direction.send(150_000, 1), one(151_010));
    assert_eq!(direction.send(900_000, 1), one(901_010));
}

#[test]
fn a_full_queue_drops_and_drains() {
    let profile = Profile {
        rate_bits_per_s: Some(8_000_000),
        queue: Queue { bytes: 250, ..Queue::ENDLESS },
        ..perfect()
    };
    let mut direction = Direction::new(profile, 9);
    let full = Fate { deliveries: Vec::new(), dropped: Some(DropReason::QueueFull) };
    assert_eq!(direction.send(0, 100), one(100_000));
    assert_eq!(direction.send(0, 100), one(200_000));
    assert_eq!(direction.send(0, 100), full);
    assert_eq!(direction.send(0, 50), one(250_000));
    assert_eq!(direction.send(99_999, 100), full);
    assert_eq!(direction.send(100_000, 100), one(350_000));
    // Larger than the queue, but nothing waits.
    assert_eq!(direction.send(1_000_000, 1000), one(2_000_000));
}

#[test]
fn a_copy_that_finds_the_queue_full_is_reported() {
    let profile = Profile {
        rate_bits_per_s: Some(8_000_000),
        queue: Queue { packets: 1, ..Queue::ENDLESS },
        duplicate: 1.0,
        ..perfect()
    };
    let fate = Direction::new(profile, 9).send(0, 100);
    assert_eq!((fate.deliveries.len(), fate.dropped), (1, Some(DropReason::QueueFull)));
}

#[test]
fn a_cut_link_and_a_missing_end_pass_nothing_until_they_are_back() {
    let mut direction = Direction::new(perfect(), 1);
    direction.cut();
    assert!(direction.is_cut());
    direction.set_down(true);
    assert_eq!(direction.send(0, 1).dropped, Some(DropReason::Cut));
    direction.heal();
    assert_eq!(direction.send(0, 1).dropped, Some(DropReason::Down));
    direction.set_down(false);
    assert_eq!(direction.send(3, 1), one(3));
}

#[test]
fn a_profile_may_change_while_packets_fly() {
    let mut direction = Direction::new(Profile { delay_ns: 1000, ..perfect() }, 1);
    assert_eq!(direction.send(0, 1), one(1000));
    direction.set_profile(perfect());
    assert_eq!(direction.send(1, 1), one(1000), "not before the one in flight");
    assert_eq!(direction.send(2000, 1), one(2000));
    direction.set_profile(Profile { rate_bits_per_s: Some(8_000_000), ..perfect() });
    assert_eq!(direction.send(3000, 10), one(13_000));
    direction.set_profile(perfect());
    assert_eq!(direction.send(3001, 10), one(13_000));
    assert_eq!(*direction.profile(), perfect());
}

#[test]
fn the_fate_of_a_packet_depends_on_seed_and_number_alone() {
    let profile = Profile {
        loss: Loss::Random(0.2),
        duplicate: 0.2,
        corrupt: 0.2,
        reorder: 0.2,
        jitter_ns: 5,
        distribution: Distribution::Normal,
        ..perfect()
    };
    let kind = |fate: &Fate| {
        (fate.dropped, fate.deliveries.len(), fate.deliveries.first().map(|d| d.corrupt))
    };
    let usual = fates(profile, 10);
    assert_eq!(usual, fates(profile, 10));
    assert_ne!(usual, fates(profile, 11));
    // Other times, other sizes, and a cut in between.
    let mut other = Direction::new(profile, 10);
    for (i, fate) in usual.iter().enumerate() {
        if i == 50 {
            other.cut();
        }
        let actual = other.send(i as u64 * 77, i);
        if i == 70 {
            other.heal();
        }
        if !(50..=70).contains(&i) {
            assert_eq!(kind(&actual), kind(fate), "packet {i}");
        }
    }
}

#[test]
fn these_fates_are_pinned() {
    let loss = Profile { loss: Loss::Random(0.5), ..perfect() };
    let pattern: String = fates(loss, 42)[..32]
        .iter()
        .map(|fate| if fate.dropped.is_some() { 'x' } else { '.' })
        .collect();
    assert_eq!(pattern, ".x.xx....x...xx.x.xx..x....x..xx");
}
