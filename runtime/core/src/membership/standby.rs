//! Which standby takes a rank over.
//!
//! One that runs the same image as the host before. Of these, in this order:
//! 0. a standby proper: a seat, whose machine has a rank already, is the last resort. A view has a seat only
//!    together with its host, and each seat takes one rank, so a machine hosts two at most;
//! 1. one on another board than the host before: what killed that one may take its board;
//! 2. one on a board without other ranks, so that the next death of a board takes one rank only;
//! 3. the one on whose machine the fewest copies are kept;
//! 4. the one with the lowest number.

use super::View;
use crate::checkpoint::{Placement, Redundancy};
use crate::id::{NodeId, Rank};
use crate::node::{Member, machine_of};
use alloc::vec::Vec;

/// Who takes over a rank of `view`, of the members that host none.
pub(super) fn choose(
    view: &View,
    rank: Rank,
    members: &[Member],
    redundancy: Redundancy,
) -> Option<NodeId> {
    let spec = |node: NodeId| members.get(node.index());
    let board = |node: NodeId| spec(node).map(|member| member.board);
    let before = *view.ranks.get(rank.index())?;
    let placement = Placement { view, members, redundancy };
    let keepers: Vec<Vec<NodeId>> =
        (0..view.rank_count()).map(|rank| placement.guardians(Rank(rank))).collect();
    let merit = |node: NodeId| {
        let mut others = view.ranks.iter().filter(|host| **host != before);
        let shared = others.any(|host| board(*host) == board(node));
        let machine = machine_of(members, node);
        let here = |keeper: &NodeId| machine_of(members, *keeper) == machine;
        let kept = keepers.iter().filter(|keepers| keepers.iter().any(here)).count();
        (machine != node, board(node) == board(before), shared, kept, node)
    };
    let alike = |node: &NodeId| spec(*node).map(|m| m.image) == spec(before).map(|m| m.image);
    let free = view.members.keys().copied().filter(|node| view.rank_of(*node).is_none());
    free.filter(alike).min_by_key(|node| merit(*node))
}
