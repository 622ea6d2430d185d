//! What a simulated node is made of, but for its protocols: memory, and a rank that uses it.

use runtime_core::id::{PageNo, Rank};
use runtime_core::mem::{Access, PageMem};
use runtime_core::node::{Call, CallError};

/// Why the rank goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It begins.
    Begin,
    /// It comes out of a checkpoint again.
    Restored(u64),
    /// Its fault is resolved.
    Wake,
    /// Its call is done.
    Complete(Result<u64, CallError>),
    /// What it printed or reported was taken.
    Taken,
}

/// What the rank wants when it stands still again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A call of the node.
    Call(Call),
    /// A page.
    Fault(PageNo, Access),
    /// A line to be printed; goes on at once.
    Print(String),
    /// How far the program is; goes on at once.
    Iteration(u64),
    /// A result and a line about it; goes on at once.
    Report(Vec<u8>, String),
    /// The program found something wrong. A failure of the run.
    Fail(String),
}

/// Memory and rank of one node.
pub trait Machine {
    /// The memory.
    fn mem(&mut self) -> &mut dyn PageMem;
    /// A rank begins here, or will go on from what was restored into the memory.
    fn start(&mut self, rank: Rank, ranks: u16, restored: bool);
    /// Lets the rank run until it wants something.
    fn resume(&mut self, answer: Answer) -> Request;
    /// Forgets the rank, wherever it stands.
    fn stop(&mut self);
}
