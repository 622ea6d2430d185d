//! The control protocol between harness and node: JSON, one message a line, over a port of its own
//! (virtio-serial in a guest, a socket for a process), never over the network under test.
//!
//! ```text
//! node                                   harness
//!  Hello{image,…}        ──────────────▶
//!  (the copy of a booted machine waits for Awake{…} and then says Hello)
//!                        ◀──────────────  Configure{…}
//!  Event(LinkUp)… Event(Ready) ────────▶
//!                        ◀──────────────  Run{job,workload,args}
//!  Event(…)… Report Finished ──────────▶
//!                        ◀──────────────  Shutdown
//! ```
//!
//! A node whose control port closes ends itself: a dead harness leaves nobody behind.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bench;
pub mod sim;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bench::{Bench, Way};
use runtime_core::checkpoint::Redundancy;
use runtime_core::event::Event;
use runtime_core::node::{Binding, Image, Policy, Quorum, Role};
use serde::{Deserialize, Serialize};

/// Version of this protocol; a node and a harness of different versions refuse each other. It is raised with every
/// change of what may be said.
pub const VERSION: u32 = 2;
/// Longest line, in bytes, either way.
pub const MAX_LINE: usize = 256 * 1024;
/// Name of the virtio-serial port in a guest.
pub const PORT_NAME: &str = "understudy.control";
/// Name of a second one in a guest with a seat ([`NodeSpec::host`]), which is the seat's.
pub const SEAT_PORT_NAME: &str = "understudy.seat";

/// From the harness to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ToNode {
    /// You are the copy of a machine that has said its Hello: take an identity of your own, and say
    /// [`FromNode::Hello`] again.
    Awake(Awake),
    /// Who you are, and who the others are. Once, first.
    Configure(Configure),
    /// Run a program; to every node.
    Run(Run),
    /// Move a rank to a standby; to every node.
    Migrate {
        /// Which rank.
        rank: u16,
        /// Number of the standby.
        to: u16,
    },
    /// Damage the copy of a rank that the node keeps, for tests; it answers with an event.
    Corrupt {
        /// Which rank.
        rank: u16,
    },
    /// Fail as a machine fails whose system fails: a kernel panics, a process aborts. Nothing is answered.
    Crash,
    /// Keep so much memory of the machine busy that `leave` bytes are left; `None`: give it all back. Of a Linux
    /// guest only.
    Fill {
        /// Bytes that are to stay available.
        leave: Option<u64>,
    },
    /// Go on after a hold (see [`Hold`]).
    Release,
    /// End in an orderly way: power off, or exit.
    Shutdown,
}

/// From a node to the harness.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FromNode {
    /// First words: I run, and I wait to be configured.
    Hello {
        /// [`VERSION`].
        version: u32,
        /// SHA-256 of the node's program, in hexadecimal.
        image: String,
        /// Time since the machine or process started, in microseconds, if it is known.
        uptime_us: u64,
    },
    /// Something happened.
    Event {
        /// When, in microseconds on the node's own monotonic clock.
        at_us: u64,
        /// What.
        event: Event,
    },
    /// A rank's program handed in a result. The last one per rank and job counts, for a rank that
    /// rolled back hands it in again.
    Report {
        /// Which run.
        job: u32,
        /// Which rank.
        rank: u16,
        /// Length of the result in bytes.
        bytes: u64,
        /// SHA-256 of the result, in hexadecimal.
        sha256: String,
        /// The program's own line about it, for people.
        text: String,
    },
    /// A rank's program printed a line.
    Print {
        /// Which rank.
        rank: u16,
        /// The line.
        text: String,
    },
    /// A [`Bench`] has measured one way; once for each, from either node.
    Measured {
        /// Which.
        way: Way,
        /// What the node that asked found; nothing from the one that answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<runtime_bench::Report>,
    },
    /// The [`Program`] has ended.
    Ended {
        /// In which run.
        job: u32,
        /// Its exit code; `None` if a signal ended it.
        code: Option<i32>,
        /// The same for people.
        words: String,
    },
    /// The node stands still at a point where it was told to (see [`Hold`]).
    Held {
        /// The kind of event it stands at.
        at: String,
    },
    /// Unknown workload, bad arguments, or anything else that keeps the node from doing as told.
    Failed {
        /// Lowercase sentence, with a remedy where there is one.
        reason: String,
    },
    /// The node's program panicked; it ends after this.
    Panic {
        /// Message and place.
        message: String,
        /// Addresses of the calls that led there, innermost first; empty where they are not known.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        backtrace: Vec<u64>,
    },
}

/// What the copy of a machine must not have in common with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Awake {
    /// Its network cards.
    pub cards: Vec<Card>,
    /// What its random numbers begin from, in hexadecimal; at least 32 bytes.
    pub seed: String,
    /// The time: microseconds since 1970.
    pub unix_us: u64,
}

/// A network card that gets another address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Its hardware address so far: `52:54:00:…`.
    pub was: String,
    /// From now on.
    pub mac: String,
}

