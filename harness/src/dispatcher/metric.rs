//! What a run measured against bounds, and what became of nodes.

use super::run::Run;
use super::{Dispatcher, Life};
use crate::result::Death;
use crate::table;
use topology::{Metric, Outcome};

/// A run that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured<'a> {
    pub(super) run: &'a Run,
    pub(super) deaths: &'a [Death],
    pub(super) run_us: u64,
}

impl Measured<'_> {
    /// Is what was measured within these bounds? What was not measured is within none.
    pub(super) fn check(
        &self,
        metric: Metric,
        at_least: Option<u64>,
        at_most: Option<u64>,
    ) -> (String, bool) {
        let (value, of) = match self.value(metric) {
            Ok(found) => found,
            Err(why) => return (why, false),
        };
        let mut seen = show(metric, value) + &of;
        if let (true, Some(most)) = (metric.is_time(), at_most) {
            seen += &format!(" (at most {} on this machine)", metric.show(most));
        }
        (seen, at_least.is_none_or(|b| value >= b) && at_most.is_none_or(|b| value <= b))
    }

    /// Is it more already than it may be, and will stay so?
    pub(super) fn is_beyond(&self, metric: Metric, at_most: Option<u64>) -> bool {
        let value = self.value(metric);
        !metric.can_fall() && at_most.is_some_and(|most| value.is_ok_and(|(v, _)| v > most))
    }

    /// In the unit of the metric, and whose it is.
    fn value(&self, metric: Metric) -> Result<(u64, String), String> {
        let all = String::new();
        let checkpoints = || self.run.checkpoints();
        let (changed, sent) = checkpoints()
            .fold((0_u64, 0_u64), |(c, s), one| (c + one.dirty_bytes, s + one.sent_bytes));
        Ok(match metric {
            Metric::RunTime => (nanos(self.run_us), all),
            Metric::DetectionTime => return self.slowest(|d| d.detected_us, "noticed"),
            Metric::TakeoverTime => return self.slowest(|d| d.takeover_us, "taken over"),
            Metric::RecoveryTime => return self.slowest(|d| d.resumed_us, "recovered from"),
            Metric::LongestStop => {
                let longest = checkpoints().map(|c| c.blocked_us).max();
                (nanos(longest.ok_or("no checkpoint was committed")?), all)
            }
            Metric::Checkpoints => (checkpoints().count() as u64, all),
            Metric::ChangedBytes => (changed, all),
            Metric::SentBytes => (sent, all),
            Metric::SentRatio => {
                let scaled = u128::from(sent) * 1_000_000;
                let ratio = scaled.checked_div(u128::from(changed)).ok_or("nothing was changed")?;
                (u64::try_from(ratio).unwrap_or(u64::MAX), all)
            }
        })
    }

    fn slowest(
        &self,
        time: fn(&Death) -> Option<u64>,
        done: &str,
    ) -> Result<(u64, String), String> {
        let mut slowest = Err("no node died".to_owned());
        for death in self.deaths {
            let Some(us) = time(death) else {
                return Err(format!("{} was not {done}", death.node));
            };
            if slowest.as_ref().map_or(true, |(most, _)| nanos(us) > *most) {
                slowest = Ok((nanos(us), format!(" ({})", death.node)));
            }
        }
        slowest
    }
}

/// What was measured, rounded for people: a bound is a round number by itself.
fn show(metric: Metric, value: u64) -> String {
    if metric.is_time() {
        table::time(Some(value / 1_000))
    } else if metric.is_size() {
        table::bytes(value)
    } else {
        metric.show(value)
    }
}

const fn nanos(us: u64) -> u64 {
    us.saturating_mul(1_000)
}

impl Dispatcher {
    /// What became of a node.
    pub(super) fn state_check(&self, node: usize, outcome: Outcome) -> (String, bool) {
        let state = &self.nodes[node];
        let dead = state.life == Life::Dead;
        let rank = self.hosts.iter().position(|host| *host == node);
        let seen = match (dead, state.exit, rank) {
            (true, Some(code), _) => format!("dead, ended with code {code}"),
            (true, None, _) => "dead".to_owned(),
            (_, _, Some(rank)) if state.away.is_none() => format!("rank {rank}"),
            _ if state.away.is_none() && !state.outside => "a standby".to_owned(),
            _ => state.words().to_owned(),
        };
        let holds = match outcome {
            Outcome::Dead => dead,
            Outcome::Exited(code) => dead && state.exit == Some(code),
            Outcome::Rank(wanted) => seen == wanted.to_string(),
            Outcome::Standby => seen == "a standby",
        };
        (seen, holds)
    }
}
