//! What a rank has after a checkpoint, on whichever node it comes out of it.

use crate::{Body, Case, Outcome, Suite, ensure, mine, same};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::hint::black_box;
use runtime::{Rank, Shared};

pub(crate) const CASES: &[Case] = &[
    case("locals have their values", locals),
    case("floating point goes on to the last bit", floating_point),
    case("vectors, boxes, strings and maps have their contents", heap),
    case("what is on the heap lies where it lay", addresses),
    case("the heap can be used on", heap_use),
    case("frames of a deep recursion are all there", recursion),
    case("shared words have their values", shared),
    case("epochs rise", epochs),
];

const fn case(name: &'static str, body: fn(&mut Rank, &mut Shared<u64>) -> Outcome) -> Case {
    Case { suite: Suite::Checkpoint, name, body: Body::Ranks(body) }
}

fn locals(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    let small = black_box(0x5a_u8);
    let wide = black_box(u128::MAX / 3);
    let array: [u64; 100] = core::array::from_fn(|i| black_box(i as u64) * 3);
    let mut counted = 0;
    for _ in 0..black_box(3) {
        rank.checkpoint();
        counted += 1;
    }
    same("a byte", small, 0x5a)?;
    same("a wide integer", wide, u128::MAX / 3)?;
    same("the sum of an array", array.iter().sum::<u64>(), 3 * 99 * 50)?;
    same("the loop's count", counted, 3)
}

/// The same series with and without checkpoints in between.
fn floating_point(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    let step = |i: u32, sums: &mut [f64; 8]| {
        let x = 1.0 / (f64::from(i) + 0.3);
        for (power, sum) in sums.iter_mut().enumerate() {
            *sum = *sum * 0.999 + x * (1.0 + power as f64 / 7.0);
        }
    };
    let (mut with, mut without) = (black_box([0.1; 8]), black_box([0.1; 8]));
    (0..90).for_each(|i| step(i, &mut without));
    for i in 0..90 {
        step(i, &mut with);
        if i % 30 == 15 {
            rank.checkpoint();
        }
    }
    same("the sums, bit by bit", with.map(f64::to_bits), without.map(f64::to_bits))
}

/// What grows between checkpoints.
#[derive(Default)]
struct Heap {
    list: Vec<u32>,
    boxed: Box<[u64; 4]>,
    text: String,
    map: BTreeMap<String, Vec<u8>>,
}

impl Heap {
    fn grow(&mut self, n: u32) {
        self.list.extend(n..n + 300);
        self.boxed[n as usize % 4] += u64::from(n);
        self.text += &format!("{n};");
        self.map.insert(format!("key {n}"), alloc::vec![7; n as usize]);
        self.map.remove(&format!("key {}", n / 2));
    }
}

fn heap(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    let (mut with, mut without) = (Heap::default(), Heap::default());
    for n in 1..20 {
        with.grow(n);
        if n % 5 == 0 {
            rank.checkpoint();
        }
    }
    (1..20).for_each(|n| without.grow(n));
    ensure(with.list == without.list, "the vector changed")?;
    same("the box", with.boxed, without.boxed)?;
    same("the string", with.text, without.text)?;
    ensure(with.map == without.map, "the map changed")
}

fn addresses(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    let boxes: Vec<Box<u64>> = (0..50).map(Box::new).collect();
    let places = || boxes.iter().map(|b| &raw const **b as usize).collect::<Vec<_>>();
    let before = places();
    rank.checkpoint();
    ensure(places() == before, "boxes moved")?;
    same("the sum of boxes", boxes.iter().map(|b| **b).sum::<u64>(), 49 * 25)
}

fn heap_use(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for round in 0_u8..6 {
        for size in [1, 30, 500, 9_000, 70_000] {
            kept.push(alloc::vec![round; size]);
        }
        if round % 2 == 1 {
            rank.checkpoint();
            kept.retain(|block| block.len() % 500 == 0);
        }
    }
    let whole = |block: &Vec<u8>| block.iter().all(|byte| *byte == block[0]);
    ensure(kept.iter().all(whole), "a block was overwritten")?;
    same("blocks", kept.len(), 18)
}

fn recursion(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    fn down(rank: &mut Rank, depth: u64) -> u64 {
        let here = black_box([depth; 16]);
        if depth == 0 {
            rank.checkpoint();
            return 0;
        }
        let below = down(rank, depth - 1);
        if depth == 100 {
            rank.checkpoint();
        }
        below + here.iter().sum::<u64>()
    }
    same("the sum of frames", down(rank, 200), 16 * 200 * 201 / 2)
}

fn shared(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    let mut outcome = Ok(());
    for turn in 1_usize..=3 {
        for i in 0..words.len() {
            if mine(rank, i + turn) {
                words.set(rank, i, (i * turn) as u64);
            }
        }
        rank.checkpoint();
        let wrong = (0..words.len()).find(|i| words.get(rank, *i) != (*i * turn) as u64);
        rank.barrier();
        outcome = outcome.and(same("a word that changed", wrong, None));
    }
    outcome
}

fn epochs(rank: &mut Rank, _: &mut Shared<u64>) -> Outcome {
    let epochs = [0; 3].map(|_: u64| rank.checkpoint());
    ensure(epochs.is_sorted_by(|a, b| a < b), "an epoch is not higher than the one before")
}
