//! The copies that a recovery has this node get: received, and made from parity where there are none.

use super::message::Message;
use super::restore::Restore;
use super::session::{Session, Shared, Stage};
use crate::checkpoint::{CopyMessage, Redundancy, Store, Transfer};
use crate::event::Event;
use crate::id::{Epoch, NodeId, PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::PageMem;
use crate::sorted::Set;
use alloc::format;
use alloc::vec::Vec;

/// What this node still waits for in a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rebuilding {
    pub(super) epoch: Epoch,
    /// Copies on their way here.
    missing: Vec<Transfer>,
    /// What is to be made here, of these.
    builds: Set<Rank>,
    /// Copies of what is to be made here.
    owed: Vec<Transfer>,
    /// How far the memory of this node's rank is.
    pub(super) restore: Restore,
}

impl Rebuilding {
    /// As planned. Copies come from others than the plan, and may have been quicker.
    pub(super) fn new(
        me: NodeId,
        epoch: Epoch,
        plan: &[Transfer],
        store: &Store,
        restore: Restore,
    ) -> Self {
        let here = store.holdings().whole;
        let is_here = |t: &Transfer| match t.rank == t.target {
            true => here.contains(&(t.rank, epoch)),
            false => store.is_fed((t.target, t.rank), epoch),
        };
        let mine = || plan.iter().filter(|t| t.to == me);
        let builds = mine().filter(|t| t.rank != t.target).map(|t| t.target).collect();
        let missing = mine().filter(|t| !is_here(t)).copied().collect();
        Self { epoch, missing, builds, owed: Vec::new(), restore }
    }

    /// Is all here, and the rank's memory as it is to be?
    pub(super) fn is_finished(&self) -> bool {
        self.missing.is_empty() && self.builds.is_empty() && self.restore == Restore::Done
    }

    /// Is this here whole, however it had to come?
    pub(super) fn has(&self, rank: Rank) -> bool {
        !self.waits_for(rank) && !self.builds.contains(&rank)
    }

    /// Is a copy missing of it, or of what it is made from?
    fn waits_for(&self, target: Rank) -> bool {
        self.missing.iter().any(|transfer| transfer.target == target)
    }

    /// A copy that can be sent when it is made.
    pub(super) fn owe(&mut self, transfer: Transfer) {
        self.owed.push(transfer);
    }

    /// Something of which all sources are here.
    fn ready(&mut self) -> Option<Rank> {
        let target = self.builds.iter().find(|target| !self.waits_for(**target)).copied()?;
        self.builds.remove(&target);
        Some(target)
    }
}

impl Session {
    pub(super) fn on_copy(
        &mut self,
        from: NodeId,
        target: Rank,
        copy: CopyMessage,
        shared: &mut Shared,
        mem: &mut dyn PageMem,
    ) {
        if let CopyMessage::Pages { pages, .. } = &copy {
            let pages = u8::try_from(pages.len()).unwrap_or(u8::MAX);
            self.send(from, &Message::Copied { pages }, shared);
        }
        let store = &mut shared.store;
        let Redundancy::Parity(parity) = shared.config.redundancy else {
            return self.on_own_copy(from, copy, shared, mem);
        };
        match copy {
            copy if copy.of().0 == target => self.on_own_copy(from, copy, shared, mem),
            CopyMessage::Pages { rank, epoch, pages } => {
                for (number, page) in pages {
                    store.feed(parity, (target, rank), epoch, number, page);
                }
            }
            CopyMessage::Done { rank, epoch, count } => {
                if store.fed((target, rank), epoch, count) {
                    self.received(from, (rank, target), epoch, count, shared);
                    self.go_on_recovering(shared, mem);
                }
            }
        }
    }

    /// A copy to keep as it is.
    fn on_own_copy(
        &mut self,
        from: NodeId,
        copy: CopyMessage,
        shared: &mut Shared,
        mem: &mut dyn PageMem,
    ) {
        match copy {
            CopyMessage::Pages { rank, epoch, pages } => {
                for (number, page) in pages {
                    shared.store.receive(rank, epoch, number, page);
                }
            }
            CopyMessage::Done { rank, epoch, count } => {
                if let Some(pages) = shared.store.receive_done(rank, epoch, count) {
                    self.received(from, (rank, rank), epoch, pages, shared);
                    self.go_on_recovering(shared, mem);
                }
            }
        }
    }

    fn received(
        &mut self,
        from: NodeId,
        (rank, target): (Rank, Rank),
        epoch: Epoch,
        pages: u64,
        shared: &mut Shared,
    ) {
        let bytes = pages * u64::try_from(PAGE_SIZE).unwrap_or(u64::MAX);
        shared.event(Event::CopyReceived { rank, epoch, from, pages, bytes });
        if let Stage::Recovering(rebuilding) = &mut self.stage {
            let it = |t: &Transfer| (t.rank, t.target, t.from) == (rank, target, from);
            rebuilding.missing.retain(|transfer| !it(transfer));
            self.make_images(shared);
        }
    }

    /// A copy went bad after its holder had looked through it and said that it has it. It must not be used:
    /// the members agree on a next view, and its recovery looks through all copies again.
    pub(super) fn give_up(&mut self, rank: Rank, epoch: Epoch, page: PageNo, shared: &mut Shared) {
        shared.store.give_up(rank);
        shared.event(Event::CopyDamaged { rank, epoch, page });
        self.stage = Stage::Damaged;
        self.copies.clear();
        self.tell_coordinator(&Message::Damaged, shared);
    }

    /// Makes what can be made by now, and sends what was owed of it.
    pub(super) fn make_images(&mut self, shared: &mut Shared) {
        let Redundancy::Parity(parity) = shared.config.redundancy else { return };
        while let Stage::Recovering(rebuilding) = &mut self.stage
            && let Some(rank) = rebuilding.ready()
        {
            let epoch = rebuilding.epoch;
            let due = rebuilding.owed.extract_if(.., |transfer| transfer.rank == rank);
            let due: Vec<Transfer> = due.collect();
            match shared.store.finish(parity, rank, self.view.rank_count()) {
                Ok(pages) => shared.event(Event::Rebuilt { rank, epoch, pages }),
                // One of those that it was made of, whose node will find it.
                Err(page) if shared.unfit.replace((rank, epoch)) != Some((rank, epoch)) => {
                    return self.give_up(rank, epoch, page, shared);
                }
                Err(page) => {
                    shared.event(Event::CopyDamaged { rank, epoch, page });
                    self.fatal =
                        Some(format!("the parity of {rank} at {epoch} is damaged: {page}"));
                    return;
                }
            }
            for transfer in due {
                self.send_copy(transfer, epoch, shared);
            }
        }
    }
}
