//! A compute context: a rank that runs on its own stack until it needs something.
//!
//! [`Context::resume`] runs it until it switches out with a [`Request`]; the next `resume` brings the
//! answer. While it stands still, its stack, its heap and its stack pointer are all there is of it, so
//! that they can be copied and continued in another process at the same addresses.

use crate::layout::{GUARD_BYTES, Layout};
use crate::rank::Form;
use crate::slot::{self, Slot};
use crate::switch::{self, FRAME_ALIGN, FRAME_WORDS, Words};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use runtime_core::id::{PageNo, Rank};
use runtime_core::mem::Access;
use runtime_core::node::{Call, CallError};

/// What a rank gets back.
pub type Answer = Result<u64, CallError>;

/// What a rank runs: addresses in the image and text, which mean the same on every node.
#[derive(Clone, Debug)]
pub struct Program {
    thunk: Thunk,
    run: usize,
    main: usize,
    args: String,
}

/// Knows the types of the two addresses that it gets.
type Thunk = fn(usize, usize, &Start<'_>);

impl Program {
    /// A program that calls `run` with `main` on the rank's stack; when it returns, the rank has left
    /// the program. `main` must be a function. The arguments are copied to the rank's stack.
    #[must_use]
    pub fn new<M: Copy + 'static>(run: fn(M, &Start<'_>), main: M, args: String) -> Self {
        const { assert!(size_of::<M>() == size_of::<usize>(), "main must be a function pointer") };
        // SAFETY: of the same size, as just checked; only turned back into what it was.
        let address = unsafe { core::mem::transmute_copy::<M, usize>(&main) };
        Self { thunk: call::<M>, run: run as usize, main: address, args }
    }
}

fn call<M: Copy>(run: usize, main: usize, start: &Start<'_>) {
    // SAFETY: `Program::new` made both from just these types.
    let (run, main) = unsafe {
        (
            core::mem::transmute::<usize, fn(M, &Start<'_>)>(run),
            core::mem::transmute_copy::<usize, M>(&main),
        )
    };
    run(main, start);
}

/// What a rank finds at its beginning, on its own stack.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Which rank it is.
    pub rank: Rank,
    /// How many there are.
    pub ranks: u16,
    /// As given to [`Program::new`].
    pub args: &'a str,
}

/// Why a rank switched out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// It calls; [`Call::Exit`] when it has left the program.
    Call(Call),
    /// It touched a shared page that it may not; after the answer, which is ignored, it tries again.
    Fault {
        /// Which page.
        page: PageNo,
        /// What it needs.
        access: Access,
    },
    /// It prints a line.
    Print(String),
    /// It says how far it is.
    Iteration(u64),
    /// It hands in a result.
    Report {
        /// The result.
        bytes: Vec<u8>,
        /// The program's line about it.
        text: String,
    },
    /// It was stopped by signal while it ran. It cannot be resumed.
    Abandoned,
    /// Its stack is full. It cannot be resumed.
    Overflow,
    /// It touched memory that is not its own. It cannot be resumed.
    Crash {
        /// What it touched; 0 when the processor does not say.
        address: usize,
        /// Where in the image.
        instruction: usize,
    },
}

/// What a switch to the host brings in place of a request's address when the rank was abandoned.
pub const GIVEN_UP: usize = 0;
/// The same when a trap interrupted it.
pub const TRAPPED: usize = 1;

/// How a rank was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// It switched out.
    Request(Request),
    /// It was abandoned.
    GivenUp,
    /// A trap interrupted it.
    Trapped,
}

/// Why a rank could not be made to run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// The arguments do not fit.
    #[error(
        "{0} bytes of arguments do not fit the rank's stack: pass fewer, or raise runtime.stack in the topology"
    )]
    Args(usize),
    /// The saved stack pointer does not lie on the stack.
    #[error(
        "a restored rank should continue at {0:#x}, which is not on its stack: its copy is damaged"
    )]
    BadContext(u64),
    /// The thread that runs ranks could not be prepared for it.
    #[error("preparing a thread to run ranks: {0}")]
    Thread(String),
    /// The memory is not attached.
    #[error("the rank's memory is not mapped at its addresses")]
    Detached,
}

