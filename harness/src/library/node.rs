//! A node in the hands of a test.

use super::cluster::Cluster;
use super::error::Error;
use super::status::NodeStatus;
use crate::backend::console;
use crate::proto::Request;
use std::path::PathBuf;

/// A node of a cluster that is up; see [`Cluster::node`]. On backend `sim` nodes live only in a run, and what happens
/// to them is written as faults in the topology: there, all but [`Self::status`] is refused.
#[derive(Clone, Debug)]
pub struct Node<'c> {
    cluster: &'c Cluster,
    name: String,
}

impl<'c> Node<'c> {
    pub(super) fn new(cluster: &'c Cluster, name: &str) -> Self {
        Self { cluster, name: name.to_owned() }
    }

    /// Ends its process or its machine at once, as by `kill -9`. Nothing happens to one that is dead.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn kill(&self) -> Result<(), Error> {
        self.cluster.act(Request::Kill { node: self.name.clone() }).await
    }

    /// Lets its machine stand still.
    ///
    /// # Errors
    /// When there is no such node, or it is dead.
    pub async fn pause(&self) -> Result<(), Error> {
        self.cluster.act(Request::Pause { node: self.name.clone() }).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When there is no such node, or it is dead.
    pub async fn resume(&self) -> Result<(), Error> {
        self.cluster.act(Request::Resume { node: self.name.clone() }).await
    }

    /// Starts its machine again, which is killed first if it lives; returns when it is back, as a standby.
    ///
    /// # Errors
    /// When there is no such node, or it does not come back.
    pub async fn reboot(&self) -> Result<(), Error> {
        self.cluster.act(Request::Reboot { node: self.name.clone() }).await
    }

    /// A rank moves here, at the next checkpoint or barrier; returns when it is here.
    ///
    /// # Errors
    /// When it cannot be here, and why.
    pub async fn take_rank(&self, rank: u16) -> Result<(), Error> {
        let (what, to) = (rank.to_string(), self.name.clone());
        self.cluster.act(Request::Migrate { what, to }).await
    }

    /// How it is.
    ///
    /// # Errors
    /// When there is no such node.
    pub async fn status(&self) -> Result<NodeStatus, Error> {
        let status = self.cluster.status().await?;
        let names: Vec<String> = status.nodes.iter().map(|n| n.name.clone()).collect();
        status.nodes.into_iter().find(|n| n.name == self.name).ok_or_else(|| {
            Error::Usage(format!("no node {}: there are {}", self.name, names.join(", ")))
        })
    }

    /// The file that holds its console.
    #[must_use]
    pub fn console_file(&self) -> PathBuf {
        console(self.cluster.logs(), &self.name)
    }

    /// The lines on its console up to now. [`line()`](crate::line()) waits for one.
    ///
    /// # Errors
    /// When it has none, because there is no such node or it was never started.
    pub fn console(&self) -> Result<Vec<String>, Error> {
        let path = self.console_file();
        let bytes = std::fs::read(&path)
            .map_err(|e| Error::Usage(format!("no console at {}: {e}", path.display())))?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(|line| line.trim_end().to_owned()).collect())
    }
}
