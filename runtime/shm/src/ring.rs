//! A lane: the way of frames from one node to another, in memory that both see.
//!
//! Frames of up to [`INLINE`] bytes lie in a cell, whose stamp says that they are complete: a reader that looks at the
//! stamp has the frame with the same cache line. Longer ones lie in the lane's bulk, each in one piece, and the cell
//! has only their length. Both sides compute the same positions, so that nothing but stamps and lengths is read from
//! the other side, and both are checked.
//!
//! Of a large frame the data may lie in a **slot** outside of the lane, where its reader may keep them ([`slots`]): then the
//! cell has the rest of the frame, and says which slot.

use crate::sync::{Apart, AtomicU32, AtomicU64, Ordering, UnsafeCell, fence};
use slots::{Marks, Place};
use std::ptr::NonNull;

/// Cells of a lane: frames in flight.
pub(crate) const CELLS: u32 = if cfg!(loom) { 2 } else { 256 };
/// Bytes of a frame that a cell holds.
pub(crate) const INLINE: usize = if cfg!(loom) { 8 } else { 120 };
/// Bytes for longer frames.
pub(crate) const BULK: u32 = if cfg!(loom) { 256 } else { 256 * 1024 };
/// From one cell to the next, in cells: far enough that a processor which reads a few in a row does not fetch those that come
/// next. It would take them from the writer, which has them near to write to.
const STRIDE: u32 = 37;
/// Each longer frame begins at a multiple of this.
const GRAIN: u32 = 64;
/// Bytes that a [`crate::pair`] puts behind a frame.
pub(crate) const SEAL: usize = 4;
/// Longest frame of a lane.
const LONGEST: usize = if cfg!(loom) { 64 } else { crate::MAX_FRAME + SEAL };

// A reader gives back what it has read when that is a quarter, and a frame that does not fit before the end of the
// bulk leaves that end unused: with less, writer and reader could wait for each other.
const _: () = assert!(BULK / 4 * 3 >= 2 * padded(LONGEST) && BULK.is_power_of_two());
const _: () = assert!(CELLS.is_power_of_two() && STRIDE % 2 == 1, "all cells are in use");

const fn padded(len: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "at most LONGEST")]
    (len as u32).next_multiple_of(GRAIN)
}

#[derive(Debug)]
#[repr(C, align(128))]
struct Cell {
    /// Length of the frame << 32 | its number, from 1, modulo 2³². The length has [`slots::IN_A_SLOT`] if the data do not lie here.
    stamp: AtomicU64,
    frame: UnsafeCell<[u8; INLINE]>,
}

/// A lane as it lies in memory. All zero is an empty lane.
#[derive(Debug)]
#[repr(C)]
// The stacks of a model are small.
#[cfg_attr(not(loom), repr(align(4096)))]
pub(crate) struct Lane {
    /// The reader's word: bytes of bulk << 32 | cells, given back so far.
    freed: Apart<AtomicU64>,
    /// Not 0: the writer found no room and may sleep.
    starved: Apart<AtomicU32>,
    cells: [Cell; CELLS as usize],
    bulk: Bulk,
    /// Of the slots that go with the lane.
    marks: Apart<Marks>,
}

#[cfg(not(loom))]
type Bulk = UnsafeCell<[u8; BULK as usize]>;
/// A model sees races of whole cells: one for each frame.
#[cfg(loom)]
type Bulk = [UnsafeCell<[u8; GRAIN as usize]>; (BULK / GRAIN) as usize];

/// The lane's other side does what no node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Cells and bytes of bulk, counted from the beginning, modulo 2³².
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Position {
    cells: u32,
    bulk: u32,
}

impl Position {
    fn pack(self) -> u64 {
        u64::from(self.bulk) << 32 | u64::from(self.cells)
    }

    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    fn unpack(word: u64) -> Self {
        Self { cells: word as u32, bulk: (word >> 32) as u32 }
    }

    /// Where a longer frame lies: in one piece.
    fn place(self, len: usize) -> u32 {
        let left = BULK - self.bulk % BULK;
        if padded(len) > left { self.bulk.wrapping_add(left) } else { self.bulk }
    }

    /// Behind a frame.
    fn after(self, len: usize) -> Self {
        let bulk = if len > INLINE { self.place(len).wrapping_add(padded(len)) } else { self.bulk };
        Self { cells: self.cells.wrapping_add(1), bulk }
    }
}

