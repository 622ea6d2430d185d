//! One job in one view: from the first stop to the last rank's exit, or to the next view.

use super::copying::Copies;
use super::message::{Message, Tag};
use super::policy::Pacer;
use super::rebuild::Rebuilding;
use super::restore::Restore;
use super::saving::Saving;
use super::sparing::Offer;
use super::{Call, Config, Output};
use crate::checkpoint::{self, Holdings, Inspection, Placement, Store, Transfer};
use crate::event::{Counters, Event};
use crate::id::{Epoch, Job, NodeId, PageNo, Rank, ViewId};
use crate::link::Proto;
use crate::mem::{Access, PageMem};
use crate::membership::View;
use crate::sabotage::Step;
use crate::sdsm::{self, Binding, BindingAction, Sdsm, Side};
use crate::sorted::{Map, Set};
use crate::time::Instant;
use crate::wire::{Malformed, Reader, Writer};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What outlives sessions.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) now: Instant,
    pub(super) store: Store,
    pub(super) out: VecDeque<Output>,
    /// For the links.
    pub(super) frames: VecDeque<(NodeId, Proto, Vec<u8>)>,
    /// Messages of this node to itself, and such as came early.
    pub(super) own: VecDeque<(NodeId, Vec<u8>)>,
    pub(super) job: Job,
    pub(super) done: bool,
    /// The driver has a rank.
    pub(super) rank_runs: bool,
    /// It was told to stop it.
    pub(super) stopping: bool,
    /// Who hosted the ranks when they last ran.
    pub(super) hosts: (Job, Vec<NodeId>),
    /// In which view that was, and by rank: its host, and its partners.
    pub(super) holders: (ViewId, Vec<Vec<NodeId>>),
    /// This rank of this job stands at this epoch, in memory as in the copies of it.
    pub(super) standing: Option<(Job, Rank, Epoch)>,
    /// The next view is to be agreed on though nobody is lost: all ranks are held at a checkpoint, or a
    /// recovery cannot go on from what it chose.
    pub(super) renew: bool,
    pub(super) called_at: Instant,
    /// What could not be made from parity: another time would be no better.
    pub(super) unfit: Option<(Rank, Epoch)>,
}

impl Shared {
    pub(super) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    pub(super) fn stop_rank(&mut self) {
        if self.rank_runs && !self.stopping {
            self.stopping = true;
            self.out.push_back(Output::StopRank);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Stopping,
    /// The node looks through its copies.
    Inspecting(Inspection),
    Gathering,
    Recovering(Rebuilding),
    /// A copy was found damaged: this recovery comes to nothing, and the next view begins another.
    Damaged,
    Opening,
    Recovered,
    Running,
    Over,
}

/// What only the coordinator of the view keeps.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    statuses: Map<NodeId, Holdings>,
    epoch: Epoch,
    recovered: Set<NodeId>,
    prepared: Map<NodeId, Epoch>,
    /// The ranks were asked to stay in their next checkpoint.
    pub(super) hold: bool,
    exited: Set<NodeId>,
}

#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) view: View,
    pub(super) job: Job,
    pub(super) me: NodeId,
    pub(super) rank: Option<Rank>,
    pub(super) stage: Stage,
    pub(super) binding: Binding,
    pub(super) sdsm: Option<Sdsm>,
    pub(super) saving: Option<Saving>,
    /// The rank stands at the next checkpoint already; is it held there?
    pub(super) save_next: Option<bool>,
    /// The rank left while its last checkpoint was on its way.
    pub(super) exits: bool,
    /// What partners have of this rank's pages.
    pub(super) offers: Map<NodeId, Offer>,
    pub(super) copies: Copies,
    pub(super) lead: Lead,
    /// Of the host of rank 0, where all ranks arrive.
    pub(super) pacer: Pacer,
    pub(super) fatal: Option<String>,
}

impl Session {
    /// Begins: stops the rank, if one runs.
    pub(super) fn begin(view: View, shared: &mut Shared) -> Self {
        let me = shared.config.me;
        let binding = Binding::new(shared.config.binding, me, &view);
        let rank = view.rank_of(me);
        let ranks = view.rank_count();
        let (pages, policy) = (shared.config.shared_pages, shared.config.checkpoint);
        let mut session = Self {
            rank,
            sdsm: rank.map(|rank| Sdsm::new(rank, ranks, pages, policy.barriers())),
            view,
            job: shared.job,
            me,
            stage: Stage::Stopping,
            binding,
            saving: None,
            save_next: None,
            exits: false,
            offers: Map::new(),
            copies: Copies::default(),
            pacer: Pacer::new(policy, shared.now),
            lead: Lead::default(),
            fatal: None,
        };
        shared.store.forget_incoming();
        shared.stop_rank();
        if !shared.rank_runs || Step::Standstill.is_left_out() {
            session.on_stopped(shared);
        }
        session
    }

