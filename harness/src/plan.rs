//! What the harness needs to know of a topology, in the harness's own terms.

mod from_topology;
#[cfg(test)]
pub(crate) mod tests;

use crate::backend::BOARD_FD;
use crate::backend::loopback::Loopback;
use images_control::sim::{SimCable, SimLink, SimProfile, SimStrike, Trigger};
use images_control::{BoardSpec, Configure, Hold, Nic, NodeSpec, RuntimeSpec, Transport};
use netem::{Profile, Vlan};
use runtime_core::id::Rank;
use runtime_core::node::{Image, Role};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use topology::{Changes, Metric, Outcome, Sight, Strike, Way};

/// What the nodes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Backend {
    /// Machines of QEMU, behind the harness's own switch.
    Qemu,
    /// Processes of this machine, over its loopback interface.
    Process,
    /// One process for all, on a virtual clock.
    Sim,
}

impl Backend {
    /// As it is written on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Qemu => "qemu",
            Self::Process => "process",
            Self::Sim => "sim",
        }
    }
}

/// A cluster, its program, its faults and what is expected.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) backend: Backend,
    /// Every time-out of the harness and of the nodes is so many times what the file says.
    pub(crate) factor: u32,
    pub(crate) nodes: Vec<NodePlan>,
    pub(crate) switches: Vec<topology::Switch>,
    pub(crate) cables: Vec<CablePlan>,
    /// As the nodes get them: times are scaled already.
    pub(crate) runtime: RuntimeSpec,
    pub(crate) workload: Option<Workload>,
    /// The workload is no workload but this.
    pub(crate) program: Option<Program>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) expect: Vec<Expect>,
}

/// A node, on a machine of its own unless it is a seat.
#[derive(Clone, Debug)]
pub(crate) struct NodePlan {
    pub(crate) name: String,
    /// It is a seat: a second node program on the machine of this node.
    pub(crate) host: Option<usize>,
    /// Name of the seat on its machine, if there is one.
    pub(crate) seat: Option<String>,
    pub(crate) role: Role,
    pub(crate) board: u16,
    /// What the file wants it to run; see [`Plan::runs`].
    pub(crate) image: Image,
    pub(crate) memory_bytes: u64,
    /// Most bytes that its machine may need for epochs, as the validator says.
    pub(crate) kept_limit: u64,
    /// Memory that the Linux guests of its board share; 0 for none.
    pub(crate) board_bytes: u64,
    pub(crate) cpus: u32,
    /// What it writes on its console is kept.
    pub(crate) console: bool,
    /// `ip:port` where it listens.
    pub(crate) address: String,
    /// Hardware address that it has on the network: that of its card, unless it is the seat of a guest.
    pub(crate) mac: String,
    /// How it reaches each node; for itself, how it reaches most others.
    pub(crate) transports: Vec<Transport>,
    /// Its card, if it needs one: every guest does, and whoever speaks Ethernet.
    pub(crate) nic: Option<Nic>,
    /// Index of its switch.
    pub(crate) switch: usize,
    /// The VLAN that its port is in.
    pub(crate) vlan: Vlan,
    /// The file names the node first in its link: `a-to-b` is from the node to the switch.
    pub(crate) node_first: bool,
    pub(crate) link: SimLink,
    /// The same link for the switch: from the node, and to it.
    pub(crate) up: Profile,
    pub(crate) down: Profile,
}

impl NodePlan {
    /// What it shares with others of its board, if it is a guest that can.
    pub(crate) fn board_memory(&self) -> Option<BoardSpec> {
        let bytes = self.board_bytes;
        (bytes > 0 && self.image == Image::Linux).then_some(BoardSpec { bytes, fd: None })
    }
}

/// A cable between two switches.
#[derive(Clone, Debug)]
pub(crate) struct CablePlan {
    pub(crate) name: String,
    /// Indices of its switches.
    pub(crate) ends: [usize; 2],
    /// VLANs that pass; `None`: all.
    pub(crate) vlans: Option<Vec<Vlan>>,
    /// From the first switch to the second, and back.
    pub(crate) up: Profile,
    pub(crate) down: Profile,
    /// The same for the simulator, with the nodes on the side of the first switch.
    pub(crate) sim: SimCable,
}

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A node, or its link.
    Node(usize),
    /// A cable between switches.
    Cable(usize),
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) args: BTreeMap<String, String>,
}

