//! A program that computes for long without a word to the runtime, while the others wait for its pages:
//! its node must serve them, and give signs of life, all the same.

use crate::{Workload, ranged};
use runtime::{Args, Distribution, Rank};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "busy",
    about: "computes without calls while others fetch its pages",
    args: &["millions"],
    check: |args| ranged(args, "millions", 50, 1..=100_000).map(drop),
    program: run,
    reference: None,
};

const WORDS: usize = 64 * 512;

fn run(rank: &mut Rank, args: &Args) {
    let steps = 1_000_000 * ranged(args, "millions", 50, 1..=100_000).unwrap_or(1) as u64;
    let Ok(mut words) = rank.alloc::<u64>(WORDS, Distribution::On(runtime::RankId(0))) else {
        panic!("busy needs {} bytes of shared memory: raise runtime.shared-memory", 8 * WORDS);
    };
    if rank.rank() == 0 {
        for (value, word) in (1..).zip(words.write(rank, 0..WORDS)) {
            *word = value;
        }
    }
    rank.barrier();
    // Rank 0 is home of every page that the others need now, and makes no call while they do.
    let seen: u64 = match rank.rank() {
        0 => compute(steps).wrapping_mul(0),
        _ => words.read(rank, 0..WORDS).iter().sum(),
    };
    let mut total = words.read(rank, 0..WORDS).iter().sum::<u64>();
    if rank.rank() > 0 && seen != total {
        total = 0;
    }
    rank.barrier();
    rank.report(&total.to_le_bytes(), format_args!("sum {total}"));
}

/// So many steps that nothing can leave out.
fn compute(steps: u64) -> u64 {
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..steps {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    core::hint::black_box(x)
}
