//! A run and what comes of it.

use super::cluster::Cluster;
use super::error::Error;
use crate::daemon::clients::Caller;
use crate::proto::Response;
use crate::result::RunResult;
use crate::table;
use std::fmt;
use std::time::Duration;

/// A run under way; it goes on when this is dropped.
#[derive(Debug)]
pub struct Run<'c> {
    cluster: &'c Cluster,
    caller: Caller,
}

impl<'c> Run<'c> {
    pub(super) const fn new(cluster: &'c Cluster, caller: Caller) -> Self {
        Self { cluster, caller }
    }

    /// Waits for its end: what was expected in the file against what was seen. A run that hangs ends, too: when no
    /// node has said anything for a minute.
    ///
    /// # Errors
    /// When the testbed fails, which it also does when it cannot keep the result. That something does not hold is no error, but a verdict.
    pub async fn verdict(mut self) -> Result<Verdict, Error> {
        match self.cluster.answer(&mut self.caller, false).await? {
            Response::Verdict { result } => {
                result.exit()?;
                Ok(Verdict::new(&result))
            }
            other => Err(other.unexpected().into()),
        }
    }
}

/// What came of a run. As text, the tables that `understudy run` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// Everything holds.
    pub pass: bool,
    /// What had to hold, and what was seen.
    pub checks: Vec<Check>,
    /// Each death, and what followed.
    pub deaths: Vec<Death>,
    /// Numbers of the epochs that were committed, in order.
    pub checkpoints: Vec<u64>,
    /// From the command to run until the job was done; virtual on backend `sim`.
    pub run_time: Duration,
    words: String,
}

/// Something that had to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What was asked for.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Is it the same?
    pub holds: bool,
}

/// The death of a node and what followed; times since the death.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Death {
    /// Which node.
    pub node: String,
    /// When, since the start of the run.
    pub at: Duration,
    /// The rank that it hosted.
    pub rank: Option<u16>,
    /// Until some node suspected it.
    pub detected: Option<Duration>,
    /// Until its rank stood again elsewhere.
    pub taken_over: Option<Duration>,
    /// Where that was.
    pub by: Option<String>,
    /// Until the ranks ran again.
    pub resumed: Option<Duration>,
}

impl Verdict {
    fn new(result: &RunResult) -> Self {
        let micros = |us: Option<u64>| us.map(Duration::from_micros);
        let checks = result.checks.iter().map(|c| Check {
            expected: c.expected.clone(),
            seen: c.seen.clone(),
            holds: c.holds,
        });
        let deaths = result.deaths.iter().map(|d| Death {
            node: d.node.clone(),
            at: Duration::from_micros(d.at_us),
            rank: d.rank,
            detected: micros(d.detected_us),
            taken_over: micros(d.takeover_us),
            by: d.by.clone(),
            resumed: micros(d.resumed_us),
        });
        Self {
            pass: result.pass,
            checks: checks.collect(),
            deaths: deaths.collect(),
            checkpoints: result.checkpoints.iter().map(|c| c.epoch).collect(),
            run_time: Duration::from_micros(result.run_us),
            words: table::result(result),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}
