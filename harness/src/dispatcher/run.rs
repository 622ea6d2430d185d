//! One run: from the command until the job is done, lost, or hangs.

use super::armed::Armed;
use super::sighting::Sighting;
use super::state::NodeState;
use super::{Action, ClientId, Dispatcher, LAST_WORDS, Life, Phase, QUIET_TIMEOUT, micros};
use crate::plan::{Backend, CablePlan, Expect, Fault, Target, Wanted, Workload, number};
use crate::proto::{EXIT_TESTBED, EXIT_USAGE, Response};
use crate::result::{Checkpoint, Death};
use images_control::sim::{SimCable, SimFault, SimPlan, SimTarget, Trigger};
use images_control::{Run as RunCommand, ToNode};
use runtime_core::event::Event as NodeEvent;
use runtime_core::id::Rank;
use std::collections::BTreeMap;
use std::time::Duration;

/// How a run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every node that hosts a rank says so.
    Done,
    /// A node says that the job cannot go on.
    Lost(String),
    /// Nothing happens any more, or nobody is left: what was the state.
    Stuck(String),
}

/// What is to be run, and what must come of it.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) workload: Workload,
    pub(super) expect: Vec<Expect>,
}

/// A run under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) job: u32,
    pub(super) order: Order,
    pub(super) watchers: Vec<ClientId>,
    /// When the nodes were told to run.
    pub(super) started: Option<Duration>,
    pub(super) faults: Vec<Armed>,
    /// Result of each rank; the last one handed in counts.
    pub(super) reports: BTreeMap<u16, String>,
    /// Nodes that said the job is done, and what they kept for recoveries at most, in bytes.
    done: BTreeMap<usize, u64>,
    /// How a program ended on each node: as it should, and in words.
    pub(super) ended: BTreeMap<usize, (bool, String)>,
    /// Epochs taken; those not committed are dropped by a recovery.
    epochs: BTreeMap<u64, Taken>,
    /// The view of the newest recovery.
    recovery: u64,
    pub(super) deaths: Vec<Dead>,
    /// The job cannot go on, for this reason; the last words of a node are waited for.
    lost: Option<String>,
    /// When and how it ended; for a while what is on consoles is still being told.
    pub(super) end: Option<(Duration, End)>,
    /// What somebody looks for and has shown.
    pub(super) sightings: Vec<Sighting>,
}

/// An epoch, over all nodes.
#[derive(Debug, Default)]
struct Taken {
    sums: Checkpoint,
    committed: bool,
    /// Hosts that said so.
    told: usize,
}

/// A death, and the view in which the node died.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) view: u64,
    pub(super) at: Duration,
    /// It was only away, and came back.
    pub(super) back: bool,
    pub(super) death: Death,
}

impl Dead {
    /// Did it matter to anybody? Who was back before anyone missed it did not die, whatever others recover from later.
    const fn was_missed(&self) -> bool {
        !self.back || self.death.detected_us.is_some() || self.death.by.is_some()
    }
}

impl Run {
    /// Most bytes that a node kept for recoveries, if it has said so.
    pub(super) fn kept_bytes(&self, node: usize) -> Option<u64> {
        self.done.get(&node).copied()
    }

    fn new(job: u32, client: ClientId, order: Order, faults: &[Fault]) -> Self {
        Self {
            job,
            watchers: vec![client],
            started: None,
            faults: faults.iter().map(Armed::new).collect(),
            order,
            reports: BTreeMap::new(),
            done: BTreeMap::new(),
            ended: BTreeMap::new(),
            epochs: BTreeMap::new(),
            recovery: 0,
            deaths: Vec::new(),
            lost: None,
            end: None,
            sightings: Vec::new(),
        }
    }

    /// How long it took, or has taken until now, in microseconds.
    pub(super) fn took_us(&self, now: Duration) -> u64 {
        let until = self.end.as_ref().map_or(now, |(at, _)| *at);
        self.started.map_or(0, |started| micros(until.saturating_sub(started)))
    }

    /// All deaths, in their order.
    pub(super) fn deaths(&self) -> Vec<Death> {
        let missed = self.deaths.iter().filter(|dead| dead.was_missed());
        missed.map(|dead| dead.death.clone()).collect()
    }

    /// When the next fault with a time is due.
    pub(super) fn next_fault_time(&self) -> Option<Duration> {
        let waiting = self.faults.iter().filter(|armed| armed.fired.is_none());
        waiting.filter_map(|armed| self.due(&armed.fault.at)).min()
    }

