//! What a layout survives, worked out with the very rules that its nodes will follow: who must agree,
//! who takes a rank over, who keeps copies of it.

use super::{MOST_BYTES, PAGES_PER_MESSAGE, Parity, Placement, Redundancy};
use crate::id::{NodeId, Rank};
use crate::limits::{COPY_WINDOW, MAX_RANKS, MAX_REPLICAS, PAGE_SIZE, RECOVERY_WINDOWS};
use crate::membership::View;
use crate::node::{Member, Quorum, machine_of};
use crate::sdsm::Sdsm;
use crate::sorted::{Map, Set};
use alloc::vec::Vec;

/// What decides whether deaths are survived.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// All nodes of the first view, by [`NodeId`]. A seat dies with its host only: what is said of deaths
    /// names no seats.
    pub members: &'a [Member],
    /// Who decides on views.
    pub quorum: Quorum,
    /// How each rank's epoch outlives its host.
    pub redundancy: Redundancy,
}

/// Why nodes may not die together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Those that are left may not decide.
    NoMajority {
        /// How many are left.
        left: usize,
        /// Of how many.
        members: usize,
    },
    /// Nobody can take the rank over.
    NoStandby(Rank),
    /// The rank's host and all copies of its epoch are gone.
    NoCopy(Rank),
}

/// What a layout survives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survival {
    /// So many nodes may die at once, whichever they are; more than [`MAX_REPLICAS`] never may.
    pub any: usize,
    /// Each set of one node more than [`Survival::any`] that may not die at once, and why.
    pub fatal: Vec<(Vec<NodeId>, Refusal)>,
    /// How many sets of that size there are.
    pub sets: usize,
    /// Boards of several nodes, and more than [`Survival::any`], and why they may not die if so.
    pub boards: Vec<(u16, Option<Refusal>)>,
    /// So many nodes may die one after another, each when the ranks run again.
    pub in_a_row: usize,
    /// Most that each node keeps, by [`NodeId`].
    pub kept: Vec<Kept>,
    /// `kept` holds up to so many deaths; of large clusters, not all orders in which more could die are
    /// looked at.
    pub kept_after: usize,
}

/// What a node keeps of epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// While ranks run.
    pub running: Held,
    /// In a recovery, in which nothing is given up before all is rebuilt.
    pub recovering: Held,
}

/// So many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Images of ranks.
    pub images: usize,
    /// Pieces of parity.
    pub pieces: usize,
}

impl Held {
    fn of(ids: &Set<Rank>) -> Self {
        let images = ids.iter().filter(|id| id.index() < MAX_RANKS).count();
        Self { images, pieces: ids.len() - images }
    }

    fn most(self, other: Self) -> Self {
        Self { images: self.images.max(other.images), pieces: self.pieces.max(other.pieces) }
    }
}

impl Kept {
    /// Most bytes of pages that the node's store holds, if a rank has so many pages at most.
    ///
    /// An epoch of a rank is the shared pages that it is home of, its private pages and its records;
    /// every shared page is in one of them. A piece of parity is as long as the longest, with its
    /// tables. Each may be there whole and, all changed, staged once more. What a recovery brought may
    /// still be there when the next epoch is staged, and so may be the sums that an image is made of.
    #[must_use]
    pub fn bytes(self, shared_pages: u32, private_pages: u32, redundancy: Redundancy) -> u64 {
        let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let page = as_u64(PAGE_SIZE);
        // The context, one word, stands before them.
        let records = (8 + Sdsm::most_records(shared_pages)).div_ceil(page);
        let own = u64::from(private_pages) + records;
        let longest = u64::from(shared_pages) + own;
        let (piece, sums) = match redundancy {
            Redundancy::Copies(_) => (0, 0),
            Redundancy::Parity(parity) => {
                let table = Parity::table_pages(longest);
                let of_all = table * u64::from(parity.group);
                (longest + of_all, longest * u64::from(parity.losses) + table)
            }
        };
        let of = |held: Held| {
            let shared = if held.images == 0 { 0 } else { u64::from(shared_pages) };
            shared + as_u64(held.images) * own + as_u64(held.pieces) * piece
        };
        (of(self.running) + of(self.recovering.most(self.running)) + sums) * page
    }
}

impl Kept {
    /// Most bytes that a node has besides while a checkpoint or a recovery goes on, if it has so many peers.
    ///
    /// *Pages lent*: copies of pages of those ranks that it keeps, as they were at the checkpoint, if they are written
    /// before the commit. *Frames on their way*: a window of pages to each partner or, in a recovery, to each node that
    /// may be sent an image or a piece; each page twice, in its message and in the frame around it. What is received is
    /// dealt with at once.
    #[must_use]
    pub fn passing_bytes(self, shared_pages: u32, redundancy: Redundancy, peers: usize) -> u64 {
        let as_u64 = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let Held { images, pieces } = self.recovering.most(self.running);
        let lends = matches!(redundancy, Redundancy::Copies(_)) && self.running.images > 1;
        let lent = if lends { u64::from(shared_pages) } else { 0 };
        let of_group = match redundancy {
            Redundancy::Copies(_) => 0,
            Redundancy::Parity(parity) => usize::from(parity.group),
        };
        let partners = redundancy.losses().min(peers);
        let receivers = ((images + pieces) * (1 + partners + of_group)).min(peers);
        let window = COPY_WINDOW * partners.max(RECOVERY_WINDOWS * receivers);
        let messages = as_u64(2 * window.div_ceil(PAGES_PER_MESSAGE) * MOST_BYTES);
        lent * as_u64(PAGE_SIZE) + messages
    }
}

