//! Seats: who votes, who goes with whom, and who takes over when standbys run out.

use super::*;
use crate::checkpoint::Placement;

/// So many nodes with a seat each: node `n` has seat `compute + standby + n`.
fn with_seats(me: u16, compute: usize, standby: usize) -> Config {
    let config = config(me, compute, standby);
    let members = Member::with_seats(config.members);
    Config { media: alloc::vec![Medium::Stream; members.len()], members, ..config }
}

fn after(config: &Config, view: &View, dead: u16) -> View {
    view.without(&Set::from([NodeId(dead)]), &config.members, config.redundancy)
}

#[test]
fn a_standby_comes_before_a_seat_and_a_seat_takes_one_rank_only() {
    let config = with_seats(0, 3, 1);
    let view = View::first(&config);
    assert_eq!((view.members.len(), view.rank_count()), (8, 3));
    let view = after(&config, &view, 1);
    assert_eq!(view.ranks, [NodeId(0), NodeId(3), NodeId(2)], "the standby");
    assert!(!view.members.contains_key(&NodeId(5)), "the seat of n1 is gone with it");
    let view = after(&config, &view, 3);
    assert_eq!(view.ranks[1], NodeId(4), "the seat of n0");
    let view = after(&config, &view, 0);
    assert_eq!(view.ranks, [NodeId(6), NodeId(4), NodeId(2)], "two ranks die, there is one seat");
    assert_eq!(view.orphans().collect::<Vec<_>>(), [Rank(1)]);
}

#[test]
fn a_seat_that_dies_alone_leaves_its_host() {
    let config = with_seats(0, 2, 0);
    let view = after(&config, &View::first(&config), 3);
    assert_eq!(view.members.keys().copied().collect::<Vec<_>>(), [0, 1, 2].map(NodeId));
    let view = after(&config, &view, 0);
    assert_eq!(view.orphans().collect::<Vec<_>>(), [Rank(0)], "n1 has no seat any more");
}

#[test]
fn a_copy_is_never_on_the_machine_of_its_rank() {
    let config = with_seats(0, 4, 0);
    let views = (0..4).flat_map(|first| {
        let view = after(&config, &View::first(&config), first);
        let next = (0..4).filter(move |second| *second != first);
        let next: Vec<View> = next.map(|second| after(&config, &view, second)).collect();
        core::iter::once(view).chain(next)
    });
    for (view, replicas) in views.flat_map(|view| [(view.clone(), 1), (view, 2)]) {
        let (members, redundancy) = (&config.members, Redundancy::Copies(replicas));
        let placement = Placement { view: &view, members, redundancy };
        for rank in (0..4).map(Rank) {
            let machines = placement.holders(rank).into_iter().map(|n| machine_of(members, n));
            let (all, distinct) = (machines.clone().count(), machines.collect::<Set<_>>().len());
            assert_eq!(all, distinct, "{rank} of {view:?}");
            let possible = view.voters(members).min(usize::from(replicas) + 1);
            assert_eq!(all, possible, "{rank} of {view:?}");
        }
    }
}

#[test]
fn seats_have_no_vote() {
    for seed in 1..200 {
        // Each machine has two nodes: of three machines two are a majority, one is none.
        for (dead, left) in [(&[0u16][..], Some(2)), (&[0, 1], None)] {
            let mut world = World::of(6, |me| with_seats(me, 3, 0));
            let gone: Set<NodeId> = dead.iter().flat_map(|n| [*n, *n + 3]).map(NodeId).collect();
            for (node, dead) in (0..6).flat_map(|n| gone.iter().map(move |dead| (n, *dead))) {
                world.nodes[node].suspect(Instant(0), dead);
            }
            world.run(&mut { seed }, &gone);
            world.assert_no_fork();
            let newest = world.nodes[5].view();
            match left {
                Some(machines) => assert_eq!(newest.voters(&world.nodes[5].members), machines),
                None => {
                    assert_eq!(newest.id, ViewId(1));
                    assert!(world.lost.contains(&NodeId(2)));
                }
            }
        }
    }
}