    /// When a moment comes, or came, if that is known and no event.
    pub(super) fn due(&self, at: &Trigger) -> Option<Duration> {
        match at {
            Trigger::Time { us } => Some(self.started? + Duration::from_micros(*us)),
            Trigger::Follows { faults, us } => {
                let fired = |f: &u32| self.faults.get(usize::try_from(*f).ok()?)?.fired;
                let fired: Option<Vec<Duration>> = faults.iter().map(fired).collect();
                Some(fired?.into_iter().max()? + Duration::from_micros(*us))
            }
            Trigger::Event { .. } => None,
        }
    }

    /// When a fault of the file struck for the last time, or ended, if it has done all that it is to do.
    pub(super) fn last_blow(&self, item: usize) -> Option<Duration> {
        let blows = self.faults.iter().filter(|a| a.fault.item == item);
        let fired: Option<Vec<Duration>> = blows.map(|a| a.fired).collect();
        fired?.into_iter().max()
    }

    /// Who was away is back.
    pub(super) fn is_back(&mut self, node: &str) {
        if let Some(dead) = self.deaths.iter_mut().rev().find(|d| d.death.node == node) {
            dead.back = true;
        }
    }

    /// Committed epochs, in order.
    pub(super) fn checkpoints(&self) -> impl Iterator<Item = &Checkpoint> {
        self.epochs.values().filter(|t| t.committed).map(|t| &t.sums)
    }

    /// A rank stands at another node: that ends the wait for every host that it lost until now, also
    /// for those that died before they had it. Says whether it ended any.
    fn taken_over(&mut self, now: Duration, rank: u16, epoch: u64, by: &str) -> bool {
        let waits =
            |d: &&mut Dead| d.death.rank == Some(rank) && d.death.by.is_none() && d.was_missed();
        let mut first = false;
        for dead in self.deaths.iter_mut().filter(waits) {
            first = true;
            dead.death.takeover_us = Some(micros(now.saturating_sub(dead.at)));
            dead.death.by = Some(by.to_owned());
            dead.death.epoch = Some(epoch);
        }
        first
    }

    /// Notes what an event says about deaths and checkpoints. Returns a line where it is news.
    fn note(
        &mut self,
        now: Duration,
        view: u64,
        names: &[String],
        hosts: &[usize],
        node: usize,
        event: &NodeEvent,
    ) -> Option<String> {
        let name = &names[node];
        match event {
            NodeEvent::Suspected { peer, .. } => {
                let peer = names.get(peer.index())?;
                let dead = self.deaths.iter_mut().rev().find(|d| d.death.node == *peer)?;
                let first = dead.death.detected_us.is_none();
                dead.death.detected_us.get_or_insert(micros(now.saturating_sub(dead.at)));
                first.then(|| format!("{name} suspects {peer}"))
            }
            NodeEvent::RolledBack { rank, epoch, taken_over } => {
                self.done.remove(&node);
                let first = *taken_over && self.taken_over(now, rank.0, epoch.0, name);
                first.then(|| format!("{name} has taken over {rank} at {epoch}"))
            }
            NodeEvent::Resumed { view: resumed, epoch, .. } => {
                // A rank that begins anew stands nowhere before it runs.
                let mut news = Vec::new();
                if let Some(rank) = hosts.iter().position(|&h| h == node && resumed.0 == view)
                    && self.taken_over(now, number(rank), epoch.0, name)
                {
                    news.push(format!("{name} has taken over {} at {epoch}", Rank(number(rank))));
                }
                // Ranks that begin, or go on for another reason, do not go on after a death that nobody noticed.
                let waits = |d: &&mut Dead| {
                    let noticed = d.death.detected_us.is_some() || d.death.by.is_some();
                    d.view < resumed.0 && d.death.resumed_us.is_none() && noticed
                };
                let mut over: Vec<&mut Dead> = self.deaths.iter_mut().filter(waits).collect();
                for dead in &mut over {
                    dead.death.resumed_us = Some(micros(now.saturating_sub(dead.at)));
                }
                if !over.is_empty() {
                    news.push(format!("all ranks run again from {epoch}"));
                }
                (!news.is_empty()).then(|| news.join("; "))
            }
            NodeEvent::Recovering { .. } if view > self.recovery => {
                self.recovery = view;
                self.epochs.retain(|_, t| t.committed);
                None
            }
            NodeEvent::CheckpointStaged { epoch, .. } => {
                let sums = &mut self.epochs.entry(epoch.0).or_default().sums;
                sums.epoch = epoch.0;
                sums.add_staged(event);
                None
            }
            NodeEvent::CheckpointCommitted { epoch, blocked_us, waited_us, overlapped_us } => {
                let taken = self.epochs.entry(epoch.0).or_default();
                taken.sums.epoch = epoch.0;
                taken.sums.add_stop(*blocked_us, *waited_us);
                taken.sums.overlapped_us = taken.sums.overlapped_us.max(*overlapped_us);
                taken.committed = true;
                taken.told += 1;
                let [dirty, sent] =
                    [taken.sums.dirty_bytes, taken.sums.sent_bytes].map(|b| b / 1024);
                // Each host told what it staged before this; when all have, the sums are whole.
                (taken.told == hosts.len())
                    .then(|| format!("{epoch} is committed: {dirty} KiB changed, {sent} KiB sent"))
            }
            NodeEvent::CheckpointPaced { cost_us, interval_us, .. } => {
                let [cost, interval] = [cost_us, interval_us].map(|us| us / 1000);
                Some(format!("a checkpoint costs {cost} ms: the next one is after {interval} ms"))
            }
            NodeEvent::JobDone { job, counters } if job.0 == self.job => {
                self.done.insert(node, counters.kept_bytes);
                None
            }
            _ => None,
        }
    }
}

