//! Nodes that are processes, killed at any moment, and forked ones.
//!
//! A child is this very program, told by its environment to run the test `child` in a role.

use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork};
use runtime_shm::{
    Event, Fabric, JoinError, Loan, MAX_LOANS, MAX_SENDERS, NodeName, Options, SendError,
};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs, thread};

const ROLE: &str = "SHM_TEST_ROLE";
const DIR: &str = "SHM_TEST_DIR";

fn name(node: u32) -> NodeName {
    NodeName { domain: 1, node }
}

fn try_join(dir: &Path, node: u32) -> Result<Fabric, JoinError> {
    Fabric::join(name(node), &Options { dir: dir.to_owned(), place: None, spin: 50, board: None })
}

fn join(dir: &Path, node: u32) -> Fabric {
    try_join(dir, node).unwrap()
}

fn spawn(dir: &Path, role: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).env(DIR, dir);
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

/// Numbers without end that look drawn.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    *state >> 33
}

/// The frame of a number: of all lengths, each byte known.
fn frame(n: u32) -> Vec<u8> {
    let len = [3, 40, 150, 5000, 60_000][n as usize % 5] + n as usize % 32;
    let mut frame = n.to_le_bytes().to_vec();
    frame.extend((0..len).map(|at| (at ^ n as usize).to_le_bytes()[0]));
    frame
}

#[test]
fn child() {
    let (Ok(role), Some(dir)) = (env::var(ROLE), env::var_os(DIR)) else { return };
    let dir = Path::new(&dir);
    match role.as_str() {
        "talk" => talk(join(dir, 1)),
        "fork" => forked(dir),
        "raw fork" => raw_fork(join(dir, 1)),
        "keep" => keeps(join(dir, 1)),
        _ => panic!("no role {role}"),
    }
}

/// Sends to whoever is there, for ever.
fn talk(mut fabric: Fabric) {
    let mut peers: Vec<(NodeName, u32)> = Vec::new();
    loop {
        fabric.poll(|event| match event {
            Event::Joined(who) => peers.push((who, 0)),
            Event::Gone(who) => peers.retain(|&(peer, _)| peer != who),
            Event::Frame { .. } | Event::Lent { .. } => {}
        });
        let mut sent = false;
        for (peer, n) in &mut peers {
            let frame = frame(*n);
            let (head, data) = frame.split_at(4);
            let result = fabric.lend(*peer, head, data);
            sent |= result.is_ok();
            *n += u32::from(result.is_ok());
        }
        if !sent {
            fabric.wait(None);
        }
    }
}

/// What a survivor knows of a node that is killed again and again.
#[derive(Default)]
struct Watch {
    there: bool,
    frames: u32,
    lives: u32,
    /// Frames that are kept for a while, also when whoever lent them is dead.
    kept: Vec<(u32, Loan)>,
}

impl Watch {
    fn poll(&mut self, fabric: &mut Fabric) {
        fabric.poll(|event| match event {
            Event::Joined(who) if who == name(1) => {
                assert!(!self.there, "joined twice");
                (self.there, self.frames) = (true, 0);
            }
            Event::Gone(who) if who == name(1) => {
                assert!(self.there, "gone twice");
                self.there = false;
                self.lives += 1;
            }
            Event::Frame { from, bytes } if from == name(1) => {
                assert!(self.there, "a frame of nobody");
                assert!(
                    bytes == frame(self.frames),
                    "frame {} of life {}",
                    self.frames,
                    self.lives
                );
                self.frames += 1;
            }
            Event::Lent { from, head, loan } => {
                assert!(self.there && from == name(1), "a frame of nobody");
                assert!(
                    [head, &loan].concat() == frame(self.frames),
                    "frame {} of life {}",
                    self.frames,
                    self.lives
                );
                self.kept.push((self.frames, loan));
                self.frames += 1;
            }
            Event::Frame { from, bytes } => assert_eq!((from, bytes), (name(2), &b"ping"[..])),
            _ => {}
        });
        for (n, loan) in &self.kept {
            assert!(**loan == frame(*n)[4..], "frame {n} has changed");
        }
        // Two slots stay for what comes.
        self.kept.drain(..self.kept.len().saturating_sub(MAX_LOANS / MAX_SENDERS - 2));
    }
}

