//! The daemon: owns everything of one cluster and does what the dispatcher decides.
//!
//! Everything that runs hangs on it: processes die with its spawner thread, whatever ends it, and
//! its name is free again as soon as it is gone. It is a process of its own behind verbs, and a thread in a program that
//! uses the harness as a library.

pub(crate) mod clients;
mod consoles;
pub(crate) mod nodes;
pub(crate) mod record;
mod signals;
mod socket;
mod starting;

use crate::backend::loopback::Loopback;
use crate::backend::qemu::Machine;
use crate::backend::spawn::{Process, Spawner};
use crate::backend::{Site, console};
use crate::cc;
use crate::client::How;
use crate::dispatcher::{Action, Dispatcher, Event, OWNER};
use crate::manifest::Manifest;
use crate::paths::{Name, Places};
use crate::plan::{Backend, Plan, Setting};
use crate::proto::{EXIT_TESTBED, EXIT_USAGE, Response};
use crate::switch::Fabric;
use crate::switch::wire::{News, Wire};
use anyhow::{Context as _, Result, ensure};
use clients::Clients;
use consoles::Consoles;
use nodes::Node;
use record::{Audience, Record};
use runtime_core::node::Image;
use signals::{Signals, told_to_end};
use socket::Socket;
use starting::Starting;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// What the daemon is told when it is started.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) places: Places,
    pub(crate) file: PathBuf,
    pub(crate) how: How,
    pub(crate) run_dir: PathBuf,
    /// Name of the cluster, instead of that of the file.
    pub(crate) name: Option<String>,
    /// Seed of everything random, instead of that of the file.
    pub(crate) seed: Option<u64>,
    /// The cluster outlives the verb that started it.
    pub(crate) detach: bool,
    /// It is a part of somebody else's program.
    pub(crate) embedded: Option<Embedded>,
}

/// What the program that a daemon is a part of has at hand.
#[derive(Clone, Debug)]
pub(crate) struct Embedded {
    /// Where the daemon's callers ask; the first of them is its owner.
    pub(crate) clients: Clients,
    /// Who is told what happens.
    pub(crate) audience: Audience,
}

/// An event and when it came. `sim`: from which simulated world.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Duration,
    pub(crate) event: Event,
    sim: Option<u32>,
}

/// Where all events come together.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    start: Instant,
    sender: mpsc::UnboundedSender<Arrival>,
}

impl Inbox {
    /// Times count from now; all arrivals come out at the other end.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Arrival>) {
        let (sender, events) = mpsc::unbounded_channel();
        (Self { start: Instant::now(), sender }, events)
    }

    /// Stamps an event with the time. Nobody listens only when the daemon is ending.
    pub(crate) fn put(&self, event: Event) {
        let at = self.start.elapsed();
        let _ = self.sender.send(Arrival { at, event, sim: None });
    }

    fn put_sim(&self, at: Duration, event: Event, sim: u32) {
        let _ = self.sender.send(Arrival { at, event, sim: Some(sim) });
    }
}

/// Runs the daemon to the end of its cluster, as a process of its own: its owner is on standard input.
pub(crate) fn main(setup: &Setup) -> Result<()> {
    let (inbox, events) = Inbox::new();
    let clients = Clients::new(inbox.clone());
    run(setup, inbox, events, &clients)
}

/// The same, in a thread of somebody's program: its owner is the first caller of [`Embedded::clients`].
pub(crate) fn embed(
    setup: &Setup,
    embedded: &Embedded,
    inbox: Inbox,
    events: mpsc::UnboundedReceiver<Arrival>,
) -> Result<()> {
    /// Whatever ends the daemon: nobody waits for an answer after it.
    struct End<'a>(&'a Embedded);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.clients.shut();
            self.0.audience.leave();
        }
    }
    let _end = End(embedded);
    run(setup, inbox, events, &embedded.clients)
}

