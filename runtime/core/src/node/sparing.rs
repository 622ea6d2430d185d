//! Pages that a partner need not be sent, because it has them already through the coherence protocol.
//!
//! A partner that hosts a rank freezes at a checkpoint, with its own state, the copies that it has of pages
//! whose home is a rank that it keeps epochs of. It *offers* those that differ from the last epoch, by number
//! and checksum. The home holds pages that others have copies of back until its partners have offered, and
//! tells each to *keep* those whose checksums are its own; only the others are sent. Whether a copy is what
//! the home has is thus never taken on trust, and it is stored under the home's seal. What is kept stays frozen until the epoch is committed, for
//! before that no partner freezes anew. Where partners keep parity instead of pages, nothing is spared.

use super::saving::{LOOKED_AT, Saving, differs};
use super::session::{Session, Shared};
use crate::checkpoint::{CopyMessage, Message, PAGES_PER_MESSAGE, Redundancy, SealedPage};
use crate::id::{Epoch, NodeId, PageNo, Rank};
use crate::mem::PageMem;
use crate::sdsm::Side;
use crate::sorted::Map;
use crate::wire::Writer;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

/// Most pages in one offer, or in one word to keep some.
const PAGES_PER_OFFER: usize = 1024;

const _: () = assert!(PAGES_PER_OFFER * 8 + 64 <= crate::limits::MCAPI_MAX_PKT_SIZE);

/// What a partner offered.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    epoch: Epoch,
    /// Checksums.
    pages: BTreeMap<PageNo, u32>,
    all: bool,
}

/// The part of a checkpoint that is about pages which partners may have.
#[derive(Clone, Debug, Default)]
pub(super) struct Sparing {
    /// Copies of others' pages that are still to be looked at, and the offers that go out when they were.
    to_offer: VecDeque<(Rank, PageNo)>,
    offers: Map<Rank, Vec<(PageNo, u32)>>,
    /// Pages of this rank that wait for the partners' offers. They are staged here.
    held_back: Vec<PageNo>,
    pub(super) spared_pages: u64,
}

impl Sparing {
    pub(super) fn offers_are_due(&self) -> bool {
        !self.offers.is_empty()
    }
}

impl Session {
    /// Freezes the copies of pages of those ranks that this node keeps epochs of.
    pub(super) fn begin_sparing(&mut self, shared: &Shared) -> Sparing {
        let mut sparing = Sparing::default();
        if matches!(shared.config.redundancy, Redundancy::Parity(_)) {
            return sparing;
        }
        let me = shared.config.me;
        for rank in (0..self.view.rank_count()).map(Rank) {
            let backs = self.placement(shared).guardians(rank).contains(&me);
            if let Some(sdsm) = self.sdsm.as_ref().filter(|_| backs && self.rank != Some(rank)) {
                sparing.to_offer.extend(sdsm.copies_of(rank).into_iter().map(|page| (rank, page)));
                sparing.offers.insert(rank, Vec::new());
            }
        }
        if let Some(sdsm) = &mut self.sdsm {
            let mut pages: Vec<PageNo> = sparing.to_offer.iter().map(|(_, page)| *page).collect();
            pages.sort_unstable();
            sdsm.lend(pages);
        }
        sparing
    }

    /// Looks at some copies, and offers when it has seen all. False when there is nothing more to offer.
    pub(super) fn offer(&mut self, shared: &Shared, mem: &dyn PageMem) -> bool {
        let (Some(saving), Some(sdsm)) = (&mut self.saving, &self.sdsm) else { return false };
        let (epoch, sparing) = (saving.epoch, &mut saving.sparing);
        if sparing.offers.is_empty() {
            return false;
        }
        for _ in 0..LOOKED_AT {
            let Some((rank, page)) = sparing.to_offer.pop_front() else { break };
            let bytes = sdsm.lent(page, mem);
            if let Some(bytes) = bytes.filter(|bytes| differs(shared, rank, page, bytes)) {
                let crc = SealedPage::new(bytes).crc();
                sparing.offers.get_or_default(rank).push((page, crc));
            }
        }
        if sparing.to_offer.is_empty() {
            for (rank, pages) in core::mem::take(&mut sparing.offers) {
                let Some(host) = self.view.ranks.get(rank.index()).copied() else { continue };
                let parts = pages.len().div_ceil(PAGES_PER_OFFER).max(1);
                for i in 0..parts {
                    let part = pages.iter().copied().skip(i * PAGES_PER_OFFER);
                    let pages = part.take(PAGES_PER_OFFER).collect();
                    let all = i + 1 == parts;
                    self.tell_partner(
                        host,
                        Side::Compute,
                        &Message::Offer { rank, epoch, all, pages },
                    );
                }
            }
        }
        true
    }

