//! What the nodes of a view say to each other about a job: recovery, commit, end.
//!
//! Each message is of one view and one job (its [`Tag`]); those of an older view or job are void.

use crate::checkpoint::{CopyMessage, Holdings, MOST_BYTES, SealedPage, Transfer};
use crate::id::{Epoch, Job, NodeId, PageNo, Rank, ViewId};
use crate::limits::{MAX_GROUP, MAX_LOSSES, MAX_NODES, MAX_RANKS, MAX_REPLICAS};
use crate::wire::{Malformed, Reader, Writer};
use alloc::string::String;
use alloc::vec::Vec;

/// Of which view and job a message is. Ordered: a later view first, then a later job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tag {
    pub(super) view: ViewId,
    pub(super) job: Job,
}

impl Tag {
    pub(super) fn emit(self, w: &mut Writer) {
        w.u64(self.view.0).u32(self.job.0);
    }

    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { view: ViewId(r.u64("view")?), job: Job(r.u32("job")?) })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// To the coordinator: my rank stands still; this is what I hold.
    Status(Holdings),
    /// To all: go to this epoch, and send these copies.
    Recover { epoch: Epoch, transfers: Vec<Transfer> },
    /// Pages of one of these copies, and what it is for.
    Copy { target: Rank, copy: CopyMessage },
    /// To who sent them: so many more pages of copies are here.
    Copied { pages: u8 },
    /// To the coordinator: I am at the epoch, and my connections are open.
    Recovered,
    /// To all: the ranks run.
    Resume { epoch: Epoch },
    /// To the coordinator: my rank's part of the epoch is here and at all its partners. Is the rank held
    /// in its call beyond the commit?
    Prepared { epoch: Epoch, held: bool },
    /// To all: the epoch is committed.
    Commit { epoch: Epoch },
    /// To the coordinator: my rank left the program.
    Exited,
    /// To the coordinator: a copy that the recovery wants to use is damaged, and given up.
    Damaged,
    /// To all: every rank left the program.
    Done,
    /// To the host of the rank where all ranks arrive: let them stay in their next checkpoint, at the next
    /// barrier if it can be one.
    Hold,
    /// To all: the job cannot go on.
    Lost { reason: String },
}

const COPY: u8 = 3;
const MAX_REASON: usize = 1024;
/// Pieces of parity, should every rank be a group.
const MAX_PIECES: usize = MAX_RANKS * MAX_LOSSES;
/// To every holder of an image, or, to make it, all of its group and its pieces.
const MAX_TRANSFERS: usize =
    (MAX_NODES + MAX_PIECES) * (1 + MAX_REPLICAS + MAX_GROUP as usize + MAX_LOSSES);

impl Message {
    pub(super) fn emit(&self, tag: Tag) -> Vec<u8> {
        let w = &mut Writer::new();
        tag.emit(w);
        match self {
            Self::Status(holdings) => {
                w.u8(1).u64(holdings.committed.0).u8(u8::from(holdings.done));
                for set in [&holdings.whole, &holdings.damaged] {
                    w.u16(u16::try_from(set.len()).unwrap_or(u16::MAX));
                    for (rank, epoch) in set {
                        w.u16(rank.0).u64(epoch.0);
                    }
                }
                w.u64(holdings.kept_in.0);
                w.u16(u16::try_from(holdings.keeps.len()).unwrap_or(u16::MAX));
                for rank in &holdings.keeps {
                    w.u16(rank.0);
                }
                w.u64(holdings.ran_in.0);
                w.u16(u16::try_from(holdings.holders.len()).unwrap_or(u16::MAX));
                for holders in &holdings.holders {
                    w.u16(u16::try_from(holders.len()).unwrap_or(u16::MAX));
                    for node in holders {
                        w.u16(node.0);
                    }
                }
            }
            Self::Recover { epoch, transfers } => {
                w.u8(2).u64(epoch.0).u16(u16::try_from(transfers.len()).unwrap_or(u16::MAX));
                for transfer in transfers {
                    w.u16(transfer.rank.0).u16(transfer.target.0);
                    w.u16(transfer.from.0).u16(transfer.to.0);
                }
            }
            Self::Copy { target, copy } => {
                w.u8(COPY).u16(target.0);
                copy.emit(w);
            }
            Self::Copied { pages } => {
                w.u8(13).u8(*pages);
            }
            Self::Recovered => {
                w.u8(4);
            }
            Self::Resume { epoch } => {
                w.u8(5).u64(epoch.0);
            }
            Self::Prepared { epoch, held } => {
                w.u8(6).u64(epoch.0).u8(u8::from(*held));
            }
            Self::Commit { epoch } => {
                w.u8(7).u64(epoch.0);
            }
            Self::Exited => {
                w.u8(8);
            }
            Self::Done => {
                w.u8(9);
            }
            Self::Hold => {
                w.u8(11);
            }
            Self::Damaged => {
                w.u8(12);
            }
            Self::Lost { reason } => {
                w.u8(10).bytes(reason.as_bytes());
            }
        }
        core::mem::take(w).into_vec()
    }

