//! Faults strike: what waits for its moment, what it does to a node, and what follows from it.

use super::armed::Armed;
use super::run::Dead;
use super::{Action, Dispatcher, Life, micros};
use crate::plan::{Backend, Fault, Target, number};
use crate::result::Death;
use crate::switch::LinkAction;
use images_control::sim::{SimStrike, Trigger};
use images_control::{ToNode, kind_of};
use netem::Change;
use runtime_core::event::Event as NodeEvent;
use runtime_core::id::{Epoch, Rank};
use std::time::Duration;
use topology::{Strike, Way};

impl Dispatcher {
    /// No fault can strike a node that is dead.
    pub(super) fn dead_but_needed(&self) -> Option<String> {
        if self.plan.backend == Backend::Sim {
            return None;
        }
        let comes_back = |node| {
            self.plan
                .faults
                .iter()
                .any(|f| f.target == Target::Node(node) && f.strike == Strike::Reboot)
        };
        let needed = |f: &Fault| match f.target {
            Target::Node(node) => self.nodes[node].life == Life::Dead && !comes_back(node),
            Target::Cable(_) => false,
        };
        let dead = self.plan.faults.iter().find(|f| needed(f))?;
        let Target::Node(node) = dead.target else { return None };
        let name = self.name(node);
        Some(format!(
            "{name} is dead, but a fault is to strike it ({}): take the cluster down and up again",
            dead.words
        ))
    }

    /// The world has done it already: what follows from it.
    pub(super) fn sim_struck(&mut self, now: Duration, target: Target, struck: SimStrike) {
        let waits = |a: &&mut Armed| {
            let strike = crate::plan::sim_strike(a.fault.strike);
            (a.fault.target, strike, a.fired) == (target, Some(struck), None)
        };
        let Some(armed) = self.run.as_mut().and_then(|r| r.faults.iter_mut().find(waits)) else {
            return;
        };
        armed.fire(now);
        let (strike, changes) = (armed.fault.strike, armed.fault.changes.clone());
        let node = match target {
            Target::Node(node) => node,
            Target::Cable(cable) => return self.tell_of_cable(strike, cable, changes.as_deref()),
        };
        if self.nodes[node].life != Life::Dead || strike == Strike::Reboot {
            self.feel(now, strike, node, changes.as_deref());
        }
    }

    /// Kills a node on purpose.
    pub(super) fn kill(&mut self, now: Duration, node: usize) {
        self.actions.extend(self.plan.with_seat(node).map(|node| Action::Kill { node }));
        self.died(now, node, "killed");
    }

    /// A fault of the plan strikes.
    fn let_strike(&mut self, now: Duration, fault: &Fault) {
        match fault.target {
            Target::Node(node) => self.strike(now, fault.strike, node, fault.changes.as_deref()),
            Target::Cable(cable) => {
                self.strike_cable(fault.strike, cable, fault.changes.as_deref())
            }
        }
    }

    /// A fault strikes a cable between switches. Nobody is away for that: who hears whom the nodes will find out.
    pub(super) fn strike_cable(
        &mut self,
        strike: Strike,
        cable: usize,
        changes: Option<&[Change; 2]>,
    ) {
        if let Some(what) = link_action(strike, changes) {
            let line = self.plan.machines() + cable;
            self.actions.push(Action::Link { line, what });
            self.tell_of_cable(strike, cable, changes);
        }
    }

    /// A fault has struck a cable.
    fn tell_of_cable(&mut self, strike: Strike, cable: usize, changes: Option<&[Change; 2]>) {
        let ends = self.plan.cable_ends(cable);
        let does = match (strike, changes) {
            (Strike::Cut(Way::Both), _) => "is cut".to_owned(),
            (Strike::Cut(Way::From), _) => format!("is cut from {} to {}", ends[0], ends[1]),
            (Strike::Cut(Way::To), _) => format!("is cut from {} to {}", ends[1], ends[0]),
            (Strike::Degrade, Some(changes)) => topology::cable_change_words(changes, ends),
            _ => "is as in the file".to_owned(),
        };
        let text = format!("cable {} {does}", self.plan.cables[cable].name);
        self.progress(0, 0, &text);
    }

