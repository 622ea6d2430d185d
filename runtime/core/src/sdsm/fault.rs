//! Faults of the rank, pages and diffs: the data path.

use super::pages::Home;
use super::{Action, Diffs, Message, Sdsm, Side, Waiting, diff};
use crate::id::{PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::{Access, PageBytes, PageMem};
use crate::sorted::Map;
use crate::wire::Malformed;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Diffs are gathered per home into messages of about this many bytes.
const DIFF_BATCH: usize = 32 * 1024;

/// Diffs for one home, and their bytes.
type Batch = (usize, Vec<(PageNo, Vec<u8>)>);

const _: () = assert!(
    DIFF_BATCH + 3 * PAGE_SIZE + 64 <= crate::limits::MCAPI_MAX_PKT_SIZE,
    "a batch and the longest diff fit one packet"
);

impl Sdsm {
    /// Gives the rank what it needs of a page, at once or when others have answered.
    pub(super) fn resolve(&mut self, page: PageNo, access: Access, mem: &mut dyn PageMem) {
        let entry = self.pages.get(page);
        match entry.home {
            Home::Nobody => self.actions.push_back(Action::BadAccess(page)),
            Home::Unknown => {
                self.waiting = Waiting::Finding(page, access);
                let directory = super::pages::Pages::directory(page, self.ranks);
                self.send(directory, Side::Receive, Message::Touch(page));
            }
            Home::Rank(home) if home == self.me => {
                self.write_at_home(page, access, mem);
                self.wake();
            }
            Home::Rank(_) if entry.access >= access => self.wake(),
            Home::Rank(home) if entry.access == Access::None => {
                self.waiting = Waiting::Fetching(page, access);
                self.counters.fetches += 1;
                self.send(home, Side::Receive, Message::Fetch(page, self.passed));
            }
            Home::Rank(_) => {
                self.twin(page, mem);
                self.wake();
            }
        }
    }

    fn wake(&mut self) {
        self.waiting = Waiting::Nothing;
        self.actions.push_back(Action::Wake);
    }

    fn write_at_home(&mut self, page: PageNo, access: Access, mem: &mut dyn PageMem) {
        if access == Access::Write {
            self.frozen.keep(page, mem);
            self.pages.mark_unsaved(page);
            if self.pages.is_copied(page) {
                self.dirty.insert(page);
            }
        }
        self.pages.set_access(page, access.max(self.pages.get(page).access), mem);
    }

    fn twin(&mut self, page: PageNo, mem: &mut dyn PageMem) {
        let mut twin: Box<PageBytes> = Box::new([0; PAGE_SIZE]);
        mem.read(page, &mut twin);
        self.twins.insert(page, twin);
        self.counters.twins += 1;
        self.dirty.insert(page);
        self.pages.set_access(page, Access::Write, mem);
    }

    /// Compute side: a page arrived.
    pub(super) fn on_page(&mut self, page: PageNo, bytes: &PageBytes, mem: &mut dyn PageMem) {
        let Waiting::Fetching(wanted, access) = self.waiting else { return };
        if wanted == page {
            mem.write(page, bytes);
            self.pages.set_access(page, Access::Read, mem);
            self.resolve(page, access, mem);
        }
    }

    /// Compute side: the home of a page spread by first touch is known.
    pub(super) fn on_home(&mut self, page: PageNo, home: Rank, mem: &mut dyn PageMem) {
        let Waiting::Finding(wanted, access) = self.waiting else { return };
        if wanted == page {
            self.pages.set_home(page, home);
            self.resolve(page, access, mem);
        }
    }

    /// Receive side: somebody wants a page that this rank is home of.
    pub(super) fn on_fetch(
        &mut self,
        from: Rank,
        page: PageNo,
        passed: u32,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        self.check(page)?;
        let entry = self.pages.get(page);
        // A first touch that lost the race makes a home that does not know it yet.
        self.pages.set_home(page, self.me);
        self.pages.mark_copied(page, passed);
        if entry.access == Access::Write {
            // It may be written after this without a fault: the copy must be given up at the next
            // acquire.
            self.dirty.insert(page);
        }
        let mut bytes: Box<PageBytes> = Box::new([0; PAGE_SIZE]);
        mem.read(page, &mut bytes);
        self.send(from, Side::Compute, Message::Page(page, bytes));
        Ok(())
    }

    /// A rank that is quicker may ask for a page whose allocation is not known here yet, but never
    /// for one outside the segment.
    fn check(&self, page: PageNo) -> Result<(), Malformed> {
        if self.pages.contains(page) {
            Ok(())
        } else {
            Err(Malformed { what: "page number", at: 0 })
        }
    }

    /// Receive side: diffs to pages that this rank is home of.
    pub(super) fn on_diffs(
        &mut self,
        from: Rank,
        passed: u32,
        diffs: Diffs,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        for (page, bytes) in &diffs {
            self.check(*page)?;
            diff::parse(bytes)?;
        }
        if self.snapshot_due || passed > self.passed {
            self.early.push((from, passed, diffs));
        } else {
            self.apply(from, &diffs, mem);
        }
        Ok(())
    }

    fn apply(&mut self, from: Rank, diffs: &[(PageNo, Vec<u8>)], mem: &mut dyn PageMem) {
        for (page, bytes) in diffs {
            self.frozen.keep(*page, mem);
            // Parsed once before.
            for (offset, run) in diff::parse(bytes).unwrap_or_default() {
                mem.patch(*page, offset, run);
            }
            self.pages.mark_unsaved(*page);
        }
        self.send(from, Side::Compute, Message::Applied);
    }

    /// Applies the diffs that need not wait any more.
    pub(super) fn apply_early(&mut self, mem: &mut dyn PageMem) {
        if self.snapshot_due {
            return;
        }
        for (from, passed, diffs) in core::mem::take(&mut self.early) {
            if passed > self.passed {
                self.early.push((from, passed, diffs));
            } else {
                self.apply(from, &diffs, mem);
            }
        }
    }

    /// Compute side: sends the diffs of these pages home; keeps at most `access` to them.
    pub(super) fn flush(&mut self, pages: &[PageNo], access: Access, mem: &mut dyn PageMem) {
        let mut batches: Map<Rank, Batch> = Map::new();
        for page in pages {
            let (Some(twin), Home::Rank(home)) =
                (self.twins.remove(page), self.pages.get(*page).home)
            else {
                continue;
            };
            let mut now: Box<PageBytes> = Box::new([0; PAGE_SIZE]);
            mem.read(*page, &mut now);
            let bytes = diff::make(&twin, &now);
            if bytes.is_empty() {
                continue;
            }
            self.counters.diffs += 1;
            self.counters.diff_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let (size, batch) = batches.get_or_default(home);
            *size += bytes.len();
            batch.push((*page, bytes));
            if *size >= DIFF_BATCH {
                let (_, full) = batches.remove(&home).unwrap_or_default();
                self.send_diffs(home, full);
            }
        }
        let above: Vec<PageNo> =
            pages.iter().copied().filter(|page| self.pages.get(*page).access > access).collect();
        self.pages.set_access_all(above, access, mem);
        for (home, (_, batch)) in batches {
            self.send_diffs(home, batch);
        }
    }

    fn send_diffs(&mut self, home: Rank, diffs: Diffs) {
        self.unapplied += 1;
        self.send(home, Side::Receive, Message::Diffs(self.passed, diffs));
    }
}
