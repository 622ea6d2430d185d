//! What can go wrong.

use crate::{MAX_FRAME, MAX_SENDERS, NodeName};
use std::io;
use std::path::PathBuf;

/// Why a node could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// A living node has this name.
    #[error("node {0} is taken by a living node; choose another name or end that node")]
    Taken(NodeName),
    /// Another node has been joining for seconds and does not get on (a stopped process, perhaps).
    #[error("{}: another node has been joining for too long; is its process stopped?", .0.display())]
    Busy(PathBuf),
    /// Others could write to the directory.
    #[error(
        "{}: must be a directory of this user that nobody else can write to; remove it, or set UNDERSTUDY_SHM_DIR",
        .0.display()
    )]
    Exposed(PathBuf),
    /// The system refused.
    #[error("{}: {what}: {source}", path.display())]
    System {
        /// What was to be done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Why a frame was not sent: nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The receiver is behind; `wait` comes back when there is room.
    #[error("the receiver's ring is full")]
    Full,
    /// The receiver was there, and is no more. `poll` tells, or told.
    #[error("the receiver is gone")]
    Gone,
    /// No such node was reported by `poll` so far.
    #[error("no such node")]
    Unknown,
    /// Longer than [`MAX_FRAME`].
    #[error("a frame has at most {MAX_FRAME} bytes")]
    TooLong,
    /// The receiver has a ring for each of [`MAX_SENDERS`] others already.
    #[error("{MAX_SENDERS} nodes send to this one already")]
    Crowded,
    /// The system has no memory for the ring.
    #[error("no memory for a ring; is /dev/shm full?")]
    NoMemory,
    /// This process is a fork of the one that joined: it has to join as a node of its own.
    #[error("the node belongs to the process that this one was forked from")]
    Forked,
}
