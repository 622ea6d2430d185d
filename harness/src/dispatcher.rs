//! The brain of the daemon: events in, actions out. It does no I/O, reads no clock and waits for
//! nothing, so that every story of a cluster can be told in a unit test.

mod armed;
mod awaited;
mod boot;
mod change;
mod links;
mod metric;
mod program;
mod run;
mod sighting;
mod sights;
mod state;
mod strike;
#[cfg(test)]
mod tests;
mod verdict;

use crate::plan::{Backend, Plan, Target, Workload, image_name};
use crate::proto::{
    EXIT_OK, EXIT_TESTBED, EXIT_USAGE, Frames, NodeStatus, Request, Response, Status,
};
use crate::result::RunResult;
use crate::switch::LinkAction;
use crate::switch::rings::Told;
use awaited::Waiting;
use change::Change;
use images_control::sim::{SimPlan, SimStrike};
use images_control::{FromNode, ToNode};
use run::Run;
use runtime_core::node::Image;
use state::{Life, NodeState};
use std::collections::BTreeSet;
use std::time::Duration;

/// A connected verb.
pub(crate) type ClientId = u64;
/// The client that started the daemon.
pub(crate) const OWNER: ClientId = 0;

/// Something happened.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Bring the cluster up. `detach`: it outlives its owner once it is up.
    Begin { detach: bool },
    /// A node's process was started.
    Spawned { node: usize, pid: u32 },
    /// Something about the machines that people should know.
    Remark { text: String },
    /// The switches agree on something else about a cable of a ring.
    Cable(Told),
    /// A link, or a cable, keeps its times much less well than before: in words.
    Late { link: String, text: String },
    /// A node's process could not be started.
    NotSpawned { node: usize, reason: String },
    /// A node spoke.
    Node { node: usize, message: FromNode },
    /// A node said something that is no message.
    Garbled { node: usize, reason: String },
    /// A line is on a node's console.
    Line { node: usize, text: String },
    /// All that was on consoles is told.
    ConsolesRead,
    /// A node's process ended.
    Exited { node: usize, status: String },
    /// Something befell a node or a cable of the simulated world, as its plan said.
    SimStruck { target: Target, strike: SimStrike },
    /// The simulated world ended. `Err`: not as it should.
    SimEnded(Result<(), String>),
    /// The sequential program is through: the SHA-256 of its result.
    Reference(Result<String, String>),
    /// A verb asks.
    Client { client: ClientId, request: Request },
    /// A verb's connection closed.
    ClientGone { client: ClientId },
    /// A deadline may be due.
    Tick,
    /// The daemon was told to end by a signal.
    Signal,
    /// What happens cannot be written down any more, and why.
    Unrecorded(String),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Start a node's process.
    Spawn { node: usize },
    /// Tell a node something.
    Send { node: usize, message: ToNode },
    /// Kill a node's process at once.
    Kill { node: usize },
    /// Make a node's process stand still, or go on.
    Freeze { node: usize, still: bool },
    /// Let a node's process run for so many percent of the time; 100: let it alone.
    Slow { node: usize, percent: u8 },
    /// Tell every line that is on a console and was not told yet, and then that this is done.
    ReadConsoles,
    /// Do something to a line: the link of the node with this number, or a cable; those come after all links.
    Link { line: usize, what: LinkAction },
    /// Record the frames of these lines, or stop it; then answer a verb.
    Pcap { client: ClientId, lines: Vec<usize>, on: bool },
    /// Run the sequential program.
    Reference(Workload),
    /// Start the simulated world.
    Sim(Box<SimPlan>),
    /// Answer a verb; the shell adds ports, pids and console lines.
    Reply { client: ClientId, response: Response },
    /// Write the result of a run.
    Keep(Box<RunResult>),
    /// Kill everything and end the daemon; then close all connections.
    Stop,
}

/// What the cluster is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Booting,
    Up,
    Running,
    Stopping,
}

