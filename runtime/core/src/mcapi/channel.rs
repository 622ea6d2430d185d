//! Packet and scalar channels: connected, opened on both sides, flow-controlled, closed on both sides.
//!
//! The rules are those of the machine drawn in [`super`]. An end of a channel lives in its endpoint;
//! a handle is given out when it opens and taken back when it closes.

mod end;
mod open;
mod packet;
mod scalar;

use super::attribute::{Attribute, Terms};
use super::buffer::{Packet, Pool};
use super::endpoint::{Endpoint, Local};
use super::frame::Frame;
use super::request::{Op, Queue, Request, Requests};
use super::{Completion, Mcapi, Payload, Status};
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_BUFFERS, MCAPI_MAX_QUEUE_ELEMENTS, MCAPI_MAX_REQUESTS};
use crate::sorted::Map;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What travels on a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ChannelKind {
    /// Byte strings.
    Packet = 0,
    /// Integers of 8 to 64 bits.
    Scalar = 1,
}

/// Which end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Send,
    Receive,
}

/// The open send end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendHandle(u32);

/// The open receive end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecvHandle(u32);

macro_rules! raw {
    ($($handle:ident),*) => {$(
        impl $handle {
            /// From a number that a program kept; it may be anything.
            #[must_use]
            pub const fn from_raw(raw: u32) -> Self {
                Self(raw)
            }

            /// As a number. Never 0.
            #[must_use]
            pub const fn raw(self) -> u32 {
                self.0
            }
        }
    )*};
}
raw!(SendHandle, RecvHandle);

/// So many bits count packets: channels at one endpoint number them differently.
const PACKETS_OF_A_CHANNEL: u32 = 40;

/// A connect that waits, at the send side, until that has heard of the node of the receive side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Awaited {
    pub(super) connector: (NodeId, Request),
    kind: ChannelKind,
    send: u32,
    recv: Endpoint,
}

/// What a handle stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Handle {
    port: u32,
    kind: ChannelKind,
    direction: Direction,
}

/// An open that waits: for a connection, or for the other side to open too.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    pub(super) request: Request,
    kind: ChannelKind,
    direction: Direction,
}

/// What is known of the other side, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Shut,
    Open,
    Closed,
    /// Its node is lost.
    Gone,
}

/// A scalar: its value and its size in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value(pub(super) u64, pub(super) u8);

/// An end of a channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    id: u32,
    kind: ChannelKind,
    direction: Direction,
    peer: NodeId,
    peer_port: u32,
    /// Send side, until the receive side has agreed: who is to be told.
    connecting: Option<(NodeId, Request)>,
    /// The other side was told that this one is open.
    told_open: bool,
    theirs: Side,
    handle: Option<u32>,
    /// Closed here, and what was pending is sent.
    closed: bool,
    told_closed: bool,
    closing: Option<Request>,
    /// Packets that may be on their way or in the queue of the receive side.
    window: u16,
    /// Send side: how many more may go. Receive side: how many were taken and not yet told.
    credit: u16,
    /// Receive side: buffers that are kept for packets that were granted; and how many packets were taken that could not
    /// be granted again, for there was no buffer to promise.
    promised: u16,
    owed: u16,
    /// Send side: the frames of sends without credit.
    unsent: VecDeque<(Request, Payload)>,
    /// Send side: questions for credit that were not answered yet, and the send that must not wait longer than for
    /// the answers.
    asks: u16,
    impatient: Option<Request>,
    /// Receive side: packets or scalars without a receiver, or receivers without one.
    packets: VecDeque<Packet>,
    scalars: VecDeque<Value>,
    posted: Queue,
    /// Receive side: before the number of the first packet or scalar that is given out, the number of the last, and what
    /// came back, by number; it is counted as taken.
    first: u64,
    given: u64,
    returned: Map<u64, Packet>,
    returned_scalars: Map<u64, Value>,
    /// A node got the endpoint since it is connected.
    got: bool,
}

