//! A guest that writes what it likes anywhere in the memory. Connections break; no frame comes that was not sent, nobody crashes,
//! nobody reads or writes anywhere else, and when it stops the others find each other again.

use super::*;
use crate::ring::SEAL;
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

/// A frame that says which one it is.
fn numbered(n: usize, len: usize) -> Vec<u8> {
    [&n.to_le_bytes()[..], &content(n, len)].concat()
}

fn was_sent(frame: &[u8]) -> bool {
    let Some((number, rest)) = frame.split_first_chunk() else { return false };
    content(usize::from_le_bytes(*number), rest.len()) == rest
}

/// Changes one bit of the memory.
fn flip(memory: &NamedTempFile, at: usize, bit: usize) {
    let (file, at) = (memory.as_file(), at as u64);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << bit], at).unwrap();
}

/// Where the frame in a cell of node 1's way to node 2 begins.
const fn cell(number: usize) -> usize {
    BOARD_HEAD + 256 + number * 128 + 8
}

/// Two nodes that are connected, and have sent nothing.
fn pair(memory: &NamedTempFile) -> [Board; 2] {
    let [mut one, mut two] = [1, 2].map(|me| node(memory, me, 2, 1));
    assert_eq!(settle(&mut one, &mut two), [vec![Seen::Up(0)], vec![Seen::Up(0)]]);
    [one, two]
}

#[test]
fn a_frame_of_which_one_bit_was_changed_does_not_come_and_the_two_connect_anew() {
    let frame = numbered(7, 20);
    for bit in 0..(frame.len() + SEAL) * 8 {
        let memory = memory(2);
        let [mut one, mut two] = pair(&memory);
        one.send(0, frame.clone());
        one.send(0, numbered(8, 500));
        flip(&memory, cell(0) + bit / 8, bit % 8);
        let up = vec![Seen::Up(0)];
        assert_eq!(settle(&mut one, &mut two), [up.clone(), up], "bit {bit}");
        assert_eq!((one.damaged(0), two.damaged(0)), (0, 1));
        one.send(0, frame.clone());
        assert_eq!(settle(&mut one, &mut two), [vec![], vec![Seen::Frame(0, frame.clone())]]);
    }
}

/// Each is a word that nobody could go on without.
#[test]
fn a_stamp_and_a_readers_word_that_were_changed_stop_nobody() {
    for word in [0, 1, 5 << 32 | 1, 1 << 32 | 9, u64::MAX, 3] {
        for at in [cell(0) - 8, cell(1) - 8, BOARD_HEAD] {
            let memory = memory(2);
            let [mut one, mut two] = pair(&memory);
            for n in 0..3 {
                one.send(0, numbered(n, 30));
            }
            memory.as_file().write_all_at(&word.to_le_bytes(), at as u64).unwrap();
            settle(&mut one, &mut two);
            // More than there is room for.
            let (mut next, mut lost) = (0, false);
            for n in 0..2000 {
                one.send(0, numbered(n, 300));
            }
            while next < 2000 && !lost {
                look(&mut one);
                for seen in look(&mut two) {
                    match seen {
                        Seen::Frame(_, frame) => {
                            assert!(frame == numbered(next, 300), "{word:x} at {at}: {next}");
                            next += 1;
                        }
                        // What was sent then is lost, and both know.
                        Seen::Up(_) => lost = true,
                        Seen::Down(_) => panic!("{word:x} at {at}"),
                    }
                }
            }
            let [first, _] = settle(&mut one, &mut two);
            assert!(!first.contains(&Seen::Down(0)));
            one.send(0, numbered(1, 1));
            let frame = vec![Seen::Frame(0, numbered(1, 1))];
            assert!(settle(&mut one, &mut two)[1].ends_with(&frame), "{word:x} at {at}");
        }
    }
}

/// Between two connections somebody writes what looks like the first frame of the next one: that is read and found wrong, once.
#[test]
fn what_was_written_before_a_connection_does_not_keep_it_from_coming() {
    let memory = memory(2);
    let mut one = node(&memory, 1, 2, 1);
    let stamp: u64 = 12 << 32 | 1;
    memory.as_file().write_all_at(&stamp.to_le_bytes(), cell(0) as u64 - 8).unwrap();
    let mut two = node(&memory, 2, 2, 1);
    assert_eq!(settle(&mut one, &mut two), [vec![Seen::Up(0)], vec![Seen::Up(0)]]);
}

#[test]
fn what_is_damaged_again_and_again_ends_the_connection() {
    let memory = memory(2);
    let [mut one, mut two] = pair(&memory);
    let mut ends = Vec::new();
    for damage in 1..20 {
        one.send(0, numbered(damage, 20));
        flip(&memory, cell(0) + 3, 5);
        if settle(&mut one, &mut two)[1].contains(&Seen::Down(0)) {
            ends.push(damage);
        }
    }
    assert_eq!(ends, (9..20).collect::<Vec<_>>());
    // Whoever was heard for long enough may be damaged again.
    for n in 0..=AT_MOST as usize {
        one.send(0, numbered(n, 20));
        settle(&mut one, &mut two);
    }
    one.disconnect(0);
    settle(&mut one, &mut two);
    one.send(0, numbered(1, 20));
    flip(&memory, cell(0) + 3, 5);
    assert_eq!(settle(&mut one, &mut two)[1], [Seen::Up(0)]);
}

/// Who is not there any more is told of, also while it was to be connected to anew.
#[test]
fn who_leaves_while_it_is_waited_for_is_gone() {
    for comes_again in [false, true] {
        let memory = memory(2);
        let [mut one, mut two] = pair(&memory);
        one.send(0, numbered(1, 20));
        flip(&memory, cell(0), 0);
        assert_eq!(look(&mut two), []);
        assert!(!two.is_read(0));
        if comes_again {
            one = node(&memory, 1, 2, 2);
        } else {
            one.leave();
        }
        assert!(two.has_something());
        let seen = settle(&mut two, &mut one);
        let up = comes_again.then_some(Seen::Up(0));
        assert_eq!(seen[0], [Some(Seen::Down(0)), up].into_iter().flatten().collect::<Vec<_>>());
    }
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
        let mut came = 0;
        for round in 0..3000 {
            for side in &mut sides {
                for seen in look(side) {
                    if let Seen::Frame(_, frame) = seen {
                        assert!(was_sent(&frame), "seed {seed}, round {round}: {frame:?}");
                        came += 1;
                    }
                }
                side.send(0, numbered(round, (chance.next() % 700) as usize));
            }
            scribble(&memory, &mut chance);
        }
        assert!(came > 500, "seed {seed}: {came}");
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
