//! The conformance suites, run by the ranks of a cluster. The result is a line for each case, the
//! same for any number of ranks.

use crate::{Workload, ranged};
use alloc::format;
use alloc::vec::Vec;
use runtime::{Args, BadArg, Rank};
use runtime_conformance::{SHARED_BYTES, Suite, expected, run, suites};

pub(crate) const WORKLOAD: Workload = Workload {
    name: "conformance",
    about: "what must hold on every driver: links, MCAPI, shared memory, checkpoints",
    args: &["suite", "rounds"],
    check,
    program: conformance,
    reference: Some(|args| expected(&chosen(args)).into_bytes()),
};

pub(crate) const LITMUS: Workload = Workload {
    name: "litmus",
    about: "what ranks must see of each other's writes",
    args: &["rounds"],
    check,
    program: litmus,
    reference: Some(|_| expected(&[Suite::Sdsm]).into_bytes()),
};

fn chosen(args: &Args) -> Vec<Suite> {
    suites(args.get("suite").unwrap_or("all"))
}

fn rounds(args: &Args, default: usize) -> Result<usize, BadArg> {
    ranged(args, "rounds", default, 1..=1_000)
}

fn check(args: &Args) -> Result<(), BadArg> {
    if chosen(args).is_empty() {
        let known = Suite::ALL.iter().map(|suite| suite.name()).collect::<Vec<_>>().join(", ");
        return Err(BadArg(format!("argument suite: must be one of {known}, or all")));
    }
    rounds(args, 1).map(drop)
}

fn conformance(rank: &mut Rank, args: &Args) {
    report(rank, &chosen(args), rounds(args, 1));
}

fn litmus(rank: &mut Rank, args: &Args) {
    report(rank, &[Suite::Sdsm], rounds(args, 3));
}

fn report(rank: &mut Rank, suites: &[Suite], rounds: Result<usize, BadArg>) {
    let Ok(lines) = run(rank, suites, rounds.unwrap_or(1)) else {
        panic!("this needs {SHARED_BYTES} bytes of shared memory: raise runtime.shared-memory");
    };
    let failed = lines.lines().filter(|line| line.contains("FAILED"));
    rank.report(
        lines.as_bytes(),
        format_args!("{} cases, {} failed", lines.lines().count(), failed.clone().count()),
    );
    failed.for_each(|line| rank.print(format_args!("{line}")));
    rank.barrier();
}
