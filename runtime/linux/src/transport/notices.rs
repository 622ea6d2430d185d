//! What the switch says about its ports, heard on a socket of its own: nodes that speak TCP have no
//! other use for raw frames.

use super::nic::Nic;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use runtime_core::id::NodeId;
use runtime_core::notice;
use runtime_driver::ethernet::{BadHeader, HEADER_BYTES, Header, Mac};
use std::collections::BTreeMap;

/// Notices that wait for the node are read in one turn up to this many.
const BATCH: usize = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Notices {
    nic: Nic,
    cards: BTreeMap<Mac, NodeId>,
    ready: bool,
}

impl Notices {
    pub(super) fn new(nic: Nic, cards: Vec<(NodeId, Mac)>) -> Self {
        let cards = cards.into_iter().map(|(node, mac)| (mac, node)).collect();
        Self { nic, cards, ready: false }
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        PollFd::new(self.nic.fd(), PollFlags::POLLIN)
    }

    pub(super) const fn serve(&mut self, ready: bool) {
        self.ready = ready;
    }

    /// The next node whose port is said to be down.
    pub(super) fn next(&mut self) -> Option<NodeId> {
        let mut buffer = [0; HEADER_BYTES + notice::BYTES];
        for _ in 0..BATCH {
            if !self.ready {
                return None;
            }
            match self.nic.receive(&mut buffer) {
                Ok(bytes) => {
                    let bytes = &buffer[..bytes.min(buffer.len())];
                    if let Some(node) = port_down(bytes, &self.cards) {
                        return Some(node);
                    }
                }
                Err(Errno::EINTR) => {}
                // Whatever else it is: silence tells the same, only later.
                Err(_) => self.ready = false,
            }
        }
        None
    }
}

/// The node whose port a frame says is down, if the frame says such a thing.
pub(super) fn port_down(frame: &[u8], cards: &BTreeMap<Mac, NodeId>) -> Option<NodeId> {
    let Err(BadHeader::Type(notice::ETHERTYPE)) = Header::parse(frame) else { return None };
    cards.get(&Mac(notice::parse(frame.get(HEADER_BYTES..)?)?)).copied()
}
