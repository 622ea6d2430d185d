//! What befalls a world: deaths, new lives, pauses, moves, bad memory.

use super::*;
use runtime_core::node::machine_of;

impl<M: Machine> World<M> {
    /// The machine dies, with everything in it: a seat as well.
    pub fn kill(&mut self, dead: NodeId) {
        self.on_machine(dead).into_iter().for_each(|node| self.kill_one(node));
    }

    /// A node and its seat.
    pub(super) fn on_machine(&self, node: NodeId) -> Vec<NodeId> {
        let members = self.config.nodes.first().map_or(&[][..], |config| &config.members);
        self.nodes().filter(|n| *n == node || machine_of(members, *n) == node).collect()
    }

    fn kill_one(&mut self, dead: NodeId) {
        let members = self.config.nodes.first().map_or(&[][..], |config| &config.members);
        // A switch knows the cards of machines, not who is on them.
        let has_card = machine_of(members, dead) == dead;
        let Some(place) = self.places.get_mut(dead.index()) else { return };
        if !core::mem::take(&mut place.alive) {
            return;
        }
        self.places[dead.index()].paused = None;
        self.lose_frames_of(dead);
        for i in 0..self.places.len() {
            let node = NodeId(u16::try_from(i).unwrap_or_default());
            self.ends(dead, node);
            if !self.config.death_is_seen || !self.places[i].alive {
                continue;
            }
            // A connection closes; of a card on a network, the switch tells.
            match self.medium(node, dead) {
                Medium::Stream => self.closes(node, dead),
                Medium::Datagram if has_card => {
                    let at = self.now + self.rng.below(NOTICE_NS);
                    self.plan(at, Happening::PortDown { node, peer: dead });
                }
                Medium::Datagram => {}
            }
        }
    }

    /// A dead node's machine starts again, with nothing in its memory, in this life; its seat as well.
    pub fn restart(&mut self, node: NodeId, generation: Generation) {
        self.on_machine(node).into_iter().for_each(|node| self.restart_one(node, generation));
    }

    fn restart_one(&mut self, node: NodeId, generation: Generation) {
        let (now, index) = (self.now, node.index());
        let Some(place) = self.places.get_mut(index).filter(|place| !place.alive) else { return };
        let config = Config { generation, ..self.config.nodes[index].clone() };
        place.node = Node::new(config, Instant(now));
        place.machine.stop();
        (place.alive, place.tick_at, place.done) = (true, None, false);
        (place.rank_runs, place.no_majority) = (false, None);
        place.life += 1;
        let others = (0u16..).map(NodeId).take(self.places.len());
        others.filter(|other| *other != node).for_each(|other| self.connect(node, other));
        self.plan(now, Happening::Start { node, job: self.job });
        self.plan_tick(node);
    }

    /// A machine stands still, as one that is stopped: what happens to it waits.
    pub fn pause(&mut self, node: NodeId) {
        for node in self.on_machine(node) {
            if let Some(place) = self.places.get_mut(node.index()).filter(|place| place.alive) {
                place.paused.get_or_insert_default();
            }
        }
    }

    /// It goes on, and finds all that happened to it meanwhile, the time last.
    pub fn wake(&mut self, node: NodeId) {
        self.on_machine(node).into_iter().for_each(|node| self.wake_one(node));
    }

    fn wake_one(&mut self, node: NodeId) {
        let backlog = self.places.get_mut(node.index()).and_then(|place| place.paused.take());
        let Some(backlog) = backlog else { return };
        let is_tick = |happening: &Happening| matches!(happening, Happening::Tick { .. });
        let (ticks, others): (Vec<_>, Vec<_>) = backlog.into_iter().partition(is_tick);
        if !ticks.is_empty() {
            self.places[node.index()].tick_at = Some(self.now);
        }
        others.into_iter().chain(ticks).for_each(|happening| self.plan(self.now, happening));
        self.connect_again();
    }

    /// All nodes are told that a rank is to move.
    pub fn migrate(&mut self, rank: Rank, to: NodeId) {
        for i in 0..self.places.len() {
            if self.places[i].alive {
                let node = NodeId(u16::try_from(i).unwrap_or_default());
                self.handle(node, &Input::Migrate { rank, to });
            }
        }
    }

    /// All nodes, dead ones too.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + Clone + use<M> {
        let count = u16::try_from(self.places.len()).unwrap_or(u16::MAX);
        (0..count).map(NodeId)
    }

    /// Are two nodes joined by a stream?
    pub fn is_stream(&self, from: NodeId, to: NodeId) -> bool {
        self.medium(from, to) == Medium::Stream
    }

    /// The node, to be looked at.
    pub fn node(&self, node: NodeId) -> &Node {
        &self.places[node.index()].node
    }

    /// A node's copy of a rank goes bad in its memory.
    pub fn damage(&mut self, node: NodeId, rank: Rank) {
        self.handle(node, &Input::Damage(rank));
    }

    /// To some of its peers, what the dead machine sent last never left it: a word to all may have
    /// reached only some.
    fn lose_frames_of(&mut self, dead: NodeId) {
        let nodes = self.places.len();
        let cuts: Vec<Option<u64>> = (0..nodes)
            .map(|_| self.rng.chance(50).then(|| self.now + self.rng.below(LAST_WORDS_NS)))
            .collect();
        self.agenda.retain(|(at, _), happening| match happening {
            Happening::Frame { from, to, .. } if *from == dead => {
                cuts.get(to.index()).copied().flatten().is_none_or(|cut| *at < cut)
            }
            _ => true,
        });
    }
}
