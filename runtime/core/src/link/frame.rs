//! The link's frame, in two levels: bytes that were checked, and [`Frame`], the typed reading of them.
//!
//! ```text
//!  0 magic u8 | 1 version u8 | 2 kind u8 | 3 flags u8
//!  4 generation of the sender u32 | 8 generation of the receiver, as the sender believes, u32
//! 12 length of the frame u32 (what follows it is padding) | 16 CRC-32 u32, itself taken as zero
//! 20 sequence u64 | 28 next sequence expected u64
//! 36 frames after that one held already, a bit each, u128 | 52 payload
//! ```
//! Little endian. A Gone has the number of a view for its sequence. Magic, version, kind, length and CRC stay where they are in every version, so that
//! a node can say which version it met. A Hello always carries the CRC; other frames only over a
//! datagram medium.

use crate::id::{Generation, NodeId, ViewId};
use crate::limits::{MAX_FRAME, MAX_MESSAGE, MIN_MTU};
use crate::node::{Image, Medium};
use crate::wire::{Malformed, Reader, Writer};
use alloc::vec::Vec;

pub(super) const MAGIC: u8 = 0xd5;
pub(super) const VERSION: u8 = 3;
/// Bytes before the payload.
pub(super) const HEADER: usize = 52;
const LENGTH_AT: usize = 12;
const CRC_AT: usize = 16;
const HELLO: usize = 40;

const _: () = assert!(HEADER + MAX_MESSAGE <= MAX_FRAME, "a stream carries a message in one frame");
const _: () = assert!(HEADER + HELLO <= MIN_MTU, "a Hello is never fragmented");

const KIND_HELLO: u8 = 1;
const KIND_DATA: u8 = 2;
const KIND_ACK: u8 = 3;
const KIND_GONE: u8 = 4;

/// What frames of a link are to others on a raw Ethernet: IEEE 802's first number for local experiments.
pub const ETHERTYPE: u16 = 0x88B5;
/// The kinds of frames, as tools call them.
pub const KINDS: [(&str, u8); 4] =
    [("hello", KIND_HELLO), ("data", KIND_DATA), ("ack", KIND_ACK), ("gone", KIND_GONE)];
/// Where the kind stands in a raw Ethernet frame.
pub const ETHERNET_KIND_AT: usize = 14 + 2;

/// Hello: the sender knows the receiver's generation.
const FLAG_KNOWN: u8 = 0x01;
/// Ack: the sequence is that of a fragment that came though it was here already.
const FLAG_REPEATED: u8 = 0x01;
/// Data: the first and the last fragment of a message; the low four bits are the protocol.
const FLAG_FIRST: u8 = 0x40;
const FLAG_LAST: u8 = 0x80;

/// Which protocol a message belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Proto {
    /// Views and failover.
    Membership = 1,
    /// MCAPI messages, packets and channels.
    Mcapi = 2,
    /// Shared memory on the plain connection.
    Sdsm = 3,
    /// Copies of epochs.
    Recovery = 4,
}

impl Proto {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Membership),
            2 => Some(Self::Mcapi),
            3 => Some(Self::Sdsm),
            4 => Some(Self::Recovery),
            _ => None,
        }
    }
}

/// Who the sender is and what it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    /// [`Frame::to`] is what the sender knows, not a guess.
    pub(super) known: bool,
    pub(super) node: NodeId,
    pub(super) medium: Medium,
    pub(super) mtu: u32,
    pub(super) kind: Image,
    pub(super) hash: [u8; 32],
}

/// A fragment of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Data<'a> {
    pub(super) seq: u64,
    pub(super) proto: Proto,
    pub(super) first: bool,
    pub(super) last: bool,
    pub(super) payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    Hello(Hello),
    Data(Data<'a>),
    /// A sign of life, and an acknowledgement where the medium needs one; with a fragment that came twice.
    Ack(Option<u64>),
    /// The receiver's life is no member of this view, nor will it be of a later one.
    Gone(ViewId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) from: Generation,
    pub(super) to: Generation,
    pub(super) ack: u64,
    pub(super) selective: u128,
    pub(super) body: Body<'a>,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    Malformed,
    Damaged,
    /// A whole Hello of another version.
    Version(u8),
}

impl From<Malformed> for FrameError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

fn checksum(frame: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&frame[..CRC_AT]);
    hasher.update(&[0; 4]);
    hasher.update(&frame[CRC_AT + 4..]);
    hasher.finalize()
}

impl<'a> Frame<'a> {
    /// Reads a frame as it came from a transport of this medium.
    pub(super) fn parse(bytes: &'a [u8], medium: Medium) -> Result<Self, FrameError> {
        let bytes = Self::whole(bytes, medium)?;
        let mut r = Reader::new(bytes);
        r.u8("magic")?;
        let version = r.u8("version")?;
        let kind = r.u8("kind")?;
        if version != VERSION {
            let hello = kind == KIND_HELLO;
            return Err(if hello { FrameError::Version(version) } else { FrameError::Malformed });
        }
        let flags = r.u8("flags")?;
        let (from, to) = (Generation(r.u32("sender")?), Generation(r.u32("receiver")?));
        r.u64("length and checksum")?;
        let (seq, ack) = (r.u64("sequence")?, r.u64("ack")?);
        let selective = u128::from_le_bytes(r.array("selective")?);
        let body = match kind {
            KIND_HELLO => Body::Hello(Hello::parse(&mut r, flags)?),
            KIND_DATA => Body::Data(Data::parse(&mut r, flags, seq)?),
            KIND_ACK if flags == 0 => Body::Ack(None),
            KIND_ACK if flags == FLAG_REPEATED => Body::Ack(Some(seq)),
            KIND_GONE if flags == 0 => Body::Gone(ViewId(seq)),
            _ => return Err(FrameError::Malformed),
        };
        r.end("padding")?;
        Ok(Self { from, to, ack, selective, body })
    }

