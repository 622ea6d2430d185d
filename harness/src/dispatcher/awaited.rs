//! What callers wait for while a run is under way: it is judged by the rules of the verdict, but after each event.

use super::run::Run;
use super::verdict::takeover_check;
use super::{ClientId, Dispatcher};
use crate::plan::Backend;
use crate::proto::{Awaited, Outcome, Response, Shown};
use runtime_core::id::{NodeId, Rank};
use std::time::Duration;
use topology::Sight;

/// A caller that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) client: ClientId,
    what: What,
    since: Duration,
    /// In the time of this machine.
    within: Option<Duration>,
}

/// For what; nodes are known.
#[derive(Debug)]
enum What {
    Takeover { of: usize, by: Option<usize> },
    Seen { sight: Sight, times: u32 },
    Checkpoints(u64),
    State { node: usize, outcome: topology::Outcome },
}

impl Dispatcher {
    /// A caller waits from now on.
    pub(super) fn expect(
        &mut self,
        now: Duration,
        client: ClientId,
        awaited: &Awaited,
    ) -> Result<(), String> {
        let what = self.what(awaited)?;
        let is_state = matches!(what, What::State { .. });
        if self.run.is_none() && self.past.is_none() && !is_state {
            return Err("nothing has run yet: start the file's program first".to_owned());
        }
        let within_us = match awaited {
            Awaited::Takeover { within_us, .. }
            | Awaited::Seen { within_us, .. }
            | Awaited::State { within_us, .. } => *within_us,
            Awaited::Checkpoints { .. } => None,
        };
        let within = within_us.map(|us| self.plan.scaled(Duration::from_micros(us)));
        self.awaited.push(Waiting { client, what, since: now, within });
        Ok(())
    }

    fn what(&self, awaited: &Awaited) -> Result<What, String> {
        let node = |name: &str| {
            self.plan.node(name).ok_or_else(|| {
                let names: Vec<_> = self.plan.nodes.iter().map(|n| n.name.as_str()).collect();
                format!("no node {name}: there are {}", names.join(", "))
            })
        };
        let maybe = |name: &Option<String>| name.as_deref().map(node).transpose();
        Ok(match awaited {
            Awaited::Takeover { of, by, .. } => What::Takeover { of: node(of)?, by: maybe(by)? },
            Awaited::Seen { shown, on, times, .. } => {
                let shown = match shown {
                    Shown::Event { kind, number } => {
                        if !topology::event_kinds().any(|known| known == kind) {
                            let kinds = topology::event_kinds().collect::<Vec<_>>().join(", ");
                            return Err(format!("no event is called {kind}: there are {kinds}"));
                        }
                        topology::Shown::Event { kind: kind.clone(), number: *number }
                    }
                    Shown::Line { text } => topology::Shown::Line(text.clone()),
                };
                let on = maybe(on)?.map(|n| NodeId(crate::plan::number(n)));
                What::Seen { sight: Sight { shown, on }, times: (*times).max(1) }
            }
            Awaited::Checkpoints { at_least } => What::Checkpoints(*at_least),
            Awaited::State { node: name, outcome, .. } => {
                let outcome = match *outcome {
                    Outcome::Dead => topology::Outcome::Dead,
                    Outcome::Exited { code } => topology::Outcome::Exited(code),
                    Outcome::Rank { rank } => topology::Outcome::Rank(Rank(rank)),
                    Outcome::Standby => topology::Outcome::Standby,
                };
                What::State { node: node(name)?, outcome }
            }
        })
    }

    /// The run that somebody asked for is under way.
    pub(super) fn tell_started(&mut self) {
        for client in self.watchers() {
            self.reply(client, Response::Started);
        }
    }

