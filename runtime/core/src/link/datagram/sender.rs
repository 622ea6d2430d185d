//! Messages out: cut up, sent, and sent again until they have arrived.

use super::WINDOW;
use super::congestion::Congestion;
use super::rtt::Rtt;
use crate::limits::LINK_WINDOW;
use crate::link::frame::{Data, Proto};
use crate::link::spare::Spare;
use crate::time::{Duration, Instant};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Range;

/// A frame is lost when one that was sent so many later has arrived; more on a path that reorders.
const OVERTAKEN: u64 = 3;
const OVERTAKEN_MAX: u64 = WINDOW / 4;

/// A message that has not arrived as a whole as far as is known.
#[derive(Clone, Debug)]
struct Message {
    proto: Proto,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Out,
    Lost,
    Arrived,
}

/// A fragment that is not known to have arrived with all before it.
#[derive(Clone, Debug)]
struct Flight {
    /// Number of its message.
    message: u64,
    range: Range<usize>,
    last: bool,
    /// Latest transmission: when, and the how-manieth of all.
    sent: Instant,
    order: u64,
    again: bool,
    /// It was taken for lost at some time.
    was_lost: bool,
    state: State,
}

/// A fragment that was sent again though nothing said that it is lost.
#[derive(Clone, Debug)]
struct Probe {
    seq: u64,
    /// When it went out before that, and the time until it had arrived.
    sent: Instant,
    took: Option<Duration>,
}

/// An acknowledgement for something never sent.
#[derive(Clone, Debug)]
pub(in crate::link) struct BadAck;

#[derive(Clone, Debug)]
pub(in crate::link) struct Sender {
    messages: VecDeque<Message>,
    /// Number of the first in `messages`, and of the one to cut next, with what is cut of it.
    first: u64,
    cutting: u64,
    cut: usize,
    flight: VecDeque<Flight>,
    /// Sequence number of the first in `flight`.
    base: u64,
    /// How many of `flight` are out, and lost.
    out: usize,
    lost: usize,
    /// Transmissions so far, the latest known to have arrived, and the last of this round.
    order: u64,
    newest: u64,
    round: u64,
    overtaken: u64,
    congestion: Congestion,
    rtt: Rtt,
    timer: Option<Instant>,
    /// A frame may go out though the window is full.
    probe: bool,
    probed: Option<Probe>,
    /// When the last outage ended: what went out before tells nothing of round trips.
    revived: Instant,
    pub(in crate::link) retransmitted: u64,
}

impl Default for Sender {
    fn default() -> Self {
        Self {
            messages: VecDeque::new(),
            first: 0,
            cutting: 0,
            cut: 0,
            flight: VecDeque::new(),
            base: 0,
            out: 0,
            lost: 0,
            order: 0,
            newest: 0,
            round: 0,
            overtaken: OVERTAKEN,
            congestion: Congestion::default(),
            rtt: Rtt::default(),
            timer: None,
            probe: false,
            probed: None,
            revived: Instant(0),
            retransmitted: 0,
        }
    }
}

impl Sender {
    /// Room for a whole window, of messages and of fragments.
    pub(in crate::link) fn reserve(&mut self) {
        self.messages.reserve(LINK_WINDOW);
        self.flight.reserve(LINK_WINDOW);
    }

    pub(in crate::link) fn push(&mut self, proto: Proto, bytes: Vec<u8>) {
        self.messages.push_back(Message { proto, bytes });
    }

    /// Messages that have not arrived as far as is known.
    pub(in crate::link) fn queued(&self) -> usize {
        self.messages.len()
    }

    pub(in crate::link) fn deadline(&self) -> Option<Instant> {
        self.timer
    }