    pub(super) fn on_offer(
        &mut self,
        from: NodeId,
        epoch: Epoch,
        pages: Vec<(PageNo, u32)>,
        all: bool,
    ) {
        let offer = self.offers.get_or_default(from);
        if offer.epoch != epoch {
            *offer = Offer { epoch, ..Offer::default() };
        }
        offer.pages.extend(pages);
        offer.all = all;
    }

    /// Have all partners that can said what they have?
    fn all_offered(&self, saving: &Saving) -> bool {
        let mut hosts = saving.partners.keys().filter(|node| self.view.rank_of(**node).is_some());
        hosts.all(|node| self.offers.get(node).is_some_and(|o| o.epoch == saving.epoch && o.all))
    }

    /// Do pages wait for an offer that is not here?
    pub(super) fn waits_for_offers(&self) -> bool {
        let Some(saving) = &self.saving else { return false };
        saving.looked_at_all && !saving.sparing.held_back.is_empty() && !self.all_offered(saving)
    }

    /// Splits off the pages that a partner may have.
    pub(super) fn hold_back(
        &mut self,
        pages: Vec<(PageNo, SealedPage)>,
        shared: &Shared,
    ) -> Vec<(PageNo, SealedPage)> {
        if matches!(shared.config.redundancy, Redundancy::Parity(_)) {
            return pages;
        }
        let (Some(saving), Some(sdsm)) = (&mut self.saving, &self.sdsm) else { return pages };
        let hosts = saving.partners.keys().any(|node| self.view.rank_of(*node).is_some());
        let (back, now): (Vec<_>, Vec<_>) =
            pages.into_iter().partition(|(page, _)| hosts && sdsm.has_copies(*page));
        saving.sparing.held_back.extend(back.into_iter().map(|(page, _)| page));
        now
    }

    /// Sends the next pages that were held back, or has them kept. False when there are none.
    pub(super) fn send_held_back(&mut self, rank: Rank, room: usize, shared: &Shared) -> bool {
        let Some(saving) = &mut self.saving else { return false };
        let (epoch, left) = (saving.epoch, &mut saving.sparing.held_back);
        if left.is_empty() {
            return false;
        }
        // Those that everybody has take no room.
        let batch = left.drain(..left.len().min(room.min(PAGES_PER_MESSAGE)));
        let staged = |page| Some((page, shared.store.staged_page(rank, page)?.clone()));
        let batch: Vec<(PageNo, SealedPage)> = batch.filter_map(staged).collect();
        saving.sent_pages += u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let partners: Vec<NodeId> = saving.partners.keys().copied().collect();
        for partner in partners {
            let offer = self.offers.get(&partner).filter(|offer| offer.epoch == epoch);
            let has = |(page, sealed): &&(PageNo, SealedPage)| {
                offer.is_some_and(|offer| offer.pages.get(page) == Some(&sealed.crc()))
            };
            let kept: Vec<(PageNo, u32)> =
                batch.iter().filter(has).map(|(page, sealed)| (*page, sealed.crc())).collect();
            let pages: Vec<_> = batch.iter().filter(|page| !has(page)).cloned().collect();
            if let Some(saving) = &mut self.saving {
                saving.sparing.spared_pages += u64::try_from(kept.len()).unwrap_or(u64::MAX);
                *saving.partners.get_or_default(partner) += pages.len();
            }
            if !kept.is_empty() {
                self.tell_partner(
                    partner,
                    Side::Receive,
                    &Message::Keep { rank, epoch, pages: kept },
                );
            }
            if !pages.is_empty() {
                let copy = CopyMessage::Pages { rank, epoch, pages };
                if let Some(saving) = &mut self.saving {
                    saving.page_bytes += copy.size().1;
                }
                self.tell_partner(partner, Side::Receive, &Message::Stage(copy));
            }
        }
        true
    }

    /// To the partner: these pages are as the home has them.
    pub(super) fn keep_lent(
        &self,
        (rank, epoch): (Rank, Epoch),
        pages: Vec<(PageNo, u32)>,
        shared: &mut Shared,
        mem: &dyn PageMem,
    ) {
        for (page, crc) in pages {
            if let Some(bytes) = self.sdsm.as_ref().and_then(|sdsm| sdsm.lent(page, mem)) {
                // The home's seal: whoever goes back to this page sees whether it holds.
                shared.store.stage(rank, epoch, page, SealedPage::with_crc(bytes, crc));
            }
        }
    }

    fn tell_partner(&mut self, to: NodeId, side: Side, message: &Message) {
        let mut w = Writer::new();
        message.emit(&mut w);
        let bytes = w.into_vec();
        if let Some(saving) = &mut self.saving {
            saving.sent_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        self.binding.send(to, side, &bytes);
    }
}
