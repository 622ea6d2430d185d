//! What a node tells the outside: facts for logs, for the harness and for verdicts. Never commands.

use crate::id::{Epoch, Generation, Job, NodeId, PageNo, Rank, ViewId};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Counters of the shared memory since the job began on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Faults on shared pages.
    pub faults: u64,
    /// Pages fetched from their home.
    pub fetches: u64,
    /// Twins made.
    pub twins: u64,
    /// Diffs sent to homes.
    pub diffs: u64,
    /// Bytes in those diffs.
    pub diff_bytes: u64,
    /// Barriers passed.
    pub barriers: u64,
    /// Locks acquired.
    pub locks: u64,
    /// Messages sent by the shared memory and the checkpoints.
    pub messages: u64,
    /// Bytes in those messages.
    pub message_bytes: u64,
    /// Most bytes of pages that this node kept for recoveries, of its own rank and of others.
    pub kept_bytes: u64,
}

/// Something that happened on a node. Fields are named for what they hold; sizes are in bytes or pages,
/// times in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Event {
    /// A link to a peer is up.
    LinkUp { peer: NodeId, generation: Generation },
    /// All members of the first view are linked: the node can run jobs.
    Ready { view: ViewId },
    /// A peer is not welcome here, and why (another image, an old generation).
    Refused { peer: NodeId, reason: String },
    /// A peer is taken for dead.
    Suspected { peer: NodeId, reason: String, silent_us: u64 },
    /// A peer that was taken for dead gave a sign of life, in time: nothing was lost.
    HeardAgain { peer: NodeId },
    /// A peer gave no sign of life for so long, longer than any did before here, and then did: so far it may be borne.
    LongestSilence { peer: NodeId, silent_us: u64 },
    /// This node stood still for so long that others may have taken it for dead: its machine gave it no processor, or
    /// it was stopped.
    StoodStill { pause_us: u64 },
    /// The members do not form a majority of the last view; nothing moves until they do.
    NoMajority { view: ViewId, reachable: u16, members: u16 },
    /// A view was installed. `ranks[r]` is the node that hosts rank `r`.
    View { view: ViewId, coordinator: NodeId, members: Vec<NodeId>, ranks: Vec<NodeId> },
    /// Recovery in this view goes to this epoch; `taken_over` are ranks with a new host.
    Recovering { view: ViewId, job: Job, epoch: Epoch, taken_over: Vec<Rank> },
    /// This node sends its copy of a rank's epoch to a node.
    CopySent { rank: Rank, epoch: Epoch, to: NodeId, pages: u64, bytes: u64 },
    /// This node has a whole copy of a rank's epoch that it had not before.
    CopyReceived { rank: Rank, epoch: Epoch, from: NodeId, pages: u64, bytes: u64 },
    /// This node made a rank's epoch, or a piece of parity, from the others of its group.
    Rebuilt { rank: Rank, epoch: Epoch, pages: u64 },
    /// This node's copy of a rank's epoch was found damaged, from this page on, and given up: it is
    /// not used, another one is.
    CopyDamaged { rank: Rank, epoch: Epoch, page: PageNo },
    /// The memory of this node's copy of a rank was damaged on purpose, for tests; nothing notices before the
    /// copy is needed. No epoch: there was no copy here.
    Corrupted { rank: Rank, epoch: Option<Epoch> },
    /// This node's rank stands again at this epoch.
    RolledBack { rank: Rank, epoch: Epoch, taken_over: bool },
    /// Every rank may run (again) from this epoch.
    Resumed { view: ViewId, job: Job, epoch: Epoch },
    /// The rank arrived at a checkpoint.
    CheckpointBegun { epoch: Epoch },
    /// This node's part of the epoch is copied here and on its way to the partners.
    /// `dirty_bytes` is the lower bound: bytes of changed pages, without headers. `copied_pages` were copied
    /// here first, because they were written before their turn came; `spared_pages` were not sent, because a
    /// partner had them. Of `sent_bytes`, `page_bytes` are what is in these pages, without zeroes at their ends; the
    /// rest is the protocol: headers, seals, offers, and the rank's records.
    CheckpointStaged {
        epoch: Epoch,
        shared_pages: u64,
        private_pages: u64,
        dirty_bytes: u64,
        page_bytes: u64,
        sent_bytes: u64,
        copied_pages: u64,
        spared_pages: u64,
    },
    /// All partners hold this node's part of the epoch.
    CheckpointReplicated { epoch: Epoch },
    /// The epoch is committed. `blocked_us`: how long the rank stood still for it, from its call until it went on;
    /// `waited_us` of these for other ranks to come and for its changes to be at their homes, as at any barrier, the rest
    /// while its pages were frozen. `overlapped_us`: how long it computed on until this.
    CheckpointCommitted { epoch: Epoch, blocked_us: u64, waited_us: u64, overlapped_us: u64 },
    /// Each checkpoint costs at most so much: the next one is at the first barrier after so long.
    CheckpointPaced { epoch: Epoch, cost_us: u64, interval_us: u64 },
    /// The rank came out of the program's `number`-th barrier, from 1; again after a fall-back. Drivers tell of
    /// those only that somebody asked for.
    BarrierPassed { number: u64 },
    /// The program of the rank says how far it is; again after a fall-back. Told like a barrier.
    Iteration { number: u64 },
    /// The rank left the program.
    RankExited { rank: Rank },
    /// Every rank left the program: the job is done.
    JobDone { job: Job, counters: Counters },
    /// No standby was left, so this node, a seat, runs a rank next to that of its host: two ranks share one
    /// machine, and the job goes on more slowly.
    Doubled { rank: Rank, on: NodeId },
    /// The job cannot go on, and why.
    JobLost { job: Job, reason: String },
    /// This node was replaced while it could not be reached: what it did since is void.
    Fenced { view: ViewId },
    /// This node is in no view, and asks to be let in as a standby in this life.
    Joining { generation: Generation },
    /// A rank does not move where it was told to, and why.
    MoveRefused { rank: Rank, to: NodeId, reason: String },
    /// All ranks stand at this epoch, which is committed, and go on in the next view.
    Held { epoch: Epoch },
}