impl Channel {
    const fn new(
        id: u32,
        kind: ChannelKind,
        direction: Direction,
        (peer, peer_port): (NodeId, u32),
    ) -> Self {
        Self {
            id,
            kind,
            direction,
            peer,
            peer_port,
            connecting: None,
            told_open: false,
            theirs: Side::Shut,
            handle: None,
            closed: false,
            told_closed: false,
            closing: None,
            window: 0,
            credit: 0,
            promised: 0,
            owed: 0,
            unsent: VecDeque::new(),
            asks: 0,
            impatient: None,
            packets: VecDeque::new(),
            scalars: VecDeque::new(),
            posted: Queue::EMPTY,
            first: 0,
            given: 0,
            returned: Map::new(),
            returned_scalars: Map::new(),
            got: false,
        }
    }

    /// Says yes once.
    pub(super) const fn get_once(&mut self) -> bool {
        !core::mem::replace(&mut self.got, true)
    }

    pub(super) const fn release(&mut self) {
        self.got = false;
    }

    pub(super) const fn kind(&self) -> ChannelKind {
        self.kind
    }

    /// Packets that wait here for room at the receiver.
    pub(super) fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Packets that wait here for the program.
    pub(super) fn waiting(&self) -> usize {
        self.unseen() + self.returned.len() + self.returned_scalars.len()
    }

    /// Of these, those that were never given out.
    fn unseen(&self) -> usize {
        self.packets.len() + self.scalars.len()
    }

    /// The number of a packet that is given out now.
    const fn number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// Whether something was given out under this number, and not by an earlier channel, and may come back.
    pub(super) const fn gave(&self, number: u64) -> bool {
        number > self.first && number <= self.given && !self.closed
    }

    /// Takes back what was given out under this number.
    pub(super) fn unpop(&mut self, number: u64, packet: Packet) {
        self.returned.insert(number, packet);
    }

    /// The same for a scalar; says whether it was this channel's.
    pub(super) fn unpop_scalar(&mut self, number: u64, scalar: Value) -> bool {
        let mine = self.kind == ChannelKind::Scalar && self.gave(number);
        if mine {
            self.returned_scalars.insert(number, scalar);
        }
        mine
    }

    /// The next packet and its number; and whether it was not counted as taken yet.
    fn pop(&mut self) -> Option<(u64, Packet, bool)> {
        if let Some((number, packet)) = self.returned.pop_first() {
            return Some((number, packet, false));
        }
        let packet = self.packets.pop_front()?;
        Some((self.number(), packet, true))
    }

    /// The size of the next scalar.
    fn next_size(&mut self) -> Option<u8> {
        let next = self.returned_scalars.first_mut().map(|(_, scalar)| scalar.1);
        next.or_else(|| self.scalars.front().map(|scalar| scalar.1))
    }

    /// The next scalar, as [`Self::pop`].
    fn pop_scalar(&mut self) -> Option<(u64, Value, bool)> {
        if let Some((number, scalar)) = self.returned_scalars.pop_first() {
            return Some((number, scalar, false));
        }
        let scalar = self.scalars.pop_front()?;
        Some((self.number(), scalar, true))
    }

    /// Room for all that ever waits here.
    fn reserve(&mut self) {
        match (self.direction, self.kind) {
            (Direction::Send, _) => self.unsent.reserve_exact(MCAPI_MAX_QUEUE_ELEMENTS),
            (Direction::Receive, ChannelKind::Packet) => {
                self.packets.reserve_exact(self.window.into());
            }
            (Direction::Receive, ChannelKind::Scalar) => {
                self.scalars.reserve_exact(self.window.into());
            }
        }
    }

    /// Discards what waits here for the program; says how much that was.
    fn discard(&mut self, pool: &mut Pool) -> usize {
        let discarded = self.waiting();
        self.packets.drain(..).for_each(|packet| pool.release(packet));
        core::mem::take(&mut self.returned).into_values().for_each(|back| pool.release(back));
        self.scalars.clear();
        self.returned_scalars.clear();
        discarded
    }

