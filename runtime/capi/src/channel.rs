//! Packet channels (4.5), and what scalar channels have in common with them.

use crate::pointer::{Bytes, Out, Room};
use crate::registry::{self, CNode, Held};
use crate::request::Target;
use crate::{handle, render};
use mcapi::limits::MCAPI_MAX_PKT_SIZE;
use mcapi::{Completion, Mcapi, RawPacket, RecvHandle, Road, SendHandle, Status};

macro_rules! channel_calls {
    ($($name:ident = $core:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $name(send: u32, recv: u32, request: Out<u32>, status: Out<u32>) {
            render(status, (), || {
                let me = registry::current()?;
                let (send, recv) = (handle::to_address(send)?, handle::to_address(recv)?);
                me.node.catch_up();
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
                me.node.catch_up();
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
                me.start(request, Target::None, |core| core.$core(end))?;
                me.node.catch_up();
                Ok(())
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

/// Hands a packet to the rules; one that is too large is cut so that it still is, and refused.
fn with_packet<R>(
    buffer: Bytes,
    size: usize,
    send: impl FnOnce(&[u8]) -> Result<R, Status>,
) -> Result<R, Status> {
    buffer.with(size.min(MCAPI_MAX_PKT_SIZE + 1), send)?
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
        with_packet(buffer, size, |data| {
            let send =
                |core: &mut Mcapi, road: &mut dyn Road| core.pktchan_send_i_on(road, end, data);
            me.start_on(request, Target::Sent(size), send)
        })
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
        with_packet(buffer, size, |data| {
            let begin =
                |core: &mut Mcapi, road: &mut dyn Road| core.pktchan_send_on(road, end, data);
            me.node.send(begin, |core| core.handle_timeout(end.raw()))
        })
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
        let take = |core: &mut Mcapi| core.pktchan_take(end);
        let timeout = |core: &Mcapi| core.handle_timeout(end.raw());
        let begin = |core: &mut Mcapi| core.pktchan_recv(end);
        let packet = me.node.receive(take, timeout, begin, |_, completion| match completion {
            Completion::Packet(packet) => Ok(packet),
            _ => Err(Status::General),
        })?;
        let (room, size) = me.lend(packet);
        received.set(size);
        buffer.set(room);
        Ok(())
    });
}

impl CNode {
    /// Gives the program a packet, until it releases it: where it lies, and its size.
    pub(crate) fn lend(&self, mut packet: RawPacket) -> (Room, usize) {
        let loan = self.node.loan(&mut packet);
        let mut buffer = packet.into_buffer();
        let (room, size) = match &loan {
            Some(loan) => (Room::lent(loan), loan.len()),
            None => (Room::of(&mut buffer), buffer.len()),
        };
        self.buffers.lock().insert(room.address(), Some(Held { buffer, loan }));
        (room, size)
    }
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_pktchan_release(buffer: Room, status: Out<u32>) {
    render(status, (), || {
        let me = registry::current()?;
        let mut buffers = me.buffers.lock();
        let lent = buffers.get_mut(&buffer.address()).ok_or(Status::BufInvalid)?;
        let Held { buffer, loan } = lent.take().ok_or(Status::BufInvalid)?;
        drop(buffers);
        drop(loan);
        me.node.core(|core| core.give_back(buffer));
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
        let buffers = me.buffers.lock();
        match buffers.get(&buffer.address()) {
            Some(Some(_)) => Err(Status::Pending),
            Some(None) => Ok(1),
            None => Err(Status::BufInvalid),
        }
    })
}
