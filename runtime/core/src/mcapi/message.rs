//! Messages: no connection, a priority, and an answer from the receiver about each one.
//!
//! A send completes when the receiving node has said what became of the message: it is in the queue
//! or with a receiver ([`Completion::Done`]), the queue was full ([`Status::MemLimit`] with the
//! receiving endpoint's [`super::FAIL_ON_MEM_LIMIT`], and otherwise the message waits for room), there is no such endpoint, or it is connected to a channel
//! ([`Status::General`]). So no message is lost without its sender being told, and unanswered
//! messages are bounded by the sender's requests. Between endpoints of one node that is at once. When answers wait for
//! each other, see [`super::answers`].

use super::buffer::Pool;
use super::endpoint::{Endpoint, Local};
use super::frame::Frame;
use super::request::{Begun, Op, Queue, Request};
use super::{Completion, Mcapi, Port, Road, Status};
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_MSG_SIZE, MCAPI_MAX_QUEUE_ELEMENTS, MCAPI_MAX_REQUESTS};
use crate::sorted::Map;
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
    /// By priority, and those of one as they came.
    queue: VecDeque<Message>,
    pub(super) posted: Queue,
    /// How many were given out.
    given: u64,
    /// What was given out and came back, by priority and number: comes before all others of its priority.
    returned: Map<(u32, u64), Message>,
    /// Messages that wait for room, each with its sender's request.
    blocked: VecDeque<(NodeId, Request, Message)>,
}

impl Inbox {
    /// Room for all messages that it ever has.
    pub(super) fn reserve(&mut self) {
        self.queue.reserve_exact(MCAPI_MAX_QUEUE_ELEMENTS);
    }

    /// Room for all messages that ever wait for room.
    pub(super) fn reserve_blocked(&mut self) {
        self.blocked.reserve_exact(MCAPI_MAX_REQUESTS);
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.returned.len()
    }

    /// The number of a message that is given out now.
    const fn number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// The oldest of the highest priority, and its number.
    #[inline]
    fn pop(&mut self) -> Option<(u64, Message)> {
        let back = self.returned.first_mut().map(|(&(priority, _), _)| priority);
        if let Some(back) = back
            && self.queue.front().is_none_or(|first| back <= first.priority)
        {
            let ((_, number), message) = self.returned.pop_first()?;
            return Some((number, message));
        }
        let message = self.queue.pop_front()?;
        Some((self.number(), message))
    }

    /// Hands out what [`Self::pop`] would give, in its place, and takes its buffer back.
    #[inline]
    fn take<R>(&mut self, pool: &mut Pool, take: impl FnOnce(&mut Message) -> R) -> Option<R> {
        if self.returned.is_empty() {
            let first = self.queue.front_mut()?;
            let taken = take(first);
            pool.give_back(core::mem::take(&mut first.data));
            self.queue.pop_front();
            self.given += 1;
            return Some(taken);
        }
        let (_, mut message) = self.pop()?;
        let taken = take(&mut message);
        pool.give_back(message.data);
        Some(taken)
    }

    #[inline]
    fn push(&mut self, message: Message) {
        match self.queue.back() {
            Some(last) if last.priority > message.priority => {
                let at = self.queue.partition_point(|before| before.priority <= message.priority);
                self.queue.insert(at, message);
            }
            _ => self.queue.push_back(message),
        }
    }

    /// Whose messages wait for room.
    pub(super) fn blocked(&self) -> Vec<(NodeId, Request)> {
        self.blocked.iter().map(|&(node, request, _)| (node, request)).collect()
    }

    /// Forgets the messages that wait for room and are chosen.
    fn forget(&mut self, pool: &mut Pool, forgotten: impl Fn(NodeId, Request) -> bool) {
        self.blocked.retain_mut(|(node, request, message)| {
            let keep = !forgotten(*node, *request);
            if !keep {
                pool.give_back(core::mem::take(&mut message.data));
            }
            keep
        });
    }

