//! Checkpoints of the rank that this node hosts, and its part as a partner of others.
//!
//! When all ranks have come to a checkpoint the node *freezes* what it may have to save ([`Frozen`]), and
//! the rank goes on. Then pages are *streamed*, some at each [`Input::Tick`] while the partners keep up: a
//! page that differs from the last epoch is sealed, staged here and sent to the partners, which confirm what
//! they have, so that a page that a rank waits for never queues behind more than
//! [`Config::copy_window`] of them. When all are staged everywhere the epoch is committed as ever, in two
//! phases. A rank that comes to the next checkpoint before that waits for the commit.
//!
//! [`Frozen`]: crate::sdsm::Frozen
//! [`Input::Tick`]: super::Input::Tick
//! [`Config::copy_window`]: super::Config::copy_window

use super::message::Message;
use super::session::{Session, Shared};
use super::sparing::Sparing;
use crate::checkpoint::{self, CopyMessage, MOST_BYTES, PAGES_PER_MESSAGE, Redundancy, SealedPage};
use crate::event::Event;
use crate::id::{Epoch, NodeId, PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::{PageBytes, PageMem};
use crate::sabotage::Step;
use crate::sdsm::{BARRIER_MANAGER, Side};
use crate::sorted::Map;
use crate::time::Instant;
use crate::wire::Writer;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Pages that are looked at in one go: work between two inputs is bounded.
pub(super) const LOOKED_AT: usize = 128;

/// A checkpoint of this node's rank on its way.
#[derive(Clone, Debug)]
pub(super) struct Saving {
    pub(super) epoch: Epoch,
    /// Those that do not have all of it, with the pages on their way to each.
    pub(super) partners: Map<NodeId, usize>,
    /// The rank's records, which go last; `None` when all is sent.
    records: Option<VecDeque<(PageNo, SealedPage)>>,
    /// The rank stays where it is, beyond the commit: the view is to change (see `moving`).
    held: bool,
    shared_pages: u64,
    private_pages: u64,
    /// All pages of the rank were looked at.
    pub(super) looked_at_all: bool,
    pub(super) sparing: Sparing,
    pub(super) sent_pages: u64,
    pub(super) sent_bytes: u64,
    /// Of these, what is in pages of the rank.
    pub(super) page_bytes: u64,
    called_at: Instant,
    frozen_at: Instant,
    /// When the rank had gone on: the core sees no clock while it freezes, only with the next input.
    went_on_at: Option<Instant>,
}

impl Session {
    /// All ranks came to a checkpoint: what is to be saved is kept, and the rank goes on; with `held`
    /// it stays, for the view is to change.
    pub(super) fn save(&mut self, held: bool, shared: &mut Shared, mem: &mut dyn PageMem) {
        if self.saving.is_some() {
            self.save_next = Some(held);
            return;
        }
        let Some(rank) = self.rank else { return };
        let partners = self.placement(shared).guardians(rank);
        let Some(sdsm) = &mut self.sdsm else { return };
        let epoch = shared.store.committed().next();
        shared.standing = held.then_some((self.job, rank, epoch));
        shared.event(Event::CheckpointBegun { epoch });
        let mut records = Writer::new();
        records.u64(mem.context()).bytes(&sdsm.records());
        let mut image = checkpoint::Image::default();
        image.set_meta(&records.into_vec());
        let changed = |(n, page): &(PageNo, SealedPage)| differs(shared, rank, *n, page.bytes());
        let records = image.pages.into_iter().filter(changed).collect();
        let sparing = self.begin_sparing(shared);
        let Some(sdsm) = &mut self.sdsm else { return };
        sdsm.freeze(mem);
        self.pacer.began(shared.now);
        self.saving = Some(Saving {
            epoch,
            partners: partners.into_iter().map(|partner| (partner, 0)).collect(),
            records: Some(records),
            held,
            shared_pages: 0,
            private_pages: 0,
            looked_at_all: false,
            sparing,
            sent_pages: 0,
            sent_bytes: 0,
            page_bytes: 0,
            called_at: shared.called_at,
            frozen_at: shared.now,
            went_on_at: None,
        });
        if !held {
            sdsm.go_on(epoch.0);
        }
    }

    /// Something came in: if the rank was to go on from a checkpoint, it did before that.
    pub(super) fn goes_on(&mut self, now: Instant) {
        if let Some(saving) = self.saving.as_mut().filter(|saving| !saving.held) {
            saving.went_on_at.get_or_insert(now);
        }
    }

    /// How many more pages may go out now.
    fn room(&self, shared: &Shared) -> usize {
        let Some(saving) = self.saving.as_ref().filter(|s| s.records.is_some()) else { return 0 };
        let under_way = saving.partners.values().copied().max().unwrap_or(0);
        shared.config.copy_window.max(1).saturating_sub(under_way).min(PAGES_PER_MESSAGE)
    }

    /// Is there a page to be looked at, and room for it on the way?
    pub(super) fn can_stream(&self, shared: &Shared) -> bool {
        let offers = self.saving.as_ref().is_some_and(|saving| saving.sparing.offers_are_due());
        let sends = self.room(shared) > 0 && !self.waits_for_offers();
        self.is_running() && (offers || sends)
    }

    /// Looks at the next pages, and sends those that changed.
    pub(super) fn stream(&mut self, shared: &mut Shared, mem: &mut dyn PageMem) {
        if !self.can_stream(shared) || self.offer(shared, mem) {
            return;
        }
        let room = self.room(shared);
        let (Some(rank), Some(sdsm), Some(saving)) = (self.rank, &mut self.sdsm, &mut self.saving)
        else {
            return;
        };
        let mut pages: Vec<(PageNo, SealedPage)> = Vec::new();
        for _ in 0..LOOKED_AT {
            if pages.len() == room {
                break;
            }
            if let Some((page, bytes)) = sdsm.frozen().take(mem) {
                if !page.is_private() {
                    saving.shared_pages += 1;
                } else if differs(shared, rank, page, &bytes) {
                    saving.private_pages += 1;
                } else {
                    continue;
                }
                pages.push((page, SealedPage::new(bytes)));
            } else if let Some(record) = saving.records.as_mut().and_then(VecDeque::pop_front) {
                pages.push(record);
            } else {
                saving.looked_at_all = true;
                break;
            }
        }
        let epoch = saving.epoch;
        let all = saving.looked_at_all && pages.is_empty();
        self.stage_own(rank, epoch, &mut pages, shared);
        let pages = self.hold_back(pages, shared);
        if !pages.is_empty() {
            self.send_stage(CopyMessage::Pages { rank, epoch, pages }, shared);
        } else if all && !self.waits_for_offers() && !self.send_held_back(rank, room, shared) {
            self.all_sent(rank, shared);
        }
    }

    /// Keeps pages of this node's rank, and makes of them what the partners get.
    fn stage_own(
        &self,
        rank: Rank,
        epoch: Epoch,
        pages: &mut [(PageNo, SealedPage)],
        shared: &mut Shared,
    ) {
        let parity = matches!(shared.config.redundancy, Redundancy::Parity(_));
        if parity {
            shared.store.number(rank, epoch, pages);
        }
        for (number, page) in pages {
            shared.store.stage(rank, epoch, *number, page.clone());
            if parity {
                // It follows the change; the seal stays that of the page.
                *page = shared.store.change(rank, *number, page);
            }
        }
    }

    fn all_sent(&mut self, rank: Rank, shared: &mut Shared) {
        let (Some(saving), Some(sdsm)) = (&mut self.saving, &mut self.sdsm) else { return };
        saving.records = None;
        let (epoch, count) = (saving.epoch, saving.sent_pages);
        let copied_pages = sdsm.frozen().copied();
        shared.store.stage_done(rank, epoch, count);
        self.send_stage(CopyMessage::Done { rank, epoch, count }, shared);
        let Some(saving) = &self.saving else { return };
        let (shared_pages, private_pages) = (saving.shared_pages, saving.private_pages);
        let page = u64::try_from(PAGE_SIZE).unwrap_or(u64::MAX);
        shared.event(Event::CheckpointStaged {
            epoch,
            shared_pages,
            private_pages,
            dirty_bytes: (shared_pages + private_pages) * page,
            page_bytes: saving.page_bytes,
            sent_bytes: saving.sent_bytes,
            copied_pages,
            spared_pages: saving.sparing.spared_pages,
        });
        self.check_replicated(shared);
    }

    /// Sends it to all partners. A host may have to keep parity of its own rank, where there is nobody
    /// else.
    fn send_stage(&mut self, copy: CopyMessage, shared: &mut Shared) {
        let Some(saving) = &mut self.saving else { return };
        let (pages, content) = copy.size();
        saving.sent_pages += u64::try_from(pages).unwrap_or(u64::MAX);
        let mut w = Writer::with_capacity(if pages > 0 { MOST_BYTES } else { 0 });
        // As `checkpoint::Message::Stage` has it.
        copy.emit(&mut w);
        let bytes = w.into_vec();
        let me = self.me;
        for (partner, under_way) in &mut saving.partners {
            if *partner == me {
                continue;
            }
            *under_way += pages;
            saving.page_bytes += content;
            saving.sent_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.binding.send(*partner, Side::Receive, &bytes);
        }
        if saving.partners.contains_key(&me)
            && self.keep_stage(copy, shared).is_some()
            && let Some(saving) = &mut self.saving
        {
            saving.partners.remove(&me);
        }
    }

    pub(super) fn on_checkpoint(
        &mut self,
        from: NodeId,
        message: checkpoint::Message,
        shared: &mut Shared,
        mem: &dyn PageMem,
    ) {
        match message {
            checkpoint::Message::Stage(copy) => {
                let (rank, epoch) = copy.of();
                let pages = if let CopyMessage::Pages { pages, .. } = &copy {
                    Some(u8::try_from(pages.len()).unwrap_or(u8::MAX))
                } else {
                    None
                };
                // If pages are missing there is no answer, and no commit: the older epoch stays.
                let whole = self.keep_stage(copy, shared).is_some();
                if let Some(pages) = pages {
                    self.answer(from, &checkpoint::Message::Taken { rank, epoch, pages });
                } else if whole {
                    self.answer(from, &checkpoint::Message::Staged { rank, epoch });
                }
            }
            checkpoint::Message::Offer { rank, epoch, all, pages } => {
                if self.rank == Some(rank) {
                    self.on_offer(from, epoch, pages, all);
                }
            }
            checkpoint::Message::Keep { rank, epoch, pages } => {
                self.keep_lent((rank, epoch), pages, shared, mem);
            }
            checkpoint::Message::Taken { rank, epoch, pages } => {
                if let Some(under_way) = self.under_way(rank, epoch).and_then(|p| p.get_mut(&from))
                {
                    *under_way = under_way.saturating_sub(usize::from(pages));
                }
            }
            checkpoint::Message::Staged { rank, epoch } => {
                if let Some(partners) = self.under_way(rank, epoch) {
                    partners.remove(&from);
                    self.check_replicated(shared);
                }
            }
        }
    }

    /// Keeps what comes towards an epoch of another rank; the rank and the epoch when all of it is here.
    fn keep_stage(&self, copy: CopyMessage, shared: &mut Shared) -> Option<(Rank, Epoch)> {
        let rank = copy.of().0;
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

    fn answer(&mut self, to: NodeId, message: &checkpoint::Message) {
        let mut w = Writer::new();
        message.emit(&mut w);
        self.binding.send(to, Side::Compute, &w.into_vec());
    }

    /// The partners of a checkpoint that is on its way.
    fn under_way(&mut self, rank: Rank, epoch: Epoch) -> Option<&mut Map<NodeId, usize>> {
        let saving = self.saving.as_mut().filter(|saving| saving.epoch == epoch)?;
        (self.rank == Some(rank)).then_some(&mut saving.partners)
    }

    fn check_replicated(&mut self, shared: &mut Shared) {
        if let Some(Saving { epoch, partners, records: None, held, .. }) = &self.saving
            && (partners.is_empty() || Step::Staged.is_left_out())
        {
            let (epoch, held) = (*epoch, *held);
            shared.event(Event::CheckpointReplicated { epoch });
            self.tell_coordinator(&Message::Prepared { epoch, held }, shared);
            if Step::CommitRound.is_left_out() {
                self.send(shared.config.me, &Message::Commit { epoch }, shared);
            }
        }
    }

    pub(super) fn commit(&mut self, epoch: Epoch, shared: &mut Shared, mem: &mut dyn PageMem) {
        shared.store.commit(epoch);
        let Some(saving) = self.saving.take_if(|saving| saving.epoch == epoch) else { return };
        let went_on = saving.went_on_at.unwrap_or(shared.now);
        let blocked_us = (went_on - saving.called_at).as_micros();
        let waited_us = (saving.frozen_at - saving.called_at).as_micros();
        let overlapped_us = (shared.now - went_on).as_micros();
        shared.event(Event::CheckpointCommitted { epoch, blocked_us, waited_us, overlapped_us });
        let cost = shared.now - saving.frozen_at;
        // Where the others arrive the new interval counts.
        if self.rank == Some(BARRIER_MANAGER)
            && let Some(interval) = self.pacer.committed(cost)
        {
            let (cost_us, interval_us) = (cost.as_micros(), interval.as_micros());
            shared.event(Event::CheckpointPaced { epoch, cost_us, interval_us });
        }
        if saving.held {
            shared.event(Event::Held { epoch });
        }
        if let Some(held) = self.save_next.take() {
            self.save(held, shared, mem);
        }
        if core::mem::take(&mut self.exits) {
            self.exit(shared);
        }
    }

    /// The rank left the program. The job is done when all have, and their last checkpoint is committed.
    pub(super) fn exit(&mut self, shared: &mut Shared) {
        self.exits = self.saving.is_some();
        if !self.exits {
            self.tell_coordinator(&Message::Exited, shared);
        }
    }
}

/// Is a page other than in the last epoch?
pub(super) fn differs(shared: &Shared, rank: Rank, page: PageNo, bytes: &PageBytes) -> bool {
    match shared.store.image(rank).and_then(|image| image.pages.get(&page)) {
        Some(old) => old.bytes() != bytes,
        None => *bytes != [0; PAGE_SIZE],
    }
}
