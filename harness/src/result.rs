//! What came out of a run: `result.json`, and the source of the table.

use runtime_core::event::Event;
use serde::{Deserialize, Serialize};

/// Everything seen in one run. Times are microseconds as the harness measured them, on the virtual
/// clock in `sim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunResult {
    /// Name of the topology.
    pub(crate) cluster: String,
    /// Number of the run on its cluster.
    pub(crate) job: u32,
    /// What the nodes ran on.
    pub(crate) backend: String,
    /// Which accelerator, and the factor for times.
    pub(crate) machine: String,
    /// The program.
    pub(crate) workload: String,
    /// It is a program on MCAPI, which has no ranks and takes no checkpoints.
    #[serde(default)]
    pub(crate) on_mcapi: bool,
    /// Each node.
    pub(crate) nodes: Vec<NodeResult>,
    /// Epochs that were committed, in order.
    pub(crate) checkpoints: Vec<Checkpoint>,
    /// Each death of a node.
    pub(crate) deaths: Vec<Death>,
    /// The result of each rank that handed one in.
    pub(crate) results: Vec<RankResult>,
    /// When the nodes were told to run, on the clock of `events.jsonl`; unknown if they never were.
    #[serde(default)]
    pub(crate) started_us: Option<u64>,
    /// From the command to run until the job was done.
    pub(crate) run_us: u64,
    /// Each blow of a fault that struck, in the order of the file.
    #[serde(default)]
    pub(crate) blows: Vec<Blow>,
    /// Does every check hold?
    pub(crate) pass: bool,
    /// What was asked for, and what was seen.
    pub(crate) checks: Vec<Check>,
    /// Why this is in no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unkept: Option<String>,
}

/// What a rank handed in, last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RankResult {
    /// Which rank.
    pub(crate) rank: u16,
    /// Of the result's bytes.
    pub(crate) sha256: String,
}

/// A node in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeResult {
    /// Its name.
    pub(crate) name: String,
    /// `compute` or `standby`.
    pub(crate) role: String,
    /// From start to first words.
    pub(crate) boot_us: Option<u64>,
    /// What became of it.
    pub(crate) end: String,
    /// Most bytes of pages that it kept for recoveries, if it lived to say so; and what the validator allows its machine.
    #[serde(default)]
    pub(crate) kept_bytes: Option<u64>,
    #[serde(default)]
    pub(crate) kept_limit: u64,
}

/// One committed epoch, over all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// Its number.
    pub(crate) epoch: u64,
    /// Bytes of changed pages.
    pub(crate) dirty_bytes: u64,
    /// Bytes sent to partners.
    pub(crate) sent_bytes: u64,
    /// Of these, what is not in pages: headers, seals, offers, records.
    pub(crate) protocol_bytes: u64,
    /// Longest that a rank stood still, with the wait for the others.
    pub(crate) blocked_us: u64,
    /// Longest that a rank stood still after all had come.
    pub(crate) frozen_us: u64,
    /// Longest that a rank computed on until the commit.
    pub(crate) overlapped_us: u64,
    /// Pages that were copied because their rank wrote them first.
    pub(crate) copied_pages: u64,
    /// Pages that were not sent, because a partner had them.
    pub(crate) spared_pages: u64,
}

impl Checkpoint {
    /// What one host staged.
    pub(crate) fn add_staged(&mut self, event: &Event) {
        if let Event::CheckpointStaged {
            dirty_bytes,
            page_bytes,
            sent_bytes,
            copied_pages,
            spared_pages,
            ..
        } = event
        {
            self.dirty_bytes += dirty_bytes;
            self.sent_bytes += sent_bytes;
            self.protocol_bytes += sent_bytes.saturating_sub(*page_bytes);
            self.copied_pages += copied_pages;
            self.spared_pages += spared_pages;
        }
    }

    /// How long one rank stood still, and how much of that until all others had come.
    pub(crate) fn add_stop(&mut self, blocked_us: u64, waited_us: u64) {
        self.blocked_us = self.blocked_us.max(blocked_us);
        self.frozen_us = self.frozen_us.max(blocked_us.saturating_sub(waited_us));
    }
}

/// The death of a node and what followed; times since the death.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Death {
    /// Its name.
    pub(crate) node: String,
    /// Since the start of the run.
    pub(crate) at_us: u64,
    /// The rank that it hosted.
    pub(crate) rank: Option<u16>,
    /// Until some node suspected it.
    pub(crate) detected_us: Option<u64>,
    /// Until its rank stood again elsewhere.
    pub(crate) takeover_us: Option<u64>,
    /// Where that was.
    pub(crate) by: Option<String>,
    /// From which epoch.
    pub(crate) epoch: Option<u64>,
    /// Until the ranks ran again.
    pub(crate) resumed_us: Option<u64>,
}

/// A blow of a fault that struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blow {
    /// The fault of the file.
    pub(crate) fault: String,
    /// Which node it struck, or which cable.
    pub(crate) node: String,
    /// When, on the clock of `events.jsonl`.
    pub(crate) at_us: u64,
    /// It ended an earlier one of the same fault.
    pub(crate) ends: bool,
}

/// One thing that had to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Check {
    /// What was asked for.
    pub(crate) expected: String,
    /// What was seen.
    pub(crate) seen: String,
    /// Is it the same?
    pub(crate) holds: bool,
}

impl RunResult {
    /// Bytes of changed pages and bytes sent, over all checkpoints.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        self.checkpoints.iter().fold((0, 0), |(d, s), c| (d + c.dirty_bytes, s + c.sent_bytes))
    }
}