fn run(
    setup: &Setup,
    inbox: Inbox,
    events: mpsc::UnboundedReceiver<Arrival>,
    clients: &Clients,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("cannot start the daemon's threads")?;
    let result = runtime.block_on(serve(setup, inbox, events, clients));
    // A verb that does not read, or a kernel that is still being fetched, must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn serve(
    setup: &Setup,
    inbox: Inbox,
    mut events: mpsc::UnboundedReceiver<Arrival>,
    clients: &Clients,
) -> Result<()> {
    let mut signals = None;
    if setup.embedded.is_none() {
        signals = Some(Signals::new()?);
        let owner = std::io::stdin().as_fd().try_clone_to_owned();
        clients.add_owner(owner.context("no standard input")?.into())?;
    }
    let (mut executor, dispatcher) = tokio::select! {
        prepared = prepare(setup, &inbox, clients) => match prepared {
            Ok(prepared) => prepared,
            Err((exit, error)) => {
                clients.send(OWNER, Response::failed(exit, format!("{error:#}")));
                clients.close().await;
                return Err(error);
            }
        },
        // The owner left, or somebody wants the daemon gone: nothing runs yet.
        () = gone(&mut events) => return Ok(()),
        () = told_to_end(&mut signals) => return Ok(()),
    };
    let listener = executor.listener.take();
    let accept = async {
        match &listener {
            Some(listener) => clients.accept(listener).await,
            None => std::future::pending().await,
        }
    };
    let work = executor.work(dispatcher, &mut events, &mut signals, clients);
    tokio::select! {
        () = accept => {}
        () = work => {}
    }
    executor.socket.remove();
    executor.end().await;
    // The name is free before any verb hears that the cluster is gone.
    drop(executor);
    clients.close().await;
    Ok(())
}

/// Ends when the owner's connection closes.
async fn gone(events: &mut mpsc::UnboundedReceiver<Arrival>) {
    while let Some(arrival) = events.recv().await {
        if matches!(arrival.event, Event::ClientGone { client: OWNER }) {
            return;
        }
    }
}

type Prepared = (Executor, Dispatcher);

/// Everything that can fail before the first node is started.
async fn prepare(
    setup: &Setup,
    inbox: &Inbox,
    clients: &Clients,
) -> Result<Prepared, (u8, anyhow::Error)> {
    let usage = |e: anyhow::Error| (EXIT_USAGE, e);
    let broken = |e: anyhow::Error| (EXIT_TESTBED, e);
    let mut file = topology::load(&setup.file).map_err(|e| usage(e.into()))?;
    let topology = file.name.clone();
    file.name = setup.name.clone().unwrap_or(file.name);
    file.seed = setup.seed.unwrap_or(file.seed);
    let name = setup.places.take_name(&file.name).map_err(usage)?;
    let socket = Socket::new(setup.places.socket(&file.name).map_err(broken)?);
    let listener = socket.listen().map_err(broken)?;

    let node_program = setup.places.node_program().map_err(broken)?;
    let spawner = Spawner::new().map_err(broken)?;
    let program = program(setup, &file).await.map_err(usage)?;
    let (mut machine, mut loopback) = (None, None);
    let words = match setup.how.backend {
        Backend::Qemu => {
            let text = "the guests' image is built, and the accelerator probed".to_owned();
            clients.send(OWNER, Response::Progress { done: 0, of: 0, text });
            let (places, node) = (setup.places.clone(), node_program.clone());
            let images: Vec<Image> = file.nodes.iter().map(|n| n.image).collect();
            let program = program.clone();
            let prepare = move || Machine::prepare(&places, &node, program.as_deref(), &images);
            let task = tokio::task::spawn_blocking(prepare);
            let prepared = task.await.map_err(|e| broken(e.into()))?.map_err(broken)?;
            let words = prepared.words.clone();
            machine = Some(prepared);
            words
        }
        Backend::Process => {
            loopback = Some(Loopback::claim().map_err(broken)?);
            "each node is a process of this machine; times as in the file".to_owned()
        }
        Backend::Sim => "the nodes are simulated; all times are virtual".to_owned(),
    };
    let factor = machine.as_ref().map_or(1, |m| m.factor);
    let placed_by = setup.run_dir.join("mcapi.yaml");
    let program = program.as_deref().map(|program| (program, placed_by.as_path()));
    let setting =
        Setting { backend: setup.how.backend, factor, loopback: loopback.as_ref(), program };
    let plan = Plan::new(&file, &setting);
    keep(setup, topology, &plan, &words).map_err(broken)?;
    let wire = wire(&plan, inbox).map_err(broken)?;
    let audience = setup.embedded.as_ref().map(|e| e.audience.clone());
    let consoles =
        Consoles::wanted(&setup.run_dir, &plan, audience.is_some(), inbox).map_err(broken)?;
    let kinds = machine.as_ref().map(|m| m.kinds(&plan.nodes)).filter(|_| !setup.how.cold);
    let mut site = Site::new(spawner, setup.run_dir.clone(), node_program, machine);
    let tell = |text| clients.send(OWNER, Response::Progress { done: 0, of: 0, text });
    site.keep_templates(&setup.places.templates(), &kinds.unwrap_or_default(), &tell).await;
    let executor = Executor {
        consoles,
        site: Arc::new(site),
        nodes: plan.nodes.iter().map(|_| None).collect(),
        record: Record::new(&setup.run_dir, audience).map_err(broken)?,
        unkept: None,
        inbox: inbox.clone(),
        starting: Starting::new(),
        wire,
        sim: None,
        sims: 0,
        socket,
        listener: Some(listener),
        plan: plan.clone(),
        _name: name,
        _loopback: loopback,
    };
    inbox.put(Event::Begin { detach: setup.detach });
    Ok((executor, Dispatcher::new(plan, words, setup.embedded.is_some())))
}

