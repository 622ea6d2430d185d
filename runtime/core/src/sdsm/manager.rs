//! What a rank manages for all: its share of the locks, and on rank 0 the collective calls.

use super::{Interval, Message, Runs};
use crate::id::{LockId, Rank};
use crate::node::{Call, CallError};
use crate::sorted::Map;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
struct Lock {
    holder: Option<Rank>,
    queue: VecDeque<(Rank, Vec<u32>)>,
    /// Vector time of the last release.
    time: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Arrival {
    call: Call,
    interval: u32,
    locks: bool,
    pages: Runs,
}

#[derive(Clone, Debug)]
pub(super) struct Manager {
    ranks: u16,
    locks: Map<LockId, Lock>,
    /// Intervals that releases brought here.
    intervals: Map<(Rank, u32), Runs>,
    arrivals: Map<(u32, Rank), Arrival>,
    /// The ranks are to stay in the next checkpoint, or barrier that may be one.
    pub(super) hold: bool,
}

impl Manager {
    pub(super) const fn new(ranks: u16) -> Self {
        Self { ranks, locks: Map::new(), intervals: Map::new(), arrivals: Map::new(), hold: false }
    }

    /// A rank wants a lock: the grant, if it is free.
    pub(super) fn lock(
        &mut self,
        id: LockId,
        from: Rank,
        time: Vec<u32>,
    ) -> Option<(Rank, Message)> {
        let lock = self.locks.get_or_default(id);
        lock.queue.push_back((from, time));
        self.next(id)
    }

    /// A rank released a lock: the grant to the next that waits.
    pub(super) fn unlock(
        &mut self,
        id: LockId,
        from: Rank,
        time: &[u32],
        intervals: Vec<Interval>,
    ) -> Option<(Rank, Message)> {
        for interval in intervals {
            self.intervals.insert((interval.rank, interval.seq), interval.pages);
        }
        let lock = self.locks.get_or_default(id);
        if lock.holder == Some(from) {
            lock.holder = None;
            lock.time = time.to_vec();
        }
        self.next(id)
    }

    fn next(&mut self, id: LockId) -> Option<(Rank, Message)> {
        let lock = self.locks.get_mut(&id)?;
        if lock.holder.is_some() {
            return None;
        }
        let (to, seen) = lock.queue.pop_front()?;
        lock.holder = Some(to);
        if lock.time.is_empty() {
            lock.time = alloc::vec![0; usize::from(self.ranks)];
        }
        let mut news = Vec::new();
        for ((rank, seen), last) in (0..self.ranks).map(Rank).zip(&seen).zip(&lock.time) {
            if last <= seen {
                continue;
            }
            let unseen = (rank, seen.saturating_add(1))..(rank, last.saturating_add(1));
            for ((rank, seq), pages) in self.intervals.range(unseen) {
                news.push(Interval { rank: *rank, seq: *seq, pages: pages.clone() });
            }
        }
        Some((to, Message::Grant(id, lock.time.clone(), news)))
    }

    /// A rank arrived at a collective call: the release for all, if it was the last.
    pub(super) fn arrive(
        &mut self,
        from: Rank,
        (seq, call): (u32, Call),
        locks: bool,
        interval: u32,
        pages: Runs,
    ) -> Option<Message> {
        self.arrivals.insert((seq, from), Arrival { call, interval, locks, pages });
        let here = self.arrivals.range((seq, Rank(0))..(seq + 1, Rank(0))).len();
        if here < usize::from(self.ranks) {
            return None;
        }
        let later = self.arrivals.split_off(&(seq + 1, Rank(0)));
        let all = core::mem::replace(&mut self.arrivals, later);
        let same = all.values().all(|arrival| arrival.call == call);
        let free = all.values().all(|arrival| !arrival.locks);
        let may_save = matches!(call, Call::Checkpoint | Call::Barrier) && free;
        let held = self.hold && same && may_save;
        self.hold &= !held;
        Some(Message::Release {
            seq,
            held,
            outcome: if same { Ok(()) } else { Err(CallError::BadArgument) },
            time: all.values().map(|arrival| arrival.interval).collect(),
            pages: all.into_values().map(|arrival| arrival.pages).collect(),
        })
    }

    /// All ranks have seen everything up to this vector time.
    pub(super) fn forget(&mut self, time: &[u32]) {
        self.intervals
            .retain(|(rank, seq), _| time.get(rank.index()).is_none_or(|seen| seq > seen));
    }
}
