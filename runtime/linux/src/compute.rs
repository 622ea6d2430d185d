//! The thread that a rank computes on. The runtime's thread tells it what to do, and finds its
//! requests behind an eventfd.

use crate::signals;
use core::time::Duration;
use nix::errno::Errno;
use nix::libc;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::pthread::pthread_kill;
use runtime_core::id::Rank;
use runtime_driver::context::{Answer, Context, ContextError, Program, Request};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::thread::JoinHandleExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// How long the stopper waits until it signals again. The first signal is in vain when it meets the
/// thread on its way into the rank.
const STOP_AGAIN: Duration = Duration::from_millis(1);

/// Why there is no thread to compute on.
#[derive(Debug, thiserror::Error)]
pub enum ComputeError {
    /// No eventfd.
    #[error("making an eventfd: {0}")]
    EventFd(Errno),
    /// No signal handlers.
    #[error("installing signal handlers: {0}")]
    Signals(Errno),
    /// No thread.
    #[error("starting the compute thread: {0}")]
    Thread(std::io::Error),
}

#[derive(Debug)]
enum Command {
    Start { program: Program, rank: Rank, ranks: u16 },
    Resume(Answer),
}

#[derive(Debug, Default)]
struct State {
    command: Option<Command>,
    request: Option<Result<Request, ContextError>>,
    /// There is a rank; it computes or waits for an answer.
    running: bool,
    stop: bool,
    quit: bool,
}

#[derive(Debug)]
struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    wake: EventFd,
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A compute thread with its context. The memory of the context must outlive it.
#[derive(Debug)]
pub struct Compute {
    desk: Arc<Desk>,
    stopping: Context,
    thread: Option<JoinHandle<()>>,
}

impl Compute {
    /// Starts the thread, without a rank.
    ///
    /// # Errors
    /// When the system has no thread or no eventfd left.
    pub fn new(memory: &crate::memory::LinuxMem) -> Result<Self, ComputeError> {
        // A stop may come before the thread has run at all.
        signals::handled().map_err(ComputeError::Signals)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(ComputeError::EventFd)?;
        let desk = Arc::new(Desk { state: Mutex::default(), changed: Condvar::new(), wake });
        let (context, for_thread) = (memory.rank(), Arc::clone(&desk));
        let thread = std::thread::Builder::new()
            .name("compute".into())
            .spawn(move || host(&for_thread, context))
            .map_err(ComputeError::Thread)?;
        Ok(Self { desk, stopping: memory.rank(), thread: Some(thread) })
    }

    /// Readable when [`Compute::take`] has something.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.desk.wake.as_fd()
    }

    /// Is there a rank?
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.desk.lock().running
    }

    /// Starts a rank from its beginning. The private state must be zero, and no rank there.
    pub fn start(&self, program: Program, rank: Rank, ranks: u16) {
        self.tell(Command::Start { program, rank, ranks });
    }

    /// Lets a restored rank come out of its call with a value. No rank may be there.
    pub fn restore(&self, value: u64) {
        self.tell(Command::Resume(Ok(value)));
    }

    /// Answers the rank's request.
    pub fn answer(&self, answer: Answer) {
        self.tell(Command::Resume(answer));
    }

    fn tell(&self, command: Command) {
        let mut state = self.desk.lock();
        state.running = true;
        state.command = Some(command);
        drop(state);
        self.desk.changed.notify_all();
    }

    /// What the rank wants, if it stands still with a request that was not taken yet.
    ///
    /// # Errors
    /// When the rank could not be made to run.
    pub fn take(&self) -> Option<Result<Request, ContextError>> {
        let mut state = self.desk.lock();
        // Not readable is no error: the request may have been taken after an earlier wake-up.
        let _ = self.desk.wake.read();
        state.request.take()
    }

    /// Makes the rank stand still wherever it is, and forgets it. Nothing happens without a rank.
    pub fn stop(&self) {
        let mut state = self.desk.lock();
        if !state.running {
            return;
        }
        // The caller waits for it, and the other nodes for the caller.
        let _urgent = self.thread.as_ref().map(Urgent::new);
        state.stop = true;
        self.stopping.stopping(true);
        self.desk.changed.notify_all();
        while state.stop {
            if let Some(thread) = &self.thread {
                // The thread lives until `drop`, so there is nothing to be done about an error.
                let _ = pthread_kill(thread.as_pthread_t(), signals::STOP);
            }
            state = self
                .desk
                .changed
                .wait_timeout(state, STOP_AGAIN)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let _ = self.desk.wake.read();
    }
}

/// Lets a thread run as the one that makes this does, if that is ahead of others, as long as this lives.
struct Urgent<'a>(&'a JoinHandle<()>);

impl<'a> Urgent<'a> {
    fn new(thread: &'a JoinHandle<()>) -> Self {
        const THIS_THREAD: libc::pid_t = 0;
        let mut priority = libc::sched_param { sched_priority: 0 };
        // SAFETY: the parameters are written in the call.
        let policy = unsafe {
            libc::sched_getparam(THIS_THREAD, &raw mut priority);
            libc::sched_getscheduler(THIS_THREAD) & !libc::SCHED_RESET_ON_FORK
        };
        set_policy(thread, policy, priority);
        Self(thread)
    }
}

impl Drop for Urgent<'_> {
    fn drop(&mut self) {
        set_policy(self.0, libc::SCHED_OTHER, libc::sched_param { sched_priority: 0 });
    }
}

/// Without the right to it nothing changes: whoever may not run ahead of others said so when the node began.
fn set_policy(thread: &JoinHandle<()>, policy: libc::c_int, priority: libc::sched_param) {
    // SAFETY: the thread is not joined while its handle is borrowed, and the parameters are read in the call.
    unsafe { libc::pthread_setschedparam(thread.as_pthread_t(), policy, &raw const priority) };
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.stop();
        self.desk.lock().quit = true;
        self.desk.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It ended by itself or with a panic, which was printed; either way it is gone.
            let _ = thread.join();
        }
    }
}

/// The thread's loop, on its normal stack.
fn host(desk: &Desk, mut context: Context) {
    let ready = signals::ready();
    let mut state = desk.lock();
    loop {
        if state.stop {
            context.stopping(false);
            context.forget();
            *state = State { quit: state.quit, ..State::default() };
            desk.changed.notify_all();
        }
        if state.quit {
            return;
        }
        let Some(command) = state.command.take() else {
            state = desk.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(state);
        let done = match command {
            Command::Resume(answer) => ready.clone().and_then(|()| context.resume(answer)),
            Command::Start { program, rank, ranks } => ready
                .clone()
                .and_then(|()| context.start(&program, rank, ranks))
                .and_then(|()| context.resume(Ok(0))),
        };
        state = desk.lock();
        if !state.stop {
            state.request = Some(done);
            // The runtime's thread comes at once and wants the lock. This thread is less urgent: with the lock in its
            // hands it would lose the processor now, and on a busy machine not get it back for long.
            drop(state);
            // A full counter is readable as well.
            let _ = desk.wake.write(1);
            state = desk.lock();
        }
    }
}

#[cfg(test)]
mod tests;
