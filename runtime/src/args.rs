//! Arguments of a program.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use core::str::FromStr;

/// Why arguments cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadArg(pub String);

impl core::fmt::Display for BadArg {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for BadArg {}

/// Named values, the same on every rank.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Args(BTreeMap<String, String>);

impl Args {
    /// Arguments from a map.
    ///
    /// # Errors
    /// When a name is empty or contains `=`, or anything contains a line feed.
    pub fn new(map: BTreeMap<String, String>) -> Result<Self, BadArg> {
        for (name, value) in &map {
            if name.is_empty() || name.contains(['=', '\n']) || value.contains('\n') {
                return Err(BadArg(format!(
                    "argument {name:?}: a name has no `=`, and neither has a line feed"
                )));
            }
        }
        Ok(Self(map))
    }

    /// As text, `name=value` a line; the inverse of [`Args::parse`].
    #[must_use]
    pub fn to_text(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
    }

    /// From text.
    ///
    /// # Errors
    /// When a line has no `=`.
    pub fn parse(text: &str) -> Result<Self, BadArg> {
        let pair = |line: &str| match line.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
            _ => Err(BadArg(format!("argument {line:?}: write it as name=value"))),
        };
        // One by one: a map that is collected is sorted first, by code that is larger than all of this.
        let mut map = BTreeMap::new();
        for line in text.lines() {
            let (name, value) = pair(line)?;
            map.insert(name, value);
        }
        Ok(Self(map))
    }

    /// A value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number, or what it is unless it is given.
    ///
    /// # Errors
    /// When the value is no such number.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, BadArg> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.parse()
            .map_err(|_| BadArg(format!("argument {name}: `{text}` is not a number in range")))
    }

    /// All names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
