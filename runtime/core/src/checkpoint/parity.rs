//! Parity over the images of a group of ranks: how it follows them, and how it gives one back.
//!
//! After Plank's diskless checkpointing. Each rank numbers the pages of its image densely, in its own
//! order: a page's *slot* never changes. Page `s` of a piece is the sum of the pages in slot `s` of all
//! ranks of the group, each times a coefficient; so a piece is about as long as the longest image. A
//! table beside it says which page of which rank is in which slot, with the page's seal. Sums are those
//! of a field in which adding is XOR, so a change of a page changes the piece by the same change times
//! the coefficient, and nothing but changed pages travels. For one piece all coefficients are 1.
//!
//! A piece is an [`Image`] like others: staged, committed, inspected and copied as they are.

use super::code::{self, Coefficients};
use super::store::{Image, META_BASE};
use super::{Parity, SealedPage};
use crate::id::{Epoch, PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::PageBytes;
use crate::sorted::{Map, Set};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Bytes of a slot in a table: number of the page, plus one, and its CRC-32.
const ENTRY: usize = 8;
const ENTRIES_PER_PAGE: u32 = 512;
/// Pages of the table of one rank at most.
const TABLE_PAGES: u32 = 1 << 12;

const _: () = assert!(ENTRIES_PER_PAGE as usize * ENTRY == PAGE_SIZE);
const _: () = assert!(
    TABLE_PAGES * ENTRIES_PER_PAGE
        > crate::limits::MAX_SHARED_PAGES + 2 * crate::limits::MAX_PRIVATE_PAGES
);

impl Parity {
    /// Pages of the table of a rank whose image has so many.
    pub(super) fn table_pages(pages: u64) -> u64 {
        pages.div_ceil(u64::from(ENTRIES_PER_PAGE))
    }
}

/// Where a slot of a rank stands in the tables: the page, and the place in it.
fn entry(member: u16, slot: u32) -> (PageNo, usize) {
    let page = META_BASE + u32::from(member) * TABLE_PAGES + slot / ENTRIES_PER_PAGE;
    (PageNo(page), usize::try_from(slot % ENTRIES_PER_PAGE).unwrap_or_default() * ENTRY)
}

/// A page of a rank, or the change of one: what a piece has to take in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Which of its group the rank is.
    pub(super) member: u16,
    pub(super) number: PageNo,
    /// The bytes are to be added; slot and seal are those of the page as it is now.
    pub(super) page: &'a SealedPage,
}

/// Adds a part to a piece that stands on `base`. The pages are not sealed again: see [`seal`].
pub(super) fn absorb(piece: &mut Image, base: Option<&Image>, coefficient: u8, part: Part<'_>) {
    let Part { member, number, page } = part;
    code::add(coefficient, page.bytes(), page_of(piece, base, PageNo(page.slot())));
    let (table, at) = entry(member, page.slot());
    let entry = &mut page_of(piece, base, table)[at..at + ENTRY];
    entry[..4].copy_from_slice(&(number.0 + 1).to_le_bytes());
    entry[4..].copy_from_slice(&page.crc().to_le_bytes());
}

/// A page of an image, as it is in `base` if it is not there yet.
fn page_of<'a>(image: &'a mut Image, base: Option<&Image>, number: PageNo) -> &'a mut PageBytes {
    let page = image.pages.entry(number).or_insert_with(|| {
        let old = base.and_then(|base| base.pages.get(&number)).cloned();
        old.unwrap_or_else(|| SealedPage::with_crc(Box::new([0; PAGE_SIZE]), 0))
    });
    page.bytes_mut()
}

/// Seals all pages of a piece.
pub(super) fn seal(piece: &mut Image) {
    piece.pages.values_mut().for_each(SealedPage::seal);
}

