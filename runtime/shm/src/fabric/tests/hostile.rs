//! A process of the same user that writes what it likes to what it has mapped: its own lane, the other side of it, and the
//! headers of others. Whoever looks may give it up, but does not crash, and hears the others as before.

#![expect(clippy::cast_possible_truncation, reason = "numbers that are drawn")]

use super::*;
use crate::ring::Lane;
use crate::segment::{Mapping, map_header, map_lane};
use std::fs::OpenOptions;

/// Numbers that look drawn.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Small, all ones, or anything: what numbers in a ring could be taken for.
    fn word(&mut self) -> u64 {
        match self.below(6) {
            0 => (self.next() << 32) | (self.next() & 0xffff),
            1 => u64::MAX,
            2 => ((self.next() % 200) << 32) | (self.next() % 300),
            3 => ((MAX_FRAME as u64 + self.next() % 3) << 32) | (self.next() % 300),
            // A frame whose data lie in a slot.
            4 => (1 << 63) | ((self.next() % 130) << 32) | (self.next() % 300),
            _ => self.next() % 300,
        }
    }
}

/// `UNDERSTUDY_FUZZ=ROUNDS` for more than the gate runs, `UNDERSTUDY_FUZZ_SEED=N` for others.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str, default| env::var(name).map_or(default, |n| n.parse().expect(name));
    let first = number("UNDERSTUDY_FUZZ_SEED", 1);
    first..first + number("UNDERSTUDY_FUZZ", 6)
}

/// Overwrites an aligned word of a mapping.
fn scribble<T>(memory: &Mapping<T>, at: usize, value: u64) {
    let word = memory.pointer().as_ptr().cast::<u64>().wrapping_add(at % (size_of::<T>() / 8));
    // SAFETY: a word of the mapping, where others use atomics or look at bytes of no fixed meaning.
    unsafe { word.write_volatile(value) };
}

fn file_of(dir: &TempDir, node: u32) -> fs::File {
    OpenOptions::new().read(true).write(true).open(dir.path().join(name(node).to_string())).unwrap()
}

/// The lane of a sender in a receiver's file.
fn lane_of(dir: &TempDir, receiver: u32, sender: &Fabric) -> Mapping<Lane> {
    let file = file_of(dir, receiver);
    let header = map_header(&file).unwrap();
    let held = header.holders().find(|holder| holder.generation == sender.generation).unwrap();
    map_lane(&file, held.lane).unwrap()
}

/// Says that `one` heard all that `two` sent, in order.
fn heard(one: &mut Fabric, two: &mut Fabric, count: &mut u32) {
    two.send(name(1), &[&count.to_le_bytes()]).unwrap();
    let expected = Seen::Frame(2, count.to_le_bytes().to_vec());
    let mut seen = false;
    while !seen {
        for event in poll(one) {
            if matches!(event, Seen::Frame(2, _)) {
                assert_eq!(event, expected);
                seen = true;
            }
        }
        poll(two);
    }
    *count += 1;
}

#[test]
fn nonsense_in_its_own_lane_costs_the_writer_alone() {
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        let mut chance = Chance(seed);
        let (mut one, mut two) = (join(&dir, 1), join(&dir, 2));
        let mut count = 0;
        for _ in 0..10 {
            let mut three = join(&dir, 3);
            while three.send(name(1), &[b"good"]).is_err() {
                poll(&mut three);
            }
            heard_by_all(&mut [&mut one, &mut two, &mut three]);
            let lane = lane_of(&dir, 1, &three);
            for _ in 0..200 {
                // Mostly where the next stamps are.
                let at = if chance.below(2) == 0 {
                    chance.next() as usize
                } else {
                    32 + 16 * chance.below(80)
                };
                scribble(&lane, at, chance.word());
                if chance.below(8) == 0 {
                    let _ = three.send(name(1), &[&vec![3; chance.below(500)]]);
                    let _ = three.lend(name(1), &[3; 9], &vec![3; MCAPI_LEND_FROM]);
                    poll(&mut three);
                }
                heard(&mut one, &mut two, &mut count);
            }
        }
    }
}

fn heard_by_all(fabrics: &mut [&mut Fabric]) {
    for _ in 0..3 {
        for fabric in fabrics.iter_mut() {
            poll(fabric);
        }
    }
}

#[test]
fn nonsense_from_the_reader_costs_the_reader_alone() {
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        let mut chance = Chance(seed);
        let (mut one, mut two) = (join(&dir, 1), join(&dir, 2));
        let mut count = 0;
        for _ in 0..10 {
            let mut three = join(&dir, 3);
            heard_by_all(&mut [&mut one, &mut two, &mut three]);
            while one.send(name(3), &[b"good"]).is_err() {
                poll(&mut one);
            }
            let lane = lane_of(&dir, 3, &one);
            for _ in 0..200 {
                // The words that the reader writes stand first.
                scribble(&lane, chance.below(40), chance.word());
                match one.send(name(3), &[&vec![1; chance.below(2000)]]) {
                    Ok(()) | Err(SendError::Full | SendError::Gone | SendError::Unknown) => {}
                    Err(error) => panic!("{error}"),
                }
                heard(&mut one, &mut two, &mut count);
            }
        }
    }
}

/// Whoever can write to a header can make its owner deaf; but no more than that.
#[test]
fn nonsense_in_a_header_crashes_nobody() {
    for seed in seeds() {
        let dir = tempfile::tempdir().unwrap();
        let mut chance = Chance(seed);
        let (mut one, mut two) = (join(&dir, 1), join(&dir, 2));
        heard_by_all(&mut [&mut one, &mut two]);
        let header = map_header(&file_of(&dir, 1)).unwrap();
        for _ in 0..300 {
            scribble(&header, chance.next() as usize, chance.word());
            let _ = two.send(name(1), &[&vec![2; chance.below(300)]]);
            let _ = one.send(name(2), &[&vec![1; chance.below(300)]]);
            heard_by_all(&mut [&mut one, &mut two]);
            one.wait(Some(Instant::now()));
        }
        drop((one, two));
        // Those who come after find a place.
        let (mut one, mut two) = (join(&dir, 4), join(&dir, 5));
        heard_by_all(&mut [&mut one, &mut two]);
        two.send(name(4), &[b"new"]).unwrap();
        assert_eq!(expect(&mut one, 1).last(), Some(&Seen::Frame(5, b"new".to_vec())));
    }
}
