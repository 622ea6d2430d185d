//! What members say to each other about views.

use super::{Ballot, View};
use crate::id::{Generation, Job, NodeId, ViewId};
use crate::limits::{MAX_NODES, MAX_RANKS};
use crate::sorted::Map;
use crate::wire::{Malformed, Reader, Writer};
use alloc::vec::Vec;

/// A message of the agreement on `view`, or the outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Phase 1: promise to take part in no lower ballot.
    Prepare {
        /// The view to agree on.
        view: ViewId,
        /// The attempt.
        ballot: Ballot,
    },
    /// Promised, with what was accepted before, if anything.
    Promise {
        /// The view to agree on.
        view: ViewId,
        /// The attempt.
        ballot: Ballot,
        /// The value accepted in the highest earlier ballot.
        accepted: Option<(Ballot, View)>,
    },
    /// Phase 2: accept this value.
    Accept {
        /// The attempt.
        ballot: Ballot,
        /// The view proposed.
        value: View,
    },
    /// Accepted.
    Accepted {
        /// The view to agree on.
        view: ViewId,
        /// The attempt.
        ballot: Ballot,
    },
    /// The view is agreed.
    Install(View),
    /// The sender cannot reach a member.
    Suspect {
        /// The view that holds for the sender.
        view: ViewId,
        /// Whom.
        node: NodeId,
    },
    /// The sender can reach a member again that it suspected.
    Trust {
        /// The view that holds for the sender.
        view: ViewId,
        /// Whom.
        node: NodeId,
    },
    /// The sender is no member in this life of it, and asks to be one.
    Join {
        /// Which life.
        generation: Generation,
        /// The job that it knows of.
        job: Job,
    },
    /// To the coordinator: the sender and this node, in this life of it, hear each other.
    Vouch {
        /// The view that holds for the sender.
        view: ViewId,
        /// Who wants to be a member.
        node: NodeId,
        /// In which life.
        generation: Generation,
    },
}

const PREPARE: u8 = 1;
const PROMISE: u8 = 2;
const ACCEPT: u8 = 3;
const ACCEPTED: u8 = 4;
const INSTALL: u8 = 5;
const SUSPECT: u8 = 6;
const TRUST: u8 = 7;
const JOIN: u8 = 8;
const VOUCH: u8 = 9;

impl Message {
    /// As bytes.
    #[must_use]
    pub fn emit(&self) -> Vec<u8> {
        let mut w = Writer::new();
        match self {
            Self::Prepare { view, ballot } => {
                w.u8(PREPARE).u64(view.0);
                emit_ballot(&mut w, *ballot);
            }
            Self::Promise { view, ballot, accepted } => {
                w.u8(PROMISE).u64(view.0);
                emit_ballot(&mut w, *ballot);
                w.u8(u8::from(accepted.is_some()));
                if let Some((ballot, value)) = accepted {
                    emit_ballot(&mut w, *ballot);
                    emit_view(&mut w, value);
                }
            }
            Self::Accept { ballot, value } => {
                w.u8(ACCEPT);
                emit_ballot(&mut w, *ballot);
                emit_view(&mut w, value);
            }
            Self::Accepted { view, ballot } => {
                w.u8(ACCEPTED).u64(view.0);
                emit_ballot(&mut w, *ballot);
            }
            Self::Install(view) => {
                w.u8(INSTALL);
                emit_view(&mut w, view);
            }
            Self::Suspect { view, node } => {
                w.u8(SUSPECT).u64(view.0).u16(node.0);
            }
            Self::Trust { view, node } => {
                w.u8(TRUST).u64(view.0).u16(node.0);
            }
            Self::Join { generation, job } => {
                w.u8(JOIN).u32(generation.0).u32(job.0);
            }
            Self::Vouch { view, node, generation } => {
                w.u8(VOUCH).u64(view.0).u16(node.0).u32(generation.0);
            }
        }
        w.into_vec()
    }

    /// From bytes.
    ///
    /// # Errors
    /// When the bytes are no such message.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let message = match r.u8("membership kind")? {
            PREPARE => Self::Prepare { view: ViewId(r.u64("view")?), ballot: ballot(&mut r)? },
            PROMISE => {
                let view = ViewId(r.u64("view")?);
                let promised = ballot(&mut r)?;
                let accepted = match r.u8("accepted flag")? {
                    0 => None,
                    _ => Some((ballot(&mut r)?, parse_view(&mut r)?)),
                };
                Self::Promise { view, ballot: promised, accepted }
            }
            ACCEPT => Self::Accept { ballot: ballot(&mut r)?, value: parse_view(&mut r)? },
            ACCEPTED => Self::Accepted { view: ViewId(r.u64("view")?), ballot: ballot(&mut r)? },
            INSTALL => Self::Install(parse_view(&mut r)?),
            JOIN => {
                Self::Join { generation: Generation(r.u32("generation")?), job: Job(r.u32("job")?) }
            }
            VOUCH => Self::Vouch {
                view: ViewId(r.u64("view")?),
                node: NodeId(r.u16("joining")?),
                generation: Generation(r.u32("generation")?),
            },
            TRUST => Self::Trust { view: ViewId(r.u64("view")?), node: NodeId(r.u16("trusted")?) },
            SUSPECT => {
                Self::Suspect { view: ViewId(r.u64("view")?), node: NodeId(r.u16("suspect")?) }
            }
            _ => return Err(r.malformed("membership kind")),
        };
        r.end("end of membership message")?;
        Ok(message)
    }
}

fn emit_ballot(w: &mut Writer, ballot: Ballot) {
    w.u32(ballot.round).u16(ballot.by.0);
}

fn ballot(r: &mut Reader<'_>) -> Result<Ballot, Malformed> {
    Ok(Ballot { round: r.u32("ballot round")?, by: NodeId(r.u16("ballot node")?) })
}

fn emit_view(w: &mut Writer, view: &View) {
    w.u64(view.id.0).u16(u16::try_from(view.members.len()).unwrap_or(u16::MAX));
    for (node, generation) in &view.members {
        w.u16(node.0).u32(generation.0);
    }
    w.u16(view.rank_count());
    for host in &view.ranks {
        w.u16(host.0);
    }
}

fn parse_view(r: &mut Reader<'_>) -> Result<View, Malformed> {
    let id = ViewId(r.u64("view id")?);
    let members = usize::from(r.u16("member count")?);
    if members > MAX_NODES {
        return Err(r.malformed("member count"));
    }
    let members = (0..members)
        .map(|_| Ok((NodeId(r.u16("member")?), Generation(r.u32("generation")?))))
        .collect::<Result<Map<_, _>, Malformed>>()?;
    let ranks = usize::from(r.u16("rank count")?);
    if ranks > MAX_RANKS {
        return Err(r.malformed("rank count"));
    }
    let ranks = (0..ranks).map(|_| Ok(NodeId(r.u16("host")?))).collect::<Result<_, Malformed>>()?;
    Ok(View { id, members, ranks })
}
