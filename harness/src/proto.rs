//! What the verbs and the daemon say to each other: JSON, one message a line, over a unix socket.
//!
//! A client sends one [`Request`] at a time and reads [`Response`]s until one that is neither
//! progress nor a note. The client that started the daemon is its *owner*: its connection
//! is the daemon's standard input, and its first request is implied: bring the cluster up.

use crate::result::RunResult;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// The verdict holds, or the verb did what it should.
pub(crate) const EXIT_OK: u8 = 0;
/// The verdict does not hold.
pub(crate) const EXIT_VERDICT: u8 = 1;
/// The file or the call is wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// The testbed failed.
pub(crate) const EXIT_TESTBED: u8 = 3;

/// From a verb to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Run the workload with its faults; answered by a verdict.
    Run,
    /// Run another workload, without faults; answered by a verdict on its result.
    Exec {
        /// Its name.
        workload: String,
        /// Its arguments, by name.
        args: BTreeMap<String, String>,
    },
    /// How the cluster is.
    Status,
    /// Kill a node as hard as possible.
    Kill {
        /// Its name.
        node: String,
    },
    /// Kill a node, if it lives, and start its machine again; answered when it is a standby.
    Reboot {
        /// Its name.
        node: String,
    },
    /// Move a rank to a standby; answered when it is there.
    Migrate {
        /// A rank's number, or the name of its host.
        what: String,
        /// Name of the standby.
        to: String,
    },
    /// Let a link carry nothing, one way or both.
    Cut {
        /// Its name, or that of its node.
        link: String,
        /// `up`, `down`, `a-to-b` or `b-to-a`; both ways if nothing is said.
        one_way: Option<String>,
    },
    /// Let a link be as in the file again; all of them, if none is named.
    Heal {
        /// Its name, or that of its node.
        link: Option<String>,
    },
    /// Change some of what a link does to frames.
    Degrade {
        /// Its name, or that of its node.
        link: String,
        /// As of [`Request::Cut`].
        direction: Option<String>,
        /// As in the file, with `=` for the colon: `delay=10ms`.
        changes: Vec<String>,
    },
    /// Let a machine stand still.
    Pause {
        /// Its node.
        node: String,
    },
    /// Let it go on.
    Resume {
        /// Its node.
        node: String,
    },
    /// Record the frames of a link, or of all, or stop it.
    Pcap {
        /// Record.
        on: bool,
        /// Its name, or that of its node; all if none is named.
        link: Option<String>,
    },
    /// Answered as soon as it is so in the run under way, or cannot be any more.
    Expect {
        /// What.
        what: Awaited,
    },
    /// Take everything down.
    Down,
}

/// Something that a caller waits for. Times are those of the file, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Awaited {
    /// The rank of a node is taken over.
    Takeover {
        /// Whose.
        of: String,
        /// By whom; `None`: whoever.
        by: Option<String>,
        /// At most so long after the death.
        within_us: Option<u64>,
    },
    /// Something shows after the last thing that was done to the cluster, or the start of the run.
    Seen {
        /// What.
        shown: Shown,
        /// On this node; `None`: on any.
        on: Option<String>,
        /// So many times.
        times: u32,
        /// At most so long after it.
        within_us: Option<u64>,
    },
    /// That does not show.
    Never {
        /// What.
        shown: Shown,
        /// On this node; `None`: on any.
        on: Option<String>,
        /// Less often is no matter.
        times: u32,
        /// For so long; `None`: until the run is over.
        within_us: Option<u64>,
    },
    /// One shows after the other, from the same moment on as [`Awaited::Seen`].
    Order {
        /// What.
        sights: Vec<Sighted>,
    },
    /// What the run measures is within bounds.
    Metric {
        /// Its word in the file.
        metric: String,
        /// As the file writes it.
        at_least: Option<String>,
        /// The same.
        at_most: Option<String>,
    },
    /// So many checkpoints are committed.
    Checkpoints {
        /// Or more.
        at_least: u64,
    },
    /// Something becomes of a node.
    State {
        /// Which.
        node: String,
        /// What.
        outcome: Outcome,
        /// At most so long from now on.
        within_us: Option<u64>,
    },
}

/// One of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sighted {
    /// What.
    pub(crate) shown: Shown,
    /// On this node; `None`: on any.
    pub(crate) on: Option<String>,
    /// At most so long after what all of them come after.
    pub(crate) within_us: Option<u64>,
}

