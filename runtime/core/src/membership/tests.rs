//! Agreement under every interleaving that a seed can make of it.

mod seats;

use super::*;
use crate::node::{Binding, Image, Medium, Member, Policy, Role};

fn config(me: u16, compute: usize, standby: usize) -> Config {
    let member = |role| Member { role, board: 0, image: Image::Linux, host: None };
    Config {
        me: NodeId(me),
        generation: Generation(1),
        hash: [0; 32],
        members: (0..compute)
            .map(|_| member(Role::Compute))
            .chain((0..standby).map(|_| member(Role::Standby)))
            .collect(),
        media: alloc::vec![Medium::Stream; compute + standby],
        mtu: 1500,
        binding: Binding::Sockets,
        quorum: Quorum::Majority,
        heartbeat: Duration::from_millis(10),
        suspect_after: 5,
        join_timeout: Duration::from_millis(100),
        redundancy: Redundancy::Copies(1),
        copy_window: 32,
        checkpoint: Policy::Program,
        shared_pages: 0,
    }
}

struct World {
    nodes: Vec<Membership>,
    wire: Vec<(NodeId, NodeId, Message)>,
    installed: Vec<Vec<View>>,
    fenced: Set<NodeId>,
    lost: Set<NodeId>,
    /// What the first hears of the second is lost.
    cut: Set<(NodeId, NodeId)>,
    now: Instant,
}

impl World {
    fn new(compute: u16, standby: u16) -> Self {
        Self::of(compute + standby, |me| config(me, usize::from(compute), usize::from(standby)))
    }

    fn of(total: u16, config: impl Fn(u16) -> Config) -> Self {
        let make = |me| {
            let mut node = Membership::new(&config(me), Instant(0), Duration::from_millis(50));
            (0..total).for_each(|other| node.meet(Instant(0), NodeId(other)));
            node
        };
        Self {
            nodes: (0..total).map(make).collect(),
            wire: Vec::new(),
            installed: (0..total).map(|_| Vec::new()).collect(),
            fenced: Set::new(),
            lost: Set::new(),
            cut: Set::new(),
            now: Instant(0),
        }
    }

    fn collect(&mut self) {
        for i in 0..self.nodes.len() {
            let me = NodeId(u16::try_from(i).unwrap());
            while let Some(action) = self.nodes[i].poll() {
                match action {
                    Action::Send(to, message) => {
                        let bytes = message.emit();
                        assert_eq!(Message::parse(&bytes), Ok(message.clone()));
                        self.wire.push((me, to, message));
                    }
                    Action::Install(view, _) => self.installed[i].push(view),
                    Action::Fenced(_) => drop(self.fenced.insert(me)),
                    Action::NoMajority { .. } => drop(self.lost.insert(me)),
                    Action::Refused { reason, .. } => panic!("{me}: {reason}"),
                }
            }
        }
    }

    /// Delivers a message chosen by `pick`, first in first out per pair; or lets time pass.
    fn step(&mut self, pick: u64, dead: &Set<NodeId>) -> bool {
        self.collect();
        let cut = &self.cut;
        self.wire.retain(|(from, to, _)| !dead.contains(to) && !cut.contains(&(*to, *from)));
        if self.wire.is_empty() {
            let due = self.nodes.iter().enumerate();
            let due = due.filter(|(i, _)| !dead.contains(&NodeId(u16::try_from(*i).unwrap())));
            let Some(at) = due.filter_map(|(_, n)| n.deadline()).min() else { return false };
            self.now = at;
            let now = self.now;
            self.nodes.iter_mut().for_each(|n| n.tick(now));
            return true;
        }
        let chosen = usize::try_from(pick).unwrap_or(usize::MAX) % self.wire.len();
        let (from, to, _) = self.wire[chosen];
        let first = self.wire.iter().position(|(f, t, _)| (*f, *t) == (from, to)).unwrap();
        let (from, to, message) = self.wire.remove(first);
        let now = self.now;
        self.nodes[to.index()].handle(now, from, message);
        true
    }

