//! MCAPI 2.x between the nodes of a cluster: endpoints, messages, packet channels, requests.
//!
//! One [`Mcapi`] per node. **Drain [`Mcapi::poll`] to `None` after every call that takes `&mut
//! self`.** Frames between two nodes must arrive whole and in order, which `link` sees to. All calls
//! end in `_i` or are immediate; a blocking call is one of these with a [`Mcapi::wait`]. What a node
//! asks of itself goes through the same code over a queue of its own, without frames.
//!
//! Calls refuse at once what can be known here; what only the other node knows comes as
//! [`Completion::Failed`].
//!
//! # One end of a channel
//!
//! ```text
//!                    connect (send side: asks the receive side first, and
//!   ┌─────────┐      goes back when it refuses)     ┌───────────┐
//!   │ message │ ──────────────────────────────────► │ connected │ ◄─┐ either side opens;
//!   │endpoint │                                     └───────────┘ ──┘ each tells the other
//!   └─────────┘                                           │ both opened: handles
//!     ▲     ▲                                             ▼
//!     │     │        their node is lost             ┌───────────┐
//!     │     │        and no handle is out           │   open    │ send ⇄ credit
//!     │     └────── (connected, closing) ◄────┐     └───────────┘
//!     │                                       │      │         │ closed there, or node lost:
//!     │                  this side closes;    │      │         ▼ sends fail; what came before
//!     │                  the send side first  │      │   ┌───────────┐ can be received
//!     │                  sends what waits     │      │   │ half open │
//!     │                                 ┌───────────┐│   └───────────┘
//!     │                                 │  closing  │◄         │
//!     │                                 └───────────┘          │
//!     │       closed there                    │                │ this side closes
//!     └───────────────────────────────────────┴────────────────┘
//! ```
//!
//! An open may come before the connect and then waits for it. Messages to a connected endpoint are
//! refused with [`Status::General`]; those that came before stay for after the close. The request of a
//! close is done when the other node has heard of it (`Closed`, `Heard`): when those of both ends are, each
//! node has heard of the other's, however the frames crossed, and both endpoints are back at the left. Closing in
//! order shows as [`Status::ChanInvalid`] on the other side, a lost node as [`Status::Transmission`].

mod abandon;
mod answers;
mod attribute;
mod buffer;
mod channel;
mod endpoint;
mod frame;
mod message;
mod node;
mod request;
mod slab;
mod status;
mod table;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, Attributes, FAIL_ON_MEM_LIMIT, NodeAttributes, TIMEOUT_INFINITE};
pub use buffer::{Lent, Packet, Payload};
pub use channel::{ChannelKind, RecvHandle, SendHandle};
pub use endpoint::{DomainId, Endpoint, McapiNode, Port};
pub use frame::{Head, split_packet};
pub use message::Message;
pub use request::{Begun, Completion, Request, Scan, Waiter};
pub use status::Status;

use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_ENDPOINTS, MCAPI_MAX_NODES};
use crate::sorted::Map;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use answers::Answers;
use buffer::{Data, Pool};
use channel::{Awaited, Handle};
use frame::Frame;
use node::{Peer, Presence};
use request::{Op, Requests};
use slab::Slab;
use table::Table;

/// Something for the node to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Give this to [`Mcapi::handle`] of another node, in order.
    Send {
        /// Which node.
        to: NodeId,
        /// The frame.
        payload: Payload,
    },
    /// Let this waiter ask again.
    Wake(Waiter),
}

/// A way on which data may go at once, with no copy of them made in between.
pub trait Road {
    /// Sends a frame, header and data, behind all that went to this node before. `false`: it cannot now, and
    /// [`Mcapi::poll`] gives the frame later.
    fn carry(&mut self, to: NodeId, head: &[u8], data: &[u8]) -> bool;
}

/// No way: all frames come from [`Mcapi::poll`].
impl Road for () {
    fn carry(&mut self, _: NodeId, _: &[u8], _: &[u8]) -> bool {
        false
    }
}

