//! Two nodes that have nothing in common but memory: neither can wake the other, take a lock from it, or see whether it
//! lives. Each looks, again and again.
//!
//! Each has a way to the other: a lane, and a door that says what it knows. All of a door is written by the node whose
//! way it is, so no word has two writers (but for the lane's `freed`, which is its reader's).
//!
//! ```text
//!   door of A's way to B     conn: A's part of a connection, a number never used before; 0: A is not there
//!                            seen: B's number that A has taken note of; A's place in B's lane is the beginning
//!   connected, as A sees it: A has taken note of B's conn, and B's seen is A's conn
//! ```
//! A empties its own lane before it publishes a number, and writes to it when B has taken note of that number; B reads
//! it when A has taken note of B's. So what B reads was written in this connection. Whoever sees that a word of the other
//! is not what it was gives the connection up by publishing a new number of its own; the other sees that.
//!
//! Whoever is on the other side may write anything anywhere. Then frames may be other bytes, or connections break.

use crate::ring::{Broken, CELLS, Lane, NoRoom, Reader, Writer};
use crate::sync::{Apart, AtomicU64, Ordering};
use std::collections::VecDeque;
use std::ptr::NonNull;

/// Stands at a door of this layout.
const MARK: u64 = u64::from_le_bytes(*b"ustway01");

/// A way as it lies in memory. All zero is one that nobody ever used.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Way {
    lane: Lane,
    door: Apart<Door>,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Way>() == runtime_core::limits::BOARD_WAY);

#[derive(Debug)]
#[repr(C)]
struct Door {
    mark: AtomicU64,
    from: AtomicU64,
    to: AtomicU64,
    conn: AtomicU64,
    seen: AtomicU64,
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Connected.
    Up,
    /// A frame, in the buffer that was handed in.
    Frame,
    /// Not connected any more. What was not read is lost.
    Down,
}

/// One node's side of a pair.
#[derive(Debug)]
pub(crate) struct Pair {
    /// Both nodes by their names.
    me: u64,
    peer: u64,
    out: NonNull<Way>,
    into: NonNull<Way>,
    /// This side's number.
    conn: u64,
    /// The other side's that was taken note of; 0: none.
    met: u64,
    ends: Option<(Writer, Reader)>,
    /// Frames that found no room.
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The connection is to be given up.
    broken: bool,
}

// SAFETY: ways are memory that may be used from any thread, by one side each.
unsafe impl Send for Pair {}

impl Way {
    #[cfg(loom)]
    pub(crate) fn empty() -> Self {
        let word = || AtomicU64::new(0);
        let door = Door { mark: word(), from: word(), to: word(), conn: word(), seen: word() };
        Self { lane: Lane::empty(), door: Apart(door) }
    }
}

impl Pair {
    /// Comes to a pair, with the first number of a connection: higher than any that was used here.
    ///
    /// # Safety
    /// Both ways stay mapped while this is used, `out` is used as such by nobody else, and nobody else reads `into`.
    pub(crate) unsafe fn new(
        [me, peer]: [u64; 2],
        out: NonNull<Way>,
        into: NonNull<Way>,
        first: u64,
    ) -> Self {
        let (ends, waiting) = (None, VecDeque::new());
        let mut pair = Self {
            me,
            peer,
            out,
            into,
            conn: first,
            met: 0,
            ends,
            waiting,
            bytes: 0,
            broken: false,
        };
        pair.publish();
        pair
    }

    fn way_out(&self) -> &Way {
        // SAFETY: mapped, see `new`; all of it is atomic or in cells.
        unsafe { self.out.as_ref() }
    }

    fn way_in(&self) -> &Way {
        // SAFETY: as above.
        unsafe { self.into.as_ref() }
    }

    /// Is at the door under its number, with an empty lane.
    fn publish(&mut self) {
        self.met = 0;
        let Way { lane, door: Apart(door) } = self.way_out();
        lane.forget();
        door.seen.store(0, Ordering::Relaxed);
        if cfg!(not(loom)) {
            door.mark.store(MARK, Ordering::Relaxed);
            door.from.store(self.me, Ordering::Relaxed);
            door.to.store(self.peer, Ordering::Relaxed);
        }
        door.conn.store(self.conn, Ordering::Release);
    }

    /// Gives up the connection, if there is one.
    pub(crate) fn renew(&mut self) {
        self.waiting.clear();
        (self.bytes, self.broken) = (0, false);
        if self.ends.take().is_some() {
            self.conn = self.conn.wrapping_add(1).max(1);
            self.publish();
        }
    }

    /// Is not at the door any more.
    pub(crate) fn leave(&mut self) {
        (self.ends, self.conn) = (None, 0);
        self.way_out().door.0.conn.store(0, Ordering::Release);
    }

