//! Two nodes with a link between them.

use crate::Outcome;
use crate::network::{Faults, Network};
use alloc::format;
use alloc::vec::Vec;
use runtime_core::id::{Generation, NodeId, Peer};
use runtime_core::link::{Event, Link, Proto, Settings};
use runtime_core::node::{Image, Medium};
use runtime_core::time::{Duration, Instant};

pub(crate) const HEARTBEAT: Duration = Duration::from_millis(20);

pub(crate) fn settings(node: usize, generation: u32, medium: Medium) -> Settings {
    let node = NodeId(u16::try_from(node).unwrap_or(u16::MAX));
    Settings {
        me: Peer { node, generation: Generation(generation) },
        hash: [7; 32],
        ours: Image::Linux,
        theirs: Image::Linux,
        medium,
        mtu: 1500,
        heartbeat: HEARTBEAT,
        suspect_after: 50,
        join_timeout: Duration::from_millis(1_000),
    }
}

/// Nodes 0 and 1.
pub(crate) struct Pair {
    pub(crate) network: Network,
    pub(crate) links: [Link; 2],
    /// What arrived, and what else the links said.
    pub(crate) arrived: [Vec<Vec<u8>>; 2],
    pub(crate) said: [Vec<Event>; 2],
    /// Frames that were sent.
    pub(crate) frames: [usize; 2],
    /// Frames are lost on the way.
    pub(crate) cut: bool,
}

impl Pair {
    pub(crate) fn new(a: Settings, b: Settings, faults: Faults, seed: u64) -> Self {
        let network = Network::new(a.medium, faults, seed);
        let now = network.now;
        let mut pair = Self {
            network,
            links: [Link::new(a, NodeId(1), now), Link::new(b, NodeId(0), now)],
            arrived: [Vec::new(), Vec::new()],
            said: [Vec::new(), Vec::new()],
            frames: [0; 2],
            cut: false,
        };
        (0..2).for_each(|i| pair.links[i].transport_up(now));
        pair.drain();
        pair
    }

    /// Of one medium, both up.
    pub(crate) fn up(
        medium: Medium,
        faults: Faults,
        seed: u64,
    ) -> Result<Self, alloc::string::String> {
        let mut pair = Self::new(settings(0, 1, medium), settings(1, 1, medium), faults, seed);
        pair.run_until("both ends are up", |pair| pair.links.iter().all(Link::is_up))?;
        Ok(pair)
    }

    pub(crate) fn send(&mut self, from: usize, message: &[u8]) {
        self.links[from].send(self.network.now, Proto::Mcapi, message.to_vec());
        self.drain();
    }

    pub(crate) fn inject(&mut self, to: usize, bytes: &[u8]) {
        self.links[to].handle_frame(self.network.now, bytes);
        self.drain();
    }

    /// Moves what the links have to say onto the network and into `arrived` and `said`.
    pub(crate) fn drain(&mut self) {
        for from in 0..2 {
            while let Some(event) = self.links[from].poll() {
                match event {
                    Event::Transmit(bytes) => {
                        self.frames[from] += 1;
                        if !self.cut {
                            self.network.carry(from, 1 - from, bytes);
                        }
                    }
                    Event::Deliver { payload, .. } => self.arrived[from].push(payload),
                    other => self.said[from].push(other),
                }
            }
        }
    }

    /// The next thing that happens, frames before timers.
    fn step(&mut self, end: Instant) -> bool {
        let timer = self.links.iter().filter_map(|link| Some(link.deadline()?.0)).min();
        let frame = self.network.due();
        let Some(next) = frame.into_iter().chain(timer).min().filter(|at| *at <= end) else {
            self.network.now = end;
            return false;
        };
        if frame == Some(next) {
            if let Some(arrival) = self.network.take() {
                self.inject(arrival.to, &arrival.bytes);
            }
        } else {
            self.network.now = self.network.now.max(next);
            let now = self.network.now;
            self.links.iter_mut().for_each(|link| link.tick(now));
            self.drain();
        }
        true
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.network.now + time;
        while self.step(end) {}
    }

    /// Runs until something holds, for a minute at most.
    pub(crate) fn run_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Outcome {
        let end = self.network.now + Duration::from_millis(60_000);
        while !holds(self) {
            if !self.step(end) {
                return Err(format!("a minute passed before {what}"));
            }
        }
        Ok(())
    }
}
