//! How fast are link and MCAPI between two nodes? A machine that a driver runs in place of
//! [`runtime_core::node::Node`]: the lower node asks, the other one answers, over two packet channels as the
//! shared memory uses them.
//!
//! It measures short round trips, page fetches and streams, one after the other, on the driver's
//! clock: the next question goes out in the very step that takes the answer, so samples leave no time out.
//! **Drain [`Bench::poll`] to `None` before the next [`Bench::handle`].** In the end both nodes
//! [`Output::Halt`], the asking one with the report in JSON as its reason, the other one with [`SERVED`].

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod channels;
mod report;
#[cfg(test)]
mod tests;

pub use report::{Report, Spread, Stream};

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use channels::Channels;
use runtime_core::id::{NodeId, Peer};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::link::{self, Link, Proto};
use runtime_core::node::{Config, Input, Medium, Output, Timer};
use runtime_core::time::Instant;

/// Bytes of a question, and of a short answer: what the shared memory's requests have.
pub const SHORT: usize = 24;
/// Bytes of a page with its header.
pub const PAGE: usize = PAGE_SIZE + SHORT;
/// Bytes of a packet in each stream.
pub const STREAM_PACKETS: [usize; 2] = [PAGE_SIZE, 8 * PAGE_SIZE];

/// First byte of a packet: what the other side is to do with it.
const ECHO: u8 = 1;
const FETCH: u8 = 2;
const DATA: u8 = 3;
const LAST: u8 = 4;
const OVER: u8 = 5;

/// Why the node that answers halts when all is well.
pub const SERVED: &str = "served";

/// How much to measure. Both nodes get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Round trips that do not count, before each of the two kinds.
    pub warm_up: u32,
    /// Short round trips.
    pub round_trips: u32,
    /// Pages fetched.
    pub fetches: u32,
    /// Bytes of each stream.
    pub stream_bytes: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { warm_up: 100, round_trips: 2_000, fetches: 2_000, stream_bytes: 32 << 20 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The channels are not open yet; who answers stays here.
    Opening,
    RoundTrips,
    Fetches,
    Stream(usize),
    /// The other one was told.
    Over,
}

/// The machine.
#[derive(Debug)]
pub struct Bench {
    link: Link,
    peer: NodeId,
    asks: bool,
    plan: Plan,
    now: Instant,
    channels: Channels,
    stage: Stage,
    /// When the question, or the stream, went out.
    begun: Instant,
    /// What was asked in this stage, or bytes sent of the stream.
    done: u64,
    samples: Vec<u64>,
    report: Report,
    out: VecDeque<Output>,
    /// Who answers halts when its last answer has arrived. On a stream, where nobody says so, that is when
    /// the other one closes: closing first could take the answer away again.
    served: bool,
    stream: bool,
    halted: bool,
}

impl Bench {
    /// One of two nodes.
    ///
    /// # Panics
    /// When the configuration does not have two members.
    #[must_use]
    pub fn new(config: &Config, plan: Plan, now: Instant) -> Self {
        assert_eq!(config.members.len(), 2, "a bench is for two nodes");
        let peer = NodeId(1 - config.me.0);
        let settings = link::Settings {
            me: Peer { node: config.me, generation: config.generation },
            hash: config.hash,
            ours: config.image_of(config.me),
            theirs: config.image_of(peer),
            medium: config.medium_to(peer),
            mtu: config.mtu,
            heartbeat: config.heartbeat,
            suspect_after: config.suspect_after,
            join_timeout: config.join_timeout,
        };
        let asks = config.me < peer;
        Self {
            link: Link::new(settings, peer, now),
            peer,
            asks,
            plan,
            now,
            channels: Channels::new(config.me, peer, asks),
            stage: Stage::Opening,
            begun: now,
            done: 0,
            samples: Vec::new(),
            report: Report::default(),
            out: VecDeque::new(),
            served: false,
            stream: config.medium_to(peer) == Medium::Stream,
            halted: false,
        }
    }