/// What moves frames, if there are any.
fn wire(plan: &Plan, inbox: &Inbox) -> Result<Option<Wire>> {
    let inbox = inbox.clone();
    let tell = move |news| {
        inbox.put(match news {
            News::Recording(text) => Event::Remark { text },
            News::Cable(told) => Event::Cable(told),
            News::Late { link, text } => Event::Late { link, text },
        })
    };
    plan.needs_switch().then(|| Wire::new(Fabric::new(plan), tell)).transpose()
}

/// The program of the file, built if need be.
async fn program(setup: &Setup, file: &topology::Topology) -> Result<Option<PathBuf>> {
    let Some(program) = file.run.as_ref().and_then(|run| run.program.as_ref()) else {
        return Ok(None);
    };
    // Its path is relative to the file.
    let path = setup.file.parent().unwrap_or(Path::new("")).join(&program.path);
    let out = setup.run_dir.join("program");
    let ready = tokio::task::spawn_blocking(move || cc::ready(&path, out)).await??;
    if setup.how.backend == Backend::Qemu {
        let about = fs::metadata(&ready);
        let about = about.with_context(|| format!("cannot read {}", ready.display()))?;
        let short = file.short_of_memory(about.len());
        ensure!(short.is_empty(), "{}: {}", setup.file.display(), short.join("; "));
    }
    Ok(Some(ready))
}

/// Writes down what is run, so that it can be run again.
fn keep(setup: &Setup, topology: String, plan: &Plan, machine: &str) -> Result<()> {
    fs::copy(&setup.file, setup.run_dir.join("topology.yaml")).with_context(|| {
        format!("cannot write into {}: is its disk full?", setup.run_dir.display())
    })?;
    let manifest = Manifest {
        topology,
        seed: plan.seed,
        backend: setup.how.backend.name().to_owned(),
        machine: machine.to_owned(),
        factor: plan.factor,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        programs: Manifest::programs_here(&setup.places),
    };
    manifest.write(&setup.run_dir)
}

/// Does what the dispatcher decides.
struct Executor {
    site: Arc<Site>,
    nodes: Vec<Option<Node>>,
    starting: Starting,
    record: Record,
    /// Why the last result is in no file.
    unkept: Option<String>,
    inbox: Inbox,
    wire: Option<Wire>,
    sim: Option<Process>,
    /// Number of the newest simulated world; lines of older ones do not count.
    sims: u32,
    socket: Socket,
    listener: Option<UnixListener>,
    plan: Plan,
    /// Held for as long as the cluster lives, and its socket.
    _name: Name,
    _loopback: Option<Loopback>,
    /// Followed only where somebody expects a line.
    consoles: Option<Consoles>,
}

