//! The checked topology. Every name is resolved to an index, every quantity is in base units, and
//! what the file leaves out is filled in.

mod expect;
mod faults;
mod network;

pub use expect::{Expectation, Metric, Outcome, Shown, Sight};
pub use faults::{Changes, Fault, Phase, Strike, Target, Trigger, Way};
pub use network::{Cable, Link, Switch, Transport};

use runtime_core::checkpoint::Redundancy;
use runtime_core::id::NodeId;
use runtime_core::limits::{BOARD_HEAD, BOARD_WAY};
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
    /// Bytes of memory that the Linux guests of each board share: a power of two, or 0 for none.
    pub board_memory: Vec<u64>,
    /// Whether MCAPI nodes of different guests of each board talk through that memory.
    pub board_carries: Vec<bool>,
    /// Guests of one board of which the file says that they talk through its memory, whatever holds for the others of it.
    pub memory_links: Vec<[NodeId; 2]>,
    /// The nodes, in the order of the file: `nodes[i].id` is `NodeId(i)`.
    pub nodes: Vec<Node>,
    /// The switches.
    pub switches: Vec<Switch>,
    /// The links, one per node, in the order of the nodes: `links[i].node` is `i`.
    pub links: Vec<Link>,
    /// The cables between switches. Of those that close a ring one stands by, see [`Topology::spare_cables`].
    pub cables: Vec<Cable>,
    /// The one network that all nodes are in.
    pub subnet: Subnet,
    /// Settings that all nodes share.
    pub runtime: Runtime,
    /// The program, if the file names one.
    pub run: Option<Run>,
    /// What breaks, blow by blow: a fault of the file may be several, see [`Fault::item`].
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
    /// Is what it writes on its console kept?
    pub console: bool,
    /// What it boots, for which processor.
    pub image: Image,
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

/// An IPv4 network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// Its first address.
    pub network: Ipv4Addr,
    /// Bits of the prefix.
    pub prefix: u8,
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

    /// Do MCAPI nodes of these two talk through the memory of their board, and not over links?
    #[must_use]
    pub fn share_a_board(&self, a: NodeId, b: NodeId) -> bool {
        let [Some(a), Some(b)] = [a, b].map(|node| self.nodes.get(node.index())) else {
            return false;
        };
        let linked = self.memory_links.iter().any(|l| *l == [a.id, b.id] || *l == [b.id, a.id]);
        let carries = self.board_carries.get(usize::from(a.board)).is_some_and(|carries| *carries);
        (carries || linked)
            && a.board == b.board
            && a.id != b.id
            && [a, b].iter().all(|n| n.image == Image::Linux)
    }

    /// The ways through a board's memory, as they lie there: from each MCAPI node of a guest to each of another one.
    #[must_use]
    pub fn board_ways(&self, board: u16) -> Vec<[McapiName; 2]> {
        board_ways(&self.nodes, board.into())
    }

    /// The name of what a fault strikes.
    #[must_use]
    pub fn name_of_target(&self, target: Target) -> &str {
        match target {
            Target::Node(node) => self.name_of(node),
            Target::Cable(cable) => self.cables.get(cable).map_or("?", |c| &c.name),
        }
    }

    /// The name of a node.
    #[must_use]
    pub fn name_of(&self, node: NodeId) -> &str {
        self.nodes.get(node.index()).map_or("?", |n| &n.name)
    }
}

pub(crate) fn board_ways(nodes: &[Node], board: usize) -> Vec<[McapiName; 2]> {
    let guests = nodes.iter().filter(|n| usize::from(n.board) == board && n.image == Image::Linux);
    let all: Vec<_> = guests.flat_map(|n| n.mcapi.iter().map(move |name| (n.id, *name))).collect();
    let to = |from: (NodeId, McapiName)| {
        let others: Vec<_> = all.iter().filter(|to| to.0 != from.0).map(|to| to.1).collect();
        others.into_iter().map(move |to| [from.1, to])
    };
    all.iter().copied().flat_map(to).collect()
}

/// Bytes of a board's memory that so many ways need.
pub(crate) const fn board_bytes(ways: usize) -> u64 {
    (BOARD_HEAD + ways * BOARD_WAY) as u64
}