#[test]
fn nodes_killed_at_any_moment_leave_the_others_running() {
    // `SHM_TEST_KILLS=1000 cargo test -p runtime-shm --test processes` for more.
    let kills = env::var("SHM_TEST_KILLS").map_or(24, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut one = join(dir.path(), 0);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut other = join(dir.path(), 2);
        let bystander = scope.spawn(|| {
            let mut watch = Watch::default();
            while !over.load(Ordering::Relaxed) {
                other.wait(None);
                watch.poll(&mut other);
                // To one who is dead, dying or alive; and to one who lives.
                let _ = other.send(name(1), &[b"ping"]);
                match other.send(name(0), &[b"ping"]) {
                    Ok(()) | Err(SendError::Full | SendError::Unknown) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            drop(other);
            watch.lives
        });
        let mut watch = Watch::default();
        let mut chance = 1;
        for life in 0..kills {
            let mut child = spawn(dir.path(), "talk");
            // At a frame, or at some moment of coming up.
            let frames = u32::try_from(draw(&mut chance) % 150).unwrap();
            let mut patience = if life % 4 == 0 { draw(&mut chance) % 50_000 } else { u64::MAX };
            while watch.frames < frames && patience > 0 || !watch.there && patience == u64::MAX {
                patience -= u64::from(patience < u64::MAX);
                watch.poll(&mut one);
                if let Some(status) = child.try_wait().unwrap() {
                    panic!("life {life} ended by itself: {status}");
                }
            }
            // Unreaped until it is seen to be gone: what is left of it is no living process.
            kill(pid(&child), Signal::SIGKILL).unwrap();
            while watch.there {
                one.wait(None);
                watch.poll(&mut one);
            }
            child.wait().unwrap();
            // Who was killed before it was seen may be seen now.
            watch.poll(&mut one);
            while watch.there {
                one.wait(None);
                watch.poll(&mut one);
            }
            watch.frames = 0;
        }
        assert!(watch.lives >= kills * 3 / 4, "{}", watch.lives);
        over.store(true, Ordering::Relaxed);
        assert!(bystander.join().unwrap() >= kills / 2);
    });
    drop(one);
    assert!(is_empty(dir.path()), "whoever leaves last sweeps");
}

/// Joins, forks, and both go on: the parent as it was, the child as a node of its own.
fn forked(dir: &Path) {
    let mut fabric = join(dir, 1);
    while fabric.poll(|_| {}) == 0 {}
    // SAFETY: this program's other thread only waits for this one.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            assert!(fabric.is_inherited());
            assert_eq!(fabric.send(name(0), &[b"?"]), Err(SendError::Forked));
            assert_eq!(fabric.poll(|_| {}), 0);
            fabric.wait(None);
            drop(fabric);
            let mut own = join(dir, 2);
            while own.send(name(0), &[b"child"]).is_err() {
                own.poll(|_| {});
            }
            let mut over = false;
            while !over {
                own.wait(None);
                own.poll(|event| over |= matches!(event, Event::Frame { .. }));
            }
            drop(own);
            // Not back into the test harness, of which this process has a part only.
            std::process::exit(0);
        }
        ForkResult::Parent { .. } => loop {
            fabric.wait(None);
            fabric.poll(|_| {});
        },
    }
}

