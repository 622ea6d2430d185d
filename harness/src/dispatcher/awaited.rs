//! What callers wait for while a run is under way: it is judged by the rules of the verdict, but after each event.

use super::metric::Measured;
use super::run::Run;
use super::verdict::takeover_check;
use super::{ClientId, Dispatcher};
use crate::plan::Backend;
use crate::proto::{Awaited, Outcome, Response, Shown, Sighted};
use crate::result::Death;
use runtime_core::id::{NodeId, Rank};
use std::time::Duration;
use topology::{Metric, Sight};

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
    Takeover {
        of: usize,
        by: Option<usize>,
    },
    Seen {
        sight: Sight,
        times: u32,
    },
    Never {
        sight: Sight,
        times: u32,
    },
    /// Each with its bound, in the time of this machine.
    Order(Vec<(Sight, Option<Duration>)>),
    Metric {
        metric: Metric,
        at_least: Option<u64>,
        at_most: Option<u64>,
    },
    Checkpoints(u64),
    State {
        node: usize,
        outcome: topology::Outcome,
    },
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
            | Awaited::Never { within_us, .. }
            | Awaited::State { within_us, .. } => *within_us,
            Awaited::Order { .. } | Awaited::Metric { .. } | Awaited::Checkpoints { .. } => None,
        };
        let within = within_us.map(|us| self.bound(us));
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
                What::Seen { sight: sight(shown, maybe(on)?)?, times: (*times).max(1) }
            }
            Awaited::Never { shown, on, times, .. } => {
                What::Never { sight: sight(shown, maybe(on)?)?, times: (*times).max(1) }
            }
            Awaited::Order { sights } => {
                let one = |s: &Sighted| -> Result<_, String> {
                    Ok((sight(&s.shown, maybe(&s.on)?)?, s.within_us.map(|us| self.bound(us))))
                };
                What::Order(sights.iter().map(one).collect::<Result<_, _>>()?)
            }
            Awaited::Metric { metric, at_least, at_most } => {
                self.bounds(metric, at_least.as_deref(), at_most.as_deref())?
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

    /// A bound of the file in the time of this machine.
    fn bound(&self, us: u64) -> Duration {
        self.plan.scaled(Duration::from_micros(us))
    }

    fn bounds(
        &self,
        word: &str,
        at_least: Option<&str>,
        at_most: Option<&str>,
    ) -> Result<What, String> {
        let metric = Metric::named(word).ok_or_else(|| {
            let words = Metric::ALL.map(Metric::word).join(", ");
            format!("nothing that is measured is called {word}: there are {words}")
        })?;
        let read = |text| metric.bound(text).map_err(|e| format!("{word}: {e}"));
        let (at_least, at_most) = (at_least.map(read).transpose()?, at_most.map(read).transpose()?);
        match (at_least, at_most) {
            (None, None) => return Err(format!("{word} without a bound")),
            (Some(least), Some(most)) if least > most => {
                return Err(format!("nothing lies between these bounds of {word}"));
            }
            _ => {}
        }
        // As in a file: only what may take longer does.
        let at_most = at_most.map(|most| {
            if metric.is_time() { most.saturating_mul(u64::from(self.plan.factor)) } else { most }
        });
        Ok(What::Metric { metric, at_least, at_most })
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
        let (mut seen, holds) = self.look(now, run, waiting);
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
            && let Some(within) = self.limit(run, waiting)
            && !matches!(waiting.what, What::Never { .. })
        {
            let limit = format!("at most {:.2} s on this machine", within.as_secs_f64());
            if !seen.contains(&limit) {
                seen += &format!(" ({limit})");
            }
        }
        let is_decided = match &waiting.what {
            // It can still show.
            What::Never { .. } => !holds,
            What::Metric { metric, at_most, .. } => match run {
                Some(run) if at_most.is_some() || metric.can_fall() => {
                    let deaths = run.deaths();
                    measured(now, run, &deaths).is_beyond(*metric, *at_most)
                }
                _ => holds,
            },
            What::Takeover { .. } => holds || self.is_taken_over(run, waiting),
            _ => holds,
        };
        (is_decided || late || over).then_some((seen, holds))
    }

    fn look(&self, now: Duration, run: Option<&Run>, waiting: &Waiting) -> (String, bool) {
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
            What::Never { sight, times } => {
                let (seen, shown) =
                    self.seen_check(run, sight, *times, waiting.within, Some(self.since(run)));
                (seen, !shown)
            }
            What::Order(sights) => {
                let since = self.since(run);
                let all = sights.iter().map(|(sight, _)| sight);
                let (seen, holds) = self.order_check(run, all, since);
                (seen, holds && self.limit(Some(run), waiting).is_none())
            }
            What::Metric { metric, at_least, at_most } => {
                let deaths = run.deaths();
                measured(now, run, &deaths).check(*metric, *at_least, *at_most)
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
    fn is_taken_over(&self, run: Option<&Run>, waiting: &Waiting) -> bool {
        let (What::Takeover { of, .. }, Some(run)) = (&waiting.what, run) else { return false };
        let death = run.deaths.iter().rev().find(|d| d.death.node == self.name(*of));
        death.is_some_and(|d| d.death.by.is_some())
    }

    /// How long it may take; of an order what is still missing, or came too late.
    fn limit(&self, run: Option<&Run>, waiting: &Waiting) -> Option<Duration> {
        match &waiting.what {
            What::Order(sights) => {
                let all = sights.iter().map(|(sight, _)| sight);
                let found: Vec<Duration> = run.map(|run| {
                    run.in_order(all, self.since(run)).map(|(took, _)| took).collect()
                })?;
                let late = |(n, (_, within)): (usize, &(Sight, Option<Duration>))| {
                    let within = (*within)?;
                    found.get(n).is_none_or(|took| *took > within).then_some(within)
                };
                sights.iter().enumerate().filter_map(late).min()
            }
            What::Metric { metric: Metric::RunTime, at_most, .. } => {
                at_most.map(Duration::from_nanos)
            }
            _ => waiting.within,
        }
    }

    /// Until when it may become so, if that is known yet.
    fn patience(&self, waiting: &Waiting) -> Option<Duration> {
        let run = self.run.as_ref();
        let within = self.limit(run, waiting)?;
        let since = match &waiting.what {
            What::Takeover { of, .. } => {
                let mut deaths = run?.deaths.iter().rev();
                deaths.find(|d| d.death.node == self.name(*of))?.at
            }
            What::Seen { .. } | What::Never { .. } | What::Order(_) => self.since(run?),
            What::Metric { .. } => run?.started?,
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

/// What somebody looks for, on this node or on any.
fn sight(shown: &Shown, on: Option<usize>) -> Result<Sight, String> {
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
    Ok(Sight { shown, on: on.map(|n| NodeId(crate::plan::number(n))) })
}

/// What a run has measured until now.
fn measured<'a>(now: Duration, run: &'a Run, deaths: &'a [Death]) -> Measured<'a> {
    Measured { run, deaths, run_us: run.took_us(now) }
}