/// A rank of this process.
#[derive(Debug)]
pub struct Context {
    layout: Layout,
    slot: &'static Slot,
    /// Where it continues; the memory reads and writes it too.
    saved: Arc<AtomicUsize>,
}

impl Context {
    /// The context of a memory with this layout. `saved` is the stopped rank's stack pointer, which the
    /// memory reads and writes too.
    #[must_use]
    pub fn new(layout: Layout, saved: Arc<AtomicUsize>) -> Self {
        Self { layout, slot: slot::get(layout.slot()), saved }
    }

    /// Prepares the first stack frame. The private state must be zero, and the memory attached.
    ///
    /// # Errors
    /// When the arguments do not fit.
    pub fn start(&mut self, program: &Program, rank: Rank, ranks: u16) -> Result<(), ContextError> {
        let too_long = ContextError::Args(program.args.len());
        self.attached()?;
        if program.args.len() > self.layout.stack_bytes / 4 {
            return Err(too_long);
        }
        let top = self.layout.stack_top();
        let text = (top - program.args.len()) & !63;
        let first = (text - size_of::<First>()) & !63;
        let frame = first - FRAME_WORDS * 8;
        let (thunk, run, main) = (program.thunk, program.run, program.main);
        let content = First { thunk, run, main, rank, ranks, text, bytes: program.args.len() };
        let words = switch::first_frame(first);
        let at = core::ptr::with_exposed_provenance_mut::<u8>;
        // SAFETY: all three lie on the rank's stack, which is mapped and in nobody's use, do not
        // overlap, and are aligned.
        unsafe {
            at(text).copy_from_nonoverlapping(program.args.as_ptr(), program.args.len());
            at(first).cast::<First>().write(content);
            at(frame).cast::<[u64; FRAME_WORDS]>().write(words);
        }
        self.saved.store(frame, SeqCst);
        Ok(())
    }

    fn attached(&self) -> Result<(), ContextError> {
        let mapped = self.slot.stack_top.load(SeqCst) == self.layout.stack_top();
        if mapped { Ok(()) } else { Err(ContextError::Detached) }
    }

    /// Can it be resumed?
    ///
    /// # Errors
    /// When the saved stack pointer, which may have come from another node, is none.
    pub fn check(&self) -> Result<(), ContextError> {
        self.attached()?;
        let saved = self.saved.load(SeqCst);
        let room = self.layout.stack_base..=self.layout.stack_top() - FRAME_WORDS * 8;
        if room.contains(&saved) && saved.is_multiple_of(FRAME_ALIGN) {
            Ok(())
        } else {
            Err(ContextError::BadContext(saved as u64))
        }
    }

    /// Lets it run with the answer to its last request until it switches out again. At its beginning
    /// the answer is ignored.
    ///
    /// # Errors
    /// When it cannot run: see [`Context::check`].
    pub fn resume(&mut self, answer: Answer) -> Result<Request, ContextError> {
        Ok(match self.enter(answer)? {
            Left::Request(request) => request,
            Left::GivenUp | Left::Trapped => {
                self.saved.store(0, SeqCst);
                self.given_up()
            }
        })
    }

    /// As [`Context::resume`], for a host that takes traps itself: says how the rank was left.
    ///
    /// # Errors
    /// When it cannot run: see [`Context::check`].
    pub fn enter(&mut self, answer: Answer) -> Result<Left, ContextError> {
        self.check()?;
        let registers = &self.slot.registers;
        registers.rank.store(self.saved.load(SeqCst), SeqCst);
        // SAFETY: the saved stack pointer is that of a rank that stands still: `start` made it or a
        // switch did, here or on the node that the private state comes from.
        let request = unsafe { switch::enter(registers, encode(answer)) };
        // SAFETY: just returned from there.
        Ok(unsafe { self.left(request) })
    }

