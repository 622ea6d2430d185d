//! Random data-race-free programs whose right outcome is known beforehand.
//!
//! The shared memory is cut into cells of odd sizes, so that cells of several ranks share pages. In
//! each phase a cell is written by one rank, or read and compared by some, never both; counters, and
//! cells that they describe, are changed under locks; what one rank wrote without a lock is *published*
//! to others by a flag under a lock, and from them by another flag under another. Phases end with a
//! barrier or a checkpoint. All that a program keeps, its place in the script included, lives in private
//! memory, as a real rank's does.

use crate::rng::Rng;
use runtime_core::id::{LockId, Rank};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::node::{Call, Distribution};

/// One thing a rank does. `at` and `len` are bytes of the segment, `value` is what they hold. The
/// rank has one *register*, a number that loads fill and fills use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are explained above")]
pub enum Op {
    /// A call of the node; an allocation must give the expected offset.
    Call(Call, Option<u64>),
    /// Fills bytes of shared memory.
    Write { at: u64, len: u64, value: u8 },
    /// Bytes of shared memory must all have this value.
    Check { at: u64, len: u64, value: u8 },
    /// Has a copy of the page of this byte, and looks at nothing in it.
    Touch { at: u64 },
    /// Loads a counter into the register.
    Load { at: u64 },
    /// Adds one to the register and stores it in a counter.
    Bump { at: u64 },
    /// Stores a number in a counter.
    Set { at: u64, value: u64 },
    /// Bytes must all be [`image_of`] the register.
    CheckImage { at: u64, len: u64 },
    /// Fills bytes with [`image_of`] the register.
    FillImage { at: u64, len: u64 },
    /// Looks at a counter under a lock until it has this value; gives up after some times, and leaves
    /// out as many operations as `skip` says.
    Await { lock: LockId, at: u64, value: u64, skip: u64 },
    /// A counter must have this value.
    CheckCounter { at: u64, value: u64 },
    /// Fills a private page.
    Keep { page: u32, value: u8 },
    /// A private page must have this value.
    CheckKept { page: u32, value: u8 },
}

