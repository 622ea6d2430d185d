//! `understudy sim --exhaustive`: every crash, and with `--pairs` every second one after it.

use crate::failure::Failure;
use crate::progress::Progress;
use crate::proto::{EXIT_OK, EXIT_VERDICT};
use runtime_sim::Scenario;
use runtime_sim::explore::{Broken, Plan, Tally, enumerate};
use runtime_sim::model::{self, commit, membership};
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

/// The tours of these sizes: compute nodes, standbys, copies of each rank; and 3+0 with double-up.
const SIZES: [(u16, u16, u8); 4] = [(2, 1, 1), (3, 1, 1), (3, 2, 1), (3, 2, 2)];

/// The tour of each size, or only this scenario.
pub(super) fn main(
    seed: u64,
    one: Option<Scenario>,
    pairs: bool,
    every: usize,
) -> Result<u8, Failure> {
    let all = one.is_none();
    let tour = |(compute, standby, replicas)| Scenario::tour(seed * 4, compute, standby, replicas);
    let doubling = Scenario { double_up: true, ..tour((3, 0, 1)) };
    let sizes = SIZES.map(tour).into_iter().chain([doubling]);
    let scenarios = one.map_or_else(|| sizes.collect(), |one| vec![one]);
    let plan = Plan { stride: every, ..if pairs { Plan::PAIRS } else { Plan::SINGLES } };
    let mut sum = Tally::default();
    for scenario in scenarios {
        match of_scenario(&scenario, plan) {
            Ok(tally) => sum += tally,
            Err(broken) => {
                println!("{broken}");
                println!("FAIL after {} good runs", sum.runs);
                return Ok(EXIT_VERDICT);
            }
        }
    }
    println!("in all {sum}");
    if all && let Err(fault) = models(pairs) {
        println!("{fault}\nFAIL");
        return Ok(EXIT_VERDICT);
    }
    println!("PASS");
    Ok(EXIT_OK)
}

fn of_scenario(scenario: &Scenario, plan: Plan) -> Result<Tally, Broken> {
    let Scenario { compute, standby, replicas, .. } = scenario;
    let seats = if scenario.double_up { ", double-up" } else { "" };
    let what = format!("{compute}+{standby}, replicas {}{seats}", replicas.unwrap_or_default());
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let (progress, began) = (Progress::new(), Instant::now());
    let sums = Mutex::new(vec![Tally::default(); threads]);
    let say = |part: usize, tally: &Tally| {
        // A poisoned lock means that another thread panicked, which ends all.
        if let Ok(mut sums) = sums.lock() {
            sums[part] = *tally;
            let all = sums.iter().fold(Tally::default(), |mut all, part| {
                all += *part;
                all
            });
            let rate = rate(all.runs, began);
            progress.line(&format!("{what}: {all}; {rate} runs/s"));
        }
    };
    let run = |part| {
        let plan = Plan { part: (part, threads), ..plan };
        enumerate(scenario, plan, &mut |tally| say(part, tally))
    };
    let parts: Vec<Result<Tally, Broken>> = thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> = (0..threads).map(|part| scope.spawn(move || run(part))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        threads.into_iter().map(join).collect()
    });
    let mut tally = Tally::default();
    for part in parts {
        tally += part?;
    }
    println!("{what}: {tally}; {:.1} s", began.elapsed().as_secs_f64());
    Ok(tally)
}

pub(super) fn rate(runs: u64, began: Instant) -> u64 {
    let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    runs.saturating_mul(1_000) / ms.max(1)
}

/// The models, larger ones with `large`.
fn models(large: bool) -> Result<(), String> {
    let bounds = |deaths, suspicions, trusts, ticks| membership::Bounds {
        deaths,
        suspicions,
        trusts,
        ticks,
    };
    let (views, commits): (&[_], &[_]) = if large {
        (&[bounds(1, 1, 1, 1), bounds(1, 2, 0, 0), bounds(0, 2, 0, 1)], &[(2, 1, 2), (2, 2, 2)])
    } else {
        (&[bounds(1, 1, 0, 1)], &[(2, 1, 1), (2, 1, 2)])
    };
    for bounds in views {
        let extent = model::explore(membership::Cluster::new(2, 1, *bounds), 1)?;
        println!("views of 2+1, {bounds:?}: {extent}");
    }
    for (compute, standby, copies) in commits {
        let deaths = u8::try_from(*copies).unwrap_or(u8::MAX);
        let first = commit::Cluster::new(*compute, *standby, *copies, deaths, 2);
        let extent = model::explore(first, 1)?;
        println!("commits of {compute}+{standby}, {copies} copies, {deaths} deaths: {extent}");
    }
    Ok(())
}
