//! Three real nodes in one process, each with its rank at addresses of its own: programs give what they
//! give alone, on both bindings, over TCP and over raw Ethernet that loses frames.

use runtime::{Args, Distribution, Rank, image, sequential};
use runtime_core::event::Event;
use runtime_core::id::{Generation, Job, NodeId};
use runtime_core::node::{Binding, Config, Image, Medium, Member, Policy, Quorum, Role};
use runtime_core::time::Duration;
use runtime_driver::conductor::{Command, Ending, Notice};
use runtime_driver::ethernet::{Header, Mac};
use runtime_driver::layout::{Layout, Sizes};
use runtime_linux::driver::{Commander, Driver, Setup};
use runtime_linux::transport::Network;
use runtime_linux::transport::nic::Nic;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

#[global_allocator]
static ALLOCATOR: runtime_linux::RankAllocator = runtime_linux::ALLOCATOR;

const NODES: u16 = 3;
const MTU: usize = 1500;
const SIZES: Sizes = Sizes { stack_bytes: 256 * 1024, heap_bytes: 4 << 20, shared_pages: 64 };

/// A stencil whose rows are dealt out to the ranks, with a lock-protected counter.
fn relax(rank: &mut Rank, args: &Args) {
    let n = args.number("size", 0_usize).unwrap();
    let mut u = rank.alloc::<f64>(n, Distribution::Block).unwrap();
    let mut v = rank.alloc::<f64>(n, Distribution::Cyclic(1)).unwrap();
    let mut count = rank.alloc::<u64>(1, Distribution::On(runtime::RankId(0))).unwrap();
    let (me, all) = (usize::from(rank.rank()), usize::from(rank.ranks()));
    let (from, to) = (1 + me * (n - 2) / all, 1 + (me + 1) * (n - 2) / all);
    if me == 0 {
        u.set(rank, 0, 1.0);
        v.set(rank, 0, 1.0);
    }
    rank.barrier();
    for step in 0..20 {
        let (old, new) = if step % 2 == 0 { (&u, &mut v) } else { (&v, &mut u) };
        let (old, new) = (old.read(rank, from - 1..to + 1), new.write(rank, from..to));
        for (i, x) in new.iter_mut().enumerate() {
            *x = 0.5 * (old[i] + old[i + 2]);
        }
        rank.barrier();
        if step % 5 == 4 {
            rank.checkpoint();
        }
    }
    rank.lock(1);
    let added = count.get(rank, 0) + (to - from) as u64;
    count.set(rank, 0, added);
    rank.unlock(1);
    rank.barrier();
    let bytes: Vec<u8> = u.read(rank, 0..n).iter().flat_map(|x| x.to_le_bytes()).collect();
    let total = count.get(rank, 0);
    rank.report(&bytes, format_args!("{total}"));
}

fn config(me: u16, binding: Binding, medium: Medium) -> Config {
    Config {
        me: NodeId(me),
        generation: Generation(1),
        hash: [7; 32],
        members: (0..NODES)
            .map(|board| Member { role: Role::Compute, board, image: Image::Linux, host: None })
            .collect(),
        media: vec![medium; usize::from(NODES)],
        mtu: MTU,
        binding,
        quorum: Quorum::Majority,
        heartbeat: Duration::from_millis(100),
        suspect_after: 100,
        join_timeout: Duration::from_millis(60_000),
        redundancy: runtime_core::checkpoint::Redundancy::Copies(1),
        copy_window: 32,
        checkpoint: Policy::Program,
        shared_pages: SIZES.shared_pages,
    }
}

