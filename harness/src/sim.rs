//! `understudy sim`: many seeded runs of the core on a virtual clock, without nodes or guests.
//!
//! Without more than a seed, each run draws its own binding, medium and crashes from it. With
//! `--crash`, `--binding` and the like it is exactly the run that a failure printed.

use crate::client::Failure;
use crate::progress::Progress;
use crate::proto::{EXIT_OK, EXIT_VERDICT};
use clap::{Args, ValueEnum};
use runtime_core::id::NodeId;
use runtime_core::node::Binding;
use runtime_sim::Scenario;
use runtime_sim::explore::{Broken, Crash, Media, When};
use runtime_sim::world::End;
use std::str::FromStr;
use std::time::Instant;

/// What to explore.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimArgs {
    /// Seed of the first run; run `i` has seed `seed + i`.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs; one, if the run is described by the options below.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
    /// Compute nodes and standbys, for example 5+2.
    #[arg(long, default_value = "3+1")]
    nodes: Nodes,
    /// Crash this node: n1@500 before step 500, n1@+500 so many steps after a recovery. Repeatable.
    #[arg(long, value_name = "NODE@STEP")]
    crash: Vec<String>,
    /// Crash each node before each step of the run with this seed, one run for each.
    #[arg(long, conflicts_with_all = ["crash", "runs"])]
    every_step: bool,
    /// What the shared memory speaks.
    #[arg(long, value_enum)]
    binding: Option<BindingArg>,
    /// Streams, or frames that are lost, repeated, reordered and damaged, or for each pair of nodes
    /// the one or the other.
    #[arg(long, value_enum)]
    medium: Option<MediumArg>,
    /// Nobody sees the connections of a dead node close.
    #[arg(long)]
    silent: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BindingArg {
    Mcapi,
    Sockets,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MediumArg {
    Stream,
    Datagram,
    Mixed,
}

#[derive(Clone, Copy, Debug)]
struct Nodes(u16, u16);

impl FromStr for Nodes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('+').and_then(|(c, s)| Some((c.parse().ok()?, s.parse().ok()?)));
        match numbers {
            Some((compute, standby))
                if (1..=64u16).contains(&compute) && compute + standby <= 64 =>
            {
                Ok(Self(compute, standby))
            }
            _ => Err(
                "write compute and standby nodes as 3+1, at least one compute, at most 64 in all"
                    .into(),
            ),
        }
    }
}

/// Sums over all runs.
#[derive(Default)]
struct Sums {
    runs: u64,
    steps: u64,
    crashes: usize,
    takeovers: u64,
    refused: u64,
}

/// Explores; says what was found.
pub(crate) fn main(args: &SimArgs) -> Result<u8, Failure> {
    let scenarios = scenarios(args)?;
    let total = scenarios.len();
    let began = Instant::now();
    let progress = Progress::new();
    let mut sums = Sums::default();
    for (i, scenario) in scenarios.into_iter().enumerate() {
        if i % 100 == 0 && i > 0 {
            progress.line(&format!("{i} of {total} runs, {} takeovers", sums.takeovers));
        }
        match scenario.check() {
            Ok(verdict) => {
                sums.runs += 1;
                sums.steps += verdict.steps;
                sums.crashes += verdict.crashed.len();
                sums.takeovers += verdict.takeovers;
                sums.refused += u64::from(verdict.end != End::Done);
                if total == 1 {
                    println!(
                        "{:?} after {} steps, epoch {}",
                        verdict.end, verdict.steps, verdict.epochs
                    );
                }
            }
            Err(Broken { scenario, verdict }) => {
                println!("{}", Broken { scenario, verdict });
                println!("FAIL after {} good runs", sums.runs);
                return Ok(EXIT_VERDICT);
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    // Precise enough for a rate.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = sums.steps as f64 / seconds.max(1e-9);
    println!(
        "{} runs, {} steps, {} crashes, {} takeovers, {} refusals within the promise, {rate:.0} steps/s",
        sums.runs, sums.steps, sums.crashes, sums.takeovers, sums.refused
    );
    println!("PASS");
    Ok(EXIT_OK)
}

fn scenarios(args: &SimArgs) -> Result<Vec<Scenario>, Failure> {
    let Nodes(compute, standby) = args.nodes;
    let parse = |text: &String| Crash::from_str(text).map_err(Failure::usage);
    let crashes = args.crash.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if let Some(Crash(node, _)) = crashes.iter().find(|Crash(n, _)| n.0 >= compute + standby) {
        let last = compute + standby - 1;
        return Err(Failure::usage(format!("--crash {node}: the nodes are n0 to n{last}")));
    }
    let described = !crashes.is_empty() || args.binding.is_some() || args.medium.is_some();
    if !described && !args.every_step {
        let seeds = args.seed..args.seed.saturating_add(args.runs);
        return Ok(seeds.map(|seed| Scenario::random(seed, compute, standby)).collect());
    }
    let mut one = Scenario::new(args.seed, compute, standby);
    if let Some(BindingArg::Sockets) = args.binding {
        one.binding = Binding::Sockets;
    }
    one.medium = match args.medium {
        None | Some(MediumArg::Stream) => Media::Stream,
        Some(MediumArg::Datagram) => Media::Datagram,
        Some(MediumArg::Mixed) => Media::Mixed,
    };
    one.death_is_seen = !args.silent;
    one.crashes = crashes.into_iter().map(|Crash(node, when)| (node, when)).collect();
    if !args.every_step {
        return Ok(vec![one]);
    }
    let steps = one.run().steps;
    let each = (0..compute + standby).flat_map(|node| (0..steps).map(move |step| (node, step)));
    let crashed = each.map(|(node, step)| Scenario {
        crashes: vec![(NodeId(node), When::Step(step))],
        ..one.clone()
    });
    Ok(crashed.collect())
}
