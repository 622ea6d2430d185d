//! From the checked topology to the harness's terms.

use super::{Backend, Expect, Fault, NodePlan, Plan, Setting, Wanted, Workload, number};
use crate::backend::NET_FD;
use images_control::sim::{SimLink, SimProfile, Trigger};
use images_control::{Hold, Nic, RuntimeSpec, Transport};
use netem::{Loss, Profile};
use runtime_core::id::NodeId;
use runtime_core::node::Role;
use std::time::Duration;
use topology::{Expectation, LinkProfile, OnExhausted, Strike, Topology};

/// Where a guest listens.
const GUEST_PORT: u16 = 7411;
/// Where the seat of a guest listens, at the address of the guest.
const SEAT_PORT: u16 = 7412;
/// Bytes that wait for a slow link before frames are dropped.
const QUEUE_BYTES: usize = 1 << 20;
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
            runtime: runtime(topology, factor),
            workload: topology
                .run
                .as_ref()
                .map(|r| Workload { name: r.workload.clone(), args: r.args.clone() }),
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
    let no_way = |f: &&topology::Fault| match (backend, f.strike) {
        // What a process says to another by TCP goes past the switch.
        (Backend::Process, Strike::Cut | Strike::Heal) => {
            topology.links.iter().any(|link| link.transport == topology::Transport::Tcp)
        }
        _ => false,
    };
    let faults = topology.faults.iter().filter(no_way);
    let expect = topology.expectations.iter().filter(|e| wanted(e, 1).is_none());
    let faults =
        faults.map(|f| format!("{} between processes that speak tcp", topology.fault_words(f)));
    faults.chain(expect.map(|e| topology.expectation_words(e))).collect()
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
        mtu: link.up.mtu.into(),
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
        cpus: node.cpus.into(),
        address: match setting.loopback {
            Some(loopback) => loopback.address(index),
            None => format!("{}:{GUEST_PORT}", node.address),
        },
        mac,
        transports,
        nic: (setting.backend == Backend::Qemu || ethernet).then_some(nic),
        switch: link.switch,
        link: SimLink { up: sim_profile(&link.up), down: sim_profile(&link.down) },
        up: profile(&link.up),
        down: profile(&link.down),
    }
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
    let on = |on: NodeId| Some(number(on.index()));
    let (at, hold) = match &fault.trigger {
        topology::Trigger::Start => (Trigger::Time { us: 0 }, None),
        topology::Trigger::After(after) => (Trigger::Time { us: micros(*after) }, None),
        topology::Trigger::Checkpoint { epoch, phase, on: node } => {
            let event = phase.event_kind().to_owned();
            let hold = Hold { event: event.clone(), epoch: Some(*epoch), nth: 1 };
            (Trigger::Event { event, node: on(*node), epoch: Some(*epoch), nth: 1 }, Some(hold))
        }
        topology::Trigger::Event { kind, nth, on: node } => {
            let hold = Hold { event: kind.clone(), epoch: None, nth: *nth };
            let event = kind.clone();
            (Trigger::Event { event, node: on(*node), epoch: None, nth: *nth }, Some(hold))
        }
    };
    Fault {
        strike: fault.strike,
        node: fault.node.index(),
        at,
        hold: hold.filter(|_| fault.hold),
        words: topology.fault_words(fault),
    }
}

fn wanted(expectation: &Expectation, factor: u32) -> Option<Wanted> {
    Some(match expectation {
        Expectation::ResultIsReference => Wanted::Reference,
        Expectation::Takeover { of, by, within } => Wanted::Takeover {
            of: of.index(),
            by: by.map(NodeId::index),
            within: within.map(|w| w.saturating_mul(factor)),
        },
        Expectation::NoTakeover => Wanted::NoTakeover,
        Expectation::Epochs(n) => Wanted::Checkpoints(*n),
        _ => return None,
    })
}

fn profile(link: &LinkProfile) -> Profile {
    Profile {
        delay_ns: link.delay_ns,
        jitter_ns: link.jitter_ns,
        loss: if link.loss > 0.0 { Loss::Random(link.loss) } else { Loss::None },
        duplicate: link.duplicate,
        reorder: link.reorder,
        corrupt: link.corrupt,
        rate_bits_per_s: link.rate_bits_per_s,
        queue_bytes: QUEUE_BYTES,
    }
}

fn sim_profile(link: &LinkProfile) -> SimProfile {
    SimProfile {
        delay_ns: link.delay_ns,
        jitter_ns: link.jitter_ns,
        loss_ppm: ppm(link.loss),
        duplicate_ppm: ppm(link.duplicate),
        reorder_ppm: ppm(link.reorder),
        corrupt_ppm: ppm(link.corrupt),
        rate_bits_per_s: link.rate_bits_per_s.unwrap_or(0),
        mtu: link.mtu.into(),
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
