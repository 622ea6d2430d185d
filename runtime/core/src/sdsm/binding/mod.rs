//! What carries the shared memory's messages: MCAPI packet channels (SCASH/MCAPI), or the stream
//! between two nodes with nothing between (SCASH-FT), the baseline of every comparison.
//!
//! Both carry messages of any length from one side of a node to the other side of another, in
//! order. A message longer than a packet travels in parts.

mod channels;
#[cfg(test)]
mod tests;

use crate::id::NodeId;
use crate::limits::MCAPI_MAX_PKT_SIZE;
use crate::link::Proto;
use crate::membership::View;
use crate::node;
use crate::sorted::Map;
use crate::wire::{Malformed, Reader};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use channels::Channels;

/// A side of a node, as an addressee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Serves requests; every member has one.
    Receive,
    /// Gets the answers to its requests; every host of a rank has one.
    Compute,
}

/// Something for the node to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hand this to the link.
    Transmit {
        /// To this node.
        to: NodeId,
        /// Under this protocol.
        proto: Proto,
        /// For [`Binding::handle`] over there.
        payload: Vec<u8>,
    },
    /// A message arrived.
    Deliver {
        /// From this node.
        from: NodeId,
        /// To this side of this node.
        side: Side,
        /// What was sent.
        bytes: Vec<u8>,
    },
}

#[derive(Clone, Debug)]
enum Carrier {
    Channels(Box<Channels>),
    Sockets,
}

/// The connections of one node in one view.
#[derive(Clone, Debug)]
pub struct Binding {
    carrier: Carrier,
    open: bool,
    /// Parts of messages that are not complete yet.
    parts: Map<(NodeId, Side), Vec<u8>>,
    actions: VecDeque<Action>,
}

/// Longest part: with the flag, a packet; with the side, a message of the link.
const PART: usize = MCAPI_MAX_PKT_SIZE - 8;

const LAST: u8 = 0;
const MORE: u8 = 1;
const TO_COMPUTE: u8 = 2;

impl Binding {
    /// Closed connections between the members of a view.
    #[must_use]
    pub fn new(kind: node::Binding, me: NodeId, view: &View) -> Self {
        let carrier = match kind {
            node::Binding::Mcapi => Carrier::Channels(Box::new(Channels::new(me, view))),
            node::Binding::Sockets => Carrier::Sockets,
        };
        Self { carrier, open: false, parts: Map::new(), actions: VecDeque::new() }
    }

    /// Opens them; the other nodes do so too.
    pub fn open(&mut self) {
        self.open = true;
        if let Carrier::Channels(channels) = &mut self.carrier {
            channels.open();
        }
        self.progress();
    }

    /// Can everything be sent and received?
    #[must_use]
    pub fn is_open(&self) -> bool {
        match &self.carrier {
            Carrier::Channels(channels) => channels.is_open(),
            Carrier::Sockets => self.open,
        }
    }

    /// Sends a message to a side of another node.
    pub fn send(&mut self, to: NodeId, side: Side, bytes: &[u8]) {
        let parts = bytes.len().div_ceil(PART).max(1);
        for i in 0..parts {
            let chunk = bytes.get(i * PART..).unwrap_or_default();
            let chunk = chunk.get(..PART).unwrap_or(chunk);
            let more = if i + 1 < parts { MORE } else { LAST };
            let mut packet = Vec::with_capacity(chunk.len() + 1);
            match &mut self.carrier {
                Carrier::Channels(channels) => {
                    packet.push(more);
                    packet.extend_from_slice(chunk);
                    channels.send(to, side, packet);
                }
                Carrier::Sockets => {
                    packet.push(more | if side == Side::Compute { TO_COMPUTE } else { 0 });
                    packet.extend_from_slice(chunk);
                    let proto = Proto::Sdsm;
                    self.actions.push_back(Action::Transmit { to, proto, payload: packet });
                }
            }
        }
        self.progress();
    }

    /// A message of the link from another node, under [`Proto::Mcapi`] or [`Proto::Sdsm`].
    ///
    /// # Errors
    /// When it is malformed, or of the other binding.
    pub fn handle(&mut self, from: NodeId, proto: Proto, payload: &[u8]) -> Result<(), Malformed> {
        match (&mut self.carrier, proto) {
            (Carrier::Channels(channels), Proto::Mcapi) => channels.handle(from, payload),
            (Carrier::Sockets, Proto::Sdsm) => {
                let flags = Reader::new(payload).u8("part flags")?;
                let side = if flags & TO_COMPUTE == 0 { Side::Receive } else { Side::Compute };
                self.part(from, side, payload);
            }
            _ => {
                return Err(Malformed {
                    what: "binding: the nodes differ in runtime.binding",
                    at: 0,
                });
            }
        }
        self.progress();
        Ok(())
    }

    /// The next action.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    fn part(&mut self, from: NodeId, side: Side, packet: &[u8]) {
        let Some((flags, bytes)) = packet.split_first() else { return };
        let whole = if let Some(mut earlier) = self.parts.remove(&(from, side)) {
            earlier.extend_from_slice(bytes);
            earlier
        } else {
            bytes.to_vec()
        };
        if flags & MORE != 0 {
            self.parts.insert((from, side), whole);
        } else {
            self.actions.push_back(Action::Deliver { from, side, bytes: whole });
        }
    }

    fn progress(&mut self) {
        while let Carrier::Channels(channels) = &mut self.carrier {
            channels.progress();
            while let Some((to, payload)) = channels.poll() {
                self.actions.push_back(Action::Transmit { to, proto: Proto::Mcapi, payload });
            }
            let Some((from, side, packet)) = channels.receive() else { return };
            self.part(from, side, &packet);
        }
    }
}
