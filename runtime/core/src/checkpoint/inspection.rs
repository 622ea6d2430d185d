//! Looking for damage in what a node keeps, some pages at a time: a node that looks through a gigabyte must go on
//! giving signs of life.

use super::store::{Image, Slot, Store};
use crate::id::{Epoch, PageNo, Rank};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// How far a node has looked through its copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What is left to be looked at.
    copies: VecDeque<(Rank, Which)>,
    /// In the first of them, from this page on.
    next: PageNo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    Staged,
    Committed,
}

/// What came of looking at some pages of an image.
enum Looked {
    /// All seals hold, to its end.
    Whole,
    Broken(PageNo),
    /// All seals hold, up to this page.
    Until(PageNo),
}

impl Inspection {
    /// Of all that is there now.
    #[must_use]
    pub fn new(store: &Store) -> Self {
        let both = |rank: &Rank| [(*rank, Which::Staged), (*rank, Which::Committed)];
        Self { copies: store.slots.keys().flat_map(both).collect(), next: PageNo(0) }
    }

    /// Has all been looked at?
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.copies.is_empty()
    }
}

impl Image {
    fn look(&self, from: PageNo, pages: &mut usize) -> Looked {
        for (number, page) in self.pages.range(from..) {
            if *pages == 0 {
                return Looked::Until(*number);
            }
            *pages -= 1;
            if !page.is_intact() {
                return Looked::Broken(*number);
            }
        }
        Looked::Whole
    }
}

impl Slot {
    fn copy(&self, which: Which) -> Option<&Image> {
        match which {
            // The pages of a piece are sealed when all of them are here.
            Which::Staged => {
                let staged = self.staged.as_ref();
                staged.filter(|staged| staged.whole || staged.parts.is_empty()).map(|s| &s.image)
            }
            Which::Committed => self.committed.as_ref(),
        }
    }
}

impl Store {
    /// Looks at the next pages, so many at most, and gives up every copy with a broken seal, before anybody goes
    /// back to it; says which, with the first bad page of each.
    pub fn inspect(
        &mut self,
        inspection: &mut Inspection,
        mut pages: usize,
    ) -> Vec<(Rank, Epoch, PageNo)> {
        let mut found = Vec::new();
        while let Some((rank, which)) = inspection.copies.front().copied() {
            if let Some(slot) = self.slots.get_mut(&rank)
                && let Some(image) = slot.copy(which)
            {
                match image.look(inspection.next, &mut pages) {
                    Looked::Whole => {}
                    Looked::Broken(page) => {
                        found.push((rank, image.epoch, page));
                        let staged = slot.staged.take();
                        if which == Which::Committed {
                            // What was staged stands on it, but for the pages that it replaces.
                            self.damaged.extend(staged.map(|staged| (rank, staged.image.epoch)));
                            *slot = Slot::default();
                        }
                    }
                    Looked::Until(page) => {
                        inspection.next = page;
                        break;
                    }
                }
            }
            inspection.copies.pop_front();
            inspection.next = PageNo(0);
        }
        self.damaged.extend(found.iter().map(|(rank, epoch, _)| (*rank, *epoch)));
        found
    }
}
