//! A learning Ethernet switch with VLANs: on which ports does a frame leave?

use crate::vlan::{self, DEFAULT_VLAN, Vlan};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

type Mac = [u8; 6];

/// What passed a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames that left on the one port where the receiver was seen.
    pub unicast: u64,
    /// Frames for an unknown receiver, to all ports of the VLAN.
    pub flooded: u64,
    /// Broadcast and multicast frames, to all ports of the VLAN.
    pub multicast: u64,
    /// Frames whose receiver is on the port they came from.
    pub filtered: u64,
    /// See [`Refused::Malformed`].
    pub malformed: u64,
    /// See [`Refused::Vlan`].
    pub foreign: u64,
    /// Addresses that were seen but not learned, for the table is full.
    pub table_full: u64,
    /// Addresses that moved to another port.
    pub moved: u64,
}

/// How a port takes part in VLANs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// In one VLAN. Frames carry no tag here. One that comes with the tag of this very VLAN, or with one that names
    /// none (number 0), loses it and is taken; one with another VLAN's is refused.
    Access(Vlan),
    /// In all VLANs. Every frame carries its VLAN's tag; one that comes without is refused.
    Trunk,
    /// The same, in these VLANs only.
    TrunkOf(Vec<Vlan>),
}

impl Default for Port {
    fn default() -> Self {
        Self::Access(DEFAULT_VLAN)
    }
}

impl Port {
    /// Do frames of a VLAN pass here?
    #[must_use]
    pub fn carries(&self, vlan: Vlan) -> bool {
        match self {
            Self::Access(own) => *own == vlan,
            Self::Trunk => true,
            Self::TrunkOf(vlans) => vlans.contains(&vlan),
        }
    }

    /// The VLAN of a frame that comes in here, by its tag.
    fn classify(&self, tag: Option<Vlan>) -> Option<Vlan> {
        match (self, tag) {
            (Self::Access(own), None | Some(0)) => Some(*own),
            (_, Some(vlan)) if vlan != 0 && self.carries(vlan) => Some(vlan),
            _ => None,
        }
    }

    /// A frame without a tag as it is on this port's wire.
    fn dress<'f>(&self, vlan: Vlan, frame: &'f [u8]) -> Cow<'f, [u8]> {
        match self {
            Self::Access(_) => Cow::Borrowed(frame),
            Self::Trunk | Self::TrunkOf(_) => Cow::Owned(vlan::tagged(frame, vlan)),
        }
    }
}

/// Why a switch takes no notice of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too short for an Ethernet header, from a multicast address, or from a port that is not there.
    Malformed,
    /// Its tag, or the lack of one, is not what the port takes.
    Vlan,
    /// The port stands by in its VLAN.
    StandsBy,
}

/// Where a frame leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage<'f> {
    /// The VLAN that it is in.
    pub vlan: Vlan,
    /// The ports, in order. Never the one it came from.
    pub ports: Vec<usize>,
    bare: Cow<'f, [u8]>,
}

impl Passage<'_> {
    /// The frame without a tag of the switches'.
    #[must_use]
    pub fn bare(&self) -> &[u8] {
        &self.bare
    }
}

/// A switch with a fixed number of ports. Each VLAN has a table of addresses of its own.
#[derive(Clone, Debug)]
pub struct Switch {
    ports: Vec<Port>,
    limit: usize,
    // Looked up, never iterated but to forget a port: its order does not matter.
    table: HashMap<(Vlan, Mac), usize>,
    /// Ports that stand by, each in a VLAN.
    spare: BTreeSet<(usize, Vlan)>,
    counters: SwitchCounters,
}

impl Switch {
    /// A switch that has learned nothing, and learns at most `limit` addresses.
    #[must_use]
    pub fn new(ports: Vec<Port>, limit: usize) -> Self {
        let (table, spare) = (HashMap::new(), BTreeSet::new());
        Self { ports, limit, table, spare, counters: SwitchCounters::default() }
    }

