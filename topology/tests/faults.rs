//! Faults of the file become blows; expectations become what is judged.

use runtime_core::id::NodeId;
use std::time::Duration;
use topology::{
    Expectation, Metric, Outcome, Shown, Sight, Strike, Target, Topology, Trigger, Way,
};

fn read(text: &str) -> Topology {
    let head = "name: t
boards: { a: {}, b: {}, c: {} }
nodes:
  n0: { board: a, role: compute }
  n1: { board: b, role: compute }
  n2: { board: b, role: compute }
  n3: { board: c, role: standby }
run: { workload: laplace }
";
    topology::parse("t.yaml", &format!("{head}{text}")).unwrap_or_else(|e| panic!("{e}"))
}

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn blows(t: &Topology) -> Vec<(usize, u16, Strike, Trigger)> {
    t.faults.iter().map(|f| (f.item, f.node().unwrap().0, f.strike, f.trigger.clone())).collect()
}

#[test]
fn a_fault_strikes_all_nodes_of_a_board_and_ends_for_each() {
    let t = read(
        "faults: [{ name: dark, at: 2s, pause: { board: b }, for: 1s }, { at: { after: dark }, slow: { node: [n0, n3], to: 25% } }]",
    );
    let after = |faults: &[usize], delay| Trigger::Follows { faults: faults.to_vec(), delay };
    let start = Trigger::After(seconds(2));
    assert_eq!(
        blows(&t),
        [
            (0, 1, Strike::Pause, start.clone()),
            (0, 1, Strike::Resume, after(&[0], seconds(1))),
            (0, 2, Strike::Pause, start),
            (0, 2, Strike::Resume, after(&[2], seconds(1))),
            // The end of both.
            (1, 0, Strike::Slow(25), after(&[1, 3], Duration::ZERO)),
            (1, 3, Strike::Slow(25), after(&[1, 3], Duration::ZERO)),
        ]
    );
    assert_eq!(t.fault_words(0), "pause n1, n2 2s after the start for 1s");
    assert_eq!(t.fault_words(1), "slow n0, n3 to 25% at the end of dark");
}

#[test]
fn a_fault_that_is_repeated_counts_from_the_one_before() {
    let t = read(
        "faults: [{ at: { iteration: 9 }, cut: { from: n1 }, for: 100ms, every: 2s, times: 3 }]",
    );
    let cut = Strike::Cut(Way::From);
    let blows = blows(&t);
    assert_eq!(blows.len(), 6);
    assert_eq!(blows[0].3, Trigger::Iteration { number: 9, on: NodeId(1) });
    for (n, before) in [(2, 0), (4, 2)] {
        let trigger = Trigger::Follows { faults: vec![before], delay: seconds(2) };
        assert_eq!((blows[n].2, &blows[n].3), (cut, &trigger));
    }
    let words = "cut what n1 sends at iteration 9 for 100ms, 3 times, every 2s";
    assert_eq!(t.fault_words(0), words);
}

#[test]
fn chance_strikes_together_and_anew_each_time() {
    let t = read(
        "faults: [{ at: { random: [1s, 5s] }, pause: [n0, n3], for: 10ms, times: 2 }, { at: { random: [1s, 5s] }, slow: { node: n1, to: 50% } }]",
    );
    let draws: Vec<u64> = (t.faults.iter())
        .filter_map(
            |f| if let Trigger::Random { draw, .. } = f.trigger { Some(draw) } else { None },
        )
        .collect();
    let [a, b, c, d, e] = draws[..] else { panic!("{draws:?}") };
    assert!(a == b && c == d && a != c && e != a && e != c, "{draws:?}");
}

