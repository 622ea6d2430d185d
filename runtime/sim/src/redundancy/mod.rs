//! What a layout is said to survive, held against deaths that really happen to it.

mod tests;

use crate::rng::Rng;
use crate::script::{KEPT_PAGES, Script, ScriptMachine};
use crate::world::{End, Told, World, WorldConfig};
use netem::Profile;
use runtime_core::checkpoint::Redundancy;
use runtime_core::checkpoint::survival::{Layout, Survival};
use runtime_core::event::Event;
use runtime_core::id::{Epoch, Generation, NodeId};
use runtime_core::node::{Binding, Config, Image, Medium, Member, Policy, Quorum, Role};
use runtime_core::sorted::Set;
use runtime_core::time::Duration;
use std::rc::Rc;

/// Nodes on boards, which run a program.
#[derive(Clone, Debug)]
struct Cluster {
    members: Vec<Member>,
    quorum: Quorum,
    redundancy: Redundancy,
}

/// Nodes that die together.
#[derive(Clone, Debug)]
struct Deaths {
    nodes: Vec<NodeId>,
    /// Before this step of the run.
    step: u64,
    /// Others see their connections close.
    seen: bool,
}

/// What came of a run.
#[derive(Debug)]
struct Outcome {
    end: End,
    steps: u64,
    /// Steps at which epochs were committed on all hosts.
    commits: Vec<u64>,
    /// Most bytes that each node kept, of those that were there in the end.
    kept: Vec<(NodeId, u64)>,
    shared_pages: u32,
}

/// What was held against a promise.
#[derive(Debug, Default)]
struct Held {
    runs: u64,
    /// Of them.
    refused: u64,
    /// Most of what was stated that a node kept.
    percent: u64,
}

impl Cluster {
    /// Compute nodes on these boards, and standbys on these.
    fn of(compute: &[u16], standby: &[u16], redundancy: Redundancy) -> Self {
        let member = |role| {
            move |board: &u16| Member { role, board: *board, image: Image::Linux, host: None }
        };
        let standbys = standby.iter().map(member(Role::Standby));
        let members = compute.iter().map(member(Role::Compute)).chain(standbys).collect();
        Self { members, quorum: Quorum::Majority, redundancy }
    }

