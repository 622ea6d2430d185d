//! Why a verb of the command fails.

use crate::proto::{EXIT_TESTBED, EXIT_USAGE};

/// Why a verb did not do what it should, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    pub(crate) reason: String,
}

impl Failure {
    /// The file or the call is wrong.
    pub(crate) fn usage(reason: impl Into<String>) -> Self {
        Self { exit: EXIT_USAGE, reason: reason.into() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(e: anyhow::Error) -> Self {
        Self { exit: EXIT_TESTBED, reason: format!("{e:#}") }
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self { exit: EXIT_TESTBED, reason: e.to_string() }
    }
}
