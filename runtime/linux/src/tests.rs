//! Ranks with real faults, on one thread.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod frozen;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use crate::sim_host::Host;
use core::sync::atomic::{AtomicU16, Ordering::SeqCst};
use runtime_core::id::{PageNo, Rank};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::mem::{Access, PageMem};
use runtime_core::node::{Call, CallError, Distribution};
use runtime_driver::context::{Program, Request, Start};
use runtime_driver::layout::Sizes;
use runtime_driver::rank::{self, Array};
use std::collections::BTreeMap;

pub(crate) const SIZES: Sizes =
    Sizes { stack_bytes: 256 * 1024, heap_bytes: 8 << 20, shared_pages: 64 };

/// Tests of one process must not share the slots of ranks. Slot 0 is left to the tests that need it.
pub(crate) fn free_rank() -> Rank {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    Rank(NEXT.fetch_add(1, SeqCst))
}

pub(crate) fn program(entry: fn(&Start<'_>)) -> Program {
    Program::new(|entry: fn(&Start<'_>), start| entry(start), entry, "size=8".into())
}

fn started(entry: fn(&Start<'_>)) -> Host {
    let mut host = Host::new(SIZES).unwrap();
    host.start(&program(entry), free_rank(), 4).unwrap();
    host
}

/// Answers faults and allocations like a lone node, and returns what else the rank wants.
fn lone(host: &mut Host, mut request: Request, faults: &mut Vec<(u32, Access)>) -> Request {
    loop {
        request = match request {
            Request::Fault { page, access } => {
                faults.push((page.0, access));
                host.memory().protect(page.0..page.0 + 1, access);
                host.resume(Ok(0)).unwrap()
            }
            Request::Call(Call::Alloc { .. }) => host.resume(Ok(0)).unwrap(),
            other => return other,
        }
    }
}

fn run_lone(host: &mut Host) -> (Vec<Request>, Vec<(u32, Access)>) {
    let (mut requests, mut faults) = (Vec::new(), Vec::new());
    let mut request = host.resume(Ok(0)).unwrap();
    loop {
        request = lone(host, request, &mut faults);
        if request == Request::Call(Call::Exit) {
            return (requests, faults);
        }
        requests.push(request);
        request = host.resume(Ok(0)).unwrap();
    }
}

fn report(text: &str) {
    rank::report(&[], text);
}

fn reported(text: &str) -> Request {
    Request::Report { bytes: Vec::new(), text: text.into() }
}

#[test]
fn a_call_switches_out_and_its_answer_in() {
    let mut host = started(|start| {
        let first = rank::call(Call::Barrier);
        let second = rank::call(Call::Checkpoint);
        rank::print(&format!(
            "{} of {}, {}: {first:?} {second:?}",
            start.rank, start.ranks, start.args
        ));
    });
    let rank = host.memory().layout().slot();
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Barrier));
    assert_eq!(host.resume(Ok(u64::MAX)).unwrap(), Request::Call(Call::Checkpoint));
    let printed = host.resume(Err(CallError::LockState)).unwrap();
    let text = format!("rank {rank} of 4, size=8: Ok({}) Err(LockState)", u64::MAX);
    assert_eq!(printed, Request::Print(text));
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Exit));
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Exit));
}

