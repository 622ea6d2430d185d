//! Litmus tests of the memory model, each under every distribution. The result is a line for each
//! test, the same for any number of ranks.

use crate::{Workload, ranged};
use alloc::format;
use alloc::string::String;
use runtime::{Args, Distribution, Rank, RankId, Shared};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "litmus",
    about: "what ranks must see of each other's writes",
    args: &["rounds"],
    check: |args| ranged(args, "rounds", 3, 1..=1_000).map(drop),
    program: run,
    reference: None,
};

const WORDS: usize = 3 * 512;
const COUNT: u64 = 60;
const LOCK: u32 = 5;

type Test = fn(&mut Rank, &mut Shared<u64>) -> Result<(), String>;

const TESTS: &[(&str, Test)] = &[
    ("message passing under a lock", message_passing),
    ("store buffering with a barrier", store_buffering),
    ("multiple writers in one page", multiple_writers),
    ("lock hand-over", lock_hand_over),
    ("false sharing", false_sharing),
    ("data that migrates under a lock", migratory),
];

fn run(rank: &mut Rank, args: &Args) {
    let rounds = ranged(args, "rounds", 3, 1..=1_000).unwrap_or(1);
    let last = RankId(rank.ranks() - 1);
    let distributions = [
        ("block", Distribution::Block),
        ("cyclic", Distribution::Cyclic(1)),
        ("on the last rank", Distribution::On(last)),
        ("first touch", Distribution::FirstTouch),
    ];
    let mut lines = String::new();
    for (place, distribution) in distributions {
        let Ok(mut words) = rank.alloc::<u64>(WORDS, distribution) else {
            panic!(
                "litmus needs {} bytes of shared memory: raise runtime.shared-memory",
                8 * WORDS * 4
            );
        };
        for (name, test) in TESTS {
            let mut outcome = Ok(());
            for _ in 0..rounds {
                clear(rank, &mut words);
                outcome = outcome.and(test(rank, &mut words));
            }
            let outcome = outcome.map_or_else(|why| format!("FAILED: {why}"), |()| "ok".into());
            lines.push_str(&format!("{name}, {place}: {outcome}\n"));
        }
        rank.checkpoint();
    }
    let wrong = lines.matches("FAILED").count();
    rank.report(lines.as_bytes(), format_args!("{} tests, {wrong} failed", lines.lines().count()));
    if wrong > 0 {
        rank.print(format_args!("{lines}"));
    }
    rank.barrier();
}

fn clear(rank: &mut Rank, words: &mut Shared<u64>) {
    rank.barrier();
    for i in 0..WORDS {
        if mine(rank, i) {
            words.set(rank, i, 0);
        }
    }
    rank.barrier();
}

fn mine(rank: &Rank, i: usize) -> bool {
    i % usize::from(rank.ranks()) == usize::from(rank.rank())
}

fn expect(what: &str, found: u64, expected: u64) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what} is {found}, should be {expected}")) }
}

/// Whoever sees the flag sees the data.
fn message_passing(rank: &mut Rank, words: &mut Shared<u64>) -> Result<(), String> {
    let (flag, data) = (0, WORDS - 1);
    if rank.rank() == 0 {
        words.set(rank, data, 42);
        rank.lock(LOCK);
        words.set(rank, flag, 1);
        rank.unlock(LOCK);
    }
    loop {
        rank.lock(LOCK);
        let seen = words.get(rank, flag);
        rank.unlock(LOCK);
        if seen == 1 {
            return expect("the data", words.get(rank, data), 42);
        }
    }
}

/// Two writes on two ranks; after the barrier everybody sees both.
fn store_buffering(rank: &mut Rank, words: &mut Shared<u64>) -> Result<(), String> {
    let (x, y) = (0, 600);
    if mine(rank, 0) {
        words.set(rank, x, 1);
    }
    if mine(rank, 1) {
        words.set(rank, y, 1);
    }
    rank.barrier();
    expect("x", words.get(rank, x), 1)?;
    expect("y", words.get(rank, y), 1)
}

/// Every rank writes its own words of the same pages.
fn multiple_writers(rank: &mut Rank, words: &mut Shared<u64>) -> Result<(), String> {
    let value = |i: usize| u64::try_from(i * i + 1).unwrap_or_default();
    for i in (0..WORDS).filter(|i| mine(rank, *i)) {
        words.set(rank, i, value(i));
    }
    rank.barrier();
    for i in 0..WORDS {
        expect("a word", words.get(rank, i), value(i))?;
    }
    Ok(())
}

/// A counter under a lock loses no increment.
fn lock_hand_over(rank: &mut Rank, words: &mut Shared<u64>) -> Result<(), String> {
    for i in 0..COUNT {
        if mine(rank, usize::try_from(i).unwrap_or_default()) {
            rank.lock(LOCK);
            let count = words.get(rank, 7);
            words.set(rank, 7, count + 1);
            rank.unlock(LOCK);
        }
    }
    rank.barrier();
    expect("the counter", words.get(rank, 7), COUNT)
}

/// Every rank counts in its own words of one page, round after round.
fn false_sharing(rank: &mut Rank, words: &mut Shared<u64>) -> Result<(), String> {
    for _ in 0..5 {
        for i in (0..64).filter(|i| mine(rank, *i)) {
            let count = words.get(rank, i);
            words.set(rank, i, count + 1);
        }
        rank.barrier();
    }
    for i in 0..64 {
        expect("a count", words.get(rank, i), 5)?;
    }
    Ok(())
}

/// Whole pages handed from rank to rank under a lock, each word one more than the rank before left it.
fn migratory(rank: &mut Rank, words: &mut Shared<u64>) -> Result<(), String> {
    for turn in 0..12 {
        if mine(rank, turn) {
            rank.lock(LOCK);
            for word in words.write(rank, 0..1_000) {
                *word += 1;
            }
            rank.unlock(LOCK);
        }
    }
    rank.barrier();
    for i in 0..1_000 {
        expect("a word", words.get(rank, i), 12)?;
    }
    Ok(())
}
