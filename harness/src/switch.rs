//! The network between guests: switches, the links of nodes to them and the cables between them, in user space and
//! without root.
//!
//! [`Fabric`] decides what happens to each frame and when; it touches no socket and no clock.
//! [`wire::Wire`] moves the frames, in a thread of its own.

mod capture;
mod late;
mod line;
pub(crate) mod pcapng;
pub(crate) mod rings;
mod waking;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use crate::plan::Plan;
use crate::proto::PortStatus;
use late::Alarm;
use line::{End, Line};
use netem::{Delivery, Fate, Port, Profile, Refused, Switch, Vlan, Way};
use pcapng::Captured;
use rings::{Rings, Told};
use runtime_core::notice;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
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
    /// For the log of events, of a node's link.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Cut { up: true, down: true } => "its link is cut".to_owned(),
            Self::Cut { up: true, down: false } => "its link is cut one way: from it".to_owned(),
            Self::Cut { up: false, .. } => "its link is cut one way: to it".to_owned(),
            Self::Change(changes) => format!("its link: {}", topology::change_words(changes)),
            Self::Heal => "its link is as in the file".to_owned(),
        }
    }

    /// The same of a cable between two switches.
    pub(crate) fn cable_words(&self, ends: [&str; 2]) -> String {
        match self {
            Self::Cut { up: true, down: true } => "its link is cut".to_owned(),
            Self::Cut { up: true, down: false } => {
                format!("its link is cut one way: to {}", ends[1])
            }
            Self::Cut { up: false, .. } => format!("its link is cut one way: to {}", ends[0]),
            Self::Change(changes) => {
                format!("its link: {}", topology::cable_change_words(changes, ends))
            }
            Self::Heal => "its link is as in the file".to_owned(),
        }
    }
}

/// What is behind a port: the card of the machine, which has the port's number. A seat that is a process has
/// one of its own, at the same cable.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Card {
    pub(crate) port: usize,
    pub(crate) address: Option<[u8; 6]>,
}

/// A switch and the lines on it.
#[derive(Debug)]
struct Bridge {
    name: String,
    switch: Switch,
    /// Of ports that lose their signal.
    tells: bool,
    /// By its port numbers: which line, and which way leads from the switch over it.
    ports: Vec<(usize, Way)>,
}

/// A frame on its way; ordered by time, then by the order of sending.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flight {
    at_ns: u64,
    serial: u64,
    line: usize,
    way: Way,
    frame: Vec<u8>,
}

/// All switches of a cluster with all links and cables. A line is a node's link, and has the node's number, or a cable
/// between switches: those come after all links.
#[derive(Debug)]
pub(crate) struct Fabric {
    bridges: Vec<Bridge>,
    lines: Vec<Line>,
    cards: Vec<Card>,
    flights: BinaryHeap<Reverse<Flight>>,
    serial: u64,
    /// Frames of lines that are recorded, until somebody takes them.
    captured: Vec<Captured>,
    rings: Rings,
    /// What became of cables of rings, until somebody takes it.
    told: Vec<Told>,
    alarm: Alarm,
}

