//! Two nodes over a file in place of a board's memory, of which bits are changed while frames are on their way.

use super::*;
use runtime_core::limits::BOARD_HEAD;
use runtime_linux::transport::Transport;
use runtime_shm::NodeName;
use runtime_shm::board::{Board, Neighbour, bytes};
use std::os::unix::fs::FileExt;
use tempfile::NamedTempFile;

/// One node, and what came of its peer.
struct Side {
    wire: Wire,
    peer: NodeId,
    heard: Vec<Vec<u8>>,
    gone: usize,
    here: bool,
}

impl Side {
    fn new(memory: &NamedTempFile, me: u16) -> Self {
        let peer = 1 - me;
        let name = |node: u16| NodeName { domain: 1, node: node.into() };
        let (out, into) = (usize::from(me), usize::from(peer));
        let neighbour = Neighbour { name: name(peer), out, into };
        let board = Board::open(memory.path(), name(me), 1, &[neighbour], 2).unwrap();
        let peer = NodeId(peer);
        let ways = Ways::new(Transport::default(), Some((board, vec![peer])));
        let remotes = vec![Remote { node: peer, medium: Medium::Stream }];
        // What others do at the same time costs no connection.
        let heartbeat = time::Duration::from_secs(60);
        let manners = Manners { heartbeat, suspect_after: 10, mtu: 1500 };
        let wire = Wire::new(NodeId(me), Generation(1), ways, remotes, manners);
        Self { wire, peer, heard: Vec::new(), gone: 0, here: false }
    }

    fn poll(&mut self) {
        let Self { wire, heard, gone, here, .. } = self;
        wire.poll(&mut |_, news| match news {
            News::Joined => *here = true,
            News::Frame(frame) => heard.push(frame.to_vec()),
            News::Gone => (*here, *gone) = (false, *gone + 1),
        });
    }

    fn send(&mut self, frame: Vec<u8>) {
        assert_eq!(self.wire.send(self.peer, &frame, &[]), Some(true));
    }
}

struct Pair {
    memory: NamedTempFile,
    sides: [Side; 2],
}

impl Pair {
    fn new() -> Self {
        let memory = tempfile::Builder::new().prefix("board-").tempfile_in("/dev/shm").unwrap();
        memory.as_file().set_len(bytes(2)).unwrap();
        let sides = [0, 1].map(|me| Side::new(&memory, me));
        let mut pair = Self { memory, sides };
        pair.settle();
        assert!(pair.sides.iter().all(|side| side.here && side.gone == 0));
        pair
    }

    /// Until nothing is on its way.
    fn settle(&mut self) {
        let mut looks = 0;
        self.sides.iter_mut().for_each(Side::poll);
        while self.sides.iter().any(|side| side.wire.has_news()) {
            looks += 1;
            assert!(looks < 1000, "it goes on for ever");
            self.sides.iter_mut().for_each(Side::poll);
        }
    }

    fn ways(&self) -> Vec<u8> {
        let mut ways = vec![0; usize::try_from(bytes(2)).unwrap() - BOARD_HEAD];
        self.memory.as_file().read_exact_at(&mut ways, BOARD_HEAD as u64).unwrap();
        ways
    }

    /// Sends a frame, and changes one bit of what that wrote into the memory.
    fn send_damaged(&mut self, from: usize, frame: Vec<u8>, chance: &mut usize) {
        let before = self.ways();
        self.sides[from].send(frame);
        let after = self.ways();
        let written: Vec<usize> = (0..after.len()).filter(|at| before[*at] != after[*at]).collect();
        *chance =
            chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (at, bit) = (written[(*chance >> 33) % written.len()], *chance >> 20 & 7);
        let place = (BOARD_HEAD + at) as u64;
        self.memory.as_file().write_all_at(&[after[at] ^ 1 << bit], place).unwrap();
    }
}

fn content(n: usize) -> Vec<u8> {
    let len = [8, 60, 100, 700, 5000, 60_000][n % 6];
    (0..len).map(|at: usize| (n ^ at.wrapping_mul(n + 3)).to_le_bytes()[0]).collect()
}

#[test]
fn what_was_changed_on_its_way_is_sent_again_and_nobody_is_gone() {
    let mut pair = Pair::new();
    let (mut chance, mut sent) = (7, 0);
    for _ in 0..60 {
        // Both ways, a damaged one among whole ones that nobody has read yet.
        for from in [0, 1] {
            for n in sent..sent + 35 {
                match n - sent {
                    30 => pair.send_damaged(from, content(n), &mut chance),
                    _ => pair.sides[from].send(content(n)),
                }
                if n - sent < 29 {
                    pair.settle();
                }
            }
        }
        sent += 35;
        pair.settle();
        for side in &mut pair.sides {
            let due = (sent - 35..sent).map(content);
            assert!(side.heard.drain(..).eq(due), "{sent}: each once, in order, as it was sent");
            assert_eq!(side.gone, 0);
        }
    }
    let damaged: u64 = pair.sides.iter().map(|side| side.wire.ways().damaged(side.peer)).sum();
    assert!(damaged > 100, "{damaged}");
}

#[test]
fn who_hears_nothing_but_damage_loses_the_other_and_finds_it_again() {
    let mut pair = Pair::new();
    let (mut chance, mut sent) = (3, 0);
    while pair.sides[1].gone == 0 {
        assert!(sent < 100);
        pair.send_damaged(0, content(0), &mut chance);
        sent += 1;
        pair.settle();
    }
    assert!(pair.sides[1].heard.iter().all(|frame| *frame == content(0)));
    assert_eq!(pair.sides[0].gone, 1, "both are told");
    assert!(pair.sides.iter().all(|side| side.here));
    pair.sides[1].heard.clear();
    pair.sides[0].send(content(4));
    pair.settle();
    assert!(pair.sides[1].heard == [content(4)]);
}
