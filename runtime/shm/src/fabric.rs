//! One node's view of the others.

use crate::{JoinError, NodeName, SendError};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::time::Instant;

/// Where nodes meet, and how a node waits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the nodes' files: private to the user, made when it is missing.
    pub dir: PathBuf,
    /// Looks that [`Fabric::wait`] takes before it sleeps. With one processor it yields once instead.
    pub spin: u32,
}

impl Default for Options {
    /// `UNDERSTUDY_SHM_DIR`, or `/dev/shm/understudy-<uid>`; some microseconds of looking.
    fn default() -> Self {
        unimplemented!()
    }
}

/// What [`Fabric::poll`] reports.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A node is there. Comes before anything else of it.
    Joined(NodeName),
    /// A frame.
    Frame {
        /// Its sender.
        from: NodeName,
        /// Where it lies: in memory shared with its sender, for the length of the call.
        bytes: &'a [u8],
    },
    /// A node left or died. Comes after all frames that it completed. Whoever joins under this name is another node.
    Gone(NodeName),
}

/// A node's part of the fabric. Leaves when dropped.
#[derive(Debug)]
pub struct Fabric;

impl Fabric {
    /// Joins under a name. Remains of the dead are swept on the way.
    ///
    /// # Errors
    /// The name belongs to a living node; the directory is not private; the system refuses.
    pub fn join(_name: NodeName, _options: &Options) -> Result<Self, JoinError> {
        unimplemented!()
    }

    /// This node's name.
    pub fn name(&self) -> NodeName {
        unimplemented!()
    }

    /// Whether this process is a fork of the one that joined. Then nothing is sent or received, and dropping leaves
    /// the parent's node alone.
    pub fn is_inherited(&self) -> bool {
        unimplemented!()
    }

    /// Hands over all that is there, and says how many events that was. No allocation and no system call when there is
    /// nothing new (but now and then a look at whether peers live).
    pub fn poll(&mut self, _on: impl FnMut(Event<'_>)) -> usize {
        unimplemented!()
    }

    /// Sends a frame: the parts, one after the other.
    ///
    /// # Errors
    /// See [`SendError`]; nothing was sent then.
    pub fn send(&mut self, _to: NodeName, _parts: &[&[u8]]) -> Result<(), SendError> {
        unimplemented!()
    }

    /// Room for a frame in the receiver's own memory, to be written there and [committed](Reserved::commit).
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn reserve(&mut self, _to: NodeName, _len: usize) -> Result<Reserved<'_>, SendError> {
        unimplemented!()
    }

    /// Comes back when something may have come: a frame, a node, a death, room after [`SendError::Full`], a
    /// [ring of the bell](Bell::ring). May come back for nothing. Looks first, then sleeps.
    pub fn wait(&self, _until: Option<Instant>) {
        unimplemented!()
    }

    /// What wakes this node from another thread of the process.
    pub fn bell(&self) -> Bell {
        unimplemented!()
    }
}

/// A frame that is being written. Dropped without [`Self::commit`], nothing is sent.
#[derive(Debug)]
pub struct Reserved<'a>(&'a mut [u8]);

impl Reserved<'_> {
    /// Sends it.
    pub fn commit(self) {
        unimplemented!()
    }
}

impl Deref for Reserved<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl DerefMut for Reserved<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.0
    }
}

/// Wakes a node that waits. May be rung from any thread of the node's process, and before the wait begins.
#[derive(Clone, Debug)]
pub struct Bell;

impl Bell {
    /// The wait that is on, or the next one, comes back.
    pub fn ring(&self) {
        unimplemented!()
    }
}
