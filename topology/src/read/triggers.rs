//! When a fault strikes.

use super::fields::{Fields, suggestion};
use super::names::{Names, kind, number};
use crate::error::Reader;
use crate::model::{Phase, Trigger};
use crate::raw::{Shape, Yaml};
use crate::units;
use runtime_core::id::NodeId;
use std::time::Duration;

pub(super) const AT: &str =
    "write `at: start`, `at: 2s`, `at: { checkpoint: 2 }` or `at: { event: recovering }`";
pub(crate) const MOMENTS: [&str; 6] =
    ["checkpoint", "barrier", "iteration", "event", "after", "random"];
pub(crate) const KEYS: &[&str] = &[
    "checkpoint",
    "phase",
    "barrier",
    "iteration",
    "event",
    "nth",
    "on",
    "after",
    "delay",
    "random",
];
/// Which key says more about which.
const BELONGS: [(&str, &str); 3] = [("phase", "checkpoint"), ("nth", "event"), ("delay", "after")];

/// A trigger, before it is known whom it strikes.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    when: When,
    /// Whose events to watch, if the file says so.
    pub(super) on: Option<NodeId>,
}

#[derive(Clone, Debug)]
enum When {
    Start,
    After(Duration),
    Random(Duration, Duration),
    Checkpoint(u64, Phase),
    Barrier(u64),
    Iteration(u64),
    Event(String, u32),
    /// The last blows of another fault.
    Follows(Vec<usize>, Duration),
}

/// A fault with a name: whoever comes after it may wait for its end.
#[derive(Debug)]
pub(crate) struct Named {
    pub(super) name: String,
    /// Its place in the file, from 0.
    pub(super) item: usize,
    /// Its last blows.
    pub(super) last: Vec<usize>,
}

impl Moment {
    /// For a blow to a node, which watches itself unless told otherwise. `draw` numbers chances. A blow to a cable
    /// has been refused unless it is told.
    pub(super) fn trigger(&self, victim: Option<NodeId>, draw: u64) -> Trigger {
        let on = self.on.or(victim).unwrap_or_default();
        match &self.when {
            When::Start => Trigger::Start,
            When::After(after) => Trigger::After(*after),
            When::Random(from, to) => Trigger::Random { from: *from, to: *to, draw },
            When::Checkpoint(epoch, phase) => {
                Trigger::Checkpoint { epoch: *epoch, phase: *phase, on }
            }
            When::Barrier(number) => Trigger::Barrier { number: *number, on },
            When::Iteration(number) => Trigger::Iteration { number: *number, on },
            When::Event(kind, nth) => Trigger::Event { kind: kind.clone(), nth: *nth, on },
            When::Follows(faults, delay) => {
                Trigger::Follows { faults: faults.clone(), delay: *delay }
            }
        }
    }

    /// Does a node report it, so that it can stand still there?
    pub(super) const fn is_reported(&self) -> bool {
        matches!(
            self.when,
            When::Checkpoint(..) | When::Barrier(_) | When::Iteration(_) | When::Event(..)
        )
    }

    /// Does chance decide?
    pub(super) const fn is_random(&self) -> bool {
        matches!(self.when, When::Random(..))
    }
}

