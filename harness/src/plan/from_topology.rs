//! From the checked topology to the harness's terms.

mod program;

use super::{
    Backend, CablePlan, Expect, FREQUENT, Fault, NodePlan, Plan, Setting, Target, Wanted, Workload,
    number,
};
use crate::backend::NET_FD;
use images_control::sim::{SimCable, SimChange, SimLink, SimProfile, Trigger};
use images_control::{Hold, Nic, RuntimeSpec, Transport};
use netem::{Change, Distribution, Loss, Profile};
use runtime_core::id::NodeId;
use runtime_core::node::Role;
use std::time::Duration;
use topology::{Expectation, OnExhausted, Strike, Topology};

/// Where a guest listens.
const GUEST_PORT: u16 = 7411;
/// Where the seat of a guest listens, at the address of the guest.
const SEAT_PORT: u16 = 7412;
/// Of what a part of the frames is written on the wire.
const MILLION: f64 = 1_000_000.0;

impl Plan {
    /// The plan of a topology, on what there is to run it.
    pub(crate) fn new(topology: &Topology, setting: &Setting<'_>) -> Self {
        let factor = setting.factor;
        Self {
            name: topology.name.clone(),
            seed: topology.seed,
            backend: setting.backend,
            factor,
            nodes: nodes(topology, setting),
            switches: topology.switches.clone(),
            cables: (0..topology.cables.len()).map(|n| cable(topology, n)).collect(),
            runtime: runtime(topology, factor),
            workload: topology
                .run
                .as_ref()
                .map(|r| Workload { name: r.workload.clone(), args: r.args.clone() }),
            program: program::program(topology, setting),
            faults: topology.faults.iter().map(|f| fault(topology, f)).collect(),
            expect: topology
                .expectations
                .iter()
                .filter_map(|e| {
                    let what = wanted(e, factor)?;
                    Some(Expect { what, words: topology.expectation_words(e) })
                })
                .collect(),
        }
    }
}

/// Faults and expectations that this harness cannot fulfil; leaving them out would promise too much.
pub(super) fn unsupported(topology: &Topology, backend: Backend) -> Vec<String> {
    let tcp = topology.links.iter().any(|link| link.transport == topology::Transport::Tcp);
    let no_way = |f: &topology::Fault| match (backend, f.strike) {
        // What a process says to another by TCP goes past the switch.
        (Backend::Process, Strike::Cut(_) | Strike::Heal | Strike::Degrade) if tcp => {
            "between processes that speak tcp"
        }
        (Backend::Process, Strike::Fill(_)) => "of a process, only of a guest",
        (Backend::Sim, Strike::Slow(_) | Strike::Fill(_)) => "in a simulated world",
        _ => "",
    };
    let mut faults: Vec<String> = topology
        .faults
        .iter()
        .filter(|f| !no_way(f).is_empty() && f.ends.is_none())
        .map(|f| format!("{} {}", topology.fault_words(f.item), no_way(f)))
        .collect();
    faults.dedup();
    let program = topology.run.as_ref().is_some_and(|run| run.program.is_some());
    let program = (program && backend == Backend::Sim)
        .then(|| "run.program with backend sim, only with process and qemu".to_owned());
    let loopback = topology.nodes.iter().any(|node| node.address.is_loopback());
    let loopback = (loopback && backend == Backend::Qemu).then(|| {
        "an address of 127.0.0.0/8 with backend qemu: guests reach nobody by it".to_owned()
    });
    let expect = topology.expectations.iter().filter(|e| wanted(e, 1).is_none());
    let degrades = topology.faults.iter().filter(|_| backend == Backend::Sim);
    let degrades = degrades.filter_map(|f| {
        let what = f.changes.as_deref()?.iter().find_map(change_beyond_sim)?;
        Some(format!("{what} with backend sim ({})", topology.fault_words(f.item)))
    });
    let links = topology.links.iter().filter(|_| backend == Backend::Sim);
    let links = links.filter_map(|link| {
        let what = beyond_sim(&link.up).or_else(|| beyond_sim(&link.down))?;
        let name = &topology.nodes[link.node].name;
        Some(format!("{what} on the link of {name} with backend sim"))
    });
    let cables = topology.cables.iter().filter(|_| backend == Backend::Sim);
    let cables = cables.filter_map(|cable| {
        let what = beyond_sim(&cable.a_to_b).or_else(|| beyond_sim(&cable.b_to_a))?;
        Some(format!("{what} on {} with backend sim", cable.name))
    });
    let ring = topology.spare_cables().into_keys().next().filter(|_| backend == Backend::Sim);
    let ring = ring.map(|spare| {
        format!("a ring of cables ({}) with backend sim", topology.cables[spare].name)
    });
    faults
        .into_iter()
        .chain(degrades)
        .chain(ring)
        .chain(links)
        .chain(cables)
        .chain(program)
        .chain(loopback)
        .chain(expect.map(|e| topology.expectation_words(e)))
        .collect()
}

