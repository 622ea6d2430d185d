//! Cuts of every kind: nobody forks, a minority stops and says so, and whoever was replaced comes back.

use super::members::{Story, scenarios};
use super::*;
use runtime_core::id::ViewId;
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;

impl Story {
    /// Cuts or heals the ways from the ones to the others.
    fn ways(&mut self, ways: &[(u16, u16)], cut: bool) {
        for (from, to) in ways {
            if cut {
                self.world.cut(NodeId(*from), NodeId(*to), false);
            } else {
                self.world.heal(NodeId(*from), NodeId(*to));
            }
        }
    }

    fn for_ms(&mut self, ms: u64) {
        let until = self.world.now_ns() + ms * MS;
        while self.end.is_none() && self.world.now_ns() < until {
            self.steps(1);
        }
    }

    /// Of one number there is one view, whoever installed it.
    fn has_no_fork(&self) -> bool {
        let mut views: BTreeMap<ViewId, (&[NodeId], &[NodeId])> = BTreeMap::new();
        self.told.iter().all(|(_, event)| match event {
            Event::View { view, members, ranks, .. } => {
                *views.entry(*view).or_insert((members, ranks)) == (members, ranks)
            }
            _ => true,
        })
    }

    fn count(&self, wanted: impl Fn(NodeId, &Event) -> bool) -> usize {
        self.told.iter().filter(|(node, event)| wanted(*node, event)).count()
    }
}

