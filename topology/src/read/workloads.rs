//! The workloads that images contain, so that a slip in a name is found before anything boots.

use super::fields::suggestion;
use crate::error::{Reader, Span};

/// Each with its arguments. The images say the same, and a test compares them.
const WORKLOADS: [(&str, &[&str]); 6] = [
    ("laplace", &["size", "iterations", "checkpoint-every"]),
    ("recursion", &["depth", "items", "checkpoint-every"]),
    ("litmus", &["rounds"]),
    ("conformance", &["suite", "rounds"]),
    ("fault", &["how"]),
    ("busy", &["millions"]),
];

/// All names, for editors.
pub(crate) const NAMES: [&str; 6] = {
    let mut names = [""; 6];
    let mut n = 0;
    while n < names.len() {
        names[n] = WORKLOADS[n].0;
        n += 1;
    }
    names
};

/// The arguments of a workload; one that there is not is reported.
pub(super) fn arguments(
    r: &mut Reader<'_>,
    span: Span,
    name: &str,
) -> Option<&'static [&'static str]> {
    let found = WORKLOADS.iter().find(|(known, _)| *known == name);
    if found.is_none() {
        let help = suggestion(name, NAMES.into_iter())
            .unwrap_or_else(|| format!("there are {}", NAMES.join(", ")));
        r.error(span, format!("unknown workload \"{name}\""), help);
    }
    found.map(|(_, arguments)| *arguments)
}

/// Reports an argument that its workload does not have.
pub(super) fn argument(
    r: &mut Reader<'_>,
    (span, name): (Span, &str),
    workload: &str,
    arguments: &[&'static str],
) {
    if !arguments.contains(&name) {
        let help = suggestion(name, arguments.iter().copied())
            .unwrap_or_else(|| format!("it has {}", arguments.join(", ")));
        r.error(span, format!("{workload} has no argument \"{name}\""), help);
    }
}
