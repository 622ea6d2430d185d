//! What a node asks of what carries its frames; `runtime-shm` is one.

use runtime_shm::{Event, Fabric, NodeName, SendError};
use std::sync::Arc;
use std::time::Instant;

/// Wakes whoever is in [`Transport::wait`], or lets the next wait come back.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

/// Carries frames between nodes, whole and in order, and says which nodes there are.
pub trait Transport: Send + 'static {
    /// Hands over all that is there, and says how much that was.
    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize;
    /// Sends a frame.
    ///
    /// # Errors
    /// See [`SendError`].
    fn send(&mut self, to: NodeName, frame: &[u8]) -> Result<(), SendError>;
    /// Comes back when something may have come, at the latest at `until`.
    fn wait(&self, until: Option<Instant>);
    /// What ends a wait.
    fn bell(&self) -> Bell;
}

impl Transport for Fabric {
    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize {
        Self::poll(self, on)
    }

    fn send(&mut self, to: NodeName, frame: &[u8]) -> Result<(), SendError> {
        Self::send(self, to, &[frame])
    }

    fn wait(&self, until: Option<Instant>) {
        Self::wait(self, until);
    }

    fn bell(&self) -> Bell {
        let bell = Self::bell(self);
        Arc::new(move || bell.ring())
    }
}
