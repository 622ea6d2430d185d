//! A learning Ethernet switch: on which ports does a frame leave?

use std::collections::HashMap;

type Mac = [u8; 6];

/// What passed a switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SwitchCounters {
    /// Frames that left on the one port where the receiver was seen.
    pub unicast: u64,
    /// Frames for an unknown receiver, to all ports.
    pub flooded: u64,
    /// Broadcast and multicast frames, to all ports.
    pub multicast: u64,
    /// Frames whose receiver is on the port they came from.
    pub filtered: u64,
    /// Too short for an Ethernet header, from a multicast address, or from a port that is not there.
    pub malformed: u64,
    /// Addresses that were seen but not learned, for the table is full.
    pub table_full: u64,
    /// Addresses that moved to another port.
    pub moved: u64,
}

/// A switch with a fixed number of ports. It looks at addresses only: VLAN tags stay in the frame,
/// and all VLANs share one table.
#[derive(Clone, Debug)]
pub struct Switch {
    ports: usize,
    limit: usize,
    // Looked up, never iterated but to forget a port: its order does not matter.
    table: HashMap<Mac, usize>,
    counters: SwitchCounters,
}

impl Switch {
    /// A switch that has learned nothing, and learns at most `limit` addresses.
    #[must_use]
    pub fn new(ports: usize, limit: usize) -> Self {
        Self { ports, limit, table: HashMap::new(), counters: SwitchCounters::default() }
    }

    /// Takes a frame on `port`; returns the ports on which it leaves, in order. Never `port` itself.
    #[must_use]
    pub fn forward(&mut self, port: usize, frame: &[u8]) -> Vec<usize> {
        let header = frame.get(12..14).and(frame.first_chunk::<12>());
        let Some(header) = header.filter(|h| port < self.ports && h[6] & 1 == 0) else {
            self.counters.malformed += 1;
            return Vec::new();
        };
        let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = *header;
        self.learn(port, [s0, s1, s2, s3, s4, s5]);
        let destination: Mac = [d0, d1, d2, d3, d4, d5];
        if d0 & 1 == 1 {
            self.counters.multicast += 1;
            return self.flood(port);
        }
        match self.table.get(&destination) {
            Some(at) if *at == port => {
                self.counters.filtered += 1;
                Vec::new()
            }
            Some(at) => {
                self.counters.unicast += 1;
                vec![*at]
            }
            None => {
                self.counters.flooded += 1;
                self.flood(port)
            }
        }
    }

    /// Forgets what was seen on a port: its cable was pulled.
    pub fn forget(&mut self, port: usize) {
        self.table.retain(|_, at| *at != port);
    }

    /// Where an address was seen last.
    #[must_use]
    pub fn port_of(&self, mac: [u8; 6]) -> Option<usize> {
        self.table.get(&mac).copied()
    }

    /// What passed so far.
    #[must_use]
    pub const fn counters(&self) -> SwitchCounters {
        self.counters
    }

    fn learn(&mut self, port: usize, source: Mac) {
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

    fn flood(&self, from: usize) -> Vec<usize> {
        (0..self.ports).filter(|port| *port != from).collect()
    }
}

#[cfg(test)]
mod tests;
