//! Views that change on purpose: a node that comes back, a rank that is to move.
//!
//! A node that is in no view (a later life than its first: it was fenced, restarted or repaired) **joins**
//! by itself, as a standby:
//!
//! ```text
//!            ┌─────────────── each retry, to all that it is linked to: Join(life, job) ◀─┐
//!  Joining ──┤                                                                           │
//!     ▲      └─▶ a member answers with its view; says Vouch(life) to the coordinator ────┘
//!     │
//!     │          coordinator: all members vouched ──▶ the change is wanted
//!     │
//!     │          no job runs: at once ──────────────────────────────┐
//!     │          a job runs: at the next checkpoint, ranks held ────┼──▶ view with the node ─▶ Member
//!     │          somebody must go anyhow: with the view without it ─┘
//!     │
//!     └─ told that the life is gone, or a connection to a member closed: the next life begins
//! ```
//! All members must vouch, for a node that only some can reach would be accused at once; the job must be
//! known to the joining node, for it will be waited for. Until it is in, it votes on nothing: what
//! its life before promised is forgotten. One joins at a time, for two would not have vouched for each other.
//!
//! A rank **moves** ([`Membership::move_rank`], said to every node, so that no death loses it) in the same way:
//! the coordinator waits for a checkpoint, proposes the view in which a standby hosts the rank, and
//! the host before is a standby from then on.
//!
//! A member that is **idle** (it hosts no rank and keeps no copy) is let go in the same way when it dies: nobody needs to
//! go back for it. Only if one more death could then be survived that cannot while it is counted, it goes at once.
//!
//! At such a checkpoint the ranks stay in their call when it is committed, and the new view goes on from that very
//! epoch: nobody computes anything again (see `node::moving`). Once it is committed, the next view is
//! agreed on whatever happens, for the ranks wait for it: even if who wanted to join died meanwhile.

use super::{Action, Membership, Message, View};
use crate::checkpoint::Placement;
use crate::id::{Generation, Job, NodeId, Rank, ViewId};
use crate::node::machine_of;
use crate::sabotage::Step;
use crate::sorted::Set;
use crate::time::Instant;

impl Membership {
    /// Is this life of this node in the view? Otherwise it asks to be.
    #[must_use]
    pub fn is_member(&self) -> bool {
        self.view.members.get(&self.me) == Some(&self.generation)
    }

    /// The job under way; 0: none is.
    pub const fn set_job(&mut self, job: Job) {
        self.job = job;
    }

    /// A peer says that this life of this node is not in this view.
    pub fn gone(&mut self, view: ViewId) {
        if !Step::Fence.is_left_out() && !core::mem::replace(&mut self.fenced, true) {
            self.actions.push_back(Action::Fenced(view));
        }
    }

    /// Asks one node to be let in.
    pub fn ask(&mut self, node: NodeId) {
        let join = Message::Join { generation: self.generation, job: self.job };
        self.actions.push_back(Action::Send(node, join));
    }

