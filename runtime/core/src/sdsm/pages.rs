//! The page table of one rank: who is home of what, and what this rank may do with it now.

use super::Runs;
use super::message::{emit_distribution, parse_distribution};
use crate::id::{PageNo, Rank};
use crate::limits::{MAX_ALLOCATIONS, PAGE_SIZE};
use crate::mem::{Access, PageMem};
use crate::node::{CallError, Distribution};
use crate::wire::{Malformed, Reader, Writer};
use alloc::vec::Vec;

/// Bytes of an allocation, and of a page spread by first touch, in [`Pages::emit`].
pub(super) const ALLOCATION_BYTES: u64 = 9;
pub(super) const TOUCH_BYTES: u64 = 8;

/// Home of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    /// Not allocated.
    Nobody,
    /// Spread by first touch, and this rank has not asked yet.
    Unknown,
    /// This rank.
    Rank(Rank),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub(super) home: Home,
    pub(super) access: Access,
    /// At home: written since the last checkpoint.
    unsaved: bool,
    /// At home: another rank may have a copy, fetched when it had passed so many collective calls.
    copied: Option<u32>,
    /// In the directory of this rank: who touched the page first.
    first: Option<Rank>,
}

const EMPTY: Page =
    Page { home: Home::Nobody, access: Access::None, unsaved: false, copied: None, first: None };

#[derive(Clone, Debug)]
pub(super) struct Pages {
    table: Vec<Page>,
    allocated: u32,
    /// Every allocation: pages and distribution. Homes follow from it, but for first touch.
    allocations: Vec<(u32, Distribution)>,
}

impl Pages {
    pub(super) fn new(shared: u32) -> Self {
        let count = usize::try_from(shared).unwrap_or(0);
        Self { table: alloc::vec![EMPTY; count], allocated: 0, allocations: Vec::new() }
    }

    /// Is this a page of the segment?
    pub(super) fn contains(&self, page: PageNo) -> bool {
        usize::try_from(page.0).is_ok_and(|i| i < self.table.len())
    }

    pub(super) fn get(&self, page: PageNo) -> Page {
        usize::try_from(page.0).ok().and_then(|i| self.table.get(i)).copied().unwrap_or(EMPTY)
    }

    fn entry(&mut self, page: PageNo) -> Option<&mut Page> {
        self.table.get_mut(usize::try_from(page.0).ok()?)
    }

    /// Which rank knows who touched a page first.
    pub(super) fn directory(page: PageNo, ranks: u16) -> Rank {
        Rank(u16::try_from(page.0 % u32::from(ranks)).unwrap_or_default())
    }

    /// The first to touch a page, as its directory records it now if nobody did before.
    pub(super) fn touch(&mut self, page: PageNo, by: Rank) -> Option<Rank> {
        Some(*self.entry(page)?.first.get_or_insert(by))
    }

    pub(super) fn set_home(&mut self, page: PageNo, home: Rank) {
        if let Some(entry) = self.entry(page)
            && entry.home == Home::Unknown
        {
            entry.home = Home::Rank(home);
        }
    }

    pub(super) fn set_access(&mut self, page: PageNo, access: Access, mem: &mut dyn PageMem) {
        if let Some(entry) = self.entry(page) {
            entry.access = access;
            mem.protect(page.0..page.0 + 1, access);
        }
    }

    /// Sets many pages, in ascending order, with few calls to the driver.
    pub(super) fn set_access_all(
        &mut self,
        pages: impl IntoIterator<Item = PageNo>,
        access: Access,
        mem: &mut dyn PageMem,
    ) {
        let runs = pages.into_iter().filter(|page| {
            self.entry(*page).is_some_and(|e| core::mem::replace(&mut e.access, access) != access)
        });
        let runs: Runs = runs.collect();
        runs.runs().for_each(|run| mem.protect(run, access));
    }

    /// At home: the page was written, by this rank or by a diff.
    pub(super) fn mark_unsaved(&mut self, page: PageNo) {
        if let Some(entry) = self.entry(page) {
            entry.unsaved = true;
        }
    }

    /// At home: somebody who passed so many collective calls has a copy now.
    pub(super) fn mark_copied(&mut self, page: PageNo, passed: u32) {
        if let Some(entry) = self.entry(page) {
            entry.copied = entry.copied.max(Some(passed));
        }
    }

    pub(super) fn is_copied(&self, page: PageNo) -> bool {
        self.get(page).copied.is_some()
    }

    /// At home: all others gave up their copies at collective call `seq`, unless fetched after it.
    pub(super) fn forget_copies(&mut self, page: PageNo, seq: u32) {
        if let Some(entry) = self.entry(page) {
            entry.copied.take_if(|passed| *passed < seq);
        }
    }

    /// Allocates on this rank; all ranks do the same, in the same order. The offset in bytes.
    pub(super) fn allocate(
        &mut self,
        (me, ranks): (Rank, u16),
        bytes: u64,
        distribution: Distribution,
        mem: &mut dyn PageMem,
    ) -> Result<u64, CallError> {
        let page_size = u64::try_from(PAGE_SIZE).unwrap_or(u64::MAX);
        let count = bytes.div_ceil(page_size);
        let room = self.table.len() - usize::try_from(self.allocated).unwrap_or(0);
        if bytes == 0 || !is_valid(distribution, ranks) {
            return Err(CallError::BadArgument);
        }
        let count = u32::try_from(count).map_err(|_| CallError::NoMemory)?;
        if usize::try_from(count).map_or(true, |count| count > room)
            || self.allocations.len() >= MAX_ALLOCATIONS
        {
            return Err(CallError::NoMemory);
        }
        let first = self.allocated;
        self.place(first, count, distribution, ranks);
        self.allocations.push((count, distribution));
        self.allocated += count;
        let mine = (first..first + count).map(PageNo);
        let mine: Vec<_> = mine.filter(|p| self.get(*p).home == Home::Rank(me)).collect();
        self.set_access_all(mine, Access::Read, mem);
        Ok(u64::from(first) * page_size)
    }

