//! One [`Link`] per remote node: ordered, exactly-once messages between two lives of two nodes,
//! signs of life, and the one place where frames of an earlier life die.
//!
//! Feed it with frames, transport changes and ticks, then **drain [`Link::poll`] to `None`**.
//! Hand in the frames that are there before a tick, so that a node that was held up itself does
//! not take its peers for dead.
//!
//! ```text
//!              Hello, and the peer knows us          a gap, or closed
//!   Joining ───────────────────────────────▶ Up ────────────────────▶ Over
//!      ▲                                   ▲ │ │                        │
//!      │    Hello of the same life: what   │ │ │                        │
//!      │    was lost goes out again,       │ │ │                        │
//!      │    HeardAgain                     │ ▼ │                        │
//!      │                   connection broken:  │                        │
//!      │                   suspect; all waits  │                        │
//!      └───────────────────────────────────────┴────────────────────────┘
//!                 Hello of a higher generation: Restarted, and all that waited is void
//! ```
//! Suspicion is not a state: a suspect link goes on as soon as frames come, and is not reported
//! again before. [`Link::close`] lies over all states: the lives of the peer up to that one belong to
//! no view any more. The link is silent then, but whoever speaks in such a life is told so, each time
//! ([`Event::Gone`] over there); a Hello of a higher life opens the link again. A node that heard that it is
//! gone begins a new life with [`Link::begin_anew`].
//!
//! **Stream medium**: no checksum and no window; order is checked. When the connection of an established link
//! closes, the peer is suspect at once, for that is how a death is noticed soonest; what it may have missed is
//! kept, and goes out again on the next connection between the same two lives (`stream.rs`).
//! **Datagram medium**: see `datagram.rs`. So over either medium an outage loses nothing.
//!
//! Memory is bounded on the receiving side. What [`Link::send`] queues is bounded by its caller,
//! who looks at [`Link::queued`]; what is on its way over a stream, and until the peer says that it came, by what
//! the callers have on its way.

mod datagram;
mod ends;
mod flow;
mod frame;
mod handshake;
mod pulse;
mod refusal;
mod spare;
mod stream;
#[cfg(test)]
mod tests;

pub use frame::{ETHERNET_KIND_AT, ETHERTYPE, KINDS, Proto};

use crate::id::{Generation, NodeId, Peer, ViewId};
use crate::limits::{LINK_WINDOW, MAX_MESSAGE, MIN_MTU};
use crate::node::{Image, Medium, Timer};
use crate::sabotage::Step;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use flow::Flow;
use frame::{Body, Frame, FrameError, VERSION};
use pulse::Pulse;
use refusal::Refusal;
use spare::Spare;

/// What a link must know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node, in this life.
    pub me: Peer,
    /// SHA-256 of the program image; a peer of the same kind with another one is refused.
    pub hash: [u8; 32],
    /// Kind of this node's image.
    pub ours: Image,
    /// Kind of the peer's; a peer with another one is refused.
    pub theirs: Image,
    /// What the transport does to frames.
    pub medium: Medium,
    /// Largest frame of a datagram transport in bytes, at least [`MIN_MTU`]. The smaller of both ends holds.
    pub mtu: usize,
    /// Something is sent at least this often; more than zero.
    pub heartbeat: Duration,
    /// Silence of this many heartbeats makes the peer suspect; half as many, if it has always been punctual.
    pub suspect_after: u32,
    /// Time that the first contact may take.
    pub join_timeout: Duration,
}

