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
//! refused with [`Status::General`]; those that came before stay for after the close. Closing in
//! order shows as [`Status::ChanInvalid`] on the other side, a lost node as [`Status::Transmission`].

mod abandon;
mod attribute;
mod channel;
mod endpoint;
mod frame;
mod message;
mod node;
mod request;
mod slab;
mod status;
#[cfg(test)]
mod tests;

pub use attribute::{Attribute, Attributes, FAIL_ON_MEM_LIMIT, NodeAttributes, TIMEOUT_INFINITE};
pub use channel::{ChannelKind, RecvHandle, SendHandle};
pub use endpoint::{DomainId, Endpoint, McapiNode, Port};
pub use message::Message;
pub use request::{Completion, Request, Waiter};
pub use status::Status;

use crate::id::NodeId;
use crate::limits::MCAPI_MAX_ENDPOINTS;
use crate::sorted::Map;
use alloc::borrow::Cow;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use channel::Handle;
use endpoint::Local;
use frame::Frame;
use node::{Peer, Presence};
use request::{Op, Requests};
use slab::Slab;

/// Something for the node to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Give this to [`Mcapi::handle`] of another node, in order.
    Send {
        /// Which node.
        to: NodeId,
        /// The frame.
        payload: Vec<u8>,
    },
    /// Let this waiter ask again.
    Wake(Waiter),
}

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
    /// The nodes that were heard of, and whether they can be reached.
    nodes: Map<NodeId, Peer>,
    names: Map<(DomainId, McapiNode), NodeId>,
    endpoints: Map<u32, Local>,
    /// Who waits for an endpoint to be made here, by port.
    wanted: Map<u32, Vec<(NodeId, Request)>>,
    next_any: u32,
    next_channel: u32,
    /// Channels that were bound here.
    binds: u64,
    handles: Slab<Handle>,
    requests: Requests,
    /// Frames to this node itself.
    loopback: VecDeque<(Frame, Vec<u8>)>,
    out: VecDeque<Output>,
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
            nodes: Map::new(),
            names: Map::new(),
            endpoints: Map::new(),
            wanted: Map::new(),
            next_any: 0,
            next_channel: 0,
            binds: 0,
            handles: Slab::new(MCAPI_MAX_ENDPOINTS),
            requests: Requests::new(),
            loopback: VecDeque::new(),
            out: VecDeque::new(),
            counters: Counters::default(),
        };
        new.know(me, domain, node, Presence::Here);
        new
    }

    /// The domain of this node.
    #[must_use]
    pub const fn domain_id(&self) -> DomainId {
        self.domain
    }

    /// The number of this node.
    #[must_use]
    pub fn node_id(&self) -> McapiNode {
        self.node_name(self.me).map_or(self.me.into(), |(_, node)| node)
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
            Ok((frame, data)) if known => self.on_frame(from, frame, Cow::Borrowed(data)),
            _ => self.counters.malformed += 1,
        }
        self.settle();
    }

    /// The next output; drain to `None`.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// What came of a request; `None` while it is pending. After an answer the request is no more.
    pub fn test(&mut self, request: Request) -> Result<Option<Completion>, Status> {
        self.requests.test(request)
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
        self.requests.wait_any(requests, waiter)
    }

    /// The waiter stops waiting, after a timeout say. The requests stay as they are.
    pub fn wait_stop(&mut self, waiter: Waiter) {
        self.requests.wait_stop(waiter);
    }

    /// Takes a pending request back; somebody who sleeps on it gets [`Status::RequestCancelled`].
    /// What was sent is sent: a message arrives if there was room for it, a connect connects, and an open is seen by the
    /// other side, though it takes another open to get the handle.
    pub fn cancel(&mut self, request: Request) -> Result<(), Status> {
        let op = *self.requests.pending(request).ok_or(Status::RequestInvalid)?;
        match op {
            Op::Get { node, port } => self.send(node, Frame::GetCancel { request, port }),
            Op::MessageSend { node, port } => {
                self.send(node, Frame::MessageCancel { request, port });
            }
            Op::MessageReceive { port, .. } => {
                if let Some(local) = self.endpoints.get_mut(&port) {
                    local.inbox.forget(request);
                }
            }
            Op::Open { port }
            | Op::PacketSend { port }
            | Op::PacketReceive { port, .. }
            | Op::ScalarReceive { port, .. }
            | Op::Close { port } => self.withdraw(port, request),
            Op::Connect { .. } | Op::Attribute { .. } => {}
        }
        let wake = self.requests.cancel(request);
        self.out.extend(wake.map(Output::Wake));
        self.settle();
        Ok(())
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

    fn send(&mut self, to: NodeId, frame: Frame) {
        self.send_with(to, frame, Cow::Borrowed(&[]));
    }

    /// Sends a frame with data; to a lost node it goes nowhere.
    fn send_with(&mut self, to: NodeId, frame: Frame, data: Cow<'_, [u8]>) {
        if to == self.me {
            self.loopback.push_back((frame, data.into_owned()));
        } else if self.is_here(to) {
            self.out.push_back(Output::Send { to, payload: frame.emit(&data) });
        }
    }

    /// Does what this node asked of itself. Ends, because every answer is to a request of the
    /// program, and a packet costs a credit.
    fn settle(&mut self) {
        while let Some((frame, data)) = self.loopback.pop_front() {
            self.on_frame(self.me, frame, Cow::Owned(data));
        }
    }

    fn on_frame(&mut self, from: NodeId, frame: Frame, data: Cow<'_, [u8]>) {
        match frame {
            Frame::Get { request, port } => self.on_get(from, request, port),
            Frame::GetCancel { request, port } => self.on_get_cancel(from, request, port),
            Frame::GetDone { request, status } => self.on_get_done(from, request, status),
            Frame::Message { request, from: source, to, priority } => {
                self.on_message(from, request, (source, to), priority, data);
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
            Frame::Packet { channel, port } => self.on_packet(from, channel, port, data),
            Frame::Credit { channel, port, count } => self.on_credit(from, channel, port, count),
            Frame::Closed { channel, port } => self.on_closed(from, channel, port),
            Frame::Release { port } => self.on_release(port),
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
            Frame::MessageCancel { request, port } => self.on_message_cancel(from, request, port),
        }
    }
}
