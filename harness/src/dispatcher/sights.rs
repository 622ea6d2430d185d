//! What somebody expects to see, or not to see: events of nodes and lines of consoles.

use super::run::{End, Run};
use super::sighting::{Showing, Sighting};
use super::{Action, Dispatcher};
use crate::plan::Expect;
use images_control::kind_of;
use runtime_core::event::Event as NodeEvent;
use std::time::Duration;
use topology::{Shown, Sight};

impl Run {
    /// The earliest of each that comes after the one before it, all of them since then: how long after that, and
    /// where. Ends at the first that has not come.
    pub(super) fn in_order<'a>(
        &'a self,
        mut sights: impl Iterator<Item = &'a Sight>,
        since: Duration,
    ) -> impl Iterator<Item = (Duration, usize)> {
        let mut rest = self.sightings.iter().skip_while(move |s| s.at < since);
        std::iter::from_fn(move || {
            let sight = sights.next()?;
            let next = rest.find(|s| s.is(sight))?;
            Some((next.at.saturating_sub(since), next.node))
        })
    }
}

impl Dispatcher {
    pub(super) fn line(&mut self, now: Duration, node: usize, text: &str) {
        self.saw(Sighting { at: now, node, what: Showing::Line(text.to_owned()) });
    }

    pub(super) fn saw_event(&mut self, now: Duration, node: usize, event: &NodeEvent) {
        let what = Showing::Event { kind: kind_of(event), number: event.number() };
        self.saw(Sighting { at: now, node, what });
    }

    fn saw(&mut self, sighting: Sighting) {
        let Some(run) = self.run.as_mut().filter(|run| run.started.is_some()) else { return };
        let mut looked_for = self.plan.expect.iter().flat_map(|expect| expect.what.sights());
        if self.attended || looked_for.any(|sight| sighting.is(sight)) {
            run.sightings.push(sighting);
        }
    }

    /// The run is over, but a line that is expected may be on a console and not be told yet.
    pub(super) fn over(&mut self, now: Duration, end: End) {
        let Some(run) = &mut self.run else { return };
        let lines =
            |e: &Expect| e.what.sights().iter().any(|sight| matches!(sight.shown, Shown::Line(_)));
        if run.end.is_some() {
            return;
        }
        run.end = Some((now, end));
        self.deadline = None;
        if self.attended || self.plan.expect.iter().any(lines) {
            self.actions.push(Action::ReadConsoles);
        } else {
            self.judge();
        }
    }

    /// Did it show so many times since then, and in time?
    pub(super) fn seen_check(
        &self,
        run: &Run,
        sight: &Sight,
        times: u32,
        within: Option<Duration>,
        since: Option<Duration>,
    ) -> (String, bool) {
        let Some(since) = since else {
            return ("the fault that it was to come after did not happen".to_owned(), false);
        };
        let shown: Vec<&Sighting> =
            run.sightings.iter().filter(|s| s.at >= since && s.is(sight)).collect();
        let times = usize::try_from(times).unwrap_or(usize::MAX);
        let Some(last) = shown.get(times - 1) else {
            let seen = match shown.len() {
                0 => "not once".to_owned(),
                1 => "once only".to_owned(),
                n => format!("{n} times only"),
            };
            return (seen, false);
        };
        let took = last.at.saturating_sub(since);
        let mut seen = format!("on {} after {:.2} s", self.name(last.node), took.as_secs_f64());
        if times > 1 {
            seen = format!("{times} times, the last {seen}");
        }
        if let Some(limit) = within {
            seen += &format!(" (at most {:.2} s on this machine)", limit.as_secs_f64());
        }
        seen += &last.what.line_words();
        (seen, within.is_none_or(|limit| took <= limit))
    }

    pub(super) fn never_check(&self, run: &Run, sight: &Sight) -> (String, bool) {
        match run.sightings.iter().find(|s| s.is(sight)) {
            None => ("it did not".to_owned(), true),
            Some(first) => {
                let after = first.at.saturating_sub(run.started.unwrap_or_default());
                let (node, after) = (self.name(first.node), after.as_secs_f64());
                (format!("on {node} after {after:.2} s{}", first.what.line_words()), false)
            }
        }
    }

    pub(super) fn order_check<'a>(
        &self,
        run: &'a Run,
        sights: impl ExactSizeIterator<Item = &'a Sight>,
        since: Duration,
    ) -> (String, bool) {
        let wanted = sights.len();
        let found: Vec<String> = run
            .in_order(sights, since)
            .map(|(took, node)| format!("{} {:.2} s", self.name(node), took.as_secs_f64()))
            .collect();
        let all = found.len() == wanted;
        let mut seen = found.join(", ");
        if !all {
            let nothing = format!("nothing like the {} of them", nth(found.len() + 1));
            seen = if seen.is_empty() { nothing } else { format!("{seen}, then {nothing}") };
        }
        (seen, all)
    }
}

/// `1st`, `2nd`, `3rd`, `4th`.
fn nth(n: usize) -> String {
    let end = match (n % 10, n % 100) {
        (1, t) if t != 11 => "st",
        (2, t) if t != 12 => "nd",
        (3, t) if t != 13 => "rd",
        _ => "th",
    };
    format!("{n}{end}")
}