    fn run(&mut self, seed: &mut u64, dead: &Set<NodeId>) {
        for _ in 0..10_000 {
            *seed ^= *seed << 13;
            *seed ^= *seed >> 7;
            *seed ^= *seed << 17;
            if !self.step(*seed >> 8, dead) {
                return;
            }
        }
        panic!("no end of messages");
    }

    fn assert_no_fork(&self) {
        let mut agreed: Map<ViewId, View> = Map::new();
        for view in self.installed.iter().flatten() {
            let known = agreed.get_or_insert_with(view.id, || view.clone());
            assert_eq!(known, view, "two views of one number");
        }
    }
}

#[test]
fn a_dead_compute_node_is_replaced_by_the_standby() {
    let mut world = World::new(3, 1);
    let dead = Set::from([NodeId(1)]);
    for node in [0, 2, 3] {
        world.nodes[node].suspect(Instant(0), NodeId(1));
    }
    world.run(&mut 7, &dead);
    for node in [0, 2, 3] {
        let view = world.nodes[node].view();
        assert_eq!(view.ranks, [NodeId(0), NodeId(3), NodeId(2)]);
        assert_eq!(view.id, ViewId(2));
    }
}

#[test]
fn a_dead_coordinator_is_replaced_by_the_next() {
    let mut world = World::new(3, 1);
    let dead = Set::from([NodeId(0)]);
    for node in [1, 2, 3] {
        world.nodes[node].suspect(Instant(0), NodeId(0));
    }
    world.run(&mut 9, &dead);
    assert_eq!(world.nodes[2].view().coordinator(), NodeId(1));
    assert_eq!(world.nodes[2].view().ranks, [NodeId(3), NodeId(1), NodeId(2)]);
}

#[test]
fn a_minority_installs_nothing_and_says_so() {
    let mut world = World::new(3, 1);
    let dead = Set::from([NodeId(2), NodeId(3)]);
    for node in [0, 1] {
        world.nodes[node].suspect(Instant(0), NodeId(2));
        world.nodes[node].suspect(Instant(0), NodeId(3));
    }
    world.run(&mut 11, &dead);
    assert_eq!(world.nodes[0].view().id, ViewId(1));
    assert_eq!(world.lost, Set::from([NodeId(0), NodeId(1)]));
}

#[test]
fn without_a_standby_the_rank_is_an_orphan() {
    let dead = Set::from([NodeId(1), NodeId(2)]);
    let view = View::first(&config(0, 3, 1)).without(
        &dead,
        &config(0, 3, 1).members,
        Redundancy::Copies(1),
    );
    assert_eq!(view.ranks, [NodeId(0), NodeId(3), NodeId(2)]);
    assert_eq!(view.orphans().collect::<Vec<_>>(), [Rank(2)]);
}

#[test]
fn a_rank_moves_only_to_a_standby_of_the_same_image() {
    use Image::{BareMetal, Linux};
    let first = View::first(&config(0, 3, 2));
    let mut members = config(0, 3, 2).members;
    let images = [Linux, BareMetal, BareMetal, Linux, BareMetal];
    members.iter_mut().zip(images).for_each(|(member, image)| member.image = image);
    let one = first.without(&Set::from([NodeId(1)]), &members, Redundancy::Copies(1));
    assert_eq!(one.ranks, [NodeId(0), NodeId(4), NodeId(2)]);
    let two = one.without(&Set::from([NodeId(2)]), &members, Redundancy::Copies(1));
    assert_eq!(two.orphans().collect::<Vec<_>>(), [Rank(2)], "n3 is a standby, but of Linux");
}