impl Lane {
    #[cfg(loom)]
    pub(crate) fn empty() -> Self {
        let cell = || Cell { stamp: AtomicU64::new(0), frame: UnsafeCell::new([0; INLINE]) };
        Self {
            freed: Apart(AtomicU64::new(0)),
            starved: Apart(AtomicU32::new(0)),
            cells: std::array::from_fn(|_| cell()),
            bulk: std::array::from_fn(|_| UnsafeCell::new([0; GRAIN as usize])),
            marks: Apart(Marks::free()),
        }
    }

    /// Which of its slots are in use.
    pub(crate) const fn marks(&self) -> &Marks {
        &self.marks.0
    }

    fn cell(&self, position: Position) -> &Cell {
        &self.cells[(position.cells.wrapping_mul(STRIDE) % CELLS) as usize]
    }

    /// Where a frame at this position begins.
    fn frame(&self, position: Position, len: usize) -> *mut u8 {
        if len > INLINE {
            let at = (position.place(len) % BULK) as usize;
            #[cfg(loom)]
            return self.bulk[at / GRAIN as usize].with_mut(|bulk| bulk.cast::<u8>());
            #[cfg(not(loom))]
            self.bulk.with_mut(|bulk| bulk.cast::<u8>().wrapping_add(at))
        } else {
            self.cell(position).frame.with_mut(|frame| frame.cast())
        }
    }

    /// By the writer, when no reader reads on: nothing of what was written is a frame any more.
    pub(crate) fn forget(&self) {
        for cell in &self.cells {
            cell.stamp.store(0, Ordering::Relaxed);
        }
    }

    /// By the reader, before there is a writer: nothing was given back.
    pub(crate) fn rewind(&self) {
        self.freed.0.store(0, Ordering::Relaxed);
    }

    /// Whether the reader gave something back since then.
    #[inline]
    fn has_room_since(&self, freed: Position) -> bool {
        self.freed.0.load(Ordering::Relaxed) != freed.pack()
    }
}

/// Brings a word near.
#[inline]
fn prefetch(word: &AtomicU64) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: has no effect that a program could see.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast());
    }
    let _ = word;
}

/// Has a cell, both of its cache lines, brought near to be written to, so that what comes behind a frame does not wait
/// for them.
#[inline]
fn claim(cell: &Cell) {
    #[cfg(all(target_arch = "x86_64", not(loom), not(miri)))]
    // SAFETY: has no effect that a program could see; processors that do not know it do nothing.
    unsafe {
        std::arch::asm!(
            "prefetchw [{0}]",
            "prefetchw [{0} + 64]",
            in(reg) cell,
            options(nostack, preserves_flags, readonly)
        );
    }
    let _ = cell;
}

/// Cells that a writer claims ahead.
const AHEAD: u32 = 4;

/// Why a frame has no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// The reader is behind.
    Full,
    /// The reader's word is nonsense.
    Broken,
}

/// The writing side.
#[derive(Debug)]
pub(crate) struct Writer {
    lane: NonNull<Lane>,
    next: Position,
    /// The reader's word as last read.
    freed: Position,
    /// Cells up to the last frame whose data lie in a slot, if that was not read when the reader's word was.
    in_slot: Option<u32>,
}

// SAFETY: the lane is memory that may be used from any thread, by one writer and one reader.
unsafe impl Send for Writer {}

impl Writer {
    /// # Safety
    /// The lane stays mapped while this is used, is empty, and has no other writer.
    pub(crate) unsafe fn new(lane: NonNull<Lane>) -> Self {
        Self { lane, next: Position::default(), freed: Position::default(), in_slot: None }
    }

    pub(crate) fn lane(&self) -> &Lane {
        // SAFETY: mapped, see `new`; all of it is atomic or in cells.
        unsafe { self.lane.as_ref() }
    }

    fn fits(&self, after: Position) -> bool {
        after.cells.wrapping_sub(self.freed.cells) <= CELLS
            && after.bulk.wrapping_sub(self.freed.bulk) <= BULK
    }

    /// Reads the reader's word.
    fn look(&mut self) {
        self.freed = Position::unpack(self.lane().freed.0.load(Ordering::Acquire));
        let unread = |cells: u32| cells.wrapping_sub(self.freed.cells);
        let all = unread(self.next.cells);
        self.in_slot = self.in_slot.filter(|&cells| (1..=all).contains(&unread(cells)));
    }

    /// A slot that is free. [`NoRoom::Full`]: none is, and the reader has not come to all of them yet, so that one may soon
    /// be. `None`: the reader has them all.
    pub(crate) fn slot(&mut self) -> Result<Option<usize>, NoRoom> {
        if let Some(slot) = self.lane().marks().find() {
            return Ok(Some(slot));
        }
        self.look();
        if self.in_slot.is_some() && self.fits(self.next) { Err(NoRoom::Full) } else { Ok(None) }
    }

