//! Scalars (4.6).

use crate::pointer::Out;
use crate::{registry, render};
use mcapi::{Completion, Mcapi, RecvHandle, Road, SendHandle, Status};

fn send(end: u32, value: u64, size: usize, status: Out<u32>) {
    render(status, (), || {
        let me = registry::current()?;
        let end = SendHandle::from_raw(me.salt.channel(end));
        let begin =
            |core: &mut Mcapi, road: &mut dyn Road| core.sclchan_send_on(road, end, value, size);
        me.node.send(begin, |core| core.handle_timeout(end.raw()))
    });
}

fn recv(end: u32, size: u8, status: Out<u32>) -> u64 {
    render(status, 0, || {
        let me = registry::current()?;
        let end = RecvHandle::from_raw(me.salt.channel(end));
        let take = |core: &mut Mcapi| core.sclchan_take(end, size);
        let timeout = |core: &Mcapi| core.handle_timeout(end.raw());
        let begin = |core: &mut Mcapi| core.sclchan_recv(end, size);
        me.node.receive(take, timeout, begin, |_, completion| match completion {
            Completion::Scalar(value) => Ok(value),
            _ => Err(Status::General),
        })
    })
}

macro_rules! scalars {
    ($($send:ident, $recv:ident, $type:ty, $size:literal;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) extern "C" fn $send(end: u32, value: $type, status: Out<u32>) {
            send(end, u64::from(value), $size, status);
        }

        #[unsafe(no_mangle)]
        #[allow(clippy::cast_possible_truncation, reason = "the core gives no more than it was asked for")]
        pub(crate) extern "C" fn $recv(end: u32, status: Out<u32>) -> $type {
            recv(end, $size, status) as $type
        }
    )*};
}
scalars! {
    mcapi_sclchan_send_uint8, mcapi_sclchan_recv_uint8, u8, 1;
    mcapi_sclchan_send_uint16, mcapi_sclchan_recv_uint16, u16, 2;
    mcapi_sclchan_send_uint32, mcapi_sclchan_recv_uint32, u32, 4;
    mcapi_sclchan_send_uint64, mcapi_sclchan_recv_uint64, u64, 8;
}
