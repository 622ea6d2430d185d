//! The report of a run: one page that needs nothing else.
//!
//! `gather` reads what the run's directory holds; everything else makes text of it and reads nothing. What comes
//! from a run is escaped where it is written (`escape`), and the page's policy lets no script run but its own.

mod charts;
mod data;
mod failover;
mod gather;
mod lanes;
mod page;
mod story;
#[cfg(test)]
mod tests;
mod words;

use crate::failure::Failure;
use crate::paths::Places;
use crate::proto::EXIT_OK;
use anyhow::{Context as _, Result};
use data::Told;
use gather::Recorded;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Name of the page in the run's directory.
pub(super) const NAME: &str = "report.html";

/// What `understudy report` is asked.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// The directory of a run, or its name under `target/understudy/runs`; left out: the last one.
    run: Option<PathBuf>,
    /// Where to write it, instead of `report.html` in the run's directory.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the report that is asked for.
pub(crate) fn main(places: &Places, args: &ReportArgs) -> Result<u8, Failure> {
    let dir = match &args.run {
        Some(run) if run.is_dir() => run.clone(),
        Some(run) => places.runs().join(run),
        None => last(&places.runs()).ok_or_else(|| {
            Failure::usage("there is no run yet: `understudy test FILE` makes one")
        })?,
    };
    if !dir.is_dir() {
        let reason = format!(
            "no run at {}: name a directory under target/understudy/runs, or the last part of its path",
            dir.display()
        );
        return Err(Failure::usage(reason));
    }
    let path = write(&dir, args.out.as_deref())?;
    println!("report: {}", path.display());
    Ok(EXIT_OK)
}

/// Writes the report of a run, and says in a line where it is, or why it is not.
pub(crate) fn line(dir: &Path) -> String {
    match write(dir, None) {
        Ok(path) => format!("report: {}\n", path.display()),
        Err(e) => format!("no report: {e:#}\n"),
    }
}

/// Writes the report of a run; returns where it is.
fn write(dir: &Path, out: Option<&Path>) -> Result<PathBuf> {
    let run = Recorded::read(dir)?;
    let path = out.map_or_else(|| dir.join(NAME), Path::to_owned);
    let page = page::document(&Told::of(&run), out.is_none());
    std::fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The run that was begun last.
fn last(runs: &Path) -> Option<PathBuf> {
    let began = |dir: &Path| -> Option<SystemTime> {
        let manifest = std::fs::metadata(dir.join("run.json"));
        manifest.or_else(|_| std::fs::metadata(dir)).ok()?.modified().ok()
    };
    let dirs = std::fs::read_dir(runs).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    dirs.filter(|dir| dir.is_dir()).max_by_key(|dir| began(dir))
}