    /// The next frame to send now, with at most `chunk` bytes of payload.
    pub(in crate::link) fn next(&mut self, now: Instant, chunk: usize) -> Option<Data<'_>> {
        let index = if core::mem::take(&mut self.probe) {
            // Its arrival is to say of all others that they are lost.
            self.order += self.overtaken;
            let last = self.flight.iter().rposition(|f| f.state != State::Arrived);
            self.cut(chunk).or_else(|| last.inspect(|last| self.probe(*last)))?
        } else if self.out >= self.congestion.window() {
            return None;
        } else if self.lost > 0 {
            let first = self.flight.iter().position(|f| f.state == State::Lost);
            first.inspect(|first| self.again(*first))?
        } else {
            self.cut(chunk)?
        };
        self.order += 1;
        self.timer.get_or_insert(now + self.rtt.timeout(self.out));
        let flight = &mut self.flight[index];
        (flight.sent, flight.order) = (now, self.order);
        let message = &self.messages[place(flight.message - self.first)];
        Some(Data {
            seq: self.base + index as u64,
            proto: message.proto,
            first: flight.range.start == 0,
            last: flight.last,
            payload: &message.bytes[flight.range.clone()],
        })
    }

    /// Takes the next fragment into flight, if there is room. Returns its place.
    fn cut(&mut self, chunk: usize) -> Option<usize> {
        if self.flight.len() >= LINK_WINDOW {
            return None;
        }
        let whole = self.messages.get(place(self.cutting - self.first))?.bytes.len();
        let range = self.cut..whole.min(self.cut + chunk);
        let (message, last) = (self.cutting, range.end == whole);
        (self.cutting, self.cut) = if last { (message + 1, 0) } else { (message, range.end) };
        let (sent, state) = (Instant::default(), State::Out);
        let (order, again, was_lost) = (0, false, false);
        let flight = Flight { message, range, last, sent, order, again, was_lost, state };
        self.flight.push_back(flight);
        self.out += 1;
        Some(self.flight.len() - 1)
    }

    /// A frame goes out once more because nothing comes back.
    fn probe(&mut self, index: usize) {
        let (seq, sent) = (self.base + index as u64, self.flight[index].sent);
        if self.probed.as_ref().is_none_or(|probe| probe.seq != seq) {
            self.probed = Some(Probe { seq, sent, took: None });
        }
        self.again(index);
    }

    /// A frame goes out once more.
    fn again(&mut self, index: usize) {
        let flight = &mut self.flight[index];
        flight.again = true;
        if core::mem::replace(&mut flight.state, State::Out) == State::Lost {
            flight.was_lost = true;
            self.lost -= 1;
            self.out += 1;
        }
        self.retransmitted += 1;
    }

    /// The peer expects `ack` next and holds the frames after it whose bits are set.
    pub(in crate::link) fn on_ack(
        &mut self,
        now: Instant,
        ack: u64,
        selective: u128,
        spare: &mut Spare,
    ) -> Result<(), BadAck> {
        let Some(moved) = ack.checked_sub(self.base) else {
            return Ok(()); // overtaken by a later one
        };
        let moved = usize::try_from(moved).map_err(|_| BadAck)?;
        let held = 128 - selective.leading_zeros() as usize;
        if moved > self.flight.len() || (held > 0 && moved + 1 + held > self.flight.len()) {
            return Err(BadAck);
        }
        let full = self.out >= self.congestion.window();
        let (mut fresh, mut trip) = (0, None);
        for index in (0..moved).chain(bits(selective).map(|bit| moved + 1 + bit)) {
            if self.flight[index].state != State::Arrived {
                fresh += 1;
                trip = self.arrive(now, index).or(trip);
            }
        }
        for flight in self.flight.drain(..moved) {
            if flight.last {
                if let Some(message) = self.messages.pop_front() {
                    spare.give(message.bytes);
                }
                self.first += 1;
            }
        }
        self.base = ack;
        if let Some(trip) = trip {
            self.rtt.sample(now, trip);
        }
        if fresh == 0 {
            return Ok(());
        }
        if self.newest > self.round {
            self.round = self.order;
            self.rtt.end_round();
        }
        if full {
            self.congestion.on_arrival(fresh);
        }
        self.find_lost();
        let waiting = !self.flight.is_empty();
        self.timer = waiting.then(|| now + self.rtt.timeout(self.out));
        Ok(())
    }

    /// A frame has arrived. Returns its round trip, where it is one.
    fn arrive(&mut self, now: Instant, index: usize) -> Option<Duration> {
        let seq = self.base + index as u64;
        if let Some(probe) = self.probed.as_mut().filter(|probe| probe.seq == seq) {
            probe.took = Some(now.since(probe.sent));
        }
        let flight = &mut self.flight[index];
        match core::mem::replace(&mut flight.state, State::Arrived) {
            State::Out => self.out -= 1,
            State::Lost => self.lost -= 1,
            State::Arrived => {}
        }
        let trip = now.since(flight.sent);
        if flight.again && trip < self.rtt.shortest() {
            // So soon it is the first transmission that came, late: this path reorders, if others were
            // faster. A probe only says that the peer is slow.
            if flight.was_lost {
                self.overtaken = (2 * self.overtaken).min(OVERTAKEN_MAX);
            }
        } else {
            self.newest = self.newest.max(flight.order);
        }
        (!flight.again && flight.sent >= self.revived).then_some(trip)
    }

    /// A frame is lost when a much later one has arrived.
    fn find_lost(&mut self) {
        for flight in self.flight.iter_mut().filter(|f| f.state == State::Out) {
            if flight.order + self.overtaken <= self.newest {
                flight.state = State::Lost;
                self.out -= 1;
                self.lost += 1;
                self.congestion.on_loss(flight.order, self.order, &self.rtt);
            }
        }
    }

    /// The peer got a fragment twice. If it was a probe, and the answer to the first one was here before this word,
    /// the answer was only late. (If not, it may have been lost.) Comes before what else the frame acknowledges.
    pub(in crate::link) fn on_repeated(&mut self, seq: u64) {
        let probe = self.probed.take_if(|probe| probe.seq == seq);
        if let Some(took) = probe.and_then(|probe| probe.took) {
            self.rtt.was_slow(took);
        }
    }

    /// The peer was silent for so long that it was suspect, and is heard: how long was waited for it says nothing
    /// of the path any more (as RFC 6069 has it). What waits is tried at once.
    pub(in crate::link) fn revive(&mut self, now: Instant) {
        self.rtt.end_back_off();
        self.revived = now;
        if !self.flight.is_empty() {
            self.probe = true;
            self.timer = Some(now + self.rtt.timeout(self.out));
        }
    }

    /// Nothing came back for a while.
    pub(in crate::link) fn on_timeout(&mut self, now: Instant) {
        self.rtt.back_off();
        self.probe = true;
        self.timer = Some(now + self.rtt.timeout(self.out));
    }
}

/// Index of something that is in memory.
fn place(distance: u64) -> usize {
    usize::try_from(distance).unwrap_or(usize::MAX)
}

/// Places of the bits that are set.
fn bits(mut set: u128) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let bit = (set != 0).then(|| set.trailing_zeros() as usize)?;
        set &= set - 1;
        Some(bit)
    })
}