    /// As the attribute says it.
    pub(super) const fn status(&self) -> u32 {
        let mut flags = Attribute::STATUS_CONNECTED;
        flags |= match self.kind {
            ChannelKind::Packet => Attribute::STATUS_PKTCHAN,
            ChannelKind::Scalar => Attribute::STATUS_SCLCHAN,
        };
        flags |= match self.direction {
            Direction::Send => Attribute::STATUS_SEND,
            Direction::Receive => Attribute::STATUS_RECEIVE,
        };
        if self.handle.is_some() {
            flags |= Attribute::STATUS_OPEN;
        }
        if self.is_closing() {
            flags |= Attribute::STATUS_CLOSE_PENDING;
        }
        flags
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closed || matches!(self.theirs, Side::Closed)
    }

    /// Is it this type and end?
    fn fits(&self, kind: ChannelKind, direction: Direction) -> Result<(), Status> {
        if self.kind != kind {
            return Err(Status::ChanType);
        }
        if self.direction != direction {
            return Err(Status::ChanDirection);
        }
        Ok(())
    }

    /// Why nothing more can come of the other side, if so.
    const fn over(&self) -> Result<(), Status> {
        match self.theirs {
            Side::Gone => Err(Status::Transmission),
            Side::Closed => Err(Status::ChanInvalid),
            Side::Shut | Side::Open => Ok(()),
        }
    }

    /// All data requests that wait here.
    fn take_waiting(&mut self, requests: &mut Requests, pool: &mut Pool) -> Vec<Request> {
        let mut waiting = Vec::new();
        for (request, payload) in self.unsent.drain(..) {
            waiting.push(request);
            pool.unpack(payload);
        }
        while let Some(request) = requests.dequeue(&mut self.posted) {
            waiting.push(request);
        }
        waiting
    }

    /// Takes a send back that has not gone.
    fn unsend(&mut self, request: Request, pool: &mut Pool) -> bool {
        let Some(at) = self.unsent.iter().position(|(unsent, _)| *unsent == request) else {
            return false;
        };
        self.unsent.remove(at).into_iter().for_each(|(_, payload)| pool.unpack(payload));
        true
    }

    /// Whether the channel was open under this handle, which is void then: another open gets another one.
    pub(super) fn lose_handle(&mut self, handle: u32) -> bool {
        self.handle.take_if(|open| *open == handle).is_some()
    }

    fn forget(&mut self, request: Request, requests: &mut Requests, pool: &mut Pool) {
        self.unsend(request, pool);
        requests.unqueue(&mut self.posted, request);
        if self.closing == Some(request) {
            self.closing = None;
        }
    }
}

/// A window for packets, each with a buffer that is promised to it: of few buffers, only an eighth, and of the last
/// quarter only one, so that many channels can be connected.
fn grant(pool: &mut Pool, window: u16) -> Result<u16, Status> {
    let fair = pool.spare().saturating_sub(MCAPI_MAX_BUFFERS / 4) / 8;
    let fair = u16::try_from(fair).unwrap_or(u16::MAX).max(1);
    match pool.promise(window.min(fair)) {
        0 => Err(Status::MemLimit),
        granted => Ok(granted),
    }
}

/// Connecting.
impl Mcapi {
    /// Connects a send endpoint to a receive endpoint, both of any node. Completes with
    /// [`Completion::Done`] when both are bound. To cancel it does not undo it.
    pub fn pktchan_connect_i(&mut self, send: Endpoint, recv: Endpoint) -> Result<Request, Status> {
        self.connect_i(ChannelKind::Packet, send, recv)
    }

    pub(super) fn connect_i(
        &mut self,
        kind: ChannelKind,
        send: Endpoint,
        recv: Endpoint,
    ) -> Result<Request, Status> {
        if send == recv {
            return Err(Status::Parameter);
        }
        for endpoint in [send, recv] {
            let node = self.existing(endpoint)?;
            self.reachable(node, Status::EndpInvalid)?;
            if node == self.me {
                self.local(endpoint.port.0).map_or(Ok(()), Local::bindable)?;
            }
        }
        let node = self.existing(send)?;
        let request = self.requests.open(Op::Connect { node })?;
        self.send(node, Frame::Connect { request, kind, send: send.port.0, recv });
        self.settle();
        Ok(request)
    }