/// At most so many views are looked at for each number of deaths, in steps of the innermost loop.
const EFFORT: usize = 10_000_000;

impl Layout<'_> {
    /// The first view of the layout.
    #[must_use]
    pub fn first_view(&self) -> View {
        View::of(self.members)
    }

    /// All machines, each by its node.
    fn machines(&self) -> impl Iterator<Item = NodeId> + Clone + '_ {
        let nodes = (0u16..).map(NodeId).take(self.members.len());
        nodes.filter(|node| machine_of(self.members, *node) == *node)
    }

    /// These nodes, and their seats.
    fn with_seats(&self, dead: &Set<NodeId>) -> Set<NodeId> {
        let nodes = (0u16..).map(NodeId).take(self.members.len());
        let dies = |node: &NodeId| dead.contains(&machine_of(self.members, *node));
        nodes.filter(dies).chain(dead.iter().copied()).collect()
    }

    fn boards(&self) -> Set<u16> {
        self.members.iter().map(|member| member.board).collect()
    }

    /// Why these members of a view may not die together, at any instant of a run; `None`: they may.
    #[must_use]
    pub fn refusal(&self, view: &View, dead: &Set<NodeId>) -> Option<Refusal> {
        State::new(self, view.clone()).refusal(self, dead)
    }

    /// Everything about the layout at once.
    #[must_use]
    pub fn survival(&self) -> Survival {
        let state = State::new(self, self.first_view());
        let mut survival = Survival::default();
        let nodes: Vec<NodeId> = self.machines().collect();
        while survival.any < MAX_REPLICAS.min(nodes.len()) {
            let size = survival.any + 1;
            let sets = combinations(&nodes, size);
            survival.sets = sets.len();
            let refused = |dead: &Vec<NodeId>| {
                Some((dead.clone(), state.refusal(self, &dead.iter().copied().collect())?))
            };
            survival.fatal = sets.iter().filter_map(refused).collect();
            if !survival.fatal.is_empty() {
                break;
            }
            survival.any = size;
        }
        for board in self.boards() {
            let dead = self.on_board(board, &state.view);
            if dead.len() > survival.any.max(1) {
                survival.boards.push((board, state.refusal(self, &dead)));
            }
        }
        self.follow(state, &mut survival);
        survival
    }

    fn on_board(&self, board: u16, view: &View) -> Set<NodeId> {
        let on = |node: &NodeId| self.members.get(node.index()).is_some_and(|m| m.board == board);
        self.machines().filter(|node| view.members.contains_key(node) && on(node)).collect()
    }

    /// Follows all that may happen, death by death.
    fn follow(&self, first: State, survival: &mut Survival) {
        let effort = self.members.len() * first.view.ranks.len() * self.members.len();
        let budget = (EFFORT / effort.max(1)).max(1);
        survival.kept = alloc::vec![Kept::default(); self.members.len()];
        // By number of deaths; each state with the ranks that each node may have kept on the way.
        let mut levels: Vec<Vec<(State, Vec<Set<Rank>>)>> = Vec::new();
        let kept = first.kept(self);
        levels.push(alloc::vec![(first, kept)]);
        let (mut complete, mut fatal) = (true, false);
        for deaths in 0.. {
            let Some(level) = levels.get_mut(deaths).map(core::mem::take) else { break };
            if fatal && !complete {
                break;
            }
            if complete {
                survival.kept_after = deaths;
            }
            let single = |state: &State, node| state.refusal(self, &Set::from([node])).is_some();
            for (state, on_the_way) in level {
                for (node, kept) in state.kept(self).iter().enumerate() {
                    let most = &mut survival.kept[node];
                    most.running = most.running.most(Held::of(kept));
                    most.recovering = most.recovering.most(Held::of(&on_the_way[node]));
                }
                let mut machines =
                    self.machines().filter(|node| state.view.members.contains_key(node));
                fatal = fatal || machines.any(|node| single(&state, node));
                for (dead, next) in state.deaths(self, survival.any) {
                    let at = deaths + dead.len();
                    levels.resize_with(levels.len().max(at + 1), Vec::new);
                    complete &= put(&mut levels[at], next, &on_the_way, self, budget);
                }
            }
            if !fatal {
                survival.in_a_row = deaths + 1;
            }
        }
    }
}

