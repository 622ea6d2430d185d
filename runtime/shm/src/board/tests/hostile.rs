//! A guest that writes what it likes anywhere in the memory. Connections break, frames are other bytes; nobody crashes, nobody
//! reads or writes anywhere else, and when it stops the others find each other again.

use super::*;
use std::os::unix::fs::FileExt;

/// Numbers that look drawn.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 24
    }

    /// What numbers of doors and lanes could be taken for.
    fn word(&mut self) -> u64 {
        match self.next() % 6 {
            0 => 0,
            1 => u64::MAX,
            2 => (self.next() % 200) << 32 | (self.next() % 300),
            3 => (MAX_FRAME as u64 + self.next() % 3) << 32 | (self.next() % 300),
            4 => 1 << 32 | (self.next() % 9),
            _ => self.next(),
        }
    }
}

/// `UNDERSTUDY_FUZZ=ROUNDS` for more than the gate runs, `UNDERSTUDY_FUZZ_SEED=N` for others.
fn seeds() -> std::ops::Range<u64> {
    let number =
        |name: &str, default| std::env::var(name).map_or(default, |n| n.parse().expect(name));
    let first = number("UNDERSTUDY_FUZZ_SEED", 1);
    first..first + number("UNDERSTUDY_FUZZ", 6)
}

fn scribble(memory: &NamedTempFile, chance: &mut Chance) {
    let way = chance.next() % 2 * BOARD_WAY as u64;
    let door = BOARD_WAY as u64 - 4096;
    // The reader's word, a stamp near the beginning, a word of the door, or any.
    let at = match chance.next() % 4 {
        0 => 0,
        1 => 256 + chance.next() % 256 * 128,
        2 => door + chance.next() % 5 * 8,
        _ => chance.next() % (BOARD_WAY as u64 / 8) * 8,
    };
    let word = chance.word().to_le_bytes();
    memory.as_file().write_all_at(&word, BOARD_HEAD as u64 + way + at).unwrap();
}

#[test]
fn the_door_is_where_it_is_written_to() {
    let memory = memory(2);
    let _one = node(&memory, 1, 2, 5);
    let mut door = [0; 40];
    let at = (BOARD_HEAD + BOARD_WAY - 4096) as u64;
    memory.as_file().read_exact_at(&mut door, at).unwrap();
    let word = |n: usize| u64::from_le_bytes(door[8 * n..8 * n + 8].try_into().unwrap());
    assert_eq!([1, 2, 3, 4].map(word), [3 << 32 | 1, 3 << 32 | 2, 5 << 32 | 1, 0]);
}

#[test]
fn whatever_is_written_anywhere_harms_nobody_for_long() {
    for seed in seeds() {
        let memory = memory(2);
        let mut chance = Chance(seed);
        let mut sides = [node(&memory, 1, 2, 1), node(&memory, 2, 2, 1)];
        let mut longest = 0;
        for round in 0..3000 {
            for side in &mut sides {
                let frames = look(side).into_iter().filter_map(|seen| match seen {
                    Seen::Frame(_, frame) => Some(frame.len()),
                    _ => None,
                });
                longest = frames.fold(longest, usize::max);
                side.send(0, content(round, (chance.next() % 700) as usize));
            }
            scribble(&memory, &mut chance);
        }
        assert!(longest <= MAX_FRAME);
        // Nobody scribbles any more.
        let [one, two] = &mut sides;
        settle(one, two);
        one.disconnect(0);
        let [first, second] = settle(one, two);
        assert_eq!(first.last(), Some(&Seen::Up(0)), "seed {seed}: {first:?}");
        assert_eq!(second.last(), Some(&Seen::Up(0)), "seed {seed}: {second:?}");
        one.send(0, content(1, 999));
        let frame = vec![Seen::Frame(0, content(1, 999))];
        assert!(settle(one, two) == [vec![], frame], "seed {seed}");
    }
}

#[test]
fn a_node_that_another_file_places_there_is_not_taken_for_this_one() {
    let memory = memory(2);
    let mut one = node(&memory, 1, 2, 1);
    let neighbour = Neighbour { name: name(1), out: 1, into: 0 };
    let mut other = Board::open(memory.path(), name(7), 1, &[neighbour], 2).unwrap();
    assert_eq!(settle(&mut one, &mut other), [vec![], vec![]]);
    assert!(one.warned);
}
