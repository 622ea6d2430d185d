//! The heap of a rank, behind the global allocator.
//!
//! Whoever allocates on a rank's stack gets memory of that rank's heap, everybody else gets the
//! host's. All state of the allocator lies at the start of the heap itself, so it is copied and
//! restored with it, and a heap of zeroes is a valid empty one.

use crate::layout::{HEAP_OFFSET, Layout};
use crate::slot::{self, Slot};
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout as Shape};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;
use runtime_core::limits::PAGE_SIZE;
use runtime_core::mem::PRIVATE_BASE;
use talc::DefaultBinning;
use talc::base::{Talc, binning::Binning};
use talc::source::Source;

/// Bytes of the heap by which the part in use grows.
const STEP: usize = 16 * PAGE_SIZE;
/// Bytes at the start of the heap that say how much of it is in use.
pub const HEADER_BYTES: usize = 16;

/// The heap's first bytes.
#[repr(C)]
struct Header {
    /// 0: nothing was ever allocated, and `talc` is not there yet.
    ready: u64,
    /// Address of the first byte never used.
    high: u64,
    talc: Talc<Grow, DefaultBinning>,
}

const _: () = assert!(core::mem::offset_of!(Header, talc) >= HEADER_BYTES);

/// Gives the allocator the next part of the heap.
#[derive(Debug)]
struct Grow {
    high: usize,
    limit: usize,
    end: Option<NonNull<u8>>,
}

// SAFETY: hands out each byte of the heap once, and does not allocate.
unsafe impl Source for Grow {
    fn acquire<B: Binning>(talc: &mut Talc<Self, B>, shape: Shape) -> Result<(), ()> {
        let Self { high, limit, end } = talc.source;
        // Room for the block, for talc's tags and, the first time, for its table of bins.
        let wanted = shape.size().checked_add(shape.align()).and_then(|b| b.checked_add(STEP));
        let wanted = wanted.and_then(|b| b.checked_next_multiple_of(STEP)).ok_or(())?;
        let new = high.checked_add(wanted).ok_or(())?.min(limit);
        if new <= high {
            return Err(());
        }
        let start = core::ptr::with_exposed_provenance_mut(high);
        // SAFETY: from `high` to `limit` is the rank's own mapped heap, in nobody's use so far.
        let grown = unsafe {
            match end {
                None => talc.claim(start, new - high),
                Some(end) => Some(talc.extend(end, core::ptr::with_exposed_provenance_mut(new))),
            }
        };
        talc.source.end = Some(grown.ok_or(())?);
        talc.source.high = new;
        Ok(())
    }
}

/// Bytes of the heap in use, from a copy of its first bytes.
fn high_water(header: &[u8; HEADER_BYTES], layout: &Layout) -> usize {
    let (ready, high) = header.split_at(8);
    let high = high.iter().rev().fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
    if ready.iter().all(|byte| *byte == 0) {
        return 0;
    }
    high.saturating_sub(layout.heap_base).min(layout.heap_bytes)
}

/// Runs of private pages in use by a rank that stands still at `rsp`, as
/// [`PageMem::private_in_use`](runtime_core::mem::PageMem::private_in_use) wants them. `header` is a copy of the
/// first bytes of its heap.
#[must_use]
pub fn private_in_use(l: &Layout, rsp: usize, header: &[u8; HEADER_BYTES]) -> Vec<Range<u32>> {
    let number = |index: usize| PRIVATE_BASE + u32::try_from(index).unwrap_or(u32::MAX);
    let mut runs = Vec::with_capacity(2);
    if (l.stack_base..l.stack_top()).contains(&rsp) {
        runs.push(number((rsp - l.stack_base) / PAGE_SIZE)..number(l.stack_pages()));
    }
    let used = high_water(header, l).div_ceil(PAGE_SIZE);
    if used > 0 {
        runs.push(number(l.stack_pages())..number(l.stack_pages() + used));
    }
    runs
}

/// What is under the ranks of a binary: its own allocator, and a way to complain.
pub trait Below: GlobalAlloc {
    /// Says something to people, without allocating.
    fn complain(&self, text: &str);
}

/// The global allocator of a binary that runs ranks, over that of the host.
#[derive(Clone, Copy, Debug, Default)]
pub struct RankAllocator<B>(pub B);

/// Lets `use_it` work on the allocator of a slot.
///
/// # Safety
/// The slot is mapped, and its rank is who calls.
unsafe fn with_talc<R>(
    slot: &'static Slot,
    use_it: impl FnOnce(&mut Talc<Grow, DefaultBinning>) -> R,
) -> R {
    let base = slot.base() + HEAP_OFFSET;
    let header = core::ptr::with_exposed_provenance_mut::<Header>(base);
    // SAFETY: mapped, zeroed at first, and only one rank works on it, which is not here already: no
    // code of the allocator allocates.
    unsafe {
        if (*header).ready == 0 {
            let limit = slot.heap_end.load(Relaxed);
            let high = (base + size_of::<Header>()).next_multiple_of(64);
            (&raw mut (*header).talc).write(Talc::new(Grow { high, limit, end: None }));
            (*header).ready = 1;
        }
        let result = use_it(&mut (*header).talc);
        (*header).high = (*header).talc.source.high as u64;
        result
    }
}

/// Whoever asked will most likely end the node, so say why.
const FULL: &str = "understudy: the rank's heap is full: raise runtime.heap in the topology\n";

// SAFETY: both allocators keep the contract, and which of them a block is from is told by its address.
unsafe impl<B: Below> GlobalAlloc for RankAllocator<B> {
    unsafe fn alloc(&self, shape: Shape) -> *mut u8 {
        let Some(slot) = slot::current() else {
            // SAFETY: as the caller promises.
            return unsafe { self.0.alloc(shape) };
        };
        // SAFETY: code on this rank's stack; a layout is never of size 0 here.
        let block = unsafe { with_talc(slot, |talc| talc.allocate(shape)) };
        block.map_or_else(
            || {
                self.0.complain(FULL);
                core::ptr::null_mut()
            },
            NonNull::as_ptr,
        )
    }

    unsafe fn dealloc(&self, block: *mut u8, shape: Shape) {
        match slot::of_heap(block.addr()) {
            // SAFETY: a block of this heap, freed by its rank.
            Some(slot) => unsafe { with_talc(slot, |talc| talc.deallocate(block, shape)) },
            // SAFETY: as the caller promises.
            None => unsafe { self.0.dealloc(block, shape) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, shape: Shape, new_size: usize) -> *mut u8 {
        let Some(slot) = slot::of_heap(block.addr()) else {
            // SAFETY: as the caller promises.
            return unsafe { self.0.realloc(block, shape, new_size) };
        };
        // SAFETY: a block of this heap, in the hands of its rank; the new shape is valid because the
        // caller promises so, and the old one covers what is copied.
        unsafe {
            if with_talc(slot, |talc| talc.try_realloc_in_place(block, shape, new_size)) {
                return block;
            }
            let new = self.alloc(Shape::from_size_align_unchecked(new_size, shape.align()));
            if !new.is_null() {
                block.copy_to_nonoverlapping(new, shape.size().min(new_size));
                self.dealloc(block, shape);
            }
            new
        }
    }
}
