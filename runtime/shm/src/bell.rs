//! How a node sleeps until another wakes it, without a system call by who sends to a node that is awake.
//!
//! A word in the sleeper's segment. The sleeper writes "asleep", then looks once more for news; who has news publishes
//! it, then looks at the word. A fence between the two on each side lets at least one of them see the other. The sleeper may
//! have one on all processors, and then who has news needs none.

use crate::sync::{AtomicU32, Ordering, compiler_fence, fence};

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// The word on which a node sleeps.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU32);

impl Word {
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(AWAKE))
    }

    /// Sleeps while there is no news: `sleep` gets the word and the value at which to sleep on, and must look at it and
    /// fall asleep in one step, as the futex call does. `armed` comes before the last look, and the fence.
    pub(crate) fn sleep_unless(
        &self,
        armed: impl FnOnce(),
        news: impl FnOnce() -> bool,
        sleep: impl FnOnce(&AtomicU32, u32),
    ) {
        self.0.store(ASLEEP, Ordering::Relaxed);
        armed();
        fence(Ordering::SeqCst);
        if !news() {
            sleep(&self.0, ASLEEP);
        }
        self.0.store(AWAKE, Ordering::Relaxed);
    }

    /// After news has been published: `wake` is called when somebody may be asleep.
    #[inline]
    pub(crate) fn rouse(&self, wake: impl FnOnce(&AtomicU32)) {
        fence(Ordering::SeqCst);
        self.look(wake);
    }

    /// The same without a fence: the sleeper has one on this processor, too, when it arms.
    #[inline]
    pub(crate) fn rouse_fenced(&self, wake: impl FnOnce(&AtomicU32)) {
        compiler_fence(Ordering::SeqCst);
        self.look(wake);
    }

    #[inline]
    fn look(&self, wake: impl FnOnce(&AtomicU32)) {
        if self.0.load(Ordering::Relaxed) == ASLEEP
            && self.0.swap(AWAKE, Ordering::Relaxed) == ASLEEP
        {
            wake(&self.0);
        }
    }
}

#[cfg(not(loom))]
pub(crate) use system::{wait, wake};

#[cfg(not(loom))]
mod system {
    use crate::sync::AtomicU32;
    use nix::libc;
    use std::ptr;
    use std::time::Duration;

    /// Sleeps while the word has this value, at most so long.
    pub(crate) fn wait(word: &AtomicU32, value: u32, at_most: Duration) {
        let at_most = libc::timespec {
            tv_sec: at_most.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        // SAFETY: the word is mapped for as long as it is borrowed, the time is one. Every outcome (woken, another
        // value, interrupted, too late) means the same to the caller: look again.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                word.as_ptr(),
                libc::FUTEX_WAIT,
                value,
                &raw const at_most,
            );
        }
    }

    /// Wakes who sleeps on the word, in whatever process.
    pub(crate) fn wake(word: &AtomicU32) {
        // SAFETY: the word is mapped for as long as it is borrowed; waking nobody is no error.
        unsafe {
            libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1, ptr::null::<u8>());
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(all(test, loom))]
pub(crate) mod models;
