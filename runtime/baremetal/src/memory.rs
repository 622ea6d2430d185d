//! The memory of one node: frames, and the page table entries through which the rank sees them.
//!
//! The runtime reaches a frame by its own address, past the rank's protection. The entry of a page is
//! all that is known of it: which frame, if any, and what the rank may do. Pages that were never
//! touched, or were reset, are zero and have no frame.

use crate::paging::{ADDRESS, NO_EXECUTE, PRESENT, Space, Tables, WRITE};
use crate::{cpu, heap};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use runtime_core::id::PageNo;
use runtime_core::limits::PAGE_SIZE;
use runtime_core::mem::{Access, PRIVATE_BASE, PageBytes, PageMem};
use runtime_driver::arena;
use runtime_driver::layout::{GUARD_BYTES, Layout};
use runtime_driver::slot;

/// In bits of an entry that the processor leaves to us: the page has a frame.
const FRAME: u64 = 1 << 11;
/// What the rank may do: 0 nothing, 1 read, 2 write. Said of pages without a frame as well. Private pages
/// may be written where this says nothing.
const ACCESS_SHIFT: u32 = 9;
const ACCESS: u64 = 3 << ACCESS_SHIFT;
/// Above this number of pages all translations are forgotten rather than each.
const FLUSH_ALL: usize = 32;

/// Page tables by their addresses.
#[derive(Clone, Copy, Debug)]
pub struct Metal;

impl Tables for Metal {
    fn entry(&self, table: usize, index: usize) -> u64 {
        // SAFETY: a table of the address space in use; the host alone reads and writes them, and the
        // processor, which sets marks in them that nobody looks at.
        unsafe { core::ptr::with_exposed_provenance::<u64>(table).add(index).read_volatile() }
    }

    fn set_entry(&mut self, table: usize, index: usize, entry: u64) {
        // SAFETY: as in `entry`.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<u64>(table).add(index).write_volatile(entry);
        }
    }

    fn new_table(&mut self) -> usize {
        heap::take_zeroed()
    }
}

/// The address space in use.
#[must_use]
pub fn space() -> Space<Metal> {
    Space::new(cpu::table(), Metal)
}

/// The entry of a page with this frame and these rights.
const fn entry(frame: Option<usize>, access: Access) -> u64 {
    let (bits, rights) = match access {
        Access::None => (0, 0),
        Access::Read => (1, PRESENT),
        Access::Write => (2, PRESENT | WRITE),
    };
    match frame {
        None => bits << ACCESS_SHIFT,
        Some(frame) => frame as u64 | FRAME | bits << ACCESS_SHIFT | rights | NO_EXECUTE,
    }
}

const fn access_of(entry: u64) -> Access {
    match (entry & ACCESS) >> ACCESS_SHIFT {
        0 => Access::None,
        1 => Access::Read,
        _ => Access::Write,
    }
}

const fn private_access(entry: u64) -> Access {
    match access_of(entry) {
        Access::Read => Access::Read,
        Access::None | Access::Write => Access::Write,
    }
}

const fn frame_of(entry: u64) -> Option<usize> {
    if entry & FRAME == 0 { None } else { Some((entry & ADDRESS) as usize) }
}

/// What a page fault is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touch {
    /// A page that was only not there yet. Now it is.
    Mapped,
    /// A page that the rank may not touch so: a shared one, or one of its heap that it may not write now.
    Asks(PageNo),
    /// The guard below a rank's stack.
    Guard,
    /// Nobody's.
    Foreign,
}

/// Deals with a page fault, of the rank or of the host on the rank's memory.
pub fn touched(address: usize, access: Access) -> Touch {
    // A node has one rank, and its memory is in slot 0.
    let slot = slot::get(0);
    let page = address & !(PAGE_SIZE - 1);
    if let Some(offset) = slot.shared_offset(page) {
        if map_if(page, access) {
            return Touch::Mapped;
        }
        return Touch::Asks(PageNo(u32::try_from(offset / PAGE_SIZE).unwrap_or(u32::MAX)));
    }
    let stack_base = slot.base() + GUARD_BYTES;
    let private = slot::of_heap(page).or(slot::of_stack(page));
    if private.is_none_or(|found| !core::ptr::eq(found, slot)) {
        return Touch::Foreign;
    }
    if page < stack_base {
        return Touch::Guard;
    }
    let mut space = space();
    let old = space.get(page);
    let allowed = private_access(old);
    if allowed < access
        && let Some(page) = slot.heap_page(page)
    {
        return Touch::Asks(page);
    }
    if frame_of(old).is_none() {
        space.set(page, entry(Some(heap::take_zeroed()), allowed));
    }
    cpu::flush(page);
    Touch::Mapped
}

/// Maps a shared page if the rank has the right and only the frame is missing.
fn map_if(page: usize, access: Access) -> bool {
    let mut space = space();
    let old = space.get(page);
    let allowed = access_of(old);
    if allowed < access {
        return false;
    }
    if frame_of(old).is_none() {
        space.set(page, entry(Some(heap::take_zeroed()), allowed));
    }
    // Else the processor looked before the entry was changed: it may look again.
    cpu::flush(page);
    true
}

/// The memory of one node; see the module.
#[derive(Debug)]
pub struct BareMem {
    layout: Layout,
    /// The stopped rank's stack pointer, shared with its context; 0 for none.
    saved: Arc<AtomicUsize>,
}