    /// The frame without padding, when length and checksum are right.
    fn whole(bytes: &'a [u8], medium: Medium) -> Result<&'a [u8], FrameError> {
        let mut r = Reader::new(bytes);
        let magic = r.u8("magic")?;
        r.u8("version")?;
        let kind = r.u8("kind")?;
        r.bytes(LENGTH_AT - 3, "flags and generations")?;
        let length = usize::try_from(r.u32("length")?).map_err(|_| FrameError::Malformed)?;
        let crc = r.u32("checksum")?;
        if medium == Medium::Datagram || kind == KIND_HELLO {
            // A length that was damaged is damage too.
            let frame = bytes.get(..length).filter(|f| f.len() > CRC_AT + 4);
            let frame = frame.ok_or(FrameError::Damaged)?;
            if checksum(frame) != crc {
                return Err(FrameError::Damaged);
            }
        }
        let padded = medium == Medium::Datagram && length <= bytes.len();
        if magic != MAGIC || length > MAX_FRAME || !(padded || length == bytes.len()) {
            return Err(FrameError::Malformed);
        }
        Ok(&bytes[..length])
    }

    /// How many bytes it has.
    pub(super) const fn length(&self) -> usize {
        HEADER
            + match &self.body {
                Body::Hello(_) => HELLO,
                Body::Data(data) => data.payload.len(),
                Body::Ack(_) | Body::Gone(_) => 0,
            }
    }

    /// The bytes for a transport of this medium.
    #[cfg(test)]
    pub(super) fn emit(&self, medium: Medium) -> Vec<u8> {
        self.emit_into(Vec::new(), medium)
    }

    /// The same in a buffer, in place of what is in there.
    pub(super) fn emit_into(&self, buffer: Vec<u8>, medium: Medium) -> Vec<u8> {
        let (kind, flags, seq) = match &self.body {
            Body::Hello(hello) => (KIND_HELLO, u8::from(hello.known) * FLAG_KNOWN, 0),
            Body::Data(data) => (KIND_DATA, data.flags(), data.seq),
            Body::Ack(None) => (KIND_ACK, 0, 0),
            Body::Ack(Some(seq)) => (KIND_ACK, FLAG_REPEATED, *seq),
            Body::Gone(view) => (KIND_GONE, 0, view.0),
        };
        let length = self.length();
        let mut w = Writer::over(buffer);
        w.u8(MAGIC).u8(VERSION).u8(kind).u8(flags).u32(self.from.0).u32(self.to.0);
        w.u32(u32::try_from(length).expect("a frame is at most MAX_FRAME")).u32(0);
        w.u64(seq).u64(self.ack).bytes(&self.selective.to_le_bytes());
        match &self.body {
            Body::Hello(hello) => hello.emit(&mut w),
            Body::Data(data) => drop(w.bytes(data.payload)),
            Body::Ack(_) | Body::Gone(_) => {}
        }
        let mut bytes = w.into_vec();
        if medium == Medium::Datagram || kind == KIND_HELLO {
            let crc = checksum(&bytes).to_le_bytes();
            bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc);
        }
        bytes
    }
}

impl Hello {
    fn parse(r: &mut Reader<'_>, flags: u8) -> Result<Self, Malformed> {
        if flags & !FLAG_KNOWN != 0 {
            return Err(r.malformed("flags"));
        }
        let known = flags == FLAG_KNOWN;
        let node = NodeId(r.u16("node")?);
        let medium = match r.u8("medium")? {
            1 => Medium::Stream,
            2 => Medium::Datagram,
            _ => return Err(r.malformed("medium")),
        };
        let kind = match r.u8("image")? {
            1 => Image::Linux,
            2 => Image::BareMetal,
            3 => Image::LinuxAarch64,
            _ => return Err(r.malformed("image")),
        };
        Ok(Self { known, node, medium, kind, mtu: r.u32("mtu")?, hash: r.array("hash")? })
    }

    fn emit(&self, w: &mut Writer) {
        let medium = match self.medium {
            Medium::Stream => 1,
            Medium::Datagram => 2,
        };
        let kind = match self.kind {
            Image::Linux => 1,
            Image::BareMetal => 2,
            Image::LinuxAarch64 => 3,
        };
        w.u16(self.node.0).u8(medium).u8(kind).u32(self.mtu).bytes(&self.hash);
    }
}

impl<'a> Data<'a> {
    fn parse(r: &mut Reader<'a>, flags: u8, seq: u64) -> Result<Self, Malformed> {
        let (first, last) = (flags & FLAG_FIRST != 0, flags & FLAG_LAST != 0);
        let proto = Proto::from_bits(flags & !(FLAG_FIRST | FLAG_LAST));
        let proto = proto.ok_or(r.malformed("protocol"))?;
        let payload = r.rest();
        if payload.len() > MAX_MESSAGE {
            return Err(r.malformed("payload"));
        }
        Ok(Self { seq, proto, first, last, payload })
    }

    fn flags(&self) -> u8 {
        let first = if self.first { FLAG_FIRST } else { 0 };
        let last = if self.last { FLAG_LAST } else { 0 };
        self.proto as u8 | first | last
    }
}