    /// [`Message::Copy`] of pages that stay where they are.
    pub(super) fn emit_copy(
        tag: Tag,
        target: Rank,
        (rank, epoch): (Rank, Epoch),
        pages: &[(PageNo, &SealedPage)],
    ) -> Vec<u8> {
        let mut w = Writer::with_capacity(MOST_BYTES);
        tag.emit(&mut w);
        w.u8(COPY).u16(target.0);
        CopyMessage::emit_pages(rank, epoch, pages.iter().copied(), &mut w);
        w.into_vec()
    }

    /// The message after its tag.
    pub(super) fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let message = match r.u8("recovery kind")? {
            1 => Self::Status(parse_holdings(r)?),
            2 => Self::Recover { epoch: epoch(r)?, transfers: parse_transfers(r)? },
            COPY => Self::Copy { target: Rank(r.u16("target")?), copy: CopyMessage::parse(r)? },
            4 => Self::Recovered,
            5 => Self::Resume { epoch: epoch(r)? },
            6 => Self::Prepared { epoch: epoch(r)?, held: r.u8("held")? != 0 },
            7 => Self::Commit { epoch: epoch(r)? },
            8 => Self::Exited,
            9 => Self::Done,
            10 => {
                let reason = r.rest();
                let reason = reason.get(..MAX_REASON).unwrap_or(reason);
                Self::Lost { reason: String::from_utf8_lossy(reason).into_owned() }
            }
            11 => Self::Hold,
            12 => Self::Damaged,
            13 => Self::Copied { pages: r.u8("page count")? },
            _ => return Err(r.malformed("recovery kind")),
        };
        r.end("end of recovery message")?;
        Ok(message)
    }
}

fn epoch(r: &mut Reader<'_>) -> Result<Epoch, Malformed> {
    r.u64("epoch").map(Epoch)
}

fn parse_holdings(r: &mut Reader<'_>) -> Result<Holdings, Malformed> {
    let committed = epoch(r)?;
    let done = r.u8("done")? != 0;
    let set = |r: &mut Reader<'_>| {
        let count = count_to(r, 2 * (MAX_RANKS + MAX_PIECES), "holding count")?;
        (0..count)
            .map(|_| Ok::<_, Malformed>((Rank(r.u16("rank")?), epoch(r)?)))
            .collect::<Result<_, _>>()
    };
    let (whole, damaged) = (set(r)?, set(r)?);
    let kept_in = ViewId(r.u64("view")?);
    let count = count_to(r, MAX_RANKS, "kept count")?;
    let keeps = (0..count).map(|_| Ok(Rank(r.u16("rank")?))).collect::<Result<_, _>>()?;
    let ran_in = ViewId(r.u64("view")?);
    let ranks = count_to(r, MAX_RANKS, "rank count")?;
    let of = |r: &mut Reader<'_>| {
        let count = count_to(r, MAX_NODES, "holder count")?;
        (0..count).map(|_| r.u16("holder").map(NodeId)).collect()
    };
    let holders = (0..ranks).map(|_| of(r)).collect::<Result<_, _>>()?;
    Ok(Holdings { committed, done, whole, damaged, kept_in, keeps, ran_in, holders })
}

fn count_to(r: &mut Reader<'_>, most: usize, what: &'static str) -> Result<usize, Malformed> {
    let count = usize::from(r.u16(what)?);
    if count > most { Err(r.malformed(what)) } else { Ok(count) }
}

fn parse_transfers(r: &mut Reader<'_>) -> Result<Vec<Transfer>, Malformed> {
    let count = usize::from(r.u16("transfer count")?);
    if count > MAX_TRANSFERS {
        return Err(r.malformed("transfer count"));
    }
    (0..count)
        .map(|_| {
            let (rank, target) = (Rank(r.u16("rank")?), Rank(r.u16("target")?));
            Ok(Transfer { rank, target, from: NodeId(r.u16("from")?), to: NodeId(r.u16("to")?) })
        })
        .collect()
}
