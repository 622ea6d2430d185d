//! The other nodes: their names, and whether they are there.
//!
//! A node has a short number here, its [`NodeId`], and a name in the topology. Programs know names; numbers are
//! the driver's, who says which node is meant by one, and no number goes over the wire.

use super::endpoint::{DomainId, McapiNode};
use super::frame::Frame;
use super::request::Op;
use super::{Completion, Mcapi, Output, Payload, Status};
use crate::id::NodeId;
use crate::limits::MCAPI_MAX_NODES;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It may come: who asks for its endpoints waits.
    Expected,
    Here,
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    domain: DomainId,
    node: McapiNode,
    presence: Presence,
}

impl Mcapi {
    pub(super) fn know(&mut self, id: NodeId, domain: DomainId, node: McapiNode, here: Presence) {
        self.nodes.insert(id, Peer { domain, node, presence: here });
        self.names.insert((domain, node), id);
    }

    /// The number of a node that may come, or come back: [`Mcapi::endpoint_get_i`] waits for it then. New names get
    /// the next number. [`Status::NodeInvalid`] when there are too many.
    pub fn expect_node(&mut self, domain: DomainId, node: McapiNode) -> Result<NodeId, Status> {
        if domain.0 == u32::MAX {
            return Err(Status::DomainInvalid);
        }
        if node.0 == u32::MAX {
            return Err(Status::NodeInvalid);
        }
        let known = self.names.get(&(domain, node)).copied();
        let id = match known {
            Some(id) => id,
            None if self.nodes.len() < MCAPI_MAX_NODES => {
                NodeId(u16::try_from(self.nodes.len()).map_err(|_| Status::NodeInvalid)?)
            }
            None => return Err(Status::NodeInvalid),
        };
        if known.is_none() {
            self.know(id, domain, node, Presence::Expected);
        } else if let Some(peer) = self.nodes.get_mut(&id)
            && peer.presence == Presence::Lost
        {
            peer.presence = Presence::Expected;
        }
        Ok(id)
    }

    /// The name of a node.
    #[must_use]
    pub fn node_name(&self, id: NodeId) -> Option<(DomainId, McapiNode)> {
        self.nodes.get(&id).map(|peer| (peer.domain, peer.node))
    }

    /// The number of a node with this name.
    pub fn node_of(&self, domain: DomainId, node: McapiNode) -> Result<NodeId, Status> {
        let unknown = || {
            let mut domains = self.names.keys().map(|(domain, _)| *domain);
            if domains.any(|known| known == domain) {
                Status::NodeInvalid
            } else {
                Status::DomainInvalid
            }
        };
        self.names.get(&(domain, node)).copied().ok_or_else(unknown)
    }

    /// A node is lost, with all that it had: whatever waits for it fails with
    /// [`Status::Transmission`], and so do calls that name it.
    pub fn node_gone(&mut self, node: NodeId) {
        let peer = self.nodes.get_mut(&node).filter(|peer| peer.presence == Presence::Here);
        let Some(peer) = peer.filter(|_| node != self.me) else { return };
        peer.presence = Presence::Lost;
        self.answers.forget(node);
        self.forget_outputs(node);
        for waiting in self.wanted.values_mut() {
            waiting.retain(|&(asker, _)| asker != node);
        }
        self.wanted.retain(|_, waiting| !waiting.is_empty());
        self.awaited.retain(|waiting| waiting.connector.0 != node);
        for request in self.requests.waiting_for(node) {
            match self.requests.pending(request) {
                // Nothing is left to be done.
                Some(Op::Closing { .. }) => self.complete(request, Completion::Done),
                _ => self.complete(request, Completion::Failed(Status::Transmission)),
            }
        }
        for local in self.endpoints.values_mut() {
            local.inbox.forget_node(node, &mut self.pool);
        }
        self.break_channels(node);
        self.settle();
    }

    /// What was for a life that is over is nothing to the next one.
    fn forget_outputs(&mut self, node: NodeId) {
        let pool = &mut self.pool;
        self.out.retain_mut(|output| match output {
            Output::Send { to, payload } if *to == node => {
                if let Payload::Long(buffer) = payload {
                    pool.give_back(core::mem::take(buffer));
                }
                false
            }
            _ => true,
        });
    }

    /// A node can be reached, for the first time or again; it has no endpoints yet.
    pub fn node_joined(&mut self, node: NodeId) {
        if node == self.me {
            return;
        }
        self.node_gone(node);
        if let Some(peer) = self.nodes.get_mut(&node) {
            peer.presence = Presence::Here;
        } else {
            let domain = self.domain;
            self.know(node, domain, node.into(), Presence::Here);
        }
        for (request, port) in self.requests.gets(node) {
            self.send(node, Frame::Get { request, port });
        }
        self.connect_awaited(node);
        self.settle();
    }

    pub(super) fn is_here(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|peer| peer.presence == Presence::Here)
    }

    pub(super) fn is_expected(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|peer| peer.presence == Presence::Expected)
    }

    /// [`Status::Transmission`] when the node is not there, `unknown` when it never was heard of.
    pub(super) fn reachable(&self, node: NodeId, unknown: Status) -> Result<(), Status> {
        match self.nodes.get(&node) {
            Some(Peer { presence: Presence::Here, .. }) => Ok(()),
            Some(_) => Err(Status::Transmission),
            None => Err(unknown),
        }
    }
}
