//! Futures that wait for requests: each has a number, as a thread in a blocking call has, and a waker.

use super::{Engine, Leader, State};
use runtime_core::mcapi::{Completion, Request, Status, Waiter};
use runtime_shm::BiasedGuard;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

/// Numbers of futures have this bit, those of threads have not.
const TASK: u32 = 1 << 31;

/// By number; a number is used again when its future is done or dropped.
#[derive(Default)]
pub(super) struct Tasks {
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
    waiting: usize,
}

impl Tasks {
    /// Whether this is the number of a future.
    pub(super) const fn has(waiter: Waiter) -> bool {
        waiter.0 & TASK != 0
    }

    /// Whether no future waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    fn number(&mut self) -> Waiter {
        let at = self.free.pop().unwrap_or_else(|| {
            self.wakers.push(None);
            // Each waits for a request of its own, and those are few.
            u32::try_from(self.wakers.len() - 1).unwrap_or(u32::MAX)
        });
        Waiter(TASK | at)
    }

    fn set(&mut self, waiter: Waiter, waker: Option<Waker>) -> Option<Waker> {
        let place = self.wakers.get_mut((waiter.0 & !TASK) as usize)?;
        let before = mem::replace(place, waker);
        self.waiting += usize::from(place.is_some());
        self.waiting -= usize::from(before.is_some());
        before
    }
}

/// Whom to wake when the state is unlocked.
#[derive(Default)]
pub(super) struct Roused {
    any: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Roused {
    fn extend(&self, wakers: impl IntoIterator<Item = Waker>) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).extend(wakers);
        self.any.store(true, Ordering::Relaxed);
    }

    #[cold]
    fn wake(&self) {
        self.any.store(false, Ordering::Relaxed);
        let wakers = mem::take(&mut *self.wakers.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Wakes when dropped.
struct Rouse<'a>(&'a Roused);

impl Drop for Rouse<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.any.load(Ordering::Relaxed) {
            self.0.wake();
        }
    }
}

/// The locked state. Wakers may do anything, also call the node: so they are called after it is unlocked, which the order
/// of the fields sees to.
pub(super) struct Held<'a> {
    state: BiasedGuard<'a, State>,
    _rouse: Rouse<'a>,
}

impl<'a> Held<'a> {
    #[inline]
    pub(super) fn new(state: BiasedGuard<'a, State>, roused: &'a Roused) -> Self {
        Self { state, _rouse: Rouse(roused) }
    }
}

impl Deref for Held<'_> {
    type Target = State;
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl State {
    /// Whether there are wakers to be called when this is unlocked.
    pub(super) fn has_roused(&self) -> bool {
        self.roused.any.load(Ordering::Relaxed)
    }

    /// The future is to be polled again.
    pub(super) fn wake_task(&mut self, waiter: Waiter) {
        let waker = self.tasks.set(waiter, None);
        self.roused.extend(waker);
    }

    pub(super) fn wake_all_tasks(&mut self) {
        let wakers = self.tasks.wakers.iter_mut().filter_map(Option::take);
        self.roused.extend(wakers);
        self.tasks.waiting = 0;
    }
}

impl Engine {
    /// What came of a request; while it is pending, `waker` is called once that may have changed. `task` is the number of
    /// the future, which [`Self::stop_task`] takes back.
    pub(crate) fn poll(
        &self,
        request: Request,
        task: &mut Option<Waiter>,
        waker: &Waker,
    ) -> Poll<Result<Completion, Status>> {
        let mut state = self.lock();
        self.count_call();
        state.pump();
        if state.closed {
            return Poll::Ready(Err(Status::NodeNotInit));
        }
        let waiter = *task.get_or_insert_with(|| state.tasks.number());
        match state.core.wait_any(&[request], waiter).transpose() {
            Some(answer) => {
                state.tasks.set(waiter, None);
                self.settle(&mut state);
                Poll::Ready(answer.map(|(_, completion)| completion))
            }
            None => {
                state.tasks.set(waiter, Some(waker.clone()));
                self.awaited.store(true, Ordering::Relaxed);
                self.settle(&mut state);
                let unled = state.leader == Leader::Nobody && state.sleepers.is_empty();
                drop(state);
                if unled {
                    self.wake_progress();
                }
                Poll::Pending
            }
        }
    }

    /// The future waits no more.
    pub(crate) fn stop_task(&self, task: &mut Option<Waiter>) {
        if let Some(waiter) = task.take() {
            let mut state = self.lock();
            state.core.wait_stop(waiter);
            state.tasks.set(waiter, None);
            state.tasks.free.push(waiter.0 & !TASK);
        }
    }
}
