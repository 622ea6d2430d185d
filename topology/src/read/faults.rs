//! Faults, their triggers, and expectations.

use super::At;
use super::fields::{Fields, suggestion};
use crate::error::{Reader, Span};
use crate::model::{Expectation, Fault, Node, Phase, Strike, Trigger};
use crate::raw::{Shape, Yaml};
use crate::units;
use runtime_core::event::Event;
use runtime_core::id::{NodeId, Rank};
use runtime_core::node::Role;
use serde::Deserialize as _;
use serde::de::value::MapDeserializer;
use std::fmt;

const KEYS: &[&str] =
    &["at", "kill", "pause", "resume", "cut", "heal", "reboot", "migrate", "corrupt", "hold"];
const LATER: &[&str] = &["degrade", "partition", "for"];
const KILL: &str = "write for example `- { at: { checkpoint: 2 }, kill: n1 }`";
const MIGRATE: &str = "write for example `migrate: { rank: 0, to: n3 }`";
const CORRUPT: &str = "write for example `corrupt: { node: n2, rank: 1 }`";
const AT: &str =
    "write `at: start`, `at: 2s`, `at: { checkpoint: 2 }` or `at: { event: recovering }`";
const EXPECT: &str =
    "write for example `- { result: reference }` or `- { takeover: { of: n1, by: n3 } }`";

/// Where the parts of a fault stand, for checks that come later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) node: Span,
    pub(crate) trigger: Span,
    /// The file says itself whose events to watch.
    pub(crate) on_given: bool,
}

/// The faults, in the order of the file.
pub(crate) fn faults(
    r: &mut Reader<'_>,
    yaml: Option<&Yaml>,
    nodes: &[Node],
) -> Vec<(Fault, Marks)> {
    let items = yaml.map_or(&[][..], |y| r.items(y, "faults", KILL));
    items.iter().filter_map(|item| fault(r, item, nodes)).collect()
}

fn fault(r: &mut Reader<'_>, yaml: &Yaml, nodes: &[Node]) -> Option<(Fault, Marks)> {
    let before = r.count();
    let fields = Fields::read(r, yaml, yaml.span, "a fault", KEYS, LATER)?;
    let given = |word: &'static str| fields.entry(word).map(|(span, yaml)| (word, span, yaml));
    let words = Strike::PLAIN.map(Strike::word).into_iter().chain(["migrate", "corrupt"]);
    let strikes: Vec<(&str, Span, &Yaml)> = words.filter_map(given).collect();
    // One with a word of a later version has been refused for that already.
    if r.count() > before && strikes.is_empty() {
        return None;
    }
    if let [(first, ..), (second, span, _), ..] = *strikes {
        let help = format!("write two faults, one with `{second}`");
        r.error(span, format!("a fault with \"{first}\" and \"{second}\""), help);
        return None;
    }
    let word = strikes.first().map_or(Strike::Kill.word(), |(word, ..)| *word);
    let victim_yaml = fields.required(r, word, KILL);
    let struck = victim_yaml.and_then(|y| strike(r, word, y, nodes));
    let victim = struck.map(|(_, node)| node);
    let hold = fields.entry("hold").map(|(span, y)| (span, r.parse(y, "hold", units::truth)));
    let at = fields.required(r, "at", AT)?;
    let (trigger, on_given) = trigger(r, at, nodes, victim)?;
    let ((strike, victim), victim_yaml) = (struck?, victim_yaml?);
    let hold = match hold {
        Some((span, Some(true))) => {
            let on = match trigger {
                Trigger::Checkpoint { on, .. } | Trigger::Event { on, .. } => Some(on),
                Trigger::Start | Trigger::After(_) => None,
            };
            if on != Some(victim) {
                let help =
                    "give a checkpoint or an event of the struck node itself, or remove `hold`";
                r.error(span, "the node has nothing to hold at", help);
            }
            true
        }
        _ => false,
    };
    let marks = Marks { node: victim_yaml.span, trigger: at.span, on_given };
    let line = r.line(victim_yaml.span);
    Some((Fault { trigger, strike, node: victim, hold, line }, marks))
}

