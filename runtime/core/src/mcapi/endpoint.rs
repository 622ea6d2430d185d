//! Endpoints: their names, and the table of those that this node made.

use super::attribute::Attributes;
use super::channel::{Channel, Opening};
use super::frame::Frame;
use super::message::Inbox;
use super::request::{Op, Request};
use super::{Completion, Mcapi, Status};
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_ENDPOINTS, MCAPI_MAX_REQUESTS};
use core::fmt;

/// A set of nodes. One cluster is one domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DomainId(pub u32);

/// Number of a node in its domain; in a cluster, that of its [`NodeId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct McapiNode(pub u32);

impl From<NodeId> for McapiNode {
    fn from(node: NodeId) -> Self {
        Self(node.0.into())
    }
}

impl TryFrom<McapiNode> for NodeId {
    type Error = Status;
    fn try_from(node: McapiNode) -> Result<Self, Status> {
        u16::try_from(node.0).map(Self).map_err(|_| Status::NodeInvalid)
    }
}

/// Number of an endpoint on its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Port(pub u32);

impl Port {
    /// Any port that is free.
    pub const ANY: Self = Self(u32::MAX);
    /// Ports from 0 that programs may not use (`MCAPI_NUM_RESERVED_PORTS`).
    pub const RESERVED: u32 = 1;
    /// Where [`Port::ANY`] looks, out of the way of the numbers that people choose: from here to twice this number.
    const FIRST_ANY: u32 = 1 << 15;

    const fn usable(self) -> Result<(), Status> {
        if self.0 < Self::RESERVED || self.0 == Self::ANY.0 {
            return Err(Status::PortInvalid);
        }
        Ok(())
    }
}

/// Name of an endpoint, the same on all nodes. Anybody may write one down; whether it exists is
/// found out when it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Its domain.
    pub domain: DomainId,
    /// The node that made it.
    pub node: McapiNode,
    /// Its number there.
    pub port: Port,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.domain.0, self.node.0, self.port.0)
    }
}

/// An endpoint of this node.
#[derive(Clone, Debug, Default)]
pub(super) struct Local {
    pub(super) attributes: Attributes,
    pub(super) inbox: Inbox,
    pub(super) opening: Option<Opening>,
    pub(super) get_count: u32,
    pub(super) get_source: Option<NodeId>,
    pub(super) channel: Option<Channel>,
    /// To be deleted when it is no end of a channel any more.
    pub(super) dropped: bool,
}

impl Local {
    fn got_by(&mut self, node: NodeId) {
        self.get_count = self.get_count.saturating_add(1);
        self.get_source = Some(node);
    }

    /// May it become an end of a channel?
    pub(super) fn bindable(&self) -> Result<(), Status> {
        match &self.channel {
            None => Ok(()),
            Some(channel) if channel.is_closing() => Err(Status::ChanClosePending),
            Some(_) => Err(Status::ChanConnected),
        }
    }
}

impl Mcapi {
    /// Makes an endpoint for messages. [`Status::EndpLimit`] when there are too many.
    pub fn endpoint_create(&mut self, port: Port) -> Result<Endpoint, Status> {
        if self.endpoints.len() >= MCAPI_MAX_ENDPOINTS {
            return Err(Status::EndpLimit);
        }
        let port = if port == Port::ANY { self.free_port()? } else { port };
        port.usable()?;
        if self.endpoints.contains_key(port.0) {
            return Err(Status::EndpExists);
        }
        let mut local = Local::default();
        if self.pool.is_fixed() {
            local.inbox.reserve();
        }
        let wanted = self.wanted.remove(&port.0).unwrap_or_default();
        wanted.iter().for_each(|&(node, _)| local.got_by(node));
        self.endpoints.insert(port.0, local);
        for (node, request) in wanted {
            self.send(node, Frame::GetDone { request, status: Status::Success, port: port.0 });
        }
        self.settle();
        Ok(self.name(port.0))
    }