    /// Writes this side's words anew where somebody else has written to them.
    pub(crate) fn repair(&self) {
        let Door { mark, from, to, conn, seen } = &self.way_out().door.0;
        let right =
            [(mark, MARK), (from, self.me), (to, self.peer), (seen, self.met), (conn, self.conn)];
        for (word, value) in right {
            if word.load(Ordering::Relaxed) != value {
                word.store(value, Ordering::Release);
            }
        }
    }

    /// The other side's number, and the one of this side that it has taken note of.
    fn theirs(&self) -> (u64, u64) {
        let Door { conn, seen, .. } = &self.way_in().door.0;
        // Whoever takes note of a number has published its own before.
        let seen = seen.load(Ordering::Acquire);
        let conn = conn.load(Ordering::Acquire);
        if self.is_meant() { (conn, seen) } else { (0, 0) }
    }

    /// Whether the other side's door is that of the other node, with its way to this one.
    fn is_meant(&self) -> bool {
        // A model has nobody else, and every look makes it larger.
        if cfg!(loom) {
            return true;
        }
        let Door { mark, from, to, .. } = &self.way_in().door.0;
        [(mark, MARK), (from, self.peer), (to, self.me)]
            .iter()
            .all(|(word, value)| word.load(Ordering::Relaxed) == *value)
    }

    /// Whether somebody else is there: a node of another version, or placed by another file.
    #[cfg(not(loom))]
    pub(crate) fn is_strange(&self) -> bool {
        self.way_in().door.0.conn.load(Ordering::Acquire) != 0 && !self.is_meant()
    }

    /// Looks once. A frame is taken only if `frames` says so, and put in place of what is in `buffer`.
    pub(crate) fn step(&mut self, frames: bool, buffer: &mut Vec<u8>) -> Option<Step> {
        let theirs = self.theirs();
        if self.ends.is_none() {
            return self.meet(theirs);
        }
        let intact = theirs == (self.met, self.conn);
        if intact {
            self.flush();
        }
        let (_, reader) = self.ends.as_mut()?;
        if frames && !self.broken {
            match reader.take(buffer) {
                Ok(true) => {
                    reader.give_back();
                    return Some(Step::Frame);
                }
                Ok(false) => reader.give_back_rest(),
                Err(Broken) => self.broken = true,
            }
        }
        // What was completed before the end is read before it.
        let over = self.broken || frames && !intact;
        over.then(|| {
            self.renew();
            Step::Down
        })
    }

    fn meet(&mut self, (conn, seen): (u64, u64)) -> Option<Step> {
        if conn != self.met {
            self.met = conn;
            self.way_in().lane.rewind();
            self.way_out().door.0.seen.store(conn, Ordering::Release);
            return None;
        }
        if conn == 0 || seen != self.conn || self.conn == 0 {
            return None;
        }
        let lane = |way: NonNull<Way>| {
            // SAFETY: the lane is the way's first part; a projection without a reference.
            unsafe { NonNull::new_unchecked(&raw mut (*way.as_ptr()).lane) }
        };
        // SAFETY: mapped, see `new`; each side has emptied the lane that it writes to, and this node has no other ends.
        self.ends = Some(unsafe { (Writer::new(lane(self.out)), Reader::new(lane(self.into))) });
        Some(Step::Up)
    }

    /// Sends a frame. It is lost when there is no connection, or when that breaks.
    pub(crate) fn send(&mut self, frame: Vec<u8>) {
        if self.ends.is_none() {
            return;
        }
        self.bytes += frame.len();
        self.waiting.push_back(frame);
        self.flush();
    }

    /// Sends what finds room.
    fn flush(&mut self) {
        let Some((writer, _)) = &mut self.ends else { return };
        while let Some(frame) = self.waiting.front() {
            match writer.put(frame) {
                Ok(()) => {
                    self.bytes -= frame.len();
                    self.waiting.pop_front();
                }
                Err(NoRoom::Full) => return,
                Err(NoRoom::Broken) => return self.broken = true,
            }
        }
    }

    /// Bytes that found no room so far.
    pub(crate) const fn queued(&self) -> usize {
        self.bytes
    }

    /// Whether the other side has read all that was sent.
    pub(crate) fn is_read(&self) -> bool {
        self.waiting.is_empty() && self.ends.as_ref().is_none_or(|(writer, _)| writer.is_read())
    }

    /// Whether [`Self::step`] would do something.
    pub(crate) fn has_news(&self) -> bool {
        let theirs = self.theirs();
        match &self.ends {
            Some((writer, reader)) => {
                self.broken
                    || theirs != (self.met, self.conn)
                    || reader.has_frame()
                    || !self.waiting.is_empty() && writer.may_have_room()
            }
            None => theirs.0 != self.met || theirs.0 != 0 && theirs.1 == self.conn,
        }
    }
}

/// Frames that a pair hands over between two looks at the others.
pub(crate) const AT_MOST: u32 = CELLS;

#[cfg(all(test, loom))]
mod models;
