//! The verbs.

mod complete;
mod follow;
mod live;

use crate::backend::{NOT_KEPT, console};
use crate::bench::{self, BenchArgs};
use crate::cc::{self, CcArgs};
use crate::client::{Connection, How, Launch};
use crate::daemon::{self, Setup};
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::paths::Places;
use crate::plan::Backend;
use crate::proto::{EXIT_OK, EXIT_USAGE, Request, Response};
use crate::report::{self, ReportArgs};
use crate::runner::{self, TestArgs};
use crate::sim::{self, SimArgs};
use crate::table;
use clap::{Parser, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use complete::Shell;
use follow::follow;
use live::Live;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The virtual testbed: boots a cluster from one file, breaks it, and says whether the answer is
/// still right.
///
/// Exit codes: 0 the verdict holds, 1 it does not, 2 the file or the call is wrong, 3 the testbed
/// failed, or nothing was run.
#[derive(Debug, Parser)]
#[command(name = "understudy", version)]
struct Cli {
    /// Where logs, results and caches go.
    #[arg(long, global = true, value_name = "DIR", env = "UNDERSTUDY_TARGET_DIR")]
    target_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boot a cluster; it stays up.
    Up {
        /// The topology.
        #[arg(default_value = "topology/examples/failover.yaml")]
        file: PathBuf,
        #[command(flatten)]
        how: How,
        /// Take down a cluster of the same name first, if one is up.
        #[arg(long)]
        replace: bool,
    },
    /// Run the workload with its faults on the cluster that is up, and judge.
    Run(Which),
    /// Run another workload on the cluster that is up, without faults, and judge its result.
    Exec {
        /// Its name: laplace, recursion, …
        workload: String,
        /// For example `size=256 iterations=1000`.
        #[arg(value_name = "KEY=VALUE")]
        args: Vec<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Up, run, down, for each file.
    Test(TestArgs),
    /// Run again what was run: the same topology with the same seed.
    Replay {
        /// The directory of a run, or its name under `target/understudy/runs`.
        run: PathBuf,
        /// Another backend than that of the run.
        #[arg(long, value_enum)]
        backend: Option<Backend>,
        /// Have every guest boot, rather than go on as a copy of one that booted before.
        #[arg(long)]
        cold: bool,
    },
    /// Write the story of a run as one page for a browser.
    Report(ReportArgs),
    /// Print the JSON schema of topology files, for editors.
    Schema,
    /// How the cluster is.
    Status {
        /// As JSON; again and again, one line each time.
        #[arg(long)]
        json: bool,
        /// Again whenever something happens, and each second; until Ctrl-C or the cluster's end.
        #[arg(long)]
        watch: bool,
        #[command(flatten)]
        which: Which,
    },
    #[command(flatten)]
    Live(Live),
    /// Follow the console of a node, until Ctrl-C or the cluster's end. Nothing can be typed: nothing in a node reads.
    Console {
        /// The node.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        node: String,
        #[command(flatten)]
        which: Which,
    },
    /// Kill a node as hard as possible.
    Kill {
        /// The node.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        node: String,
        #[command(flatten)]
        which: Which,
    },
    /// Start a node's machine again, and wait until it is back as a standby; it is killed first if it lives.
    Reboot {
        /// The node.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        node: String,
        #[command(flatten)]
        which: Which,
    },
    /// Move a rank to a standby, at the next barrier or checkpoint, with nothing lost.
    Migrate {
        /// The number of a rank, or the node that hosts it.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        what: String,
        /// The standby.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        to: String,
        #[command(flatten)]
        which: Which,
    },
    /// Take the cluster down; without a name, every one that is up.
    Down(Which),
    /// Build a C program on MCAPI that can run in guests (`run: { program: … }` also takes its source).
    Cc(CcArgs),
    /// Check topology files.
    Validate {
        /// The topologies.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Print what makes a shell complete verbs, options, and names of clusters, nodes and links.
    Completion {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Explore the core on a virtual clock: many seeded runs.
    Sim(SimArgs),
    /// Measure what carries the runtime's messages, between pairs of guests, and what idle guests cost.
    Bench(BenchArgs),
    #[command(hide = true)]
    Daemon {
        file: PathBuf,
        #[command(flatten)]
        how: How,
        #[arg(long)]
        run_dir: PathBuf,
        #[arg(long)]
        name: Option<String>,
        #[arg(long)]
        seed: Option<u64>,
        #[arg(long)]
        detach: bool,
    },
}

/// As a shell has it of a program that SIGPIPE ended.
const EXIT_NO_READER: i32 = 128 + 13;

#[derive(Debug, clap::Args)]
struct Which {
    /// Name of the cluster; not needed when only one is up.
    #[arg(long, add = ArgValueCompleter::new(complete::clusters))]
    cluster: Option<String>,
}

/// Does what the command line says; the exit code is that of the verb.
#[must_use]
pub fn main() -> ExitCode {
    leave_with_the_reader();
    complete::answer();
    // Wrong calls end here, with clap's message and its exit code, which is EXIT_USAGE.
    let cli = Cli::parse();
    let exit = verb(cli).unwrap_or_else(|failure| {
        eprintln!("error: {}", failure.reason);
        failure.exit
    });
    ExitCode::from(exit)
}

/// Nobody reads what is printed any more (`| head`): that ends a verb as it ends other programs, without a panic.
fn leave_with_the_reader() {
    const LEFT: &str = "failed printing to stdout: Broken pipe";
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<String>().is_some_and(|words| words.starts_with(LEFT)) {
            std::process::exit(EXIT_NO_READER);
        }
        tell(panic);
    }));
}

fn verb(cli: Cli) -> Result<u8, Failure> {
    let places = Places::find(cli.target_dir.as_deref())?;
    match cli.verb {
        Verb::Up { file, how, replace } => {
            if replace {
                take_down_same(&places, &file)?;
            }
            runner::has_room(&file, how.backend)?;
            let interrupt = Interrupt::watch()?;
            let by = Some(&interrupt);
            let launch = Launch { detach: true, interrupt: by, ..Launch::new(&file, how) };
            let status = Connection::start(&places, &launch)
                .and_then(|mut connection| connection.answer())
                .and_then(Response::status);
            let what = "the cluster is not up, and nothing of it is left";
            let status = interrupt.explains(status, what)?;
            print!("{}", table::status(&status));
            Ok(EXIT_OK)
        }
        Verb::Run(which) => run(&places, &which, &Request::Run),
        Verb::Exec { workload, args, which } => {
            let args = args.iter().map(|arg| pair(arg)).collect::<Result<_, _>>()?;
            run(&places, &which, &Request::Exec { workload, args })
        }
        Verb::Test(args) => runner::test(&places, &args),
        Verb::Replay { run, backend, cold } => runner::replay(&places, &run, backend, cold),
        Verb::Report(args) => report::main(&places, &args),
        Verb::Schema => {
            print!("{}", topology::schema());
            Ok(EXIT_OK)
        }
        Verb::Status { json, watch, which } => live::status(attach(&places, &which)?, json, watch),
        Verb::Live(live) => live.act(&places),
        Verb::Completion { shell } => complete::print(shell),
        Verb::Console { node, which } => follow_console(attach(&places, &which)?, &node),
        Verb::Kill { node, which } => {
            let answer = attach(&places, &which)?.ask(&Request::Kill { node })?;
            done(answer)
        }
        Verb::Reboot { node, which } => {
            done(attach(&places, &which)?.ask(&Request::Reboot { node })?)
        }
        Verb::Migrate { what, to, which } => {
            done(attach(&places, &which)?.ask(&Request::Migrate { what, to })?)
        }
        Verb::Down(which) => down(&places, &which),
        Verb::Cc(args) => match cc::main(&args) {
            Ok(()) => Ok(EXIT_OK),
            Err(error) => Err(Failure::usage(format!("{error:#}"))),
        },
        Verb::Validate { files } => validate(&files),
        Verb::Sim(args) => sim::main(&args),
        Verb::Bench(args) => bench::main(&places, &args),
        Verb::Daemon { file, how, run_dir, name, seed, detach } => {
            // A log that cannot be written (its disk is full) is no reason to panic.
            tracing_subscriber::fmt()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .log_internal_errors(false)
                .init();
            let embedded = None;
            daemon::main(&Setup { places, file, how, run_dir, name, seed, detach, embedded })?;
            Ok(EXIT_OK)
        }
    }
}

fn attach(places: &Places, which: &Which) -> Result<Connection, Failure> {
    let name = match &which.cluster {
        Some(name) => name.clone(),
        None => match places.clusters()?.as_slice() {
            [one] => one.clone(),
            [] => return Err(Failure::usage("no cluster is up: `understudy up FILE` starts one")),
            several => {
                let names = several.join(", ");
                return Err(Failure::usage(format!(
                    "several clusters are up ({names}): choose one with --cluster"
                )));
            }
        },
    };
    Connection::attach(places, &name)
}

fn pair(arg: &str) -> Result<(String, String), Failure> {
    let Some((key, value)) = arg.split_once('=').filter(|(key, _)| !key.is_empty()) else {
        return Err(Failure::usage(format!("`{arg}`: arguments are written key=value")));
    };
    Ok((key.to_owned(), value.to_owned()))
}

fn run(places: &Places, which: &Which, request: &Request) -> Result<u8, Failure> {
    let interrupt = Interrupt::watch()?;
    let mut connection = attach(places, which)?.let_go_by(&interrupt)?;
    let result = connection.ask(request).and_then(Response::verdict);
    let what = "the cluster stays up, and its run goes on: `understudy down` ends both";
    let result = interrupt.explains(result, what)?;
    print!("{}", table::result(&result));
    let dir = connection.ask(&Request::Status)?.status()?.run_dir;
    print!("{}", report::line(Path::new(&dir)));
    result.exit()
}

/// Takes down the cluster that has the name of this file's.
fn take_down_same(places: &Places, file: &Path) -> Result<(), Failure> {
    // A file that is wrong is reported by whoever boots it.
    let Ok(topology) = topology::load(file) else { return Ok(()) };
    if let Ok(mut connection) = Connection::attach(places, &topology.name) {
        eprintln!("cluster {} is up: it is taken down first", topology.name);
        done(connection.ask(&Request::Down)?)?;
        connection.wait_for_end();
    }
    Ok(())
}

fn down(places: &Places, which: &Which) -> Result<u8, Failure> {
    let names = match &which.cluster {
        Some(name) => vec![name.clone()],
        None => places.clusters()?,
    };
    if names.is_empty() {
        println!("no cluster is up");
    }
    for name in names {
        match Connection::attach(places, &name) {
            Ok(mut connection) => {
                done(connection.ask(&Request::Down)?)?;
                connection.wait_for_end();
            }
            Err(_) => println!("cluster {name} is not up"),
        }
    }
    Ok(EXIT_OK)
}

fn validate(files: &[PathBuf]) -> Result<u8, Failure> {
    let mut exit = EXIT_OK;
    for file in files {
        match topology::load(file) {
            Ok(topology) => println!("{}", topology.describe()),
            Err(errors) => {
                eprintln!("{errors}");
                exit = EXIT_USAGE;
            }
        }
    }
    Ok(exit)
}

/// Prints the console and what is added to it, until the cluster ends.
fn follow_console(mut connection: Connection, node: &str) -> Result<u8, Failure> {
    let status = connection.ask(&Request::Status)?.status()?;
    if !status.nodes.iter().any(|n| n.name == node) {
        let names: Vec<_> = status.nodes.iter().map(|n| n.name.as_str()).collect();
        return Err(Failure::usage(format!("no node {node}: there are {}", names.join(", "))));
    }
    let path = console(Path::new(&status.run_dir), node);
    if std::fs::read(&path).is_ok_and(|text| text == NOT_KEPT.as_bytes()) {
        let reason = format!("{node} keeps no console: the topology says `console: none` of it");
        return Err(Failure::usage(reason));
    }
    eprintln!("the console of {node}, to be read: Ctrl-C leaves it, and the cluster up");
    follow(&connection, &path, true, &mut |bytes| {
        std::io::stdout().write_all(bytes)?;
        std::io::stdout().flush()
    })?;
    Ok(EXIT_OK)
}

fn done(answer: Response) -> Result<u8, Failure> {
    match answer {
        Response::Done { text } => {
            println!("{text}");
            Ok(EXIT_OK)
        }
        other => Err(other.unexpected()),
    }
}
