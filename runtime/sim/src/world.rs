//! Nodes, the frames between them, and a clock that jumps to the next thing that happens.

mod faults;
mod network;

use crate::machine::{Answer, Machine, Request};
use crate::rng::Rng;
use netem::{Direction, Profile};
use network::Connections;
use runtime_core::event::Event;
use runtime_core::id::{Generation, Job, NodeId, Rank, ViewId};
use runtime_core::node::{Config, Input, Medium, Node, Output};
use runtime_core::time::{Duration, Instant};
use std::collections::BTreeMap;

/// A rank computes for up to this long between two requests.
const COMPUTE_NS: u64 = 20_000;
/// Frames of a dead node that would arrive within this may still do so.
const LAST_WORDS_NS: u64 = 100_000;
/// A closed connection is noticed within this.
const NOTICE_NS: u64 = 200_000;
/// In so many of a hundred cases a rank is busy when it is to stand still, and goes on for so long.
const BUSY: (u64, u64) = (10, 2_000_000);
/// When somebody sees no majority and all have been quiet for so long, that is the end.
const QUIET_NS: u64 = 1_000_000_000;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct WorldConfig {
    /// Of each node, by number; both ends of a pair agree on its medium.
    pub nodes: Vec<Config>,
    /// Of each way of each link.
    pub profile: Profile,
    /// Of everything that is left to chance.
    pub seed: u64,
    /// The others see the connections of a dead node close or, of datagrams, the switch tells; otherwise
    /// it is just silent.
    pub death_is_seen: bool,
    /// Virtual time that a run may take before it counts as stalled.
    pub limit: Duration,
}

#[derive(Clone, Debug)]
enum Happening {
    TransportUp {
        node: NodeId,
        peer: NodeId,
        connection: u64,
    },
    TransportDown {
        node: NodeId,
        peer: NodeId,
        connection: u64,
    },
    PortDown {
        node: NodeId,
        peer: NodeId,
    },
    Frame {
        from: NodeId,
        to: NodeId,
        connection: u64,
        bytes: Vec<u8>,
    },
    /// The two try to connect, if they can.
    Connect {
        node: NodeId,
        peer: NodeId,
    },
    Run {
        node: NodeId,
        life: u64,
        answer: Answer,
    },
    Stopped {
        node: NodeId,
    },
    Start {
        node: NodeId,
        job: Job,
    },
    Tick {
        node: NodeId,
    },
}

impl Happening {
    /// The node that it happens to.
    const fn node(&self) -> NodeId {
        match self {
            Self::TransportUp { node, .. }
            | Self::TransportDown { node, .. }
            | Self::PortDown { node, .. }
            | Self::Frame { to: node, .. }
            | Self::Connect { node, .. }
            | Self::Run { node, .. }
            | Self::Stopped { node }
            | Self::Start { node, .. }
            | Self::Tick { node } => *node,
        }
    }
}

#[derive(Clone, Debug)]
struct Place<M> {
    node: Node,
    machine: M,
    alive: bool,
    /// It stands still; what happened to it meanwhile.
    paused: Option<Vec<Happening>>,
    /// Which rank life: what a stopped rank had under way is void.
    life: u64,
    tick_at: Option<u64>,
    done: bool,
    /// It said that too few of this view are left.
    no_majority: Option<ViewId>,
    /// A rank was started here and does not stand still yet.
    rank_runs: bool,
    /// How often something of it came to the outside: a frame that it sent, one that arrived, a word that it told.
    traces: u64,
}

