//! Checkpoint commit and recovery, with the real [`Store`], [`choose_epoch`], [`partners`] and [`transfers`] of each
//! node. What the nodes say to each other about it is told here as the session tells it, in any order between
//! links, with deaths at any point.
//!
//! Always: a recovery goes to no epoch below one that a rank went on from; a rank that is restored finds exactly
//! that epoch; and while no more nodes die than each rank has copies, the epoch is there.

use super::Model;
use runtime_core::checkpoint::{
    Holdings, Placement, Redundancy, SealedPage, Store, Transfer, choose_epoch, partners, transfers,
};
use runtime_core::id::{Epoch, Generation, NodeId, PageNo, Rank, ViewId};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::membership::View;
use runtime_core::node::{Image, Member, Role};
use runtime_core::sorted::{Map, Set};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};

/// What nodes say to each other, in one view.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Message {
    /// A rank's page towards an epoch, and the word that it was the only one.
    Stage(Rank, Epoch),
    /// The partner has it.
    Staged(Rank, Epoch),
    /// To the coordinator: it is at all partners.
    Prepared(Rank, Epoch),
    /// To all.
    Commit(Epoch),
    /// To all: go to this epoch, and send these copies.
    Recover(Epoch, Vec<Transfer>),
    /// A whole copy of a rank, with the page that it has.
    Copy(Rank, Epoch, u8),
    /// To the coordinator: this node has all that it should have.
    Recovered,
    /// To all: ranks run.
    Resume,
}

#[derive(Clone, Debug)]
struct Place {
    store: Store,
    alive: bool,
    running: bool,
    /// A checkpoint on its way, and partners that have not answered.
    saving: Option<(Epoch, BTreeSet<NodeId>)>,
    /// A recovery on its way, and copies that have not come.
    missing: Option<(Epoch, BTreeSet<Rank>)>,
    /// As coordinator.
    prepared: BTreeMap<Rank, Epoch>,
    recovered: BTreeSet<NodeId>,
}

/// Nodes with their stores, and what is under way between them.
#[derive(Clone, Debug)]
pub struct Cluster {
    places: Vec<Place>,
    members: Vec<Member>,
    replicas: usize,
    view: View,
    wires: BTreeMap<(NodeId, NodeId), VecDeque<Message>>,
    /// The highest epoch from which some rank went on.
    went_on: Epoch,
    /// Died since ranks last ran everywhere.
    died: usize,
    deaths: u8,
    epochs: u64,
}

/// What may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A rank comes to its next checkpoint.
    Save(NodeId),
    /// The next message between two arrives.
    Deliver(NodeId, NodeId),
    /// A node dies; all learn it in the same moment, and go on to the next view.
    Die(NodeId),
}

fn page(rank: Rank, epoch: Epoch) -> u8 {
    u8::try_from(epoch.0 * 16 + u64::from(rank.0)).unwrap_or(u8::MAX)
}

fn sealed(value: u8) -> SealedPage {
    SealedPage::new(Box::new([value; PAGE_SIZE]))
}

fn number(rank: Rank) -> PageNo {
    PageNo(rank.0.into())
}

impl Cluster {
    /// So many ranks and standbys, copies of each rank, deaths and epochs.
    #[must_use]
    pub fn new(compute: u16, standby: u16, replicas: usize, deaths: u8, epochs: u64) -> Self {
        let roles = (0..compute).map(|_| Role::Compute).chain((0..standby).map(|_| Role::Standby));
        let member = |role| Member { role, board: 0, image: Image::Linux, host: None };
        let members: Vec<Member> = roles.map(member).collect();
        let nodes = 0..compute + standby;
        let place = |_| Place {
            store: Store::default(),
            alive: true,
            running: true,
            saving: None,
            missing: None,
            prepared: BTreeMap::new(),
            recovered: BTreeSet::new(),
        };
        let mut cluster = Self {
            places: nodes.clone().map(place).collect(),
            replicas,
            view: View {
                id: ViewId(1),
                members: nodes.map(|node| (NodeId(node), Generation(1))).collect(),
                ranks: (0..compute).map(NodeId).collect(),
            },
            wires: BTreeMap::new(),
            went_on: Epoch(0),
            died: 0,
            deaths,
            epochs,
            members,
        };
        cluster.nodes().into_iter().for_each(|node| cluster.keep(node));
        cluster
    }

    fn nodes(&self) -> Vec<NodeId> {
        self.view.members.keys().copied().collect()
    }

    fn partners(&self, rank: Rank) -> Vec<NodeId> {
        partners(&self.view, rank, &self.members, self.replicas)
    }

    fn place(&mut self, node: NodeId) -> &mut Place {
        &mut self.places[node.index()]
    }

    fn kept(&self, node: NodeId) -> Set<Rank> {
        let mine = |rank: &Rank| {
            self.view.ranks[rank.index()] == node || self.partners(*rank).contains(&node)
        };
        (0..self.view.rank_count()).map(Rank).filter(mine).collect()
    }

