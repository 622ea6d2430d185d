//! Scalars on an open channel: as packets of 1, 2, 4 or 8 bytes, received by their size.
//!
//! A receive of another size fails with [`Status::SclSize`], and the scalar stays for one of its own.

use super::{ChannelKind, Direction, RecvHandle, SendHandle, Value};
use crate::mcapi::request::{Begun, Op, Request};
use crate::mcapi::{Completion, Endpoint, Mcapi, Road, Status};

impl Mcapi {
    /// As [`Self::pktchan_connect_i`], for scalars.
    pub fn sclchan_connect_i(&mut self, send: Endpoint, recv: Endpoint) -> Result<Request, Status> {
        self.connect_i(ChannelKind::Scalar, send, recv)
    }

    /// As [`Self::pktchan_send_open_i`], for scalars.
    pub fn sclchan_send_open_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        self.open_i(endpoint, ChannelKind::Scalar, Direction::Send)
    }

    /// As [`Self::pktchan_recv_open_i`], for scalars.
    pub fn sclchan_recv_open_i(&mut self, endpoint: Endpoint) -> Result<Request, Status> {
        self.open_i(endpoint, ChannelKind::Scalar, Direction::Receive)
    }

    /// As [`Self::pktchan_send_close_i`], for scalars.
    pub fn sclchan_send_close_i(&mut self, handle: SendHandle) -> Result<Request, Status> {
        self.close_i(handle.0, ChannelKind::Scalar, Direction::Send)
    }

    /// As [`Self::pktchan_recv_close_i`], for scalars.
    pub fn sclchan_recv_close_i(&mut self, handle: RecvHandle) -> Result<Request, Status> {
        self.close_i(handle.0, ChannelKind::Scalar, Direction::Receive)
    }

    /// Sends a scalar of 1, 2, 4 or 8 bytes, the low ones of `value`. The caller waits for the request, as scalars only
    /// have blocking calls, unless there is none, and it has gone; with [`crate::mcapi::FAIL_ON_MEM_LIMIT`] it fails with [`Status::MemLimit`] when the
    /// receiver has no room now.
    pub fn sclchan_send(
        &mut self,
        handle: SendHandle,
        value: u64,
        size: usize,
    ) -> Result<Option<Request>, Status> {
        self.sclchan_send_on(&mut (), handle, value, size)
    }

    /// The same, by a road if it can.
    pub fn sclchan_send_on(
        &mut self,
        road: &mut dyn Road,
        handle: SendHandle,
        value: u64,
        size: usize,
    ) -> Result<Option<Request>, Status> {
        if !matches!(size, 1 | 2 | 4 | 8) {
            return Err(Status::SclSize);
        }
        self.send_now(road, handle, ChannelKind::Scalar, &value.to_le_bytes()[..size])
    }

    /// The next scalar, if there is one now; see [`Self::sclchan_recv`].
    #[inline]
    pub fn sclchan_take(&mut self, handle: RecvHandle, size: u8) -> Result<Option<u64>, Status> {
        let port = self.open_port(handle.0, ChannelKind::Scalar, Direction::Receive)?;
        let local = self.endpoints.get_mut(port);
        let end = local.and_then(|local| local.channel.as_mut()).ok_or(Status::ChanInvalid)?;
        if end.next_size().is_some_and(|next| next != size) {
            return Err(Status::SclSize);
        }
        if let Some((_, Value(value, _), new)) = end.pop_scalar() {
            if new {
                self.taken(port);
                self.settle();
            }
            return Ok(Some(value));
        }
        end.over()?;
        Ok(None)
    }

    /// Receives a scalar of this size, with [`Completion::Scalar`].
    pub fn sclchan_recv(&mut self, handle: RecvHandle, size: u8) -> Result<Begun, Status> {
        match self.sclchan_take(handle, size) {
            Ok(Some(value)) => return Ok(Begun::Done(Completion::Scalar(value))),
            Err(Status::SclSize) => return Ok(Begun::Done(Completion::Failed(Status::SclSize))),
            Ok(None) => {}
            Err(status) => return Err(status),
        }
        let port = self.open_port(handle.0, ChannelKind::Scalar, Direction::Receive)?;
        let local = self.endpoints.get_mut(port);
        let end = local.and_then(|local| local.channel.as_mut()).ok_or(Status::ChanInvalid)?;
        let request = self.requests.open(Op::ScalarReceive { port, size, serial: 0 })?;
        self.requests.enqueue(&mut end.posted, request);
        Ok(Begun::Pending(request))
    }

    /// How many scalars can be received at once.
    pub fn sclchan_available(&self, handle: RecvHandle) -> Result<usize, Status> {
        self.available(handle, ChannelKind::Scalar)
    }

    pub(super) fn on_scalar(&mut self, port: u32, data: &[u8]) {
        let local = self.endpoints.get_mut(port);
        let Some(end) = local.and_then(|local| local.channel.as_mut()) else { return };
        let mut bytes = [0; 8];
        let (Some(low), Ok(size)) = (bytes.get_mut(..data.len()), u8::try_from(data.len())) else {
            return;
        };
        low.copy_from_slice(data);
        end.scalars.push_back(Value(u64::from_le_bytes(bytes), size));
        self.match_scalars(port);
    }

    /// Gives receivers packets that came back.
    pub(in crate::mcapi) fn serve_posted(&mut self, port: u32) {
        while let Some(end) = self.endpoints.get_mut(port).and_then(|l| l.channel.as_mut())
            && !end.posted.is_empty()
            && let Some((number, packet)) = end.returned.pop_first()
            && let Some(receiver) = self.requests.dequeue(&mut end.posted)
        {
            self.receive(receiver, number, Completion::Packet(packet));
        }
    }

    /// Gives receivers what waits, as long as there is both.
    pub(in crate::mcapi) fn match_scalars(&mut self, port: u32) {
        while let Some(end) = self.endpoints.get_mut(port).and_then(|l| l.channel.as_mut())
            && let Some(size) = end.next_size()
            && let Some(receiver) = self.requests.dequeue(&mut end.posted)
        {
            let fits = match self.requests.pending(receiver) {
                Some(&Op::ScalarReceive { size: wanted, .. }) => wanted == size,
                _ => false,
            };
            if fits && let Some((number, Value(value, _), new)) = end.pop_scalar() {
                self.receive(receiver, number, Completion::Scalar(value));
                if new {
                    self.taken(port);
                }
            } else {
                self.complete(receiver, Completion::Failed(Status::SclSize));
            }
        }
    }
}
