//! A lock that leans towards the thread that takes it again and again: to that one it costs two stores.
//!
//! An atomic step that reads and writes waits until all earlier stores are out, and after a frame that is as long as it
//! takes to get the frame's cache lines from the receiver. (So does a load of what was just stored in smaller parts.)
//! So the thread that the lock leans towards only says that it is inside, and looks whether the lock still leans. Whoever
//! else wants it takes the mutex, ends the leaning, has all processors pass a fence (see `barrier`), and waits until that
//! thread is not inside.
//!
//! It leans towards one thread in its life, the first that took it often enough in a row: a thread that has seen that the
//! lock leans may say at any later time that it is inside, for a moment, before it sees that this is over.

use crate::bias::Bias;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::{barrier, bell};
use std::cell::{Cell, UnsafeCell};
use std::hint::spin_loop;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::thread;
use std::time::Duration;

/// After so many times in a row the lock leans. A fence for each so many turns is little.
const ENOUGH: u32 = 64;

/// The mutex: a word on which whoever waits sleeps.
#[derive(Debug, Default)]
struct Slow(AtomicU32);

impl Slow {
    const FREE: u32 = 0;
    const TAKEN: u32 = 1;
    const WANTED: u32 = 2;

    fn try_lock(&self) -> bool {
        let taken =
            self.0.compare_exchange(Self::FREE, Self::TAKEN, Ordering::Acquire, Ordering::Relaxed);
        taken.is_ok()
    }

    fn lock(&self) {
        if self.try_lock() {
            return;
        }
        while self.0.swap(Self::WANTED, Ordering::Acquire) != Self::FREE {
            bell::wait(&self.0, Self::WANTED, Duration::from_secs(1));
        }
    }

    fn unlock(&self) {
        if self.0.swap(Self::FREE, Ordering::Release) == Self::WANTED {
            bell::wake(&self.0);
        }
    }
}

/// See the module. As with a mutex, a panic inside leaves what it leaves; it does not poison.
pub struct Biased<T> {
    bias: Bias,
    slow: Slow,
    leans: bool,
    /// Who has the lock took the mutex. This and what follows is written by who has it.
    slowly: AtomicBool,
    /// Which thread took the mutex last, and how often in a row.
    last: AtomicU64,
    times: AtomicU32,
    /// Towards whom the lock ever leans.
    chosen: AtomicU64,
    value: UnsafeCell<T>,
}

// SAFETY: one thread at a time gets at the value, with fences in between; as a mutex.
unsafe impl<T: Send> Sync for Biased<T> {}

/// The number of this thread.
fn me() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static MINE: Cell<u64> = const { Cell::new(0) };
    }
    MINE.with(|mine| {
        if mine.get() == 0 {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        mine.get()
    })
}

impl<T> Biased<T> {
    /// A lock that leans towards nobody yet; where the kernel has no fence for it, it never does.
    pub fn new(value: T) -> Self {
        Self {
            bias: Bias::new(),
            slow: Slow::default(),
            leans: barrier::register_threads(),
            slowly: AtomicBool::new(false),
            last: AtomicU64::new(0),
            times: AtomicU32::new(0),
            chosen: AtomicU64::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Waits until nobody else has it.
    ///
    /// # Panics
    /// This thread may be found to have it already.
    #[inline]
    pub fn lock(&self) -> BiasedGuard<'_, T> {
        let me = me();
        if !self.bias.enter(me) {
            self.lock_slowly(me);
        }
        BiasedGuard::new(self)
    }

    /// If nobody else has it.
    ///
    /// # Panics
    /// As [`Self::lock`].
    #[inline]
    pub fn try_lock(&self) -> Option<BiasedGuard<'_, T>> {
        let me = me();
        (self.bias.enter(me) || self.try_lock_slowly(me)).then(|| BiasedGuard::new(self))
    }

    #[cold]
    fn lock_slowly(&self, me: u64) {
        self.slow.lock();
        if self.bias.end(me, barrier::on_all_threads).is_some() {
            for look in 0u32.. {
                if !self.bias.is_inside() {
                    break;
                }
                match look {
                    0..100 => spin_loop(),
                    // It may need this processor,
                    100..1000 => thread::yield_now(),
                    // and be less urgent.
                    _ => thread::sleep(Duration::from_micros(50)),
                }
            }
        }
        self.count_turn(me);
    }

    #[cold]
    fn try_lock_slowly(&self, me: u64) -> bool {
        if !self.slow.try_lock() {
            return false;
        }
        if let Some(thread) = self.bias.end(me, barrier::on_all_threads)
            && self.bias.is_inside()
        {
            self.bias.lean(thread);
            self.slow.unlock();
            return false;
        }
        self.count_turn(me);
        true
    }

    fn count_turn(&self, me: u64) {
        self.slowly.store(true, Ordering::Relaxed);
        let again = self.last.swap(me, Ordering::Relaxed) == me;
        let times = if again { self.times.load(Ordering::Relaxed).saturating_add(1) } else { 1 };
        self.times.store(times, Ordering::Relaxed);
    }

    #[cold]
    fn unlock_slowly(&self) {
        let (last, chosen) =
            (self.last.load(Ordering::Relaxed), self.chosen.load(Ordering::Relaxed));
        let enough = self.times.load(Ordering::Relaxed) >= ENOUGH;
        if self.leans && enough && (chosen == 0 || chosen == last) {
            self.chosen.store(last, Ordering::Relaxed);
            self.bias.lean(last);
        }
        self.slowly.store(false, Ordering::Relaxed);
        self.slow.unlock();
    }
}

impl<T> std::fmt::Debug for Biased<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Biased").finish_non_exhaustive()
    }
}

/// The lock is held until this is dropped, by the thread that took it. A single word, so that it stays in a register: see
/// [`Biased`] for what waits behind a frame's stores.
#[derive(Debug)]
pub struct BiasedGuard<'a, T> {
    lock: &'a Biased<T>,
    stays: PhantomData<*const ()>,
}

// SAFETY: it is a reference to the value, and to what any thread may look at.
unsafe impl<T: Sync> Sync for BiasedGuard<'_, T> {}

impl<'a, T> BiasedGuard<'a, T> {
    #[inline]
    const fn new(lock: &'a Biased<T>) -> Self {
        Self { lock, stays: PhantomData }
    }
}

impl<T> Drop for BiasedGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.lock.slowly.load(Ordering::Relaxed) {
            self.lock.unlock_slowly();
        } else {
            self.lock.bias.leave();
        }
    }
}

impl<T> Deref for BiasedGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread alone has the lock, and lends it as long.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for BiasedGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { &mut *self.lock.value.get() }
    }
}

#[cfg(test)]
mod tests;