/// Who a node is, and who the others are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configure {
    /// This node's number.
    pub node: u16,
    /// Which life of it; 1 for the first.
    pub generation: u32,
    /// All nodes, by number.
    pub nodes: Vec<NodeSpec>,
    /// The NIC to bring up first; `None` where the network is there already (process backend). The seat of a
    /// guest is told of its machine's, which is up when the seat starts.
    pub nic: Option<Nic>,
    /// The memory that this guest shares with those of its board, if there is any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub board_memory: Option<BoardSpec>,
    /// Settings that all nodes share.
    pub runtime: RuntimeSpec,
    /// Where to stand still, for tests that kill a node at an exact point.
    pub holds: Vec<Hold>,
    /// Measure this instead of being a node; for two nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bench: Option<Bench>,
    /// Run this instead of being a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Box<Program>>,
}

/// A program on MCAPI, which a machine runs when it is told to [`Run`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Where it lies on the machine.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Numbers of the MCAPI nodes that live on this machine.
    pub nodes: Vec<u32>,
    /// Text of the topology file that places its MCAPI nodes.
    pub topology: String,
    /// Where that is to be written.
    pub file: String,
}

/// One node, as the others know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSpec {
    /// Its name in the topology.
    pub name: String,
    /// What it does in the first view.
    pub role: Role,
    /// Fault domain.
    pub board: u16,
    /// What it runs.
    pub image: Image,
    /// How the configured node reaches it; for the node itself, how most others do.
    pub transport: Transport,
    /// `ip:port` where it listens.
    pub address: String,
    /// Hardware address that it sends from and is sent to: that of its NIC, or, for a seat, one of its own on
    /// the NIC of its machine. `52:54:00:…`.
    pub mac: String,
    /// It is a seat: a second process on the machine of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<u16>,
}

/// What carries frames between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// Raw frames of EtherType 0x88B5.
    Ethernet,
}

/// A NIC to bring up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Which one, by MAC: `52:54:00:…`.
    pub mac: String,
    /// IPv4 address.
    pub address: String,
    /// Length of the network prefix.
    pub prefix: u8,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// A descriptor that the process inherited, on which a datagram is a frame; `None`: a real NIC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
}

/// Memory that the guests of a board share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoardSpec {
    /// Bytes, a power of two.
    pub bytes: u64,
    /// The descriptor that it is on, for processes that run a program in place of guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
}

/// Settings that all nodes share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSpec {
    /// What the shared memory speaks.
    pub binding: Binding,
    /// Who decides on views.
    pub quorum: Quorum,
    /// Microseconds between signs of life.
    pub heartbeat_us: u64,
    /// So many silent heartbeats make a peer suspect.
    pub suspect_after: u32,
    /// Microseconds for the first contact.
    pub join_timeout_us: u64,
    /// How each epoch outlives its host.
    pub redundancy: Redundancy,
    /// Checkpoints besides those that the program asks for.
    pub checkpoint: Policy,
    /// Bytes of shared memory.
    pub shared_bytes: u64,
    /// Bytes of heap of a rank.
    pub heap_bytes: u64,
    /// Bytes of stack of a rank.
    pub stack_bytes: u64,
}

/// A program to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Number of this run on this cluster, from 1.
    pub job: u32,
    /// Name of the program.
    pub workload: String,
    /// Its arguments.
    pub args: BTreeMap<String, String>,
}

/// The harness waits for the `nth` event of this kind. One that is frequent ([`Event::is_frequent`]) is reported
/// for that only. `still`: stand still (runtime and rank, no heartbeats) right after it was reported, until
/// [`ToNode::Release`] or death.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// `kind` of the [`Event`], for example `checkpoint-staged`.
    pub event: String,
    /// Only those with this [`Event::number`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// Which one since the job began, from 1.
    pub nth: u32,
    /// Stand still there.
    pub still: bool,
}

/// A line that is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine(pub String);

impl core::fmt::Display for BadLine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "bad control message: {}", self.0)
    }
}

impl core::error::Error for BadLine {}

/// One message as a line, with its line feed.
#[must_use]
pub fn to_line<T: Serialize>(message: &T) -> String {
    // These types hold only strings, numbers, lists and maps with string keys: encoding cannot fail.
    let mut line = serde_json::to_string(message).unwrap_or_default();
    line.push('\n');
    line
}

/// A message from a line, with or without its line feed.
///
/// # Errors
/// When the line is too long or is no such message; says which.
pub fn from_line<T: for<'a> Deserialize<'a>>(line: &str) -> Result<T, BadLine> {
    if line.len() > MAX_LINE {
        return Err(BadLine(format!("{} bytes, at most {MAX_LINE} are allowed", line.len())));
    }
    serde_json::from_str(line.trim_end()).map_err(|e| BadLine(e.to_string()))
}

/// The `kind` of an event as it stands on the wire, for [`Hold`] and triggers.
#[must_use]
pub fn kind_of(event: &Event) -> String {
    // The tag is the first of an event's fields, and a word: so no tree of values is needed to find it.
    let line = serde_json::to_string(event).unwrap_or_default();
    line.strip_prefix(r#"{"kind":""#)
        .and_then(|rest| rest.split_once('"'))
        .map_or_else(String::new, |(kind, _)| kind.to_string())
}
