//! What must hold in the end.

use super::At;
use super::fields::{Fields, suggestion};
use super::names::{Names, kind, number};
use super::triggers::{Named, fault_named};
use crate::error::{Reader, Span};
use crate::model::{Expectation, Metric, Outcome, Shown, Sight};
use crate::raw::Yaml;
use crate::units::{self, Parsed};
use runtime_core::id::Rank;

const EXPECT: &str =
    "write for example `- { result: reference }` or `- { takeover: { of: n1, by: n3 } }`";
const SEEN: &str = "write for example `{ event: suspected, on: n0 }` or `{ line: \"ready\" }`";
const METRIC: &str = "write for example `metric: { recovery-time: { at-most: 2s } }`";
pub(crate) const KEYS: &[&str] =
    &["result", "takeover", "no-takeover", "epochs", "seen", "never", "order", "state", "metric"];
/// What says what to look for.
pub(crate) const SIGHT: [&str; 4] = ["event", "epoch", "line", "on"];
/// The same, with how often and how soon.
pub(crate) const SEEN_KEYS: [&str; 7] =
    ["event", "epoch", "line", "on", "times", "within", "after"];

/// The expectations, in the order of the file. `faults`: those with names.
pub(crate) fn expectations(
    r: &mut Reader<'_>,
    yaml: Option<&Yaml>,
    names: Names<'_>,
    faults: &[Named],
) -> Vec<At<Expectation>> {
    let mut all = Vec::new();
    for item in yaml.map_or(&[][..], |y| r.items(y, "expect", EXPECT)) {
        let before = r.count();
        let Some(fields) = Fields::read(r, item, item.span, "an expectation", KEYS, &[]) else {
            continue;
        };
        if fields.entries().is_empty() && r.count() == before {
            r.error(item.span, "an empty expectation", EXPECT);
        }
        for (key, span, value) in fields.entries() {
            let values = match *key {
                "state" => states(r, value, names),
                "metric" => metrics(r, value),
                _ => expectation(r, key, *span, value, names, faults).into_iter().collect(),
            };
            all.extend(values.into_iter().map(|value| At { value, span: *span }));
        }
    }
    all
}

fn expectation(
    r: &mut Reader<'_>,
    key: &str,
    span: Span,
    yaml: &Yaml,
    names: Names<'_>,
    faults: &[Named],
) -> Option<Expectation> {
    match key {
        "result" => r
            .choice(yaml, "result", &[("reference", Some(()))])
            .map(|()| Expectation::ResultIsReference),
        "epochs" => number(r, yaml, "epochs", u64::MAX).map(Expectation::Epochs),
        "no-takeover" => {
            if r.parse(yaml, "no-takeover", units::truth)? {
                return Some(Expectation::NoTakeover);
            }
            let help = "remove it, or expect a takeover";
            r.error(yaml.span, "`no-takeover: false` expects nothing", help);
            None
        }
        "seen" => seen(r, span, yaml, names, faults),
        "never" => {
            let fields = Fields::read(r, yaml, span, "never", &SIGHT, &[])?;
            sight(r, &fields, span, names).map(Expectation::Never)
        }
        "order" => order(r, yaml, names),
        _ => takeover(r, span, yaml, names),
    }
}

fn takeover(r: &mut Reader<'_>, span: Span, yaml: &Yaml, names: Names<'_>) -> Option<Expectation> {
    let fields = Fields::read(r, yaml, span, "takeover", &["of", "by", "within"], &[])?;
    let of = fields.required(r, "of", "name the node whose rank is taken over: `of: n1`");
    let of = of.and_then(|y| names.node(r, y, "an expectation"));
    let by = fields.get("by").map(|y| names.node(r, y, "an expectation"));
    let within = fields.get("within").map(|y| r.parse(y, "within", units::duration));
    // Given but not understood is not the same as not given.
    let (by, within) =
        (by.map_or(Some(None), |v| v.map(Some)), within.map_or(Some(None), |v| v.map(Some)));
    Some(Expectation::Takeover { of: of?, by: by?, within: within? })
}

fn seen(
    r: &mut Reader<'_>,
    span: Span,
    yaml: &Yaml,
    names: Names<'_>,
    faults: &[Named],
) -> Option<Expectation> {
    let fields = Fields::read(r, yaml, span, "seen", &SEEN_KEYS, &[])?;
    let sight = sight(r, &fields, span, names);
    let times = fields.get("times").map(|y| number(r, y, "times", u64::from(u32::MAX)));
    let times = times.unwrap_or(Some(1)).and_then(|n| u32::try_from(n).ok());
    let within = fields.get("within").map(|y| r.parse(y, "within", units::duration));
    let after = fields.get("after").map(|y| fault_named(r, y, faults, "an expectation"));
    let (within, after) = (
        within.map_or(Some(None), |v| v.map(Some)),
        after.map_or(Some(None), |v| v.map(|n| Some(n.item))),
    );
    Some(Expectation::Seen { sight: sight?, times: times?, within: within?, after: after? })
}