    fn keep(&mut self, node: NodeId) {
        let (view, ranks) = (self.view.id, self.kept(node));
        self.place(node).store.keep(view, ranks);
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) -> Result<(), String> {
        if from == to {
            return self.take(from, to, message);
        }
        self.wires.entry((from, to)).or_default().push_back(message);
        Ok(())
    }

    fn broadcast(&mut self, from: NodeId, message: &Message) -> Result<(), String> {
        self.nodes().into_iter().try_for_each(|to| self.send(from, to, message.clone()))
    }

    fn save(&mut self, node: NodeId) -> Result<(), String> {
        let Some(rank) = self.view.rank_of(node) else { return Ok(()) };
        let partners = self.partners(rank);
        let place = self.place(node);
        let epoch = place.store.committed().next();
        place.store.stage(rank, epoch, number(rank), sealed(page(rank, epoch)));
        place.store.stage_done(rank, epoch, 1);
        place.saving = Some((epoch, partners.iter().copied().collect()));
        for partner in partners {
            self.send(node, partner, Message::Stage(rank, epoch))?;
        }
        self.check_replicated(node, rank)
    }

    fn check_replicated(&mut self, node: NodeId, rank: Rank) -> Result<(), String> {
        let coordinator = self.view.coordinator();
        match &self.place(node).saving {
            Some((epoch, partners)) if partners.is_empty() => {
                let epoch = *epoch;
                self.send(node, coordinator, Message::Prepared(rank, epoch))
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, from: NodeId, to: NodeId, message: Message) -> Result<(), String> {
        match message {
            Message::Stage(rank, epoch) => {
                let store = &mut self.place(to).store;
                store.stage(rank, epoch, number(rank), sealed(page(rank, epoch)));
                if store.stage_done(rank, epoch, 1) {
                    return self.send(to, from, Message::Staged(rank, epoch));
                }
            }
            Message::Staged(rank, epoch) => {
                if let Some((saving, partners)) = &mut self.place(to).saving
                    && *saving == epoch
                {
                    partners.remove(&from);
                    return self.check_replicated(to, rank);
                }
            }
            Message::Prepared(rank, epoch) => {
                let ranks = self.view.rank_count();
                let prepared = &mut self.place(to).prepared;
                prepared.insert(rank, epoch);
                if (0..ranks).all(|r| prepared.get(&Rank(r)) == Some(&epoch)) {
                    return self.broadcast(to, &Message::Commit(epoch));
                }
            }
            Message::Commit(epoch) => {
                let place = self.place(to);
                place.store.commit(epoch);
                if place.saving.take_if(|(saving, _)| *saving == epoch).is_some() {
                    self.went_on = self.went_on.max(epoch);
                }
            }
            Message::Recover(epoch, list) => return self.recover(to, epoch, &list),
            Message::Copy(rank, epoch, value) => {
                let place = self.place(to);
                place.store.receive(rank, epoch, number(rank), sealed(value));
                place.store.receive_done(rank, epoch, 1);
                if let Some((_, missing)) = &mut place.missing
                    && missing.remove(&rank)
                {
                    return self.check_recovered(to);
                }
            }
            Message::Recovered => {
                let members = self.view.members.len();
                let place = self.place(to);
                place.recovered.insert(from);
                if place.recovered.len() == members {
                    return self.broadcast(to, &Message::Resume);
                }
            }
            Message::Resume => {
                let ranks = self.kept(to);
                let place = self.place(to);
                place.running = true;
                place.store.retain(|rank| ranks.contains(&rank));
                let all = self.nodes().into_iter().all(|node| self.places[node.index()].running);
                if all {
                    self.died = 0;
                }
            }
        }
        Ok(())
    }

    /// All stand still at once; the coordinator of the view without the dead hears what everybody holds.
    fn die(&mut self, dead: NodeId) -> Result<(), String> {
        self.deaths -= 1;
        self.died += 1;
        let holders = |cluster: &Self| -> Vec<Vec<NodeId>> {
            let ranks = (0u16..).map(Rank).zip(&cluster.view.ranks);
            ranks.map(|(r, host)| [vec![*host], cluster.partners(r)].concat()).collect()
        };
        let before = holders(self);
        self.place(dead).alive = false;
        let redundancy = Redundancy::Copies(u8::try_from(self.replicas).unwrap_or(u8::MAX));
        self.view = self.view.without(&[dead].into_iter().collect(), &self.members, redundancy);
        let (view, members) = (self.view.clone(), self.members.clone());
        let placement = Placement { view: &view, members: &members, redundancy };
        self.wires.clear();
        for node in self.nodes() {
            let place = self.place(node);
            place.store.forget_incoming();
            (place.running, place.saving, place.missing) = (false, None, None);
            place.prepared.clear();
            place.recovered.clear();
        }
        if self.view.orphans().next().is_some() {
            return Ok(());
        }
        let holdings: Map<NodeId, Holdings> = self
            .nodes()
            .into_iter()
            .map(|n| (n, self.places[n.index()].store.holdings()))
            .map(|(n, holdings)| (n, Holdings { holders: before.clone(), ..holdings }))
            .collect();
        match choose_epoch(&placement, &holdings) {
            Ok(epoch) if epoch < self.went_on => {
                Err(format!("goes back to {epoch}, and a rank went on from {}", self.went_on))
            }
            Ok(epoch) => {
                let coordinator = self.view.coordinator();
                let list = transfers(&placement, epoch, &holdings);
                self.broadcast(coordinator, &Message::Recover(epoch, list))
            }
            Err(reason) if self.died <= self.replicas => {
                Err(format!("{} died, with {} copies: {reason}", self.died, self.replicas))
            }
            Err(_) => {
                self.deaths = 0;
                Ok(())
            }
        }
    }

    fn recover(&mut self, node: NodeId, epoch: Epoch, list: &[Transfer]) -> Result<(), String> {
        self.place(node).store.settle(epoch);
        self.keep(node);
        for Transfer { rank, to, .. } in list.iter().filter(|one| one.from == node) {
            let image = self.places[node.index()].store.image(*rank);
            let found = image.and_then(|image| image.pages.get(&number(*rank)));
            let Some(value) = found.map(|page| page.bytes()[0]) else {
                return Err(format!("{node} is to send {rank} at {epoch} and has it not"));
            };
            self.send(node, *to, Message::Copy(*rank, epoch, value))?;
        }
        let place = self.place(node);
        let here = place.store.holdings().whole;
        let mine = list.iter().filter(|one| one.to == node && !here.contains(&(one.rank, epoch)));
        place.missing = Some((epoch, mine.map(|one| one.rank).collect()));
        self.check_recovered(node)
    }

    fn check_recovered(&mut self, node: NodeId) -> Result<(), String> {
        let coordinator = self.view.coordinator();
        let rank = self.view.rank_of(node);
        let place = self.place(node);
        let Some((epoch, missing)) = &place.missing else { return Ok(()) };
        if !missing.is_empty() {
            return Ok(());
        }
        let epoch = *epoch;
        place.missing = None;
        if let Some(rank) = rank.filter(|_| epoch > Epoch(0)) {
            let image = place.store.image(rank);
            let found = image.and_then(|image| image.pages.get(&number(rank)));
            if found.map(|found| found.bytes()[0]) != Some(page(rank, epoch)) {
                return Err(format!("{rank} is restored on {node} to what {epoch} was not"));
            }
        }
        self.send(node, coordinator, Message::Recovered)
    }
}

impl Hash for Cluster {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Stores say what they hold, with the checksum of each page.
        format!("{:?} {:?}", self.places, self.wires).hash(state);
        (self.view.id, &self.view.ranks, self.went_on, self.died, self.deaths).hash(state);
        self.view.members.hash(state);
    }
}

impl Model for Cluster {
    type Action = Event;

