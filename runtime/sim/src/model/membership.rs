//! The real [`Membership`] of some nodes on first-in first-out links: messages come in any order between links,
//! anybody suspects anybody at any time, nodes die and what they sent last may be lost, timers ring at any time.
//!
//! Always: of each number there is one view; a view is first installed by somebody who heard from more than half
//! of the view before; and when all that can still be heard is heard, the living of the last view agree on it.

use super::Model;
use runtime_core::checkpoint::Redundancy;
use runtime_core::id::{Generation, NodeId, ViewId};
use runtime_core::membership::{Action, Membership, Message, View};
use runtime_core::node::{Binding, Config, Image, Medium, Member, Policy, Quorum, Role};
use runtime_core::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longer than any of the machine's timers.
const LONG: u64 = 10_000_000_000;

/// How often things may happen that nobody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// Nodes that die.
    pub deaths: u8,
    /// Suspicions of nodes that live.
    pub suspicions: u8,
    /// Of these, taken back.
    pub trusts: u8,
    /// Times that timers ring, over all nodes.
    pub ticks: u8,
}

#[derive(Clone, Debug, Hash)]
struct Place {
    machine: Membership,
    alive: bool,
    fenced: bool,
    /// How often its timers rang: its clock.
    rang: u64,
    /// Whom it heard since its view.
    heard: BTreeSet<NodeId>,
    suspects: BTreeSet<NodeId>,
}

/// Nodes, and what is under way between them.
#[derive(Clone, Debug, Hash)]
pub struct Cluster {
    places: Vec<Place>,
    wires: BTreeMap<(NodeId, NodeId), VecDeque<Message>>,
    /// All that anybody installed.
    views: BTreeMap<ViewId, View>,
    left: Bounds,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The next message between two arrives.
    Deliver(NodeId, NodeId),
    /// What a dead node sent to another is lost from here on.
    Lose(NodeId, NodeId),
    /// The first takes the second for dead.
    Suspect(NodeId, NodeId),
    /// It hears of it again.
    Trust(NodeId, NodeId),
    /// A node dies.
    Die(NodeId),
    /// All timers of a node ring.
    Ring(NodeId),
}

impl Cluster {
    /// Compute nodes and standbys in their first view.
    #[must_use]
    pub fn new(compute: u16, standby: u16, bounds: Bounds) -> Self {
        let roles = (0..compute).map(|_| Role::Compute).chain((0..standby).map(|_| Role::Standby));
        let member = |role| Member { role, board: 0, image: Image::Linux, host: None };
        let members: Vec<Member> = roles.map(member).collect();
        let count = compute + standby;
        let place = |me| {
            let config = config(NodeId(me), &members);
            let mut machine = Membership::new(&config, Instant(0), Duration(LONG / 2));
            (0..count).for_each(|other| machine.meet(Instant(0), NodeId(other)));
            Place {
                machine,
                alive: true,
                fenced: false,
                rang: 0,
                heard: BTreeSet::new(),
                suspects: BTreeSet::new(),
            }
        };
        let places: Vec<Place> = (0..count).map(place).collect();
        let first = places.first().map(|place| place.machine.view().clone());
        Self {
            places,
            wires: BTreeMap::new(),
            views: first.map(|view| (view.id, view)).into_iter().collect(),
            left: bounds,
        }
    }

    fn nodes(&self) -> impl Iterator<Item = NodeId> + Clone + use<> {
        (0..u16::try_from(self.places.len()).unwrap_or_default()).map(NodeId)
    }

    fn acts(&self, node: NodeId) -> bool {
        self.places.get(node.index()).is_some_and(|place| place.alive && !place.fenced)
    }

    fn pairs(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.nodes().flat_map(move |a| self.nodes().map(move |b| (a, b))).filter(|(a, b)| a != b)
    }

    fn is_member(&self, of: NodeId, node: NodeId) -> bool {
        self.places[of.index()].machine.view().members.contains_key(&node)
    }

    fn may_suspect(&self, by: NodeId, of: NodeId) -> bool {
        let dead = !self.acts(of);
        self.acts(by)
            && self.is_member(by, of)
            && !self.places[by.index()].suspects.contains(&of)
            && (dead || self.left.suspicions > 0)
    }

    fn do_to(
        &mut self,
        node: NodeId,
        f: impl FnOnce(&mut Membership, Instant),
    ) -> Result<(), String> {
        let place = &mut self.places[node.index()];
        let now = Instant(place.rang * LONG);
        f(&mut place.machine, now);
        while let Some(action) = self.places[node.index()].machine.poll() {
            match action {
                // A link that lost its peer loses all that is sent to it.
                Action::Send(to, message) if self.acts(to) => {
                    self.wires.entry((node, to)).or_default().push_back(message);
                }
                Action::Send(..) | Action::NoMajority { .. } | Action::Refused { .. } => {}
                Action::Install(view, _) => self.installed(node, &view)?,
                Action::Fenced(_) => self.places[node.index()].fenced = true,
            }
        }
        Ok(())
    }

