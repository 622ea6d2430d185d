//! The harness: boots a cluster from a topology file, switches its network, injects its faults,
//! judges its results, and reports.
//!
//! ```text
//! verb ──proto──▶ daemon ──▶ dispatcher ──▶ backend (qemu, process, sim)
//! (cli, client)   (shell)    (decides)      switch  (qemu's network)
//! ```
//!
//! The daemon owns everything of one cluster; verbs come and go. The dispatcher decides and does
//! nothing; the daemon does and decides nothing.

#![forbid(unsafe_code)]

mod backend;
mod bench;
mod cc;
pub mod cli;
mod client;
mod daemon;
mod dispatcher;
mod graph;
mod manifest;
mod paths;
mod plan;
mod progress;
mod proto;
mod result;
mod runner;
mod sim;
mod switch;
mod table;