#[test]
fn reads_and_writes_fault_once_each() {
    let mut host = started(|_| {
        let mut a = Array::<u64>::alloc(2048, Distribution::Block).unwrap();
        let sum: u64 = a.read(0..600).iter().sum();
        a.write(600..601)[0] = sum + 7;
        a.write(0..1)[0] = 5;
        report(&format!("{} {}", a.read(600..601)[0], a.read(0..1)[0]));
    });
    let (requests, faults) = run_lone(&mut host);
    assert_eq!(requests, [reported("7 5")]);
    let read = Access::Read;
    assert_eq!(faults, [(0, read), (1, read), (1, Access::Write), (0, Access::Write)]);
    let mut page = [0; PAGE_SIZE];
    host.memory().read(PageNo(0), &mut page);
    assert_eq!(page[..9], [5, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_copy_over_many_pages_faults_its_way_through() {
    let mut host = started(|_| {
        let mut a = Array::<u8>::alloc(20 * PAGE_SIZE, Distribution::Block).unwrap();
        let source: Vec<u8> = (0..20 * PAGE_SIZE).map(|i| u8::try_from(i % 251).unwrap()).collect();
        a.write(3..20 * PAGE_SIZE - 5).copy_from_slice(&source[3..20 * PAGE_SIZE - 5]);
        let same = a.read(3..20 * PAGE_SIZE - 5) == &source[3..20 * PAGE_SIZE - 5];
        report(if same { "same" } else { "different" });
    });
    let (requests, faults) = run_lone(&mut host);
    assert_eq!(requests, [reported("same")]);
    assert_eq!(faults.len(), 20);
}

/// `touch` loads every register with a known value, touches a shared page once, and reports what it found afterwards.
fn registers_live_across_a_fault(touch: fn(&Start<'_>), expected: &str) {
    let mut host = started(touch);
    let mut faults = Vec::new();
    let mut request = host.resume(Ok(0)).unwrap();
    while let Request::Fault { .. } | Request::Call(Call::Alloc { .. }) = request {
        // The host uses the registers in the meantime.
        let noise: f64 = (0..100).map(|i| f64::from(i).sqrt()).sum();
        assert!(noise > 600.0);
        if let Request::Fault { page, access } = request {
            faults.push((page.0, access));
            host.memory().protect(page.0..page.0 + 1, access);
        }
        request = host.resume(Ok(0)).unwrap();
    }
    assert_eq!(request, reported(expected));
    assert_eq!(faults, [(0, Access::Read)]);
}

fn deep(level: u64, kept: &mut BTreeMap<u64, String>) -> f64 {
    let local = (level as f64).sqrt();
    let text = Box::new(format!("level {level}"));
    kept.insert(level, (*text).clone());
    let below = if level == 0 {
        let epoch = rank::call(Call::Checkpoint);
        epoch.map_or(f64::NAN, |e| e as f64)
    } else {
        deep(level - 1, kept)
    };
    assert_eq!(*text, format!("level {level}"));
    below + local
}

pub(crate) fn recursion(_: &Start<'_>) {
    let mut kept = BTreeMap::new();
    let list: Vec<u64> = (0..10_000).collect();
    let sum = deep(40, &mut kept);
    let all = kept.values().map(String::len).sum::<usize>();
    report(&format!("{sum:.6} {all} {}", list.iter().sum::<u64>()));
}

/// Copies of the private pages in use, and the context word.
pub(crate) type Image = (u64, Vec<(u32, Box<[u8; PAGE_SIZE]>)>);

pub(crate) fn copy(memory: &dyn PageMem) -> Image {
    let pages = memory.private_in_use().into_iter().flatten();
    let copy = |number| {
        let mut page = Box::new([0; PAGE_SIZE]);
        memory.read(PageNo(number), &mut page);
        (number, page)
    };
    (memory.context(), pages.map(copy).collect())
}

pub(crate) fn put_back(memory: &mut dyn PageMem, image: &Image) {
    memory.reset_private();
    for (number, page) in &image.1 {
        memory.write(PageNo(*number), page);
    }
    memory.set_context(image.0);
}

#[test]
fn a_rank_returns_many_times_from_one_checkpoint() {
    let mut host = started(recursion);
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Checkpoint));
    let image = copy(host.memory());
    let first = host.resume(Ok(3)).unwrap();
    let Request::Report { text, .. } = &first else { panic!("{first:?}") };
    assert!(text.contains("49995000"), "{text}");
    for _ in 0..3 {
        put_back(host.memory(), &image);
        assert_eq!(host.resume(Ok(3)).unwrap(), first);
    }
    // Another host of the same rank takes its addresses over.
    let rank = Rank(u16::try_from(host.memory().layout().slot()).unwrap());
    let mut other = Host::new(SIZES).unwrap();
    put_back(other.memory(), &image);
    other.adopt(rank).unwrap();
    assert_eq!(other.resume(Ok(3)).unwrap(), first);
    assert!(!host.memory().is_attached());
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Exit));
}

