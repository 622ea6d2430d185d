//! The node itself: links, membership, and the session of the view and job that hold now.

use super::message::Tag;
use super::session::{Session, Shared};
use super::{Call, Config, Input, Medium, Output, Timer, machine_of};
use crate::checkpoint::Store;
use crate::event::Event;
use crate::id::{Generation, Job, NodeId, Peer, ViewId};
use crate::link::{self, Link, Proto};
use crate::mem::PageMem;
use crate::membership::{self, Membership, View};
use crate::sabotage::Step;
use crate::sorted::{Map, Set};
use crate::time::{Duration, Instant};
use crate::wire::{Malformed, Reader};
use alloc::collections::VecDeque;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::cmp::Ordering;

/// An election that got no answer is repeated after so many heartbeats.
const ELECTION_HEARTBEATS: u64 = 5;
/// A node that does nothing for so many heartbeats stood still.
const PUNCTUAL: u64 = 2;
/// Most messages kept for a job that the others know and this node does not yet.
const MAX_EARLY: usize = 4 * crate::limits::MAX_NODES;

/// The machine.
#[derive(Clone, Debug)]
pub struct Node {
    links: Map<NodeId, Link>,
    /// When each link must be ticked: with many links, looking at all of them at each input is slow.
    due: Map<NodeId, (Instant, Timer)>,
    /// Links that something was done to in this input.
    touched: Set<NodeId>,
    membership: Membership,
    shared: Shared,
    session: Option<Session>,
    early: Vec<(NodeId, Tag, Vec<u8>)>,
    ready: bool,
    halted: bool,
    malformed: u64,
    /// That was told.
    longest_silence: Duration,
}

