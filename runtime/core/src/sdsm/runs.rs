//! Sets of pages as runs: how write notices travel.

use crate::id::PageNo;
use crate::limits::MAX_SHARED_PAGES;
use crate::wire::{Malformed, Reader, Writer};
use alloc::vec::Vec;
use core::ops::Range;

/// Pages in ascending order, as maximal runs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Runs(Vec<Range<u32>>);

impl FromIterator<PageNo> for Runs {
    /// From pages in ascending order.
    fn from_iter<I: IntoIterator<Item = PageNo>>(pages: I) -> Self {
        let mut runs: Vec<Range<u32>> = Vec::new();
        for PageNo(page) in pages {
            match runs.last_mut() {
                Some(run) if run.end == page => run.end += 1,
                _ => runs.push(page..page + 1),
            }
        }
        Self(runs)
    }
}

impl Runs {
    /// The pages.
    pub fn pages(&self) -> impl Iterator<Item = PageNo> + '_ {
        self.0.iter().cloned().flatten().map(PageNo)
    }

    /// The runs.
    pub fn runs(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        self.0.iter().cloned()
    }

    /// No pages?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn emit(&self, w: &mut Writer) {
        w.u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        for run in &self.0 {
            w.u32(run.start).u32(run.end - run.start);
        }
    }

    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = r.u32("run count")?;
        let mut runs = Vec::new();
        let mut at = 0;
        for _ in 0..count {
            let start = r.u32("run start")?;
            let length = r.u32("run length")?;
            let end = start.checked_add(length).filter(|end| *end <= MAX_SHARED_PAGES);
            let Some(end) = end else { return Err(r.malformed("run length")) };
            if start < at || length == 0 {
                return Err(r.malformed("run start"));
            }
            runs.push(start..end);
            at = end;
        }
        Ok(Self(runs))
    }
}
