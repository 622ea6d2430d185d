//! Packets on an open channel.
//!
//! The receive side grants as many packets as it has buffers; a packet uses one up and a receive
//! gives it back, a quarter of the window at a time. A send without credit waits, in order, so a
//! slow receiver slows its sender and nothing is lost or piles up.

use super::{Channel, ChannelKind, Direction, RecvHandle, SendHandle, Side};
use crate::id::NodeId;
use crate::limits::MCAPI_MAX_PKT_SIZE;
use crate::mcapi::frame::Frame;
use crate::mcapi::request::{Op, Request};
use crate::mcapi::{Completion, Mcapi, Status, TIMEOUT_INFINITE};
use alloc::borrow::Cow;
use alloc::vec::Vec;

impl Mcapi {
    /// Sends a packet. Completes when it has gone to the link: at once while the receiver has room.
    /// [`Status::MemLimit`] when too many wait for room, [`Status::Transmission`] when the receiving
    /// node is lost, [`Status::ChanInvalid`] when the receive end is closed.
    pub fn pktchan_send_i(&mut self, handle: SendHandle, data: Vec<u8>) -> Result<Request, Status> {
        self.send_i(handle, ChannelKind::Packet, data)
    }

    /// Like [`Self::pktchan_send_i`] for a caller that is going to wait: with [`crate::mcapi::FAIL_ON_MEM_LIMIT`] it fails
    /// with [`Status::MemLimit`] when the receiver has no room now.
    pub fn pktchan_send(&mut self, handle: SendHandle, data: Vec<u8>) -> Result<Request, Status> {
        self.send_now(handle, ChannelKind::Packet, data)
    }

    pub(super) fn send_now(
        &mut self,
        handle: SendHandle,
        kind: ChannelKind,
        data: Vec<u8>,
    ) -> Result<Request, Status> {
        let port = self.open_port(handle.0, kind, Direction::Send)?;
        let local = self.local(port).ok_or(Status::ChanInvalid)?;
        let fails = local.attributes.fails_on_limit();
        if fails && local.channel.as_ref().is_some_and(|end| !end.unsent.is_empty()) {
            return Err(Status::MemLimit);
        }
        let request = self.send_i(handle, kind, data)?;
        let end = self.endpoints.get_mut(&port).and_then(|local| local.channel.as_mut());
        if let Some(end) = end.filter(|end| fails && !end.unsent.is_empty()) {
            end.impatient = Some(request);
            end.asks += 1;
            let (peer, channel, port) = (end.peer, end.id, end.peer_port);
            self.send(peer, Frame::CreditAsk { channel, port });
            self.settle();
        }
        Ok(request)
    }

    pub(super) fn send_i(
        &mut self,
        handle: SendHandle,
        kind: ChannelKind,
        data: Vec<u8>,
    ) -> Result<Request, Status> {
        let port = self.open_port(handle.0, kind, Direction::Send)?;
        let local = self.endpoints.get_mut(&port).ok_or(Status::ChanInvalid)?;
        let limit = local.attributes.num_send_buffers;
        if !local.attributes.carries(data.len()) {
            return Err(Status::PktSize);
        }
        let end = local.channel.as_mut().ok_or(Status::ChanInvalid)?;
        end.over()?;
        if end.unsent.len() >= limit.into() {
            return Err(Status::MemLimit);
        }
        let request = self.requests.open(Op::PacketSend { port })?;
        end.unsent.push_back((request, data));
        self.flush(port);
        self.settle();
        Ok(request)
    }

    /// Receives a packet; completes with [`Completion::Packet`]. Receives posted ahead are served in
    /// the order in which they were posted. What the sender sent before it closed can still be
    /// received; then [`Status::ChanInvalid`], or [`Status::Transmission`] when its node is lost.
    pub fn pktchan_recv_i(&mut self, handle: RecvHandle) -> Result<Request, Status> {
        let port = self.open_port(handle.0, ChannelKind::Packet, Direction::Receive)?;
        let local = self.endpoints.get_mut(&port);
        let end = local.and_then(|local| local.channel.as_mut()).ok_or(Status::ChanInvalid)?;
        if end.waiting() == 0 {
            end.over()?;
        }
        let request = self.requests.open(Op::PacketReceive { port, serial: 0 })?;
        match end.pop() {
            Some((number, packet, new)) => {
                self.receive(request, number, Completion::Packet(packet));
                if new {
                    self.taken(port);
                    self.settle();
                }
            }
            None => end.posted.push_back(request),
        }
        Ok(request)
    }

    /// How many packets can be received at once.
    pub fn pktchan_available(&self, handle: RecvHandle) -> Result<usize, Status> {
        self.available(handle, ChannelKind::Packet)
    }