    /// How a rank was left, from what [`switch::enter`] returned. A trapped one was interrupted: its
    /// registers are where the trap put them.
    ///
    /// # Safety
    /// `word` is what the switch to this rank has just returned.
    pub unsafe fn left(&mut self, word: usize) -> Left {
        match word {
            GIVEN_UP => Left::GivenUp,
            TRAPPED => Left::Trapped,
            form => {
                self.saved.store(self.slot.registers.rank.load(SeqCst), SeqCst);
                // SAFETY: `leave` was called with the address of a form on the stack that now
                // stands still.
                Left::Request(unsafe { Form::read(form) })
            }
        }
    }

    /// Forgets the rank; it stands still.
    pub fn forget(&mut self) {
        self.saved.store(0, SeqCst);
    }

    /// Tells the signal handler whether the rank is to be stopped.
    pub fn stopping(&self, wanted: bool) {
        self.slot.stopping.store(wanted, SeqCst);
    }

    fn given_up(&self) -> Request {
        let address = self.slot.crash_address.swap(0, SeqCst);
        let instruction = self.slot.crash_instruction.swap(0, SeqCst);
        let guard = self.layout.stack_base - GUARD_BYTES..self.layout.stack_base;
        match instruction {
            0 => Request::Abandoned,
            _ if guard.contains(&address) => Request::Overflow,
            _ => Request::Crash { address, instruction },
        }
    }
}

/// On the rank's stack: what it begins with.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct First {
    thunk: Thunk,
    run: usize,
    main: usize,
    rank: Rank,
    ranks: u16,
    text: usize,
    bytes: usize,
}

/// A rank's first function.
pub(crate) extern "C" fn main(first: &First) -> ! {
    // SAFETY: `Context::start` copied a string of this length there.
    let args = unsafe {
        let bytes = core::slice::from_raw_parts(
            core::ptr::with_exposed_provenance(first.text),
            first.bytes,
        );
        core::str::from_utf8_unchecked(bytes)
    };
    let start = Start { rank: first.rank, ranks: first.ranks, args };
    (first.thunk)(first.run, first.main, &start);
    loop {
        // An exit is never answered.
        let _ = leave(&Form::Call(Call::Exit));
    }
}

/// From a rank to its host, and back with the answer.
///
/// # Panics
/// When the caller is no rank.
pub(crate) fn leave(form: &Form) -> Answer {
    let Some(slot) = slot::current() else {
        panic!("only a rank of a running program may call the runtime");
    };
    // SAFETY: on a rank's stack; the form stays where it is until the answer is there.
    let words = unsafe {
        switch::leave(&raw const slot.registers, core::ptr::from_ref(form).expose_provenance())
    };
    decode(words)
}

/// The way out for the fault trampoline.
pub extern "C" fn leave_with_fault(page: u64, write: u64) {
    let access = if write == 0 { Access::Read } else { Access::Write };
    let page = PageNo(u32::try_from(page).unwrap_or(u32::MAX));
    let _ = leave(&Form::Fault { page, access });
}

const fn encode(answer: Answer) -> Words {
    match answer {
        Ok(value) => Words { tag: 0, value },
        Err(CallError::NoMemory) => Words { tag: 1, value: 0 },
        Err(CallError::BadArgument) => Words { tag: 2, value: 0 },
        Err(CallError::LockState) => Words { tag: 3, value: 0 },
    }
}

const fn decode(words: Words) -> Answer {
    match words.tag {
        0 => Ok(words.value),
        1 => Err(CallError::NoMemory),
        2 => Err(CallError::BadArgument),
        _ => Err(CallError::LockState),
    }
}
