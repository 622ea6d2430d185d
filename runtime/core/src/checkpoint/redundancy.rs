//! What is kept besides the host's own image of a rank, and where.

use super::partners;
use crate::id::{NodeId, Rank};
use crate::limits::{MAX_LOSSES, MAX_RANKS};
use crate::membership::View;
use crate::node::{Member, machine_of};
use crate::sorted::Set;
use alloc::vec::Vec;
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// How a rank's epoch outlives its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Redundancy {
    /// So many other nodes keep a copy.
    Copies(u8),
    /// Other nodes keep the parity of a group of ranks.
    Parity(Parity),
}

impl Redundancy {
    /// Of a rank and what is kept of it, so many hosts may be lost at once.
    #[must_use]
    pub fn losses(self) -> usize {
        match self {
            Self::Copies(n) => usize::from(n),
            Self::Parity(parity) => usize::from(parity.losses),
        }
    }
}

/// Ranks in groups, each with pieces of parity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Parity {
    /// Ranks of a group; the last may have fewer.
    pub group: u16,
    /// Pieces of each group: so many of its ranks may lose their hosts at once.
    pub losses: u16,
}

// A piece is kept, staged, copied and told of as if it were a rank's image: its number is one above
// those of ranks.
impl Parity {
    /// The number of a piece of a group.
    #[must_use]
    pub fn piece(group: u16, index: u16) -> Rank {
        Rank(first_piece() + group * most_losses() + index)
    }

    /// Which group a number is of, and which piece it is if it is one.
    #[must_use]
    pub fn place(self, id: Rank) -> (u16, Option<u16>) {
        match id.0.checked_sub(first_piece()) {
            Some(piece) => (piece / most_losses(), Some(piece % most_losses())),
            None => (id.0 / self.group, None),
        }
    }

    /// Which of its group a rank is.
    #[must_use]
    pub const fn index(self, rank: Rank) -> u16 {
        rank.0 % self.group
    }

    /// The ranks of a group, of so many in all.
    pub fn ranks(self, group: u16, count: u16) -> impl Iterator<Item = Rank> + Clone {
        let numbers: Range<u16> = group * self.group..((group + 1) * self.group).min(count);
        numbers.map(Rank)
    }

    fn groups(self, ranks: u16) -> Range<u16> {
        0..ranks.div_ceil(self.group)
    }
}

fn first_piece() -> u16 {
    u16::try_from(MAX_RANKS).unwrap_or(u16::MAX)
}

fn most_losses() -> u16 {
    u16::try_from(MAX_LOSSES).unwrap_or(u16::MAX)
}

/// Who keeps what in a view.
#[derive(Clone, Copy, Debug)]
pub struct Placement<'a> {
    /// The view.
    pub view: &'a View,
    /// All nodes of the first view.
    pub members: &'a [Member],
    /// How it is kept.
    pub redundancy: Redundancy,
}

impl Placement<'_> {
    /// Those that a rank's host sends its epoch to.
    #[must_use]
    pub fn guardians(&self, rank: Rank) -> Vec<NodeId> {
        match self.redundancy {
            Redundancy::Copies(n) => partners(self.view, rank, self.members, usize::from(n)),
            Redundancy::Parity(parity) => self.keepers(parity, parity.place(rank).0),
        }
    }

    /// Everything that is kept: ranks' images, and pieces of parity.
    #[must_use]
    pub fn ids(&self) -> Vec<Rank> {
        let ranks = self.view.rank_count();
        let mut ids: Vec<Rank> = (0..ranks).map(Rank).collect();
        if let Redundancy::Parity(parity) = self.redundancy {
            for group in parity.groups(ranks) {
                let count = self.keepers(parity, group).len();
                ids.extend((0u16..).take(count).map(|index| Parity::piece(group, index)));
            }
        }
        ids
    }

    /// Who keeps it, a rank's host first.
    #[must_use]
    pub fn holders(&self, id: Rank) -> Vec<NodeId> {
        match (self.redundancy, self.view.ranks.get(id.index())) {
            (Redundancy::Copies(_), Some(host)) => {
                let mut holders = self.guardians(id);
                holders.insert(0, *host);
                holders
            }
            (Redundancy::Parity(_), Some(host)) => alloc::vec![*host],
            (Redundancy::Parity(parity), None) => match parity.place(id) {
                (group, Some(index)) => {
                    let keepers = self.keepers(parity, group);
                    keepers.get(usize::from(index)).copied().into_iter().collect()
                }
                _ => Vec::new(),
            },
            (Redundancy::Copies(_), None) => Vec::new(),
        }
    }

    /// The piece of a rank's group that a node keeps.
    #[must_use]
    pub fn piece_on(&self, node: NodeId, parity: Parity, rank: Rank) -> Option<Rank> {
        let (group, _) = parity.place(rank);
        let at = self.keepers(parity, group).iter().position(|keeper| *keeper == node)?;
        u16::try_from(at).ok().map(|index| Parity::piece(group, index))
    }

    /// The members that keep the pieces of a group: such as host none of its ranks first, on boards
    /// that hold none of it, standbys before others. Each group begins at another one.
    fn keepers(&self, parity: Parity, group: u16) -> Vec<NodeId> {
        let view = self.view;
        let board = |node: NodeId| self.members.get(node.index()).map(|m| m.board);
        let ranks = parity.ranks(group, view.rank_count());
        let hosts: Set<NodeId> =
            ranks.filter_map(|rank| view.ranks.get(rank.index()).copied()).collect();
        let machine = |node: NodeId| machine_of(self.members, node);
        let has_rank: Set<NodeId> = view.ranks.iter().map(|host| machine(*host)).collect();
        let mut chosen: Vec<NodeId> = Vec::new();
        while chosen.len() < usize::from(parity.losses) {
            let taken = |node: NodeId| chosen.iter().any(|other| machine(*other) == machine(node));
            let others = view.members.keys().filter(|node| !taken(**node));
            let best = others.copied().min_by_key(|node| {
                let on_its_board = hosts.iter().chain(&chosen);
                let on_its_board = on_its_board.filter(|other| board(**other) == board(*node));
                let turn = (node.index() + self.members.len() - usize::from(group))
                    % self.members.len().max(1);
                let of_group = hosts.iter().any(|host| machine(*host) == machine(*node));
                let seat = machine(*node) != *node;
                (of_group, on_its_board.count(), has_rank.contains(&machine(*node)), seat, turn)
            });
            let Some(best) = best else { break };
            chosen.push(best);
        }
        chosen
    }
}