    /// The first free port from where the last search ended, so that a port is not soon used again.
    fn free_port(&mut self) -> Result<Port, Status> {
        let tries = u32::try_from(MCAPI_MAX_ENDPOINTS).map_err(|_| Status::General)?;
        for _ in 0..=tries {
            let port = Port::FIRST_ANY | self.next_any;
            self.next_any = (self.next_any + 1) % Port::FIRST_ANY;
            if !self.endpoints.contains_key(port) {
                return Ok(Port(port));
            }
        }
        Err(Status::EndpNoPorts)
    }

    /// Deletes an endpoint of this node with all messages in it. Receives posted there fail with
    /// [`Status::EndpDeleted`]. Close its channel first.
    pub fn endpoint_delete(&mut self, endpoint: Endpoint) -> Result<(), Status> {
        if self.existing(endpoint)? != self.me {
            return Err(Status::EndpNotOwner);
        }
        let port = endpoint.port.0;
        if self.local(port).is_some_and(|local| local.channel.is_some()) {
            return Err(Status::ChanConnected);
        }
        self.delete(port);
        self.settle();
        Ok(())
    }

    /// Deletes an endpoint of this node that nobody names any more: now, or when it is no end of a channel any more. An end
    /// that is not open, nor to be opened by a request that is pending, closes now.
    pub fn endpoint_drop(&mut self, endpoint: Endpoint) {
        if self.endpoint_delete(endpoint) == Err(Status::ChanConnected)
            && let Some(local) = self.endpoints.get_mut(endpoint.port.0)
        {
            local.dropped = true;
            self.shut_if_nameless(endpoint.port.0);
            self.settle();
        }
    }

    pub(super) fn delete(&mut self, port: u32) {
        let Some(mut local) = self.endpoints.remove(port) else { return };
        self.counters.discarded += local.inbox.len() as u64;
        for (node, request) in local.inbox.blocked() {
            self.send(node, Frame::MessageDone { request, status: Status::EndpInvalid });
        }
        while let Some(request) = self.requests.dequeue(&mut local.inbox.posted) {
            self.complete(request, Completion::Failed(Status::EndpDeleted));
        }
        if let Some(opening) = local.opening {
            self.complete(opening.request, Completion::Failed(Status::EndpDeleted));
        }
        local.inbox.empty(&mut self.pool);
        self.feed();
    }

    /// Asks for an endpoint by its name; completes with [`Completion::Endpoint`] once it exists.
    /// An endpoint that is connected to a channel can be got once, until it is released: then it is
    /// [`Status::EndpGetLimit`].
    pub fn endpoint_get_i(
        &mut self,
        domain: DomainId,
        node: McapiNode,
        port: Port,
    ) -> Result<Request, Status> {
        port.usable()?;
        let owner = self.node_of(domain, node)?;
        if !self.is_expected(owner) {
            self.reachable(owner, Status::NodeInvalid)?;
        }
        let request = self.requests.open(Op::Get { node: owner, port: port.0 })?;
        self.send(owner, Frame::Get { request, port: port.0 });
        self.settle();
        Ok(request)
    }

    pub(super) fn on_get(&mut self, from: NodeId, request: Request, port: u32) {
        if let Some(local) = self.endpoints.get_mut(port) {
            let free = local.channel.as_mut().is_none_or(Channel::get_once);
            if free {
                local.got_by(from);
            }
            let status = if free { Status::Success } else { Status::EndpGetLimit };
            return self.send(from, Frame::GetDone { request, status, port });
        }
        let waiting: usize = self.wanted.values().map(alloc::vec::Vec::len).sum();
        if waiting >= MCAPI_MAX_REQUESTS {
            let status = Status::EndpGetLimit;
            return self.send(from, Frame::GetDone { request, status, port });
        }
        self.wanted.get_or_default(port).push((from, request));
    }

