//! Images of ranks at epochs, in this node's memory.

use super::code::{self, Coefficients, coefficients};
use super::parity::{Build, Part, absorb, seal};
use super::{Holdings, Parity, SealedPage};
use crate::id::{Epoch, PageNo, Rank, ViewId};
use crate::limits::PAGE_SIZE;
use crate::mem::PRIVATE_BASE;
use crate::sorted::{Map, Set};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Number of the first page that holds a rank's own records (allocations, context) and no memory.
pub const META_BASE: u32 = 1 << 28;

const _: () = assert!(META_BASE > PRIVATE_BASE + crate::limits::MAX_PRIVATE_PAGES);

/// Pages of a rank: whole at an epoch, or those that changed towards one. A page that is not there
/// is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The epoch.
    pub epoch: Epoch,
    /// Its pages: shared ones that the rank is home of, private ones, records.
    pub pages: BTreeMap<PageNo, SealedPage>,
    /// Slots that its pages have been given: see [`super::Parity`].
    pub(super) slots: u32,
}

impl Image {
    /// The rank's records, put together from their pages.
    #[must_use]
    pub fn meta(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for page in self.pages.range(PageNo(META_BASE)..) {
            bytes.extend_from_slice(page.1.bytes());
        }
        bytes
    }

    /// Puts the rank's records into pages.
    pub fn set_meta(&mut self, meta: &[u8]) {
        for (i, chunk) in (0u32..).zip(meta.chunks(PAGE_SIZE)) {
            let mut page = Box::new([0; PAGE_SIZE]);
            page[..chunk.len()].copy_from_slice(chunk);
            self.pages.insert(PageNo(META_BASE + i), SealedPage::new(page));
        }
    }

    /// Bytes in its pages.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        u64::try_from(self.pages.len() * PAGE_SIZE).unwrap_or(u64::MAX)
    }
}

