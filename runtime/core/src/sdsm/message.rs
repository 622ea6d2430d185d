//! What the sides of two ranks say to each other.

use super::{Interval, Runs};
use crate::id::{LockId, PageNo, Rank};
use crate::limits::{MAX_SHARED_PAGES, PAGE_SIZE};
use crate::mem::PageBytes;
use crate::node::{Call, CallError, Distribution};
use crate::wire::{Malformed, Reader, Writer};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Is a collective call a checkpoint that the runtime wants?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saves {
    /// No; the program may.
    No,
    /// Yes, and ranks go on at once.
    Overlapped,
    /// Yes, and ranks wait for the commit.
    Held,
}

/// What changed in pages.
pub type Diffs = Vec<(PageNo, Vec<u8>)>;

/// A message between two ranks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    // To the receive side.
    /// Send me this page; I have passed so many collective calls.
    Fetch(PageNo, u32),
    /// Apply these diffs to pages that you are home of; I have passed so many collective calls.
    Diffs(u32, Diffs),
    /// Who is home of this page? You, its directory, say who touched it first.
    Touch(PageNo),
    /// I want this lock; my vector time.
    Lock(LockId, Vec<u32>),
    /// I release this lock; my vector time, and intervals that you may not know.
    Unlock(LockId, Vec<u32>, Vec<Interval>),
    /// I arrived at my `seq`-th collective call; my last interval, and the pages I wrote since the
    /// call before.
    Arrive {
        /// Number of the collective call, from 1.
        seq: u32,
        /// Which one.
        call: Call,
        /// Last interval of this rank.
        interval: u32,
        /// Does it hold a lock?
        locks: bool,
        /// Pages written.
        pages: Runs,
    },
    // To the compute side.
    /// The page.
    Page(PageNo, Box<PageBytes>),
    /// One message of diffs is applied.
    Applied,
    /// The home of a page.
    Home(PageNo, Rank),
    /// The lock is yours; vector time of its last release, and intervals that you have not seen.
    Grant(LockId, Vec<u32>, Vec<Interval>),
    /// All ranks arrived.
    Release {
        /// Number of the collective call.
        seq: u32,
        /// The call, or why it is refused.
        outcome: Result<(), CallError>,
        /// Is it a checkpoint, though the program did not ask for one?
        saves: Saves,
        /// Vector time of all.
        time: Vec<u32>,
        /// Pages that each rank wrote.
        pages: Vec<Runs>,
    },
}

impl Message {
    /// As bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(64);
        match self {
            Self::Fetch(page, passed) => {
                w.u8(1).u32(page.0).u32(*passed);
            }
            Self::Diffs(passed, diffs) => {
                w.u8(2).u32(*passed).u16(u16::try_from(diffs.len()).unwrap_or(u16::MAX));
                for (page, diff) in diffs {
                    // A diff is never longer than its page and a run header for every other byte.
                    w.u32(page.0).u16(u16::try_from(diff.len()).unwrap_or(u16::MAX)).bytes(diff);
                }
            }
            Self::Touch(page) => {
                w.u8(3).u32(page.0);
            }
            Self::Lock(lock, time) => {
                w.u8(4).u32(lock.0);
                emit_time(&mut w, time);
            }
            Self::Unlock(lock, time, intervals) => {
                w.u8(5).u32(lock.0);
                emit_time(&mut w, time);
                emit_intervals(&mut w, intervals);
            }
            Self::Arrive { seq, call, interval, locks, pages } => {
                w.u8(6).u32(*seq).u32(*interval).u8(u8::from(*locks));
                emit_call(&mut w, *call);
                pages.emit(&mut w);
            }
            Self::Page(page, bytes) => {
                w.u8(7).u32(page.0).bytes(&bytes[..]);
            }
            Self::Applied => {
                w.u8(8);
            }
            Self::Home(page, rank) => {
                w.u8(9).u32(page.0).u16(rank.0);
            }
            Self::Grant(lock, time, intervals) => {
                w.u8(10).u32(lock.0);
                emit_time(&mut w, time);
                emit_intervals(&mut w, intervals);
            }
            Self::Release { seq, outcome, saves, time, pages } => {
                w.u8(11).u32(*seq).u8(outcome_code(*outcome)).u8(*saves as u8);
                emit_time(&mut w, time);
                pages.iter().for_each(|runs| runs.emit(&mut w));
            }
        }
        w.into_vec()
    }

    /// From bytes, in a program of `ranks` ranks.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn parse(bytes: &[u8], ranks: u16) -> Result<Self, Malformed> {
        let r = &mut Reader::new(bytes);
        let message = match r.u8("message kind")? {
            1 => Self::Fetch(page(r)?, r.u32("passed")?),
            2 => Self::Diffs(r.u32("passed")?, parse_diffs(r)?),
            3 => Self::Touch(page(r)?),
            4 => Self::Lock(LockId(r.u32("lock")?), parse_time(r, ranks)?),
            5 => {
                let lock = LockId(r.u32("lock")?);
                Self::Unlock(lock, parse_time(r, ranks)?, parse_intervals(r, ranks)?)
            }
            6 => {
                let (seq, interval) = (r.u32("seq")?, r.u32("interval")?);
                let locks = r.u8("locks")? != 0;
                Self::Arrive { seq, interval, locks, call: parse_call(r)?, pages: Runs::parse(r)? }
            }
            7 => Self::Page(page(r)?, Box::new(r.array::<PAGE_SIZE>("page")?)),
            8 => Self::Applied,
            9 => Self::Home(page(r)?, rank(r, ranks)?),
            10 => {
                let lock = LockId(r.u32("lock")?);
                Self::Grant(lock, parse_time(r, ranks)?, parse_intervals(r, ranks)?)
            }
            11 => Self::Release {
                seq: r.u32("seq")?,
                outcome: parse_outcome(r)?,
                saves: parse_saves(r)?,
                time: parse_time(r, ranks)?,
                pages: (0..ranks).map(|_| Runs::parse(r)).collect::<Result<_, _>>()?,
            },
            _ => return Err(r.malformed("message kind")),
        };
        r.end("end of message")?;
        Ok(message)
    }
}