/// Outputs that are prepared for, of a node whose memory is fixed: more than one call ever has.
const OUTPUTS: usize = 4096;

/// What did not go as it should. All but `malformed` happen to right programs too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames that follow no format or no rule; ignored.
    pub malformed: u64,
    /// Frames for a channel or a request that is no more; ignored.
    pub stale: u64,
    /// Messages that came here and were refused; their senders know.
    pub refused: u64,
    /// Messages and packets that were received and then discarded by a delete or a close.
    pub discarded: u64,
}

/// The MCAPI of one node.
#[derive(Clone, Debug)]
pub struct Mcapi {
    domain: DomainId,
    me: NodeId,
    name: McapiNode,
    /// The nodes that were heard of, and whether they can be reached.
    nodes: Map<NodeId, Peer>,
    names: Map<(DomainId, McapiNode), NodeId>,
    endpoints: Table,
    /// Who waits for an endpoint to be made here, by port.
    wanted: Map<u32, Vec<(NodeId, Request)>>,
    next_any: u32,
    next_channel: u32,
    /// Channels that were bound here.
    binds: u64,
    awaited: Vec<Awaited>,
    handles: Slab<Handle>,
    requests: Requests,
    /// Frames to this node itself.
    loopback: VecDeque<Payload>,
    out: VecDeque<Output>,
    pool: Pool,
    answers: Answers,
    /// Ends of channels that may not grant what was taken there, for there is no buffer.
    starved: usize,
    counters: Counters,
}

impl Mcapi {
    /// A node of a domain, and the nodes that exist there.
    #[must_use]
    pub fn new(domain: DomainId, me: NodeId, nodes: &[NodeId]) -> Self {
        let mut new = Self::named(domain, me.into(), me);
        for &node in nodes {
            new.know(node, domain, node.into(), Presence::Here);
        }
        new
    }

    /// A node with any name and the number `me`; others are heard of by [`Mcapi::expect_node`], and come by
    /// [`Mcapi::node_joined`].
    #[must_use]
    pub fn named(domain: DomainId, node: McapiNode, me: NodeId) -> Self {
        let mut new = Self {
            domain,
            me,
            name: node,
            nodes: Map::new(),
            names: Map::new(),
            endpoints: Table::default(),
            wanted: Map::new(),
            next_any: 0,
            next_channel: 0,
            binds: 0,
            awaited: Vec::new(),
            handles: Slab::new(MCAPI_MAX_ENDPOINTS),
            requests: Requests::new(),
            loopback: VecDeque::new(),
            out: VecDeque::new(),
            pool: Pool::growing(),
            answers: Answers::default(),
            starved: 0,
            counters: Counters::default(),
        };
        new.know(me, domain, node, Presence::Here);
        new
    }

    /// Allocates now, for a node that has no endpoint yet, all that messages, packets, scalars and requests will ever
    /// need; when that is used up, [`Status::MemLimit`] says so. Endpoints and channels bring their queues with them.
    /// Whoever gets a [`Completion::Message`] or a [`Completion::Packet`] then gives its buffer back.
    #[must_use]
    pub fn with_fixed_memory(mut self) -> Self {
        self.pool = Pool::fixed();
        self.requests.reserve();
        self.handles.reserve();
        self.loopback.reserve(OUTPUTS);
        self.out.reserve(OUTPUTS);
        self.answers.reserve(MCAPI_MAX_NODES);
        self
    }

    /// Takes back the buffer of a message, a packet or a frame.
    pub fn give_back(&mut self, buffer: Vec<u8>) {
        self.pool.give_back(buffer);
        self.feed_starved();
    }

    /// Takes back a packet. What is lent with it still is [unwanted](Self::unwanted) then.
    pub fn release(&mut self, packet: Packet) {
        self.pool.release(packet);
        self.feed_starved();
    }

