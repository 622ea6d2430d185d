//! Many topologies, one after the other or side by side: up, run, down for each.

mod junit;
mod lacks;
mod room;

use crate::client::{Connection, How, Launch};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::manifest::Manifest;
use crate::paths::Places;
use crate::plan::Backend;
use crate::proto::{EXIT_OK, EXIT_TESTBED, EXIT_USAGE};
use crate::report;
use crate::result::RunResult;
use crate::table;
use lacks::lacks;
use room::{Need, Room};
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use topology::Topology;

/// What `understudy test` is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Topologies, or directories of them.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
    /// So many times each, until one fails.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: Option<u32>,
    /// So many clusters at once; left out: as memory and processors allow. One boots at a time in any case.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Seed of everything random, instead of that of the files.
    #[arg(long)]
    seed: Option<u64>,
    /// Only topologies whose path holds this.
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write the outcome as JUnit XML: a suite for each run, a case for each thing that must hold.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Columns for why a run did not pass.
const WHY: usize = 80;

/// One run that is to be.
#[derive(Clone, Debug)]
struct Job {
    file: PathBuf,
    /// Which repetition, from 1, and of how many.
    turn: Option<(u32, u32)>,
    topology: Result<Box<Topology>, String>,
}

/// What came of it.
#[derive(Debug)]
struct Outcome {
    job: Job,
    took: Duration,
    /// Where its logs are.
    logs: Option<String>,
    end: End,
}

/// How a run ended.
#[derive(Debug)]
enum End {
    Judged(Box<RunResult>),
    Failed(Failure),
    /// It did not begin, for this machine lacks what not every machine must have.
    Skipped(String),
    /// Its turn did not come.
    NotRun(&'static str),
}

impl Outcome {
    fn exit(&self) -> u8 {
        match &self.end {
            End::Judged(result) => result.exit().unwrap_or_else(|failure| failure.exit),
            End::Failed(failure) => failure.exit,
            End::Skipped(_) | End::NotRun(_) => EXIT_OK,
        }
    }

    const fn is_skipped(&self) -> bool {
        matches!(self.end, End::Skipped(_))
    }

    fn passed(&self) -> bool {
        self.exit() == EXIT_OK && !self.is_skipped() && !self.is_not_run()
    }

    const fn is_not_run(&self) -> bool {
        matches!(self.end, End::NotRun(_))
    }

    fn result(&self) -> Option<&RunResult> {
        match &self.end {
            End::Judged(result) => Some(result),
            _ => None,
        }
    }

    fn name(&self) -> String {
        let file = self.job.file.display();
        self.job.turn.map_or_else(|| file.to_string(), |(n, of)| format!("{file} ({n} of {of})"))
    }
}

/// Why runs do not begin.
const INTERRUPTED: &str = "interrupted before its turn";
const ENOUGH: &str = "another had failed";

/// Runs all of them. The worst outcome counts; each is tried, and none twice. Repeated, the first that fails is the
/// last that is started. What was skipped counts as if it had not been named, so where that is all, nothing was tested.
/// A signal ends what runs, and what did not run is named.
pub(crate) fn test(places: &Places, args: &TestArgs) -> Result<u8, Failure> {
    let files = files(args)?;
    let turns = |file: PathBuf| {
        let topology = topology::load(&file).map(Box::new).map_err(|e| e.to_string());
        let of = args.repeat.unwrap_or(1);
        (1..=of).map(move |n| {
            let turn = args.repeat.map(|of| (n, of));
            Job { file: file.clone(), turn, topology: topology.clone() }
        })
    };
    let jobs: VecDeque<Job> = files.into_iter().flat_map(turns).collect();
    let single = jobs.len() == 1;
    let unwritten = |path: &Path, e: std::io::Error| {
        let reason = format!("cannot write {}: {e}", path.display());
        Failure { exit: EXIT_TESTBED, reason }
    };
    if let Some(path) = &args.junit {
        // Whoever asks for it wants to know now.
        File::create(path).map_err(|e| unwritten(path, e))?;
    }
    let interrupt = Interrupt::watch()?;
    let outcomes = run_all(places, args, jobs, &interrupt);
    if !single {
        print!("{}", summary(&outcomes));
    }
    if let Some(path) = &args.junit {
        let xml = junit::report(&outcomes);
        std::fs::write(path, xml).map_err(|e| unwritten(path, e))?;
    }
    let not_run = outcomes.iter().filter(|outcome| outcome.is_not_run()).count();
    if let Some(failure) = interrupt.failure(&format!(
        "what ran was ended, {not_run} of {} were not begun; nothing of it is left",
        outcomes.len()
    )) {
        return Err(failure);
    }
    if outcomes.iter().all(Outcome::is_skipped) {
        return Err(Failure { exit: EXIT_TESTBED, reason: "nothing was run".to_owned() });
    }
    Ok(outcomes.iter().map(Outcome::exit).max().unwrap_or(EXIT_OK))
}

/// The files that are meant: those of a directory in the order of their names.
fn files(args: &TestArgs) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in &args.files {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let unreadable =
            |e: std::io::Error| Failure::usage(format!("cannot read {}: {e}", path.display()));
        let mut inside = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            if file.extension().is_some_and(|e| e == "yaml" || e == "yml") {
                inside.push(file);
            }
        }
        if inside.is_empty() {
            let reason = format!("no topology (*.yaml) in {}", path.display());
            return Err(Failure::usage(reason));
        }
        inside.sort();
        files.extend(inside);
    }
    if let Some(text) = &args.filter {
        files.retain(|file| file.display().to_string().contains(text.as_str()));
        if files.is_empty() {
            return Err(Failure::usage(format!("no topology has \"{text}\" in its path")));
        }
    }
    Ok(files)
}