/// Puts the state of a view among those of a level; false if there is no room for it. Who keeps what is worked out for new
/// ones only: most views are come to in many orders.
fn put(
    level: &mut Vec<(State, Vec<Set<Rank>>)>,
    view: View,
    on_the_way: &[Set<Rank>],
    layout: &Layout<'_>,
    budget: usize,
) -> bool {
    let same = |(other, _): &(State, _)| {
        other.view.members == view.members && other.view.ranks == view.ranks
    };
    let at = match level.iter().position(same) {
        Some(at) => at,
        None if level.len() < budget => {
            let state = State::new(layout, view);
            let kept = state.kept(layout);
            level.push((state, kept));
            level.len() - 1
        }
        None => return false,
    };
    for (kept, before) in level[at].1.iter_mut().zip(on_the_way) {
        kept.extend(before.iter().copied());
    }
    true
}

/// A view and who keeps what in it.
#[derive(Clone, Debug)]
struct State {
    view: View,
    /// Of each rank and each piece of parity, by number.
    holders: Map<Rank, Vec<NodeId>>,
}

impl State {
    fn new(layout: &Layout<'_>, view: View) -> Self {
        let Layout { members, redundancy, .. } = *layout;
        let placement = Placement { view: &view, members, redundancy };
        let ids = placement.ids().into_iter();
        let holders = ids.map(|id| (id, placement.holders(id))).collect();
        Self { view, holders }
    }

    /// Why these nodes may not die together, at any instant of a run; `None`: they may.
    fn refusal(&self, layout: &Layout<'_>, dead: &Set<NodeId>) -> Option<Refusal> {
        self.refusal_of(layout, dead, &self.without(layout, dead))
    }

    fn without(&self, layout: &Layout<'_>, dead: &Set<NodeId>) -> View {
        self.view.without(dead, layout.members, layout.redundancy)
    }

    /// The same; `next` is the view without them.
    fn refusal_of(&self, layout: &Layout<'_>, dead: &Set<NodeId>, next: &View) -> Option<Refusal> {
        let (left, members) = (next.voters(layout.members), self.view.voters(layout.members));
        if left == 0 || left < layout.quorum.needed(members, left) {
            return Some(Refusal::NoMajority { left, members });
        }
        if let Some(orphan) = next.orphans().next() {
            return Some(Refusal::NoStandby(orphan));
        }
        let dead = layout.with_seats(dead);
        let mut ranks = (0..self.view.rank_count()).map(Rank);
        ranks.find(|rank| self.is_lost(layout, *rank, &dead)).map(Refusal::NoCopy)
    }

    fn is_lost(&self, layout: &Layout<'_>, rank: Rank, dead: &Set<NodeId>) -> bool {
        let gone = |id: &Rank| {
            let holders = self.holders.get(id);
            holders.is_none_or(|holders| holders.iter().all(|node| dead.contains(node)))
        };
        let Redundancy::Parity(parity) = layout.redundancy else { return gone(&rank) };
        let (group, _) = parity.place(rank);
        let mut ranks = parity.ranks(group, self.view.rank_count());
        let pieces = (0..parity.losses).map(|index| Parity::piece(group, index));
        gone(&rank)
            && ranks.by_ref().filter(gone).count() > pieces.filter(|piece| !gone(piece)).count()
    }

    /// All sets that may die now, up to `any` nodes and whole boards, and the view without each.
    fn deaths(&self, layout: &Layout<'_>, any: usize) -> Vec<(Set<NodeId>, View)> {
        let nodes = layout.machines().filter(|node| self.view.members.contains_key(node));
        let nodes: Vec<NodeId> = nodes.collect();
        let some = (1..=any.max(1)).flat_map(|size| combinations(&nodes, size));
        let boards = layout.boards().into_iter().map(|board| layout.on_board(board, &self.view));
        // A board of one node is looked at once.
        let sets: Set<Set<NodeId>> =
            some.map(|nodes| nodes.into_iter().collect()).chain(boards).collect();
        let may = |dead: &Set<NodeId>| {
            let next = self.without(layout, dead);
            let may = !dead.is_empty() && self.refusal_of(layout, dead, &next).is_none();
            may.then(|| (dead.clone(), next))
        };
        sets.iter().filter_map(may).collect()
    }

    /// Of which ranks each node keeps an epoch.
    fn kept(&self, layout: &Layout<'_>) -> Vec<Set<Rank>> {
        let mut kept = alloc::vec![Set::new(); layout.members.len()];
        for (id, holders) in &self.holders {
            for node in holders {
                if let Some(kept) = kept.get_mut(node.index()) {
                    kept.insert(*id);
                }
            }
        }
        kept
    }
}

/// All sets of this size, each in the order of the list.
fn combinations(nodes: &[NodeId], size: usize) -> Vec<Vec<NodeId>> {
    if size == 0 {
        return alloc::vec![Vec::new()];
    }
    let mut sets = Vec::new();
    for (at, first) in nodes.iter().enumerate() {
        for mut rest in combinations(&nodes[at + 1..], size - 1) {
            rest.insert(0, *first);
            sets.push(rest);
        }
    }
    sets
}
