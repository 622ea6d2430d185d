//! Software distributed shared memory: home-based lazy release consistency on pages.
//!
//! Every page has a **home** rank, whose copy is the truth. Other ranks fetch it on a fault, write
//! into it beside a **twin**, and at a release send the **diff** to the home and wait until it is
//! applied. What others must throw away is told by **write notices**: an **interval** lists the
//! pages that a rank wrote between two releases. Barriers carry the notices of all to all; a lock
//! carries those that its next holder, by **vector time**, has not seen. This is right for every
//! program whose conflicting accesses are ordered by barriers or locks.
//!
//! One [`Sdsm`] is the memory of one rank. It has two sides, as in the paper: the *compute side*
//! asks (on behalf of the rank, which stands still meanwhile), the *receive side* answers, at any
//! time. Home pages need no twin; a home page that no other rank has a copy of (since the barrier
//! before) is written without notice, at full speed.
//!
//! ```text
//!                         ┌──────── Idle ◀───────────────────────────┐
//!   fault ──▶ home unknown? Finding ─▶ Fetching ─▶ (twin) ─▶ Wake ───┤
//!   lock  ──▶ Locking ──────────────────▶ notices ─▶ Complete ───────┤
//!   unlock ─▶ Flushing ─▶ Unlock ───────────────────▶ Complete ──────┤
//!   barrier, alloc ─▶ Flushing ─▶ Arrived ─▶ notices ▶ Complete ─────┤
//!   checkpoint ─────▶ Flushing ─▶ Arrived ─▶ notices ▶ Snapshot ─────┘ (the node completes it)
//! ```
//!
//! **Why a checkpoint is consistent** although each rank goes on as soon as its own node has frozen its
//! memory ([`Sdsm::freeze`]), and others may not have yet: what a rank does after the checkpoint reaches the
//! saved state of another only as a diff to a page at its home. Each message of diffs says how many
//! collective calls its sender has passed; one from a rank that is ahead, or that comes while a snapshot
//! is due, waits until this node has frozen, and its sender, which waits for the answer, with it. This ends,
//! for the release that all wait for and the commit of the epoch before are sent by others whatever this node
//! does. Nothing else that is saved changes: homes and first touches are facts that stay true, and
//! locks, copies, twins and notices are not saved, for at a checkpoint there are none.

pub mod binding;
mod diff;
mod fault;
mod frozen;
mod manager;
mod message;
mod pages;
mod runs;
mod sync;
#[cfg(test)]
mod tests;

pub use binding::{Action as BindingAction, Binding, Side};
pub use frozen::Frozen;
pub use manager::BARRIER_MANAGER;
pub use message::{Diffs, Message, Saves};
pub use runs::Runs;

use crate::event::Counters;
use crate::id::{LockId, PageNo, Rank};
use crate::mem::{Access, PageBytes, PageMem};
use crate::node::{Call, CallError};
use crate::sorted::{Map, Set};
use crate::wire::{Malformed, Reader, Writer};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use manager::Manager;
use pages::Pages;

/// Something for the node to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send to a rank's receive or compute side.
    Send {
        /// To the node that hosts it.
        to: Rank,
        /// Which side of it.
        side: Side,
        /// An encoded [`Message`].
        bytes: Vec<u8>,
    },
    /// The fault is resolved.
    Wake,
    /// The rank touched a page that nobody allocated: a mistake in the program.
    BadAccess(PageNo),
    /// The rank is through this barrier, from 1.
    Passed(u64),
    /// The call is done.
    Complete(Result<u64, CallError>),
    /// All ranks came to a checkpoint, and all diffs of before are home: [`Sdsm::freeze`].
    Snapshot {
        /// The rank stays in it, beyond its commit.
        held: bool,
    },
}

/// What a rank did between two releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// Who wrote.
    pub rank: Rank,
    /// Which of its intervals, from 1.
    pub seq: u32,
    /// The pages.
    pub pages: Runs,
}

/// What the rank stands still for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    /// The home of a page that is spread by first touch.
    Finding(PageNo, Access),
    /// A page from its home.
    Fetching(PageNo, Access),
    /// Diffs to be applied, then this call goes on.
    Flushing(Call),
    /// The other ranks, in a collective call.
    Arrived(Call),
    /// A lock.
    Locking(LockId),
    /// The node, which makes the checkpoint. The call is done by [`Sdsm::go_on`].
    Snapshot(Call),
}

