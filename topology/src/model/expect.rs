//! What must hold in the end.

use crate::units::{self, Parsed, show_duration, show_size};
use runtime_core::id::{NodeId, Rank};
use std::time::Duration;

/// Something that must hold in the end.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// The result is that of the sequential program, bit for bit.
    ResultIsReference,
    /// A node took over the rank of another.
    Takeover {
        /// Whose rank.
        of: NodeId,
        /// Who; `None`: whoever.
        by: Option<NodeId>,
        /// At most so long after the fault.
        within: Option<Duration>,
    },
    /// No rank changed its node.
    NoTakeover,
    /// So many checkpoints were committed, or more.
    Epochs(u64),
    /// Something showed.
    Seen {
        /// What.
        sight: Sight,
        /// So many times, or more.
        times: u32,
        /// The last of them at most so long after the start, or after `after`.
        within: Option<Duration>,
        /// Only what showed after this fault of the file, by [`crate::Fault::item`], had struck for the last time.
        after: Option<usize>,
    },
    /// Something never showed.
    Never(Sight),
    /// One showed after the other; others may have come between.
    Order(Vec<Sight>),
    /// What became of a node.
    State {
        /// Which node.
        node: NodeId,
        /// What.
        outcome: Outcome,
    },
    /// Something that the run measured lies within bounds, both included, in the unit of the metric.
    Metric {
        /// What.
        metric: Metric,
        /// Not less.
        at_least: Option<u64>,
        /// Not more.
        at_most: Option<u64>,
    },
}

/// What may show in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What.
    pub shown: Shown,
    /// On which node; `None`: on any.
    pub on: Option<NodeId>,
}

/// See [`Sight`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// An event that a node reports.
    Event {
        /// `kind` of the runtime's event.
        kind: String,
        /// Only with this number: its epoch.
        number: Option<u64>,
    },
    /// A line that holds this text: of a node's console, or printed by its rank.
    Line(String),
}

/// What becomes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone.
    Dead,
    /// It hosts this rank.
    Rank(Rank),
    /// It is a member, and hosts no rank.
    Standby,
    /// It is gone, and its process, or QEMU, ended with this code.
    Exited(i32),
}

/// What a run measures. Of deaths the slowest counts, of takeovers and recoveries too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// From the command to run until the job is done; nanoseconds.
    RunTime,
    /// From a death until somebody suspects the node; nanoseconds.
    DetectionTime,
    /// From a death until the rank stands again elsewhere; nanoseconds.
    TakeoverTime,
    /// From a death until all ranks run again; nanoseconds.
    RecoveryTime,
    /// Longest that a rank stood still for a checkpoint; nanoseconds.
    LongestStop,
    /// Committed checkpoints.
    Checkpoints,
    /// Bytes of changed pages in all checkpoints.
    ChangedBytes,
    /// Bytes that checkpoints sent.
    SentBytes,
    /// Bytes sent of bytes changed; millionths.
    SentRatio,
}

/// In which unit a metric is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Nanoseconds,
    Bytes,
    Count,
    Millionths,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::RunTime,
        Self::DetectionTime,
        Self::TakeoverTime,
        Self::RecoveryTime,
        Self::LongestStop,
        Self::Checkpoints,
        Self::ChangedBytes,
        Self::SentBytes,
        Self::SentRatio,
    ];

    /// Its word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RunTime => "run-time",
            Self::DetectionTime => "detection-time",
            Self::TakeoverTime => "takeover-time",
            Self::RecoveryTime => "recovery-time",
            Self::LongestStop => "longest-stop",
            Self::Checkpoints => "checkpoints",
            Self::ChangedBytes => "changed-bytes",
            Self::SentBytes => "sent-bytes",
            Self::SentRatio => "sent-ratio",
        }
    }

    /// That of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.word() == word)
    }

    /// A bound of it as the file writes one, in its unit.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write.
    pub fn bound(self, text: &str) -> Result<u64, String> {
        self.read(text).map_err(|bad| format!("{}: {}", bad.message, bad.help))
    }

    pub(crate) fn read(self, text: &str) -> Parsed<u64> {
        match self.unit() {
            Unit::Nanoseconds => units::nanoseconds(text),
            Unit::Bytes => units::size(text),
            Unit::Count => units::integer(text),
            Unit::Millionths => units::millionths(text),
        }
    }

    /// Is it a number of bytes?
    #[must_use]
    pub const fn is_size(self) -> bool {
        matches!(self.unit(), Unit::Bytes)
    }

    /// Can it fall while a run goes on? All others only grow.
    #[must_use]
    pub const fn can_fall(self) -> bool {
        matches!(self, Self::SentRatio)
    }

    /// Is it a time? Those are scaled where guests have no KVM.
    #[must_use]
    pub const fn is_time(self) -> bool {
        matches!(self.unit(), Unit::Nanoseconds)
    }

    const fn unit(self) -> Unit {
        match self {
            Self::Checkpoints => Unit::Count,
            Self::ChangedBytes | Self::SentBytes => Unit::Bytes,
            Self::SentRatio => Unit::Millionths,
            _ => Unit::Nanoseconds,
        }
    }

    /// A value of it in words, with its unit.
    #[must_use]
    pub fn show(self, value: u64) -> String {
        match self.unit() {
            Unit::Nanoseconds => show_duration(Duration::from_nanos(value)),
            Unit::Bytes => show_size(value),
            Unit::Count => value.to_string(),
            Unit::Millionths => {
                let tenths = value.saturating_add(500) / 1_000;
                format!("{}.{}%", tenths / 10, tenths % 10)
            }
        }
    }
}
