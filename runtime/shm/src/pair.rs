//! Two nodes that have nothing in common but memory: neither can wake the other, take a lock from it, or see whether it
//! lives. Each looks, again and again.
//!
//! Each has a way to the other: a lane, and a door that says what it knows. All of a door is written by the node whose
//! way it is, so no word has two writers (but for the lane's `freed`, which is its reader's).
//!
//! ```text
//!   door of A's way to B     conn: A's part of a connection, a number never used before; 0: A is not there.
//!                                  A's life, 32 bits | A's tie to B, 16 | how often that was mended, from 1, 16
//!                            seen: B's number that A has taken note of; A's place in B's lane is the beginning
//!   connected, as A sees it: A has taken note of B's conn, and B's seen is A's conn
//! ```
//! A empties its own lane before it publishes a number, and again before it takes note of one, for somebody may have
//! written there meanwhile; it writes to it when B has taken note of its number; B reads
//! it when A has taken note of B's. So what B reads was written in this connection. Whoever sees that a word of the other
//! is not what it was gives the connection up by publishing a new number of its own; the other sees that.
//!
//! Every guest of the board may write anything anywhere. So each frame has a checksum behind it ([`seal`]), and each side writes
//! its words anew when they are not what it wrote. What was changed is not handed over: the connection is made anew, and the link
//! above says again what was lost, for both are tied as they were. Only what is damaged again and again is the end of a tie. Who
//! means to may give a frame of its own making a right checksum.

use crate::ring::{Broken, CELLS, Lane, NoRoom, Reader, SEAL, Writer};
use crate::sync::{Apart, AtomicU64, Ordering};
use std::collections::VecDeque;
use std::ptr::NonNull;

/// Stands at a door of this layout, beyond which the frames of this version of MCAPI are spoken.
const MARK: u64 = u64::from_le_bytes(*b"ustway03");
/// How often a connection is made anew for what was damaged, for each so many frames that come whole as a lane has cells;
/// then it is given up. Faulty memory would else be tried for ever.
const MENDS: u32 = 8;

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
    /// Connected; or connected anew, and what was on its way is lost.
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
    ends: Option<Ends>,
    /// The connection is made anew in the same tie of the other side's.
    mending: Option<u64>,
    /// How often that may be done still, and frames that came whole since it was as often as it can be.
    mends: u32,
    whole: u32,
    /// How often what came was not what was sent.
    damaged: u64,
    /// Frames that found no room.
    waiting: VecDeque<Vec<u8>>,
    /// The buffer of the frame that was written last.
    written: Option<Vec<u8>>,
    bytes: usize,
    /// The connection is to be given up.
    broken: bool,
}

/// A connection's lanes, and how many frames went through each.
#[derive(Debug)]
struct Ends {
    writer: Writer,
    sent: u32,
    reader: Reader,
    taken: u32,
}

/// The life and the tie that a number of a connection belongs to.
const fn tie(conn: u64) -> u64 {
    conn >> 16
}

/// The number of the next connection: in the same tie, or in the next one of this life.
pub(crate) const fn next(conn: u64, same: bool) -> u64 {
    const NUMBER: u64 = 0xffff_ffff;
    let last = if same { conn } else { conn | 0xffff };
    let number = last.wrapping_add(1) & NUMBER;
    let number = if number & 0xffff == 0 { number + 1 } else { number };
    conn & !NUMBER | number
}

/// The checksum of a frame: of its bytes, and of its place, for a frame that comes twice or elsewhere is none.
fn checksum(conn: u64, number: u32, frame: &[u8]) -> [u8; SEAL] {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&conn.to_le_bytes());
    hasher.update(&number.to_le_bytes());
    hasher.update(frame);
    hasher.finalize().to_le_bytes()
}

/// Puts a frame's checksum behind it.
fn seal(conn: u64, number: u32, frame: &mut Vec<u8>) {
    let sum = checksum(conn, number, frame);
    frame.extend_from_slice(&sum);
}

