//! The part of `biased` in which two threads meet.

use crate::sync::{AtomicU32, AtomicU64, Ordering, compiler_fence};

/// Towards which thread the lock leans, and whether it is inside. Threads have numbers; 0 is nobody.
#[derive(Debug)]
pub(crate) struct Bias {
    pub(crate) thread: AtomicU64,
    inside: AtomicU32,
}

impl Bias {
    pub(crate) fn new() -> Self {
        Self { thread: AtomicU64::new(0), inside: AtomicU32::new(0) }
    }

    /// For the thread `me`: whether it is in now.
    #[inline]
    pub(crate) fn enter(&self, me: u64) -> bool {
        if self.thread.load(Ordering::Relaxed) != me {
            return false;
        }
        assert!(self.inside.load(Ordering::Relaxed) == 0, "this thread has the lock already");
        self.inside.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let leans = self.thread.load(Ordering::Relaxed) == me;
        if !leans {
            self.leave();
        }
        leans
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.inside.store(0, Ordering::Release);
    }

    /// For who holds the mutex, and leaves.
    pub(crate) fn lean(&self, thread: u64) {
        self.thread.store(thread, Ordering::Release);
    }

    /// For who holds the mutex: from then on the thread does not come in. `fence` is one on all processors. Says towards
    /// which other thread the lock leaned.
    pub(crate) fn end(&self, me: u64, fence: impl FnOnce()) -> Option<u64> {
        let thread = self.thread.load(Ordering::Relaxed);
        if thread == 0 {
            return None;
        }
        self.thread.store(0, Ordering::Relaxed);
        if thread == me {
            return None;
        }
        fence();
        Some(thread)
    }

    /// After [`Self::end`].
    pub(crate) fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Acquire) != 0
    }
}

#[cfg(all(test, loom))]
mod models;