    pub(super) fn forget_node(&mut self, node: NodeId, pool: &mut Pool) {
        self.forget(pool, |from, _| from == node);
    }

    /// Gives all buffers back.
    pub(super) fn empty(self, pool: &mut Pool) {
        let blocked = self.blocked.into_iter().map(|(.., message)| message);
        let returned = self.returned.into_values();
        self.queue
            .into_iter()
            .chain(returned)
            .chain(blocked)
            .for_each(|message| pool.give_back(message.data));
    }
}

impl Local {
    /// May a message of this size and priority be sent or received here?
    #[inline]
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
    #[inline]
    fn admit(&mut self) -> Option<(NodeId, Request)> {
        if self.inbox.len() >= self.attributes.num_recv_buffers.into() {
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
        self.msg_send_i_on(&mut (), (from, to), data, priority)
    }

    /// The same, by a road if it can.
    pub fn msg_send_i_on(
        &mut self,
        road: &mut dyn Road,
        ends: (Endpoint, Endpoint),
        data: &[u8],
        priority: u32,
    ) -> Result<Request, Status> {
        self.send_message(road, ends, data, priority, true)
    }

    /// The same for a caller that is going to wait.
    pub fn msg_send_on(
        &mut self,
        road: &mut dyn Road,
        ends: (Endpoint, Endpoint),
        data: &[u8],
        priority: u32,
    ) -> Result<Request, Status> {
        self.send_message(road, ends, data, priority, false)
    }

    #[inline]
    fn send_message(
        &mut self,
        road: &mut dyn Road,
        (from, to): (Endpoint, Endpoint),
        data: &[u8],
        priority: u32,
        later: bool,
    ) -> Result<Request, Status> {
        let source = self.own(from)?;
        let node = self.existing(to)?;
        let local = self.local(source).ok_or(Status::EndpInvalid)?;
        let priority = local.admits(data.len(), priority)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        self.reachable(node, Status::EndpInvalid)?;
        let request = self.requests.open(Op::MessageSend { node, port: to.port.0 })?;
        let later = later && self.may_wait(node);
        let frame = Frame::Message { request, from: source, to: to.port.0, priority, later };
        if let Err(status) = self.send_data(road, node, frame, data) {
            self.requests.withdraw(request);
            return Err(status);
        }
        if later {
            self.answers.expect(node);
        }
        self.settle();
        Ok(request)
    }

    /// Receives a message at an endpoint of this node: the oldest of the highest priority.
    /// Receives posted ahead are served in the order in which they were posted.
    pub fn msg_recv_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        if !self.requests.has_room() {
            self.own(endpoint)?;
            return Err(Status::RequestLimit);
        }
        match self.receive_message(endpoint)? {
            (serial, Begun::Done(completion)) => {
                self.received(Op::MessageReceive { port: endpoint.port.0, serial }, completion)
            }
            (_, Begun::Pending(request)) => Ok(request),
        }
    }

    /// The same for a caller that is going to wait.
    pub fn msg_recv(&mut self, endpoint: Endpoint) -> Result<Begun, Status> {
        self.receive_message(endpoint).map(|(_, begun)| begun)
    }

    /// Hands the next message to `take` where it lies, if there is one now, and takes its buffer back. Nobody waits for it:
    /// whoever does is given it before.
    #[inline]
    pub fn msg_take<R>(
        &mut self,
        endpoint: Endpoint,
        take: impl FnOnce(&mut Message) -> R,
    ) -> Result<Option<R>, Status> {
        let port = self.own(endpoint)?;
        let local = self.endpoints.get_mut(port).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        let Some(taken) = local.inbox.take(&mut self.pool, take) else { return Ok(None) };
        if let Some((node, sent)) = local.admit() {
            self.message_done(node, sent, false);
            self.settle();
        }
        if self.starved > 0 {
            self.feed();
            self.settle();
        }
        Ok(Some(taken))
    }

