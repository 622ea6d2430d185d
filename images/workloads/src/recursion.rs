//! State that lives where a restart must not lose it: deep in the recursion, in local floats, and
//! on the heap in `Vec`, `Box`, `String` and `BTreeMap`. Checkpoints are taken on the way down and on
//! the way up, in the middle of it all.

use crate::{Workload, ranged};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use runtime::{Args, BadArg, Distribution, Rank, Shared};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "recursion",
    about: "deep recursion over heap structures, floats and a shared array",
    args: &["depth", "items", "checkpoint-every"],
    check: |args| Sizes::from(args).map(drop),
    program: run,
    reference: None,
};

struct Sizes {
    depth: usize,
    items: usize,
    /// 0: never.
    checkpoint_every: usize,
}

impl Sizes {
    fn from(args: &Args) -> Result<Self, BadArg> {
        Ok(Self {
            depth: ranged(args, "depth", 200, 1..=2_000)?,
            items: ranged(args, "items", 64, 2..=10_000)?,
            checkpoint_every: ranged(args, "checkpoint-every", 20, 0..=10_000)?,
        })
    }
}

/// What grows on the heap on the way down and is taken apart on the way up.
#[derive(Default)]
struct Heap {
    names: BTreeMap<usize, String>,
    chain: Option<Box<Link>>,
    journal: Vec<u64>,
}

struct Link {
    level: usize,
    payload: Vec<u8>,
    rest: Option<Box<Self>>,
}

fn run(rank: &mut Rank, args: &Args) {
    let Ok(sizes) = Sizes::from(args) else { return };
    let Ok(mut board) = rank.alloc::<u64>(sizes.items, Distribution::Cyclic(1)) else {
        panic!(
            "recursion needs {} bytes of shared memory: raise runtime.shared-memory",
            8 * sizes.items
        );
    };
    let mut heap = Heap::default();
    let sum = descend(rank, &sizes, &mut board, &mut heap, 0, 1.0);
    let mut result: Vec<u8> = sum.to_bits().to_le_bytes().to_vec();
    result.extend(heap.journal.iter().flat_map(|entry| entry.to_le_bytes()));
    result.extend(board.read(rank, 0..sizes.items).iter().flat_map(|x| x.to_le_bytes()));
    let (left, names) = (usize::from(heap.chain.is_some()), heap.names.len());
    result.extend([left, names].map(|n| u8::try_from(n).unwrap_or(u8::MAX)));
    rank.report(&result, format_args!("sum {sum:.12}, {} journal entries", heap.journal.len()));
    rank.barrier();
}

fn descend(
    rank: &mut Rank,
    sizes: &Sizes,
    board: &mut Shared<u64>,
    heap: &mut Heap,
    level: usize,
    carried: f64,
) -> f64 {
    // Lives in registers and on the stack across everything below.
    let level_as_f64 = f64::from(u32::try_from(level).unwrap_or(u32::MAX));
    let (a, b) = (carried * 1.000_123 + level_as_f64 / 7.0, 1.0 / (level_as_f64 + 3.0));
    let label = format!("level {level} of {}", sizes.depth);
    heap.names.insert(level, label.clone());
    let payload = label.bytes().cycle().take(1 + level % 97).collect();
    heap.chain = Some(Box::new(Link { level, payload, rest: heap.chain.take() }));
    write_cell(rank, board, level, a.to_bits());
    checkpoint_at(rank, sizes, level);
    let below = if level + 1 < sizes.depth {
        descend(rank, sizes, board, heap, level + 1, a * b + carried)
    } else {
        a
    };
    write_cell(rank, board, level, (below + b).to_bits());
    checkpoint_at(rank, sizes, level + 1);
    let link = heap.chain.take().map(|link| *link);
    if let Some(Link { level: its, payload, rest }) = link {
        heap.chain = rest;
        let sum = payload.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        heap.journal.push(sum * 1_000 + u64::try_from(its).unwrap_or(u64::MAX));
    }
    let intact = heap.names.remove(&level).is_some_and(|name| name == label);
    heap.journal.push(u64::from(intact));
    let bits = board.get(rank, level % board.len()).count_ones();
    (below * 0.5 + a * b) + f64::from(bits)
}

/// One rank, another each time, writes a cell that all then read.
fn write_cell(rank: &mut Rank, board: &mut Shared<u64>, level: usize, value: u64) {
    if level % usize::from(rank.ranks()) == usize::from(rank.rank()) {
        let cell = level % board.len();
        board.set(rank, cell, value);
    }
    rank.barrier();
}

fn checkpoint_at(rank: &mut Rank, sizes: &Sizes, level: usize) {
    if sizes.checkpoint_every > 0 && level % sizes.checkpoint_every == sizes.checkpoint_every - 1 {
        rank.checkpoint();
    }
}
