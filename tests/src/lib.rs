//! What the whole-system tests share: a bench on which the real programs run, topologies made in
//! words, and what came out of a run.
//!
//! These tests see what a user sees: exit codes, text, `result.json` and `events.jsonl`. They never
//! look inside. Nothing here waits by sleeping: a verb ends, or its deadline fails the test.

mod bench;
mod browser;
mod cluster;
mod outcome;

pub use bench::{
    Backend, Bench, Child, Said, aarch64_program, bare_metal_program, node_program, understudy,
    workspace,
};
pub use browser::Browser;
pub use cluster::{CONFORMANCE, Cluster, Images, LAPLACE, LITMUS, RECURSION};
pub use outcome::Outcome;