/// A program on MCAPI, which each machine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// What all machines are told.
    pub(crate) spec: images_control::Program,
    /// MCAPI nodes of each.
    pub(crate) nodes: Vec<Vec<u32>>,
    /// How long it may take, as the file says.
    pub(crate) timeout: Duration,
}

/// Something happens to a node or its link, or to a cable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fault {
    /// Which fault of the file it belongs to.
    pub(crate) item: usize,
    /// It ends an earlier one of the same fault.
    pub(crate) ends: bool,
    pub(crate) strike: Strike,
    pub(crate) target: Target,
    /// What a link that degrades does from then on.
    pub(crate) changes: Option<Changes>,
    pub(crate) at: Trigger,
    /// The node stands still at the trigger, so that it dies exactly there.
    pub(crate) hold: Option<Hold>,
    /// The fault of the file, for people.
    pub(crate) words: String,
}

impl Fault {
    /// What a node must be told so that the fault can strike: where to stand still, or which of its frequent
    /// events is waited for.
    fn watch(&self, node: usize) -> Option<Hold> {
        if self.hold.is_some() {
            return self.hold.clone().filter(|_| self.target == Target::Node(node));
        }
        match &self.at {
            Trigger::Event { event, node: Some(on), number: Some(number), nth }
                if usize::from(*on) == node && FREQUENT.contains(&event.as_str()) =>
            {
                let (event, number, nth) = (event.clone(), Some(*number), *nth);
                Some(Hold { event, number, nth, still: false })
            }
            _ => None,
        }
    }
}

/// Kinds of events that a node reports only where somebody waits for one.
pub(crate) const FREQUENT: [&str; 2] = ["barrier-passed", "iteration"];

/// What must hold in the end, besides that the job is done and each fault happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expect {
    pub(crate) what: Wanted,
    /// For people.
    pub(crate) words: String,
}

/// What an [`Expect`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Each rank's result is, bit for bit, that of the sequential program.
    Reference,
    /// A node took over the rank of another; the time is scaled already.
    Takeover { of: usize, by: Option<usize>, within: Option<Duration> },
    /// No rank changed its node.
    NoTakeover,
    /// So many epochs or more were committed.
    Checkpoints(u64),
    /// Something showed so many times; `within` is scaled already and counts from the last blow of fault `after`, or
    /// from the start.
    Seen { sight: Sight, times: u32, within: Option<Duration>, after: Option<usize> },
    /// Something never showed.
    Never(Sight),
    /// One showed after the other.
    Order(Vec<Sight>),
    /// What became of a node.
    State { node: usize, outcome: Outcome },
    /// What the run measured lies within bounds; times are scaled already.
    Metric { metric: Metric, at_least: Option<u64>, at_most: Option<u64> },
}

impl Wanted {
    /// What is looked for.
    pub(crate) fn sights(&self) -> &[Sight] {
        match self {
            Self::Seen { sight, .. } | Self::Never(sight) => std::slice::from_ref(sight),
            Self::Order(sights) => sights,
            _ => &[],
        }
    }
}

pub(crate) use from_topology::sim_change;

/// What this harness cannot do of what a file asks for.
pub(crate) fn unsupported(topology: &topology::Topology, backend: Backend) -> Vec<String> {
    from_topology::unsupported(topology, backend)
}