/// Both ways between the two sides.
fn between(ones: &[u16], others: &[u16]) -> Vec<(u16, u16)> {
    let pairs = ones.iter().flat_map(|a| others.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
}

#[test]
fn a_minority_stops_and_says_so_and_comes_back_when_the_cut_is_healed() {
    let mut back = 0;
    for scenario in scenarios(5, 3, 2) {
        let mut story = Story::of(&scenario, 10);
        story.steps(500 + Rng::new(scenario.seed).below(500));
        let ways = between(&[0, 4], &[1, 2, 3]);
        story.ways(&ways, true);
        let alone = |node: NodeId, event: &Event| {
            matches!(node.0, 0 | 4)
                && matches!(event, Event::NoMajority { reachable: 2, members: 5, .. })
        };
        assert!(story.until(alone), "{scenario}: {:?}", story.end);
        if !story.until_out(0) {
            // The only copy of its rank was with it, or all ranks had left the program.
            let end = story.end.as_ref().unwrap();
            assert!(matches!(end, End::Lost(_) | End::Done), "{scenario}: {end:?}");
            continue;
        }
        assert_eq!(story.host_of(0), NodeId(3), "{scenario}: the majority goes on");
        story.ways(&ways, false);
        back += u32::from(story.until_in(0));
        assert_eq!(story.finish(), End::Done, "{scenario}");
        assert!(story.has_no_fork(), "{scenario}");
    }
    assert!(back > 2, "{back} came back");
}

#[test]
fn a_cut_shorter_than_the_suspicion_changes_nothing() {
    for scenario in scenarios(3, 3, 1) {
        let mut story = Story::of(&scenario, 6);
        for round in 0..4 {
            story.steps(200);
            let node = round % 4;
            let ways = between(&[node], &[(node + 1) % 4, (node + 2) % 4]);
            story.ways(&ways, true);
            story.for_ms(50);
            story.ways(&ways, false);
        }
        assert_eq!(story.finish(), End::Done, "{scenario}");
        assert_eq!(story.count(|_, e| matches!(e, Event::View { .. })), 0, "{scenario}");
    }
}

#[test]
fn a_flapping_link_costs_one_of_its_ends_at_most_and_forks_nobody() {
    for scenario in scenarios(6, 3, 2) {
        let mut story = Story::of(&scenario, 10);
        let one_way = scenario.seed % 2 == 1;
        let ways = between(&[1], &[2]);
        let ways = if one_way { &ways[..1] } else { &ways[..] };
        story.steps(400);
        for _ in 0..6 {
            story.ways(ways, true);
            story.for_ms(150);
            story.ways(ways, false);
            story.for_ms(40);
        }
        assert_eq!(story.finish(), End::Done, "{scenario}");
        assert!(story.has_no_fork(), "{scenario}");
        let innocent = |node: NodeId, event: &Event| {
            !matches!(node.0, 1 | 2) && matches!(event, Event::Fenced { .. })
        };
        assert_eq!(story.count(innocent), 0, "{scenario}: only the ends of the link may go");
    }
}

#[test]
fn a_slow_node_that_is_wrongly_suspected_harms_nothing() {
    let mut fenced = 0;
    for scenario in scenarios(8, 3, 1) {
        let mut story = Story::of(&scenario, 10);
        let node = NodeId(u16::try_from(scenario.seed % 4).unwrap());
        story.steps(400);
        for round in 0..3 {
            story.world.pause(node);
            // About as long as the others are patient.
            story.for_ms(90 + 15 * round);
            story.world.wake(node);
            story.for_ms(60);
        }
        assert_eq!(story.finish(), End::Done, "{scenario}");
        assert!(story.has_no_fork(), "{scenario}");
        let gone = |event: &Event| matches!(event, Event::Fenced { .. });
        fenced += story.count(|who, event| who == node && gone(event));
        assert_eq!(story.count(|who, event| who != node && gone(event)), 0, "{scenario}");
    }
    assert!(fenced > 3, "{fenced} times a node was replaced");
}

#[test]
fn a_machine_that_was_busy_with_other_things_blames_none_of_its_nodes() {
    for scenario in scenarios(12, 3, 2) {
        let mut story = Story::of(&scenario, 6);
        for round in 0..3 {
            story.steps(300);
            let nodes: Vec<NodeId> = story.world.nodes().collect();
            nodes.iter().for_each(|node| story.world.pause(*node));
            // Far longer than anybody is patient; then they get their turn one after the other.
            let until = story.world.now_ns() + 300 * MS;
            assert_eq!(story.world.step_before(until), None, "{scenario}");
            story.world.pass_time_until(until);
            for i in 0..nodes.len() {
                story.world.wake(nodes[(i + round) % nodes.len()]);
                story.for_ms(8);
            }
        }
        assert_eq!(story.finish(), End::Done, "{scenario}");
        let blames =
            |_, event: &Event| matches!(event, Event::Suspected { .. } | Event::View { .. });
        assert_eq!(story.count(blames), 0, "{scenario}");
    }
}

/// Streams whose cuts are seen, streams whose cuts are silent, and streams among datagrams.
const STREAMS: [(Media, bool); 3] =
    [(Media::Stream, true), (Media::Stream, false), (Media::Mixed, true)];

/// The fault, from every so many steps on.
fn at_every(stride: usize, medium: Media, death_is_seen: bool, fault: Fault) -> Vec<Scenario> {
    let plain = Scenario { medium, death_is_seen, ..Scenario::tour(4, 3, 1, 1) };
    let steps = all_right(&plain).steps;
    let with = |step| Scenario { faults: vec![(step, fault)], ..plain.clone() };
    (0..steps).step_by(stride).map(with).collect()
}

#[test]
fn an_even_split_of_streams_heals_at_any_moment_and_nobody_goes_back() {
    for (medium, death_is_seen) in STREAMS {
        for ms in [40, 600] {
            for scenario in at_every(5, medium, death_is_seen, Fault::Split(NodeId(2), ms)) {
                let mut run = Run::new(&scenario);
                let mut smallest = 4;
                let verdict = loop {
                    let verdict = run.step();
                    smallest = smallest.min(run.world().node(NodeId(0)).view().members.len());
                    if let Some(verdict) = verdict {
                        break verdict;
                    }
                };
                let story = format!("{scenario}: {:?}", scenario.faults);
                assert_eq!((verdict.end, verdict.broken), (End::Done, None), "{story}");
                assert!(smallest == 4, "{story}: nobody had to go, {smallest} stayed");
            }
        }
    }
}

#[test]
fn after_a_split_those_who_come_back_last_are_waited_for() {
    for scenario in scenarios(9, 3, 1) {
        let mut story = Story::of(&scenario, 10);
        story.steps(500 + Rng::new(scenario.seed).below(500));
        let cut = between(&[0, 1], &[2, 3]);
        story.ways(&cut, true);
        assert!(story.until(|_, event| matches!(event, Event::NoMajority { .. })), "{scenario}");
        story.for_ms(50);
        // Some connections are there sooner than others.
        let (soon, late) = (between(&[0, 1], &[2]), between(&[0, 1], &[3]));
        story.ways(&soon, false);
        story.for_ms(30);
        story.ways(&late, false);
        assert_eq!(story.finish(), End::Done, "{scenario}");
        let fenced = story.count(|_, event| matches!(event, Event::Fenced { .. }));
        assert_eq!(fenced, 0, "{scenario}");
    }
}

#[test]
fn a_node_that_dies_while_an_even_split_of_streams_lasts_or_heals_is_taken_over() {
    let mut done = 0;
    for (medium, death_is_seen) in STREAMS {
        for seed in [4, 8] {
            let plain = Scenario { medium, death_is_seen, ..Scenario::tour(seed, 3, 1, 1) };
            let scenario = Scenario { faults: vec![(350, Fault::Split(NodeId(2), 300))], ..plain };
            let plan = Plan::every(41, 0);
            let tally = enumerate(&scenario, plan, &mut |_| {});
            let tally = tally.unwrap_or_else(|broken| panic!("{broken}\n{:?}", scenario.faults));
            println!("{scenario}: {tally}");
            done += tally.done;
        }
    }
    assert!(done > 100, "{done} done");
}

#[test]
fn cuts_and_flaps_of_one_stream_end_well_at_any_moment() {
    let faults = [
        Fault::Cut(NodeId(0), NodeId(1), 300),
        Fault::OneWay(NodeId(1), NodeId(2), 300),
        Fault::OneWay(NodeId(3), NodeId(0), 300),
        Fault::Flap(NodeId(1), NodeId(2), 5, 7),
        Fault::Flap(NodeId(0), NodeId(2), 3, 120),
    ];
    for (medium, death_is_seen) in STREAMS {
        for fault in faults {
            for scenario in at_every(61, medium, death_is_seen, fault) {
                assert_eq!(all_right(&scenario).end, End::Done, "{scenario}: {fault}");
            }
        }
    }
}
