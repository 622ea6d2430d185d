//! Messages: no connection, a priority, and an answer from the receiver about each one.
//!
//! A send completes when the receiving node has said what became of the message: it is in the queue
//! or with a receiver ([`Completion::Done`]), the queue was full ([`Status::MemLimit`], as with
//! `FAIL_ON_MEM_LIMIT`), there is no such endpoint, or it is connected to a channel
//! ([`Status::General`]). So no message is lost without its sender being told, and unanswered
//! messages are bounded by the sender's requests. Between endpoints of one node that is at once.

use super::endpoint::Endpoint;
use super::frame::Frame;
use super::request::{Op, Request};
use super::{Completion, Mcapi, Port, Status};
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_MSG_SIZE, MCAPI_MAX_PRIORITY};
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
}

impl Inbox {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, message: Message) {
        self.len += 1;
        self.queues.get_or_default(message.priority).push_back(message);
    }

    /// The oldest of the highest priority.
    fn pop(&mut self) -> Option<Message> {
        let (_, queue) = self.queues.first_mut()?;
        let message = queue.pop_front();
        if queue.is_empty() {
            self.queues.pop_first();
        }
        self.len -= 1;
        message
    }

    pub(super) fn forget(&mut self, request: Request) {
        self.posted.retain(|&posted| posted != request);
    }

    pub(super) fn into_posted(self) -> VecDeque<Request> {
        self.posted
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
        if data.len() > MCAPI_MAX_MSG_SIZE {
            return Err(Status::MsgSize);
        }
        let level = u8::try_from(priority).map_err(|_| Status::Priority)?;
        if priority > MCAPI_MAX_PRIORITY {
            return Err(Status::Priority);
        }
        if self.local(source).is_some_and(|local| local.channel.is_some()) {
            return Err(Status::General);
        }
        self.reachable(node, Status::EndpInvalid)?;
        let request = self.requests.open(Op::MessageSend { node })?;
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
        let request = self.requests.open(Op::MessageReceive { port })?;
        match local.inbox.pop() {
            Some(message) => self.complete(request, Completion::Message(message)),
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
        let status = match self.deliver(node, (from, to), priority.into(), data) {
            Ok(()) => Status::Success,
            Err(status) => {
                self.counters.refused += 1;
                status
            }
        };
        self.send(node, Frame::MessageDone { request, status });
    }

    fn deliver(
        &mut self,
        node: NodeId,
        (from, to): (u32, u32),
        priority: u32,
        data: Cow<'_, [u8]>,
    ) -> Result<(), Status> {
        let from = Endpoint { domain: self.domain, node: node.into(), port: Port(from) };
        let local = self.endpoints.get_mut(&to).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        if data.len() > MCAPI_MAX_MSG_SIZE {
            return Err(Status::MsgSize);
        }
        if priority > MCAPI_MAX_PRIORITY {
            return Err(Status::Priority);
        }
        if local.inbox.len >= local.attributes.num_recv_buffers.into() {
            return Err(Status::MemLimit);
        }
        let message = Message { data: data.into_owned(), priority, from };
        match local.inbox.posted.pop_front() {
            Some(receiver) => self.complete(receiver, Completion::Message(message)),
            None => local.inbox.push(message),
        }
        Ok(())
    }

    pub(super) fn on_message_done(&mut self, from: NodeId, request: Request, status: Status) {
        match self.requests.pending(request) {
            Some(&Op::MessageSend { node }) if node == from => {
                self.complete(request, Completion::of(status));
            }
            _ => self.counters.stale += 1,
        }
    }
}