    pub(super) fn is_running(&self) -> bool {
        self.stage == Stage::Running
    }

    pub(super) const fn tag(&self) -> Tag {
        Tag { view: self.view.id, job: self.job }
    }

    /// Why the node cannot go on, if so.
    pub(super) const fn take_fatal(&mut self) -> Option<String> {
        self.fatal.take()
    }

    /// Who keeps what in this view.
    pub(super) fn placement<'a>(&'a self, shared: &'a Shared) -> Placement<'a> {
        let (members, redundancy) = (&shared.config.members, shared.config.redundancy);
        Placement { view: &self.view, members, redundancy }
    }

    pub(super) fn send(&self, to: NodeId, message: &Message, shared: &mut Shared) {
        self.send_bytes(to, message.emit(self.tag()), shared);
    }

    /// Sends an encoded message.
    pub(super) fn send_bytes(&self, to: NodeId, bytes: Vec<u8>, shared: &mut Shared) {
        if to == self.me {
            shared.own.push_back((to, bytes));
        } else {
            shared.frames.push_back((to, Proto::Recovery, bytes));
        }
    }

    fn broadcast(&self, message: &Message, shared: &mut Shared) {
        for member in self.view.members.keys() {
            self.send(*member, message, shared);
        }
    }

    pub(super) fn tell_coordinator(&self, message: &Message, shared: &mut Shared) {
        self.send(self.view.coordinator(), message, shared);
    }

    pub(super) fn on_message(
        &mut self,
        from: NodeId,
        message: Message,
        shared: &mut Shared,
        mem: &mut dyn PageMem,
    ) {
        if !self.view.members.contains_key(&from) {
            return;
        }
        match message {
            Message::Status(holdings) => self.lead_status(from, holdings, shared),
            Message::Recovered => self.lead_recovered(from, shared),
            Message::Prepared { epoch, held } => self.lead_prepared(from, epoch, held, shared),
            Message::Hold => self.hold(),
            Message::Exited => self.lead_exited(from, shared),
            Message::Damaged => shared.renew = true,
            Message::Recover { epoch, transfers } => self.recover(epoch, &transfers, shared, mem),
            Message::Copy { target, copy } => self.on_copy(from, target, copy, shared, mem),
            Message::Copied { pages } => self.copies.confirm(from, pages),
            Message::Resume { epoch } => self.resume(epoch, shared),
            Message::Commit { epoch } => self.commit(epoch, shared, mem),
            Message::Done => self.finish(shared),
            Message::Lost { reason } => {
                shared.event(Event::JobLost { job: self.job, reason });
                self.stage = Stage::Over;
                shared.stop_rank();
            }
        }
    }

    // --- the coordinator ---------------------------------------------------------------------

    fn lead_status(&mut self, from: NodeId, holdings: Holdings, shared: &mut Shared) {
        self.lead.statuses.insert(from, holdings);
        if self.lead.statuses.len() < self.view.members.len() {
            return;
        }
        let orphans: Vec<Rank> = self.view.orphans().collect();
        let message = if self.lead.statuses.values().any(|status| status.done) {
            Message::Done
        } else if let Some(rank) = orphans.first() {
            let seats = shared.config.members.iter().any(|member| member.host.is_some());
            let and_seat = if seats { ", and no survivor with one rank only," } else { "" };
            Message::Lost { reason: format!("no standby{and_seat} is left to take over {rank}") }
        } else {
            let placement = self.placement(shared);
            match checkpoint::choose_epoch(&placement, &self.lead.statuses) {
                Err(reason) => Message::Lost { reason },
                Ok(epoch) => {
                    let mut transfers =
                        checkpoint::transfers(&placement, epoch, &self.lead.statuses);
                    if Step::Rebuild.is_left_out() {
                        transfers.retain(|one| self.view.rank_of(one.to) == Some(one.target));
                    }
                    self.lead.epoch = epoch;
                    Message::Recover { epoch, transfers }
                }
            }
        };
        self.broadcast(&message, shared);
    }

