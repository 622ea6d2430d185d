//! The rank of this node: what it waits for, and letting it run.

use crate::memory::BareMem;
use crate::trap::{self, Cause, Name};
use runtime_core::id::Rank;
use runtime_driver::context::{Answer, Context, ContextError, Left, Program, Request};
use runtime_driver::slot::{self, Slot};

/// How the rank stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// There is none.
    Empty,
    /// It can go on with this answer.
    Answered(Answer),
    /// It can go on where a trap left it.
    Interrupted,
    /// It called and waits.
    Calls,
    /// It waits for a page.
    Faults,
}

/// Why a rank does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComputeError {
    /// It cannot be made to run.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// It did what the processor does not allow.
    #[error("{name} in the rank's program at instruction {instruction:#x}: a fault of the program")]
    Trap {
        /// What.
        name: Name,
        /// Where in the image.
        instruction: usize,
    },
}

/// The rank of this node.
#[derive(Debug)]
pub struct Compute {
    context: Context,
    slot: &'static Slot,
    state: State,
}

impl Compute {
    /// No rank yet, in this memory.
    #[must_use]
    pub fn new(memory: &BareMem) -> Self {
        let layout = *memory.layout();
        let context = Context::new(layout, memory.saved());
        Self { context, slot: slot::get(layout.slot()), state: State::Empty }
    }

    /// A rank at its beginning.
    ///
    /// # Errors
    /// When the arguments do not fit.
    pub fn start(&mut self, program: &Program, rank: Rank, ranks: u16) -> Result<(), ComputeError> {
        self.context.start(program, rank, ranks)?;
        self.state = State::Answered(Ok(0));
        Ok(())
    }

    /// A rank that was restored: its call is answered with a value.
    pub fn restore(&mut self, value: u64) {
        self.state = State::Answered(Ok(value));
    }

    /// Answers the rank's request: it can go on.
    pub fn answer(&mut self, answer: Answer) {
        self.state = match self.state {
            State::Calls => State::Answered(answer),
            State::Faults => State::Interrupted,
            // A rank that was stopped meanwhile has nothing to wait for.
            other => other,
        };
    }

    /// Forgets the rank, wherever it is.
    pub fn stop(&mut self) {
        self.context.forget();
        self.state = State::Empty;
    }

    /// Can it go on?
    #[must_use]
    pub const fn can_run(&self) -> bool {
        matches!(self.state, State::Answered(_) | State::Interrupted)
    }

    /// Lets it run until it asks for something, or an interrupt comes (`None`).
    ///
    /// # Errors
    /// When it cannot run, or did what it must not.
    pub fn run(&mut self) -> Result<Option<Request>, ComputeError> {
        let left = match self.state {
            State::Answered(answer) => self.context.enter(answer)?,
            State::Interrupted => {
                // SAFETY: the rank was left at a trap, and nothing of it was changed since but pages
                // that it may not touch; the word is what the switch to it has returned.
                unsafe {
                    let word = trap::resume(&raw const self.slot.registers);
                    self.context.left(word)
                }
            }
            State::Empty | State::Calls | State::Faults => return Ok(None),
        };
        let request = match left {
            Left::Request(request) => {
                self.state = State::Calls;
                return Ok(Some(request));
            }
            Left::GivenUp => Request::Abandoned,
            Left::Trapped => match trap::cause() {
                Cause::Interrupt => {
                    self.state = State::Interrupted;
                    return Ok(None);
                }
                Cause::Fault { page, access } => {
                    self.state = State::Faults;
                    return Ok(Some(Request::Fault { page, access }));
                }
                Cause::Overflow => Request::Overflow,
                Cause::Crash { vector: trap::PAGE_FAULT, address, instruction } => {
                    Request::Crash { address, instruction }
                }
                Cause::Crash { vector, instruction, .. } => {
                    self.stop();
                    return Err(ComputeError::Trap { name: Name(vector), instruction });
                }
            },
        };
        self.stop();
        Ok(Some(request))
    }
}