/// What may show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shown", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Shown {
    /// An event of a node.
    Event {
        /// As the runtime calls it.
        kind: String,
        /// Only with this number.
        number: Option<u64>,
    },
    /// A line that holds this.
    Line {
        /// Part of it.
        text: String,
    },
}

/// What may become of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Outcome {
    /// It is gone.
    Dead,
    /// It is gone, and its process ended with this code.
    Exited {
        /// The code.
        code: i32,
    },
    /// It hosts this rank.
    Rank {
        /// Its number.
        rank: u16,
    },
    /// It is a member and hosts nothing.
    Standby,
}

/// From the daemon to a verb.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Response {
    /// Something moved. `of` is 0 where the end is not known.
    Progress {
        /// So much is done.
        done: u32,
        /// Of so much.
        of: u32,
        /// What moved, for people.
        text: String,
    },
    /// Something to know, kept on the screen.
    Note {
        /// A line.
        text: String,
    },
    /// The cluster is up.
    Up {
        /// How it is.
        status: Status,
    },
    /// How the cluster is.
    Status {
        /// The answer.
        status: Status,
    },
    /// The run that was asked for is under way.
    Started,
    /// It is so, or will not be.
    Expected {
        /// What was seen, for people.
        seen: String,
        /// It is so.
        holds: bool,
    },
    /// A run is over.
    Verdict {
        /// Everything that was seen.
        result: Box<RunResult>,
    },
    /// Done.
    Done {
        /// What was done, for people.
        text: String,
    },
    /// It did not work.
    Failed {
        /// Exit code for the verb.
        exit: u8,
        /// Why, with a remedy.
        reason: String,
        /// The node that it is about.
        node: Option<String>,
        /// The calls in which it stood, innermost first, if it told.
        frames: Frames,
        /// Its last words on the console.
        console: Vec<String>,
    },
}

/// A backtrace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frames {
    /// As the node told it.
    pub(crate) addresses: Vec<u64>,
    /// For people: functions and lines, as the daemon found them.
    pub(crate) words: Vec<String>,
}

/// How a cluster is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Status {
    /// Its name.
    pub(crate) cluster: String,
    /// What it runs on.
    pub(crate) backend: String,
    /// One word: booting, up, running, stopping.
    pub(crate) phase: String,
    /// Where logs and results are.
    pub(crate) run_dir: String,
    /// Each node.
    pub(crate) nodes: Vec<NodeStatus>,
    /// Each port of each switch.
    pub(crate) ports: Vec<PortStatus>,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeStatus {
    /// Its name.
    pub(crate) name: String,
    /// `compute` or `standby`.
    pub(crate) role: String,
    /// What it runs, as the file calls it.
    pub(crate) image: String,
    /// For people.
    pub(crate) state: String,
    /// From start to first words, in microseconds.
    pub(crate) boot_us: Option<u64>,
    /// The ranks it hosts.
    pub(crate) ranks: Vec<u16>,
    /// Its process on this machine.
    pub(crate) pid: Option<u32>,
}

/// Counters of a port of a switch. *In*: from what is behind it; *out*: to it. A cable has a port at each end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortStatus {
    /// The node behind it, or the cable.
    pub(crate) node: String,
    /// The switch it belongs to.
    pub(crate) switch: String,
    /// What is behind it is a cable to another switch.
    #[serde(default)]
    pub(crate) cable: bool,
    /// Is the other end there?
    pub(crate) open: bool,
    /// What the link does to frames, for people; nothing of a perfect one.
    pub(crate) link: String,
    /// Where its frames are recorded.
    pub(crate) pcap: Option<String>,
    /// Frames in.
    pub(crate) in_frames: u64,
    /// Bytes in.
    pub(crate) in_bytes: u64,
    /// Frames out.
    pub(crate) out_frames: u64,
    /// Bytes out.
    pub(crate) out_bytes: u64,
    /// Frames that the link held back: of a delay, or of a rate.
    pub(crate) held_frames: u64,
    /// Those of them that left over a millisecond after their time, as the machine had other things to do.
    pub(crate) late_frames: u64,
    /// By how much the latest of them was, in microseconds.
    pub(crate) worst_late_us: u64,
    /// Dropped frames by reason, without the reasons that did not occur.
    pub(crate) drops: Vec<(String, u64)>,
}

impl Response {
    /// A failure that is about no node.
    pub(crate) fn failed(exit: u8, reason: impl Into<String>) -> Self {
        let frames = Frames::default();
        Self::Failed { exit, reason: reason.into(), node: None, frames, console: Vec::new() }
    }
}