    fn lead_recovered(&mut self, from: NodeId, shared: &mut Shared) {
        self.lead.recovered.insert(from);
        if self.lead.recovered.len() == self.view.members.len() {
            self.broadcast(&Message::Resume { epoch: self.lead.epoch }, shared);
        }
    }

    fn lead_prepared(&mut self, from: NodeId, epoch: Epoch, held: bool, shared: &mut Shared) {
        self.lead.prepared.insert(from, epoch);
        if self.view.ranks.iter().all(|host| self.lead.prepared.get(host) == Some(&epoch)) {
            self.broadcast(&Message::Commit { epoch }, shared);
            shared.renew |= held;
        }
    }

    fn lead_exited(&mut self, from: NodeId, shared: &mut Shared) {
        self.lead.exited.insert(from);
        if self.view.ranks.iter().all(|host| self.lead.exited.contains(host)) {
            self.broadcast(&Message::Done, shared);
        }
    }

    // --- recovery ----------------------------------------------------------------------------

    fn recover(
        &mut self,
        epoch: Epoch,
        transfers: &[Transfer],
        shared: &mut Shared,
        mem: &mut dyn PageMem,
    ) {
        if self.stage != Stage::Gathering {
            return;
        }
        let before = &shared.hosts;
        let new_hosts = (0u16..).map(Rank).zip(&self.view.ranks);
        let taken_over = new_hosts
            .filter(|(r, host)| {
                before.0 == self.job && before.1.get(r.index()).is_some_and(|old| old != *host)
            })
            .map(|(rank, _)| rank)
            .collect();
        let (view, job) = (self.view.id, self.job);
        shared.event(Event::Recovering { view, job, epoch, taken_over });
        shared.store.settle(epoch);
        shared.store.keep(view, self.keeps(shared));
        let me = self.me;
        let restore = self.rank.map_or(Restore::Done, |_| Restore::Waiting);
        let rebuilding = Rebuilding::new(me, epoch, transfers, &shared.store, restore);
        self.stage = Stage::Recovering(rebuilding);
        for transfer in transfers.iter().filter(|transfer| transfer.from == me) {
            self.send_copy(*transfer, epoch, shared);
        }
        self.copy(shared);
        self.make_images(shared);
        self.go_on_recovering(shared, mem);
    }

    /// Who holds each rank's epochs in this view: its host, and those that its host sends them to.
    fn holders(&self, shared: &Shared) -> Vec<Vec<NodeId>> {
        let placement = self.placement(shared);
        let of = |(rank, host): (u16, &NodeId)| {
            core::iter::once(*host).chain(placement.guardians(Rank(rank))).collect()
        };
        (0u16..).zip(&self.view.ranks).map(of).collect()
    }

    /// What this node keeps in this view: images of ranks, and pieces of parity.
    fn keeps(&self, shared: &Shared) -> Set<Rank> {
        let placement = self.placement(shared);
        let ids = placement.ids().into_iter();
        ids.filter(|id| placement.holders(*id).contains(&self.me)).collect()
    }

    fn resume(&mut self, epoch: Epoch, shared: &mut Shared) {
        if self.stage != Stage::Recovered {
            return;
        }
        self.stage = Stage::Running;
        // All that was sent is there.
        self.copies.clear();
        (shared.standing, shared.unfit) = (None, None);
        self.tell_if_doubled(shared);
        self.pacer = Pacer::new(shared.config.checkpoint, shared.now);
        shared.hosts = (self.job, self.view.ranks.clone());
        shared.holders = (self.view.id, self.holders(shared));
        let keeps = self.keeps(shared);
        shared.store.retain(|rank| keeps.contains(&rank));
        shared.event(Event::Resumed { view: self.view.id, job: self.job, epoch });
        if let Some(rank) = self.rank {
            shared.rank_runs = true;
            let restored = (epoch > Epoch(0)).then_some(epoch.0);
            let ranks = self.view.rank_count();
            shared.out.push_back(Output::StartRank { rank, ranks, restored });
        }
    }

    /// A seat that gets a rank while its host has one says so: the run is degraded from now on.
    fn tell_if_doubled(&self, shared: &mut Shared) {
        let host = shared.config.members.get(self.me.index()).and_then(|member| member.host);
        if let (Some(rank), Some(on)) = (self.rank, host)
            && self.view.rank_of(on).is_some()
            && (shared.hosts.0 != self.job || shared.hosts.1.get(rank.index()) != Some(&self.me))
        {
            shared.event(Event::Doubled { rank, on });
        }
    }

    // --- the rank runs -----------------------------------------------------------------------

