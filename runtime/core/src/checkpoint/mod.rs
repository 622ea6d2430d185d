//! Epochs kept in memory: this node's own rank, and the ranks it is a partner of.
//!
//! A checkpoint is two-phase. *Staged*: the host of each rank copies the pages changed since the
//! last epoch into its own [`Store`] and to its partners. *Committed*: once the coordinator knows
//! that every part is staged everywhere, it tells all; only then is the older epoch given up.
//! Between the two, both epochs are whole, so that a crash at any instant leaves at least one that
//! all ranks can go back to: the highest that some living node holds whole for every rank
//! ([`choose_epoch`]).

mod message;
mod sealed;
mod store;
pub mod survival;
#[cfg(test)]
mod tests;

pub use message::{CopyMessage, FIRST_KIND, Message, PAGES_PER_MESSAGE};
pub use sealed::SealedPage;
pub use store::{Image, META_BASE, Store};

use crate::id::{Epoch, NodeId, Rank, ViewId};
use crate::membership::View;
use crate::node::Member;
use crate::sabotage::Step;
use crate::sorted::{Map, Set};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

/// What one node says it holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Holdings {
    /// The highest epoch that it knows to be committed.
    pub committed: Epoch,
    /// The job is over as far as it knows.
    pub done: bool,
    /// Every rank and epoch of which it holds all pages.
    pub whole: Set<(Rank, Epoch)>,
    /// Every rank and epoch of which it gave up a copy that was damaged.
    pub damaged: Set<(Rank, Epoch)>,
    /// The last view in which it went to an epoch.
    pub kept_in: ViewId,
    /// The ranks of which it was to keep copies there.
    pub keeps: Set<Rank>,
}

impl Holdings {
    /// Is this node's own word that the epoch was never committed in the view it tells of? If it had been, all
    /// its copies would have been staged before.
    fn denies(&self, epoch: Epoch) -> bool {
        let had = |rank: &Rank| {
            self.whole.contains(&(*rank, epoch)) || self.damaged.contains(&(*rank, epoch))
        };
        !self.keeps.iter().all(had)
    }
}

/// One image to be sent from a node that has it to a node that should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Of which rank.
    pub rank: Rank,
    /// Who has it.
    pub from: NodeId,
    /// Who needs it.
    pub to: NodeId,
}

/// The members that keep copies of a rank's epochs: other nodes, on boards that hold none yet first and
/// on the host's last, compute nodes before standbys, then the next in the ring of ranks. Fewer than
/// `replicas` when there are no more members.
#[must_use]
pub fn partners(view: &View, rank: Rank, members: &[Member], replicas: usize) -> Vec<NodeId> {
    let Some(host) = view.ranks.get(rank.index()) else { return Vec::new() };
    let board = |node: NodeId| members.get(node.index()).map(|m| m.board);
    let ring = view.ranks.len();
    let distance = |node: NodeId| match view.rank_of(node) {
        Some(other) => (other.index() + ring - rank.index()) % ring,
        None => ring + node.index(),
    };
    let mut chosen: Vec<NodeId> = Vec::new();
    while chosen.len() < replicas {
        let others = view.members.keys().filter(|node| *node != host && !chosen.contains(node));
        let best = others.copied().min_by_key(|node| {
            let at_home = board(*node) == board(*host);
            let copies = chosen.iter().filter(|other| board(**other) == board(*node)).count();
            (copies + usize::from(at_home), at_home, distance(*node), *node)
        });
        let Some(best) = best else { break };
        chosen.push(best);
    }
    chosen
}

/// The epoch that a recovery goes to: the highest of which every rank is whole on a living node. Epoch 0,
/// the beginning, needs no copies.
///
/// Of an epoch that was surely not committed some copies may be missing, so that the next death would cost
/// more than was promised: then the one before, of which all are there, is better.
///
/// # Errors
/// When an epoch was committed and can no longer be put together; says which rank is missing, and what became
/// of its holders: its host and then its partners, when ranks last ran.
pub fn choose_epoch(
    ranks: u16,
    holdings: &Map<NodeId, Holdings>,
    holders_before: &[Vec<NodeId>],
) -> Result<Epoch, String> {
    let committed = holdings.values().map(|h| h.committed).max().unwrap_or_default();
    let held = |rank: u16, epoch: Epoch| {
        epoch == Epoch(0) || holdings.values().any(|h| h.whole.contains(&(Rank(rank), epoch)))
    };
    if Step::Whole.is_left_out() {
        let all = holdings.values().flat_map(|h| h.whole.iter().map(|(_, epoch)| *epoch));
        return Ok(all.max().unwrap_or_default());
    }
    let next = committed.next();
    let missing: Vec<u16> = (0..ranks).filter(|r| !held(*r, committed)).collect();
    let latest = holdings.values().map(|h| h.kept_in).max();
    let denied = holdings.values().any(|h| Some(h.kept_in) == latest && h.denies(next));
    let denied = denied && !Step::Copies.is_left_out();
    if (0..ranks).all(|r| held(r, next)) && !(denied && missing.is_empty()) {
        return Ok(next);
    }
    if missing.is_empty() {
        return Ok(committed);
    }
    let mut why = String::new();
    for rank in missing {
        let holders = holders_before.get(usize::from(rank)).map_or(&[][..], Vec::as_slice);
        let host = holders.first().copied().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(why, "{}rank {rank} of {host}", if why.is_empty() { "" } else { ", " });
        let damaged = |h: &Holdings| h.damaged.contains(&(Rank(rank), committed));
        for (node, _) in holdings.iter().filter(|(_, h)| damaged(h)) {
            let _ = write!(why, " (the copy on {node} is damaged)");
        }
        for node in holders.iter().skip(1).filter(|node| !holdings.contains_key(*node)) {
            let _ = write!(why, " (the copy on {node} is gone)");
        }
    }
    Err(alloc::format!("epoch {} lost: no living node holds a copy of {why}", committed.0))
}

/// What must be sent so that each rank's host and partners hold its epoch.
#[must_use]
pub fn transfers(
    view: &View,
    epoch: Epoch,
    holdings: &Map<NodeId, Holdings>,
    members: &[Member],
    replicas: usize,
) -> Vec<Transfer> {
    let mut list = Vec::new();
    if epoch == Epoch(0) {
        return list;
    }
    for r in 0..view.rank_count() {
        let rank = Rank(r);
        let has =
            |node: &NodeId| holdings.get(node).is_some_and(|h| h.whole.contains(&(rank, epoch)));
        let host = view.ranks[rank.index()];
        let partners = partners(view, rank, members, replicas);
        // A partner rather than the host sends: the host has its own restore to do.
        let source = partners.iter().find(|n| has(n)).copied();
        let source = source.or_else(|| holdings.keys().copied().find(has));
        let Some(from) = source else { continue };
        for to in core::iter::once(host).chain(partners) {
            if !has(&to) {
                list.push(Transfer { rank, from, to });
            }
        }
    }
    list
}
