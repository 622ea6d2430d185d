//! What is between the nodes: switches, the links of nodes to them, cables between them.

use netem::{Profile, Queue, Vlan};
use std::time::Duration;

/// What nodes are linked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// Its name.
    pub name: String,
    /// Does it tell all ports when one of them loses its signal, as managed switches can?
    pub port_notices: bool,
    /// How long after a cable of a ring is cut, or whole again, the switches have agreed on which cables carry; of the
    /// two that the cable joins, the longer time counts.
    pub ring_recovery: Duration,
}

impl Switch {
    /// What the file leaves out: with the usual settings of IEC 62439-2, a ring is whole again by then.
    pub const RING_RECOVERY: Duration = Duration::from_millis(200);
}

/// A cable from a node to a switch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Index in [`Topology::nodes`](crate::Topology::nodes).
    pub node: usize,
    /// Index in [`Topology::switches`](crate::Topology::switches).
    pub switch: usize,
    /// The file names the node first: `a-to-b` is from the node to the switch.
    pub node_first: bool,
    /// What happens to frames from the node to the switch.
    pub up: Profile,
    /// From the switch to the node.
    pub down: Profile,
    /// Largest packet in bytes.
    pub mtu: u16,
    /// What its node speaks over it where the other node does so too; see
    /// [`Topology::transport_between`](crate::Topology::transport_between).
    pub transport: Transport,
    /// The VLAN that the node is in, without knowing it: its frames carry no tag.
    pub vlan: Vlan,
}

impl Link {
    /// A link of which the file says nothing. With a rate, a megabyte may wait.
    pub const PERFECT: Profile =
        Profile { queue: Queue { bytes: 1 << 20, packets: usize::MAX }, ..Profile::PERFECT };
    /// Largest packet where the file says nothing.
    pub const MTU: u16 = 1500;
}

/// A cable between two switches. Frames carry the tag of their VLAN (802.1Q) on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Cable {
    /// Its name. Left out: `front-rear`, after its ends.
    pub name: String,
    /// Indices in [`Topology::switches`](crate::Topology::switches), in the order of the file.
    pub ends: [usize; 2],
    /// What happens to frames from the first end to the second.
    pub a_to_b: Profile,
    /// And back.
    pub b_to_a: Profile,
    /// The VLANs that pass, in order; `None`: all.
    pub vlans: Option<Vec<Vlan>>,
}

impl Cable {
    /// Do frames of a VLAN pass?
    #[must_use]
    pub fn carries(&self, vlan: Vlan) -> bool {
        self.vlans.as_ref().is_none_or(|vlans| vlans.contains(&vlan))
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
