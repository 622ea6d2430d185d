//! A test of the tests: each of these safety steps can be left out on purpose, and then the simulator's suite
//! must find fault.
//!
//! Only with the cargo feature `sabotage`, which no image has: without it, every step is taken, and the
//! compiler sees that.

use core::fmt;
use core::str::FromStr;

/// A step without which a promise breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is prepared before every partner has said `Staged`.
    Staged,
    /// A rank goes on from a checkpoint only when the coordinator says that all are prepared.
    CommitRound,
    /// A node that was replaced stops.
    Fence,
    /// Frames of another life of a node die in the link.
    Generation,
    /// A view is agreed by more than half of the view before.
    Majority,
    /// A proposer proposes what may have been decided already.
    Bound,
    /// Messages of another view or job die in the node.
    Tag,
    /// Copies are whole at all partners before ranks run again.
    Rebuild,
    /// A recovery goes to an epoch that is whole for every rank.
    Whole,
    /// It goes to one that was surely not committed only if all copies of it are there.
    Copies,
    /// A page is used only if its checksum holds.
    Checksum,
    /// A rank stands still before a recovery begins.
    Standstill,
    /// What a broken connection may have lost goes out again on the next.
    Resume,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Staged,
        Self::CommitRound,
        Self::Fence,
        Self::Generation,
        Self::Majority,
        Self::Bound,
        Self::Tag,
        Self::Rebuild,
        Self::Whole,
        Self::Copies,
        Self::Checksum,
        Self::Standstill,
        Self::Resume,
    ];

    /// Its name in commands.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Staged => "staged",
            Self::CommitRound => "commit-round",
            Self::Fence => "fence",
            Self::Generation => "generation",
            Self::Majority => "majority",
            Self::Bound => "bound",
            Self::Tag => "tag",
            Self::Rebuild => "rebuild",
            Self::Whole => "whole",
            Self::Copies => "copies",
            Self::Checksum => "checksum",
            Self::Standstill => "standstill",
            Self::Resume => "resume",
        }
    }

    /// Is it left out, on this thread?
    #[cfg(not(feature = "sabotage"))]
    #[inline]
    pub(crate) const fn is_left_out(self) -> bool {
        false
    }

    /// Is it left out, on this thread?
    #[cfg(feature = "sabotage")]
    pub(crate) fn is_left_out(self) -> bool {
        LEFT_OUT.get() == Some(self)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Step {
    type Err = UnknownStep;
    fn from_str(text: &str) -> Result<Self, UnknownStep> {
        Self::ALL.into_iter().find(|step| step.name() == text).ok_or(UnknownStep)
    }
}

/// There is no such step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no such step; there are staged, commit-round, fence, generation, majority, bound, tag, rebuild, whole, copies, checksum, standstill and resume"
)]
pub struct UnknownStep;

#[cfg(feature = "sabotage")]
extern crate std;

#[cfg(feature = "sabotage")]
std::thread_local! {
    static LEFT_OUT: core::cell::Cell<Option<Step>> = const { core::cell::Cell::new(None) };
}

/// Leaves a step out on this thread, until it is dropped.
#[cfg(feature = "sabotage")]
#[derive(Debug)]
pub struct Sabotage(());

#[cfg(feature = "sabotage")]
impl Sabotage {
    /// From now on.
    #[must_use]
    pub fn commit(step: Step) -> Self {
        LEFT_OUT.set(Some(step));
        Self(())
    }
}

#[cfg(feature = "sabotage")]
impl Drop for Sabotage {
    fn drop(&mut self) {
        LEFT_OUT.set(None);
    }
}
