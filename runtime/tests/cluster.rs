//! Three real nodes over TCP in one process, each with its rank at addresses of its own: programs give
//! what they give alone, on both bindings.

use runtime::{Args, Distribution, Rank, image, sequential};
use runtime_core::event::Event;
use runtime_core::id::{Generation, Job, NodeId};
use runtime_core::node::{Binding, Config, Image, Medium, Member, Quorum, Role};
use runtime_core::time::Duration;
use runtime_driver::conductor::{Command, Ending, Notice};
use runtime_driver::layout::{Layout, Sizes};
use runtime_linux::driver::{Commander, Driver, Setup};
use runtime_linux::transport::Network;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

#[global_allocator]
static ALLOCATOR: runtime_linux::RankAllocator = runtime_linux::ALLOCATOR;

const NODES: u16 = 3;
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

fn config(me: u16, binding: Binding) -> Config {
    Config {
        me: NodeId(me),
        generation: Generation(1),
        hash: [7; 32],
        members: (0..NODES)
            .map(|board| Member { role: Role::Compute, board, image: Image::Linux })
            .collect(),
        media: vec![Medium::Stream; usize::from(NODES)],
        mtu: 1500,
        binding,
        quorum: Quorum::Majority,
        heartbeat: Duration::from_millis(100),
        suspect_after: 100,
        join_timeout: Duration::from_millis(60_000),
        replicas: 1,
        checkpoint_every: 0,
        shared_pages: SIZES.shared_pages,
    }
}

/// Runs the program on a cluster whose ranks lie in the slots from `slot` up; returns all reports.
fn cluster(binding: Binding, slot: u16, args: &Args) -> Vec<(Vec<u8>, String)> {
    let listeners: Vec<_> = (0..NODES).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let addresses = listeners.iter().map(|l| l.local_addr().unwrap());
    let peers: Vec<_> = (0..NODES).map(NodeId).zip(addresses).collect();
    // Who is done; when all are, all end. One that ended early would be taken for dead.
    let done: Arc<Mutex<Vec<Commander>>> = Arc::default();
    let threads: Vec<_> = (0..NODES)
        .zip(listeners)
        .map(|(me, listener)| {
            let (peers, program) = (peers.clone(), image(relax, args));
            let done = Arc::clone(&done);
            let layout = Layout::for_rank(slot + me, SIZES).unwrap();
            std::thread::spawn(move || {
                let setup = Setup {
                    config: config(me, binding),
                    network: Network::tcp(listener, peers),
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
        for (bytes, text) in cluster(binding, slot, &args) {
            assert_eq!(text, "4998");
            assert!(bytes == alone.bytes, "{binding:?}: not the same bits");
        }
    }
}
