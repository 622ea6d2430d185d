//! The fabric under MCAPI for nodes of one machine, where a node is a thread or a process: it moves frames, whole and
//! in order, from node to node, finds nodes, and notices their death. There is no daemon, and no lock that outlives
//! its holder.
//!
//! Each node owns a file of a private directory (`/dev/shm/understudy-<uid>/<domain>-<node>`) with one ring for each
//! node that sends to it. Nodes of all domains find each other there. Every ring has one writer and one reader; a
//! writer that dies leaves at most a frame that nobody ever sees. What is large may lie outside of the rings, where its
//! reader keeps it without a copy for as long as it likes ([`Fabric::lend`], [`Loan`]).
//!
//! Nodes of several guests meet in the memory that their board shares ([`board`]), where no system reaches from one to the
//! other: there they look for each other.
//!
//! What MCAPI means by these frames is decided in `runtime_core::mcapi`.

// Of a model, rings and sleep are all there is.
#![cfg_attr(loom, allow(dead_code, unused_imports))]

#[cfg(not(loom))]
mod barrier;
mod bell;
mod bias;
#[cfg(not(loom))]
mod biased;
#[cfg(not(loom))]
pub mod board;
#[cfg(not(loom))]
mod directory;
mod error;
#[cfg(not(loom))]
mod fabric;
#[cfg(not(loom))]
mod loan;
#[cfg(not(loom))]
mod lock;
mod pair;
#[cfg(not(loom))]
mod peers;
#[cfg(not(loom))]
mod process;
mod ring;
#[cfg(not(loom))]
mod segment;
mod sync;

#[cfg(not(loom))]
pub use biased::{Biased, BiasedGuard};
pub use error::{JoinError, SendError};
#[cfg(not(loom))]
pub use fabric::{Bell, Event, Fabric, Options, Reserved, is_lone_processor};
#[cfg(not(loom))]
pub use loan::Loan;

/// Bytes of the largest frame.
pub const MAX_FRAME: usize = runtime_core::limits::MAX_FRAME;
/// Nodes of one machine that may send to one node.
pub const MAX_SENDERS: usize = runtime_core::limits::MAX_NODES;
/// Frames that can be lent to one node at a time.
pub const MAX_LOANS: usize = MAX_SENDERS * ring::slots::SLOTS;

/// Who a node is: unique among the living of one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeName {
    /// MCAPI's domain.
    pub domain: u32,
    /// MCAPI's node, unique in its domain.
    pub node: u32,
}

impl std::fmt::Display for NodeName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.domain, self.node)
    }
}
