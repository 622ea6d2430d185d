use super::{FRAME, Pool, Words};
use alloc::vec::Vec;
use core::cell::RefCell;

/// Frames from 1 MiB up, as words of a list.
struct Fake(RefCell<Vec<usize>>);

const BASE: usize = 0x10_0000;

// SAFETY: a list of words.
unsafe impl Words for Fake {
    fn read(&self, frame: usize) -> usize {
        self.0.borrow()[(frame - BASE) / FRAME]
    }

    fn write(&self, frame: usize, word: usize) {
        self.0.borrow_mut()[(frame - BASE) / FRAME] = word;
    }
}

fn pool(frames: usize) -> Pool<Fake> {
    let mut pool = Pool::empty(Fake(RefCell::new(alloc::vec![0; frames + 1])));
    // Ends in the middle of frames are rounded inwards.
    pool.give(BASE - 5, BASE + frames * FRAME + 17);
    pool
}

#[test]
fn frames_come_from_above_and_come_again() {
    let mut pool = pool(3);
    assert_eq!(pool.total(), 3 * FRAME);
    let taken: Vec<usize> = core::iter::from_fn(|| pool.take()).collect();
    assert_eq!(taken, [BASE + 2 * FRAME, BASE + FRAME, BASE]);
    assert_eq!(pool.used(), 3 * FRAME);
    pool.give_back(taken[0]);
    pool.give_back(taken[2]);
    assert_eq!((pool.used(), pool.peak()), (FRAME, 3 * FRAME));
    assert_eq!([pool.take(), pool.take(), pool.take()], [Some(taken[2]), Some(taken[0]), None]);
}

#[test]
fn heap_and_frames_meet() {
    let mut pool = pool(10);
    assert_eq!(pool.grow(5 * FRAME - 1), Some((BASE, BASE + 5 * FRAME)));
    assert_eq!(pool.take_run(4), Some(BASE + 6 * FRAME));
    assert_eq!(pool.grow(FRAME + 1), None);
    assert_eq!(pool.take_run(2), None);
    assert_eq!(pool.take(), Some(BASE + 5 * FRAME));
    assert_eq!(pool.grow(1), None);
    assert_eq!((pool.used(), pool.total()), (10 * FRAME, 10 * FRAME));
}

#[test]
fn no_memory_at_all() {
    let mut pool = pool(0);
    assert_eq!((pool.take(), pool.grow(1), pool.used()), (None, None, 0));
    assert_eq!(pool.grow(usize::MAX), None);
}
