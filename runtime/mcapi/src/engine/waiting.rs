//! Waiting in a blocking call: looking, lending the lock, sleeping, and who leads next.

use super::tasks::Held;
use super::{Engine, LOOK, LOOKS, Leader, State};
use runtime_core::mcapi::{Completion, Request, Status, Waiter};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a leader that was called is given to come.
const NAP: Duration = Duration::from_micros(20);

/// When a call gives up. The clock is not looked at before it has to be.
pub(super) struct Patience {
    pub(super) timeout: Option<Duration>,
    begun: Option<Instant>,
    /// Since the last look at the clock something took longer than a look.
    late: bool,
}

impl Patience {
    pub(super) const fn new(timeout: Option<Duration>) -> Self {
        Self { timeout, begun: None, late: false }
    }

    /// Frames were taken in, or the lock was lent.
    #[inline]
    pub(super) const fn took_time(&mut self) {
        self.late = true;
    }

    /// Whether the clock is to be looked at before its turn.
    #[inline]
    pub(super) const fn must_look(&self) -> bool {
        self.late && self.timeout.is_some()
    }

    pub(super) fn begun(&mut self, now: Instant) -> Instant {
        *self.begun.get_or_insert(now)
    }

    /// A time that the clock cannot name is for ever.
    pub(super) fn until(&mut self, now: Instant) -> Option<Instant> {
        self.late = false;
        let begun = self.begun(now);
        self.timeout.and_then(|timeout| begun.checked_add(timeout))
    }
}

pub(super) fn waiter() -> Waiter {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static MINE: Waiter = {
            // Allocates once for each thread: at its first wait, not when it first sleeps in one.
            let _handle = thread::current();
            Waiter(NEXT.fetch_add(1, Ordering::Relaxed))
        };
    }
    MINE.with(|mine| *mine)
}

impl Engine {
    pub(super) fn wait<'a>(
        &'a self,
        mut state: Held<'a>,
        number: usize,
        request: &dyn Fn(usize) -> Result<Request, Status>,
        mut patience: Patience,
    ) -> (Held<'a>, Result<(usize, Completion), Status>) {
        let waiter = waiter();
        let found = loop {
            if state.closed {
                break Err(Status::NodeNotInit);
            }
            let mut scan = state.core.scan(number, waiter);
            let found = loop {
                let found = state.core.wait_part(&mut scan, number, request, waiter).transpose();
                if found.is_some() || scan.is_over() {
                    break found;
                }
                state.pump();
            };
            state.drain();
            if let Some(answer) = found {
                break answer;
            }
            state.sleeper(waiter).woken = false;
            self.settle(&mut state);
            let woken;
            (state, woken) = self.until_woken(state, waiter, &mut patience);
            if !woken {
                state.core.wait_stop(waiter);
                break Err(Status::Timeout);
            }
        };
        self.leave(&mut state, waiter);
        (state, found)
    }

    /// Looks, then sleeps. `false`: it was in vain.
    fn until_woken<'a>(
        &'a self,
        mut state: Held<'a>,
        waiter: Waiter,
        patience: &mut Patience,
    ) -> (Held<'a>, bool) {
        if patience.timeout == Some(Duration::ZERO) {
            return (state, false);
        }
        let mut looks = 0u32;
        loop {
            if state.sleeper(waiter).woken || state.closed {
                return (state, true);
            }
            if state.pump() > 0 {
                patience.took_time();
                self.settle(&mut state);
                if state.sleeper(waiter).woken {
                    return (state, true);
                }
            }
            looks = looks.wrapping_add(1);
            let mut sleep = !self.looks || state.wire.transport.is_none();
            if sleep || looks.is_multiple_of(LOOKS) || patience.must_look() {
                state.drain_rest();
                let now = Instant::now();
                let until = patience.until(now);
                if until.is_some_and(|until| now >= until) {
                    return (state, false);
                }
                sleep |= now - patience.begun(now) >= state.look;
                if sleep {
                    state = self.sleep(state, waiter, until);
                    let waited = patience.begun(now).elapsed();
                    let look = if waited <= LOOK.end { 2 * waited } else { state.look / 2 };
                    state.look = look.clamp(LOOK.start, LOOK.end);
                }
            }
            if !sleep {
                core::hint::spin_loop();
                if self.wanted.load(Ordering::Relaxed) > 0 {
                    state = self.lend(state);
                    patience.took_time();
                }
            }
        }
    }

    /// Lets others have the lock who want it.
    #[cold]
    pub(super) fn lend<'a>(&'a self, state: Held<'a>) -> Held<'a> {
        drop(state);
        for _ in 0..100 {
            if self.wanted.load(Ordering::Relaxed) == 0 {
                return self.lock();
            }
            core::hint::spin_loop();
        }
        // Who wants it may need this processor.
        thread::yield_now();
        self.lock()
    }

    /// Takes in all that has come so far, and sends what waits, also while somebody sleeps on the transport: before a call that
    /// says something else when another node has done something, of which the program may know already, and after one
    /// that is done at once, of which the program may tell others.
    pub(crate) fn catch_up(&self) {
        let mut state = self.lock();
        let before = state.vain_pumps;
        while state.vain_pumps == before && !state.closed {
            if state.wire.transport.is_some() {
                state.pump();
                self.settle(&mut state);
            } else if self.is_inherited() {
                // Whoever leads is in the parent.
                return;
            } else {
                drop(state);
                state = self.call_back();
            }
        }
    }

    /// Tells the leader to come back. The caller looks whether it has.
    pub(super) fn call_back(&self) -> Held<'_> {
        (self.bell)();
        // It may need this processor, and be of a lower priority.
        thread::sleep(NAP);
        self.lock()
    }

    /// Sleeps until something may have changed.
    fn sleep<'a>(
        &'a self,
        mut state: Held<'a>,
        waiter: Waiter,
        until: Option<Instant>,
    ) -> Held<'a> {
        if state.has_roused() {
            // They may want what is taken away here.
            drop(state);
            return self.lock();
        }
        if let Some(transport) = state.wire.transport.take() {
            state.leader = Leader::Call(waiter);
            drop(state);
            transport.wait(until);
            state = self.lock();
            state.wire.transport = Some(transport);
            state.leader = Leader::Nobody;
            return state;
        }
        if state.leader == Leader::Progress {
            (self.bell)();
        }
        state.sleeper(waiter).thread.get_or_insert_with(thread::current);
        drop(state);
        match until {
            Some(until) => thread::park_timeout(until.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
        self.lock()
    }

    /// A call ends: another one leads, or the progress thread.
    pub(super) fn leave(&self, state: &mut State, waiter: Waiter) {
        state.sleepers.retain(|sleeper| sleeper.waiter != waiter);
        if state.leader != Leader::Nobody {
            return;
        }
        if !state.sleepers.is_empty() {
            state.call_next();
        } else if core::mem::take(&mut state.progress_rests) {
            self.wake_progress();
        }
    }
}