/// Polls until an event is there.
fn until(fabric: &mut Fabric, what: impl Fn(&Event<'_>) -> bool) {
    let mut seen = false;
    while !seen {
        fabric.poll(|event| seen |= what(&event));
        if !seen {
            fabric.wait(None);
        }
    }
}

#[test]
fn a_fork_does_not_keep_its_parents_node_alive() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = join(dir.path(), 0);
    let mut child = spawn(dir.path(), "fork");
    let mut joined = Vec::new();
    let mut said = false;
    while !said {
        one.wait(None);
        one.poll(|event| match event {
            Event::Joined(who) => joined.push(who),
            Event::Frame { from, bytes } => {
                assert_eq!((from, bytes), (name(2), &b"child"[..]));
                said = true;
            }
            Event::Gone(who) => panic!("{who} is gone"),
            Event::Lent { .. } => panic!("nothing was to be lent"),
        });
    }
    assert_eq!(joined, [name(1), name(2)]);
    assert!(matches!(try_join(dir.path(), 1), Err(JoinError::Taken(_))), "the parent lives");
    child.kill().unwrap();
    until(&mut one, |event| *event == Event::Gone(name(1)));
    child.wait().unwrap();
    drop(join(dir.path(), 1));
    one.send(name(2), &[b"enough"]).unwrap();
    until(&mut one, |event| *event == Event::Gone(name(2)));
    drop(one);
    assert!(is_empty(dir.path()));
}

/// Keeps what it is lent, and its fork drops it.
fn keeps(mut fabric: Fabric) {
    let mut kept: Vec<Loan> = Vec::new();
    let take = |fabric: &mut Fabric, kept: &mut Vec<Loan>, frames: usize| {
        let mut copied = 0;
        while kept.len() + copied < frames {
            fabric.wait(None);
            fabric.poll(|event| match event {
                Event::Lent { loan, .. } => kept.push(loan),
                Event::Frame { .. } => copied += 1,
                _ => {}
            });
        }
        copied
    };
    assert_eq!(take(&mut fabric, &mut kept, 1), 0);
    // SAFETY: this program's other thread only waits for this one.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(kept);
            std::process::exit(0);
        }
        ForkResult::Parent { child } => {
            let end = nix::sys::wait::waitpid(child, None).unwrap();
            assert_eq!(end, nix::sys::wait::WaitStatus::Exited(child, 0));
        }
    }
    fabric.send(name(0), &[b"dropped"]).unwrap();
    let slots = MAX_LOANS / MAX_SENDERS;
    assert_eq!(take(&mut fabric, &mut kept, slots + 1), 1, "one slot is in use still");
    assert!(kept.iter().zip(1..).all(|(loan, n)| loan.iter().all(|&byte| byte == n)));
}

#[test]
fn a_fork_gives_nothing_back_that_its_parent_has() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = join(dir.path(), 0);
    let mut child = spawn(dir.path(), "keep");
    let lend = |one: &mut Fabric, n: u8| {
        while one.lend(name(1), b"", &[n; 1 << 16]).is_err() {
            one.wait(None);
            one.poll(|_| {});
        }
    };
    lend(&mut one, 1);
    until(&mut one, |event| matches!(event, Event::Frame { bytes: b"dropped", .. }));
    (2..=u8::try_from(MAX_LOANS / MAX_SENDERS + 1).unwrap()).for_each(|n| lend(&mut one, n));
    assert!(child.wait().unwrap().success());
}

/// Forks behind the library's back, so that the fork holds the lock.
fn raw_fork(mut fabric: Fabric) {
    // SAFETY: the child does nothing but wait for its end.
    let pid = unsafe { libc::syscall(libc::SYS_fork) };
    if pid == 0 {
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    while fabric.send(name(0), &[&pid.to_le_bytes()]).is_err() {
        fabric.poll(|_| {});
    }
    loop {
        fabric.wait(None);
        fabric.poll(|_| {});
    }
}

#[test]
fn a_lock_in_the_hands_of_a_fork_is_no_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = join(dir.path(), 0);
    let mut child = spawn(dir.path(), "raw fork");
    let mut grandchild = 0;
    while grandchild == 0 {
        one.wait(None);
        one.poll(|event| {
            if let Event::Frame { bytes, .. } = event {
                grandchild = i64::from_le_bytes(bytes.try_into().unwrap());
            }
        });
    }
    child.kill().unwrap();
    until(&mut one, |event| *event == Event::Gone(name(1)));
    child.wait().unwrap();
    drop(join(dir.path(), 1));
    kill(Pid::from_raw(grandchild.try_into().unwrap()), Signal::SIGKILL).unwrap();
    drop(one);
    assert!(is_empty(dir.path()));
}
