//! Epochs kept in memory: this node's own rank, and the ranks it is a partner of.
//!
//! A checkpoint is two-phase. *Staged*: the host of each rank copies the pages changed since the
//! last epoch into its own [`Store`] and to its partners. *Committed*: once the coordinator knows
//! that every part is staged everywhere, it tells all; only then is the older epoch given up.
//! Between the two, both epochs are whole, so that a crash at any instant leaves at least one that
//! all ranks can go back to: the highest that some living node holds whole for every rank
//! ([`choose_epoch`]).

mod code;
mod inspection;
mod message;
mod parity;
mod redundancy;
mod sealed;
mod store;
pub mod survival;
#[cfg(test)]
mod tests;

pub use code::MOST_LOSSES;
pub use inspection::Inspection;
pub use message::{CopyMessage, FIRST_KIND, MOST_BYTES, Message, PAGES_PER_MESSAGE};
pub use redundancy::{Parity, Placement, Redundancy};
pub use sealed::SealedPage;
pub use store::{Image, META_BASE, Store};

use crate::id::{Epoch, NodeId, Rank, ViewId};
use crate::membership::View;
use crate::node::{Member, machine_of};
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
    /// The last view of this life in which ranks ran.
    pub ran_in: ViewId,
    /// By rank, there: its host, and its partners.
    pub holders: Vec<Vec<NodeId>>,
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

/// One image, or piece of parity, to be sent from a node that has it, or will have made it, to a node
/// that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Of which rank, or which piece.
    pub rank: Rank,
    /// What it is needed for: itself, or another that is made from it.
    pub target: Rank,
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
        // A node and its seat are lost together: what one has, the other need not have.
        let taken = |node: NodeId| {
            let same = |other: &NodeId| machine_of(members, *other) == machine_of(members, node);
            same(host) || chosen.iter().any(same)
        };
        let others = view.members.keys().filter(|node| !taken(**node));
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

/// The epoch that a recovery goes to: the highest of which every rank is whole on a living node, or can
/// be made from what is. Epoch 0, the beginning, needs no copies.
///
/// Of an epoch that was surely not committed some copies may be missing, so that the next death would cost
/// more than was promised: then the one before, of which all are there, is better.
///
/// # Errors
/// When an epoch was committed and can no longer be put together; says which rank is missing, and what became
/// of its holders: its host and then its partners, when ranks last ran.
pub fn choose_epoch(
    placement: &Placement<'_>,
    holdings: &Map<NodeId, Holdings>,
) -> Result<Epoch, String> {
    let ranks = placement.view.rank_count();
    let committed = holdings.values().map(|h| h.committed).max().unwrap_or_default();
    let missing_at = |epoch: Epoch| -> Vec<Rank> {
        let missing =
            (0..ranks).map(Rank).filter(|rank| !can_have(placement, holdings, *rank, epoch));
        missing.collect()
    };
    if Step::Whole.is_left_out() {
        let all = holdings.values().flat_map(|h| h.whole.iter().map(|(_, epoch)| *epoch));
        return Ok(all.max().unwrap_or_default());
    }
    let next = committed.next();
    let missing = missing_at(committed);
    let latest = holdings.values().map(|h| h.kept_in).max();
    let denied = holdings.values().any(|h| Some(h.kept_in) == latest && h.denies(next));
    let denied = denied && !Step::Copies.is_left_out();
    if missing_at(next).is_empty() && !(denied && missing.is_empty()) {
        return Ok(next);
    }
    if missing.is_empty() {
        return Ok(committed);
    }
    let (what, no_parity) = match placement.redundancy {
        Redundancy::Copies(_) => ("copy", ""),
        Redundancy::Parity(_) => ("parity", ", nor enough of its group to make it from"),
    };
    // Whoever leads may have been away then.
    let last = holdings.values().max_by_key(|h| h.ran_in);
    let mut why = String::new();
    for rank in missing {
        let holders = last.and_then(|h| h.holders.get(rank.index())).map_or(&[][..], Vec::as_slice);
        let host = holders.first().copied().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(why, "{}{rank} of {host}", if why.is_empty() { "" } else { ", " });
        let damaged = |h: &Holdings| h.damaged.contains(&(rank, committed));
        for (node, _) in holdings.iter().filter(|(_, h)| damaged(h)) {
            let _ = write!(why, " (the copy on {node} is damaged)");
        }
        // A living one that began anew since has none either.
        let lacks = |h: &Holdings| {
            no_parity.is_empty() && !damaged(h) && !h.whole.contains(&(rank, committed))
        };
        let gone = |node: &&NodeId| holdings.get(*node).is_none_or(lacks);
        for node in holders.iter().skip(1).filter(gone) {
            let _ = write!(why, " (the {what} on {node} is gone)");
        }
    }
    Err(alloc::format!(
        "epoch {} lost: no living node holds a copy of {why}{no_parity}",
        committed.0
    ))
}