    pub(super) fn ask_again(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = Some(now + self.retry);
            let others = (0u16..).map(NodeId).take(self.members.len());
            let me = self.me;
            others.filter(|node| *node != me).for_each(|node| self.ask(node));
        }
    }

    pub(super) fn on_join(&mut self, from: NodeId, generation: Generation, job: Job) {
        self.actions.push_back(Action::Send(from, Message::Install(self.view.clone())));
        let later = self.view.members.get(&from).is_none_or(|life| *life < generation);
        if !later || job < self.job {
            return;
        }
        let (view, coordinator) = (self.view.id, self.view.coordinator());
        if coordinator == self.me {
            self.on_vouch(self.me, view, from, generation);
        } else {
            let vouch = Message::Vouch { view, node: from, generation };
            self.actions.push_back(Action::Send(coordinator, vouch));
        }
    }

    pub(super) fn on_vouch(
        &mut self,
        from: NodeId,
        view: ViewId,
        node: NodeId,
        generation: Generation,
    ) {
        if view != self.view.id || node.index() >= self.members.len() {
            return;
        }
        let (life, by) = self.vouched.get_or_default(node);
        if *life < generation {
            (*life, *by) = (generation, Set::new());
        }
        if *life == generation {
            by.insert(from);
        }
    }

    /// A rank is to move to a standby; said to every node. The coordinator answers.
    pub fn move_rank(&mut self, rank: Rank, to: NodeId) {
        if self.is_member() {
            self.moves.insert(rank, to);
            self.forget_moves();
        }
    }

    /// Moves that are done are forgotten, and those that cannot be done, which the coordinator says.
    pub(super) fn forget_moves(&mut self) {
        let (view, members, actions) = (&self.view, &self.members, &mut self.actions);
        let speaks = view.coordinator() == self.me;
        self.moves.retain(|rank, to| {
            let outcome = view.may_move(*rank, *to, members);
            let wanted = outcome.is_ok() && view.ranks.get(rank.index()) != Some(to);
            if let (true, Err(reason)) = (speaks, outcome) {
                actions.push_back(Action::Refused { rank: *rank, to: *to, reason });
            }
            wanted
        });
    }

    /// Who may join this view: all its members vouched for it. The first, if there are several; a seat after its
    /// host.
    fn joining(&self, view: &View) -> Option<(NodeId, Generation)> {
        let mut vouched = self.vouched.iter().filter(|(node, (_, by))| {
            let host = machine_of(&self.members, **node);
            let comes_alone = host != **node && !view.members.contains_key(&host);
            !view.members.contains_key(node)
                && !comes_alone
                && view.members.keys().all(|m| by.contains(m))
        });
        vouched.next().map(|(node, (life, _))| (*node, *life))
    }

    /// Does this node, as the coordinator, wait for the moment at which a view may change on purpose?
    #[must_use]
    pub fn wants_change(&self, now: Instant) -> bool {
        let leads = self.is_member() && self.view.coordinator() == self.me && !self.fenced;
        if !leads || self.changing || self.attempt.is_some() {
            return false;
        }
        let condemned = self.condemned(now);
        if condemned.is_empty() {
            return !self.moves.is_empty() || self.joining(&self.view).is_some();
        }
        let settled = self.reconsider_at.is_none() && self.reachable() >= self.needed();
        settled && condemned.iter().all(|node| self.is_idle(*node))
    }

    /// Do ranks run, so that they can be held?
    pub fn set_running(&mut self, now: Instant, running: bool) {
        let before = core::mem::replace(&mut self.running, running);
        if before && !running {
            self.reconsider(now);
        }
    }

    /// Is it no loss to those who run?
    fn is_idle(&self, node: NodeId) -> bool {
        let (view, members, redundancy) = (&self.view, &self.members[..], self.redundancy);
        let placement = Placement { view, members, redundancy };
        let on_it = |other: &NodeId| machine_of(members, *other) == node || *other == node;
        let mut on_it = view.members.keys().copied().filter(on_it);
        let keeps = |node| placement.ids().iter().any(|id| placement.holders(*id).contains(&node));
        node != view.coordinator() && on_it.all(|node| view.rank_of(node).is_none() && !keeps(node))
    }

    /// May the view without these wait for a checkpoint? Not if meanwhile a death could be one too many.
    pub(super) fn may_wait(&self, condemned: &Set<NodeId>) -> bool {
        let idle = || condemned.iter().all(|node| self.is_idle(*node));
        if self.changing || !self.running || self.view.coordinator() != self.me || !idle() {
            return false;
        }
        let next = self.view.without(condemned, &self.members, self.redundancy);
        let voters = next.voters(&self.members);
        let has_heir = next.members.keys().any(|node| next.rank_of(*node).is_none());
        let to_spare = self.reachable() > self.needed();
        to_spare || !has_heir || voters == self.quorum.needed(voters, voters)
    }

    /// The moment is there: no job runs, or all ranks are held at a checkpoint. A view is agreed on; if members
    /// were just heard again, a little later, for others may be as well.
    pub fn change(&mut self, now: Instant) {
        self.changing = true;
        if self.reconsider_at.is_none() {
            self.reconsider(now);
        }
    }

    /// The view after this one: without those who must go, with one who may join, and with the
    /// ranks where they are to be.
    pub(super) fn next_view(&self, condemned: &Set<NodeId>) -> View {
        let mut view = self.view.without(condemned, &self.members, self.redundancy);
        if let Some((node, life)) = self.joining(&view) {
            view.members.insert(node, life);
            view.fill(&self.members, self.redundancy);
        }
        for (rank, to) in self.moves.iter() {
            if view.may_move(*rank, *to, &self.members).is_ok() {
                view.ranks[rank.index()] = *to;
            }
        }
        view
    }
}
