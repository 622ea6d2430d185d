use super::*;
use crate::tests::{SIZES, free_rank, program};
use runtime_core::id::{Generation, Job, ViewId};
use runtime_core::mem::Access;
use runtime_core::node::{
    Binding, Call, Distribution, Image, Medium, Member, Output, Policy, Quorum, Role, Timer,
};
use runtime_driver::context::Start;
use runtime_driver::rank::{self, Array};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};

/// Stands in for a node alone in its cluster; rolls its rank back once, at its second barrier.
#[derive(Debug, Default)]
struct Alone {
    outputs: VecDeque<Output>,
    barriers: u32,
    image: Option<crate::tests::Image>,
    peers: Vec<NodeId>,
}

impl Machine for Alone {
    fn handle(&mut self, _: Instant, input: Input<'_>, mem: &mut dyn PageMem) {
        let outputs = &mut self.outputs;
        match input {
            Input::Start(_) => {
                mem.reset_shared();
                outputs.push_back(Output::StartRank { rank: Rank(0), ranks: 1, restored: None });
            }
            Input::Fault { page, access } => {
                mem.protect(page.0..page.0 + 1, access);
                outputs.push_back(Output::Wake);
            }
            Input::Call(Call::Checkpoint) => {
                self.image = Some(crate::tests::copy(mem));
                outputs.push_back(Output::Event(Event::Ready { view: ViewId(1) }));
                outputs.push_back(Output::Complete(Ok(1)));
            }
            Input::Call(Call::Barrier) => {
                self.barriers += 1;
                if self.barriers == 2 {
                    outputs.push_back(Output::StopRank);
                } else {
                    outputs.push_back(Output::Complete(Ok(0)));
                }
            }
            Input::RankStopped => {
                crate::tests::put_back(mem, self.image.as_ref().unwrap());
                mem.protect(0..1, Access::None);
                outputs.push_back(Output::StartRank { rank: Rank(0), ranks: 1, restored: Some(1) });
            }
            Input::Call(Call::Exit) => {
                outputs.push_back(Output::StopRank);
                outputs.push_back(Output::Halt { reason: "done".into() });
            }
            Input::Call(_) => outputs.push_back(Output::Complete(Ok(0))),
            Input::TransportUp(node) => {
                self.peers.push(node);
                outputs.push_back(Output::Transmit { to: node, bytes: b"hello".to_vec() });
            }
            Input::Frame { bytes, .. } => {
                assert_eq!(bytes, b"hello");
                outputs.push_back(Output::Halt { reason: "greeted".into() });
            }
            Input::TransportDown(_)
            | Input::PortDown(_)
            | Input::Tick
            | Input::Damage(_)
            | Input::Migrate { .. } => {}
        }
    }

    fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        None
    }
}

fn setup(me: u16, listener: TcpListener, peers: Vec<(NodeId, SocketAddr)>) -> Setup {
    let second = runtime_core::time::Duration::from_millis(1_000);
    let config = Config {
        me: NodeId(me),
        generation: Generation(1),
        hash: [0; 32],
        members: vec![Member { role: Role::Compute, board: 0, image: Image::Linux, host: None }],
        media: vec![Medium::Stream; 2],
        mtu: 1500,
        binding: Binding::Mcapi,
        quorum: Quorum::Majority,
        heartbeat: second,
        suspect_after: 5,
        join_timeout: second,
        redundancy: runtime_core::checkpoint::Redundancy::Copies(1),
        copy_window: 32,
        checkpoint: Policy::Program,
        shared_pages: SIZES.shared_pages,
    };
    let layout = Layout::for_rank(free_rank().0, SIZES).unwrap();
    let holds = vec![Hold { kind: "ready".to_string(), number: None, nth: 2, still: true }];
    Setup {
        config,
        network: Network::tcp(listener, peers),
        layout,
        holds,
        kind_of: |_| "ready".into(),
    }
}

fn counts(_: &Start<'_>) {
    let mut a = Array::<u32>::alloc(100, Distribution::Block).unwrap();
    let mut list = vec![1_u32, 2];
    let epoch = rank::call(Call::Checkpoint).unwrap();
    list.push(3);
    a.write(0..1)[0] += 1;
    rank::print("barrier");
    let _ = rank::call(Call::Barrier);
    let _ = rank::call(Call::Barrier);
    rank::report(&[1, 2], &format!("{epoch} {list:?}"));
    let _ = rank::call(Call::Checkpoint);
}

#[test]
fn a_rank_runs_rolls_back_is_held_and_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (driver, commander) =
        Driver::with_machine(Alone::default(), setup(0, listener, vec![])).unwrap();
    commander.send(Command::Start { job: Job(4), program: program(counts) });
    let mut notices = Vec::new();
    let for_hold = commander.clone();
    let ending = driver
        .run(&mut |notice| {
            if matches!(notice, Notice::Held { .. }) {
                for_hold.send(Command::Release);
            }
            notices.push(notice);
        })
        .unwrap();
    assert_eq!(ending, Ending::Halted { reason: "done".into() });
    let kinds: Vec<&str> = notices
        .iter()
        .map(|notice| match notice {
            Notice::Event { .. } => "event",
            Notice::Print { text, .. } => text,
            Notice::Report { text, bytes, job: Job(4), .. } if bytes == &[1, 2] => text,
            Notice::Report { .. } => "wrong report",
            Notice::Held { at } => at,
        })
        .collect();
    assert_eq!(kinds, ["event", "barrier", "barrier", "1 [1, 2, 3]", "event", "ready"]);
}

#[test]
fn two_drivers_greet_each_other() {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (a, b) = (listen(), listen());
    let peers = vec![(NodeId(0), a.local_addr().unwrap()), (NodeId(1), b.local_addr().unwrap())];
    let (first, keep) = Driver::with_machine(Alone::default(), setup(0, a, peers.clone())).unwrap();
    let (second, keep_too) = Driver::with_machine(Alone::default(), setup(1, b, peers)).unwrap();
    let greeted = Ending::Halted { reason: "greeted".into() };
    let thread = std::thread::spawn(move || first.run(&mut |_| ()).unwrap());
    assert_eq!(second.run(&mut |_| ()).unwrap(), greeted);
    assert_eq!(thread.join().unwrap(), greeted);
    drop((keep, keep_too));
}

#[test]
fn a_driver_that_nobody_commands_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (driver, commander) =
        Driver::with_machine(Alone::default(), setup(0, listener, vec![])).unwrap();
    let thread = std::thread::spawn(move || driver.run(&mut |_| ()).unwrap());
    drop(commander);
    assert_eq!(thread.join().unwrap(), Ending::Shutdown);
}

#[test]
fn a_crash_of_the_program_ends_the_node_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (driver, commander) =
        Driver::with_machine(Alone::default(), setup(0, listener, vec![])).unwrap();
    let wild = |_: &Start<'_>| {
        // SAFETY: not at all; that is what the test is about.
        unsafe { core::ptr::with_exposed_provenance::<u8>(8).read_volatile() };
    };
    commander.send(Command::Start { job: Job(1), program: program(wild) });
    let error = driver.run(&mut |_| ()).unwrap_err();
    assert!(matches!(error, DriverError::Rank(RankFault::Crash { address: 8, .. })), "{error}");
}
