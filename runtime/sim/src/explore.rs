//! Runs of random programs while nodes crash, and what must come of them.

mod enumerate;
mod fault;
mod lives;
mod promise;
mod run;
mod soak;
pub mod suite;
#[cfg(test)]
mod tests;
pub use enumerate::{Plan, Tally, enumerate};
pub use fault::Fault;
pub use run::Run;

use crate::rng::Rng;
use crate::script::{Script, ScriptMachine};
use crate::world::{End, World, WorldConfig};
use netem::{Loss, Profile};
use runtime_core::checkpoint::Redundancy;
use runtime_core::id::{Generation, NodeId};
use runtime_core::node::{Binding, Config, Image, Medium, Member, Policy, Quorum, Role};
use runtime_core::time::Duration;
use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

/// When a node crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// Before this step of the run.
    Step(u64),
    /// So many steps after ranks resumed from the crash before: the promise holds anew.
    AfterRecovery(u64),
}

/// What carries the frames of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Streams.
    Stream,
    /// Frames that are lost, repeated, reordered and damaged.
    Datagram,
    /// Each pair of nodes has the one or the other: drawn from the seed.
    Mixed,
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stream => "stream",
            Self::Datagram => "datagram",
            Self::Mixed => "mixed",
        })
    }
}

/// A run that can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Of program, delays and order.
    pub seed: u64,
    /// Compute nodes.
    pub compute: u16,
    /// Standbys.
    pub standby: u16,
    /// What the shared memory speaks.
    pub binding: Binding,
    /// What carries the frames.
    pub medium: Media,
    /// Others see a dead node's connections close, or are told by the switch.
    pub death_is_seen: bool,
    /// Which nodes crash, and when, in this order.
    pub crashes: Vec<(NodeId, When)>,
    /// What else befalls it, before which steps, in this order.
    pub faults: Vec<(u64, Fault)>,
    /// What the ranks run.
    pub program: Program,
    /// Drawn from the seed by [`Scenario::soak`].
    pub soak: bool,
    /// Copies of each rank, all nodes on boards of their own; drawn from the seed, like the boards, if `None`.
    pub replicas: Option<u8>,
    /// Every machine has a seat: with no standby left, a survivor hosts two ranks.
    pub double_up: bool,
    /// Who decides on views.
    pub quorum: Quorum,
}

/// What the ranks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Drawn from the seed.
    Random,
    /// A short one that does everything once: few steps, so that all of them can be crashed at.
    Tour,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How it ended.
    pub end: End,
    /// Steps that it took.
    pub steps: u64,
    /// Fingerprint of all that happened.
    pub trace: u64,
    /// Takeovers and epochs that were committed, as nodes told.
    pub takeovers: u64,
    /// The highest epoch that was committed.
    pub epochs: u64,
    /// Nodes that really crashed: the run may have been over before.
    pub crashed: Vec<NodeId>,
    /// The job was lost though every rank had a copy on a living node: more died at a time than promised.
    pub copies_lived: bool,
    /// Why the promise was not kept, if it was not.
    pub broken: Option<String>,
}

impl Scenario {
    /// No crashes, the mcapi binding, a stream.
    #[must_use]
    pub const fn new(seed: u64, compute: u16, standby: u16) -> Self {
        Self {
            seed,
            compute,
            standby,
            binding: Binding::Mcapi,
            medium: Media::Stream,
            death_is_seen: true,
            crashes: Vec::new(),
            faults: Vec::new(),
            program: Program::Random,
            soak: false,
            replicas: None,
            double_up: false,
            quorum: Quorum::Majority,
        }
    }

    /// A [`Program::Tour`] with so many copies of each rank.
    #[must_use]
    pub fn tour(seed: u64, compute: u16, standby: u16, replicas: u8) -> Self {
        Self {
            program: Program::Tour,
            replicas: Some(replicas),
            ..Self::new(seed, compute, standby)
        }
    }

    /// How many pages of a checkpoint are on their way at a time: few, so that it overlaps with much.
    fn copy_window(&self) -> usize {
        [1, 32, 4, 32][Rng::new(self.seed ^ 0x6f76_6572_6c61_7000).index(4)]
    }