/// A guest must speak within this time, and a cluster must be ready within it after that.
const BOOT_TIMEOUT: Duration = Duration::from_secs(20);
/// A run in which no node says anything for so long hangs.
const QUIET_TIMEOUT: Duration = Duration::from_secs(60);
/// What a node says before it ends arrives within this after others have missed it.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The state of a cluster.
#[derive(Debug)]
pub(crate) struct Dispatcher {
    plan: Plan,
    /// One line: what the nodes run on.
    machine: String,
    nodes: Vec<NodeState>,
    phase: Phase,
    detach: bool,
    /// SHA-256 of the first image of each kind; all others of that kind must have it too.
    images: Vec<(Image, String)>,
    /// Newest view heard of, and which node hosts each rank in it.
    view: u64,
    hosts: Vec<usize>,
    /// Who is in it.
    members: Vec<usize>,
    /// The answer of a sequential program, once known.
    reference: Option<(Workload, String)>,
    jobs: u32,
    run: Option<Run>,
    /// Verbs that wait for a change of the members.
    changes: Vec<(ClientId, Change)>,
    /// Somebody may ask at any time what has shown: all of it is remembered.
    attended: bool,
    /// The run before, for who asks late.
    past: Option<Run>,
    /// Callers that wait for something to be so.
    awaited: Vec<Waiting>,
    /// When a verb last did something to the cluster.
    deed: Duration,
    deadline: Option<Duration>,
    actions: Vec<Action>,
}

impl Dispatcher {
    /// A cluster of which nothing runs yet. `machine`: a line on accelerator and time factor. `attended`: somebody
    /// may ask at any time what has shown.
    pub(crate) fn new(plan: Plan, machine: String, attended: bool) -> Self {
        let nodes = plan.nodes.iter().map(|_| NodeState::default()).collect();
        let hosts = plan.first_hosts();
        Self {
            plan,
            machine,
            nodes,
            phase: Phase::Booting,
            detach: false,
            images: Vec::new(),
            view: 0,
            hosts,
            members: Vec::new(),
            reference: None,
            jobs: 0,
            run: None,
            changes: Vec::new(),
            attended,
            past: None,
            awaited: Vec::new(),
            deed: Duration::ZERO,
            deadline: None,
            actions: Vec::new(),
        }
    }

    /// Takes one event; says what to do now, in this order.
    pub(crate) fn handle(&mut self, now: Duration, event: Event) -> Vec<Action> {
        if self.phase != Phase::Stopping {
            self.dispatch(now, event);
            self.tell_awaited(now);
        } else if let Event::Client { client, .. } = event {
            self.reply(client, Response::failed(EXIT_TESTBED, "the cluster is going down"));
        }
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due next.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        let fault = self.run.as_ref().and_then(|r| r.next_fault_time());
        [self.deadline, fault, self.next_patience()].into_iter().flatten().min()
    }

    fn dispatch(&mut self, now: Duration, event: Event) {
        match event {
            Event::Begin { detach } => self.begin(now, detach),
            Event::Spawned { node, pid } => {
                self.nodes[node].pid = Some(pid);
                self.nodes[node].spawned = now;
            }
            Event::Remark { text } => self.note(text),
            Event::Late { link, text } => self.note(format!("{link}: {text}")),
            Event::Cable(Told { cable, text }) => {
                self.progress(0, 0, &format!("cable {cable} {text}"))
            }
            Event::NotSpawned { node, reason } => self.fail_node(node, &reason),
            Event::Node { node, message } => self.heard(now, node, message),
            Event::Garbled { node, reason } => self.fail_node(node, &reason),
            Event::Line { node, text } => self.line(now, node, &text),
            Event::ConsolesRead => self.judge(),
            Event::Exited { node, status } => self.exited(now, node, &status),
            Event::SimStruck { target, strike } => self.sim_struck(now, target, strike),
            Event::SimEnded(result) => self.sim_ended(now, result),
            Event::Reference(result) => self.reference_known(now, result),
            Event::Client { client, request } => self.request(now, client, request),
            Event::ClientGone { client } => self.client_gone(client),
            Event::Tick => self.tick(now),
            Event::Signal => self.stop(EXIT_TESTBED, "stopped by a signal", None),
            Event::Unrecorded(why) => self.stop(EXIT_TESTBED, &why, None),
        }
    }