/// What is done, and to which node.
fn strike(r: &mut Reader<'_>, word: &str, yaml: &Yaml, nodes: &[Node]) -> Option<(Strike, NodeId)> {
    if let Some(plain) = Strike::PLAIN.into_iter().find(|s| s.word() == word) {
        return node(r, yaml, nodes, "a fault").map(|node| (plain, node));
    }
    let (key, help) = if word == "migrate" { ("to", MIGRATE) } else { ("node", CORRUPT) };
    let fields = Fields::read(r, yaml, yaml.span, word, &["rank", key], &[])?;
    let rank = fields.required(r, "rank", help).and_then(|y| rank(r, y, nodes));
    let node = fields.required(r, key, help).and_then(|y| node(r, y, nodes, "a fault"));
    let strike = if word == "migrate" { Strike::Migrate(rank?) } else { Strike::Corrupt(rank?) };
    Some((strike, node?))
}

/// A rank by its number. Without compute nodes there is none, which is said elsewhere.
fn rank(r: &mut Reader<'_>, yaml: &Yaml, nodes: &[Node]) -> Option<Rank> {
    let number = r.parse(yaml, "rank", units::integer)?;
    let ranks = nodes.iter().filter(|n| n.role == Role::Compute).count();
    let found = u16::try_from(number).ok().filter(|rank| usize::from(*rank) < ranks);
    if found.is_none() && ranks > 0 {
        let help = match ranks {
            1 => "there is rank 0 alone: one for the compute node".into(),
            _ => format!("there are ranks 0 to {}: one for each compute node", ranks - 1),
        };
        r.error(yaml.span, format!("unknown rank {number} in a fault"), help);
    }
    found.map(Rank)
}

/// A trigger, and whether it says itself whose events it watches. An unknown victim was reported.
fn trigger(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    nodes: &[Node],
    victim: Option<NodeId>,
) -> Option<(Trigger, bool)> {
    match &yaml.shape {
        Shape::Text(word) if word == "start" => return Some((Trigger::Start, false)),
        Shape::Text(word) => {
            return match units::duration(word) {
                Ok(after) => Some((Trigger::After(after), false)),
                Err(bad) => {
                    let number = word.starts_with(|c: char| c.is_ascii_digit());
                    let help = if number { bad.help } else { AT.into() };
                    r.error(yaml.span, format!("unknown trigger \"{word}\""), help);
                    None
                }
            };
        }
        _ => {}
    }
    let keys = &["checkpoint", "phase", "event", "nth", "on"];
    let fields = Fields::read(r, yaml, yaml.span, "a trigger", keys, &[])?;
    let on = fields.get("on").map(|y| node(r, y, nodes, "a trigger"));
    let on_given = on.is_some();
    let watched = on.unwrap_or(victim);
    let epoch = fields.get("checkpoint").map(|y| number(r, y, "checkpoint", u64::MAX));
    let kind = fields.get("event").map(|y| kind(r, y));
    let phases = [Phase::Begun, Phase::Staged, Phase::Replicated, Phase::Committed]
        .map(|p| (p.event_kind().trim_start_matches("checkpoint-"), Some(p)));
    let phase = fields.get("phase").map(|y| r.choice(y, "phase", &phases));
    let nth = fields.get("nth").map(|y| number(r, y, "nth", u64::from(u32::MAX)));
    for (key, with, missing) in
        [("phase", "checkpoint", epoch.is_none()), ("nth", "event", kind.is_none())]
    {
        if let (Some((span, _)), true) = (fields.entry(key), missing) {
            r.error(span, format!("\"{key}\" belongs to \"{with}\""), AT);
        }
    }
    let trigger = match (epoch, kind) {
        (Some(epoch), None) => Trigger::Checkpoint {
            epoch: epoch?,
            phase: phase.unwrap_or(Some(Phase::Committed))?,
            on: watched?,
        },
        (None, Some(kind)) => {
            let nth = nth.unwrap_or(Some(1))?;
            Trigger::Event { kind: kind?, nth: u32::try_from(nth).ok()?, on: watched? }
        }
        (Some(_), Some(_)) => {
            r.error(yaml.span, "a trigger is a checkpoint or an event, not both", AT);
            return None;
        }
        (None, None) => {
            r.error(yaml.span, "a trigger without a checkpoint or an event", AT);
            return None;
        }
    };
    Some((trigger, on_given))
}

