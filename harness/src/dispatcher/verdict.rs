//! The end of a run: what was asked for against what was seen.

use super::armed::Armed;
use super::metric::Measured;
use super::run::{End, Run};
use super::{Action, Dispatcher, Life, Phase, micros};
use crate::plan::{Expect, Fault, NodePlan, Wanted};
use crate::proto::Response;
use crate::result::{Blow, Check, Death, NodeResult, RankResult, RunResult};
use std::time::Duration;

impl Dispatcher {
    /// Judges a run that is over.
    pub(super) fn judge(&mut self) {
        if self.run.as_ref().is_none_or(|run| run.end.is_none()) {
            return;
        }
        let Some(run) = self.run.take() else { return };
        let Some((now, end)) = run.end.clone() else { return };
        let result = Box::new(self.result(now, &run, &end));
        self.deadline = None;
        self.phase = Phase::Up;
        self.actions.push(Action::Keep(result.clone()));
        for client in &run.watchers {
            self.reply(*client, Response::Verdict { result: result.clone() });
        }
        self.past = Some(run);
    }

    fn result(&self, now: Duration, run: &Run, end: &End) -> RunResult {
        let run_us = run.took_us(now);
        let deaths = run.deaths();
        let mut checks = match (&self.plan.program, end) {
            (Some(_), End::Done) => Vec::new(),
            _ => vec![job_check(end)],
        };
        if self.plan.program.is_some() {
            checks.extend(self.program_checks(run));
        }
        let started = run.started.unwrap_or_default();
        let items = run.faults.iter().map(|a| a.fault.item + 1).max().unwrap_or(0);
        for item in 0..items {
            let blows: Vec<&Armed> = run.faults.iter().filter(|a| a.fault.item == item).collect();
            checks.extend(fault_check(&blows, started));
        }
        let measured = Measured { run, deaths: &deaths, run_us };
        let check = |e: &Expect| {
            let (seen, holds) = self.check(&e.what, &measured);
            Check { expected: e.words.clone(), seen, holds }
        };
        checks.extend(run.order.expect.iter().map(check));
        RunResult {
            cluster: self.plan.name.clone(),
            job: run.job,
            backend: self.plan.backend.name().to_owned(),
            machine: self.machine.clone(),
            workload: run.order.workload.name.clone(),
            on_mcapi: self.plan.program.is_some(),
            nodes: self.node_results(run),
            checkpoints: run.checkpoints().cloned().collect(),
            deaths,
            results: (run.reports.iter())
                .map(|(&rank, hash)| RankResult { rank, sha256: hash.clone() })
                .collect(),
            started_us: run.started.map(micros),
            run_us,
            blows: run.faults.iter().filter_map(|armed| self.blow(armed)).collect(),
            pass: checks.iter().all(|c| c.holds),
            checks,
            unkept: None,
        }
    }

    /// A fault that struck.
    fn blow(&self, armed: &Armed) -> Option<Blow> {
        let Fault { words, target, ends, .. } = &armed.fault;
        let node = self.plan.name_of(*target);
        let at_us = micros(armed.fired?);
        Some(Blow { fault: words.clone(), node: node.to_owned(), at_us, ends: *ends })
    }

    fn node_results(&self, run: &Run) -> Vec<NodeResult> {
        let end = |i: usize, plan: &NodePlan| match self.nodes[i].life {
            Life::Dead => "dead".to_owned(),
            _ if self.nodes[i].away.is_some() => self.nodes[i].words().to_owned(),
            _ if self.plan.program.is_some() => {
                run.ended.get(&i).map_or_else(|| "running".to_owned(), |(_, words)| words.clone())
            }
            _ => match self.hosts.iter().position(|&h| h == i) {
                Some(rank) => format!("rank {rank}"),
                None if plan.host.is_some() => "idle".to_owned(),
                None if self.nodes[i].outside => self.nodes[i].words().to_owned(),
                None => "spare".to_owned(),
            },
        };
        (self.nodes.iter().zip(&self.plan.nodes).enumerate())
            .map(|(i, (state, plan))| NodeResult {
                name: plan.name.clone(),
                role: self.plan.role(i),
                boot_us: state.boot.map(micros),
                end: end(i, plan),
                kept_bytes: run.kept_bytes(i),
                kept_limit: plan.kept_limit,
            })
            .collect()
    }

