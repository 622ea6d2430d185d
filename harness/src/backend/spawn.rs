//! Starting processes that cannot outlive the daemon.
//!
//! `setpriv --pdeathsig KILL` has the kernel kill a child when the *thread* that started it ends.
//! All children are therefore started by one thread that lives as long as the daemon.

use anyhow::{Context as _, Result};
use command_fds::{CommandFdExt as _, FdMapping};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A process to start.
#[derive(Debug)]
pub(crate) struct Program {
    /// Program and arguments.
    pub(crate) words: Vec<OsString>,
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    /// Takes standard error, and standard output where that is not given.
    pub(crate) log: File,
    /// Descriptors that it inherits, with the numbers that they have there.
    pub(crate) fds: Vec<(OwnedFd, i32)>,
}

/// A running process; killing it twice, or after its end, does no harm.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    child: Arc<Mutex<Child>>,
    pace: Arc<(Mutex<Pace>, Condvar)>,
}

/// How a process is let run.
#[derive(Debug)]
struct Pace {
    /// It stands still until somebody says otherwise.
    still: bool,
    /// It runs for so much of each [`PERIOD`].
    percent: u8,
    /// A thread stops it and lets it go on.
    kept: bool,
}

/// A process that is slowed runs once in each of these.
const PERIOD: Duration = Duration::from_millis(20);

const fn stop(still: bool) -> Signal {
    if still { Signal::SIGSTOP } else { Signal::SIGCONT }
}

impl Process {
    /// Kills it at once, wherever it is, with all that it started.
    pub(crate) fn kill(&self) {
        self.signal(Signal::SIGKILL);
    }

    /// Makes it stand still where it is, or go on, with all that it started.
    pub(crate) fn freeze(&self, still: bool) {
        let mut pace = self.pace();
        pace.still = still;
        self.signal(stop(still));
        self.pace.1.notify_all();
    }

    /// Lets it run for so many percent of the time from now on, in turns of [`PERIOD`]: it is stopped, with
    /// whatever threads it has, and goes on. At 100 it is let alone.
    pub(crate) fn slow(&self, percent: u8) {
        let mut pace = self.pace();
        pace.percent = percent;
        self.pace.1.notify_all();
        if percent < 100 && !std::mem::replace(&mut pace.kept, true) {
            let process = self.clone();
            let keeper = thread::Builder::new().name(format!("pace-{}", self.pid));
            if let Err(e) = keeper.spawn(move || process.keep_pace()) {
                pace.kept = false;
                tracing::error!("process {} cannot be slowed: {e}", self.pid);
            }
        }
    }

    fn keep_pace(&self) {
        let mut pace = self.pace();
        while pace.percent < 100 && self.is_alive() {
            if pace.still {
                // Now and then it is looked whether it still lives.
                pace = self.wait_for(pace, 50 * PERIOD);
                continue;
            }
            let run = PERIOD * u32::from(pace.percent) / 100;
            self.signal(Signal::SIGCONT);
            pace = self.wait_for(pace, run);
            if pace.percent < 100 && !pace.still {
                self.signal(Signal::SIGSTOP);
                pace = self.wait_for(pace, PERIOD.saturating_sub(run));
            }
        }
        pace.kept = false;
        self.signal(stop(pace.still));
    }

    /// Until the time is over, or the pace changes.
    fn wait_for<'a>(&self, pace: MutexGuard<'a, Pace>, time: Duration) -> MutexGuard<'a, Pace> {
        let end = Instant::now() + time;
        let (percent, still) = (pace.percent, pace.still);
        let mut pace = pace;
        while (pace.percent, pace.still) == (percent, still) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            pace = self.pace.1.wait_timeout(pace, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        pace
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_alive(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(child.try_wait(), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Its number is its own, and its group's, until somebody has waited for its end, who needs the lock.
        if let (Ok(None), Ok(pid)) = (child.try_wait(), i32::try_from(child.id())) {
            // It may have ended by itself; then there is nothing to signal.
            let _ = killpg(Pid::from_raw(pid), signal);
        }
    }
}

/// Called once, when the process has ended, with how it ended.
pub(crate) type OnExit = Box<dyn FnOnce(String) + Send>;

type Order = (Program, OnExit, tokio::sync::oneshot::Sender<Result<Process>>);

/// The thread that starts all processes.
#[derive(Clone, Debug)]
pub(crate) struct Spawner {
    orders: Sender<Order>,
}

impl Spawner {
    /// Starts the thread.
    pub(crate) fn new() -> Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("spawner".to_owned())
            .spawn(move || {
                while let Ok((program, on_exit, answer)) = inbox.recv() {
                    // Nobody waits for the answer only when the daemon is ending.
                    let _ = answer.send(start(program, on_exit));
                }
            })
            .context("cannot start a thread")?;
        Ok(Self { orders })
    }

    /// Starts a process.
    pub(crate) async fn start(&self, program: Program, on_exit: OnExit) -> Result<Process> {
        let (answer, started) = tokio::sync::oneshot::channel();
        self.orders.send((program, on_exit, answer)).ok().context("the spawner is gone")?;
        started.await.context("the spawner is gone")?
    }
}

fn start(program: Program, on_exit: OnExit) -> Result<Process> {
    let name = program.words.first().cloned().unwrap_or_default();
    let log = program.log;
    let stdout = match program.stdout {
        Some(fd) => Stdio::from(fd),
        None => Stdio::from(log.try_clone().context("cannot share a log file")?),
    };
    let mut command = Command::new("setpriv");
    command
        // A machine is one group: a program that it runs goes with it.
        .process_group(0)
        .args(["--pdeathsig", "KILL", "--"])
        .args(program.words)
        .stdin(program.stdin.map_or_else(Stdio::null, Stdio::from))
        .stdout(stdout)
        .stderr(Stdio::from(log));
    let fds =
        program.fds.into_iter().map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd });
    command.fd_mappings(fds.collect()).context("one descriptor is passed on twice")?;
    let child = command.spawn().with_context(|| {
        format!("cannot start setpriv (package util-linux) for {}", name.display())
    })?;
    let pid = child.id();
    let child = Arc::new(Mutex::new(child));
    let pace = Pace { still: false, percent: 100, kept: false };
    let pace = Arc::new((Mutex::new(pace), Condvar::new()));
    let process = Process { pid, child: child.clone(), pace };
    thread::Builder::new()
        .name(format!("wait-{pid}"))
        .spawn(move || on_exit(wait(pid, &child)))
        .context("cannot start a thread")?;
    Ok(process)
}

/// Waits without reaping first, so that the number stays taken while somebody may want to kill it.
fn wait(pid: u32, child: &Mutex<Child>) -> String {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap_or(i32::MAX));
    while let Err(nix::errno::Errno::EINTR) | Ok(WaitStatus::StillAlive) =
        waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT)
    {}
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    match child.wait() {
        Ok(status) => status.to_string(),
        Err(e) => format!("it cannot be waited for: {e}"),
    }
}
