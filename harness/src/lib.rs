//! The harness: boots a cluster from a topology file, switches its network, injects its faults,
//! judges its results, and reports.
//!
//! ```text
//! verb ──proto──▶ daemon ──▶ dispatcher ──▶ backend (qemu, process, sim)
//! (cli, client)   (shell)    (decides)      switch  (qemu's network)
//! test ──library────┘
//! ```
//!
//! The daemon owns everything of one cluster; verbs come and go. The dispatcher decides and does
//! nothing; the daemon does and decides nothing.
//!
//! # In your own tests
//!
//! A program, a test above all, boots a cluster, breaks it and waits for what must come of it. The daemon is a thread
//! of the test, so the command `understudy` is not needed:
//!
//! ```no_run
//! use harness::{Backend, Cluster, Error, Seconds, checkpoint, takeover};
//!
//! // With `#[tokio::test]` above it.
//! async fn the_standby_takes_over() -> Result<(), Error> {
//!     let cluster = Cluster::from_file("failover.yaml").backend(Backend::Process).boot().await?;
//!     let run = cluster.start().await?;
//!     cluster.expect(checkpoint(2)).await?;
//!     cluster.node("n1").kill().await?;
//!     cluster.expect(takeover("n1").by("n3").within(1.s())).await?;
//!     let verdict = run.verdict().await?;
//!     assert!(verdict.pass, "{verdict}");
//!     cluster.down().await
//! }
//! ```
//!
//! Nodes and guests are gone with the [`Cluster`], also when a test panics: dropping it waits for their end. They are
//! gone with the process, too, whatever kills it. Each cluster has a name of its own, so that tests run side by side (but
//! guests need memory and processors: `--test-threads` says how many at once); while one is up, `understudy status`,
//! `console` and the other verbs see it.
//!
//! The nodes' programs must have been built (`make build`): they are looked for in the target directory of the
//! workspace that this crate was built from, unless `UNDERSTUDY_NODE` and `UNDERSTUDY_BAREMETAL` name them. Any
//! executor will do.

#![forbid(unsafe_code)]

mod backend;
mod bench;
mod cc;
pub mod cli;
mod client;
mod daemon;
mod dispatcher;
mod escape;
mod failure;
mod graph;
mod interrupt;
mod library;
mod manifest;
mod paths;
mod plan;
mod progress;
mod proto;
mod report;
mod result;
mod runner;
mod sim;
mod switch;
mod table;

pub use library::{
    Amount, Builder, Check, Cluster, Death, Error, Events, Expectation, Happening, Link, Measure,
    Node, NodeStatus, PortStatus, Run, Seconds, Sighting, State, Status, Takeover, Verdict, Way,
    What, checkpoint, event, in_order, line, metric, never, node, takeover,
};
pub use plan::Backend;
