//! Packet and scalar channels (4.5, 4.6). An end closes when dropped.

use crate::{
    Address, Begun, Buffer, Completion, Mcapi, Node, Packet, Pending, RecvHandle, Road, SendHandle,
    Status,
};
use std::marker::PhantomData;

/// An end that is open.
#[derive(Debug)]
struct End<H> {
    node: Node,
    handle: H,
}

impl<H> End<H> {
    /// A blocking receive, which waits as the endpoint's attribute says.
    fn receive<R>(
        &self,
        handle: u32,
        take: impl FnMut(&mut Mcapi) -> Result<Option<R>, Status>,
        begin: impl FnOnce(&mut Mcapi) -> Result<Begun, Status>,
        end: impl FnOnce(Completion) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let timeout = |core: &Mcapi| core.handle_timeout(handle);
        self.node.receive(take, timeout, begin, |_, completion| end(completion))
    }
}

macro_rules! opens {
    ($name:ident $(<$t:ident>)?, $handle:ident, $open:ident, $close:ident, $drop:ident, $section:literal) => {
        impl $(<$t: Scalar>)? $name $(<$t>)? {
            pub(crate) fn open(node: &Node, address: Address) -> Result<Pending<Self>, Status> {
                node.catch_up();
                let request = node.core(|core| core.$open(address))?;
                Ok(Pending::new(node, request, |node, completion| match completion {
                    Completion::$handle(handle) => {
                        Ok(Self { end: End { node: node.clone(), handle }, $(_of: PhantomData::<$t>)? })
                    }
                    _ => Err(Status::General),
                }))
            }

            #[doc = concat!("Closes this end (", $section, "), and waits until that is done.")]
            ///
            /// # Errors
            /// [`Status::RequestLimit`].
            pub fn close(self) -> Result<(), Status> {
                self.close_i()?.wait(None)
            }

            #[doc = concat!("Closes this end (", $section, "). Dropped or not, it closes.")]
            ///
            /// # Errors
            /// [`Status::RequestLimit`].
            pub fn close_i(self) -> Result<Pending<()>, Status> {
                let request = self.end.node.core(|core| core.$close(self.end.handle))?;
                self.end.node.catch_up();
                Ok(Pending::unit(&self.end.node, request))
            }
        }

        impl $(<$t>)? Drop for $name $(<$t>)? {
            fn drop(&mut self) {
                let End { node, handle } = &self.end;
                // Closed already, or the node has left.
                if node.core(|core| core.$drop(*handle)) {
                    node.catch_up();
                }
            }
        }
    };
}

/// The open send end of a packet channel.
#[derive(Debug)]
pub struct PacketSender {
    end: End<SendHandle>,
}

/// The open receive end of a packet channel.
#[derive(Debug)]
pub struct PacketReceiver {
    end: End<RecvHandle>,
}

/// The open send end of a channel of scalars.
#[derive(Debug)]
pub struct ScalarSender<T> {
    end: End<SendHandle>,
    _of: PhantomData<T>,
}

/// The open receive end of a channel of scalars.
#[derive(Debug)]
pub struct ScalarReceiver<T> {
    end: End<RecvHandle>,
    _of: PhantomData<T>,
}

opens!(
    PacketSender,
    SendHandle,
    pktchan_send_open_i,
    pktchan_send_close_i,
    send_end_drop,
    "4.5.12"
);
opens!(
    PacketReceiver,
    RecvHandle,
    pktchan_recv_open_i,
    pktchan_recv_close_i,
    recv_end_drop,
    "4.5.11"
);
opens!(
    ScalarSender<T>,
    SendHandle,
    sclchan_send_open_i,
    sclchan_send_close_i,
    send_end_drop,
    "4.6.14"
);
opens!(
    ScalarReceiver<T>,
    RecvHandle,
    sclchan_recv_open_i,
    sclchan_recv_close_i,
    recv_end_drop,
    "4.6.13"
);

impl PacketSender {
    /// Sends a packet (4.5.5). With `FAIL_ON_MEM_LIMIT`, the default, it does not wait for room.
    ///
    /// # Errors
    /// See [`crate::Mcapi::pktchan_send`].
    pub fn send(&self, data: impl AsRef<[u8]>) -> Result<(), Status> {
        let End { handle, .. } = self.end;
        let begin = |core: &mut Mcapi, road: &mut dyn Road| {
            core.pktchan_send_on(road, handle, data.as_ref())
        };
        self.end.node.send(begin, |core| core.handle_timeout(handle.raw()))
    }

