//! A whole topology in this process: the core's own simulator, with real workloads on real stacks
//! and real page faults, one at a time, on a virtual clock.

mod wires;

use anyhow::{Context, Error, Result, anyhow, bail};
use images_control::sim::{SimFault, SimLine, SimPlan, SimStrike, SimTarget, Trigger};
use images_control::{FromNode, VERSION, kind_of, to_line};
use runtime_core::event::Event;
use runtime_core::id::{Generation, NodeId, Rank};
use runtime_core::mem::PageMem;
use runtime_core::node::{Config, Role};
use runtime_core::time::Duration;
use runtime_driver::context::{Program, Request as Asked};
use runtime_linux::sim_host::Host;
use runtime_sim::world::Told;
use runtime_sim::{Answer, End, Machine, Request, World, WorldConfig};
use std::io::{Read, Write};
use wires::{Wires, settle_media};

/// Virtual time that a run may take.
const LIMIT: Duration = Duration::from_millis(3_600_000);
const MAX_PLAN: u64 = 1 << 22;

struct SimNode {
    host: Host,
    program: Program,
}

impl Machine for SimNode {
    fn mem(&mut self) -> &mut dyn PageMem {
        self.host.memory()
    }

    fn start(&mut self, rank: Rank, ranks: u16, restored: bool) {
        let outcome = if restored {
            self.host.adopt(rank)
        } else {
            self.host.start(&self.program, rank, ranks)
        };
        if let Err(error) = outcome {
            panic!("{rank} cannot start: {error}");
        }
    }

    fn resume(&mut self, answer: Answer) -> Request {
        let answer = match answer {
            Answer::Begin | Answer::Wake | Answer::Taken => Ok(0),
            Answer::Restored(epoch) => Ok(epoch),
            Answer::Complete(outcome) => outcome,
        };
        match self.host.resume(answer) {
            Ok(Asked::Call(call)) => Request::Call(call),
            Ok(Asked::Fault { page, access }) => Request::Fault(page, access),
            Ok(Asked::Print(line)) => Request::Print(line),
            Ok(Asked::Iteration(number)) => Request::Iteration(number),
            Ok(Asked::Report { bytes, text }) => Request::Report(bytes, text),
            Ok(Asked::Overflow) => Request::Fail(
                "the rank overflowed its stack: raise runtime.stack in the topology".into(),
            ),
            Ok(other) => Request::Fail(format!("the program failed: {other:x?}")),
            Err(error) => Request::Fail(error.to_string()),
        }
    }

    fn stop(&mut self) {
        self.host.stop();
    }
}

/// Reads a plan from standard input and runs it.
pub(crate) fn run() -> Result<()> {
    let mut text = String::new();
    std::io::stdin().take(MAX_PLAN).read_to_string(&mut text).context("cannot read the plan")?;
    let plan: SimPlan = serde_json::from_str(text.trim()).context(
        "the plan on standard input is none, or of another version: `make node` builds this program anew",
    )?;
    let mut teller = Teller::new(&plan)?;
    let mut world = world(&plan)?;
    for node in 0..plan.nodes.len() {
        let hello = FromNode::Hello { version: VERSION, image: String::new(), uptime_us: 0 };
        teller.says(0, node, hello)?;
    }
    let mut faults: Vec<Armed<'_>> = plan.faults.iter().map(Armed::new).collect();
    let mut changes =
        Changes { lives: vec![1; plan.nodes.len()], moves: Vec::new(), wires: Wires::new(&plan) };
    let end = loop {
        let next = next_timed(&faults, teller.started_us).map_or(u64::MAX, |us| us * 1_000);
        let end = world.step_before(next);
        if end.is_none() && next < u64::MAX && world.next_at().is_none_or(|at| at >= next) {
            world.pass_time_until(next);
        }
        let at_us = world.now_ns() / 1_000;
        let told = world.take_told();
        for (at_ns, node, told) in &told {
            teller.told(at_ns / 1_000, *node, told)?;
            changes.follow(&mut world, *node, told);
        }
        for fault in due(&mut faults, at_us, teller.started_us, &told) {
            changes.strike(&mut world, &fault);
            teller.struck(at_us, fault.target, fault.strike)?;
        }
        if let Some(end) = end {
            break end;
        }
    };
    match end {
        End::Done | End::Lost(_) => Ok(()),
        End::NoMajority => bail!("too few nodes are left to go on"),
        End::Wrong(why) => bail!("{why}"),
        End::Stalled => bail!("nothing moves any more"),
    }
}

/// What must be known of the past when something befalls a node.
struct Changes {
    /// The latest life of each node.
    lives: Vec<u32>,
    /// Ranks that are still to move.
    moves: Vec<(Rank, NodeId)>,
    wires: Wires,
}

