//! Where the image lies in memory, and the map of the machine that goes with it.

use crate::memory;
use crate::one::One;
use crate::paging::{LARGE, LARGE_PAGE, NO_EXECUTE, PAGE, PRESENT, UNCACHED, WRITE};
use crate::start::Piece;
use core::ops::Range;

/// Addresses of the parts of an image, each on pages of its own, one after the other.
#[derive(Clone, Debug)]
pub struct Image {
    /// First byte.
    pub start: usize,
    /// End of the code.
    pub text_end: usize,
    /// End of constants, the first values of variables among them.
    pub rodata_end: usize,
    /// End of everything.
    pub end: usize,
    /// Stack of last words, see [`crate::descriptors`].
    pub fatal_stack: Range<usize>,
    /// Stack of traps.
    pub trap_stack: Range<usize>,
    /// Stack of the host.
    pub host_stack: Range<usize>,
}

/// The image that runs.
static IMAGE: One<Option<Image>> = One::new(None);
/// Devices: the virtio ones, the outer interrupt controllers, the processor's.
const DEVICES: [usize; 3] = [0xfeb0_0000, 0xfec0_0000, 0xfee0_0000];
/// What the image is entered with is mapped up to here.
const MAPPED: usize = 1 << 32;

/// The image that runs, once it is known.
pub(crate) fn get() -> Option<&'static Image> {
    // SAFETY: written once, by `Image::settle`.
    unsafe { (*IMAGE.get()).as_ref() }
}

impl Image {
    /// Is there code at this address?
    #[must_use]
    pub(crate) fn has_code(&self, address: usize) -> bool {
        (self.start..self.text_end).contains(&address)
    }

    /// The bytes that were loaded: code, constants, first values of variables.
    ///
    /// # Safety
    /// The addresses are right.
    #[must_use]
    pub unsafe fn loaded(&self) -> &'static [u8] {
        let bytes = core::ptr::with_exposed_provenance(self.start);
        // SAFETY: as the caller promises; none of it is ever written.
        unsafe { core::slice::from_raw_parts(bytes, self.rodata_end - self.start) }
    }

    /// Gives each part its rights, takes the page below each stack out of the map, and all
    /// addresses that are neither memory nor devices. Code is not written, all else is not executed.
    ///
    /// # Safety
    /// The addresses are right; called once, with the tables of the entry, and free memory in the pool.
    pub unsafe fn settle(self, map: &[Piece]) {
        let mut space = memory::space();
        for at in (0..MAPPED).step_by(LARGE_PAGE) {
            let rights = if DEVICES.iter().any(|device| device & !(LARGE_PAGE - 1) == at) {
                PRESENT | WRITE | NO_EXECUTE | UNCACHED | LARGE
            } else if map.iter().any(|piece| piece.is_memory_in(at..at + LARGE_PAGE)) {
                PRESENT | WRITE | NO_EXECUTE | LARGE
            } else {
                space.set_large(at, 0);
                continue;
            };
            // The image goes on running from the page it is in, until its parts are set below.
            if !(self.start & !(LARGE_PAGE - 1)..self.end).contains(&at) {
                space.set_large(at, at as u64 | rights);
            }
        }
        let guards = [&self.fatal_stack, &self.trap_stack, &self.host_stack];
        let last = self.end.next_multiple_of(LARGE_PAGE);
        for at in (self.start & !(LARGE_PAGE - 1)..last).step_by(PAGE) {
            let rights = match at {
                // A null pointer leads nowhere.
                0 => 0,
                _ if guards.iter().any(|stack| at + PAGE == stack.start) => 0,
                _ if self.has_code(at) => PRESENT,
                _ if (self.start..self.rodata_end).contains(&at) => PRESENT | NO_EXECUTE,
                _ => PRESENT | WRITE | NO_EXECUTE,
            };
            space.set(at, if rights == 0 { 0 } else { at as u64 | rights });
        }
        crate::cpu::flush_all();
        // SAFETY: nobody reads it yet.
        unsafe { *IMAGE.borrow() = Some(self) };
    }
}