impl Dispatcher {
    pub(super) fn run_requested(&mut self, now: Duration, client: ClientId) {
        let refusal = self.is_busy().or_else(|| match &self.plan.workload {
            None => Some("the topology has no `run:`, so there is nothing to run".to_owned()),
            _ => self.dead_but_needed(),
        });
        match (refusal, self.plan.workload.clone()) {
            (None, Some(workload)) => {
                let (faults, expect) = (self.plan.faults.clone(), self.plan.expect.clone());
                self.begin_run(now, client, Order { workload, expect }, &faults);
            }
            (refusal, _) => {
                self.reply(client, Response::failed(EXIT_USAGE, refusal.unwrap_or_default()));
            }
        }
    }

    /// Another workload than that of the file: nothing is done to it, and its result must be right.
    pub(super) fn exec_requested(&mut self, now: Duration, client: ClientId, workload: Workload) {
        let own = "the nodes of this cluster run a program of their own, and no workloads";
        let own = self.plan.program.is_some().then(|| own.to_owned());
        if let Some(reason) = self.is_busy().or(own) {
            return self.reply(client, Response::failed(EXIT_USAGE, reason));
        }
        let words = "the result of the sequential program, bit for bit".to_owned();
        let expect = vec![Expect { what: Wanted::Reference, words }];
        self.begin_run(now, client, Order { workload, expect }, &[]);
    }

    fn is_busy(&self) -> Option<String> {
        match self.phase {
            Phase::Booting => Some("the cluster is not up yet".to_owned()),
            Phase::Running => Some(format!("job {} is still running on this cluster", self.jobs)),
            Phase::Up | Phase::Stopping => None,
        }
    }

    fn begin_run(&mut self, now: Duration, client: ClientId, order: Order, faults: &[Fault]) {
        self.jobs += 1;
        self.past = None;
        self.phase = Phase::Running;
        let wanted = order.expect.iter().any(|e| e.what == Wanted::Reference);
        let known = self.reference.as_ref().is_some_and(|(of, _)| *of == order.workload);
        let workload = order.workload.clone();
        self.run = Some(Run::new(self.jobs, client, order, faults));
        if wanted && !known {
            let text = format!("the sequential {} runs for the reference", workload.name);
            self.progress(0, 0, &text);
            self.actions.push(Action::Reference(workload));
        } else {
            self.start(now);
        }
    }

    pub(super) fn reference_known(&mut self, now: Duration, result: Result<String, String>) {
        match result {
            Ok(sha256) => {
                let of = self.run.as_ref().map(|run| run.order.workload.clone());
                if let Some(of) = of {
                    self.reference = Some((of, sha256));
                    self.start(now);
                }
            }
            Err(reason) => {
                let reason = format!("the sequential program does not run: {reason}");
                for client in self.watchers() {
                    self.reply(client, Response::failed(EXIT_USAGE, reason.clone()));
                }
                self.run = None;
                self.phase = Phase::Up;
            }
        }
    }

    fn command(&self) -> Option<RunCommand> {
        let Workload { name, args } = &self.run.as_ref()?.order.workload;
        Some(RunCommand { job: self.jobs, workload: name.clone(), args: args.clone() })
    }

