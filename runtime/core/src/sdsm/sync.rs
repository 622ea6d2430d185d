//! Barriers, locks and what they carry: the order of things.

use super::manager::{Arrival, BARRIER_MANAGER};
use super::message::Saves;
use super::pages::Home;
use super::{Action, Interval, Message, Runs, Sdsm, Side, Waiting};
use crate::id::{LockId, PageNo, Rank};
use crate::limits::MAX_LOCKS;
use crate::mem::{Access, PageMem};
use crate::node::{Call, CallError};
use crate::sorted::Set;
use crate::wire::Malformed;
use alloc::vec::Vec;

impl Sdsm {
    fn lock_manager(&self, lock: LockId) -> Rank {
        Rank(u16::try_from(lock.0 % u32::from(self.ranks)).unwrap_or_default())
    }

    pub(super) fn lock(&mut self, lock: LockId) {
        if lock.0 >= MAX_LOCKS {
            self.complete(Err(CallError::BadArgument));
        } else if self.locks_held.contains(&lock) {
            self.complete(Err(CallError::LockState));
        } else {
            self.waiting = Waiting::Locking(lock);
            let message = Message::Lock(lock, self.time.clone());
            self.send(self.lock_manager(lock), Side::Receive, message);
        }
    }

    pub(super) fn unlock(&mut self, lock: LockId, mem: &mut dyn PageMem) {
        if self.locks_held.remove(&lock) {
            self.close_interval(mem);
            self.waiting = Waiting::Flushing(Call::Unlock(lock));
        } else {
            self.complete(Err(CallError::LockState));
        }
    }

    pub(super) fn arrive(&mut self, call: Call, mem: &mut dyn PageMem) {
        let saves =
            call == Call::Checkpoint || (call == Call::Barrier && self.saves_next_barrier());
        if saves && !self.locks_held.is_empty() {
            self.complete(Err(CallError::LockState));
            return;
        }
        self.close_interval(mem);
        self.waiting = Waiting::Flushing(call);
    }

    fn saves_next_barrier(&self) -> bool {
        let every = u64::from(self.checkpoint_every);
        every > 0 && (self.barriers + 1).is_multiple_of(every)
    }

    /// Ends the open interval: diffs go home, home pages show their next write again.
    fn close_interval(&mut self, mem: &mut dyn PageMem) {
        let pages: Vec<PageNo> = core::mem::take(&mut self.dirty).into_iter().collect();
        self.flush(&pages, Access::Read, mem);
        if pages.is_empty() {
            return;
        }
        self.period.extend(pages.iter().copied());
        let seq = &mut self.time[self.me.index()];
        *seq += 1;
        self.seen.push(Interval { rank: self.me, seq: *seq, pages: pages.into_iter().collect() });
    }

    /// All diffs of the interval are applied at their homes: the release may be seen.
    pub(super) fn flushed(&mut self, call: Call) {
        if let Call::Unlock(lock) = call {
            let manager = self.lock_manager(lock);
            let told = self.told.insert(manager, self.seen.len()).unwrap_or(0);
            let news = self.seen.get(told..).unwrap_or_default().to_vec();
            let message = Message::Unlock(lock, self.time.clone(), news);
            self.send(manager, Side::Receive, message);
            self.complete(Ok(0));
            return;
        }
        self.waiting = Waiting::Arrived(call);
        let message = Message::Arrive {
            seq: self.passed + 1,
            call,
            interval: self.time[self.me.index()],
            locks: !self.locks_held.is_empty(),
            pages: self.period.iter().copied().collect(),
        };
        self.send(BARRIER_MANAGER, Side::Receive, message);
    }

    pub(super) fn receive_side(
        &mut self,
        from: Rank,
        message: Message,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        match message {
            Message::Fetch(page, passed) => self.on_fetch(from, page, passed, mem)?,
            Message::Diffs(passed, diffs) => self.on_diffs(from, passed, diffs, mem)?,
            Message::Touch(page) => {
                if let Some(home) = self.pages.touch(page, from) {
                    self.send(from, Side::Compute, Message::Home(page, home));
                }
            }
            Message::Lock(lock, time) => {
                let grant = self.manager.lock(lock, from, time);
                self.grant(lock, grant);
            }
            Message::Unlock(lock, time, intervals) => {
                let grant = self.manager.unlock(lock, from, &time, intervals);
                self.grant(lock, grant);
            }
            Message::Arrive { seq, call, interval, locks, pages } => {
                let arrival = Arrival { call, interval, locks, pages };
                if let Some(release) = self.manager.arrive(from, seq, arrival) {
                    for rank in (0..self.ranks).map(Rank) {
                        self.send(rank, Side::Compute, release.clone());
                    }
                }
            }
            Message::Page(..)
            | Message::Applied
            | Message::Home(..)
            | Message::Grant(..)
            | Message::Release { .. } => return Err(misdirected()),
        }
        Ok(())
    }

