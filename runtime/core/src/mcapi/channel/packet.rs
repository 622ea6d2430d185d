//! Packets on an open channel.
//!
//! The receive side grants as many packets as it has buffers; a packet uses one up and a receive
//! gives it back, a quarter of the window at a time. A send without credit waits, in order, so a
//! slow receiver slows its sender and nothing is lost or piles up.

use super::{ChannelKind, Direction, RecvHandle, SendHandle, Side};
use crate::id::NodeId;
use crate::limits::MCAPI_MAX_PKT_SIZE;
use crate::mcapi::frame::Frame;
use crate::mcapi::request::{Op, Request};
use crate::mcapi::{Completion, Mcapi, Status};
use alloc::borrow::Cow;
use alloc::vec::Vec;

impl Mcapi {
    /// Sends a packet. Completes when it has gone to the link: at once while the receiver has room.
    /// [`Status::MemLimit`] when too many wait for room, [`Status::Transmission`] when the receiving
    /// node is lost, [`Status::ChanInvalid`] when the receive end is closed.
    pub fn pktchan_send_i(&mut self, handle: SendHandle, data: Vec<u8>) -> Result<Request, Status> {
        let port = self.open_port(handle.0, Direction::Send)?;
        let local = self.endpoints.get_mut(&port).ok_or(Status::ChanInvalid)?;
        let limit = local.attributes.num_send_buffers;
        let end = local.channel.as_mut().ok_or(Status::ChanInvalid)?;
        if data.len() > MCAPI_MAX_PKT_SIZE {
            return Err(Status::PktSize);
        }
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
        let port = self.open_port(handle.0, Direction::Receive)?;
        let local = self.endpoints.get_mut(&port);
        let end = local.and_then(|local| local.channel.as_mut()).ok_or(Status::ChanInvalid)?;
        if end.packets.is_empty() {
            end.over()?;
        }
        let request = self.requests.open(Op::PacketReceive { port })?;
        match end.packets.pop_front() {
            Some(packet) => {
                self.complete(request, Completion::Packet(packet));
                self.taken(port);
                self.settle();
            }
            None => end.posted.push_back(request),
        }
        Ok(request)
    }

    /// How many packets can be received at once.
    pub fn pktchan_available(&self, handle: RecvHandle) -> Result<usize, Status> {
        let port = self.open_port(handle.0, Direction::Receive)?;
        let end = self.local(port).and_then(|local| local.channel.as_ref());
        end.map(|end| end.packets.len()).ok_or(Status::ChanInvalid)
    }

    /// The port behind a handle of the right sort.
    fn open_port(&self, handle: u32, direction: Direction) -> Result<u32, Status> {
        self.handles
            .get(handle)
            .filter(|handle| handle.kind == ChannelKind::Packet && handle.direction == direction)
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
            && data.len() <= MCAPI_MAX_PKT_SIZE;
        if !allowed {
            self.counters.malformed += 1;
        } else if end.closed {
            self.counters.discarded += 1;
        } else if let Some(receiver) = end.posted.pop_front() {
            self.complete(receiver, Completion::Packet(data.into_owned()));
            self.taken(port);
        } else {
            end.packets.push_back(data.into_owned());
        }
    }

    /// Counts a packet as taken, and tells the sender when it is worth a frame.
    fn taken(&mut self, port: u32) {
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
}
