//! Why a peer is not let in, in words that say what to do.

use crate::id::{Generation, NodeId};
use crate::limits::MIN_MTU;
use crate::node::{Image, Medium};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "{remote} speaks version {theirs} of the link protocol, this node {ours}: build all nodes from the same source"
    )]
    Version { remote: NodeId, theirs: u8, ours: u8 },
    #[error(
        "{remote} runs another program image ({}, here {}): build all nodes in one go and start them from the same image",
        Hex(theirs),
        Hex(ours)
    )]
    Hash { remote: NodeId, theirs: [u8; 32], ours: [u8; 32] },
    #[error("{remote} runs {}, and {} is expected of it: check the images in the topology", kind(*actual), kind(*expected))]
    Kind { remote: NodeId, expected: Image, actual: Image },
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
struct Hex<'a>(&'a [u8; 32]);

impl core::fmt::Display for Hex<'_> {
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

const fn kind(image: Image) -> &'static str {
    match image {
        Image::Linux => "a Linux image",
        Image::LinuxAarch64 => "a Linux image for aarch64",
        Image::BareMetal => "a bare-metal image",
    }
}
