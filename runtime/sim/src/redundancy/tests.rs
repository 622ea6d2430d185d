//! Layouts small and large, whole boards, and what is refused.

use super::*;

/// With `SIM_EXHAUSTIVE` in the environment, of twenty programs at many more instants.
#[test]
fn what_a_layout_is_said_to_survive_it_survives_and_the_rest_it_refuses() {
    let own = |from: u16, n: u16| (from..from + n).collect::<Vec<u16>>();
    let mut all = Held::default();
    let deep = std::env::var_os("SIM_EXHAUSTIVE").is_some();
    for (cluster, most, instants) in [
        (Cluster::of(&own(0, 2), &own(2, 1), 1), 3, 6),
        (Cluster::of(&own(0, 3), &own(3, 2), 1), 3, 2),
        (Cluster::of(&own(0, 3), &own(3, 2), 2), 3, 2),
        (Cluster::of(&[0, 0, 1], &[1, 2], 1), 2, 2),
        (Cluster::of(&own(0, 4), &own(4, 3), 3), if deep { 3 } else { 1 }, 1),
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
        (Cluster::of(&[0, 0, 1], &[1, 2, 2], 1), vec![0, 1, 2]),
        // A board of three; one copy of each rank does for it, wherever else it is.
        (Cluster::of(&[0, 0, 1, 1], &[2, 2, 2, 0], 1), vec![0, 2]),
        // Two copies, on two other boards.
        (Cluster::of(&[0, 0, 1], &[1, 2, 2], 2), vec![0, 1, 2]),
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
    let cluster = Cluster::of(&[0, 0, 1, 1], &[2, 2, 3], 3);
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
