//! Faults of a run, and what became of them.

use crate::plan::Fault;
use std::time::Duration;
use topology::Strike;

/// A fault that waits for its moment.
#[derive(Debug)]
pub(super) struct Armed {
    pub(super) fault: Fault,
    /// Matching events seen.
    pub(super) seen: u32,
    pub(super) fired: Option<Duration>,
    /// It was asked for, and why it has not come true.
    pub(super) open: Option<String>,
}

impl Armed {
    pub(super) fn new(fault: &Fault) -> Self {
        Self { fault: fault.clone(), seen: 0, fired: None, open: None }
    }

    /// Its moment is there. What nodes are only asked for comes true when they say so.
    pub(super) fn fire(&mut self, now: Duration) {
        self.fired = Some(now);
        let asked = matches!(self.fault.strike, Strike::Migrate(_) | Strike::Corrupt(_));
        self.open = asked.then(|| "it was not done before the run was over".to_owned());
    }
}