/// Takes it away again, if it is right.
fn unseal(conn: u64, number: u32, frame: &mut Vec<u8>) -> Result<(), Broken> {
    let (bytes, sum) = frame.split_last_chunk::<SEAL>().ok_or(Broken)?;
    if checksum(conn, number, bytes) != *sum {
        return Err(Broken);
    }
    frame.truncate(frame.len() - SEAL);
    Ok(())
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
            mending: None,
            mends: MENDS,
            whole: 0,
            damaged: 0,
            waiting,
            written: None,
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

    /// Gives up the connection, if there is one, or is to be one again.
    pub(crate) fn renew(&mut self) {
        if self.ends.is_some() || self.mending.is_some() {
            self.begin_anew(false);
        }
    }

    fn begin_anew(&mut self, same_tie: bool) {
        self.waiting.clear();
        (self.bytes, self.broken) = (0, false);
        self.mending = same_tie.then_some(tie(self.met));
        self.ends = None;
        self.conn = next(self.conn, same_tie);
        self.publish();
    }

    /// Is not at the door any more.
    pub(crate) fn leave(&mut self) {
        (self.ends, self.mending, self.conn) = (None, None, 0);
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
        if let Some(ends) = &self.ends {
            ends.reader.repair();
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
        if frames && !self.broken {
            match self.take(buffer) {
                Ok(true) => return Some(Step::Frame),
                Ok(false) => {}
                Err(Broken) => self.broken = true,
            }
        }
        // What was completed before the end is read before it.
        let over = self.broken || frames && !intact;
        over.then(|| self.end(theirs)).flatten()
    }

    /// Takes the next frame, if there is one, and it is what was sent.
    fn take(&mut self, buffer: &mut Vec<u8>) -> Result<bool, Broken> {
        let ends = self.ends.as_mut().ok_or(Broken)?;
        if !ends.reader.take(buffer)? {
            ends.reader.give_back_rest();
            return Ok(false);
        }
        ends.reader.give_back();
        unseal(self.met, ends.taken, buffer)?;
        ends.taken = ends.taken.wrapping_add(1);
        self.whole += 1;
        if self.whole >= CELLS {
            (self.whole, self.mends) = (0, MENDS);
        }
        Ok(true)
    }

    /// The connection is over. If another one may come in the same tie, nobody needs to know.
    fn end(&mut self, theirs: (u64, u64)) -> Option<Step> {
        let mut mend = theirs.0 != 0 && tie(theirs.0) == tie(self.met);
        if self.broken {
            self.damaged += 1;
            mend &= self.mends > 0;
            self.mends = self.mends.saturating_sub(1);
        }
        self.begin_anew(mend);
        (!mend).then_some(Step::Down)
    }

    fn meet(&mut self, (conn, seen): (u64, u64)) -> Option<Step> {
        if self.is_lost(conn) {
            self.mending = None;
            return Some(Step::Down);
        }
        if conn != self.met {
            self.met = conn;
            self.way_in().lane.rewind();
            // Nobody reads here before it sees this, so what is here is nothing of this side's.
            self.way_out().lane.forget();
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
        let (writer, reader) =
            unsafe { (Writer::new(lane(self.out)), Reader::new(lane(self.into))) };
        (self.ends, self.mending) = (Some(Ends { writer, sent: 0, reader, taken: 0 }), None);
        Some(Step::Up)
    }

    /// Whether whom this side was to be connected to anew is there no more, by its number.
    fn is_lost(&self, conn: u64) -> bool {
        self.mending.is_some_and(|of| conn == 0 || tie(conn) != of)
    }

    /// Sends a frame. It is lost when there is no connection, or when that breaks. Gives back the buffer of one that was written.
    pub(crate) fn send(&mut self, mut frame: Vec<u8>) -> Option<Vec<u8>> {
        let Some(ends) = &mut self.ends else { return Some(frame) };
        seal(self.conn, ends.sent, &mut frame);
        ends.sent = ends.sent.wrapping_add(1);
        self.bytes += frame.len();
        self.waiting.push_back(frame);
        self.flush();
        self.written.take()
    }

    /// Sends what finds room.
    fn flush(&mut self) {
        let Some(ends) = &mut self.ends else { return };
        while let Some(frame) = self.waiting.front() {
            match ends.writer.put(frame) {
                Ok(()) => {
                    self.bytes -= frame.len();
                    self.written = self.waiting.pop_front();
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

    /// How often what came was not what was sent, or what stands in the lanes was no place of one.
    #[cfg(not(loom))]
    pub(crate) const fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Whether the other side has read all that was sent.
    pub(crate) fn is_read(&self) -> bool {
        self.waiting.is_empty()
            && self.mending.is_none()
            && self.ends.as_ref().is_none_or(|ends| ends.writer.is_read())
    }

    /// Whether [`Self::step`] would do something.
    pub(crate) fn has_news(&self) -> bool {
        let theirs = self.theirs();
        match &self.ends {
            Some(Ends { writer, reader, .. }) => {
                self.broken
                    || theirs != (self.met, self.conn)
                    || reader.has_something()
                    || !self.waiting.is_empty() && writer.may_have_room()
            }
            None if self.is_lost(theirs.0) => true,
            None => {
                theirs.0 != self.met || theirs.0 != 0 && self.conn != 0 && theirs.1 == self.conn
            }
        }
    }
}

/// Frames that a pair hands over between two looks at the others.
pub(crate) const AT_MOST: u32 = CELLS;

#[cfg(all(test, loom))]
mod models;
