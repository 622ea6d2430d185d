//! What is between the nodes: connections that close and are made again, datagrams, cuts.

use super::{Happening, NOTICE_NS, World};
use crate::machine::Machine;
use netem::Profile;
use runtime_core::id::NodeId;
use runtime_core::node::Medium;
use std::collections::{BTreeMap, BTreeSet};

/// A connection that closed is tried again after this.
const REDIAL_NS: u64 = 1_000_000;

/// A frame, and the connection that it was sent on.
type Kept = (u64, Vec<u8>);

/// Each pair of nodes has one connection at a time, with a number of its own. Of datagrams there is one
/// forever.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    last: u64,
    /// As the first sees the one to the second: the newest that opened, and the newest that ended.
    open: BTreeMap<(NodeId, NodeId), u64>,
    ended: BTreeMap<(NodeId, NodeId), u64>,
    /// The newest of each pair.
    newest: BTreeMap<(NodeId, NodeId), u64>,
    /// Pairs that could not connect, until something is better.
    waiting: BTreeSet<(NodeId, NodeId)>,
    /// What was sent on connections that carry nothing just now: it is sent again later.
    kept: BTreeMap<(NodeId, NodeId), Vec<Kept>>,
}

impl Connections {
    /// Does the first still have this one to the second, or will it?
    pub(super) fn carries(&self, node: NodeId, peer: NodeId, connection: u64) -> bool {
        self.ended.get(&(node, peer)).is_none_or(|ended| *ended < connection)
    }

    pub(super) fn opened(&mut self, node: NodeId, peer: NodeId, connection: u64) -> bool {
        let newer = self.carries(node, peer, connection);
        if newer {
            // In place of an older one, which it may not have known to be closed.
            if let Some(old) = self.open.insert((node, peer), connection)
                && old < connection
            {
                let ended = self.ended.entry((node, peer)).or_default();
                *ended = old.max(*ended);
            }
        }
        newer
    }

    pub(super) fn closed(&mut self, node: NodeId, peer: NodeId, connection: u64) -> bool {
        let had = self.carries(node, peer, connection);
        if had {
            self.ended.insert((node, peer), connection);
        }
        had
    }

    /// The one that the first sends to the second on.
    fn of(&self, node: NodeId, peer: NodeId) -> Option<u64> {
        let open = *self.open.get(&(node, peer))?;
        self.carries(node, peer, open).then_some(open)
    }
}

impl<M: Machine> World<M> {
    /// The way from one node to another is cut. What is sent over a connection meanwhile is kept, and comes
    /// when the way is whole again; with `seen`, both find their connection closed, and make a new one then.
    pub fn cut(&mut self, from: NodeId, to: NodeId, seen: bool) {
        if let Some(wire) = self.wires.get_mut(&(from, to)) {
            wire.cut();
        }
        let stream = self.medium(from, to) == Medium::Stream;
        let kept = self.connections.kept.entry((from, to)).or_default();
        self.agenda.retain(|_, happening| match happening {
            Happening::Frame { from: f, to: t, connection, bytes } if (*f, *t) == (from, to) => {
                if stream {
                    kept.push((*connection, core::mem::take(bytes)));
                }
                false
            }
            _ => true,
        });
        if seen {
            self.closes(from, to);
            self.closes(to, from);
            self.connect(from, to);
        }
    }

    /// The way from one node to another is whole again.
    pub fn heal(&mut self, from: NodeId, to: NodeId) {
        let Some(wire) = self.wires.get_mut(&(from, to)).filter(|wire| wire.is_cut()) else {
            return;
        };
        wire.heal();
        for (connection, bytes) in self.connections.kept.remove(&(from, to)).unwrap_or_default() {
            self.carry(from, to, connection, &bytes);
        }
        self.connect_again();
    }

    /// Nothing passes any more from a machine to all others, or to it, or both, and nobody is told.
    pub fn isolate(&mut self, node: NodeId, from: bool, to: bool) {
        for (node, other) in self.off_machine(node) {
            if from {
                self.cut(node, other, false);
            }
            if to {
                self.cut(other, node, false);
            }
        }
    }

    /// What is on a machine, each with all that is on others.
    fn off_machine(&self, node: NodeId) -> Vec<(NodeId, NodeId)> {
        let here = self.on_machine(node);
        let others = self.nodes().filter(|other| !here.contains(other));
        others.flat_map(|other| here.iter().map(move |node| (*node, other))).collect()
    }

    /// Everything passes again.
    pub fn rejoin(&mut self, node: NodeId) {
        for (node, other) in self.off_machine(node) {
            self.heal(node, other);
            self.heal(other, node);
        }
    }

