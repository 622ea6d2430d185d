//! What may befall a run besides death: nodes that stand still for a while, ways that are cut and heal, memory
//! that goes bad.

use super::Run;
use runtime_core::id::{NodeId, Rank};
use std::fmt;

/// Something that befalls the nodes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node stands still for so many milliseconds, and wakes up.
    Pause(NodeId, u64),
    /// Nothing passes from the first to the second for so many milliseconds.
    OneWay(NodeId, NodeId, u64),
    /// Nor from the second to the first.
    Cut(NodeId, NodeId, u64),
    /// Cut and healed so many times, for so many milliseconds each.
    Flap(NodeId, NodeId, u8, u64),
    /// The nodes below this one and the others cannot reach each other, for so many milliseconds.
    Split(NodeId, u64),
    /// The node's copy of the rank goes bad.
    Damage(NodeId, Rank),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause(node, ms) => write!(f, "pause {node} for {ms} ms"),
            Self::OneWay(from, to, ms) => write!(f, "cut {from} to {to} for {ms} ms"),
            Self::Cut(a, b, ms) => write!(f, "cut {a} and {b} for {ms} ms"),
            Self::Flap(a, b, times, ms) => write!(f, "flap {a} and {b} {times} times {ms} ms"),
            Self::Split(at, ms) => write!(f, "split below {at} for {ms} ms"),
            Self::Damage(node, rank) => write!(f, "damage {rank} on {node}"),
        }
    }
}

/// What a fault does, now or later.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    Cut(NodeId, NodeId),
    Heal(NodeId, NodeId),
    Wake(NodeId),
}

const MS: u64 = 1_000_000;

impl Run {
    /// It befalls them now.
    pub fn befall(&mut self, fault: Fault) {
        let now = self.world.now_ns();
        match fault {
            Fault::Pause(node, ms) => {
                self.promise.trouble(node);
                self.world.pause(node);
                self.deeds.push((now + ms * MS, Deed::Wake(node)));
            }
            Fault::OneWay(from, to, ms) => self.cut_for(from, to, now, ms),
            Fault::Cut(a, b, ms) => {
                self.cut_for(a, b, now, ms);
                self.cut_for(b, a, now, ms);
            }
            Fault::Flap(a, b, times, ms) => {
                for i in 0..u64::from(times) {
                    self.cut_for(a, b, now + 2 * i * ms * MS, ms);
                    self.cut_for(b, a, now + 2 * i * ms * MS, ms);
                }
            }
            Fault::Split(at, ms) => {
                let nodes = self.world.nodes();
                for (a, b) in nodes.clone().flat_map(|a| nodes.clone().map(move |b| (a, b))) {
                    if (a < at) != (b < at) {
                        self.cut_for(a, b, now, ms);
                    }
                }
            }
            Fault::Damage(node, rank) => {
                self.promise.damage(node, rank);
                self.world.damage(node, rank);
            }
        }
        self.do_what_is_due();
    }

    fn cut_for(&mut self, from: NodeId, to: NodeId, at: u64, ms: u64) {
        // Either may be taken for dead by the others.
        self.promise.trouble(from);
        self.promise.trouble(to);
        self.deeds.push((at, Deed::Cut(from, to)));
        self.deeds.push((at + ms * MS, Deed::Heal(from, to)));
    }

    pub(super) fn deeds_are_due(&self) -> bool {
        let next = self.world.next_at();
        self.deeds.iter().any(|(at, _)| next.is_none_or(|step| *at <= step))
    }

    /// What is to be done before the next step is done at its time.
    pub(super) fn do_what_is_due(&mut self) {
        let next = self.deeds.iter().map(|(at, _)| *at).min();
        if let Some(at) = next
            && self.world.next_at().is_none_or(|step| at <= step)
        {
            self.world.pass_time_until(at);
        }
        let now = self.world.now_ns();
        let due: Vec<Deed> = self.deeds.extract_if(.., |(at, _)| *at <= now).map(|d| d.1).collect();
        for deed in due {
            match deed {
                Deed::Cut(from, to) => {
                    let seen = self.world.is_stream(from, to) && self.world.death_is_seen();
                    self.world.cut(from, to, seen);
                }
                Deed::Heal(from, to) => self.world.heal(from, to),
                Deed::Wake(node) => self.world.wake(node),
            }
        }
    }
}
