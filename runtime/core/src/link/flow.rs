//! Frames out and messages in, over either medium.

use super::datagram::{Receiver, Sender, Taken};
use super::frame::{Body, Data, Frame, HEADER, Hello};
use super::spare::Spare;
use super::stream::Stream;
use super::{Event, Link, State};
use crate::limits::MIN_MTU;
use crate::node::Medium;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;

#[derive(Clone, Debug)]
pub(super) enum Flow {
    Stream(Stream),
    Datagram { sender: Box<Sender>, receiver: Receiver },
}

impl Flow {
    pub(super) fn new(medium: Medium) -> Self {
        match medium {
            Medium::Stream => Self::Stream(Stream::default()),
            Medium::Datagram => {
                Self::Datagram { sender: Box::default(), receiver: Receiver::default() }
            }
        }
    }

    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Stream(stream) => stream.queued(),
            Self::Datagram { sender, .. } => sender.queued(),
        }
    }
}

fn transmit(spare: &mut Spare, frame: &Frame<'_>, medium: Medium) -> Event {
    Event::Transmit(frame.emit_into(spare.take(frame.length()), medium))
}

impl Link {
    pub(super) fn on_data(&mut self, now: Instant, frame: &Frame<'_>, data: &Data<'_>) {
        self.on_ack(now, frame);
        match &mut self.flow {
            Flow::Stream(stream) => match stream.accept(data) {
                Ok(()) => self.events.push_back(Event::Deliver {
                    proto: data.proto,
                    payload: self.spare.copy(data.payload, data.payload.len()),
                }),
                Err(due) => {
                    let reason =
                        format!("broken transport: frame {} came where {due} was due", data.seq);
                    self.over(now, reason);
                }
            },
            Flow::Datagram { receiver, .. } => {
                match receiver.take(now, data, &mut self.spare) {
                    Taken::New => {}
                    Taken::Duplicate => self.counters.duplicate += 1,
                    Taken::Beyond => self.counters.malformed += 1,
                }
                while let Some(message) = receiver.deliver(&mut self.spare) {
                    match message {
                        Ok((proto, payload)) => {
                            self.events.push_back(Event::Deliver { proto, payload });
                        }
                        Err(_) => self.counters.malformed += 1,
                    }
                }
            }
        }
    }

    pub(super) fn on_ack(&mut self, now: Instant, frame: &Frame<'_>) {
        let possible = match &mut self.flow {
            Flow::Stream(stream) => stream.acknowledge(frame.ack, &mut self.spare),
            Flow::Datagram { sender, .. } => {
                if let Body::Ack(Some(seq)) = frame.body {
                    sender.on_repeated(seq);
                }
                sender.on_ack(now, frame.ack, frame.selective, &mut self.spare).is_ok()
            }
        };
        if !possible {
            self.counters.malformed += 1;
        }
    }

    /// Over a stream, nothing flows on a new connection before the peer has said what it waits for.
    pub(super) fn flowing(&self) -> bool {
        let agreed = self.greeted || self.settings.medium == Medium::Datagram;
        self.transport && self.is_up() && agreed
    }

    /// Over a stream: the peer has said Hello on a new connection, and waits for this message.
    pub(super) fn resume(&mut self, now: Instant, due: u64) {
        if let Flow::Stream(stream) = &mut self.flow
            && self.state == State::Up
            && !stream.resume(due, &mut self.spare)
        {
            self.over(
                now,
                format!("broken transport: the peer waits for frame {due}, which is not there"),
            );
        }
    }

    /// Sends what may go out now, and an acknowledgement if one is due.
    pub(super) fn pump(&mut self, now: Instant) {
        if !self.flowing() {
            return;
        }
        let chunk = self.mtu - HEADER;
        let (from, to) = (self.settings.me.generation, self.peer.unwrap_or_default());
        loop {
            match &mut self.flow {
                Flow::Stream(stream) => {
                    let ack = stream.due();
                    let Some(data) = stream.next() else { break };
                    let frame = Frame { from, to, ack, selective: 0, body: Body::Data(data) };
                    self.events.push_back(transmit(&mut self.spare, &frame, Medium::Stream));
                    stream.said();
                }
                Flow::Datagram { sender, receiver } => {
                    let Some(data) = sender.next(now, chunk) else { break };
                    let (ack, selective) = receiver.acknowledge();
                    let frame = Frame { from, to, ack, selective, body: Body::Data(data) };
                    self.events.push_back(transmit(&mut self.spare, &frame, Medium::Datagram));
                }
            }
            self.sent = now;
        }
        let must_say = matches!(&self.flow, Flow::Stream(stream) if stream.must_say());
        if must_say || self.ack_due().is_some_and(|due| due <= now) {
            self.say_ack(now);
        }
    }

    pub(super) fn say_hello(&mut self, now: Instant) {
        self.said_hello = true;
        let mtu = u32::try_from(self.settings.mtu.max(MIN_MTU)).unwrap_or(u32::MAX);
        let hello = Hello {
            known: self.peer.is_some(),
            node: self.settings.me.node,
            medium: self.settings.medium,
            mtu,
            kind: self.settings.ours,
            hash: self.settings.hash,
        };
        let ack = match &mut self.flow {
            Flow::Stream(stream) => stream.say_due(),
            Flow::Datagram { .. } => 0,
        };
        self.transmit(now, ack, 0, Body::Hello(hello));
    }

    pub(super) fn say_ack(&mut self, now: Instant) {
        let ((ack, selective), repeated) = match &mut self.flow {
            Flow::Stream(stream) => ((stream.say_due(), 0), None),
            Flow::Datagram { receiver, .. } => (receiver.acknowledge(), receiver.repeated.take()),
        };
        self.transmit(now, ack, selective, Body::Ack(repeated));
    }

    pub(super) fn emit(&mut self, frame: &Frame<'_>) {
        self.events.push_back(transmit(&mut self.spare, frame, self.settings.medium));
    }

    pub(super) fn transmit(&mut self, now: Instant, ack: u64, selective: u128, body: Body<'_>) {
        let (from, to) = (self.settings.me.generation, self.peer.unwrap_or_default());
        let frame = Frame { from, to, ack, selective, body };
        self.emit(&frame);
        self.sent = now;
    }
}
