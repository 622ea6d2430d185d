//! Attributes of endpoints and nodes: their numbers, sizes, values, and who may set them (2.x, 3.3 and 4.2-4.3).

use super::endpoint::{Endpoint, Local};
use super::frame::Frame;
use super::request::{Op, Request};
use super::{ChannelKind, Completion, DomainId, Mcapi, McapiNode, Status};
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_PKT_SIZE, MCAPI_MAX_PRIORITY, MCAPI_MAX_QUEUE_ELEMENTS};

/// An attribute of an endpoint, with its number in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Attribute {
    /// 1 message, 2 packet channel, 4 scalar channel. Read-only.
    Type = 0,
    /// How many got this endpoint and have not released it. Read-only.
    GetCount = 1,
    /// Who got it last: domain in the low half, node in the high half; all ones while nobody did. Read-only.
    GetSource = 2,
    /// Bytes of the largest message or packet.
    MaxPayloadSize = 3,
    /// 0, first in first out.
    BufferType = 4,
    /// Low half: 0 local, 1 shared, 2 remote, a hint. High half: what happens when there is no room.
    MemoryType = 5,
    /// Messages have priorities below this.
    NumPriorities = 6,
    /// The priority of a channel.
    Priority = 7,
    /// Packets that may wait here for room at the receiver. Read: how many more may.
    NumSendBuffers = 8,
    /// Messages or packets that may wait here for the program. Read: how many more may.
    NumRecvBuffers = 9,
    /// Flags of [`Attribute::STATUS_CONNECTED`] and after. Read-only.
    Status = 10,
    /// How long a blocking call at this endpoint waits, in the unit of the API; all ones for ever.
    Timeout = 11,
}

impl Attribute {
    const ALL: [Self; 12] = [
        Self::Type,
        Self::GetCount,
        Self::GetSource,
        Self::MaxPayloadSize,
        Self::BufferType,
        Self::MemoryType,
        Self::NumPriorities,
        Self::Priority,
        Self::NumSendBuffers,
        Self::NumRecvBuffers,
        Self::Status,
        Self::Timeout,
    ];
    /// Of [`Attribute::Status`]: it is an end of a channel.
    pub const STATUS_CONNECTED: u32 = 1;
    /// The channel is open at this end.
    pub const STATUS_OPEN: u32 = 2;
    /// An open waits.
    pub const STATUS_OPEN_PENDING: u32 = 4;
    /// One end is closed, the other is not.
    pub const STATUS_CLOSE_PENDING: u32 = 8;
    /// The channel carries packets.
    pub const STATUS_PKTCHAN: u32 = 16;
    /// The channel carries scalars.
    pub const STATUS_SCLCHAN: u32 = 32;
    /// It is the send end.
    pub const STATUS_SEND: u32 = 64;
    /// It is the receive end.
    pub const STATUS_RECEIVE: u32 = 128;

    /// The attribute with this number.
    pub fn from_number(number: u32) -> Result<Self, Status> {
        let found = usize::try_from(number).ok().and_then(|at| Self::ALL.get(at).copied());
        found.ok_or(Status::AttrNum)
    }

    /// Bytes of its value.
    #[must_use]
    pub const fn size(self) -> usize {
        if matches!(self, Self::GetSource) { 8 } else { 4 }
    }

    const fn read_only(self) -> bool {
        matches!(self, Self::Type | Self::GetCount | Self::GetSource | Self::Status)
    }
}

/// A flag of [`Attribute::MemoryType`]: without it, who sends to a full queue waits for room.
pub const FAIL_ON_MEM_LIMIT: u32 = 0x1_0000;
const MAX_MEMORY_TYPE: u32 = 2;
/// Of [`Attributes::timeout`]: never.
pub const TIMEOUT_INFINITE: u32 = u32::MAX;
const MAX_BUFFERS: u16 = {
    assert!(MCAPI_MAX_QUEUE_ELEMENTS <= 1 << 15);
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let elements = MCAPI_MAX_QUEUE_ELEMENTS as u16;
    elements
};
const MAX_PAYLOAD_SIZE: u32 = {
    assert!(MCAPI_MAX_PKT_SIZE <= 1 << 31);
    #[expect(clippy::cast_possible_truncation, reason = "asserted above")]
    let size = MCAPI_MAX_PKT_SIZE as u32;
    size
};

/// What can be set on an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// See [`Attribute::NumRecvBuffers`].
    pub num_recv_buffers: u16,
    /// See [`Attribute::NumSendBuffers`].
    pub num_send_buffers: u16,
    /// See [`Attribute::Timeout`].
    pub timeout: u32,
    pub(super) terms: Terms,
}

