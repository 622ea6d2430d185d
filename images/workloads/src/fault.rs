//! A program that is broken on purpose: what people see of it, on every kind of node, must name the
//! cause. Rank 1 breaks after the first checkpoint; whoever takes it over breaks in the same place.

use crate::Workload;
use alloc::vec::Vec;
use core::hint::black_box;
use runtime::{Args, BadArg, Rank};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "fault",
    about: "breaks in rank 1: how=panic, index, divide, heap or stack",
    args: &["how"],
    check: |args| how(args).map(drop),
    program: run,
    reference: None,
};

/// Bytes of a block.
const BLOCK: usize = 64 * 1024;

/// Never returns; but the compiler must believe that it may.
type Break = fn() -> u64;

const WAYS: &[(&str, Break)] = &[
    ("panic", || panic!("rank 1 breaks on purpose")),
    ("index", || u64::from(black_box(&[0_u8; 3][..])[black_box(7)])),
    ("divide", || black_box(1) / black_box(0)),
    ("heap", fill_heap),
    ("stack", || dig(black_box(1))),
];

fn how(args: &Args) -> Result<Break, BadArg> {
    let wanted = args.get("how").unwrap_or("panic");
    WAYS.iter().find(|(name, _)| *name == wanted).map(|(_, way)| *way).ok_or_else(|| {
        let names: Vec<&str> = WAYS.iter().map(|(name, _)| *name).collect();
        BadArg(alloc::format!("argument how: `{wanted}` is none of {}", names.join(", ")))
    })
}

fn run(rank: &mut Rank, args: &Args) {
    let Ok(how) = how(args) else { return };
    rank.checkpoint();
    if rank.rank() == 1 {
        black_box(how());
    }
    rank.barrier();
    rank.report(b"whole", format_args!("nothing broke"));
}

fn fill_heap() -> u64 {
    let mut blocks = Vec::new();
    loop {
        blocks.push(black_box(Vec::<u8>::with_capacity(BLOCK)));
    }
}

/// Needs its frame after the call.
fn dig(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    if black_box(depth) == 0 {
        return 0;
    }
    dig(depth + 1).wrapping_add(frame[7])
}
