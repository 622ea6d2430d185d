//! The network between guests: switches and the links to them, in user space and without root.
//!
//! [`Fabric`] decides what happens to each frame and when; it touches no socket and no clock.
//! [`wire::Wire`] moves the frames, in a thread of its own.

mod capture;
pub(crate) mod pcapng;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use crate::plan::Plan;
use crate::proto::PortStatus;
use netem::{Delivery, Direction, Fate, Profile, Switch, Way};
use pcapng::Captured;
use runtime_core::notice;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use topology::Changes;

/// Addresses that one switch learns.
const TABLE: usize = 4096;

/// What may be done to a link.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LinkAction {
    /// Nothing passes these ways any more. A way that is cut stays so.
    Cut { up: bool, down: bool },
    /// Some values change: up, and down.
    Change(Changes),
    /// Everything is as in the file again.
    Heal,
}

impl LinkAction {
    /// For the log of events.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Cut { up: true, down: true } => "its link is cut".to_owned(),
            Self::Cut { up: true, down: false } => "its link is cut one way: from it".to_owned(),
            Self::Cut { up: false, .. } => "its link is cut one way: to it".to_owned(),
            Self::Change(changes) => format!("its link: {}", topology::change_words(changes)),
            Self::Heal => "its link is as in the file".to_owned(),
        }
    }
}

/// One node's link to its switch.
#[derive(Debug)]
struct Port {
    node: String,
    /// The link as the file has it: up, and down.
    file: [Profile; 2],
    /// Its frames are recorded.
    tapped: bool,
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
    /// Frames of links that are recorded, until somebody takes them.
    captured: Vec<Captured>,
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
            let way =
                |profile, way| Direction::of_link(profile, plan.seed, &plan.link_name(n), way);
            Port {
                node: node.name.clone(),
                file: [node.up, node.down],
                tapped: false,
                card: card(&node.mac),
                gone: false,
                switch: node.switch,
                local: bridges[node.switch].ports.iter().position(|&p| p == n).unwrap_or(0),
                up: way(node.up, Way::Up),
                down: way(node.down, Way::Down),
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
        Self { bridges, ports, cards, flights: BinaryHeap::new(), serial: 0, captured: Vec::new() }
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
        let fate = self.send(now_ns, port, Way::Up, frame);
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

    /// Something is done to a node's link. The signal stays: the switch sees nothing of it.
    pub(crate) fn act(&mut self, now_ns: u64, port: usize, action: &LinkAction) {
        let Port { up, down, file, .. } = &mut self.ports[port];
        match action {
            LinkAction::Cut { up: cut_up, down: cut_down } => {
                for (way, _) in [(up, cut_up), (down, cut_down)].into_iter().filter(|(_, c)| **c) {
                    way.cut();
                }
            }
            LinkAction::Change(changes) => {
                for (way, change) in [up, down].into_iter().zip(changes.iter()) {
                    way.set_profile(change.of(*way.profile(), now_ns));
                }
            }
            LinkAction::Heal => {
                for (way, file) in [up, down].into_iter().zip(*file) {
                    way.heal();
                    way.set_profile(file);
                }
            }
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
            link: p.words(),
            pcap: None,
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
        let fate = self.send(now_ns, port, Way::Down, frame);
        for delivery in fate.deliveries {
            self.travel(now_ns, port, true, frame, delivery, out);
        }
    }

    /// Sends a frame over one way of a link.
    fn send(&mut self, now_ns: u64, port: usize, way: Way, frame: &[u8]) -> Fate {
        let Port { up, down, tapped, .. } = &mut self.ports[port];
        let direction = if way == Way::Up { up } else { down };
        let index = direction.index();
        let fate = direction.send_frame(now_ns, frame);
        if *tapped {
            let comment = capture::comment(index, now_ns, &fate);
            let frame = frame.to_vec();
            self.captured.push(Captured { at_ns: now_ns, port, way, frame, comment });
        }
        if let Some(reason) = fate.dropped {
            self.count_drop(port, reason.words());
        }
        fate
    }
}

impl Port {
    /// What the link does to frames, in words; none if it is perfect.
    fn words(&self) -> String {
        let cut = match (self.up.is_cut(), self.down.is_cut()) {
            (false, false) => "",
            (true, true) => "cut",
            (true, false) => "cut from the node",
            (false, true) => "cut to the node",
        };
        let others = topology::profile_words(self.up.profile(), self.down.profile());
        let both = [cut, &others].into_iter().filter(|words| !words.is_empty());
        both.collect::<Vec<_>>().join("; ")
    }
}

/// The bytes of a card's address.
pub(crate) fn card(mac: &str) -> Option<[u8; 6]> {
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