impl<M> Place<M> {
    const fn new(node: Node, machine: M) -> Self {
        Self {
            node,
            machine,
            alive: true,
            life: 0,
            tick_at: None,
            done: false,
            no_majority: None,
            rank_runs: false,
            paused: None,
            traces: 0,
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Every living node said that the job is done.
    Done,
    /// The job was lost, with the reason that the nodes gave.
    Lost(String),
    /// Too few nodes are left to go on, and they said so.
    NoMajority,
    /// A program found something wrong, or a node halted that should not have.
    Wrong(String),
    /// Nothing ends it.
    Stalled,
}

/// A running world. A clone goes on as the original would have: runs that share a beginning share its work.
#[derive(Clone, Debug)]
pub struct World<M> {
    places: Vec<Place<M>>,
    config: WorldConfig,
    wires: BTreeMap<(NodeId, NodeId), Direction>,
    connections: Connections,
    agenda: BTreeMap<(u64, u64), Happening>,
    now: u64,
    sequence: u64,
    steps: u64,
    rng: Rng,
    trace: u64,
    end: Option<End>,
    told_at: u64,
    job: Job,
    /// Jobs that follow this one.
    more: u32,
    /// Everything that the nodes told, with time and node, and the lines and reports of ranks.
    told: Vec<(u64, NodeId, Told)>,
}

/// Something that left a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// An event.
    Event(Event),
    /// A line of its rank.
    Print(String),
    /// A result of its rank.
    Report(Vec<u8>, String),
}

impl<M: Machine> World<M> {
    /// A world in which all transports come up and then a job starts on all nodes.
    pub fn new(config: WorldConfig, machine: impl Fn(NodeId) -> M) -> Self {
        let nodes: Vec<NodeId> = config.nodes.iter().map(|node| node.me).collect();
        let place = |config: &Config| {
            let node = Node::new(config.clone(), Instant(0));
            Place::new(node, machine(config.me))
        };
        let mut world = Self {
            places: config.nodes.iter().map(place).collect(),
            wires: BTreeMap::new(),
            connections: Connections::default(),
            agenda: BTreeMap::new(),
            now: 0,
            sequence: 0,
            steps: 0,
            rng: Rng::new(config.seed ^ 0x776f_726c_6400),
            trace: 0xcbf2_9ce4_8422_2325,
            end: None,
            told_at: 0,
            job: Job(1),
            more: 0,
            told: Vec::new(),
            config,
        };
        for (a, b) in nodes.iter().flat_map(|a| nodes.iter().map(move |b| (*a, *b))) {
            if a != b {
                let seed = world.rng.next_u64();
                world.wires.insert((a, b), Direction::new(world.config.profile, seed));
            }
            if a < b {
                world.connect(a, b);
            }
        }
        for node in nodes {
            let at = 500_000 + world.rng.below(500_000);
            world.plan(at, Happening::Start { node, job: world.job });
        }
        world
    }

    /// The program runs so many times; each run begins when every living node is done with the one
    /// before.
    pub const fn repeat(&mut self, jobs: u32) {
        self.more = jobs.saturating_sub(1);
    }

    /// All nodes are done: the next job, or the end.
    fn all_done(&mut self) {
        if self.more == 0 {
            self.end = Some(End::Done);
            return;
        }
        self.more -= 1;
        self.job = Job(self.job.0 + 1);
        for i in 0..self.places.len() {
            self.places[i].done = false;
            let at = self.now + self.rng.below(500_000);
            let node = NodeId(u16::try_from(i).unwrap_or_default());
            self.plan(at, Happening::Start { node, job: self.job });
        }
    }

    /// Replaces what one way of a link does to frames.
    pub fn set_profile(&mut self, from: NodeId, to: NodeId, profile: Profile) {
        if let Some(wire) = self.wires.get_mut(&(from, to)) {
            wire.set_profile(profile);
        }
    }

    /// Steps taken: inputs handled by nodes.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Virtual time in nanoseconds.
    pub const fn now_ns(&self) -> u64 {
        self.now
    }

    /// When the next thing happens, if any does.
    pub fn next_at(&self) -> Option<u64> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// Nothing happens until then, when whoever says so does something: quiet counts from there.
    pub fn pass_time_until(&mut self, at: u64) {
        self.now = self.now.max(at);
        self.told_at = self.now;
    }

    /// A number that two runs share if and only if (but for a collision) they were the same.
    pub const fn trace(&self) -> u64 {
        self.trace
    }

    /// What was told since this was last asked.
    pub fn take_told(&mut self) -> Vec<(u64, NodeId, Told)> {
        core::mem::take(&mut self.told)
    }

    /// Is this node still there?
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.places.get(node.index()).is_some_and(|place| place.alive)
    }

    /// Do others see the connections of a node close that dies from now on?
    pub const fn deaths_are_seen(&mut self, seen: bool) {
        self.config.death_is_seen = seen;
    }

    /// Do they?
    pub const fn death_is_seen(&self) -> bool {
        self.config.death_is_seen
    }

    /// The node that takes the next step.
    pub fn next_node(&self) -> Option<NodeId> {
        self.agenda.values().map(Happening::node).find(|node| self.is_alive(*node))
    }

    /// How often something of this machine came to the outside. While that stands still, nobody can tell when it died.
    pub fn traces(&self, node: NodeId) -> u64 {
        self.on_machine(node).iter().map(|node| self.places[node.index()].traces).sum()
    }