/// What a link has for its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A frame for the transport.
    Transmit(Vec<u8>),
    /// The next message.
    Deliver {
        /// Whose it is.
        proto: Proto,
        /// The message.
        payload: Vec<u8>,
    },
    /// Both ends know each other: messages flow.
    Up {
        /// Which life of the peer.
        generation: Generation,
    },
    /// The peer came back as a new one: the old one is dead, with all that was queued for it.
    Restarted {
        /// The dead one.
        old: Generation,
        /// The new one; [`Event::Up`] follows.
        new: Generation,
    },
    /// Somebody is not let in. Said once until another reason comes; the link is as it was.
    Refused {
        /// Why, and what to do about it.
        reason: String,
    },
    /// The peer knows a view without this life of this node.
    Gone {
        /// Which.
        view: ViewId,
    },
    /// A peer that was suspect gave a sign of life: nothing was lost between the two, or it goes out again.
    HeardAgain,
    /// The peer is probably dead. The link goes on if it is not.
    Suspect {
        /// Why.
        reason: String,
        /// Time since its last sign of life, or since we began to wait for the first.
        silent: Duration,
    },
}

/// What happened to frames and messages; nothing is dropped uncounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames from or for another life, or while the link is closed or its transport down.
    pub stale: u64,
    /// Frames with a wrong checksum.
    pub damaged: u64,
    /// Fragments that were here already.
    pub duplicate: u64,
    /// Fragments sent again.
    pub retransmitted: u64,
    /// Frames that do not follow the protocol.
    pub malformed: u64,
    /// Messages for a peer that is gone: dropped from the queue or not taken at all.
    pub undeliverable: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The peer's life is unknown, or it does not know ours yet.
    Joining,
    Up,
    /// Finished for this pair of generations.
    Over,
}

/// The link to one remote node.
#[derive(Clone, Debug)]
pub struct Link {
    settings: Settings,
    remote: NodeId,
    state: State,
    closed: bool,
    /// No life of the peer up to this one is let in; the view without it.
    barred: Option<(Generation, ViewId)>,
    /// The peer's latest life, from its Hello.
    peer: Option<Generation>,
    /// The smaller of both ends.
    mtu: usize,
    transport: bool,
    /// Hello sent and received since the transport came up.
    said_hello: bool,
    greeted: bool,
    waiting_since: Instant,
    heard: Instant,
    pulse: Pulse,
    sent: Instant,
    suspected: bool,
    /// When the peer's port lost its signal.
    port_lost: Option<Instant>,
    refused: Option<Refusal>,
    flow: Flow,
    events: VecDeque<Event>,
    counters: Counters,
    spare: Spare,
}

impl Link {
    /// A link to a node that was not heard of yet, with its transport down.
    #[must_use]
    pub fn new(settings: Settings, remote: NodeId, now: Instant) -> Self {
        Self {
            remote,
            state: State::Joining,
            closed: false,
            barred: None,
            peer: None,
            mtu: settings.mtu.max(MIN_MTU),
            transport: false,
            said_hello: false,
            greeted: false,
            waiting_since: now,
            heard: now,
            pulse: Pulse::new(settings.heartbeat, settings.suspect_after, now),
            sent: now,
            suspected: false,
            port_lost: None,
            refused: None,
            flow: Flow::new(settings.medium),
            events: VecDeque::new(),
            counters: Counters::default(),
            spare: Spare::default(),
            settings,
        }
    }

    /// Keeps the buffers that it is [given back](Self::recycle), as many as [`crate::limits::LINK_BUFFERS`] says. With those of
    /// all [`Event::Transmit`] and [`Event::Deliver`], and payloads in [buffers](Self::buffer) of its own, the link allocates
    /// nothing, unless more messages are under way than ever before.
    pub fn keep_buffers(&mut self) {
        self.spare.keep();
    }

    /// The same, and has as many as are enough for most, before messages flow.
    pub fn fill_buffers(&mut self) {
        self.keep_buffers();
        self.spare.fill();
        self.events.reserve(LINK_WINDOW);
        match &mut self.flow {
            Flow::Stream(stream) => stream.reserve(LINK_WINDOW),
            Flow::Datagram { sender, receiver } => {
                sender.reserve();
                receiver.reserve();
            }
        }
    }

