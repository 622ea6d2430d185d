//! Opening and closing an end of a channel, each in agreement with the other side.

use super::{ChannelKind, Direction, Handle, Opening, RecvHandle, SendHandle, Side};
use crate::id::NodeId;
use crate::mcapi::frame::Frame;
use crate::mcapi::request::{Op, Request};
use crate::mcapi::{Completion, Endpoint, Mcapi, Status};

impl Mcapi {
    /// Opens the send end at an endpoint of this node, connected or yet to be connected. Completes
    /// with [`Completion::SendHandle`] when both sides are open.
    pub fn pktchan_send_open_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        self.open_i(endpoint, ChannelKind::Packet, Direction::Send)
    }

    /// Opens the receive end at an endpoint of this node, connected or yet to be connected. Completes
    /// with [`Completion::RecvHandle`] when both sides are open.
    pub fn pktchan_recv_open_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        self.open_i(endpoint, ChannelKind::Packet, Direction::Receive)
    }

    pub(super) fn open_i(
        &mut self,
        endpoint: Endpoint,
        kind: ChannelKind,
        direction: Direction,
    ) -> Result<Request, Status> {
        let port = self.own(endpoint)?;
        let local = self.endpoints.get_mut(port).ok_or(Status::EndpInvalid)?;
        if let Some(channel) = &local.channel {
            channel.fits(kind, direction)?;
            if channel.closed {
                return Err(Status::ChanClosePending);
            }
            if channel.handle.is_some() {
                return Err(Status::ChanOpen);
            }
        }
        if local.opening.is_some() {
            return Err(Status::ChanOpenPending);
        }
        let request = self.requests.open(Op::Open { port })?;
        local.opening = Some(Opening { request, kind, direction });
        self.try_open(port);
        self.settle();
        Ok(request)
    }

    /// Goes as far with a waiting open as it can.
    pub(super) fn try_open(&mut self, port: u32) {
        let Some(local) = self.endpoints.get_mut(port) else { return };
        let (Some(opening), Some(channel)) = (local.opening, &mut local.channel) else { return };
        let Opening { request, kind, direction } = opening;
        if channel.connecting.is_some() {
            return;
        }
        if let Err(status) = channel.fits(kind, direction) {
            local.opening = None;
            return self.complete(request, Completion::Failed(status));
        }
        let tell = !channel.told_open;
        channel.told_open = true;
        let (peer, peer_port, id, window) =
            (channel.peer, channel.peer_port, channel.id, channel.window);
        if channel.theirs > Side::Shut {
            local.opening = None;
            let handle = self.handles.insert(Handle { port, kind, direction });
            channel.handle = handle;
            let completion = match (handle, direction) {
                (Some(handle), Direction::Send) => Completion::SendHandle(SendHandle(handle)),
                (Some(handle), Direction::Receive) => Completion::RecvHandle(RecvHandle(handle)),
                (None, _) => Completion::Failed(Status::MemLimit),
            };
            self.complete(request, completion);
        }
        if tell {
            self.send(peer, Frame::Opened { channel: id, port: peer_port, window });
        }
    }

    pub(in crate::mcapi) fn on_opened(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
        window: u16,
    ) {
        let Some(end) = self.end_of(from, channel, port) else { return };
        if end.theirs != Side::Shut || end.connecting.is_some() {
            self.counters.malformed += 1;
            return;
        }
        end.theirs = Side::Open;
        if end.direction == Direction::Send {
            end.window = window;
            end.credit = window;
        }
        self.try_open(port);
    }

    /// Closes the send end. The handle is void at once; the request completes when all that was
    /// sent has gone to the other node, and that has heard of the close. So when the requests of both ends are done,
    /// both endpoints are free, and whoever knows that may rely on it, however they know.
    pub fn pktchan_send_close_i(&mut self, handle: SendHandle) -> Result<Request, Status> {
        self.close_i(handle.0, ChannelKind::Packet, Direction::Send)
    }

    /// Closes the receive end: packets that were not received are discarded, and sends fail.
    /// The handle is void at once; the request completes when the sender's node has heard of the close. The endpoints are free
    /// when both ends are closed.
    pub fn pktchan_recv_close_i(&mut self, handle: RecvHandle) -> Result<Request, Status> {
        self.close_i(handle.0, ChannelKind::Packet, Direction::Receive)
    }

    pub(super) fn close_i(
        &mut self,
        handle: u32,
        kind: ChannelKind,
        direction: Direction,
    ) -> Result<Request, Status> {
        let port = self.handles.get(handle).ok_or(Status::ChanInvalid)?.port;
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        end.ok_or(Status::ChanInvalid)?.fits(kind, direction)?;
        let request = self.requests.open(Op::Close { port })?;
        self.close(handle, Some(request))?;
        Ok(request)
    }

    /// Closes a send end of which nobody wants to know when that is done. `false`: it is closed.
    pub fn send_end_drop(&mut self, handle: SendHandle) -> bool {
        self.close(handle.0, None).is_ok()
    }

    /// The same for a receive end.
    pub fn recv_end_drop(&mut self, handle: RecvHandle) -> bool {
        self.close(handle.0, None).is_ok()
    }

    fn close(&mut self, handle: u32, request: Option<Request>) -> Result<(), Status> {
        let port = self.handles.get(handle).ok_or(Status::ChanInvalid)?.port;
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        let end = end.ok_or(Status::ChanInvalid)?;
        self.handles.remove(handle);
        end.handle = None;
        end.closing = request;
        self.shut(port);
        self.settle();
        Ok(())
    }

    /// An end that has no handle closes.
    fn shut(&mut self, port: u32) {
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        let Some(end) = end else { return };
        end.closed = true;
        self.starved -= usize::from(end.owed > 0);
        end.owed = 0;
        self.counters.discarded += end.discard(&mut self.pool) as u64;
        let mut posted = core::mem::take(&mut end.posted);
        while let Some(receive) = self.requests.dequeue(&mut posted) {
            self.complete(receive, Completion::Failed(Status::ChanInvalid));
        }
        self.finish_close(port);
    }

    /// An end that nobody can open or close any more, for its endpoint was dropped, closes by itself: the other side is not to
    /// wait for it for ever.
    pub(in crate::mcapi) fn shut_if_nameless(&mut self, port: u32) {
        let Some(local) = self.endpoints.get_mut(port) else { return };
        let (true, None, Some(end)) = (local.dropped, local.opening, &mut local.channel) else {
            return;
        };
        if end.handle.is_some() || end.connecting.is_some() || end.closed {
            return;
        }
        if !core::mem::replace(&mut end.told_open, true) {
            // An end closes after it was open.
            let (peer, window) = (end.peer, end.window);
            let opened = Frame::Opened { channel: end.id, port: end.peer_port, window };
            self.send(peer, opened);
        }
        self.shut(port);
    }

    /// Goes as far with a close as it can.
    pub(in crate::mcapi) fn finish_close(&mut self, port: u32) {
        let Some(local) = self.endpoints.get_mut(port) else { return };
        let Some(end) = &mut local.channel else { return };
        if !end.closed || !end.unsent.is_empty() {
            return;
        }
        let tell = !end.told_closed && end.theirs != Side::Gone;
        end.told_closed = true;
        let (peer, peer_port, channel) = (end.peer, end.peer_port, end.id);
        let closing = end.closing.take();
        if end.theirs >= Side::Closed {
            self.unbind(port);
        }
        if tell {
            if let Some(request) = closing {
                self.requests.turn(request, Op::Closing { node: peer });
            }
            self.send(peer, Frame::Closed { channel, port: peer_port, request: closing });
        } else if let Some(request) = closing {
            self.complete(request, Completion::Done);
        }
    }

    pub(in crate::mcapi) fn on_closed(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
        request: Option<Request>,
    ) {
        // Whatever is wrong with it, nobody is to wait for ever.
        if let Some(request) = request {
            self.send(from, Frame::Heard { request, status: Status::Success });
        }
        let Some(end) = self.end_of(from, channel, port) else { return };
        if end.theirs != Side::Open {
            self.counters.malformed += 1;
            return;
        }
        end.theirs = Side::Closed;
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        let waiting = end.map(|end| end.take_waiting(&mut self.requests, &mut self.pool));
        for request in waiting.unwrap_or_default() {
            self.complete(request, Completion::Failed(Status::ChanInvalid));
        }
        self.finish_close(port);
    }
}