impl BareMem {
    /// Memory at the addresses of a layout, all zero. There is one such value at a time.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        slot::get(layout.slot()).publish(&layout);
        Self { layout, saved: Arc::new(AtomicUsize::new(0)) }
    }

    /// Its addresses.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The place of the stopped rank's stack pointer.
    #[must_use]
    pub fn saved(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.saved)
    }

    /// Where the rank sees a page.
    fn at(&self, page: PageNo) -> usize {
        let l = &self.layout;
        if !page.is_private() {
            assert!(page.0 < l.shared_pages, "{page} is not in the shared segment");
            return l.shared_base + page.0 as usize * PAGE_SIZE;
        }
        let index = (page.0 - PRIVATE_BASE) as usize;
        assert!(index < l.private_pages(), "{page} is not a page of this rank");
        match index.checked_sub(l.stack_pages()) {
            None => l.stack_base + index * PAGE_SIZE,
            Some(index) => l.heap_base + index * PAGE_SIZE,
        }
    }

    /// The page's frame, which it gets now if it has none.
    fn frame(&self, page: PageNo) -> *mut u8 {
        let (virt, mut space) = (self.at(page), space());
        let old = space.get(virt);
        let frame = frame_of(old).unwrap_or_else(|| {
            let access = if page.is_private() { private_access(old) } else { access_of(old) };
            let frame = heap::take_zeroed();
            space.set(virt, entry(Some(frame), access));
            frame
        });
        core::ptr::with_exposed_provenance_mut(frame)
    }

    /// Takes all frames of a part of the rank's memory away.
    fn drop_frames(start: usize, bytes: usize) {
        space().change(start, start + bytes, |old| {
            if let Some(frame) = frame_of(old) {
                heap::with_pool(|pool| pool.give_back(frame));
            }
            0
        });
        cpu::flush_all();
    }
}

impl PageMem for BareMem {
    fn read(&self, page: PageNo, into: &mut PageBytes) {
        match frame_of(space().get(self.at(page))) {
            None => into.fill(0),
            Some(frame) => {
                let frame = core::ptr::with_exposed_provenance::<u8>(frame);
                // SAFETY: a whole frame of this memory; the rank does not run meanwhile.
                unsafe { frame.copy_to_nonoverlapping(into.as_mut_ptr(), PAGE_SIZE) };
            }
        }
    }

    fn write(&mut self, page: PageNo, from: &PageBytes) {
        // SAFETY: as in `read`.
        unsafe { self.frame(page).copy_from_nonoverlapping(from.as_ptr(), PAGE_SIZE) };
    }

    fn patch(&mut self, page: PageNo, offset: usize, bytes: &[u8]) {
        assert!(
            offset <= PAGE_SIZE && bytes.len() <= PAGE_SIZE - offset,
            "a patch of {page} leaves the page"
        );
        // SAFETY: within the page, as just checked; else as in `read`.
        unsafe {
            self.frame(page).add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len())
        };
    }

    fn protect(&mut self, pages: Range<u32>, access: Access) {
        let (first, end) = (pages.start, pages.end);
        if first >= end {
            return;
        }
        let mut space = space();
        let (start, stop) = (self.at(PageNo(first)), self.at(PageNo(end - 1)) + PAGE_SIZE);
        if access == Access::None {
            space.change(start, stop, |old| entry(frame_of(old), access));
        } else {
            for virt in (start..stop).step_by(PAGE_SIZE) {
                let old = space.get(virt);
                space.set(virt, entry(frame_of(old), access));
            }
        }
        if (stop - start) / PAGE_SIZE > FLUSH_ALL {
            cpu::flush_all();
        } else {
            (start..stop).step_by(PAGE_SIZE).for_each(cpu::flush);
        }
    }

    fn reset_shared(&mut self) {
        Self::drop_frames(self.layout.shared_base, self.layout.shared_bytes());
    }

    fn reset_private(&mut self) {
        self.saved.store(0, SeqCst);
        Self::drop_frames(self.layout.stack_base, self.layout.stack_bytes);
        Self::drop_frames(self.layout.heap_base, self.layout.heap_bytes);
    }

    fn private_in_use(&self) -> Vec<Range<u32>> {
        let mut first = [0; PAGE_SIZE];
        self.read(PageNo(self.heap_start()), &mut first);
        let mut header = [0; arena::HEADER_BYTES];
        header.copy_from_slice(&first[..arena::HEADER_BYTES]);
        arena::private_in_use(&self.layout, self.saved.load(SeqCst), &header)
    }

    fn heap_start(&self) -> u32 {
        PRIVATE_BASE + self.layout.first_heap_page()
    }

    fn context(&self) -> u64 {
        self.saved.load(SeqCst) as u64
    }

    fn set_context(&mut self, context: u64) {
        // What does not fit an address is caught as bad when the rank is to continue there.
        self.saved.store(usize::try_from(context).unwrap_or(usize::MAX), SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_says_all_of_a_page() {
        for access in [Access::None, Access::Read, Access::Write] {
            for frame in [None, Some(0x12_3000)] {
                let entry = entry(frame, access);
                assert_eq!((frame_of(entry), access_of(entry)), (frame, access));
                // The processor lets through what is allowed, and only where there is a frame.
                let there = frame.is_some() && access > Access::None;
                assert_eq!(entry & PRESENT != 0, there);
                assert_eq!(entry & WRITE != 0, there && access == Access::Write);
            }
        }
        // What a table holds at first.
        assert_eq!(entry(None, Access::None), 0);
    }
}
