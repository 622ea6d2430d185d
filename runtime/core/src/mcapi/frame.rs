//! What nodes say to each other, and its bytes.
//!
//! One byte of tag, then the fields in the order of [`Frame`], little-endian; data comes last and
//! runs to the end. Endpoints are ports: the node is the sender or the receiver of the frame,
//! except in `Connect`, which speaks of a third node. The bytes are pinned by a test.

use super::channel::ChannelKind;
use super::request::Request;
use super::status::Status;
use crate::id::NodeId;
use crate::wire::{Malformed, Reader, Writer};
use alloc::vec::Vec;

/// `request` is the asker's, and comes back in the answer. `channel` is chosen by the send side
/// anew for every connection, so that frames of an earlier one are known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Asker → owner: tell me when the endpoint exists.
    Get { request: Request, port: u32 },
    /// Asker → owner: never mind.
    GetCancel { request: Request, port: u32 },
    /// Owner → asker.
    GetDone { request: Request, status: Status },
    /// Sender → receiver.
    Message { request: Request, from: u32, to: u32, priority: u8 },
    /// Receiver → sender: what became of the message.
    MessageDone { request: Request, status: Status },
    /// Connector → send side.
    Connect { request: Request, kind: ChannelKind, send: u32, recv_node: NodeId, recv: u32 },
    /// Send side → receive side.
    Bind { channel: u32, kind: ChannelKind, send: u32, recv: u32 },
    /// Receive side → send side.
    Bound { channel: u32, send: u32, status: Status },
    /// Send side → connector.
    ConnectDone { request: Request, status: Status },
    /// This side is open; `window` packets may be on their way to it.
    Opened { channel: u32, port: u32, window: u16 },
    /// Send side → receive side.
    Packet { channel: u32, port: u32 },
    /// Receive side → send side: so many packets were taken.
    Credit { channel: u32, port: u32, count: u16 },
    /// This side is closed and says nothing more on the channel.
    Closed { channel: u32, port: u32 },
}

const GET: u8 = 1;
const GET_CANCEL: u8 = 2;
const GET_DONE: u8 = 3;
const MESSAGE: u8 = 4;
const MESSAGE_DONE: u8 = 5;
const CONNECT: u8 = 6;
const BIND: u8 = 7;
const BOUND: u8 = 8;
const CONNECT_DONE: u8 = 9;
const OPENED: u8 = 10;
const PACKET: u8 = 11;
const CREDIT: u8 = 12;
const CLOSED: u8 = 13;

/// The longest header, that of a message.
const MAX_HEADER: usize = 14;
const _: () = assert!(crate::limits::MCAPI_MAX_PKT_SIZE + MAX_HEADER <= crate::limits::MAX_MESSAGE);

fn request(r: &mut Reader<'_>) -> Result<Request, Malformed> {
    r.u32("mcapi request").map(Request::from_raw)
}

fn port(r: &mut Reader<'_>) -> Result<u32, Malformed> {
    r.u32("mcapi port")
}

fn channel(r: &mut Reader<'_>) -> Result<u32, Malformed> {
    r.u32("mcapi channel")
}

fn status(r: &mut Reader<'_>) -> Result<Status, Malformed> {
    let before = *r;
    Status::from_number(r.u8("mcapi status")?.into()).ok_or(before.malformed("mcapi status"))
}

fn kind(r: &mut Reader<'_>) -> Result<ChannelKind, Malformed> {
    let before = *r;
    match r.u8("mcapi channel kind")? {
        0 => Ok(ChannelKind::Packet),
        1 => Ok(ChannelKind::Scalar),
        _ => Err(before.malformed("mcapi channel kind")),
    }
}