    fn start(&mut self, now: Duration) {
        let Some(command) = self.command() else { return };
        if self.plan.backend == Backend::Sim {
            self.start_sim(command);
            return;
        }
        if let Some(run) = &mut self.run {
            run.started = Some(now);
        }
        for node in 0..self.nodes.len() {
            if self.nodes[node].life != Life::Dead && !self.nodes[node].deaf {
                self.tell_to_run(node);
            }
        }
        self.heard_something(now);
        self.progress(0, 0, &format!("job {} runs", command.job));
        self.tell_started();
        self.fire_timed_faults(now);
    }

    pub(super) fn tell_to_run(&mut self, node: usize) {
        if let Some(command) = self.command() {
            self.actions.push(Action::Send { node, message: ToNode::Run(command) });
        }
    }

    fn start_sim(&mut self, run: RunCommand) {
        for state in &mut self.nodes {
            *state = NodeState::default();
        }
        self.images.clear();
        self.view = 0;
        self.hosts = self.plan.first_hosts();
        let armed = self.run.iter().flat_map(|run| &run.faults);
        let fault = |f: &Fault| {
            let at = f.at.clone();
            let target = match f.target {
                Target::Node(node) => SimTarget::Node(number(node)),
                Target::Cable(cable) => SimTarget::Cable(number(cable)),
            };
            let changes = f.changes.as_deref();
            let changes = changes.map(|both| both.each_ref().map(crate::plan::sim_change));
            Some(SimFault { target, strike: crate::plan::sim_strike(f.strike)?, at, changes })
        };
        let plan = SimPlan {
            seed: self.plan.seed,
            // Nothing can happen between a simulated trigger and its kill: no holds.
            nodes: (0..self.nodes.len())
                .map(|n| images_control::Configure { holds: Vec::new(), ..self.plan.configure(n) })
                .collect(),
            links: self.plan.nodes.iter().map(|n| n.link).collect(),
            cables: self.plan.cables.iter().map(|cable| self.sim_cable(cable)).collect(),
            death_is_seen: self.plan.switches.iter().all(|switch| switch.port_notices),
            faults: armed.filter_map(|armed| fault(&armed.fault)).collect(),
            run,
        };
        self.actions.push(Action::Sim(Box::new(plan)));
    }

    /// A cable with the seats of the nodes that are on its near side.
    fn sim_cable(&self, cable: &CablePlan) -> SimCable {
        let near = |node: &usize| cable.sim.near.contains(&number(self.plan.machine_of(*node)));
        let near = (0..self.nodes.len()).filter(near).map(number).collect();
        SimCable { near, ..cable.sim.clone() }
    }

    pub(super) fn sim_ready(&mut self, now: Duration) {
        if let Some(run) = self.run.as_mut().filter(|r| r.started.is_none()) {
            run.started = Some(now);
            let text = format!("job {} runs", run.job);
            self.progress(0, 0, &text);
            self.tell_started();
        }
    }

    pub(super) fn sim_ended(&mut self, now: Duration, result: Result<(), String>) {
        if self.run.is_none() {
            return;
        }
        match result {
            Ok(()) => self.over(now, End::Stuck("the simulation ended before the job".into())),
            Err(reason) => {
                for client in self.watchers() {
                    let reason = format!("the simulation failed: {reason}");
                    self.reply(client, Response::failed(EXIT_TESTBED, reason));
                }
                self.run = None;
                self.phase = Phase::Up;
            }
        }
    }

    pub(super) fn report(&mut self, now: Duration, job: u32, rank: u16, sha256: String) {
        self.heard_something(now);
        if let Some(run) = self.run.as_mut().filter(|r| r.job == job) {
            run.reports.insert(rank, sha256);
        }
    }

    pub(super) fn node_event(&mut self, now: Duration, node: usize, event: &NodeEvent) {
        self.heard_something(now);
        match event {
            NodeEvent::Ready { .. } => self.node_ready(now, node),
            NodeEvent::Joining { generation } => self.node_joins(node, generation.0),
            NodeEvent::MoveRefused { rank, to, reason } => self.move_refused(*rank, *to, reason),
            NodeEvent::Corrupted { rank, epoch } => self.corrupted(*rank, node, *epoch),
            NodeEvent::View { view, ranks, members, .. } if view.0 >= self.view => {
                let newer = view.0 > self.view;
                self.view = view.0;
                self.members = members.iter().map(|n| n.index()).collect();
                self.hosts = ranks.iter().map(|n| n.index()).collect();
                if newer {
                    self.view_changed();
                }
            }
            _ => {}
        }
        if self.run.is_some() {
            self.saw_event(now, node, event);
            self.run_event(now, node, event);
            self.fire_event_faults(now, node, event);
            self.check_end(now);
        }
    }