impl Event {
    /// The epoch that it is about, if it is about one.
    #[must_use]
    pub const fn epoch(&self) -> Option<Epoch> {
        match self {
            Self::Recovering { epoch, .. }
            | Self::CopySent { epoch, .. }
            | Self::CopyReceived { epoch, .. }
            | Self::Rebuilt { epoch, .. }
            | Self::CopyDamaged { epoch, .. }
            | Self::RolledBack { epoch, .. }
            | Self::Resumed { epoch, .. }
            | Self::CheckpointBegun { epoch }
            | Self::CheckpointStaged { epoch, .. }
            | Self::CheckpointReplicated { epoch }
            | Self::Held { epoch }
            | Self::CheckpointPaced { epoch, .. }
            | Self::CheckpointCommitted { epoch, .. } => Some(*epoch),
            Self::Corrupted { epoch, .. } => *epoch,
            Self::LinkUp { .. }
            | Self::Ready { .. }
            | Self::Refused { .. }
            | Self::Suspected { .. }
            | Self::HeardAgain { .. }
            | Self::LongestSilence { .. }
            | Self::StoodStill { .. }
            | Self::NoMajority { .. }
            | Self::View { .. }
            | Self::BarrierPassed { .. }
            | Self::Iteration { .. }
            | Self::RankExited { .. }
            | Self::Doubled { .. }
            | Self::JobDone { .. }
            | Self::JobLost { .. }
            | Self::Fenced { .. }
            | Self::Joining { .. }
            | Self::MoveRefused { .. } => None,
        }
    }

    /// What tells it from others of its kind: its epoch, or which barrier or iteration it is.
    #[must_use]
    pub const fn number(&self) -> Option<u64> {
        match (self, self.epoch()) {
            (_, Some(epoch)) => Some(epoch.0),
            (Self::BarrierPassed { number } | Self::Iteration { number }, _) => Some(*number),
            _ => None,
        }
    }

    /// It happens so often that it is told only where somebody asked for this one.
    #[must_use]
    pub const fn is_frequent(&self) -> bool {
        matches!(self, Self::BarrierPassed { .. } | Self::Iteration { .. })
    }
}