/// The shared memory of one rank.
#[derive(Clone, Debug)]
pub struct Sdsm {
    me: Rank,
    ranks: u16,
    checkpoint_every: u32,
    pages: Pages,
    twins: BTreeMap<PageNo, Box<PageBytes>>,
    /// Pages written in the open interval.
    dirty: Set<PageNo>,
    /// Pages written in intervals closed since the last barrier.
    period: Set<PageNo>,
    /// Intervals, own and others', that this rank has seen since the last barrier.
    seen: Vec<Interval>,
    /// Vector time: the last interval seen of each rank.
    time: Vec<u32>,
    /// Of `seen`, how many were sent to each rank's lock manager.
    told: Map<Rank, usize>,
    /// Diff messages not yet known to be applied.
    unapplied: u32,
    locks_held: Set<LockId>,
    waiting: Waiting,
    /// Diffs of ranks that are ahead, which must not be in the snapshot that is due here.
    early: Vec<(Rank, u32, Diffs)>,
    /// There is a snapshot to be made.
    snapshot_due: bool,
    frozen: Frozen,
    /// Copies of others' pages, as they were at the checkpoint that is on its way.
    lent: Frozen,
    /// Collective calls passed in this session.
    passed: u32,
    /// Barriers passed since the program began; part of the epoch.
    barriers: u64,
    manager: Manager,
    counters: Counters,
    actions: VecDeque<Action>,
    /// Messages to this very rank.
    own: VecDeque<(Side, Message)>,
}

impl Sdsm {
    /// The memory of a rank at the start of the program: nothing allocated. `checkpoint_every`: a
    /// barrier whose number it divides is a checkpoint too; 0: none is.
    #[must_use]
    pub fn new(me: Rank, ranks: u16, shared_pages: u32, checkpoint_every: u32) -> Self {
        Self {
            me,
            ranks,
            checkpoint_every,
            pages: Pages::new(shared_pages),
            twins: BTreeMap::new(),
            dirty: Set::new(),
            period: Set::new(),
            seen: Vec::new(),
            time: alloc::vec![0; usize::from(ranks)],
            told: Map::new(),
            unapplied: 0,
            locks_held: Set::new(),
            waiting: Waiting::Nothing,
            early: Vec::new(),
            snapshot_due: false,
            frozen: Frozen::default(),
            lent: Frozen::default(),
            passed: 0,
            barriers: 0,
            manager: Manager::new(ranks),
            counters: Counters::default(),
            actions: VecDeque::new(),
            own: VecDeque::new(),
        }
    }

    /// The next action.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The rank calls. It stands still: one call at a time.
    pub fn call(&mut self, call: Call, mem: &mut dyn PageMem) {
        match call {
            Call::Lock(lock) => self.lock(lock),
            Call::Unlock(lock) => self.unlock(lock, mem),
            Call::Barrier | Call::Alloc { .. } | Call::Checkpoint => self.arrive(call, mem),
            // The node answers this one.
            Call::Exit => {}
        }
        self.settle(mem);
    }

    /// The rank touched a page that it may not, a shared one or, if it is to write it, one of its heap.
    pub fn fault(&mut self, page: PageNo, access: Access, mem: &mut dyn PageMem) {
        if page.is_private() {
            self.frozen.write_private(page, mem);
            self.actions.push_back(Action::Wake);
            return;
        }
        self.counters.faults += 1;
        self.resolve(page, access, mem);
        self.settle(mem);
    }

    /// A message from another rank to one of the sides of this one.
    ///
    /// # Errors
    /// When it is malformed; nothing has changed then.
    pub fn handle(
        &mut self,
        from: Rank,
        side: Side,
        bytes: &[u8],
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        let message = Message::parse(bytes, self.ranks)?;
        self.dispatch(from, side, message, mem)?;
        self.settle(mem);
        Ok(())
    }

    fn dispatch(
        &mut self,
        from: Rank,
        side: Side,
        message: Message,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        match side {
            Side::Receive => self.receive_side(from, message, mem),
            Side::Compute => self.compute_side(message, mem),
        }
    }

