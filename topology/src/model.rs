//! The checked topology. Every name is resolved to an index, every quantity is in base units, and
//! what the file leaves out is filled in.

use runtime_core::checkpoint::Redundancy;
use runtime_core::id::{NodeId, Rank};
use runtime_core::node::{Binding, Image, Policy, Quorum, Role};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// A cluster, what runs on it, what breaks, and what must hold. Made by [`crate::load`] only.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// Seed of everything random.
    pub seed: u64,
    /// Names of the fault domains.
    pub boards: Vec<String>,
    /// The nodes, in the order of the file: `nodes[i].id` is `NodeId(i)`.
    pub nodes: Vec<Node>,
    /// The switches.
    pub switches: Vec<Switch>,
    /// The links, one per node, in the order of the nodes: `links[i].node` is `i`.
    pub links: Vec<Link>,
    /// The one network that all nodes are in.
    pub subnet: Subnet,
    /// Settings that all nodes share.
    pub runtime: Runtime,
    /// The program, if the file names one.
    pub run: Option<Run>,
    /// What breaks, in the order of the file.
    pub faults: Vec<Fault>,
    /// What must hold in the end.
    pub expectations: Vec<Expectation>,
}

/// One node.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// What it does in the first view.
    pub role: Role,
    /// Index in [`Topology::boards`].
    pub board: u16,
    /// Memory of the machine. Left out: 96 MiB, or as much as it may need at most.
    pub memory_bytes: u64,
    /// Processors of the machine.
    pub cpus: u16,
    /// What it boots.
    pub image: Image,
    /// Its processor.
    pub arch: Arch,
    /// Hardware address of its NIC.
    pub mac: [u8; 6],
    /// Its address in [`Topology::subnet`].
    pub address: Ipv4Addr,
    /// The MCAPI nodes that live on it. Left out: node *k* of domain 1 lives on the *k*-th node, from 1.
    pub mcapi: Vec<McapiName>,
}

/// Name of an MCAPI node, one in the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct McapiName {
    /// Its domain.
    pub domain: u32,
    /// Its number in the domain.
    pub node: u32,
}

/// Processor of a node.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
}

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    pub network: Ipv4Addr,
    /// Bits of the prefix.
    pub prefix: u8,
}

/// What nodes are linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// Does it tell all ports when one of them loses its signal, as managed switches can?
    pub port_notices: bool,
}

/// A cable from a node to a switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Index in [`Topology::nodes`].
    pub node: usize,
    /// Index in [`Topology::switches`].
    pub switch: usize,
    /// From the node to the switch.
    pub up: LinkProfile,
    /// From the switch to the node.
    pub down: LinkProfile,
    /// What its node speaks over it where the other node does so too; see
    /// [`Topology::transport_between`].
    pub transport: Transport,
}

/// What one direction of a link does to frames. The default is a perfect link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkProfile {
    /// How long a frame travels.
    pub delay_ns: u64,
    /// How far the delay varies, either way.
    pub jitter_ns: u64,
    /// Part of the frames that is lost, 0 to 1.
    pub loss: f64,
    /// Part of the frames that arrives twice, 0 to 1.
    pub duplicate: f64,
    /// Part of the frames that is overtaken by later ones, 0 to 1.
    pub reorder: f64,
    /// Part of the frames that is damaged, 0 to 1.
    pub corrupt: f64,
    /// Bits per second; `None`: no limit.
    pub rate_bits_per_s: Option<u64>,
    /// Largest packet in bytes; the same in both directions of a link.
    pub mtu: u16,
}

impl Default for LinkProfile {
    fn default() -> Self {
        Self {
            delay_ns: 0,
            jitter_ns: 0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            corrupt: 0.0,
            rate_bits_per_s: None,
            mtu: 1500,
        }
    }
}

/// What carries frames between nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP connections.
    Tcp,
    /// Raw Ethernet frames.
    Ethernet,
}

/// What becomes of a rank that no standby is left for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExhausted {
    /// The run stops, and says so.
    Stop,
    /// A survivor hosts two ranks: every node has a second node program, its *seat*.
    DoubleUp,
}

/// Settings of the runtime that all nodes share.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// What the shared memory speaks.
    pub binding: Binding,
    /// What carries frames on links that do not say otherwise.
    pub transport: Transport,
    /// How often a sign of life is sent.
    pub heartbeat: Duration,
    /// So many silent heartbeats make a peer suspect.
    pub suspect_after: u32,
    /// How long the first contact may take.
    pub join_timeout: Duration,
    /// Who decides on views.
    pub quorum: Quorum,
    /// Bytes of shared memory, whole pages.
    pub shared_bytes: u64,
    /// Bytes of heap of a rank, whole pages.
    pub heap_bytes: u64,
    /// Bytes of stack of a rank, whole pages.
    pub stack_bytes: u64,
    /// Checkpoints besides those that the program asks for.
    pub checkpoint: Policy,
    /// How each epoch outlives its host.
    pub redundancy: Redundancy,
    /// What becomes of a rank that no standby is left for.
    pub on_exhausted: OnExhausted,
    /// Port of a node's first MCAPI node over TCP; those after it have the ports after it.
    pub mcapi_port: u16,
}