    fn place(&mut self, first: u32, count: u32, distribution: Distribution, ranks: u16) {
        let n = u32::from(ranks);
        for i in 0..count {
            let rank = |r: u32| Home::Rank(Rank(u16::try_from(r).unwrap_or_default()));
            let home = match distribution {
                // Block r is [r*count/n, (r+1)*count/n): page i is in block (i*n + n-1) / count or
                // the one before; this form is exact for both.
                Distribution::Block => rank(block_of(i, count, n)),
                Distribution::Cyclic(run) => rank((i / run) % n),
                Distribution::On(owner) => Home::Rank(owner),
                Distribution::FirstTouch => Home::Unknown,
            };
            if let Some(entry) = self.entry(PageNo(first + i)) {
                // Only the home: another rank may have been quicker, and its fetches and diffs are
                // recorded here already.
                entry.home = home;
            }
        }
    }

    /// Home pages of `me` written since the last call, write-protected again.
    pub(super) fn take_unsaved(&mut self, me: Rank, mem: &mut dyn PageMem) -> Vec<PageNo> {
        let mut unsaved = Vec::new();
        for page in (0..self.allocated).map(PageNo) {
            if let Some(entry) = self.entry(page)
                && entry.home == Home::Rank(me)
                && core::mem::take(&mut entry.unsaved)
            {
                unsaved.push(page);
            }
        }
        let writable = unsaved.iter().copied();
        let writable: Vec<_> =
            writable.filter(|page| self.get(*page).access == Access::Write).collect();
        self.set_access_all(writable, Access::Read, mem);
        unsaved
    }

    pub(super) fn emit(&self, w: &mut Writer) {
        w.u32(u32::try_from(self.allocations.len()).unwrap_or(u32::MAX));
        for (count, distribution) in &self.allocations {
            w.u32(*count);
            emit_distribution(w, *distribution);
        }
        let mut touched = Writer::new();
        let mut n = 0u32;
        let first_touch = self.first_touch_pages();
        for page in first_touch {
            let entry = self.get(page);
            let home = if let Home::Rank(home) = entry.home { Some(home) } else { None };
            if home.is_some() || entry.first.is_some() {
                let code = |rank: Option<Rank>| rank.map_or(u16::MAX, |rank| rank.0);
                touched.u32(page.0).u16(code(home)).u16(code(entry.first));
                n += 1;
            }
        }
        w.u32(n).bytes(&touched.into_vec());
    }

    fn first_touch_pages(&self) -> Vec<PageNo> {
        let mut pages = Vec::new();
        let mut at = 0;
        for (count, distribution) in &self.allocations {
            if *distribution == Distribution::FirstTouch {
                pages.extend((at..at + count).map(PageNo));
            }
            at += count;
        }
        pages
    }

    pub(super) fn parse(&mut self, r: &mut Reader<'_>, ranks: u16) -> Result<(), Malformed> {
        let count = r.u32("allocation count")?;
        for _ in 0..count {
            let (pages, distribution) = (r.u32("pages")?, parse_distribution(r)?);
            let end = self.allocated.checked_add(pages).and_then(|e| usize::try_from(e).ok());
            if end.is_none_or(|end| end > self.table.len()) || !is_valid(distribution, ranks) {
                return Err(r.malformed("allocation"));
            }
            self.place(self.allocated, pages, distribution, ranks);
            self.allocations.push((pages, distribution));
            self.allocated += pages;
        }
        for _ in 0..r.u32("first touch count")? {
            let page = PageNo(r.u32("page")?);
            let (home, first) = (r.u16("home")?, r.u16("first touch")?);
            let Some(entry) = self.entry(page) else { return Err(r.malformed("page")) };
            if home < ranks {
                entry.home = Home::Rank(Rank(home));
            }
            entry.first = (first < ranks).then_some(Rank(first));
        }
        Ok(())
    }

    /// Copies that this rank has of another's pages.
    pub(super) fn copies_of(&self, home: Rank) -> Vec<PageNo> {
        let all = (0..self.allocated).map(PageNo);
        let copied = |page: &PageNo| {
            let entry = self.get(*page);
            entry.home == Home::Rank(home) && entry.access != Access::None
        };
        all.filter(copied).collect()
    }

    /// After a restore: home pages may be read, all others must be fetched.
    pub(super) fn protect_restored(&mut self, me: Rank, mem: &mut dyn PageMem) {
        let all = (0..self.allocated).map(PageNo);
        let mine: Vec<_> = all.filter(|page| self.get(*page).home == Home::Rank(me)).collect();
        self.set_access_all(mine, Access::Read, mem);
    }
}

const fn is_valid(distribution: Distribution, ranks: u16) -> bool {
    match distribution {
        Distribution::Block | Distribution::FirstTouch => true,
        Distribution::Cyclic(run) => run > 0,
        Distribution::On(rank) => rank.0 < ranks,
    }
}

/// Which of `n` blocks of `count` pages holds page `i`, where block `b` begins at `b*count/n`.
pub(super) fn block_of(i: u32, count: u32, n: u32) -> u32 {
    let (i, count, n) = (u64::from(i), u64::from(count), u64::from(n));
    let block = ((i + 1) * n - 1) / count.max(1);
    u32::try_from(block.min(n - 1)).unwrap_or_default()
}