    /// The send side binds first, then asks the receive side, then answers: so of two connects that
    /// want the same endpoint at most one succeeds, and no lock is held over the network in a circle.
    pub(super) fn on_connect(
        &mut self,
        connector: (NodeId, Request),
        kind: ChannelKind,
        send: u32,
        recv: Endpoint,
    ) {
        if self.endpoints.get(send).is_some() && self.awaits(recv) {
            return self.awaited.push(Awaited { connector, kind, send, recv });
        }
        if let Err(status) = self.begin_connect(connector, kind, send, recv) {
            self.send(connector.0, Frame::ConnectDone { request: connector.1, status });
        }
    }

    /// Whether the connector may have heard of a node of which this one has not heard yet.
    fn awaits(&self, recv: Endpoint) -> bool {
        let known = self.names.get(&(recv.domain, recv.node)).copied();
        known.is_none_or(|node| self.is_expected(node)) && self.awaited.len() < MCAPI_MAX_REQUESTS
    }

    /// Goes on with the connects that waited for a node which is there now.
    pub(super) fn connect_awaited(&mut self, node: NodeId) {
        let name = self.node_name(node);
        for waiting in core::mem::take(&mut self.awaited) {
            if name == Some((waiting.recv.domain, waiting.recv.node)) {
                self.on_connect(waiting.connector, waiting.kind, waiting.send, waiting.recv);
            } else {
                self.awaited.push(waiting);
            }
        }
    }

    fn begin_connect(
        &mut self,
        connector: (NodeId, Request),
        kind: ChannelKind,
        send: u32,
        recv: Endpoint,
    ) -> Result<(), Status> {
        let recv_node = self.existing(recv)?;
        self.reachable(recv_node, Status::EndpInvalid)?;
        let recv = recv.port.0;
        if (recv_node, recv) == (self.me, send) {
            return Err(Status::Parameter);
        }
        let local = self.endpoints.get_mut(send).ok_or(Status::EndpInvalid)?;
        local.bindable()?;
        let id = self.next_channel;
        self.next_channel = id.wrapping_add(1);
        let mut channel = Channel::new(id, kind, Direction::Send, (recv_node, recv));
        channel.connecting = Some(connector);
        if self.pool.is_fixed() {
            channel.reserve();
        }
        local.channel = Some(channel);
        let terms = local.attributes.terms;
        self.send(recv_node, Frame::Bind { channel: id, kind, send, recv, terms });
        Ok(())
    }

    pub(super) fn on_bind(
        &mut self,
        from: NodeId,
        channel: u32,
        kind: ChannelKind,
        (send, recv): (u32, u32),
        terms: Terms,
    ) {
        let verdict = match self.endpoints.get_mut(recv) {
            None => Err(Status::EndpInvalid),
            Some(local) if local.channel.is_none() && local.attributes.terms != terms => {
                Err(Status::AttrIncompatible)
            }
            Some(local) => local.bindable().and_then(|()| {
                let mut end = Channel::new(channel, kind, Direction::Receive, (from, send));
                end.window = local.attributes.num_recv_buffers;
                if kind == ChannelKind::Packet {
                    end.window = grant(&mut self.pool, end.window)?;
                    end.promised = end.window;
                }
                if self.pool.is_fixed() {
                    end.reserve();
                }
                self.binds += 1;
                end.first = self.binds << PACKETS_OF_A_CHANNEL;
                end.given = end.first;
                local.channel = Some(end);
                Ok(())
            }),
        };
        let status = verdict.err().unwrap_or(Status::Success);
        self.send(from, Frame::Bound { channel, send, status });
        self.try_open(recv);
    }

    pub(super) fn on_bound(&mut self, from: NodeId, channel: u32, send: u32, status: Status) {
        let Some(end) = self.end_of(from, channel, send) else { return };
        let Some((connector, request)) = end.connecting.take() else {
            self.counters.malformed += 1;
            return;
        };
        if status != Status::Success {
            self.unbind(send);
        }
        self.send(connector, Frame::ConnectDone { request, status });
        self.try_open(send);
        self.shut_if_nameless(send);
    }

    pub(super) fn on_connect_done(&mut self, from: NodeId, request: Request, status: Status) {
        match self.requests.pending(request) {
            Some(&Op::Connect { node }) if node == from => {
                self.complete(request, Completion::of(status));
            }
            _ => self.counters.stale += 1,
        }
    }
}
