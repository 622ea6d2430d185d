//! Nodes that are processes over a file in place of a board's memory, killed in the middle of anything.
//!
//! A child is this very program, told by its environment to run the test `child`.

use runtime_shm::NodeName;
use runtime_shm::board::{Board, Happening, Neighbour, bytes};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::{env, thread};

const MEMORY: &str = "BOARD_TEST_MEMORY";
const LIFE: &str = "BOARD_TEST_LIFE";

fn name(node: u32) -> NodeName {
    NodeName { domain: 1, node }
}

/// Node 1 or 2.
fn open(memory: &Path, me: usize, life: u32) -> Board {
    let other = name(if me == 1 { 2 } else { 1 });
    let me = if me == 1 { 1 } else { 2 };
    let neighbour = Neighbour { name: other, out: me as usize - 1, into: 2 - me as usize };
    Board::open(memory, name(me), life, &[neighbour], 2).unwrap()
}

/// The frame of a number in a life: of all lengths, each byte known.
fn frame(life: u32, n: u32) -> Vec<u8> {
    let len = [3, 40, 150, 5000, 60_000][n as usize % 5] + n as usize % 32;
    let head = [life.to_le_bytes(), n.to_le_bytes()].concat();
    let byte = |at: usize| (at ^ n as usize ^ life as usize).to_le_bytes()[0];
    head.into_iter().chain((0..len).map(byte)).collect()
}

#[test]
fn child() {
    let (Some(memory), Ok(life)) = (env::var_os(MEMORY), env::var(LIFE)) else { return };
    let life = life.parse().unwrap();
    let mut board = open(Path::new(&memory), 1, life);
    let (mut buffer, mut up, mut n) = (Vec::new(), false, 0);
    // Speaks for ever, and listens, for the other side must not fill up.
    loop {
        match board.next(&mut buffer) {
            Some(Happening::Up(_)) => (up, n) = (true, 0),
            Some(Happening::Down(_)) => up = false,
            Some(Happening::Frame(_)) => {}
            None if up && board.queued(0) == 0 => {
                board.send(0, frame(life, n));
                n += 1;
            }
            None => thread::yield_now(),
        }
    }
}

fn spawn(memory: &Path, life: u32) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child"]).env(MEMORY, memory).env(LIFE, life.to_string());
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Each life is killed while it writes; of each, a run of whole frames is heard, and nothing after the next one was met.
#[test]
fn a_writer_that_is_killed_leaves_no_half_frame_and_comes_again() {
    let memory = tempfile::Builder::new().prefix("board-").tempfile_in("/dev/shm").unwrap();
    memory.as_file().set_len(bytes(2)).unwrap();
    let mut board = open(memory.path(), 2, 1);
    let mut buffer = Vec::new();
    for life in 1..30 {
        let mut child = spawn(memory.path(), life);
        let (mut due, mut met) = (0, false);
        let enough = life * 37 % 400;
        while !met || due < enough {
            match board.next(&mut buffer) {
                Some(Happening::Up(_)) => met = true,
                Some(Happening::Down(_)) => assert!(!met, "life {life} lives"),
                // What the one before had written is heard before this one is met.
                Some(Happening::Frame(_)) if !met => {
                    assert_eq!(buffer[..4], (life - 1).to_le_bytes())
                }
                Some(Happening::Frame(_)) => {
                    assert!(buffer == frame(life, due), "frame {due} of life {life}");
                    due += 1;
                    board.send(0, vec![0; 500]);
                }
                None => thread::yield_now(),
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
