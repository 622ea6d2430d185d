//! Programs on shared memory, written once for every kind of node.
//!
//! None of them knows of failures: there is no recovery code here, only `checkpoint()`.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod busy;
#[cfg(feature = "conformance")]
mod conformance;
mod fault;
mod laplace;
mod recursion;

use alloc::vec::Vec;
use runtime::{Args, BadArg, Program};

/// A program of this collection.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What topologies call it.
    pub name: &'static str,
    /// What it does, for people.
    pub about: &'static str,
    /// Names of its arguments.
    pub args: &'static [&'static str],
    /// Are these values ones that it can run with?
    pub check: fn(&Args) -> Result<(), BadArg>,
    /// What each rank runs.
    pub program: Program,
    /// Its result by plain sequential code; `None`: that of the program itself on one rank.
    pub reference: Option<fn(&Args) -> Vec<u8>>,
}

/// All of them.
pub const ALL: &[Workload] = &[
    laplace::WORKLOAD,
    recursion::WORKLOAD,
    #[cfg(feature = "conformance")]
    conformance::LITMUS,
    #[cfg(feature = "conformance")]
    conformance::WORKLOAD,
    fault::WORKLOAD,
    busy::WORKLOAD,
];

impl Workload {
    /// Refuses arguments that the program does not know or cannot use.
    ///
    /// # Errors
    /// Says which, and what there is.
    pub fn accept(&self, args: &Args) -> Result<(), BadArg> {
        for (name, _) in args.iter() {
            if !self.args.contains(&name) {
                let known = self.args.join(", ");
                let text = alloc::format!("{} has no argument `{name}`; it has {known}", self.name);
                return Err(BadArg(text));
            }
        }
        (self.check)(args)
    }
}

/// The program of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Workload> {
    ALL.iter().find(|workload| workload.name == name)
}

/// A number that must be in a range.
fn ranged(
    args: &Args,
    name: &str,
    default: usize,
    range: core::ops::RangeInclusive<usize>,
) -> Result<usize, BadArg> {
    let value = args.number(name, default)?;
    if range.contains(&value) {
        return Ok(value);
    }
    let (low, high) = (range.start(), range.end());
    Err(BadArg(alloc::format!("argument {name}: {value} is not from {low} to {high}")))
}
