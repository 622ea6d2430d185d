//! Slots: where the data of large frames lie, so that their reader may keep them there without a copy.
//!
//! Each lane has some, outside of its own memory and of the order of its frames. A **mark** says of each whether it is in
//! use: the writer marks a free one, copies data there, and completes a frame that names it; the reader takes the mark away
//! when nobody wants the data any more. Nobody waits for a slot to be given back: while the reader has them all, frames lie in
//! the bulk. But a writer whose reader has not come to all of them yet waits for that, for one may be free then.
//!
//! The reader's [`Ledger`] says which slots its program has, whatever stands in the marks, which the other side can write to.
//! It outlives the writer and its lane: when that goes to another writer, all slots are free but those that are lent still.

use super::Broken;
use crate::sync::{AtomicU32, Mutex, Ordering, UnsafeCell};
use std::sync::PoisonError;

/// Slots of a lane. With half as many a writer often waits for the reader to come to one; twice as many are no better.
pub(crate) const SLOTS: usize = if cfg!(loom) { 1 } else { 8 };
/// Bytes of a slot.
pub(crate) const SLOT: usize =
    if cfg!(loom) { 64 } else { runtime_core::limits::MCAPI_MAX_PKT_SIZE };
/// Stands in the length of what a cell has of a frame whose data lie in a slot.
pub(super) const IN_A_SLOT: u32 = 1 << 31;

const _: () = assert!(super::LONGEST < IN_A_SLOT as usize && SLOT.is_multiple_of(64));

/// Which slots of a lane are in use: 1, or 0. In one place, so that one look shows all.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Marks([AtomicU32; SLOTS]);

/// The data of a lane's slots.
#[derive(Debug)]
#[repr(C)]
#[cfg_attr(not(loom), repr(align(4096)))]
pub(crate) struct Data([UnsafeCell<[u8; SLOT]>; SLOTS]);

/// Where data lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Below [`SLOTS`].
    pub(crate) slot: usize,
    /// Bytes; at most [`SLOT`].
    pub(crate) len: usize,
}

impl Marks {
    #[cfg(loom)]
    pub(super) fn free() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }

    /// By the writer: the first slot that is free. What was read there was read before.
    #[inline]
    pub(crate) fn find(&self) -> Option<usize> {
        self.0.iter().position(|mark| mark.load(Ordering::Acquire) == 0)
    }

    /// By the writer: it is not free any more.
    #[inline]
    pub(crate) fn set(&self, slot: usize) {
        self.0[slot].store(1, Ordering::Relaxed);
    }
}

impl Data {
    #[cfg(loom)]
    pub(super) fn empty() -> Self {
        Self(std::array::from_fn(|_| UnsafeCell::new([0; SLOT])))
    }

    /// Where a slot begins.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> *mut u8 {
        self.0[slot].with_mut(|data| data.cast())
    }
}

impl Place {
    /// Bytes in front of the rest of a frame.
    pub(crate) const LEN: usize = 8;
    /// Bytes of the longest rest of a frame.
    pub(crate) const REST: usize = super::INLINE - Self::LEN;

    /// As it stands there.
    pub(crate) const fn bytes(self) -> [u8; Self::LEN] {
        (self.slot as u64 | (self.len as u64) << 32).to_le_bytes()
    }

    /// Takes it off a frame, if there is such a place, and it is in use.
    #[expect(clippy::cast_possible_truncation, reason = "two halves")]
    pub(super) fn parse<'a>(frame: &'a [u8], marks: &Marks) -> Result<(Self, &'a [u8]), Broken> {
        let (place, rest) = frame.split_first_chunk().ok_or(Broken)?;
        let place = u64::from_le_bytes(*place);
        let place = Self { slot: place as u32 as usize, len: (place >> 32) as usize };
        let mark = marks.0.get(place.slot).ok_or(Broken)?;
        if place.len > SLOT || mark.load(Ordering::Relaxed) == 0 {
            return Err(Broken);
        }
        Ok((place, rest))
    }
}

/// Which slots of a lane are lent to the reader's program.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<[bool; SLOTS]>);

impl Ledger {
    pub(crate) fn new() -> Self {
        Self(Mutex::new([false; SLOTS]))
    }

    fn with<R>(&self, f: impl FnOnce(&mut [bool; SLOTS]) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// By the reader: it has read a frame that names the slot, which must not be lent already.
    pub(crate) fn lend(&self, slot: usize) -> Result<(), Broken> {
        let was = self.with(|lent| std::mem::replace(&mut lent[slot], true));
        if was { Err(Broken) } else { Ok(()) }
    }

    /// Whoever had it has done with it. At once for those who look at the ledger, so that the writer's next frame there is
    /// none that cannot be.
    pub(crate) fn take_back(&self, slot: usize, marks: &Marks) {
        self.with(|lent| {
            lent[slot] = false;
            marks.0[slot].store(0, Ordering::Release);
        });
    }

    /// Makes the marks those of no writer: free but for what is lent.
    pub(crate) fn reset(&self, marks: &Marks) {
        self.with(|lent| {
            for (mark, lent) in marks.0.iter().zip(lent) {
                mark.store(u32::from(*lent), Ordering::Release);
            }
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
mod models;
