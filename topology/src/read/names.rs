//! Names in faults and expectations: nodes, all nodes of a board, ranks, kinds of events.

use super::fields::{Fields, suggestion};
use crate::error::Reader;
use crate::model::{Cable, Node, Target};
use crate::raw::{Shape, Yaml};
use crate::units;
use runtime_core::event::Event;
use runtime_core::id::{NodeId, Rank};
use runtime_core::node::Role;
use serde::Deserialize as _;
use serde::de::value::MapDeserializer;
use std::fmt;

/// What can be named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) boards: &'a [String],
    pub(crate) cables: &'a [Cable],
}

impl Names<'_> {
    /// A node.
    pub(super) fn node(&self, r: &mut Reader<'_>, yaml: &Yaml, place: &str) -> Option<NodeId> {
        let (span, name) = r.text(yaml, "a node")?;
        let found = self.nodes.iter().find(|n| n.name == name).map(|n| n.id);
        if found.is_none() {
            let names = self.nodes.iter().map(|n| n.name.as_str());
            let its_link = |node: &&str| {
                let rest = name.strip_prefix(*node).or_else(|| name.strip_suffix(*node));
                rest.is_some_and(|rest| rest.starts_with('-') || rest.ends_with('-'))
            };
            let link = names.clone().find(its_link).filter(|_| place == "a fault");
            let link = link.map(|node| format!("a link goes by the name of its node: `{node}`"));
            let help = link.or_else(|| suggestion(name, names.clone())).unwrap_or_else(|| {
                format!("the nodes are {}", names.take(16).collect::<Vec<_>>().join(", "))
            });
            if self.cable(name).is_some() {
                let message = format!("\"{name}\" is a cable, and no node, in {place}");
                let help = format!(
                    "name a node; a cable can be cut (`cut: {name}`, or one way \
                     `cut: {{ link: {name}, direction: a-to-b }}`), degraded, flapped and healed"
                );
                r.error(span, message, help);
                return None;
            }
            r.error(span, format!("unknown node \"{name}\" in {place}"), help);
        }
        found
    }

    fn cable(&self, name: &str) -> Option<usize> {
        self.cables.iter().position(|cable| cable.name == name)
    }

    fn is_unknown(&self, name: &str) -> bool {
        self.nodes.iter().all(|n| n.name != name)
    }

    /// The links of nodes, as [`Self::targets`] finds them, and cables between switches.
    pub(super) fn links(&self, r: &mut Reader<'_>, yaml: &Yaml) -> Option<Vec<Target>> {
        self.each(r, yaml, |r, yaml| match &yaml.shape {
            Shape::Text(name) if self.cable(name).is_some() => self.cable(name).map(Target::Cable),
            Shape::Text(name) if self.is_unknown(name) && !self.cables.is_empty() => {
                let cables = self.cables.iter().map(|c| c.name.as_str());
                let known = self.nodes.iter().map(|n| n.name.as_str()).chain(cables);
                let help = suggestion(name, known.clone()).unwrap_or_else(|| {
                    let known: Vec<&str> = known.collect();
                    format!("nodes and cables are {}", known.join(", "))
                });
                r.error(yaml.span, format!("unknown node or cable \"{name}\" in a fault"), help);
                None
            }
            _ => self.node(r, yaml, "a fault").map(Target::Node),
        })
    }

    /// One node, several in a list, or all of a board: never none, and each once.
    pub(super) fn targets(&self, r: &mut Reader<'_>, yaml: &Yaml) -> Option<Vec<Target>> {
        self.each(r, yaml, |r, yaml| self.node(r, yaml, "a fault").map(Target::Node))
    }

    fn each(
        &self,
        r: &mut Reader<'_>,
        yaml: &Yaml,
        one: impl Fn(&mut Reader<'_>, &Yaml) -> Option<Target>,
    ) -> Option<Vec<Target>> {
        match &yaml.shape {
            Shape::List(items) => {
                if items.is_empty() {
                    let help = "name a node, as `n1` or `[n1, n2]`, or a board, as `{ board: a }`";
                    r.error(yaml.span, "an empty list of nodes in a fault", help);
                    return None;
                }
                let mut nodes = Vec::new();
                for item in items {
                    let node = one(r, item)?;
                    if nodes.contains(&node) {
                        let (_, name) = r.text(item, "a node")?;
                        let message = format!("\"{name}\" is named twice in a fault");
                        r.error(item.span, message, "name it once");
                        return None;
                    }
                    nodes.push(node);
                }
                Some(nodes)
            }
            Shape::Map(pairs) => {
                let is_node = |(key, _): &&(Yaml, Yaml)| matches!(&key.shape, Shape::Text(text) if text == "node");
                if let Some((key, _)) = pairs.iter().find(is_node) {
                    let help = "write its name alone, as `n1`, several as `[n1, n2]`";
                    r.error(key.span, "a node is no mapping here", help);
                    return None;
                }
                let fields = Fields::read(r, yaml, yaml.span, "a target", &["board"], &[])?;
                let help = "write for example `{ board: a }`, or the name of a node";
                let board = fields.required(r, "board", help)?;
                let nodes = self.board(r, board)?;
                Some(nodes.into_iter().map(Target::Node).collect())
            }
            _ => one(r, yaml).map(|target| vec![target]),
        }
    }

    fn board(&self, r: &mut Reader<'_>, yaml: &Yaml) -> Option<Vec<NodeId>> {
        let (span, name) = r.text(yaml, "a board")?;
        let Some(board) = self.boards.iter().position(|b| b == name) else {
            let help = suggestion(name, self.boards.iter().map(String::as_str))
                .unwrap_or_else(|| format!("the boards are {}", self.boards.join(", ")));
            r.error(span, format!("unknown board \"{name}\" in a fault"), help);
            return None;
        };
        let on_it = self.nodes.iter().filter(|n| usize::from(n.board) == board);
        let nodes: Vec<NodeId> = on_it.map(|n| n.id).collect();
        if nodes.is_empty() {
            let message = format!("no node is on board \"{name}\"");
            r.error(span, message, "name a board that has nodes, or put some on it");
            return None;
        }
        Some(nodes)
    }

    /// A rank by its number. Without compute nodes there is none, which is said elsewhere.
    pub(super) fn rank(&self, r: &mut Reader<'_>, yaml: &Yaml, place: &str) -> Option<Rank> {
        let number = r.parse(yaml, "rank", units::integer)?;
        let ranks = self.nodes.iter().filter(|n| n.role == Role::Compute).count();
        let found = u16::try_from(number).ok().filter(|rank| usize::from(*rank) < ranks);
        if found.is_none() && ranks > 0 {
            let help = match ranks {
                1 => "there is rank 0 alone: one for the compute node".into(),
                _ => format!("there are ranks 0 to {}: one for each compute node", ranks - 1),
            };
            r.error(yaml.span, format!("unknown rank {number} in {place}"), help);
        }
        found.map(Rank)
    }
}

