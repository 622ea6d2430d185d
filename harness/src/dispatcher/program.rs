//! A program on MCAPI: it runs on every machine, and each must end with 0, but for those that a fault kills.

use super::run::{End, Run};
use super::{Dispatcher, Life};
use crate::plan::Target;
use crate::result::Check;
use std::time::Duration;
use topology::Strike;

impl Dispatcher {
    pub(super) fn program_ended(
        &mut self,
        now: Duration,
        node: usize,
        job: u32,
        code: Option<i32>,
        words: String,
    ) {
        let name = self.name(node).to_owned();
        let Some(run) = self.run.as_mut().filter(|run| run.job == job) else { return };
        run.ended.insert(node, (code == Some(0), words.clone()));
        self.progress(0, 0, &format!("the program on {name} is through: {words}"));
        self.check_program_end(now);
    }

    /// Done when it has ended on every machine that is left. One that starts again runs it again.
    pub(super) fn check_program_end(&mut self, now: Duration) {
        let Some(run) = &self.run else { return };
        let over =
            |node: usize| run.ended.contains_key(&node) || self.nodes[node].life == Life::Dead;
        if (0..self.nodes.len()).all(over) {
            self.over(now, End::Done);
        }
    }

    /// For people: who did not end in time.
    pub(super) fn still_running(&self, timeout: Duration) -> String {
        let ended =
            |node: usize| self.run.as_ref().is_some_and(|run| run.ended.contains_key(&node));
        let late = (0..self.nodes.len())
            .filter(|node| self.nodes[*node].life != Life::Dead && !ended(*node))
            .map(|node| self.name(node));
        let late: Vec<&str> = late.collect();
        let limit = self.plan.scaled(timeout).as_secs_f64();
        format!("no end after {limit:.1} s on {}: run.timeout", late.join(", "))
    }

    /// A machine that started again is there: its program starts again, too.
    pub(super) fn program_again(&mut self, node: usize) {
        self.nodes[node].outside = false;
        let runs = self.run.as_ref().is_some_and(|run| run.started.is_some());
        if std::mem::take(&mut self.nodes[node].deaf) && runs {
            self.tell_to_run(node);
        }
    }

    /// One check for each machine that no fault killed for good.
    pub(super) fn program_checks(&self, run: &Run) -> Vec<Check> {
        let name = self.plan.workload.as_ref().map_or("the program", |workload| &workload.name);
        let struck = |node: usize| {
            let last = run.faults.iter().rev().find(|armed| {
                let fatal =
                    matches!(armed.fault.strike, Strike::Kill | Strike::Crash | Strike::Reboot);
                armed.fault.target == Target::Node(node) && fatal && armed.fired.is_some()
            });
            last.is_some_and(|armed| armed.fault.strike != Strike::Reboot)
        };
        let check = |node: usize| {
            let (holds, seen) = match run.ended.get(&node) {
                Some((well, words)) => (*well, words.clone()),
                None if self.nodes[node].life == Life::Dead => {
                    (false, "the machine is dead".into())
                }
                None => (false, "it did not end".into()),
            };
            Check {
                expected: format!("{name} on {} ends with exit code 0", self.name(node)),
                seen,
                holds,
            }
        };
        (0..self.nodes.len()).filter(|node| !struck(*node)).map(check).collect()
    }
}
