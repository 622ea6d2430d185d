//! What a call says about itself: the 43 codes of the 2.x headers, and three of the reference implementation.

use core::fmt;

macro_rules! status {
    ($($variant:ident = $number:literal, $name:literal, $text:literal;)*) => {
        /// Outcome of an MCAPI call, with the numbers of the 2.014 header.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum Status {
            $(#[doc = concat!("`", $name, "`: ", $text, ".")] $variant = $number,)*
        }

        impl Status {
            /// Every code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in C; fits `MCAPI_MAX_STATUS_SIZE` with the final zero.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The code with this number.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for Status {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)* })
            }
        }
    };
}

status! {
    Success = 1, "MCAPI_SUCCESS", "the operation was done";
    Pending = 2, "MCAPI_PENDING", "the operation is under way";
    Timeout = 3, "MCAPI_TIMEOUT", "the operation timed out";
    Parameter = 4, "MCAPI_ERR_PARAMETER", "a parameter is wrong";
    DomainInvalid = 5, "MCAPI_ERR_DOMAIN_INVALID", "there is no such domain";
    NodeInvalid = 6, "MCAPI_ERR_NODE_INVALID", "there is no such node";
    NodeInitFailed = 7, "MCAPI_ERR_NODE_INITFAILED", "the node could not be initialized";
    NodeInitialized = 8, "MCAPI_ERR_NODE_INITIALIZED", "the node is initialized already";
    NodeNotInit = 9, "MCAPI_ERR_NODE_NOTINIT", "the node is not initialized";
    NodeFinalFailed = 10, "MCAPI_ERR_NODE_FINALFAILED", "the node could not be finalized";
    PortInvalid = 11, "MCAPI_ERR_PORT_INVALID", "the port cannot be used";
    EndpInvalid = 12, "MCAPI_ERR_ENDP_INVALID", "there is no such endpoint, or it may not be used here";
    EndpExists = 13, "MCAPI_ERR_ENDP_EXISTS", "the endpoint exists already";
    EndpGetLimit = 14, "MCAPI_ERR_ENDP_GET_LIMIT", "too many wait for this endpoint";
    EndpDeleted = 15, "MCAPI_ERR_ENDP_DELETED", "the endpoint was deleted";
    EndpNotOwner = 16, "MCAPI_ERR_ENDP_NOTOWNER", "the endpoint belongs to another node";
    EndpRemote = 17, "MCAPI_ERR_ENDP_REMOTE", "the endpoint is on another node";
    AttrIncompatible = 18, "MCAPI_ERR_ATTR_INCOMPATIBLE", "the attributes of the endpoints differ";
    AttrSize = 19, "MCAPI_ERR_ATTR_SIZE", "the attribute has another size";
    AttrNum = 20, "MCAPI_ERR_ATTR_NUM", "there is no such attribute";
    AttrValue = 21, "MCAPI_ERR_ATTR_VALUE", "the attribute cannot have this value";
    AttrNotSupported = 22, "MCAPI_ERR_ATTR_NOTSUPPORTED", "the attribute is not supported";
    AttrReadOnly = 23, "MCAPI_ERR_ATTR_READONLY", "the attribute cannot be written";
    MsgSize = 24, "MCAPI_ERR_MSG_SIZE", "the message is too large";
    MsgTruncated = 25, "MCAPI_ERR_MSG_TRUNCATED", "the message is larger than the buffer";
    ChanOpen = 26, "MCAPI_ERR_CHAN_OPEN", "the channel is open already";
    ChanType = 27, "MCAPI_ERR_CHAN_TYPE", "the channel is of the other type";
    ChanDirection = 28, "MCAPI_ERR_CHAN_DIRECTION", "this is the other end of the channel";
    ChanConnected = 29, "MCAPI_ERR_CHAN_CONNECTED", "the endpoint is connected to a channel";
    ChanOpenPending = 30, "MCAPI_ERR_CHAN_OPENPENDING", "the channel is being opened";
    ChanClosePending = 31, "MCAPI_ERR_CHAN_CLOSEPENDING", "the channel is being closed";
    ChanNotOpen = 32, "MCAPI_ERR_CHAN_NOTOPEN", "the channel is not open";
    ChanInvalid = 33, "MCAPI_ERR_CHAN_INVALID", "there is no such channel, or an end of it is closed";
    PktSize = 34, "MCAPI_ERR_PKT_SIZE", "the packet is too large";
    Transmission = 35, "MCAPI_ERR_TRANSMISSION", "the other node cannot be reached";
    Priority = 36, "MCAPI_ERR_PRIORITY", "there is no such priority";
    BufInvalid = 37, "MCAPI_ERR_BUF_INVALID", "this is no buffer of a packet";
    MemLimit = 38, "MCAPI_ERR_MEM_LIMIT", "there is no room: the queue is full";
    RequestInvalid = 39, "MCAPI_ERR_REQUEST_INVALID", "there is no such request";
    RequestLimit = 40, "MCAPI_ERR_REQUEST_LIMIT", "too many requests are outstanding";
    RequestCancelled = 41, "MCAPI_ERR_REQUEST_CANCELLED", "the request was cancelled";
    WaitPending = 42, "MCAPI_ERR_WAIT_PENDING", "another caller waits for the request";
    General = 43, "MCAPI_ERR_GENERAL", "the operation is not possible";
    SclSize = 44, "MCAPI_ERR_SCL_SIZE", "the scalar has another size";
    EndpLimit = 45, "MCAPI_ERR_ENDP_LIMIT", "the node has too many endpoints";
    EndpNoPorts = 46, "MCAPI_ERR_ENDP_NOPORTS", "no port is free";
}

impl Status {
    /// The number in the C header and on the wire.
    #[must_use]
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The number, which fits a byte.
    pub(super) const fn byte(self) -> u8 {
        self as u8
    }
}

impl core::error::Error for Status {}
