//! Messages (4.4).

use crate::pointer::{Bytes, Out, Room};
use crate::registry::{self, CNode};
use crate::request::Target;
use crate::{handle, render};
use mcapi::limits::MCAPI_MAX_MSG_SIZE;
use mcapi::{Address, Completion, Request, Status};

/// Sends what C hands in; too much of it is not even looked at.
fn send(
    me: &CNode,
    (from, to): (Address, Address),
    (buffer, size): (Bytes, usize),
    priority: u32,
) -> Result<Request, Status> {
    if size > MCAPI_MAX_MSG_SIZE {
        // The core says which of the faults it is.
        let refused = me
            .node
            .core(|core| core.msg_available(from).map_or(Status::EndpInvalid, |_| Status::MsgSize));
        return Err(refused);
    }
    buffer.with(size, |data| me.node.core(|core| core.msg_send_i(from, to, data, priority)))?
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_msg_send_i(
    from: u32,
    to: u32,
    buffer: Bytes,
    size: usize,
    priority: u32,
    request: Out<u32>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let ends = (handle::to_address(from)?, handle::to_address(to)?);
        request.some()?;
        let sent = send(&me, ends, (buffer, size), priority)?;
        me.begun(request, sent, Target::Sent(size));
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_msg_send(
    from: u32,
    to: u32,
    buffer: Bytes,
    size: usize,
    priority: u32,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let ends = (handle::to_address(from)?, handle::to_address(to)?);
        let sent = send(&me, ends, (buffer, size), priority)?;
        me.node.complete(sent, me.node.timeout_of(ends.0)).map(drop)
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_msg_recv_i(
    endpoint: u32,
    buffer: Room,
    size: usize,
    request: Out<u32>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        let target = Target::Message(buffer.check(size)?, size);
        me.start(request, target, |core| core.msg_recv_i(endpoint))
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_msg_recv(
    endpoint: u32,
    buffer: Room,
    size: usize,
    received: Out<usize>,
    status: Out<u32>,
) {
    render(status, (), || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        let (buffer, received) = (buffer.check(size)?, received.some()?);
        let request = me.node.core(|core| core.msg_recv_i(endpoint))?;
        let Completion::Message(message) =
            me.node.complete(request, me.node.timeout_of(endpoint))?
        else {
            return Err(Status::General);
        };
        received.set(buffer.fill(size, &message.data));
        if message.data.len() > size { Err(Status::MsgTruncated) } else { Ok(()) }
    });
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_msg_available(endpoint: u32, status: Out<u32>) -> u32 {
    render(status, 0, || {
        let me = registry::current()?;
        let endpoint = handle::to_address(endpoint)?;
        let available = me.node.core(|core| core.msg_available(endpoint))?;
        u32::try_from(available).map_err(|_| Status::General)
    })
}