    pub(super) fn on_call(&mut self, call: Call, shared: &mut Shared, mem: &mut dyn PageMem) {
        if self.stage != Stage::Running {
            return;
        }
        let Some(sdsm) = &mut self.sdsm else { return };
        match (call, self.rank) {
            (Call::Exit, Some(rank)) => {
                shared.event(Event::RankExited { rank });
                self.exit(shared);
            }
            _ => {
                if self.pacer.is_due(shared.now) {
                    sdsm.want_snapshot(false);
                }
                sdsm.call(call, mem);
            }
        }
    }

    pub(super) fn on_fault(&mut self, page: PageNo, access: Access, mem: &mut dyn PageMem) {
        if self.stage == Stage::Running
            && let Some(sdsm) = &mut self.sdsm
        {
            sdsm.fault(page, access, mem);
        }
    }

    pub(super) fn on_binding(
        &mut self,
        from: NodeId,
        proto: Proto,
        payload: &[u8],
    ) -> Result<(), Malformed> {
        self.binding.handle(from, proto, payload)
    }

    fn finish(&mut self, shared: &mut Shared) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Over;
        self.saving = None;
        shared.stop_rank();
        if !shared.done {
            shared.done = true;
            let counters = self.sdsm.as_ref().map(|sdsm| *sdsm.counters()).unwrap_or_default();
            let counters = Counters { kept_bytes: shared.store.peak(), ..counters };
            shared.store.clear();
            shared.event(Event::JobDone { job: self.job, counters });
        }
    }

    /// Carries between the parts until nothing moves; true if something did.
    pub(super) fn pump(&mut self, shared: &mut Shared, mem: &mut dyn PageMem) -> bool {
        let mut moved = false;
        while let Some(action) = self.sdsm.as_mut().and_then(Sdsm::poll) {
            moved = true;
            self.on_sdsm(action, shared, mem);
        }
        while let Some(action) = self.binding.poll() {
            moved = true;
            match action {
                BindingAction::Transmit { to, proto, payload } => {
                    let mut w = Writer::with_capacity(payload.len() + 12);
                    self.tag().emit(&mut w);
                    w.bytes(&payload);
                    shared.frames.push_back((to, proto, w.into_vec()));
                }
                BindingAction::Deliver { from, side, bytes } => {
                    if let Err(error) = self.deliver(from, side, &bytes, shared, mem) {
                        self.fatal = Some(format!("{from} broke the protocol: {error}"));
                    }
                }
            }
        }
        if self.stage == Stage::Opening && self.binding.is_open() {
            moved = true;
            self.stage = Stage::Recovered;
            self.tell_coordinator(&Message::Recovered, shared);
        }
        moved
    }

    fn on_sdsm(&mut self, action: sdsm::Action, shared: &mut Shared, mem: &mut dyn PageMem) {
        match action {
            sdsm::Action::Send { to, side, bytes } => {
                let host = self.view.ranks.get(to.index()).copied().unwrap_or_default();
                self.binding.send(host, side, &bytes);
            }
            sdsm::Action::Wake => shared.out.push_back(Output::Wake),
            sdsm::Action::Passed(number) => shared.event(Event::BarrierPassed { number }),
            sdsm::Action::Complete(outcome) => shared.out.push_back(Output::Complete(outcome)),
            sdsm::Action::Snapshot { held } => self.save(held, shared, mem),
            sdsm::Action::BadAccess(page) => {
                let me = self.rank.map(|rank| rank.to_string()).unwrap_or_default();
                let hint = "no allocation covers it";
                self.fatal = Some(format!("{me} touched shared {page}, but {hint}"));
            }
        }
    }

    fn deliver(
        &mut self,
        from: NodeId,
        side: Side,
        bytes: &[u8],
        shared: &mut Shared,
        mem: &mut dyn PageMem,
    ) -> Result<(), Malformed> {
        if bytes.first().is_some_and(|kind| *kind >= checkpoint::FIRST_KIND) {
            let message = checkpoint::Message::parse(&mut Reader::new(bytes))?;
            self.on_checkpoint(from, message, shared, mem);
            return Ok(());
        }
        match (&mut self.sdsm, self.view.rank_of(from)) {
            (Some(sdsm), Some(rank)) => {
                if self.pacer.is_due(shared.now) {
                    sdsm.want_snapshot(false);
                }
                sdsm.handle(rank, side, bytes, mem)
            }
            _ => Err(Malformed { what: "addressee: no rank lives here or there", at: 0 }),
        }
    }
}
