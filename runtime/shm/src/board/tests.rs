//! Nodes that are threads, over a file in place of a board's memory. Processes are in `tests/board.rs`.

mod hostile;

use super::*;
use crate::MAX_FRAME;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::NamedTempFile;

fn name(node: u32) -> NodeName {
    NodeName { domain: 3, node }
}

/// Memory for so many nodes, each of which has a way to each.
pub(super) fn memory(nodes: usize) -> NamedTempFile {
    let file = tempfile::Builder::new().prefix("board-").tempfile_in("/dev/shm").unwrap();
    file.as_file().set_len(bytes(nodes * (nodes - 1))).unwrap();
    file
}

/// Node `me` of so many from 1, in a life.
pub(super) fn node(memory: &NamedTempFile, me: usize, nodes: usize, life: u32) -> Board {
    let way = |from: usize, to: usize| (from - 1) * (nodes - 1) + to - 1 - usize::from(to > from);
    let others = (1..=nodes).filter(|other| *other != me);
    let neighbour = |other: usize| Neighbour {
        name: name(other.try_into().unwrap()),
        out: way(me, other),
        into: way(other, me),
    };
    let neighbours: Vec<_> = others.map(neighbour).collect();
    let me = name(me.try_into().unwrap());
    Board::open(memory.path(), me, life, &neighbours, nodes * (nodes - 1)).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Up(usize),
    Frame(usize, Vec<u8>),
    Down(usize),
}

/// All that there is now.
pub(super) fn look(board: &mut Board) -> Vec<Seen> {
    let (mut seen, mut frame) = (Vec::new(), Vec::new());
    while let Some(happening) = board.next(&mut frame) {
        seen.push(match happening {
            Happening::Up(from) => Seen::Up(from),
            Happening::Frame(from) => Seen::Frame(from, frame.clone()),
            Happening::Down(from) => Seen::Down(from),
        });
    }
    seen
}

/// What two nodes see until neither has anything, which must come.
fn settle(a: &mut Board, b: &mut Board) -> [Vec<Seen>; 2] {
    let mut seen = [look(a), look(b)];
    let mut looks = 0;
    while a.has_something() || b.has_something() {
        looks += 1;
        assert!(looks < 1000, "{a:?} {b:?}");
        seen[0].extend(look(a));
        seen[1].extend(look(b));
    }
    seen
}

fn content(n: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (n.wrapping_mul(31) ^ at.wrapping_mul(7)).to_le_bytes()[0]).collect()
}

#[test]
fn nodes_meet_talk_and_leave() {
    let memory = memory(2);
    let mut one = node(&memory, 1, 2, 7);
    one.send(0, b"to nobody".to_vec());
    assert_eq!(look(&mut one), []);
    let mut two = node(&memory, 2, 2, 9);
    let up = || vec![Seen::Up(0)];
    assert_eq!(settle(&mut one, &mut two), [up(), up()]);
    for (n, len) in [0, 1, 7, 8, 120, 121, 5000, MAX_FRAME].into_iter().enumerate() {
        one.send(0, content(n, len));
        two.send(0, content(n + 1, len));
        let frame = |n| vec![Seen::Frame(0, content(n, len))];
        assert!(settle(&mut one, &mut two) == [frame(n + 1), frame(n)], "{len}");
    }
    assert!(one.is_read(0));
    one.send(0, b"last".to_vec());
    assert!(!one.is_read(0));
    one.leave();
    assert_eq!(look(&mut two), [Seen::Frame(0, b"last".to_vec()), Seen::Down(0)]);
    assert_eq!(look(&mut one), []);
    drop(one);
    assert_eq!(look(&mut two), []);
    let mut one = node(&memory, 1, 2, 8);
    assert_eq!(settle(&mut one, &mut two), [up(), up()]);
}

#[test]
fn a_new_life_ends_the_one_before_and_nothing_of_that_arrives() {
    let memory = memory(2);
    let mut two = node(&memory, 2, 2, 1);
    for life in 1..30 {
        let mut one = node(&memory, 1, 2, life);
        let known = usize::from(life > 1);
        let [first, second] = settle(&mut one, &mut two);
        assert_eq!(first.iter().filter(|seen| **seen != Seen::Up(0)).count(), 0, "{first:?}");
        assert_eq!(second[..known], vec![Seen::Down(0); known]);
        assert_eq!(second[known..], [Seen::Up(0)]);
        // Of all lengths of what is not read before the end.
        for n in 0..life as usize * 13 {
            one.send(0, content(n, n * 97 % 3000));
            two.send(0, content(n, n * 89 % 3000));
        }
        drop(one);
    }
}

#[test]
fn numbers_of_connections_stay_in_their_life_and_are_never_none() {
    use crate::pair::next;
    assert_eq!(next(7 << 32 | 1, true), 7 << 32 | 2);
    assert_eq!(next(7 << 32 | 5, false), 7 << 32 | 0x1_0001);
    assert_eq!(next(7 << 32 | 0x1_ffff, true), 7 << 32 | 0x2_0001);
    assert_eq!(next(7 << 32 | 0xffff_ffff, true), 7 << 32 | 1);
    assert_eq!(next(7 << 32 | 0xffff_0003, false), 7 << 32 | 1);
}

