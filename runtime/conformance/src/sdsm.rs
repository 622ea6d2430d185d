//! What ranks must see of each other's writes; each body must hold for every placement of the words.

use crate::{Body, Case, Outcome, Suite, WORDS, mine, same};
use alloc::vec::Vec;
use runtime::{Rank, Shared};

pub(crate) const CASES: &[Case] = &[
    case("message passing under a lock", message_passing),
    case("store buffering with a barrier", store_buffering),
    case("multiple writers in one page", multiple_writers),
    case("lock hand-over", lock_hand_over),
    case("false sharing", false_sharing),
    case("data that migrates under a lock", migratory),
    case("a ring of neighbours, round after round", ring),
    case("many locks guard many words", many_locks),
    case("an update across the ends of pages", page_ends),
];

const fn case(name: &'static str, body: fn(&mut Rank, &mut Shared<u64>) -> Outcome) -> Case {
    Case { suite: Suite::Sdsm, name, body: Body::Ranks(body) }
}

const COUNT: u64 = 60;
const LOCK: u32 = 5;

/// Whoever sees the flag sees the data.
fn message_passing(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
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
            return same("the data", words.get(rank, data), 42);
        }
    }
}

/// Two writes on two ranks; after the barrier everybody sees both.
fn store_buffering(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    let (x, y) = (0, 600);
    if mine(rank, 0) {
        words.set(rank, x, 1);
    }
    if mine(rank, 1) {
        words.set(rank, y, 1);
    }
    rank.barrier();
    same("x", words.get(rank, x), 1)?;
    same("y", words.get(rank, y), 1)
}

/// Every rank writes its own words of the same pages.
fn multiple_writers(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    let value = |i: usize| u64::try_from(i * i + 1).unwrap_or_default();
    for i in (0..WORDS).filter(|i| mine(rank, *i)) {
        words.set(rank, i, value(i));
    }
    rank.barrier();
    for i in 0..WORDS {
        same("a word", words.get(rank, i), value(i))?;
    }
    Ok(())
}

/// A counter under a lock loses no increment.
fn lock_hand_over(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    for i in 0..COUNT {
        if mine(rank, usize::try_from(i).unwrap_or_default()) {
            rank.lock(LOCK);
            let count = words.get(rank, 7);
            words.set(rank, 7, count + 1);
            rank.unlock(LOCK);
        }
    }
    rank.barrier();
    same("the counter", words.get(rank, 7), COUNT)
}

/// Every rank counts in its own words of one page, round after round.
fn false_sharing(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    for _ in 0..5 {
        for i in (0..64).filter(|i| mine(rank, *i)) {
            let count = words.get(rank, i);
            words.set(rank, i, count + 1);
        }
        rank.barrier();
    }
    for i in 0..64 {
        same("a count", words.get(rank, i), 5)?;
    }
    Ok(())
}

/// Whole pages handed from rank to rank under a lock, each word one more than the rank before left it.
fn migratory(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
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
        same("a word", words.get(rank, i), 12)?;
    }
    Ok(())
}

/// Each rank reads what its neighbour wrote, and hands on one more.
fn ring(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    const ROUNDS: u64 = 6;
    let (me, ranks) = (usize::from(rank.rank()), usize::from(rank.ranks()));
    // In the page of each rank, if there are no more than three: in one with others otherwise.
    let place = |rank: usize| rank * 512 % WORDS + rank;
    let mut outcome = Ok(());
    for round in 0..ROUNDS {
        let from = words.get(rank, place((me + ranks - 1) % ranks));
        rank.barrier();
        outcome = outcome.and(same("what the neighbour wrote", from, round));
        words.set(rank, place(me), from + 1);
        rank.barrier();
    }
    outcome
}

/// Words that each have a lock of their own, taken in turns and two at a time.
fn many_locks(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    const LOCKS: u32 = 16;
    let place = |lock: u32| 97 * lock as usize % WORDS;
    for step in 0..LOCKS {
        // In ascending order, so that nobody waits in a circle.
        let low = (step + u32::from(rank.rank())) % (LOCKS - 1);
        for lock in [low, low + 1] {
            rank.lock(100 + lock);
            let value = words.get(rank, place(lock));
            words.set(rank, place(lock), value + 1);
        }
        rank.unlock(100 + low + 1);
        rank.unlock(100 + low);
    }
    rank.barrier();
    let total: u64 = (0..LOCKS).map(|lock| words.get(rank, place(lock))).sum();
    rank.barrier();
    same("all increments", total, 2 * u64::from(LOCKS) * u64::from(rank.ranks()))
}

/// One rank writes a stretch over the end of a page, all read it, the next rank writes the next one.
fn page_ends(rank: &mut Rank, words: &mut Shared<u64>) -> Outcome {
    let mut outcome = Ok(());
    for turn in 0..6 {
        let end = 512 * (1 + turn % 2);
        let value = |i: usize| (u64::MAX / (turn as u64 + 2)) ^ i as u64;
        if mine(rank, turn) {
            for (i, word) in (end - 5..).zip(words.write(rank, end - 5..end + 5)) {
                *word = value(i);
            }
        }
        rank.barrier();
        let seen: Vec<u64> = words.read(rank, end - 5..end + 5).to_vec();
        rank.barrier();
        let expected: Vec<u64> = (end - 5..end + 5).map(value).collect();
        outcome = outcome.and(same("what was written", seen, expected));
    }
    outcome
}
