//! What frames and their data lie in: nothing is allocated for one when a node's memory is fixed.
//!
//! Buffers are vectors with room enough, which move: from the pool to a queue, to the program, and back. Those that
//! are **promised** are kept for packets that senders were granted.
//!
//! The data of a packet may lie with the transport, which **lends** them to the node: then the buffer that was promised stays
//! empty, and is counted as any other.

use super::frame::Head;
use crate::limits::{MAX_MESSAGE, MCAPI_MAX_BUFFERS, MCAPI_MAX_SMALL_BUFFERS, MCAPI_SMALL_BUFFER};
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::ops::Deref;

/// Data that lie with the transport of a node, as the driver knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lent {
    /// Which.
    pub token: NonZeroU32,
    /// Bytes.
    pub len: u32,
}

/// A packet that was received: a buffer, with the data in it or beside those that are lent. Whoever gets it gives it back to
/// [`super::Mcapi::release`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    buffer: Vec<u8>,
    /// A token << 32 | bytes; 0: the data are in the buffer. One word, for it is loaded as such soon after it was stored.
    lent: u64,
}

impl Packet {
    /// The data, if they are lent, for whoever returns them by himself.
    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    pub fn take_lent(&mut self) -> Option<Lent> {
        let lent = core::mem::take(&mut self.lent);
        NonZeroU32::new((lent >> 32) as u32).map(|token| Lent { token, len: lent as u32 })
    }

    /// The buffer, with the data unless they are lent.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }
}

impl From<Vec<u8>> for Packet {
    fn from(buffer: Vec<u8>) -> Self {
        Self { buffer, lent: 0 }
    }
}

/// What there is of a packet that comes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data<'a> {
    /// For the length of the call.
    Here(&'a [u8]),
    Lent(Lent),
}

impl Data<'_> {
    pub(super) const fn len(self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Lent(lent) => lent.len as usize,
        }
    }
}

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// In place.
    Short(Head),
    /// In a buffer, which [`super::Mcapi::give_back`] takes again.
    Long(Vec<u8>),
}

impl Payload {
    /// The bytes in a vector of their own.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Short(head) => head.to_vec(),
            Self::Long(bytes) => bytes,
        }
    }
}

impl Deref for Payload {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(head) => head,
            Self::Long(bytes) => bytes,
        }
    }
}

/// The buffers that are not in use.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    /// Of the large ones.
    promised: usize,
    fixed: bool,
    /// Data that were lent and that nobody wants any more: the driver fetches them.
    unwanted: Vec<Lent>,
}

impl Pool {
    /// Allocates what it is asked for.
    pub(super) const fn growing() -> Self {
        Self {
            small: Vec::new(),
            large: Vec::new(),
            promised: 0,
            fixed: false,
            unwanted: Vec::new(),
        }
    }

    /// Allocates all there will ever be.
    pub(super) fn fixed() -> Self {
        let make = |n: usize, size: usize| (0..n).map(|_| Vec::with_capacity(size)).collect();
        Self {
            small: make(MCAPI_MAX_SMALL_BUFFERS, MCAPI_SMALL_BUFFER),
            large: make(MCAPI_MAX_BUFFERS, MAX_MESSAGE),
            promised: 0,
            fixed: true,
            unwanted: Vec::with_capacity(MCAPI_MAX_BUFFERS),
        }
    }

    pub(super) const fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Large buffers that nobody has or is promised.
    pub(super) const fn spare(&self) -> usize {
        if self.fixed { self.large.len() - self.promised } else { usize::MAX }
    }

    /// Promises so many buffers, or as many as there are; says how many.
    pub(super) fn promise(&mut self, buffers: u16) -> u16 {
        if !self.fixed {
            return buffers;
        }
        let granted = buffers.min(u16::try_from(self.spare()).unwrap_or(u16::MAX));
        self.promised += usize::from(granted);
        granted
    }

    /// Promised buffers that will not be asked for.
    pub(super) fn forgive(&mut self, buffers: u16) {
        if self.fixed {
            self.promised -= usize::from(buffers);
        }
    }

    /// These bytes, one part after the other, in a buffer; `None` when there is none.
    pub(super) fn copy(&mut self, head: &[u8], data: &[u8]) -> Option<Vec<u8>> {
        let len = head.len() + data.len();
        let mut buffer = if !self.fixed {
            Vec::with_capacity(len)
        } else if len <= MCAPI_SMALL_BUFFER && !self.small.is_empty() {
            self.small.pop()?
        } else if self.spare() > 0 && len <= MAX_MESSAGE {
            self.large.pop()?
        } else {
            return None;
        };
        buffer.extend_from_slice(head);
        buffer.extend_from_slice(data);
        Some(buffer)
    }

    /// The same for what a promise was made for, which is kept by this.
    pub(super) fn redeem(&mut self, data: Data<'_>) -> Option<Packet> {
        self.forgive(1);
        match data {
            Data::Here(bytes) => self.copy(&[], bytes).map(Packet::from),
            Data::Lent(lent) => {
                let buffer = if self.fixed { self.large.pop()? } else { Vec::new() };
                let lent = u64::from(lent.token.get()) << 32 | u64::from(lent.len);
                Some(Packet { buffer, lent })
            }
        }
    }

    /// Takes a packet back, and keeps in mind what was lent with it.
    #[inline]
    pub(super) fn release(&mut self, mut packet: Packet) {
        if packet.lent != 0 {
            self.unwanted.extend(packet.take_lent());
        }
        self.give_back(packet.buffer);
    }

    pub(super) const fn has_unwanted(&self) -> bool {
        !self.unwanted.is_empty()
    }

    pub(super) fn unwanted(&mut self) -> Option<Lent> {
        self.unwanted.pop()
    }

    #[inline]
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        let pool = match buffer.capacity() {
            MAX_MESSAGE.. => &mut self.large,
            MCAPI_SMALL_BUFFER.. => &mut self.small,
            _ => return,
        };
        // Full: it is not one of these.
        if self.fixed && pool.len() < pool.capacity() {
            buffer.clear();
            pool.push(buffer);
        }
    }

    /// A frame from its parts; `None` when there is no buffer for it.
    pub(super) fn pack(&mut self, mut head: Head, data: &[u8]) -> Option<Payload> {
        if head.append(data) {
            return Some(Payload::Short(head));
        }
        self.copy(&head, data).map(Payload::Long)
    }

    pub(super) fn unpack(&mut self, payload: Payload) {
        if let Payload::Long(buffer) = payload {
            self.give_back(buffer);
        }
    }
}