/// The nodes of the file, and after them their seats, in the same order, as the runtime numbers them.
fn nodes(topology: &Topology, setting: &Setting<'_>) -> Vec<NodePlan> {
    let count = topology.nodes.len();
    let mut nodes: Vec<NodePlan> = (0..count).map(|n| node_plan(topology, n, setting)).collect();
    if topology.runtime.on_exhausted == OnExhausted::DoubleUp {
        let seats: Vec<NodePlan> = (0..count).map(|n| seat_plan(topology, n, setting)).collect();
        nodes.extend(seats);
        for (n, node) in nodes.iter_mut().enumerate() {
            // What is on one machine speaks TCP there, whatever goes over the link.
            let of_machine = |other: usize| other % count == n % count && other != n;
            let to = |other: usize| match of_machine(other) {
                true => Transport::Tcp,
                false => node.transports[other % count],
            };
            node.transports = (0..2 * count).map(to).collect();
        }
    }
    // What a machine needs, its node and its seat need together.
    let kept = topology.kept_bytes(&topology.survival());
    for (n, node) in nodes.iter_mut().enumerate() {
        node.kept_limit = kept[n % count];
    }
    nodes
}

/// The seat on the machine of a node: it reaches others as the node does, and has addresses of its own.
fn seat_plan(topology: &Topology, host: usize, setting: &Setting<'_>) -> NodePlan {
    let of_host = node_plan(topology, host, setting);
    let taken = |mac: &[u8; 6]| topology.nodes.iter().any(|node| node.mac == *mac);
    // More candidates than nodes and seats of a cluster within its limit: they do not run dry.
    let mut free = (0..=u8::MAX).map(|n| [0x52, 0x54, 0, 0, 1, n]).filter(|mac| !taken(mac));
    let mac = hardware_address(free.nth(host).unwrap_or_default());
    let nic = of_host.nic.clone().map(|nic| match setting.backend {
        // A guest has one card for both.
        Backend::Qemu => nic,
        Backend::Process | Backend::Sim => Nic { mac: mac.clone(), ..nic },
    });
    NodePlan {
        name: seat_name(&of_host.name),
        host: Some(host),
        seat: None,
        role: Role::Standby,
        address: match setting.loopback {
            Some(loopback) => loopback.address(topology.nodes.len() + host),
            None => format!("{}:{SEAT_PORT}", topology.nodes[host].address),
        },
        mac,
        nic,
        ..of_host
    }
}

fn seat_name(host: &str) -> String {
    format!("{host}+")
}

fn hardware_address(bytes: [u8; 6]) -> String {
    bytes.map(|b| format!("{b:02x}")).join(":")
}

fn node_plan(topology: &Topology, index: usize, setting: &Setting<'_>) -> NodePlan {
    let node = &topology.nodes[index];
    let link = &topology.links[index];
    let doubles = topology.runtime.on_exhausted == OnExhausted::DoubleUp;
    let mac = hardware_address(node.mac);
    let transports = transports(topology, index);
    let ethernet =
        (0..transports.len()).any(|n| n != index && transports[n] == Transport::Ethernet);
    // A process has no card of its own: the harness hands it the end of a cable.
    let fd = (setting.backend == Backend::Process).then_some(NET_FD);
    let nic = Nic {
        mac: mac.clone(),
        address: node.address.to_string(),
        prefix: topology.subnet.prefix,
        mtu: link.mtu.into(),
        fd,
    };
    NodePlan {
        name: node.name.clone(),
        host: None,
        seat: doubles.then(|| seat_name(&node.name)),
        role: node.role,
        board: node.board,
        image: node.image,
        memory_bytes: node.memory_bytes,
        kept_limit: 0,
        board_bytes: topology.board_memory[usize::from(node.board)],
        cpus: node.cpus.into(),
        console: node.console,
        address: match setting.loopback {
            Some(loopback) => loopback.address(index),
            None => format!("{}:{GUEST_PORT}", node.address),
        },
        mac,
        transports,
        nic: (setting.backend == Backend::Qemu || ethernet).then_some(nic),
        switch: link.switch,
        vlan: link.vlan,
        node_first: link.node_first,
        link: SimLink {
            up: sim_profile(&link.up, link.mtu),
            down: sim_profile(&link.down, link.mtu),
        },
        up: link.up,
        down: link.down,
    }
}

