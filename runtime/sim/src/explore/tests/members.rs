//! Members that come back, and ranks that move on purpose.

use super::*;
use runtime_core::id::{Rank, ViewId};

/// A world in which something is done to it when something is told.
pub(super) struct Story {
    pub(super) world: World<ScriptMachine>,
    pub(super) told: Vec<(NodeId, Event)>,
    pub(super) end: Option<End>,
}

impl Story {
    /// Runs a program with so many checkpoints.
    pub(super) fn of(scenario: &Scenario, checkpoints: u32) -> Self {
        let script = Rc::new(Script::random(scenario.seed, scenario.compute, checkpoints));
        let mut config = scenario.config(script.shared_pages);
        config.limit = Duration::from_millis(600_000);
        let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
        scenario.set_profiles(&mut world);
        Self { world, told: Vec::new(), end: None }
    }

    /// Runs until something is told that `wanted` knows, or to the end. Was it told?
    pub(super) fn until(&mut self, mut wanted: impl FnMut(NodeId, &Event) -> bool) -> bool {
        while self.end.is_none() {
            self.end = self.world.step();
            let mut found = false;
            for (_, node, told) in self.world.take_told() {
                if let Told::Event(event) = told {
                    found |= wanted(node, &event);
                    self.told.push((node, event));
                }
            }
            if found {
                return true;
            }
        }
        false
    }

    pub(super) fn steps(&mut self, steps: u64) {
        let at = self.world.steps() + steps;
        while self.end.is_none() && self.world.steps() < at {
            self.end = self.world.step();
            let told = self.world.take_told().into_iter();
            self.told.extend(told.filter_map(|(_, node, told)| match told {
                Told::Event(event) => Some((node, event)),
                _ => None,
            }));
        }
    }

    pub(super) fn finish(&mut self) -> End {
        self.until(|_, _| false);
        self.end.clone().unwrap()
    }

    /// Until all ranks run in a view of which this is true.
    fn until_view(&mut self, mut wanted: impl FnMut(&[NodeId], &[NodeId]) -> bool) -> bool {
        let mut seen = ViewId(0);
        self.until(|_, event| match event {
            Event::View { view, members, ranks, .. } if wanted(members, ranks) => {
                seen = *view;
                false
            }
            Event::Resumed { view, .. } => seen > ViewId(0) && *view >= seen,
            _ => false,
        })
    }

    pub(super) fn until_in(&mut self, node: u16) -> bool {
        self.until_view(|members, _| members.contains(&NodeId(node)))
    }

    pub(super) fn until_out(&mut self, node: u16) -> bool {
        self.until_view(|members, _| !members.contains(&NodeId(node)))
    }

    pub(super) fn host_of(&self, rank: u16) -> NodeId {
        let newest = self.told.iter().rev().find_map(|(_, event)| match event {
            Event::View { view, ranks, .. } => Some((*view, ranks[usize::from(rank)])),
            _ => None,
        });
        newest.map_or(NodeId(rank), |(_, host)| host)
    }

    /// Ranks that went back to an epoch since so much was told, but for those with a new host.
    fn went_back(&self, since: usize) -> usize {
        let back = |event: &Event| matches!(event, Event::RolledBack { taken_over: false, .. });
        self.told[since..].iter().filter(|(_, event)| back(event)).count()
    }
}