    /// Takes a frame that came in on `port`.
    ///
    /// # Errors
    /// When it goes nowhere, for it is none, or is not for this port.
    pub fn forward<'f>(&mut self, port: usize, frame: &'f [u8]) -> Result<Passage<'f>, Refused> {
        let header = frame.get(12..14).and(frame.first_chunk::<12>());
        let taken = self.ports.get(port).zip(header).filter(|(_, header)| header[6] & 1 == 0);
        let Some((at, header)) = taken else {
            self.counters.malformed += 1;
            return Err(Refused::Malformed);
        };
        let tag = vlan::vlan_of(frame);
        let Some(vlan) = at.classify(tag) else {
            self.counters.foreign += 1;
            return Err(Refused::Vlan);
        };
        if self.spare.contains(&(port, vlan)) {
            return Err(Refused::StandsBy);
        }
        let bare = if tag.is_some() { vlan::untagged(frame) } else { Cow::Borrowed(frame) };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *header;
        self.learn(port, (vlan, [s0, s1, s2, s3, s4, s5]));
        let ports = self.ports_to(port, (vlan, [d0, d1, d2, d3, d4, d5]));
        Ok(Passage { vlan, ports, bare })
    }

    fn ports_to(&mut self, from: usize, to: (Vlan, Mac)) -> Vec<usize> {
        let (vlan, mac) = to;
        if mac[0] & 1 == 1 {
            self.counters.multicast += 1;
            return self.others(vlan, Some(from));
        }
        match self.table.get(&to) {
            Some(at) if *at == from => {
                self.counters.filtered += 1;
                Vec::new()
            }
            Some(at) => {
                self.counters.unicast += 1;
                vec![*at]
            }
            None => {
                self.counters.flooded += 1;
                self.others(vlan, Some(from))
            }
        }
    }

    /// A frame without a tag as a port sends it in a VLAN.
    #[must_use]
    pub fn dress<'f>(&self, port: usize, vlan: Vlan, frame: &'f [u8]) -> Cow<'f, [u8]> {
        match self.ports.get(port) {
            Some(port) => port.dress(vlan, frame),
            None => Cow::Borrowed(frame),
        }
    }

    /// The VLAN of a port that is in one.
    #[must_use]
    pub fn access_vlan(&self, port: usize) -> Option<Vlan> {
        match self.ports.get(port)? {
            Port::Access(vlan) => Some(*vlan),
            Port::Trunk | Port::TrunkOf(_) => None,
        }
    }

    /// All ports of a VLAN but one and those that stand by, in order.
    #[must_use]
    pub fn others(&self, vlan: Vlan, but: Option<usize>) -> Vec<usize> {
        let carries = |port: &usize| {
            Some(*port) != but
                && self.ports[*port].carries(vlan)
                && !self.spare.contains(&(*port, vlan))
        };
        (0..self.ports.len()).filter(carries).collect()
    }

    /// From now on these ports and no others stand by: nothing of that VLAN comes in or leaves there. Addresses may be
    /// behind other ports now, so all are forgotten.
    pub fn set_spare(&mut self, spare: BTreeSet<(usize, Vlan)>) {
        self.spare = spare;
        self.table.clear();
    }

    /// Forgets what was seen on a port: its cable was pulled.
    pub fn forget(&mut self, port: usize) {
        self.table.retain(|_, at| *at != port);
    }

    /// Where an address was seen last in a VLAN.
    #[must_use]
    pub fn port_of(&self, vlan: Vlan, mac: [u8; 6]) -> Option<usize> {
        self.table.get(&(vlan, mac)).copied()
    }

    /// What passed so far.
    #[must_use]
    pub const fn counters(&self) -> SwitchCounters {
        self.counters
    }

    fn learn(&mut self, port: usize, source: (Vlan, Mac)) {
        let room = self.table.len() < self.limit;
        match self.table.get_mut(&source) {
            Some(at) if *at == port => {}
            Some(at) => {
                *at = port;
                self.counters.moved += 1;
            }
            None if room => drop(self.table.insert(source, port)),
            None => self.counters.table_full += 1,
        }
    }
}

#[cfg(test)]
mod tests;