/// All jobs, as many at a time as there is room for.
fn run_all(
    places: &Places,
    args: &TestArgs,
    jobs: VecDeque<Job>,
    interrupt: &Interrupt,
) -> Vec<Outcome> {
    let room = Room::of_this_machine(args.jobs.map(usize::from));
    let (single, all, start) = (jobs.len() == 1, jobs.len(), Instant::now());
    let alone = single || room.most_at_once() == 1;
    let workers = room.most_at_once().min(jobs.len());
    let (queue, outcomes) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    let lock = |m| -> std::sync::MutexGuard<'_, _> {
        Mutex::lock(m).unwrap_or_else(PoisonError::into_inner)
    };
    let worker = || {
        loop {
            // A guard in the head of a loop would be held by its body.
            let next = lock(&queue).pop_front();
            let Some(job) = next else { return };
            let outcome = run(places, args, job, &room, (alone, single), interrupt);
            let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
            show(&outcome, alone);
            let failed = args.repeat.is_some() && outcome.exit() != EXIT_OK;
            outcomes.push(outcome);
            if failed {
                outcomes
                    .extend(lock(&queue).drain(..).map(|job| not_run(job, End::NotRun(ENOUGH))));
            }
            let done = outcomes.len();
            if done < all && interrupt.failure("").is_none() {
                eprintln!("{}", how_far(done, all, start.elapsed()));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by(|a, b| (&a.job.file, a.job.turn).cmp(&(&b.job.file, b.job.turn)));
    outcomes
}

/// `alone`: nothing else runs at the same time. `single`: nothing else is to run at all; then the cluster has the name
/// that its file gives it.
fn run(
    places: &Places,
    args: &TestArgs,
    job: Job,
    room: &Room,
    (alone, single): (bool, bool),
    interrupt: &Interrupt,
) -> Outcome {
    let failed = |job, failure| not_run(job, End::Failed(failure));
    let topology = match &job.topology {
        Ok(topology) => topology,
        Err(errors) => {
            let failure = Failure::usage(errors.clone());
            return failed(job, failure);
        }
    };
    if let Some(why) = lacks(places, topology, args.how.backend) {
        return not_run(job, End::Skipped(why));
    }
    let need = Need::of(topology, args.how.backend);
    let place = match room.enter(need) {
        Ok(place) => place,
        Err(reason) => return failed(job, Failure { exit: EXIT_TESTBED, reason }),
    };
    if interrupt.failure("").is_some() {
        return not_run(job, End::NotRun(INTERRUPTED));
    }
    if alone {
        println!("{} on {}{}", job.file.display(), args.how.backend.name(), which(&job));
    }
    let start = Instant::now();
    let launch = Launch {
        seed: args.seed,
        own_name: !single,
        quiet: !alone,
        interrupt: Some(interrupt),
        ..Launch::new(&job.file, args.how)
    };
    let mut logs = None;
    let result = Connection::once(places, &launch, &mut logs, || place.is_up());
    let result = interrupt.explains(result, "ended before it was judged");
    let end = result.map_or_else(End::Failed, End::Judged);
    Outcome { job, took: start.elapsed(), logs, end }
}

const fn not_run(job: Job, end: End) -> Outcome {
    Outcome { job, took: Duration::ZERO, logs: None, end }
}

/// How many are done, and when the rest may be, if they take as long.
fn how_far(done: usize, all: usize, took: Duration) -> String {
    let rest = u32::try_from(all.saturating_sub(done)).unwrap_or(u32::MAX);
    let each = took / u32::try_from(done).unwrap_or(u32::MAX).max(1);
    let whole = |time: Duration| match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", (seconds + 30) / 60),
    };
    format!(
        "{done} of {all} done after {}, about {} to go",
        whole(took),
        whole(each.saturating_mul(rest))
    )
}

fn which(job: &Job) -> String {
    job.turn.map_or_else(String::new, |(n, of)| format!(" ({n} of {of})"))
}

/// What came of one, whole, so that those of others do not mix with it.
fn show(outcome: &Outcome, alone: bool) {
    let mut text = String::new();
    if let End::Skipped(why) = &outcome.end {
        println!("{}: skipped: {why}", outcome.name());
        return;
    }
    if let End::NotRun(why) = &outcome.end {
        println!("{}: not run: {why}", outcome.name());
        return;
    }
    if !alone {
        text += &format!("{}:\n", outcome.name());
    }
    match &outcome.end {
        End::Judged(result) => {
            text += &table::result(result);
            if let Err(failure) = result.exit() {
                eprintln!("error: {}: {}", outcome.name(), failure.reason);
            }
        }
        End::Failed(failure) => eprintln!("error: {}", failure.reason),
        End::Skipped(_) | End::NotRun(_) => {}
    }
    if let Some(logs) = &outcome.logs {
        text += &format!("logs in {logs}\n");
        text += &report::line(Path::new(logs));
    }
    print!("{text}");
}

/// A line for each, and how many passed.
fn summary(outcomes: &[Outcome]) -> String {
    let header = [
        "topology",
        "verdict",
        "run time",
        "death",
        "detected",
        "taken over",
        "resumed",
        "whole",
        "why not",
    ];
    let mut rows = table::table(&header);
    for outcome in outcomes {
        let deaths = outcome.result().map_or(&[][..], |result| &result.deaths);
        let all = |of: &dyn Fn(&crate::result::Death) -> String| {
            let cells: Vec<String> = deaths.iter().map(of).collect();
            if cells.is_empty() { "–".to_owned() } else { cells.join("\n") }
        };
        let (verdict, time, why) = match &outcome.end {
            End::Judged(result) => {
                let wrong = result.checks.iter().filter(|check| !check.holds);
                let mut wrong: Vec<String> =
                    wrong.map(|check| format!("{}: {}", check.expected, check.seen)).collect();
                wrong.extend(result.exit().err().map(|failure| failure.reason));
                let verdict = if result.pass { "PASS" } else { "FAIL" };
                (verdict, table::time(Some(result.run_us)), wrong.join("\n"))
            }
            End::Failed(failure) => {
                let first = failure.reason.lines().next().unwrap_or_default();
                ("ERROR", "–".to_owned(), first.to_owned())
            }
            End::Skipped(why) => ("SKIPPED", "–".to_owned(), why.clone()),
            End::NotRun(why) => ("NOT RUN", "–".to_owned(), (*why).to_owned()),
        };
        rows.add_row([
            outcome.name(),
            verdict.to_owned(),
            time,
            all(&|d| d.node.clone()),
            all(&|d| table::time(d.detected_us)),
            all(&|d| table::time(d.takeover_us)),
            all(&|d| table::time(d.resumed_us)),
            format!("{:.1} s", outcome.took.as_secs_f64()),
            table::folded(&why, WHY),
        ]);
    }
    let deaths: usize = outcomes.iter().filter_map(Outcome::result).map(|r| r.deaths.len()).sum();
    let passed = outcomes.iter().filter(|o| o.passed()).count();
    let some = |of: fn(&Outcome) -> bool, word| match outcomes.iter().filter(|o| of(o)).count() {
        0 => String::new(),
        some => format!(", {some} {word}"),
    };
    let (skipped, not_run) =
        (some(Outcome::is_skipped, "skipped"), some(Outcome::is_not_run, "not run"));
    let of = outcomes.len();
    format!("{rows}\n{passed} of {of} runs passed{skipped}{not_run}, with {deaths} deaths\n")
}

/// Is there memory for the cluster of this file? One that is wrong is told by whoever boots it.
pub(crate) fn has_room(file: &Path, backend: Backend) -> Result<(), Failure> {
    let Ok(topology) = topology::load(file) else { return Ok(()) };
    let enough = Room::of_this_machine(None).holds(Need::of(&topology, backend));
    enough.map_err(|reason| Failure { exit: EXIT_TESTBED, reason })
}

/// Runs again what a directory recorded.
pub(crate) fn replay(
    places: &Places,
    run: &Path,
    backend: Option<Backend>,
    cold: bool,
) -> Result<u8, Failure> {
    let dir = if run.is_dir() { run.to_owned() } else { places.runs().join(run) };
    let manifest =
        Manifest::read(&dir).map_err(|e| Failure { exit: EXIT_USAGE, reason: format!("{e:#}") })?;
    let recorded =
        manifest.backend().map_err(|e| Failure { exit: EXIT_USAGE, reason: format!("{e:#}") })?;
    let backend = backend.unwrap_or(recorded);
    for line in manifest.differences(places) {
        eprintln!("{line}");
    }
    println!(
        "{} again: {} on {}, seed {}",
        dir.display(),
        manifest.topology,
        backend.name(),
        manifest.seed
    );
    let file = dir.join("topology.yaml");
    let interrupt = Interrupt::watch()?;
    let launch = Launch {
        seed: Some(manifest.seed),
        own_name: true,
        interrupt: Some(&interrupt),
        ..Launch::new(&file, How { backend, cold })
    };
    let mut logs = None;
    let result = Connection::once(places, &launch, &mut logs, || {});
    let result = interrupt.explains(result, "ended before it was judged; nothing of it is left");
    if let Ok(result) = &result {
        print!("{}", table::result(result));
    }
    if let Some(logs) = logs {
        println!("logs in {logs}");
        print!("{}", report::line(Path::new(&logs)));
    }
    result.and_then(|result| result.exit())
}

#[cfg(test)]
mod tests;