    /// How the nodes stand on boards, and how many copies they keep: drawn from the seed.
    fn layout(&self) -> (Vec<Member>, u8) {
        let mut rng = Rng::new(self.seed ^ 0x626f_6172_6473);
        let roles = (0..self.compute).map(|_| Role::Compute);
        let roles = roles.chain((0..self.standby).map(|_| Role::Standby));
        // All on one board, each on its own, dealt out to two, or the standbys apart.
        let layout = rng.below(4);
        let member = |(i, role): (u16, Role)| {
            let apart = u16::from(role == Role::Standby);
            Member {
                role,
                board: [0, i, i % 2, apart][usize::try_from(layout).unwrap_or(0)],
                image: Image::Linux,
                host: None,
            }
        };
        let drawn = 1 + u8::from(rng.chance(30));
        let mut members: Vec<Member> = (0u16..).zip(roles).map(member).collect();
        if self.replicas.is_some() {
            members.iter_mut().zip(0..).for_each(|(member, board)| member.board = board);
        }
        let members = if self.double_up { Member::with_seats(members) } else { members };
        (members, self.replicas.unwrap_or(drawn))
    }

    /// What carries frames between two nodes.
    fn medium(&self, one: NodeId, other: NodeId) -> Medium {
        let pair = u64::from(one.min(other).0) << 16 | u64::from(one.max(other).0);
        let machines = self.compute + self.standby;
        match self.medium {
            // A node and its seat are on one machine, which no frame leaves.
            _ if one.0 % machines == other.0 % machines => Medium::Stream,
            Media::Stream => Medium::Stream,
            Media::Datagram => Medium::Datagram,
            Media::Mixed if Rng::new(self.seed ^ pair << 24).chance(50) => Medium::Stream,
            Media::Mixed => Medium::Datagram,
        }
    }

    /// What a link of this medium does to frames.
    fn profile(medium: Medium) -> Profile {
        let lossy = medium == Medium::Datagram;
        let percent = |p: f64| if lossy { p / 100.0 } else { 0.0 };
        Profile {
            delay_ns: 60_000,
            jitter_ns: 30_000,
            loss: if lossy { Loss::Random(0.02) } else { Loss::None },
            duplicate: percent(1.0),
            reorder: percent(2.0),
            corrupt: percent(1.0),
            ..Profile::default()
        }
    }

    /// All nodes, seats last.
    fn nodes(&self) -> impl Iterator<Item = NodeId> + Clone + use<> {
        let seats = if self.double_up { 2 } else { 1 };
        (0..seats * (self.compute + self.standby)).map(NodeId)
    }

    fn pairs(&self) -> impl Iterator<Item = (NodeId, NodeId)> {
        let nodes = self.nodes();
        nodes.clone().flat_map(move |from| nodes.clone().map(move |to| (from, to)))
    }

    fn config(&self, shared_pages: u32) -> WorldConfig {
        WorldConfig {
            nodes: self.nodes().map(|node| self.node(node, shared_pages)).collect(),
            profile: Self::profile(Medium::Stream),
            seed: self.seed,
            death_is_seen: self.death_is_seen,
            limit: Duration::from_millis(60_000),
        }
    }

    /// What one node is told.
    fn node(&self, me: NodeId, shared_pages: u32) -> Config {
        let (members, replicas) = self.layout();
        Config {
            me,
            generation: Generation(1),
            hash: [7; 32],
            media: self.nodes().map(|other| self.medium(me, other)).collect(),
            members,
            mtu: 1500,
            binding: self.binding,
            quorum: self.quorum,
            heartbeat: Duration::from_millis(10),
            suspect_after: 10,
            join_timeout: Duration::from_millis(500),
            redundancy: Redundancy::Copies(replicas),
            copy_window: self.copy_window(),
            checkpoint: Policy::Program,
            shared_pages,
        }
    }

    /// Streams are reliable, datagrams are not. In some seeds some links are far slower than the
    /// others, so that what goes over them is overtaken by all that goes over others.
    fn set_profiles(&self, world: &mut World<ScriptMachine>) {
        let mut rng = Rng::new(self.seed ^ 0x736c_6f77);
        let some_are_slow = rng.chance(40);
        for (from, to) in self.pairs() {
            let mut profile = Self::profile(self.medium(from, to));
            if some_are_slow && rng.chance(20) {
                profile.delay_ns = 1_000_000 * (1 + rng.below(8));
            }
            world.set_profile(from, to, profile);
        }
    }

    /// Some seeds run the program twice.
    const fn jobs(&self) -> u32 {
        if self.seed % 4 == 3 { 2 } else { 1 }
    }

