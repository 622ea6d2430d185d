//! A seeded world of core nodes on a virtual clock: no threads, no sockets, no time of its own.
//!
//! [`World`] carries frames between [`runtime_core::node::Node`]s over `netem` and runs a
//! [`Machine`] per node: its memory and the rank on it. [`script`] makes random data-race-free programs
//! whose right outcome is known; [`explore`](mod@explore) runs them while nodes crash. The same seed gives the same
//! trace, byte for byte; a failure names the command that replays it.

#![forbid(unsafe_code)]

pub mod explore;
pub mod machine;
pub mod model;
#[cfg(test)]
mod redundancy;
pub mod rng;
pub mod script;
pub mod world;

pub use explore::{Scenario, Verdict};
pub use machine::{Answer, Machine, Request};
pub use world::{End, World, WorldConfig};