fn page(r: &mut Reader<'_>) -> Result<PageNo, Malformed> {
    let page = r.u32("page number")?;
    if page < MAX_SHARED_PAGES { Ok(PageNo(page)) } else { Err(r.malformed("page number")) }
}

fn rank(r: &mut Reader<'_>, ranks: u16) -> Result<Rank, Malformed> {
    let rank = r.u16("rank")?;
    if rank < ranks { Ok(Rank(rank)) } else { Err(r.malformed("rank")) }
}

fn parse_diffs(r: &mut Reader<'_>) -> Result<Diffs, Malformed> {
    (0..r.u16("diff count")?)
        .map(|_| {
            let page = page(r)?;
            let length = usize::from(r.u16("diff length")?);
            Ok((page, r.bytes(length, "diff")?.to_vec()))
        })
        .collect()
}

fn emit_time(w: &mut Writer, time: &[u32]) {
    for seq in time {
        w.u32(*seq);
    }
}

fn parse_time(r: &mut Reader<'_>, ranks: u16) -> Result<Vec<u32>, Malformed> {
    (0..ranks).map(|_| r.u32("vector time")).collect()
}

fn emit_intervals(w: &mut Writer, intervals: &[Interval]) {
    w.u32(u32::try_from(intervals.len()).unwrap_or(u32::MAX));
    for interval in intervals {
        w.u16(interval.rank.0).u32(interval.seq);
        interval.pages.emit(w);
    }
}

fn parse_intervals(r: &mut Reader<'_>, ranks: u16) -> Result<Vec<Interval>, Malformed> {
    let mut intervals = Vec::new();
    for _ in 0..r.u32("interval count")? {
        let rank = rank(r, ranks)?;
        intervals.push(Interval { rank, seq: r.u32("interval")?, pages: Runs::parse(r)? });
    }
    Ok(intervals)
}

fn emit_call(w: &mut Writer, call: Call) {
    match call {
        Call::Barrier => {
            w.u8(1);
        }
        Call::Checkpoint => {
            w.u8(2);
        }
        Call::Alloc { bytes, distribution } => {
            w.u8(3).u64(bytes);
            emit_distribution(w, distribution);
        }
        // No collective calls; never sent.
        Call::Lock(_) | Call::Unlock(_) | Call::Exit => {
            w.u8(0);
        }
    }
}

fn parse_call(r: &mut Reader<'_>) -> Result<Call, Malformed> {
    Ok(match r.u8("call")? {
        1 => Call::Barrier,
        2 => Call::Checkpoint,
        3 => Call::Alloc { bytes: r.u64("bytes")?, distribution: parse_distribution(r)? },
        _ => return Err(r.malformed("call")),
    })
}

pub(super) fn emit_distribution(w: &mut Writer, distribution: Distribution) {
    match distribution {
        Distribution::Block => w.u8(1).u32(0),
        Distribution::Cyclic(run) => w.u8(2).u32(run),
        Distribution::On(rank) => w.u8(3).u32(u32::from(rank.0)),
        Distribution::FirstTouch => w.u8(4).u32(0),
    };
}

pub(super) fn parse_distribution(r: &mut Reader<'_>) -> Result<Distribution, Malformed> {
    let (kind, argument) = (r.u8("distribution")?, r.u32("distribution argument")?);
    Ok(match kind {
        1 => Distribution::Block,
        2 => Distribution::Cyclic(argument),
        3 => match u16::try_from(argument) {
            Ok(rank) => Distribution::On(Rank(rank)),
            Err(_) => return Err(r.malformed("distribution argument")),
        },
        4 => Distribution::FirstTouch,
        _ => return Err(r.malformed("distribution")),
    })
}

fn parse_saves(r: &mut Reader<'_>) -> Result<Saves, Malformed> {
    Ok(match r.u8("saves")? {
        0 => Saves::No,
        1 => Saves::Overlapped,
        2 => Saves::Held,
        _ => return Err(r.malformed("saves")),
    })
}

const fn outcome_code(outcome: Result<(), CallError>) -> u8 {
    match outcome {
        Ok(()) => 0,
        Err(CallError::NoMemory) => 1,
        Err(CallError::BadArgument) => 2,
        Err(CallError::LockState) => 3,
    }
}

fn parse_outcome(r: &mut Reader<'_>) -> Result<Result<(), CallError>, Malformed> {
    Ok(match r.u8("outcome")? {
        0 => Ok(()),
        1 => Err(CallError::NoMemory),
        2 => Err(CallError::BadArgument),
        3 => Err(CallError::LockState),
        _ => return Err(r.malformed("outcome")),
    })
}