    /// The world of it, before anything happens.
    fn world(&self) -> World<ScriptMachine> {
        let script = Rc::new(match self.program {
            Program::Random => Script::random(self.seed, self.compute, 3),
            Program::Tour => Script::tour(self.compute),
        });
        let config = self.config(script.shared_pages);
        let mut world = World::new(config, |_| ScriptMachine::new(Rc::clone(&script)));
        world.repeat(self.jobs());
        self.set_profiles(&mut world);
        world
    }

    /// Runs it.
    #[must_use]
    pub fn run(&self) -> Verdict {
        Run::new(self).finish()
    }

    /// Runs it and holds the outcome against the promise.
    ///
    /// # Errors
    /// When it is broken; the message holds the command that replays it.
    pub fn check(&self) -> Result<Verdict, Broken> {
        let verdict = self.run();
        if verdict.broken.is_none() {
            Ok(verdict)
        } else {
            Err(Broken { scenario: self.clone(), verdict: Box::new(verdict) })
        }
    }

    /// Draws a scenario with crashes at random steps: none, one, or two in a row.
    #[must_use]
    pub fn random(seed: u64, compute: u16, standby: u16) -> Self {
        let mut rng = Rng::new(seed ^ 0x6372_6173_6800);
        let mut scenario = Self::new(seed, compute, standby);
        scenario.binding = if rng.chance(50) { Binding::Mcapi } else { Binding::Sockets };
        scenario.medium = match rng.below(10) {
            0..3 => Media::Datagram,
            3..5 => Media::Mixed,
            _ => Media::Stream,
        };
        scenario.death_is_seen = rng.chance(70);
        let nodes = compute + standby;
        let crashes = rng.below(3);
        for i in 0..crashes {
            let node = NodeId(rng.small(nodes));
            let when = if i > 0 && rng.chance(70) {
                When::AfterRecovery(rng.below(1_000))
            } else {
                // About as long as a run without crashes.
                When::Step(rng.below(u64::from(nodes).pow(2) * 220))
            };
            scenario.crashes.push((node, when));
        }
        scenario
    }
}

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The run.
    pub scenario: Scenario,
    /// What came of it.
    pub verdict: Box<Verdict>,
}

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: {:?} after {} steps",
            self.scenario.seed, self.verdict.end, self.verdict.steps
        )?;
        if let Some(broken) = &self.verdict.broken {
            writeln!(f, "{broken}")?;
        }
        write!(f, "replay: {}", self.scenario)
    }
}

impl fmt::Display for Scenario {
    /// The command that runs it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, compute, standby, .. } = self;
        if self.soak {
            return write!(f, "understudy sim --soak --seed {seed} --runs 1");
        }
        write!(f, "understudy sim --seed {seed} --nodes {compute}+{standby}")?;
        write!(
            f,
            " --binding {}",
            if self.binding == Binding::Mcapi { "mcapi" } else { "sockets" }
        )?;
        write!(f, " --medium {}", self.medium)?;
        if self.program == Program::Tour {
            write!(f, " --tour")?;
        }
        if let Some(replicas) = self.replicas {
            write!(f, " --replicas {replicas}")?;
        }
        if self.double_up {
            write!(f, " --double-up")?;
        }
        if self.quorum == Quorum::FailStop {
            write!(f, " --fail-stop")?;
        }
        if !self.death_is_seen {
            write!(f, " --silent")?;
        }
        for (node, when) in &self.crashes {
            match when {
                When::Step(step) => write!(f, " --crash {node}@{step}")?,
                When::AfterRecovery(steps) => write!(f, " --crash {node}@+{steps}")?,
            }
        }
        Ok(())
    }
}

/// `n1@500`: before step 500; `n1@+500`: so many steps after the recovery before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash(pub NodeId, pub When);

impl FromStr for Crash {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is no crash: write n1@500 (at step 500) or n1@+500 (after a recovery)"
            )
        };
        let (node, at) = text.split_once('@').ok_or_else(wrong)?;
        let node = node.strip_prefix('n').and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
        let when = match at.strip_prefix('+') {
            Some(steps) => When::AfterRecovery(steps.parse().map_err(|_| wrong())?),
            None => When::Step(at.parse().map_err(|_| wrong())?),
        };
        Ok(Self(NodeId(node), when))
    }
}
