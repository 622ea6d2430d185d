//! How fast frames go between two processes, beside what else there is to carry them, in one run.
//!
//! `cargo run --release -p runtime-shm --example speed`

use anyhow::{Context as _, Result, bail, ensure};
use nix::mqueue::{MQ_OFlag, MqAttr, mq_open, mq_receive, mq_send, mq_unlink};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use runtime_shm::{Event, Fabric, MAX_FRAME, NodeName, Options, SendError};
use std::hint::{black_box, spin_loop};
use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const PING: NodeName = NodeName { domain: 1, node: 1 };
const PONG: NodeName = NodeName { domain: 1, node: 2 };
const FRAME: usize = 64;

fn main() -> Result<()> {
    let dir = tempfile::tempdir_in("/dev/shm")?;
    println!("round trips between two processes, microseconds    min  median     p99     max");
    let floor = round_trips("64 B, bare shared memory, spinning", 50_000, |n| bare(n, 8))?;
    let floor_8 = round_trips("8 B, bare shared memory, spinning", 50_000, |n| bare(n, 1))?;
    let spin = |n| fabric(dir.path(), u32::MAX, FRAME, n);
    let spinning = round_trips("64 B, fabric, spinning", 50_000, spin)?;
    let eight =
        round_trips("8 B, fabric, spinning", 50_000, |n| fabric(dir.path(), u32::MAX, 8, n))?;
    let mq = round_trips("64 B, POSIX message queue", 4_000, message_queue)?;
    let unix = round_trips("64 B, Unix socket", 4_000, unix_socket)?;
    let asleep =
        round_trips("64 B, fabric, asleep at once", 4_000, |n| fabric(dir.path(), 0, FRAME, n))?;
    let spin = Options::default().spin;
    let usual = round_trips("64 B, fabric, spinning a little", 4_000, |n| {
        fabric(dir.path(), spin, FRAME, n)
    })?;
    println!("spinning / bare: {:.2}; 8 B: {:.2}", spinning / floor, eight / floor_8);
    println!("asleep / queue: {:.2}; / socket: {:.2}", asleep / mq, asleep / unix);
    println!("spinning a little / queue: {:.2}; / socket: {:.2}", usual / mq, usual / unix);

    let small = stream(dir.path(), FRAME, 2_000_000)?;
    println!("64 B frames: {:.1} million a second", small / 1e6);
    let large = stream(dir.path(), 65536, 20_000)? * 65536.0;
    let copy = copying();
    println!(
        "64 KiB frames: {:.1} GB/s, copied by memcpy: {:.1} GB/s, ratio {:.2}",
        large / 1e9,
        copy / 1e9,
        large / copy
    );
    Ok(())
}

/// Runs both sides of something in two processes.
fn two<R>(child: impl FnOnce() -> Result<()>, parent: impl FnOnce() -> Result<R>) -> Result<R> {
    // SAFETY: there is one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // It may be spinning for an answer that never comes.
            nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
            let code = child().map_or_else(
                |error| {
                    eprintln!("child: {error:#}");
                    1
                },
                |()| 0,
            );
            std::process::exit(code);
        }
        ForkResult::Parent { child } => {
            let result = parent()?;
            ensure!(matches!(waitpid(child, None)?, WaitStatus::Exited(_, 0)), "the child failed");
            Ok(result)
        }
    }
}

/// Measures and prints; the median, in nanoseconds.
fn round_trips(what: &str, n: usize, run: impl Fn(usize) -> Result<Vec<u64>>) -> Result<f64> {
    let mut times = run(n)?;
    times.drain(..n / 10);
    times.sort_unstable();
    let us = |at: usize| times[at] as f64 / 1000.0;
    let last = times.len() - 1;
    println!(
        "{what:46} {:7.2} {:7.2} {:7.2} {:7.0}",
        us(0),
        us(last / 2),
        us(last * 99 / 100),
        us(last)
    );
    Ok(us(last / 2))
}

fn timed(n: usize, mut once: impl FnMut() -> Result<()>) -> Result<Vec<u64>> {
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        once()?;
        times.push(u64::try_from(start.elapsed().as_nanos())?);
    }
    Ok(times)
}

/// The floor: so many words each way, behind the number of the round.
fn bare(n: usize, payload: usize) -> Result<Vec<u64>> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let len = NonZeroUsize::new(4096).context("not zero")?;
    // SAFETY: new memory.
    let memory = unsafe { mmap_anonymous(None, len, access, MapFlags::MAP_SHARED) }?;
    // SAFETY: mapped for good, zeroed, and made of words.
    let words: &[AtomicU64; 64] = unsafe { memory.cast().as_ref() };
    let (there, back) = (&words[..=payload], &words[32..=32 + payload]);
    let put = |line: &[AtomicU64], round: u64| {
        for word in &line[1..] {
            word.store(round, Ordering::Relaxed);
        }
        line[0].store(round, Ordering::Release);
    };
    let get = |line: &[AtomicU64], round: u64| {
        while line[0].load(Ordering::Acquire) != round {
            spin_loop();
        }
        black_box(line[1..].iter().map(|w| w.load(Ordering::Relaxed)).sum::<u64>());
    };
    let echo = || {
        for round in 1..=n as u64 {
            get(there, round);
            put(back, round);
        }
        Ok(())
    };
    let mut round = 0;
    let ask = || {
        timed(n, || {
            round += 1;
            put(there, round);
            get(back, round);
            Ok(())
        })
    };
    two(echo, ask)
}