    /// What is seen of it, and whether that is what was wanted.
    fn check(&self, wanted: &Wanted, measured: &Measured<'_>) -> (String, bool) {
        let Measured { run, deaths, .. } = *measured;
        match wanted {
            Wanted::Reference => self.reference_check(run),
            Wanted::Takeover { of, by, within } => {
                let of = deaths.iter().rev().find(|d| d.node == self.name(*of));
                // Whoever runs on the machine.
                takeover_check(of, by.map(|n| self.names_on(n)), *within)
            }
            Wanted::NoTakeover => match deaths.iter().find_map(|d| d.by.as_ref().map(|by| (d, by)))
            {
                None => ("every rank stayed where it was".to_owned(), true),
                Some((d, by)) => (format!("{by} took over from {}", d.node), false),
            },
            Wanted::Checkpoints(at_least) => {
                let seen = run.checkpoints().count();
                (seen.to_string(), u64::try_from(seen).is_ok_and(|n| n >= *at_least))
            }
            Wanted::Seen { sight, times, within, after } => {
                let since = match after {
                    None => run.started,
                    Some(item) => run.last_blow(*item),
                };
                self.seen_check(run, sight, *times, *within, since)
            }
            Wanted::Never(sight) => self.never_check(run, sight),
            Wanted::Order(sights) => {
                self.order_check(run, sights.iter(), run.started.unwrap_or_default())
            }
            Wanted::State { node, outcome } => self.state_check(*node, *outcome),
            Wanted::Metric { metric, at_least, at_most } => {
                measured.check(*metric, *at_least, *at_most)
            }
        }
    }

    /// Names of the nodes of a machine.
    pub(super) fn names_on(&self, node: usize) -> Vec<&str> {
        self.plan.with_seat(node).map(|n| self.name(n)).collect()
    }

    /// Every result that a rank handed in must be right, and no result at all is not right.
    fn reference_check(&self, run: &Run) -> (String, bool) {
        let known = self.reference.as_ref().filter(|(of, _)| *of == run.order.workload);
        let Some((_, reference)) = known else {
            return ("the reference is not known".to_owned(), false);
        };
        let right = reference.get(..16).unwrap_or(reference);
        let wrong: Vec<String> = (run.reports.iter())
            .filter(|(_, hash)| *hash != reference)
            .map(|(rank, hash)| format!("rank {rank}: {}…", hash.get(..16).unwrap_or(hash)))
            .collect();
        match (run.reports.len(), wrong.is_empty()) {
            (0, _) => ("no rank handed in a result".to_owned(), false),
            (_, true) => (format!("the same: sha256 {right}…"), true),
            (_, false) => (format!("{}, not {right}…", wrong.join(", ")), false),
        }
    }
}

/// It must have happened as often as the file says, and what nodes were asked for they must have done. What
/// ends by itself may outlast the run.
fn fault_check(blows: &[&Armed], started: Duration) -> Option<Check> {
    let strikes: Vec<&&Armed> = blows.iter().filter(|a| !a.fault.ends).collect();
    let after = |at: Duration| at.saturating_sub(started).as_secs_f64();
    let mut fired: Vec<Duration> = strikes.iter().filter_map(|a| a.fired).collect();
    fired.sort();
    let open = strikes.iter().find_map(|a| a.fired.and(a.open.clone()));
    let all = fired.len() == strikes.len();
    let seen = match (fired.as_slice(), &open) {
        (_, Some(why)) => why.clone(),
        ([], _) => "it did not happen before the run was over".to_owned(),
        ([at], _) if all => format!("it happened after {:.2} s", after(*at)),
        ([first, .., last], _) if all => {
            let (n, first, last) = (fired.len(), after(*first), after(*last));
            format!("it happened {n} times, from {first:.2} s to {last:.2} s")
        }
        _ => {
            let (n, of) = (fired.len(), strikes.len());
            format!("it happened {n} of {of} times before the run was over")
        }
    };
    let expected = strikes.first()?.fault.words.clone();
    Some(Check { expected, seen, holds: all && open.is_none() })
}

/// A job is to be done, whatever else is expected.
fn job_check(end: &End) -> Check {
    let (seen, holds) = match end {
        End::Done => ("it is", true),
        End::Lost(reason) | End::Stuck(reason) => (reason.as_str(), false),
    };
    Check { expected: "the job is done".to_owned(), seen: seen.to_owned(), holds }
}

pub(super) fn takeover_check(
    of: Option<&Death>,
    by: Option<Vec<&str>>,
    within: Option<Duration>,
) -> (String, bool) {
    let Some(death) = of else { return ("it did not die".to_owned(), false) };
    let (Some(us), Some(who)) = (death.takeover_us, death.by.as_deref()) else {
        return ("nobody took over".to_owned(), false);
    };
    let epoch = death.epoch.unwrap_or_default();
    let mut seen = format!("{who} in {:.2} s from epoch {epoch}", seconds(us));
    if let Some(limit) = within {
        seen += &format!(" (at most {:.2} s on this machine)", limit.as_secs_f64());
    }
    let in_time = within.is_none_or(|limit| Duration::from_micros(us) <= limit);
    (seen, in_time && by.is_none_or(|by| by.contains(&who)))
}

/// For people only: a microsecond more or less does not matter here.
fn seconds(us: u64) -> f64 {
    Duration::from_micros(us).as_secs_f64()
}
