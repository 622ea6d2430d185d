//! A view that changes on purpose while ranks run: they are held at a checkpoint, and go on from it in the next view.
//!
//! ```text
//!  coordinator: a change is wanted ──Hold──▶ host of rank 0: its next release of a checkpoint, or of a barrier at
//!                                            which no rank holds a lock, says *held*
//!  every host: the epoch is staged, the rank stays in its call ──Prepared, held──▶ coordinator
//!  coordinator: all are ──Commit──▶ all, and then the agreement on the next view
//!  next view: a recovery like any other, to that very epoch; a host whose rank stands there keeps its memory as
//!             it is and only opens its connections, so that nobody computes anything again
//! ```
//! A death at any point of it is a death at a checkpoint: the recovery finds the epoch whole, or the one before.

use super::message::Message;
use super::session::{Session, Shared, Stage};
use crate::id::{Job, ViewId};
use alloc::vec::Vec;

impl Shared {
    /// A new life: no rank, no copies.
    pub(super) fn begin_anew(&mut self) {
        self.store.clear();
        self.frames.clear();
        self.own.clear();
        self.hosts = (Job(0), Vec::new());
        self.holders = (ViewId(0), Vec::new());
        (self.standing, self.renew) = (None, false);
        self.stop_rank();
    }
}

impl Session {
    /// Does nothing run any more?
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// The coordinator: all ranks are to stay in their next checkpoint. Says so once.
    pub(super) fn ask_to_hold(&mut self, shared: &mut Shared) -> bool {
        if self.stage != Stage::Running || core::mem::replace(&mut self.lead.hold, true) {
            return false;
        }
        if let Some(host) = self.view.ranks.first() {
            self.send(*host, &Message::Hold, shared);
        }
        true
    }

    pub(super) fn hold(&mut self) {
        if let Some(sdsm) = &mut self.sdsm {
            sdsm.want_snapshot(true);
        }
    }
}