    /// And the number of what was received.
    #[inline]
    fn receive_message(&mut self, endpoint: Endpoint) -> Result<(u64, Begun), Status> {
        let port = self.own(endpoint)?;
        let local = self.endpoints.get_mut(port).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        if let Some((number, message)) = local.inbox.pop() {
            if let Some((node, sent)) = local.admit() {
                self.message_done(node, sent, false);
                self.settle();
            }
            return Ok((number, Begun::Done(Completion::Message(message))));
        }
        let request = self.requests.open(Op::MessageReceive { port, serial: 0 })?;
        self.requests.enqueue(&mut local.inbox.posted, request);
        Ok((0, Begun::Pending(request)))
    }

    /// Takes in the messages that wait for room at an endpoint that may have more now.
    pub(super) fn admit_waiting(&mut self, port: u32) {
        while let Some((node, sent)) = self.endpoints.get_mut(port).and_then(Local::admit) {
            self.message_done(node, sent, false);
        }
        self.settle();
    }

    /// How many messages can be received at once at an endpoint of this node.
    pub fn msg_available(&self, endpoint: Endpoint) -> Result<usize, Status> {
        let port = self.own(endpoint)?;
        Ok(self.local(port).map_or(0, |local| local.inbox.len()))
    }

    #[inline]
    pub(super) fn on_message(
        &mut self,
        node: NodeId,
        request: Request,
        ends: (u32, u32),
        (priority, later): (u8, bool),
        data: &[u8],
    ) {
        match self.deliver((node, request), ends, priority.into(), data) {
            Ok(true) => self.message_done(node, request, later),
            Ok(false) => {}
            Err(status) => {
                self.counters.refused += 1;
                self.send(node, Frame::MessageDone { request, status });
            }
        }
    }

    /// Whether the message is in the queue or with a receiver; otherwise it waits for room.
    #[inline]
    fn deliver(
        &mut self,
        (node, request): (NodeId, Request),
        (from, to): (u32, u32),
        priority: u32,
        data: &[u8],
    ) -> Result<bool, Status> {
        let (domain, name) = self.node_name(node).ok_or(Status::General)?;
        let from = Endpoint { domain, node: name, port: Port(from) };
        let local = self.endpoints.get_mut(to).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::General);
        }
        local.admits(data.len(), priority)?;
        let waiting = local.inbox.blocked.len();
        let full = waiting > 0 || local.inbox.len() >= local.attributes.num_recv_buffers.into();
        if full && (local.attributes.fails_on_limit() || waiting >= MCAPI_MAX_REQUESTS) {
            return Err(Status::MemLimit);
        }
        let data = self.pool.copy(&[], data).ok_or(Status::MemLimit)?;
        let message = Message { data, priority, from };
        if full {
            local.inbox.blocked.push_back((node, request, message));
            return Ok(false);
        }
        match self.requests.dequeue(&mut local.inbox.posted) {
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
        let Some(local) = self.endpoints.get_mut(port) else { return self.give_back(message.data) };
        match self.requests.dequeue(&mut local.inbox.posted) {
            Some(receiver) => self.receive(receiver, number, Completion::Message(message)),
            None => drop(local.inbox.returned.insert((message.priority, number), message)),
        }
    }

    pub(super) fn on_message_cancel(&mut self, from: NodeId, request: Request, port: u32) {
        if let Some(local) = self.endpoints.get_mut(port) {
            local.inbox.forget(&mut self.pool, |node, sent| (node, sent) == (from, request));
        }
    }

    pub(super) fn on_messages_done(&mut self, from: NodeId, requests: &[u8]) {
        let (requests, rest) = requests.as_chunks();
        for request in requests {
            let request = Request::from_raw(u32::from_le_bytes(*request));
            self.on_message_done(from, request, Status::Success);
        }
        self.counters.malformed += u64::from(!rest.is_empty());
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
