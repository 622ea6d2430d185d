//! The links of one node to those on other machines.
//!
//! Each pair of nodes has lives of its own. Whoever gives a peer up bars the life that it knew, begins a new one
//! towards it and says Hello in that; a peer that was not dead hears that its life is over, tells its program that
//! the other is gone, and begins anew too. So both ends agree on what was lost, and meet again.

use super::ways::Ways;
use runtime_core::id::{Generation, NodeId, Peer, ViewId};
use runtime_core::limits::MIN_MTU;
use runtime_core::link::{Event, Link, Proto, Settings};
use runtime_core::node::{Image, Medium};
use runtime_core::time::{Duration, Instant};
use runtime_linux::transport::{Happening, TransportError};
use std::os::fd::BorrowedFd;
use std::time;

/// What both ends must have built in; in place of the hash of a program, for programs differ.
const PROTOCOL: [u8; 32] = *b"understudy: MCAPI frames, sort 1";
/// Messages that a link takes before its peer has to take some.
const MOST_MESSAGES: usize = 64;
/// Bytes that a connection takes before the kernel has to take some.
const MOST_BYTES: usize = 1 << 20;
/// Silence of so many heartbeats is this node's own.
const STOOD_STILL: u64 = 2;
/// How long who leaves waits for what it sent to arrive.
const FAREWELL: time::Duration = time::Duration::from_secs(1);

/// What there is to know of a peer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remote {
    pub(super) node: NodeId,
    pub(super) medium: Medium,
}

/// How links behave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manners {
    pub(super) heartbeat: time::Duration,
    pub(super) suspect_after: u32,
    pub(super) mtu: usize,
}

/// What a wire reports; frames are handed over on their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News<'a> {
    Joined,
    Frame(&'a [u8]),
    Gone,
}

#[derive(Debug)]
struct Line {
    remote: Remote,
    link: Link,
    /// This node's life towards the peer.
    life: Generation,
    joined: bool,
    /// It had no room for a frame.
    starved: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    ways: Ways,
    lines: Vec<Line>,
    began: time::Instant,
    heartbeat: Duration,
    looked: Instant,
    buffer: Vec<u8>,
}