/// What must be the same at both ends of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) max_payload_size: u32,
    pub(super) memory_type: u32,
    pub(super) num_priorities: u32,
    pub(super) priority: u32,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            num_recv_buffers: MAX_BUFFERS,
            num_send_buffers: MAX_BUFFERS,
            timeout: TIMEOUT_INFINITE,
            terms: Terms {
                max_payload_size: MAX_PAYLOAD_SIZE,
                memory_type: FAIL_ON_MEM_LIMIT,
                num_priorities: MCAPI_MAX_PRIORITY + 1,
                priority: 0,
            },
        }
    }
}

impl Attributes {
    pub(super) const fn fails_on_limit(&self) -> bool {
        self.terms.memory_type & FAIL_ON_MEM_LIMIT != 0
    }

    /// Is there a payload of this size?
    pub(super) fn carries(&self, size: usize) -> bool {
        u32::try_from(size).is_ok_and(|size| size <= self.terms.max_payload_size)
    }

    fn set(&mut self, attribute: Attribute, value: u32) -> Result<(), Status> {
        let buffers = || match u16::try_from(value) {
            Ok(n @ 1..=MAX_BUFFERS) => Ok(n),
            _ => Err(Status::AttrValue),
        };
        let within = |ok: bool| if ok { Ok(value) } else { Err(Status::AttrValue) };
        let terms = &mut self.terms;
        match attribute {
            Attribute::MaxPayloadSize => {
                terms.max_payload_size = within((1..=MAX_PAYLOAD_SIZE).contains(&value))?;
            }
            Attribute::BufferType => drop(within(value == 0)?),
            Attribute::MemoryType => {
                terms.memory_type = within(value & !FAIL_ON_MEM_LIMIT <= MAX_MEMORY_TYPE)?;
            }
            Attribute::NumPriorities => {
                let most = MCAPI_MAX_PRIORITY + 1;
                terms.num_priorities =
                    within((1..=most).contains(&value) && value > terms.priority)?;
            }
            Attribute::Priority => terms.priority = within(value < terms.num_priorities)?,
            Attribute::NumSendBuffers => self.num_send_buffers = buffers()?,
            Attribute::NumRecvBuffers => self.num_recv_buffers = buffers()?,
            Attribute::Timeout => self.timeout = value,
            Attribute::Type | Attribute::GetCount | Attribute::GetSource | Attribute::Status => {
                return Err(Status::AttrReadOnly);
            }
        }
        Ok(())
    }
}

/// Attributes of a node: it is regular, and there is nothing else to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct NodeAttributes(());

impl NodeAttributes {
    /// The number of the only attribute, the type of the node.
    pub const TYPE: u32 = 0;
    /// Its only value.
    pub const REGULAR: u32 = 0;

    fn sized(number: u32, size: usize) -> Result<(), Status> {
        match (number, size) {
            (Self::TYPE, 4) => Ok(()),
            (Self::TYPE, _) => Err(Status::AttrSize),
            _ => Err(Status::AttrNum),
        }
    }

    /// Sets an attribute before the node is initialised.
    pub fn set(&mut self, number: u32, value: &[u8]) -> Result<(), Status> {
        Self::sized(number, value.len())?;
        if value == Self::REGULAR.to_le_bytes() { Ok(()) } else { Err(Status::AttrValue) }
    }
}

impl Local {
    fn status(&self) -> u32 {
        let pending = if self.opening.is_some() { Attribute::STATUS_OPEN_PENDING } else { 0 };
        pending | self.channel.as_ref().map_or(0, |end| end.status())
    }

    fn value(&self, attribute: Attribute) -> u32 {
        let terms = &self.attributes.terms;
        let free = |all: u16, used: usize| {
            u32::from(all).saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
        };
        match attribute {
            Attribute::Type => match self.channel.as_ref().map(|end| end.kind()) {
                None => 1,
                Some(ChannelKind::Packet) => 2,
                Some(ChannelKind::Scalar) => 4,
            },
            Attribute::GetCount => self.get_count,
            Attribute::GetSource | Attribute::BufferType => 0,
            Attribute::MaxPayloadSize => terms.max_payload_size,
            Attribute::MemoryType => terms.memory_type,
            Attribute::NumPriorities => terms.num_priorities,
            Attribute::Priority => terms.priority,
            Attribute::NumSendBuffers => {
                let used = self.channel.as_ref().map_or(0, |end| end.unsent());
                free(self.attributes.num_send_buffers, used)
            }
            Attribute::NumRecvBuffers => {
                let used = self.channel.as_ref().map_or(self.inbox.len(), |end| end.waiting());
                free(self.attributes.num_recv_buffers, used)
            }
            Attribute::Status => self.status(),
            Attribute::Timeout => self.attributes.timeout,
        }
    }
}