impl Frame {
    /// Reads a frame and the data that it carries.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let r = &mut Reader::new(bytes);
        let frame = match r.u8("mcapi frame")? {
            GET => Self::Get { request: request(r)?, port: port(r)? },
            GET_CANCEL => Self::GetCancel { request: request(r)?, port: port(r)? },
            GET_DONE => Self::GetDone { request: request(r)?, status: status(r)? },
            MESSAGE => Self::Message {
                request: request(r)?,
                from: port(r)?,
                to: port(r)?,
                priority: r.u8("mcapi priority")?,
            },
            MESSAGE_DONE => Self::MessageDone { request: request(r)?, status: status(r)? },
            CONNECT => Self::Connect {
                request: request(r)?,
                kind: kind(r)?,
                send: port(r)?,
                recv_node: NodeId(r.u16("mcapi node")?),
                recv: port(r)?,
            },
            BIND => {
                Self::Bind { channel: channel(r)?, kind: kind(r)?, send: port(r)?, recv: port(r)? }
            }
            BOUND => Self::Bound { channel: channel(r)?, send: port(r)?, status: status(r)? },
            CONNECT_DONE => Self::ConnectDone { request: request(r)?, status: status(r)? },
            OPENED => Self::Opened {
                channel: channel(r)?,
                port: port(r)?,
                window: r.u16("mcapi window")?,
            },
            PACKET => Self::Packet { channel: channel(r)?, port: port(r)? },
            CREDIT => {
                Self::Credit { channel: channel(r)?, port: port(r)?, count: r.u16("mcapi credit")? }
            }
            CLOSED => Self::Closed { channel: channel(r)?, port: port(r)? },
            _ => return Err(Malformed { what: "mcapi frame", at: 0 }),
        };
        let data = if frame.carries_data() { r.rest() } else { &[] };
        r.end("mcapi frame")?;
        Ok((frame, data))
    }

    /// Its bytes, data last: the only copy of the data on the way to the link.
    pub(super) fn emit(&self, data: &[u8]) -> Vec<u8> {
        debug_assert!(data.is_empty() || self.carries_data());
        let w = &mut Writer::with_capacity(MAX_HEADER + data.len());
        match self {
            Self::Get { request, port } => w.u8(GET).u32(request.raw()).u32(*port),
            Self::GetCancel { request, port } => w.u8(GET_CANCEL).u32(request.raw()).u32(*port),
            Self::GetDone { request, status } => {
                w.u8(GET_DONE).u32(request.raw()).u8(status.byte())
            }
            Self::Message { request, from, to, priority } => {
                w.u8(MESSAGE).u32(request.raw()).u32(*from).u32(*to).u8(*priority)
            }
            Self::MessageDone { request, status } => {
                w.u8(MESSAGE_DONE).u32(request.raw()).u8(status.byte())
            }
            Self::Connect { request, kind, send, recv_node, recv } => w
                .u8(CONNECT)
                .u32(request.raw())
                .u8(*kind as u8)
                .u32(*send)
                .u16(recv_node.0)
                .u32(*recv),
            Self::Bind { channel, kind, send, recv } => {
                w.u8(BIND).u32(*channel).u8(*kind as u8).u32(*send).u32(*recv)
            }
            Self::Bound { channel, send, status } => {
                w.u8(BOUND).u32(*channel).u32(*send).u8(status.byte())
            }
            Self::ConnectDone { request, status } => {
                w.u8(CONNECT_DONE).u32(request.raw()).u8(status.byte())
            }
            Self::Opened { channel, port, window } => {
                w.u8(OPENED).u32(*channel).u32(*port).u16(*window)
            }
            Self::Packet { channel, port } => w.u8(PACKET).u32(*channel).u32(*port),
            Self::Credit { channel, port, count } => {
                w.u8(CREDIT).u32(*channel).u32(*port).u16(*count)
            }
            Self::Closed { channel, port } => w.u8(CLOSED).u32(*channel).u32(*port),
        };
        w.bytes(data);
        core::mem::take(w).into_vec()
    }

    const fn carries_data(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::Packet { .. })
    }
}