    #[inline]
    fn feed_starved(&mut self) {
        if self.starved > 0 {
            self.feed();
            self.settle();
        }
    }

    /// Takes back what came of a request that nobody wants to know.
    pub fn discard(&mut self, completion: Completion) {
        match completion {
            Completion::Message(Message { data: buffer, .. }) => self.give_back(buffer),
            Completion::Packet(packet) => self.release(packet),
            _ => {}
        }
    }

    /// Whether there is something [unwanted](Self::unwanted).
    #[must_use]
    #[inline]
    pub const fn has_unwanted(&self) -> bool {
        self.pool.has_unwanted()
    }

    /// Something of what was lent ([`Self::handle_lent`]) that no packet needs any more; ask until there is nothing.
    pub fn unwanted(&mut self) -> Option<Lent> {
        self.pool.unwanted()
    }

    /// Takes back what a frame lay in that has gone.
    pub fn sent(&mut self, payload: Payload) {
        if let Payload::Long(buffer) = payload {
            self.give_back(buffer);
        }
    }

    /// The domain of this node.
    #[must_use]
    pub const fn domain_id(&self) -> DomainId {
        self.domain
    }

    /// The number of this node.
    #[must_use]
    pub fn node_id(&self) -> McapiNode {
        self.name
    }

    /// What did not go as it should.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes a frame of another node. Whatever its bytes, it does not panic.
    pub fn handle(&mut self, from: NodeId, payload: &[u8]) {
        let known = from != self.me && self.reachable(from, Status::NodeInvalid).is_ok();
        match Frame::parse(payload) {
            Ok((frame, data)) if known => self.on_frame(from, frame, data),
            _ => self.counters.malformed += 1,
        }
        self.settle();
    }

    /// Takes a frame of which the data lie with the transport: if it is a packet that may be here, they are the node's
    /// until whoever gets the packet returns them, or [`Self::unwanted`] does. `false`: it was refused, and has them no more.
    #[must_use]
    pub fn handle_lent(&mut self, from: NodeId, head: &[u8], data: Lent) -> bool {
        let known = from != self.me && self.reachable(from, Status::NodeInvalid).is_ok();
        let taken = match Frame::parse(head) {
            Ok((Frame::Packet { channel, port }, [])) if known => {
                self.on_packet(from, channel, port, Data::Lent(data))
            }
            _ => {
                self.counters.malformed += 1;
                false
            }
        };
        self.settle();
        taken
    }

