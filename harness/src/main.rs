//! `understudy`: boots, switches, injects, verifies, reports.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::cli::main()
}
