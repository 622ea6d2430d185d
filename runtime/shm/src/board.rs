//! The memory that guests of one board share, as the way of frames between their nodes: a PCI device of which QEMU gives
//! each guest the same pages (ivshmem-plain), or any file that several map.
//!
//! ```text
//! 0        the guests' own: see images/guest-linux, machine/board.rs
//! 4096     ways, of BOARD_WAY bytes each: one for each node of a guest to each node of another one
//! ```
//! Who the nodes are, and which way is whose, everybody reads in the same file, so nobody has to make anything here: the
//! memory begins as zeroes. Between kernels there is nothing to sleep on: whoever has nothing to do sleeps for a moment and
//! looks ([`Board::has_something`]). That a node is dead shows by its silence, which whoever uses this judges by its own
//! clock; that it began a new life shows at once.

use crate::NodeName;
use crate::pair::{AT_MOST, Pair, Step, Way};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use runtime_core::limits::{BOARD_HEAD, BOARD_WAY};
use std::fs::{File, OpenOptions};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

/// Why a board's memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// It cannot be opened or mapped.
    #[error("{}: {source}", path.display())]
    System {
        /// Where it should be.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There are more nodes than it has room for.
    #[error("{}: {has} bytes, and its nodes need {needs}", path.display())]
    TooSmall {
        /// Where it is.
        path: PathBuf,
        /// Its bytes.
        has: u64,
        /// What its nodes need.
        needs: u64,
    },
}

/// Another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: NodeName,
    /// The way to it, by its place in the memory.
    pub out: usize,
    /// The way from it.
    pub into: usize,
}

/// What happened between this node and a neighbour, by its place in the list that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Connected; or connected anew, and what neither side had read is lost.
    Up(usize),
    /// A frame, in the buffer that was handed in.
    Frame(usize),
    /// Not connected any more: it left, began a new life, or what it sends is damaged again and again. What it did not
    /// read is lost.
    Down(usize),
}

/// A node's part of its board's memory.
#[derive(Debug)]
pub struct Board {
    // Before the memory that they are in.
    pairs: Vec<Pair>,
    /// How many more frames each hands over before the others are looked at.
    left: Vec<u32>,
    /// Whose turn it is.
    turn: usize,
    names: Vec<NodeName>,
    me: NodeName,
    /// Somebody unknown at a door was spoken of.
    warned: bool,
    /// Damage was.
    told: bool,
    _memory: Memory,
}

/// Bytes that so many ways need.
#[must_use]
pub const fn bytes(ways: usize) -> u64 {
    (BOARD_HEAD + ways * BOARD_WAY) as u64
}

const fn packed(name: NodeName) -> u64 {
    (name.domain as u64) << 32 | name.node as u64
}

