//! A rank, and the memory that it shares.

use crate::Args;
use alloc::string::ToString;
use bytemuck::Pod;
use core::fmt;
use core::marker::PhantomData;
use core::ops::Range;
use runtime_core::id::LockId;
use runtime_core::node::{Call, CallError, Distribution};
use runtime_driver::context::{Program as Image, Start};
use runtime_driver::rank::{self as host, Array};

/// What every rank of a run executes.
pub type Program = fn(&mut Rank, &Args);

/// A program with its arguments in the form that a driver runs.
#[must_use]
pub fn image(program: Program, args: &Args) -> Image {
    Image::new(enter, program, args.to_text())
}

/// First thing on a rank's stack: its arguments go to its own heap.
fn enter(program: Program, start: &Start<'_>) {
    let mut rank = Rank { rank: start.rank.0, ranks: start.ranks, here: PhantomData };
    match Args::parse(start.args) {
        Ok(args) => program(&mut rank, &args),
        Err(error) => rank.print(format_args!("{error}")),
    }
}

/// This part of the program: the way to all others.
///
/// Calls that are named collective must be made by all ranks, in the same order, with the same
/// arguments.
#[derive(Debug)]
pub struct Rank {
    rank: u16,
    ranks: u16,
    /// A rank is one thread of control.
    here: PhantomData<*mut ()>,
}

impl Rank {
    /// Its number, from 0.
    #[must_use]
    pub const fn rank(&self) -> u16 {
        self.rank
    }

    /// How many there are.
    #[must_use]
    pub const fn ranks(&self) -> u16 {
        self.ranks
    }

    /// Collective: shared memory for `len` elements, zeroed, for the rest of the run.
    ///
    /// # Errors
    /// When there is no room, or `len` is 0, or the ranks disagree.
    pub fn alloc<T: Pod>(
        &mut self,
        len: usize,
        distribution: Distribution,
    ) -> Result<Shared<T>, CallError> {
        Ok(Shared(Array::alloc(len, distribution)?))
    }

    /// Collective: returns when all ranks have called it; all writes before are seen by all after.
    ///
    /// # Panics
    /// When the runtime refuses the call, which is a fault of the program.
    pub fn barrier(&mut self) {
        must("barrier", Call::Barrier);
    }

    /// Waits until no other rank holds the lock, and holds it.
    ///
    /// # Panics
    /// When this rank holds it already, or the number is over the limit.
    pub fn lock(&mut self, lock: u32) {
        must("lock", Call::Lock(LockId(lock)));
    }

    /// Gives the lock to the next one.
    ///
    /// # Panics
    /// When this rank does not hold it.
    pub fn unlock(&mut self, lock: u32) {
        must("unlock", Call::Unlock(LockId(lock)));
    }

    /// Collective: a barrier, and soon a point that the run does not fall back behind any more. The rank
    /// goes on at once; what its memory was is saved meanwhile, and then committed. When a node dies later,
    /// every rank returns once more from the last checkpoint that was committed, with everything as it was:
    /// that may still be the one before this. The next checkpoint waits until this one is committed, and so
    /// does the end of the run. Returns the number of the epoch, the same each time.
    ///
    /// Until then the first write to a page of the heap costs a fault. The heap is therefore no place for what an
    /// operating system writes by itself.
    ///
    /// # Panics
    /// When a rank holds a lock.
    pub fn checkpoint(&mut self) -> u64 {
        must("checkpoint", Call::Checkpoint)
    }

    /// Hands in this rank's result and a line about it. After a fall-back it is handed in again; the
    /// last one counts.
    pub fn report(&mut self, bytes: &[u8], text: fmt::Arguments<'_>) {
        host::report(bytes, &text.to_string());
    }

    /// Says that the program is at its `number`-th iteration, whatever it calls so: a topology may have a fault
    /// wait for it. Costs about as much as a call that does nothing. After a fall-back it is said again.
    pub fn iteration(&mut self, number: u64) {
        host::iteration(number);
    }

    /// Prints a line. After a fall-back it may be printed again.
    pub fn print(&mut self, text: fmt::Arguments<'_>) {
        host::print(&text.to_string());
    }
}

fn must(name: &str, call: Call) -> u64 {
    match host::call(call) {
        Ok(value) => value,
        Err(error) => panic!("{name}: {error}"),
    }
}

/// An array in shared memory. Every rank has its own handle to it; see the crate about what ranks see
/// of each other's writes.
///
/// A slice borrows the rank, so none outlives the next synchronisation; several arrays can be read and
/// written at the same time:
///
/// ```
/// # use runtime::{Rank, Shared};
/// fn relax(rank: &Rank, from: &Shared<f64>, to: &mut Shared<f64>, n: usize) {
///     let (from, to) = (from.read(rank, 0..n), to.write(rank, 1..n - 1));
///     for (i, x) in to.iter_mut().enumerate() {
///         *x = 0.5 * (from[i] + from[i + 2]);
///     }
/// }
/// ```
///
/// ```compile_fail
/// # use runtime::{Rank, Shared};
/// fn stale(rank: &mut Rank, array: &Shared<f64>) -> f64 {
///     let slice = array.read(rank, 0..1);
///     rank.barrier();
///     slice[0]
/// }
/// ```
#[derive(Debug)]
pub struct Shared<T>(Array<T>);

impl<T: Pod> Shared<T> {
    /// Number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Has it none? Never, for an allocation of nothing is refused.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One element.
    ///
    /// # Panics
    /// When there is no such element.
    #[must_use]
    pub fn get(&self, rank: &Rank, index: usize) -> T {
        self.read(rank, index..index + 1)[0]
    }

    /// Writes one element.
    ///
    /// # Panics
    /// When there is no such element.
    pub fn set(&mut self, rank: &Rank, index: usize, value: T) {
        self.write(rank, index..index + 1)[0] = value;
    }

    /// Elements to read until the next synchronisation. Pages come as they are touched.
    ///
    /// # Panics
    /// When the range leaves the array.
    #[must_use]
    pub fn read<'a>(&'a self, _rank: &'a Rank, range: Range<usize>) -> &'a [T] {
        self.0.read(range)
    }

    /// Elements to read and write until the next synchronisation. Only elements that are stored to
    /// count as written, however long the slice is.
    ///
    /// # Panics
    /// When the range leaves the array.
    #[must_use]
    pub fn write<'a>(&'a mut self, _rank: &'a Rank, range: Range<usize>) -> &'a mut [T] {
        self.0.write(range)
    }
}