impl Plan {
    /// What a node is told first.
    pub(crate) fn configure(&self, node: usize) -> Configure {
        Configure {
            node: number(node),
            generation: 1,
            nodes: self
                .nodes
                .iter()
                .zip(&self.nodes[node].transports)
                .map(|(n, transport)| NodeSpec {
                    name: n.name.clone(),
                    role: n.role,
                    board: n.board,
                    image: n.image,
                    transport: *transport,
                    address: n.address.clone(),
                    mac: n.mac.clone(),
                    host: n.host.map(number),
                })
                .collect(),
            nic: self.nodes[node].nic.clone(),
            board_memory: self.nodes[node].board_memory().map(|spec| {
                let fd = (self.backend == Backend::Process).then_some(BOARD_FD);
                BoardSpec { fd, ..spec }
            }),
            runtime: self.runtime.clone(),
            holds: self.faults.iter().filter_map(|f| f.watch(node)).collect(),
            bench: None,
            program: self.program.as_ref().map(|program| {
                let nodes = program.nodes[node].clone();
                Box::new(images_control::Program { nodes, ..program.spec.clone() })
            }),
        }
    }

    /// How many machines there are; seats come after the nodes that they are on.
    pub(crate) fn machines(&self) -> usize {
        self.nodes.iter().filter(|node| node.host.is_none()).count()
    }

    /// A node and its seat, or any node of a machine alone.
    pub(crate) fn with_seat(&self, node: usize) -> impl Iterator<Item = usize> + use<> {
        let seat = self.nodes.iter().position(|n| n.host == Some(node));
        std::iter::once(node).chain(seat)
    }

    /// The node whose machine a node is on: itself, but for a seat.
    pub(crate) fn machine_of(&self, node: usize) -> usize {
        self.nodes[node].host.unwrap_or(node)
    }

    /// `compute`, `standby`, or whose seat it is.
    pub(crate) fn role(&self, node: usize) -> String {
        match self.nodes[node].host {
            Some(host) => format!("seat on {}", self.nodes[host].name),
            None => role_name(self.nodes[node].role).to_owned(),
        }
    }

    /// What a node really runs: only a guest can be without an operating system, or have another processor.
    pub(crate) fn runs(&self, node: usize) -> Image {
        match self.backend {
            Backend::Qemu => self.nodes[node].image,
            Backend::Process | Backend::Sim => Image::Linux,
        }
    }

    /// Do frames pass through the harness's switch?
    pub(crate) fn needs_switch(&self) -> bool {
        self.backend != Backend::Sim && self.nodes.iter().any(|n| n.nic.is_some())
    }

    /// What of the file does not mean here what it means between guests.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let names = |wanted: &dyn Fn(usize) -> bool| {
            let nodes = (0..self.nodes.len()).filter(|n| wanted(*n));
            nodes.map(|n| self.nodes[n].name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let other = |image| {
            let names = names(&|n| self.nodes[n].image == image && image != self.runs(n));
            (!names.is_empty()).then_some((names, image_name(image)))
        };
        let kind =
            if self.backend == Backend::Sim { "simulated Linux node" } else { "Linux process" };
        let others = [Image::BareMetal, Image::LinuxAarch64].into_iter().filter_map(other);
        let others = others
            .map(|(names, image)| format!("{names}: {image} runs as a {kind} on this backend"));
        let free = names(&|n| self.backend == Backend::Process && self.is_impaired_tcp(n));
        let free = (!free.is_empty()).then(|| {
            format!(
                "{free}: delay, loss and the like do not touch TCP between processes of one machine"
            )
        });
        let tcp = |n: &NodePlan| n.transports.contains(&Transport::Tcp);
        let passed = self.backend == Backend::Process && self.nodes.iter().any(tcp);
        let cables: Vec<&str> = self.cables.iter().map(|cable| cable.name.as_str()).collect();
        let cables = (passed && !cables.is_empty()).then(|| {
            let names = cables.join(", ");
            format!("{names}: TCP between processes of one machine goes past switches and cables")
        });
        // A program's processes have it, for MCAPI.
        let nobody = self.backend != Backend::Qemu && self.program.is_none();
        let boards = names(&|n| nobody && self.nodes[n].board_bytes > 0);
        let boards = (!boards.is_empty())
            .then(|| format!("{boards}: only guests share the memory of their board"));
        others.chain(free).chain(cables).chain(boards).collect()
    }

