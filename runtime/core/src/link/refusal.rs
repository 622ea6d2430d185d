//! Why a peer is not let in, in words that say what to do.

use crate::id::{Generation, NodeId};
use crate::limits::MIN_MTU;
use crate::node::Medium;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "{remote} speaks version {theirs} of the link protocol, this node {ours}: build all nodes from the same source"
    )]
    Version { remote: NodeId, theirs: u8, ours: u8 },
    #[error(
        "{remote} runs another program image ({}, here {}): build all nodes in one go and start them from the same image",
        Hash(theirs),
        Hash(ours)
    )]
    Image { remote: NodeId, theirs: [u8; 32], ours: [u8; 32] },
    #[error(
        "the node at the address of {expected} says that it is {actual}: check the addresses in the topology"
    )]
    Node { expected: NodeId, actual: NodeId },
    #[error("{remote} takes the transport for {}, this node for {}: give both the same runtime.transport", name(*theirs), name(*ours))]
    Medium { remote: NodeId, theirs: Medium, ours: Medium },
    #[error(
        "{remote} can take frames of {mtu} bytes only: raise the mtu of its link to {MIN_MTU} at least"
    )]
    Mtu { remote: NodeId, mtu: u32 },
    #[error(
        "an earlier life of {remote} ({theirs}) is still sending, but {known} was here already: end the old one"
    )]
    Generation { remote: NodeId, theirs: Generation, known: Generation },
}

/// The first bytes of a hash, for people.
struct Hash<'a>(&'a [u8; 32]);

impl core::fmt::Display for Hash<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0[..6].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const fn name(medium: Medium) -> &'static str {
    match medium {
        Medium::Stream => "a stream",
        Medium::Datagram => "datagrams",
    }
}
