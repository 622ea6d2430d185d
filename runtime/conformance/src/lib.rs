//! What must hold on every driver, written once: bodies that run in the simulator, in Linux processes
//! and guests, on bare metal, and on a developer's machine.
//!
//! Cases of `link` and `mcapi` need nobody: they drive the core's machines over a network in memory, in
//! virtual time, and so say whether the core does on this target what it does elsewhere. Cases of
//! `sdsm` and `checkpoint` are run by all ranks together, and say whether the driver keeps what the
//! core decides. None of them knows of failures: whoever runs them may kill a node meanwhile.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod checkpoint;
mod cluster;
mod link;
mod mcapi;
mod network;
mod pair;
mod runner;
mod sdsm;

pub use runner::{SHARED_BYTES, WORDS, expected, run, suites};

use alloc::format;
use alloc::string::String;
use core::fmt::Debug;
use runtime::{Rank, Shared};

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// `runtime_core::link`.
    Link,
    /// `runtime_core::mcapi`, over links.
    Mcapi,
    /// Shared memory.
    Sdsm,
    /// What a rank has after a checkpoint.
    Checkpoint,
}

impl Suite {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Link, Self::Mcapi, Self::Sdsm, Self::Checkpoint];

    /// Its name in arguments and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Mcapi => "mcapi",
            Self::Sdsm => "sdsm",
            Self::Checkpoint => "checkpoint",
        }
    }
}

/// What came of a case, and why not.
pub type Outcome = Result<(), String>;

/// How a case runs.
#[derive(Clone, Copy, Debug)]
pub enum Body {
    /// By itself.
    Alone(fn() -> Outcome),
    /// By all ranks, over [`WORDS`] zeroed words. Also when it fails, it goes through all its
    /// synchronisation.
    Ranks(fn(&mut Rank, &mut Shared<u64>) -> Outcome),
}

/// One thing that must hold.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is about.
    pub suite: Suite,
    /// What must hold.
    pub name: &'static str,
    /// Whether it does.
    pub body: Body,
}

/// Every case, suite by suite.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [link::CASES, mcapi::CASES, sdsm::CASES, checkpoint::CASES].into_iter().flatten()
}

/// Does turn `i` belong to this rank?
fn mine(rank: &Rank, i: usize) -> bool {
    i % usize::from(rank.ranks()) == usize::from(rank.rank())
}

fn same<T: PartialEq + Debug>(what: &str, found: T, expected: T) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} is {found:?}, should be {expected:?}"))
}

fn ensure(holds: bool, what: &str) -> Outcome {
    if holds { Ok(()) } else { Err(what.into()) }
}

#[cfg(test)]
mod tests;
