//! What C hands in: each is NULL, or good for what the header says of it, for as long as the header says.
//! These can only come from C, as arguments of exported functions; that promise is all they are made of.

use mcapi::{Loan, Status};

/// A variable to be written.
#[repr(transparent)]
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

impl<T> Clone for Out<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Out<T> {}

// SAFETY: whoever gives a request's variables to the library lets any thread that ends the request write them.
unsafe impl<T: Send> Send for Out<T> {}

impl<T> Out<T> {
    pub(crate) const fn is_null(self) -> bool {
        self.0.is_null()
    }

    pub(crate) const fn some(self) -> Result<Self, Status> {
        if self.is_null() { Err(Status::Parameter) } else { Ok(self) }
    }

    /// Writes it, if it is there.
    pub(crate) fn set(self, value: T) {
        if !self.is_null() {
            // SAFETY: not NULL, so C promises a variable of this type.
            unsafe { self.0.write_unaligned(value) };
        }
    }
}

impl<T: Copy> Out<T> {
    /// What stands there: for variables that go both ways.
    pub(crate) fn get(self) -> Result<T, Status> {
        self.some()?;
        // SAFETY: not NULL, so C promises a variable of this type with a value.
        Ok(unsafe { self.0.read_unaligned() })
    }
}

/// An array of variables to be read.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Array<T>(*const T);

impl<T: Copy> Array<T> {
    /// The element at `at`, which must be below the length that C gave.
    pub(crate) fn get(self, at: usize) -> Result<T, Status> {
        if self.0.is_null() {
            return Err(Status::Parameter);
        }
        // SAFETY: not NULL, so C promises as many elements as it said, and `at` is one of them.
        Ok(unsafe { self.0.add(at).read_unaligned() })
    }
}

/// Bytes to be read, of a length that comes with them.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(*const u8);

impl Bytes {
    /// A copy of the bytes, which may be none of NULL.
    pub(crate) fn copy(self, len: usize) -> Result<Vec<u8>, Status> {
        self.with(len, <[u8]>::to_vec)
    }

    /// Lends the bytes, which may be none of NULL.
    pub(crate) fn with<R>(self, len: usize, read: impl FnOnce(&[u8]) -> R) -> Result<R, Status> {
        if len == 0 {
            return Ok(read(&[]));
        }
        if self.0.is_null() || len > isize::MAX.unsigned_abs() {
            return Err(Status::Parameter);
        }
        // SAFETY: not NULL, so C promises so many bytes, which nobody writes during the call.
        Ok(read(unsafe { std::slice::from_raw_parts(self.0, len) }))
    }
}

/// A place for bytes, of a length that comes with it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room(*mut u8);

// SAFETY: as for `Out`.
unsafe impl Send for Room {}

impl Room {
    pub(crate) const NULL: Self = Self(std::ptr::null_mut());

    pub(crate) const fn check(self, len: usize) -> Result<Self, Status> {
        if self.0.is_null() && len > 0 { Err(Status::Parameter) } else { Ok(self) }
    }

    pub(crate) const fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Writes as much of the bytes as there is room for.
    pub(crate) fn fill(self, len: usize, bytes: &[u8]) -> usize {
        let n = if self.0.is_null() { 0 } else { bytes.len().min(len) };
        if n > 0 {
            // SAFETY: not NULL, so C promises `len` bytes of room, and these are no more; they are not ours, so
            // they do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.0, n) };
        }
        n
    }

    pub(crate) fn address(self) -> usize {
        self.0.addr()
    }

    /// What a program gets to see of what a transport lends.
    pub(crate) fn lent(loan: &Loan) -> Self {
        Self(loan.pointer())
    }

    /// What a program gets to see of a buffer of ours.
    pub(crate) const fn of(buffer: &mut Vec<u8>) -> Self {
        Self(buffer.as_mut_ptr())
    }
}
