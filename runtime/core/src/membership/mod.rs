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
//! **Seats** (a second, idle node program on a machine, for a rank that no standby is left for) are members, but
//! have no vote: a majority is one of machines. If both programs of a machine voted, machines with a seat would
//! weigh more than others, and a seat that dies alone would cost a vote though its machine lives. Two
//! majorities of machines still have a machine in common, and it promises and accepts in one place, its node. A
//! view without a node is without its seat, so the lowest member, who leads, is never a seat.
//!
//! Whoever suspects a member tells all others. A member that this node suspects itself is left out of
//! the view that it proposes; one that only others suspect is judged after a while, in which this node
//! would have noticed a death by itself: see `blame`. Of a member that this node never met it would not have.
//!
//! A suspicion is taken back when the link, without having lost anything, hears of the member again: a
//! partition that left no majority anywhere heals. Otherwise it stays until a view without the member
//! is installed; if it was wrong, that view fences the member ([`Action::Fenced`]).
//! Views also change on purpose: see `change`.
//!
//! Whoever installs a view first passes it on to all its members, so that on a first-in first-out
//! link nothing of a view ever arrives before the view itself.

mod blame;
mod change;
mod message;
mod standby;
#[cfg(test)]
mod tests;
mod view;

pub use message::Message;
pub use view::View;

use crate::checkpoint::Redundancy;
use crate::id::{Generation, Job, NodeId, Peer, Rank, ViewId};
use crate::node::{Config, Member, Quorum, machine_of};
use crate::sabotage::Step;
use crate::sorted::{Map, Set};
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

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
    /// A new view holds from now on. Some members of the one before are not in it, in these lives.
    Install(View, Vec<Peer>),
    /// A view without this life of this node was agreed: the life must end.
    Fenced(ViewId),
    /// A rank does not move where it was told to.
    Refused {
        /// Which rank.
        rank: Rank,
        /// Where to.
        to: NodeId,
        /// Why, and what to do about it.
        reason: String,
    },
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
    generation: Generation,
    quorum: Quorum,
    /// Of each node: where it stands and what it runs decides who takes over from whom.
    members: Vec<Member>,
    redundancy: Redundancy,
    retry: Duration,
    view: View,
    suspects: Set<NodeId>,
    /// Who was ever heard by this life.
    met: Set<NodeId>,
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
    /// What a joining node must know of: the job under way.
    job: Job,
    /// Coordinator: who wants to be a member, in which life, and who vouched for it.
    vouched: Map<NodeId, (Generation, Set<NodeId>)>,
    /// Ranks that are to move, and where to.
    moves: Map<Rank, NodeId>,
    /// Coordinator: a view is agreed on although nobody must go.
    changing: bool,
    /// Ranks run here or elsewhere, and can be held at a checkpoint.
    running: bool,
    actions: VecDeque<Action>,
}

