//! Copies that go bad while a recovery is under way: before and after their holders look through them.

use super::*;
use runtime_core::checkpoint::{Parity, Redundancy};
use std::collections::BTreeSet;

/// What came of one run.
struct Outcome {
    end: End,
    /// The damage was found, in the inspection or later.
    found: bool,
    /// After it: the recovery had begun to use the copies.
    late: bool,
}

/// Three ranks on boards of their own, and two standbys. At its second epoch the host of rank 1 dies; before each
/// step that a node takes from then until ranks run again, the image of a rank goes bad in its memory.
fn runs(redundancy: Redundancy, node: u16, rank: u16) -> impl Iterator<Item = Outcome> {
    let scenario = Scenario::new(5, 3, 2);
    let script = Rc::new(Script::random(5, 3, 3));
    let mut config = scenario.config(script.shared_pages);
    for node in &mut config.nodes {
        node.redundancy = redundancy;
        node.members.iter_mut().zip(0..).for_each(|(member, board)| member.board = board);
    }
    let mut world = World::new(config, move |_| ScriptMachine::new(Rc::clone(&script)));
    let is_second =
        |event: &Event| matches!(event, Event::CheckpointCommitted { epoch: Epoch(2), .. });
    while !step(&mut world).iter().any(|(_, event)| is_second(event)) {}
    world.kill(NodeId(1));
    let (mut recovering, mut resumed) = (BTreeSet::new(), false);
    core::iter::from_fn(move || {
        loop {
            let mut run = world.clone();
            let is_its_turn = world.next_node() == Some(NodeId(node));
            for (node, event) in step(&mut world) {
                resumed |= matches!(event, Event::Resumed { .. });
                if let Event::Recovering { .. } = event {
                    recovering.insert(node);
                }
            }
            if resumed {
                return None;
            }
            if is_its_turn {
                run.damage(NodeId(node), Rank(rank));
                return Some(outcome(run, recovering.clone()));
            }
        }
    })
}

fn step(world: &mut World<ScriptMachine>) -> Vec<(NodeId, Event)> {
    assert_eq!(world.step(), None);
    events(world)
}

fn events(world: &mut World<ScriptMachine>) -> Vec<(NodeId, Event)> {
    let told = world.take_told().into_iter();
    told.filter_map(|(_, node, told)| match told {
        Told::Event(event) => Some((node, event)),
        _ => None,
    })
    .collect()
}

fn outcome(mut run: World<ScriptMachine>, mut recovering: BTreeSet<NodeId>) -> Outcome {
    let mut outcome = Outcome { end: run.run(), found: false, late: false };
    for (node, event) in events(&mut run) {
        match event {
            Event::Recovering { .. } => drop(recovering.insert(node)),
            Event::CopyDamaged { .. } => {
                outcome.found = true;
                outcome.late |= recovering.contains(&node);
            }
            _ => {}
        }
    }
    outcome
}

#[test]
fn a_copy_that_goes_bad_at_any_step_of_a_recovery_is_replaced_by_another() {
    let (mut found, mut late) = (0, 0);
    // The standby that takes over, and the copies that it can have it from; the image of a rank that stays where
    // it is, and that of its partner.
    for (node, rank) in [(3, 1), (2, 1), (0, 1), (0, 0), (2, 0)] {
        for run in runs(Redundancy::Copies(2), node, rank) {
            assert_eq!(run.end, End::Done, "rank {rank} on n{node}");
            found += u32::from(run.found);
            late += u32::from(run.late);
        }
    }
    println!("{found} runs met the damage, {late} of them late");
    assert!(found > 20 && late > 3, "{found} found, {late} late: they test little");
}

#[test]
fn damage_beyond_what_parity_makes_good_is_a_refusal() {
    let parity = Redundancy::Parity(Parity { group: 3, losses: 1 });
    let (mut done, mut lost, mut late) = (0, 0, 0);
    for (node, rank) in [(3, 1), (0, 0), (2, 2)] {
        for run in runs(parity, node, rank) {
            late += u32::from(run.late);
            match run.end {
                End::Done => done += 1,
                End::Lost(why) => {
                    lost += 1;
                    assert!(run.found && why.contains("damaged"), "{why}");
                }
                other => panic!("rank {rank} on n{node}: {other:?}"),
            }
        }
    }
    println!("{done} runs to the end, {lost} refused, {late} late");
    assert!(done > 10 && lost > 0 && late > 0, "{done} done, {lost} refused, {late} late");
}
