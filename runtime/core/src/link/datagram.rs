//! Flow over a medium that may lose, repeat, reorder and damage frames: a window of numbered
//! fragments, acknowledged cumulatively and selectively, sent again when lost.

use super::frame::{Data, Proto};
use super::rtt::Rtt;
use crate::limits::{LINK_WINDOW, MAX_MESSAGE};
use crate::time::{Duration, Instant};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

/// How long an acknowledgement waits for data to ride on.
pub(super) const ACK_DELAY: Duration = Duration::from_millis(1);
/// Later frames that have arrived when a frame counts as lost.
const LATER_FRAMES: usize = 3;

/// The window as a distance between sequence numbers.
const WINDOW: u64 = LINK_WINDOW as u64;
const _: () = assert!(LINK_WINDOW <= 64, "each frame in flight has its bit in an acknowledgement");

/// A message on its way out, cut up as the window opens.
#[derive(Debug)]
struct Message {
    proto: Proto,
    bytes: Arc<[u8]>,
    cut: usize,
}

/// A frame that is not known to have arrived everywhere before it.
#[derive(Debug)]
struct Flight {
    proto: Proto,
    bytes: Arc<[u8]>,
    range: Range<usize>,
    /// Latest transmission: when, and the how-manieth of all.
    sent: Instant,
    order: u64,
    again: bool,
    arrived: bool,
    lost: bool,
}

/// An acknowledgement for something never sent.
#[derive(Debug)]
pub(super) struct BadAck;

#[derive(Debug, Default)]
pub(super) struct Sender {
    queue: VecDeque<Message>,
    flight: VecDeque<Flight>,
    /// Sequence number of the first in `flight`.
    base: u64,
    order: u64,
    /// Lost frames that may be sent now; after a timeout it grows with what is acknowledged.
    credit: usize,
    rtt: Rtt,
    timer: Option<Instant>,
    pub(super) retransmitted: u64,
}

impl Sender {
    pub(super) fn push(&mut self, proto: Proto, payload: &[u8]) {
        self.queue.push_back(Message { proto, bytes: payload.into(), cut: 0 });
    }

    /// Messages that have not arrived as far as is known.
    pub(super) fn queued(&self) -> usize {
        let ends = self.flight.iter().filter(|f| f.range.end == f.bytes.len()).count();
        ends + self.queue.len()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timer
    }

    /// The next frame to send now, with at most `chunk` bytes of payload.
    pub(super) fn next(&mut self, now: Instant, chunk: usize) -> Option<Data<'_>> {
        let index = match self.flight.iter().position(|f| f.lost) {
            Some(lost) => {
                self.credit = self.credit.checked_sub(1)?;
                self.retransmitted += 1;
                let flight = &mut self.flight[lost];
                (flight.lost, flight.again) = (false, true);
                lost
            }
            None => {
                self.credit = 0;
                self.cut(chunk)?
            }
        };
        self.order += 1;
        self.timer.get_or_insert(now + self.rtt.timeout());
        let flight = &mut self.flight[index];
        (flight.sent, flight.order) = (now, self.order);
        Some(Data {
            seq: self.base + index as u64,
            proto: flight.proto,
            first: flight.range.start == 0,
            last: flight.range.end == flight.bytes.len(),
            payload: &flight.bytes[flight.range.clone()],
        })
    }

    /// Moves the next fragment into flight, if the window has room. Returns its place.
    fn cut(&mut self, chunk: usize) -> Option<usize> {
        if self.flight.len() >= LINK_WINDOW {
            return None;
        }
        let message = self.queue.front_mut()?;
        let end = message.bytes.len().min(message.cut + chunk);
        self.flight.push_back(Flight {
            proto: message.proto,
            bytes: message.bytes.clone(),
            range: message.cut..end,
            sent: Instant::default(),
            order: 0,
            again: false,
            arrived: false,
            lost: false,
        });
        message.cut = end;
        if end == message.bytes.len() {
            self.queue.pop_front();
        }
        Some(self.flight.len() - 1)
    }

    /// The peer expects `ack` next and holds the frames after it whose bits are set.
    pub(super) fn on_ack(&mut self, now: Instant, ack: u64, selective: u64) -> Result<(), BadAck> {
        let Some(moved) = ack.checked_sub(self.base) else {
            return Ok(()); // overtaken by a later one
        };
        let moved = usize::try_from(moved).map_err(|_| BadAck)?;
        let held = 64 - selective.leading_zeros() as usize;
        if moved > self.flight.len() || (held > 0 && moved + 1 + held > self.flight.len()) {
            return Err(BadAck);
        }
        let mut fresh = 0;
        let mut trip = None;
        for (index, flight) in self.flight.iter_mut().enumerate() {
            let bit = index.checked_sub(moved + 1);
            let arrived = index < moved || bit.is_some_and(|b| b < 64 && selective >> b & 1 == 1);
            if arrived && !flight.arrived {
                (flight.arrived, flight.lost) = (true, false);
                fresh += 1;
                if !flight.again {
                    trip = Some(now.since(flight.sent));
                }
            }
        }
        self.flight.drain(..moved);
        self.base = ack;
        if let Some(trip) = trip {
            self.rtt.sample(trip);
        }
        if fresh > 0 {
            self.credit += 2 * fresh;
            self.find_lost();
            let waiting = !self.flight.is_empty();
            self.timer = waiting.then(|| now + self.rtt.timeout());
        }
        Ok(())
    }

    /// A frame is lost when several that were sent after it have arrived.
    fn find_lost(&mut self) {
        let mut newest = [0; LATER_FRAMES];
        for order in self.flight.iter().filter(|f| f.arrived).map(|f| f.order) {
            if order > newest[0] {
                newest[0] = order;
                newest.sort_unstable();
            }
        }
        for flight in self.flight.iter_mut().filter(|f| !f.arrived && !f.lost) {
            if flight.order < newest[0] {
                flight.lost = true;
                self.credit += 1;
            }
        }
    }

    /// Nothing came back in time: all that is out counts as lost, but only one frame probes.
    pub(super) fn on_timeout(&mut self, now: Instant) {
        self.rtt.back_off();
        for flight in self.flight.iter_mut().filter(|f| !f.arrived) {
            flight.lost = true;
        }
        self.credit = 1;
        self.timer = Some(now + self.rtt.timeout());
    }
}

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    New,
    Duplicate,
    /// Past the window: no sender of ours does that.
    Beyond,
}