    fn grant(&mut self, lock: LockId, grant: Option<(Rank, Message)>) {
        if let Some((to, message)) = grant {
            debug_assert!(matches!(&message, Message::Grant(granted, ..) if *granted == lock));
            self.send(to, Side::Compute, message);
        }
    }

    pub(super) fn compute_side(
        &mut self,
        message: Message,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        match message {
            Message::Page(page, bytes) => self.on_page(page, &bytes, mem),
            Message::Applied => self.unapplied = self.unapplied.saturating_sub(1),
            Message::Home(page, home) => self.on_home(page, home, mem),
            Message::Grant(lock, time, intervals) => self.on_grant(lock, &time, intervals, mem),
            Message::Release { seq, outcome, saves, time, pages } => {
                self.on_release(seq, (outcome, saves), time, &pages, mem);
            }
            Message::Fetch(..)
            | Message::Diffs(..)
            | Message::Touch(..)
            | Message::Lock(..)
            | Message::Unlock(..)
            | Message::Arrive { .. } => return Err(misdirected()),
        }
        Ok(())
    }

    fn on_grant(
        &mut self,
        lock: LockId,
        time: &[u32],
        intervals: Vec<Interval>,
        mem: &mut dyn PageMem,
    ) {
        if self.waiting != Waiting::Locking(lock) {
            return;
        }
        let mut stale = Set::new();
        for interval in intervals {
            if self.time[interval.rank.index()] < interval.seq {
                stale.extend(interval.pages.pages());
                self.seen.push(interval);
            }
        }
        for (mine, theirs) in self.time.iter_mut().zip(time) {
            *mine = (*mine).max(*theirs);
        }
        self.invalidate(stale, mem);
        self.locks_held.insert(lock);
        self.counters.locks += 1;
        self.complete(Ok(0));
    }

    /// Gives up copies of pages that others wrote. What this rank wrote in them goes home first; the
    /// channel keeps that order against a later fetch.
    fn invalidate(&mut self, pages: impl IntoIterator<Item = PageNo>, mem: &mut dyn PageMem) {
        let stale: Vec<PageNo> = pages
            .into_iter()
            .filter(|page| {
                let entry = self.pages.get(*page);
                entry.home != Home::Rank(self.me) && entry.access != Access::None
            })
            .collect();
        // A page written in the open interval stays in `dirty`: its notice goes with the release.
        self.flush(&stale, Access::None, mem);
    }

    fn on_release(
        &mut self,
        seq: u32,
        outcome: (Result<(), CallError>, Saves),
        time: Vec<u32>,
        pages: &[Runs],
        mem: &mut dyn PageMem,
    ) {
        let Waiting::Arrived(call) = self.waiting else { return };
        if seq != self.passed + 1 {
            return;
        }
        self.passed = seq;
        let me = self.me.index();
        let others = pages.iter().enumerate().filter(|(rank, _)| *rank != me);
        let stale: Set<PageNo> = others.flat_map(|(_, runs)| runs.pages()).collect();
        self.invalidate(stale, mem);
        for page in pages.get(me).into_iter().flat_map(Runs::pages) {
            self.pages.forget_copies(page, seq);
        }
        self.manager.forget(&time);
        self.time = time;
        self.seen.clear();
        self.told.clear();
        self.period.clear();
        self.released(call, outcome, mem);
        self.apply_early(mem);
    }

    fn released(
        &mut self,
        call: Call,
        (outcome, wanted): (Result<(), CallError>, Saves),
        mem: &mut dyn PageMem,
    ) {
        let held = wanted == Saves::Held;
        if let Err(error) = outcome {
            self.complete(Err(error));
            return;
        }
        match call {
            Call::Alloc { bytes, distribution } => {
                let place = (self.me, self.ranks);
                let offset = self.pages.allocate(place, bytes, distribution, mem);
                self.complete(offset);
            }
            Call::Checkpoint => self.snapshot(call, held),
            Call::Barrier => {
                let saves = wanted != Saves::No || self.saves_next_barrier();
                self.barriers += 1;
                self.counters.barriers += 1;
                self.actions.push_back(Action::Passed(self.barriers));
                if saves {
                    self.snapshot(call, held);
                } else {
                    self.complete(Ok(0));
                }
            }
            // Not collective: never arrive.
            Call::Lock(_) | Call::Unlock(_) | Call::Exit => self.complete(Ok(0)),
        }
    }

    fn snapshot(&mut self, call: Call, held: bool) {
        self.waiting = Waiting::Snapshot(call);
        self.snapshot_due = true;
        self.actions.push_back(Action::Snapshot { held });
    }
}

const fn misdirected() -> Malformed {
    Malformed { what: "side: the message is for the other one", at: 0 }
}