/// An image, or a piece, that is made from the images and pieces of its group.
#[derive(Clone, Debug, Default)]
pub(super) struct Build {
    pub(super) epoch: Epoch,
    /// How many pages came from each image or piece.
    pub(super) pages: Map<Rank, u64>,
    /// Those of which all came.
    pub(super) done: Set<Rank>,
    /// By number of a piece: for a rank, the pieces without what the living ranks put into them; for a
    /// piece, itself.
    pub(super) sums: Map<u16, Image>,
    /// Pages of the rank's table.
    pub(super) table: Map<PageNo, SealedPage>,
}

impl Build {
    pub(super) fn bytes(&self) -> u64 {
        let table = u64::try_from(self.table.len() * PAGE_SIZE).unwrap_or(u64::MAX);
        self.sums.values().map(Image::bytes).sum::<u64>() + table
    }

    /// Takes in a page of `source` towards `target`.
    pub(super) fn take(
        &mut self,
        parity: Parity,
        (target, source): (Rank, Rank),
        coefficients: &Coefficients,
        (number, page): (PageNo, SealedPage),
    ) {
        *self.pages.get_or_default(source) += 1;
        let coefficients = (0..parity.losses).zip(coefficients);
        match (parity.place(target).1, parity.place(source).1) {
            (Some(index), None) => {
                let part = Part { member: parity.index(source), number, page: &page };
                for (_, coefficient) in coefficients.filter(|(piece, _)| *piece == index) {
                    absorb(self.sums.get_or_default(index), None, *coefficient, part);
                }
            }
            (None, None) => {
                for (index, coefficient) in coefficients {
                    let sum = self.sums.get_or_default(index);
                    code::add(*coefficient, page.bytes(), page_of(sum, None, PageNo(page.slot())));
                }
            }
            (None, Some(index)) if number.0 < META_BASE => {
                let sum = self.sums.get_or_default(index);
                code::add(1, page.bytes(), page_of(sum, None, number));
            }
            (None, Some(_)) => {
                let first = entry(parity.index(target), 0).0;
                if (first.0..first.0 + TABLE_PAGES).contains(&number.0) {
                    self.table.insert(number, page);
                }
            }
            (Some(_), Some(_)) => {}
        }
    }

    /// All came: the piece, or the image; the page that does not fit its seal if there is one.
    pub(super) fn finish(
        mut self,
        parity: Parity,
        target: Rank,
        ranks: u16,
    ) -> Result<Image, PageNo> {
        let (group, piece) = parity.place(target);
        if let Some(index) = piece {
            let mut image = self.sums.remove(&index).unwrap_or_default();
            image.epoch = self.epoch;
            seal(&mut image);
            return Ok(image);
        }
        let pieces = self.done.iter().filter_map(|source| parity.place(*source).1);
        let unknown = parity.ranks(group, ranks).filter(|rank| !self.done.contains(rank));
        let unknown = unknown.map(|rank| parity.index(rank)).collect();
        let gap = code::Gap::new(parity, unknown, pieces.collect());
        let mut image = Image { epoch: self.epoch, ..Image::default() };
        let (first, _) = entry(parity.index(target), 0);
        for (number, table) in &self.table {
            let slots = (number.0 - first.0) * ENTRIES_PER_PAGE..;
            for (slot, entry) in slots.zip(table.bytes().chunks_exact(ENTRY)) {
                let word = |at: usize| {
                    u32::from_le_bytes(entry[at..].first_chunk().copied().unwrap_or_default())
                };
                let (Some(number), crc) = (word(0).checked_sub(1), word(4)) else { continue };
                let sums = self.sums.iter();
                let sums = sums.filter_map(|(index, sum)| {
                    Some((*index, sum.pages.get(&PageNo(slot))?.bytes()))
                });
                let bytes = gap.solve(parity.index(target), &sums.collect::<Vec<_>>());
                let page = SealedPage::with_crc(bytes, crc).in_slot(slot);
                if !page.is_intact() {
                    return Err(PageNo(number));
                }
                image.pages.insert(PageNo(number), page);
                image.slots = image.slots.max(slot + 1);
            }
        }
        Ok(image)
    }
}
