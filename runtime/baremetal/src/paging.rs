//! Page tables: from a virtual address to the entry that translates it.
//!
//! Four levels of 512 entries. A page is 4 KiB, or 2 MiB where the third level says so.

/// The page is there.
pub const PRESENT: u64 = 1;
/// It may be written.
pub const WRITE: u64 = 1 << 1;
/// Accesses go past the caches, for registers of devices.
pub const UNCACHED: u64 = 1 << 3 | 1 << 4;
/// A page of 2 MiB.
pub const LARGE: u64 = 1 << 7;
/// Nothing in it is executed.
pub const NO_EXECUTE: u64 = 1 << 63;
/// Where the page, or the next table, lies.
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Bytes of a large page.
pub const LARGE_PAGE: usize = 512 * PAGE;

/// The memory that tables lie in.
pub trait Tables {
    /// An entry of the table at an address.
    fn entry(&self, table: usize, index: usize) -> u64;
    /// Sets it.
    fn set_entry(&mut self, table: usize, index: usize, entry: u64);
    /// A new table without entries.
    fn new_table(&mut self) -> usize;
}

/// The address space under a table of the first level.
#[derive(Debug)]
pub struct Space<T> {
    root: usize,
    tables: T,
}

/// Where an entry lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    table: usize,
    index: usize,
}

const fn address(entry: u64) -> usize {
    (entry & ADDRESS) as usize
}

/// Index of an address in the table of a level, from 3 (the first) down to 0 (pages).
const fn index(virt: usize, level: u32) -> usize {
    virt >> (12 + 9 * level) & 511
}

impl<T: Tables> Space<T> {
    /// The space under a table.
    pub const fn new(root: usize, tables: T) -> Self {
        Self { root, tables }
    }

    /// The entry that translates an address, if its table is there: of 4 KiB, or a large one.
    fn find(&self, virt: usize) -> Option<Place> {
        let mut table = self.root;
        for level in (1..=3).rev() {
            let place = Place { table, index: index(virt, level) };
            let entry = self.tables.entry(place.table, place.index);
            if entry & PRESENT == 0 {
                return None;
            }
            if level == 1 && entry & LARGE != 0 {
                return Some(place);
            }
            table = address(entry);
        }
        Some(Place { table, index: index(virt, 0) })
    }

    /// The entry for an address, large or not; 0 when there is none.
    pub fn get(&self, virt: usize) -> u64 {
        self.find(virt).map_or(0, |place| self.tables.entry(place.table, place.index))
    }

    /// Sets the entry of a page of 4 KiB. A large page that is in the way is split.
    pub fn set(&mut self, virt: usize, entry: u64) {
        let mut table = self.root;
        for level in (1..=3).rev() {
            let place = Place { table, index: index(virt, level) };
            let above = self.tables.entry(place.table, place.index);
            table = if above & PRESENT == 0 {
                self.link(place)
            } else if level == 1 && above & LARGE != 0 {
                self.split(place, above)
            } else {
                address(above)
            };
        }
        self.tables.set_entry(table, index(virt, 0), entry);
    }

    /// Sets the entry of a large page. There must be no table of small ones in its place.
    pub fn set_large(&mut self, virt: usize, entry: u64) {
        let mut table = self.root;
        for level in [3, 2] {
            let place = Place { table, index: index(virt, level) };
            let above = self.tables.entry(place.table, place.index);
            table = if above & PRESENT == 0 { self.link(place) } else { address(above) };
        }
        self.tables.set_entry(table, index(virt, 1), entry);
    }

    /// Lets `change` replace each entry of small pages from `start` to `end`; where a whole table is
    /// missing, there is nothing to change.
    pub fn change(&mut self, start: usize, end: usize, mut change: impl FnMut(u64) -> u64) {
        let mut virt = start;
        while virt < end {
            let next = (virt & !(LARGE_PAGE - 1)) + LARGE_PAGE;
            if let Some(Place { table, .. }) = self.find(virt) {
                for index in index(virt, 0)..index(virt, 0) + (end.min(next) - virt) / PAGE {
                    let old = self.tables.entry(table, index);
                    let new = change(old);
                    if new != old {
                        self.tables.set_entry(table, index, new);
                    }
                }
            }
            virt = next;
        }
    }

    /// Rights are taken where pages are; tables leave them all.
    fn link(&mut self, place: Place) -> usize {
        let table = self.tables.new_table();
        self.tables.set_entry(place.table, place.index, table as u64 | PRESENT | WRITE);
        table
    }

    fn split(&mut self, place: Place, large: u64) -> usize {
        let table = self.tables.new_table();
        for index in 0..512 {
            let page = (large & !LARGE) + (index * PAGE) as u64;
            self.tables.set_entry(table, index, page);
        }
        self.tables.set_entry(place.table, place.index, table as u64 | PRESENT | WRITE);
        table
    }
}

#[cfg(test)]
mod tests;
