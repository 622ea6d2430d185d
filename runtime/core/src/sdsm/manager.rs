//! What a rank manages for all: its share of the locks, and on rank 0 the collective calls.

use super::{Interval, Message, Runs, Saves};
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

/// The rank where all ranks arrive.
pub const BARRIER_MANAGER: Rank = Rank(0);

/// A rank at a collective call.
#[derive(Clone, Debug)]
pub(super) struct Arrival {
    pub(super) call: Call,
    pub(super) interval: u32,
    /// It holds one.
    pub(super) locks: bool,
    pub(super) pages: Runs,
}

#[derive(Clone, Debug)]
pub(super) struct Manager {
    ranks: u16,
    locks: Map<LockId, Lock>,
    /// Intervals that releases brought here.
    intervals: Map<(Rank, u32), Runs>,
    arrivals: Map<(u32, Rank), Arrival>,
    /// The next collective call that can is to be a checkpoint.
    wanted: Saves,
}

impl Manager {
    pub(super) const fn new(ranks: u16) -> Self {
        Self {
            ranks,
            locks: Map::new(),
            intervals: Map::new(),
            arrivals: Map::new(),
            wanted: Saves::No,
        }
    }

    pub(super) const fn want_snapshot(&mut self, held: bool) {
        self.wanted = match self.wanted {
            Saves::Held => Saves::Held,
            _ if held => Saves::Held,
            _ => Saves::Overlapped,
        };
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
    pub(super) fn arrive(&mut self, from: Rank, seq: u32, arrival: Arrival) -> Option<Message> {
        let call = arrival.call;
        self.arrivals.insert((seq, from), arrival);
        let here = self.arrivals.range((seq, Rank(0))..(seq + 1, Rank(0))).len();
        if here < usize::from(self.ranks) {
            return None;
        }
        let later = self.arrivals.split_off(&(seq + 1, Rank(0)));
        let all = core::mem::replace(&mut self.arrivals, later);
        let same = all.values().all(|arrival| arrival.call == call);
        let can = same
            && matches!(call, Call::Barrier | Call::Checkpoint)
            && all.values().all(|arrival| !arrival.locks);
        let saves = if can { core::mem::replace(&mut self.wanted, Saves::No) } else { Saves::No };
        Some(Message::Release {
            seq,
            outcome: if same { Ok(()) } else { Err(CallError::BadArgument) },
            saves,
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