impl Membership {
    /// In the first view of `config`; a later life than the first is in none, and asks to join. What
    /// gets no answer is repeated after `retry`.
    #[must_use]
    pub fn new(config: &Config, now: Instant, retry: Duration) -> Self {
        let first = config.generation == Generation(1);
        Self {
            me: config.me,
            generation: config.generation,
            quorum: config.quorum,
            members: config.members.clone(),
            redundancy: config.redundancy,
            retry,
            view: if first { View::first(config) } else { View::unknown() },
            suspects: Set::new(),
            met: Set::new(),
            accusations: Map::new(),
            grace: config.heartbeat.times(u64::from(config.suspect_after)),
            judge_at: None,
            reconsider_at: None,
            promised: Ballot::default(),
            accepted: None,
            attempt: None,
            ballot: Ballot::default(),
            retry_at: (!first).then_some(now + retry),
            fenced: false,
            told_reachable: None,
            job: Job(0),
            vouched: Map::new(),
            moves: Map::new(),
            changing: false,
            running: false,
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

    /// A member is heard for the first time. What others hold against it can be judged from now on.
    pub fn meet(&mut self, now: Instant, node: NodeId) {
        if self.met.insert(node) {
            for (_, heard) in (&mut self.accusations).into_iter().filter(|((_, of), _)| *of == node)
            {
                *heard = now;
                self.judge_at.get_or_insert(now + self.grace);
            }
        }
    }

    /// A member is taken for dead.
    pub fn suspect(&mut self, now: Instant, node: NodeId) {
        self.vouched.remove(&node);
        let known = self.is_member() && self.view.members.contains_key(&node);
        if self.fenced || node == self.me || !known {
            return;
        }
        if self.suspects.insert(node) {
            self.accuse(node);
            self.reconsider(now);
        }
    }

    /// Is this member taken for dead here?
    #[must_use]
    pub fn suspects(&self, node: NodeId) -> bool {
        self.suspects.contains(&node)
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
    ///
    /// Of a member that never met this node it is not known yet whether it lives: if it was dead from the start, who
    /// met it must not go for saying so. Soon it is met, or suspected here as well.
    fn condemned(&self, now: Instant) -> Set<NodeId> {
        let known = |of: &NodeId| *of == self.me || self.met.contains(of);
        let judged = self.accusations.iter();
        let judged = judged.filter(|((_, of), heard)| known(of) && now >= **heard + self.grace);
        blame::condemned(&self.view, &self.members, judged.map(|(pair, _)| *pair), &self.suspects)
    }

    /// Repeats an attempt that got no answer.
    pub fn tick(&mut self, now: Instant) {
        if !self.is_member() {
            return self.ask_again(now);
        }
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
            // While members are heard again one after the other, it is too soon to judge who is not.
            if self.reconsider_at.is_none() {
                self.reconsider(now);
            }
        }
    }

    /// A message from a member.
    pub fn handle(&mut self, now: Instant, from: NodeId, message: Message) {
        if self.fenced {
            return;
        }
        if !self.is_member() {
            // What the life before promised is forgotten: this one votes on nothing before it is in.
            if let Message::Install(view) = message {
                self.learn(now, view);
            }
            return;
        }
        match message {
            Message::Install(view) => self.learn(now, view),
            Message::Join { generation, job } => self.on_join(from, generation, job),
            Message::Vouch { view, node, generation } => {
                self.on_vouch(from, view, node, generation);
            }
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
        self.quorum.needed(self.view.voters(&self.members), self.reachable())
    }

    fn reachable(&self) -> usize {
        self.voters().filter(|m| !self.suspects.contains(m)).count()
    }

    fn voters(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.view.members.keys().copied().filter(|node| self.votes(*node))
    }

    fn votes(&self, node: NodeId) -> bool {
        self.view.members.contains_key(&node) && machine_of(&self.members, node) == node
    }

    fn reconsider(&mut self, now: Instant) {
        let condemned = self.condemned(now);
        if self.fenced || (condemned.is_empty() && !self.changing) {
            return;
        }
        let reachable = self.reachable();
        if reachable < self.needed() {
            let reachable = u16::try_from(reachable).unwrap_or(u16::MAX);
            if self.told_reachable != Some(reachable) {
                self.told_reachable = Some(reachable);
                let voters = self.view.voters(&self.members);
                let members = u16::try_from(voters).unwrap_or(u16::MAX);
                self.actions.push_back(Action::NoMajority { reachable, members });
            }
            self.attempt = None;
            // Nobody else asks again for a change that ranks wait for.
            self.retry_at = self.changing.then(|| now + self.retry);
            return;
        }
        let leader = self.voters().find(|m| !condemned.contains(m));
        if leader == Some(self.me) && self.attempt.is_none() && !self.may_wait(&condemned) {
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
        let (me, suspects) = (self.me, &self.suspects);
        let members =
            self.view.members.keys().filter(|node| machine_of(&self.members, **node) == **node);
        for member in members.filter(|member| **member != me && !suspects.contains(member)) {
            self.actions.push_back(Action::Send(*member, message.clone()));
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
        if view != self.next_id() || ballot != self.ballot || !self.votes(from) {
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
        if bound.is_none() && condemned.is_empty() && !self.changing {
            // All that was suspected is heard again: there is nothing to agree on.
            (self.attempt, self.retry_at) = (None, None);
            return;
        }
        let bound = bound.map(|(_, view)| view.clone());
        let value = bound.unwrap_or_else(|| self.next_view(&condemned));
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
        if view != self.next_id() || ballot != self.ballot || !self.votes(from) {
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
        let (was_member, mine) = (self.is_member(), view.members.get(&self.me));
        let (is_member, me) = (mine == Some(&self.generation), self.me);
        if !was_member && !is_member {
            // Good to know, but nothing to pass on.
            self.view = view;
            return;
        }
        let audience: Set<NodeId> =
            self.view.members.keys().chain(view.members.keys()).copied().collect();
        for node in audience.iter().filter(|node| **node != me) {
            self.actions.push_back(Action::Send(*node, Message::Install(view.clone())));
        }
        let stays = |node: &NodeId, life: &Generation| view.members.get(node) == Some(life);
        let gone = self.view.members.iter().filter(|(node, life)| !stays(node, life));
        let gone: Vec<Peer> =
            gone.map(|(node, life)| Peer { node: *node, generation: *life }).collect();
        self.promised = Ballot::default();
        self.accepted = None;
        self.attempt = None;
        self.ballot = Ballot::default();
        self.retry_at = None;
        self.told_reachable = None;
        self.accusations.clear();
        (self.judge_at, self.reconsider_at) = (None, None);
        self.vouched.clear();
        (self.changing, self.running) = (false, false);
        self.view = view;
        if !is_member {
            self.fenced = true;
            self.actions.push_back(Action::Fenced(self.view.id));
            return;
        }
        let members = &self.view.members;
        self.suspects.retain(|node| {
            members.contains_key(node) && gone.iter().all(|peer| peer.node != *node)
        });
        self.actions.push_back(Action::Install(self.view.clone(), gone));
        let suspects: Vec<NodeId> = self.suspects.iter().copied().collect();
        suspects.into_iter().for_each(|node| self.accuse(node));
        self.forget_moves();
        self.reconsider(now);
    }
}
