//! `understudy sim`: many seeded runs of the core on a virtual clock, without nodes or guests.

use crate::client::Failure;
use crate::progress::Progress;
use crate::proto::{EXIT_OK, EXIT_VERDICT};
use clap::{Args, ValueEnum};
use runtime_core::node::{Binding, Medium};
use runtime_sim::Scenario;
use runtime_sim::explore::Crash;
use std::time::Instant;

/// Nodes of a simulated cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nodes {
    compute: u16,
    standby: u16,
}

impl std::str::FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no cluster: write 3+1 for three compute and a standby");
        let (compute, standby) = text.split_once('+').ok_or_else(wrong)?;
        let compute = compute.parse().map_err(|_| wrong())?;
        let standby = standby.parse().map_err(|_| wrong())?;
        let limit = u16::try_from(runtime_core::limits::MAX_NODES).unwrap_or(u16::MAX);
        match (compute, u16::checked_add(compute, standby)) {
            (1.., Some(all)) if all <= limit => Ok(Self { compute, standby }),
            _ => Err(format!("`{text}`: from one compute node to {limit} nodes are possible")),
        }
    }
}

/// What the shared memory speaks.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum BindingArg {
    Mcapi,
    Sockets,
}

/// What frames travel over.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum MediumArg {
    Stream,
    Datagram,
}

/// What to explore. With any of `--binding`, `--medium`, `--silent` and `--crash` each run is
/// exactly that; without them they are drawn from the seed.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimArgs {
    /// Seed of the first run; the next ones follow.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Compute nodes and standbys.
    #[arg(long, default_value = "3+1")]
    nodes: Nodes,
    /// What the shared memory speaks.
    #[arg(long, value_enum)]
    binding: Option<BindingArg>,
    /// What frames travel over; datagrams are lost, repeated, reordered and damaged.
    #[arg(long, value_enum)]
    medium: Option<MediumArg>,
    /// A death is not seen by closed connections, only by silence.
    #[arg(long)]
    silent: bool,
    /// A node that crashes: n1@500 at step 500, n1@+500 that long after the recovery before.
    #[arg(long)]
    crash: Vec<Crash>,
}

impl SimArgs {
    fn scenario(&self, seed: u64) -> Scenario {
        let Nodes { compute, standby } = self.nodes;
        let given = self.binding.is_some() || self.medium.is_some() || self.silent;
        if !given && self.crash.is_empty() {
            return Scenario::random(seed, compute, standby);
        }
        Scenario {
            binding: match self.binding {
                None | Some(BindingArg::Mcapi) => Binding::Mcapi,
                Some(BindingArg::Sockets) => Binding::Sockets,
            },
            medium: match self.medium {
                None | Some(MediumArg::Stream) => Medium::Stream,
                Some(MediumArg::Datagram) => Medium::Datagram,
            },
            death_is_seen: !self.silent,
            crashes: self.crash.iter().map(|c| (c.0, c.1)).collect(),
            ..Scenario::new(seed, compute, standby)
        }
    }
}

/// Explores; stops at the first promise that was not kept, and says how to see it again.
pub(crate) fn main(args: &SimArgs) -> Result<u8, Failure> {
    let nodes = usize::from(args.nodes.compute + args.nodes.standby);
    if let Some(crash) = args.crash.iter().find(|c| c.0.index() >= nodes) {
        return Err(Failure::usage(format!("--crash {}: there are {nodes} nodes", crash.0)));
    }
    let progress = Progress::new();
    let start = Instant::now();
    let (mut steps, mut epochs, mut takeovers, mut crashes) = (0, 0, 0, 0);
    for run in 0..args.runs {
        let scenario = args.scenario(args.seed.wrapping_add(run.into()));
        match scenario.check() {
            Ok(verdict) => {
                steps += verdict.steps;
                epochs += verdict.epochs;
                takeovers += verdict.takeovers;
                crashes += verdict.crashed.len();
            }
            Err(broken) => {
                drop(progress);
                println!("{broken}");
                return Ok(EXIT_VERDICT);
            }
        }
        if (run + 1) % 100 == 0 {
            progress.step(0, 0, &format!("{} of {} runs", run + 1, args.runs));
        }
    }
    drop(progress);
    let seconds = start.elapsed().as_secs_f64();
    let runs = args.runs;
    println!("{runs} runs, {steps} steps in {seconds:.2} s: every promise was kept");
    println!("{crashes} crashes, {takeovers} takeovers, {epochs} epochs");
    Ok(EXIT_OK)
}