    fn layout(&self) -> Layout<'_> {
        Layout { members: &self.members, quorum: self.quorum, redundancy: self.redundancy }
    }

    fn ranks(&self) -> u16 {
        u16::try_from(self.members.iter().filter(|m| m.role == Role::Compute).count()).unwrap()
    }

    fn config(&self, seed: u64, seen: bool, shared_pages: u32) -> WorldConfig {
        let count = self.members.len();
        let node = |me| Config {
            me,
            generation: Generation(1),
            hash: [7; 32],
            members: self.members.clone(),
            media: vec![Medium::Stream; count],
            mtu: 1500,
            binding: if seed.is_multiple_of(2) { Binding::Mcapi } else { Binding::Sockets },
            quorum: self.quorum,
            heartbeat: Duration::from_millis(10),
            suspect_after: 10,
            join_timeout: Duration::from_millis(500),
            redundancy: self.redundancy,
            copy_window: 8,
            checkpoint: Policy::Program,
            shared_pages,
        };
        WorldConfig {
            nodes: (0u16..).map(NodeId).take(count).map(node).collect(),
            profile: Profile { delay_ns: 60_000, jitter_ns: 30_000, ..Profile::default() },
            seed,
            death_is_seen: seen,
            limit: Duration::from_millis(5_000),
        }
    }

    /// Runs a program of three checkpoints or more, in which these nodes die.
    fn run(&self, seed: u64, deaths: Option<&Deaths>) -> Outcome {
        let script = Rc::new(Script::random(seed, self.ranks(), 3));
        let seen = deaths.is_none_or(|deaths| deaths.seen);
        let config = self.config(seed, seen, script.shared_pages);
        let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
        let mut commits: Vec<(Epoch, u16)> = Vec::new();
        let mut outcome = Outcome {
            end: End::Stalled,
            steps: 0,
            commits: Vec::new(),
            kept: Vec::new(),
            shared_pages: script.shared_pages,
        };
        loop {
            if let Some(deaths) = deaths.filter(|deaths| deaths.step == world.steps()) {
                deaths.nodes.iter().for_each(|node| world.kill(*node));
            }
            let end = world.step();
            for (_, node, told) in world.take_told() {
                if let Told::Event(Event::JobDone { counters, .. }) = told {
                    outcome.kept.push((node, counters.kept_bytes));
                }
                let Told::Event(Event::CheckpointCommitted { epoch, .. }) = told else { continue };
                match commits.iter_mut().find(|(e, _)| *e == epoch) {
                    Some((_, hosts)) => *hosts += 1,
                    None => commits.push((epoch, 1)),
                }
                if commits.last() == Some(&(epoch, self.ranks())) {
                    outcome.commits.push(world.steps());
                }
            }
            if let Some(end) = end {
                outcome.end = end;
                outcome.steps = world.steps();
                return outcome;
            }
        }
    }

    /// Sets of up to so many nodes but not of all, and those on each board.
    fn sets(&self, most: u32) -> Set<Vec<NodeId>> {
        let nodes = self.members.len();
        let of_bits = |bits: u32| -> Vec<NodeId> {
            (0u16..).map(NodeId).take(nodes).filter(|n| bits >> n.0 & 1 == 1).collect()
        };
        let sets = (1..(1u32 << nodes) - 1).filter(|bits| bits.count_ones() <= most).map(of_bits);
        let boards = self.members.iter().map(|member| {
            let on_it = (0u16..).map(NodeId).zip(&self.members);
            on_it.filter(|(_, other)| other.board == member.board).map(|(node, _)| node).collect()
        });
        sets.chain(boards).collect()
    }

    /// Is this set said to be survived?
    fn is_promised(&self, dead: &[NodeId]) -> bool {
        let layout = self.layout();
        layout.refusal(&layout.first_view(), &dead.iter().copied().collect()).is_none()
    }

    /// What the nodes kept is no more than was stated; the greatest part of it that any of them kept,
    /// in percent.
    fn hold_to_the_bound(&self, survival: &Survival, outcome: &Outcome) -> u64 {
        let part = |(node, bytes): &(NodeId, u64)| {
            let private_pages = 1 + KEPT_PAGES;
            let most = survival.kept[node.index()].bytes(
                outcome.shared_pages,
                private_pages,
                self.redundancy,
            );
            assert!(*bytes <= most, "{self:?}: {node} keeps {bytes} bytes, {most} were stated");
            bytes * 100 / most.max(1)
        };
        outcome.kept.iter().map(part).max().unwrap_or_default()
    }

    /// Lets each of the sets die at instants spread over the run, and holds the end against the
    /// promise.
    fn hold_to_the_promise(&self, seed: u64, most: u32, instants: u64) -> Held {
        let calm = self.run(seed, None);
        assert_eq!(calm.end, End::Done, "{self:?}, seed {seed}");
        let (first, last) = (calm.commits[0], calm.commits[calm.commits.len() - 1]);
        let mut rng = Rng::new(seed ^ 0x0070_726f_6d69_7365);
        let survival = self.layout().survival();
        let mut held =
            Held { percent: self.hold_to_the_bound(&survival, &calm), ..Held::default() };
        for nodes in self.sets(most) {
            let promised = self.is_promised(&nodes);
            for instant in 0..instants {
                // A promise holds from the first step on; what is refused is so from the first epoch on.
                let (from, to) = if promised { (0, calm.steps) } else { (first + 1, last) };
                let width = (to - from) / instants;
                let step = from + instant * width + rng.below(width.max(1));
                let deaths = Deaths { nodes: nodes.clone(), step, seen: !step.is_multiple_of(3) };
                let outcome = self.run(seed, Some(&deaths));
                let kept = match &outcome.end {
                    End::Done => promised,
                    End::Lost(_) | End::NoMajority => !promised,
                    End::Wrong(_) | End::Stalled => false,
                };
                assert!(
                    kept,
                    "{self:?}, seed {seed}: {deaths:?} is promised: {promised}, but {outcome:?}"
                );
                held.runs += 1;
                held.refused += u64::from(!promised);
                held.percent = held.percent.max(self.hold_to_the_bound(&survival, &outcome));
            }
        }
        held
    }
}