#[test]
fn who_gives_up_and_who_is_given_up_meet_again() {
    let memory = memory(2);
    let (mut one, mut two) = (node(&memory, 1, 2, 1), node(&memory, 2, 2, 1));
    settle(&mut one, &mut two);
    for n in 0..40 {
        one.send(0, content(n, 300));
        two.send(0, content(n, 300));
        if n % 3 == 0 {
            look(&mut two);
        }
        one.disconnect(0);
        if n % 2 == 0 {
            two.disconnect(0);
        }
        let [first, second] = settle(&mut one, &mut two);
        assert_eq!(first.last(), Some(&Seen::Up(0)), "{first:?}");
        assert_eq!(second.last(), Some(&Seen::Up(0)), "{second:?}");
        assert!(!first.iter().chain(&second).any(|seen| matches!(seen, Seen::Frame(..))));
    }
}

#[test]
fn frames_without_room_wait_and_keep_their_order() {
    let memory = memory(2);
    let (mut one, mut two) = (node(&memory, 1, 2, 1), node(&memory, 2, 2, 1));
    settle(&mut one, &mut two);
    let len = |n: usize| n * 7919 % 9000;
    for n in 0..2000 {
        one.send(0, content(n, len(n)));
    }
    assert!(one.queued(0) > 0);
    let mut next = 0;
    while next < 2000 {
        look(&mut one);
        for seen in look(&mut two) {
            assert!(seen == Seen::Frame(0, content(next, len(next))), "frame {next}");
            next += 1;
        }
    }
    assert_eq!((one.queued(0), one.is_read(0)), (0, true));
}

#[test]
fn a_busy_node_leaves_time_for_the_others() {
    let memory = memory(3);
    let mut nodes = [1, 2, 3].map(|me| node(&memory, me, 3, 1));
    for _ in 0..4 {
        nodes.iter_mut().for_each(|node| drop(look(node)));
    }
    for n in 0..1000 {
        nodes[1].send(0, content(n, 8));
    }
    nodes[2].send(0, b"me too".to_vec());
    let mut frame = Vec::new();
    let order: Vec<_> = std::iter::from_fn(|| {
        nodes[1].next(&mut Vec::new());
        nodes[0].next(&mut frame)
    })
    .collect();
    let at = order.iter().position(|happening| *happening == Happening::Frame(1));
    assert!(at.unwrap() <= AT_MOST as usize);
}

#[test]
fn too_little_memory_is_refused_with_what_is_needed() {
    let memory = memory(2);
    let way = |out, into| Neighbour { name: name(2), out, into };
    let error = Board::open(memory.path(), name(1), 1, &[way(0, 2)], 2).unwrap_err().to_string();
    let words = format!("{} bytes, and its nodes need {}", bytes(2), bytes(3));
    assert!(error.ends_with(&words), "{error}");
    let nowhere = Board::open(Path::new("/nowhere"), name(1), 1, &[way(0, 1)], 2).unwrap_err();
    assert!(nowhere.to_string().starts_with("/nowhere: No such file"), "{nowhere}");
}

/// Both sides send numbered frames, and break connections now and then. In each connection, what comes is what was sent in
/// it, from its first frame on.
#[test]
fn two_threads_that_give_each_other_up_mix_up_nothing() {
    const FRAMES: u32 = 30_000;
    let memory = memory(2);
    let over = AtomicBool::new(false);
    let side = |me: usize| {
        let mut board = node(&memory, me, 2, 1);
        let (mut frame, mut up, mut sent, mut due, mut came) = (Vec::new(), false, 0u32, 0u32, 0);
        let mut chance = u32::from(me == 1);
        while !over.load(Ordering::Relaxed) {
            match board.next(&mut frame) {
                Some(Happening::Up(_)) => (up, sent, due) = (true, 0, 0),
                Some(Happening::Down(_)) => up = false,
                Some(Happening::Frame(_)) => {
                    assert_eq!(frame[..4], due.to_le_bytes());
                    assert!(frame[4..] == content(due as usize, frame.len() - 4), "frame {due}");
                    (due, came) = (due + 1, came + 1);
                }
                None if up && board.queued(0) < 10_000 => {
                    let len =
                        sent as usize * 577 % if sent.is_multiple_of(50) { 20_000 } else { 300 };
                    board.send(0, [&sent.to_le_bytes()[..], &content(sent as usize, len)].concat());
                    sent += 1;
                }
                None => thread::yield_now(),
            }
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if up && chance >> 25 == 0 {
                board.disconnect(0);
                up = false;
            }
            if came >= FRAMES {
                over.store(true, Ordering::Relaxed);
            }
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| side(1));
        side(2);
    });
}