impl Changes {
    fn strike(&mut self, world: &mut World<SimNode>, fault: &SimFault) {
        let (strike, changes) = (fault.strike, fault.changes.as_ref());
        match (fault.target, strike) {
            (target, SimStrike::Cut { from, to }) => self.wires.cut(world, target, [from, to]),
            (target, SimStrike::Degrade) => {
                if let Some(changes) = changes {
                    self.wires.degrade(world, target, changes);
                }
            }
            (target, SimStrike::Heal) => self.wires.heal(world, target),
            (SimTarget::Node(node), strike) => self.strike_node(world, NodeId(node), strike),
            // A cable neither dies nor computes: the plan's maker has seen to that.
            (SimTarget::Cable(_), _) => {}
        }
    }

    fn strike_node(&mut self, world: &mut World<SimNode>, node: NodeId, strike: SimStrike) {
        match strike {
            SimStrike::Kill => world.kill(node),
            SimStrike::Pause => world.pause(node),
            SimStrike::Resume => world.wake(node),
            SimStrike::Reboot => {
                let life = &mut self.lives[node.index()];
                *life += 1;
                world.kill(node);
                world.restart(node, Generation(*life));
            }
            SimStrike::Migrate { rank } => {
                self.moves.push((Rank(rank), node));
                world.migrate(Rank(rank), node);
            }
            SimStrike::Corrupt { rank } => world.damage(node, Rank(rank)),
            SimStrike::Cut { .. } | SimStrike::Degrade | SimStrike::Heal => {}
        }
    }

    fn follow(&mut self, world: &mut World<SimNode>, node: NodeId, told: &Told) {
        match told {
            Told::Event(Event::Joining { generation }) => {
                let life = &mut self.lives[node.index()];
                *life = (*life).max(generation.0);
            }
            // Whoever leads now may not have heard of them.
            Told::Event(Event::View { ranks, .. }) => {
                self.moves.retain(|(rank, to)| ranks.get(rank.index()) != Some(to));
                self.moves.iter().for_each(|(rank, to)| world.migrate(*rank, *to));
            }
            Told::Event(Event::MoveRefused { rank, to, .. }) => {
                self.moves.retain(|wanted| wanted != &(*rank, *to));
            }
            _ => {}
        }
    }
}

/// A fault that waits for its moment.
struct Armed<'a> {
    fault: &'a SimFault,
    /// Matching events so far.
    seen: u32,
    struck_us: Option<u64>,
}

impl<'a> Armed<'a> {
    const fn new(fault: &'a SimFault) -> Self {
        Self { fault, seen: 0, struck_us: None }
    }
}

/// When a fault is due that waits for a time, on the world's clock; `None` if it waits for something else.
fn time_of(trigger: &Trigger, started: Option<u64>, struck: &[Option<u64>]) -> Option<u64> {
    match trigger {
        Trigger::Time { us } => Some(started? + us),
        Trigger::Follows { faults, us } => {
            let index = |fault: &u32| usize::try_from(*fault).unwrap_or(usize::MAX);
            let before = faults.iter().map(|f| struck.get(index(f)).copied().flatten());
            // All of them, or not yet.
            let last = before.collect::<Option<Vec<u64>>>()?.into_iter().max()?;
            Some(last + us)
        }
        Trigger::Event { .. } => None,
    }
}