/// The byte that stands for a number in the cell that a counter describes; 0 for 0.
#[must_use]
pub fn image_of(number: u64) -> u8 {
    number.wrapping_mul(37).to_le_bytes()[0]
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

/// A counter, and the cell that it describes: both only touched under the lock.
struct Guard {
    lock: LockId,
    counter: u64,
    at: u64,
    len: u64,
    value: u64,
}

/// A cell that its writer publishes by the first flag, and whoever saw that by the second one, with
/// a cell of its own.
struct Chain {
    locks: [LockId; 2],
    flags: [u64; 2],
    cells: [(u64, u64); 2],
    published: u64,
}

/// Each rank's operations of a phase, in groups that stay together.
type Groups = Vec<Vec<Vec<Op>>>;

struct Maker {
    rng: Rng,
    ranks: u16,
    /// Most pages are used by one rank only, so that its home may be alone with it.
    local: bool,
    ops: Vec<Vec<Op>>,
    cells: Vec<Cell>,
    counters: Vec<(u64, u64)>,
    guards: Vec<Guard>,
    chains: Vec<Chain>,
    locks: u32,
    kept: Vec<[u8; KEPT_PAGES as usize]>,
}

impl Script {
    /// The program of a seed for so many ranks, with at least `checkpoints` of them.
    #[must_use]
    pub fn random(seed: u64, ranks: u16, checkpoints: u32) -> Self {
        let mut maker = Maker {
            rng: Rng::new(seed ^ 0x0073_6372_6970_7400),
            ranks,
            local: false,
            ops: vec![Vec::new(); usize::from(ranks)],
            cells: Vec::new(),
            counters: Vec::new(),
            guards: Vec::new(),
            chains: Vec::new(),
            locks: 0,
            kept: vec![[0; KEPT_PAGES as usize]; usize::from(ranks)],
        };
        maker.local = maker.rng.chance(30);
        let mut pages = 0;
        for _ in 0..=maker.rng.below(2) {
            pages += maker.allocate(pages);
        }
        for _ in 0..checkpoints {
            for _ in 0..=maker.rng.below(2) {
                maker.phase();
                maker.all(Op::Call(Call::Barrier, None));
            }
            maker.phase();
            // One after the other: nothing but the place in the script changes between.
            for _ in 0..=u64::from(maker.rng.chance(30)) {
                maker.all(Op::Call(Call::Checkpoint, None));
            }
        }
        if maker.rng.chance(50) {
            pages += maker.allocate(pages);
        }
        maker.phase();
        maker.all(Op::Call(Call::Barrier, None));
        maker.check_everything();
        Self { ops: maker.ops, shared_pages: pages }
    }

    /// A short program that does everything: allocations, a page of each rank on another one, private pages,
    /// a counter under a lock, barriers, and three checkpoints.
    #[must_use]
    pub fn tour(ranks: u16) -> Self {
        let page_size = u64::try_from(PAGE_SIZE).unwrap_or_default();
        let (pages, lock) = (u32::from(ranks), LockId(7));
        let bytes = u64::from(pages) * page_size;
        // The next rank's home page; in it one cell of this rank, behind the counter.
        let cell = |rank: u16| u64::from((rank + 1) % ranks) * page_size + 64;
        let value =
            |rank: u16, phase: u8| phase.wrapping_mul(50).wrapping_add(rank.to_le_bytes()[0] + 1);
        let mut ops = Vec::new();
        for rank in 0..ranks {
            let distribution = Distribution::Cyclic(1);
            let mut mine = vec![Op::Call(Call::Alloc { bytes, distribution }, Some(0))];
            for phase in 0..4 {
                let (at, len, value_now) = (cell(rank), 40, value(rank, phase));
                mine.extend([
                    Op::Write { at, len, value: value_now },
                    Op::Keep { page: 0, value: value_now },
                    Op::Call(Call::Lock(lock), None),
                    Op::Load { at: 0 },
                    Op::Bump { at: 0 },
                    Op::Call(Call::Unlock(lock), None),
                    Op::Call(Call::Barrier, None),
                ]);
                let other = (rank + 1) % ranks;
                mine.extend([
                    Op::Check { at: cell(other), len, value: value(other, phase) },
                    Op::CheckKept { page: 0, value: value_now },
                    Op::CheckCounter { at: 0, value: u64::from(phase + 1) * u64::from(ranks) },
                ]);
                // What is checked here is written again in the next phase.
                mine.push(Op::Call(if phase < 3 { Call::Checkpoint } else { Call::Barrier }, None));
            }
            ops.push(mine);
        }
        Self { ops, shared_pages: pages }
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
        self.all(Op::Call(Call::Alloc { bytes, distribution }, Some(at)));
        self.counters.push((at, 0));
        at += 8;
        while at < end {
            at = self.place(at, end);
        }
        pages
    }

    /// Puts something at `at`; where the next thing may go.
    fn place(&mut self, at: u64, end: u64) -> u64 {
        let kind = self.rng.below(12);
        let first = at.next_multiple_of(8);
        let len = 1 + self.rng.below(700);
        if kind == 0 && first + 8 + len < end {
            let lock = self.new_lock();
            self.guards.push(Guard { lock, counter: first, at: first + 8, len, value: 0 });
            return first + 8 + len;
        }
        if kind == 1 && first + 16 + 2 * len < end {
            let locks = [self.new_lock(), self.new_lock()];
            // Flags and cells in any order, so that each may share a page with each.
            let (flags, cells) = if self.rng.chance(50) {
                (first, first + 16)
            } else {
                (first + 2 * len.next_multiple_of(8), first)
            };
            if flags + 16 < end {
                let flags = [flags, flags + 8];
                let cells = [(cells, len), (cells + len, len)];
                self.chains.push(Chain { locks, flags, cells, published: 0 });
                return first + 2 * len.next_multiple_of(8) + 16;
            }
        }
        let len = len.min(end - at);
        self.cells.push(Cell { at, len, value: 0 });
        at + len
    }

    /// A lock of no other thing; its manager is any rank.
    fn new_lock(&mut self) -> LockId {
        self.locks += 1 + u32::from(self.rng.small(3));
        LockId(1_000 + self.locks)
    }

    fn phase(&mut self) {
        let mut groups: Groups = vec![Vec::new(); self.ops.len()];
        self.share_cells(&mut groups);
        self.count(&mut groups);
        self.guard(&mut groups);
        self.publish(&mut groups);
        for (ops, groups) in self.ops.iter_mut().zip(groups) {
            ops.extend(groups.into_iter().flatten());
        }
        self.keep();
    }

    fn share_cells(&mut self, groups: &mut Groups) {
        let page_size = u64::try_from(PAGE_SIZE).unwrap_or_default();
        let alone = self.local && self.rng.chance(90);
        for cell in &mut self.cells {
            let owner = usize::try_from(cell.at / page_size).unwrap_or_default() % groups.len();
            let one = |rng: &mut Rng| if alone { owner } else { rng.index(groups.len()) };
            let (rank, other) = (one(&mut self.rng), one(&mut self.rng));
            match self.rng.below(10) {
                0..=2 => {
                    cell.value = self.rng.byte();
                    let Cell { at, len, value } = *cell;
                    let mut group = vec![Op::Write { at, len, value }];
                    if self.rng.chance(30) {
                        group.push(Op::Check { at, len, value });
                    }
                    groups[rank].push(group);
                }
                3..=5 => {
                    let Cell { at, len, value } = *cell;
                    groups[rank].push(vec![Op::Check { at, len, value }]);
                    groups[other].push(vec![Op::Check { at, len, value }]);
                }
                _ => {}
            }
        }
    }

    /// Gives a group to a rank, at the place in its phase that `percent` says, or about there.
    fn insert(&mut self, groups: &mut Groups, rank: usize, percent: usize, group: Vec<Op>) {
        let spread = self.rng.index(30);
        let at = groups[rank].len() * (percent + spread).min(100) / 100;
        groups[rank].insert(at, group);
    }

    fn count(&mut self, groups: &mut Groups) {
        for i in 0..self.counters.len() {
            let (at, value) = self.counters[i];
            if self.rng.chance(30) {
                let rank = self.rng.index(groups.len());
                groups[rank].push(vec![Op::CheckCounter { at, value }]);
                continue;
            }
            let lock = LockId(u32::try_from(i).unwrap_or_default());
            for _ in 0..self.rng.below(u64::from(self.ranks) * 2) {
                let rank = self.rng.index(groups.len());
                let group = vec![
                    Op::Call(Call::Lock(lock), None),
                    Op::Load { at },
                    Op::Bump { at },
                    Op::Call(Call::Unlock(lock), None),
                ];
                let percent = self.rng.index(100);
                self.insert(groups, rank, percent, group);
                self.counters[i].1 += 1;
            }
        }
    }

    fn guard(&mut self, groups: &mut Groups) {
        for i in 0..self.guards.len() {
            for _ in 0..self.rng.below(u64::from(self.ranks) + 2) {
                let rank = self.rng.index(groups.len());
                let mut group = self.guarded(i);
                if self.rng.chance(25) && i + 1 < self.guards.len() {
                    // One lock inside another, always in the same order.
                    let inner = self.guarded(i + 1);
                    let at = 1 + self.rng.index(group.len() - 1);
                    let load = Op::Load { at: self.guards[i].counter };
                    group.splice(at..at, inner.into_iter().chain([load]));
                }
                let percent = self.rng.index(100);
                self.insert(groups, rank, percent, group);
            }
        }
    }

    fn guarded(&mut self, i: usize) -> Vec<Op> {
        let changes = self.rng.chance(70);
        let Guard { lock, counter, at, len, value } = &mut self.guards[i];
        let mut group = vec![
            Op::Call(Call::Lock(*lock), None),
            Op::Load { at: *counter },
            Op::CheckImage { at: *at, len: *len },
        ];
        if changes {
            *value += 1;
            group.extend([Op::Bump { at: *counter }, Op::FillImage { at: *at, len: *len }]);
        }
        group.push(Op::Call(Call::Unlock(*lock), None));
        group
    }

    fn publish(&mut self, groups: &mut Groups) {
        for i in 0..self.chains.len() {
            if self.rng.chance(20) {
                continue;
            }
            self.chains[i].published += 1;
            let Chain { locks, flags, cells, published } = &self.chains[i];
            let (flags, value, image) = (*flags, *published, image_of(*published));
            let [first, second] = locks.map(|lock| (Call::Lock(lock), Call::Unlock(lock)));
            let await_flag =
                |n: usize, skip: u64| Op::Await { lock: locks[n], at: flags[n], value, skip };
            let [write, also] = cells.map(|(at, len)| Op::Write { at, len, value: image });
            let [check, check_also] = cells.map(|(at, len)| Op::Check { at, len, value: image });
            let touch = Op::Touch { at: cells[0].0 };
            let raise = |(lock, unlock): (Call, Call), at: u64| {
                [Op::Call(lock, None), Op::Set { at, value }, Op::Call(unlock, None)]
            };
            let writer = [vec![write], raise(first, flags[0]).to_vec()].concat();
            let tail = [vec![check, also], raise(second, flags[1]).to_vec()].concat();
            let skip = u64::try_from(tail.len()).unwrap_or_default();
            let relay = [vec![await_flag(0, skip)], tail].concat();
            let reader = vec![await_flag(1, 2), check, check_also];
            let place = |maker: &mut Self| maker.rng.index(groups.len());
            let (by, via) = (place(self), place(self));
            let readers: Vec<usize> = (0..=self.rng.below(2)).map(|_| place(self)).collect();
            self.insert(groups, by, 0, writer);
            self.insert(groups, via, 35, relay);
            for rank in readers {
                self.insert(groups, rank, 65, reader.clone());
                // An old copy, to be given up.
                groups[rank].insert(0, vec![touch]);
            }
        }
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
            for Guard { counter, at, len, value, .. } in &self.guards {
                ops.push(Op::CheckCounter { at: *counter, value: *value });
                ops.push(Op::Check { at: *at, len: *len, value: image_of(*value) });
            }
            for Chain { cells: [(at, len), _], published, .. } in &self.chains {
                ops.push(Op::Check { at: *at, len: *len, value: image_of(*published) });
            }
        }
    }
}

mod rank;
pub use rank::ScriptMachine;
