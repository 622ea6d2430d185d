//! What nodes say to each other, and its bytes.
//!
//! One byte of tag, then the fields in the order of [`Frame`], little-endian; data comes last and
//! runs to the end. Endpoints are ports: the node is the sender or the receiver of the frame,
//! except in `Connect`, which names an endpoint of a third node in full, for nodes number each other as they like. The bytes are pinned by a test.

use super::attribute::Terms;
use super::channel::ChannelKind;
use super::endpoint::{DomainId, Endpoint, McapiNode, Port};
use super::request::Request;
use super::status::Status;
use crate::wire::{Malformed, Reader};
use core::ops::Deref;

/// `request` is the asker's, and comes back in the answer. `channel` is chosen by the send side
/// anew for every connection, so that frames of an earlier one are known by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Asker → owner: tell me when the endpoint exists.
    Get { request: Request, port: u32 },
    /// Asker → owner: never mind.
    GetCancel { request: Request, port: u32 },
    /// Owner → asker.
    GetDone { request: Request, status: Status, port: u32 },
    /// Sender → receiver. `later`: the answer may wait until it is asked for.
    Message { request: Request, from: u32, to: u32, priority: u8, later: bool },
    /// Receiver → sender: what became of the message.
    MessageDone { request: Request, status: Status },
    /// Connector → send side.
    Connect { request: Request, kind: ChannelKind, send: u32, recv: Endpoint },
    /// Send side → receive side, with what must be the same there.
    Bind { channel: u32, kind: ChannelKind, send: u32, recv: u32, terms: Terms },
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
    /// This side is closed and says nothing more on the channel. `request`: whoever closed it waits until that was heard.
    Closed { channel: u32, port: u32, request: Option<Request> },
    /// Asker → owner: the endpoint that you told me of is no longer needed. `request`: whoever says so waits until that was heard.
    Release { port: u32, request: Option<Request> },
    /// Asker → owner: the value of an attribute, by its number.
    AttributeGet { request: Request, port: u32, number: u8 },
    /// Owner → asker.
    AttributeDone { request: Request, status: Status, value: u64 },
    /// Sender → receiver: if the message still waits for room, forget it.
    MessageCancel { request: Request, port: u32 },
    /// Send side → receive side: a caller that does not want to wait asks whether packets were taken that it was not
    /// told of.
    CreditAsk { channel: u32, port: u32 },
    /// Receive side → send side: so many, maybe none.
    CreditAnswer { channel: u32, port: u32, count: u16 },
    /// Receiver → sender: these messages, as many requests as there are data, are in the queue or with a receiver.
    MessagesDone,
    /// Sender → receiver: what became of the messages so far whose answers may wait?
    MessagesAsk,
    /// To whoever closed an end or released an endpoint: this was heard.
    Heard { request: Request, status: Status },
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
const RELEASE: u8 = 14;
const ATTRIBUTE_GET: u8 = 15;
const ATTRIBUTE_DONE: u8 = 16;
const MESSAGE_CANCEL: u8 = 17;
const CREDIT_ASK: u8 = 18;
const CREDIT_ANSWER: u8 = 19;
const MESSAGES_DONE: u8 = 20;
const MESSAGE_LATER: u8 = 21;
const MESSAGES_ASK: u8 = 22;
const HEARD: u8 = 23;

/// In place of a request: none. No request has this number.
const NO_REQUEST: u32 = 0;

/// The longest header, that of a bind; of those with data, a message has 14 bytes.
const MAX_HEADER: usize = 30;
const _: () = assert!(crate::limits::MCAPI_MAX_PKT_SIZE + MAX_HEADER <= crate::limits::MAX_MESSAGE);

/// The header of a frame with a packet or a scalar, and what it carries; `None` for all other frames.
#[must_use]
pub fn split_packet(frame: &[u8]) -> Option<(&[u8], &[u8])> {
    const HEADER: usize = 9;
    frame.split_at_checked(HEADER).filter(|_| frame[0] == PACKET)
}

/// A header, and the data behind it as long as they are short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    len: u8,
    bytes: [u8; Self::MAX],
}