impl Board {
    /// Comes to a board's memory, in a life whose number is higher than any before it of this node. `ways`: how many there
    /// are in all.
    ///
    /// # Errors
    /// There is no such file, or it is too small.
    pub fn open(
        path: &Path,
        me: NodeName,
        life: u32,
        neighbours: &[Neighbour],
        ways: usize,
    ) -> Result<Self, BoardError> {
        let system = |source| BoardError::System { path: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(system)?;
        let has = file.metadata().map_err(system)?.len();
        let ways = neighbours.iter().flat_map(|n| [n.out, n.into]).fold(ways, |m, w| m.max(w + 1));
        let needs = bytes(ways);
        if has < needs {
            return Err(BoardError::TooSmall { path: path.to_owned(), has, needs });
        }
        let memory = Memory::map(&file, needs).map_err(system)?;
        let pair = |neighbour: &Neighbour| {
            let [out, into] = [neighbour.out, neighbour.into].map(|way| memory.way(way));
            let first = u64::from(life) << 32 | 1;
            // SAFETY: the memory is mapped for as long as the pairs are there. The name was taken by this node alone, so it
            // is the only one on its side.
            unsafe { Pair::new([me, neighbour.name].map(packed), out, into, first) }
        };
        Ok(Self {
            pairs: neighbours.iter().map(pair).collect(),
            left: vec![AT_MOST; neighbours.len()],
            turn: 0,
            names: neighbours.iter().map(|n| n.name).collect(),
            me,
            warned: false,
            told: false,
            _memory: memory,
        })
    }

    /// The next thing that happened; a frame is put in place of what is in `frame`. After `None` it is everybody's turn
    /// again: no more than so many frames come from one before that.
    pub fn next(&mut self, frame: &mut Vec<u8>) -> Option<Happening> {
        for _ in 0..self.pairs.len() {
            let at = self.turn;
            let (pair, left) = (&mut self.pairs[at], &mut self.left[at]);
            match pair.step(*left > 0, frame) {
                Some(Step::Frame) => {
                    *left -= 1;
                    return Some(Happening::Frame(at));
                }
                Some(Step::Up) => return Some(Happening::Up(at)),
                Some(Step::Down) => return Some(Happening::Down(at)),
                None => self.turn = (at + 1) % self.pairs.len(),
            }
        }
        self.left.fill(AT_MOST);
        self.pairs.iter().for_each(Pair::repair);
        self.look_for_strangers();
        self.look_for_damage();
        None
    }

    fn look_for_damage(&mut self) {
        if self.told {
            return;
        }
        if let Some(at) = self.pairs.iter().position(|pair| pair.damaged() > 0) {
            self.told = true;
            let (node, peer) = (self.me, self.names[at]);
            tracing::warn!(%node, %peer, "what came through the board's memory is not what was sent, and is sent again: another guest writes there, or the memory is faulty");
        }
    }

    /// How often something of a neighbour's was found changed on its way.
    #[must_use]
    pub fn damaged(&self, by: usize) -> u64 {
        self.pairs[by].damaged()
    }

    fn look_for_strangers(&mut self) {
        if self.warned {
            return;
        }
        if let Some(at) = self.pairs.iter().position(Pair::is_strange) {
            self.warned = true;
            let (node, peer) = (self.me, self.names[at]);
            tracing::warn!(%node, %peer, "somebody else is where this node should be in the board's memory: are both placed by the same file?");
        }
    }

    /// Sends a frame; it is lost when there is no connection. Gives back a buffer that is free, for another frame: this one's, or
    /// that of an earlier one.
    pub fn send(&mut self, to: usize, frame: Vec<u8>) -> Option<Vec<u8>> {
        self.pairs[to].send(frame)
    }

    /// Breaks the connection to a neighbour; a new one may come.
    pub fn disconnect(&mut self, node: usize) {
        self.pairs[node].renew();
    }

    /// Bytes for a neighbour that found no room yet.
    #[must_use]
    pub fn queued(&self, to: usize) -> usize {
        self.pairs[to].queued()
    }

    /// Whether a neighbour has read all that was sent to it, or is not connected.
    #[must_use]
    pub fn is_read(&self, by: usize) -> bool {
        self.pairs[by].is_read()
    }

    /// Whether [`Self::next`] has something.
    #[must_use]
    pub fn has_something(&self) -> bool {
        self.pairs.iter().any(Pair::has_news)
    }

    /// Leaves: all are told. Whoever is dropped without it is silent.
    pub fn leave(&mut self) {
        self.pairs.iter_mut().for_each(Pair::leave);
    }
}

/// The memory, as far as it is used.
#[derive(Debug)]
struct Memory(NonNull<u8>, NonZeroUsize);

// SAFETY: what is in it is used through pairs, which have rules of their own.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

impl Memory {
    fn map(file: &File, bytes: u64) -> io::Result<Self> {
        let length = usize::try_from(bytes).ok().and_then(NonZeroUsize::new);
        let length = length.ok_or(Errno::EINVAL)?;
        // A page of a file for which there is no memory when it is touched would end the process. A device has its own.
        let length_of = i64::try_from(bytes).map_err(io::Error::other)?;
        match fallocate(file, FallocateFlags::empty(), 0, length_of) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENODEV | Errno::EINVAL | Errno::ESPIPE) => {}
            Err(errno) => return Err(errno.into()),
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping where the kernel likes.
        let memory = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self(memory.cast(), length))
    }

    /// A way, which lies in what is mapped: the caller has seen that there are so many.
    fn way(&self, way: usize) -> NonNull<Way> {
        let at = BOARD_HEAD + way * BOARD_WAY;
        assert!(at + BOARD_WAY <= self.1.get(), "way {way} is not in the memory");
        // SAFETY: inside of the mapping, and at the beginning of a page as a way must be.
        unsafe { self.0.add(at) }.cast()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: ours, of this length, and the pairs are gone.
        if let Err(error) = unsafe { munmap(self.0.cast(), self.1.get()) } {
            tracing::warn!(%error, "cannot unmap a board's memory");
        }
    }
}

#[cfg(test)]
mod tests;