/// How often the sweeps here are run over: more than once with `UNDERSTUDY_SWEEP=10` and the like.
fn sweep() -> u64 {
    std::env::var("UNDERSTUDY_SWEEP").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

pub(super) fn scenarios(seeds: u64, compute: u16, standby: u16) -> impl Iterator<Item = Scenario> {
    (0..seeds * sweep()).map(move |seed| {
        let medium = [Media::Stream, Media::Datagram, Media::Mixed][(seed % 3) as usize];
        let binding = if seed % 2 == 0 { Binding::Mcapi } else { Binding::Sockets };
        Scenario { medium, binding, ..Scenario::new(seed, compute, standby) }
    })
}

#[test]
fn a_sleeper_that_was_replaced_comes_back_by_itself_and_takes_over_a_later_death() {
    let (mut back, mut taken_over) = (0, 0);
    for scenario in scenarios(4, 3, 1) {
        let mut story = Story::of(&scenario, 16);
        let sleeper = u16::try_from(scenario.seed % 3).unwrap();
        story.steps(600);
        story.world.pause(NodeId(sleeper));
        assert!(story.until_out(sleeper), "{scenario}: {:?}", story.end);
        story.steps(Rng::new(scenario.seed).below(400));
        story.world.wake(NodeId(sleeper));
        let before = story.told.len();
        if !story.until_in(sleeper) {
            assert_eq!(story.end, Some(End::Done), "{scenario}");
            continue;
        }
        back += 1;
        assert_eq!(story.went_back(before), 0, "{scenario}: nobody computes anything again");
        let fenced = |(node, event): &(NodeId, Event)| {
            node.0 == sleeper && matches!(event, Event::Fenced { .. })
        };
        assert_eq!(story.told.iter().filter(|told| fenced(told)).count(), 1, "{scenario}");
        let dead = story.host_of((sleeper + 1) % 3);
        story.world.kill(dead);
        assert_eq!(story.finish(), End::Done, "{scenario}");
        taken_over += u32::from(story.host_of((sleeper + 1) % 3) == NodeId(sleeper));
    }
    assert!(back > 2 && taken_over > 2, "{back} came back, {taken_over} took over");
}

#[test]
fn a_spare_that_dies_sends_nobody_back_and_the_next_death_is_taken_over() {
    let (mut out, mut taken_over) = (0, 0);
    for scenario in scenarios(6, 3, 2) {
        let mut story = Story::of(&scenario, 12);
        story.steps(400 + Rng::new(scenario.seed).below(1_200));
        let before = story.told.len();
        story.world.kill(NodeId(4));
        if !story.until_out(4) {
            assert_eq!(story.end, Some(End::Done), "{scenario}");
            continue;
        }
        out += 1;
        assert_eq!(story.went_back(before), 0, "{scenario}");
        story.world.kill(story.host_of(1));
        assert_eq!(story.finish(), End::Done, "{scenario}");
        taken_over += u32::from(story.host_of(1) == NodeId(3));
    }
    assert!(out > 3 && taken_over > 3, "{out} were let go, {taken_over} took over");
}

#[test]
fn while_the_view_without_a_spare_waits_any_other_may_die() {
    let mut done = 0;
    for scenario in scenarios(12, 3, 2) {
        let mut story = Story::of(&scenario, 12);
        let mut rng = Rng::new(scenario.seed ^ 0x7370_6172_6500);
        story.steps(400 + rng.below(1_200));
        story.world.kill(NodeId(4));
        story.steps(rng.below(400));
        story.world.kill(NodeId(rng.small(4)));
        assert_eq!(story.finish(), End::Done, "{scenario}");
        done += 1;
    }
    assert!(done > 3);
}

#[test]
fn a_node_that_starts_again_joins_however_soon_it_is() {
    let mut joined = 0;
    for scenario in scenarios(4, 3, 1) {
        let mut story = Story::of(&scenario, 12);
        let mut rng = Rng::new(scenario.seed ^ 0x0062_6f6f_7400);
        let node = NodeId(rng.small(4));
        story.steps(rng.below(1_500));
        story.world.kill(node);
        if rng.chance(50) {
            assert!(story.until_out(node.0), "{scenario}: {:?}", story.end);
        } else {
            story.steps(rng.below(300));
        }
        story.world.restart(node, Generation(2));
        if story.until_in(node.0) {
            joined += 1;
        }
        assert_eq!(story.finish(), End::Done, "{scenario}");
    }
    assert!(joined > 2, "{joined}");
}

#[test]
fn a_rank_moves_and_nobody_computes_anything_again() {
    let mut moved = 0;
    for scenario in scenarios(6, 3, 2) {
        let mut story = Story::of(&scenario, 10);
        let mut rng = Rng::new(scenario.seed ^ 0x6d6f_7665);
        let rank = rng.small(3);
        story.steps(rng.below(2_500));
        let before = story.told.len();
        story.world.migrate(Rank(rank), NodeId(4));
        if story.until_view(|_, ranks| ranks[usize::from(rank)] == NodeId(4)) {
            moved += 1;
            let held = story.told.iter().rev().find_map(|(_, event)| match event {
                Event::Held { epoch } => Some(*epoch),
                _ => None,
            });
            let resumed = story.told.iter().rev().find_map(|(_, event)| match event {
                Event::Resumed { epoch, .. } => Some(*epoch),
                _ => None,
            });
            assert!(held.is_none_or(|held| Some(held) == resumed), "{scenario}");
        }
        assert_eq!(story.finish(), End::Done, "{scenario}");
        assert_eq!(story.went_back(before), 0, "{scenario}");
    }
    assert!(moved > 3, "{moved}");
}

#[test]
fn a_move_that_cannot_be_is_refused_by_the_coordinator_alone() {
    let scenario = Scenario::new(4, 3, 1);
    for (rank, to, why) in [
        (7, 3, "there is no rank 7: there are 3 ranks"),
        (0, 1, "n1 hosts rank 1: a rank moves to a standby only"),
        (0, 9, "n9 is no member of view 1: it is dead, or not back yet"),
    ] {
        let mut story = Story::of(&scenario, 3);
        story.steps(700);
        story.world.migrate(Rank(rank), NodeId(to));
        assert_eq!(story.finish(), End::Done);
        let refused = story.told.iter().filter_map(|(node, event)| match event {
            Event::MoveRefused { reason, .. } => Some((*node, reason.as_str())),
            _ => None,
        });
        assert_eq!(refused.collect::<Vec<_>>(), [(NodeId(0), why)]);
    }
}

/// One node after the other: its rank moves away (or it dies with it), it stops, starts again, joins.
fn rolling(scenario: &Scenario, kind: u64) {
    let mut story = Story::of(scenario, 60);
    let nodes = scenario.compute + scenario.standby;
    story.steps(300);
    for node in 0..nodes {
        let before = story.told.len();
        let hosted = (0..scenario.compute).find(|rank| story.host_of(*rank) == NodeId(node));
        if let (Some(rank), 0) = (hosted, kind) {
            let hosts: Vec<NodeId> = (0..scenario.compute).map(|r| story.host_of(r)).collect();
            let free = (0..nodes).map(NodeId).find(|n| !hosts.contains(n)).unwrap();
            story.world.migrate(Rank(rank), free);
            assert!(story.until_view(|_, ranks| ranks[usize::from(rank)] == free), "{scenario}");
            assert_eq!(story.went_back(before), 0, "{scenario}");
        }
        story.world.kill(NodeId(node));
        assert!(story.until_out(node), "{scenario}: n{node} {:?}", story.end);
        story.world.restart(NodeId(node), Generation(2));
        assert!(story.until_in(node), "{scenario}: n{node} does not come back: {:?}", story.end);
    }
    assert_eq!(story.finish(), End::Done, "{scenario}");
}

#[test]
fn every_node_is_replaced_in_turn_under_a_running_program() {
    for kind in 0..2 {
        for (compute, standby) in [(2, 1), (3, 1)] {
            scenarios(3, compute, standby).for_each(|scenario| rolling(&scenario, kind));
        }
    }
}

/// Moves a rank and lets a node start again, and crashes a node so many steps after that.
fn crash_in_a_change(scenario: &Scenario, node: u16, after: u64) -> End {
    let mut story = Story::of(scenario, 4);
    story.steps(500);
    story.world.migrate(Rank(1), NodeId(3));
    story.steps(after);
    story.world.kill(NodeId(node));
    story.finish()
}

#[test]
fn a_crash_at_any_step_of_a_move_is_survived() {
    let mut runs = 0;
    for seed in [2, 5] {
        let scenario = Scenario::new(seed, 3, 1);
        for node in 0..4 {
            for after in (0..1_500).step_by(if sweep() > 1 { 7 } else { 149 }) {
                let end = crash_in_a_change(&scenario, node, after);
                // Who hosted a rank and its only copies are elsewhere: always at least one is left.
                assert_eq!(end, End::Done, "seed {seed}: n{node} {after} steps after the move");
                runs += 1;
            }
        }
    }
    assert!(runs > 70);
}
