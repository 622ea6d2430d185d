//! The paper's workload: explicit Jacobi sweeps over a square, `u` and `uu` in shared memory, swapped
//! after each sweep, with a barrier each.

use crate::{Workload, ranged};
use alloc::vec;
use alloc::vec::Vec;
use runtime::{Args, BadArg, Distribution, Rank};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "laplace",
    about: "Jacobi sweeps over a square in shared memory",
    args: &["size", "iterations", "checkpoint-every"],
    check: |args| Sizes::from(args).map(drop),
    program: run,
    reference: Some(reference),
};

struct Sizes {
    size: usize,
    iterations: usize,
    /// 0: never.
    checkpoint_every: usize,
}

impl Sizes {
    fn from(args: &Args) -> Result<Self, BadArg> {
        Ok(Self {
            size: ranged(args, "size", 512, 3..=16_384)?,
            iterations: ranged(args, "iterations", 300, 0..=10_000_000)?,
            checkpoint_every: ranged(args, "checkpoint-every", 50, 0..=10_000_000)?,
        })
    }
}

/// A pattern with no symmetry that could hide a row in the wrong place.
fn initial(row: usize, column: usize) -> f64 {
    let n = (row * 31 + column * 17 + row * column) % 101;
    f64::from(u8::try_from(n).unwrap_or_default()) / 101.0
}

fn run(rank: &mut Rank, args: &Args) {
    let Ok(Sizes { size, iterations, checkpoint_every }) = Sizes::from(args) else { return };
    let (me, ranks) = (usize::from(rank.rank()), usize::from(rank.ranks()));
    let (first, last) = (me * size / ranks, (me + 1) * size / ranks);
    let arrays = [(); 2].map(|()| rank.alloc::<f64>(size * size, Distribution::Block));
    let [Ok(mut u), Ok(mut uu)] = arrays else {
        panic!(
            "laplace needs {} bytes of shared memory: raise runtime.shared-memory",
            16 * size * size
        );
    };
    for array in [&mut u, &mut uu] {
        let rows = array.write(rank, first * size..last * size);
        for (i, value) in rows.iter_mut().enumerate() {
            *value = initial(first + i / size, i % size);
        }
    }
    rank.barrier();
    // Rows at the edge stay as they are.
    let (top, bottom) = (first.max(1), last.min(size - 1));
    for iteration in 1..=iterations {
        if top < bottom {
            let from = u.read(rank, (top - 1) * size..(bottom + 1) * size);
            let to = uu.write(rank, top * size..bottom * size);
            sweep(from, to, size);
        }
        rank.barrier();
        core::mem::swap(&mut u, &mut uu);
        rank.iteration(iteration as u64);
        if checkpoint_every > 0 && iteration.is_multiple_of(checkpoint_every) {
            rank.checkpoint();
        }
    }
    if me == 0 {
        let result: Vec<u8> =
            u.read(rank, 0..size * size).iter().flat_map(|x| x.to_le_bytes()).collect();
        let middle = u.get(rank, (size / 2) * size + size / 2);
        rank.report(&result, format_args!("{size}x{size}, middle {middle:.12}"));
    }
    rank.barrier();
}

/// One sweep over the rows of `to`; `from` has one more above and below.
fn sweep(from: &[f64], to: &mut [f64], size: usize) {
    for (row, to) in to.chunks_exact_mut(size).enumerate() {
        let above = &from[row * size..][..size];
        let here = &from[(row + 1) * size..][..size];
        let below = &from[(row + 2) * size..][..size];
        for column in 1..size - 1 {
            to[column] =
                0.25 * (above[column] + below[column] + here[column - 1] + here[column + 1]);
        }
    }
}

/// The same, by one plain loop over plain arrays.
fn reference(args: &Args) -> Vec<u8> {
    let Ok(Sizes { size, iterations, .. }) = Sizes::from(args) else { return Vec::new() };
    let mut u = vec![0.0f64; size * size];
    for (i, value) in u.iter_mut().enumerate() {
        *value = initial(i / size, i % size);
    }
    let mut next = u.clone();
    for _ in 0..iterations {
        for row in 1..size - 1 {
            for column in 1..size - 1 {
                let at = row * size + column;
                next[at] = 0.25 * (u[at - size] + u[at + size] + u[at - 1] + u[at + 1]);
            }
        }
        core::mem::swap(&mut u, &mut next);
    }
    u.iter().flat_map(|x| x.to_le_bytes()).collect()
}