    /// An empty buffer for a payload of so many bytes.
    #[must_use]
    pub fn buffer(&mut self, length: usize) -> Vec<u8> {
        self.spare.take(length)
    }

    /// Takes a buffer back that an event or a transport had.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.spare.give(buffer);
    }

    /// The transport works (again).
    pub fn transport_up(&mut self, now: Instant) {
        // In place of a connection that was not known to be broken: the peer is there, so it is no reason to suspect it.
        (self.transport, self.said_hello, self.greeted) = (true, false, false);
        match (self.state, self.settings.medium) {
            _ if self.closed => {}
            (State::Up, Medium::Datagram) => self.say_ack(now),
            // One that is over says it for the answer: it may be gone without knowing it.
            _ => self.say_hello(now),
        }
        self.pump(now);
    }

    /// The transport broke.
    pub fn transport_down(&mut self, now: Instant) {
        self.transport = false;
        let stream = self.settings.medium == Medium::Stream;
        if stream && self.state == State::Up && !self.suspected {
            self.suspect(now, "connection closed".to_string());
        }
    }

    /// The network says that the peer's port has lost its signal: nobody needs to wait for silence. If
    /// frames come all the same, or the signal comes back in time, nothing was lost. Those that come in the next
    /// heartbeat say nothing: they may have been under way.
    pub fn port_down(&mut self, now: Instant) {
        if self.is_up() && !self.suspected {
            self.port_lost = Some(now);
            self.suspect(now, "its port at the switch went down".to_string());
        }
    }

    /// This node itself stood still for so long: what the peer may have said meanwhile it could not hear, so
    /// that time is no silence.
    pub fn excuse(&mut self, now: Instant, pause: Duration) {
        self.heard = now.min(self.heard + pause);
    }

    /// Takes a frame from the transport.
    pub fn handle_frame(&mut self, now: Instant, bytes: &[u8]) {
        if !self.transport {
            self.counters.stale += 1;
            return;
        }
        let frame = match Frame::parse(bytes, self.settings.medium) {
            Ok(frame) => frame,
            Err(FrameError::Damaged) => return self.counters.damaged += 1,
            Err(FrameError::Malformed) => return self.counters.malformed += 1,
            Err(FrameError::Version(theirs)) => {
                let remote = self.remote;
                return self.refuse(Refusal::Version { remote, theirs, ours: VERSION });
            }
        };
        if let Body::Hello(hello) = &frame.body {
            self.on_hello(now, &frame, hello);
        } else if let Body::Gone(view) = frame.body {
            self.on_gone(&frame, view);
        } else if self.is_barred(frame.from) {
            self.say_gone(frame.from);
        } else if self.closed
            || self.state == State::Over
            || (self.is_of_another_life(&frame) && !Step::Generation.is_left_out())
            || (self.settings.medium == Medium::Stream && !self.greeted)
        {
            self.counters.stale += 1;
        } else {
            self.heard(now);
            match frame.body {
                Body::Data(data) => self.on_data(now, &frame, &data),
                _ => self.on_ack(now, &frame),
            }
        }
        self.pump(now);
    }

    fn is_of_another_life(&self, frame: &Frame<'_>) -> bool {
        self.peer != Some(frame.from) || frame.to != self.settings.me.generation
    }

    /// Sends a message, in order and once while both ends live; later if the link is not up yet.
    ///
    /// # Panics
    /// When the payload is larger than [`MAX_MESSAGE`].
    pub fn send(&mut self, now: Instant, proto: Proto, payload: Vec<u8>) {
        assert!(payload.len() <= MAX_MESSAGE, "a message is at most MAX_MESSAGE bytes");
        if self.closed || self.state == State::Over {
            self.counters.undeliverable += 1;
            return;
        }
        match &mut self.flow {
            Flow::Stream(stream) => stream.push(proto, payload),
            Flow::Datagram { sender, .. } => sender.push(proto, payload),
        }
        self.pump(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        if self.suspicion_due().is_some_and(|due| due <= now) {
            let reason = match (self.state, &self.refused) {
                (State::Up, _) => "silent".to_string(),
                (_, Some(refusal)) => refusal.to_string(),
                (_, None) => {
                    let ms = self.settings.join_timeout.as_micros() / 1_000;
                    format!("no contact within {ms} ms: is {} started and reachable?", self.remote)
                }
            };
            self.suspect(now, reason);
        }
        if !self.transport {
            return;
        }
        if self.hello_due().is_some_and(|due| due <= now) {
            self.say_hello(now);
        }
        if let Flow::Datagram { sender, .. } = &mut self.flow
            && self.state == State::Up
            && sender.deadline().is_some_and(|due| due <= now)
        {
            sender.on_timeout(now);
        }
        self.pump(now);
        if self.heartbeat_due().is_some_and(|due| due <= now) {
            self.say_ack(now);
        }
    }

    /// The next event.
    #[must_use]
    pub fn poll(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Link::tick`] is due next, and why.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        if self.closed {
            return None;
        }
        let resend = match &self.flow {
            Flow::Datagram { sender, .. } if self.flowing() => sender.deadline(),
            _ => self.hello_due(),
        };
        let timers = [
            (self.heartbeat_due(), Timer::Heartbeat),
            (self.suspicion_due(), Timer::Suspicion),
            (resend, Timer::Retransmit),
        ];
        timers.into_iter().filter_map(|(due, timer)| Some((due?, timer))).min()
    }

    /// Do messages flow?
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.state == State::Up && !self.closed
    }

    /// Is it finished for the life of the peer that is known? A later one may come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Is the peer taken for dead, and was not heard since?
    #[must_use]
    pub const fn is_suspect(&self) -> bool {
        self.suspected
    }

    /// The peer's latest life, once it has said Hello.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.peer
    }

    /// Messages that wait: for the link to come up, for a new connection or, over datagrams, for the peer to have them.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.flow.queued()
    }

    /// Messages over a stream that went out, or wait, and are not known to be there.
    #[cfg(test)]
    fn kept(&self) -> usize {
        match &self.flow {
            Flow::Stream(stream) => stream.kept(),
            Flow::Datagram { .. } => 0,
        }
    }

    /// The longest that the peer was silent for and then was not, once its rhythm was known.
    #[must_use]
    pub const fn longest_silence(&self) -> Duration {
        self.pulse.record()
    }

    /// What happened to frames so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = self.counters;
        if let Flow::Datagram { sender, .. } = &self.flow {
            counters.retransmitted += sender.retransmitted;
        }
        counters
    }

    /// The lives of the peer up to this one do not belong to the view any more: nothing of theirs is
    /// taken, and nothing is sent but the word that it is so. A higher life may come up. True if that
    /// broke up with the life that the link was for.
    pub fn close(&mut self, life: Generation, view: ViewId) -> bool {
        self.barred = self.barred.max(Some((life, view)));
        if self.closed || self.peer.is_some_and(|peer| peer > life) {
            return false;
        }
        if self.transport
            && let Some(peer) = self.peer
        {
            self.say_gone(peer);
        }
        self.closed = true;
        self.reset();
        self.events.retain(|event| matches!(event, Event::Transmit(_)));
        if self.peer.is_some() {
            self.state = State::Over;
        }
        true
    }

    /// This node begins a new life: nothing of the old one is sent or taken any more. A connection
    /// (stream only) must be made anew; lives of the peer that were not let in are not let in now.
    pub fn begin_anew(&mut self, now: Instant, generation: Generation) {
        let mut settings = self.settings.clone();
        settings.me.generation = generation;
        let transport = self.transport && settings.medium == Medium::Datagram;
        let counters = self.counters();
        let spare = core::mem::take(&mut self.spare);
        *self =
            Self { counters, spare, barred: self.barred, ..Self::new(settings, self.remote, now) };
        if transport {
            self.transport_up(now);
        }
    }
}
