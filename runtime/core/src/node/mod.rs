//! The machine of one node: composes link, membership, MCAPI, SDSM and checkpoint.
//!
//! [`Node`] routes; what a job does in one view is a `Session`:
//!
//! ```text
//!  view installed, or job started
//!        │ rank runs: StopRank
//!        ▼                                        coordinator, when it has all:
//!    Stopping ──RankStopped──▶ Inspecting: are the copies here whole?
//!                              Gathering ─Status─▶     choose the epoch
//!                                  ◀───Recover(epoch, copies to send)───
//!                              Recovering: send copies; copies here? restore memory, open channels
//!                                  ──Recovered──▶     all are
//!                                  ◀───Resume───
//!                              Running: StartRank; checkpoints; Exited ─▶ all did
//!                                  ◀───Done──────
//!                              Over
//! ```
//! A death at any point installs a new view, and that begins a new session from the top. So does a copy that goes
//! bad while it is on its way: its holder gives it up, and the members agree on a next view though nobody is lost.

mod copying;
mod machine;
mod message;
mod moving;
mod policy;
mod rebuild;
mod restore;
mod saving;
mod session;
mod sparing;

pub use machine::Node;
pub use policy::{Policy, best_interval};

use crate::checkpoint::Redundancy;
use crate::event::Event;
use crate::id::{Generation, Job, LockId, NodeId, PageNo, Rank};
use crate::mem::Access;
use crate::time::Duration;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a recovery looks at between two inputs, in copy windows.
const SLICE_WINDOWS: usize = 4;

/// What a node does in the first view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Hosts a rank.
    Compute,
    /// Waits to take over a rank.
    Standby,
}

/// Under the shared memory: MCAPI packet channels (SCASH/MCAPI) or the plain stream (SCASH-FT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// Two one-way MCAPI packet channels per compute and receive side.
    Mcapi,
    /// Messages straight on the connection between two nodes.
    Sockets,
}

/// What may happen to frames between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// In order, whole, until the connection breaks (TCP).
    Stream,
    /// May be lost, repeated, reordered, damaged (raw Ethernet).
    Datagram,
}

/// What kind of program a node runs. Nodes of one kind run the very same image, in which an address
/// means the same everywhere; a rank can only move between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Image {
    /// A program of Linux on x86_64.
    Linux,
    /// A program of Linux on aarch64.
    LinuxAarch64,
    /// A program with no operating system under it.
    BareMetal,
}

/// Who decides on a new view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quorum {
    /// More than half of the members of the view before.
    Majority,
    /// Whoever is left: right only where a silent node is surely dead.
    FailStop,
}

impl Quorum {
    /// Of so many members of a view, of which so many are not suspected, how many must agree on the next.
    #[must_use]
    pub const fn needed(self, members: usize, reachable: usize) -> usize {
        match self {
            Self::Majority => members / 2 + 1,
            Self::FailStop => reachable,
        }
    }
}

/// One member of the first view.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// What it does.
    pub role: Role,
    /// Fault domain: partners are sought on another board first.
    pub board: u16,
    /// What it runs.
    pub image: Image,
    /// It is a **seat**: a second node program on the machine of this node, which hosts a rank when no
    /// standby is left. It lives and dies with that machine, and has no vote of its own.
    pub host: Option<NodeId>,
}

impl Member {
    /// These nodes, and after them a seat on the machine of each, in the same order.
    #[must_use]
    pub fn with_seats(mut nodes: Vec<Self>) -> Vec<Self> {
        let seat = |(host, node): (u16, &Self)| Self {
            role: Role::Standby,
            host: Some(NodeId(host)),
            ..node.clone()
        };
        let seats: Vec<Self> = (0u16..).zip(&nodes).map(seat).collect();
        nodes.extend(seats);
        nodes
    }
}

/// The machine that a node is on, by the node that it belongs to: itself, but for a seat.
#[must_use]
pub fn machine_of(members: &[Member], node: NodeId) -> NodeId {
    members.get(node.index()).and_then(|member| member.host).unwrap_or(node)
}

/// What a node must know before it starts. The same on all nodes but for `me`, `generation`, `hash` and
/// `media`.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub me: NodeId,
    /// Which life of it.
    pub generation: Generation,
    /// SHA-256 of the program image; nodes of this kind with another one are refused.
    pub hash: [u8; 32],
    /// All nodes of the first view, by [`NodeId`]. Rank `r` starts on the `r`-th compute node.
    pub members: Vec<Member>,
    /// What the transport to each node does to frames, by [`NodeId`]; both ends of a link agree.
    pub media: Vec<Medium>,
    /// Largest frame of a datagram transport, in bytes.
    pub mtu: usize,
    /// What the shared memory speaks.
    pub binding: Binding,
    /// Who decides on views.
    pub quorum: Quorum,
    /// How often a sign of life is sent.
    pub heartbeat: Duration,
    /// Silence of this many heartbeats makes a peer suspect; of half as many, if it has been punctual so far.
    pub suspect_after: u32,
    /// How long the first contact with a peer may take before it is taken for dead.
    pub join_timeout: Duration,
    /// How each rank's epoch outlives its host.
    pub redundancy: Redundancy,
    /// Most pages of a checkpoint that are on their way to a partner at a time.
    pub copy_window: usize,
    /// Checkpoints besides those that the program asks for.
    pub checkpoint: Policy,
    /// Pages in the shared segment.
    pub shared_pages: u32,
}

