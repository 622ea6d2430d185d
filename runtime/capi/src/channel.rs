//! Packet channels (4.5), and what scalar channels have in common with them.

use crate::pointer::{Bytes, Out, Room};
use crate::registry::{self, CNode};
use crate::request::Target;
use crate::{handle, render};
use mcapi::limits::MCAPI_MAX_BUFFERS;
use mcapi::{Completion, RecvHandle, SendHandle, Status, duration};
use std::sync::PoisonError;

macro_rules! channel_calls {
    ($($name:ident = $core:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(send: u32, recv: u32, request: Out<u32>, status: Out<u32>) {
            render(status, (), || {
                let me = registry::current()?;
                let (send, recv) = (handle::to_address(send)?, handle::to_address(recv)?);
                me.start(request, Target::None, |core| core.$core(send, recv))
            });
        }
    )*};
}
channel_calls! {
    mcapi_pktchan_connect_i = pktchan_connect_i;
    mcapi_sclchan_connect_i = sclchan_connect_i;
}

macro_rules! open_calls {
    ($($name:ident = $core:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(end: Out<u32>, endpoint: u32, request: Out<u32>, status: Out<u32>) {
            render(status, (), || {
                let me = registry::current()?;
                let endpoint = handle::to_address(endpoint)?;
                me.start(request, Target::Handle(end.some()?), |core| core.$core(endpoint))
            });
        }
    )*};
}
open_calls! {
    mcapi_pktchan_recv_open_i = pktchan_recv_open_i;
    mcapi_pktchan_send_open_i = pktchan_send_open_i;
    mcapi_sclchan_recv_open_i = sclchan_recv_open_i;
    mcapi_sclchan_send_open_i = sclchan_send_open_i;
}

macro_rules! close_calls {
    ($($name:ident = $core:ident, $handle:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(end: u32, request: Out<u32>, status: Out<u32>) {
            render(status, (), || {
                let me = registry::current()?;
                let end = $handle::from_raw(me.salt.channel(end));
                me.start(request, Target::None, |core| core.$core(end))
            });
        }
    )*};
}
close_calls! {
    mcapi_pktchan_recv_close_i = pktchan_recv_close_i, RecvHandle;
    mcapi_pktchan_send_close_i = pktchan_send_close_i, SendHandle;
    mcapi_sclchan_recv_close_i = sclchan_recv_close_i, RecvHandle;
    mcapi_sclchan_send_close_i = sclchan_send_close_i, SendHandle;
}

macro_rules! available_calls {
    ($($name:ident = $core:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(end: u32, status: Out<u32>) -> u32 {
            render(status, 0, || {
                let me = registry::current()?;
                let end = RecvHandle::from_raw(me.salt.channel(end));
                let available = me.node.core(|core| core.$core(end))?;
                u32::try_from(available).map_err(|_| Status::General)
            })
        }
    )*};
}
available_calls! {
    mcapi_pktchan_available = pktchan_available;
    mcapi_sclchan_available = sclchan_available;
}

/// A copy of a packet; one that is too large is cut so that it still is, and refused.
fn packet(buffer: Bytes, size: usize) -> Result<Vec<u8>, Status> {
    buffer.copy(size.min(mcapi::limits::MCAPI_MAX_PKT_SIZE + 1))
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_send_i(
    end: u32,
    buffer: Bytes,
    size: usize,
    request: Out<u32>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let end = SendHandle::from_raw(me.salt.channel(end));
        let data = packet(buffer, size)?;
        me.start(request, Target::Sent(size), |core| core.pktchan_send_i(end, data))
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_send(
    end: u32,
    buffer: Bytes,
    size: usize,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let end = SendHandle::from_raw(me.salt.channel(end));
        let data = packet(buffer, size)?;
        let timeout = me.node.core(|core| core.handle_timeout(end.raw()));
        let sent = me.node.core(|core| core.pktchan_send(end, data))?;
        me.node.complete(sent, duration(timeout)).map(drop)
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_recv_i(
    end: u32,
    buffer: Out<Room>,
    request: Out<u32>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let end = RecvHandle::from_raw(me.salt.channel(end));
        let target = Target::Packet(buffer.some()?);
        request.some()?;
        me.node.core(|core| core.pktchan_available(end))?;
        me.may_lend()?;
        me.start(request, target, |core| core.pktchan_recv_i(end))
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_recv(
    end: u32,
    buffer: Out<Room>,
    received: Out<usize>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let end = RecvHandle::from_raw(me.salt.channel(end));
        let (buffer, received) = (buffer.some()?, received.some()?);
        me.node.core(|core| core.pktchan_available(end))?;
        me.may_lend()?;
        let timeout = me.node.core(|core| core.handle_timeout(end.raw()));
        let request = me.node.core(|core| core.pktchan_recv_i(end))?;
        let Completion::Packet(packet) = me.node.complete(request, duration(timeout))? else {
            return Err(Status::General);
        };
        received.set(packet.len());
        buffer.set(me.lend(packet));
        Ok(())
    });
}

impl CNode {
    fn may_lend(&self) -> Result<(), Status> {
        let buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.lent.len() < MCAPI_MAX_BUFFERS { Ok(()) } else { Err(Status::MemLimit) }
    }

    /// Gives the program a packet, until it releases it.
    pub(crate) fn lend(&self, mut packet: Vec<u8>) -> Room {
        // An empty one too must have an address of its own.
        packet.reserve(1);
        let room = Room::of(&mut packet);
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.released.retain(|address| *address != room.address());
        buffers.lent.insert(room.address(), packet);
        room
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_release(buffer: Room, status: Out<u32>) {
    render(status, (), || {
        let me = registry::current()?;
        let mut buffers = me.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        buffers.lent.remove(&buffer.address()).ok_or(Status::BufInvalid)?;
        if buffers.released.len() >= MCAPI_MAX_BUFFERS {
            buffers.released.pop_front();
        }
        buffers.released.push_back(buffer.address());
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_release_test(buffer: Room, status: Out<u32>) -> u8 {
    render(status, 0, || {
        let me = registry::current()?;
        if buffer.is_null() {
            return Err(Status::Parameter);
        }
        let buffers = me.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.lent.contains_key(&buffer.address()) {
            Err(Status::Pending)
        } else if buffers.released.contains(&buffer.address()) {
            Ok(1)
        } else {
            Err(Status::BufInvalid)
        }
    })
}
