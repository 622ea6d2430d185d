//! Helpers to take a tree apart: mappings with known keys, named things, single values.

use crate::error::{Reader, Span};
use crate::raw::{Shape, Yaml};
use crate::units::Parsed;
use std::collections::BTreeMap;

/// Longest name of a node, board or switch.
const MAX_NAME: usize = 32;

/// A mapping whose keys are known. Keys that are not have been reported.
#[derive(Debug)]
pub(crate) struct Fields<'y> {
    place: String,
    span: Span,
    entries: Vec<(&'y str, Span, &'y Yaml)>,
}

impl<'y> Fields<'y> {
    /// Takes `yaml` as a mapping with some of `keys`; keys in `later` are understood, and refused with
    /// that explanation. Nothing at all stands for an empty mapping. `span` is where `place` is named.
    pub(crate) fn read(
        r: &mut Reader<'_>,
        yaml: &'y Yaml,
        span: Span,
        place: &str,
        keys: &[&str],
        later: &[&str],
    ) -> Option<Self> {
        let mut entries = Vec::new();
        for (key, key_span, value) in
            r.entries(yaml, place, &format!("keys are {}", keys.join(", ")))?
        {
            if keys.contains(&key) {
                entries.push((key, key_span, value));
                continue;
            }
            let here = match keys {
                [] => "nothing can be set here: write `{}`".into(),
                keys => format!("keys here are {}", keys.join(", ")),
            };
            if later.contains(&key) {
                let message = format!("\"{key}\" is not available yet in this version");
                r.error(key_span, message, format!("remove it; {here}"));
            } else {
                let help = suggestion(key, keys.iter().copied()).unwrap_or(here);
                r.error(key_span, format!("unknown key \"{key}\" in {place}"), help);
            }
        }
        Some(Self { place: place.into(), span, entries })
    }

    /// The value under a key.
    pub(crate) fn get(&self, key: &str) -> Option<&'y Yaml> {
        self.entry(key).map(|(_, value)| value)
    }

    /// The value under a key, and where the key stands.
    pub(crate) fn entry(&self, key: &str) -> Option<(Span, &'y Yaml)> {
        self.entries.iter().find(|(k, _, _)| *k == key).map(|(_, span, value)| (*span, *value))
    }

    /// The value under a key that must be there.
    pub(crate) fn required(&self, r: &mut Reader<'_>, key: &str, help: &str) -> Option<&'y Yaml> {
        let value = self.get(key);
        if value.is_none() {
            r.error(self.span, format!("{} has no \"{key}\"", self.place), help);
        }
        value
    }

    /// All entries, in the order of the file.
    pub(crate) fn entries(&self) -> &[(&'y str, Span, &'y Yaml)] {
        &self.entries
    }
}