impl Config {
    /// The kind of program that a node runs.
    #[must_use]
    pub fn image_of(&self, node: NodeId) -> Image {
        self.members.get(node.index()).map_or(Image::Linux, |member| member.image)
    }

    /// Pages that a recovery looks at in one go: work between two inputs is bounded.
    pub(crate) fn slice(&self) -> usize {
        SLICE_WINDOWS * self.copy_window.max(1)
    }

    /// What the transport to a node does to frames.
    #[must_use]
    pub fn medium_to(&self, node: NodeId) -> Medium {
        self.media.get(node.index()).copied().unwrap_or(Medium::Datagram)
    }
}

/// Where the pages of an allocation live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// Contiguous blocks, one per rank, as equal as whole pages allow.
    Block,
    /// Runs of this many pages, dealt out to the ranks in turn.
    Cyclic(u32),
    /// All on one rank.
    On(Rank),
    /// Each page on the rank that touches it first.
    FirstTouch,
}

/// A call of the rank. It stands still until [`Output::Complete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Collective: shared memory, zeroed. Completes with the byte offset in the segment.
    Alloc {
        /// Bytes wanted; rounded up to whole pages.
        bytes: u64,
        /// Where the pages live.
        distribution: Distribution,
    },
    /// Collective: all writes before it are seen by all ranks after it.
    Barrier,
    /// Acquires a lock: writes made under it before are seen.
    Lock(LockId),
    /// Releases a lock.
    Unlock(LockId),
    /// Collective: begins an epoch. Completes with its number, on every return, and before it is committed.
    Checkpoint,
    /// The rank has left the program. Never completes.
    Exit,
}

/// Why a call was refused; the rank gets it as the call's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The segment has no room.
    #[error("shared memory is exhausted: raise runtime.shared-memory in the topology")]
    NoMemory,
    /// A size of zero, a rank that does not exist, a lock number over the limit, different arguments on different ranks.
    #[error("an argument of the call is out of range or differs between ranks")]
    BadArgument,
    /// The lock is not held, or held already, or held over a checkpoint.
    #[error("the lock is not in the state that the call needs")]
    LockState,
}

/// Something for the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The transport to a node works (again).
    TransportUp(NodeId),
    /// The transport to a node broke: its process or machine is gone, or the cable.
    TransportDown(NodeId),
    /// The network says that the port of a node lost its signal: the machine is off, or its cable out.
    PortDown(NodeId),
    /// A frame from a node.
    Frame {
        /// Sender, as the transport knows it.
        from: NodeId,
        /// The frame.
        bytes: &'a [u8],
    },
    /// The rank touched a shared page that it may not, or wrote a page of its heap that was protected; it stands still until [`Output::Wake`].
    Fault {
        /// Which page.
        page: PageNo,
        /// What it needs: [`Access::Read`] or [`Access::Write`].
        access: Access,
    },
    /// The rank calls.
    Call(Call),
    /// The rank stands still, as [`Output::StopRank`] asked.
    RankStopped,
    /// Run a program; given to every node.
    Start(Job),
    /// Time has passed: a deadline is due.
    Tick,
    /// Move a rank to a standby, with nothing lost; given to every node. It happens at the next checkpoint, or
    /// barrier, or at once when nothing runs; or there is an [`Event::MoveRefused`].
    Migrate {
        /// Which rank.
        rank: Rank,
        /// Where to.
        to: NodeId,
    },
    /// The memory that holds the copy of a rank goes bad: for tests of what comes of it.
    Damage(Rank),
}

/// Something for the driver to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send a frame; lost without harm when the transport is down.
    Transmit {
        /// Receiver.
        to: NodeId,
        /// The frame.
        bytes: Vec<u8>,
    },
    /// Break the connection to a node, with all that is on it; a new one may come.
    Disconnect(NodeId),
    /// The page is as the rank needs it: let it try again.
    Wake,
    /// The rank's call is done.
    Complete(Result<u64, CallError>),
    /// Make a rank run: from its beginning, or (`restored`) where [`crate::mem::PageMem::set_context`] said.
    /// A restored rank comes out of its checkpoint call with `Ok(value)`.
    StartRank {
        /// Which rank.
        rank: Rank,
        /// How many there are.
        ranks: u16,
        /// From an epoch, or from the beginning?
        restored: Option<u64>,
    },
    /// Make the rank stand still wherever it is and forget it; answer with [`Input::RankStopped`].
    /// Never sent without a rank.
    StopRank,
    /// Something happened.
    Event(Event),
    /// The node must not go on. The driver ends it after this.
    Halt {
        /// For people.
        reason: String,
    },
}

/// What the next deadline is for, for logs and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A heartbeat is due.
    Heartbeat,
    /// A peer has been silent for too long.
    Suspicion,
    /// Frames are to be sent again.
    Retransmit,
    /// A proposal for a view got no answer.
    Election,
    /// More of a checkpoint can go out.
    Copy,
}
