//! Pages of epochs on the wire: towards partners in a checkpoint, towards new holders in a recovery. Zeroes at the end
//! of a page do not travel.

use super::{META_BASE, SealedPage};
use crate::id::{Epoch, PageNo, Rank};
use crate::limits::PAGE_SIZE;
use crate::mem::PageBytes;
use crate::wire::{Malformed, Reader, Writer};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Most pages in one message.
pub const PAGES_PER_MESSAGE: usize = 8;

/// Bytes that go before the content of a page: its number, its seal, its slot, and how long the content is.
pub(super) const PAGE_HEADER: usize = 14;
/// Most bytes of such a message.
pub const MOST_BYTES: usize = PAGES_PER_MESSAGE * (PAGE_SIZE + PAGE_HEADER) + 64;

const _: () = assert!(MOST_BYTES <= crate::limits::MCAPI_MAX_PKT_SIZE);

/// Pages, or the word that they were all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyMessage {
    /// Pages of a rank at, or changed towards, an epoch.
    Pages {
        /// Of this rank.
        rank: Rank,
        /// Of this epoch.
        epoch: Epoch,
        /// At most [`PAGES_PER_MESSAGE`].
        pages: Vec<(PageNo, SealedPage)>,
    },
    /// These were all.
    Done {
        /// Of this rank.
        rank: Rank,
        /// Of this epoch.
        epoch: Epoch,
        /// How many pages there were in all messages.
        count: u64,
    },
}

/// Between the host of a rank and a partner, on the same channels as the shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To the partner: pages towards an epoch.
    Stage(CopyMessage),
    /// To the host: this partner has copies of these pages, as they were at the checkpoint.
    Offer {
        /// Homes of this rank.
        rank: Rank,
        /// Towards this epoch.
        epoch: Epoch,
        /// No more follow.
        all: bool,
        /// Pages that are not as in the epoch before, and their CRC-32.
        pages: Vec<(PageNo, u32)>,
    },
    /// To the partner: of these pages it keeps its own copies, which are right.
    Keep {
        /// Of this rank.
        rank: Rank,
        /// Towards this epoch.
        epoch: Epoch,
        /// The pages, and the CRC-32 that the home sealed them with.
        pages: Vec<(PageNo, u32)>,
    },
    /// To the host: so many more pages towards the epoch are here.
    Taken {
        /// Of this rank.
        rank: Rank,
        /// Towards this epoch.
        epoch: Epoch,
        /// Pages of one message.
        pages: u8,
    },
    /// To the host: this partner has all pages of its rank towards the epoch.
    Staged {
        /// Of this rank.
        rank: Rank,
        /// Towards this epoch.
        epoch: Epoch,
    },
}

// Above the kinds of the shared memory, with which these share the channels.
/// The lowest kind of a checkpoint message.
pub const FIRST_KIND: u8 = 32;
const PAGES: u8 = 33;
const DONE: u8 = 34;
const STAGED: u8 = 35;
const TAKEN: u8 = 36;
const OFFER: u8 = 37;
const KEEP: u8 = 38;

impl CopyMessage {
    /// Of which rank and epoch.
    #[must_use]
    pub const fn of(&self) -> (Rank, Epoch) {
        match self {
            Self::Pages { rank, epoch, .. } | Self::Done { rank, epoch, .. } => (*rank, *epoch),
        }
    }

