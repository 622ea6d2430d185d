//! What a node asks of what carries its frames; `runtime-shm` is one.

use runtime_shm::{Event, Fabric, NodeName, SendError};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of a header, at most.
pub const MAX_HEAD: usize = 64;

/// Wakes whoever is in [`Transport::wait`], or lets the next wait come back.
pub type Bell = Arc<dyn Fn() + Send + Sync>;

/// Carries frames between nodes, whole and in order, and says which nodes there are.
///
/// Neither side allocates for a frame: [`Self::send`] gets it in two parts, a header and what the program sends, which
/// the transport writes one after the other to where the frame lies on its way; [`Self::poll`] hands over frames where
/// they lie, for the length of the call, or with data that the node keeps for a while. A frame has at most `runtime_shm::MAX_FRAME` bytes, its header at most
/// [`MAX_HEAD`]. All is called under the node's lock, so nothing but [`Self::wait`] may take its time.
pub trait Transport: Send + 'static {
    /// Hands over all that is there, and says how much that was.
    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize;
    /// Whether [`Self::poll`] would hand something over now; costs less than that. May say so for nothing.
    fn has_news(&self) -> bool {
        true
    }
    /// Sends a frame: its header and its data, either of which may be empty. [`SendError::Full`] says that there is no
    /// room now, and promises that [`Self::wait`] comes back when there is some.
    ///
    /// # Errors
    /// See [`SendError`]; nothing was sent then.
    fn send(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError>;
    /// The same for data that the receiver may keep where they lie ([`Event::Lent`]), if the transport has memory for that.
    ///
    /// # Errors
    /// As [`Self::send`].
    fn lend(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        self.send(to, head, data)
    }
    /// Comes back when something may have come, at the latest at `until`.
    fn wait(&self, until: Option<Instant>);
    /// What ends a wait.
    fn bell(&self) -> Bell;
}

impl Transport for Fabric {
    fn has_news(&self) -> bool {
        Self::has_news(self)
    }

    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize {
        Self::poll(self, on)
    }

    fn send(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        Self::send(self, to, &[head, data])
    }

    fn lend(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        Self::lend(self, to, head, data)
    }

    fn wait(&self, until: Option<Instant>) {
        Self::wait(self, until);
    }

    fn bell(&self) -> Bell {
        let bell = Self::bell(self);
        Arc::new(move || bell.ring())
    }
}
