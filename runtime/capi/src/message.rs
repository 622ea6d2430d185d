//! Messages (4.4).

use crate::pointer::{Bytes, Out, Room};
use crate::registry::{self, CNode};
use crate::request::Target;
use crate::{handle, render};
use mcapi::limits::MCAPI_MAX_MSG_SIZE;
use mcapi::{Address, Completion, Mcapi, Road, Status, TIMEOUT_INFINITE};

/// Hands what C hands in to `send`; too much of it is not even looked at.
fn with_message<R>(
    me: &CNode,
    from: Address,
    (buffer, size): (Bytes, usize),
    send: impl FnOnce(&[u8]) -> Result<R, Status>,
) -> Result<R, Status> {
    if size > MCAPI_MAX_MSG_SIZE {
        // The core says which of the faults it is.
        let refused = me
            .node
            .core(|core| core.msg_available(from).map_or(Status::EndpInvalid, |_| Status::MsgSize));
        return Err(refused);
    }
    buffer.with(size, send)?
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
        with_message(&me, ends.0, (buffer, size), |data| {
            let send = |core: &mut Mcapi, road: &mut dyn Road| {
                core.msg_send_i_on(road, ends, data, priority)
            };
            me.start_on(request, Target::Sent(size), send)
        })
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
        with_message(&me, ends.0, (buffer, size), |data| {
            let begin = |core: &mut Mcapi, road: &mut dyn Road| {
                core.msg_send_on(road, ends, data, priority).map(Some)
            };
            me.node.send(begin, |core| {
                core.endpoint_attributes(ends.0).map_or(TIMEOUT_INFINITE, |a| a.timeout)
            })
        })
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
        let timeout = |core: &Mcapi| {
            core.endpoint_attributes(endpoint).map_or(TIMEOUT_INFINITE, |a| a.timeout)
        };
        let begin = |core: &mut Mcapi| core.msg_recv(endpoint);
        let fill = |data: &[u8]| {
            received.set(buffer.fill(size, data));
            if data.len() <= size { Status::Success } else { Status::MsgTruncated }
        };
        let take = |core: &mut Mcapi| core.msg_take(endpoint, |message| fill(&message.data));
        let end = |core: &mut Mcapi, completion| {
            let Completion::Message(message) = completion else { return Err(Status::General) };
            let filled = fill(&message.data);
            core.give_back(message.data);
            Ok(filled)
        };
        match me.node.receive(take, timeout, begin, end)? {
            Status::Success => Ok(()),
            truncated => Err(truncated),
        }
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