    /// Handles messages to itself and calls that wait for nothing any more, until all is quiet.
    fn settle(&mut self, mem: &mut dyn PageMem) {
        loop {
            if let Some((side, message)) = self.own.pop_front() {
                let handled = self.dispatch(self.me, side, message, mem);
                debug_assert!(handled.is_ok(), "a rank sends itself no malformed messages");
            } else if let (Waiting::Flushing(call), 0) = (self.waiting, self.unapplied) {
                self.flushed(call);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, to: Rank, side: Side, message: Message) {
        if to == self.me {
            self.own.push_back((side, message));
            return;
        }
        let bytes = message.emit();
        self.counters.messages += 1;
        self.counters.message_bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.actions.push_back(Action::Send { to, side, bytes });
    }

    fn complete(&mut self, outcome: Result<u64, CallError>) {
        self.waiting = Waiting::Nothing;
        self.actions.push_back(Action::Complete(outcome));
    }

    // --- checkpoints -------------------------------------------------------------------------

    /// Keeps what a checkpoint may have to save as it is now: the home pages written since the last one,
    /// and the private state. Then diffs that waited for this are applied. The rank still stands.
    pub fn freeze(&mut self, mem: &mut dyn PageMem) {
        let dirty = self.pages.take_unsaved(self.me, mem);
        self.frozen = Frozen::new(dirty, mem);
        self.snapshot_due = false;
        self.apply_early(mem);
        self.settle(mem);
    }

    /// The copies that this rank has of another's pages.
    #[must_use]
    pub fn copies_of(&self, home: Rank) -> Vec<PageNo> {
        self.pages.copies_of(home)
    }

    /// Does another rank perhaps have a copy of this page?
    #[must_use]
    pub fn has_copies(&self, page: PageNo) -> bool {
        !page.is_private() && self.pages.is_copied(page)
    }

    /// Keeps copies of others' pages as they are now, in place of those that were kept before.
    pub fn lend(&mut self, pages: Vec<PageNo>) {
        self.lent = Frozen::shared(pages);
    }

    /// One of these copies.
    #[must_use]
    pub fn lent(&self, page: PageNo, mem: &dyn PageMem) -> Option<Box<PageBytes>> {
        self.lent.peek(page, mem)
    }

    /// What was frozen, and not yet taken.
    pub const fn frozen(&mut self) -> &mut Frozen {
        &mut self.frozen
    }

    /// Makes the next collective call that can be one a checkpoint, of all ranks: the next barrier at which
    /// nobody holds a lock, or one that the program asks for. With `held` the ranks stay in it,
    /// beyond its commit. Only the rank where all arrive ([`BARRIER_MANAGER`]) can want this.
    pub const fn want_snapshot(&mut self, held: bool) {
        self.manager.want_snapshot(held);
    }

    /// What the memory must know to stand at this epoch again.
    #[must_use]
    pub fn records(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u64(self.barriers);
        self.pages.emit(&mut w);
        w.into_vec()
    }

    /// Most bytes that [`Sdsm::records`] may have, whatever is allocated.
    #[must_use]
    pub fn most_records(shared_pages: u32) -> u64 {
        let allocations = u64::try_from(crate::limits::MAX_ALLOCATIONS).unwrap_or(u64::MAX);
        16 + pages::ALLOCATION_BYTES * allocations + pages::TOUCH_BYTES * u64::from(shared_pages)
    }

    /// The rank goes on from the checkpoint. `epoch` is what a checkpoint call returns.
    pub fn go_on(&mut self, epoch: u64) {
        if let Waiting::Snapshot(call) = self.waiting {
            self.complete(Ok(if call == Call::Checkpoint { epoch } else { 0 }));
        }
    }

    /// The memory of a rank as [`Sdsm::records`] described it. Page contents are the node's part;
    /// they must be in place before this sets the protection.
    ///
    /// # Errors
    /// When the records are damaged.
    pub fn restore(
        &mut self,
        records: &mut Reader<'_>,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        self.barriers = records.u64("barriers")?;
        self.pages.parse(records, self.ranks)?;
        self.pages.protect_restored(self.me, mem);
        Ok(())
    }
}