    /// The next output; drain to `None`.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front().or_else(|| {
            let (to, head) = self.answers.release()?;
            Some(Output::Send { to, payload: Payload::Short(head) })
        })
    }

    /// The same for a driver that is called again soon, and then calls [`Mcapi::poll`] if there is nothing else to do:
    /// what may wait does until then. It is little, and nobody waits for it.
    #[must_use]
    #[inline]
    pub fn poll_urgent(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Whether there is something to [`Mcapi::poll_urgent`].
    #[must_use]
    pub fn has_outputs(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether there is something that may wait, and does.
    #[must_use]
    #[inline]
    pub const fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    /// What came of a request; `None` while it is pending. After an answer the request is no more.
    pub fn test(&mut self, request: Request) -> Result<Option<Completion>, Status> {
        let done = self.requests.test(request)?;
        if done.is_none() {
            self.ask_for(request);
        }
        Ok(done)
    }

    /// Lets a request that [`Mcapi::test`] found done be waited for once more: then it completes with
    /// [`Completion::Tested`]. Its slot is free all the same, and forgets when its next request is remembered. After
    /// [`Mcapi::cancel`], with [`Status::RequestCancelled`]: until then whoever asks for it is told that it was cancelled.
    pub fn remember(&mut self, request: Request, status: Status, size: usize) {
        self.requests.remember(request, status, size);
    }

    /// Like [`Mcapi::wait_any`] for one request.
    pub fn wait(&mut self, request: Request, waiter: Waiter) -> Result<Option<Completion>, Status> {
        Ok(self.wait_any(&[request], waiter)?.map(|(_, completion)| completion))
    }

    /// The first of some requests that is done, and its place among them. `None`: the waiter sleeps,
    /// and [`Output::Wake`] says when to ask again; until then, or [`Mcapi::wait_stop`], it is
    /// [`Status::WaitPending`] for others to wait for them. Those that complete while the waiter
    /// looks after others are found in the order in which they completed; a wrong request is seen
    /// when none of these is left.
    pub fn wait_any(
        &mut self,
        requests: &[Request],
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        self.wait_any_of(requests.len(), |at| Ok(requests[at]), waiter)
    }

    /// Like [`Mcapi::wait_any`] over so many requests, each by its place, for callers that keep them in another form.
    pub fn wait_any_of(
        &mut self,
        number: usize,
        request: impl Fn(usize) -> Result<Request, Status>,
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        let found = self.requests.wait_any(number, request, waiter);
        self.ask_if_named();
        found
    }

    /// What came of a request that is done, if nobody has waited for it.
    #[inline]
    pub fn take_done(&mut self, request: Request) -> Option<Completion> {
        self.requests.take_unnamed(request)
    }

    /// Whether a request is done with nothing to be told but that, and nobody has waited for it; then it is no more.
    #[inline]
    pub fn take_plain(&mut self, request: Request) -> bool {
        self.requests.take_plain(request)
    }

    /// Begins what [`Mcapi::wait_part`] goes on with.
    #[must_use]
    pub fn scan(&self, number: usize, waiter: Waiter) -> Scan {
        self.requests.scan(number, waiter)
    }

    /// Like [`Mcapi::wait_any_of`] in parts, between which frames may be handled: so what comes is found before all
    /// requests have been looked at. The waiter sleeps when [`Scan::is_over`].
    pub fn wait_part(
        &mut self,
        scan: &mut Scan,
        number: usize,
        request: impl Fn(usize) -> Result<Request, Status>,
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        let found = self.requests.wait_part(scan, number, &request, waiter);
        self.ask_if_named();
        found
    }

    /// The waiter stops waiting, after a timeout say. The requests stay as they are.
    pub fn wait_stop(&mut self, waiter: Waiter) {
        self.requests.wait_stop(waiter);
    }

    /// Takes a pending request back; somebody who sleeps on it gets [`Status::RequestCancelled`].
    /// What was sent is sent: a message arrives if there was room for it, a connect connects, and an open is seen by the
    /// other side, though it takes another open to get the handle; a close closes, and a release releases.
    pub fn cancel(&mut self, request: Request) -> Result<(), Status> {
        let op = *self.requests.pending(request).ok_or(Status::RequestInvalid)?;
        match op {
            Op::Get { node, port } => self.send(node, Frame::GetCancel { request, port }),
            Op::MessageSend { node, port } => {
                self.send(node, Frame::MessageCancel { request, port });
            }
            Op::MessageReceive { port, .. } => {
                if let Some(local) = self.endpoints.get_mut(port) {
                    self.requests.unqueue(&mut local.inbox.posted, request);
                }
            }
            Op::Open { port }
            | Op::PacketSend { port }
            | Op::PacketReceive { port, .. }
            | Op::ScalarReceive { port, .. }
            | Op::Close { port } => self.withdraw(port, request),
            Op::Connect { .. } | Op::Attribute { .. } | Op::Release { .. } | Op::Closing { .. } => {
            }
        }
        let wake = self.requests.cancel(request);
        self.out.extend(wake.map(Output::Wake));
        self.settle();
        Ok(())
    }

    /// A receive that ends as it begins.
    fn received(&mut self, op: Op, completion: Completion) -> Result<Request, Status> {
        let request = self.requests.open(op)?;
        self.complete(request, completion);
        Ok(request)
    }

    /// Completes a receive, with the number of what it gets.
    fn receive(&mut self, request: Request, number: u64, completion: Completion) {
        let wake = self.requests.receive(request, number, completion);
        self.out.extend(wake.map(Output::Wake));
    }

    fn complete(&mut self, request: Request, completion: Completion) {
        let wake = self.requests.complete(request, completion);
        self.out.extend(wake.map(Output::Wake));
    }

    /// Sends a frame without data; to a lost node it goes nowhere.
    fn send(&mut self, to: NodeId, frame: Frame) {
        self.push(to, Payload::Short(frame.head()));
    }

    fn push(&mut self, to: NodeId, payload: Payload) {
        if to == self.me {
            self.loopback.push_back(payload);
        } else if self.is_here(to) {
            self.out.push_back(Output::Send { to, payload });
        } else {
            self.pool.unpack(payload);
        }
    }

    /// Sends a frame with data, on the road if nothing is before it. [`Status::MemLimit`]: there is no buffer to let
    /// it wait in.
    fn send_data(
        &mut self,
        road: &mut dyn Road,
        to: NodeId,
        frame: Frame,
        data: &[u8],
    ) -> Result<(), Status> {
        let head = frame.head();
        let first = to != self.me && self.out.is_empty() && self.is_here(to);
        if !(first && road.carry(to, &head, data)) {
            let payload = self.pool.pack(head, data).ok_or(Status::MemLimit)?;
            self.push(to, payload);
        }
        Ok(())
    }

    /// Does what this node asked of itself. Ends, because every answer is to a request of the
    /// program, and a packet costs a credit.
    fn settle(&mut self) {
        while let Some(payload) = self.loopback.pop_front() {
            if let Ok((frame, data)) = Frame::parse(&payload) {
                self.on_frame(self.me, frame, data);
            }
            self.pool.unpack(payload);
        }
    }

    fn on_frame(&mut self, from: NodeId, frame: Frame, data: &[u8]) {
        match frame {
            Frame::Get { request, port } => self.on_get(from, request, port),
            Frame::GetCancel { request, port } => self.on_get_cancel(from, request, port),
            Frame::GetDone { request, status, port } => {
                self.on_get_done(from, request, status, port);
            }
            Frame::Message { request, from: source, to, priority, later } => {
                self.on_message(from, request, (source, to), (priority, later), data);
            }
            Frame::MessageDone { request, status } => self.on_message_done(from, request, status),
            Frame::Connect { request, kind, send, recv } => {
                self.on_connect((from, request), kind, send, recv);
            }
            Frame::Bind { channel, kind, send, recv, terms } => {
                self.on_bind(from, channel, kind, (send, recv), terms);
            }
            Frame::Bound { channel, send, status } => self.on_bound(from, channel, send, status),
            Frame::ConnectDone { request, status } => self.on_connect_done(from, request, status),
            Frame::Opened { channel, port, window } => self.on_opened(from, channel, port, window),
            Frame::Packet { channel, port } => {
                self.on_packet(from, channel, port, Data::Here(data));
            }
            Frame::Credit { channel, port, count } => self.on_credit(from, channel, port, count),
            Frame::Closed { channel, port, request } => {
                self.on_closed(from, channel, port, request);
            }
            Frame::Heard { request, status } => self.on_heard(from, request, status),
            Frame::Release { port, request } => self.on_release(from, port, request),
            Frame::AttributeGet { request, port, number } => {
                self.on_attribute_get(from, request, port, number);
            }
            Frame::AttributeDone { request, status, value } => {
                self.on_attribute_done(from, request, status, value);
            }
            Frame::CreditAsk { channel, port } => self.on_credit_ask(from, channel, port),
            Frame::CreditAnswer { channel, port, count } => {
                self.on_credit_answer(from, channel, port, count);
            }
            Frame::MessagesDone => self.on_messages_done(from, data),
            Frame::MessagesAsk => self.on_messages_ask(from),
            Frame::MessageCancel { request, port } => self.on_message_cancel(from, request, port),
        }
    }
}
