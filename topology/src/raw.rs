//! The raw stage: YAML text as a tree in which every value knows its place, keys stay in the order of
//! the file, and a key given twice is there twice.

use crate::error::{Found, Span};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Location, Spanned};
use std::fmt;

/// A value and its place.
#[derive(Debug)]
pub(crate) struct Yaml {
    pub(crate) span: Span,
    pub(crate) shape: Shape,
}

/// What a value is. Scalars are text: what a text means depends on the key it stands under.
#[derive(Debug)]
pub(crate) enum Shape {
    Nothing,
    Text(String),
    List(Vec<Yaml>),
    Map(Vec<(Yaml, Yaml)>),
}

impl Shape {
    /// For "expected …, found …".
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Text(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses the text. Syntax errors stop here, for nothing after them can be trusted.
pub(crate) fn parse(text: &str) -> Result<Yaml, Found> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_depth: 16,
            max_nodes: 100_000,
            max_events: 200_000,
            max_recorded_anchor_events: 100_000,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_yaml::from_str_with_options::<Spanned<Scanned>>(text, options) {
        Ok(tree) => Ok(tree_of(text, tree)),
        Err(error) => Err(syntax(text, &error)),
    }
}

fn syntax(text: &str, error: &serde_yaml::Error) -> Found {
    let error = error.without_snippet();
    let full = error.to_string();
    // The place is shown on its own; the library repeats it at the end of its message.
    let message = full.rfind(" at line ").map_or(full.as_str(), |at| &full[..at]);
    let (message, help) = match error {
        serde_yaml::Error::MultipleDocuments { .. } => {
            ("a second YAML document begins here", "keep one document in a file: remove the `---`")
        }
        // An alias wraps the error of what it stands for: only the text says what it was.
        _ if full.contains("budget breached") => (
            "nested too deep, or too many values, for a topology",
            "simplify the file: is this the right one?",
        ),
        _ => (
            message,
            "the YAML is not well-formed here: check indentation, colons, brackets, quotes, tags and anchors",
        ),
    };
    let span = error.location().map(|l| span_of(text, l)).unwrap_or_default();
    Found { span, message: message.into(), help: help.into() }
}

fn span_of(text: &str, location: Location) -> Span {
    let bytes = (location.span().byte_offset(), location.span().byte_len());
    if let (Some(start), Some(len)) = bytes {
        let (start, len) = (usize::try_from(start), usize::try_from(len));
        return Span { start: start.unwrap_or(0), len: len.unwrap_or(0) };
    }
    // Some errors know only line and column.
    let line = usize::try_from(location.line()).unwrap_or(0).saturating_sub(1);
    let column = usize::try_from(location.column()).unwrap_or(0).saturating_sub(1);
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let start = text[begin..].char_indices().nth(column).map_or(text.len(), |(at, _)| begin + at);
    Span { start, len: 0 }
}

/// The tree as the library hands it over. Its guesses at numbers and truth values are not used: the
/// source text under the place is.
enum Scanned {
    Nothing,
    Text(String),
    Guessed,
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

fn tree_of(text: &str, tree: Spanned<Scanned>) -> Yaml {
    let span = span_of(text, tree.defined);
    let shape = match tree.value {
        Scanned::Nothing => Shape::Nothing,
        Scanned::Text(value) => Shape::Text(value),
        Scanned::Guessed => Shape::Text(
            text.get(span.start..span.start + span.len).unwrap_or_default().trim().into(),
        ),
        Scanned::List(items) => Shape::List(items.into_iter().map(|v| tree_of(text, v)).collect()),
        Scanned::Map(entries) => Shape::Map(
            entries.into_iter().map(|(k, v)| (tree_of(text, k), tree_of(text, v))).collect(),
        ),
    };
    Yaml { span, shape }
}

impl<'de> Deserialize<'de> for Scanned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScannedVisitor)
    }
}

struct ScannedVisitor;

impl<'de> Visitor<'de> for ScannedVisitor {
    type Value = Scanned;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Scanned, E> {
        Ok(Scanned::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Scanned, E> {
        Ok(Scanned::Guessed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Scanned, E> {
        Ok(Scanned::Guessed)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Scanned, E> {
        Ok(Scanned::Guessed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Scanned, E> {
        Ok(Scanned::Guessed)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Scanned, E> {
        Ok(Scanned::Guessed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Scanned, E> {
        Ok(Scanned::Guessed)
    }

    fn visit_str<E>(self, text: &str) -> Result<Scanned, E> {
        Ok(Scanned::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Scanned, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Scanned::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scanned, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Scanned::Map(entries))
    }
}
