//! The machine that measures, for drivers to conduct; see [`runtime_bench`].

use alloc::string::{String, ToString};
use images_control::FromNode;
use images_control::bench::{Bench, Way};
use runtime_bench::{Report, SERVED};
use runtime_core::mem::PageMem;
use runtime_core::node::{Config, Input, Output, Timer};
use runtime_core::time::Instant;
use runtime_driver::conductor::{self, Ending};

/// One of the two nodes.
#[derive(Debug)]
pub struct Machine(runtime_bench::Bench);

impl Machine {
    /// With its links not yet up.
    ///
    /// # Errors
    /// When there are not two nodes.
    pub fn new(config: &Config, bench: &Bench, now: Instant) -> Result<Self, String> {
        if config.members.len() != 2 {
            return Err("a bench is for two nodes".into());
        }
        Ok(Self(runtime_bench::Bench::new(config, bench.plan(), now)))
    }
}

impl conductor::Machine for Machine {
    fn handle(&mut self, now: Instant, input: Input<'_>, _mem: &mut dyn PageMem) {
        self.0.handle(now, &input);
    }

    fn poll(&mut self) -> Option<Output> {
        self.0.poll()
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        self.0.deadline()
    }
}

/// What to tell the harness when the machine has ended.
///
/// # Errors
/// When it did not end with what it was to measure; says how it did.
pub fn measured(way: Way, ending: Ending) -> Result<FromNode, String> {
    let Ending::Halted { reason } = ending else { return Err("told to end".to_string()) };
    if reason == SERVED {
        return Ok(FromNode::Measured { way, report: None });
    }
    let report = Report::from_json(&reason).ok_or(reason)?;
    Ok(FromNode::Measured { way, report: Some(report) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_a_report_or_a_reason() {
        let end = |reason: &str| measured(Way::Tcp, Ending::Halted { reason: reason.into() });
        let report = Report { retransmitted: 3, ..Report::default() };
        let expected = FromNode::Measured { way: Way::Tcp, report: Some(report.clone()) };
        assert_eq!(end(&report.to_json()), Ok(expected));
        assert_eq!(end("served"), Ok(FromNode::Measured { way: Way::Tcp, report: None }));
        assert_eq!(end("no contact"), Err("no contact".into()));
        assert!(measured(Way::Tcp, Ending::Shutdown).is_err());
    }
}
