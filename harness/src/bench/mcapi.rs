//! The C library over shared memory, beside its rivals: a program in C measures, as programs in C use it.

use super::summary::PAPER;
use crate::paths::Places;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;

/// Where the Makefile puts the program.
fn program(places: &Places) -> Result<PathBuf> {
    let path = places.target().join("release/mcapi-speed");
    if !path.is_file() {
        bail!("no program at {}: run `make mcapi-speed`", path.display());
    }
    Ok(path)
}

/// What the program prints.
pub(super) fn main(places: &Places) -> Result<String> {
    let program = program(places)?;
    // Nodes that meet nobody else's. They take the directory's files away themselves.
    let dir = PathBuf::from(format!("/dev/shm/understudy-bench-{}", std::process::id()));
    let mut command = Command::new(&program);
    let output = command.env("UNDERSTUDY_SHM_DIR", &dir).output();
    // It is not there if the program failed early.
    let _removed = std::fs::remove_dir(&dir);
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}\n{errors}", program.display(), output.status);
    Ok(format!("{}\n{PAPER}\n\n", String::from_utf8_lossy(&output.stdout)))
}
