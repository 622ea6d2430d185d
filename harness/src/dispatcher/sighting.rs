//! What of nodes has shown itself.

use std::time::Duration;
use topology::{Shown, Sight};

/// Something that was looked for has shown.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) at: Duration,
    pub(super) node: usize,
    pub(super) what: Showing,
}

/// An event of a node, or a line of its console.
#[derive(Clone, Debug)]
pub(super) enum Showing {
    Event { kind: String, number: Option<u64> },
    Line(String),
}

impl Showing {
    /// What stands in the line, if it is one.
    pub(super) fn line_words(&self) -> String {
        match self {
            Self::Line(line) => format!(": {}", line.chars().take(60).collect::<String>()),
            Self::Event { .. } => String::new(),
        }
    }
}

impl Sighting {
    /// Is it what is looked for?
    pub(super) fn is(&self, sight: &Sight) -> bool {
        let shown = match (&self.what, &sight.shown) {
            (Showing::Event { kind, number }, Shown::Event { kind: wanted, number: which }) => {
                kind == wanted && (which.is_none() || which == number)
            }
            (Showing::Line(line), Shown::Line(text)) => line.contains(text.as_str()),
            _ => false,
        };
        shown && sight.on.is_none_or(|on| on.index() == self.node)
    }
}
