//! A whole topology in this process: the core's own simulator, with real workloads on real stacks
//! and real page faults, one at a time, on a virtual clock.

use anyhow::{Context, Error, Result, anyhow, bail};
use images_control::sim::{
    SimChange, SimFault, SimLine, SimLink, SimPlan, SimProfile, SimStrike, Trigger,
};
use images_control::{Configure, FromNode, VERSION, kind_of, to_line};
use runtime_core::event::Event;
use runtime_core::id::{Generation, NodeId, Rank};
use runtime_core::mem::PageMem;
use runtime_core::node::{Config, Medium, Role};
use runtime_core::time::Duration;
use runtime_driver::context::{Program, Request as Asked};
use runtime_linux::sim_host::Host;
use runtime_sim::world::Told;
use runtime_sim::{Answer, End, Machine, Request, World, WorldConfig};
use std::io::{Read, Write};

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
    let plan: SimPlan = serde_json::from_str(text.trim()).context("the plan on standard input")?;
    let mut teller = Teller::new(&plan)?;
    let mut world = world(&plan)?;
    for node in 0..plan.nodes.len() {
        let hello = FromNode::Hello { version: VERSION, image: String::new(), uptime_us: 0 };
        teller.says(0, node, hello)?;
    }
    let mut faults: Vec<Armed<'_>> = plan.faults.iter().map(Armed::new).collect();
    let mut changes = Changes {
        lives: vec![1; plan.nodes.len()],
        moves: Vec::new(),
        first: plan.links.clone(),
        links: plan.links.clone(),
        hosts: seats(&plan),
    };
    let end = loop {
        let end = world.step();
        let at_us = world.now_ns() / 1_000;
        let told = world.take_told();
        for (at_ns, node, told) in &told {
            teller.told(at_ns / 1_000, *node, told)?;
            changes.follow(&mut world, *node, told);
        }
        for fault in due(&mut faults, at_us, teller.started_us, &told) {
            let node = NodeId(fault.node);
            changes.strike(&mut world, node, fault.strike, fault.changes.as_ref());
            teller.struck(at_us, node, fault.strike)?;
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
    /// Links as in the beginning, and as they are.
    first: Vec<SimLink>,
    links: Vec<SimLink>,
    /// Whose seat each node is, if it is one: on the same machine, behind the same link.
    hosts: Vec<Option<u16>>,
}

impl Changes {
    /// A link is another one now.
    fn relink(&mut self, world: &mut World<SimNode>, node: NodeId, link: SimLink) {
        let with_seat = |n: &usize| *n == node.index() || self.hosts.get(*n) == Some(&Some(node.0));
        for n in (0..self.links.len()).filter(with_seat) {
            self.links[n] = link;
        }
        set_profiles(world, &self.links, &self.hosts);
    }

    fn strike(
        &mut self,
        world: &mut World<SimNode>,
        node: NodeId,
        strike: SimStrike,
        changes: Option<&[SimChange; 2]>,
    ) {
        match strike {
            SimStrike::Kill => world.kill(node),
            SimStrike::Pause => world.pause(node),
            SimStrike::Resume => world.wake(node),
            SimStrike::Cut { from, to } => world.isolate(node, from, to),
            SimStrike::Degrade => {
                if let (Some([up, down]), Some(old)) = (changes, self.links.get(node.index())) {
                    let link = SimLink { up: up.of(old.up), down: down.of(old.down) };
                    self.relink(world, node, link);
                }
            }
            SimStrike::Heal => {
                world.rejoin(node);
                if let Some(first) = self.first.get(node.index()) {
                    self.relink(world, node, *first);
                }
            }
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
            Trigger::Time { us } => started.is_some_and(|s| at_us >= s + us),
            Trigger::Follows { faults, us } => {
                let index = |fault: &u32| usize::try_from(*fault).unwrap_or(usize::MAX);
                let before = faults.iter().map(|f| struck.get(index(f)).copied().flatten());
                // All of them, or not yet.
                let last = before.collect::<Option<Vec<u64>>>();
                last.is_some_and(|l| l.into_iter().max().is_some_and(|last| at_us >= last + us))
            }
            at @ Trigger::Event { .. } => told.iter().any(|(_, node, told)| {
                matches!(told, Told::Event(event) if matches(at, *node, event, &mut armed.seen))
            }),
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
    set_profiles(&mut world, &plan.links, &seats(plan));
    Ok(world)
}

/// Between each two nodes, their links one after the other.
fn set_profiles(world: &mut World<SimNode>, links: &[SimLink], hosts: &[Option<u16>]) {
    for (a, up) in links.iter().enumerate() {
        for (b, down) in links.iter().enumerate() {
            let id = |n: usize| NodeId(u16::try_from(n).unwrap_or(u16::MAX));
            let perfect = SimProfile::default();
            let way = match on_one_machine(hosts, a, b) {
                true => joined(&perfect, &perfect),
                false => joined(&up.up, &down.down),
            };
            world.set_profile(id(a), id(b), way);
        }
    }
}

/// What a node and its seat say to each other goes over no link.
fn on_one_machine(hosts: &[Option<u16>], a: usize, b: usize) -> bool {
    let machine = |node: usize| hosts.get(node).copied().flatten().map_or(node, usize::from);
    machine(a) == machine(b)
}

/// Whose seat each node is, if it is one.
fn seats(plan: &SimPlan) -> Vec<Option<u16>> {
    let host =
        |(n, configure): (usize, &Configure)| configure.nodes.get(n).and_then(|spec| spec.host);
    plan.nodes.iter().enumerate().map(host).collect()
}

/// A stream over a link that loses frames is TCP's work; here the datagram link does it, and this says
/// between whom.
fn settle_media(plan: &SimPlan, configs: &mut [Config]) -> Result<Option<String>> {
    let hosts = seats(plan);
    let lossy = |link: &SimLink| !is_perfect(&link.up) || !is_perfect(&link.down);
    // A fault may make it so later.
    let degrades = |node: usize| {
        let of_node = plan.faults.iter().filter(|f| usize::from(f.node) == node);
        of_node
            .filter_map(|f| f.changes.as_ref())
            .flatten()
            .any(|c| !is_perfect(&c.of(SimProfile::default())))
    };
    let lossy = |node: usize| plan.links.get(node).is_some_and(lossy) || degrades(node);
    let name = |node: usize| plan.nodes[node].nodes.get(node).map_or("?", |spec| &spec.name);
    let mut changed = Vec::new();
    for (a, b) in (0..configs.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
        let (one, other) = (configs[a].media.get(b), configs[b].media.get(a));
        if one != other {
            bail!("{} and {} do not agree on what is between them", name(a), name(b));
        }
        let over_links = !on_one_machine(&hosts, a, b) && (lossy(a) || lossy(b));
        if one == Some(&Medium::Stream) && over_links {
            (configs[a].media[b], configs[b].media[a]) = (Medium::Datagram, Medium::Datagram);
            changed.push(format!("{}-{}", name(a), name(b)));
        }
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let all = changed.join(", ");
    Ok(Some(format!("links lose frames: the datagram link stands in for TCP between {all}")))
}

const fn is_perfect(p: &SimProfile) -> bool {
    p.loss_ppm == 0 && p.duplicate_ppm == 0 && p.reorder_ppm == 0 && p.corrupt_ppm == 0
}

/// Two links one after the other, as one.
fn joined(first: &SimProfile, second: &SimProfile) -> netem::Profile {
    let either = |a: u32, b: u32| {
        let (a, b) = (f64::from(a) / 1e6, f64::from(b) / 1e6);
        1.0 - (1.0 - a) * (1.0 - b)
    };
    let rates = [first.rate_bits_per_s, second.rate_bits_per_s];
    let loss = either(first.loss_ppm, second.loss_ppm);
    netem::Profile {
        // A switch and two drivers take their time even where the links take none.
        delay_ns: first.delay_ns + second.delay_ns + 20_000,
        jitter_ns: first.jitter_ns + second.jitter_ns,
        loss: if loss > 0.0 { netem::Loss::Random(loss) } else { netem::Loss::None },
        duplicate: either(first.duplicate_ppm, second.duplicate_ppm),
        reorder: either(first.reorder_ppm, second.reorder_ppm),
        corrupt: either(first.corrupt_ppm, second.corrupt_ppm),
        rate_bits_per_s: rates.into_iter().filter(|rate| *rate > 0).min(),
        ..netem::Profile::default()
    }
}

/// Writes what nodes tell as lines on standard output.
struct Teller {
    names: Vec<String>,
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

    fn struck(&mut self, at_us: u64, node: NodeId, strike: SimStrike) -> Result<()> {
        let node = self.names[node.index()].clone();
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
