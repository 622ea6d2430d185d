//! Who is in, and which node hosts which rank: views, each agreed by a majority of the one before.
//!
//! View `v+1` is one instance of single-decree Paxos among the members of view `v`, so two
//! coordinators that disagree about who is dead can never install two different `v+1`, and a
//! minority can install none. The value is the whole [`View`].
//!
//! ```text
//!  quiet ──suspect, I am the lowest unsuspected──▶ preparing ──majority promised──▶ accepting
//!    ▲  ▲                                            │  ▲                              │
//!    │  └──────────── Install from anybody ──────────┘  └──no answer: higher ballot────┤
//!    └──────────────────────────── majority accepted: Install to all ──────────────────┘
//! ```
//!
//! Whoever suspects a member tells all others. A member that this node suspects itself is left out of
//! the view that it proposes; one that only others suspect is judged after a while, in which this node
//! would have noticed a death by itself: see `blame`.
//!
//! A suspicion is taken back when the link, without having lost anything, hears of the member again: a
//! partition that left no majority anywhere heals. Otherwise it stays until a view without the member
//! is installed; if it was wrong, that view fences the member ([`Action::Fenced`]).
//! Whoever installs a view first passes it on to all its members, so that on a first-in first-out
//! link nothing of a view ever arrives before the view itself.

mod blame;
mod message;
#[cfg(test)]
mod tests;

pub use message::Message;

use crate::id::{Generation, NodeId, Rank, ViewId};
use crate::node::{Config, Image, Member, Quorum, Role};
use crate::sabotage::Step;
use crate::sorted::{Map, Set};
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
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

    /// The view after this one without the `dead`: each orphaned rank goes to the lowest standby that
    /// runs the same image (`images`, by node).
    #[must_use]
    pub fn without(&self, dead: &Set<NodeId>, images: &[Image]) -> Self {
        let mut members = self.members.clone();
        members.retain(|node, _| !dead.contains(node));
        let mut ranks = self.ranks.clone();
        for r in 0..ranks.len() {
            let alike = |node: &NodeId| images.get(node.index()) == images.get(ranks[r].index());
            if !members.contains_key(&ranks[r])
                && let Some(standby) =
                    members.keys().find(|node| !ranks.contains(node) && alike(node))
            {
                ranks[r] = *standby;
            }
        }
        Self { id: ViewId(self.id.0 + 1), members, ranks }
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

/// Number of an attempt to agree: a round, and who leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ballot {
    /// Rises with every attempt.
    pub round: u32,
    /// The proposer: makes ballots of one round distinct.
    pub by: NodeId,
}

