use super::*;
use alloc::vec::Vec;

/// Tables one after the other, from address 0x1000.
struct Fake(Vec<[u64; 512]>);

impl Tables for Fake {
    fn entry(&self, table: usize, index: usize) -> u64 {
        self.0[table / PAGE - 1][index]
    }

    fn set_entry(&mut self, table: usize, index: usize, entry: u64) {
        self.0[table / PAGE - 1][index] = entry;
    }

    fn new_table(&mut self) -> usize {
        self.0.push([0; 512]);
        self.0.len() * PAGE
    }
}

fn space() -> Space<Fake> {
    Space::new(PAGE, Fake([[0; 512]].into()))
}

const RANK: usize = 0x10_0000_0000;

#[test]
fn a_page_is_found_where_the_processor_looks() {
    let mut space = space();
    let virt = 3 << 39 | 5 << 30 | 7 << 21 | 9 << 12;
    space.set(virt, 0xabc000 | PRESENT);
    // By hand, level by level.
    let mut table = PAGE;
    for index in [3, 5, 7] {
        let entry = space.tables.entry(table, index);
        assert_eq!(entry & 0xfff, PRESENT | WRITE);
        table = usize::try_from(entry & ADDRESS).unwrap();
    }
    assert_eq!(space.tables.entry(table, 9), 0xabc000 | PRESENT);
    assert_eq!(space.get(virt), 0xabc000 | PRESENT);
    assert_eq!(space.get(virt + PAGE), 0);
    assert_eq!(space.get(virt + (1 << 39)), 0);
}

#[test]
fn pages_of_one_table_share_it() {
    let mut space = space();
    for page in 0..512 {
        space.set(RANK + page * PAGE, 0x1000 | PRESENT);
    }
    assert_eq!(space.tables.0.len(), 4);
    space.set(RANK + 512 * PAGE, 0x1000 | PRESENT);
    assert_eq!(space.tables.0.len(), 5);
}

#[test]
fn a_large_page_is_split_into_equal_parts() {
    let mut space = space();
    let rights = PRESENT | WRITE | NO_EXECUTE;
    space.set_large(LARGE_PAGE, LARGE_PAGE as u64 | rights | LARGE);
    assert_eq!(space.get(LARGE_PAGE + 5 * PAGE), LARGE_PAGE as u64 | rights | LARGE);
    space.set(LARGE_PAGE + 5 * PAGE, 0);
    assert_eq!(space.get(LARGE_PAGE + 5 * PAGE), 0);
    for page in (0..512).filter(|page| *page != 5) {
        let at = LARGE_PAGE + page * PAGE;
        assert_eq!(space.get(at), at as u64 | rights);
    }
}

#[test]
fn a_range_is_changed_where_it_has_tables() {
    let mut space = space();
    let mapped = [RANK, RANK + 511 * PAGE, RANK + 512 * PAGE, RANK + 5 * LARGE_PAGE];
    for virt in mapped {
        space.set(virt, 0x1000 | PRESENT);
    }
    let mut seen = 0;
    space.change(RANK + PAGE, RANK + 5 * LARGE_PAGE, |entry| {
        seen += usize::from(entry != 0);
        entry & !PRESENT
    });
    assert_eq!(seen, 2);
    assert_eq!(mapped.map(|virt| space.get(virt) & PRESENT), [1, 0, 0, 1]);
    let tables = space.tables.0.len();
    space.change(RANK, RANK + 64 * LARGE_PAGE, |_| 1);
    assert_eq!(space.tables.0.len(), tables);
}