impl Reader<'_> {
    /// The entries of a mapping with text keys, each key once. Nothing stands for an empty mapping.
    pub(crate) fn entries<'y>(
        &mut self,
        yaml: &'y Yaml,
        place: &str,
        help: &str,
    ) -> Option<Vec<(&'y str, Span, &'y Yaml)>> {
        let pairs = match &yaml.shape {
            Shape::Map(pairs) => pairs.as_slice(),
            Shape::Nothing => &[],
            other => {
                let message = format!("{place} must be a mapping, found {}", describe(other));
                self.error(yaml.span, message, help);
                return None;
            }
        };
        let mut entries: Vec<(&str, Span, &Yaml)> = Vec::new();
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for (key, value) in pairs {
            let Shape::Text(name) = &key.shape else {
                let message =
                    format!("a key in {place} must be a name, found {}", key.shape.name());
                self.error(key.span, message, help);
                continue;
            };
            if let Some(first) = seen.insert(name, key.span) {
                let help =
                    format!("it was first given on line {}: keep one of them", self.line(first));
                self.error(key.span, format!("\"{name}\" is given twice in {place}"), help);
                continue;
            }
            entries.push((name, key.span, value));
        }
        Some(entries)
    }

    /// The items of a list. Nothing stands for an empty one.
    pub(crate) fn items<'y>(&mut self, yaml: &'y Yaml, what: &str, help: &str) -> &'y [Yaml] {
        match &yaml.shape {
            Shape::List(items) => items,
            Shape::Nothing => &[],
            other => {
                let message = format!("{what} must be a list, found {}", describe(other));
                self.error(yaml.span, message, help);
                &[]
            }
        }
    }

    /// A single value as text.
    pub(crate) fn text<'y>(&mut self, yaml: &'y Yaml, what: &str) -> Option<(Span, &'y str)> {
        if let Shape::Text(text) = &yaml.shape {
            return Some((yaml.span, text));
        }
        if let Shape::Nothing = yaml.shape {
            self.error(yaml.span, format!("{what} has no value"), "write one, or remove the key");
        } else {
            let message = format!("{what} must be a single value, found {}", yaml.shape.name());
            self.error(yaml.span, message, "write one value here");
        }
        None
    }

    /// A single value that `parser` understands.
    pub(crate) fn parse<T>(
        &mut self,
        yaml: &Yaml,
        what: &str,
        parser: impl FnOnce(&str) -> Parsed<T>,
    ) -> Option<T> {
        let (span, text) = self.text(yaml, what)?;
        match parser(text) {
            Ok(value) => Some(value),
            Err(bad) => {
                self.error(span, format!("{what}: {}", bad.message), bad.help);
                None
            }
        }
    }

    /// A single value from `least` to `most`; `show` writes them for people.
    pub(crate) fn within<T: PartialOrd + Copy>(
        &mut self,
        yaml: &Yaml,
        what: &str,
        (least, most): (T, T),
        parser: impl FnOnce(&str) -> Parsed<T>,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        let value = self.parse(yaml, what, parser)?;
        if value >= least && value <= most {
            return Some(value);
        }
        let (_, text) = self.text(yaml, what)?;
        let (side, help) = if value < least {
            ("small", format!("write at least {}", show(least)))
        } else {
            ("large", format!("write at most {}", show(most)))
        };
        self.error(yaml.span, format!("{what}: {text} is too {side}"), help);
        None
    }

    /// One of some words. Those without a value are understood, but not available yet.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        yaml: &Yaml,
        what: &str,
        choices: &[(&str, Option<T>)],
    ) -> Option<T> {
        let (span, text) = self.text(yaml, what)?;
        let ready: Vec<&str> = choices.iter().filter(|c| c.1.is_some()).map(|c| c.0).collect();
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, Some(value))) => return Some(*value),
            Some((word, None)) => {
                let message = format!("{what} \"{word}\" is not available yet in this version");
                self.error(span, message, format!("use {}", ready.join(" or ")));
            }
            None => {
                let help = suggestion(text, ready.iter().copied())
                    .unwrap_or_else(|| format!("use {}", ready.join(" or ")));
                self.error(span, format!("unknown {what} \"{text}\""), help);
            }
        }
        None
    }
}

/// For messages: the shape, with the text when it is one.
fn describe(shape: &Shape) -> String {
    match shape {
        Shape::Text(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
        other => other.name().into(),
    }
}

/// `did you mean …`, when something close to `word` exists.
pub(crate) fn suggestion<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    // A very long word is no slip of the finger, and comparing it would take long.
    if word.len() > 2 * MAX_NAME {
        return None;
    }
    // One slip in four letters: "n9" is no slip for "n0".
    let close = |k: &&str| strsim::damerau_levenshtein(word, k) * 4 <= k.len();
    let best = known.filter(close).min_by_key(|k| strsim::damerau_levenshtein(word, k))?;
    Some(format!("did you mean \"{best}\"?"))
}

/// Names become file names, host names and column heads: keep them plain. Reports those that are not.
pub(crate) fn plausible_name(r: &mut Reader<'_>, span: Span, name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let ok = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain);
    if !ok {
        let shown: String = name.chars().take(40).collect();
        let help = format!(
            "use at most {MAX_NAME} letters, digits, \"-\" and \"_\", beginning with a letter or a digit"
        );
        r.error(span, format!("\"{shown}\" cannot be a name"), help);
    }
    ok
}