    fn run_event(&mut self, now: Duration, node: usize, event: &NodeEvent) {
        let names: Vec<String> = self.plan.nodes.iter().map(|n| n.name.clone()).collect();
        let view = match event {
            NodeEvent::Recovering { view, .. } => view.0,
            _ => self.view,
        };
        let hosts = &self.hosts;
        let text = self.run.as_mut().and_then(|r| r.note(now, view, &names, hosts, node, event));
        if let Some(text) = text {
            self.progress(0, 0, &text);
        }
        if let NodeEvent::Doubled { rank, on } = event {
            let host = names.get(on.index()).map_or("?", String::as_str);
            let seat = self.name(node);
            let text =
                format!("degraded: {host} hosts two ranks, for {rank} runs on its seat {seat}");
            self.progress(0, 0, &text);
        }
        if let NodeEvent::NoMajority { members, .. } = event {
            self.check_majority(now, usize::from(*members));
        }
        if let NodeEvent::JobLost { job, reason } = event
            && self.run.as_ref().is_some_and(|r| r.job == job.0)
        {
            self.lost(now, format!("{} says: {reason}", self.name(node)));
        }
    }

    /// The job cannot go on. If the others miss a node of which nothing is known here, its own last words are on
    /// their way, and they say more: they are waited for.
    fn lost(&mut self, now: Duration, reason: String) {
        let is_known =
            |node: &NodeState| node.life == Life::Dead || node.away.is_some() || node.outside;
        let mut others = (0..self.nodes.len()).filter(|node| !self.members.contains(node));
        let is_explained = self.view == 0 || others.all(|node| is_known(&self.nodes[node]));
        if is_explained || self.plan.backend == Backend::Sim {
            return self.over(now, End::Lost(reason));
        }
        if let Some(run) = self.run.as_mut().filter(|run| run.lost.is_none()) {
            run.lost = Some(reason);
            self.deadline = Some(now + self.plan.scaled(LAST_WORDS));
        }
    }

    /// The nodes cannot agree on anything any more if too few of them are left; who is dead stays so.
    fn check_majority(&mut self, now: Duration, members: usize) {
        let nodes = self.nodes.iter().zip(&self.plan.nodes).filter(|(_, plan)| plan.host.is_none());
        let alive = nodes.filter(|(n, _)| n.life != Life::Dead && !n.outside).count();
        if alive * 2 <= members {
            let reason = format!("no majority: {alive} of {members} members are left");
            self.over(now, End::Lost(reason));
        }
    }

    pub(super) fn check_end(&mut self, now: Duration) {
        if self.plan.program.is_some() {
            return self.check_program_end(now);
        }
        let Some(run) = &self.run else { return };
        let done = !self.hosts.is_empty() && self.hosts.iter().all(|h| run.done.contains_key(h));
        if done {
            self.over(now, End::Done);
        } else if self.nodes.iter().all(|n| n.life == Life::Dead) {
            self.over(now, End::Stuck("every node is dead".to_owned()));
        } else if !self.members.is_empty()
            && self.members.iter().all(|node| self.nodes[*node].life == Life::Dead)
        {
            // Whoever is left was replaced, and nobody is there to let it in again.
            let reason = format!("every member of view {} is dead", self.view);
            self.over(now, End::Stuck(reason));
        }
    }

    pub(super) fn hangs(&mut self, now: Duration) {
        if let Some(reason) = self.run.as_mut().and_then(|run| run.lost.take()) {
            return self.over(now, End::Lost(reason));
        }
        if let Some(program) = &self.plan.program {
            let reason = self.still_running(program.timeout);
            return self.over(now, End::Stuck(reason));
        }
        let quiet = self.plan.scaled(QUIET_TIMEOUT).as_secs();
        let states: Vec<String> = (self.nodes.iter().zip(&self.plan.nodes))
            .map(|(state, plan)| format!("{} {}", plan.name, state.words()))
            .collect();
        let reason = format!("no node said anything for {quiet} s ({})", states.join(", "));
        self.over(now, End::Stuck(reason));
    }

    fn heard_something(&mut self, now: Duration) {
        let is_lost = self.run.as_ref().is_some_and(|run| run.lost.is_some());
        if self.phase == Phase::Running && self.plan.backend != Backend::Sim && !is_lost {
            self.deadline = Some(match (&self.plan.program, &self.run) {
                // A program says nothing until it ends.
                (Some(program), Some(run)) => {
                    run.started.unwrap_or(now) + self.plan.scaled(program.timeout)
                }
                _ => now + self.plan.scaled(QUIET_TIMEOUT),
            });
        }
    }
}