#[test]
fn a_standby_is_chosen_by_board_then_load_then_number() {
    let after = |boards: [u16; 6], dead: u16| {
        let mut members = config(0, 3, 3).members;
        members.iter_mut().zip(boards).for_each(|(member, board)| member.board = board);
        let view = View::first(&config(0, 3, 3));
        view.without(&Set::from([NodeId(dead)]), &members, Redundancy::Copies(1)).ranks
            [usize::from(dead)]
        .0
    };
    assert_eq!(after([0, 1, 2, 3, 4, 5], 1), 3, "all are equal: the lowest");
    assert_eq!(after([0, 1, 2, 1, 4, 5], 1), 4, "n3 is on the board of the dead one");
    assert_eq!(after([0, 1, 2, 0, 2, 5], 1), 5, "n3 and n4 share their boards with a rank");
    assert_eq!(
        after([0, 1, 2, 1, 0, 1], 1),
        4,
        "a board with a rank is better than that of the dead"
    );
    // All compute nodes on one board: their copies are on n3.
    assert_eq!(after([0, 0, 0, 3, 4, 5], 1), 4, "n3 keeps copies");
}

/// Runs a joining node 3 against three members, until the wire is quiet.
fn joining(world: &mut World, life: u32) {
    let mut config = config(3, 3, 1);
    config.generation = Generation(life);
    world.nodes[3] = Membership::new(&config, world.now, Duration::from_millis(50));
    for node in 0..3 {
        world.nodes[3].ask(NodeId(node));
    }
    for pick in 0..200 {
        world.collect();
        if world.wire.is_empty() {
            return;
        }
        world.step(pick * 7919, &Set::new());
    }
}

#[test]
fn a_later_life_is_let_in_when_all_vouch_and_votes_on_nothing_before() {
    let mut world = World::new(3, 1);
    let dead = Set::from([NodeId(3)]);
    for node in [0, 1, 2] {
        world.nodes[node].suspect(Instant(0), NodeId(3));
    }
    world.run(&mut 7, &dead);
    joining(&mut world, 2);
    assert!(!world.nodes[3].is_member() && world.nodes[0].wants_change(world.now));
    assert!(!world.nodes[1].wants_change(world.now), "only the coordinator does");
    let ballot = Ballot { round: 9, by: NodeId(0) };
    world.nodes[3].handle(world.now, NodeId(0), Message::Prepare { view: ViewId(3), ballot });
    assert_eq!(world.nodes[3].poll(), None, "no promise");
    world.nodes[0].change(world.now);
    for pick in 0..400 {
        world.step(pick * 7919, &Set::new());
    }
    world.assert_no_fork();
    for node in &world.nodes {
        let view = node.view();
        assert_eq!((view.id, view.members.get(&NodeId(3))), (ViewId(3), Some(&Generation(2))));
    }
    assert!(world.nodes[3].is_member());
}

#[test]
fn one_that_does_not_know_the_job_or_is_not_heard_by_all_waits() {
    let mut world = World::new(3, 1);
    for node in [0, 1, 2] {
        world.nodes[node].suspect(Instant(0), NodeId(3));
    }
    world.run(&mut 7, &Set::from([NodeId(3)]));
    world.nodes[1].set_job(Job(1));
    joining(&mut world, 2);
    assert!(!world.nodes[0].wants_change(world.now), "n1 did not vouch");
    world.nodes[3].set_job(Job(1));
    world.nodes[3].ask(NodeId(1));
    for pick in 0..20 {
        world.step(pick, &Set::new());
    }
    assert!(world.nodes[0].wants_change(world.now));
}

#[test]
fn the_view_without_an_idle_member_waits_for_a_checkpoint_unless_that_costs_a_death() {
    let waits = |compute, standby, dead: &[u16]| {
        let mut world = World::new(compute, standby);
        let dead: Set<NodeId> = dead.iter().copied().map(NodeId).collect();
        for node in 0..world.nodes.len() {
            world.nodes[node].set_running(Instant(0), true);
            if !dead.contains(&NodeId(u16::try_from(node).unwrap())) {
                dead.iter().for_each(|dead| world.nodes[node].suspect(Instant(0), *dead));
            }
        }
        world.run(&mut 7, &dead);
        let wanted = world.nodes[0].wants_change(world.now);
        assert_eq!(world.nodes[0].view().id, ViewId(if wanted { 1 } else { 2 }));
        if wanted {
            // At a checkpoint, or when nothing runs any more.
            world.nodes[0].change(world.now);
            world.run(&mut 8, &dead);
        }
        assert!(dead.iter().all(|node| !world.nodes[0].view().members.contains_key(node)));
        wanted
    };
    assert!(waits(3, 2, &[4]));
    assert!(waits(3, 1, &[3]), "nobody is left to take a rank over, whenever the view comes");
    assert!(waits(2, 1, &[2]));
    assert!(waits(3, 2, &[3, 4]), "nor here");
    assert!(!waits(3, 3, &[4, 5]), "of six one more would leave no majority; of four one may go");
    assert!(!waits(2, 2, &[3]), "of four one more would leave no majority; of three one may go");
    assert!(!waits(3, 2, &[1]), "it hosts a rank");
    assert!(!waits(3, 2, &[1, 4]));
    // The only partner of a rank.
    assert!(!waits(1, 2, &[1]));
}