fn cable(topology: &Topology, index: usize) -> CablePlan {
    let topology::Cable { name, ends, a_to_b, b_to_a, vlans } = topology.cables[index].clone();
    // A frame that a card can send passes: only cards have a largest packet.
    let [up, down] = [&a_to_b, &b_to_a].map(|way| sim_profile(way, 0));
    let near = topology.near(index).into_iter().map(|node| node.0).collect();
    let sim = SimCable { name: name.clone(), link: SimLink { up, down }, near };
    CablePlan { name, ends, vlans, up: a_to_b, down: b_to_a, sim }
}

/// How a node reaches each node; for itself, how it reaches most others.
fn transports(topology: &Topology, index: usize) -> Vec<Transport> {
    let own = topology.nodes[index].id;
    let to = |n: &topology::Node| match topology.transport_between(own, n.id) {
        topology::Transport::Tcp => Transport::Tcp,
        topology::Transport::Ethernet => Transport::Ethernet,
    };
    let mut transports: Vec<Transport> = topology.nodes.iter().map(to).collect();
    let ethernet = transports.iter().filter(|t| **t == Transport::Ethernet).count();
    // Over Ethernet it counts itself.
    if 2 * ethernet >= transports.len() {
        transports[index] = Transport::Ethernet;
    }
    transports
}

fn runtime(topology: &Topology, factor: u32) -> RuntimeSpec {
    let r = &topology.runtime;
    RuntimeSpec {
        binding: r.binding,
        quorum: r.quorum,
        heartbeat_us: micros(r.heartbeat.saturating_mul(factor)),
        suspect_after: r.suspect_after,
        join_timeout_us: micros(r.join_timeout.saturating_mul(factor)),
        redundancy: r.redundancy,
        checkpoint: r.checkpoint,
        shared_bytes: r.shared_bytes,
        heap_bytes: r.heap_bytes,
        stack_bytes: r.stack_bytes,
    }
}

fn fault(topology: &Topology, fault: &topology::Fault) -> Fault {
    let (at, hold) = trigger(&fault.trigger, topology.seed);
    Fault {
        item: fault.item,
        ends: fault.ends.is_some(),
        strike: fault.strike,
        target: match fault.target {
            topology::Target::Node(node) => Target::Node(node.index()),
            topology::Target::Cable(cable) => Target::Cable(cable),
        },
        changes: fault.changes.clone(),
        at,
        hold: hold.filter(|_| fault.hold),
        words: topology.fault_words(fault.item),
    }
}

/// The moment, and how the node stands still at it if it is an event.
fn trigger(trigger: &topology::Trigger, seed: u64) -> (Trigger, Option<Hold>) {
    let at = |us| (Trigger::Time { us }, None);
    let event = |event: &str, number: Option<u64>, nth: u32, on: NodeId| {
        let (event, node) = (event.to_owned(), Some(self::number(on.index())));
        let hold = Hold { event: event.clone(), number, nth, still: true };
        (Trigger::Event { event, node, number, nth }, Some(hold))
    };
    match trigger {
        topology::Trigger::Start => at(0),
        topology::Trigger::After(after) => at(micros(*after)),
        topology::Trigger::Random { from, to, draw } => {
            let (from, to) = (micros(*from), micros(*to));
            at(from + netem::draw(seed, *draw, to.saturating_sub(from)))
        }
        topology::Trigger::Checkpoint { epoch, phase, on } => {
            event(phase.event_kind(), Some(*epoch), 1, *on)
        }
        topology::Trigger::Barrier { number, on } => event(FREQUENT[0], Some(*number), 1, *on),
        topology::Trigger::Iteration { number, on } => event(FREQUENT[1], Some(*number), 1, *on),
        topology::Trigger::Event { kind, nth, on } => event(kind, None, *nth, *on),
        topology::Trigger::Follows { faults, delay } => {
            let faults = faults.iter().map(|f| u32::try_from(*f).unwrap_or(u32::MAX)).collect();
            (Trigger::Follows { faults, us: micros(*delay) }, None)
        }
    }
}

