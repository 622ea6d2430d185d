//! What can go wrong.

use crate::failure::Failure;
use crate::proto::EXIT_USAGE;
use std::path::PathBuf;

/// Why something did not work. Each names the remedy where there is one.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The file or the call is wrong: what and where.
    #[error("{0}")]
    Usage(String),
    /// The testbed failed: a program is missing, a guest did not boot, a node fell over.
    #[error("{0}")]
    Testbed(String),
    /// What was expected is not so, and will not be.
    #[error("expected: {expected}; seen: {seen} (logs in {})", logs.display())]
    Unmet {
        /// What was expected.
        expected: String,
        /// What was seen instead.
        seen: String,
        /// Where consoles and events of the cluster are.
        logs: PathBuf,
    },
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.exit {
            EXIT_USAGE => Self::Usage(failure.reason),
            _ => Self::Testbed(failure.reason),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(e: anyhow::Error) -> Self {
        Self::Testbed(format!("{e:#}"))
    }
}
