//! Two links, one end of which dies and comes back again and again, while frames of its earlier lives are
//! still under way: each life hears what was said to it, in order and once, and nothing else.

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
    fn new(me: u16, life: u32, now: u64) -> Self {
        let settings = Settings {
            me: Peer { node: NodeId(me), generation: Generation(life) },
            hash: [7; 32],
            ours: Image::Linux,
            theirs: Image::Linux,
            medium: Medium::Datagram,
            mtu: 1500,
            heartbeat: Duration::from_millis(10),
            suspect_after: 10,
            join_timeout: Duration::from_millis(500),
        };
        let mut link = Link::new(settings, NodeId(1 - me), Instant(now));
        link.transport_up(Instant(now));
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

/// One story with a seed; how much was heard.
///
/// # Errors
/// What was heard that should not have been.
pub(super) fn story(seed: u64) -> Result<u64, String> {
    let mut rng = Rng::new(seed ^ 0x6c69_7665_7300);
    let mut ends = [End::new(0, 1, 0), End::new(1, 1, 0)];
    let mut agenda: BTreeMap<(u64, u64), (usize, Vec<u8>)> = BTreeMap::new();
    let (mut sequence, mut heard, mut dies_at) = (0, 0, 20 * MS);
    for now in (0..300 * MS).step_by(100_000) {
        if now >= dies_at {
            ends[1] = End::new(1, ends[1].life + 1, now);
            dies_at = now + 15 * MS + rng.below(30 * MS);
        }
        while let Some(entry) = agenda.first_entry()
            && entry.key().0 <= now
        {
            let (to, bytes) = entry.remove();
            ends[to].link.handle_frame(Instant(now), &bytes);
        }
        for (i, end) in ends.iter_mut().enumerate() {
            if end.link.deadline().is_some_and(|(at, _)| at.0 <= now) {
                end.link.tick(Instant(now));
            }
            heard += end.drain(|bytes| {
                sequence += 1;
                agenda.insert((now + rng.below(DELAY), sequence), (1 - i, bytes));
            })?;
            // What is said goes out in the next round, in which the link may have news first.
            if now.is_multiple_of(EVERY) {
                end.say(now);
            }
        }
    }
    Ok(heard)
}
