//! Runs suites on a rank.

use crate::{Body, Case, Outcome, Suite, cases, mine};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use runtime::{CallError, Distribution, Rank, RankId, Shared};

/// Words of shared memory that a case of the ranks gets: three pages.
pub const WORDS: usize = 3 * 512;
/// Bytes of shared memory that [`run`] needs.
pub const SHARED_BYTES: usize = PLACES.len() * WORDS * size_of::<u64>();

/// Where the words live. What ranks see must not depend on it.
const PLACES: [&str; 4] = ["block", "cyclic", "on the last rank", "first touch"];

fn distribution(place: &str, ranks: u16) -> Distribution {
    match place {
        "block" => Distribution::Block,
        "cyclic" => Distribution::Cyclic(1),
        "on the last rank" => Distribution::On(RankId(ranks.saturating_sub(1))),
        _ => Distribution::FirstTouch,
    }
}

/// Places at which a suite runs; none: it needs no words.
const fn places(suite: Suite) -> &'static [&'static str] {
    match suite {
        Suite::Link | Suite::Mcapi => &[],
        Suite::Sdsm => &PLACES,
        Suite::Checkpoint => &["cyclic"],
    }
}

pub(crate) fn line(case: &Case, place: Option<&str>, outcome: Outcome) -> String {
    let (suite, name) = (case.suite.name(), case.name);
    let place = place.map_or_else(String::new, |place| format!(", {place}"));
    let outcome = outcome.map_or_else(|why| format!("FAILED: {why}"), |()| "ok".into());
    format!("{suite}: {name}{place}: {outcome}\n")
}

fn of(suite: Suite) -> impl Iterator<Item = &'static Case> {
    cases().filter(move |case| case.suite == suite)
}

/// Runs every case of these suites so many times and gives a line for each: whether it held, and if
/// not, why. Collective; takes a checkpoint now and then.
///
/// # Errors
/// When there is no room for [`SHARED_BYTES`].
pub fn run(rank: &mut Rank, suites: &[Suite], rounds: usize) -> Result<String, CallError> {
    let mut lines = String::new();
    for suite in suites {
        for case in of(*suite) {
            if let Body::Alone(body) = case.body {
                let outcome = (0..rounds).try_for_each(|_| body());
                lines += &line(case, None, outcome);
            }
        }
        for place in places(*suite) {
            let mut words = rank.alloc::<u64>(WORDS, distribution(place, rank.ranks()))?;
            for case in of(*suite) {
                if let Body::Ranks(body) = case.body {
                    let mut outcome = Ok(());
                    for _ in 0..rounds {
                        clear(rank, &mut words);
                        // Every round is run by all: one that left would keep the others waiting.
                        outcome = outcome.and(body(rank, &mut words));
                    }
                    lines += &line(case, Some(place), outcome);
                }
            }
            rank.checkpoint();
        }
    }
    Ok(lines)
}

/// What [`run`] gives when every case holds.
#[must_use]
pub fn expected(suites: &[Suite]) -> String {
    let mut lines = String::new();
    for suite in suites {
        let of_bodies = |alone: bool| {
            of(*suite).filter(move |case| matches!(case.body, Body::Alone(_)) == alone)
        };
        lines.extend(of_bodies(true).map(|case| line(case, None, Ok(()))));
        for place in places(*suite) {
            lines.extend(of_bodies(false).map(|case| line(case, Some(place), Ok(()))));
        }
    }
    lines
}

/// The suites of a name: one of them, or all.
#[must_use]
pub fn suites(name: &str) -> Vec<Suite> {
    let named = |suite: &Suite| name == "all" || suite.name() == name;
    Suite::ALL.iter().copied().filter(named).collect()
}

/// Zeroes the words, each rank its own.
fn clear(rank: &mut Rank, words: &mut Shared<u64>) {
    rank.barrier();
    for i in (0..WORDS).filter(|i| mine(rank, *i)) {
        words.set(rank, i, 0);
    }
    rank.barrier();
}