    fn actions(&self) -> Vec<Event> {
        let mut all: Vec<Event> =
            self.wires.keys().map(|(from, to)| Event::Deliver(*from, *to)).collect();
        for node in self.nodes() {
            let place = &self.places[node.index()];
            // A rank begins its next checkpoint only when all have passed the last: they begin with a barrier.
            let passed = place.running && place.saving.is_none();
            let together = self.view.ranks.iter().all(|host| {
                let other = &self.places[host.index()];
                let at = other
                    .saving
                    .as_ref()
                    .map_or(other.store.committed(), |(epoch, _)| Epoch(epoch.0 - 1));
                other.running && at >= place.store.committed()
            });
            let more = place.store.committed().0 < self.epochs;
            if self.view.rank_of(node).is_some() && passed && together && more {
                all.push(Event::Save(node));
            }
            if self.deaths > 0 {
                all.push(Event::Die(node));
            }
        }
        all
    }

    fn happen(&mut self, action: &Event) -> Result<(), String> {
        match *action {
            Event::Save(node) => self.save(node),
            Event::Deliver(from, to) => {
                let message = self.wires.get_mut(&(from, to)).and_then(VecDeque::pop_front);
                self.wires.retain(|_, queue| !queue.is_empty());
                message.map_or(Ok(()), |message| self.take(from, to, message))
            }
            Event::Die(node) => self.die(node),
        }
    }

    /// All epochs are reached, if ranks run at all.
    fn settles(&self) -> Result<(), String> {
        let mut end = self.clone();
        end.deaths = 0;
        for _ in 0..1_000 {
            let Some(action) = end.actions().into_iter().next() else { break };
            end.happen(&action)?;
        }
        let hosts = end.view.ranks.iter();
        let running = hosts.clone().all(|host| end.places[host.index()].running);
        let refused = end.died > end.replicas || end.view.orphans().next().is_some();
        let reached = hosts
            .clone()
            .all(|host| end.places[host.index()].store.committed() == Epoch(end.epochs));
        if refused || (running && reached) { Ok(()) } else { Err("it stands still".into()) }
    }
}