/// Reads what stands under `at`.
pub(super) fn moment(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    names: Names<'_>,
    named: &[Named],
) -> Option<Moment> {
    if let Shape::Text(word) = &yaml.shape {
        let when = match (word.as_str(), units::duration(word)) {
            ("start", _) => When::Start,
            (_, Ok(after)) => When::After(after),
            (_, Err(bad)) => {
                let number = word.starts_with(|c: char| c.is_ascii_digit());
                let help = if number { bad.help } else { AT.into() };
                r.error(yaml.span, format!("unknown trigger \"{word}\""), help);
                return None;
            }
        };
        return Some(Moment { when, on: None });
    }
    let fields = Fields::read(r, yaml, yaml.span, "a trigger", KEYS, &[])?;
    let on = fields.entry("on").map(|(span, y)| (span, names.node(r, y, "a trigger")));
    for (key, with) in BELONGS {
        if let (Some((span, _)), true) = (fields.entry(key), fields.get(with).is_none()) {
            r.error(span, format!("\"{key}\" belongs to \"{with}\""), AT);
        }
    }
    let given = MOMENTS.iter().filter_map(|word| Some((*word, fields.get(word)?)));
    let (word, value) = match given.collect::<Vec<_>>()[..] {
        [one] => one,
        [] => {
            r.error(yaml.span, "a trigger without a checkpoint or an event", AT);
            return None;
        }
        [(first, _), (second, _), ..] => {
            let message = format!("a trigger is a {first} or {second}, not both");
            r.error(yaml.span, message, AT);
            return None;
        }
    };
    let when = when(r, word, value, &fields, named);
    if let (Some((span, _)), "after" | "random") = (on, word) {
        r.error(span, format!("\"on\" means nothing with \"{word}\""), "remove it");
    }
    let on = match on {
        None => None,
        Some((_, node)) => Some(node?),
    };
    Some(Moment { when: when?, on })
}

fn when(
    r: &mut Reader<'_>,
    word: &str,
    value: &Yaml,
    fields: &Fields<'_>,
    named: &[Named],
) -> Option<When> {
    Some(match word {
        "checkpoint" => {
            let epoch = number(r, value, "checkpoint", u64::MAX);
            let phases = Phase::ALL.map(|p| (p.word(), Some(p)));
            let phase = fields.get("phase").map(|y| r.choice(y, "phase", &phases));
            When::Checkpoint(epoch?, phase.unwrap_or(Some(Phase::Committed))?)
        }
        "barrier" => When::Barrier(number(r, value, "barrier", u64::MAX)?),
        "iteration" => When::Iteration(number(r, value, "iteration", u64::MAX)?),
        "event" => {
            let kind = kind(r, value);
            let nth = fields.get("nth").map(|y| number(r, y, "nth", u64::from(u32::MAX)));
            When::Event(kind?, u32::try_from(nth.unwrap_or(Some(1))?).ok()?)
        }
        "after" => {
            let faults = fault_named(r, value, named, "a trigger").map(|n| n.last.clone());
            let delay = fields.get("delay").map(|y| r.parse(y, "delay", units::duration));
            When::Follows(faults?, delay.unwrap_or(Some(Duration::ZERO))?)
        }
        _ => {
            let help = "write for example `random: [1s, 5s]`";
            let items = r.items(value, "random", help);
            let [from, to] = items else {
                if matches!(value.shape, Shape::List(_)) {
                    let message = format!("random needs two durations, found {}", items.len());
                    r.error(value.span, message, help);
                }
                return None;
            };
            let read = |r: &mut Reader<'_>, y| r.parse(y, "random", units::duration);
            let (from, to) = (read(r, from), read(r, to));
            let (from, to) = (from?, to?);
            if from >= to {
                let message = "random ends before it begins";
                r.error(value.span, message, "write the earlier time first");
                return None;
            }
            When::Random(from, to)
        }
    })
}

/// The fault of this name.
pub(super) fn fault_named<'n>(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    named: &'n [Named],
    place: &str,
) -> Option<&'n Named> {
    let (span, name) = r.text(yaml, "after")?;
    let found = named.iter().find(|n| n.name == name);
    if found.is_none() {
        let names = || named.iter().map(|n| n.name.as_str());
        let known = names().collect::<Vec<_>>().join(", ");
        let help = suggestion(name, names()).unwrap_or_else(|| match known.as_str() {
            "" => format!("give a fault that comes before a name: `name: {name}`"),
            all => format!("faults with a name that come before are {all}"),
        });
        r.error(span, format!("unknown fault \"{name}\" in {place}"), help);
    }
    found
}