    /// Does a node speak TCP to another over a link that is not perfect?
    fn is_impaired_tcp(&self, node: usize) -> bool {
        let NodePlan { link, transports, .. } = &self.nodes[node];
        let perfect = |p: SimProfile| SimProfile { mtu: 0, ..p } == SimProfile::default();
        let elsewhere = |n: usize| self.machine_of(n) != self.machine_of(node);
        let tcp = (0..transports.len()).any(|n| elsewhere(n) && transports[n] == Transport::Tcp);
        tcp && !(perfect(link.up) && perfect(link.down))
    }

    /// Which node hosts each rank before anything happens.
    pub(crate) fn first_hosts(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|&n| self.nodes[n].role == Role::Compute).collect()
    }

    /// The name of a node's link: `n0-sw0`.
    pub(crate) fn link_name(&self, node: usize) -> String {
        let NodePlan { name, switch, .. } = &self.nodes[node];
        format!("{name}-{}", self.switches[*switch].name)
    }

    /// How many links and cables there are. The links come first, with the numbers of their nodes.
    pub(crate) fn lines(&self) -> usize {
        self.machines() + self.cables.len()
    }

    /// The name of a link, or of a cable.
    pub(crate) fn line_name(&self, line: usize) -> String {
        match self.cables.get(line.wrapping_sub(self.machines())) {
            Some(cable) => cable.name.clone(),
            None => self.link_name(line),
        }
    }

    /// The name of a node or a cable.
    pub(crate) fn name_of(&self, target: Target) -> &str {
        match target {
            Target::Node(node) => &self.nodes[node].name,
            Target::Cable(cable) => &self.cables[cable].name,
        }
    }

    /// The switches that a cable joins.
    pub(crate) fn cable_ends(&self, cable: usize) -> [&str; 2] {
        self.cables[cable].ends.map(|end| self.switches[end].name.as_str())
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|n| n.name == name)
    }

    /// A time of the file in the time of this machine.
    pub(crate) fn scaled(&self, time: Duration) -> Duration {
        time.saturating_mul(self.factor)
    }
}

/// What must be known beyond the file to make a plan.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) backend: Backend,
    pub(crate) factor: u32,
    /// Addresses for the process backend.
    pub(crate) loopback: Option<&'a Loopback>,
    /// Where the program of the file is, ready to run, and where its processes find what they are placed by.
    pub(crate) program: Option<(&'a Path, &'a Path)>,
}

/// A node's position as the protocol writes it; a topology holds at most 64 nodes.
pub(crate) fn number(node: usize) -> u16 {
    u16::try_from(node).unwrap_or(u16::MAX)
}

/// `compute` or `standby`.
const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Compute => "compute",
        Role::Standby => "standby",
    }
}

/// `linux`, `linux-aarch64` or `bare-metal`.
pub(crate) const fn image_name(image: Image) -> &'static str {
    match image {
        Image::Linux => "linux",
        Image::LinuxAarch64 => "linux-aarch64",
        Image::BareMetal => "bare-metal",
    }
}

/// A fault, as a simulated world knows it; what it cannot do was refused before.
pub(crate) const fn sim_strike(strike: Strike) -> Option<SimStrike> {
    Some(match strike {
        Strike::Kill | Strike::Crash => SimStrike::Kill,
        Strike::Pause => SimStrike::Pause,
        Strike::Resume => SimStrike::Resume,
        Strike::Cut(way) => {
            let (from, to) = ways(way);
            SimStrike::Cut { from, to }
        }
        Strike::Degrade => SimStrike::Degrade,
        Strike::Heal => SimStrike::Heal,
        Strike::Reboot => SimStrike::Reboot,
        Strike::Migrate(Rank(rank)) => SimStrike::Migrate { rank },
        Strike::Corrupt(Rank(rank)) => SimStrike::Corrupt { rank },
        Strike::Slow(_) | Strike::Fill(_) => return None,
    })
}

/// Is what the node sends cut off, and what is sent to it?
pub(crate) const fn ways(way: Way) -> (bool, bool) {
    (!matches!(way, Way::To), !matches!(way, Way::From))
}
