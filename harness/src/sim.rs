//! `understudy sim`: many seeded runs of the core on a virtual clock, without nodes or guests.

use crate::client::Failure;
use clap::Args;

/// What to explore.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimArgs {
    /// Seed of the first run; run `i` has seed `seed + i`.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// How many runs.
    #[arg(long, default_value_t = 100)]
    pub(crate) runs: u32,
    /// Compute nodes.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) compute: u16,
    /// Standby nodes.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=63))]
    pub(crate) standby: u16,
    /// Part of the frames that is lost, 0 to 1.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) loss: f64,
}

/// Explores; says what was found.
pub(crate) fn main(args: &SimArgs) -> Result<u8, Failure> {
    if !(0.0..=1.0).contains(&args.loss) {
        return Err(Failure::usage("--loss is a part of the frames: give a number from 0 to 1"));
    }
    // The entry point of runtime-sim is called here:
    // runtime_sim::explore(args.seed, args.runs, args.compute, args.standby, args.loss)
    Err(Failure {
        exit: crate::proto::EXIT_TESTBED,
        reason: "this build has no simulator of the core".to_owned(),
    })
}