    /// What was measured; whole when the machine has halted.
    #[must_use]
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// The next output.
    #[must_use]
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is due next, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        if self.halted { None } else { self.link.deadline() }
    }

    /// Takes one input. What is of ranks and jobs is nothing to it.
    pub fn handle(&mut self, now: Instant, input: &Input<'_>) {
        if self.halted {
            return;
        }
        self.now = now;
        match input {
            Input::TransportUp(node) if *node == self.peer => self.link.transport_up(now),
            Input::TransportDown(node) if *node == self.peer => self.link.transport_down(now),
            Input::Frame { from, bytes } if *from == self.peer => {
                self.link.handle_frame(now, bytes);
            }
            Input::Tick => self.link.tick(now),
            _ => {}
        }
        while !self.halted && self.pump() {}
    }

    /// Moves everything on by a step; `false` when nothing moves.
    fn pump(&mut self) -> bool {
        let mut moved = false;
        while let Some(event) = self.link.poll() {
            moved = true;
            match event {
                link::Event::Transmit(bytes) => {
                    self.out.push_back(Output::Transmit { to: self.peer, bytes });
                }
                link::Event::Deliver { payload, .. } => {
                    self.channels.handle(self.peer, &payload);
                }
                link::Event::Up { .. } | link::Event::HeardAgain => {}
                link::Event::Restarted { .. } => self.lose("the other node restarted".into()),
                link::Event::Gone { .. } => self.lose("the other node gave this one up".into()),
                link::Event::Refused { reason } | link::Event::Suspect { reason, .. } => {
                    self.lose(reason);
                }
            }
        }
        match self.channels.progress() {
            Ok(()) => {}
            Err(status) => self.halt(format!("MCAPI: {status}")),
        }
        while let Some(packet) = self.channels.receive() {
            moved = true;
            if self.asks { self.on_answer() } else { self.on_question(&packet) }
        }
        if self.asks && self.channels.are_open() {
            moved |= self.ask();
        }
        while let Some(payload) = self.channels.poll() {
            moved = true;
            self.link.send(self.now, Proto::Mcapi, payload);
        }
        if self.served && !self.stream && self.link.queued() == 0 {
            self.halt(SERVED.into());
        }
        moved
    }

    /// The other node is gone. It may be after the last answer, before which nobody goes in order.
    fn lose(&mut self, reason: String) {
        self.halt(if self.served { SERVED.to_string() } else { reason });
    }

    fn halt(&mut self, reason: String) {
        if !core::mem::replace(&mut self.halted, true) {
            self.out.push_back(Output::Halt { reason });
        }
    }

    /// Of the node that answers.
    fn on_question(&mut self, packet: &[u8]) {
        match packet.first() {
            Some(&FETCH) => self.channels.send(vec![FETCH; PAGE]),
            Some(&DATA) => {}
            Some(&kind) => {
                self.channels.send(vec![kind; SHORT]);
                self.served = kind == OVER;
            }
            None => self.halt("an empty packet".into()),
        }
    }

    /// Sends what may be sent, where nothing is waited for. Says whether it did.
    fn ask(&mut self) -> bool {
        match self.stage {
            Stage::Opening => self.enter(Stage::RoundTrips),
            Stage::Stream(n) => return self.stream(n),
            Stage::RoundTrips | Stage::Fetches | Stage::Over => return false,
        }
        true
    }

    /// Fills the channel.
    fn stream(&mut self, n: usize) -> bool {
        let (size, total) = (STREAM_PACKETS[n], self.plan.stream_bytes);
        let mut moved = false;
        while self.done < total && self.channels.has_room() {
            self.done += size as u64;
            let kind = if self.done < total { DATA } else { LAST };
            self.channels.send(vec![kind; size]);
            moved = true;
        }
        moved
    }

    fn enter(&mut self, stage: Stage) {
        (self.stage, self.done, self.begun) = (stage, 0, self.now);
        match stage {
            Stage::RoundTrips => self.channels.send(vec![ECHO; SHORT]),
            Stage::Fetches => self.channels.send(vec![FETCH; SHORT]),
            Stage::Over => self.channels.send(vec![OVER; SHORT]),
            Stage::Opening | Stage::Stream(_) => {}
        }
    }

    /// Of the node that asks.
    fn on_answer(&mut self) {
        let took = self.now.since(self.begun).0;
        match self.stage {
            Stage::RoundTrips | Stage::Fetches => {
                let fetches = self.stage == Stage::Fetches;
                let (kind, count) = if fetches {
                    (FETCH, self.plan.fetches)
                } else {
                    (ECHO, self.plan.round_trips)
                };
                self.done += 1;
                if self.done > u64::from(self.plan.warm_up) {
                    self.samples.push(took);
                }
                if self.done < u64::from(self.plan.warm_up) + u64::from(count) {
                    self.begun = self.now;
                    return self.channels.send(vec![kind; SHORT]);
                }
                let spread = Spread::of(core::mem::take(&mut self.samples));
                if fetches {
                    self.report.fetch = spread;
                    self.enter(Stage::Stream(0));
                } else {
                    self.report.round_trip = spread;
                    self.enter(Stage::Fetches);
                }
            }
            Stage::Stream(n) => {
                let (packet, bytes) = (STREAM_PACKETS[n], self.done);
                self.report.streams.push(Stream { packet, bytes, nanos: took });
                let next = n + 1;
                let more = next < STREAM_PACKETS.len();
                self.enter(if more { Stage::Stream(next) } else { Stage::Over });
            }
            Stage::Over => {
                self.report.retransmitted = self.link.counters().retransmitted;
                self.halt(self.report.to_json());
            }
            Stage::Opening => self.halt("an answer to nothing".into()),
        }
    }
}
