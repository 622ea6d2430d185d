//! Who is at the other end, in which life, and is it welcome?

use super::flow::Flow;
use super::frame::{Body, Frame, Hello};
use super::refusal::Refusal;
use super::{Event, Link, State};
use crate::id::{Generation, ViewId};
use crate::limits::MIN_MTU;
use crate::node::Medium;
use crate::time::Instant;
use alloc::string::ToString;

impl Link {
    pub(super) fn on_hello(&mut self, now: Instant, frame: &Frame<'_>, hello: &Hello) {
        if let Some(refusal) = self.objection(frame, hello) {
            return self.refuse(refusal);
        }
        if self.is_barred(frame.from) {
            return self.say_gone(frame.from);
        }
        if self.peer == Some(frame.from) {
            if self.state == State::Over {
                self.counters.stale += 1;
                return;
            }
        } else {
            if core::mem::take(&mut self.closed) || self.peer.is_some() {
                self.reset();
                self.state = State::Joining;
                (self.waiting_since, self.suspected, self.port_lost) = (now, false, None);
            }
            if let Some(old) = self.peer {
                self.events.push_back(Event::Restarted { old, new: frame.from });
            }
            self.peer = Some(frame.from);
            let theirs = usize::try_from(hello.mtu).unwrap_or(usize::MAX);
            self.mtu = self.settings.mtu.max(MIN_MTU).min(theirs);
        }
        let first = !core::mem::replace(&mut self.greeted, true);
        let knows_us = hello.known && frame.to == self.settings.me.generation;
        match self.settings.medium {
            Medium::Stream if self.said_hello && knows_us => {}
            Medium::Datagram if knows_us => {
                self.heard(now);
                self.say_ack(now);
            }
            // What we said before, the peer may have missed.
            _ => self.say_hello(now),
        }
        self.meet(now);
        if first {
            // Whoever does not know this life has nothing of it.
            self.resume(now, if knows_us { frame.ack } else { 0 });
        }
        if self.state == State::Up {
            self.heard(now);
        }
    }

    /// Over a stream, Hellos that crossed are enough: the peer gets ours before any data.
    pub(super) fn meet(&mut self, now: Instant) {
        let stream = self.settings.medium == Medium::Stream;
        if stream && self.said_hello && self.greeted {
            self.heard(now);
        }
    }

    fn objection(&self, frame: &Frame<'_>, hello: &Hello) -> Option<Refusal> {
        let remote = self.remote;
        let (kind, hash) = (self.settings.theirs, self.settings.hash);
        if hello.node != remote {
            return Some(Refusal::Node { expected: remote, actual: hello.node });
        }
        if hello.kind != kind {
            return Some(Refusal::Kind { remote, expected: kind, actual: hello.kind });
        }
        if kind == self.settings.ours && hello.hash != hash {
            return Some(Refusal::Hash { remote, theirs: hello.hash, ours: hash });
        }
        if hello.medium != self.settings.medium {
            let (theirs, ours) = (hello.medium, self.settings.medium);
            return Some(Refusal::Medium { remote, theirs, ours });
        }
        if usize::try_from(hello.mtu).is_ok_and(|mtu| mtu < MIN_MTU) {
            return Some(Refusal::Mtu { remote, mtu: hello.mtu });
        }
        let known = self.peer.filter(|known| *known > frame.from)?;
        Some(Refusal::Generation { remote, theirs: frame.from, known })
    }

    /// Does this life of the peer belong to no view any more?
    pub(super) fn is_barred(&self, life: Generation) -> bool {
        self.barred.is_some_and(|(barred, _)| life <= barred)
    }

    /// Whoever speaks in a life that is over is told so: it may have slept. Not if there was a later one
    /// already: two at a time would then look alike.
    pub(super) fn say_gone(&mut self, life: Generation) {
        self.counters.stale += 1;
        if let Some((_, view)) = self.barred
            && self.peer.is_none_or(|peer| peer <= life)
        {
            let from = self.settings.me.generation;
            let gone = Frame { from, to: life, ack: 0, selective: 0, body: Body::Gone(view) };
            self.emit(&gone);
        }
    }

    pub(super) fn on_gone(&mut self, frame: &Frame<'_>, view: ViewId) {
        let old = self.peer.is_some_and(|peer| frame.from < peer);
        if old || frame.to != self.settings.me.generation {
            self.counters.stale += 1;
        } else {
            self.events.push_back(Event::Gone { view });
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if self.refused != Some(refusal) && !self.closed {
            self.refused = Some(refusal);
            self.events.push_back(Event::Refused { reason: refusal.to_string() });
        }
    }

    /// The peer, in its known life, knows us in ours.
    pub(super) fn heard(&mut self, now: Instant) {
        if self.port_lost.is_some_and(|at| now < at + self.settings.heartbeat) {
            return;
        }
        self.port_lost = None;
        if core::mem::take(&mut self.suspected) {
            self.events.push_back(Event::HeardAgain);
            if let Flow::Datagram { sender, .. } = &mut self.flow {
                sender.revive(now);
            }
        }
        if self.state == State::Up {
            self.pulse.beat(now, now.since(self.heard));
        }
        self.heard = now;
        if let (State::Joining, Some(generation)) = (self.state, self.peer) {
            self.state = State::Up;
            self.refused = None;
            self.events.push_back(Event::Up { generation });
        }
    }
}
