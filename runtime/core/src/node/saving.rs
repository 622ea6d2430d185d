//! Checkpoints of the rank that this node hosts, and its part as a partner of others.

use super::message::Message;
use super::session::{Saving, Session, Shared};
use crate::checkpoint::{self, CopyMessage, Redundancy, SealedPage};
use crate::event::Event;
use crate::id::{Epoch, NodeId, PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::{PageBytes, PageMem};
use crate::sdsm::Side;
use crate::wire::Writer;
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Session {
    /// All ranks stand at a checkpoint: copies what changed, here and to the partners.
    pub(super) fn save(&mut self, shared: &mut Shared, mem: &mut dyn PageMem) {
        let (Some(rank), Some(sdsm)) = (self.rank, &mut self.sdsm) else { return };
        let epoch = shared.store.committed().next();
        shared.event(Event::CheckpointBegun { epoch });
        let mut changed: Vec<(PageNo, SealedPage)> = Vec::new();
        let shared_pages = sdsm.take_dirty(mem);
        let page_bytes = |page: PageNo, mem: &dyn PageMem| {
            let mut bytes: Box<PageBytes> = Box::new([0; PAGE_SIZE]);
            mem.read(page, &mut bytes);
            (page, bytes)
        };
        changed.extend(shared_pages.iter().map(|page| sealed(page_bytes(*page, mem))));
        let count_shared = changed.len();
        let before = shared.store.image(rank);
        let differs =
            |page: PageNo, bytes: &PageBytes| match before.and_then(|i| i.pages.get(&page)) {
                Some(old) => old.bytes() != bytes,
                None => *bytes != [0; PAGE_SIZE],
            };
        let private = mem.private_in_use().into_iter().flatten().map(PageNo);
        let private = private.map(|page| page_bytes(page, mem));
        changed.extend(private.filter(|(page, bytes)| differs(*page, bytes)).map(sealed));
        let count_private = changed.len() - count_shared;
        let mut meta = Writer::new();
        meta.u64(mem.context()).bytes(&sdsm.records());
        let mut records = checkpoint::Image::default();
        records.set_meta(&meta.into_vec());
        changed.extend(records.pages.into_iter().filter(|(n, page)| differs(*n, page.bytes())));
        self.stage_pages(rank, epoch, changed, (count_shared, count_private), shared);
    }

    fn stage_pages(
        &mut self,
        rank: Rank,
        epoch: Epoch,
        mut changed: Vec<(PageNo, SealedPage)>,
        (count_shared, count_private): (usize, usize),
        shared: &mut Shared,
    ) {
        let count = u64::try_from(changed.len()).unwrap_or(u64::MAX);
        let parity = matches!(shared.config.redundancy, Redundancy::Parity(_));
        if parity {
            shared.store.number(rank, epoch, &mut changed);
        }
        for (number, page) in &changed {
            shared.store.stage(rank, epoch, *number, page.clone());
        }
        shared.store.stage_done(rank, epoch, count);
        let partners = self.placement(shared).guardians(rank);
        if parity {
            // Parity follows the change; the seal stays that of the page.
            for (number, page) in &mut changed {
                *page = shared.store.change(rank, *number, page);
            }
        }
        let mut saving = Saving { epoch, partners: partners.into_iter().collect() };
        let mut sent = 0;
        let mut pages = changed.into_iter().peekable();
        while pages.peek().is_some() {
            let pages = pages.by_ref().take(checkpoint::PAGES_PER_MESSAGE).collect();
            sent += self.send_stage(&mut saving, CopyMessage::Pages { rank, epoch, pages }, shared);
        }
        sent += self.send_stage(&mut saving, CopyMessage::Done { rank, epoch, count }, shared);
        let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        shared.event(Event::CheckpointStaged {
            epoch,
            shared_pages: as_u64(count_shared),
            private_pages: as_u64(count_private),
            dirty_bytes: as_u64((count_shared + count_private) * PAGE_SIZE),
            sent_bytes: sent,
        });
        self.saving = Some(saving);
        self.check_replicated(shared);
    }

    /// Sends it to all partners; bytes that leave this node. A host may have to keep parity of its own
    /// rank, where there is nobody else.
    fn send_stage(&mut self, saving: &mut Saving, copy: CopyMessage, shared: &mut Shared) -> u64 {
        let mut w = Writer::new();
        // As `checkpoint::Message::Stage` has it.
        copy.emit(&mut w);
        let bytes = w.into_vec();
        let mut sent = 0;
        for partner in saving.partners.iter().filter(|partner| **partner != self.me) {
            self.binding.send(*partner, Side::Receive, &bytes);
            sent += bytes.len();
        }
        if saving.partners.contains(&self.me) && self.keep_stage(copy, shared).is_some() {
            saving.partners.remove(&self.me);
        }
        u64::try_from(sent).unwrap_or(u64::MAX)
    }

    pub(super) fn on_checkpoint(
        &mut self,
        from: NodeId,
        message: checkpoint::Message,
        shared: &mut Shared,
    ) {
        match message {
            checkpoint::Message::Stage(copy) => {
                // If pages are missing there is no answer, and no commit: the older epoch stays.
                if let Some((rank, epoch)) = self.keep_stage(copy, shared) {
                    let mut w = Writer::new();
                    checkpoint::Message::Staged { rank, epoch }.emit(&mut w);
                    self.binding.send(from, Side::Compute, &w.into_vec());
                }
            }
            checkpoint::Message::Staged { rank, epoch } => {
                if let Some(saving) = &mut self.saving
                    && saving.epoch == epoch
                    && self.rank == Some(rank)
                {
                    saving.partners.remove(&from);
                    self.check_replicated(shared);
                }
            }
        }
    }

    /// Keeps what comes towards an epoch of another rank; the rank and the epoch when all of it is here.
    fn keep_stage(&self, copy: CopyMessage, shared: &mut Shared) -> Option<(Rank, Epoch)> {
        let rank = copy.rank();
        let piece = match shared.config.redundancy {
            Redundancy::Copies(_) => None,
            // Who keeps no parity of the rank has no use for it.
            Redundancy::Parity(parity) => {
                Some((self.placement(shared).piece_on(self.me, parity, rank)?, parity))
            }
        };
        let store = &mut shared.store;
        match (copy, piece) {
            (CopyMessage::Pages { epoch, pages, .. }, None) => {
                for (number, page) in pages {
                    store.stage(rank, epoch, number, page);
                }
                None
            }
            (CopyMessage::Pages { epoch, pages, .. }, Some(piece)) => {
                for (number, change) in pages {
                    store.absorb(piece, (rank, epoch), number, &change);
                }
                None
            }
            (CopyMessage::Done { epoch, count, .. }, None) => {
                store.stage_done(rank, epoch, count).then_some((rank, epoch))
            }
            (CopyMessage::Done { epoch, count, .. }, Some((piece, parity))) => {
                let ranks = parity.ranks(parity.place(rank).0, self.view.rank_count()).count();
                store.absorbed(piece, (rank, epoch), count, ranks).then_some((rank, epoch))
            }
        }
    }

    fn check_replicated(&mut self, shared: &mut Shared) {
        if let Some(Saving { epoch, partners }) = &self.saving
            && partners.is_empty()
        {
            let epoch = *epoch;
            shared.event(Event::CheckpointReplicated { epoch });
            self.tell_coordinator(&Message::Prepared { epoch }, shared);
        }
    }

    pub(super) fn commit(&mut self, epoch: Epoch, shared: &mut Shared) {
        shared.store.commit(epoch);
        if let Some(saving) = self.saving.take_if(|saving| saving.epoch == epoch)
            && let Some(sdsm) = &mut self.sdsm
        {
            let blocked_us = (shared.now - shared.called_at).as_micros();
            shared.event(Event::CheckpointCommitted { epoch: saving.epoch, blocked_us });
            sdsm.checkpointed(epoch.0);
        }
    }
}

fn sealed((number, bytes): (PageNo, Box<PageBytes>)) -> (PageNo, SealedPage) {
    (number, SealedPage::new(bytes))
}
