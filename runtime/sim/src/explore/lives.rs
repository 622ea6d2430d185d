//! Two links, one end of which dies and comes back again and again, while frames of its earlier lives are
//! still under way: each life hears what was said to it, in order and once, and nothing else. Over a stream the
//! connection breaks as well, with all that is on it, and what both ends see of that they see in their own time.

use crate::rng::Rng;
use runtime_core::id::{Generation, NodeId, Peer};
use runtime_core::link::{Event, Link, Proto, Settings};
use runtime_core::node::{Image, Medium};
use runtime_core::time::{Duration, Instant};
use std::collections::BTreeMap;

const MS: u64 = 1_000_000;
/// Each end says something this often.
const EVERY: u64 = 300_000;
/// Frames take up to this long.
const DELAY: u64 = 4 * MS;

struct End {
    link: Link,
    life: u32,
    /// The peer's life that it talks with, how much it said to it, and how much it heard.
    with: u32,
    said: u64,
    heard: u64,
}

impl End {
    fn new(me: u16, life: u32, medium: Medium, now: u64) -> Self {
        let settings = Settings {
            me: Peer { node: NodeId(me), generation: Generation(life) },
            hash: [7; 32],
            ours: Image::Linux,
            theirs: Image::Linux,
            medium,
            mtu: 1500,
            heartbeat: Duration::from_millis(10),
            suspect_after: 10,
            join_timeout: Duration::from_millis(500),
        };
        let mut link = Link::new(settings, NodeId(1 - me), Instant(now));
        if medium == Medium::Datagram {
            link.transport_up(Instant(now));
        }
        Self { link, life, with: 0, said: 0, heard: 0 }
    }

    fn say(&mut self, now: u64) {
        if self.link.is_up() && self.link.queued() < 50 {
            let words = [self.life.into(), self.with.into(), self.said];
            let bytes = words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
            self.link.send(Instant(now), Proto::Sdsm, bytes);
            self.said += 1;
        }
    }

    /// Takes what the link has; how many messages it delivered.
    fn drain(&mut self, mut transmit: impl FnMut(Vec<u8>)) -> Result<u64, String> {
        let mut heard = 0;
        while let Some(event) = self.link.poll() {
            match event {
                Event::Transmit(bytes) => transmit(bytes),
                Event::Deliver { payload, .. } => {
                    self.hear(&payload)?;
                    heard += 1;
                }
                Event::Up { generation } => self.with = generation.0,
                Event::Restarted { .. } => (self.said, self.heard) = (0, 0),
                _ => {}
            }
        }
        Ok(heard)
    }

    /// What came must be of the life that this one talks with, to this one, and be the next.
    fn hear(&mut self, payload: &[u8]) -> Result<(), String> {
        let (words, _) = payload.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let due = [self.with.into(), self.life.into(), self.heard];
        if words != due {
            return Err(format!("a link delivers {words:?} where {due:?} is due"));
        }
        self.heard += 1;
        Ok(())
    }
}

/// What comes to an end of the link.
enum Coming {
    /// On this connection; datagrams are on none.
    Frame(u64, Vec<u8>),
    Up(u64),
    Down(u64),
}

/// The two ends, and what is under way between them.
struct Pair {
    rng: Rng,
    medium: Medium,
    ends: [End; 2],
    agenda: BTreeMap<(u64, u64), (usize, Coming)>,
    sequence: u64,
    /// The newest connection, which of them each end has, and when the last frame to each comes.
    connection: u64,
    open: [u64; 2],
    last: [u64; 2],
    heard: u64,
}

impl Pair {
    fn new(seed: u64, medium: Medium) -> Self {
        let mut pair = Self {
            rng: Rng::new(seed ^ 0x6c69_7665_7300),
            medium,
            ends: [0, 1].map(|me| End::new(me, 1, medium, 0)),
            agenda: BTreeMap::new(),
            sequence: 0,
            connection: 0,
            open: [0, 0],
            last: [0, 0],
            heard: 0,
        };
        pair.connect_anew(0);
        pair
    }

    fn plan(&mut self, at: u64, to: usize, coming: Coming) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), (to, coming));
    }

    /// The connection breaks, if there was one, and a new one is made. An end may see the new one only.
    fn connect_anew(&mut self, now: u64) {
        if self.medium == Medium::Datagram {
            return;
        }
        for end in 0..2 {
            if self.rng.chance(60) {
                let at = now + self.rng.below(2 * MS);
                self.plan(at, end, Coming::Down(self.connection));
            }
        }
        self.connection += 1;
        self.last = [0, 0];
        let at = now + 2 * MS + self.rng.below(2 * MS);
        (0..2).for_each(|end| self.plan(at, end, Coming::Up(self.connection)));
    }

    fn die_and_come_back(&mut self, now: u64) {
        self.ends[1] = End::new(1, self.ends[1].life + 1, self.medium, now);
        self.open[1] = 0;
        self.connect_anew(now);
    }

    fn come(&mut self, now: u64, to: usize, coming: Coming) {
        let (now, link) = (Instant(now), &mut self.ends[to].link);
        match coming {
            Coming::Frame(on, bytes) if on == self.open[to] => link.handle_frame(now, &bytes),
            Coming::Up(new) if new == self.connection => {
                self.open[to] = new;
                link.transport_up(now);
            }
            Coming::Down(old) if old == self.open[to] => {
                self.open[to] = 0;
                link.transport_down(now);
            }
            _ => {}
        }
    }

    /// Frames of a stream overtake none.
    fn send(&mut self, now: u64, from: usize, bytes: Vec<u8>) {
        let (to, mut at) = (1 - from, now + self.rng.below(DELAY));
        if self.medium == Medium::Stream {
            at = at.max(self.last[to]);
            self.last[to] = at;
            if self.open[from] != self.connection {
                return;
            }
        }
        self.plan(at, to, Coming::Frame(self.open[from], bytes));
    }

    /// All that happens in a tenth of a millisecond.
    fn pass(&mut self, now: u64) -> Result<(), String> {
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= now
        {
            let (to, coming) = entry.remove();
            self.come(now, to, coming);
        }
        for from in 0..2 {
            let end = &mut self.ends[from];
            if end.link.deadline().is_some_and(|(at, _)| at.0 <= now) {
                end.link.tick(Instant(now));
            }
            let mut frames = Vec::new();
            self.heard += end.drain(|bytes| frames.push(bytes))?;
            // What is said goes out in the next round, in which the link may have news first.
            if now.is_multiple_of(EVERY) {
                end.say(now);
            }
            frames.into_iter().for_each(|bytes| self.send(now, from, bytes));
        }
        Ok(())
    }
}

/// One story with a seed; how much was heard.
///
/// # Errors
/// What was heard that should not have been.
pub(super) fn story(seed: u64, medium: Medium) -> Result<u64, String> {
    let mut pair = Pair::new(seed, medium);
    let (mut dies_at, mut breaks_at) = (20 * MS, 9 * MS);
    for now in (0..300 * MS).step_by(100_000) {
        if now >= dies_at {
            pair.die_and_come_back(now);
            dies_at = now + 15 * MS + pair.rng.below(30 * MS);
        }
        if now >= breaks_at {
            pair.connect_anew(now);
            breaks_at = now + 3 * MS + pair.rng.below(12 * MS);
        }
        pair.pass(now)?;
    }
    Ok(pair.heard)
}
