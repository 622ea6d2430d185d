//! The topology in words.

mod network;

use crate::model::{
    Expectation, Fault, Node, OnExhausted, Outcome, Program, Shown, Sight, Strike, Target,
    Topology, Transport, Trigger, Way, board_bytes,
};
use crate::units::{show_duration, show_size};
use runtime_core::id::NodeId;
use runtime_core::node::{Binding, Image, Policy};
use std::time::Duration;

impl Topology {
    /// A few lines for people: what is there, what runs, what it survives, what will happen.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut lines = vec![self.nodes_line()];
        lines.extend(self.board_lines());
        lines.extend(self.network_lines());
        if let Some(program) = self.run.as_ref().and_then(|run| run.program.as_ref()) {
            lines.extend(self.program_lines(program));
            return lines.join("\n");
        }
        if let Some(run) = &self.run {
            let args: Vec<String> = run.args.iter().map(|(k, v)| format!("{k} {v}")).collect();
            let args =
                if args.is_empty() { String::new() } else { format!(" ({})", args.join(", ")) };
            lines.push(format!("runs {}{args} on {}", run.workload, self.runtime_words()));
        }
        let survival = self.survival();
        lines.push(self.survival_words(&survival));
        lines.push(self.memory_words(&survival));
        for item in 0..self.fault_items() {
            lines.push(format!("fault: {}", self.fault_words(item)));
        }
        for expectation in &self.expectations {
            lines.push(format!("expects: {}", self.expectation_words(expectation)));
        }
        lines.join("\n")
    }

    /// What is to be said of a program on MCAPI in place of ranks and copies.
    fn program_lines(&self, program: &Program) -> Vec<String> {
        let limit = show_duration(program.timeout);
        let (path, over) = (program.path.display(), self.transport_words());
        let name = |node: &Node| {
            let names = node.mcapi.iter().map(|name| format!("{}-{}", name.domain, name.node));
            format!("{} on {}", names.collect::<Vec<_>>().join(", "), node.name)
        };
        let names: Vec<String> = self.nodes.iter().map(name).collect();
        let runs = format!("runs {path} on each node, for {limit} at most, on MCAPI over {over}");
        let mut lines = vec![runs, format!("MCAPI nodes: {}", names.join("; "))];
        lines.extend(self.board_ways_lines());
        lines.extend(self.memory_link_lines());
        let faults = 0..self.fault_items();
        lines.extend(faults.map(|item| format!("fault: {}", self.fault_words(item))));
        lines
    }

    /// Boards through whose memory MCAPI nodes talk, in place of links.
    fn board_ways_lines(&self) -> impl Iterator<Item = String> {
        (0..).zip(&self.boards).zip(&self.board_carries).filter_map(|((board, name), carries)| {
            let ways = self.board_ways(board).len();
            (*carries && ways > 0).then(|| {
                let needs = board_bytes(ways) >> 10;
                format!(
                    "MCAPI between guests of board {name} goes through its memory, with {needs} KiB"
                )
            })
        })
    }

    /// Pairs of guests that do so on a board of which the others do not.
    fn memory_link_lines(&self) -> impl Iterator<Item = String> {
        let apart = |[one, _]: &&[NodeId; 2]| {
            let board = self.nodes[one.index()].board;
            !self.board_carries.get(usize::from(board)).is_some_and(|carries| *carries)
        };
        self.memory_links.iter().filter(apart).map(|[one, other]| {
            let board = &self.boards[usize::from(self.nodes[one.index()].board)];
            let [one, other] = [one, other].map(|node| self.name_of(*node));
            format!("MCAPI between {one} and {other} goes through the memory of board {board}")
        })
    }

    fn nodes_line(&self) -> String {
        let names = |nodes: Vec<&Node>| {
            nodes.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (compute, standby) =
            (names(self.compute().collect()), names(self.standbys().collect()));
        let standbys = match self.standbys().count() {
            0 => "no standby".into(),
            n => format!("{n} standby ({standby})"),
        };
        let of = |image, words: &str| {
            let of: Vec<&Node> = self.nodes.iter().filter(|n| n.image == image).collect();
            match of.len() {
                0 => String::new(),
                n if n == self.nodes.len() => format!(", all {words}"),
                _ => format!(", {words}: {}", names(of)),
            }
        };
        let metal = of(Image::BareMetal, "bare metal");
        let arm = of(Image::LinuxAarch64, "aarch64");
        format!("{}: {} compute ({compute}), {standbys}{metal}{arm}", self.name, self.ranks())
    }

    /// Boards whose guests share memory.
    fn board_lines(&self) -> impl Iterator<Item = String> {
        let shared = self.boards.iter().zip(&self.board_memory).enumerate();
        shared.filter(|(_, (_, bytes))| **bytes > 0).map(|(board, (name, bytes))| {
            let on = |node: &&Node| usize::from(node.board) == board && node.image == Image::Linux;
            let nodes: Vec<&str> = self.nodes.iter().filter(on).map(|n| n.name.as_str()).collect();
            format!("board {name}: {} of memory shared by {}", show_size(*bytes), nodes.join(", "))
        })
    }

    /// Between which nodes which transport. Nodes that speak TCP at all do so among each other.
    fn transport_words(&self) -> String {
        let tcp: Vec<&str> = (self.links.iter().zip(&self.nodes))
            .filter(|(link, _)| link.transport == Transport::Tcp)
            .map(|(_, node)| node.name.as_str())
            .collect();
        match tcp.len() {
            n if n == self.nodes.len() => "TCP".into(),
            0 | 1 => "Ethernet".into(),
            _ => format!("TCP (among {}) and Ethernet", tcp.join(", ")),
        }
    }

    fn runtime_words(&self) -> String {
        let binding = match self.runtime.binding {
            Binding::Mcapi => format!("MCAPI over {}", self.transport_words()),
            Binding::Sockets => "plain TCP sockets".into(),
        };
        let time = |us: u64| show_duration(Duration::from_micros(us));
        let when = match self.runtime.checkpoint {
            Policy::Program => "checkpoints when the program asks".into(),
            Policy::Barriers(n) => format!("a checkpoint every {n} barriers"),
            Policy::EveryUs(us) => format!("a checkpoint every {}", time(us)),
            Policy::AutoUs(us) => {
                format!("checkpoints as often as pays with a failure every {}", time(us))
            }
        };
        format!("{binding}, {} shared, {when}", show_size(self.runtime.shared_bytes))
    }

    /// How many faults of the file there are.
    #[must_use]
    pub fn fault_items(&self) -> usize {
        self.faults.iter().map(|fault| fault.item + 1).max().unwrap_or(0)
    }

    /// A fault of the file in words: `kill n1 when checkpoint 2 is committed`.
    #[must_use]
    pub fn fault_words(&self, item: usize) -> String {
        let blows = || self.faults.iter().filter(|f| f.item == item && f.ends.is_none());
        let Some(first) = blows().next() else { return String::new() };
        let mut victims: Vec<Target> = Vec::new();
        for blow in blows() {
            if !victims.contains(&blow.target) {
                victims.push(blow.target);
            }
        }
        let names = victims.iter().map(|v| self.name_of_target(*v)).collect::<Vec<_>>().join(", ");
        let word = first.strike.word();
        let what = match first.strike {
            Strike::Migrate(rank) => format!("{word} {rank} to {names}"),
            Strike::Corrupt(rank) => format!("{word} the copy of {rank} on {names}"),
            Strike::Cut(way @ (Way::From | Way::To)) => self.cut_words(first.target, way, &names),
            Strike::Slow(percent) => format!("{word} {names} to {percent}%"),
            Strike::Fill(Some(leave)) => {
                format!("{word} the memory of {names} but {}", show_size(leave))
            }
            Strike::Degrade => self.degrade_words(first, &names),
            _ => format!("{word} {names}"),
        };
        let lasts = self.faults.iter().filter(|f| f.item == item).find_map(|f| f.ends);
        let lasts = lasts.map_or(String::new(), |lasts| format!(" for {}", show_duration(lasts)));
        let times = blows().filter(|blow| blow.target == first.target).count();
        let every = blows().filter(|blow| blow.target == first.target).nth(1);
        let again = match every.map(|blow| &blow.trigger) {
            Some(Trigger::Follows { delay, .. }) => {
                format!(", {times} times, every {}", show_duration(*delay))
            }
            Some(_) => format!(", {times} times"),
            None => String::new(),
        };
        let held = if first.hold { ", held there" } else { "" };
        format!("{what} {}{lasts}{again}{held}", self.trigger_words(first))
    }

    fn trigger_words(&self, fault: &Fault) -> String {
        let whose = |on| {
            let own = fault.node() == Some(on);
            if own { String::new() } else { format!(" on {}", self.name_of(on)) }
        };
        match &fault.trigger {
            Trigger::Start => "at the start".into(),
            Trigger::After(after) => format!("{} after the start", show_duration(*after)),
            Trigger::Random { from, to, .. } => {
                let [from, to] = [from, to].map(|t| show_duration(*t));
                format!("at random from {from} to {to} after the start")
            }
            Trigger::Checkpoint { epoch, phase, on } => {
                format!("when checkpoint {epoch} is {}{}", phase.word(), whose(*on))
            }
            Trigger::Barrier { number, on } => format!("at barrier {number}{}", whose(*on)),
            Trigger::Iteration { number, on } => format!("at iteration {number}{}", whose(*on)),
            Trigger::Event { kind, nth, on } => {
                format!("at event {kind} number {nth}{}", whose(*on))
            }
            Trigger::Follows { faults, delay } => {
                let before = faults.first().and_then(|f| self.faults.get(*f));
                let name = before.and_then(|f| f.name.as_deref()).unwrap_or("another fault");
                match *delay {
                    Duration::ZERO => format!("at the end of {name}"),
                    delay => format!("{} after the end of {name}", show_duration(delay)),
                }
            }
        }
    }

    fn sight_words(&self, sight: &Sight) -> String {
        let on = sight.on.map_or(String::new(), |on| format!(" on {}", self.name_of(on)));
        match &sight.shown {
            Shown::Event { kind, number: None } => format!("event {kind}{on}"),
            Shown::Event { kind, number: Some(n) } => format!("event {kind} of epoch {n}{on}"),
            Shown::Line(text) => format!("a line with \"{text}\"{on}"),
        }
    }

    fn fault_name(&self, item: usize) -> &str {
        let named = self.faults.iter().find(|f| f.item == item);
        named.and_then(|f| f.name.as_deref()).unwrap_or("a fault")
    }

    /// An expectation in words: `n3 takes over from n1 within 5s`.
    #[must_use]
    pub fn expectation_words(&self, expectation: &Expectation) -> String {
        match expectation {
            Expectation::ResultIsReference => {
                "the result of the sequential program, bit for bit".into()
            }
            Expectation::NoTakeover => "no takeover".into(),
            Expectation::Epochs(n) => format!("at least {n} checkpoints"),
            Expectation::Takeover { of, by, within } => {
                let anyone = match self.runtime.on_exhausted {
                    OnExhausted::Stop => "a standby",
                    OnExhausted::DoubleUp => "a standby or a survivor",
                };
                let by = by.map_or(anyone, |by| self.name_of(by));
                let within =
                    within.map_or(String::new(), |w| format!(" within {}", show_duration(w)));
                format!("{by} takes over from {}{within}", self.name_of(*of))
            }
            Expectation::Seen { sight, times, within, after } => {
                let often = if *times == 1 { String::new() } else { format!(" {times} times") };
                let since = after.map_or("the start", |item| self.fault_name(item));
                let when = match (within, after) {
                    (Some(within), _) => format!(" within {} of {since}", show_duration(*within)),
                    (None, Some(_)) => format!(" after {since}"),
                    (None, None) => String::new(),
                };
                format!("{}{often}{when}", self.sight_words(sight))
            }
            Expectation::Never(sight) => format!("never {}", self.sight_words(sight)),
            Expectation::Order(sights) => {
                sights.iter().map(|s| self.sight_words(s)).collect::<Vec<_>>().join(", then ")
            }
            Expectation::State { node, outcome } => {
                let outcome = match outcome {
                    Outcome::Dead => "is dead".into(),
                    Outcome::Rank(rank) => format!("is {rank}"),
                    Outcome::Standby => "is a standby".into(),
                    Outcome::Exited(code) => format!("has ended with code {code}"),
                };
                format!("{} {outcome} in the end", self.name_of(*node))
            }
            Expectation::Metric { metric, at_least, at_most } => {
                let bound = |word: &str, value: &Option<u64>| {
                    value.map(|value| format!("{word} {}", metric.show(value)))
                };
                let bounds = [bound("at least", at_least), bound("at most", at_most)];
                let bounds: Vec<String> = bounds.into_iter().flatten().collect();
                format!("{} {}", metric.word(), bounds.join(" and "))
            }
        }
    }
}
