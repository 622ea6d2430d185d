//! Staying behind. A receiver that looks for each frame of a stream at once takes the memory of the next ones from their
//! sender, who waits for it, then; one that lets some frames come before it looks does not. This is the temporal slipping of
//! `FastForward` (Giacomoni, Moseley, Vachharajani, `PPoPP` 2008), learned from what comes: a node that sends, or to which little
//! comes, looks at once.

/// How long a receiver that has taken all that was there leaves its sender alone: in looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slip(u32);

/// Some microseconds, in which a stream brings a dozen messages.
const MOST: u32 = 32;
/// A stream brings a frame in no more looks than this.
const DENSE: u32 = 4;
/// Fewer frames at a time are no stream.
const FEW: usize = 2;

impl Slip {
    /// For how many looks to wait.
    #[inline]
    pub(super) const fn looks(self) -> u32 {
        self.0
    }

    /// After the wait, so much was there.
    #[inline]
    pub(super) fn learn(&mut self, came: usize) {
        let dense = came >= FEW + (self.0 / DENSE) as usize;
        self.0 = if dense { (2 * self.0).clamp(1, MOST) } else { self.0 / 2 };
    }

    /// This node sends: somebody may answer.
    #[inline]
    pub(super) const fn forget(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests;