#[derive(Debug)]
struct Fragment {
    proto: Proto,
    first: bool,
    last: bool,
    payload: Vec<u8>,
}

#[derive(Debug, Default)]
pub(super) struct Receiver {
    next: u64,
    /// Frames after `next`, out of order; fewer than the window.
    held: BTreeMap<u64, Fragment>,
    /// The message that is being put together.
    partial: Option<(Proto, Vec<u8>)>,
    unacknowledged: u32,
    ack_due: Option<Instant>,
}

impl Receiver {
    pub(super) fn take(&mut self, now: Instant, data: &Data<'_>) -> Taken {
        if data.seq >= self.next.saturating_add(WINDOW) {
            return Taken::Beyond;
        }
        if data.seq < self.next || self.held.contains_key(&data.seq) {
            self.ack_due = Some(now); // the peer missed one of ours
            return Taken::Duplicate;
        }
        let Data { proto, first, last, .. } = *data;
        self.unacknowledged += 1;
        // Holes are reported at once, and so is their end.
        let gap = data.seq != self.next || !self.held.is_empty();
        let due = if gap || self.unacknowledged > 1 { now } else { now + ACK_DELAY };
        self.ack_due = Some(self.ack_due.map_or(due, |d| d.min(due)));
        self.held.insert(data.seq, Fragment { proto, first, last, payload: data.payload.to_vec() });
        Taken::New
    }

    /// The next whole message that is in order, or an error for fragments that do not fit together.
    pub(super) fn deliver(&mut self) -> Option<Result<(Proto, Vec<u8>), Proto>> {
        while let Some(fragment) = self.held.remove(&self.next) {
            self.next += 1;
            let Fragment { proto, first, last, payload } = fragment;
            let message = match (first, self.partial.take()) {
                (true, None) => payload,
                (false, Some((begun, mut message))) if begun == proto => {
                    message.extend_from_slice(&payload);
                    message
                }
                _ => return Some(Err(proto)),
            };
            if message.len() > MAX_MESSAGE {
                return Some(Err(proto));
            }
            if last {
                return Some(Ok((proto, message)));
            }
            self.partial = Some((proto, message));
        }
        None
    }

    pub(super) fn ack_due(&self) -> Option<Instant> {
        self.ack_due
    }

    /// What to tell the peer, in a frame that is about to go out.
    pub(super) fn acknowledge(&mut self) -> (u64, u64) {
        (self.unacknowledged, self.ack_due) = (0, None);
        let selective = self.held.keys().fold(0, |bits, seq| bits | 1 << (seq - self.next - 1));
        (self.next, selective)
    }
}
