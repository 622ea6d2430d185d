//! Messages: no connection, a priority, and an answer from the receiver about each one.
//!
//! A send completes when the receiving node has said what became of the message: it is in the queue
//! or with a receiver ([`Completion::Done`]), the queue was full ([`Status::MemLimit`] with the
//! receiving endpoint's [`super::FAIL_ON_MEM_LIMIT`], and otherwise the message waits for room), there is no such endpoint, or it is connected to a channel
//! ([`Status::General`]). So no message is lost without its sender being told, and unanswered
//! messages are bounded by the sender's requests. Between endpoints of one node that is at once.

use super::endpoint::{Endpoint, Local};
use super::frame::Frame;
use super::request::{Op, Request};
use super::{Completion, Mcapi, Port, Status};
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_MSG_SIZE, MCAPI_MAX_REQUESTS};
use crate::sorted::Map;
use alloc::borrow::Cow;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What was sent.
    pub data: Vec<u8>,
    /// 0 is the highest.
    pub priority: u32,
    /// Where it was sent from.
    pub from: Endpoint,
}

/// Messages that wait for a receiver, or receivers that wait for a message: never both.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox {
    /// By priority, none of them empty.
    queues: Map<u32, VecDeque<Message>>,
    len: usize,
    posted: VecDeque<Request>,
    /// How many were given out.
    given: u64,
    /// What was given out and came back, by priority and number: comes before all others of its priority.
    returned: Map<(u32, u64), Message>,
    /// Messages that wait for room, each with its sender's request.
    blocked: VecDeque<(NodeId, Request, Message)>,
}

impl Inbox {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, message: Message) {
        self.len += 1;
        self.queues.get_or_default(message.priority).push_back(message);
    }

    /// The number of a message that is given out now.
    const fn number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// The oldest of the highest priority, and its number.
    fn pop(&mut self) -> Option<(u64, Message)> {
        let highest = self.queues.first_mut().map(|(&priority, _)| priority);
        let back = self.returned.first_mut().map(|(&(priority, _), _)| priority);
        if let Some(back) = back
            && highest.is_none_or(|highest| back <= highest)
        {
            let ((_, number), message) = self.returned.pop_first()?;
            self.len -= 1;
            return Some((number, message));
        }
        let (_, queue) = self.queues.first_mut()?;
        let message = queue.pop_front()?;
        if queue.is_empty() {
            self.queues.pop_first();
        }
        self.len -= 1;
        Some((self.number(), message))
    }

    /// Takes back what was given out under this number; returns whoever waits for a message.
    fn unpop(&mut self, number: u64, message: Message) -> Option<(Request, Message)> {
        if let Some(receiver) = self.posted.pop_front() {
            return Some((receiver, message));
        }
        self.len += 1;
        self.returned.insert((message.priority, number), message);
        None
    }

    pub(super) fn forget(&mut self, request: Request) {
        self.posted.retain(|&posted| posted != request);
    }

    /// Whose messages wait for room.
    pub(super) fn blocked(&self) -> Vec<(NodeId, Request)> {
        self.blocked.iter().map(|&(node, request, _)| (node, request)).collect()
    }

    pub(super) fn forget_node(&mut self, node: NodeId) {
        self.blocked.retain(|(from, ..)| *from != node);
    }

    pub(super) fn into_posted(self) -> VecDeque<Request> {
        self.posted
    }
}

impl Local {
    /// May a message of this size and priority be sent or received here?
    fn admits(&self, size: usize, priority: u32) -> Result<u8, Status> {
        if size > MCAPI_MAX_MSG_SIZE || !self.attributes.carries(size) {
            return Err(Status::MsgSize);
        }
        if priority >= self.attributes.terms.num_priorities {
            return Err(Status::Priority);
        }
        u8::try_from(priority).map_err(|_| Status::Priority)
    }

    /// Takes in the first message that waits for room, when there is some; its sender is to be told.
    fn admit(&mut self) -> Option<(NodeId, Request)> {
        if self.inbox.len >= self.attributes.num_recv_buffers.into() {
            return None;
        }
        let (node, request, message) = self.inbox.blocked.pop_front()?;
        self.inbox.push(message);
        Some((node, request))
    }
}

