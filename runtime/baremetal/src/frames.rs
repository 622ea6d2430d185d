//! The memory that nobody has yet: one piece of it, from the end of the image to the end of what the machine has. The
//! runtime's heap grows into it from below; frames of 4 KiB are taken from above, and taken again when
//! they were given back.
//!
//! ```text
//! image │ heap ───▶                 ◀─── frames │
//!       └──────────┴─────── free ───┴───────────┘
//! ```
//!
//! Where the two meet memory is exhausted, for both alike.

/// Bytes of a frame.
pub const FRAME: usize = 4096;

/// Where frames lie, as addresses of the processor, for the list of free ones goes through them.
///
/// # Safety
/// `read` gives what `write` wrote, as long as the frame is free.
pub unsafe trait Words {
    /// The first word of a frame.
    fn read(&self, frame: usize) -> usize;
    /// Sets it.
    fn write(&self, frame: usize, word: usize);
}

/// Memory by its address.
#[derive(Clone, Copy, Debug)]
pub struct Metal;

// SAFETY: plain memory.
unsafe impl Words for Metal {
    fn read(&self, frame: usize) -> usize {
        // SAFETY: only used on free frames of memory that the pool was given, which is mapped to itself.
        unsafe { core::ptr::with_exposed_provenance::<usize>(frame).read() }
    }

    fn write(&self, frame: usize, word: usize) {
        // SAFETY: as in `read`.
        unsafe { core::ptr::with_exposed_provenance_mut::<usize>(frame).write(word) };
    }
}

/// See the module.
#[derive(Debug)]
pub struct Pool<W> {
    words: W,
    start: usize,
    /// End of the heap.
    low: usize,
    /// Lowest frame ever taken.
    high: usize,
    end: usize,
    /// First of the frames that were given back; 0 for none. Each holds the address of the next.
    free: usize,
    /// Frames that were given back.
    returned: usize,
}

impl<W: Words> Pool<W> {
    /// No memory at all.
    pub const fn empty(words: W) -> Self {
        Self { words, start: 0, low: 0, high: 0, end: 0, free: 0, returned: 0 }
    }

    /// The memory from `start` to `end`, rounded inwards to whole frames. Whatever was handed out
    /// before is not known any more.
    pub fn give(&mut self, start: usize, end: usize) {
        let start = start.next_multiple_of(FRAME);
        let end = (end & !(FRAME - 1)).max(start);
        (self.start, self.low, self.high, self.end) = (start, start, end, end);
        (self.free, self.returned) = (0, 0);
    }

    /// A frame, with whatever it contains.
    pub fn take(&mut self) -> Option<usize> {
        if self.free != 0 {
            let frame = self.free;
            self.free = self.words.read(frame);
            self.returned -= 1;
            return Some(frame);
        }
        if self.high - self.low < FRAME {
            return None;
        }
        self.high -= FRAME;
        Some(self.high)
    }

    /// Frames side by side that were never in use; the address of the lowest. They should not come back.
    pub fn take_run(&mut self, frames: usize) -> Option<usize> {
        let bytes = frames.checked_mul(FRAME)?;
        if self.high - self.low < bytes {
            return None;
        }
        self.high -= bytes;
        Some(self.high)
    }

    /// Takes a frame back, which nobody uses any more.
    pub fn give_back(&mut self, frame: usize) {
        debug_assert!(self.high <= frame && frame < self.end && frame.is_multiple_of(FRAME));
        self.words.write(frame, self.free);
        self.free = frame;
        self.returned += 1;
    }

    /// Makes the heap longer by at least `bytes`: the new part, by its two ends.
    pub fn grow(&mut self, bytes: usize) -> Option<(usize, usize)> {
        let new = self.low.checked_add(bytes)?.checked_next_multiple_of(FRAME)?;
        if new > self.high {
            return None;
        }
        let old = core::mem::replace(&mut self.low, new);
        Some((old, new))
    }

    /// Bytes that are in use: heap and frames.
    pub const fn used(&self) -> usize {
        (self.low - self.start) + (self.end - self.high) - self.returned * FRAME
    }

    /// Most bytes that were ever in use or set aside: neither end ever goes back.
    pub const fn peak(&self) -> usize {
        (self.low - self.start) + (self.end - self.high)
    }

    /// All bytes that there are.
    pub const fn total(&self) -> usize {
        self.end - self.start
    }
}

#[cfg(test)]
mod tests;
