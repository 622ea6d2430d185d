//! Every limit of the runtime, with the relations that must hold between them.

/// Bytes in a page, on every node.
pub const PAGE_SIZE: usize = 4096;
/// Nodes in one cluster, compute and standby together.
pub const MAX_NODES: usize = 64;
/// Ranks of one program.
pub const MAX_RANKS: usize = 64;
/// Pages in the shared segment (1 GiB).
pub const MAX_SHARED_PAGES: u32 = 1 << 18;
/// Pages of private state of one rank: stack and heap (1 GiB).
pub const MAX_PRIVATE_PAGES: u32 = 1 << 18;
/// Locks of one program.
pub const MAX_LOCKS: u32 = 1 << 16;
/// Pages of a checkpoint on their way to a partner at a time: what a page that a rank waits for may have before it.
pub const COPY_WINDOW: usize = 32;
/// The same in a recovery, in which no rank waits for a page, as a multiple: enough for a node that receives a copy to
/// always have some of it before it.
pub const RECOVERY_WINDOWS: usize = 8;
/// Pages of a rank's heap that are copied together when the rank writes one of them during a checkpoint.
pub const COPY_RUN: u32 = 16;
/// Copies of an epoch kept on other nodes.
pub const MAX_REPLICAS: usize = 3;
/// Ranks whose parity is kept together.
pub const MAX_GROUP: u16 = 16;
/// Pieces of parity of a group.
pub const MAX_LOSSES: usize = 3;
/// Largest message that a protocol hands to `link`, in bytes. Holds a packet with its header.
pub const MAX_MESSAGE: usize = MCAPI_MAX_PKT_SIZE + 64;
/// Largest frame that a transport carries, in bytes: a message and the link's header.
pub const MAX_FRAME: usize = MAX_MESSAGE + 64;
/// Smallest frame that a datagram transport must carry, in bytes.
pub const MIN_MTU: usize = 256;
/// Frames in flight to one peer over a datagram transport.
pub const LINK_WINDOW: usize = 128;

/// Buffers of a size that a link keeps for use again, if its driver gives them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkBuffers {
    /// Room in each.
    pub bytes: usize,
    /// How many are there from the beginning.
    pub first: usize,
    /// How many are kept at most.
    pub most: usize,
}

/// Small messages, of which a peer says after 32 that it has them; frames of a network card; and whole messages, with what a
/// transport puts behind them.
pub const LINK_BUFFERS: [LinkBuffers; 3] = [
    LinkBuffers { bytes: 512, first: 128, most: 1024 },
    LinkBuffers { bytes: 2048, first: LINK_WINDOW, most: 512 },
    LinkBuffers { bytes: MAX_FRAME + 64, first: 4, most: 32 },
];
/// Bytes at the beginning of a board's memory that belong to the guests themselves.
pub const BOARD_HEAD: usize = 4096;
/// Bytes of a board's memory for the way from one MCAPI node to another.
pub const BOARD_WAY: usize = 296 * 1024;
/// Microseconds that a node sleeps, at least and at most, between two looks into its board's memory: nobody can wake it.
/// Each sleep in vain is twice as long as the one before.
pub const BOARD_PAUSE_US: [u64; 2] = [50, 1000];
/// Allocations of shared memory in one program.
pub const MAX_ALLOCATIONS: usize = 4096;

/// MCAPI: endpoints of one node.
pub const MCAPI_MAX_ENDPOINTS: usize = 1024;
/// MCAPI: nodes that one node has heard of.
pub const MCAPI_MAX_NODES: usize = 1024;
/// MCAPI: outstanding requests of one node.
pub const MCAPI_MAX_REQUESTS: usize = 1024;
/// MCAPI: messages or packets queued at one endpoint.
pub const MCAPI_MAX_QUEUE_ELEMENTS: usize = 64;
/// MCAPI: buffers of a node for messages and packets of any size that came and were not taken, or were taken and not
/// released, or find no room on their way. They are made when the node is initialised, and use memory when they are
/// first written to.
pub const MCAPI_MAX_BUFFERS: usize = 1024;
/// MCAPI: more buffers, for messages and packets of at most [`MCAPI_SMALL_BUFFER`] bytes.
pub const MCAPI_MAX_SMALL_BUFFERS: usize = 4096;
/// MCAPI: bytes of such a buffer.
pub const MCAPI_SMALL_BUFFER: usize = 256;
/// MCAPI: largest message in bytes.
pub const MCAPI_MAX_MSG_SIZE: usize = 32 * 1024;
/// MCAPI: largest packet in bytes.
pub const MCAPI_MAX_PKT_SIZE: usize = 64 * 1024;
/// MCAPI: packets of at least so many bytes are lent to a receiver on the same machine. Of smaller ones a copy, which
/// needs fewer words between both, costs no more.
pub const MCAPI_LEND_FROM: usize = 32 * 1024;
/// MCAPI: lowest priority (0 is the highest).
pub const MCAPI_MAX_PRIORITY: u32 = 10;

const _: () = assert!(MCAPI_MAX_PKT_SIZE + 64 <= MAX_MESSAGE, "a packet must fit one message");
const _: () = assert!(2 * PAGE_SIZE <= MAX_MESSAGE, "a message holds a page with its headers");
const _: () =
    assert!(MCAPI_MAX_MSG_SIZE + 64 <= MAX_MESSAGE, "an MCAPI message must fit one message");
const _: () = assert!(8 * PAGE_SIZE <= MCAPI_MAX_PKT_SIZE, "a packet carries several pages");
// Each pair of nodes needs two channels, each channel two endpoints; requests: one receive each.
const _: () = assert!(4 * (MAX_NODES + 2) <= MCAPI_MAX_ENDPOINTS, "channels of a full cluster");
const _: () = assert!(8 * MAX_NODES <= MCAPI_MAX_REQUESTS, "open, connect and receive per channel");