    fn installed(&mut self, node: NodeId, view: &View) -> Result<(), String> {
        let before = self.views.get(&ViewId(view.id.0 - 1));
        match self.views.get(&view.id) {
            Some(known) if known != view => {
                return Err(format!("{node} installs another {} than others did", view.id));
            }
            Some(_) => {}
            None => {
                let members = before.map_or(usize::MAX, |before| before.members.len());
                let heard = 1 + self.places[node.index()].heard.len();
                if heard * 2 <= members {
                    return Err(format!("{node} installs {} with {heard} of {members}", view.id));
                }
                self.views.insert(view.id, view.clone());
            }
        }
        let place = &mut self.places[node.index()];
        place.heard.clear();
        place.suspects.retain(|suspect| view.members.contains_key(suspect));
        Ok(())
    }

    fn deliver(&mut self, from: NodeId, to: NodeId) -> Result<(), String> {
        let message = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        self.wires.retain(|_, queue| !queue.is_empty());
        let Some(message) = message else { return Ok(()) };
        if !self.acts(to) {
            return Ok(());
        }
        self.places[to.index()].heard.insert(from);
        self.do_to(to, |machine, now| machine.handle(now, from, message))
    }

    /// All that is under way arrives.
    fn quiet(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            let Some((from, to)) = self.wires.keys().next().copied() else { return Ok(()) };
            self.deliver(from, to)?;
        }
        Err("they never stop to talk".into())
    }
}

impl Model for Cluster {
    type Action = Event;

    fn actions(&self) -> Vec<Event> {
        let mut all = Vec::new();
        for (from, to) in self.wires.keys() {
            all.push(Event::Deliver(*from, *to));
            if !self.acts(*from) {
                all.push(Event::Lose(*from, *to));
            }
        }
        for (by, of) in self.pairs() {
            if self.may_suspect(by, of) {
                all.push(Event::Suspect(by, of));
            }
            let trusts = self.left.trusts > 0 && self.acts(by) && self.acts(of);
            if trusts && self.places[by.index()].suspects.contains(&of) {
                all.push(Event::Trust(by, of));
            }
        }
        for node in self.nodes().filter(|node| self.acts(*node)) {
            if self.left.deaths > 0 {
                all.push(Event::Die(node));
            }
            if self.left.ticks > 0 && self.places[node.index()].machine.deadline().is_some() {
                all.push(Event::Ring(node));
            }
        }
        all
    }

    fn happen(&mut self, action: &Event) -> Result<(), String> {
        match *action {
            Event::Deliver(from, to) => self.deliver(from, to),
            Event::Lose(from, to) => {
                self.wires.remove(&(from, to));
                Ok(())
            }
            Event::Suspect(by, of) => {
                if self.acts(of) {
                    self.left.suspicions -= 1;
                }
                self.places[by.index()].suspects.insert(of);
                self.do_to(by, |machine, now| machine.suspect(now, of))
            }
            Event::Trust(by, of) => {
                self.left.trusts -= 1;
                self.places[by.index()].suspects.remove(&of);
                self.do_to(by, |machine, now| machine.trust(now, of))
            }
            Event::Die(node) => {
                self.left.deaths -= 1;
                self.places[node.index()].alive = false;
                self.wires.retain(|(_, to), _| *to != node);
                Ok(())
            }
            Event::Ring(node) => {
                self.left.ticks -= 1;
                self.places[node.index()].rang += 1;
                self.do_to(node, Membership::tick)
            }
        }
    }

    /// Who lives is heard again, the dead are suspected by everybody, everything arrives and all timers ring, some
    /// times over.
    fn settles(&self) -> Result<(), String> {
        let mut end = self.clone();
        for _ in 0..8 {
            end.quiet()?;
            for (by, of) in self.pairs() {
                let suspects = end.places[by.index()].suspects.contains(&of);
                if end.acts(by) && end.acts(of) && suspects {
                    end.left.trusts += 1;
                    end.happen(&Event::Trust(by, of))?;
                } else if !end.acts(of) && end.may_suspect(by, of) {
                    end.happen(&Event::Suspect(by, of))?;
                }
            }
            end.quiet()?;
            for node in self.nodes().filter(|node| self.acts(*node)) {
                if end.acts(node) {
                    end.places[node.index()].rang += 1;
                    end.do_to(node, Membership::tick)?;
                }
            }
        }
        end.quiet()?;
        let Some((last, view)) = end.views.last_key_value() else { return Ok(()) };
        let left: Vec<NodeId> =
            view.members.keys().copied().filter(|node| end.acts(*node)).collect();
        if left.len() * 2 <= view.members.len() {
            return Ok(());
        }
        for node in &left {
            let its = end.places[node.index()].machine.view().id;
            if its != *last {
                return Err(format!("{node} stays in {its}, and {last} holds"));
            }
        }
        if left.len() < view.members.len() {
            return Err(format!("{last} holds, and some of its members are gone"));
        }
        Ok(())
    }
}

fn config(me: NodeId, members: &[Member]) -> Config {
    Config {
        me,
        generation: Generation(1),
        hash: [0; 32],
        members: members.to_vec(),
        media: vec![Medium::Stream; members.len()],
        mtu: 1500,
        binding: Binding::Mcapi,
        quorum: Quorum::Majority,
        heartbeat: Duration::from_millis(10),
        suspect_after: 10,
        join_timeout: Duration::from_millis(500),
        redundancy: Redundancy::Copies(1),
        copy_window: 0,
        checkpoint: Policy::Program,
        shared_pages: 0,
    }
}