    /// One step: a living node handles an input. `Some` when the run is over.
    pub fn step(&mut self) -> Option<End> {
        self.step_before(u64::MAX)
    }

    /// One step, if it comes before this time.
    pub fn step_before(&mut self, time: u64) -> Option<End> {
        if self.end.is_some() {
            return self.end.clone();
        }
        let before = self.steps;
        while self.steps == before {
            if self.next_at().is_some_and(|at| at >= time) {
                return None;
            }
            let Some(((at, _), happening)) = self.agenda.pop_first() else {
                // Whoever set a time has something to do then.
                return (time == u64::MAX).then(|| self.stalled());
            };
            self.now = at;
            // Whoever set a time may put an end to that.
            let waits = time == u64::MAX && self.lacks_majority();
            let quiet = waits && at > self.told_at + QUIET_NS;
            if quiet || at > self.config.limit.0 {
                return Some(self.stalled());
            }
            self.happen(happening);
        }
        if self.is_done() {
            self.all_done();
        }
        self.end.clone()
    }

    /// Is every member of the newest view done that is alive?
    fn is_done(&self) -> bool {
        let alive = self.places.iter().filter(|place| place.alive);
        let newest = alive.max_by_key(|place| place.node.view().id);
        newest.is_none_or(|place| {
            let members = place.node.view().members.keys();
            let mut places = members.map(|node| &self.places[node.index()]);
            places.all(|place| place.done || !place.alive)
        })
    }

    /// All steps that are left.
    pub fn run(&mut self) -> End {
        loop {
            if let Some(end) = self.step() {
                return end;
            }
        }
    }

    fn stalled(&self) -> End {
        if self.lacks_majority() { End::NoMajority } else { End::Stalled }
    }

    /// Did a living node say that too few are left, and is no living one in a later view?
    fn lacks_majority(&self) -> bool {
        let alive = || self.places.iter().filter(|place| place.alive);
        let newest = alive().map(|place| place.node.view().id).max();
        alive().any(|place| place.no_majority.is_some() && place.no_majority >= newest)
    }

