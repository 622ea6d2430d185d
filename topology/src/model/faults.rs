//! What breaks. A fault of the file becomes *blows*: one for each node that it names, for each time that it is
//! repeated, and one more that ends what is to last only for a while.

use netem::Change;
use runtime_core::id::{NodeId, Rank};
use std::time::Duration;

/// What changes of the two ways of a link: up, from the node to the switch, and down.
pub type Changes = Box<[Change; 2]>;

/// One blow.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Which fault of the file it belongs to, from 0.
    pub item: usize,
    /// Name of that fault, if it has one.
    pub name: Option<String>,
    /// When.
    pub trigger: Trigger,
    /// What.
    pub strike: Strike,
    /// To what.
    pub target: Target,
    /// What a [`Strike::Degrade`] changes.
    pub changes: Option<Changes>,
    /// The node stands still at the trigger, so that the fault hits that very point. Only with a
    /// trigger that watches the node itself.
    pub hold: bool,
    /// It ends an earlier blow of the same fault, so long after it.
    pub ends: Option<Duration>,
    /// Line in the file, from 1.
    pub line: usize,
}

impl Fault {
    /// The node that it strikes: a rank moves to it; what happens to a link happens to its link.
    #[must_use]
    pub const fn node(&self) -> Option<NodeId> {
        match self.target {
            Target::Node(node) => Some(node),
            Target::Cable(_) => None,
        }
    }
}

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A node, or its link.
    Node(NodeId),
    /// A cable between switches, as an index of [`crate::Topology::cables`].
    Cable(usize),
}

/// What a fault does to a node, or to a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The machine is gone, at once.
    Kill,
    /// Its system fails: the kernel of a Linux guest panics, a bare-metal image panics, a process aborts.
    Crash,
    /// The machine stands still: it hears nothing, says nothing, and knows nothing of it.
    Pause,
    /// A machine that was paused goes on.
    Resume,
    /// Its link carries nothing any more.
    Cut(Way),
    /// Its link does other things to frames than before.
    Degrade,
    /// A link that was cut or degraded is again as the file says, both ways.
    Heal,
    /// The machine is gone, and starts again with nothing in its memory.
    Reboot,
    /// A rank moves to the node, at the next checkpoint or barrier; nothing is lost.
    Migrate(Rank),
    /// The memory that holds the node's copy of a rank goes bad.
    Corrupt(Rank),
    /// Of every 20 ms the machine runs for so many percent, and stands still for the rest; 100: it is let alone.
    Slow(u8),
    /// The machine's memory is taken until so many bytes are available in it; `None`: it is given back.
    Fill(Option<u64>),
}

/// Which way a link is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing passes.
    Both,
    /// What the node sends is lost; of a cable, what goes from its first end to its second.
    From,
    /// What is sent to the node is lost; of a cable, what goes back.
    To,
}

impl Strike {
    /// Those that need no more than a node.
    pub const PLAIN: [Self; 7] = [
        Self::Kill,
        Self::Crash,
        Self::Pause,
        Self::Resume,
        Self::Cut(Way::Both),
        Self::Heal,
        Self::Reboot,
    ];

    /// Its word in the file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Crash => "crash",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cut(_) => "cut",
            Self::Degrade => "degrade",
            Self::Heal => "heal",
            Self::Reboot => "reboot",
            Self::Migrate(_) => "migrate",
            Self::Corrupt(_) => "corrupt",
            Self::Slow(_) => "slow",
            Self::Fill(_) => "fill",
        }
    }

    /// What undoes it, if anything does.
    #[must_use]
    pub const fn undone_by(self) -> Option<Self> {
        match self {
            Self::Kill | Self::Crash => Some(Self::Reboot),
            Self::Pause => Some(Self::Resume),
            Self::Cut(_) | Self::Degrade => Some(Self::Heal),
            Self::Slow(_) => Some(Self::Slow(100)),
            Self::Fill(_) => Some(Self::Fill(None)),
            _ => None,
        }
    }

    /// Does it take a node away from the others, for a while at least?
    #[must_use]
    pub const fn takes_away(self) -> bool {
        matches!(self, Self::Kill | Self::Crash | Self::Pause | Self::Cut(_) | Self::Reboot)
    }
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// When the run starts.
    Start,
    /// So long after the run started.
    After(Duration),
    /// Some time after the run started, which the seed decides.
    Random {
        /// Not before this.
        from: Duration,
        /// Not after this.
        to: Duration,
        /// Which draw of the seed's: blows with the same number strike together.
        draw: u64,
    },
    /// When a node reports a phase of a checkpoint.
    Checkpoint {
        /// Number of the checkpoint, from 1.
        epoch: u64,
        /// Which phase.
        phase: Phase,
        /// Whose report.
        on: NodeId,
    },
    /// When a node's rank comes out of the program's barrier of this number, from 1.
    Barrier {
        /// Which barrier.
        number: u64,
        /// Whose rank.
        on: NodeId,
    },
    /// When the program of a node's rank says that it is at this iteration.
    Iteration {
        /// Which iteration.
        number: u64,
        /// Whose rank.
        on: NodeId,
    },
    /// When a node reports its `nth` event of a kind.
    Event {
        /// `kind` of the runtime's event, for example `recovering`.
        kind: String,
        /// Which one, from 1.
        nth: u32,
        /// Whose report.
        on: NodeId,
    },
    /// So long after the last of other blows.
    Follows {
        /// Which, as indices of [`crate::Topology::faults`].
        faults: Vec<usize>,
        /// How long.
        delay: Duration,
    },
}

/// Phase of a checkpoint on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The rank arrived at it.
    Begun,
    /// The copy is taken and on its way.
    Staged,
    /// All partners hold it.
    Replicated,
    /// It is committed.
    Committed,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 4] = [Self::Begun, Self::Staged, Self::Replicated, Self::Committed];

    /// `kind` of the runtime's event that reports the phase.
    #[must_use]
    pub const fn event_kind(self) -> &'static str {
        match self {
            Self::Begun => "checkpoint-begun",
            Self::Staged => "checkpoint-staged",
            Self::Replicated => "checkpoint-replicated",
            Self::Committed => "checkpoint-committed",
        }
    }

    /// Its word in the file.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.event_kind().trim_start_matches("checkpoint-")
    }
}