impl Mcapi {
    /// Sends a message from an endpoint of this node. See the module for when it completes.
    pub fn msg_send_i(
        &mut self,
        from: Endpoint,
        to: Endpoint,
        data: &[u8],
        priority: u32,
    ) -> Result<Request, Status> {
        let source = self.own(from)?;
        let node = self.existing(to)?;
        let local = self.local(source).ok_or(Status::EndpInvalid)?;
        let level = local.admits(data.len(), priority)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        self.reachable(node, Status::EndpInvalid)?;
        let request = self.requests.open(Op::MessageSend { node, port: to.port.0 })?;
        let frame = Frame::Message { request, from: source, to: to.port.0, priority: level };
        self.send_with(node, frame, Cow::Borrowed(data));
        self.settle();
        Ok(request)
    }

    /// Receives a message at an endpoint of this node: the oldest of the highest priority.
    /// Receives posted ahead are served in the order in which they were posted.
    pub fn msg_recv_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        let port = self.own(endpoint)?;
        let local = self.endpoints.get_mut(&port).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        let request = self.requests.open(Op::MessageReceive { port, serial: 0 })?;
        match local.inbox.pop() {
            Some((number, message)) => {
                let admitted = local.admit();
                self.receive(request, number, Completion::Message(message));
                if let Some((node, sent)) = admitted {
                    self.send(node, Frame::MessageDone { request: sent, status: Status::Success });
                    self.settle();
                }
            }
            None => local.inbox.posted.push_back(request),
        }
        Ok(request)
    }

    /// How many messages can be received at once at an endpoint of this node.
    pub fn msg_available(&self, endpoint: Endpoint) -> Result<usize, Status> {
        let port = self.own(endpoint)?;
        Ok(self.local(port).map_or(0, |local| local.inbox.len()))
    }

    pub(super) fn on_message(
        &mut self,
        node: NodeId,
        request: Request,
        (from, to): (u32, u32),
        priority: u8,
        data: Cow<'_, [u8]>,
    ) {
        let status = match self.deliver((node, request), (from, to), priority.into(), data) {
            Ok(true) => Status::Success,
            Ok(false) => return,
            Err(status) => {
                self.counters.refused += 1;
                status
            }
        };
        self.send(node, Frame::MessageDone { request, status });
    }

    /// Whether the message is in the queue or with a receiver; otherwise it waits for room.
    fn deliver(
        &mut self,
        (node, request): (NodeId, Request),
        (from, to): (u32, u32),
        priority: u32,
        data: Cow<'_, [u8]>,
    ) -> Result<bool, Status> {
        let (domain, name) = self.node_name(node).ok_or(Status::General)?;
        let from = Endpoint { domain, node: name, port: Port(from) };
        let local = self.endpoints.get_mut(&to).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        local.admits(data.len(), priority)?;
        let full = local.inbox.len >= local.attributes.num_recv_buffers.into();
        let waiting = local.inbox.blocked.len();
        if full && (local.attributes.fails_on_limit() || waiting >= MCAPI_MAX_REQUESTS) {
            return Err(Status::MemLimit);
        }
        let message = Message { data: data.into_owned(), priority, from };
        if full {
            local.inbox.blocked.push_back((node, request, message));
            return Ok(false);
        }
        match local.inbox.posted.pop_front() {
            Some(receiver) => {
                let number = local.inbox.number();
                self.receive(receiver, number, Completion::Message(message));
            }
            None => local.inbox.push(message),
        }
        Ok(true)
    }

    /// A message that nobody took comes back to its endpoint.
    pub(super) fn unreceive(&mut self, port: u32, number: u64, message: Message) {
        let Some(local) = self.endpoints.get_mut(&port) else { return };
        if let Some((receiver, message)) = local.inbox.unpop(number, message) {
            self.receive(receiver, number, Completion::Message(message));
        }
    }

    pub(super) fn on_message_cancel(&mut self, from: NodeId, request: Request, port: u32) {
        if let Some(local) = self.endpoints.get_mut(&port) {
            local.inbox.blocked.retain(|&(node, sent, _)| (node, sent) != (from, request));
        }
    }

    pub(super) fn on_message_done(&mut self, from: NodeId, request: Request, status: Status) {
        match self.requests.pending(request) {
            Some(&Op::MessageSend { node, .. }) if node == from => {
                self.complete(request, Completion::of(status));
            }
            _ => self.counters.stale += 1,
        }
    }
}