#[test]
fn what_is_expected_is_read_with_its_units() {
    let t = read(
        "faults: [{ name: end, at: 2s, kill: n1 }]
expect:
  - { seen: { event: suspected, on: n0, within: 2s, after: end, times: 2 } }
  - { never: { line: panicked } }
  - { order: [{ event: suspected }, { event: recovering, epoch: 3 }] }
  - { state: { n1: dead, n3: rank 1, n0: rank 0, n2: exited 35 } }
  - { metric: { recovery-time: { at-most: 1.5s }, sent-ratio: { at-least: 90%, at-most: 110.5% } } }
",
    );
    let event = |kind: &str, number, on: Option<u16>| Sight {
        shown: Shown::Event { kind: kind.into(), number },
        on: on.map(NodeId),
    };
    let state = |node, outcome| Expectation::State { node: NodeId(node), outcome };
    let metric = |metric, at_least, at_most| Expectation::Metric { metric, at_least, at_most };
    let rank = |n| Outcome::Rank(runtime_core::id::Rank(n));
    let expected = [
        Expectation::Seen {
            sight: event("suspected", None, Some(0)),
            times: 2,
            within: Some(seconds(2)),
            after: Some(0),
        },
        Expectation::Never(Sight { shown: Shown::Line("panicked".into()), on: None }),
        Expectation::Order(vec![
            event("suspected", None, None),
            event("recovering", Some(3), None),
        ]),
        state(1, Outcome::Dead),
        state(3, rank(1)),
        state(0, rank(0)),
        state(2, Outcome::Exited(35)),
        metric(Metric::RecoveryTime, None, Some(1_500_000_000)),
        metric(Metric::SentRatio, Some(900_000), Some(1_105_000)),
    ];
    assert_eq!(t.expectations, expected);
    let words: Vec<String> = t.expectations.iter().map(|e| t.expectation_words(e)).collect();
    assert_eq!(words[0], "event suspected on n0 2 times within 2s of end");
    assert_eq!(words[2], "event suspected, then event recovering of epoch 3");
    assert_eq!(words[8], "sent-ratio at least 90.0% and at most 110.5%");
}

#[test]
fn cables_are_read_with_their_vlans_and_faults_strike_them_by_name() {
    let t = read(
        "switches: { sw0: {}, sw1: {} }
links:
  - { between: [n0, sw0], vlan: 10 }
  - { between: [sw0, n1], vlan: 10 }
  - { between: [n2, sw1], vlan: 10 }
  - { between: [n3, sw1], vlan: 10 }
  - { between: [sw1, sw0], vlans: [20, 10], delay: { a-to-b: 3ms } }
faults:
  - { at: 1s, cut: sw1-sw0, for: 1s }
  - { at: 2s, cut: { link: [sw1-sw0, n1], direction: a-to-b } }
  - { at: 3s, degrade: { link: sw1-sw0, direction: b-to-a, loss: 1% } }
  - { at: 4s, heal: [sw1-sw0, n1] }
",
    );
    assert!(t.links.iter().all(|link| link.vlan == 10));
    let cable = &t.cables[0];
    assert_eq!((cable.name.as_str(), cable.ends), ("sw1-sw0", [1, 0]));
    assert_eq!(cable.vlans.as_deref(), Some(&[10, 20][..]));
    assert_eq!((cable.a_to_b.delay_ns, cable.b_to_a.delay_ns), (3_000_000, 0));
    assert_eq!(t.near(0), [NodeId(2), NodeId(3)]);
    let blows: Vec<_> = t.faults.iter().map(|f| (f.target, f.strike)).collect();
    let (trunk, n1) = (Target::Cable(0), Target::Node(NodeId(1)));
    let expected = [
        (trunk, Strike::Cut(Way::Both)),
        (trunk, Strike::Heal),
        (trunk, Strike::Cut(Way::From)),
        // The file names its switch first.
        (n1, Strike::Cut(Way::To)),
        (trunk, Strike::Degrade),
        (trunk, Strike::Heal),
        (n1, Strike::Heal),
    ];
    assert_eq!(blows, expected);
    assert_eq!(
        [0, 1, 2].map(|item| t.fault_words(item)),
        [
            "cut sw1-sw0 1s after the start for 1s",
            "cut sw1-sw0, n1 from sw1 to sw0 2s after the start",
            "degrade sw1-sw0 (to sw1: loss 1%) 3s after the start",
        ]
    );
    let words = t.describe();
    let line = "cable sw1-sw0: joins sw1 and sw0, VLANs 10, 20, to sw0: delay 3ms; cut, it parts n0 and n1 from n2 and n3: neither part is a majority";
    assert!(words.contains(line), "{words}");
    assert!(
        words.contains("switches: sw0 (n0, n1), sw1 (n2, n3), all nodes in VLAN 10"),
        "{words}"
    );
}
