//! What is known of a node.

use std::time::Duration;

/// How far a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Life {
    /// Started, silent.
    #[default]
    Booting,
    /// Spoke, was configured, and looks for its peers.
    Joining,
    /// Linked to all.
    Ready,
    /// Killed, or ended.
    Dead,
}

/// A node.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeState {
    pub(super) life: Life,
    pub(super) pid: Option<u32>,
    pub(super) spawned: Duration,
    pub(super) boot: Option<Duration>,
    /// Why the others do not hear it, if it is alive.
    pub(super) away: Option<&'static str>,
    /// It was replaced, and is to end by itself.
    pub(super) fenced: bool,
}

impl NodeState {
    /// For the status table.
    pub(super) const fn words(&self) -> &'static str {
        match (self.life, self.away) {
            (Life::Booting, _) => "booting",
            (_, Some(how)) => how,
            (Life::Joining, None) => "joining",
            (Life::Ready, None) => "ready",
            (Life::Dead, _) => "dead",
        }
    }
}