fn span(time: time::Duration) -> Duration {
    Duration(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

impl Wire {
    pub(super) fn new(
        me: NodeId,
        life: Generation,
        ways: Ways,
        remotes: Vec<Remote>,
        manners: Manners,
    ) -> Self {
        let settings = |medium| Settings {
            me: Peer { node: me, generation: life },
            hash: PROTOCOL,
            ours: Image::Linux,
            theirs: Image::Linux,
            medium,
            mtu: manners.mtu.max(MIN_MTU),
            heartbeat: span(manners.heartbeat),
            suspect_after: manners.suspect_after,
            // A node may come whenever it likes: that it is not there yet is no news.
            join_timeout: Duration(u64::MAX / 2),
        };
        let now = Instant(0);
        let line = |remote: Remote| {
            let mut link = Link::new(settings(remote.medium), remote.node, now);
            link.keep_buffers();
            Line { remote, link, life, joined: false, starved: false }
        };
        Self {
            ways,
            lines: remotes.into_iter().map(line).collect(),
            began: time::Instant::now(),
            heartbeat: span(manners.heartbeat),
            looked: now,
            buffer: Vec::new(),
        }
    }

    fn now(&self) -> Instant {
        Instant(span(self.began.elapsed()).0)
    }

    /// Hands over all that is there, and says how much that was.
    pub(super) fn poll(&mut self, on: &mut dyn FnMut(NodeId, News<'_>)) -> usize {
        self.move_bytes(&[], Some(time::Duration::ZERO));
        let mut events = 0;
        let mut frame = std::mem::take(&mut self.buffer);
        while let Some(happening) = self.ways.next(&mut frame) {
            let now = self.now();
            let node = match happening {
                Happening::Up(node)
                | Happening::Down(node)
                | Happening::Frame(node)
                | Happening::PortDown(node) => node,
            };
            let Some(at) = self.lines.iter().position(|line| line.remote.node == node) else {
                continue;
            };
            let link = &mut self.lines[at].link;
            match happening {
                Happening::Up(_) => link.transport_up(now),
                Happening::Down(_) => link.transport_down(now),
                Happening::Frame(_) => link.handle_frame(now, &frame),
                Happening::PortDown(_) => link.port_down(now),
            }
            events += self.drain(at, on);
        }
        self.buffer = frame;
        self.tick();
        for at in 0..self.lines.len() {
            events += self.drain(at, on);
        }
        events
    }

    fn tick(&mut self) {
        let now = self.now();
        let paused = now.since(std::mem::replace(&mut self.looked, now));
        let stood_still = paused >= self.heartbeat.times(STOOD_STILL);
        for line in &mut self.lines {
            if stood_still {
                line.link.excuse(now, paused);
            }
            if line.link.deadline().is_some_and(|(due, _)| due <= now) {
                line.link.tick(now);
            }
        }
    }

    /// Does what a link wants.
    fn drain(&mut self, at: usize, on: &mut dyn FnMut(NodeId, News<'_>)) -> usize {
        let mut events = 0;
        let node = self.lines[at].remote.node;
        while let Some(event) = self.lines[at].link.poll() {
            let line = &mut self.lines[at];
            match event {
                Event::Transmit(frame) => self.transmit(at, frame),
                Event::Deliver { proto: Proto::Mcapi, payload } if line.joined => {
                    on(node, News::Frame(&payload));
                    line.link.recycle(payload);
                    events += 1;
                }
                Event::Deliver { .. } | Event::HeardAgain => {}
                Event::Up { .. } => {
                    line.joined = true;
                    line.link.fill_buffers();
                    on(node, News::Joined);
                    events += 1;
                }
                Event::Restarted { .. } => events += Self::lose(line, on),
                Event::Refused { reason } => tracing::warn!(%reason, "a node is not let in"),
                Event::Suspect { reason, .. } => {
                    tracing::debug!(%node, reason, "a node is gone");
                    events += Self::lose(line, on);
                    self.give_up(at, true);
                }
                Event::Gone { .. } => {
                    events += Self::lose(line, on);
                    self.give_up(at, false);
                }
            }
        }
        events
    }

    fn lose(line: &mut Line, on: &mut dyn FnMut(NodeId, News<'_>)) -> usize {
        let told = std::mem::take(&mut line.joined);
        line.starved = false;
        if told {
            on(line.remote.node, News::Gone);
        }
        usize::from(told)
    }

    /// A new life towards a peer; what it said in the one that is known, it said to nobody.
    fn give_up(&mut self, at: usize, bar: bool) {
        let now = self.now();
        let line = &mut self.lines[at];
        if let (true, Some(theirs)) = (bar, line.link.generation()) {
            line.link.close(theirs, ViewId(1));
            while let Some(event) = line.link.poll() {
                if let Event::Transmit(frame) = event {
                    let _buffer = self.ways.send(line.remote.node, frame);
                }
            }
        }
        line.life = Generation(line.life.0.wrapping_add(1));
        line.link.begin_anew(now, line.life);
        self.ways.disconnect(line.remote.node);
    }

    fn transmit(&mut self, at: usize, frame: Vec<u8>) {
        let line = &mut self.lines[at];
        if let Some(buffer) = self.ways.send(line.remote.node, frame) {
            line.link.recycle(buffer);
        }
    }

    /// Sends a frame of two parts. `None`: there is no such peer now; `Some(false)`: it has no room.
    pub(super) fn send(&mut self, to: NodeId, head: &[u8], data: &[u8]) -> Option<bool> {
        let now = self.now();
        let at = self.lines.iter().position(|line| line.remote.node == to)?;
        let line = &mut self.lines[at];
        if !line.joined {
            return None;
        }
        if line.link.queued() >= MOST_MESSAGES || self.ways.queued(to) >= MOST_BYTES {
            line.starved = true;
            return Some(false);
        }
        let mut frame = line.link.buffer(head.len() + data.len());
        frame.extend_from_slice(head);
        frame.extend_from_slice(data);
        line.link.send(now, Proto::Mcapi, frame);
        // `poll` left nothing there, and who sends learns nothing: these are frames.
        while let Some(Event::Transmit(frame)) = self.lines[at].link.poll() {
            self.transmit(at, frame);
        }
        Some(true)
    }

    /// Does anybody that had no room have some now?
    pub(super) fn is_fed(&self) -> bool {
        self.lines.iter().any(|line| {
            line.starved
                && line.link.queued() < MOST_MESSAGES
                && self.ways.queued(line.remote.node) < MOST_BYTES
        })
    }

    pub(super) fn feed(&mut self) {
        self.lines.iter_mut().for_each(|line| line.starved = false);
    }

    /// Is there something that need not be waited for?
    pub(super) fn has_news(&self) -> bool {
        self.ways.has_something() || self.is_fed()
    }

    /// When to look at the latest.
    pub(super) fn due(&self) -> Option<time::Instant> {
        let links = self.lines.iter().filter_map(|line| line.link.deadline());
        // Beyond what the clock can name is never.
        let links =
            links.filter_map(|(due, _)| self.began.checked_add(time::Duration::from_nanos(due.0)));
        links.chain(self.ways.due()).min()
    }

    /// Waits for the network, or for one of `others`; moves bytes.
    pub(super) fn wait(&mut self, others: &[BorrowedFd<'_>], until: Option<time::Instant>) {
        let until = until.into_iter().chain(self.due()).min();
        let left = until.map(|until| until.saturating_duration_since(time::Instant::now()));
        self.move_bytes(others, left);
    }

    fn move_bytes(&mut self, others: &[BorrowedFd<'_>], timeout: Option<time::Duration>) {
        if let Err(error) = self.ways.wait(others, timeout) {
            self.fail(&error);
        }
    }

    /// Without its card a node hears nobody over the network: silence tells the program so.
    fn fail(&mut self, error: &TransportError) {
        tracing::warn!(%error, "the network cannot be used any more");
        self.ways.lose_network();
    }

    pub(super) const fn ways(&self) -> &Ways {
        &self.ways
    }

    /// What was sent arrives, if that takes no more than a while; then all are told.
    pub(super) fn leave(&mut self) {
        let until = time::Instant::now() + FAREWELL;
        let mut ignore = |_: NodeId, _: News<'_>| {};
        loop {
            self.poll(&mut ignore);
            let busy = self.lines.iter().any(|line| {
                line.joined
                    && (!self.ways.is_out(line.remote.node)
                        || line.remote.medium == Medium::Datagram && line.link.queued() > 0)
            });
            if !busy || time::Instant::now() >= until {
                break;
            }
            self.wait(&[], Some(until));
        }
        for at in 0..self.lines.len() {
            let line = &mut self.lines[at];
            if let (true, Some(theirs)) = (line.joined, line.link.generation()) {
                line.link.close(theirs, ViewId(1));
                self.drain(at, &mut ignore);
            }
        }
        self.ways.leave();
    }
}

#[cfg(test)]
mod tests;