    /// Where to write a frame of at most [`LONGEST`] bytes that [`Self::commit`] completes.
    #[inline]
    pub(crate) fn reserve(&mut self, len: usize) -> Result<*mut u8, NoRoom> {
        debug_assert!(len <= LONGEST, "the caller checks");
        let after = self.next.after(len);
        if !self.fits(after) {
            self.look();
            if !self.fits(self.next) {
                return Err(NoRoom::Broken);
            }
            if !self.fits(after) {
                return Err(NoRoom::Full);
            }
        }
        Ok(self.lane().frame(self.next, len))
    }

    /// Completes the frame that was reserved last, with this length.
    #[inline]
    pub(crate) fn commit(&mut self, len: usize) {
        self.complete(len, 0);
    }

    /// The same for the rest of a frame whose data lie in a slot: behind its [`Place`].
    #[inline]
    pub(crate) fn commit_slot(&mut self, len: usize) {
        debug_assert!(len <= INLINE, "lies in the cell");
        self.complete(len, slots::IN_A_SLOT);
        self.in_slot = Some(self.next.cells);
    }

    #[inline]
    fn complete(&mut self, len: usize, flag: u32) {
        let cell = self.lane().cell(self.next);
        let number = u64::from(self.next.cells.wrapping_add(1));
        cell.stamp.store((len as u64 | u64::from(flag)) << 32 | number, Ordering::Release);
        self.next = self.next.after(len);
        let ahead = Position { cells: self.next.cells.wrapping_add(AHEAD), bulk: 0 };
        claim(self.lane().cell(ahead));
    }

    /// Writes a frame of at most [`LONGEST`] bytes.
    pub(crate) fn put(&mut self, frame: &[u8]) -> Result<(), NoRoom> {
        let at = self.reserve(frame.len())?;
        // SAFETY: that much room was reserved there.
        unsafe { words::copy_in(frame, at) };
        self.commit(frame.len());
        Ok(())
    }

    /// Whether the reader has given back all that was written.
    pub(crate) fn is_read(&self) -> bool {
        self.lane().freed.0.load(Ordering::Relaxed) == self.next.pack()
    }

    /// Whether a frame that found no room may have some now.
    #[inline]
    pub(crate) fn may_have_room(&self) -> bool {
        self.lane().has_room_since(self.freed)
    }

    /// Asks the reader to wake this side when it gives something back. The caller looks once more after a fence.
    pub(crate) fn starve(&self) {
        self.lane().starved.0.store(1, Ordering::Relaxed);
    }
}

/// The reading side.
#[derive(Debug)]
pub(crate) struct Reader {
    lane: NonNull<Lane>,
    next: Position,
    freed: Position,
}

// SAFETY: as for the writer.
unsafe impl Send for Reader {}

impl Reader {
    /// # Safety
    /// The lane stays mapped while this is used, nothing of it was read, and it has no other reader.
    pub(crate) unsafe fn new(lane: NonNull<Lane>) -> Self {
        Self { lane, next: Position::default(), freed: Position::default() }
    }

    fn lane(&self) -> &Lane {
        // SAFETY: mapped, see `new`; all of it is atomic or in cells.
        unsafe { self.lane.as_ref() }
    }

    /// Length of the next frame, if it is complete.
    #[inline]
    fn ready(&self) -> Option<usize> {
        self.ready_at(self.next)
    }

    #[inline]
    fn ready_at(&self, position: Position) -> Option<usize> {
        let stamp = self.lane().cell(position).stamp.load(Ordering::Acquire);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is the number")]
        (stamp as u32 == position.cells.wrapping_add(1)).then_some((stamp >> 32) as usize)
    }

    /// Whether there is a frame.
    #[inline]
    pub(crate) fn has_frame(&self) -> bool {
        let ready = self.ready().is_some();
        if !ready {
            // Who has read the next frame looks for the one after that, before it answers: so that this look is not
            // the first one.
            let after = Position { cells: self.next.cells.wrapping_add(1), bulk: 0 };
            prefetch(&self.lane().cell(after).stamp);
        }
        ready
    }