/// Everybody hears everybody but for these pairs: the first suspects the second.
fn broken(compute: u16, standby: u16, pairs: &[(u16, u16)]) -> World {
    let mut world = World::new(compute, standby);
    for (from, of) in pairs {
        world.nodes[usize::from(*from)].suspect(world.now, NodeId(*of));
    }
    let cut: Set<_> = pairs.iter().map(|(a, b)| (NodeId(*a), NodeId(*b))).collect();
    for seed in 1..50 {
        let mut copy = World { nodes: world.nodes.clone(), ..World::new(compute, standby) };
        copy.cut.clone_from(&cut);
        copy.run(&mut (seed * 7919), &Set::new());
        copy.assert_no_fork();
        world = if seed == 49 { copy } else { world };
    }
    world
}

#[test]
fn of_two_that_cannot_reach_each_other_one_must_go() {
    // Between two compute nodes: the higher one goes, and the standby takes its rank.
    let world = broken(3, 1, &[(1, 2), (2, 1)]);
    assert_eq!(world.nodes[0].view().ranks, [NodeId(0), NodeId(1), NodeId(3)]);
    assert_eq!(world.fenced, Set::from([NodeId(2)]));
    // Between a compute node and the standby: the standby goes, and no rank moves.
    let world = broken(3, 1, &[(1, 3), (3, 1)]);
    assert_eq!(world.nodes[0].view().ranks, [NodeId(0), NodeId(1), NodeId(2)]);
    assert_eq!(world.fenced, Set::from([NodeId(3)]));
    assert_eq!(broken(3, 1, &[(3, 1)]).fenced, Set::from([NodeId(3)]), "though it accuses");
    // One way only: the one that is not heard goes.
    let world = broken(3, 1, &[(2, 1)]);
    assert_eq!(world.fenced, Set::from([NodeId(1)]));
}

#[test]
fn who_hears_nobody_goes_and_nobody_else() {
    let world = broken(3, 2, &[(1, 0), (1, 2), (1, 3), (1, 4)]);
    assert_eq!(world.lost, Set::from([NodeId(1)]), "it says that it has no majority");
    assert_eq!(world.nodes[0].view().ranks, [NodeId(0), NodeId(3), NodeId(2)]);
    assert_eq!(world.nodes[0].view().members.len(), 4);
}

#[test]
fn who_met_one_that_is_dead_does_not_go_for_saying_so() {
    // Node 4 met 1 and 3, which then died; nobody else ever heard of them.
    let dead = Set::from([NodeId(1), NodeId(3)]);
    let mut world = World::new(3, 2);
    for node in [0, 2] {
        world.nodes[node].met = [0, 2, 4].map(NodeId).into();
    }
    for of in [1, 3] {
        world.nodes[4].suspect(world.now, NodeId(of));
    }
    world.run(&mut 3, &dead);
    assert!(world.installed.iter().all(Vec::is_empty), "it is not known yet who must go");
    // The one is late, and cannot reach node 4; the other never comes.
    let mut late = World { nodes: world.nodes.clone(), now: world.now, ..World::new(3, 2) };
    for node in [0, 2] {
        late.nodes[node].meet(late.now, NodeId(1));
        late.nodes[node].suspect(late.now, NodeId(3));
    }
    late.run(&mut 5, &Set::from([NodeId(3)]));
    assert_eq!(late.fenced.len(), 1, "{:?}", late.fenced);
    assert_eq!(late.nodes[0].view().members.len(), 3);
    // Both never come: who met them is right, and takes over.
    for (node, of) in [(0, 1), (0, 3), (2, 1), (2, 3)] {
        world.nodes[node].suspect(world.now, NodeId(of));
    }
    world.run(&mut 4, &dead);
    assert_eq!((world.fenced.len(), world.lost.len()), (0, 0));
    assert_eq!(world.nodes[0].view().ranks, [NodeId(0), NodeId(4), NodeId(2)]);
}

