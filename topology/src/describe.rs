//! The topology in words.

use crate::model::{
    Expectation, Fault, Node, OnExhausted, Program, Strike, Topology, Transport, Trigger,
};
use crate::units::{show_duration, show_size};
use runtime_core::node::{Binding, Image, Policy};
use std::time::Duration;

impl Topology {
    /// A few lines for people: what is there, what runs, what it survives, what will happen.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut lines = vec![self.nodes_line()];
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
        for fault in &self.faults {
            lines.push(format!("fault: {}", self.fault_words(fault)));
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
        lines.extend(self.faults.iter().map(|f| format!("fault: {}", self.fault_words(f))));
        lines
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
        let metal: Vec<&Node> = self.nodes.iter().filter(|n| n.image == Image::BareMetal).collect();
        let images = match metal.len() {
            0 => String::new(),
            n if n == self.nodes.len() => ", all bare metal".into(),
            _ => format!(", bare metal: {}", names(metal)),
        };
        format!("{}: {} compute ({compute}), {standbys}{images}", self.name, self.ranks())
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

    /// A fault in words: `kill n1 when checkpoint 2 is committed`.
    #[must_use]
    pub fn fault_words(&self, fault: &Fault) -> String {
        let victim = fault.node;
        let whose = |on| {
            if on == victim { String::new() } else { format!(" on {}", self.name_of(on)) }
        };
        let when = match &fault.trigger {
            Trigger::Start => "at the start".into(),
            Trigger::After(after) => format!("{} after the start", show_duration(*after)),
            Trigger::Checkpoint { epoch, phase, on } => {
                let phase = phase.event_kind().trim_start_matches("checkpoint-");
                format!("when checkpoint {epoch} is {phase}{}", whose(*on))
            }
            Trigger::Event { kind, nth, on } => {
                format!("at event {kind} number {nth}{}", whose(*on))
            }
        };
        let held = if fault.hold { ", held there" } else { "" };
        let (word, name) = (fault.strike.word(), self.name_of(victim));
        let what = match fault.strike {
            Strike::Migrate(rank) => format!("{word} {rank} to {name}"),
            Strike::Corrupt(rank) => format!("{word} the copy of {rank} on {name}"),
            _ => format!("{word} {name}"),
        };
        format!("{what} {when}{held}")
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
        }
    }
}
