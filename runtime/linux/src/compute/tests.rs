use super::*;
use crate::memory::LinuxMem;
use crate::tests::{SIZES, free_rank, program};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use runtime_core::mem::{Access, PageMem};
use runtime_core::node::{Call, Distribution};
use runtime_driver::context::Start;
use runtime_driver::layout::Layout;
use runtime_driver::rank::{self, Array};

fn memory() -> LinuxMem {
    let mut memory = LinuxMem::new(Layout::for_rank(free_rank().0, SIZES).unwrap()).unwrap();
    memory.attach(false).unwrap();
    memory
}

fn next(compute: &Compute) -> Request {
    loop {
        if let Some(request) = compute.take() {
            return request.unwrap();
        }
        poll(&mut [PollFd::new(compute.fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    }
}

fn spin(_: &Start<'_>) {
    let _ = rank::call(Call::Barrier);
    loop {
        std::hint::spin_loop();
    }
}

fn allocate(_: &Start<'_>) {
    let _ = rank::call(Call::Barrier);
    loop {
        let list: Vec<u64> = (0..100).collect();
        std::hint::black_box(list);
    }
}

fn fault(_: &Start<'_>) {
    let a = Array::<u64>::alloc(512, Distribution::Block).unwrap();
    loop {
        std::hint::black_box(a.read(0..1)[0]);
        let _ = rank::call(Call::Barrier);
    }
}

#[test]
fn requests_come_by_eventfd_and_answers_go_back() {
    let memory = memory();
    let compute = Compute::new(&memory).unwrap();
    let talk = |_: &Start<'_>| rank::print(&format!("{:?}", rank::call(Call::Barrier)));
    compute.start(program(talk), Rank(0), 1);
    assert_eq!(next(&compute), Request::Call(Call::Barrier));
    compute.answer(Ok(12));
    assert_eq!(next(&compute), Request::Print("Ok(12)".into()));
    compute.answer(Ok(0));
    assert_eq!(next(&compute), Request::Call(Call::Exit));
    assert!(compute.is_running());
    compute.stop();
    assert!(!compute.is_running());
}

/// Stops a rank at a point that chance picks, again and again.
#[test]
fn ten_thousand_stops_and_starts() {
    let mut memory = memory();
    let compute = Compute::new(&memory).unwrap();
    for round in 0..10_000_u32 {
        let entry = [spin, allocate, fault][round as usize % 3];
        memory.reset_private();
        memory.protect(0..1, Access::None);
        compute.start(program(entry), Rank(0), 1);
        if round % 5 > 0 {
            let first = next(&compute);
            assert!(matches!(first, Request::Call(_)), "{first:?}");
            compute.answer(Ok(0));
        }
        if round % 3 == 2 && round % 2 == 0 && round % 5 > 0 {
            // Stopped while its fault waits for an answer.
            assert!(matches!(next(&compute), Request::Fault { .. }));
        }
        compute.stop();
        assert!(compute.take().is_none());
    }
    memory.reset_private();
    compute.start(program(|_| ()), Rank(0), 1);
    assert_eq!(next(&compute), Request::Call(Call::Exit));
}

#[test]
fn a_fault_costs_so_much_between_threads() {
    let mut memory = memory();
    let compute = Compute::new(&memory).unwrap();
    compute.start(program(fault), Rank(0), 1);
    assert!(matches!(next(&compute), Request::Call(Call::Alloc { .. })));
    compute.answer(Ok(0));
    let (rounds, begin) = (2_000_u32, std::time::Instant::now());
    for _ in 0..rounds {
        assert!(matches!(next(&compute), Request::Fault { .. }));
        memory.protect(0..1, Access::Read);
        compute.answer(Ok(0));
        assert_eq!(next(&compute), Request::Call(Call::Barrier));
        memory.protect(0..1, Access::None);
        compute.answer(Ok(0));
    }
    println!("fault and call through the runtime's thread: {:?}", begin.elapsed() / rounds);
}
