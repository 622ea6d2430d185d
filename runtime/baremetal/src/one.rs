//! State of a machine with one processor, on which one thing at a time is done.

use core::cell::UnsafeCell;

/// A value that only the host touches: the code on the host's stack, which runs with interrupts
/// off, and the trap handlers while it stands still. There are no threads, so nothing is ever locked; what is left
/// to see to is that one borrow ends before the next begins.
#[derive(Debug)]
pub(crate) struct One<T>(UnsafeCell<T>);

// SAFETY: there is one processor, and a rank's code, which may be interrupted, does not come here.
unsafe impl<T> Sync for One<T> {}

impl<T> One<T> {
    /// Holds a value.
    pub(crate) const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// The value, to work with.
    ///
    /// # Safety
    /// No other borrow of it is in use until this one has ended, not even in a function called meanwhile.
    #[expect(clippy::mut_from_ref, reason = "that is what it is for")]
    pub(crate) unsafe fn borrow(&self) -> &mut T {
        // SAFETY: as the caller promises.
        unsafe { &mut *self.0.get() }
    }

    /// Its address.
    pub(crate) const fn get(&self) -> *mut T {
        self.0.get()
    }
}
