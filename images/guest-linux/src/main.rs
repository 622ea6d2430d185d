//! The node program. One static image at fixed addresses, in five modes:
//!
//! - as PID 1 of a Linux guest;
//! - `seat`: a second node in such a guest, which PID 1 starts;
//! - `process`: a node of the process backend, with its control port on standard input and output;
//! - `sim`: a whole cluster in this process, on a virtual clock;
//! - `reference NAME key=value …`: a workload's right result, by sequential code.

mod bench;
mod control_port;
mod machine;
mod network;
mod node;
mod program;
mod reference;
mod setup;
mod sim;

use std::process::ExitCode;

/// Memory that a rank allocates is its own, and goes with its checkpoints.
#[global_allocator]
static ALLOCATOR: runtime_linux::RankAllocator = runtime_linux::ALLOCATOR;

/// Warnings go to the console, and more with `UNDERSTUDY_LOG=debug` in the environment.
fn log() {
    let level = std::env::var("UNDERSTUDY_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .with_max_level(level.unwrap_or(tracing::Level::WARN))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
}

fn main() -> ExitCode {
    log();
    if std::process::id() == 1 {
        node::guest();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["process"] => node::process(),
        ["seat"] => node::seat(),
        ["sim"] => sim::run(),
        ["reference", name, pairs @ ..] => reference::run(name, pairs),
        ["list"] => {
            for workload in images_workloads::ALL {
                println!("{:<10} {}", workload.name, workload.about);
            }
            Ok(())
        }
        _ => {
            eprintln!("usage: guest-linux process | sim | reference NAME key=value … | list");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