    /// Gives back an endpoint that was got. Completes when its owner has heard of it, so that another node can get it; with
    /// [`Status::EndpInvalid`] if there is no such endpoint there.
    pub fn endpoint_release_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        let node = self.existing(endpoint)?;
        self.reachable(node, Status::EndpInvalid)?;
        let request = self.requests.open(Op::Release { node })?;
        self.send(node, Frame::Release { port: endpoint.port.0, request: Some(request) });
        self.settle();
        Ok(request)
    }

    /// The same of which nobody wants to know when that is done.
    pub(super) fn endpoint_forget(&mut self, endpoint: Endpoint) {
        if let Ok(node) = self.existing(endpoint) {
            // If it is gone, so is its count.
            self.send(node, Frame::Release { port: endpoint.port.0, request: None });
        }
    }

    pub(super) fn on_release(&mut self, from: NodeId, port: u32, request: Option<Request>) {
        let status = match self.endpoints.get_mut(port) {
            Some(local) => {
                local.get_count = local.get_count.saturating_sub(1);
                local.channel.as_mut().into_iter().for_each(Channel::release);
                Status::Success
            }
            None => {
                self.counters.stale += 1;
                Status::EndpInvalid
            }
        };
        if let Some(request) = request {
            self.send(from, Frame::Heard { request, status });
        }
    }

    /// Another node has heard of what was done here: a release, or a close.
    pub(super) fn on_heard(&mut self, from: NodeId, request: Request, status: Status) {
        match self.requests.pending(request) {
            Some(&Op::Release { node }) if node == from => {
                self.complete(request, Completion::of(status));
            }
            Some(&Op::Closing { node }) if node == from => self.complete(request, Completion::Done),
            _ => self.counters.stale += 1,
        }
    }

    pub(super) fn on_get_cancel(&mut self, from: NodeId, request: Request, port: u32) {
        if let Some(waiting) = self.wanted.get_mut(&port) {
            waiting.retain(|&entry| entry != (from, request));
            if waiting.is_empty() {
                self.wanted.remove(&port);
            }
        }
    }

    pub(super) fn on_get_done(
        &mut self,
        from: NodeId,
        request: Request,
        status: Status,
        port: u32,
    ) {
        match self.requests.pending(request) {
            Some(&Op::Get { node, port: asked }) if node == from && port == asked => {
                let completion = match (status, self.node_name(node)) {
                    (Status::Success, Some((domain, node))) => {
                        Completion::Endpoint(Endpoint { domain, node, port: Port(port) })
                    }
                    (Status::Success, None) => Completion::Failed(Status::General),
                    (failed, _) => Completion::Failed(failed),
                };
                self.complete(request, completion);
            }
            _ => {
                self.counters.stale += 1;
                // Nobody wants it any more, which the owner does not know.
                if status == Status::Success {
                    self.send(from, Frame::Release { port, request: None });
                }
            }
        }
    }

    pub(super) fn local(&self, port: u32) -> Option<&Local> {
        self.endpoints.get(port)
    }

    /// Of an endpoint of this node.
    pub(super) fn name(&self, port: u32) -> Endpoint {
        Endpoint { domain: self.domain, node: self.node_id(), port: Port(port) }
    }

    /// The owner of an endpoint that can exist as far as this node knows: if it is this node, it does.
    pub(super) fn existing(&self, endpoint: Endpoint) -> Result<NodeId, Status> {
        let mine = (endpoint.domain, endpoint.node) == (self.domain, self.name);
        let known = if mine {
            Some(self.me)
        } else {
            self.names.get(&(endpoint.domain, endpoint.node)).copied()
        };
        let node = known.ok_or(Status::EndpInvalid)?;
        if endpoint.port.usable().is_err()
            || (mine && !self.endpoints.contains_key(endpoint.port.0))
        {
            return Err(Status::EndpInvalid);
        }
        Ok(node)
    }

    /// The port of an endpoint of this node; [`Status::EndpInvalid`] for all others.
    pub(super) fn own(&self, endpoint: Endpoint) -> Result<u32, Status> {
        match self.existing(endpoint) {
            Ok(node) if node == self.me => Ok(endpoint.port.0),
            _ => Err(Status::EndpInvalid),
        }
    }
}
