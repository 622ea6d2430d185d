//! Layouts small and large, whole boards, and what is refused.

use super::*;
use runtime_core::checkpoint::Parity;

const COPIES: [Redundancy; 4] =
    [Redundancy::Copies(0), Redundancy::Copies(1), Redundancy::Copies(2), Redundancy::Copies(3)];

/// With `SIM_EXHAUSTIVE` in the environment, of twenty programs at many more instants.
#[test]
fn what_a_layout_is_said_to_survive_it_survives_and_the_rest_it_refuses() {
    let own = |from: u16, n: u16| (from..from + n).collect::<Vec<u16>>();
    let mut all = Held::default();
    let deep = std::env::var_os("SIM_EXHAUSTIVE").is_some();
    for (cluster, most, instants) in [
        (Cluster::of(&own(0, 2), &own(2, 1), COPIES[1]), 3, 6),
        (Cluster::of(&own(0, 3), &own(3, 2), COPIES[1]), 3, 2),
        (Cluster::of(&own(0, 3), &own(3, 2), COPIES[2]), 3, 2),
        (Cluster::of(&[0, 0, 1], &[1, 2], COPIES[1]), 2, 2),
        (Cluster::of(&own(0, 4), &own(4, 3), COPIES[3]), if deep { 3 } else { 1 }, 1),
    ] {
        for seed in if deep { 0..20 } else { 5..6 } {
            let instants = if deep { 4 * instants } else { instants };
            let held = cluster.hold_to_the_promise(seed, most, instants);
            all.runs += held.runs;
            all.refused += held.refused;
            all.percent = all.percent.max(held.percent);
        }
    }
    println!("{all:?}");
    assert!(all.runs > 150 && all.refused > 50 && all.percent > 30, "they test little: {all:?}");
}

#[test]
fn a_whole_board_may_die_at_any_point_where_that_is_promised() {
    let mut runs = 0;
    for (cluster, boards) in [
        // Two ranks on one board: their copies are elsewhere.
        (Cluster::of(&[0, 0, 1], &[1, 2, 2], COPIES[1]), vec![0, 1, 2]),
        // A board of three; one copy of each rank does for it, wherever else it is.
        (Cluster::of(&[0, 0, 1, 1], &[2, 2, 2, 0], COPIES[1]), vec![0, 2]),
        // Two copies, on two other boards.
        (Cluster::of(&[0, 0, 1], &[1, 2, 2], COPIES[2]), vec![0, 1, 2]),
    ] {
        let seed = 5;
        let steps = cluster.run(seed, None).steps;
        for board in boards {
            let on_it = (0u16..).map(NodeId).zip(&cluster.members);
            let nodes: Vec<NodeId> =
                on_it.filter(|(_, m)| m.board == board).map(|(node, _)| node).collect();
            assert!(nodes.len() > 1 && cluster.is_promised(&nodes), "{cluster:?}, board {board}");
            for step in (0..steps).step_by(307) {
                let deaths = Deaths { nodes: nodes.clone(), step, seen: !step.is_multiple_of(3) };
                let outcome = cluster.run(seed, Some(&deaths));
                assert_eq!(outcome.end, End::Done, "{cluster:?}: {deaths:?}");
                runs += 1;
            }
        }
    }
    println!("{runs} runs");
    assert!(runs > 70, "{runs}");
}

#[test]
fn a_rank_and_its_copies_are_on_boards_of_their_own_while_there_are_such() {
    let cluster = Cluster::of(&[0, 0, 1, 1], &[2, 2, 3], COPIES[3]);
    let view = cluster.layout().first_view();
    for rank in 0..4 {
        let partners = runtime_core::checkpoint::partners(
            &view,
            runtime_core::id::Rank(rank),
            &cluster.members,
            3,
        );
        let nodes = partners.iter().chain([&view.ranks[usize::from(rank)]]);
        let boards: Set<u16> = nodes.map(|node| cluster.members[node.index()].board).collect();
        assert_eq!(boards.len(), 4, "rank {rank}: {partners:?}");
    }
}

const fn parity(group: u16, losses: u16) -> Redundancy {
    Redundancy::Parity(Parity { group, losses })
}