impl Head {
    /// Its longest.
    pub const MAX: usize = 63;

    const fn new() -> Self {
        Self { len: 0, bytes: [0; Self::MAX] }
    }

    /// Puts bytes behind it, if they fit.
    pub(super) fn append(&mut self, bytes: &[u8]) -> bool {
        let at = usize::from(self.len);
        let Some(room) = self.bytes.get_mut(at..at + bytes.len()) else { return false };
        room.copy_from_slice(bytes);
        // At most MAX.
        self.len = u8::try_from(at + bytes.len()).unwrap_or(u8::MAX);
        true
    }

    fn put<const N: usize>(&mut self, field: [u8; N]) -> &mut Self {
        let fits = self.append(&field);
        debug_assert!(fits, "no header is longer than MAX_HEADER");
        self
    }

    fn u8(&mut self, v: u8) -> &mut Self {
        self.put([v])
    }

    fn u16(&mut self, v: u16) -> &mut Self {
        self.put(v.to_le_bytes())
    }

    fn u32(&mut self, v: u32) -> &mut Self {
        self.put(v.to_le_bytes())
    }

    fn u64(&mut self, v: u64) -> &mut Self {
        self.put(v.to_le_bytes())
    }

    /// Whether these are requests that are done, and one more found room.
    pub(super) fn append_done(&mut self, request: Request) -> bool {
        self.bytes[0] == MESSAGES_DONE && self.append(&request.raw().to_le_bytes())
    }
}