fn wanted(expectation: &Expectation, factor: u32) -> Option<Wanted> {
    let scaled = |within: &Option<Duration>| within.map(|w| w.saturating_mul(factor));
    Some(match expectation {
        Expectation::ResultIsReference => Wanted::Reference,
        Expectation::Takeover { of, by, within } => {
            Wanted::Takeover { of: of.index(), by: by.map(NodeId::index), within: scaled(within) }
        }
        Expectation::NoTakeover => Wanted::NoTakeover,
        Expectation::Epochs(n) => Wanted::Checkpoints(*n),
        Expectation::Seen { sight, times, within, after } => Wanted::Seen {
            sight: sight.clone(),
            times: *times,
            within: scaled(within),
            after: *after,
        },
        Expectation::Never(sight) => Wanted::Never(sight.clone()),
        Expectation::Order(sights) => Wanted::Order(sights.clone()),
        Expectation::State { node, outcome } => {
            Wanted::State { node: node.index(), outcome: *outcome }
        }
        Expectation::Metric { metric, at_least, at_most } => {
            let factor = if metric.is_time() { u64::from(factor) } else { 1 };
            let scaled = |bound: &Option<u64>| bound.map(|b| b.saturating_mul(factor));
            // Only what may take longer does: a lower bound stays.
            Wanted::Metric { metric: *metric, at_least: *at_least, at_most: scaled(at_most) }
        }
        _ => return None,
    })
}

/// What the sim makes of a profile that [`beyond_sim`] finds nothing in.
fn sim_profile(link: &Profile, mtu: u16) -> SimProfile {
    let loss = match link.loss {
        Loss::Random(p) => p,
        Loss::None | Loss::GilbertElliott { .. } => 0.0,
    };
    SimProfile {
        delay_ns: link.delay_ns,
        jitter_ns: link.jitter_ns,
        loss_ppm: ppm(loss),
        duplicate_ppm: ppm(link.duplicate),
        reorder_ppm: ppm(link.reorder),
        corrupt_ppm: ppm(link.corrupt),
        rate_bits_per_s: link.rate_bits_per_s.unwrap_or(0),
        mtu: mtu.into(),
    }
}

/// What the sim, which has one way between two nodes for the links of both, cannot make of a profile.
fn beyond_sim(link: &Profile) -> Option<&'static str> {
    let uneven = link.jitter_ns > 0 && link.distribution != Distribution::Uniform;
    let all = [
        (matches!(link.loss, Loss::GilbertElliott { .. }), "loss in bursts"),
        (link.drop.is_some(), "a drop rule"),
        (link.flap.is_some(), "a flap"),
        (uneven, "jitter that is not uniform"),
    ];
    all.into_iter().find(|(there, _)| *there).map(|(_, what)| what)
}

/// The same of a change.
fn change_beyond_sim(change: &Change) -> Option<&'static str> {
    // Of a profile without it, an end of it is nothing new.
    let perfect = topology::Link::PERFECT;
    let uneven = change.distribution.is_some_and(|d| d != Distribution::Uniform);
    uneven.then_some("jitter that is not uniform").or_else(|| beyond_sim(&change.of(perfect, 0)))
}

/// What the sim makes of a change.
pub(crate) fn sim_change(change: &Change) -> SimChange {
    let loss = |loss| match loss {
        Loss::Random(p) => p,
        Loss::None | Loss::GilbertElliott { .. } => 0.0,
    };
    SimChange {
        delay_ns: change.delay_ns,
        jitter_ns: change.jitter_ns,
        loss_ppm: change.loss.map(loss).map(ppm),
        duplicate_ppm: change.duplicate.map(ppm),
        reorder_ppm: change.reorder.map(ppm),
        corrupt_ppm: change.corrupt.map(ppm),
        rate_bits_per_s: change.rate_bits_per_s.map(Option::unwrap_or_default),
    }
}

/// A part of the frames, of a million.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number lies between 0 and a million"
)]
fn ppm(part: f64) -> u32 {
    (part.clamp(0.0, 1.0) * MILLION).round() as u32
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
