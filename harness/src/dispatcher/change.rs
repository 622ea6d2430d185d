//! Members that change on purpose: a machine that starts again, a rank that moves.

use super::{Action, ClientId, Dispatcher, Life, Phase};
use crate::plan::{Backend, number};
use crate::proto::{EXIT_USAGE, Response};
use images_control::ToNode;
use runtime_core::id::{NodeId, Rank};
use std::time::Duration;
use topology::Strike;

/// What a verb waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// This node is a member again.
    Back(usize),
    /// This rank is on this node.
    Moved(u16, usize),
}

impl Dispatcher {
    /// A node by its name, when verbs may do something to nodes.
    pub(super) fn node_to_touch(&self, name: &str) -> Result<usize, String> {
        let Some(node) = self.plan.node(name) else {
            let names: Vec<_> = self.plan.nodes.iter().map(|n| n.name.as_str()).collect();
            return Err(format!("no node {name}: there are {}", names.join(", ")));
        };
        if self.plan.backend == Backend::Sim {
            return Err("nodes of the sim backend live only in a run: \
                        write what happens to them as a fault in the topology"
                .to_owned());
        }
        if self.phase == Phase::Booting && self.nodes[node].life != Life::Dead {
            return Err("the cluster is not up yet".to_owned());
        }
        Ok(node)
    }

    /// The same of what happens to a whole machine.
    pub(super) fn machine_to_touch(&self, name: &str) -> Result<usize, String> {
        let node = self.node_to_touch(name)?;
        match self.plan.machine_of(node) {
            machine if machine == node => Ok(node),
            machine => {
                let host = self.name(machine);
                Err(format!("{name} is the seat of {host}, on the same machine: name {host}"))
            }
        }
    }

    /// A machine starts again, with its seat.
    pub(super) fn reboot(&mut self, now: Duration, client: ClientId, node: usize) {
        self.changes.push((client, Change::Back(node)));
        self.restart(now, node);
    }

    /// The machine is gone, if it was there, and starts again.
    pub(super) fn restart(&mut self, now: Duration, node: usize) {
        let lives = self.nodes[node].life != Life::Dead;
        if lives {
            self.kill(now, node);
        }
        for node in self.plan.with_seat(node) {
            if self.nodes[node].pid.is_some() {
                self.nodes[node].again = true;
                if !lives {
                    // One that crashed may never end by itself.
                    self.actions.push(Action::Kill { node });
                }
            } else {
                self.start_again(now, node);
            }
        }
    }

    /// Its old process has ended.
    pub(super) fn start_again(&mut self, now: Duration, node: usize) {
        self.nodes[node].deaf = true;
        self.is_born_again(now, node);
        self.actions.push(Action::Spawn { node });
    }

    /// A later life of a node begins, outside of the view.
    pub(super) fn is_born_again(&mut self, now: Duration, node: usize) {
        let state = &mut self.nodes[node];
        state.life = Life::Booting;
        (state.spawned, state.boot) = (now, None);
        state.outside = true;
        // It does not stand still any more, but a new life mends no link.
        state.away = state.away.filter(|how| *how != "paused");
        let away = state.away;
        state.generation = state.generation.max(1) + 1;
        if let Some(run) = &mut self.run {
            run.ended.remove(&node);
        }
        let name = self.name(node).to_owned();
        self.progress(0, 0, &format!("{name} starts again"));
        if let Some(how) = away {
            let remedy = format!("it is no member before `understudy heal {name}`");
            self.note(format!("{name} is {how} still: {remedy}"));
        }
    }

    pub(super) fn migrate(&mut self, client: ClientId, what: &str, to: &str) -> Result<(), String> {
        let target = self.node_to_touch(to)?;
        let rank = match what.parse::<u16>() {
            Ok(rank) => rank,
            Err(_) => {
                let host = self.node_to_touch(what)?;
                let rank = self.hosts.iter().position(|h| *h == host);
                number(rank.ok_or_else(|| format!("{what} hosts no rank"))?)
            }
        };
        if self.nodes[target].life == Life::Dead {
            return Err(format!("{to} is dead: start it again with `understudy reboot {to}`"));
        }
        if self.hosts.get(usize::from(rank)) == Some(&target) {
            let text = format!("rank {rank} is on {to} already");
            self.reply(client, Response::Done { text });
            return Ok(());
        }
        self.changes.push((client, Change::Moved(rank, target)));
        self.tell_of_move(rank, target);
        Ok(())
    }

    pub(super) fn tell_of_move(&mut self, rank: u16, to: usize) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].life != Life::Dead && !self.nodes[node].deaf {
                let message = ToNode::Migrate { rank, to: number(to) };
                self.actions.push(Action::Send { node, message });
            }
        }
    }

    /// A node asks to be let in, in this life.
    pub(super) fn node_joins(&mut self, node: usize, generation: u32) {
        let state = &mut self.nodes[node];
        (state.life, state.outside, state.generation) = (Life::Joining, true, generation);
        if std::mem::take(&mut state.deaf) && self.run.as_ref().is_some_and(|r| r.started.is_some())
        {
            self.tell_to_run(node);
        }
    }

    pub(super) fn is_back(&mut self, node: usize) {
        if !std::mem::take(&mut self.nodes[node].outside) {
            return;
        }
        let name = self.name(node).to_owned();
        self.progress(0, 0, &format!("{name} is back, as a standby"));
        self.answer_change(Change::Back(node), &Response::Done { text: format!("{name} is back") });
    }

    /// The view is another one: what waits for it?
    pub(super) fn view_changed(&mut self) {
        self.pursue_moves();
        for (_, change) in self.changes.clone() {
            let Change::Moved(rank, to) = change else { continue };
            if self.hosts.get(usize::from(rank)) == Some(&to) {
                let text = format!("rank {rank} is on {}", self.name(to));
                self.progress(0, 0, &text);
                self.answer_change(change, &Response::Done { text });
            } else {
                // Whoever leads now may not have heard of it.
                self.tell_of_move(rank, to);
            }
        }
    }

    pub(super) fn move_refused(&mut self, rank: Rank, to: NodeId, reason: &str) {
        self.settle(Strike::Migrate(rank), to.index(), Some(reason.to_owned()));
        let response = Response::failed(EXIT_USAGE, reason.to_owned());
        self.answer_change(Change::Moved(rank.0, to.index()), &response);
    }

    fn answer_change(&mut self, change: Change, response: &Response) {
        let (done, rest) =
            std::mem::take(&mut self.changes).into_iter().partition(|(_, c)| *c == change);
        self.changes = rest;
        let done: Vec<(ClientId, Change)> = done;
        for (client, _) in done {
            self.reply(client, response.clone());
        }
    }
}