/// A node by its name.
fn node(r: &mut Reader<'_>, yaml: &Yaml, nodes: &[Node], place: &str) -> Option<NodeId> {
    let (span, name) = r.text(yaml, "a node")?;
    let found = nodes.iter().find(|n| n.name == name).map(|n| n.id);
    if found.is_none() {
        let help = suggestion(name, nodes.iter().map(|n| n.name.as_str())).unwrap_or_else(|| {
            let names: Vec<&str> = nodes.iter().map(|n| n.name.as_str()).take(16).collect();
            format!("the nodes are {}", names.join(", "))
        });
        r.error(span, format!("unknown node \"{name}\" in {place}"), help);
    }
    found
}

/// A whole number from 1.
fn number(r: &mut Reader<'_>, yaml: &Yaml, what: &str, most: u64) -> Option<u64> {
    r.within(yaml, what, (1, most), units::integer, |v| v.to_string())
}

/// The kind of an event.
fn kind(r: &mut Reader<'_>, yaml: &Yaml) -> Option<String> {
    let choices: Vec<(&str, Option<&str>)> = event_kinds().iter().map(|k| (*k, Some(*k))).collect();
    r.choice(yaml, "event", &choices).map(String::from)
}

/// All kinds of events, as the runtime itself spells them: asked for one that does not exist, its
/// deserializer lists those that do.
fn event_kinds() -> &'static [&'static str] {
    #[derive(Debug, Default)]
    struct Kinds(&'static [&'static str]);
    impl fmt::Display for Kinds {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("unknown kind")
        }
    }
    impl std::error::Error for Kinds {}
    impl serde::de::Error for Kinds {
        fn custom<T: fmt::Display>(_: T) -> Self {
            Self::default()
        }
        fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
            Self(expected)
        }
    }
    let question = MapDeserializer::<_, Kinds>::new([("kind", "?")].into_iter());
    Event::deserialize(question).err().unwrap_or_default().0
}

/// The expectations, in the order of the file.
pub(crate) fn expectations(
    r: &mut Reader<'_>,
    yaml: Option<&Yaml>,
    nodes: &[Node],
) -> Vec<At<Expectation>> {
    let mut all = Vec::new();
    let keys = &["result", "takeover", "no-takeover", "epochs"];
    for item in yaml.map_or(&[][..], |y| r.items(y, "expect", EXPECT)) {
        let before = r.count();
        let Some(fields) = Fields::read(r, item, item.span, "an expectation", keys, &[]) else {
            continue;
        };
        if fields.entries().is_empty() && r.count() == before {
            r.error(item.span, "an empty expectation", EXPECT);
        }
        for (key, span, value) in fields.entries() {
            if let Some(value) = expectation(r, key, *span, value, nodes) {
                all.push(At { value, span: *span });
            }
        }
    }
    all
}

fn expectation(
    r: &mut Reader<'_>,
    key: &str,
    span: Span,
    yaml: &Yaml,
    nodes: &[Node],
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
            r.error(
                yaml.span,
                "`no-takeover: false` expects nothing",
                "remove it, or expect a takeover",
            );
            None
        }
        _ => takeover(r, span, yaml, nodes),
    }
}

fn takeover(r: &mut Reader<'_>, span: Span, yaml: &Yaml, nodes: &[Node]) -> Option<Expectation> {
    let fields = Fields::read(r, yaml, span, "takeover", &["of", "by", "within"], &[])?;
    let of = fields.required(r, "of", "name the node whose rank is taken over: `of: n1`");
    let of = of.and_then(|y| node(r, y, nodes, "an expectation"));
    let by = fields.get("by").map(|y| node(r, y, nodes, "an expectation"));
    let within = fields.get("within").map(|y| r.parse(y, "within", units::duration));
    // Given but not understood is not the same as not given.
    let (by, within) =
        (by.map_or(Some(None), |v| v.map(Some)), within.map_or(Some(None), |v| v.map(Some)));
    Some(Expectation::Takeover { of: of?, by: by?, within: within? })
}
