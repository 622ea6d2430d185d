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
    /// The code with which its latest process ended.
    pub(super) exit: Option<i32>,
    pub(super) spawned: Duration,
    pub(super) boot: Option<Duration>,
    /// It was replaced, or starts again, and is in no view yet.
    pub(super) outside: bool,
    /// Its newest life, from 1; 0: as from the beginning.
    pub(super) generation: u32,
    /// Its machine is to start again when its process has ended.
    pub(super) again: bool,
    /// It started again, and cannot be told to run anything yet.
    pub(super) deaf: bool,
    /// Why the others do not hear it, if it is alive.
    pub(super) away: Option<&'static str>,
}

impl NodeState {
    /// For the status table.
    pub(super) const fn words(&self) -> &'static str {
        match (self.life, self.away) {
            (Life::Booting, _) => "booting",
            (Life::Dead, _) => "dead",
            (_, Some(how)) => how,
            (Life::Joining, None) if self.outside => "rejoining",
            (Life::Joining, None) => "joining",
            (Life::Ready, None) => "ready",
        }
    }
}
