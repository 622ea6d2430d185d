//! The network between guests: switches and the links to them, in user space and without root.
//!
//! [`Fabric`] decides what happens to each frame and when; it touches no socket and no clock.
//! [`wire::Wire`] moves the frames, in a thread of its own.

pub(crate) mod wire;

#[cfg(test)]
mod tests;

use crate::plan::Plan;
use crate::proto::PortStatus;
use netem::{Delivery, Direction, DropReason, Profile, Switch};
use runtime_core::notice;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Addresses that one switch learns.
const TABLE: usize = 4096;

/// One node's link to its switch.
#[derive(Debug)]
struct Port {
    node: String,
    /// Address of the node's card.
    card: Option<[u8; 6]>,
    gone: bool,
    switch: usize,
    /// Number of the port on its switch.
    local: usize,
    up: Direction,
    down: Direction,
    in_frames: u64,
    in_bytes: u64,
    out_frames: u64,
    out_bytes: u64,
    drops: BTreeMap<&'static str, u64>,
}

/// What is behind a port: the card of the machine, which has the port's number. A seat that is a process has
/// one of its own, at the same cable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    pub(crate) port: usize,
    pub(crate) address: Option<[u8; 6]>,
}

/// A switch and the ports on it.
#[derive(Debug)]
struct Bridge {
    name: String,
    switch: Switch,
    /// Of ports that lose their signal.
    tells: bool,
    ports: Vec<usize>,
}

/// A frame on its way; ordered by time, then by the order of sending.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at_ns: u64,
    serial: u64,
    port: usize,
    /// To the node, rather than to the switch.
    down: bool,
    frame: Vec<u8>,
}

/// All switches of a cluster with all links.
#[derive(Debug)]
pub(crate) struct Fabric {
    bridges: Vec<Bridge>,
    ports: Vec<Port>,
    cards: Vec<Card>,
    flights: BinaryHeap<Reverse<Flight>>,
    serial: u64,
}

