//! From a file to a cluster that is up.

use super::cluster::{Cluster, Daemon};
use super::error::Error;
use crate::client::How;
use crate::daemon::{self, Embedded, Inbox, Setup, clients::Clients, record::Audience};
use crate::paths::Places;
use crate::plan::{self, Backend};
use crate::proto::Response;
use std::path::{Path, PathBuf};

/// A cluster that is to be; see [`Cluster::from_file`].
#[derive(Clone, Debug)]
#[must_use = "nothing is up before `boot`"]
pub struct Builder {
    source: Source,
    backend: Backend,
    seed: Option<u64>,
    name: Option<String>,
    runs: Option<PathBuf>,
}

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Text(String),
}

impl Builder {
    pub(super) fn from_file(file: PathBuf) -> Self {
        Self::new(Source::File(file))
    }

    pub(super) fn from_text(text: String) -> Self {
        Self::new(Source::Text(text))
    }

    fn new(source: Source) -> Self {
        Self { source, backend: Backend::Qemu, seed: None, name: None, runs: None }
    }

    /// What the nodes are made of; left out, guests of QEMU.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Seed of everything random, instead of that of the file.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// What `understudy status --cluster` and the other verbs call it; left out, a name that nobody else has. Two
    /// clusters of one name cannot be up at once.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Where its logs, events and results go: a new directory in this one; left out, in `target/understudy/runs` of
    /// the workspace that the harness was built from.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.runs = Some(directory.into());
        self
    }

    /// Boots it; returns when all nodes are linked. A boot that is given up (dropped) leaves nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] with all that is wrong with the file; [`Error::Testbed`] when a program is missing or a node
    /// does not boot, with the last lines of its console.
    pub async fn boot(self) -> Result<Cluster, Error> {
        let mut daemon = self.launch()?;
        loop {
            let Some(response) = daemon.next().await else { return Err(daemon.gone().await) };
            match response.succeeded()? {
                Response::Progress { text, .. } | Response::Note { text } => {
                    tracing::info!(cluster = daemon.name, "{text}");
                }
                Response::Up { status } => return Ok(Cluster::new(daemon, &status)),
                other => return Err(other.unexpected().into()),
            }
        }
    }

    fn launch(self) -> Result<Daemon, Error> {
        let mut places = Places::find(None)?;
        if let Some(runs) = &self.runs {
            places = places.with_runs(runs)?;
        }
        let (topology, shown) = match &self.source {
            Source::File(file) => (topology::load(file), file.display().to_string()),
            Source::Text(text) => (topology::parse("topology", text), "topology".to_owned()),
        };
        let topology = topology.map_err(|e| Error::Usage(e.to_string()))?;
        let unsupported = plan::unsupported(&topology, self.backend);
        if !unsupported.is_empty() {
            return Err(Error::Usage(format!("{shown}: cannot do: {}", unsupported.join("; "))));
        }
        let run_dir = places.new_run(&topology.name)?;
        let file = match self.source {
            Source::File(file) => file,
            Source::Text(text) => given(&run_dir, &text)?,
        };
        let own = run_dir.file_name().and_then(|name| name.to_str());
        let name = self.name.or_else(|| own.map(str::to_owned)).unwrap_or(topology.name);
        let (inbox, events) = Inbox::new();
        let (clients, audience) = (Clients::new(inbox.clone()), Audience::default());
        let embedded = Embedded { clients, audience };
        let owner = embedded.clients.caller();
        let setup = Setup {
            places,
            file,
            how: How { backend: self.backend, cold: false },
            run_dir: run_dir.clone(),
            name: Some(name.clone()),
            seed: self.seed,
            detach: false,
            embedded: Some(embedded.clone()),
        };
        let work = embedded.clone();
        let thread = std::thread::Builder::new()
            .name("understudy".to_owned())
            .spawn(move || daemon::embed(&setup, &work, inbox, events))
            .map_err(|e| Error::Testbed(format!("cannot start a thread: {e}")))?;
        Ok(Daemon::new(name, run_dir, embedded, owner, thread))
    }
}

/// A topology that is in no file, put into one.
fn given(run_dir: &Path, text: &str) -> Result<PathBuf, Error> {
    let file = run_dir.join("given.yaml");
    std::fs::write(&file, text)
        .map_err(|e| Error::Testbed(format!("cannot write {}: {e}", file.display())))?;
    Ok(file)
}