#[test]
fn a_suspicion_that_is_taken_back_in_time_changes_nothing() {
    // Two halves of four: nobody has a majority, and nobody goes.
    let mut world = World::new(3, 1);
    let pairs = [(0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (3, 0), (3, 1)];
    for (from, of) in pairs {
        world.cut.insert((NodeId(from), NodeId(of)));
        world.nodes[usize::from(from)].suspect(world.now, NodeId(of));
    }
    world.run(&mut 5, &Set::new());
    assert_eq!(world.lost.len(), 4, "all say that there is no majority");
    world.cut.clear();
    for (from, of) in pairs {
        world.nodes[usize::from(from)].trust(world.now, NodeId(of));
    }
    world.run(&mut 6, &Set::new());
    assert!(world.installed.iter().all(Vec::is_empty), "no view was installed");
    // And a death is noticed as ever.
    let dead = Set::from([NodeId(1)]);
    for node in [0, 2, 3] {
        world.nodes[node].suspect(world.now, NodeId(1));
    }
    world.run(&mut 7, &dead);
    assert_eq!(world.nodes[0].view().ranks, [NodeId(0), NodeId(3), NodeId(2)]);
}

#[test]
fn a_death_that_had_to_wait_for_a_majority_is_agreed_on_when_there_is_one_again() {
    let mut world = World::new(2, 1);
    let dead = Set::from([NodeId(2)]);
    world.cut.extend([(NodeId(0), NodeId(1)), (NodeId(1), NodeId(0))]);
    for (from, of) in [(0, 1), (1, 0), (0, 2), (1, 2)] {
        world.nodes[from].suspect(world.now, NodeId(of));
    }
    world.run(&mut 5, &dead);
    assert_eq!(world.lost, Set::from([NodeId(0), NodeId(1)]));
    world.cut.clear();
    world.nodes[0].trust(world.now, NodeId(1));
    world.nodes[1].trust(world.now, NodeId(0));
    world.run(&mut 6, &dead);
    assert_eq!(world.nodes[0].view().members.len(), 2);
    assert_eq!(world.nodes[0].view(), world.nodes[1].view());
}

#[test]
fn wrong_suspicions_never_fork() {
    let nothing = Set::new();
    for seed in 1..2_000u64 {
        let mut world = World::new(5, 2);
        let mut rng = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for _ in 0..4 {
            let mut next = |n: u64| {
                rng ^= rng << 13;
                rng ^= rng >> 7;
                rng ^= rng << 17;
                (rng >> 16) % n
            };
            let (by, of) = (usize::try_from(next(7)).unwrap(), u16::try_from(next(7)).unwrap());
            world.nodes[by].suspect(Instant(0), NodeId(of));
            for _ in 0..next(12) {
                let pick = next(u64::MAX);
                world.step(pick, &nothing);
            }
        }
        world.run(&mut rng, &nothing);
        world.assert_no_fork();
        // Whoever is not fenced stands in the last view of all.
        let last = world.nodes.iter().map(|n| n.view().id).max();
        for (node, machine) in world.nodes.iter().enumerate() {
            let id = NodeId(u16::try_from(node).unwrap());
            if !world.fenced.contains(&id) {
                assert_eq!(Some(machine.view().id), last, "seed {seed}: {id} was left behind");
            }
        }
    }
}