    /// Hands over the next frame, if there is one: all of it, or what there is besides the data in a slot, and where
    /// these lie.
    #[inline]
    pub(crate) fn read<R>(
        &mut self,
        on: impl FnOnce(&[u8], Option<Place>) -> R,
    ) -> Result<Option<R>, Broken> {
        let Some(len) = self.ready() else { return Ok(None) };
        if len > LONGEST {
            return self.read_slot(len, on).map(Some);
        }
        let at = self.next;
        self.next = at.after(len);
        let lane = self.lane();
        // SAFETY: the place of a frame of a length within the limit lies in the lane; the writer completed it and
        // leaves it alone until it is given back, which is after this call.
        let frame = || unsafe { std::slice::from_raw_parts(lane.frame(at, len), len) };
        Ok(Some(on(frame(), None)))
    }

    /// The same for a frame that says that its data lie in a slot, or says nonsense.
    #[cold]
    #[inline(never)]
    fn read_slot<R>(
        &mut self,
        len: usize,
        on: impl FnOnce(&[u8], Option<Place>) -> R,
    ) -> Result<R, Broken> {
        let len = len.checked_sub(slots::IN_A_SLOT as usize).filter(|&len| len <= INLINE);
        let (at, len) = (self.next, len.ok_or(Broken)?);
        // SAFETY: so many bytes of a cell, which the writer completed and leaves alone, see `read`.
        let frame = unsafe { std::slice::from_raw_parts(self.lane().frame(at, len), len) };
        let (place, rest) = Place::parse(frame, self.lane().marks())?;
        self.next = at.after(len);
        Ok(on(rest, Some(place)))
    }

    /// Length of the next frame, if there is one, in a lane to which others may write, too.
    fn look(&self) -> Result<Option<usize>, Broken> {
        if let Some(len) = self.ready() {
            return if len <= LONGEST { Ok(Some(len)) } else { Err(Broken) };
        }
        // Who completed the one after it has completed this one before: its stamp was lost.
        let after = Position { cells: self.next.cells.wrapping_add(1), bulk: 0 };
        let passed = self.ready_at(after).is_some() && self.ready().is_none();
        if passed { Err(Broken) } else { Ok(None) }
    }

    /// Whether [`Self::take`] would do something.
    pub(crate) fn has_something(&self) -> bool {
        self.look() != Ok(None)
    }

    /// Copies the next frame out, if there is one, in place of what is in `to`: for a writer that may go on writing to
    /// what it completed.
    pub(crate) fn take(&mut self, to: &mut Vec<u8>) -> Result<bool, Broken> {
        let Some(len) = self.look()? else { return Ok(false) };
        // SAFETY: the place of a frame of a length within the limit lies in the lane, see `frame`.
        unsafe { words::copy_out(self.lane().frame(self.next, len), len, to) };
        self.next = self.next.after(len);
        Ok(true)
    }

    /// Writes this side's word anew where somebody else has written to it: the writer would wait for ever.
    pub(crate) fn repair(&self) {
        let freed = &self.lane().freed.0;
        if freed.load(Ordering::Relaxed) != self.freed.pack() {
            freed.store(self.freed.pack(), Ordering::Release);
        }
    }

    /// Gives back all that was read.
    pub(crate) fn give_back_rest(&mut self) {
        if self.freed != self.next {
            self.freed = self.next;
            self.lane().freed.0.store(self.freed.pack(), Ordering::Release);
        }
    }

    /// Gives back what was read, if it is a quarter of the lane. Says whether the writer is to be woken.
    #[inline]
    pub(crate) fn give_back(&mut self) -> bool {
        let read = self.next.cells.wrapping_sub(self.freed.cells);
        let bulk = self.next.bulk.wrapping_sub(self.freed.bulk);
        if read < CELLS / 4 && bulk < BULK / 4 || read == 0 {
            return false;
        }
        self.give_back_now()
    }

    /// The same, however little it is.
    pub(crate) fn give_back_now(&mut self) -> bool {
        self.freed = self.next;
        let lane = self.lane();
        lane.freed.0.store(self.freed.pack(), Ordering::Release);
        fence(Ordering::SeqCst);
        lane.starved.0.load(Ordering::Relaxed) != 0
            && lane.starved.0.swap(0, Ordering::Relaxed) != 0
    }

    /// Puts a frame longer than any in the place of the next one.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn corrupt(&self) {
        let number = u64::from(self.next.cells.wrapping_add(1));
        let cell = self.lane().cell(self.next);
        cell.stamp.store((LONGEST as u64 + 1) << 32 | number, Ordering::Relaxed);
    }

    /// Makes the lane an empty one for the next writer. The last one is dead and its frames are read; of its slots the
    /// caller sees to.
    pub(crate) fn reset(self) {
        let lane = self.lane();
        lane.forget();
        lane.starved.0.store(0, Ordering::Relaxed);
        lane.rewind();
    }
}

pub(crate) mod slots;
mod words;

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod models;
