//! The copies that a recovery has this node send.
//!
//! They go out some pages at a time, so that the node can do its other part meanwhile: it puts its own rank's memory
//! back, and gives signs of life. Who gets them confirms each message, and no more than a window of pages is on its
//! way, so that a copy of any size takes bounded memory besides itself.

use super::message::Message;
use super::session::{Session, Shared, Stage};
use crate::checkpoint::{CopyMessage, PAGES_PER_MESSAGE, Transfer};
use crate::event::Event;
use crate::id::{Epoch, NodeId, PageNo};
use crate::limits::RECOVERY_WINDOWS;
use crate::sorted::Map;
use alloc::vec::Vec;

/// Messages that go out in one go, to each node.
const AT_ONCE: usize = 4;

/// What goes out.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    /// In this order to each node.
    list: Vec<Copy>,
    /// Pages that a node has not confirmed yet.
    under_way: Map<NodeId, usize>,
}

#[derive(Clone, Debug)]
struct Copy {
    transfer: Transfer,
    epoch: Epoch,
    /// The first page that was not sent yet.
    next: PageNo,
    sent: u64,
}

impl Copies {
    /// How many pages may go to a node in the next message.
    fn room(&self, to: NodeId, shared: &Shared) -> usize {
        let window = RECOVERY_WINDOWS * shared.config.copy_window.max(1);
        let under_way = self.under_way.get(&to).copied().unwrap_or_default();
        window.saturating_sub(under_way).min(PAGES_PER_MESSAGE)
    }

    /// A node confirms pages.
    pub(super) fn confirm(&mut self, from: NodeId, pages: u8) {
        let under_way = self.under_way.get_or_default(from);
        *under_way = under_way.saturating_sub(usize::from(pages));
    }

    /// Nothing more is sent.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Session {
    /// Begins to send a copy, or owes it until it is made.
    pub(super) fn send_copy(&mut self, transfer: Transfer, epoch: Epoch, shared: &mut Shared) {
        let Transfer { rank, target, to, .. } = transfer;
        let Some(image) = shared.store.image(rank) else {
            if let Stage::Recovering(rebuilding) = &mut self.stage {
                rebuilding.owe(transfer);
            }
            return;
        };
        let (count, bytes) = (image.pages.len(), image.bytes());
        let pages = u64::try_from(count).unwrap_or(u64::MAX);
        shared.event(Event::CopySent { rank, epoch, to, pages, bytes });
        let copy = Copy { transfer, epoch, next: PageNo(0), sent: 0 };
        // Who is to restore from it gets it first, and does so while the next one comes.
        if self.view.rank_of(to) == Some(target) {
            self.copies.list.insert(0, copy);
        } else {
            self.copies.list.push(copy);
        }
    }

    /// Is there a page to be sent, and room for it on the way?
    pub(super) fn can_copy(&self, shared: &Shared) -> bool {
        self.copies.list.iter().any(|copy| self.copies.room(copy.transfer.to, shared) > 0)
    }

    /// Sends the next pages to each node.
    pub(super) fn copy(&mut self, shared: &mut Shared) {
        let mut served: Vec<NodeId> = Vec::new();
        let mut list = core::mem::take(&mut self.copies.list);
        list.retain_mut(|copy| {
            let to = copy.transfer.to;
            if served.contains(&to) {
                return true;
            }
            served.push(to);
            (0..AT_ONCE).all(|_| self.copy_some(copy, shared))
        });
        self.copies.list = list;
    }

    /// Sends one message of a copy, if there is room for it; false when it was the last.
    fn copy_some(&mut self, copy: &mut Copy, shared: &mut Shared) -> bool {
        let Copy { transfer: Transfer { rank, target, to, .. }, epoch, next, sent } = *copy;
        // Given up meanwhile: then the next view begins, and its recovery looks for another one.
        let Some(image) = shared.store.image(rank).filter(|image| image.epoch == epoch) else {
            return false;
        };
        let room = self.copies.room(to, shared);
        if room == 0 {
            return true;
        }
        let pages = image.pages.range(next..).take(room).map(|(number, page)| (*number, page));
        let pages: Vec<_> = pages.collect();
        let Some((last, _)) = pages.last() else {
            let copy = CopyMessage::Done { rank, epoch, count: sent };
            self.send(to, &Message::Copy { target, copy }, shared);
            return false;
        };
        copy.next = PageNo(last.0 + 1);
        copy.sent += u64::try_from(pages.len()).unwrap_or(u64::MAX);
        *self.copies.under_way.get_or_default(to) += pages.len();
        let bytes = Message::emit_copy(self.tag(), target, (rank, epoch), &pages);
        self.send_bytes(to, bytes, shared);
        true
    }
}