fn sight(r: &mut Reader<'_>, fields: &Fields<'_>, span: Span, names: Names<'_>) -> Option<Sight> {
    let on = fields.get("on").map(|y| names.node(r, y, "an expectation"));
    let number = fields.get("epoch").map(|y| number(r, y, "epoch", u64::MAX));
    let shown = match (fields.get("event"), fields.get("line")) {
        (Some(event), None) => {
            let kind = kind(r, event);
            let number = number.map_or(Some(None), |v| v.map(Some));
            Shown::Event { kind: kind?, number: number? }
        }
        (None, Some(line)) => {
            if let Some((span, _)) = fields.entry("epoch") {
                r.error(span, "\"epoch\" belongs to \"event\"", SEEN);
            }
            let (span, text) = r.text(line, "line")?;
            if text.trim().is_empty() {
                r.error(span, "every line holds an empty text", "write what the line must hold");
                return None;
            }
            Shown::Line(text.into())
        }
        (Some(_), Some(_)) => {
            r.error(span, "an event or a line is looked for, not both", SEEN);
            return None;
        }
        (None, None) => {
            r.error(span, "neither an event nor a line to look for", SEEN);
            return None;
        }
    };
    Some(Sight { shown, on: on.map_or(Some(None), |v| v.map(Some))? })
}

fn order(r: &mut Reader<'_>, yaml: &Yaml, names: Names<'_>) -> Option<Expectation> {
    let help = "write for example `order: [{ event: suspected }, { event: resumed }]`";
    let before = r.count();
    let mut sights = Vec::new();
    for item in r.items(yaml, "order", help) {
        let fields = Fields::read(r, item, item.span, "each of an order", &SIGHT, &[]);
        sights.extend(fields.and_then(|fields| sight(r, &fields, item.span, names)));
    }
    if r.count() > before {
        return None;
    }
    if sights.len() < 2 {
        r.error(yaml.span, "an order needs two or more to compare", help);
        return None;
    }
    Some(Expectation::Order(sights))
}

fn states(r: &mut Reader<'_>, yaml: &Yaml, names: Names<'_>) -> Vec<Expectation> {
    let help = "write for example `state: { n1: dead, n3: rank 1 }`";
    let mut all = Vec::new();
    for (name, span, value) in r.entries(yaml, "state", help).unwrap_or_default() {
        let Some(node) = names.nodes.iter().find(|n| n.name == name).map(|n| n.id) else {
            let known = names.nodes.iter().map(|n| n.name.as_str());
            let help = suggestion(name, known.clone()).unwrap_or_else(|| {
                format!("the nodes are {}", known.take(16).collect::<Vec<_>>().join(", "))
            });
            r.error(span, format!("unknown node \"{name}\" in an expectation"), help);
            continue;
        };
        let Some(outcome) = r.parse(value, "state", outcome) else { continue };
        if let Outcome::Rank(Rank(rank)) = outcome {
            let ranks = names.nodes.iter().filter(|n| n.role == runtime_core::node::Role::Compute);
            let ranks = ranks.count();
            if usize::from(rank) >= ranks && ranks > 0 {
                let message = format!("unknown rank {rank} in an expectation");
                r.error(value.span, message, format!("there are ranks 0 to {}", ranks - 1));
                continue;
            }
        }
        all.push(Expectation::State { node, outcome });
    }
    all
}

/// `dead`, `standby`, `rank 1`, `exited 0`.
fn outcome(text: &str) -> Parsed<Outcome> {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = rest.trim();
    match (word, rest) {
        ("dead", "") => Ok(Outcome::Dead),
        ("standby", "") => Ok(Outcome::Standby),
        ("rank", n) if n.parse::<u16>().is_ok() => {
            Ok(Outcome::Rank(Rank(n.parse().unwrap_or_default())))
        }
        ("exited", n) if n.parse::<u8>().is_ok() => {
            Ok(Outcome::Exited(n.parse::<u8>().unwrap_or_default().into()))
        }
        _ => units::bad(
            format!("\"{text}\" is not a state that a node ends in"),
            "write `dead`, `standby`, `rank 1` or `exited 0`",
        ),
    }
}

fn metrics(r: &mut Reader<'_>, yaml: &Yaml) -> Vec<Expectation> {
    let words = Metric::ALL.map(Metric::word);
    let mut all = Vec::new();
    let before = r.count();
    let fields = Fields::read(r, yaml, yaml.span, "metric", &words, &[]);
    if r.count() == before && fields.as_ref().is_some_and(|fields| fields.entries().is_empty()) {
        r.error(yaml.span, "`metric` without one", METRIC);
    }
    for (word, span, value) in fields.iter().flat_map(Fields::entries) {
        let Some(metric) = Metric::named(word) else { continue };
        let before = r.count();
        let Some(bounds) = Fields::read(r, value, *span, word, &["at-least", "at-most"], &[])
        else {
            continue;
        };
        let read = |r: &mut Reader<'_>, key| {
            bounds.get(key).and_then(|y| r.parse(y, key, |text| metric.read(text)))
        };
        let (at_least, at_most) = (read(r, "at-least"), read(r, "at-most"));
        if r.count() > before {
            continue;
        }
        match (at_least, at_most) {
            (None, None) => r.error(*span, format!("{word} without a bound"), METRIC),
            (Some(least), Some(most)) if least > most => {
                r.error(*span, format!("nothing lies between these bounds of {word}"), METRIC);
            }
            _ => all.push(Expectation::Metric { metric, at_least, at_most }),
        }
    }
    all
}
