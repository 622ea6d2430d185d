//! A cluster in the hands of a program: what the crate's users see.
//!
//! The daemon is a thread here, and its callers speak to it without a socket. All that is said is what verbs say, and
//! all that is waited for is judged where verdicts are.

mod build;
mod cluster;
mod error;
mod events;
mod expect;
mod link;
mod node;
mod run;
mod status;

pub use build::Builder;
pub use cluster::Cluster;
pub use error::Error;
pub use events::{Events, Happening, What};
pub use expect::{
    Amount, Expectation, Measure, Seconds, Sighting, State, Takeover, checkpoint, event, in_order,
    line, metric, never, node, takeover,
};
pub use link::{Link, Way};
pub use node::Node;
pub use run::{Check, Death, Run, Verdict};
pub use status::{NodeStatus, PortStatus, Status};