impl Node {
    /// A node that has heard of nobody yet.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let settings = |remote: NodeId| link::Settings {
            me: Peer { node: config.me, generation: config.generation },
            hash: config.hash,
            ours: config.image_of(config.me),
            theirs: config.image_of(remote),
            medium: config.medium_to(remote),
            mtu: config.mtu,
            heartbeat: config.heartbeat,
            suspect_after: config.suspect_after,
            join_timeout: config.join_timeout,
        };
        let others = (0u16..).map(NodeId).take(config.members.len()).filter(|n| *n != config.me);
        let links: Map<NodeId, Link> =
            others.map(|n| (n, Link::new(settings(n), n, now))).collect();
        let due = links.iter().filter_map(|(n, link)| Some((*n, link.deadline()?))).collect();
        let membership = Membership::new(&config, now, config.heartbeat.times(ELECTION_HEARTBEATS));
        let mut out = VecDeque::new();
        if !membership.is_member() {
            let generation = config.generation;
            out.push_back(Output::Event(Event::Joining { generation }));
        }
        Self {
            links,
            due,
            touched: Set::new(),
            membership,
            shared: Shared {
                config,
                now,
                store: Store::default(),
                out,
                frames: VecDeque::new(),
                own: VecDeque::new(),
                job: Job(0),
                done: false,
                rank_runs: false,
                stopping: false,
                hosts: (Job(0), Vec::new()),
                holders: (ViewId(0), Vec::new()),
                standing: None,
                renew: false,
                called_at: now,
                unfit: None,
            },
            session: None,
            early: Vec::new(),
            ready: false,
            halted: false,
            malformed: 0,
            longest_silence: Duration(0),
        }
    }

    /// Messages that followed no format or no rule, and were ignored.
    #[must_use]
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    /// The view that holds.
    #[must_use]
    pub const fn view(&self) -> &View {
        self.membership.view()
    }

    /// The next output; **drain to `None` before the next `handle`**.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.shared.out.pop_front()
    }

    /// When [`Input::Tick`] is due next, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        if self.halted {
            return None;
        }
        let election = self.membership.deadline().map(|at| (at, Timer::Election));
        let session = self.session.as_ref().filter(|session| session.has_work(&self.shared));
        let copy = session.map(|_| (self.shared.now, Timer::Copy));
        // Nobody will say anything to a node that is alone: it is ready by itself.
        let alone = self.links.is_empty() && !self.ready && self.membership.is_member();
        let election = election.or_else(|| alone.then_some((self.shared.now, Timer::Election)));
        self.due.values().copied().chain(election).chain(copy).min()
    }

    /// Takes one input. Never blocks; bounded work.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, mem: &mut dyn PageMem) {
        if self.halted {
            return;
        }
        let pause = now.since(self.shared.now);
        self.shared.now = now;
        if let Some(session) = &mut self.session {
            session.goes_on(now);
        }
        if pause > self.shared.config.heartbeat.times(PUNCTUAL) {
            self.stood_still(pause);
        }
        match input {
            Input::TransportUp(node) => self.on_link(node, |link| link.transport_up(now)),
            Input::TransportDown(node) => self.on_link(node, |link| link.transport_down(now)),
            Input::PortDown(node) => {
                // One port for all that is on the machine.
                let members = &self.shared.config.members;
                let on_it = |other: &NodeId| machine_of(members, *other) == node;
                let peers: Vec<NodeId> = self.links.keys().copied().filter(on_it).collect();
                peers.into_iter().for_each(|peer| self.on_link(peer, |link| link.port_down(now)));
            }
            Input::Frame { from, bytes } => {
                self.on_link(from, |link| link.handle_frame(now, bytes));
                self.note_silence(from);
            }
            Input::Tick => {
                let due: Vec<NodeId> =
                    self.due.iter().filter(|(_, (at, _))| *at <= now).map(|(n, _)| *n).collect();
                due.into_iter().for_each(|node| self.on_link(node, |link| link.tick(now)));
                self.membership.tick(now);
                if let Some(session) = &mut self.session {
                    session.work(&mut self.shared, mem);
                }
            }
            Input::Start(job) => self.start(job),
            Input::RankStopped => {
                self.shared.rank_runs = false;
                self.shared.stopping = false;
                if let Some(session) = &mut self.session {
                    session.on_stopped(&mut self.shared);
                }
            }
            Input::Call(call) => self.on_call(call, mem),
            Input::Migrate { rank, to } => self.membership.move_rank(rank, to),
            Input::Damage(rank) => {
                let epoch = self.shared.store.damage(rank);
                self.shared.event(Event::Corrupted { rank, epoch });
            }
            Input::Fault { page, access } => {
                if let Some(session) = self.running() {
                    session.on_fault(page, access, mem);
                }
            }
        }
        self.pump(mem);
        for node in core::mem::take(&mut self.touched) {
            match self.links.get(&node).and_then(Link::deadline) {
                Some(due) => drop(self.due.insert(node, due)),
                None => drop(self.due.remove(&node)),
            }
        }
    }

    /// Tells of a silence that was the longest so far, by half a heartbeat: so seldom.
    fn note_silence(&mut self, peer: NodeId) {
        let Some(silence) = self.links.get(&peer).map(Link::longest_silence) else { return };
        let heartbeat = self.shared.config.heartbeat;
        let told = Duration(self.longest_silence.0.saturating_add(heartbeat.0 / 2));
        if silence > told.max(heartbeat.times(2)) {
            self.longest_silence = silence;
            self.event(Event::LongestSilence { peer, silent_us: silence.as_micros() });
        }
    }

    /// It had something to do in each heartbeat, and did nothing: its machine was busy, or it was stopped. It has
    /// no right to blame others for that time.
    fn stood_still(&mut self, pause: Duration) {
        let now = self.shared.now;
        let allowed =
            self.shared.config.heartbeat.times(u64::from(self.shared.config.suspect_after));
        if self.ready && pause.times(2) > allowed {
            self.event(Event::StoodStill { pause_us: pause.as_micros() });
        }
        for node in self.links.keys().copied().collect::<Vec<_>>() {
            self.on_link(node, |link| link.excuse(now, pause));
        }
    }

    fn on_link(&mut self, node: NodeId, f: impl FnOnce(&mut Link)) {
        if let Some(link) = self.links.get_mut(&node) {
            self.touched.insert(node);
            f(link);
        }
    }

    /// The session, unless its rank is being stopped: what a stopped rank asked is void.
    fn running(&mut self) -> Option<&mut Session> {
        if self.shared.stopping { None } else { self.session.as_mut() }
    }

    fn on_call(&mut self, call: Call, mem: &mut dyn PageMem) {
        self.shared.called_at = self.shared.now;
        if !self.shared.stopping
            && let Some(session) = &mut self.session
        {
            session.on_call(call, &mut self.shared, mem);
        }
    }

    fn start(&mut self, job: Job) {
        if job > self.shared.job {
            self.shared.job = job;
            self.shared.done = false;
            self.shared.store.clear();
            self.shared.standing = None;
            if self.membership.is_member() {
                self.begin_session();
            }
        }
    }

    fn begin_session(&mut self) {
        let view = self.membership.view().clone();
        let session = Session::begin(view, &mut self.shared);
        let tag = session.tag();
        self.session = Some(session);
        let early = core::mem::take(&mut self.early);
        for (from, its, bytes) in early {
            match its.cmp(&tag) {
                Ordering::Less => {}
                Ordering::Equal => self.shared.own.push_back((from, bytes)),
                // Of a job that this node does not know yet.
                Ordering::Greater => self.early.push((from, its, bytes)),
            }
        }
    }

    /// Moves everything on until nothing moves by itself.
    fn pump(&mut self, mem: &mut dyn PageMem) {
        loop {
            let mut moved = self.pump_links(mem);
            while let Some((to, proto, payload)) = self.shared.frames.pop_front() {
                moved = true;
                let now = self.shared.now;
                self.on_link(to, |link| link.send(now, proto, payload));
            }
            moved |= self.pump_membership();
            while let Some((from, bytes)) = self.shared.own.pop_front() {
                moved = true;
                self.on_recovery(from, &bytes, mem);
            }
            if let Some(session) = &mut self.session {
                moved |= session.pump(&mut self.shared, mem);
            }
            moved |= self.consider_change();
            self.check_ready();
            if !moved || self.halted {
                return;
            }
        }
    }

    fn pump_links(&mut self, mem: &mut dyn PageMem) -> bool {
        let mut moved = false;
        let nodes: Vec<NodeId> = self.touched.iter().copied().collect();
        for node in nodes {
            while let Some(event) = self.links.get_mut(&node).and_then(Link::poll) {
                moved = true;
                self.on_link_event(node, event, mem);
                // Before the next message: it may be of the view that this one brought.
                self.pump_membership();
            }
        }
        moved
    }

    fn on_link_event(&mut self, peer: NodeId, event: link::Event, mem: &mut dyn PageMem) {
        match event {
            link::Event::Transmit(bytes) => {
                self.shared.out.push_back(Output::Transmit { to: peer, bytes });
            }
            link::Event::Deliver { proto, payload } => self.on_message(peer, proto, &payload, mem),
            link::Event::Up { generation } => {
                self.event(Event::LinkUp { peer, generation });
                self.membership.meet(self.shared.now, peer);
                if !self.membership.is_member() {
                    self.membership.ask(peer);
                }
            }
            link::Event::Gone { view } => self.membership.gone(view),
            link::Event::Refused { reason } => self.event(Event::Refused { peer, reason }),
            link::Event::Restarted { .. } => self.suspect(peer, "restarted".to_string(), 0),
            link::Event::HeardAgain => {
                if self.membership.is_member() && self.view().members.contains_key(&peer) {
                    self.event(Event::HeardAgain { peer });
                }
                self.membership.trust(self.shared.now, peer);
            }
            link::Event::Suspect { reason, silent } => {
                self.suspect(peer, reason, silent.as_micros());
                let lost = self.links.get(&peer).is_some_and(Link::is_over);
                if lost && !self.membership.is_member() && self.view().members.contains_key(&peer) {
                    // With this member this life never comes together; the next one may.
                    self.membership.gone(self.view().id);
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.shared.out.push_back(Output::Event(event));
    }

    fn suspect(&mut self, peer: NodeId, reason: alloc::string::String, silent_us: u64) {
        if self.membership.is_member() && self.view().members.contains_key(&peer) {
            self.event(Event::Suspected { peer, reason, silent_us });
        }
        self.membership.suspect(self.shared.now, peer);
    }

    fn on_message(&mut self, from: NodeId, proto: Proto, payload: &[u8], mem: &mut dyn PageMem) {
        let outcome = match proto {
            Proto::Membership => membership::Message::parse(payload)
                .map(|message| self.membership.handle(self.shared.now, from, message)),
            Proto::Recovery => {
                self.on_recovery(from, payload, mem);
                Ok(())
            }
            Proto::Mcapi | Proto::Sdsm => self.on_binding(from, proto, payload),
        };
        self.count(outcome);
    }

    fn count(&mut self, outcome: Result<(), Malformed>) {
        if outcome.is_err() {
            self.malformed += 1;
        }
    }

    fn on_binding(&mut self, from: NodeId, proto: Proto, payload: &[u8]) -> Result<(), Malformed> {
        let r = &mut Reader::new(payload);
        let tag = Tag::parse(r)?;
        match &mut self.session {
            Some(session) if session.tag() == tag || Step::Tag.is_left_out() => {
                session.on_binding(from, proto, r.rest())
            }
            // Of a view or job that is over.
            _ => Ok(()),
        }
    }

    fn on_recovery(&mut self, from: NodeId, payload: &[u8], mem: &mut dyn PageMem) {
        let r = &mut Reader::new(payload);
        let Ok(tag) = Tag::parse(r) else {
            self.malformed += 1;
            return;
        };
        let holding = Tag { view: self.view().id, job: self.shared.job };
        if tag > holding {
            if self.early.len() < MAX_EARLY {
                self.early.push((from, tag, payload.to_vec()));
            }
        } else if (tag == holding || Step::Tag.is_left_out())
            && let Some(session) = &mut self.session
        {
            let handled = super::message::Message::parse(r)
                .map(|message| session.on_message(from, message, &mut self.shared, mem));
            self.count(handled);
        }
    }

    fn pump_membership(&mut self) -> bool {
        let mut moved = false;
        while let Some(action) = self.membership.poll() {
            moved = true;
            match action {
                membership::Action::Send(to, message) => {
                    let now = self.shared.now;
                    let asks = matches!(message, membership::Message::Join { .. });
                    if asks && !self.links.get(&to).is_some_and(Link::is_up) {
                        // It is asked when it is there.
                        continue;
                    }
                    // Straight to the link: a view must go out before anything of that view.
                    self.on_link(to, |l| l.send(now, Proto::Membership, message.emit()));
                }
                membership::Action::Install(view, gone) => self.install(&view, &gone),
                membership::Action::NoMajority { reachable, members } => {
                    let view = self.view().id;
                    self.event(Event::NoMajority { view, reachable, members });
                }
                membership::Action::Fenced(view) => self.begin_anew(view),
                membership::Action::Refused { rank, to, reason } => {
                    self.event(Event::MoveRefused { rank, to, reason });
                }
            }
        }
        moved
    }

    fn install(&mut self, view: &View, gone: &[Peer]) {
        self.event(Event::View {
            view: view.id,
            coordinator: view.coordinator(),
            members: view.members.keys().copied().collect(),
            ranks: view.ranks.clone(),
        });
        // What is still queued is of the view before.
        self.shared.frames.clear();
        self.shared.own.clear();
        self.early.retain(|(_, its, _)| its.view >= view.id);
        for Peer { node, generation } in gone {
            self.touched.insert(*node);
            let Some(link) = self.links.get_mut(node) else { continue };
            if link.close(*generation, view.id) {
                // The last word to it, the view without it, must get out first.
                while let Some(event) = link.poll() {
                    if let link::Event::Transmit(bytes) = event {
                        self.shared.out.push_back(Output::Transmit { to: *node, bytes });
                    }
                }
                self.shared.out.push_back(Output::Disconnect(*node));
            }
        }
        // Who joined was heard by all; whoever is lost since is no news of its link any more.
        let others = view.members.keys().filter(|node| **node != self.shared.config.me);
        let known = |node: &NodeId| self.membership.suspects(*node);
        let lost = |node: &NodeId| self.links.get(node).is_some_and(Link::is_suspect);
        let lost = others.filter(|node| lost(node) && !known(node));
        for node in lost.copied().collect::<Vec<_>>() {
            self.suspect(node, "it was lost before the view held".to_string(), 0);
        }
        if self.shared.job > Job(0) {
            self.begin_session();
        }
    }

    /// A view without this life was agreed, so the life ends, with its rank and its copies. The next
    /// one asks to be let in.
    fn begin_anew(&mut self, view: ViewId) {
        self.event(Event::Fenced { view });
        let now = self.shared.now;
        let generation = Generation(self.shared.config.generation.0 + 1);
        self.shared.config.generation = generation;
        self.session = None;
        self.shared.begin_anew();
        self.early.clear();
        self.ready = false;
        let others: Vec<NodeId> = self.links.keys().copied().collect();
        for node in others {
            self.on_link(node, |link| link.begin_anew(now, generation));
            if self.shared.config.medium_to(node) == Medium::Stream {
                self.shared.out.push_back(Output::Disconnect(node));
            }
        }
        let retry = self.shared.config.heartbeat.times(ELECTION_HEARTBEATS);
        self.membership = Membership::new(&self.shared.config, now, retry);
        self.event(Event::Joining { generation });
    }

    /// The coordinator: may the view change on purpose now? If ranks run, they are held first; a recovery that
    /// cannot go on needs the next view at once.
    fn consider_change(&mut self) -> bool {
        let Shared { done, job, now, .. } = self.shared;
        self.membership.set_job(if done { Job(0) } else { job });
        let running = !done && self.session.as_ref().is_some_and(Session::is_running);
        self.membership.set_running(now, running);
        let renew = core::mem::take(&mut self.shared.renew);
        if !renew && !self.membership.wants_change(now) {
            return false;
        }
        if let Some(session) = self.session.as_mut().filter(|_| !renew && !done)
            && !session.is_over()
        {
            return session.ask_to_hold(&mut self.shared);
        }
        self.membership.change(now);
        true
    }

    fn halt(&mut self, reason: alloc::string::String) {
        self.halted = true;
        self.session = None;
        self.shared.out.push_back(Output::Halt { reason });
    }

    fn check_ready(&mut self) {
        let all = self.view().members.keys().filter(|node| **node != self.shared.config.me);
        if !self.ready
            && self.membership.is_member()
            && all.clone().all(|n| self.links.get(n).is_some_and(Link::is_up))
        {
            self.ready = true;
            let view = self.view().id;
            self.event(Event::Ready { view });
        }
        if let Some(reason) = self.session.as_mut().and_then(Session::take_fatal) {
            self.halt(reason);
        }
    }
}