    fn heard(&mut self, now: Duration, node: usize, message: FromNode) {
        if self.nodes[node].life == Life::Dead && self.plan.backend != Backend::Sim {
            // Its last lines may still be in the pipe; a dead node decides nothing any more.
            return;
        }
        match message {
            FromNode::Hello { version, image, .. } => self.hello(now, node, version, image),
            FromNode::Event { event, .. } => self.node_event(now, node, &event),
            FromNode::Report { job, rank, sha256, .. } => self.report(now, job, rank, sha256),
            FromNode::Print { rank, text } => {
                let name = &self.plan.nodes[node].name;
                self.note(format!("{name}, rank {rank}: {text}"));
                self.line(now, node, &text);
            }
            FromNode::Measured { .. } => self.fail_node(node, "measures, which nobody asked for"),
            FromNode::Ended { job, code, words } => self.program_ended(now, node, job, code, words),
            FromNode::Held { at } => self.held(now, node, &at),
            FromNode::Failed { reason } => self.fail_node(node, &reason),
            FromNode::Panic { message, backtrace } => {
                self.fail_node_in(node, &format!("panicked: {message}"), backtrace);
            }
        }
    }

    fn request(&mut self, now: Duration, client: ClientId, request: Request) {
        if !matches!(request, Request::Status | Request::Expect { .. } | Request::Pcap { .. }) {
            self.deed = now;
        }
        match request {
            Request::Run => self.run_requested(now, client),
            Request::Exec { workload, args } => {
                self.exec_requested(now, client, Workload { name: workload, args });
            }
            Request::Expect { what } => {
                if let Err(reason) = self.expect(now, client, &what) {
                    self.reply(client, Response::failed(EXIT_USAGE, reason));
                }
            }
            Request::Status => {
                let status = self.status();
                self.reply(client, Response::Status { status });
            }
            Request::Kill { node } => match self.machine_to_touch(&node) {
                Err(reason) => self.reply(client, Response::failed(EXIT_USAGE, reason)),
                Ok(n) if self.nodes[n].life == Life::Dead => {
                    self.reply(client, Response::Done { text: format!("{node} is dead already") });
                }
                Ok(n) => {
                    self.kill(now, n);
                    self.reply(client, Response::Done { text: format!("{node} is killed") });
                }
            },
            Request::Reboot { node } => match self.machine_to_touch(&node) {
                Err(reason) => self.reply(client, Response::failed(EXIT_USAGE, reason)),
                Ok(n) => self.reboot(now, client, n),
            },
            Request::Migrate { what, to } => {
                if let Err(reason) = self.migrate(client, &what, &to) {
                    self.reply(client, Response::failed(EXIT_USAGE, reason));
                }
            }
            touched @ (Request::Cut { .. }
            | Request::Heal { .. }
            | Request::Degrade { .. }
            | Request::Pause { .. }
            | Request::Resume { .. }
            | Request::Pcap { .. }) => self.touch(now, client, touched),
            Request::Down => {
                let text = format!("cluster {} is down", self.plan.name);
                self.reply(client, Response::Done { text });
                // Whoever waits for something does not get it.
                let idle = self.phase == Phase::Up && self.onlookers().is_empty();
                let idle = idle && self.awaited.is_empty();
                let exit = if idle { EXIT_OK } else { EXIT_TESTBED };
                self.stop(exit, "the cluster was taken down", Some(client));
            }
        }
    }

    fn client_gone(&mut self, client: ClientId) {
        self.changes.retain(|(waits, _)| *waits != client);
        self.awaited.retain(|waiting| waiting.client != client);
        if client == OWNER && (!self.detach || self.phase == Phase::Booting) {
            self.stop(EXIT_TESTBED, "the verb that started the cluster ended", None);
        } else if let Some(run) = &mut self.run {
            run.watchers.retain(|&c| c != client);
        }
    }

    fn tick(&mut self, now: Duration) {
        self.fire_timed_faults(now);
        if self.deadline.is_some_and(|d| now >= d) {
            self.deadline = None;
            match self.phase {
                Phase::Booting => self.boot_timed_out(),
                Phase::Running => self.hangs(now),
                Phase::Up | Phase::Stopping => {}
            }
        }
    }