/// Each node with a listener of its own.
fn by_tcp() -> Vec<Network> {
    let listeners: Vec<_> = (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = listeners.iter().map(|l| l.local_addr().unwrap());
    let peers: Vec<_> = (0..NODES).map(NodeId).zip(addresses).collect();
    listeners.into_iter().map(|listener| Network::tcp(listener, peers.clone())).collect()
}

const fn mac(node: u16) -> Mac {
    let [high, low] = node.to_be_bytes();
    Mac([0x52, 0x54, 0, 0, high, low])
}

/// A switch that loses frames.
struct Hub {
    ports: Vec<UnixDatagram>,
    threads: Vec<JoinHandle<[u64; 2]>>,
}

impl Hub {
    /// The hub, and the other ends of its cables.
    fn new() -> (Self, Vec<UnixDatagram>) {
        let (ports, ends) = (0..NODES).map(|_| UnixDatagram::pair().unwrap()).unzip();
        let mut hub = Self { ports, threads: Vec::new() };
        for port in 0..NODES {
            let ports: Vec<_> = hub.ports.iter().map(|port| port.try_clone().unwrap()).collect();
            hub.threads.push(std::thread::spawn(move || forward(port, &ports)));
        }
        (hub, ends)
    }

    /// Frames that came in, and how many of them were lost.
    fn end(self) -> [u64; 2] {
        self.ports.iter().for_each(|port| port.shutdown(Shutdown::Both).unwrap());
        let counts = self.threads.into_iter().map(|thread| thread.join().unwrap());
        counts.fold([0; 2], |sum, count| [sum[0] + count[0], sum[1] + count[1]])
    }
}

/// What comes in at a port goes to the node that it is for, but for one frame in twenty.
fn forward(port: u16, ports: &[UnixDatagram]) -> [u64; 2] {
    let (mut frame, mut counts) = (vec![0; 2048], [0; 2]);
    let mut chance = u64::from(port) + 1;
    loop {
        let bytes = ports[usize::from(port)].recv(&mut frame).unwrap_or(0);
        if bytes == 0 {
            return counts;
        }
        counts[0] += 1;
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        if chance % 20 == 0 {
            counts[1] += 1;
            continue;
        }
        let (header, _) = Header::parse(&frame[..bytes]).unwrap();
        assert_eq!(header.from, mac(port));
        let to = (0..NODES).find(|node| mac(*node) == header.to).unwrap();
        // A node that is done is gone, and its cable with it.
        let _ = ports[usize::from(to)].send(&frame[..bytes]);
    }
}

fn by_ethernet(ends: Vec<UnixDatagram>) -> Vec<Network> {
    let peers: Vec<_> = (0..NODES).map(|node| (NodeId(node), mac(node))).collect();
    let cards = (0..NODES).zip(ends);
    let cards = cards.map(|(me, end)| Nic::from_socket(end.into(), mac(me), MTU).unwrap());
    cards.map(|nic| Network::ethernet(nic, peers.clone())).collect()
}

/// Runs the program on a cluster whose ranks lie in the slots from `slot` up; returns all reports.
fn cluster(
    binding: Binding,
    medium: Medium,
    networks: Vec<Network>,
    slot: u16,
    args: &Args,
) -> Vec<(Vec<u8>, String)> {
    // Who is done; when all are, all end. One that ended early would be taken for dead.
    let done: Arc<Mutex<Vec<Commander>>> = Arc::default();
    let threads: Vec<_> = (0..NODES)
        .zip(networks)
        .map(|(me, network)| {
            let program = image(relax, args);
            let done = Arc::clone(&done);
            let layout = Layout::for_rank(slot + me, SIZES).unwrap();
            std::thread::spawn(move || {
                let setup = Setup {
                    config: config(me, binding, medium),
                    network,
                    layout,
                    holds: Vec::new(),
                    kind_of: |_| String::new(),
                };
                let (driver, commander) = Driver::new(setup).unwrap();
                let (mut report, mut program) = (None, Some(program));
                let for_sink = commander.clone();
                let ending = driver.run(&mut |notice| match notice {
                    Notice::Event { event: Event::Ready { .. }, .. } => {
                        if let Some(program) = program.take() {
                            for_sink.send(Command::Start { job: Job(1), program });
                        }
                    }
                    Notice::Event { event: Event::JobDone { .. }, .. } => {
                        let mut done = done.lock().unwrap();
                        done.push(for_sink.clone());
                        if done.len() == usize::from(NODES) {
                            done.drain(..).for_each(|node| node.send(Command::Shutdown));
                        }
                    }
                    Notice::Event { event, .. } => println!("n{me} {event:?}"),
                    Notice::Report { bytes, text, .. } => report = Some((bytes, text)),
                    other => println!("n{me} {other:?}"),
                });
                assert_eq!(ending.unwrap(), Ending::Shutdown);
                drop(commander);
                report.unwrap()
            })
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn three_nodes_give_what_one_rank_gives() {
    let args = Args::parse("size=5000").unwrap();
    let alone = sequential::run(relax, &args, SIZES).unwrap();
    for (binding, slot) in [(Binding::Mcapi, 0), (Binding::Sockets, 8)] {
        for (bytes, text) in cluster(binding, Medium::Stream, by_tcp(), slot, &args) {
            assert_eq!(text, "4998");
            assert!(bytes == alone.bytes, "{binding:?}: not the same bits");
        }
    }
}

#[test]
fn over_ethernet_that_loses_a_frame_in_twenty_they_give_the_same() {
    let args = Args::parse("size=5000").unwrap();
    let alone = sequential::run(relax, &args, SIZES).unwrap();
    let (hub, ends) = Hub::new();
    for (bytes, text) in cluster(Binding::Mcapi, Medium::Datagram, by_ethernet(ends), 16, &args) {
        assert_eq!(text, "4998");
        assert!(bytes == alone.bytes, "not the same bits");
    }
    let [frames, lost] = hub.end();
    println!("{lost} of {frames} frames were lost");
    assert!(lost > 10, "{lost} of {frames} frames were lost: the run tests little");
}