impl Deref for Head {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

fn request(r: &mut Reader<'_>) -> Result<Request, Malformed> {
    r.u32("mcapi request").map(Request::from_raw)
}

fn maybe_request(r: &mut Reader<'_>) -> Result<Option<Request>, Malformed> {
    Ok(Some(request(r)?).filter(|request| request.raw() != NO_REQUEST))
}

fn raw(request: Option<Request>) -> u32 {
    request.map_or(NO_REQUEST, Request::raw)
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

fn terms(r: &mut Reader<'_>) -> Result<Terms, Malformed> {
    Ok(Terms {
        max_payload_size: r.u32("mcapi attribute")?,
        memory_type: r.u32("mcapi attribute")?,
        num_priorities: r.u32("mcapi attribute")?,
        priority: r.u32("mcapi attribute")?,
    })
}

impl Frame {
    /// Reads a frame and the data that it carries.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let r = &mut Reader::new(bytes);
        let frame = match r.u8("mcapi frame")? {
            GET => Self::Get { request: request(r)?, port: port(r)? },
            GET_CANCEL => Self::GetCancel { request: request(r)?, port: port(r)? },
            GET_DONE => Self::GetDone { request: request(r)?, status: status(r)?, port: port(r)? },
            tag @ (MESSAGE | MESSAGE_LATER) => Self::Message {
                request: request(r)?,
                from: port(r)?,
                to: port(r)?,
                priority: r.u8("mcapi priority")?,
                later: tag == MESSAGE_LATER,
            },
            MESSAGE_DONE => Self::MessageDone { request: request(r)?, status: status(r)? },
            CONNECT => Self::Connect {
                request: request(r)?,
                kind: kind(r)?,
                send: port(r)?,
                recv: Endpoint {
                    domain: DomainId(r.u32("mcapi domain")?),
                    node: McapiNode(r.u32("mcapi node")?),
                    port: Port(port(r)?),
                },
            },
            BIND => Self::Bind {
                channel: channel(r)?,
                kind: kind(r)?,
                send: port(r)?,
                recv: port(r)?,
                terms: terms(r)?,
            },
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
            CLOSED => {
                Self::Closed { channel: channel(r)?, port: port(r)?, request: maybe_request(r)? }
            }
            RELEASE => Self::Release { port: port(r)?, request: maybe_request(r)? },
            ATTRIBUTE_GET => Self::AttributeGet {
                request: request(r)?,
                port: port(r)?,
                number: r.u8("mcapi attribute")?,
            },
            ATTRIBUTE_DONE => Self::AttributeDone {
                request: request(r)?,
                status: status(r)?,
                value: r.u64("mcapi attribute")?,
            },
            MESSAGE_CANCEL => Self::MessageCancel { request: request(r)?, port: port(r)? },
            CREDIT_ASK => Self::CreditAsk { channel: channel(r)?, port: port(r)? },
            CREDIT_ANSWER => Self::CreditAnswer {
                channel: channel(r)?,
                port: port(r)?,
                count: r.u16("mcapi credit")?,
            },
            MESSAGES_DONE => Self::MessagesDone,
            MESSAGES_ASK => Self::MessagesAsk,
            HEARD => Self::Heard { request: request(r)?, status: status(r)? },
            _ => return Err(Malformed { what: "mcapi frame", at: 0 }),
        };
        let data = if frame.carries_data() { r.rest() } else { &[] };
        r.end("mcapi frame")?;
        Ok((frame, data))
    }

    /// Its bytes before the data.
    pub(super) fn head(&self) -> Head {
        let w = &mut Head::new();
        match self {
            Self::Get { request, port } => w.u8(GET).u32(request.raw()).u32(*port),
            Self::GetCancel { request, port } => w.u8(GET_CANCEL).u32(request.raw()).u32(*port),
            Self::GetDone { request, status, port } => {
                w.u8(GET_DONE).u32(request.raw()).u8(status.byte()).u32(*port)
            }
            Self::Message { request, from, to, priority, later } => {
                let tag = if *later { MESSAGE_LATER } else { MESSAGE };
                w.u8(tag).u32(request.raw()).u32(*from).u32(*to).u8(*priority)
            }
            Self::MessageDone { request, status } => {
                w.u8(MESSAGE_DONE).u32(request.raw()).u8(status.byte())
            }
            Self::Connect { request, kind, send, recv } => w
                .u8(CONNECT)
                .u32(request.raw())
                .u8(*kind as u8)
                .u32(*send)
                .u32(recv.domain.0)
                .u32(recv.node.0)
                .u32(recv.port.0),
            Self::Bind { channel, kind, send, recv, terms } => {
                w.u8(BIND).u32(*channel).u8(*kind as u8).u32(*send).u32(*recv);
                w.u32(terms.max_payload_size).u32(terms.memory_type);
                w.u32(terms.num_priorities).u32(terms.priority)
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
            Self::Closed { channel, port, request } => {
                w.u8(CLOSED).u32(*channel).u32(*port).u32(raw(*request))
            }
            Self::Heard { request, status } => w.u8(HEARD).u32(request.raw()).u8(status.byte()),
            Self::Release { port, request } => w.u8(RELEASE).u32(*port).u32(raw(*request)),
            Self::AttributeGet { request, port, number } => {
                w.u8(ATTRIBUTE_GET).u32(request.raw()).u32(*port).u8(*number)
            }
            Self::AttributeDone { request, status, value } => {
                w.u8(ATTRIBUTE_DONE).u32(request.raw()).u8(status.byte()).u64(*value)
            }
            Self::MessageCancel { request, port } => {
                w.u8(MESSAGE_CANCEL).u32(request.raw()).u32(*port)
            }
            Self::MessagesDone => w.u8(MESSAGES_DONE),
            Self::MessagesAsk => w.u8(MESSAGES_ASK),
            Self::CreditAsk { channel, port } => w.u8(CREDIT_ASK).u32(*channel).u32(*port),
            Self::CreditAnswer { channel, port, count } => {
                w.u8(CREDIT_ANSWER).u32(*channel).u32(*port).u16(*count)
            }
        };
        *w
    }

    const fn carries_data(&self) -> bool {
        matches!(self, Self::Message { .. } | Self::Packet { .. } | Self::MessagesDone)
    }
}

#[cfg(test)]
impl Frame {
    pub(super) const LAST_TAG: u8 = HEARD;

    /// All its bytes.
    pub(super) fn emit(&self, data: &[u8]) -> alloc::vec::Vec<u8> {
        [&self.head(), data].concat()
    }
}
