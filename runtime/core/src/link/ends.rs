//! When something is due, and what ends a peer.

use super::flow::Flow;
use super::{Event, Link, State};
use crate::node::Medium;
use crate::time::Instant;
use alloc::string::String;

impl Link {
    /// Over datagrams a Hello may be lost: it is repeated until the link is up.
    pub(super) fn hello_due(&self) -> Option<Instant> {
        let datagram = self.settings.medium == Medium::Datagram;
        let due = datagram && self.transport && self.state == State::Joining;
        due.then(|| self.sent + self.settings.heartbeat)
    }

    pub(super) fn heartbeat_due(&self) -> Option<Instant> {
        let beat = self.sent + self.settings.heartbeat;
        self.flowing().then(|| self.ack_due().map_or(beat, |due| due.min(beat)))
    }

    pub(super) fn ack_due(&self) -> Option<Instant> {
        match &self.flow {
            Flow::Stream(_) => None,
            Flow::Datagram { receiver, .. } => receiver.ack_due(),
        }
    }

    pub(super) fn suspicion_due(&self) -> Option<Instant> {
        match self.state {
            _ if self.suspected => None,
            State::Joining => Some(self.waiting_since + self.settings.join_timeout),
            State::Up => Some(self.heard + self.pulse.patience()),
            State::Over => None,
        }
    }

    pub(super) fn suspect(&mut self, now: Instant, reason: String) {
        self.suspected = true;
        let since = if self.state == State::Joining { self.waiting_since } else { self.heard };
        self.events.push_back(Event::Suspect { reason, silent: now.since(since) });
    }

    pub(super) fn over(&mut self, now: Instant, reason: String) {
        self.reset();
        self.state = State::Over;
        if !self.suspected {
            self.suspect(now, reason);
        }
    }

    /// Forgets all messages of this pair of generations.
    pub(super) fn reset(&mut self) {
        self.counters = self.counters();
        self.counters.undeliverable += self.flow.queued() as u64;
        self.flow = Flow::new(self.settings.medium);
    }
}
