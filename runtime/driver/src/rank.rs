//! What code on a rank's stack may ask of the runtime. Crate `runtime` makes the API of it that
//! programs see.

use crate::context::{Answer, Request, leave};
use crate::slot;
use bytemuck::Pod;
use core::marker::PhantomData;
use core::ops::Range;
use runtime_core::id::PageNo;
use runtime_core::mem::Access;
use runtime_core::node::{Call, CallError, Distribution};

/// A request as it stands on the rank's stack while the host reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    Call(Call),
    Fault { page: PageNo, access: Access },
    Print(&'static str),
    Iteration(u64),
    Report { bytes: &'static [u8], text: &'static str },
}

impl Form {
    /// # Safety
    /// `address` is that of a form in the private state of a rank that stands still.
    pub(crate) unsafe fn read(address: usize) -> Request {
        // SAFETY: as the caller promises; what it points at is private state or static as well.
        match unsafe { *core::ptr::with_exposed_provenance::<Self>(address) } {
            Self::Call(call) => Request::Call(call),
            Self::Fault { page, access } => Request::Fault { page, access },
            Self::Print(text) => Request::Print(text.into()),
            Self::Iteration(number) => Request::Iteration(number),
            Self::Report { bytes, text } => {
                Request::Report { bytes: bytes.into(), text: text.into() }
            }
        }
    }
}

/// Makes a call and waits for it.
///
/// # Errors
/// As the call says.
///
/// # Panics
/// When the caller is not a rank.
pub fn call(call: Call) -> Answer {
    leave(&Form::Call(call))
}

/// Prints a line.
pub fn print(text: &str) {
    // SAFETY: the form is read, and forgotten, before `leave` returns.
    let text = unsafe { core::mem::transmute::<&str, &'static str>(text) };
    let _ = leave(&Form::Print(text));
}

/// Says how far the program is.
pub fn iteration(number: u64) {
    let _ = leave(&Form::Iteration(number));
}

/// Hands in a result. One in shared memory is copied first, for the host must not fault.
pub fn report(bytes: &[u8], text: &str) {
    if let Some(slot) = slot::current()
        && !bytes.is_empty()
        && slot.shared_offset(bytes.as_ptr().addr()).is_some()
    {
        let copy = bytes.to_vec();
        return report(&copy, text);
    }
    // SAFETY: as in `print`.
    let (bytes, text) = unsafe {
        (
            core::mem::transmute::<&[u8], &'static [u8]>(bytes),
            core::mem::transmute::<&str, &'static str>(text),
        )
    };
    let _ = leave(&Form::Report { bytes, text });
}

/// An array in the shared segment, as one rank sees it. The only one with this memory in this rank.
///
/// Another rank's writes come in behind the back of a slice: a program without data races does not
/// see it, for a page changes only where the rank neither reads nor writes between two synchronisations.
#[derive(Debug)]
pub struct Array<T> {
    start: usize,
    len: usize,
    kind: PhantomData<T>,
}

impl<T: Pod> Array<T> {
    /// Allocates a zeroed array together with all other ranks.
    ///
    /// # Errors
    /// When there is no room, or the ranks disagree.
    ///
    /// # Panics
    /// When the caller is not a rank.
    pub fn alloc(len: usize, distribution: Distribution) -> Result<Self, CallError> {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() > 0) };
        let bytes = len.checked_mul(size_of::<T>()).ok_or(CallError::NoMemory)?;
        let offset = call(Call::Alloc { bytes: bytes as u64, distribution })?;
        let slot = slot::current().ok_or(CallError::BadArgument)?;
        let base = slot.base() + crate::layout::SHARED_OFFSET;
        let start = usize::try_from(offset).ok().and_then(|o| base.checked_add(o));
        let inside = |start: usize| {
            let last = start.checked_add(bytes)?.checked_sub(1)?;
            slot.shared_offset(start).and(slot.shared_offset(last))
        };
        match start {
            Some(start) if start % align_of::<T>() == 0 && inside(start).is_some() => {
                Ok(Self { start, len, kind: PhantomData })
            }
            _ => Err(CallError::NoMemory),
        }
    }

    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Has it none? Never, for an allocation of nothing is refused.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn check(&self, range: &Range<usize>) -> usize {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} is not within the {} elements of the array",
            self.len
        );
        self.start + range.start * size_of::<T>()
    }

    /// Elements to read.
    ///
    /// # Panics
    /// When the range leaves the array.
    #[must_use]
    pub fn read(&self, range: Range<usize>) -> &[T] {
        let at = core::ptr::with_exposed_provenance(self.check(&range));
        // SAFETY: within the array, aligned, any bytes are a `T`; a fault brings the page. `self` is
        // borrowed, so there is no `write` slice of this array.
        unsafe { core::slice::from_raw_parts(at, range.len()) }
    }

    /// Elements to read and write.
    ///
    /// # Panics
    /// When the range leaves the array.
    #[must_use]
    pub fn write(&mut self, range: Range<usize>) -> &mut [T] {
        let at = core::ptr::with_exposed_provenance_mut(self.check(&range));
        // SAFETY: as in `read`, and the only slice of this array.
        unsafe { core::slice::from_raw_parts_mut(at, range.len()) }
    }
}
