//! A cluster that is up.

use super::build::Builder;
use super::error::Error;
use super::events::Events;
use super::expect::Expectation;
use super::link::Link;
use super::node::Node;
use super::run::{Run, Verdict};
use super::status::Status;
use crate::daemon::Embedded;
use crate::daemon::clients::Caller;
use crate::proto::{self, Request, Response};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

/// The thread that owns a cluster. It ends everything when this is dropped.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) name: String,
    run_dir: PathBuf,
    embedded: Embedded,
    /// When this is gone, so is the cluster.
    owner: Option<Caller>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Daemon {
    pub(super) fn new(
        name: String,
        run_dir: PathBuf,
        embedded: Embedded,
        owner: Caller,
        thread: JoinHandle<anyhow::Result<()>>,
    ) -> Self {
        Self { name, run_dir, embedded, owner: Some(owner), thread: Some(thread) }
    }

    /// What it says to its owner.
    pub(super) async fn next(&mut self) -> Option<Response> {
        match &mut self.owner {
            Some(owner) => owner.next().await,
            None => None,
        }
    }

    /// It has ended, and why.
    pub(super) async fn gone(&mut self) -> Error {
        while let Some(response) = self.next().await {
            if let Err(failure) = response.succeeded() {
                return failure.into();
            }
        }
        self.end();
        Error::Testbed(format!(
            "cluster {} is gone (its logs: {})",
            self.name,
            self.run_dir.display()
        ))
    }

    /// Waits until nothing of it is left: that takes as long as the kernel takes to end its processes.
    fn end(&mut self) {
        self.owner = None;
        let Some(thread) = self.thread.take() else { return };
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(e)) => tracing::error!(cluster = self.name, "{e:#}"),
            // It has told what on standard error, and its processes are gone with its threads.
            Err(_) => tracing::error!(cluster = self.name, "the daemon panicked"),
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}

/// A cluster that is up. When this is dropped, everything of it is ended first: nodes, guests, switch.
#[derive(Debug)]
pub struct Cluster {
    daemon: tokio::sync::Mutex<Daemon>,
    name: String,
    run_dir: PathBuf,
    embedded: Embedded,
}

impl Cluster {
    /// The cluster of a topology file.
    pub fn from_file(file: impl Into<PathBuf>) -> Builder {
        Builder::from_file(file.into())
    }

    /// The cluster of a topology that is in no file. Paths in it must be absolute.
    pub fn from_yaml(text: impl Into<String>) -> Builder {
        Builder::from_text(text.into())
    }

    pub(super) fn new(daemon: Daemon, status: &proto::Status) -> Self {
        let (run_dir, embedded) = (PathBuf::from(&status.run_dir), daemon.embedded.clone());
        let name = daemon.name.clone();
        Self { daemon: tokio::sync::Mutex::new(daemon), name, run_dir, embedded }
    }

    /// What verbs call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its consoles, events and results are.
    #[must_use]
    pub fn logs(&self) -> &Path {
        &self.run_dir
    }

    /// A node, by its name.
    #[must_use]
    pub fn node(&self, name: &str) -> Node<'_> {
        Node::new(self, name)
    }

    /// A link, by its name (`n0-sw0`) or by its node's, or a cable, by its name.
    #[must_use]
    pub fn link(&self, name: &str) -> Link<'_> {
        Link::new(self, name)
    }

    /// How it is.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn status(&self) -> Result<Status, Error> {
        Ok(self.ask(Request::Status).await?.status()?.into())
    }

    /// Starts the file's program with its faults; returns when the nodes have been told to run. A second one can be
    /// started when the first is over.
    ///
    /// # Errors
    /// When there is nothing to run, something runs already, or a fault is to strike a node that is dead.
    pub async fn start(&self) -> Result<Run<'_>, Error> {
        let mut caller = self.embedded.clients.caller();
        caller.tell(Request::Run);
        match self.answer(&mut caller, true).await? {
            Response::Started => Ok(Run::new(self, caller)),
            other => Err(other.unexpected().into()),
        }
    }

    /// Starts the file's program with its faults, and waits for the verdict.
    ///
    /// # Errors
    /// As of [`Self::start`] and [`Run::verdict`].
    pub async fn run(&self) -> Result<Verdict, Error> {
        self.start().await?.verdict().await
    }

    /// Returns as soon as it is so, with what was seen: in the run under way, or in the one before.
    ///
    /// What is expected in the file itself is judged by the [`Verdict`], whatever is expected here.
    ///
    /// # Errors
    /// [`Error::Unmet`] as soon as it cannot be so any more: too late, otherwise, or the run is over.
    pub async fn expect(&self, what: impl Into<Expectation>) -> Result<String, Error> {
        let Expectation { what, words } = what.into();
        match self.ask(Request::Expect { what }).await? {
            Response::Expected { seen, holds: true } => Ok(seen),
            Response::Expected { seen, .. } => {
                Err(Error::Unmet { expected: words, seen, logs: self.run_dir.clone() })
            }
            other => Err(other.unexpected().into()),
        }
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.embedded.audience.join())
    }

    /// All links are as in the file again.
    ///
    /// # Errors
    /// On backend `sim`, and where nodes speak TCP beside the switch.
    pub async fn heal(&self) -> Result<(), Error> {
        self.act(Request::Heal { link: None }).await
    }

    /// Takes it down; returns when nothing of it is left.
    ///
    /// # Errors
    /// When it was gone before, and why.
    pub async fn down(self) -> Result<(), Error> {
        self.act(Request::Down).await?;
        let mut daemon = self.daemon.lock().await;
        while daemon.next().await.is_some() {}
        daemon.end();
        Ok(())
    }

    /// Asks for something to be done.
    pub(super) async fn act(&self, request: Request) -> Result<(), Error> {
        match self.ask(request).await? {
            Response::Done { .. } => Ok(()),
            other => Err(other.unexpected().into()),
        }
    }

    pub(super) async fn ask(&self, request: Request) -> Result<Response, Error> {
        let mut caller = self.embedded.clients.caller();
        caller.tell(request);
        self.answer(&mut caller, false).await
    }

    /// The next answer of the daemon. `start`: that something has started is one.
    pub(super) async fn answer(&self, caller: &mut Caller, start: bool) -> Result<Response, Error> {
        loop {
            match caller.next().await {
                Some(Response::Progress { text, .. } | Response::Note { text }) => {
                    tracing::info!(cluster = self.name, "{text}");
                }
                Some(Response::Started) if !start => {}
                Some(response) => return Ok(response.succeeded()?),
                None => return Err(self.daemon.lock().await.gone().await),
            }
        }
    }
}