impl Executor {
    /// Works until the dispatcher says stop.
    async fn work(
        &mut self,
        mut dispatcher: Dispatcher,
        events: &mut mpsc::UnboundedReceiver<Arrival>,
        signals: &mut Option<Signals>,
        clients: &Clients,
    ) {
        loop {
            let deadline = dispatcher.deadline().map(|d| self.inbox.start + d);
            let timer = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let arrival = tokio::select! {
                Some(arrival) = events.recv() => arrival,
                arrived = self.starting.next() => {
                    self.arrived(arrived);
                    continue;
                }
                () = timer => self.now(Event::Tick),
                () = told_to_end(signals) => self.now(Event::Signal),
            };
            if arrival.sim.is_some_and(|s| s != self.sims || self.sim.is_none()) {
                continue;
            }
            self.record.event(arrival.at, &arrival.event, &self.plan);
            if let Some(why) = self.record.trouble() {
                self.inbox.put(Event::Unrecorded(why));
            }
            if let (Event::Exited { node, .. }, Some(wire)) = (&arrival.event, &self.wire) {
                wire.unplug(*node);
            }
            for action in dispatcher.handle(arrival.at, arrival.event) {
                if action == Action::Stop {
                    return;
                }
                self.perform(action, clients).await;
            }
        }
    }

    fn now(&self, event: Event) -> Arrival {
        Arrival { at: self.inbox.start.elapsed(), event, sim: None }
    }

    async fn perform(&mut self, action: Action, clients: &Clients) {
        match action {
            Action::Spawn { node } => {
                self.spawn(node);
            }
            Action::Send { node, message } => {
                if let Some(node) = &self.nodes[node] {
                    node.send(&message);
                }
            }
            Action::Kill { node } => {
                if let Some(fate) = self.on_its_way(node) {
                    fate.killed = true;
                } else if let Some(killed) = &self.nodes[node] {
                    killed.process.kill();
                }
                self.unplug(node);
                self.record.killed(self.inbox.start.elapsed(), &self.plan.nodes[node].name);
            }
            Action::Freeze { .. } | Action::Slow { .. } | Action::Link { .. } => {
                self.disturb(action)
            }
            Action::Pcap { client, lines, on } => {
                let response = match self.pcap(&lines, on).await {
                    Ok(text) => Response::Done { text },
                    Err(e) => Response::failed(EXIT_TESTBED, format!("{e:#}")),
                };
                clients.send(client, response);
            }
            Action::ReadConsoles => {
                if let Some(consoles) = &self.consoles {
                    consoles.read();
                }
                self.inbox.put(Event::ConsolesRead);
            }
            Action::Reference(workload) => {
                let (site, inbox) = (self.site.clone(), self.inbox.clone());
                tokio::spawn(async move {
                    inbox.put(Event::Reference(site.reference(&workload).await));
                });
            }
            Action::Sim(plan) => {
                self.sims += 1;
                let (inbox, sim) = (self.inbox.clone(), self.sims);
                let tell = move |at, event| inbox.put_sim(at, event, sim);
                match self.site.simulate(&plan, tell).await {
                    Ok(process) => self.sim = Some(process),
                    Err(e) => self.inbox.put(Event::SimEnded(Err(format!("{e:#}")))),
                }
            }
            Action::Reply { client, response } => {
                let response = self.complete(response).await;
                clients.send(client, response);
            }
            Action::Keep(result) => {
                self.unkept = self.record.result(&result).err();
                if let Some(sim) = self.sim.take() {
                    sim.kill();
                }
            }
            Action::Stop => {}
        }
    }

    fn log(&mut self, node: usize, what: &str) {
        self.record.done(self.inbox.start.elapsed(), &self.plan.nodes[node].name, what);
    }