impl Fabric {
    /// The network of a cluster; port `i` is node `i`'s.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut bridges: Vec<Bridge> = Vec::new();
        for (s, planned) in plan.switches.iter().enumerate() {
            let ports: Vec<usize> =
                (0..plan.machines()).filter(|&n| plan.nodes[n].switch == s).collect();
            let switch = Switch::new(ports.len(), TABLE);
            let (name, tells) = (planned.name.clone(), planned.port_notices);
            bridges.push(Bridge { name, switch, tells, ports });
        }
        let port = |(n, node): (usize, &crate::plan::NodePlan)| {
            let seed = plan.seed.wrapping_add(2 * n as u64);
            Port {
                node: node.name.clone(),
                card: card(&node.mac),
                gone: false,
                switch: node.switch,
                local: bridges[node.switch].ports.iter().position(|&p| p == n).unwrap_or(0),
                up: Direction::new(node.up, seed),
                down: Direction::new(node.down, seed.wrapping_add(1)),
                in_frames: 0,
                in_bytes: 0,
                out_frames: 0,
                out_bytes: 0,
                drops: BTreeMap::new(),
            }
        };
        let ports = plan.nodes[..plan.machines()].iter().enumerate().map(port).collect();
        let card = |(n, node): (usize, &crate::plan::NodePlan)| Card {
            port: plan.machine_of(n),
            address: card(&node.mac),
        };
        let cards = plan.nodes.iter().enumerate().map(card).collect();
        Self { bridges, ports, cards, flights: BinaryHeap::new(), serial: 0 }
    }

    /// The cards of all nodes; first those of the ports, in the same order.
    pub(crate) fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// A node sent a frame. `out` gets each frame that leaves at once, with its port. Perfect links
    /// copy nothing.
    pub(crate) fn enter(
        &mut self,
        now_ns: u64,
        port: usize,
        frame: &mut [u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        self.ports[port].in_frames += 1;
        self.ports[port].in_bytes += frame.len() as u64;
        let fate = self.ports[port].up.send(now_ns, frame.len());
        self.dropped(port, fate.dropped);
        for delivery in fate.deliveries {
            self.travel(now_ns, port, false, frame, delivery, out);
        }
    }

    /// Lets everything arrive that is due.
    pub(crate) fn advance(&mut self, now_ns: u64, out: &mut dyn FnMut(usize, &[u8])) {
        while self.flights.peek().is_some_and(|Reverse(f)| f.at_ns <= now_ns) {
            let Some(Reverse(mut flight)) = self.flights.pop() else { return };
            self.arrive(flight.at_ns, flight.port, flight.down, &mut flight.frame, out);
        }
    }

    /// When [`Fabric::advance`] is due next.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.flights.peek().map(|Reverse(f)| f.at_ns)
    }

    /// There is a node behind a port (again).
    pub(crate) fn plug(&mut self, port: usize) {
        self.ports[port].gone = false;
        self.ports[port].down.set_down(false);
    }

    /// The node behind a port is gone, and the port's signal with it. A switch that tells such things
    /// tells all its other ports.
    pub(crate) fn unplug(&mut self, now_ns: u64, port: usize, out: &mut dyn FnMut(usize, &[u8])) {
        let Port { switch, local, .. } = self.ports[port];
        let was_there = !core::mem::replace(&mut self.ports[port].gone, true);
        self.bridges[switch].switch.forget(local);
        self.ports[port].down.set_down(true);
        if let (true, Some(card)) = (was_there && self.bridges[switch].tells, self.ports[port].card)
        {
            let mut frame = port_notice(card);
            let others = self.bridges[switch].ports.iter().copied().filter(|other| *other != port);
            for other in others.collect::<Vec<_>>() {
                self.leave(now_ns, other, &mut frame, out);
            }
        }
    }

    /// A node's link carries nothing, either way, or everything again. The signal stays: the switch
    /// sees nothing of it.
    pub(crate) const fn cut(&mut self, port: usize, cut: bool) {
        let Port { up, down, .. } = &mut self.ports.as_mut_slice()[port];
        if cut {
            up.cut();
            down.cut();
        } else {
            up.heal();
            down.heal();
        }
    }

    /// Counts a frame that was lost outside of the links.
    pub(crate) fn count_drop(&mut self, port: usize, reason: &'static str) {
        *self.ports[port].drops.entry(reason).or_default() += 1;
    }

    /// Counters of all ports.
    pub(crate) fn status(&self) -> Vec<PortStatus> {
        let status = |p: &Port| PortStatus {
            node: p.node.clone(),
            switch: self.bridges[p.switch].name.clone(),
            open: false,
            in_frames: p.in_frames,
            in_bytes: p.in_bytes,
            out_frames: p.out_frames,
            out_bytes: p.out_bytes,
            drops: p.drops.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect(),
        };
        self.ports.iter().map(status).collect()
    }

    fn travel(
        &mut self,
        now_ns: u64,
        port: usize,
        down: bool,
        frame: &mut [u8],
        delivery: Delivery,
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        let at_ns = delivery.at_ns;
        if at_ns <= now_ns && delivery.corrupt.is_none() {
            return self.arrive(now_ns, port, down, frame, out);
        }
        let mut frame = frame.to_vec();
        if let Some(bit) = delivery.corrupt {
            Profile::corrupt_bytes(bit, &mut frame);
        }
        self.serial += 1;
        let serial = self.serial;
        self.flights.push(Reverse(Flight { at_ns, serial, port, down, frame }));
    }

    fn arrive(
        &mut self,
        now_ns: u64,
        port: usize,
        down: bool,
        frame: &mut [u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        if down {
            self.ports[port].out_frames += 1;
            self.ports[port].out_bytes += frame.len() as u64;
            return out(port, frame);
        }
        let Port { switch, local, .. } = self.ports[port];
        for leaving in self.bridges[switch].switch.forward(local, frame) {
            let port = self.bridges[switch].ports[leaving];
            self.leave(now_ns, port, frame, out);
        }
    }

    /// From the switch to a node.
    fn leave(
        &mut self,
        now_ns: u64,
        port: usize,
        frame: &mut [u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        let fate = self.ports[port].down.send(now_ns, frame.len());
        self.dropped(port, fate.dropped);
        for delivery in fate.deliveries {
            self.travel(now_ns, port, true, frame, delivery, out);
        }
    }

    fn dropped(&mut self, port: usize, reason: Option<DropReason>) {
        let reason = match reason {
            None => return,
            Some(DropReason::Loss) => "loss",
            Some(DropReason::QueueFull) => "queue full",
            Some(DropReason::Cut) => "cut",
            Some(DropReason::Down) => "node gone",
        };
        self.count_drop(port, reason);
    }
}

/// The bytes of a card's address.
fn card(mac: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        mac.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// The frame to all with which a switch says that the port of this card lost its signal.
fn port_notice(card: [u8; 6]) -> Vec<u8> {
    // Locally administered.
    const SWITCH: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];
    const SMALLEST: usize = 60;
    let mut frame = [&[0xff; 6][..], &SWITCH, &notice::ETHERTYPE.to_be_bytes()].concat();
    frame.extend(notice::port_down(card));
    frame.resize(SMALLEST, 0);
    frame
}
