//! Checkpoints that stream out while ranks compute.

use super::*;
use crate::script::Op;
use runtime_core::node::{Call, Policy};

/// Runs it with one page of a checkpoint on the way at a time, and hands each event to `on_event` with the
/// world that it happened in.
fn watch(
    scenario: &Scenario,
    on_event: impl FnMut(&mut World<ScriptMachine>, NodeId, &Event),
) -> End {
    watch_with(scenario, Policy::Program, on_event)
}

fn watch_with(
    scenario: &Scenario,
    policy: Policy,
    mut on_event: impl FnMut(&mut World<ScriptMachine>, NodeId, &Event),
) -> End {
    let script = Rc::new(Script::random(scenario.seed, scenario.compute, 3));
    let mut config = scenario.config(script.shared_pages);
    for node in &mut config.nodes {
        (node.copy_window, node.checkpoint) = (1, policy);
    }
    let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
    scenario.set_profiles(&mut world);
    loop {
        let end = world.step();
        for (_, node, told) in world.take_told() {
            if let Told::Event(event) = told {
                on_event(&mut world, node, &event);
            }
        }
        if let Some(end) = end {
            return end;
        }
    }
}

#[test]
fn pages_are_copied_that_a_rank_writes_before_their_turn_and_nothing_is_lost() {
    let (mut copied, mut commits, mut overlapped) = (0, 0, 0);
    for seed in 0..60 {
        let end = watch(&Scenario::new(seed, 3, 1), |_, _, event| match event {
            Event::CheckpointStaged { copied_pages, .. } => copied += copied_pages,
            Event::CheckpointCommitted { overlapped_us, .. } => {
                commits += 1;
                overlapped += u32::from(*overlapped_us > 0);
            }
            _ => {}
        });
        assert_eq!(end, End::Done, "seed {seed}");
    }
    assert!(copied > 200, "{copied} pages were copied: the runs test little");
    assert_eq!(commits, overlapped, "a rank stood still until the commit");
}

#[test]
fn the_next_checkpoint_begins_when_the_one_before_is_committed() {
    let mut begun_late = 0;
    for seed in 0..40 {
        let mut state = [(Epoch(0), Epoch(0)); 4];
        let end = watch(&Scenario::new(seed, 3, 1), |_, node, event| {
            let (begun, committed) = &mut state[node.index()];
            match event {
                Event::CheckpointBegun { epoch } => {
                    assert_eq!((*begun, epoch.0), (*committed, committed.0 + 1), "seed {seed}");
                    *begun = *epoch;
                    begun_late += u32::from(epoch.0 > 1);
                }
                Event::CheckpointCommitted { epoch, .. } => *committed = *epoch,
                _ => {}
            }
        });
        assert_eq!(end, End::Done, "seed {seed}");
    }
    assert!(begun_late > 200, "{begun_late} checkpoints followed another");
}

#[test]
fn a_death_between_snapshot_and_commit_goes_back_to_the_epoch_before() {
    for seed in 0..40 {
        let (mut begun, mut gone_back) = (0, 0);
        let scenario = Scenario::new(seed, 3, 1);
        let end = watch(&scenario, |world, node, event| match event {
            Event::CheckpointBegun { epoch: Epoch(2) } => {
                begun += 1;
                // All ranks are past it, or will be; of the last one nothing has left its node.
                if begun == 3 {
                    world.kill(node);
                }
            }
            Event::Recovering { epoch, .. } if begun == 3 && gone_back == 0 => {
                assert_eq!(*epoch, Epoch(1), "seed {seed}");
                gone_back += 1;
            }
            _ => {}
        });
        assert_eq!((end, gone_back), (End::Done, 1), "seed {seed}");
    }
}

#[test]
fn with_one_page_on_the_way_at_a_time_a_crash_at_any_step_is_survived() {
    // A seed with short runs and the smallest window.
    let scenario = Scenario::new(13, 2, 1);
    assert_eq!(scenario.copy_window(), 1);
    assert!(survives_a_crash_at_every_step(&scenario, 23) > 300);
    let scenario = Scenario { medium: Media::Datagram, ..scenario };
    assert!(survives_a_crash_at_every_step(&scenario, 199) > 150);
}

#[test]
fn checkpoints_by_time_and_by_cost_are_agreed_on_and_survive_deaths() {
    let (mut by_time, mut paced) = (0, 0);
    for seed in 0..30 {
        let script = Script::random(seed, 3, 3);
        let asked = script.ops[0].iter();
        let asked = asked.filter(|op| matches!(op, Op::Call(Call::Checkpoint, _))).count();
        for policy in [Policy::EveryUs(200), Policy::AutoUs(10_000)] {
            let (mut committed, mut killed) = (0, false);
            let end =
                watch_with(&Scenario::new(seed, 3, 1), policy, |world, node, event| match event {
                    Event::CheckpointCommitted { .. } if node == NodeId(0) => committed += 1,
                    Event::CheckpointBegun { epoch: Epoch(3) } if node == NodeId(1) && !killed => {
                        killed = true;
                        world.kill(node);
                    }
                    Event::CheckpointPaced { interval_us, .. } => {
                        assert_eq!((policy, node), (Policy::AutoUs(10_000), NodeId(0)));
                        assert!(*interval_us > 0);
                        paced += 1;
                    }
                    _ => {}
                });
            assert_eq!((end, killed), (End::Done, true), "seed {seed}");
            by_time += u32::from(committed > asked);
        }
    }
    assert!(by_time > 20 && paced > 100, "{by_time} runs with more than asked for, {paced} paced");
}