    fn exited(&mut self, now: Duration, node: usize, status: &str) {
        let state = &mut self.nodes[node];
        state.pid = None;
        state.exit = exit_code(status);
        if std::mem::take(&mut state.again) {
            return self.start_again(now, node);
        }
        let state = &self.nodes[node];
        if state.life != Life::Dead {
            let reason = format!("ended by itself ({status})");
            self.fail_node(node, &reason);
        }
    }

    /// A node did what no node may do: the testbed cannot go on.
    fn fail_node(&mut self, node: usize, reason: &str) {
        self.fail_node_in(node, reason, Vec::new());
    }

    /// The same, and in which calls it stood.
    fn fail_node_in(&mut self, node: usize, reason: &str, addresses: Vec<u64>) {
        let name = self.plan.nodes[node].name.clone();
        let response = Response::Failed {
            exit: EXIT_TESTBED,
            reason: format!("node {name} {reason}"),
            node: Some(name),
            frames: Frames { addresses, words: Vec::new() },
            console: Vec::new(),
        };
        self.nodes[node].life = Life::Dead;
        self.end_with(&response, None);
    }

    fn stop(&mut self, exit: u8, reason: &str, except: Option<ClientId>) {
        self.end_with(&Response::failed(exit, reason), except);
    }

    fn end_with(&mut self, response: &Response, except: Option<ClientId>) {
        let changes = std::mem::take(&mut self.changes).into_iter().map(|(client, _)| client);
        let awaited = std::mem::take(&mut self.awaited).into_iter().map(|w| w.client);
        // The owner hears of the end though it waits for nothing.
        let mut told: BTreeSet<ClientId> = changes.chain(awaited).chain([OWNER]).collect();
        told.extend(self.watchers());
        for client in told {
            if Some(client) != except {
                self.reply(client, response.clone());
            }
        }
        self.run = None;
        self.deadline = None;
        self.phase = Phase::Stopping;
        self.actions.push(Action::Stop);
    }

    /// Who waits for what goes on now.
    fn watchers(&self) -> Vec<ClientId> {
        match (&self.phase, &self.run) {
            (Phase::Booting, _) => vec![OWNER],
            (_, Some(run)) => run.watchers.clone(),
            _ => Vec::new(),
        }
    }

    /// Those, and who waits for a change of the members.
    fn onlookers(&self) -> BTreeSet<ClientId> {
        self.watchers().into_iter().chain(self.changes.iter().map(|(client, _)| *client)).collect()
    }

    fn reply(&mut self, client: ClientId, response: Response) {
        self.actions.push(Action::Reply { client, response });
    }

    fn note(&mut self, text: String) {
        for client in self.onlookers() {
            self.reply(client, Response::Note { text: text.clone() });
        }
    }

    fn progress(&mut self, done: usize, of: usize, text: &str) {
        let [done, of] = [done, of].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        for client in self.onlookers() {
            self.reply(client, Response::Progress { done, of, text: text.to_owned() });
        }
    }

    fn status(&self) -> Status {
        let phase = match self.phase {
            Phase::Booting => "booting",
            Phase::Up => "up",
            Phase::Running => "running",
            Phase::Stopping => "stopping",
        };
        let nodes =
            self.nodes.iter().zip(&self.plan.nodes).enumerate().map(|(i, (state, plan))| {
                let hosted = self.hosts.iter().enumerate().filter(|(_, h)| **h == i);
                NodeStatus {
                    name: plan.name.clone(),
                    role: self.plan.role(i),
                    image: image_name(self.plan.runs(i)).to_owned(),
                    state: state.words().to_owned(),
                    boot_us: state.boot.map(micros),
                    ranks: hosted.map(|(r, _)| crate::plan::number(r)).collect(),
                    pid: state.pid,
                }
            });
        Status {
            cluster: self.plan.name.clone(),
            backend: self.plan.backend.name().to_owned(),
            phase: phase.to_owned(),
            run_dir: String::new(),
            nodes: nodes.collect(),
            ports: Vec::new(),
        }
    }
}

/// The code with which a process ended, if it did by itself.
fn exit_code(status: &str) -> Option<i32> {
    status.rsplit_once("exit status: ").and_then(|(_, code)| code.trim().parse().ok())
}

/// A time in microseconds.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