    pub(super) fn available(&self, handle: RecvHandle, kind: ChannelKind) -> Result<usize, Status> {
        let port = self.open_port(handle.0, kind, Direction::Receive)?;
        let end = self.local(port).and_then(|local| local.channel.as_ref());
        end.map(Channel::waiting).ok_or(Status::ChanInvalid)
    }

    /// How long a blocking call on a channel waits, by the number of a handle of either end: its endpoint's attribute.
    #[must_use]
    pub fn handle_timeout(&self, handle: u32) -> u32 {
        let local = self.handles.get(handle).and_then(|handle| self.local(handle.port));
        local.map_or(TIMEOUT_INFINITE, |local| local.attributes.timeout)
    }

    /// The port behind a handle of the right sort.
    pub(super) fn open_port(
        &self,
        handle: u32,
        kind: ChannelKind,
        direction: Direction,
    ) -> Result<u32, Status> {
        self.handles
            .get(handle)
            .filter(|handle| handle.kind == kind && handle.direction == direction)
            .map(|handle| handle.port)
            .ok_or(Status::ChanInvalid)
    }

    /// Sends what there is credit for.
    fn flush(&mut self, port: u32) {
        while let Some(end) = self.endpoints.get_mut(&port).and_then(|l| l.channel.as_mut())
            && end.credit > 0
            && let Some((request, data)) = end.unsent.pop_front()
        {
            end.credit -= 1;
            let (peer, frame) = (end.peer, Frame::Packet { channel: end.id, port: end.peer_port });
            self.send_with(peer, frame, Cow::Owned(data));
            self.complete(request, Completion::Done);
        }
        self.finish_close(port);
    }

    pub(in crate::mcapi) fn on_packet(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
        data: Cow<'_, [u8]>,
    ) {
        let Some(end) = self.end_of(from, channel, port) else { return };
        let allowed = end.direction == Direction::Receive
            && end.theirs == Side::Open
            && end.packets.len() < end.window.into()
            && match end.kind {
                ChannelKind::Packet => data.len() <= MCAPI_MAX_PKT_SIZE,
                ChannelKind::Scalar => matches!(data.len(), 1 | 2 | 4 | 8),
            };
        if !allowed {
            self.counters.malformed += 1;
        } else if end.closed {
            self.counters.discarded += 1;
        } else if end.kind == ChannelKind::Scalar {
            self.on_scalar(port, data.into_owned());
        } else if let Some(receiver) = end.posted.pop_front() {
            let number = end.number();
            self.receive(receiver, number, Completion::Packet(data.into_owned()));
            self.taken(port);
        } else {
            end.packets.push_back(data.into_owned());
        }
    }

    /// Counts a packet as taken, and tells the sender when it is worth a frame.
    pub(super) fn taken(&mut self, port: u32) {
        let local = self.endpoints.get_mut(&port);
        let Some(end) = local.and_then(|local| local.channel.as_mut()) else { return };
        end.credit += 1;
        if end.theirs == Side::Open && end.credit >= (end.window / 4).max(1) {
            let count = core::mem::take(&mut end.credit);
            let (peer, frame) =
                (end.peer, Frame::Credit { channel: end.id, port: end.peer_port, count });
            self.send(peer, frame);
        }
    }

    pub(in crate::mcapi) fn on_credit(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
        count: u16,
    ) {
        let Some(end) = self.end_of(from, channel, port) else { return };
        let credit = end.credit.saturating_add(count);
        if end.direction != Direction::Send || end.theirs != Side::Open || credit > end.window {
            self.counters.malformed += 1;
            return;
        }
        end.credit = credit;
        self.flush(port);
    }

    pub(in crate::mcapi) fn on_credit_ask(&mut self, from: NodeId, channel: u32, port: u32) {
        let Some(end) = self.end_of(from, channel, port) else { return };
        if end.direction != Direction::Receive || end.theirs != Side::Open {
            self.counters.malformed += 1;
            return;
        }
        let count = core::mem::take(&mut end.credit);
        let (peer, port) = (end.peer, end.peer_port);
        self.send(peer, Frame::CreditAnswer { channel, port, count });
    }

    pub(in crate::mcapi) fn on_credit_answer(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
        count: u16,
    ) {
        self.on_credit(from, channel, port, count);
        let end = self.endpoints.get_mut(&port).and_then(|local| local.channel.as_mut());
        let Some(end) = end.filter(|end| end.id == channel && end.peer == from) else { return };
        end.asks = end.asks.saturating_sub(1);
        if end.asks > 0 {
            return;
        }
        if let Some(request) = end.impatient.take()
            && end.unsent.iter().any(|(unsent, _)| *unsent == request)
        {
            end.unsent.retain(|(unsent, _)| *unsent != request);
            self.complete(request, Completion::Failed(Status::MemLimit));
            self.finish_close(port);
        }
    }
}
