//! Who uses the slots of [`crate::layout`] in this process: the table that the fault handler and the
//! allocator look addresses up in. Static, because neither has anything but an address to go by.

use crate::layout::{FIRST_SLOT, GUARD_BYTES, HEAP_OFFSET, Layout, SHARED_OFFSET, SLOT_BYTES};
use crate::switch;
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use runtime_core::id::PageNo;
use runtime_core::limits::{MAX_RANKS, PAGE_SIZE};
use runtime_core::mem::PRIVATE_BASE;

/// Two saved stack pointers, at offsets that the assembly knows.
#[derive(Debug)]
#[repr(C)]
pub struct Registers {
    /// Offset 0: of the host, while the rank runs.
    pub host: AtomicUsize,
    /// Offset 8: of the rank, while it stands still.
    pub rank: AtomicUsize,
}

/// One slot.
#[derive(Debug)]
#[repr(C)]
pub struct Slot {
    /// First, so that a pointer to the slot is one to them.
    pub registers: Registers,
    /// Which memory is mapped here; 0 for none.
    pub owner: AtomicU64,
    /// End of the stack; 0 when nothing is mapped.
    pub stack_top: AtomicUsize,
    /// End of the heap.
    pub heap_end: AtomicUsize,
    /// End of the shared segment.
    pub shared_end: AtomicUsize,
    /// Is the rank to be stopped? A stop signal that comes late finds it cleared.
    pub stopping: AtomicBool,
    /// Address of the touch that the rank did not survive.
    pub crash_address: AtomicUsize,
    /// Instruction that did it; 0 for no crash.
    pub crash_instruction: AtomicUsize,
}

static SLOTS: [Slot; MAX_RANKS] = [const {
    Slot {
        registers: Registers { host: AtomicUsize::new(0), rank: AtomicUsize::new(0) },
        owner: AtomicU64::new(0),
        stack_top: AtomicUsize::new(0),
        heap_end: AtomicUsize::new(0),
        shared_end: AtomicUsize::new(0),
        stopping: AtomicBool::new(false),
        crash_address: AtomicUsize::new(0),
        crash_instruction: AtomicUsize::new(0),
    }
}; MAX_RANKS];

/// The slot with this number.
#[must_use]
pub fn get(index: usize) -> &'static Slot {
    &SLOTS[index]
}

/// The slot in whose reach the address lies, mapped or not.
#[inline]
fn reach(address: usize) -> Option<(&'static Slot, usize)> {
    let from_first = address.checked_sub(FIRST_SLOT)?;
    let slot = SLOTS.get(from_first / SLOT_BYTES)?;
    Some((slot, from_first % SLOT_BYTES))
}

/// The slot on whose stack (or its guard) the address lies.
#[inline]
#[must_use]
pub fn of_stack(address: usize) -> Option<&'static Slot> {
    let (slot, offset) = reach(address)?;
    (offset < HEAP_OFFSET && address < slot.stack_top.load(Relaxed)).then_some(slot)
}

/// The slot in whose heap the address lies.
#[inline]
#[must_use]
pub fn of_heap(address: usize) -> Option<&'static Slot> {
    let (slot, offset) = reach(address)?;
    (offset >= HEAP_OFFSET && address < slot.heap_end.load(Relaxed)).then_some(slot)
}

/// The slot that the code which calls this runs on, if it is a rank's.
#[inline]
#[must_use]
pub fn current() -> Option<&'static Slot> {
    of_stack(switch::stack_pointer())
}

impl Slot {
    /// Address of the slot.
    #[must_use]
    pub fn base(&'static self) -> usize {
        let index = (core::ptr::from_ref(self).addr() - SLOTS.as_ptr().addr()) / size_of::<Self>();
        FIRST_SLOT + index * SLOT_BYTES
    }

    /// Offset in the shared segment, when the address lies there.
    #[must_use]
    pub fn shared_offset(&'static self, address: usize) -> Option<usize> {
        let base = self.base() + SHARED_OFFSET;
        (address >= base && address < self.shared_end.load(Relaxed)).then(|| address - base)
    }

    /// The private page in which an address of the heap lies.
    #[must_use]
    pub fn heap_page(&'static self, address: usize) -> Option<PageNo> {
        let heap = self.base() + HEAP_OFFSET;
        let inside = address >= heap && address < self.heap_end.load(Relaxed);
        let stack = self.stack_top.load(Relaxed).checked_sub(self.base() + GUARD_BYTES)?;
        let index = stack / PAGE_SIZE + address.checked_sub(heap)? / PAGE_SIZE;
        let index = u32::try_from(index).ok().filter(|_| inside)?;
        Some(PageNo(PRIVATE_BASE + index))
    }

    /// Makes the slot known as mapped.
    pub fn publish(&self, layout: &Layout) {
        self.stack_top.store(layout.stack_top(), SeqCst);
        self.heap_end.store(layout.heap_base + layout.heap_bytes, SeqCst);
        self.shared_end.store(layout.shared_base + layout.shared_bytes(), SeqCst);
    }

    /// Makes the slot known as empty.
    pub fn retract(&self) {
        for end in [&self.stack_top, &self.heap_end, &self.shared_end] {
            end.store(0, SeqCst);
        }
    }
}