/// When the next fault is due of those that wait for a time.
fn next_timed(faults: &[Armed<'_>], started: Option<u64>) -> Option<u64> {
    let struck: Vec<Option<u64>> = faults.iter().map(|armed| armed.struck_us).collect();
    let waiting = faults.iter().filter(|armed| armed.struck_us.is_none());
    waiting.filter_map(|armed| time_of(&armed.fault.at, started, &struck)).min()
}

/// What strikes now, and whom.
fn due(
    faults: &mut [Armed<'_>],
    at_us: u64,
    started: Option<u64>,
    told: &[(u64, NodeId, Told)],
) -> Vec<SimFault> {
    let mut due = Vec::new();
    for n in 0..faults.len() {
        let struck: Vec<Option<u64>> = faults.iter().map(|armed| armed.struck_us).collect();
        let armed = &mut faults[n];
        if armed.struck_us.is_some() {
            continue;
        }
        let now = match &armed.fault.at {
            at @ Trigger::Event { .. } => told.iter().any(|(_, node, told)| {
                matches!(told, Told::Event(event) if matches(at, *node, event, &mut armed.seen))
            }),
            at => time_of(at, started, &struck).is_some_and(|at| at_us >= at),
        };
        if now {
            armed.struck_us = Some(at_us);
            due.push(armed.fault.clone());
        }
    }
    due
}

/// Is this the event that a trigger waits for? Counts those that match.
fn matches(trigger: &Trigger, from: NodeId, event: &Event, seen: &mut u32) -> bool {
    let Trigger::Event { event: kind, node, number, nth } = trigger else { return false };
    let same_node = node.is_none_or(|node| NodeId(node) == from);
    let same_number = number.is_none_or(|number| event.number() == Some(number));
    if !same_node || !same_number || kind_of(event) != *kind {
        return false;
    }
    *seen += 1;
    *seen == *nth
}

fn world(plan: &SimPlan) -> Result<World<SimNode>> {
    let first = plan.nodes.first().context("the plan has no nodes")?;
    let mut configs: Vec<Config> = plan
        .nodes
        .iter()
        .map(|node| guest::config(node, [0; 32]).map_err(Error::msg))
        .collect::<Result<_>>()?;
    if plan.links.len() > plan.nodes.len() {
        bail!("the plan has more links than nodes");
    }
    if let Some(words) = settle_media(plan, &mut configs)? {
        eprintln!("{words}");
    }
    let config = configs.first().context("the plan has no nodes")?;
    let sizes = guest::sizes(first, config);
    let (workload, args) =
        guest::workload(&plan.run.workload, plan.run.args.clone()).map_err(Error::msg)?;
    let program = runtime::image(workload.program, &args);
    let mut hosts = Vec::new();
    for _ in &plan.nodes {
        let host = Host::new(sizes).map_err(|e| anyhow!("memory of a simulated node: {e}"))?;
        hosts.push(std::cell::RefCell::new(Some(SimNode { host, program: program.clone() })));
    }
    let world_config = WorldConfig {
        nodes: configs,
        profile: netem::Profile::default(),
        seed: plan.seed,
        death_is_seen: plan.death_is_seen,
        limit: LIMIT,
    };
    let take = |node: NodeId| hosts.get(node.index()).and_then(|host| host.take());
    let mut world = World::new(world_config, |node| match take(node) {
        Some(machine) => machine,
        None => panic!("{node} is made once"),
    });
    Wires::new(plan).set_profiles(&mut world);
    Ok(world)
}

/// Writes what nodes tell as lines on standard output.
struct Teller {
    names: Vec<String>,
    cables: Vec<String>,
    job: u32,
    ranks: Vec<Option<Rank>>,
    started_us: Option<u64>,
    out: std::io::BufWriter<std::io::Stdout>,
}

impl Teller {
    fn new(plan: &SimPlan) -> Result<Self> {
        let first = plan.nodes.first().context("the plan has no nodes")?;
        let mut teller = Self {
            names: first.nodes.iter().map(|node| node.name.clone()).collect(),
            cables: plan.cables.iter().map(|cable| cable.name.clone()).collect(),
            job: plan.run.job,
            ranks: vec![None; plan.nodes.len()],
            started_us: None,
            out: std::io::BufWriter::new(std::io::stdout()),
        };
        // The first view: rank r on the r-th compute node.
        let nodes = (0u16..).map(NodeId).zip(&first.nodes);
        let hosts: Vec<NodeId> =
            nodes.filter(|(_, spec)| spec.role == Role::Compute).map(|(node, _)| node).collect();
        teller.set_hosts(&hosts);
        Ok(teller)
    }

    fn says(&mut self, at_us: u64, node: usize, message: FromNode) -> Result<()> {
        let node = self.names[node].clone();
        self.line(&SimLine { at_us, node, message: Some(message), struck: None })
    }

    fn struck(&mut self, at_us: u64, target: SimTarget, strike: SimStrike) -> Result<()> {
        let node = match target {
            SimTarget::Node(node) => self.names[usize::from(node)].clone(),
            SimTarget::Cable(cable) => self.cables[usize::from(cable)].clone(),
        };
        self.line(&SimLine { at_us, node, message: None, struck: Some(strike) })
    }

    fn line(&mut self, line: &SimLine) -> Result<()> {
        self.out.write_all(to_line(line).as_bytes()).context("cannot write to the harness")?;
        self.out.flush().context("cannot write to the harness")
    }

    fn told(&mut self, at_us: u64, node: NodeId, told: &Told) -> Result<()> {
        let rank = self.ranks[node.index()].unwrap_or_default().0;
        let message = match told {
            // Whoever waits for one of these has seen it in the world itself.
            Told::Event(event) if event.is_frequent() => return Ok(()),
            Told::Event(event) => {
                self.follow(at_us, event);
                FromNode::Event { at_us, event: event.clone() }
            }
            Told::Print(text) => FromNode::Print { rank, text: text.clone() },
            Told::Report(bytes, text) => FromNode::Report {
                job: self.job,
                rank,
                bytes: bytes.len() as u64,
                sha256: guest::sha256(bytes),
                text: text.clone(),
            },
        };
        self.says(at_us, node.index(), message)
    }

    /// Which node hosts which rank, and when ranks first ran.
    fn follow(&mut self, at_us: u64, event: &Event) {
        if let Event::View { ranks, .. } = event {
            self.set_hosts(ranks);
        }
        if let Event::Resumed { .. } = event {
            self.started_us.get_or_insert(at_us);
        }
    }

    fn set_hosts(&mut self, hosts: &[NodeId]) {
        self.ranks.fill(None);
        for (rank, host) in (0u16..).map(Rank).zip(hosts) {
            if let Some(slot) = self.ranks.get_mut(host.index()) {
                *slot = Some(rank);
            }
        }
    }
}

#[cfg(test)]
mod tests;
