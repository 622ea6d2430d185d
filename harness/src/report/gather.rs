//! What the directory of a run holds, as far as it is there.

use crate::backend::console;
use crate::manifest::Manifest;
use crate::result::RunResult;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use topology::Topology;

/// Of a console, so many bytes of its beginning are shown, and so many of its end.
const CONSOLE: (u64, u64) = (64 << 10, 192 << 10);

/// A run as it was recorded.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Name of the run's directory.
    pub(super) name: String,
    /// Its path.
    pub(super) dir: String,
    pub(super) manifest: Option<Manifest>,
    pub(super) result: Option<RunResult>,
    pub(super) topology: Option<Topology>,
    /// Text of the topology file.
    pub(super) yaml: Option<String>,
    /// Text of `events.jsonl`.
    pub(super) events: String,
    pub(super) consoles: Vec<Console>,
    /// All files, with their sizes in bytes.
    pub(super) files: Vec<(String, u64)>,
    /// What is not there, and what that means: a sentence each.
    pub(super) missing: Vec<String>,
}

/// What a node's console said.
#[derive(Debug, Default)]
pub(super) struct Console {
    pub(super) node: String,
    /// Its beginning.
    pub(super) head: String,
    /// Bytes after that which are left out.
    pub(super) left_out: u64,
    /// Its end.
    pub(super) tail: String,
}

impl Recorded {
    /// Reads a directory.
    ///
    /// # Errors
    /// When it cannot be read at all. What is missing in it is no error.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let dir = dir.canonicalize().with_context(|| format!("no run at {}", dir.display()))?;
        let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut run = Self { name, dir: dir.display().to_string(), ..Self::default() };
        run.files(&dir)?;
        run.manifest = run.or_missing(
            Manifest::read(&dir).map_err(|e| format!("{:#}", e.root_cause())),
            "run.json",
            "seed, versions and machine are not known",
        );
        let result = read(&dir, "result.json")
            .and_then(|text| serde_json::from_str(&text).map_err(|e| e.to_string()));
        run.result = run.or_missing(
            result,
            "result.json",
            "there is no verdict: the run was cut off, failed before its end, or still goes on",
        );
        run.yaml = run.or_missing(
            read(&dir, "topology.yaml"),
            "topology.yaml",
            "the cluster cannot be drawn",
        );
        if run.yaml.is_some() {
            let topology = topology::load(&dir.join("topology.yaml")).map_err(|e| e.to_string());
            run.topology = run.or_missing(topology, "topology.yaml", "the cluster cannot be drawn");
        }
        run.events = run
            .or_missing(read(&dir, "events.jsonl"), "events.jsonl", "there is no story to tell")
            .unwrap_or_default();
        for node in run.node_names() {
            run.consoles.extend(Console::read(&dir, node));
        }
        Ok(run)
    }

    /// Names of the nodes as events number them, seats after the nodes, as far as they are known.
    pub(super) fn node_names(&self) -> Vec<String> {
        if let Some(result) = &self.result {
            return result.nodes.iter().map(|node| node.name.clone()).collect();
        }
        let nodes = self.topology.iter().flat_map(|topology| &topology.nodes);
        nodes.map(|node| node.name.clone()).collect()
    }

    fn or_missing<T>(&mut self, found: Result<T, String>, file: &str, means: &str) -> Option<T> {
        match found {
            Ok(found) => Some(found),
            Err(reason) => {
                self.missing.push(format!("{file}: {reason}; {means}"));
                None
            }
        }
    }

    fn files(&mut self, dir: &Path) -> Result<()> {
        let unreadable = || format!("cannot read {}", dir.display());
        for entry in fs::read_dir(dir).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            if let Ok(about) = entry.metadata()
                && about.is_file()
            {
                self.files.push((entry.file_name().to_string_lossy().into_owned(), about.len()));
            }
        }
        self.files.sort();
        Ok(())
    }
}

/// A file as text, whatever bytes it holds.
fn read(dir: &Path, name: &str) -> Result<String, String> {
    let bytes = fs::read(dir.join(name)).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => "is not there".to_owned(),
        _ => e.to_string(),
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

impl Console {
    /// `None` where there is none.
    fn read(dir: &Path, node: String) -> Option<Self> {
        let mut file = File::open(console(dir, &node)).ok()?;
        let length = file.metadata().ok()?.len();
        let (most_head, most_tail) = CONSOLE;
        let mut bytes = Vec::new();
        if length <= most_head + most_tail {
            file.read_to_end(&mut bytes).ok()?;
            let head = String::from_utf8_lossy(&bytes).into_owned();
            return Some(Self { node, head, ..Self::default() });
        }
        (&mut file).take(most_head).read_to_end(&mut bytes).ok()?;
        let head = String::from_utf8_lossy(&bytes).into_owned();
        file.seek(SeekFrom::Start(length - most_tail)).ok()?;
        bytes.clear();
        file.read_to_end(&mut bytes).ok()?;
        let tail = String::from_utf8_lossy(&bytes).into_owned();
        Some(Self { node, head, left_out: length - most_head - most_tail, tail })
    }
}