/// Who has it whole.
fn owner(holdings: &Map<NodeId, Holdings>, id: Rank, epoch: Epoch) -> Option<NodeId> {
    let mut owners = holdings.iter().filter(|(_, h)| h.whole.contains(&(id, epoch)));
    owners.next().map(|(node, _)| *node)
}

/// Is a rank's epoch somewhere, or can it be made?
fn can_have(
    placement: &Placement<'_>,
    holdings: &Map<NodeId, Holdings>,
    rank: Rank,
    epoch: Epoch,
) -> bool {
    let held = |id: Rank| epoch == Epoch(0) || owner(holdings, id, epoch).is_some();
    let Redundancy::Parity(parity) = placement.redundancy else { return held(rank) };
    let (group, _) = parity.place(rank);
    let mut ranks = parity.ranks(group, placement.view.rank_count());
    let pieces = (0..parity.losses).filter(|index| held(Parity::piece(group, *index)));
    held(rank) || ranks.by_ref().filter(|rank| !held(*rank)).count() <= pieces.count()
}

/// What must be sent so that each host, partner and keeper of parity holds what it should of an epoch
/// that [`choose_epoch`] chose.
#[must_use]
pub fn transfers(
    placement: &Placement<'_>,
    epoch: Epoch,
    holdings: &Map<NodeId, Holdings>,
) -> Vec<Transfer> {
    let mut list = Vec::new();
    if epoch == Epoch(0) {
        return list;
    }
    for id in placement.ids() {
        let has =
            |node: &NodeId| holdings.get(node).is_some_and(|h| h.whole.contains(&(id, epoch)));
        let holders = placement.holders(id);
        // A partner rather than the host sends: the host has its own restore to do.
        let partners = holders.iter().skip(1).find(|node| has(node)).copied();
        let source = partners.or_else(|| owner(holdings, id, epoch));
        for to in holders.iter().copied().filter(|node| !has(node)) {
            match (source, placement.redundancy) {
                (Some(from), _) => list.push(Transfer { rank: id, target: id, from, to }),
                (None, Redundancy::Parity(parity)) => {
                    list.extend(
                        sources(placement, parity, epoch, holdings, id)
                            .into_iter()
                            .map(|(rank, from)| Transfer { rank, target: id, from, to }),
                    );
                }
                (None, Redundancy::Copies(_)) => {}
            }
        }
    }
    list
}

/// From what, and from whom, a lost image or piece is made.
fn sources(
    placement: &Placement<'_>,
    parity: Parity,
    epoch: Epoch,
    holdings: &Map<NodeId, Holdings>,
    id: Rank,
) -> Vec<(Rank, NodeId)> {
    let (group, piece) = parity.place(id);
    let ranks = parity.ranks(group, placement.view.rank_count());
    let of = |rank: Rank| Some((rank, owner(holdings, rank, epoch)?));
    if piece.is_some() {
        // Of ranks that are made themselves, when they are.
        let made = |rank: Rank| placement.holders(rank).first().map(|host| (rank, *host));
        return ranks.filter_map(|rank| of(rank).or_else(|| made(rank))).collect();
    }
    let known: Vec<_> = ranks.clone().filter_map(of).collect();
    let unknown = ranks.count() - known.len();
    let pieces = (0..parity.losses).filter_map(|index| of(Parity::piece(group, index)));
    known.into_iter().chain(pieces.take(unknown)).collect()
}
