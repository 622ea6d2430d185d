//! What a node does by itself in a recovery: it looks through its copies before it says what it holds, and puts its
//! rank's memory back as it was at the epoch. Both go on at each [`Input::Tick`], some pages at a time, for a node that
//! looks through a gigabyte in one go would be taken for dead.
//!
//! [`Input::Tick`]: super::Input::Tick

use super::message::Message;
use super::session::{Session, Shared, Stage};
use crate::checkpoint::{Holdings, Inspection, META_BASE};
use crate::event::Event;
use crate::id::{Epoch, PageNo, Rank};
use crate::mem::{Access, PageMem};
use crate::wire::{Malformed, Reader};
use alloc::format;

/// How far a rank's memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restore {
    /// Its image is not here yet.
    Waiting,
    /// All pages before this one are there.
    At(PageNo),
    /// It is as it was at the epoch; or there is no rank here.
    Done,
}

/// Why a rank's memory cannot be put back from the image that is here.
enum Trouble {
    /// The seal of a page is broken.
    Damaged(PageNo),
    /// It is no image of a rank.
    Malformed(Malformed),
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

const NO_IMAGE: Malformed = Malformed { what: "image: there is none", at: 0 };

impl Session {
    /// Is there something to be done that nobody else has to say anything to first?
    pub(super) fn has_work(&self, shared: &Shared) -> bool {
        let recovers = match &self.stage {
            Stage::Inspecting(_) => true,
            Stage::Recovering(rebuilding) => {
                rebuilding.restore != Restore::Done && self.rank.is_some_and(|r| rebuilding.has(r))
            }
            _ => false,
        };
        recovers || self.can_copy(shared) || self.can_stream(shared)
    }

    /// Does some of it.
    pub(super) fn work(&mut self, shared: &mut Shared, mem: &mut dyn PageMem) {
        self.inspect(shared);
        self.copy(shared);
        self.go_on_recovering(shared, mem);
        self.stream(shared, mem);
    }

    /// The rank stands still: what this node holds does not change any more.
    pub(super) fn on_stopped(&mut self, shared: &mut Shared) {
        if self.stage == Stage::Stopping {
            self.stage = Stage::Inspecting(Inspection::new(&shared.store));
            self.inspect(shared);
        }
    }

    /// Looks at some more pages; the coordinator may know what this node holds when it has seen all.
    fn inspect(&mut self, shared: &mut Shared) {
        let Stage::Inspecting(inspection) = &mut self.stage else { return };
        let found = shared.store.inspect(inspection, shared.config.slice());
        let is_over = inspection.is_over();
        for (rank, epoch, page) in found {
            shared.event(Event::CopyDamaged { rank, epoch, page });
        }
        if is_over {
            self.stage = Stage::Gathering;
            let (ran_in, holders) = shared.holders.clone();
            let done = shared.done;
            let holdings = Holdings { done, ran_in, holders, ..shared.store.holdings() };
            self.tell_coordinator(&Message::Status(holdings), shared);
        }
    }

    /// Puts more of the rank's memory back if its image is here; opens the connections when all that this node is to
    /// have is.
    pub(super) fn go_on_recovering(&mut self, shared: &mut Shared, mem: &mut dyn PageMem) {
        let Stage::Recovering(rebuilding) = &self.stage else { return };
        let (epoch, at) = (rebuilding.epoch, rebuilding.restore);
        if let Some(rank) = self.rank.filter(|rank| at != Restore::Done && rebuilding.has(*rank)) {
            let restored = match self.restore((rank, epoch), at, shared, mem) {
                Ok(restored) => restored,
                Err(Trouble::Damaged(page)) => return self.give_up(rank, epoch, page, shared),
                Err(Trouble::Malformed(error)) => {
                    self.fatal = Some(format!("cannot restore {rank} at {epoch}: {error}"));
                    return;
                }
            };
            if let Stage::Recovering(rebuilding) = &mut self.stage {
                rebuilding.restore = restored;
            }
        }
        if let Stage::Recovering(rebuilding) = &self.stage
            && rebuilding.is_finished()
        {
            self.binding.open();
            self.stage = Stage::Opening;
        }
    }

    /// Puts some pages back. Nothing runs on them before all seals were seen to hold.
    fn restore(
        &mut self,
        (rank, epoch): (Rank, Epoch),
        at: Restore,
        shared: &mut Shared,
        mem: &mut dyn PageMem,
    ) -> Result<Restore, Trouble> {
        let from = match at {
            Restore::Done => return Ok(Restore::Done),
            Restore::At(page) => page,
            Restore::Waiting => {
                let standing = shared.standing.take() == Some((self.job, rank, epoch));
                if standing && epoch > Epoch(0) {
                    return self.stand_again(rank, shared, mem);
                }
                mem.reset_shared();
                mem.reset_private();
                if epoch == Epoch(0) {
                    return Ok(Restore::Done);
                }
                PageNo(0)
            }
        };
        let image = shared.store.image(rank).ok_or(NO_IMAGE)?;
        let mut left = shared.config.slice();
        for (number, page) in image.pages.range(from..) {
            if left == 0 {
                return Ok(Restore::At(*number));
            }
            left -= 1;
            if !page.is_intact() {
                return Err(Trouble::Damaged(*number));
            }
            if number.0 < META_BASE {
                mem.write(*number, page.bytes());
            }
        }
        self.restore_records(rank, shared, mem)?;
        let before = &shared.hosts;
        let taken_over = before.0 == self.job && before.1.get(rank.index()) != Some(&self.me);
        shared.event(Event::RolledBack { rank, epoch, taken_over });
        Ok(Restore::Done)
    }

    /// The rank was held at the epoch to go back to: its memory is as it is to be, but for pages of others.
    fn stand_again(
        &mut self,
        rank: Rank,
        shared: &Shared,
        mem: &mut dyn PageMem,
    ) -> Result<Restore, Trouble> {
        let image = shared.store.image(rank).ok_or(NO_IMAGE)?;
        let mut records = image.pages.range(PageNo(META_BASE)..);
        if let Some((page, _)) = records.find(|(_, page)| !page.is_intact()) {
            return Err(Trouble::Damaged(*page));
        }
        mem.protect(0..shared.config.shared_pages, Access::None);
        self.restore_records(rank, shared, mem)?;
        Ok(Restore::Done)
    }

    /// What the rank and its shared memory must know beside the pages.
    fn restore_records(
        &mut self,
        rank: Rank,
        shared: &Shared,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        let meta = shared.store.image(rank).ok_or(NO_IMAGE)?.meta();
        let records = &mut Reader::new(&meta);
        mem.set_context(records.u64("context")?);
        match &mut self.sdsm {
            Some(sdsm) => sdsm.restore(records, mem),
            None => Ok(()),
        }
    }
}
