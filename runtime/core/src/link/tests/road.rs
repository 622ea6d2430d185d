//! Bulk transfers over a road that is narrow, long and full of holes, in virtual time.

use super::{Rng, settings};
use crate::id::NodeId;
use crate::link::{Event, Link, Proto};
use crate::node::Medium::Datagram;
use crate::time::{Duration, Instant};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec;
use alloc::vec::Vec;

/// Messages that a sender has queued, at most.
const AHEAD: usize = 64;
pub(super) const MESSAGE: usize = 4096 + 32;

/// One way of a network: a bottleneck with a queue, then a delay.
#[derive(Clone, Copy)]
pub(super) struct Road {
    /// One way.
    pub(super) delay: Duration,
    /// Bits in a second.
    pub(super) rate: u64,
    /// Frames that may wait; one more is lost.
    pub(super) queue: usize,
    /// In thousandths.
    pub(super) loss: usize,
    /// Added to the delay, up to this.
    pub(super) jitter: Duration,
}

impl Road {
    pub(super) const fn new(rtt_us: u64, mbit: u64) -> Self {
        let (delay, jitter) = (Duration::from_micros(rtt_us / 2), Duration::ZERO);
        Self { delay, rate: mbit * 1_000_000, queue: 1_000, loss: 0, jitter }
    }
}

struct Way {
    road: Road,
    departures: VecDeque<Instant>,
    overflowed: u64,
}

impl Way {
    fn new(road: Road) -> Self {
        Self { road, departures: VecDeque::new(), overflowed: 0 }
    }

    /// When a frame arrives, if it does.
    fn carry(&mut self, now: Instant, length: usize, rng: &mut Rng) -> Option<Instant> {
        while self.departures.front().is_some_and(|at| *at <= now) {
            self.departures.pop_front();
        }
        if self.departures.len() > self.road.queue {
            self.overflowed += 1;
            return None;
        }
        let begin = self.departures.back().map_or(now, |last| now.max(*last));
        let gone = begin + Duration(length as u64 * 8_000_000_000 / self.road.rate);
        self.departures.push_back(gone);
        let jitter = self.road.jitter.0;
        let jitter = if jitter == 0 { 0 } else { rng.next() % jitter };
        let lost = rng.chance(self.road.loss);
        (!lost).then_some(gone + self.road.delay + Duration(jitter))
    }
}

/// Senders and receivers, each sender with one receiver; all share the way there.
pub(super) struct Traffic {
    pub(super) now: Instant,
    /// Sender and receiver of flow `f` at `2f` and `2f + 1`.
    pub(super) links: Vec<Link>,
    there: Way,
    back: Way,
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    serial: u64,
    rng: Rng,
    /// Messages that arrived, by flow.
    pub(super) arrived: Vec<u64>,
    /// This flow's receiver stands still until then: frames wait for it, its timers do not run.
    pub(super) still: Option<(usize, Instant)>,
    /// Frames that senders and receivers sent, lost ones included.
    pub(super) frames: [u64; 2],
}

impl Traffic {
    pub(super) fn new(road: Road, flows: usize, mtu: usize, seed: u64) -> Self {
        let now = Instant(1_000_000);
        let link = |i: usize| {
            let node = u16::from(i % 2 == 1);
            let mut settings = settings(node, 1, Datagram);
            (settings.mtu, settings.suspect_after) = (mtu, 1_000);
            Link::new(settings, NodeId(1 - node), now)
        };
        let mut traffic = Self {
            now,
            links: (0..2 * flows).map(link).collect(),
            there: Way::new(Road { loss: 0, ..road }),
            back: Way::new(Road { loss: 0, ..road }),
            wire: BTreeMap::new(),
            serial: 0,
            rng: Rng::new(seed),
            arrived: vec![0; flows],
            still: None,
            frames: [0; 2],
        };
        traffic.links.iter_mut().for_each(|link| link.transport_up(now));
        (0..2 * flows).for_each(|i| traffic.drain(i));
        traffic.run(Duration::from_millis(60));
        assert!(traffic.links.iter().all(Link::is_up));
        traffic.lose(road.loss);
        traffic.frames = [0; 2];
        traffic
    }

    /// What one flow brings over a road in so much time, in thousandths of what the road carries.
    pub(super) fn goodput(road: Road, mtu: usize, time: Duration) -> u64 {
        let mut traffic = Self::new(road, 1, mtu, 7);
        traffic.bulk(time);
        traffic.share(0, time)
    }

    /// What a flow brought in so much time, in thousandths of what the road carries.
    pub(super) fn share(&self, flow: usize, time: Duration) -> u64 {
        self.arrived[flow] * MESSAGE as u64 * 8 * 1_000
            / (self.there.road.rate / 1_000 * time.0 / 1_000_000)
    }

    /// From now on this many in a thousand are lost, on both ways.
    pub(super) fn lose(&mut self, loss: usize) {
        (self.there.road.loss, self.back.road.loss) = (loss, loss);
    }

    pub(super) fn overflowed(&self) -> u64 {
        self.there.overflowed
    }

    /// All flows send as fast as they may.
    pub(super) fn bulk(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            (0..self.arrived.len()).for_each(|flow| self.fill(flow));
            self.step(end);
        }
    }

    fn fill(&mut self, flow: usize) {
        while self.links[2 * flow].queued() < AHEAD {
            self.send(2 * flow, MESSAGE);
        }
    }

    pub(super) fn send(&mut self, from: usize, length: usize) {
        self.links[from].send(self.now, Proto::Mcapi, vec![5; length]);
        self.drain(from);
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step(end);
        }
    }

    fn is_still(&self, link: usize, at: Instant) -> Option<Instant> {
        self.still.filter(|(flow, until)| 2 * flow + 1 == link && at < *until).map(|(_, at)| at)
    }

    /// The next thing that happens, if it does before the end.
    fn step(&mut self, end: Instant) {
        let timers = self.links.iter().enumerate().filter_map(|(i, link)| {
            let (at, _) = link.deadline()?;
            Some((self.is_still(i, at).unwrap_or(at), i))
        });
        let timer = timers.min();
        let frame = self.wire.keys().next().map(|(at, _)| *at);
        let next = frame.into_iter().chain(timer.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|at| *at <= end) else {
            self.now = end;
            return;
        };
        self.now = self.now.max(next);
        if frame == Some(next) {
            let ((at, serial), (to, bytes)) = self.wire.pop_first().unwrap();
            if let Some(until) = self.is_still(to, at) {
                self.wire.insert((until, serial), (to, bytes));
                return;
            }
            self.links[to].handle_frame(self.now, &bytes);
            self.drain(to);
        } else if let Some((_, link)) = timer {
            self.links[link].tick(self.now);
            self.drain(link);
        }
    }

    fn drain(&mut self, from: usize) {
        while let Some(event) = self.links[from].poll() {
            match event {
                Event::Transmit(bytes) => {
                    self.frames[from % 2] += 1;
                    let way = if from.is_multiple_of(2) { &mut self.there } else { &mut self.back };
                    if let Some(at) = way.carry(self.now, bytes.len(), &mut self.rng) {
                        self.serial += 1;
                        self.wire.insert((at, self.serial), (from ^ 1, bytes));
                    }
                }
                Event::Deliver { payload, .. } => {
                    assert!(payload.iter().all(|byte| *byte == 5));
                    self.arrived[from / 2] += 1;
                }
                _ => {}
            }
        }
    }
}
