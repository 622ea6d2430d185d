//! What the harness needs to know of a topology, in the harness's own terms.

mod from_topology;
#[cfg(test)]
pub(crate) mod tests;

use crate::backend::loopback::Loopback;
use images_control::sim::{SimLink, SimProfile, SimStrike, Trigger};
use images_control::{Configure, Hold, Nic, NodeSpec, RuntimeSpec, Transport};
use netem::Profile;
use runtime_core::id::Rank;
use runtime_core::node::{Image, Role};
use std::collections::BTreeMap;
use std::time::Duration;
use topology::Strike;

/// What the nodes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Backend {
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
    /// As the nodes get them: times are scaled already.
    pub(crate) runtime: RuntimeSpec,
    pub(crate) workload: Option<Workload>,
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
    pub(crate) cpus: u32,
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
    pub(crate) link: SimLink,
    /// The same link for the switch: from the node, and to it.
    pub(crate) up: Profile,
    pub(crate) down: Profile,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) args: BTreeMap<String, String>,
}

/// Something happens to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) strike: Strike,
    pub(crate) node: usize,
    pub(crate) at: Trigger,
    /// The node stands still at the trigger, so that it dies exactly there.
    pub(crate) hold: Option<Hold>,
    /// For people.
    pub(crate) words: String,
}

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
}

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
            runtime: self.runtime.clone(),
            holds: self
                .faults
                .iter()
                .filter(|f| f.node == node)
                .filter_map(|f| f.hold.clone())
                .collect(),
            bench: None,
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

    /// What a node really runs: only a guest can be without an operating system.
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
        let metal = names(&|n| self.nodes[n].image != self.runs(n));
        let kind =
            if self.backend == Backend::Sim { "simulated Linux node" } else { "Linux process" };
        let metal = (!metal.is_empty())
            .then(|| format!("{metal}: bare-metal runs as a {kind} on this backend"));
        let free = names(&|n| self.backend == Backend::Process && self.is_impaired_tcp(n));
        let free = (!free.is_empty()).then(|| {
            format!(
                "{free}: delay, loss and the like do not touch TCP between processes of one machine"
            )
        });
        metal.into_iter().chain(free).collect()
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

/// `linux` or `bare-metal`.
pub(crate) const fn image_name(image: Image) -> &'static str {
    match image {
        Image::Linux => "linux",
        Image::BareMetal => "bare-metal",
    }
}

/// A fault, as a simulated world knows it.
pub(crate) const fn sim_strike(strike: Strike) -> SimStrike {
    match strike {
        Strike::Kill => SimStrike::Kill,
        Strike::Pause => SimStrike::Pause,
        Strike::Resume => SimStrike::Resume,
        Strike::Cut => SimStrike::Cut,
        Strike::Heal => SimStrike::Heal,
        Strike::Reboot => SimStrike::Reboot,
        Strike::Migrate(Rank(rank)) => SimStrike::Migrate { rank },
        Strike::Corrupt(Rank(rank)) => SimStrike::Corrupt { rank },
    }
}