#[test]
fn only_what_is_in_use_is_private_state() {
    let mut host = started(|_| {
        let _ = rank::call(Call::Barrier);
        let big = vec![1_u8; 1 << 20];
        let _ = rank::call(Call::Barrier);
        drop(big);
    });
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Barrier));
    let count = |host: &mut Host| -> usize {
        host.memory().private_in_use().into_iter().map(|r| r.len()).sum()
    };
    assert!(count(&mut host) < 4, "{}", count(&mut host));
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Call(Call::Barrier));
    assert!((256..400).contains(&count(&mut host)), "{}", count(&mut host));
    host.memory().reset_private();
    assert_eq!(count(&mut host), 0);
}

#[expect(unconditional_recursion, reason = "it fills the stack")]
fn endless(depth: u64) -> u64 {
    let block = std::hint::black_box([depth; 64]);
    endless(depth + 1) + block[0]
}

#[test]
fn a_full_stack_and_a_wild_touch_are_told() {
    let mut host = started(|_| {
        endless(0);
    });
    assert_eq!(host.resume(Ok(0)).unwrap(), Request::Overflow);
    assert!(host.resume(Ok(0)).is_err());
    let mut host = started(|_| {
        let wild = core::ptr::with_exposed_provenance::<u8>(64);
        // SAFETY: not at all; that is what the test is about.
        unsafe { wild.read_volatile() };
    });
    let crash = host.resume(Ok(0)).unwrap();
    assert!(matches!(crash, Request::Crash { address: 64, instruction: 1.. }), "{crash:?}");
}

#[test]
fn a_heap_that_is_full_fails_the_allocation_only() {
    let mut host = started(|_| {
        let mut list = Vec::<u8>::new();
        let refused = list.try_reserve_exact(8 << 20).is_err();
        list.extend([1; 100_000]);
        report(&format!("{refused} {}", list.len()));
    });
    assert_eq!(run_lone(&mut host).0, [reported("true 100000")]);
}

#[test]
fn heap_blocks_keep_their_content() {
    let mut host = started(|_| {
        let mut lists: Vec<Vec<u32>> = Vec::new();
        let (mut seed, mut wrong) = (1_u32, 0);
        for step in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let at = (seed >> 8) as usize % 64;
            if lists.len() <= at {
                lists.push(vec![step; 1]);
            } else if seed & 1 == 0 {
                let first = lists[at][0];
                lists[at].push(first);
            } else {
                let list = lists.swap_remove(at);
                wrong += list.iter().filter(|v| **v != list[0]).count();
            }
        }
        report(&format!("{wrong}"));
    });
    assert_eq!(run_lone(&mut host).0, [reported("0")]);
}

#[test]
fn what_a_fault_costs() {
    let mut host = started(|_| {
        let a = Array::<u8>::alloc(PAGE_SIZE, Distribution::Block).unwrap();
        loop {
            std::hint::black_box(a.read(0..1)[0]);
            let _ = rank::call(Call::Barrier);
        }
    });
    let mut request = host.resume(Ok(0)).unwrap();
    let (rounds, begin) = (20_000_u32, std::time::Instant::now());
    for _ in 0..rounds {
        request = lone(&mut host, request, &mut Vec::new());
        assert_eq!(request, Request::Call(Call::Barrier));
        host.memory().protect(0..1, Access::None);
        request = host.resume(Ok(0)).unwrap();
    }
    println!("fault, two changes of protection, one call: {:?}", begin.elapsed() / rounds);
}

#[test]
fn a_damaged_context_is_refused() {
    let mut host = started(|_| ());
    for wrong in [0, 1, u64::MAX, 0x1000, host.memory().context() + 4] {
        host.memory().set_context(wrong);
        assert!(host.resume(Ok(0)).is_err(), "{wrong:#x}");
    }
}
