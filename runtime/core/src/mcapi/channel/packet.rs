//! Packets on an open channel.
//!
//! The receive side grants as many packets as it has buffers; a packet uses one up and a receive
//! gives it back, a quarter of the window at a time. A send without credit waits, in order, so a
//! slow receiver slows its sender and nothing is lost or piles up.

use super::{Channel, ChannelKind, Direction, RecvHandle, SendHandle, Side};
use crate::id::NodeId;
use crate::limits::MCAPI_MAX_PKT_SIZE;
use crate::mcapi::buffer::{Data, Packet};
use crate::mcapi::endpoint::Local;
use crate::mcapi::frame::Frame;
use crate::mcapi::request::{Begun, Op, Request};
use crate::mcapi::{Completion, Mcapi, Road, Status, TIMEOUT_INFINITE};

impl Mcapi {
    /// Sends a packet. Completes when it has gone to the link: at once while the receiver has room.
    /// [`Status::MemLimit`] when too many wait for room, [`Status::Transmission`] when the receiving
    /// node is lost, [`Status::ChanInvalid`] when the receive end is closed.
    pub fn pktchan_send_i(
        &mut self,
        handle: SendHandle,
        data: impl AsRef<[u8]>,
    ) -> Result<Request, Status> {
        self.pktchan_send_i_on(&mut (), handle, data.as_ref())
    }

    /// The same, by a road if it can.
    pub fn pktchan_send_i_on(
        &mut self,
        road: &mut dyn Road,
        handle: SendHandle,
        data: &[u8],
    ) -> Result<Request, Status> {
        self.send_i(road, handle, ChannelKind::Packet, data)
    }

    /// Like [`Self::pktchan_send_i`] for a caller that is going to wait, unless there is no request, and it has gone; with
    /// [`crate::mcapi::FAIL_ON_MEM_LIMIT`] it fails with [`Status::MemLimit`] when the receiver has no room now.
    pub fn pktchan_send(
        &mut self,
        handle: SendHandle,
        data: impl AsRef<[u8]>,
    ) -> Result<Option<Request>, Status> {
        self.pktchan_send_on(&mut (), handle, data.as_ref())
    }

    /// The same, by a road if it can.
    pub fn pktchan_send_on(
        &mut self,
        road: &mut dyn Road,
        handle: SendHandle,
        data: &[u8],
    ) -> Result<Option<Request>, Status> {
        self.send_now(road, handle, ChannelKind::Packet, data)
    }

    pub(super) fn send_now(
        &mut self,
        road: &mut dyn Road,
        handle: SendHandle,
        kind: ChannelKind,
        data: &[u8],
    ) -> Result<Option<Request>, Status> {
        let port = self.open_port(handle.0, kind, Direction::Send)?;
        if self.send_with_credit(road, port, data)? {
            self.settle();
            return Ok(None);
        }
        self.send_when_granted(port, data).map(Some)
    }

