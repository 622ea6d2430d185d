//! Nodes with queues between them, served in a seeded random order.

mod abandon;
mod answers;
mod attributes;
mod channels;
mod closes;
mod frames;
mod hostile;
mod lent;
mod lives;
mod memory;
mod messages;
mod requests;
mod scalars;

use super::*;
use alloc::collections::BTreeMap;
use alloc::vec;

/// A small generator, so that a seed names an interleaving.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

struct Cluster {
    nodes: Vec<Mcapi>,
    /// Frames on their way, by (from, to), in order.
    wires: BTreeMap<(usize, usize), VecDeque<Vec<u8>>>,
    wakes: Vec<(usize, Waiter)>,
    rng: Rng,
    frames: usize,
    /// Drivers that always have something else to do.
    busy: bool,
}

impl Cluster {
    fn new(n: u16, seed: u64) -> Self {
        let ids: Vec<NodeId> = (0..n).map(NodeId).collect();
        // What holds of a node holds of one whose memory is fixed, too.
        let fixed = seed % 2 == 1;
        let node = |&me: &NodeId| {
            let node = Mcapi::new(DomainId(7), me, &ids);
            if fixed { node.with_fixed_memory() } else { node }
        };
        let nodes = ids.iter().map(node).collect();
        Self {
            nodes,
            wires: BTreeMap::new(),
            wakes: vec![],
            rng: Rng(seed),
            frames: 0,
            busy: false,
        }
    }

    /// Puts what the nodes have to say on the wires.
    fn collect(&mut self) {
        for (from, node) in self.nodes.iter_mut().enumerate() {
            while let Some(output) = if self.busy { node.poll_urgent() } else { node.poll() } {
                match output {
                    Output::Send { to, payload } => {
                        assert_ne!(to.index(), from, "a frame to itself");
                        self.frames += 1;
                        self.wires
                            .entry((from, to.index()))
                            .or_default()
                            .push_back(payload.to_vec());
                        node.sent(payload);
                    }
                    Output::Wake(waiter) => self.wakes.push((from, waiter)),
                }
            }
        }
    }

    /// Delivers one frame of a random wire; `false` when there is none.
    fn step(&mut self) -> bool {
        self.collect();
        self.wires.retain(|_, wire| !wire.is_empty());
        if self.wires.is_empty() {
            return false;
        }
        let n = self.rng.below(self.wires.len());
        let (&(from, to), wire) = self.wires.iter_mut().nth(n).unwrap();
        let payload = wire.pop_front().unwrap();
        self.nodes[to].handle(NodeId(u16::try_from(from).unwrap()), &payload);
        true
    }

    fn run(&mut self) {
        while self.step() {}
    }

    fn kill(&mut self, dead: usize) {
        self.collect();
        self.wires.retain(|&(from, to), _| from != dead && to != dead);
        for (node, mcapi) in self.nodes.iter_mut().enumerate() {
            if node != dead {
                mcapi.node_gone(NodeId(u16::try_from(dead).unwrap()));
            }
        }
    }

    fn endpoint(&mut self, node: usize, port: u32) -> Endpoint {
        self.nodes[node].endpoint_create(Port(port)).unwrap()
    }

    /// What came of a request after everything has been delivered.
    fn done(&mut self, node: usize, request: Result<Request, Status>) -> Completion {
        self.run();
        self.nodes[node].test(request.unwrap()).unwrap().expect("the request is pending")
    }

    /// What came of a blocking call after everything has been delivered.
    fn came(&mut self, node: usize, begun: Result<Begun, Status>) -> Completion {
        match begun.unwrap() {
            Begun::Pending(request) => self.done(node, Ok(request)),
            Begun::Done(completion) => {
                self.run();
                completion
            }
        }
    }

    fn went(&mut self, node: usize, sent: Result<Option<Request>, Status>) -> Completion {
        let begun = sent.map(|sent| sent.map_or(Begun::Done(Completion::Done), Begun::Pending));
        self.came(node, begun)
    }

    fn pending(&mut self, node: usize, request: Request) {
        self.run();
        assert_eq!(self.nodes[node].test(request), Ok(None));
    }

    /// An open channel between two nodes, connected by a third party.
    fn channel(
        &mut self,
        (from, to): (usize, usize),
        port: u32,
        by: usize,
    ) -> (Endpoint, Endpoint, SendHandle, RecvHandle) {
        let (send, recv) = (self.endpoint(from, port), self.endpoint(to, port + 1));
        let (tx, rx) = self.connect(send, recv, by);
        (send, recv, tx, rx)
    }

    fn connect(&mut self, send: Endpoint, recv: Endpoint, by: usize) -> (SendHandle, RecvHandle) {
        let (from, to) = (send.node.0 as usize, recv.node.0 as usize);
        let connect = self.nodes[by].pktchan_connect_i(send, recv);
        assert_eq!(self.done(by, connect), Completion::Done);
        let tx = self.nodes[from].pktchan_send_open_i(send);
        self.pending(from, tx.unwrap());
        let rx = self.nodes[to].pktchan_recv_open_i(recv);
        let Completion::SendHandle(tx) = self.done(from, tx) else { panic!() };
        let Completion::RecvHandle(rx) = self.done(to, rx) else { panic!() };
        (tx, rx)
    }

    fn message(&mut self, from: Endpoint, to: Endpoint, data: &[u8], priority: u32) -> Completion {
        let node = from.node.0 as usize;
        let request = self.nodes[node].msg_send_i(from, to, data, priority);
        self.done(node, request)
    }
}

const fn failed(status: Status) -> Completion {
    Completion::Failed(status)
}
