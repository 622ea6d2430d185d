//! Checkpoints of the rank that this node hosts, and its part as a partner of others.

use super::message::Message;
use super::session::{Saving, Session, Shared};
use crate::checkpoint::{self, CopyMessage, SealedPage};
use crate::event::Event;
use crate::id::{Epoch, NodeId, PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::{PageBytes, PageMem};
use crate::sdsm::{Sdsm, Side};
use crate::wire::Writer;
use alloc::boxed::Box;
use alloc::vec::Vec;

impl Session {
    /// All ranks stand at a checkpoint: copies what changed, here and to the partners.
    pub(super) fn save(&mut self, shared: &mut Shared, mem: &mut dyn PageMem) {
        let (Some(rank), Some(sdsm)) = (self.rank, &mut self.sdsm) else { return };
        let epoch = shared.store.committed().next();
        shared.standing = sdsm.is_held().then_some((self.job, rank, epoch));
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
        changed: Vec<(PageNo, SealedPage)>,
        (count_shared, count_private): (usize, usize),
        shared: &mut Shared,
    ) {
        let count = u64::try_from(changed.len()).unwrap_or(u64::MAX);
        for (number, page) in &changed {
            shared.store.stage(rank, epoch, *number, page.clone());
        }
        shared.store.stage_done(rank, epoch, count);
        let partners =
            checkpoint::partners(&self.view, rank, &shared.config.members, shared.config.replicas);
        let mut sent = 0;
        let mut pages = changed.into_iter().peekable();
        while pages.peek().is_some() {
            let pages = pages.by_ref().take(checkpoint::PAGES_PER_MESSAGE).collect();
            sent += self.send_stage(&partners, CopyMessage::Pages { rank, epoch, pages });
        }
        sent += self.send_stage(&partners, CopyMessage::Done { rank, epoch, count });
        let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        shared.event(Event::CheckpointStaged {
            epoch,
            shared_pages: as_u64(count_shared),
            private_pages: as_u64(count_private),
            dirty_bytes: as_u64((count_shared + count_private) * PAGE_SIZE),
            sent_bytes: sent,
        });
        self.saving = Some(Saving { epoch, partners: partners.into_iter().collect() });
        self.check_replicated(shared);
    }

    fn send_stage(&mut self, partners: &[NodeId], copy: CopyMessage) -> u64 {
        let mut w = Writer::new();
        checkpoint::Message::Stage(copy).emit(&mut w);
        let bytes = w.into_vec();
        for partner in partners {
            self.binding.send(*partner, Side::Receive, &bytes);
        }
        u64::try_from(bytes.len() * partners.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn on_checkpoint(
        &mut self,
        from: NodeId,
        message: checkpoint::Message,
        shared: &mut Shared,
    ) {
        match message {
            checkpoint::Message::Stage(CopyMessage::Pages { rank, epoch, pages }) => {
                for (number, page) in pages {
                    shared.store.stage(rank, epoch, number, page);
                }
            }
            checkpoint::Message::Stage(CopyMessage::Done { rank, epoch, count }) => {
                // If pages are missing there is no answer, and no commit: the older epoch stays.
                if shared.store.stage_done(rank, epoch, count) {
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

    fn check_replicated(&mut self, shared: &mut Shared) {
        if let Some(Saving { epoch, partners }) = &self.saving
            && partners.is_empty()
        {
            let epoch = *epoch;
            shared.event(Event::CheckpointReplicated { epoch });
            let held = self.sdsm.as_ref().is_some_and(Sdsm::is_held);
            self.tell_coordinator(&Message::Prepared { epoch, held }, shared);
        }
    }

    pub(super) fn commit(&mut self, epoch: Epoch, shared: &mut Shared) {
        shared.store.commit(epoch);
        if let Some(saving) = self.saving.take_if(|saving| saving.epoch == epoch)
            && let Some(sdsm) = &mut self.sdsm
        {
            let blocked_us = (shared.now - shared.called_at).as_micros();
            shared.event(Event::CheckpointCommitted { epoch: saving.epoch, blocked_us });
            if sdsm.is_held() {
                shared.event(Event::Held { epoch });
            } else {
                sdsm.checkpointed(epoch.0);
            }
        }
    }
}

fn sealed((number, bytes): (PageNo, Box<PageBytes>)) -> (PageNo, SealedPage) {
    (number, SealedPage::new(bytes))
}