    /// What carries frames between two nodes.
    pub(super) fn medium(&self, from: NodeId, to: NodeId) -> Medium {
        self.config.nodes.get(from.index()).map_or(Medium::Datagram, |node| node.medium_to(to))
    }

    /// A dead node has no connection.
    pub(super) fn ends(&mut self, dead: NodeId, peer: NodeId) {
        if let Some(newest) = self.connections.newest.get(&(dead.min(peer), dead.max(peer))) {
            let newest = *newest;
            self.connections.closed(dead, peer, newest);
        }
    }

    /// The first finds its connection to the second closed, soon.
    pub(super) fn closes(&mut self, node: NodeId, peer: NodeId) {
        if let Some(connection) = self.connections.of(node, peer) {
            let at = self.now + self.rng.below(NOTICE_NS);
            self.plan(at, Happening::TransportDown { node, peer, connection });
        }
    }

    /// The first closes its connection to the second; they make a new one, if both are there.
    pub(super) fn disconnect(&mut self, node: NodeId, peer: NodeId) {
        if self.medium(node, peer) == Medium::Datagram {
            return;
        }
        if let Some(connection) = self.connections.of(node, peer) {
            self.connections.closed(node, peer, connection);
            self.closes(peer, node);
            self.connect(node, peer);
        }
    }

    /// The two connect, soon, or as soon as they can.
    pub(super) fn connect(&mut self, node: NodeId, peer: NodeId) {
        let first = !self.connections.open.contains_key(&(node, peer));
        let soon = if first { 0 } else { REDIAL_NS };
        self.plan(self.now + soon, Happening::Connect { node, peer });
    }

    pub(super) fn connect_again(&mut self) {
        for (node, peer) in core::mem::take(&mut self.connections.waiting) {
            self.connect(node, peer);
        }
    }

    pub(super) fn try_to_connect(&mut self, node: NodeId, peer: NodeId) {
        let ready = |n: NodeId| {
            let place = &self.places[n.index()];
            (place.alive, place.paused.is_none())
        };
        let whole = |a: NodeId, b: NodeId| !self.wires.get(&(a, b)).is_some_and(|w| w.is_cut());
        let (a, b) = (ready(node), ready(peer));
        if !a.0 || !b.0 {
            // Who starts again connects to all.
            return;
        }
        if !(a.1 && b.1 && whole(node, peer) && whole(peer, node)) {
            self.connections.waiting.insert((node, peer));
            return;
        }
        let newest = self.connections.newest.get(&(node.min(peer), node.max(peer)));
        let goes_on = |c: &u64| {
            self.connections.carries(node, peer, *c) && self.connections.carries(peer, node, *c)
        };
        if newest.is_some_and(goes_on) {
            return;
        }
        self.connections.last += 1;
        let connection = self.connections.last;
        self.connections.newest.insert((node.min(peer), node.max(peer)), connection);
        // Nothing comes over a connection before both know of it.
        let stream = self.medium(node, peer) == Medium::Stream;
        let both = self.rng.below(100_000);
        for (node, peer) in [(node, peer), (peer, node)] {
            let at = self.now + if stream { both } else { self.rng.below(100_000) };
            self.plan(at, Happening::TransportUp { node, peer, connection });
        }
    }

    pub(super) fn transmit(&mut self, from: NodeId, to: NodeId, bytes: &[u8]) {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.note([u64::from(from.0), u64::from(to.0), length]);
        self.places[from.index()].traces += 1;
        let Some(connection) = self.connections.of(from, to) else { return };
        let stream = self.medium(from, to) == Medium::Stream;
        if stream && self.wires.get(&(from, to)).is_some_and(|wire| wire.is_cut()) {
            let kept = self.connections.kept.entry((from, to)).or_default();
            kept.push((connection, bytes.to_vec()));
            return;
        }
        self.carry(from, to, connection, bytes);
    }

    fn carry(&mut self, from: NodeId, to: NodeId, connection: u64, bytes: &[u8]) {
        let stream = self.medium(from, to) == Medium::Stream;
        let Some(wire) = self.wires.get_mut(&(from, to)) else { return };
        let fate = wire.send(self.now, bytes.len());
        debug_assert!(
            !stream || wire.is_cut() || fate.deliveries.len() == 1,
            "a stream loses and repeats nothing"
        );
        for delivery in fate.deliveries {
            let mut bytes = bytes.to_vec();
            if let Some(bit) = delivery.corrupt {
                Profile::corrupt_bytes(bit, &mut bytes);
            }
            self.plan(delivery.at_ns, Happening::Frame { from, to, connection, bytes });
        }
    }
}