impl Mcapi {
    fn value(&self, port: u32, attribute: Attribute) -> Result<u64, Status> {
        let local = self.local(port).ok_or(Status::EndpInvalid)?;
        if attribute != Attribute::GetSource {
            return Ok(local.value(attribute).into());
        }
        let source = local.get_source.and_then(|node| self.node_name(node));
        Ok(source.map_or(u64::MAX, |(domain, node)| {
            u64::from(domain.0) | u64::from(node.0) << u32::BITS
        }))
    }

    /// Asks for an attribute of an endpoint of any node, given its number and the size of the caller's variable;
    /// completes with [`Completion::Attribute`], for an endpoint of this node at once.
    pub fn endpoint_get_attribute_i(
        &mut self,
        endpoint: Endpoint,
        number: u32,
        size: usize,
    ) -> Result<Request, Status> {
        let node = self.existing(endpoint)?;
        let attribute = Attribute::from_number(number)?;
        if size != attribute.size() {
            return Err(Status::AttrSize);
        }
        self.reachable(node, Status::EndpInvalid)?;
        let request = self.requests.open(Op::Attribute { node })?;
        let port = endpoint.port.0;
        self.send(node, Frame::AttributeGet { request, port, number: attribute as u8 });
        self.settle();
        Ok(request)
    }

    /// What was set on an endpoint of this node.
    pub fn endpoint_attributes(&self, endpoint: Endpoint) -> Result<Attributes, Status> {
        if self.existing(endpoint)? != self.me {
            return Err(Status::EndpRemote);
        }
        self.local(endpoint.port.0).map(|local| local.attributes).ok_or(Status::EndpInvalid)
    }

    /// Sets an attribute of an endpoint of this node that is not connected to a channel.
    pub fn endpoint_set_attribute(
        &mut self,
        endpoint: Endpoint,
        number: u32,
        value: &[u8],
    ) -> Result<(), Status> {
        if self.existing(endpoint)? != self.me {
            return Err(Status::EndpRemote);
        }
        let attribute = Attribute::from_number(number)?;
        if attribute.read_only() {
            return Err(Status::AttrReadOnly);
        }
        let value: [u8; 4] = value.try_into().map_err(|_| Status::AttrSize)?;
        let local = self.endpoints.get_mut(endpoint.port.0).ok_or(Status::EndpInvalid)?;
        if local.channel.is_some() {
            return Err(Status::ChanConnected);
        }
        local.attributes.set(attribute, u32::from_le_bytes(value))?;
        if self.pool.is_fixed() && !local.attributes.fails_on_limit() {
            local.inbox.reserve_blocked();
        }
        self.admit_waiting(endpoint.port.0);
        Ok(())
    }

    /// The type of a node that is there: [`NodeAttributes::REGULAR`].
    pub fn node_get_attribute(
        &self,
        domain: DomainId,
        node: McapiNode,
        number: u32,
        size: usize,
    ) -> Result<u32, Status> {
        let node = self.node_of(domain, node)?;
        self.reachable(node, Status::NodeInvalid).map_err(|_| Status::NodeInvalid)?;
        NodeAttributes::sized(number, size)?;
        Ok(NodeAttributes::REGULAR)
    }

    pub(super) fn on_attribute_get(&mut self, from: NodeId, request: Request, port: u32, no: u8) {
        let value = Attribute::from_number(no.into()).and_then(|of| self.value(port, of));
        let status = value.err().unwrap_or(Status::Success);
        let value = value.unwrap_or_default();
        self.send(from, Frame::AttributeDone { request, status, value });
    }

    pub(super) fn on_attribute_done(
        &mut self,
        from: NodeId,
        request: Request,
        status: Status,
        value: u64,
    ) {
        match (self.requests.pending(request), status) {
            (Some(&Op::Attribute { node }), Status::Success) if node == from => {
                self.complete(request, Completion::Attribute(value));
            }
            (Some(&Op::Attribute { node }), failed) if node == from => {
                self.complete(request, Completion::Failed(failed));
            }
            _ => self.counters.stale += 1,
        }
    }
}
