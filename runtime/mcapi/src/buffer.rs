//! Buffers of the library that a program has for a while.

use crate::{Address, Node, RawPacket};
use runtime_shm::Loan;
use std::fmt;
use std::ops::Deref;

/// What a message or a packet lies in, which goes back to its node when this is dropped.
pub struct Buffer {
    node: Node,
    bytes: Vec<u8>,
    /// Where the bytes lie, if it is not here.
    loan: Option<Loan>,
}

/// A packet that was received, in the library's buffer, which is given back when this is dropped (4.5.9). Large ones from the same
/// machine lie where their sender has put them, in memory that it shares, and which it uses again after this is dropped.
pub type Packet = Buffer;

/// A message that was received.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// What was sent.
    pub data: Buffer,
    /// 0 is the highest.
    pub priority: u32,
    /// Where it was sent from.
    pub from: Address,
}

impl Buffer {
    pub(crate) fn new(node: &Node, bytes: Vec<u8>) -> Self {
        Self { node: node.clone(), bytes, loan: None }
    }

    pub(crate) fn packet(node: &Node, mut packet: RawPacket) -> Self {
        let loan = node.loan(&mut packet);
        Self { node: node.clone(), bytes: packet.into_buffer(), loan }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        self.node.core(|core| core.give_back(bytes));
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.loan.as_deref().unwrap_or(&self.bytes)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Buffer {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

#[cfg(test)]
mod tests;