/// A whole number from 1.
pub(super) fn number(r: &mut Reader<'_>, yaml: &Yaml, what: &str, most: u64) -> Option<u64> {
    r.within(yaml, what, (1, most), units::integer, |v| v.to_string())
}

/// The kind of an event.
pub(super) fn kind(r: &mut Reader<'_>, yaml: &Yaml) -> Option<String> {
    // These have words of their own, with the number that tells them from others.
    if let Shape::Text(word) = &yaml.shape
        && let Some((_, instead)) = FREQUENT.iter().find(|(kind, _)| kind == word)
    {
        let message = format!("event \"{word}\" happens too often to be told each time");
        let help = format!("wait for one of them: `at: {{ {instead}: 100 }}`");
        r.error(yaml.span, message, help);
        return None;
    }
    let choices: Vec<(&str, Option<&str>)> = event_kinds().map(|k| (k, Some(k))).collect();
    r.choice(yaml, "event", &choices).map(String::from)
}

/// Events that are told only where a trigger waits for one of them, and the trigger's word.
const FREQUENT: [(&str, &str); 2] = [("barrier-passed", "barrier"), ("iteration", "iteration")];

/// All kinds of events that can be named, as the runtime itself spells them: asked for one that does not exist,
/// its deserializer lists those that do.
pub fn event_kinds() -> impl Iterator<Item = &'static str> {
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
    let all = Event::deserialize(question).err().unwrap_or_default().0;
    all.iter().copied().filter(|kind| FREQUENT.iter().all(|(frequent, _)| frequent != kind))
}
