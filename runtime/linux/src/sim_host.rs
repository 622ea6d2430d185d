//! Memory and context of one node of a simulated cluster: many of them live in one process, and all
//! run on one thread.

use crate::memory::{LinuxMem, MemError};
use crate::signals;
use core::marker::PhantomData;
use runtime_core::id::Rank;
use runtime_driver::context::{Answer, Context, ContextError, Program, Request};
use runtime_driver::layout::{Layout, LayoutError, Sizes};

/// Why a simulated node cannot run its rank.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Sizes or rank out of range.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its memory.
    #[error(transparent)]
    Memory(#[from] MemError),
    /// Its rank.
    #[error(transparent)]
    Context(#[from] ContextError),
}

/// One simulated node. Two of them may host the same rank, when one does not know yet that it was
/// replaced: they take turns at the rank's addresses.
#[derive(Debug)]
pub struct Host {
    memory: LinuxMem,
    context: Context,
    /// Hosts of one rank must stay on one thread.
    thread: PhantomData<*mut ()>,
}

impl Host {
    /// A node without a rank. Its memory takes part in the shared segment already.
    ///
    /// # Errors
    /// When a size is out of range, or the memory cannot be had.
    pub fn new(sizes: Sizes) -> Result<Self, HostError> {
        let memory = LinuxMem::new(Layout::node(sizes)?)?;
        let context = memory.rank();
        Ok(Self { memory, context, thread: PhantomData })
    }

    /// Its memory, for the node.
    pub const fn memory(&mut self) -> &mut LinuxMem {
        &mut self.memory
    }

    /// At whose addresses it is.
    #[must_use]
    pub const fn rank(&self) -> Rank {
        self.memory.layout().rank()
    }

    /// As [`Host::adopt`], but fails when another host is there.
    ///
    /// # Errors
    /// When the rank is out of range, or its addresses are taken.
    pub fn adopt_if_free(&mut self, rank: Rank) -> Result<(), HostError> {
        self.memory.relocate(rank.0)?;
        self.memory.attach(false)?;
        self.context = self.memory.rank();
        Ok(())
    }

    /// Goes to the addresses of a rank, which it is to run from now on.
    ///
    /// # Errors
    /// When the rank is out of range, or its addresses are taken.
    pub fn adopt(&mut self, rank: Rank) -> Result<(), HostError> {
        self.memory.relocate(rank.0)?;
        self.memory.attach(true)?;
        self.context = self.memory.rank();
        Ok(())
    }

    /// Puts a rank at its beginning; the first `resume` runs it. The private state must be zero.
    ///
    /// # Errors
    /// When the arguments do not fit, or as [`Host::adopt`].
    pub fn start(&mut self, program: &Program, rank: Rank, ranks: u16) -> Result<(), HostError> {
        self.start_at(program, rank, rank, ranks)
    }

    /// As [`Host::start`], at the addresses of another rank than it is told to be.
    ///
    /// # Errors
    /// As [`Host::start`].
    pub fn start_at(
        &mut self,
        program: &Program,
        place: Rank,
        rank: Rank,
        ranks: u16,
    ) -> Result<(), HostError> {
        self.adopt(place)?;
        Ok(self.context.start(program, rank, ranks)?)
    }

    /// Runs the rank until it switches out. A restored rank is adopted first; the answer is the value
    /// of its call.
    ///
    /// # Errors
    /// When there is no rank to run, or the kernel refused to protect pages.
    pub fn resume(&mut self, answer: Answer) -> Result<Request, HostError> {
        self.memory.attach(true)?;
        signals::ready()?;
        let request = self.context.resume(answer)?;
        self.memory.check()?;
        Ok(request)
    }

    /// Forgets the rank.
    pub fn stop(&mut self) {
        self.context.forget();
    }
}