    /// Answers those for whom it is so, or cannot be any more.
    pub(super) fn tell_awaited(&mut self, now: Duration) {
        if self.awaited.is_empty() {
            return;
        }
        let (waiting, answers): (Vec<_>, Vec<_>) = std::mem::take(&mut self.awaited)
            .into_iter()
            .map(|waiting| (self.answer(now, &waiting), waiting))
            .partition(|(answer, _)| answer.is_none());
        self.awaited = waiting.into_iter().map(|(_, waiting)| waiting).collect();
        for (answer, waiting) in answers {
            if let Some((seen, holds)) = answer {
                self.reply(waiting.client, Response::Expected { seen, holds });
            }
        }
    }

    /// What was seen, and whether it is so; nothing while it can still become so.
    fn answer(&self, now: Duration, waiting: &Waiting) -> Option<(String, bool)> {
        let run = self.run.as_ref().or(self.past.as_ref());
        let (mut seen, holds) = self.look(run, waiting);
        let patience = self.patience(waiting);
        // The time of a simulated world is not that of its callers: there, its end is waited for.
        let late = self.plan.backend != Backend::Sim && patience.is_some_and(|end| now >= end);
        let over = match waiting.what {
            // Of a node something may become without a run, too.
            What::State { .. } => self.run.is_none() && (late || patience.is_none()),
            _ => self.run.is_none(),
        };
        if !holds
            && late
            && let Some(within) = waiting.within
        {
            let limit = format!("at most {:.2} s on this machine", within.as_secs_f64());
            if !seen.contains(&limit) {
                seen += &format!(" ({limit})");
            }
        }
        (holds || late || over || self.is_decided(run, waiting)).then_some((seen, holds))
    }

    fn look(&self, run: Option<&Run>, waiting: &Waiting) -> (String, bool) {
        if let What::State { node, outcome } = waiting.what {
            return self.state_check(node, outcome);
        }
        let Some(run) = run else { return ("the run has failed".to_owned(), false) };
        match &waiting.what {
            What::Takeover { of, by } => {
                let death = run.deaths.iter().rev().find(|d| d.death.node == self.name(*of));
                let by = by.map(|n| self.names_on(n));
                takeover_check(death.map(|d| &d.death), by, waiting.within)
            }
            What::Seen { sight, times } => {
                self.seen_check(run, sight, *times, waiting.within, Some(self.since(run)))
            }
            What::Checkpoints(at_least) => {
                let seen = run.checkpoints().count();
                let holds = u64::try_from(seen).is_ok_and(|n| n >= *at_least);
                (format!("{seen} so far"), holds)
            }
            What::State { node, outcome } => self.state_check(*node, *outcome),
        }
    }

    /// What shows counts from the last thing that was done to the cluster in this run, or its start.
    fn since(&self, run: &Run) -> Duration {
        let started = run.started.unwrap_or_default();
        if self.plan.backend == Backend::Sim { started } else { started.max(self.deed) }
    }

    /// Whose rank is taken over by another is not taken over again.
    fn is_decided(&self, run: Option<&Run>, waiting: &Waiting) -> bool {
        let (What::Takeover { of, .. }, Some(run)) = (&waiting.what, run) else { return false };
        let death = run.deaths.iter().rev().find(|d| d.death.node == self.name(*of));
        death.is_some_and(|d| d.death.by.is_some())
    }

    /// Until when it may become so, if that is known yet.
    fn patience(&self, waiting: &Waiting) -> Option<Duration> {
        let within = waiting.within?;
        let run = self.run.as_ref();
        let since = match &waiting.what {
            What::Takeover { of, .. } => {
                let mut deaths = run?.deaths.iter().rev();
                deaths.find(|d| d.death.node == self.name(*of))?.at
            }
            What::Seen { .. } => self.since(run?),
            What::State { .. } => waiting.since,
            What::Checkpoints(_) => return None,
        };
        Some(since + within)
    }

    /// When the first of those that wait gives up.
    pub(super) fn next_patience(&self) -> Option<Duration> {
        let real = self.plan.backend != Backend::Sim;
        self.awaited.iter().filter(|_| real).filter_map(|w| self.patience(w)).min()
    }
}
