//! Who must go when members that are alive cannot reach each other.
//!
//! A dead member is accused by everybody, and whoever leads suspects it as well: no judgement is
//! needed. Where a path between two living members is broken, in both ways or in one, only they
//! know; the others hear both. Then so few members must go that no accusation is left.

use super::View;
use crate::id::NodeId;
use crate::node::{Member, machine_of};
use crate::sorted::{Map, Set};

/// The members that must go, besides those in `gone`, so that no accusation (accuser, accused) between
/// the rest is left. Each time it is the one that takes part in most broken pairs; then one that hosts no rank, for
/// then nobody has to take over; then the one that is accused more often, that has the higher number.
pub(super) fn condemned(
    view: &View,
    members: &[Member],
    accusations: impl Iterator<Item = (NodeId, NodeId)> + Clone,
    gone: &Set<NodeId>,
) -> Set<NodeId> {
    let mut gone = gone.clone();
    loop {
        // With a node that goes, its seat does.
        let goes =
            |node: &NodeId| gone.contains(node) || gone.contains(&machine_of(members, *node));
        let stays = |node: &NodeId| view.members.contains_key(node) && !goes(node);
        let standing = accusations.clone().filter(|(from, of)| stays(from) && stays(of));
        let mut pairs: Map<NodeId, (Set<NodeId>, usize)> = Map::new();
        for (from, of) in standing {
            pairs.get_or_default(from).0.insert(of);
            let accused = pairs.get_or_default(of);
            accused.0.insert(from);
            accused.1 += 1;
        }
        let weight = |(node, (others, accused)): &(&NodeId, &(Set<NodeId>, usize))| {
            (others.len(), view.rank_of(**node).is_none(), *accused, **node)
        };
        let Some((worst, _)) = pairs.iter().max_by_key(weight) else { return gone };
        gone.insert(*worst);
    }
}
