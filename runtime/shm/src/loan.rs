//! What a reader's program has of a slot for as long as it likes.

use crate::process::forks;
use crate::ring::slots::{Data, Ledger, Place};
use crate::ring::{Broken, Lane};
use crate::segment::{Mapping, map_slots};
use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;
use std::{fmt, io, slice};

/// Bytes of a large frame, where its sender put them. Its slot is the sender's again when this is dropped, on whatever thread;
/// until then it stays as it is, also when the sender dies, or the node that received it leaves. In a forked child it is
/// nobody's: dropped there, it does nothing.
///
/// The memory is shared with its sender: one that breaks the rules could change it.
pub struct Loan {
    lender: Arc<Lender>,
    slot: u32,
    len: u32,
}

/// The slots of a lane, for its reader. One for the lane, whoever writes to it.
#[derive(Debug)]
pub(crate) struct Lender {
    ledger: Ledger,
    lane: Arc<Mapping<Lane>>,
    data: Mapping<Data>,
    forks: u32,
}

impl Lender {
    pub(crate) fn open(file: &File, lane: usize, memory: &Arc<Mapping<Lane>>) -> io::Result<Self> {
        let (data, lane) = (map_slots(file, lane)?, Arc::clone(memory));
        Ok(Self { ledger: Ledger::new(), lane, data, forks: forks() })
    }

    #[expect(clippy::cast_possible_truncation, reason = "below SLOTS, and at most SLOT")]
    pub(crate) fn lend(self: &Arc<Self>, place: Place) -> Result<Loan, Broken> {
        self.ledger.lend(place.slot)?;
        Ok(Loan { lender: Arc::clone(self), slot: place.slot as u32, len: place.len as u32 })
    }

    /// Frees all slots but those that are lent.
    pub(crate) fn reset(&self) {
        self.ledger.reset(self.lane.marks());
    }
}

impl Loan {
    /// Where the bytes lie, for callers in C, who may write there.
    #[must_use]
    pub fn pointer(&self) -> *mut u8 {
        self.lender.data.slot(self.slot as usize)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if self.lender.forks == forks() {
            self.lender.ledger.take_back(self.slot as usize, self.lender.lane.marks());
        }
    }
}

impl Deref for Loan {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: a slot has so many bytes, and stays mapped with the lender; its writer leaves it alone until it is given
        // back, which this does when it is dropped.
        unsafe { slice::from_raw_parts(self.pointer(), self.len as usize) }
    }
}

impl PartialEq for Loan {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Loan {}

impl fmt::Debug for Loan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").field("slot", &self.slot).field("len", &self.len).finish()
    }
}
