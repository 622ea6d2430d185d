//! The suite of `bodies` over queues in one process, and over shared memory.

mod bodies;

use bodies::{DOMAIN, Place};
use mcapi::local::Hub;
use mcapi::{Node, NodeName, Options};

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

bodies::suite!(local, Hub::default());
bodies::suite!(shm, Shm::new());