    /// A fault strikes a node or its link. A node that is dead feels nothing but its own rebirth.
    pub(super) fn strike(
        &mut self,
        now: Duration,
        strike: Strike,
        node: usize,
        changes: Option<&[Change; 2]>,
    ) {
        if strike == Strike::Reboot {
            return self.restart(now, node);
        }
        let line = self.plan.machine_of(node);
        let link = link_action(strike, changes);
        self.actions.extend(link.map(|what| Action::Link { line, what }));
        let machine = self.plan.with_seat(node);
        if self.nodes[node].life == Life::Dead {
            // Its next life has the same link.
            match strike {
                Strike::Cut(way) => machine.for_each(|n| self.nodes[n].away = Some(cut_off(way))),
                Strike::Heal => machine.for_each(|n| self.nodes[n].away = None),
                _ => {}
            }
            return;
        }
        match strike {
            Strike::Kill => self.actions.extend(machine.map(|node| Action::Kill { node })),
            Strike::Pause | Strike::Resume => {
                let still = strike == Strike::Pause;
                self.actions.extend(machine.map(|node| Action::Freeze { node, still }));
            }
            Strike::Slow(percent) => {
                self.actions.extend(machine.map(|node| Action::Slow { node, percent }));
            }
            Strike::Crash => {
                let message = ToNode::Crash;
                let crash = machine.map(|node| Action::Send { node, message: message.clone() });
                self.actions.extend(crash);
            }
            Strike::Fill(leave) => {
                self.actions.push(Action::Send { node, message: ToNode::Fill { leave } });
            }
            Strike::Corrupt(Rank(rank)) => {
                self.actions.push(Action::Send { node, message: ToNode::Corrupt { rank } });
            }
            _ => {}
        }
        self.feel(now, strike, node, changes);
    }

    /// A fault has struck a node.
    fn feel(&mut self, now: Duration, strike: Strike, node: usize, changes: Option<&[Change; 2]>) {
        let was = self.nodes[node].away;
        let away = match strike {
            Strike::Kill => return self.died(now, node, "killed"),
            Strike::Crash => return self.died(now, node, "crashed"),
            Strike::Reboot => {
                if self.nodes[node].life != Life::Dead {
                    self.died(now, node, "killed");
                }
                return self.is_born_again(now, node);
            }
            Strike::Migrate(_) => return self.pursue_moves(),
            Strike::Corrupt(_) => return,
            Strike::Slow(100) => {
                let text = format!("{} runs as fast as it can again", self.name(node));
                return self.progress(0, 0, &text);
            }
            Strike::Slow(percent) => {
                let text = format!("{} is slowed to {percent}%", self.name(node));
                return self.progress(0, 0, &text);
            }
            Strike::Fill(leave) => {
                let does = if leave.is_some() { "is filled" } else { "is given back" };
                let text = format!("memory of {} {does}", self.name(node));
                return self.progress(0, 0, &text);
            }
            Strike::Pause => Some("paused"),
            Strike::Cut(way) => Some(cut_off(way)),
            Strike::Degrade => {
                let words = changes.map(topology::change_words).unwrap_or_default();
                let text = format!("the link of {}: {words}", self.name(node));
                return self.progress(0, 0, &text);
            }
            Strike::Heal if was == Some("paused") || was.is_none() => {
                let text = format!("the link of {} is as in the file", self.name(node));
                return self.progress(0, 0, &text);
            }
            Strike::Resume | Strike::Heal => None,
        };
        for node in self.plan.with_seat(node) {
            self.nodes[node].away = away;
        }
        match away {
            Some(how) => self.gone(now, node, how),
            None => {
                let name = self.name(node).to_owned();
                if let Some(run) = &mut self.run {
                    run.is_back(&name);
                }
                self.progress(0, 0, &format!("{name} is back: {}", strike.word()));
            }
        }
    }

    /// Moves that the plan asked for: are they done? If not, whoever leads now may not have heard of them.
    pub(super) fn pursue_moves(&mut self) {
        for (rank, to) in self.open_moves() {
            if self.hosts.get(rank.index()) == Some(&to) {
                let text = format!("{rank} is on {}", self.name(to));
                self.progress(0, 0, &text);
                self.settle(Strike::Migrate(rank), to, None);
            } else if self.plan.backend != Backend::Sim {
                self.tell_of_move(rank.0, to);
            }
        }
    }

    fn open_moves(&self) -> Vec<(Rank, usize)> {
        let moves = self.run.iter().flat_map(|run| &run.faults).filter(|a| a.open.is_some());
        moves
            .filter_map(|a| match a.fault.strike {
                Strike::Migrate(rank) => match a.fault.target {
                    Target::Node(node) => Some((rank, node)),
                    Target::Cable(_) => None,
                },
                _ => None,
            })
            .collect()
    }

    /// A node has damaged its copy of a rank, if it had one.
    pub(super) fn corrupted(&mut self, rank: Rank, node: usize, epoch: Option<Epoch>) {
        let name = self.name(node).to_owned();
        let (text, why) = match epoch {
            Some(epoch) => (format!("the copy of {rank} at {epoch} on {name} is damaged"), None),
            None => {
                let text = format!("{name} has no copy of {rank}");
                (text.clone(), Some(text))
            }
        };
        self.progress(0, 0, &text);
        self.settle(Strike::Corrupt(rank), node, why);
    }

