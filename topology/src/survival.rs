//! What a topology survives, in words.

use crate::model::{Node, OnExhausted, Runtime, Topology};
use runtime_core::checkpoint::Redundancy;
use runtime_core::checkpoint::survival::{Layout, Refusal, Survival};
use runtime_core::id::{NodeId, Rank};
use runtime_core::node::Member;

/// So many sets of nodes that may not die together are named.
const NAMED: usize = 2;

/// The nodes as their runtime knows them, and after them their seats, if they have any.
pub(crate) fn members(nodes: &[Node], runtime: &Runtime) -> Vec<Member> {
    let member = |n: &Node| Member { role: n.role, board: n.board, image: n.image, host: None };
    let members = nodes.iter().map(member).collect();
    match runtime.on_exhausted {
        OnExhausted::Stop => members,
        OnExhausted::DoubleUp => Member::with_seats(members),
    }
}

/// What decides whether deaths are survived.
pub(crate) fn layout<'a>(members: &'a [Member], runtime: &Runtime) -> Layout<'a> {
    Layout { members, quorum: runtime.quorum, redundancy: runtime.redundancy }
}

impl Topology {
    /// What the topology survives, by the rules that its nodes follow.
    #[must_use]
    pub fn survival(&self) -> Survival {
        layout(&members(&self.nodes, &self.runtime), &self.runtime).survival()
    }

    /// One sentence: `survives any 1 node, or board a; does not survive n1 and n2 together (…)`.
    pub(crate) fn survival_words(&self, survival: &Survival) -> String {
        let (may, may_not) = (self.survived(survival), self.fatal(survival));
        let doubling = match self.runtime.on_exhausted {
            OnExhausted::Stop => "",
            OnExhausted::DoubleUp => "; with no standby left, a survivor hosts two ranks",
        };
        let words = match (survival.any, may_not.is_empty()) {
            (_, true) => format!("survives {may}"),
            (0, false) if survival.fatal.len() == survival.sets => {
                format!("survives {may}: {may_not}")
            }
            _ => format!("survives {may}; does not survive {may_not}"),
        };
        words + doubling
    }

    fn survived(&self, survival: &Survival) -> String {
        let nodes = |n: usize| format!("any {n} node{}", if n == 1 { "" } else { "s" });
        let mut words = match survival.any {
            0 => {
                let fatal = |node: NodeId| survival.fatal.iter().any(|(dead, _)| dead == &[node]);
                let left = self.nodes.iter().map(|n| n.id).filter(|node| !fatal(*node));
                let left: Vec<NodeId> = left.collect();
                if left.is_empty() { "no death of a node".into() } else { self.names(&left, "or") }
            }
            n => nodes(n),
        };
        let boards = survival.boards.iter().filter(|(_, refusal)| refusal.is_none());
        let boards: Vec<&str> = boards.map(|(board, _)| self.board_name(*board)).collect();
        if !boards.is_empty() {
            words += &format!(", or board {}", list(&boards, "or"));
        }
        if survival.in_a_row > survival.any {
            words += &format!(", or {} one after another", nodes(survival.in_a_row));
        }
        words
    }

    /// One set for each reason first, then others, and how many there are besides.
    fn fatal(&self, survival: &Survival) -> String {
        let (fatal, size) = (&survival.fatal, survival.any + 1);
        let kind = |at: usize| std::mem::discriminant(&fatal[at].1);
        let all = fatal.len() == survival.sets && (0..fatal.len()).all(|at| kind(at) == kind(0));
        let mut words = Vec::new();
        match fatal.first() {
            Some((_, refusal)) if all && size == 1 => return self.reason(*refusal),
            Some((_, refusal)) if all => {
                words.push(format!("any {size} at once ({})", self.reason(*refusal)));
            }
            _ => {
                let first_of_kind = |at: &usize| (0..*at).all(|before| kind(before) != kind(*at));
                let (first, others): (Vec<usize>, Vec<usize>) =
                    (0..fatal.len()).partition(first_of_kind);
                let named = first.len().max(NAMED);
                let shown = first.into_iter().chain(others).take(named);
                for (dead, refusal) in shown.map(|at| &fatal[at]) {
                    let together = if size > 1 { " together" } else { "" };
                    let nodes = self.names(dead, "and");
                    words.push(format!("{nodes}{together} ({})", self.reason(*refusal)));
                }
                match (fatal.len().saturating_sub(named), size) {
                    (0, _) => {}
                    (more, 1) => words.push(format!("{more} more")),
                    (1, 2) => words.push("one more pair".into()),
                    (more, 2) => words.push(format!("{more} more pairs")),
                    (more, _) => words.push(format!("{more} more sets of {size}")),
                }
            }
        }
        for (board, refusal) in &survival.boards {
            if let Some(refusal) = refusal {
                let name = self.board_name(*board);
                words.push(format!("board {name} ({})", self.reason(*refusal)));
            }
        }
        words.join(", nor ")
    }

    fn reason(&self, refusal: Refusal) -> String {
        let host = |rank: Rank| self.compute().nth(rank.index()).map_or("?", |n| n.name.as_str());
        match refusal {
            Refusal::NoMajority { left, members } => {
                format!("{left} of {members} is no majority")
            }
            Refusal::NoStandby(rank) if self.runtime.on_exhausted == OnExhausted::DoubleUp => {
                format!(
                    "each node has room for two ranks, and there is none for {rank} of {}",
                    host(rank)
                )
            }
            Refusal::NoStandby(rank) => format!("no standby for {rank} of {}", host(rank)),
            Refusal::NoCopy(rank) => match self.runtime.redundancy {
                Redundancy::Copies(0) => format!("{rank} of {} has no copy", host(rank)),
                Redundancy::Copies(_) => format!("{rank} of {} and all its copies", host(rank)),
                Redundancy::Parity(_) => {
                    format!("{rank} of {} and too much of its group", host(rank))
                }
            },
        }
    }

    fn board_name(&self, board: u16) -> &str {
        self.boards.get(usize::from(board)).map_or("?", String::as_str)
    }

    pub(crate) fn names(&self, nodes: &[NodeId], last: &str) -> String {
        list(&nodes.iter().map(|n| self.name_of(*n)).collect::<Vec<&str>>(), last)
    }
}

/// `n1, n2 and n3`.
fn list(names: &[&str], last: &str) -> String {
    match names.split_last() {
        Some((end, [])) => (*end).into(),
        Some((end, others)) => format!("{} {last} {end}", others.join(", ")),
        None => String::new(),
    }
}
