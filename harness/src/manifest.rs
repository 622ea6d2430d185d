//! `run.json` in a run's directory: what was run, so that it can be run again.

use crate::paths::Places;
use crate::plan::Backend;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::Path;

const NAME: &str = "run.json";

/// What a run was made of. The topology itself stands beside it, as `topology.yaml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Name of the topology.
    pub(crate) topology: String,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// What the nodes were made of.
    pub(crate) backend: String,
    /// Accelerator and time factor, for people.
    pub(crate) machine: String,
    /// Every time-out was so many times that of the file.
    pub(crate) factor: u32,
    /// Version of the harness.
    pub(crate) version: String,
    /// SHA-256 of the programs that ran in nodes, by what they are.
    pub(crate) programs: Vec<(String, String)>,
}

impl Manifest {
    /// Keeps it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let mut json = serde_json::to_string_pretty(self).unwrap_or_default();
        json.push('\n');
        let path = dir.join(NAME);
        std::fs::write(&path, json).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads what a run kept.
    ///
    /// # Errors
    /// When there is no such run, or it kept something else.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let json = std::fs::read_to_string(&path).with_context(|| {
            format!(
                "{} is no run that can be repeated: name a directory under \
                 target/understudy/runs, or the last part of its path",
                dir.display()
            )
        })?;
        serde_json::from_str(&json).with_context(|| format!("cannot read {}", path.display()))
    }

    /// What the nodes were made of.
    ///
    /// # Errors
    /// When this harness does not know it.
    pub(crate) fn backend(&self) -> Result<Backend> {
        let all = [Backend::Qemu, Backend::Process, Backend::Sim];
        match all.into_iter().find(|backend| backend.name() == self.backend) {
            Some(backend) => Ok(backend),
            None => bail!("the run was on backend \"{}\", which is not known here", self.backend),
        }
    }

    /// The programs that nodes would run now.
    pub(crate) fn programs_here(places: &Places) -> Vec<(String, String)> {
        let programs = [
            ("linux", places.node_program().ok()),
            ("linux-aarch64", places.aarch64_program().ok()),
            ("bare-metal", places.bare_metal_program().ok()),
        ];
        let hash = |path| Some(images::sha256(&std::fs::read(path).ok()?));
        let named = |(name, path): (&str, Option<_>)| Some((name.to_owned(), hash(path?)?));
        programs.into_iter().filter_map(named).collect()
    }

    /// What is not as it was: a line for each.
    pub(crate) fn differences(&self, places: &Places) -> Vec<String> {
        let here = Self::programs_here(places);
        let mut lines = Vec::new();
        if self.version != env!("CARGO_PKG_VERSION") {
            let (then, now) = (&self.version, env!("CARGO_PKG_VERSION"));
            lines.push(format!("the run was made by version {then}, this is {now}"));
        }
        for (name, hash) in &self.programs {
            if here.iter().all(|(other, now)| (other, now) != (name, hash)) {
                let short = hash.get(..12).unwrap_or(hash);
                lines.push(format!("the {name} program of the run, {short}…, is another one now"));
            }
        }
        lines
    }
}
