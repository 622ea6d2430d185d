//! Packet and scalar channels: connected, opened on both sides, flow-controlled, closed on both sides.
//!
//! The rules are those of the machine drawn in [`super`]. An end of a channel lives in its endpoint;
//! a handle is given out when it opens and taken back when it closes.

mod open;
mod packet;
mod scalar;

use super::attribute::{Attribute, Terms};
use super::endpoint::{Endpoint, Local};
use super::frame::Frame;
use super::request::{Op, Request};
use super::{Completion, Mcapi, Status};
use crate::id::NodeId;
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
    /// Send side: sends without credit.
    unsent: VecDeque<(Request, Vec<u8>)>,
    /// Send side: questions for credit that were not answered yet, and the send that must not wait longer than for
    /// the answers.
    asks: u16,
    impatient: Option<Request>,
    /// Receive side: packets without a receiver, or receivers without a packet.
    packets: VecDeque<Vec<u8>>,
    posted: VecDeque<Request>,
    /// Receive side: before the number of the first packet that is given out, the number of the last, and what came
    /// back, by number; it is counted as taken.
    first: u64,
    given: u64,
    returned: Map<u64, Vec<u8>>,
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
            unsent: VecDeque::new(),
            asks: 0,
            impatient: None,
            packets: VecDeque::new(),
            posted: VecDeque::new(),
            first: 0,
            given: 0,
            returned: Map::new(),
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
        self.packets.len() + self.returned.len()
    }

    /// The number of a packet that is given out now.
    const fn number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// Takes back what was given out under this number; not what an earlier channel gave.
    pub(super) fn unpop(&mut self, number: u64, packet: Vec<u8>) -> bool {
        let mine = number > self.first && number <= self.given && !self.closed;
        if mine {
            self.returned.insert(number, packet);
        }
        mine
    }

    /// The next packet.
    fn front(&mut self) -> Option<&Vec<u8>> {
        match self.returned.first_mut() {
            Some((_, packet)) => Some(packet),
            None => self.packets.front(),
        }
    }

    /// The next packet and its number; and whether it was not counted as taken yet.
    fn pop(&mut self) -> Option<(u64, Vec<u8>, bool)> {
        if let Some((number, packet)) = self.returned.pop_first() {
            return Some((number, packet, false));
        }
        let packet = self.packets.pop_front()?;
        Some((self.number(), packet, true))
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
    fn take_waiting(&mut self) -> Vec<Request> {
        let sends = self.unsent.drain(..).map(|(request, _)| request);
        sends.chain(self.posted.drain(..)).collect()
    }

    /// Whether the channel was open under this handle, which is void then: another open gets another one.
    pub(super) fn lose_handle(&mut self, handle: u32) -> bool {
        self.handle.take_if(|open| *open == handle).is_some()
    }

    fn forget(&mut self, request: Request) {
        self.unsent.retain(|(unsent, _)| *unsent != request);
        self.posted.retain(|&posted| posted != request);
        if self.closing == Some(request) {
            self.closing = None;
        }
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
        if let Err(status) = self.begin_connect(connector, kind, send, recv) {
            self.send(connector.0, Frame::ConnectDone { request: connector.1, status });
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
        let local = self.endpoints.get_mut(&send).ok_or(Status::EndpInvalid)?;
        local.bindable()?;
        let id = self.next_channel;
        self.next_channel = id.wrapping_add(1);
        let mut channel = Channel::new(id, kind, Direction::Send, (recv_node, recv));
        channel.connecting = Some(connector);
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
        let verdict = match self.endpoints.get_mut(&recv) {
            None => Err(Status::EndpInvalid),
            Some(local) if local.channel.is_none() && local.attributes.terms != terms => {
                Err(Status::AttrIncompatible)
            }
            Some(local) => local.bindable().map(|()| {
                let mut end = Channel::new(channel, kind, Direction::Receive, (from, send));
                end.window = local.attributes.num_recv_buffers;
                self.binds += 1;
                end.first = self.binds << PACKETS_OF_A_CHANNEL;
                end.given = end.first;
                local.channel = Some(end);
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
        if status != Status::Success
            && let Some(local) = self.endpoints.get_mut(&send)
        {
            local.channel = None;
        }
        self.send(connector, Frame::ConnectDone { request, status });
        self.try_open(send);
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

/// What frames, lost nodes and cancelled requests do to an end.
impl Mcapi {
    /// The channel at `port` whose other end is at `from`; counts frames of channels that are no more.
    pub(super) fn end_of(&mut self, from: NodeId, channel: u32, port: u32) -> Option<&mut Channel> {
        let end = self.endpoints.get_mut(&port).and_then(|local| local.channel.as_mut());
        let end = end.filter(|end| end.id == channel && end.peer == from);
        if end.is_none() {
            self.counters.stale += 1;
        }
        end
    }

    /// Breaks every channel to a lost node.
    pub(super) fn break_channels(&mut self, node: NodeId) {
        let ports: Vec<u32> = self
            .endpoints
            .iter()
            .filter(|(_, local)| local.channel.as_ref().is_some_and(|end| end.peer == node))
            .map(|(&port, _)| port)
            .collect();
        for port in ports {
            self.break_channel(port);
        }
    }

    fn break_channel(&mut self, port: u32) {
        const FAILED: Completion = Completion::Failed(Status::Transmission);
        let Some(local) = self.endpoints.get_mut(&port) else { return };
        let Some(end) = &mut local.channel else { return };
        end.theirs = Side::Gone;
        let mut failed = end.take_waiting();
        let connector = end.connecting.take();
        if end.handle.is_none() {
            failed.extend(end.closing.take());
            // An open that waits for a connection does not depend on the lost node.
            if end.told_open {
                failed.extend(local.opening.take().map(|opening| opening.request));
            }
            local.channel = None;
        }
        for request in failed {
            self.complete(request, FAILED);
        }
        if let Some((connector, request)) = connector {
            let status = Status::Transmission;
            self.send(connector, Frame::ConnectDone { request, status });
        }
    }

    /// Takes a request of a channel back.
    pub(super) fn withdraw(&mut self, port: u32, request: Request) {
        let Some(local) = self.endpoints.get_mut(&port) else { return };
        if local.opening.is_some_and(|opening| opening.request == request) {
            local.opening = None;
        }
        if let Some(end) = &mut local.channel {
            end.forget(request);
        }
        self.finish_close(port);
    }
}
