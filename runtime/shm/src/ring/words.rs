//! Frames that the other side may write to at any moment, as a guest of the same board may: they go in and out in words
//! that are atomic, so that all that can come of it is other bytes.
//!
//! A frame begins at a multiple of 8 bytes, and the room of one of any length ends at a multiple, too.

use super::{GRAIN, INLINE};

const _: () = assert!(INLINE.is_multiple_of(8) && GRAIN.is_multiple_of(8));

#[cfg(not(loom))]
pub(super) use memory::{copy_in, copy_out};
#[cfg(loom)]
pub(super) use model::{copy_in, copy_out};

#[cfg(not(loom))]
mod memory {
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Writes a frame to its place in a lane.
    ///
    /// # Safety
    /// The lane is mapped, and has room for the frame there.
    pub(in super::super) unsafe fn copy_in(frame: &[u8], to: *mut u8) {
        let (words, rest) = frame.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(last);
        for (at, word) in words.iter().copied().chain(last).enumerate() {
            // SAFETY: within the room.
            unsafe { word_at(to, at) }.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    /// Copies a frame of so many bytes out of its place in a lane, in place of what is in `to`.
    ///
    /// # Safety
    /// The lane is mapped, and a frame of this length may lie there.
    pub(in super::super) unsafe fn copy_out(from: *mut u8, len: usize, to: &mut Vec<u8>) {
        to.clear();
        to.reserve(len.next_multiple_of(8));
        for at in 0..len.div_ceil(8) {
            // SAFETY: within the room.
            let word = unsafe { word_at(from, at) }.load(Ordering::Relaxed);
            to.extend_from_slice(&word.to_ne_bytes());
        }
        to.truncate(len);
    }

    /// # Safety
    /// The word lies in the room of a frame.
    unsafe fn word_at<'a>(frame: *mut u8, at: usize) -> &'a AtomicU64 {
        // SAFETY: mapped and aligned, see the module; whoever else has the lane uses such words, too.
        unsafe { AtomicU64::from_ptr(frame.cast::<u64>().add(at)) }
    }
}

/// A model's cells see races by themselves.
#[cfg(loom)]
mod model {
    use std::slice;

    /// # Safety
    /// Room for the frame.
    pub(in super::super) unsafe fn copy_in(frame: &[u8], to: *mut u8) {
        // SAFETY: so the caller says.
        unsafe { slice::from_raw_parts_mut(to, frame.len()) }.copy_from_slice(frame);
    }

    /// # Safety
    /// A frame of this length.
    pub(in super::super) unsafe fn copy_out(from: *mut u8, len: usize, to: &mut Vec<u8>) {
        to.clear();
        // SAFETY: so the caller says.
        to.extend_from_slice(unsafe { slice::from_raw_parts(from, len) });
    }
}
