//! Names of things: nodes, ranks, generations, views, epochs, pages, locks.
//!
//! Each is its own type, so that an index into one table is never used with another.

use core::fmt;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(/// A machine of the topology, by its position in the file; fixed for the life of a cluster.
    NodeId(u16), "n");
id!(/// Which life of a node: a restarted machine has a higher generation and is a different peer.
    Generation(u32), "g");
id!(/// A part of the program, `0..ranks`. A view says which node hosts it.
    Rank(u16), "rank ");
id!(/// Number of a membership view; views are totally ordered.
    ViewId(u64), "view ");
id!(/// Number of a checkpoint. Epoch 0 is the start of the program: zeroed memory, nothing run.
    Epoch(u64), "epoch ");
id!(/// One run of one program on the cluster.
    Job(u32), "job ");
id!(/// A lock of the shared memory.
    LockId(u32), "lock ");
id!(/// A page. See [`crate::mem`] for how the numbers are laid out.
    PageNo(u32), "page ");

/// A node in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Peer {
    /// The machine.
    pub node: NodeId,
    /// Which life of it.
    pub generation: Generation,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.node, self.generation)
    }
}

impl NodeId {
    /// As an index into a table of nodes.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Rank {
    /// As an index into a table of ranks.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl Epoch {
    /// The epoch after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}
