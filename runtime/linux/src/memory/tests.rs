use super::*;
use crate::tests::{SIZES, free_rank};

fn memory() -> LinuxMem {
    LinuxMem::new(Layout::for_rank(free_rank().0, SIZES).unwrap()).unwrap()
}

#[test]
fn pages_read_back_and_patches_touch_nothing_else() {
    let mut memory = memory();
    for page in [PageNo(0), PageNo(63), PageNo(PRIVATE_BASE), PageNo(PRIVATE_BASE + 64 + 2047)] {
        memory.write(page, &[7; PAGE_SIZE]);
        memory.patch(page, 4090, &[1, 2, 3, 4, 5, 6]);
        memory.patch(page, 0, &[]);
        let mut got = [0; PAGE_SIZE];
        memory.read(page, &mut got);
        assert_eq!((got[4089], &got[4090..]), (7, &[1, 2, 3, 4, 5, 6][..]));
    }
    memory.reset_shared();
    memory.reset_private();
    for page in [PageNo(0), PageNo(63), PageNo(PRIVATE_BASE), PageNo(PRIVATE_BASE + 64 + 2047)] {
        let mut got = [9; PAGE_SIZE];
        memory.read(page, &mut got);
        assert_eq!(got, [0; PAGE_SIZE]);
    }
    assert_eq!(memory.check(), Ok(()));
}

#[test]
fn a_slot_has_one_owner() {
    let mut first = memory();
    let mut second = LinuxMem::new(first.layout).unwrap();
    first.attach(false).unwrap();
    assert_eq!(second.attach(false), Err(MemError::SlotTaken { slot: first.layout.slot() }));
    let slot = first.layout.slot();
    let elsewhere = std::thread::scope(|s| s.spawn(|| second.attach(true)).join().unwrap());
    assert_eq!(elsewhere, Err(MemError::SlotTaken { slot }));
    second.attach(true).unwrap();
    assert!(second.is_attached() && !first.is_attached());
    first.attach(true).unwrap();
    drop(first);
    second.attach(false).unwrap();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let mut memory = memory();
    let base = memory.layout.heap_base;
    map_at(base, PAGE_SIZE, ProtFlags::PROT_NONE, None).unwrap();
    assert_eq!(memory.attach(false), Err(MemError::Taken { address: base }));
    // SAFETY: mapped by this test.
    unsafe { munmap(pointer(base), PAGE_SIZE) }.unwrap();
    memory.attach(false).unwrap();
}

#[test]
fn more_pages_than_mappings_are_refused() {
    let sizes = Sizes { shared_pages: 1 << 18, ..SIZES };
    let layout = Layout::for_rank(free_rank().0, sizes).unwrap();
    let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap();
    if limit.trim().parse::<usize>().unwrap() < 1 << 18 {
        let memory = LinuxMem::new(layout).unwrap();
        assert!(matches!(memory.check_mappings(), Err(MemError::Mappings { .. })));
    }
}