    /// The same while there is no credit.
    #[cold]
    fn send_when_granted(&mut self, port: u32, data: &[u8]) -> Result<Request, Status> {
        let local = self.local(port).ok_or(Status::ChanInvalid)?;
        let fails = local.attributes.fails_on_limit();
        if fails && local.channel.as_ref().is_some_and(|end| !end.unsent.is_empty()) {
            return Err(Status::MemLimit);
        }
        // Whoever waits for room for a packet waits for room to keep it, too.
        let request = self.send_later(port, data, !fails)?;
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        if let Some(end) = end.filter(|_| fails) {
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
        road: &mut dyn Road,
        handle: SendHandle,
        kind: ChannelKind,
        data: &[u8],
    ) -> Result<Request, Status> {
        let port = self.open_port(handle.0, kind, Direction::Send)?;
        if !self.requests.has_room() {
            return Err(Status::RequestLimit);
        }
        if !self.send_with_credit(road, port, data)? {
            return self.send_later(port, data, false);
        }
        let request = self.requests.open(Op::PacketSend { port })?;
        self.complete(request, Completion::Done);
        self.settle();
        Ok(request)
    }

    /// Sends data if there is credit for them now; says whether.
    fn send_with_credit(
        &mut self,
        road: &mut dyn Road,
        port: u32,
        data: &[u8],
    ) -> Result<bool, Status> {
        let local = self.endpoints.get_mut(port).ok_or(Status::ChanInvalid)?;
        if !local.attributes.carries(data.len()) {
            return Err(Status::PktSize);
        }
        let end = local.channel.as_mut().ok_or(Status::ChanInvalid)?;
        end.over()?;
        if end.credit == 0 || !end.unsent.is_empty() {
            return Ok(false);
        }
        end.credit -= 1;
        let (peer, frame) = (end.peer, Frame::Packet { channel: end.id, port: end.peer_port });
        let sent = self.send_data(road, peer, frame, data);
        if sent.is_err() {
            let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
            end.into_iter().for_each(|end| end.credit += 1);
        }
        sent.map(|()| true)
    }

    /// Keeps data until there is credit for them, unless enough are kept already and the caller is not going to wait.
    fn send_later(&mut self, port: u32, data: &[u8], waits: bool) -> Result<Request, Status> {
        let local = self.endpoints.get_mut(port).ok_or(Status::ChanInvalid)?;
        let limit = local.attributes.num_send_buffers;
        let end = local.channel.as_mut().ok_or(Status::ChanInvalid)?;
        if !waits && end.unsent.len() >= limit.into() {
            return Err(Status::MemLimit);
        }
        let frame = Frame::Packet { channel: end.id, port: end.peer_port };
        let payload = self.pool.pack(frame.head(), data).ok_or(Status::MemLimit)?;
        match self.requests.open(Op::PacketSend { port }) {
            Ok(request) => {
                end.unsent.push_back((request, payload));
                Ok(request)
            }
            Err(status) => {
                self.pool.unpack(payload);
                Err(status)
            }
        }
    }

    /// Receives a packet; completes with [`Completion::Packet`]. Receives posted ahead are served in
    /// the order in which they were posted. What the sender sent before it closed can still be
    /// received; then [`Status::ChanInvalid`], or [`Status::Transmission`] when its node is lost.
    /// [`Status::MemLimit`]: the program has all buffers, and none can come.
    pub fn pktchan_recv_i(&mut self, handle: RecvHandle) -> Result<Request, Status> {
        if !self.requests.has_room() {
            return Err(Status::RequestLimit);
        }
        let port = self.open_port(handle.0, ChannelKind::Packet, Direction::Receive)?;
        match self.receive_packet(port)? {
            (serial, Begun::Done(completion)) => {
                self.received(Op::PacketReceive { port, serial }, completion)
            }
            (_, Begun::Pending(request)) => Ok(request),
        }
    }

    /// The same for a caller that is going to wait.
    pub fn pktchan_recv(&mut self, handle: RecvHandle) -> Result<Begun, Status> {
        let port = self.open_port(handle.0, ChannelKind::Packet, Direction::Receive)?;
        self.receive_packet(port).map(|(_, begun)| begun)
    }

    /// The next packet, if there is one now; see [`Self::pktchan_recv_i`].
    #[inline]
    pub fn pktchan_take(&mut self, handle: RecvHandle) -> Result<Option<Packet>, Status> {
        let port = self.open_port(handle.0, ChannelKind::Packet, Direction::Receive)?;
        Ok(self.next_packet(port)?.map(|(_, packet)| packet))
    }

    /// And its number. `None`: one may come.
    #[inline]
    fn next_packet(&mut self, port: u32) -> Result<Option<(u64, Packet)>, Status> {
        let local = self.endpoints.get_mut(port);
        let end = local.and_then(|local| local.channel.as_mut()).ok_or(Status::ChanInvalid)?;
        if let Some((number, packet, new)) = end.pop() {
            if new {
                self.taken(port);
                self.settle();
            }
            return Ok(Some((number, packet)));
        }
        end.over()?;
        if end.owed == end.window {
            return Err(Status::MemLimit);
        }
        Ok(None)
    }

    /// And the number of what was received.
    fn receive_packet(&mut self, port: u32) -> Result<(u64, Begun), Status> {
        if let Some((number, packet)) = self.next_packet(port)? {
            return Ok((number, Begun::Done(Completion::Packet(packet))));
        }
        let local = self.endpoints.get_mut(port);
        let end = local.and_then(|local| local.channel.as_mut()).ok_or(Status::ChanInvalid)?;
        let request = self.requests.open(Op::PacketReceive { port, serial: 0 })?;
        self.requests.enqueue(&mut end.posted, request);
        Ok((0, Begun::Pending(request)))
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
        while let Some(end) = self.endpoints.get_mut(port).and_then(|l| l.channel.as_mut())
            && end.credit > 0
            && let Some((request, payload)) = end.unsent.pop_front()
        {
            end.credit -= 1;
            let peer = end.peer;
            self.push(peer, payload);
            self.complete(request, Completion::Done);
        }
        self.finish_close(port);
    }

    /// A packet or a scalar comes. Whether it stays.
    pub(in crate::mcapi) fn on_packet(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
        data: Data<'_>,
    ) -> bool {
        let Some(end) = self.end_of(from, channel, port) else { return false };
        let kind = end.kind;
        let allowed = end.direction == Direction::Receive
            && end.theirs == Side::Open
            && end.unseen() < end.window.into()
            && match kind {
                ChannelKind::Packet => data.len() <= MCAPI_MAX_PKT_SIZE && end.promised > 0,
                ChannelKind::Scalar => {
                    matches!(data, Data::Here(value) if matches!(value.len(), 1 | 2 | 4 | 8))
                }
            };
        let closed = end.closed;
        match data {
            _ if !allowed => self.counters.malformed += 1,
            _ if closed => self.counters.discarded += 1,
            Data::Here(value) if kind == ChannelKind::Scalar => {
                self.on_scalar(port, value);
                return true;
            }
            data => return self.on_whole_packet(port, data),
        }
        false
    }

    fn on_whole_packet(&mut self, port: u32, data: Data<'_>) -> bool {
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        let Some(end) = end else { return false };
        end.promised -= 1;
        // What was promised is there.
        let Some(packet) = self.pool.redeem(data) else { return false };
        if let Some(receiver) = self.requests.dequeue(&mut end.posted) {
            let number = end.number();
            self.receive(receiver, number, Completion::Packet(packet));
            self.taken(port);
        } else {
            end.packets.push_back(packet);
        }
        true
    }

    /// Counts a packet as taken, and tells the sender when it is worth a frame.
    pub(super) fn taken(&mut self, port: u32) {
        let local = self.endpoints.get_mut(port);
        let Some(end) = local.and_then(|local| local.channel.as_mut()) else { return };
        if end.kind == ChannelKind::Scalar {
            end.credit += 1;
        } else if self.pool.promise(1) == 1 {
            end.credit += 1;
            end.promised += 1;
        } else {
            self.starved += usize::from(end.owed == 0);
            end.owed += 1;
        }
        if end.owed > 0 || end.credit >= end.window / 4 {
            self.tell_credit(port);
        }
    }

    /// Tells the sender what it was granted: a quarter of the window at a time, while there are buffers.
    fn tell_credit(&mut self, port: u32) {
        let local = self.endpoints.get_mut(port);
        let Some(end) = local.and_then(|local| local.channel.as_mut()) else { return };
        let least = if end.owed > 0 { 1 } else { (end.window / 4).max(1) };
        if end.theirs == Side::Open && !end.closed && end.credit >= least {
            let count = core::mem::take(&mut end.credit);
            let (peer, frame) =
                (end.peer, Frame::Credit { channel: end.id, port: end.peer_port, count });
            self.send(peer, frame);
        }
    }

    /// Promises buffers that came back to channels that went without.
    pub(in crate::mcapi) fn feed(&mut self) {
        let owed = |local: &Local| local.channel.as_ref().is_some_and(|end| end.owed > 0);
        while self.starved > 0 && self.pool.spare() > 0 {
            let hungry = self.endpoints.iter().find(|(_, local)| owed(local)).map(|(port, _)| port);
            let Some(port) = hungry else { return };
            let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
            let Some(end) = end else { return };
            let granted = self.pool.promise(end.owed);
            end.owed -= granted;
            end.credit += granted;
            end.promised += granted;
            self.starved -= usize::from(end.owed == 0);
            self.tell_credit(port);
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
        if end.closed {
            // Which is all that this side says any more, and is answer enough.
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
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        let Some(end) = end.filter(|end| end.id == channel && end.peer == from) else { return };
        end.asks = end.asks.saturating_sub(1);
        if end.asks > 0 {
            return;
        }
        if let Some(request) = end.impatient.take()
            && end.unsend(request, &mut self.pool)
        {
            self.complete(request, Completion::Failed(Status::MemLimit));
            self.finish_close(port);
        }
    }
}