    /// Sends a packet, which waits for room (4.5.4).
    ///
    /// # Errors
    /// See [`crate::Mcapi::pktchan_send_i`].
    pub fn send_i(&self, data: impl AsRef<[u8]>) -> Result<Pending<()>, Status> {
        let End { node, handle } = &self.end;
        let send = |core: &mut Mcapi, road: &mut dyn Road| {
            core.pktchan_send_i_on(road, *handle, data.as_ref())
        };
        Ok(Pending::unit(node, node.core_on(send)?))
    }
}

fn packet(node: &Node, completion: Completion) -> Result<Packet, Status> {
    match completion {
        Completion::Packet(packet) => Ok(Buffer::packet(node, packet)),
        _ => Err(Status::General),
    }
}

impl PacketReceiver {
    /// Waits for a packet (4.5.7).
    ///
    /// # Errors
    /// See [`crate::Mcapi::pktchan_recv_i`].
    pub fn recv(&self) -> Result<Packet, Status> {
        let End { node, handle } = &self.end;
        let take = |core: &mut Mcapi| core.pktchan_take(*handle);
        let begin = |core: &mut Mcapi| core.pktchan_recv(*handle);
        let packet =
            self.end.receive(handle.raw(), take, begin, |completion| match completion {
                Completion::Packet(packet) => Ok(packet),
                _ => Err(Status::General),
            })?;
        Ok(Buffer::packet(node, packet))
    }

    /// Receives a packet (4.5.6).
    ///
    /// # Errors
    /// See [`crate::Mcapi::pktchan_recv_i`].
    pub fn recv_i(&self) -> Result<Pending<Packet>, Status> {
        let request = self.end.node.core(|core| core.pktchan_recv_i(self.end.handle))?;
        Ok(Pending::new(&self.end.node, request, packet))
    }

    /// How many packets can be received at once (4.5.8).
    ///
    /// # Errors
    /// [`Status::ChanInvalid`] after the node was finalised.
    pub fn available(&self) -> Result<usize, Status> {
        self.end.node.core(|core| core.pktchan_available(self.end.handle))
    }
}

mod sealed {
    pub trait Sealed {}
}

/// What a scalar channel carries: `u8`, `u16`, `u32`, `u64`.
pub trait Scalar: Copy + sealed::Sealed {
    /// Its bytes.
    const SIZE: u8;
    /// In the low bytes.
    fn widen(self) -> u64;
    /// The low bytes.
    fn narrow(value: u64) -> Self;
}

macro_rules! scalar {
    ($($type:ty, $size:literal);*) => {$(
        impl sealed::Sealed for $type {}
        impl Scalar for $type {
            const SIZE: u8 = $size;
            fn widen(self) -> u64 {
                self.into()
            }
            #[expect(clippy::cast_possible_truncation, reason = "that is what it is for")]
            #[allow(trivial_numeric_casts, clippy::unnecessary_cast)]
            fn narrow(value: u64) -> Self {
                value as Self
            }
        }
    )*};
}
scalar!(u8, 1; u16, 2; u32, 4);

impl sealed::Sealed for u64 {}
impl Scalar for u64 {
    const SIZE: u8 = 8;
    fn widen(self) -> u64 {
        self
    }
    fn narrow(value: u64) -> Self {
        value
    }
}

impl<T: Scalar> ScalarSender<T> {
    /// Sends a scalar (4.6.4-7). With `FAIL_ON_MEM_LIMIT`, the default, it does not wait for room.
    ///
    /// # Errors
    /// See [`crate::Mcapi::sclchan_send`].
    pub fn send(&self, value: T) -> Result<(), Status> {
        let End { handle, .. } = self.end;
        let begin = |core: &mut Mcapi, road: &mut dyn Road| {
            core.sclchan_send_on(road, handle, value.widen(), T::SIZE.into())
        };
        self.end.node.send(begin, |core| core.handle_timeout(handle.raw()))
    }
}

impl<T: Scalar> ScalarReceiver<T> {
    /// Waits for a scalar (4.6.8-11).
    ///
    /// # Errors
    /// See [`crate::Mcapi::sclchan_recv`].
    pub fn recv(&self) -> Result<T, Status> {
        let End { handle, .. } = self.end;
        let take = |core: &mut Mcapi| Ok(core.sclchan_take(handle, T::SIZE)?.map(T::narrow));
        let begin = |core: &mut Mcapi| core.sclchan_recv(handle, T::SIZE);
        self.end.receive(handle.raw(), take, begin, |completion| match completion {
            Completion::Scalar(value) => Ok(T::narrow(value)),
            _ => Err(Status::General),
        })
    }

    /// How many scalars can be received at once (4.6.12).
    ///
    /// # Errors
    /// [`Status::ChanInvalid`] after the node was finalised.
    pub fn available(&self) -> Result<usize, Status> {
        self.end.node.core(|core| core.sclchan_available(self.end.handle))
    }
}
