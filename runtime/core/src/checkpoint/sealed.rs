//! Pages under a seal.

use crate::limits::PAGE_SIZE;
use crate::mem::PageBytes;
use crate::sabotage::Step;
use alloc::boxed::Box;
use core::fmt;

/// A page of an image with its CRC-32, which the host of the rank computed when the page left the
/// rank's memory and which goes with it to every copy.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedPage {
    bytes: Box<PageBytes>,
    crc: u32,
    /// Where it is in its rank's order, if parity is kept of it.
    slot: u32,
}

impl SealedPage {
    /// Seals a page.
    #[must_use]
    pub fn new(bytes: Box<PageBytes>) -> Self {
        let crc = crc32fast::hash(&bytes[..]);
        Self { bytes, crc, slot: 0 }
    }

    /// A page as it came with its seal, which may be broken.
    #[must_use]
    pub const fn with_crc(bytes: Box<PageBytes>, crc: u32) -> Self {
        Self { bytes, crc, slot: 0 }
    }

    /// The page.
    #[must_use]
    pub const fn bytes(&self) -> &PageBytes {
        &self.bytes
    }

    /// The page without the zeroes at its end.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        // Whole lines first: most pages end with one that is not zero, and some are nearly empty.
        const LINE: usize = 64;
        let zeroes = self.bytes.rchunks_exact(LINE).take_while(|line| line.iter().all(|b| *b == 0));
        let (lines, _) = self.bytes.split_at(PAGE_SIZE - LINE * zeroes.count());
        let length = lines.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &lines[..length]
    }

    /// The CRC-32 that it was sealed with.
    #[must_use]
    pub const fn crc(&self) -> u32 {
        self.crc
    }

    /// Its place in its rank's order.
    #[must_use]
    pub const fn slot(&self) -> u32 {
        self.slot
    }

    /// Gives it a place.
    pub(super) const fn set_slot(&mut self, slot: u32) {
        self.slot = slot;
    }

    /// With a place.
    #[must_use]
    pub(super) const fn in_slot(mut self, slot: u32) -> Self {
        self.slot = slot;
        self
    }

    /// The page, to be changed; the seal stays as it is.
    pub(super) const fn bytes_mut(&mut self) -> &mut PageBytes {
        &mut self.bytes
    }

    /// Seals it again, as it is now.
    pub(super) fn seal(&mut self) {
        self.crc = crc32fast::hash(&self.bytes[..]);
    }

    /// Is it as it was when it was sealed?
    #[must_use]
    pub fn is_intact(&self) -> bool {
        crc32fast::hash(&self.bytes[..]) == self.crc || Step::Checksum.is_left_out()
    }

    /// Flips a bit of the page under its seal, as bad memory does.
    pub(super) fn damage(&mut self) {
        self.bytes[0] ^= 0x10;
    }
}

impl fmt::Debug for SealedPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedPage({:08x})", self.crc)
    }
}
