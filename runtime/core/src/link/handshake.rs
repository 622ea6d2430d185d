//! Who is at the other end, in which life, and is it welcome?

use super::frame::{Frame, Hello};
use super::refusal::Refusal;
use super::{Event, Link, State};
use crate::limits::MIN_MTU;
use crate::node::Medium;
use crate::time::Instant;
use alloc::string::ToString;

impl Link {
    pub(super) fn on_hello(&mut self, now: Instant, frame: &Frame<'_>, hello: &Hello) {
        if let Some(refusal) = self.objection(frame, hello) {
            return self.refuse(refusal);
        }
        if self.peer == Some(frame.from) {
            if self.closed || self.state == State::Over {
                self.counters.stale += 1;
                return;
            }
        } else {
            if let Some(old) = self.peer {
                self.reset();
                self.state = State::Joining;
                (self.waiting_since, self.suspected) = (now, false);
                self.events.push_back(Event::Restarted { old, new: frame.from });
            }
            self.peer = Some(frame.from);
            let theirs = usize::try_from(hello.mtu).unwrap_or(usize::MAX);
            self.mtu = self.settings.mtu.max(MIN_MTU).min(theirs);
        }
        self.greeted = true;
        if self.closed {
            return;
        }
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

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if self.refused != Some(refusal) && !self.closed {
            self.refused = Some(refusal);
            self.events.push_back(Event::Refused { reason: refusal.to_string() });
        }
    }

    /// The peer, in its known life, knows us in ours.
    pub(super) fn heard(&mut self, now: Instant) {
        if core::mem::take(&mut self.suspected) {
            self.events.push_back(Event::HeardAgain);
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
