//! The suite of `bodies` over queues in one process, over shared memory, over TCP, over a board's memory, and over two of
//! these.

mod bodies;

use bodies::{DOMAIN, Place};
use mcapi::local::Hub;
use mcapi::net::Map;
use mcapi::{Node, NodeName, Options};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};

fn name(number: u32) -> NodeName {
    NodeName { domain: DOMAIN.0, node: number }
}

impl Place for Hub {
    fn node(&self, number: u32) -> Node {
        Node::over(name(number), self.join(name(number)).unwrap()).unwrap()
    }
}

struct Shm(tempfile::TempDir);

impl Shm {
    fn new() -> Self {
        Self(tempfile::Builder::new().prefix("mcapi-").tempdir_in("/dev/shm").unwrap())
    }
}

impl Place for Shm {
    fn node(&self, number: u32) -> Node {
        let options = Options { dir: self.0.path().join("nodes"), ..Options::default() };
        Node::join(name(number), &options).unwrap()
    }
}

/// Machines that are guests of one board, with a file in place of its memory.
struct OfABoard(Machines);

impl OfABoard {
    fn new(machines: &[&str]) -> Self {
        Self::with(machines, "", "")
    }

    /// The first two are linked by the memory, all others by TCP.
    fn linked(machines: &[&str]) -> Self {
        let link = "links: [{ between: [n1, n2], transport: shm }]\n";
        Self::with(machines, ", transport: links", link)
    }

    fn with(machines: &[&str], transport: &str, links: &str) -> Self {
        let boards = format!("boards: {{ a: {{ shared-memory: 4MiB{transport} }} }}\n{links}");
        let all = Machines::write(machines, &boards, "board: a, ");
        let memory = std::fs::File::create(all.0.path().join("memory")).unwrap();
        memory.set_len(4 << 20).unwrap();
        Self(all)
    }
}

impl Place for OfABoard {
    fn node(&self, number: u32) -> Node {
        self.0.place(number, Some(self.0.0.path().join("memory")))
    }
}

/// A machine for each node, as addresses of this one's; or one for all that are odd, and one for all that are even.
struct Machines(tempfile::TempDir);

impl Machines {
    fn new(machines: &[&str]) -> Self {
        Self::write(machines, "", "")
    }

    /// `boards` is a section of the file, `board` a key of each machine.
    fn write(machines: &[&str], boards: &str, board: &str) -> Self {
        static PORTS: AtomicU16 = AtomicU16::new(7300);
        let port = PORTS.fetch_add(32, Ordering::Relaxed);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let mut text = format!("name: conformance\n{boards}nodes:\n");
        for (n, nodes) in (1..).zip(machines) {
            let address = format!("127.{}.{low}.{n}", 64 + high % 128);
            let address = format!("{board}address: {address}");
            text += &format!("  n{n}: {{ role: compute, {address}, mcapi: [{nodes}] }}\n");
        }
        text += &format!("runtime: {{ mcapi-port: {port} }}\n");
        let dir = tempfile::Builder::new().prefix("mcapi-").tempdir_in("/dev/shm").unwrap();
        std::fs::write(dir.path().join("topology.yaml"), text).unwrap();
        Self(dir)
    }

    fn place(&self, number: u32, board: Option<PathBuf>) -> Node {
        let map = Map::load(&self.0.path().join("topology.yaml")).unwrap();
        let options = Options { dir: self.0.path().join("nodes"), board, ..Options::default() };
        Node::place(name(number), map, None, &options).unwrap()
    }
}

impl Place for Machines {
    fn node(&self, number: u32) -> Node {
        self.place(number, None)
    }
}

bodies::suite!(tcp, Machines::new(&["1", "2", "3", "4"]));
bodies::suite!(tcp_and_shm, Machines::new(&["1, 3", "2, 4"]));
bodies::suite!(board, OfABoard::new(&["1", "2", "3", "4"]));
bodies::suite!(board_and_shm, OfABoard::new(&["1, 3", "2, 4"]));
bodies::suite!(board_and_tcp, OfABoard::linked(&["1", "2", "3", "4"]));
bodies::suite!(local, Hub::default());
bodies::suite!(shm, Shm::new());
