//! Flow over a medium that may lose, repeat, reorder and damage frames: numbered fragments in a
//! window, acknowledged cumulatively and selectively, sent again when lost.
//!
//! ```text
//!            cut          acknowledged                    all before acknowledged
//!   message ────▶ out ─────────────────────▶ arrived ─────────────────────────────▶ gone
//!                 ▲ │ a later one arrived       ▲
//!       sent again│ ▼ and has overtaken it      │ it was only late
//!                 lost ─────────────────────────┘
//! ```
//! Only what arrives says what is lost. When nothing comes back for a while, the last frame is sent
//! once more (a *probe*): a peer that merely stood still is not flooded, and one that missed
//! everything says so in its answer. A peer that had the frame says that too; if its answer to the
//! first one comes as well, late, the next silence is borne for as long. How many frames may be out is
//! decided in `congestion.rs`.

pub(super) mod congestion;
mod receiver;
pub(super) mod rtt;
mod sender;

pub(super) use receiver::{Receiver, Taken};
pub(super) use sender::Sender;

use crate::limits::LINK_WINDOW;
use crate::time::Duration;

/// How long an acknowledgement waits for data to ride on.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(1);

/// The window as a distance between sequence numbers.
const WINDOW: u64 = LINK_WINDOW as u64;
const _: () = assert!(LINK_WINDOW <= 128, "each frame in flight has its bit in an acknowledgement");