impl Fabric {
    /// The network of a cluster.
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut ports: Vec<Vec<(usize, Way, Port)>> = vec![Vec::new(); plan.switches.len()];
        let mut plug = |switch: usize, line: usize, way: Way, port: Port| {
            ports[switch].push((line, way, port));
            End::Switch { bridge: switch, port: ports[switch].len() - 1 }
        };
        let mut lines = Vec::new();
        for (n, node) in plan.nodes[..plan.machines()].iter().enumerate() {
            let end = plug(node.switch, n, Way::Down, Port::Access(node.vlan));
            let profiles = [node.up, node.down];
            let mut line = Line::new(plan, n, [End::Node, end], profiles);
            line.card = card(&node.mac);
            lines.push(line);
        }
        for cable in &plan.cables {
            let n = lines.len();
            let port = || cable.vlans.clone().map_or(Port::Trunk, Port::TrunkOf);
            let ends = [(cable.ends[0], Way::Up), (cable.ends[1], Way::Down)];
            let ends = ends.map(|(switch, way)| plug(switch, n, way, port()));
            lines.push(Line::new(plan, n, ends, [cable.up, cable.down]));
        }
        let bridge = |(ports, planned): (Vec<(usize, Way, Port)>, &topology::Switch)| {
            let (ports, kinds) = ports.into_iter().map(|(n, way, port)| ((n, way), port)).unzip();
            let switch = Switch::new(kinds, TABLE);
            Bridge { name: planned.name.clone(), switch, tells: planned.port_notices, ports }
        };
        let bridges = ports.into_iter().zip(&plan.switches).map(bridge).collect();
        let card = |(n, node): (usize, &crate::plan::NodePlan)| Card {
            port: plan.machine_of(n),
            address: card(&node.mac),
        };
        let cards = plan.nodes.iter().enumerate().map(card).collect();
        let (flights, rings) = (BinaryHeap::new(), Rings::new(plan, &lines));
        let (captured, told) = (Vec::new(), Vec::new());
        let alarm = Alarm::default();
        let mut fabric =
            Self { bridges, lines, cards, flights, serial: 0, captured, rings, told, alarm };
        fabric.set_spares();
        fabric
    }

    fn set_spares(&mut self) {
        for (n, bridge) in self.bridges.iter_mut().enumerate() {
            bridge.switch.set_spare(self.rings.spare_ports(n));
        }
    }

    /// The switches agree on other cables.
    fn settle_rings(&mut self) {
        self.told.extend(self.rings.settle(&self.lines));
        self.set_spares();
    }

    /// What became of cables of rings since this was asked last.
    pub(crate) fn take_told(&mut self) -> Vec<Told> {
        std::mem::take(&mut self.told)
    }

    /// Since this was asked last: of which line a frame was much later than any before.
    fn take_late(&mut self) -> Option<(String, late::News)> {
        let news = self.alarm.take()?;
        Some((self.lines[news.line].name.clone(), news))
    }

    /// The cards of all nodes; first those of the links, in the same order.
    pub(crate) fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// A node sent a frame. `out` gets each frame that reaches a node at once, with the node's link. Perfect links
    /// copy nothing.
    pub(crate) fn enter(
        &mut self,
        now_ns: u64,
        link: usize,
        frame: &[u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        self.send(now_ns, link, Way::Up, frame, out);
    }

    /// Lets everything arrive that is due.
    pub(crate) fn advance(&mut self, now_ns: u64, out: &mut dyn FnMut(usize, &[u8])) {
        while let Some(next) = self.next_ns().filter(|next| *next <= now_ns) {
            if self.rings.due_ns() == Some(next) {
                self.settle_rings();
            } else if let Some(Reverse(flight)) = self.flights.pop() {
                let late_ns = now_ns.saturating_sub(flight.at_ns);
                self.lines[flight.line].ways[line::index(flight.way)].late.count(late_ns);
                self.alarm.heed(flight.line, late_ns);
                self.arrive(flight.at_ns, flight.line, flight.way, &flight.frame, out);
            }
        }
    }

    /// When [`Fabric::advance`] is due next.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let flight = self.flights.peek().map(|Reverse(f)| f.at_ns);
        flight.into_iter().chain(self.rings.due_ns()).min()
    }

    /// There is a node behind a link (again).
    pub(crate) fn plug(&mut self, link: usize) {
        self.lines[link].set_gone(false);
    }

    /// The node behind a link is gone, and the signal of the switch's port with it. A switch that tells such things
    /// tells all its other ports in the VLAN, so that switches behind cables pass it on.
    pub(crate) fn unplug(&mut self, now_ns: u64, link: usize, out: &mut dyn FnMut(usize, &[u8])) {
        let was_there = self.lines[link].set_gone(true);
        let (End::Switch { bridge: at, port }, card) =
            (self.lines[link].ends[1], self.lines[link].card)
        else {
            return;
        };
        let bridge = &mut self.bridges[at];
        bridge.switch.forget(port);
        let (true, Some(card), Some(vlan)) =
            (was_there && bridge.tells, card, bridge.switch.access_vlan(port))
        else {
            return;
        };
        let notice = port_notice(card, at);
        for port in self.bridges[at].switch.others(vlan, Some(port)) {
            self.leave(now_ns, (at, port), vlan, &notice, out);
        }
    }

    /// Something is done to a line. The signal stays: the switches see nothing of it.
    pub(crate) fn act(&mut self, now_ns: u64, line: usize, action: &LinkAction) {
        self.lines[line].act(now_ns, action);
        self.rings.done_to(now_ns, line, &self.lines);
    }

    /// Counts a frame that was lost behind a node's link.
    pub(crate) fn count_drop(&mut self, link: usize, reason: &'static str) {
        self.lines[link].count_drop(Way::Down, reason);
    }

    /// All counters: of a node's link one entry, of a cable one for each of its ends.
    pub(crate) fn status(&self) -> Vec<PortStatus> {
        let name = |end: End| match end {
            End::Switch { bridge, .. } => self.bridges[bridge].name.clone(),
            End::Node => String::new(),
        };
        let of_line = |(n, line): (usize, &Line)| {
            let mut ports = line.status(line.ends.map(name));
            if self.rings.stands_by(n) {
                for port in &mut ports {
                    let more = if port.link.is_empty() { "" } else { "; " };
                    port.link = format!("stands by{more}{}", port.link);
                }
            }
            ports
        };
        self.lines.iter().enumerate().flat_map(of_line).collect()
    }

    /// Sends a frame over one way of a line.
    fn send(
        &mut self,
        now_ns: u64,
        line: usize,
        way: Way,
        frame: &[u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        let fate = self.fate(now_ns, line, way, frame);
        for delivery in fate.deliveries {
            self.travel(now_ns, (line, way), frame, delivery, out);
        }
    }

    /// What becomes of a frame that enters one way of a line.
    fn fate(&mut self, now_ns: u64, line: usize, way: Way, frame: &[u8]) -> Fate {
        let Line { ways, tapped, .. } = &mut self.lines[line];
        let direction = &mut ways[line::index(way)];
        direction.entered.count(frame);
        let index = direction.direction.index();
        let fate = direction.direction.send_frame(now_ns, frame);
        if *tapped {
            let comment = capture::comment(index, now_ns, &fate);
            let frame = frame.to_vec();
            self.captured.push(Captured { at_ns: now_ns, line, way, frame, comment });
        }
        if let Some(reason) = fate.dropped {
            self.lines[line].count_drop(way, reason.words());
        }
        fate
    }

    fn travel(
        &mut self,
        now_ns: u64,
        (line, way): (usize, Way),
        frame: &[u8],
        delivery: Delivery,
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        let at_ns = delivery.at_ns;
        if at_ns <= now_ns && delivery.corrupt.is_none() {
            return self.arrive(now_ns, line, way, frame, out);
        }
        let mut frame = frame.to_vec();
        if let Some(bit) = delivery.corrupt {
            Profile::corrupt_bytes(bit, &mut frame);
        }
        self.serial += 1;
        let serial = self.serial;
        self.flights.push(Reverse(Flight { at_ns, serial, line, way, frame }));
    }

    /// A frame is at the end of a line.
    fn arrive(
        &mut self,
        now_ns: u64,
        line: usize,
        way: Way,
        frame: &[u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        self.lines[line].ways[line::index(way)].arrived.count(frame);
        let End::Switch { bridge, port } = self.lines[line].far_end(way) else {
            return out(line, frame);
        };
        match self.bridges[bridge].switch.forward(port, frame) {
            Ok(passage) => {
                for port in &passage.ports {
                    self.leave(now_ns, (bridge, *port), passage.vlan, passage.bare(), out);
                }
            }
            Err(Refused::Vlan) => self.lines[line].count_drop(way, "foreign VLAN"),
            Err(Refused::Malformed) => self.lines[line].count_drop(way, "no frame"),
            Err(Refused::StandsBy) => self.lines[line].count_drop(way, "stands by"),
        }
    }

    /// A frame without a tag leaves a switch.
    fn leave(
        &mut self,
        now_ns: u64,
        (bridge, port): (usize, usize),
        vlan: Vlan,
        frame: &[u8],
        out: &mut dyn FnMut(usize, &[u8]),
    ) {
        let Bridge { switch, ports, .. } = &self.bridges[bridge];
        let ((line, way), frame) = (ports[port], switch.dress(port, vlan, frame));
        self.send(now_ns, line, way, &frame, out);
    }
}

/// The bytes of a card's address.
pub(crate) fn card(mac: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> =
        mac.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    bytes?.try_into().ok()
}

/// The frame to all with which a switch says that the port of this card lost its signal.
fn port_notice(card: [u8; 6], switch: usize) -> Vec<u8> {
    // Locally administered; each switch has one of its own, as others learn it.
    let switch = [0x02, 0, 0, 0, 0xfe, u8::try_from(switch).unwrap_or(u8::MAX)];
    const SMALLEST: usize = 60;
    let mut frame = [&[0xff; 6][..], &switch, &notice::ETHERTYPE.to_be_bytes()].concat();
    frame.extend(notice::port_down(card));
    frame.resize(SMALLEST, 0);
    frame
}
