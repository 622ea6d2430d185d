//! `understudy sim`: many seeded runs of the core on a virtual clock, without nodes or guests.
//!
//! Without more than a seed, each run draws its own binding, medium and crashes from it. With
//! `--crash`, `--binding` and the like it is exactly the run that a failure printed.

mod exhaustive;

use crate::failure::Failure;
use crate::progress::Progress;
use crate::proto::{EXIT_OK, EXIT_VERDICT};
use clap::{Args, ValueEnum};
use runtime_core::limits::MAX_NODES;
use runtime_core::node::{Binding, Quorum};
use runtime_core::sabotage::{Sabotage, Step};
use runtime_sim::Scenario;
use runtime_sim::explore::{Broken, Crash, Media, Program, Run, suite};
use runtime_sim::world::{End, Told};
use std::str::FromStr;
use std::time::Instant;

/// What to explore.
#[derive(Clone, Debug, Args)]
pub(crate) struct SimArgs {
    /// Seed of the first run; run `i` has seed `seed + i`.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many runs: 1000, and for a soak no end; one, if the run is described by the options below.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// Compute nodes and standbys, for example 5+2. 3+1 if not given.
    #[arg(long)]
    nodes: Option<Nodes>,
    /// Crash this node: n1@500 before step 500, n1@+500 so many steps after a recovery. Repeatable.
    #[arg(long, value_name = "NODE@STEP")]
    crash: Vec<String>,
    /// Crash each node before each step of a short program that does everything, for 2+1, 3+1 and 3+2 nodes; or of
    /// the run that the other options describe.
    #[arg(long, conflicts_with_all = ["crash", "runs", "soak"])]
    exhaustive: bool,
    /// And after each crash, every other node wherever it left a trace. Takes three quarters of an hour on two processors.
    #[arg(long, requires = "exhaustive")]
    pairs: bool,
    /// Only every so many steps.
    #[arg(long, requires = "exhaustive", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    every: u32,
    /// Runs of any size and medium in which anything may happen, until a promise breaks or so many runs are over.
    #[arg(long, conflicts_with_all = ["crash", "nodes", "binding", "medium", "silent"])]
    soak: bool,
    /// Leave out this safety step (`commit-round`, `fence`…), and see whether the suite finds it.
    #[arg(long, value_name = "STEP", conflicts_with_all = ["crash", "runs", "soak", "exhaustive"])]
    sabotage: Option<Step>,
    /// The short program in place of a random one.
    #[arg(long)]
    tour: bool,
    /// Copies of each rank, with every node on a board of its own.
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    replicas: Option<u8>,
    /// Every machine has a seat: with no standby left, a survivor hosts two ranks.
    #[arg(long)]
    double_up: bool,
    /// Whoever is left decides on views, in place of a majority.
    #[arg(long)]
    fail_stop: bool,
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
    /// Tell all that nodes tell in each run: step, virtual time, node, event; and before it what befalls them at which step.
    #[arg(long, conflicts_with = "exhaustive")]
    story: bool,
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
    if let Some(step) = args.sabotage {
        return Ok(sabotage(step));
    }
    if args.exhaustive {
        let one = if args.is_described() { Some(described(args)?) } else { None };
        let every = usize::try_from(args.every).unwrap_or(usize::MAX);
        return exhaustive::main(args.seed, one, args.pairs, every);
    }
    let (scenarios, total) = scenarios(args)?;
    let began = Instant::now();
    let progress = Progress::new();
    let mut sums = Sums::default();
    for (i, scenario) in (0_u64..).zip(scenarios) {
        if args.story {
            tell(&scenario);
        }
        if i % if total == u64::MAX { 1_000 } else { 100 } == 0 && i > 0 {
            let of = if total == u64::MAX { String::new() } else { format!(" of {total}") };
            let rate = exhaustive::rate(sums.runs, began);
            let Sums { runs, crashes, takeovers, refused, .. } = sums;
            progress.line(&format!(
                "{runs}{of} runs, {crashes} crashes, {takeovers} takeovers, {refused} refusals within the promise, {rate} runs/s"
            ));
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

/// Runs it once, for its story.
fn tell(scenario: &Scenario) {
    println!("{scenario}");
    for (node, when) in &scenario.crashes {
        println!("{node} dies: {when:?}");
    }
    for (step, fault) in &scenario.faults {
        println!("step {step}: {fault:?}");
    }
    let mut run = Run::new(scenario);
    loop {
        let step = run.steps();
        let end = run.step_telling(&mut |at, node, told| {
            let told = match told {
                Told::Event(event) => format!("{event:?}"),
                other => format!("{other:?}"),
            };
            println!("{step:>7}  {:>12} us  {node}  {told}", at / 1_000);
        });
        if end.is_some() {
            return;
        }
    }
}

/// Runs the suite without a safety step: it must find fault.
fn sabotage(step: Step) -> u8 {
    let _sabotage = Sabotage::commit(step);
    match suite::find_fault() {
        Some((case, fault)) => {
            println!("{step} left out: found by \"{case}\"\n{fault}\nPASS");
            EXIT_OK
        }
        None => {
            println!("{step} left out, and the suite finds no fault\nFAIL");
            EXIT_VERDICT
        }
    }
}

impl SimArgs {
    /// Is it one certain run?
    const fn is_described(&self) -> bool {
        !self.crash.is_empty()
            || self.binding.is_some()
            || self.medium.is_some()
            || self.tour
            || self.replicas.is_some()
            || self.double_up
            || self.fail_stop
            || (self.exhaustive && self.nodes.is_some())
    }
}

/// What is to be run, and how many that are.
fn scenarios(args: &SimArgs) -> Result<(Box<dyn Iterator<Item = Scenario>>, u64), Failure> {
    if args.is_described() {
        return Ok((Box::new(std::iter::once(described(args)?)), 1));
    }
    let runs = args.runs.unwrap_or(if args.soak { u64::MAX } else { 1_000 });
    let seeds = args.seed..args.seed.saturating_add(runs);
    if args.soak {
        return Ok((Box::new(seeds.map(Scenario::soak)), runs));
    }
    let Nodes(compute, standby) = args.nodes.unwrap_or(Nodes(3, 1));
    Ok((Box::new(seeds.map(move |seed| Scenario::random(seed, compute, standby))), runs))
}

/// The one run that the options describe.
fn described(args: &SimArgs) -> Result<Scenario, Failure> {
    let Nodes(compute, standby) = args.nodes.unwrap_or(Nodes(3, 1));
    let parse = |text: &String| Crash::from_str(text).map_err(Failure::usage);
    let crashes = args.crash.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let nodes = (compute + standby) * if args.double_up { 2 } else { 1 };
    if usize::from(nodes) > MAX_NODES {
        let most = MAX_NODES / 2;
        return Err(Failure::usage(format!("--double-up: at most {most} nodes, each has a seat")));
    }
    if let Some(Crash(node, _)) = crashes.iter().find(|Crash(n, _)| n.0 >= nodes) {
        let last = nodes - 1;
        return Err(Failure::usage(format!("--crash {node}: the nodes are n0 to n{last}")));
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
    if args.tour {
        one.program = Program::Tour;
    }
    one.replicas = args.replicas;
    one.double_up = args.double_up;
    if args.fail_stop {
        one.quorum = Quorum::FailStop;
    }
    one.death_is_seen = !args.silent;
    one.crashes = crashes.into_iter().map(|Crash(node, when)| (node, when)).collect();
    Ok(one)
}