/// The program to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub workload: String,
    /// Its arguments, as they stand in the file.
    pub args: BTreeMap<String, String>,
    /// It is no workload but a program on MCAPI, of this name.
    pub program: Option<Program>,
}

/// A program on MCAPI: it runs on every node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// An executable or C source, as it stands in the file: relative to it.
    pub path: PathBuf,
    /// Its arguments, the same on every node.
    pub args: Vec<String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Something that breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub strike: Strike,
    /// To which node; a rank moves to it.
    pub node: NodeId,
    /// The node stands still at the trigger, so that the fault hits that very point. Only with a
    /// trigger that watches the node itself.
    pub hold: bool,
    /// Line in the file, from 1.
    pub line: usize,
}

/// What a fault does to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The machine is gone, at once.
    Kill,
    /// The machine stands still: it hears nothing, says nothing, and knows nothing of it.
    Pause,
    /// A machine that was paused goes on.
    Resume,
    /// Its link carries nothing any more, either way.
    Cut,
    /// A link that was cut carries again.
    Heal,
    /// The machine is gone, and starts again with nothing in its memory.
    Reboot,
    /// A rank moves to the node, at the next checkpoint or barrier; nothing is lost.
    Migrate(Rank),
    /// The memory that holds the node's copy of a rank goes bad.
    Corrupt(Rank),
}

impl Strike {
    /// Those that need no more than a node.
    pub const PLAIN: [Self; 6] =
        [Self::Kill, Self::Pause, Self::Resume, Self::Cut, Self::Heal, Self::Reboot];

    /// Its word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cut => "cut",
            Self::Heal => "heal",
            Self::Reboot => "reboot",
            Self::Migrate(_) => "migrate",
            Self::Corrupt(_) => "corrupt",
        }
    }

    /// What undoes it, if anything does.
    #[must_use]
    pub const fn undone_by(self) -> Option<Self> {
        match self {
            Self::Kill => Some(Self::Reboot),
            Self::Pause => Some(Self::Resume),
            Self::Cut => Some(Self::Heal),
            _ => None,
        }
    }

    /// Does it take a node away from the others, for a while at least?
    #[must_use]
    pub const fn takes_away(self) -> bool {
        matches!(self, Self::Kill | Self::Pause | Self::Cut | Self::Reboot)
    }
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// When the run starts.
    Start,
    /// So long after the run started.
    After(Duration),
    /// When a node reports a phase of a checkpoint.
    Checkpoint {
        /// Number of the checkpoint, from 1.
        epoch: u64,
        /// Which phase.
        phase: Phase,
        /// Whose report.
        on: NodeId,
    },
    /// When a node reports its `nth` event of a kind.
    Event {
        /// `kind` of the runtime's event, for example `recovering`.
        kind: String,
        /// Which one, from 1.
        nth: u32,
        /// Whose report.
        on: NodeId,
    },
}

/// Phase of a checkpoint on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The rank arrived at it.
    Begun,
    /// The copy is taken and on its way.
    Staged,
    /// All partners hold it.
    Replicated,
    /// It is committed.
    Committed,
}

impl Phase {
    /// `kind` of the runtime's event that reports the phase.
    #[must_use]
    pub const fn event_kind(self) -> &'static str {
        match self {
            Self::Begun => "checkpoint-begun",
            Self::Staged => "checkpoint-staged",
            Self::Replicated => "checkpoint-replicated",
            Self::Committed => "checkpoint-committed",
        }
    }
}

/// Something that must hold in the end.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The result is that of the sequential program, bit for bit.
    ResultIsReference,
    /// A node took over the rank of another.
    Takeover {
        /// Whose rank.
        of: NodeId,
        /// Who; `None`: whoever.
        by: Option<NodeId>,
        /// At most so long after the fault.
        within: Option<Duration>,
    },
    /// No rank changed its node.
    NoTakeover,
    /// So many checkpoints were committed, or more.
    Epochs(u64),
}

impl Topology {
    /// How many ranks the program has: one per compute node.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.compute().count()
    }

    /// The compute nodes. Rank `r` starts on the `r`-th.
    pub fn compute(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.role == Role::Compute)
    }

    /// The standbys.
    pub fn standbys(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.role == Role::Standby)
    }

    /// The node of this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|n| n.name == name)
    }

    /// What carries frames between two nodes: TCP where the links of both say so.
    #[must_use]
    pub fn transport_between(&self, a: NodeId, b: NodeId) -> Transport {
        let tcp = |node: NodeId| {
            self.links.get(node.index()).is_some_and(|link| link.transport == Transport::Tcp)
        };
        if tcp(a) && tcp(b) { Transport::Tcp } else { Transport::Ethernet }
    }

    /// The name of a node.
    #[must_use]
    pub fn name_of(&self, node: NodeId) -> &str {
        self.nodes.get(node.index()).map_or("?", |n| &n.name)
    }
}