    /// What was asked for is done, or why it is not.
    pub(super) fn settle(&mut self, strike: Strike, node: usize, why_not: Option<String>) {
        let asked = |a: &&mut Armed| {
            (a.fault.strike, a.fault.target) == (strike, Target::Node(node)) && a.open.is_some()
        };
        if let Some(armed) = self.run.as_mut().and_then(|r| r.faults.iter_mut().find(asked)) {
            armed.open = why_not;
        }
    }

    fn died(&mut self, now: Duration, node: usize, how: &str) {
        for node in self.plan.with_seat(node) {
            self.nodes[node].life = Life::Dead;
        }
        self.gone(now, node, how);
        self.check_end(now);
    }

    /// A node is away, for the others at least: how long until they notice, and what comes of it?
    fn gone(&mut self, now: Duration, node: usize, how: &str) {
        let name = self.name(node).to_owned();
        let view = self.view;
        if let Some(run) = &mut self.run {
            let at_us = micros(now.saturating_sub(run.started.unwrap_or(now)));
            for lost in self.plan.with_seat(node) {
                let rank = self.hosts.iter().position(|&h| h == lost).map(number);
                // Nobody misses an idle seat.
                if lost == node || rank.is_some() {
                    let node = self.plan.nodes[lost].name.clone();
                    let death = Death { node, at_us, rank, ..Death::default() };
                    run.deaths.push(Dead { view, at: now, back: false, death });
                }
            }
        }
        self.progress(0, 0, &format!("{name} is {how}"));
    }

    pub(super) fn held(&mut self, now: Duration, node: usize, at: &str) {
        let matches = |a: &Armed| {
            a.fired.is_none()
                && a.fault.target == Target::Node(node)
                && a.fault.hold.as_ref().is_some_and(|h| h.event == at)
        };
        let armed = self.run.as_mut().and_then(|r| r.faults.iter_mut().find(|a| matches(a)));
        if let Some(armed) = armed {
            armed.fire(now);
            let fault = armed.fault.clone();
            if !matches!(fault.strike, Strike::Kill | Strike::Crash | Strike::Reboot) {
                self.actions.push(Action::Send { node, message: ToNode::Release });
            }
            self.let_strike(now, &fault);
        } else {
            // Nobody wants anything of it here, for example between two runs.
            self.actions.push(Action::Send { node, message: ToNode::Release });
        }
    }

    pub(super) fn fire_timed_faults(&mut self, now: Duration) {
        if self.plan.backend == Backend::Sim {
            return;
        }
        while let Some(run) = &mut self.run {
            let waits = |n: &usize| run.faults[*n].fired.is_none();
            let due = |n: &usize| run.due(&run.faults[*n].fault.at).is_some_and(|at| at <= now);
            let next = (0..run.faults.len()).filter(waits).find(due);
            let Some(armed) = next.map(|n| &mut run.faults[n]) else { return };
            armed.fire(now);
            let fault = armed.fault.clone();
            self.let_strike(now, &fault);
        }
    }

    pub(super) fn fire_event_faults(&mut self, now: Duration, node: usize, event: &NodeEvent) {
        if self.plan.backend == Backend::Sim {
            return;
        }
        let Some(run) = &mut self.run else { return };
        let (kind, its_number) = (kind_of(event), event.number());
        let mut victims = Vec::new();
        for armed in run.faults.iter_mut().filter(|a| a.fired.is_none() && a.fault.hold.is_none()) {
            let Trigger::Event { event, node: from, number: wanted, nth } = &armed.fault.at else {
                continue;
            };
            if *event == kind
                && from.is_none_or(|n| n == number(node))
                && (wanted.is_none() || *wanted == its_number)
            {
                armed.seen += 1;
                if armed.seen >= *nth {
                    armed.fire(now);
                    victims.push(armed.fault.clone());
                }
            }
        }
        for fault in victims {
            self.let_strike(now, &fault);
        }
        // Others may follow at once.
        self.fire_timed_faults(now);
    }
}

/// What a strike does to a link or a cable.
fn link_action(strike: Strike, changes: Option<&[Change; 2]>) -> Option<LinkAction> {
    match strike {
        Strike::Cut(way) => {
            let (up, down) = crate::plan::ways(way);
            Some(LinkAction::Cut { up, down })
        }
        Strike::Heal => Some(LinkAction::Heal),
        Strike::Degrade => changes.map(|changes| LinkAction::Change(Box::new(*changes))),
        _ => None,
    }
}

/// How a node is whose link is cut.
const fn cut_off(way: Way) -> &'static str {
    match way {
        Way::From => "not heard",
        Way::To => "deaf",
        Way::Both => "cut off",
    }
}
