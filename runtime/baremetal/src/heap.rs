//! The runtime's own heap, and the end of all memory.

use crate::fatal;
use crate::frames::{FRAME, Metal, Pool};
use crate::one::One;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::NonNull;
use runtime_driver::arena::Below;
use talc::DefaultBinning;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

/// The heap grows by at least so much at a time.
const STEP: usize = 16 * FRAME;

/// All memory that there is.
static POOL: One<Pool<Metal>> = One::new(Pool::empty(Metal));
static HEAP: One<Talc<Grow, DefaultBinning>> = One::new(Talc::new(Grow { end: None }));

/// Gives the allocator the next part of the memory.
#[derive(Debug)]
struct Grow {
    end: Option<NonNull<u8>>,
}

// SAFETY: hands out each byte of the memory once, and does not allocate.
unsafe impl Source for Grow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, shape: Layout) -> Result<(), ()> {
        // Room for the block, for talc's tags and, the first time, for its table of bins.
        let wanted = shape.size().checked_add(shape.align()).and_then(|b| b.checked_add(STEP));
        let (start, end) = with_pool(|pool| pool.grow(wanted?)).ok_or(())?;
        let at = core::ptr::with_exposed_provenance_mut;
        // SAFETY: the pool gives this memory to nobody else, and each part of it follows the one before.
        let grown = unsafe {
            match talc.source.end {
                None => talc.claim(at(start), end - start),
                Some(old) => Some(talc.extend(old, at(end))),
            }
        };
        talc.source.end = Some(grown.ok_or(())?);
        Ok(())
    }
}

/// Lets `use_it` work on the memory that nobody has yet. It must not allocate.
pub fn with_pool<R>(use_it: impl FnOnce(&mut Pool<Metal>) -> R) -> R {
    // SAFETY: the pool itself calls nobody, and its users do not come back here.
    use_it(unsafe { POOL.borrow() })
}

/// Most bytes of the machine's memory that were ever in use, the image among them.
#[must_use]
pub fn peak() -> usize {
    let image = crate::image::get().map_or(0, |image| image.end - image.start);
    image + with_pool(|pool| pool.peak())
}

/// A frame, zeroed; ends the machine when there is none.
pub fn take_zeroed() -> usize {
    let Some(frame) = with_pool(Pool::take) else { exhausted(FRAME) };
    // SAFETY: the frame is nobody's but the caller's.
    unsafe { core::ptr::with_exposed_provenance_mut::<u8>(frame).write_bytes(0, FRAME) };
    frame
}

/// Says that memory is exhausted, and ends the machine.
pub fn exhausted(wanted: usize) -> ! {
    let (used, total) = with_pool(|pool| (pool.used(), pool.total()));
    let (used, total) = (used >> 20, total >> 20);
    fatal::end_with(format_args!(
        "out of memory: {used} MiB of {total} MiB in use, {wanted} bytes more wanted; raise the node's memory in the topology"
    ))
}

/// The heap as an allocator. It never fails, but ends the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostHeap;

impl Below for HostHeap {
    fn complain(&self, text: &str) {
        fatal::remark(text.trim_end());
    }
}

// SAFETY: talc keeps the contract, and nobody comes in twice: talc calls nobody but the source above.
unsafe impl GlobalAlloc for HostHeap {
    unsafe fn alloc(&self, shape: Layout) -> *mut u8 {
        // SAFETY: one borrow at a time, as just said; a layout is never of size 0 here.
        match unsafe { HEAP.borrow().allocate(shape) } {
            Some(block) => block.as_ptr(),
            None => exhausted(shape.size()),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, shape: Layout) {
        // SAFETY: as in `alloc`; the block is from there, as the caller promises.
        unsafe { HEAP.borrow().deallocate(block, shape) };
    }

    unsafe fn realloc(&self, block: *mut u8, shape: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`; the new shape is valid because the caller promises so, and the
        // old one covers what is copied.
        unsafe {
            if HEAP.borrow().try_realloc_in_place(block, shape, new_size) {
                return block;
            }
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, shape.align()));
            new.copy_from_nonoverlapping(block, shape.size().min(new_size));
            self.dealloc(block, shape);
            new
        }
    }
}