/// Something for the node to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send to a member.
    Send(NodeId, Message),
    /// A new view holds from now on.
    Install(View),
    /// A view without this node was agreed: it must not act any more.
    Fenced(ViewId),
    /// Too few members are left to agree on anything.
    NoMajority {
        /// Members not suspected, this node included.
        reachable: u16,
        /// Members of the view.
        members: u16,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Attempt {
    Preparing { promises: Map<NodeId, Option<(Ballot, View)>> },
    Accepting { value: View, accepted: Set<NodeId> },
}

/// The machine: acceptor always, proposer when this node is the lowest unsuspected member.
#[derive(Clone, Debug, Hash)]
pub struct Membership {
    me: NodeId,
    quorum: Quorum,
    /// By node: a rank moves only between nodes that run the same.
    images: Vec<Image>,
    retry: Duration,
    view: View,
    suspects: Set<NodeId>,
    /// Who told that it suspects whom, and when it was heard.
    accusations: Map<(NodeId, NodeId), Instant>,
    /// How long an accusation waits for judgement.
    grace: Duration,
    judge_at: Option<Instant>,
    reconsider_at: Option<Instant>,
    promised: Ballot,
    accepted: Option<(Ballot, View)>,
    attempt: Option<Attempt>,
    ballot: Ballot,
    retry_at: Option<Instant>,
    fenced: bool,
    told_reachable: Option<u16>,
    actions: VecDeque<Action>,
}

impl Membership {
    /// In the first view of `config`. An attempt that gets no answer is repeated after `retry`.
    #[must_use]
    pub fn new(config: &Config, retry: Duration) -> Self {
        Self {
            me: config.me,
            quorum: config.quorum,
            images: config.members.iter().map(|member| member.image).collect(),
            retry,
            view: View::first(config),
            suspects: Set::new(),
            accusations: Map::new(),
            grace: config.heartbeat.times(u64::from(config.suspect_after)),
            judge_at: None,
            reconsider_at: None,
            promised: Ballot::default(),
            accepted: None,
            attempt: None,
            ballot: Ballot::default(),
            retry_at: None,
            fenced: false,
            told_reachable: None,
            actions: VecDeque::new(),
        }
    }

    /// The view that holds.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// When [`Membership::tick`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        if self.fenced {
            return None;
        }
        self.retry_at.into_iter().chain(self.judge_at).chain(self.reconsider_at).min()
    }

    /// The next action.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// A member is taken for dead.
    pub fn suspect(&mut self, now: Instant, node: NodeId) {
        if self.fenced || node == self.me || !self.view.members.contains_key(&node) {
            return;
        }
        if self.suspects.insert(node) {
            self.accuse(node);
            self.reconsider(now);
        }
    }

    /// A member that was suspected is heard again, and nothing was lost in between.
    pub fn trust(&mut self, now: Instant, node: NodeId) {
        if !self.fenced && self.suspects.remove(&node) {
            self.told_reachable = None;
            self.tell(&Message::Trust { view: self.view.id, node });
            self.reconsider_later(now);
        }
    }

    /// With who is heard again there may be a majority for what had to wait. Others may be heard again as
    /// well, so there is no haste.
    fn reconsider_later(&mut self, now: Instant) {
        self.reconsider_at.get_or_insert(now + self.grace);
    }

    /// All are told, those that this node does not hear as well: they may hear it.
    fn accuse(&mut self, node: NodeId) {
        self.tell(&Message::Suspect { view: self.view.id, node });
    }

    fn tell(&mut self, message: &Message) {
        let others = self.view.members.keys().filter(|member| **member != self.me);
        self.actions.extend(others.map(|member| Action::Send(*member, message.clone())));
    }

    fn on_suspect(&mut self, now: Instant, from: NodeId, view: ViewId, node: NodeId) {
        let members = &self.view.members;
        if view == self.view.id && members.contains_key(&from) && members.contains_key(&node) {
            self.accusations.get_or_insert_with((from, node), || now);
            self.judge_at.get_or_insert(now + self.grace);
        }
    }

    /// Who must go: whom this node suspects, and whom accusations that stood long enough condemn.
    fn condemned(&self, now: Instant) -> Set<NodeId> {
        let judged = self.accusations.iter().filter(|(_, heard)| now >= **heard + self.grace);
        blame::condemned(&self.view, judged.map(|(pair, _)| *pair), &self.suspects)
    }

    /// Repeats an attempt that got no answer.
    pub fn tick(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.attempt = None;
            self.retry_at = None;
            self.reconsider(now);
        }
        if self.reconsider_at.take_if(|at| now >= *at).is_some() {
            self.reconsider(now);
        }
        if self.judge_at.is_some_and(|at| now >= at) {
            let next = self.accusations.values().map(|heard| *heard + self.grace);
            self.judge_at = next.filter(|at| *at > now).min();
            self.reconsider(now);
        }
    }

    /// A message from a member.
    pub fn handle(&mut self, now: Instant, from: NodeId, message: Message) {
        if self.fenced {
            return;
        }
        match message {
            Message::Install(view) => self.learn(now, view),
            Message::Prepare { view, ballot } => self.on_prepare(from, view, ballot),
            Message::Promise { view, ballot, accepted } => {
                self.on_promise(now, from, view, ballot, accepted);
            }
            Message::Accept { ballot, value } => self.on_accept(from, ballot, value),
            Message::Accepted { view, ballot } => self.on_accepted(now, from, view, ballot),
            Message::Suspect { view, node } => self.on_suspect(now, from, view, node),
            Message::Trust { view, node } => {
                if view == self.view.id && self.accusations.remove(&(from, node)).is_some() {
                    self.reconsider_later(now);
                }
            }
        }
    }

    fn next_id(&self) -> ViewId {
        ViewId(self.view.id.0 + 1)
    }

    fn needed(&self) -> usize {
        if Step::Majority.is_left_out() {
            return 1;
        }
        self.quorum.needed(self.view.members.len(), self.reachable())
    }

    fn reachable(&self) -> usize {
        self.view.members.keys().filter(|m| !self.suspects.contains(m)).count()
    }

    fn reconsider(&mut self, now: Instant) {
        let condemned = self.condemned(now);
        if condemned.is_empty() || self.fenced {
            return;
        }
        let reachable = self.reachable();
        if reachable < self.needed() {
            let reachable = u16::try_from(reachable).unwrap_or(u16::MAX);
            if self.told_reachable != Some(reachable) {
                self.told_reachable = Some(reachable);
                let members = u16::try_from(self.view.members.len()).unwrap_or(u16::MAX);
                self.actions.push_back(Action::NoMajority { reachable, members });
            }
            self.attempt = None;
            self.retry_at = None;
            return;
        }
        let leader = self.view.members.keys().find(|m| !condemned.contains(m));
        if leader == Some(&self.me) && self.attempt.is_none() {
            self.prepare(now);
        }
    }

    fn prepare(&mut self, now: Instant) {
        let round = self.promised.round.max(self.ballot.round) + 1;
        self.ballot = Ballot { round, by: self.me };
        self.attempt = Some(Attempt::Preparing { promises: Map::new() });
        self.retry_at = Some(now + self.retry);
        let message = Message::Prepare { view: self.next_id(), ballot: self.ballot };
        self.send_to_reachable(&message);
        self.on_prepare(self.me, self.next_id(), self.ballot);
        self.drain_own(now);
    }

    fn send_to_reachable(&mut self, message: &Message) {
        for member in self.view.members.keys() {
            if *member != self.me && !self.suspects.contains(member) {
                self.actions.push_back(Action::Send(*member, message.clone()));
            }
        }
    }

    /// Messages of the acceptor to the proposer in the same node do not go over a link.
    fn drain_own(&mut self, now: Instant) {
        let me = self.me;
        let mut own = Vec::new();
        self.actions.retain(|action| match action {
            Action::Send(to, message) if *to == me => {
                own.push(message.clone());
                false
            }
            _ => true,
        });
        for message in own {
            self.handle(now, me, message);
        }
    }

    fn on_prepare(&mut self, from: NodeId, view: ViewId, ballot: Ballot) {
        if view <= self.view.id {
            self.actions.push_back(Action::Send(from, Message::Install(self.view.clone())));
        } else if view == self.next_id() && ballot >= self.promised {
            self.promised = ballot;
            let accepted = self.accepted.clone();
            self.actions.push_back(Action::Send(from, Message::Promise { view, ballot, accepted }));
        }
    }

    fn on_promise(
        &mut self,
        now: Instant,
        from: NodeId,
        view: ViewId,
        ballot: Ballot,
        accepted: Option<(Ballot, View)>,
    ) {
        if view != self.next_id() || ballot != self.ballot || !self.view.members.contains_key(&from)
        {
            return;
        }
        let (needed, condemned) = (self.needed(), self.condemned(now));
        let Some(Attempt::Preparing { promises }) = &mut self.attempt else { return };
        promises.insert(from, accepted);
        if promises.len() < needed {
            return;
        }
        let bound = promises.values().flatten().max_by_key(|(ballot, _)| *ballot);
        let bound = bound.filter(|_| !Step::Bound.is_left_out());
        if bound.is_none() && condemned.is_empty() {
            // All that was suspected is heard again: there is nothing to agree on.
            (self.attempt, self.retry_at) = (None, None);
            return;
        }
        let value =
            bound.map_or_else(|| self.view.without(&condemned, &self.images), |(_, v)| v.clone());
        self.attempt = Some(Attempt::Accepting { value: value.clone(), accepted: Set::new() });
        self.send_to_reachable(&Message::Accept { ballot, value: value.clone() });
        self.on_accept(self.me, ballot, value);
        self.drain_own(now);
    }

    fn on_accept(&mut self, from: NodeId, ballot: Ballot, value: View) {
        if value.id <= self.view.id {
            self.actions.push_back(Action::Send(from, Message::Install(self.view.clone())));
        } else if value.id == self.next_id() && ballot >= self.promised {
            let view = value.id;
            self.promised = ballot;
            self.accepted = Some((ballot, value));
            self.actions.push_back(Action::Send(from, Message::Accepted { view, ballot }));
        }
    }

    fn on_accepted(&mut self, now: Instant, from: NodeId, view: ViewId, ballot: Ballot) {
        if view != self.next_id() || ballot != self.ballot || !self.view.members.contains_key(&from)
        {
            return;
        }
        let needed = self.needed();
        let Some(Attempt::Accepting { value, accepted }) = &mut self.attempt else { return };
        accepted.insert(from);
        if accepted.len() >= needed {
            let decided = value.clone();
            self.learn(now, decided);
        }
    }

    /// A view was agreed. Members of both views are told, the replaced ones too: they are fenced.
    fn learn(&mut self, now: Instant, view: View) {
        let replaced = !view.members.contains_key(&self.me);
        if view.id <= self.view.id || (replaced && Step::Fence.is_left_out()) {
            return;
        }
        let audience: Set<NodeId> =
            self.view.members.keys().chain(view.members.keys()).copied().collect();
        for node in audience {
            if node != self.me {
                self.actions.push_back(Action::Send(node, Message::Install(view.clone())));
            }
        }
        self.promised = Ballot::default();
        self.accepted = None;
        self.attempt = None;
        self.ballot = Ballot::default();
        self.retry_at = None;
        self.told_reachable = None;
        self.accusations.clear();
        (self.judge_at, self.reconsider_at) = (None, None);
        self.view = view;
        if replaced {
            self.fenced = true;
            self.actions.push_back(Action::Fenced(self.view.id));
            return;
        }
        self.actions.push_back(Action::Install(self.view.clone()));
        self.suspects.retain(|node| self.view.members.contains_key(node));
        let suspects: Vec<NodeId> = self.suspects.iter().copied().collect();
        suspects.into_iter().for_each(|node| self.accuse(node));
        self.reconsider(now);
    }
}