    /// Begins to record these lines, or stops; says to which files.
    async fn pcap(&self, lines: &[usize], on: bool) -> Result<String> {
        let wire = self.wire.as_ref().context("no frames pass a switch here")?;
        let (mut files, mut broken) = (Vec::new(), Vec::new());
        for line in lines {
            let link = self.plan.line_name(*line);
            let to = on.then(|| (self.site.free_file(&format!("link-{link}"), "pcapng"), link));
            match wire.pcap(*line, to).await {
                Ok(file) => files.extend(file),
                Err(e) => broken.push(format!("{e:#}")),
            }
        }
        ensure!(broken.is_empty(), "{}", broken.join("; "));
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        Ok(match (on, files.as_slice()) {
            (true, files) => format!("recording to {}", files.join(", ")),
            (false, []) => "nothing was recorded".to_owned(),
            (false, files) => format!("recorded to {}", files.join(", ")),
        })
    }

    /// What a fault does to a machine that goes on, or to its link.
    fn disturb(&mut self, action: Action) {
        match action {
            Action::Freeze { node, still } => {
                if let Some(fate) = self.on_its_way(node) {
                    fate.still = still;
                } else if let Some(frozen) = &self.nodes[node] {
                    frozen.process.freeze(still);
                }
                self.log(node, if still { "stands still" } else { "goes on" });
            }
            Action::Slow { node, percent } => {
                if let Some(fate) = self.on_its_way(node) {
                    fate.percent = Some(percent);
                } else if let Some(node) = &self.nodes[node] {
                    node.process.slow(percent);
                }
            }
            Action::Link { line, what } => {
                match line.checked_sub(self.plan.machines()) {
                    None => self.log(line, &what.words()),
                    Some(cable) => {
                        let words = what.cable_words(self.plan.cable_ends(cable));
                        let name = &self.plan.cables[cable].name;
                        self.record.done(self.inbox.start.elapsed(), name, &words);
                    }
                }
                if let Some(wire) = &self.wire {
                    wire.act(line, what);
                }
            }
            _ => {}
        }
    }

    fn unplug(&self, node: usize) {
        if let Some(wire) = &self.wire {
            wire.unplug(node);
        }
    }

    /// Adds what the dispatcher does not know.
    async fn complete(&mut self, mut response: Response) -> Response {
        match &mut response {
            Response::Up { status } | Response::Status { status } => {
                status.run_dir = self.site.run_dir.display().to_string();
                if let Some(wire) = &self.wire {
                    status.ports = wire.status().await;
                }
            }
            Response::Verdict { result } => result.unkept = self.unkept.clone(),
            Response::Failed { node: Some(node), console: lines, frames, .. } => {
                if let Some(n) = self.plan.node(node) {
                    frames.words = self.backtrace(n, &frames.addresses).await;
                    self.record.backtrace(self.inbox.start.elapsed(), node, &frames.words);
                }
                *lines = self.site.last_words(node);
                lines.push(format!("(all of it: {})", console(&self.site.run_dir, node).display()));
            }
            _ => {}
        }
        response
    }

    /// Where a node was when it panicked, in words.
    async fn backtrace(&self, node: usize, addresses: &[u64]) -> Vec<String> {
        if addresses.is_empty() {
            return Vec::new();
        }
        let (site, image, addresses) =
            (self.site.clone(), self.plan.runs(node), addresses.to_owned());
        let task = tokio::task::spawn_blocking(move || site.backtrace(image, &addresses));
        // A look at a strange file may fail in any way; the addresses are in the event log.
        task.await.unwrap_or_else(|e| vec![format!("the backtrace cannot be read: {e}")])
    }

    /// Kills everything, and waits until it is gone.
    async fn end(&mut self) {
        if let Some(sim) = self.sim.take() {
            sim.kill();
        }
        while !self.starting.is_empty() {
            let arrived = self.starting.next().await;
            self.arrived(arrived);
        }
        let nodes: Vec<Node> = self.nodes.iter_mut().filter_map(Option::take).collect();
        for node in &nodes {
            node.process.kill();
        }
        for node in nodes {
            node.ended().await;
        }
    }
}