/// Crashes each node at every `stride`-th step of a program; every third death is silent.
fn survives_each_death(cluster: &Cluster, seed: u64, stride: usize) -> u64 {
    let steps = cluster.run(seed, None).steps;
    let mut runs = 0;
    for node in (0u16..).map(NodeId).take(cluster.members.len()) {
        assert!(cluster.is_promised(&[node]), "{cluster:?}: {node}");
        for step in (0..steps).step_by(stride) {
            let deaths = Deaths { nodes: vec![node], step, seen: !step.is_multiple_of(3) };
            let outcome = cluster.run(seed, Some(&deaths));
            assert_eq!(outcome.end, End::Done, "{cluster:?}, seed {seed}: {deaths:?}");
            runs += 1;
        }
    }
    runs
}

#[test]
fn with_parity_a_crash_of_any_node_at_any_step_is_survived() {
    let deep = std::env::var_os("SIM_EXHAUSTIVE").is_some();
    let stride = |sample: usize| if deep { 3 } else { sample };
    let three = Cluster::of(&[0, 1, 2], &[3], parity(4, 1));
    let runs = survives_each_death(&three, 5, stride(97));
    let four = Cluster::of(&[0, 1, 2, 3], &[4, 5], parity(4, 1));
    let runs = runs + survives_each_death(&four, 2, stride(401));
    // Two groups, and each keeper hosts a rank of the other in the end.
    let two_groups = Cluster::of(&[0, 1, 2, 3], &[4, 5], parity(2, 1));
    let runs = runs + survives_each_death(&two_groups, 3, stride(503));
    println!("{runs} runs");
    assert!(runs > 120, "{runs}");
}

#[test]
fn what_parity_is_said_to_survive_it_survives_and_the_rest_it_refuses() {
    let mut all = Held::default();
    for (cluster, most, instants) in [
        (Cluster::of(&[0, 1, 2], &[3, 4], parity(3, 1)), 2, 3),
        (Cluster::of(&[0, 1, 2, 3], &[4, 5, 6], parity(2, 1)), 2, 1),
    ] {
        let held = cluster.hold_to_the_promise(5, most, instants);
        all.runs += held.runs;
        all.refused += held.refused;
        all.percent = all.percent.max(held.percent);
    }
    println!("{all:?}");
    assert!(all.runs > 60 && all.refused > 20, "they test little: {all:?}");
}

#[test]
fn parity_takes_less_memory_than_copies() {
    for seed in 0..6 {
        let kept = |redundancy| -> u64 {
            let cluster = Cluster::of(&[0, 1, 2, 3], &[4, 5], redundancy);
            let outcome = cluster.run(seed, None);
            assert_eq!(outcome.end, End::Done, "seed {seed}");
            outcome.kept.iter().map(|(_, bytes)| bytes).sum()
        };
        let (copies, parity) = (kept(COPIES[1]), kept(parity(4, 1)));
        println!("seed {seed}: {parity} of {copies} bytes");
        assert!(parity < copies, "seed {seed}: {parity} bytes, {copies} with copies");
    }
}

#[test]
fn two_pieces_survive_two_losses_at_once() {
    let mut all = Held::default();
    for (cluster, most, instants) in [
        (Cluster::of(&[0, 1, 2], &[3, 4], parity(4, 2)), 2, 2),
        // One board holds two ranks, another both standbys and with them both pieces.
        (Cluster::of(&[0, 0, 1, 2], &[3, 3, 4], parity(4, 2)), 1, 1),
    ] {
        let held = cluster.hold_to_the_promise(5, most, instants);
        all.runs += held.runs;
        all.refused += held.refused;
    }
    println!("{all:?}");
    assert!(all.runs > 35, "{all:?}");
    // The keepers are the standbys; two ranks die, and both are made from what is left.
    let cluster = Cluster::of(&[0, 1, 2], &[3, 4], parity(3, 2));
    let survival = cluster.layout().survival();
    assert_eq!(survival.any, 2, "{survival:?}");
    let steps = cluster.run(2, None).steps;
    for step in (0..steps).step_by(251) {
        let nodes = vec![NodeId(0), NodeId(2)];
        let deaths = Deaths { nodes, step, seen: !step.is_multiple_of(3) };
        assert_eq!(cluster.run(2, Some(&deaths)).end, End::Done, "{deaths:?}");
    }
}