/// Changes of an image towards an epoch.
#[derive(Clone, Debug, Default)]
pub(super) struct Staged {
    pub(super) image: Image,
    /// All of them are here.
    pub(super) whole: bool,
    /// Of a piece of parity: how many pages came from each rank, and from which ranks all did.
    pub(super) parts: Map<Rank, u64>,
    done: Set<Rank>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Slot {
    /// Whole, at the last committed epoch.
    pub(super) committed: Option<Image>,
    pub(super) staged: Option<Staged>,
    /// A whole copy on its way here in a recovery.
    incoming: Option<Image>,
    /// An image that is made here in a recovery, from others.
    build: Option<Build>,
}

/// All images on this node.
#[derive(Clone, Debug, Default)]
pub struct Store {
    pub(super) slots: Map<Rank, Slot>,
    committed: Epoch,
    /// Copies that were given up because they were damaged, until a recovery settles on an epoch.
    pub(super) damaged: Set<(Rank, Epoch)>,
    /// The last view in which a recovery settled on an epoch, and of which ranks this node keeps copies there.
    keeps: (ViewId, Set<Rank>),
    peak: u64,
    /// By members of a group, as they were needed.
    coefficients: Map<u16, Coefficients>,
}

impl Store {
    /// Bytes in all its pages.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let images = self.slots.values().flat_map(|slot| {
            let staged = slot.staged.as_ref().map(|staged| &staged.image);
            slot.committed.iter().chain(staged).chain(&slot.incoming)
        });
        let builds = self.slots.values().filter_map(|slot| slot.build.as_ref());
        images.map(Image::bytes).sum::<u64>() + builds.map(Build::bytes).sum::<u64>()
    }

    /// Most that they ever were since the job began.
    #[must_use]
    pub const fn peak(&self) -> u64 {
        self.peak
    }

    fn note_size(&mut self) {
        self.peak = self.peak.max(self.bytes());
    }

    /// Forgets everything: a new job begins, or the old one is done.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The highest epoch known to be committed.
    #[must_use]
    pub const fn committed(&self) -> Epoch {
        self.committed
    }

    /// The whole image of a rank at the committed epoch.
    #[must_use]
    pub fn image(&self, rank: Rank) -> Option<&Image> {
        self.slots.get(&rank)?.committed.as_ref()
    }

    /// A page of a rank towards the next epoch.
    #[must_use]
    pub fn staged_page(&self, rank: Rank, number: PageNo) -> Option<&SealedPage> {
        self.slots.get(&rank)?.staged.as_ref()?.image.pages.get(&number)
    }

    /// What this node holds, for a recovery.
    #[must_use]
    pub fn holdings(&self) -> Holdings {
        let mut holdings = Holdings {
            committed: self.committed,
            damaged: self.damaged.clone(),
            kept_in: self.keeps.0,
            keeps: self.keeps.1.clone(),
            ..Holdings::default()
        };
        for (rank, slot) in &self.slots {
            let base = slot.committed.as_ref().map(|image| image.epoch);
            holdings.whole.extend(base.map(|epoch| (*rank, epoch)));
            if let Some(Staged { image, whole: true, .. }) = &slot.staged
                && base.unwrap_or_default().next() == image.epoch
            {
                holdings.whole.insert((*rank, image.epoch));
            }
        }
        holdings
    }

    /// Gives up a copy that was found damaged after the inspection.
    pub fn give_up(&mut self, rank: Rank) {
        if let Some(image) = self.slots.remove(&rank).and_then(|slot| slot.committed) {
            self.damaged.insert((rank, image.epoch));
        }
    }

    /// Damages the newest whole copy of a rank, if there is one here, and says of which epoch it is: for tests
    /// of what comes of it.
    pub fn damage(&mut self, rank: Rank) -> Option<Epoch> {
        let slot = self.slots.get_mut(&rank)?;
        let staged = slot.staged.as_mut().filter(|staged| staged.whole);
        let image = staged.map(|staged| &mut staged.image).or(slot.committed.as_mut())?;
        image.pages.values_mut().next_back().map(SealedPage::damage)?;
        Some(image.epoch)
    }

    /// A page towards an epoch.
    pub fn stage(&mut self, rank: Rank, epoch: Epoch, number: PageNo, page: SealedPage) {
        self.stage_of(rank, epoch).image.pages.insert(number, page);
        self.note_size();
    }

    /// What is staged towards an epoch. Of what was staged for another one, the epoch before, if
    /// whole, is committed: its host went on from it, but the word of it comes from another node and
    /// may come later. All else is given up.
    fn stage_of(&mut self, rank: Rank, epoch: Epoch) -> &mut Staged {
        let staged = self.slots.get(&rank).and_then(|slot| slot.staged.as_ref());
        if staged.is_some_and(|staged| staged.whole && staged.image.epoch.next() == epoch) {
            self.commit(Epoch(epoch.0 - 1));
        }
        let slot = self.slots.get_or_default(rank);
        slot.staged.take_if(|staged| staged.image.epoch != epoch);
        let slots = slot.committed.as_ref().map_or(0, |image| image.slots);
        slot.staged.get_or_insert_with(|| Staged {
            image: Image { epoch, slots, ..Image::default() },
            ..Staged::default()
        })
    }

    /// All pages towards an epoch are here: true if `count` of them are and the older epoch they
    /// stand on is here too.
    pub fn stage_done(&mut self, rank: Rank, epoch: Epoch, count: u64) -> bool {
        let pages = self.stage_of(rank, epoch).image.pages.len();
        let base = self.image(rank).map_or(Epoch(0), |image| image.epoch);
        let all = base.next() == epoch && u64::try_from(pages) == Ok(count);
        if all {
            self.stage_of(rank, epoch).whole = true;
        }
        all
    }

    /// The epoch is committed: what was staged for it becomes the whole, older stages are given up.
    pub fn commit(&mut self, epoch: Epoch) {
        self.committed = self.committed.max(epoch);
        for slot in self.slots.values_mut() {
            if let Some(staged) = slot.staged.take_if(|staged| staged.image.epoch <= epoch)
                && staged.whole
                && staged.image.epoch == epoch
            {
                let whole = slot.committed.get_or_insert_default();
                whole.epoch = epoch;
                whole.slots = staged.image.slots;
                whole.pages.extend(staged.image.pages);
            }
        }
    }

    /// A recovery chose `epoch`: everything here that is of another epoch is given up.
    pub fn settle(&mut self, epoch: Epoch) {
        self.commit(epoch);
        self.committed = epoch;
        self.damaged.clear();
        for slot in self.slots.values_mut() {
            slot.staged = None;
            slot.committed.take_if(|image| image.epoch != epoch);
        }
        self.slots.retain(|_, slot| {
            slot.committed.is_some() || slot.incoming.is_some() || slot.build.is_some()
        });
    }

    /// In this view the node keeps copies of these ranks.
    pub fn keep(&mut self, view: ViewId, ranks: Set<Rank>) {
        self.keeps = (view, ranks);
    }

    /// A new recovery begins: copies that an earlier one left unfinished are given up.
    pub fn forget_incoming(&mut self) {
        self.slots.values_mut().for_each(|slot| (slot.incoming, slot.build) = (None, None));
    }

    /// Keeps only these ranks' images.
    pub fn retain(&mut self, keep: impl Fn(Rank) -> bool) {
        self.slots.retain(|rank, _| keep(*rank));
    }

    /// A page of a whole copy that a recovery brings.
    pub fn receive(&mut self, rank: Rank, epoch: Epoch, number: PageNo, page: SealedPage) {
        let image = self.slots.get_or_default(rank).incoming.get_or_insert_default();
        image.epoch = epoch;
        image.slots = image.slots.max(page.slot() + 1);
        image.pages.insert(number, page);
        self.note_size();
    }

    /// The copy is complete: its size in pages, or `None` if pages are missing.
    pub fn receive_done(&mut self, rank: Rank, epoch: Epoch, count: u64) -> Option<u64> {
        let slot = self.slots.get_or_default(rank);
        let image = slot.incoming.take().unwrap_or(Image { epoch, ..Image::default() });
        if image.epoch != epoch || u64::try_from(image.pages.len()) != Ok(count) {
            return None;
        }
        slot.committed = Some(image);
        Some(count)
    }

    // --- parity ------------------------------------------------------------------------------

    /// Gives slots to pages of a rank towards an epoch: those that they have, or new ones.
    pub fn number(&mut self, rank: Rank, epoch: Epoch, pages: &mut [(PageNo, SealedPage)]) {
        self.stage_of(rank, epoch);
        let Some(Slot { committed, staged: Some(staged), .. }) = self.slots.get_mut(&rank) else {
            return;
        };
        for (number, page) in pages {
            let known = staged.image.pages.get(number);
            let known = known.or_else(|| committed.as_ref().and_then(|old| old.pages.get(number)));
            let slot = known.map_or(staged.image.slots, SealedPage::slot);
            staged.image.slots = staged.image.slots.max(slot + 1);
            page.set_slot(slot);
        }
    }

    /// What changed from a rank's last epoch to this page, under the page's seal and in its slot.
    #[must_use]
    pub fn change(&self, rank: Rank, number: PageNo, page: &SealedPage) -> SealedPage {
        let mut change = page.clone();
        if let Some(old) = self.image(rank).and_then(|image| image.pages.get(&number)) {
            code::add(1, old.bytes(), change.bytes_mut());
        }
        change
    }

    /// Takes a change of a rank's page into a piece of its group's parity, towards an epoch.
    pub fn absorb(
        &mut self,
        (piece, parity): (Rank, Parity),
        (rank, epoch): (Rank, Epoch),
        number: PageNo,
        change: &SealedPage,
    ) {
        self.stage_of(piece, epoch);
        if let Some(Slot { committed, staged: Some(staged), .. }) = self.slots.get_mut(&piece) {
            *staged.parts.get_or_default(rank) += 1;
            let member = parity.index(rank);
            let part = Part { member, number, page: change };
            let index = usize::from(parity.place(piece).1.unwrap_or_default());
            let all = self.coefficients.get_or_insert_with(member, || coefficients(parity, member));
            let coefficient = all.get(index).copied().unwrap_or(1);
            absorb(&mut staged.image, committed.as_ref(), coefficient, part);
        }
        self.note_size();
    }

    /// All changes of a rank are here: true if `count` of them are and the older epoch they stand on
    /// is here too. The piece is whole when those of all `ranks` of its group are.
    pub fn absorbed(
        &mut self,
        piece: Rank,
        (rank, epoch): (Rank, Epoch),
        count: u64,
        ranks: usize,
    ) -> bool {
        let base = self.image(piece).map_or(Epoch(0), |image| image.epoch);
        let staged = self.stage_of(piece, epoch);
        let all = base.next() == epoch && *staged.parts.get_or_default(rank) == count;
        if all {
            staged.done.insert(rank);
            if staged.done.len() == ranks {
                seal(&mut staged.image);
                staged.whole = true;
            }
        }
        all
    }

    /// A page of an image or a piece, from which another one is made in a recovery.
    pub fn feed(
        &mut self,
        parity: Parity,
        (target, source): (Rank, Rank),
        epoch: Epoch,
        number: PageNo,
        page: SealedPage,
    ) {
        let member = parity.index(source);
        let all = *self.coefficients.get_or_insert_with(member, || coefficients(parity, member));
        self.build_of(target, epoch).take(parity, (target, source), &all, (number, page));
        self.note_size();
    }

    /// All of a source came: true if `count` pages did.
    pub fn fed(&mut self, (target, source): (Rank, Rank), epoch: Epoch, count: u64) -> bool {
        let build = self.build_of(target, epoch);
        let all = *build.pages.get_or_default(source) == count;
        if all {
            build.done.insert(source);
        }
        all
    }

    fn build_of(&mut self, target: Rank, epoch: Epoch) -> &mut Build {
        let build = &mut self.slots.get_or_default(target).build;
        build.take_if(|build| build.epoch != epoch);
        build.get_or_insert_with(|| Build { epoch, ..Build::default() })
    }

    /// Has all of this source come for that target?
    #[must_use]
    pub fn is_fed(&self, (target, source): (Rank, Rank), epoch: Epoch) -> bool {
        let build = self.slots.get(&target).and_then(|slot| slot.build.as_ref());
        build.is_some_and(|build| build.epoch == epoch && build.done.contains(&source))
    }

    /// All sources of a target came: it is whole here now. How many pages it has.
    ///
    /// # Errors
    /// The page that does not fit its seal.
    pub fn finish(&mut self, parity: Parity, target: Rank, ranks: u16) -> Result<u64, PageNo> {
        let slot = self.slots.get_or_default(target);
        let build = slot.build.take().unwrap_or_default();
        let image = slot.committed.insert(build.finish(parity, target, ranks)?);
        let pages = u64::try_from(image.pages.len()).unwrap_or(u64::MAX);
        self.note_size();
        Ok(pages)
    }
}
