//! Crashes at every step: every node, before every step of a run, and after that a second one.
//!
//! What comes before a crash is the same for all later ones: it is run once, and the world is cloned at
//! each step. Of *pairs*, a crash is tried only where the node has left a trace since it was tried last: a frame that
//! it sent or that arrived, a word that it told. Between two such steps nobody can tell when it died, but for
//! the moment; so those runs differ in nothing but random delays.

#[cfg(test)]
mod tests;

use super::{Broken, Run, Scenario, Verdict, When};
use crate::world::End;
use runtime_core::id::NodeId;

/// What to enumerate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// A first crash before every so many steps, or, if there is a second one, of the traces of each node.
    pub stride: usize,
    /// After it, a second one at every so many of the traces of each node; 0: none.
    pub second: usize,
    /// Only this part of the first crashes, of so many parts: each can be a thread's.
    pub part: (usize, usize),
}

impl Plan {
    /// Every node at every step.
    pub const SINGLES: Self = Self::every(1, 0);
    /// And after each, every other node at every step.
    pub const PAIRS: Self = Self::every(1, 1);

    /// All parts of it.
    #[must_use]
    pub const fn every(stride: usize, second: usize) -> Self {
        Self { stride, second, part: (0, 1) }
    }

    /// Is this one of the first crashes that it asks for, and of its part? All are counted.
    fn takes(&self, count: usize) -> bool {
        let (part, parts) = self.part;
        let stride = self.stride.max(1);
        count.is_multiple_of(stride) && (count / stride) % parts.max(1) == part
    }
}

/// Which nodes left traces since they were last asked for.
#[derive(Default)]
struct Traces(Vec<u64>);

impl Traces {
    fn are_new(&mut self, run: &mut Run, node: NodeId) -> bool {
        // Before its first trace is a moment too.
        let now = run.world().traces(node) + 1;
        if self.0.len() <= node.index() {
            self.0.resize(node.index() + 1, 0);
        }
        core::mem::replace(&mut self.0[node.index()], now) != now
    }
}

/// What an enumeration came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs to their end.
    pub runs: u64,
    /// Steps that were really taken; what runs have in common is taken once.
    pub steps: u64,
    /// Runs that gave the right answer.
    pub done: u64,
    /// Runs that were refused since an epoch was lost, beyond the promise.
    pub lost: u64,
    /// Of these: a copy of everything had been on a living node, but not yet in its place.
    pub copies_lived: u64,
    /// Runs that were refused since no node was left for a rank.
    pub no_standby: u64,
    /// Runs that were refused since no majority was left.
    pub no_majority: u64,
    /// Ranks that moved.
    pub takeovers: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, done, lost, no_standby, no_majority, takeovers, .. } = self;
        write!(
            f,
            "{runs} runs: {done} right, refused: {lost} for a lost epoch, {no_standby} for want of a standby, \
             {no_majority} of a majority; {takeovers} takeovers"
        )
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.runs += other.runs;
        self.steps += other.steps;
        self.done += other.done;
        self.lost += other.lost;
        self.copies_lived += other.copies_lived;
        self.no_standby += other.no_standby;
        self.no_majority += other.no_majority;
        self.takeovers += other.takeovers;
    }
}

fn index(step: u64) -> usize {
    usize::try_from(step).unwrap_or(usize::MAX)
}

struct Enumerator<'a> {
    scenario: &'a Scenario,
    tally: Tally,
    told: &'a mut dyn FnMut(&Tally),
}

/// Runs all that the plan says; `told` hears of it now and then. Every third first death is silent, and the
/// second with it. Crashes that the scenario itself has come first: `second` is then the third one.
///
/// # Errors
/// The first run that breaks the promise.
pub fn enumerate(
    scenario: &Scenario,
    plan: Plan,
    told: &mut dyn FnMut(&Tally),
) -> Result<Tally, Broken> {
    let mut all = Enumerator { scenario, tally: Tally::default(), told };
    all.firsts(plan)?;
    Ok(all.tally)
}

impl Enumerator<'_> {
    fn firsts(&mut self, plan: Plan) -> Result<(), Broken> {
        let mut trunk = Run::new(self.scenario);
        let planned = self.scenario.crashes.len();
        let (mut traces, mut count) = (Traces::default(), 0);
        loop {
            // A crash that the scenario plans must have been before those that are enumerated.
            let ready = trunk.crashed().len() == planned;
            for node in self.scenario.nodes().filter(|_| ready) {
                if !trunk.is_alive(node) || plan.second > 0 && !traces.are_new(&mut trunk, node) {
                    continue;
                }
                let at = if plan.second > 0 { count } else { index(trunk.steps()) };
                count += 1;
                if plan.takes(at) {
                    self.first(&trunk, node, plan.second)?;
                }
            }
            if let Some(verdict) = trunk.step() {
                return self.count(&mut trunk, &verdict, 0);
            }
        }
    }

    fn first(&mut self, trunk: &Run, node: NodeId, second: usize) -> Result<(), Broken> {
        let mut branch = trunk.clone();
        if self.scenario.crashes.is_empty() {
            let seen = !trunk.steps().is_multiple_of(3);
            branch.world().deaths_are_seen(seen);
        }
        branch.crash(node);
        if second > 0 {
            self.seconds(branch.clone(), second)?;
        }
        self.finish(branch)
    }

    fn seconds(&mut self, mut trunk: Run, stride: usize) -> Result<(), Broken> {
        let began = trunk.steps();
        let mut traces = Traces::default();
        let mut counts = vec![0_usize; self.scenario.nodes().count()];
        loop {
            for node in self.scenario.nodes() {
                if !trunk.is_alive(node) || !traces.are_new(&mut trunk, node) {
                    continue;
                }
                let count = &mut counts[node.index()];
                *count += 1;
                if (*count - 1).is_multiple_of(stride) {
                    let mut branch = trunk.clone();
                    branch.crash(node);
                    self.finish(branch)?;
                }
            }
            if trunk.step().is_some() {
                self.tally.steps += trunk.steps() - began;
                return Ok(());
            }
        }
    }

    fn finish(&mut self, run: Run) -> Result<(), Broken> {
        let began = run.steps();
        let mut run = run;
        loop {
            if let Some(verdict) = run.step() {
                return self.count(&mut run, &verdict, began);
            }
        }
    }

    fn count(&mut self, run: &mut Run, verdict: &Verdict, began: u64) -> Result<(), Broken> {
        if verdict.broken.is_some() {
            let seen = run.world().death_is_seen();
            let crashes = run.crashed().iter().map(|(node, step)| (*node, When::Step(*step)));
            let scenario = Scenario {
                crashes: crashes.collect(),
                death_is_seen: seen,
                ..self.scenario.clone()
            };
            return Err(Broken { scenario, verdict: Box::new(verdict.clone()) });
        }
        let tally = &mut self.tally;
        tally.runs += 1;
        tally.steps += verdict.steps - began;
        tally.takeovers += verdict.takeovers;
        tally.copies_lived += u64::from(verdict.copies_lived);
        *match &verdict.end {
            End::Lost(reason) if reason.contains("standby") => &mut tally.no_standby,
            End::NoMajority => &mut tally.no_majority,
            End::Lost(_) => &mut tally.lost,
            _ => &mut tally.done,
        } += 1;
        if tally.runs.is_multiple_of(10_000) {
            (self.told)(tally);
        }
        Ok(())
    }
}