    /// How many pages it has, and how many bytes are in those that are a rank's memory.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        let Self::Pages { pages, .. } = self else { return (0, 0) };
        let memory = pages.iter().filter(|(number, _)| number.0 < META_BASE);
        let bytes: usize = memory.map(|(_, page)| page.content().len()).sum();
        (pages.len(), u64::try_from(bytes).unwrap_or(u64::MAX))
    }

    /// Appends it as bytes.
    pub fn emit(&self, w: &mut Writer) {
        match self {
            Self::Pages { rank, epoch, pages } => {
                let pages = pages.iter().map(|(number, page)| (*number, page));
                Self::emit_pages(*rank, *epoch, pages, w);
            }
            Self::Done { rank, epoch, count } => {
                w.u8(DONE).u16(rank.0).u64(epoch.0).u64(*count);
            }
        }
    }

    /// Appends [`Self::Pages`] of pages that stay where they are.
    pub fn emit_pages<'a>(
        rank: Rank,
        epoch: Epoch,
        pages: impl ExactSizeIterator<Item = (PageNo, &'a SealedPage)>,
        w: &mut Writer,
    ) {
        w.u8(PAGES).u16(rank.0).u64(epoch.0);
        w.u8(u8::try_from(pages.len()).unwrap_or(u8::MAX));
        for (number, page) in pages {
            let content = page.content();
            w.u32(number.0).u32(page.crc()).u32(page.slot());
            w.u16(u16::try_from(content.len()).unwrap_or(u16::MAX)).bytes(content);
        }
    }

    /// From bytes, to their end.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let kind = r.u8("copy kind")?;
        let message = Self::parse_kind(kind, r)?;
        r.end("end of copy message")?;
        Ok(message)
    }

    fn parse_kind(kind: u8, r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let rank = Rank(r.u16("rank")?);
        let epoch = Epoch(r.u64("epoch")?);
        match kind {
            PAGES => {
                let count = usize::from(r.u8("page count")?);
                if count > PAGES_PER_MESSAGE {
                    return Err(r.malformed("page count"));
                }
                let mut pages = Vec::with_capacity(count);
                for _ in 0..count {
                    let number = PageNo(r.u32("page number")?);
                    let (crc, slot) = (r.u32("page checksum")?, r.u32("page slot")?);
                    let length = usize::from(r.u16("page length")?);
                    if length > PAGE_SIZE {
                        return Err(r.malformed("page length"));
                    }
                    let bytes = page_of(r.bytes(length, "page")?);
                    pages.push((number, SealedPage::with_crc(bytes, crc).in_slot(slot)));
                }
                Ok(Self::Pages { rank, epoch, pages })
            }
            DONE => Ok(Self::Done { rank, epoch, count: r.u64("page count")? }),
            _ => Err(r.malformed("copy kind")),
        }
    }
}

impl Message {
    /// Appends it as bytes.
    pub fn emit(&self, w: &mut Writer) {
        match self {
            Self::Stage(copy) => copy.emit(w),
            Self::Offer { rank, epoch, all, pages } => {
                w.u8(OFFER).u16(rank.0).u64(epoch.0).u8(u8::from(*all));
                w.u16(u16::try_from(pages.len()).unwrap_or(u16::MAX));
                for (page, crc) in pages {
                    w.u32(page.0).u32(*crc);
                }
            }
            Self::Keep { rank, epoch, pages } => {
                w.u8(KEEP).u16(rank.0).u64(epoch.0);
                w.u16(u16::try_from(pages.len()).unwrap_or(u16::MAX));
                for (page, crc) in pages {
                    w.u32(page.0).u32(*crc);
                }
            }
            Self::Taken { rank, epoch, pages } => {
                w.u8(TAKEN).u16(rank.0).u64(epoch.0).u8(*pages);
            }
            Self::Staged { rank, epoch } => {
                w.u8(STAGED).u16(rank.0).u64(epoch.0);
            }
        }
    }

    /// From bytes, to their end.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let message = match r.u8("checkpoint kind")? {
            STAGED => Self::Staged { rank: Rank(r.u16("rank")?), epoch: Epoch(r.u64("epoch")?) },
            OFFER => {
                let (rank, epoch) = (Rank(r.u16("rank")?), Epoch(r.u64("epoch")?));
                let all = r.u8("all")? != 0;
                let count = r.u16("page count")?;
                let page = |_| Ok((PageNo(r.u32("page number")?), r.u32("page checksum")?));
                let pages = (0..count).map(page).collect::<Result<_, _>>()?;
                Self::Offer { rank, epoch, all, pages }
            }
            KEEP => {
                let (rank, epoch) = (Rank(r.u16("rank")?), Epoch(r.u64("epoch")?));
                let count = r.u16("page count")?;
                let page = |_| Ok((PageNo(r.u32("page number")?), r.u32("page checksum")?));
                let pages = (0..count).map(page).collect::<Result<_, _>>()?;
                Self::Keep { rank, epoch, pages }
            }
            TAKEN => Self::Taken {
                rank: Rank(r.u16("rank")?),
                epoch: Epoch(r.u64("epoch")?),
                pages: r.u8("page count")?,
            },
            kind => Self::Stage(CopyMessage::parse_kind(kind, r)?),
        };
        r.end("end of checkpoint message")?;
        Ok(message)
    }
}

/// A page whose content is over before its end: the rest is zero.
fn page_of(content: &[u8]) -> Box<PageBytes> {
    let mut bytes = Vec::with_capacity(PAGE_SIZE);
    bytes.extend_from_slice(content);
    bytes.resize(PAGE_SIZE, 0);
    // It is as long as a page.
    bytes.into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([0; PAGE_SIZE]))
}