fn join(dir: &Path, name: NodeName, spin: u32) -> Result<Fabric> {
    Ok(Fabric::join(name, &Options { dir: dir.to_owned(), place: None, spin, board: None })?)
}

/// Waits until the other one is there, who waits for a frame.
fn meet(fabric: &mut Fabric, other: NodeName) {
    let mut there = false;
    while !there {
        fabric.wait(None);
        fabric.poll(|event| there |= event == Event::Joined(other));
    }
}

fn next_frame(fabric: &mut Fabric, into: &mut [u8]) -> Result<()> {
    let (mut got, mut gone) = (false, false);
    loop {
        fabric.poll(|event| match event {
            Event::Frame { bytes, .. } => {
                into[..bytes.len()].copy_from_slice(bytes);
                got = true;
            }
            Event::Gone(_) => gone = true,
            Event::Joined(_) | Event::Lent { .. } => {}
        });
        if got {
            return Ok(());
        }
        if gone {
            bail!("the other one is gone");
        }
        fabric.wait(None);
    }
}

fn fabric(dir: &Path, spin: u32, len: usize, n: usize) -> Result<Vec<u64>> {
    let echo = || {
        let mut fabric = join(dir, PONG, spin)?;
        let mut frame = vec![0; len];
        for _ in 0..n {
            next_frame(&mut fabric, &mut frame)?;
            fabric.send(PING, &[&frame])?;
        }
        Ok(())
    };
    let ask = || {
        let mut fabric = join(dir, PING, spin)?;
        meet(&mut fabric, PONG);
        let mut frame = vec![1; len];
        timed(n, || {
            fabric.send(PONG, &[&frame])?;
            next_frame(&mut fabric, &mut frame)
        })
    };
    two(echo, ask)
}

fn message_queue(n: usize) -> Result<Vec<u64>> {
    let name = |side: &str| format!("/understudy-speed-{}-{side}", std::process::id());
    let open = |name: &String| {
        let attr = MqAttr::new(0, 4, FRAME as i64, 0);
        let flags = MQ_OFlag::O_CREAT | MQ_OFlag::O_RDWR;
        mq_open(name.as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR, Some(&attr))
    };
    let names = (name("there"), name("back"));
    let (there, back) = (open(&names.0)?, open(&names.1)?);
    mq_unlink(names.0.as_str())?;
    mq_unlink(names.1.as_str())?;
    let mut frame = [0; FRAME];
    let mut other = frame;
    let echo = || {
        for _ in 0..n {
            mq_receive(&there, &mut other, &mut 0)?;
            mq_send(&back, &other, 0)?;
        }
        Ok(())
    };
    let ask = || {
        timed(n, || {
            mq_send(&there, &frame, 0)?;
            mq_receive(&back, &mut frame, &mut 0)?;
            Ok(())
        })
    };
    two(echo, ask)
}

fn unix_socket(n: usize) -> Result<Vec<u64>> {
    let (mut here, mut there) = UnixStream::pair()?;
    let mut frame = [0; FRAME];
    let mut other = frame;
    let echo = || {
        for _ in 0..n {
            there.read_exact(&mut other)?;
            there.write_all(&other)?;
        }
        Ok(())
    };
    let ask = || {
        timed(n, || {
            here.write_all(&frame)?;
            Ok(here.read_exact(&mut frame)?)
        })
    };
    two(echo, ask)
}

/// Frames a second, one way.
fn stream(dir: &Path, len: usize, n: usize) -> Result<f64> {
    let send = || {
        let mut fabric = join(dir, PONG, 2000)?;
        meet(&mut fabric, PING);
        let frame = vec![7; len];
        for _ in 0..n {
            while let Err(error) = fabric.send(PING, &[&frame]) {
                ensure!(error == SendError::Full, "{error}");
                fabric.wait(None);
                fabric.poll(|_| {});
            }
        }
        Ok(())
    };
    let receive = || {
        let mut fabric = join(dir, PING, 2000)?;
        let mut into = vec![0; MAX_FRAME];
        let (mut frames, mut start) = (0, Instant::now());
        while frames < n {
            fabric.wait(None);
            if frames == 0 {
                start = Instant::now();
            }
            fabric.poll(|event| {
                if let Event::Frame { bytes, .. } = event {
                    into[..bytes.len()].copy_from_slice(bytes);
                    frames += 1;
                }
            });
        }
        black_box(&into);
        Ok(n as f64 / start.elapsed().as_secs_f64())
    };
    two(send, receive)
}

/// Bytes a second of a plain copy of as much.
fn copying() -> f64 {
    let from = vec![1u8; 65536];
    let mut into = vec![0u8; 65536];
    let start = Instant::now();
    for _ in 0..20_000 {
        into.copy_from_slice(black_box(&from));
        black_box(&mut into);
    }
    20_000.0 * 65536.0 / start.elapsed().as_secs_f64()
}
