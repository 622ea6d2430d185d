//! Pages as they were at an instant, while the rank goes on and writes them: copy on write.
//!
//! At a checkpoint the pages that it may have to save are *frozen*: none of them may be written without
//! a fault, so that whoever is about to write one says so first ([`Frozen::keep`]), and the page is copied
//! then. A page that nobody writes is never copied: [`Frozen::take`] reads it where it is.
//!
//! Shared pages at home fault on their first write after a checkpoint in any case, and diffs of others are
//! applied by the core itself. Pages of the heap are write-protected for the time ([`PageMem::protect`]);
//! a fault on one copies its neighbours too, so that a rank that sweeps over its heap faults seldom. Pages of
//! the stack cannot be protected, for faults are dealt with on it: those in use are copied at once.
//!
//! A copy is given up when its page is taken, so that copies and what is staged of them are together never more
//! than the pages that the rank had when they were frozen.

use crate::id::PageNo;
use crate::limits::{COPY_RUN as RUN, PAGE_SIZE};
use crate::mem::{Access, PageBytes, PageMem};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Frozen {
    /// In ascending order; those before `next` were taken.
    pages: Vec<PageNo>,
    next: usize,
    /// The first page of the heap.
    heap: u32,
    /// Of pages that were written meanwhile: what they were. And those of the stack.
    copies: BTreeMap<PageNo, Box<PageBytes>>,
    copied: u64,
}

impl Frozen {
    /// Freezes these shared pages, of which none may be written without a fault, and the private state.
    pub fn new(mut pages: Vec<PageNo>, mem: &mut dyn PageMem) -> Self {
        let heap = mem.heap_start();
        let mut copies = BTreeMap::new();
        for run in mem.private_in_use() {
            let stack = (run.start..run.end.min(heap)).map(PageNo);
            copies.extend(stack.map(|page| (page, read(page, mem))));
            mem.protect(run.start.max(heap)..run.end, Access::Read);
            pages.extend(run.map(PageNo));
        }
        Self { pages, next: 0, heap, copies, copied: 0 }
    }

    /// How many pages were copied because they were to be written.
    #[must_use]
    pub const fn copied(&self) -> u64 {
        self.copied
    }

    fn holds(&self, page: PageNo) -> bool {
        self.pages.get(self.next..).is_some_and(|left| left.binary_search(&page).is_ok())
    }

    /// The page is about to be written: copies it if it was not yet.
    pub fn keep(&mut self, page: PageNo, mem: &dyn PageMem) {
        if self.holds(page) && !self.copies.contains_key(&page) {
            self.copied += 1;
            self.copies.insert(page, read(page, mem));
        }
    }

    /// The rank is about to write a page of its heap: it may, and may write those beside it.
    pub fn write_private(&mut self, page: PageNo, mem: &mut dyn PageMem) {
        let run = self.run(page);
        let mut last = page.0;
        for other in run.clone().map(PageNo) {
            if self.holds(other) {
                self.keep(other, mem);
                last = last.max(other.0);
            }
        }
        mem.protect(run.start..last + 1, Access::Write);
    }

    /// The pages of the heap that go together with this one.
    fn run(&self, page: PageNo) -> Range<u32> {
        let start = page.0 / RUN * RUN;
        start.max(self.heap)..start + RUN
    }

    /// The next page, in ascending order, as it was; it may be written again.
    pub fn take(&mut self, mem: &mut dyn PageMem) -> Option<(PageNo, Box<PageBytes>)> {
        let page = *self.pages.get(self.next)?;
        self.next += 1;
        let bytes = self.copies.remove(&page).unwrap_or_else(|| read(page, mem));
        if page.0 >= self.heap {
            let run = self.run(page);
            let goes_on = self.pages.get(self.next).is_some_and(|next| run.contains(&next.0));
            if !goes_on {
                mem.protect(run.start..page.0 + 1, Access::Write);
            }
        }
        Some((page, bytes))
    }
}

fn read(page: PageNo, mem: &dyn PageMem) -> Box<PageBytes> {
    let mut bytes = Box::new([0; PAGE_SIZE]);
    mem.read(page, &mut bytes);
    bytes
}
