//! Who is in, in which life, and which node hosts which rank.

use super::standby;
use crate::checkpoint::Redundancy;
use crate::id::{Generation, NodeId, Rank, ViewId};
use crate::node::{Config, Member, Role, machine_of};
use crate::sorted::{Map, Set};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// An agreed state of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct View {
    /// Its number.
    pub id: ViewId,
    /// Who is in, in which life.
    pub members: Map<NodeId, Generation>,
    /// `ranks[r]` hosts rank `r`. A host that is no member: nobody was left to take the rank over.
    pub ranks: Vec<NodeId>,
}

impl View {
    /// The first view: everybody, rank `r` on the `r`-th compute node.
    #[must_use]
    pub fn first(config: &Config) -> Self {
        Self::of(&config.members)
    }

    /// The first view of these nodes, by number.
    #[must_use]
    pub fn of(members: &[Member]) -> Self {
        let nodes = (0u16..).map(NodeId).zip(members);
        Self {
            id: ViewId(1),
            members: nodes.clone().map(|(node, _)| (node, Generation(1))).collect(),
            ranks: nodes.filter(|(_, m)| m.role == Role::Compute).map(|(n, _)| n).collect(),
        }
    }

    /// Of a node that is no member of any: it does not know them.
    pub(super) const fn unknown() -> Self {
        Self { id: ViewId(0), members: Map::new(), ranks: Vec::new() }
    }

    /// The view after this one without the `dead` and their seats: each orphaned rank goes to the best standby (see
    /// `standby`), if there is one that runs the same image.
    #[must_use]
    pub fn without(&self, dead: &Set<NodeId>, members: &[Member], redundancy: Redundancy) -> Self {
        let mut view = self.clone();
        view.id = ViewId(self.id.0 + 1);
        // A machine goes as one: whoever is not heard any more takes its seat along.
        let gone = |node| dead.contains(&node) || dead.contains(&machine_of(members, node));
        view.members.retain(|node, _| !gone(*node));
        view.fill(members, redundancy);
        view
    }

    /// Gives each rank whose host is no member to a standby, as far as there are any.
    pub(super) fn fill(&mut self, members: &[Member], redundancy: Redundancy) {
        let orphans: Vec<Rank> = self.orphans().collect();
        for rank in orphans {
            if let Some(standby) = standby::choose(self, rank, members, redundancy) {
                self.ranks[rank.index()] = standby;
            }
        }
    }

    /// May this rank move to this node? A rank that is there already may.
    ///
    /// # Errors
    /// Why not, and what to do about it.
    pub fn may_move(&self, rank: Rank, to: NodeId, members: &[Member]) -> Result<(), String> {
        let image = |node: NodeId| members.get(node.index()).map(|member| member.image);
        let Some(host) = self.ranks.get(rank.index()) else {
            return Err(format!("there is no {rank}: there are {} ranks", self.ranks.len()));
        };
        if *host == to {
            Ok(())
        } else if !self.members.contains_key(&to) {
            Err(format!("{to} is no member of {}: it is dead, or not back yet", self.id))
        } else if let Some(other) = self.rank_of(to) {
            Err(format!("{to} hosts {other}: a rank moves to a standby only"))
        } else if image(*host) == image(to) {
            Ok(())
        } else {
            Err(format!("{to} does not run the image of {host}: addresses would not mean the same"))
        }
    }

    /// The member that leads checkpoints and recoveries in this view.
    #[must_use]
    pub fn coordinator(&self) -> NodeId {
        self.members.keys().next().copied().unwrap_or_default()
    }

    /// The rank that a node hosts.
    #[must_use]
    pub fn rank_of(&self, node: NodeId) -> Option<Rank> {
        let at = self.ranks.iter().position(|host| *host == node)?;
        u16::try_from(at).ok().map(Rank)
    }

    /// How many of the members vote: one of each machine, so seats do not (see `membership`).
    #[must_use]
    pub fn voters(&self, members: &[Member]) -> usize {
        self.members.keys().filter(|node| machine_of(members, **node) == **node).count()
    }

    /// Number of ranks.
    #[must_use]
    pub fn rank_count(&self) -> u16 {
        u16::try_from(self.ranks.len()).unwrap_or(u16::MAX)
    }

    /// Ranks whose host is no member.
    pub fn orphans(&self) -> impl Iterator<Item = Rank> + '_ {
        (0u16..)
            .zip(&self.ranks)
            .filter(|(_, host)| !self.members.contains_key(host))
            .map(|(r, _)| Rank(r))
    }
}