    fn plan(&mut self, at: u64, happening: Happening) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), happening);
    }

    fn note(&mut self, words: [u64; 3]) {
        for word in words {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn happen(&mut self, happening: Happening) {
        let node = happening.node();
        let index = node.index();
        let Some(place) = self.places.get_mut(index).filter(|place| place.alive) else { return };
        if matches!(happening, Happening::Tick { .. }) {
            // An earlier one was planned since, and has planned the next: one chain of ticks is enough.
            if place.tick_at.take_if(|at| *at <= self.now).is_none() {
                return;
            }
        }
        if let Happening::Connect { peer, .. } = happening {
            return self.try_to_connect(node, peer);
        }
        if let Some(waiting) = &mut self.places[index].paused {
            return waiting.push(happening);
        }
        self.steps += 1;
        match happening {
            Happening::TransportUp { peer, connection, .. } => {
                if self.connections.opened(node, peer, connection) {
                    self.handle(node, &Input::TransportUp(peer));
                }
            }
            Happening::TransportDown { peer, connection, .. } => {
                if self.connections.closed(node, peer, connection) {
                    self.handle(node, &Input::TransportDown(peer));
                }
            }
            Happening::PortDown { peer, .. } => self.handle(node, &Input::PortDown(peer)),
            Happening::Frame { from, bytes, connection, .. } => {
                if self.connections.carries(node, from, connection) {
                    self.places[from.index()].traces += 1;
                    self.handle(node, &Input::Frame { from, bytes: &bytes });
                }
            }
            Happening::Connect { .. } => {}
            Happening::Stopped { .. } => {
                self.places[index].life += 1;
                self.places[index].rank_runs = false;
                self.places[index].machine.stop();
                self.handle(node, &Input::RankStopped);
            }
            Happening::Start { job, .. } => self.handle(node, &Input::Start(job)),
            Happening::Tick { .. } => self.handle(node, &Input::Tick),
            Happening::Run { life, answer, .. } => {
                if self.places[index].life == life {
                    self.run_rank(node, answer);
                }
            }
        }
    }

    fn run_rank(&mut self, node: NodeId, mut answer: Answer) {
        loop {
            match self.places[node.index()].machine.resume(answer) {
                Request::Call(call) => return self.handle(node, &Input::Call(call)),
                Request::Fault(page, access) => {
                    return self.handle(node, &Input::Fault { page, access });
                }
                Request::Print(line) => self.tell(node, Told::Print(line)),
                Request::Iteration(number) => {
                    self.tell(node, Told::Event(Event::Iteration { number }));
                }
                Request::Report(bytes, line) => self.tell(node, Told::Report(bytes, line)),
                Request::Fail(why) => {
                    self.end = Some(End::Wrong(format!("{node}: {why}")));
                    return;
                }
            }
            answer = Answer::Taken;
        }
    }

    fn handle(&mut self, id: NodeId, input: &Input<'_>) {
        let place = &mut self.places[id.index()];
        let now = Instant(self.now);
        let input = match input {
            Input::TransportUp(n) => Input::TransportUp(*n),
            Input::TransportDown(n) => Input::TransportDown(*n),
            Input::PortDown(n) => Input::PortDown(*n),
            Input::Frame { from, bytes } => Input::Frame { from: *from, bytes },
            Input::Fault { page, access } => Input::Fault { page: *page, access: *access },
            Input::Call(call) => Input::Call(*call),
            Input::RankStopped => Input::RankStopped,
            Input::Start(job) => Input::Start(*job),
            Input::Tick => Input::Tick,
            Input::Damage(rank) => Input::Damage(*rank),
            Input::Migrate { rank, to } => Input::Migrate { rank: *rank, to: *to },
        };
        place.node.handle(now, input, place.machine.mem());
        let mut size = 0;
        while let Some(output) = self.places[id.index()].node.poll() {
            size += 1;
            self.carry_out(id, output);
        }
        self.note([self.now, u64::from(id.0), size]);
        self.plan_tick(id);
    }

    fn plan_tick(&mut self, id: NodeId) {
        let place = &mut self.places[id.index()];
        let Some((at, _)) = place.node.deadline() else { return };
        if place.tick_at.is_none_or(|planned| at.0 < planned) {
            place.tick_at = Some(at.0);
            self.plan(at.0.max(self.now), Happening::Tick { node: id });
        }
    }

    fn carry_out(&mut self, id: NodeId, output: Output) {
        match output {
            Output::Transmit { to, bytes } => self.transmit(id, to, &bytes),
            Output::Disconnect(peer) => self.disconnect(id, peer),
            Output::Wake => self.let_run(id, Answer::Wake),
            Output::Complete(outcome) => self.let_run(id, Answer::Complete(outcome)),
            Output::StartRank { rank, .. } if self.places[id.index()].rank_runs => {
                self.end = Some(End::Wrong(format!("{id} starts {rank} where a rank runs")));
            }
            Output::StartRank { rank, ranks, restored } => {
                self.places[id.index()].rank_runs = true;
                self.places[id.index()].machine.start(rank, ranks, restored.is_some());
                self.let_run(id, restored.map_or(Answer::Begin, Answer::Restored));
            }
            Output::StopRank => {
                // Until it stands still it may ask for more.
                let (busy, busy_ns) = BUSY;
                let longest = if self.rng.chance(busy) { busy_ns } else { COMPUTE_NS };
                let at = self.now + self.rng.below(longest);
                self.plan(at, Happening::Stopped { node: id });
            }
            Output::Event(event) => self.on_event(id, event),
            Output::Halt { reason } => {
                self.end = Some(End::Wrong(format!("{id} halted: {reason}")));
            }
        }
    }

    fn let_run(&mut self, node: NodeId, answer: Answer) {
        let at = self.now + self.rng.below(COMPUTE_NS);
        let life = self.places[node.index()].life;
        self.plan(at, Happening::Run { node, life, answer });
    }

    fn on_event(&mut self, id: NodeId, event: Event) {
        match &event {
            Event::JobDone { job, .. } if *job == self.job => self.places[id.index()].done = true,
            Event::JobLost { reason, .. } => self.end = Some(End::Lost(reason.clone())),
            Event::NoMajority { view, .. } => self.places[id.index()].no_majority = Some(*view),
            // It begins anew; what the others said still holds.
            Event::Fenced { .. } => self.places[id.index()].no_majority = None,
            _ => {}
        }
        self.tell(id, Told::Event(event));
    }

    fn tell(&mut self, id: NodeId, told: Told) {
        self.told_at = self.now;
        self.places[id.index()].traces += 1;
        self.told.push((self.now, id, told));
    }
}
