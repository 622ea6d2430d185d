//! Every failure story, first here.

mod damage;
mod members;
mod overlap;
mod partitions;

use super::*;
use crate::world::Told;
use runtime_core::event::Event;
use runtime_core::id::{Epoch, Rank};

fn all_right(scenario: &Scenario) -> Verdict {
    match scenario.check() {
        Ok(verdict) => verdict,
        Err(broken) => panic!("{broken}"),
    }
}

#[test]
fn programs_run_right_without_crashes_on_every_binding_and_medium() {
    for seed in 0..32 {
        for binding in [Binding::Mcapi, Binding::Sockets] {
            for medium in [Media::Stream, Media::Datagram, Media::Mixed] {
                let (compute, standby) =
                    [(2, 1), (3, 1), (5, 2), (1, 1)][usize::try_from(seed).unwrap() % 4];
                let scenario =
                    Scenario { binding, medium, ..Scenario::new(seed, compute, standby) };
                let verdict = all_right(&scenario);
                assert_eq!(verdict.end, End::Done, "{scenario}");
                assert!(verdict.epochs >= 3, "{scenario}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..20 {
        let scenario = Scenario::random(seed, 3, 1);
        let (first, second) = (scenario.run(), scenario.run());
        assert_eq!((first.trace, first.steps), (second.trace, second.steps), "{scenario}");
    }
}

#[test]
fn random_crashes_never_give_a_wrong_answer() {
    let mut takeovers = 0;
    for seed in 0..300 {
        let (compute, standby) =
            [(2, 1), (3, 1), (3, 2), (5, 2)][usize::try_from(seed).unwrap() % 4];
        takeovers += all_right(&Scenario::random(seed, compute, standby)).takeovers;
    }
    assert!(takeovers > 50, "only {takeovers} takeovers: the runs test little");
}

#[test]
fn a_scenario_prints_the_command_that_replays_it() {
    let mut scenario = Scenario::new(7, 3, 1);
    scenario.crashes = vec![(NodeId(1), When::Step(50)), (NodeId(0), When::AfterRecovery(9))];
    let command = scenario.to_string();
    assert_eq!(
        command,
        "understudy sim --seed 7 --nodes 3+1 --binding mcapi --medium stream --crash n1@50 --crash n0@+9"
    );
    scenario.medium = Media::Mixed;
    assert!(scenario.to_string().contains(" --medium mixed "));
    assert_eq!("n1@50".parse(), Ok(Crash(NodeId(1), When::Step(50))));
    assert_eq!("n0@+9".parse(), Ok(Crash(NodeId(0), When::AfterRecovery(9))));
    assert!("1@x".parse::<Crash>().is_err());
}

fn survives_a_crash_at_every_step(scenario: &Scenario, stride: usize) -> u64 {
    let plan = Plan::every(stride, 0);
    enumerate(scenario, plan, &mut |_| {}).unwrap_or_else(|broken| panic!("{broken}")).runs
}

#[test]
fn a_crash_of_any_node_at_any_step_of_2_plus_1_is_survived() {
    assert!(survives_a_crash_at_every_step(&Scenario::new(5, 2, 1), 1) > 1_000);
}

#[test]
fn a_crash_of_any_node_at_any_step_of_3_plus_1_is_survived() {
    assert!(survives_a_crash_at_every_step(&Scenario::new(2, 3, 1), 7) > 500);
}

#[test]
fn two_that_die_before_all_have_met_take_nobody_with_them() {
    for medium in [Media::Stream, Media::Datagram, Media::Mixed] {
        for death_is_seen in [false, true] {
            let plain = Scenario { medium, death_is_seen, ..Scenario::tour(4, 3, 2, 2) };
            for (first, second) in plain.pairs().filter(|(first, second)| first != second) {
                for (at, later) in (0..14).flat_map(|at| [(3 * at, 1), (3 * at, 10)]) {
                    let crashes = vec![(first, When::Step(at)), (second, When::Step(at + later))];
                    let scenario = Scenario { crashes, ..plain.clone() };
                    assert_eq!(all_right(&scenario).end, End::Done, "{scenario}");
                }
            }
        }
    }
}

#[test]
fn with_streams_and_datagrams_in_one_cluster_a_crash_at_any_step_is_survived() {
    let mixed = |seed, compute, standby| Scenario {
        medium: Media::Mixed,
        ..Scenario::new(seed, compute, standby)
    };
    // Of three nodes one has a link of each kind, if the seed is worth anything.
    let of_both_kinds = |scenario: &Scenario| {
        let pairs: Vec<_> = scenario.pairs().filter(|(a, b)| a != b).collect();
        let streams = pairs.iter().filter(|(a, b)| scenario.medium(*a, *b) == Medium::Stream);
        (1..pairs.len()).contains(&streams.count())
    };
    let scenario = (0..).map(|seed| mixed(seed, 2, 1)).find(of_both_kinds).unwrap();
    assert!(survives_a_crash_at_every_step(&scenario, 29) > 300);
    assert!(survives_a_crash_at_every_step(&mixed(2, 3, 1), 31) > 150);
    let mut takeovers = 0;
    for seed in 0..80 {
        let mut rng = Rng::new(seed);
        let mut scenario = mixed(seed, 5, 2);
        let (first, second) = (rng.small(5), rng.small(7));
        scenario.crashes.push((NodeId(first), When::Step(rng.below(8_000))));
        if second != first {
            scenario.crashes.push((NodeId(second), When::AfterRecovery(rng.below(3_000))));
        }
        scenario.death_is_seen = seed % 3 != 0;
        let verdict = all_right(&scenario);
        assert_eq!(verdict.end, End::Done, "{scenario}");
        takeovers += verdict.takeovers;
    }
    assert!(takeovers > 20, "only {takeovers} takeovers: the runs test little");
}

#[test]
fn both_ends_of_a_mixed_pair_agree_on_what_it_is() {
    for seed in 0..50 {
        let scenario = Scenario { medium: Media::Mixed, ..Scenario::new(seed, 5, 2) };
        assert!(scenario.pairs().all(|(a, b)| scenario.medium(a, b) == scenario.medium(b, a)));
        let streams = scenario.pairs().filter(|(a, b)| scenario.medium(*a, *b) == Medium::Stream);
        assert!((8..41).contains(&streams.filter(|(a, b)| a != b).count()), "{scenario}");
    }
}

#[test]
fn a_crash_of_any_node_while_two_jobs_follow_each_other_is_survived() {
    let scenario = Scenario { binding: Binding::Sockets, ..Scenario::new(3, 2, 1) };
    assert!(survives_a_crash_at_every_step(&scenario, 17) > 500);
}

#[test]
fn with_5_plus_2_a_second_death_is_survived_as_well() {
    for seed in 0..150 {
        let mut rng = Rng::new(seed);
        let mut scenario = Scenario::new(seed, 5, 2);
        let first = rng.small(5);
        let second = (first + 1 + rng.small(6)) % 7;
        scenario.crashes = vec![
            (NodeId(first), When::Step(rng.below(4_000))),
            (NodeId(second), When::AfterRecovery(rng.below(3_000))),
        ];
        assert_eq!(all_right(&scenario).end, End::Done, "{scenario}");
    }
}

#[test]
fn a_late_death_rolls_back_to_all_that_was_ever_checkpointed() {
    let mut takeovers = 0;
    for seed in 0..80 {
        let mut scenario = Scenario::new(seed, 3, 2);
        let mut rng = Rng::new(seed);
        let steps = scenario.run().steps;
        let at = steps / 2 + rng.below(steps / 2);
        scenario.crashes = vec![(NodeId(rng.small(3)), When::Step(at))];
        takeovers += all_right(&scenario).takeovers;
    }
    assert!(takeovers > 40, "{takeovers}");
}

/// Cuts the way between two nodes that live on, in the middle of a run; who was fenced?
fn with_cut(seed: u64, media: Media, ways: &[(u16, u16)]) -> (End, Vec<NodeId>) {
    let scenario = Scenario { medium: media, ..Scenario::new(seed, 3, 2) };
    let script = Rc::new(Script::random(seed, 3, 3));
    let config = scenario.config(script.shared_pages);
    let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
    let at = Rng::new(seed ^ 0x0063_7574).below(3_000);
    let mut fenced = Vec::new();
    loop {
        if world.steps() == at {
            for (from, to) in ways {
                world.cut(NodeId(*from), NodeId(*to), media == Media::Stream);
            }
        }
        let end = world.step();
        for (_, node, told) in world.take_told() {
            if matches!(told, Told::Event(Event::Fenced { .. })) {
                fenced.push(node);
            }
        }
        if let Some(end) = end {
            return (end, fenced);
        }
    }
}

#[test]
fn two_living_nodes_that_lose_their_connection_stall_nobody() {
    let (mut cuts, mut one_way) = (0, 0);
    for seed in 0..60 {
        let a = u16::try_from(seed % 5).unwrap();
        let b = (a + 1 + u16::try_from(seed / 5 % 4).unwrap()) % 5;
        for media in [Media::Stream, Media::Datagram] {
            let (end, fenced) = with_cut(seed, media, &[(a, b), (b, a)]);
            assert_eq!(end, End::Done, "seed {seed}, {media:?}, n{a} and n{b}");
            assert!(fenced.len() <= 1, "seed {seed}: {fenced:?}");
            cuts += fenced.len();
        }
        let (end, fenced) = with_cut(seed, Media::Datagram, &[(a, b)]);
        assert_eq!(end, End::Done, "seed {seed}, from n{a} to n{b} only");
        assert!(fenced.len() <= 1, "seed {seed}: {fenced:?}");
        one_way += fenced.len();
    }
    assert!(cuts > 40 && one_way > 20, "{cuts} and {one_way} fenced: the runs test little");
}

#[test]
fn a_partition_that_leaves_no_majority_heals_and_nothing_is_lost() {
    let mut waited = 0;
    for seed in 0..40 {
        let scenario = Scenario { medium: Media::Datagram, ..Scenario::new(seed, 3, 1) };
        let script = Rc::new(Script::random(seed, 3, 3));
        let config = scenario.config(script.shared_pages);
        let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
        let half = |node: u16| node < 2;
        let ways = (0..4).flat_map(|a| (0..4).map(move |b| (a, b)));
        let ways: Vec<_> = ways.filter(|(a, b)| half(*a) != half(*b)).collect();
        let at = 200 + Rng::new(seed ^ 0x6865_616c).below(2_000);
        let (mut healed_at, mut lost) = (None, Vec::new());
        let end = loop {
            if world.steps() == at && healed_at.is_none() {
                ways.iter().for_each(|(a, b)| world.cut(NodeId(*a), NodeId(*b), false));
                // Far longer than a silent node is trusted.
                healed_at = Some(world.now_ns() + 700_000_000);
            }
            if healed_at.is_some_and(|time| world.now_ns() >= time) {
                ways.iter().for_each(|(a, b)| world.heal(NodeId(*a), NodeId(*b)));
            }
            let end = world.step();
            for (_, _, told) in world.take_told() {
                match told {
                    Told::Event(
                        event @ (Event::View { .. }
                        | Event::RolledBack { .. }
                        | Event::Fenced { .. }),
                    ) => lost.push(event),
                    Told::Event(Event::NoMajority { .. }) => waited += 1,
                    _ => {}
                }
            }
            if let Some(end) = end {
                break end;
            }
        };
        // Ranks that were to be held, for a spare was missed first, are held though it is there again.
        let whole = |e: &Event| matches!(e, Event::View { members, .. } if members.len() == 4);
        lost.retain(|event| !whole(event));
        assert_eq!((end, lost), (End::Done, Vec::new()), "seed {seed}");
    }
    assert!(waited > 40, "{waited} nodes saw no majority: the runs test little");
}

/// Runs a program to its second epoch, damages the copies of rank 1 on these nodes, kills its host, and
/// returns the end and how many copies were found damaged.
fn with_damage(seed: u64, replicas: u8, on: &[u16]) -> (End, usize) {
    let scenario = Scenario::new(seed, 3, 2);
    let script = Rc::new(Script::random(seed, 3, 3));
    let mut config = scenario.config(script.shared_pages);
    for node in &mut config.nodes {
        node.redundancy = Redundancy::Copies(replicas);
        node.members.iter_mut().zip(0..).for_each(|(member, board)| member.board = board);
    }
    let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
    let (mut commits, mut damaged) = (0, 0);
    loop {
        let end = world.step();
        for (_, _, told) in world.take_told() {
            match told {
                Told::Event(Event::CopyDamaged { .. }) => damaged += 1,
                Told::Event(Event::CheckpointCommitted { epoch: Epoch(2), .. }) => {
                    commits += 1;
                    if commits == 3 {
                        on.iter().for_each(|node| world.damage(NodeId(*node), Rank(1)));
                        world.kill(NodeId(1));
                    }
                }
                _ => {}
            }
        }
        if let Some(end) = end {
            return (end, damaged);
        }
    }
}

#[test]
fn a_damaged_copy_is_never_used() {
    for seed in 0..20 {
        // Rank 1 is on n1, its copies on n2 and n0.
        assert_eq!(with_damage(seed, 2, &[2]), (End::Done, 1), "seed {seed}");
        assert_eq!(with_damage(seed, 2, &[0]), (End::Done, 1), "seed {seed}");
        let (end, damaged) = with_damage(seed, 2, &[0, 2]);
        let End::Lost(why) = end else { panic!("seed {seed}: {end:?}") };
        assert_eq!(damaged, 2, "seed {seed}");
        assert!(
            why.contains("rank 1 of n1 (the copy on n0 is damaged) (the copy on n2 is"),
            "{why}"
        );
    }
}

#[test]
fn a_death_in_the_middle_of_a_takeover_is_survived() {
    // The standby that takes over dies before it is done; the other takes over instead. With
    // `replicas: 1` this holds unless the two dead held a rank and its only copy.
    let mut survived = 0;
    for seed in 0..150 {
        let mut rng = Rng::new(seed ^ 0x55);
        let mut scenario = Scenario::new(seed, 3, 2);
        let at = 1_000 + rng.below(3_000);
        scenario.crashes = vec![
            (NodeId(rng.small(3)), When::Step(at)),
            (NodeId(3), When::Step(at + rng.below(400))),
        ];
        let verdict = all_right(&scenario);
        survived += u32::from(verdict.end == End::Done);
    }
    assert!(survived > 100, "{survived} of 150");
}

#[test]
fn more_deaths_than_copies_may_take_the_first_commit_with_them_and_the_job_begins_again() {
    // n0 commits epoch 1 and dies, perhaps before anybody hears of it, and n2 with it: no copies are whole, and
    // then nobody who lives knows of more than the beginning.
    let mut again = 0;
    for seed in 0..40 {
        let mut run = Run::new(&Scenario::tour(seed, 3, 2, 1));
        let (mut first, mut committed, mut end) = (None, false, None);
        while end.is_none() {
            end = run.step_telling(&mut |_, node, told| match told {
                Told::Event(Event::CheckpointCommitted { .. }) => committed |= node == NodeId(0),
                Told::Event(Event::Recovering { view, epoch, .. }) if view.0 > 1 => {
                    first.get_or_insert(*epoch);
                }
                _ => {}
            });
            if committed && run.crashed().is_empty() {
                run.crash(NodeId(0));
                run.crash(NodeId(2));
            }
        }
        let end = end.unwrap();
        assert_eq!(end.broken, None, "seed {seed}");
        again += u32::from(end.end == End::Done && first == Some(Epoch(0)));
    }
    assert!(again > 0, "never");
}

#[test]
fn a_short_soak_finds_nothing() {
    let (mut done, mut takeovers) = (0, 0);
    // Found by longer ones: what was lost for a damaged copy was not taken for stated; those left who had
    // said that they are no majority, and others went on, and died; a late word of the job before was taken for one of
    // this job; a copy that was gone was not named, for who kept it was there again; who led named a copy of a view
    // before it was away; who slept said late that all ranks had ended.
    for seed in (0..150).chain([903_149, 916_622, 917_815, 922_530, 928_462, 969_528]) {
        let verdict = all_right(&Scenario::soak(seed));
        done += u64::from(verdict.end == End::Done);
        takeovers += verdict.takeovers;
    }
    assert!(done > 80 && takeovers > 10, "{done} done, {takeovers} takeovers");
}

#[test]
fn a_world_in_which_everybody_stands_still_for_a_while_is_not_at_its_end() {
    // Found by the soak: the last node that was awake died while another slept, and the third fell asleep.
    let scenario = Scenario {
        faults: vec![(235, Fault::Pause(NodeId(1), 300)), (582, Fault::Pause(NodeId(0), 102))],
        crashes: vec![(NodeId(2), When::Step(577))],
        ..Scenario::soak(5071)
    };
    all_right(&scenario);
}
