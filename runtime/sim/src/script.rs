//! Random data-race-free programs whose right outcome is known beforehand.
//!
//! The shared memory is cut into cells of odd sizes, so that cells of several ranks share pages. In
//! each phase a cell is written by one rank, or read and compared by some, never both; counters are
//! incremented under locks. Phases end with a barrier or a checkpoint. All that a program keeps, its
//! place in the script included, lives in private memory, as a real rank's does.

use crate::rng::Rng;
use runtime_core::id::{LockId, Rank};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::node::{Call, Distribution};

/// One thing a rank does. `at` and `len` are bytes of the segment, `value` is what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are explained above")]
pub enum Op {
    /// A collective call; an allocation must give the expected offset.
    Collective(Call, Option<u64>),
    /// Fills bytes of shared memory.
    Write { at: u64, len: u64, value: u8 },
    /// Bytes of shared memory must all have this value.
    Check { at: u64, len: u64, value: u8 },
    /// Adds one to a counter under a lock.
    Increment { lock: LockId, at: u64 },
    /// A counter must have this value.
    CheckCounter { at: u64, value: u64 },
    /// Fills a private page.
    Keep { page: u32, value: u8 },
    /// A private page must have this value.
    CheckKept { page: u32, value: u8 },
}

/// A program for each rank.
#[derive(Clone, Debug)]
pub struct Script {
    /// What each rank does.
    pub ops: Vec<Vec<Op>>,
    /// Pages of shared memory that it needs.
    pub shared_pages: u32,
}

/// Private pages that scripts write, after the first, which holds their place.
pub const KEPT_PAGES: u32 = 6;

struct Cell {
    at: u64,
    len: u64,
    value: u8,
}

struct Maker {
    rng: Rng,
    ranks: u16,
    ops: Vec<Vec<Op>>,
    cells: Vec<Cell>,
    counters: Vec<(u64, u64)>,
    kept: Vec<[u8; KEPT_PAGES as usize]>,
}

impl Script {
    /// The program of a seed for so many ranks, with at least `checkpoints` of them.
    #[must_use]
    pub fn random(seed: u64, ranks: u16, checkpoints: u32) -> Self {
        let mut maker = Maker {
            rng: Rng::new(seed ^ 0x0073_6372_6970_7400),
            ranks,
            ops: vec![Vec::new(); usize::from(ranks)],
            cells: Vec::new(),
            counters: Vec::new(),
            kept: vec![[0; KEPT_PAGES as usize]; usize::from(ranks)],
        };
        let mut pages = 0;
        for _ in 0..=maker.rng.below(2) {
            pages += maker.allocate(pages);
        }
        for _ in 0..checkpoints {
            for _ in 0..=maker.rng.below(2) {
                maker.phase();
                maker.all(Op::Collective(Call::Barrier, None));
            }
            maker.phase();
            maker.all(Op::Collective(Call::Checkpoint, None));
        }
        if maker.rng.chance(50) {
            pages += maker.allocate(pages);
        }
        maker.phase();
        maker.all(Op::Collective(Call::Barrier, None));
        maker.check_everything();
        Self { ops: maker.ops, shared_pages: pages }
    }
}

impl Maker {
    fn all(&mut self, op: Op) {
        self.ops.iter_mut().for_each(|ops| ops.push(op));
    }

    fn allocate(&mut self, first: u32) -> u32 {
        let pages = 1 + u32::from(self.rng.small(2 * self.ranks));
        let distribution = match self.rng.below(4) {
            0 => Distribution::Block,
            1 => Distribution::Cyclic(1 + u32::from(self.rng.small(2))),
            2 => Distribution::On(Rank(self.rng.small(self.ranks))),
            _ => Distribution::FirstTouch,
        };
        let page_size = u64::try_from(PAGE_SIZE).unwrap_or_default();
        let bytes = u64::from(pages) * page_size - self.rng.below(100);
        let (mut at, end) = (u64::from(first) * page_size, u64::from(first + pages) * page_size);
        self.all(Op::Collective(Call::Alloc { bytes, distribution }, Some(at)));
        self.counters.push((at, 0));
        at += 8;
        while at < end {
            let len = (1 + self.rng.below(700)).min(end - at);
            self.cells.push(Cell { at, len, value: 0 });
            at += len;
        }
        pages
    }

    fn phase(&mut self) {
        for i in 0..self.cells.len() {
            let rank = self.rng.index(self.ops.len());
            let cell = &mut self.cells[i];
            match self.rng.below(10) {
                0..=2 => {
                    cell.value = self.rng.byte();
                    let Cell { at, len, value } = *cell;
                    self.ops[rank].push(Op::Write { at, len, value });
                    if self.rng.chance(30) {
                        self.ops[rank].push(Op::Check { at, len, value });
                    }
                }
                3..=5 => {
                    let Cell { at, len, value } = *cell;
                    self.ops[rank].push(Op::Check { at, len, value });
                    let other = self.rng.index(self.ops.len());
                    self.ops[other].push(Op::Check { at, len, value });
                }
                _ => {}
            }
        }
        for i in 0..self.counters.len() {
            let (at, value) = self.counters[i];
            if self.rng.chance(30) {
                let rank = self.rng.index(self.ops.len());
                self.ops[rank].push(Op::CheckCounter { at, value });
                continue;
            }
            let lock = LockId(u32::try_from(i).unwrap_or_default());
            for _ in 0..self.rng.below(u64::from(self.ranks) * 2) {
                let rank = self.rng.index(self.ops.len());
                let ops = &mut self.ops[rank];
                let place = self.rng.index(3).min(ops.len());
                ops.insert(ops.len() - place.min(trailing_data_ops(ops)), Op::Increment { lock, at });
                self.counters[i].1 += 1;
            }
        }
        self.keep();
    }

    fn keep(&mut self) {
        for (ops, kept) in self.ops.iter_mut().zip(&mut self.kept) {
            let page = self.rng.index(kept.len());
            kept[page] = self.rng.byte();
            let number = u32::try_from(page).unwrap_or_default();
            ops.push(Op::Keep { page: number, value: kept[page] });
            let other = self.rng.index(kept.len());
            let number = u32::try_from(other).unwrap_or_default();
            ops.push(Op::CheckKept { page: number, value: kept[other] });
        }
    }

    fn check_everything(&mut self) {
        for ops in &mut self.ops {
            let cells = self.cells.iter();
            ops.extend(cells.map(|Cell { at, len, value }| Op::Check {
                at: *at,
                len: *len,
                value: *value,
            }));
            let counters = self.counters.iter();
            ops.extend(counters.map(|(at, value)| Op::CheckCounter { at: *at, value: *value }));
        }
    }
}

/// Operations since the last collective call: an increment may go between them, not before it.
fn trailing_data_ops(ops: &[Op]) -> usize {
    ops.iter().rev().take_while(|op| !matches!(op, Op::Collective(..))).count()
}

mod rank;
pub use rank::ScriptMachine;
