//! What `guest-linux sim` reads and writes: a whole topology in one process on a virtual clock.
//!
//! One [`SimPlan`] line goes in on standard input; [`SimLine`]s come out on standard output, in the
//! order of their times, until the run is over; then the process exits with 0.

use crate::{Configure, FromNode, Run};
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Everything that one simulated run needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimPlan {
    /// Seed of all randomness: the same plan gives the same lines.
    pub seed: u64,
    /// What each node is told, by number.
    pub nodes: Vec<Configure>,
    /// The link of each node to its switch, by node number.
    pub links: Vec<SimLink>,
    /// The cables between switches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cables: Vec<SimCable>,
    /// Are the others told at once when a node dies?
    pub death_is_seen: bool,
    /// What befalls which nodes, and when.
    pub faults: Vec<SimFault>,
    /// The program; started when every node is ready.
    pub run: Run,
}

/// Both directions of a node's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimLink {
    /// From the node to the switch.
    pub up: SimProfile,
    /// From the switch to the node.
    pub down: SimProfile,
}

/// A cable between two switches: who is on one side of it and who is on the other is all that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimCable {
    /// Its name.
    pub name: String,
    /// `up` is from the near side to the far one, `down` back.
    pub link: SimLink,
    /// The nodes on the near side; all others are on the far one.
    pub near: Vec<u16>,
}

impl SimCable {
    /// Does what the first node sends to the second pass, and if so, up?
    #[must_use]
    pub fn passes(&self, from: u16, to: u16) -> Option<bool> {
        let near = |node: u16| self.near.contains(&node);
        (near(from) != near(to)).then(|| near(from))
    }
}

/// What one direction of a link does to frames. All zero: perfect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimProfile {
    /// Delay of each frame in nanoseconds.
    pub delay_ns: u64,
    /// At most so many nanoseconds more, at random.
    pub jitter_ns: u64,
    /// Frames lost, of a million.
    pub loss_ppm: u32,
    /// Frames sent twice, of a million.
    pub duplicate_ppm: u32,
    /// Frames overtaken, of a million.
    pub reorder_ppm: u32,
    /// Frames with a flipped bit, of a million.
    pub corrupt_ppm: u32,
    /// Bits per second; 0: without limit.
    pub rate_bits_per_s: u64,
    /// Largest frame in bytes; 0: without limit.
    pub mtu: u32,
}

/// What befalls a node, or a cable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimFault {
    /// Which.
    pub target: SimTarget,
    /// What.
    pub strike: SimStrike,
    /// When.
    pub at: Trigger,
    /// What a degraded link does from then on: up, and down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<[SimChange; 2]>,
}

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SimTarget {
    /// A node, or its link, by number.
    Node(u16),
    /// A cable, by its place in the plan.
    Cable(u16),
}

/// New values for some fields of a [`SimProfile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SimChange {
    /// See [`SimProfile::delay_ns`].
    pub delay_ns: Option<u64>,
    /// See [`SimProfile::jitter_ns`].
    pub jitter_ns: Option<u64>,
    /// See [`SimProfile::loss_ppm`].
    pub loss_ppm: Option<u32>,
    /// See [`SimProfile::duplicate_ppm`].
    pub duplicate_ppm: Option<u32>,
    /// See [`SimProfile::reorder_ppm`].
    pub reorder_ppm: Option<u32>,
    /// See [`SimProfile::corrupt_ppm`].
    pub corrupt_ppm: Option<u32>,
    /// See [`SimProfile::rate_bits_per_s`].
    pub rate_bits_per_s: Option<u64>,
}

impl SimChange {
    /// The profile with the new values.
    #[must_use]
    pub fn of(&self, old: SimProfile) -> SimProfile {
        SimProfile {
            delay_ns: self.delay_ns.unwrap_or(old.delay_ns),
            jitter_ns: self.jitter_ns.unwrap_or(old.jitter_ns),
            loss_ppm: self.loss_ppm.unwrap_or(old.loss_ppm),
            duplicate_ppm: self.duplicate_ppm.unwrap_or(old.duplicate_ppm),
            reorder_ppm: self.reorder_ppm.unwrap_or(old.reorder_ppm),
            corrupt_ppm: self.corrupt_ppm.unwrap_or(old.corrupt_ppm),
            rate_bits_per_s: self.rate_bits_per_s.unwrap_or(old.rate_bits_per_s),
            mtu: old.mtu,
        }
    }
}

/// A blow to a node; a cable can be cut, degraded and healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SimStrike {
    /// It is gone, with everything in it.
    Kill,
    /// It stands still; what happens to it waits.
    Pause,
    /// It goes on after a pause.
    Resume,
    /// Nothing passes between it and the others, or one way only.
    Cut {
        /// What it sends is lost; of a cable, what goes up.
        from: bool,
        /// What is sent to it is lost; of a cable, what goes down.
        to: bool,
    },
    /// Its link does what the fault says from now on.
    Degrade,
    /// Everything passes again, as in the beginning.
    Heal,
    /// It is gone, and starts again with nothing in its memory.
    Reboot,
    /// A rank is to move to it; all nodes are told.
    Migrate {
        /// Which rank.
        rank: u16,
    },
    /// The memory of its copy of a rank goes bad.
    Corrupt {
        /// Which rank.
        rank: u16,
    },
}

/// A moment in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trigger {
    /// So many microseconds after the nodes were told to run; 0: at once.
    Time {
        /// How many.
        us: u64,
    },
    /// So long after the last of other faults has struck.
    Follows {
        /// Which, by their places in the plan.
        faults: Vec<u32>,
        /// How many microseconds.
        us: u64,
    },
    /// When an event is reported.
    Event {
        /// Its `kind` on the wire, for example `checkpoint-committed`.
        event: String,
        /// Only from this node; `None`: from any.
        node: Option<u16>,
        /// Only with this number: its epoch, or which barrier or iteration it is.
        number: Option<u64>,
        /// Which of those that match since the run was started, from 1.
        nth: u32,
    },
}

/// What happened at a virtual time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimLine {
    /// Virtual time in microseconds since the start of the world.
    pub at_us: u64,
    /// Name of the node, or of the cable that something befell.
    pub node: String,
    /// What the node said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<FromNode>,
    /// What befell it at this moment, as the plan said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub struck: Option<SimStrike>,
}
