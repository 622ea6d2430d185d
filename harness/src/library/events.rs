//! What happens, as it happens.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;

/// What happens in a cluster, from when this was made to the end of the cluster; also a [`futures_core::Stream`]. What
/// is not read is kept: drop it when it is not needed any more.
#[derive(Debug)]
pub struct Events {
    happenings: UnboundedReceiver<Happening>,
}

impl Events {
    pub(super) const fn new(happenings: UnboundedReceiver<Happening>) -> Self {
        Self { happenings }
    }

    /// The next one; nothing when the cluster is gone.
    pub async fn next(&mut self) -> Option<Happening> {
        self.happenings.recv().await
    }
}

impl futures_core::Stream for Events {
    type Item = Happening;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Happening>> {
        self.happenings.poll_recv(cx)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Happening {
    /// Since the boot began; in the virtual time of the run on backend `sim`.
    pub at: Duration,
    /// On which node.
    pub node: String,
    /// What.
    pub what: What,
}

impl Happening {
    pub(crate) const fn new(at: Duration, node: String, what: What) -> Self {
        Self { at, node, what }
    }
}

/// See [`Happening`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum What {
    /// The node reports an event.
    Said {
        /// As `event:` of a topology file calls it, for example `checkpoint-committed`.
        kind: String,
        /// What tells it from others of its kind: its epoch, if it has one.
        number: Option<u64>,
        /// All of it, by names.
        details: serde_json::Value,
    },
    /// A line on its console, or printed by its rank.
    Printed(String),
    /// The harness did something to it, or saw it begin or end, in words.
    Befell(String),
}
