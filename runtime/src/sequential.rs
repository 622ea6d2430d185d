//! A program as the only rank of its run, in this process, with no node around it: what its result
//! must be.

use crate::{Args, Program, image};
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use runtime_core::id::{LockId, Rank};
use runtime_core::limits::{MAX_LOCKS, MAX_RANKS, PAGE_SIZE};
use runtime_core::mem::{Access, PageMem};
use runtime_core::node::{Call, CallError};
use runtime_driver::context::{Answer, Request};
use runtime_driver::layout::Sizes;
use runtime_linux::memory::MemError;
use runtime_linux::sim_host::{Host, HostError};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Report {
    /// The result that was handed in last.
    pub bytes: Vec<u8>,
    /// The line about it.
    pub text: String,
    /// Lines that were printed.
    pub printed: Vec<String>,
}

/// Why the program did not come to its end.
#[derive(Debug)]
pub struct Failed(String);

impl core::fmt::Display for Failed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Failed {}

/// Runs the program to its end.
///
/// # Errors
/// When it crashes, or its memory cannot be had.
pub fn run(program: Program, args: &Args, sizes: Sizes) -> Result<Report, Failed> {
    let failed = |error: HostError| Failed(error.to_string());
    let mut host = Host::new(sizes).map_err(failed)?;
    adopt_free(&mut host).map_err(failed)?;
    let slot = host.rank();
    host.memory().protect(0..sizes.shared_pages, Access::Write);
    host.start_at(&image(program, args), slot, Rank(0), 1).map_err(failed)?;
    let mut alone =
        Alone { room: u64::from(sizes.shared_pages) * PAGE_SIZE as u64, ..Alone::default() };
    let (mut report, mut answer) = (Report::default(), Ok(0));
    loop {
        answer = match host.resume(answer).map_err(failed)? {
            Request::Call(Call::Exit) => return Ok(report),
            Request::Call(call) => alone.call(call),
            Request::Fault { .. } | Request::Iteration(_) => Ok(0),
            Request::Print(line) => {
                report.printed.push(line);
                Ok(0)
            }
            Request::Report { bytes, text } => {
                (report.bytes, report.text) = (bytes, text);
                Ok(0)
            }
            Request::Overflow => return Err(Failed("the program overflowed its stack".into())),
            end @ (Request::Crash { .. } | Request::Abandoned) => {
                return Err(Failed(alloc::format!("the program crashed: {end:x?}")));
            }
        };
    }
}

/// Takes the addresses of a rank that nobody in this process uses.
fn adopt_free(host: &mut Host) -> Result<(), HostError> {
    let mut last = Ok(());
    for rank in (0..u16::try_from(MAX_RANKS).unwrap_or(u16::MAX)).rev() {
        last = host.adopt_if_free(Rank(rank));
        match &last {
            Err(HostError::Memory(MemError::SlotTaken { .. })) => {}
            _ => return last,
        }
    }
    last
}

/// Answers calls as a cluster of one rank does.
#[derive(Default)]
struct Alone {
    used: u64,
    room: u64,
    epoch: u64,
    held: BTreeSet<LockId>,
}

impl Alone {
    fn call(&mut self, call: Call) -> Answer {
        match call {
            Call::Alloc { bytes: 0, .. } => Err(CallError::BadArgument),
            Call::Alloc { bytes, .. } => {
                let end = self.used.checked_add(bytes).ok_or(CallError::NoMemory)?;
                let end =
                    end.checked_next_multiple_of(PAGE_SIZE as u64).ok_or(CallError::NoMemory)?;
                if end > self.room {
                    return Err(CallError::NoMemory);
                }
                Ok(core::mem::replace(&mut self.used, end))
            }
            Call::Lock(lock) if lock.0 >= MAX_LOCKS => Err(CallError::BadArgument),
            Call::Lock(lock) => self.held.insert(lock).then_some(0).ok_or(CallError::LockState),
            Call::Unlock(lock) => self.held.remove(&lock).then_some(0).ok_or(CallError::LockState),
            Call::Checkpoint if !self.held.is_empty() => Err(CallError::LockState),
            Call::Checkpoint => {
                self.epoch += 1;
                Ok(self.epoch)
            }
            Call::Barrier | Call::Exit => Ok(0),
        }
    }
}
