//! What two nodes are told that are to measure, and not to be a cluster.

use crate::{Configure, Transport};
use alloc::vec::Vec;
use runtime_bench::Plan;
use runtime_core::node::Image;
use serde::{Deserialize, Serialize};

/// How much to measure, and over what; both nodes get the same. Node 0 asks, node 1 answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bench {
    /// Round trips, and pages fetched, that count.
    pub rounds: u32,
    /// Bytes of each stream.
    pub stream_bytes: u64,
    /// One after the other.
    pub ways: Vec<Way>,
}

/// What is between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// A plain TCP connection, and nothing of the runtime.
    Sockets,
    /// MCAPI, link and a TCP connection.
    Tcp,
    /// MCAPI, link and raw Ethernet.
    Ethernet,
}

impl Bench {
    /// All ways that nodes of an image can go, in the order in which they are measured.
    #[must_use]
    pub const fn ways(image: Image) -> &'static [Way] {
        match image {
            Image::Linux | Image::LinuxAarch64 => &[Way::Sockets, Way::Tcp, Way::Ethernet],
            Image::BareMetal => &[Way::Ethernet],
        }
    }

    /// The same in the words of the machine that measures.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let (rounds, stream_bytes) = (self.rounds, self.stream_bytes);
        // As many as count take care of caches and of code that is translated when it is first met.
        let warm_up = rounds.min(Plan::default().warm_up);
        Plan { warm_up, round_trips: rounds, fetches: rounds, stream_bytes }
    }
}

impl Configure {
    /// The configuration for one way of a bench: everybody is reached by it, in a life of its own, so that
    /// nothing of an earlier way is taken for this one's.
    #[must_use]
    pub fn on(&self, way: Way, turn: usize) -> Self {
        let mut configure = self.clone();
        configure.generation += u32::try_from(turn).unwrap_or(u32::MAX - configure.generation);
        for node in &mut configure.nodes {
            node.transport = match way {
                Way::Sockets | Way::Tcp => Transport::Tcp,
                Way::Ethernet => Transport::Ethernet,
            };
        }
        configure
    }
}
