//! What stays after a run: the event log and the results.

use crate::backend::log;
use crate::dispatcher::Event;
use crate::plan::Plan;
use crate::result::RunResult;
use anyhow::Result;
use images_control::FromNode;
use images_control::sim::SimStrike;
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A line of `events.jsonl`. Times are microseconds since the daemon's start, virtual in `sim`.
#[derive(Serialize)]
struct Line<'a> {
    at_us: u64,
    node: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a FromNode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    harness: Option<&'a str>,
}

/// The files of a run.
#[derive(Debug)]
pub(super) struct Record {
    dir: PathBuf,
    events: File,
}

impl Record {
    pub(super) fn new(dir: &Path) -> Result<Self> {
        Ok(Self { dir: dir.to_owned(), events: log(&dir.join("events.jsonl"))? })
    }

    /// Logs what a node said, or what became of it.
    pub(super) fn event(&mut self, at: Duration, event: &Event, plan: &Plan) {
        let text;
        let (node, message, harness) = match event {
            Event::Node { node, message } => (*node, Some(message), None),
            Event::Spawned { node, pid } => {
                text = format!("started as process {pid}");
                (*node, None, Some(text.as_str()))
            }
            Event::Exited { node, status } => {
                text = format!("ended: {status}");
                (*node, None, Some(text.as_str()))
            }
            Event::Garbled { node, reason } => (*node, None, Some(reason.as_str())),
            Event::SimStruck { node, strike } => (*node, None, Some(words(*strike))),
            _ => return,
        };
        self.line(&Line { at_us: micros(at), node: &plan.nodes[node].name, message, harness });
    }

    pub(super) fn killed(&mut self, at: Duration, node: &str) {
        self.line(&Line { at_us: micros(at), node, message: None, harness: Some("killed") });
    }

    /// What was done to a node's machine or link.
    pub(super) fn done(&mut self, at: Duration, node: &str, what: &str) {
        self.line(&Line { at_us: micros(at), node, message: None, harness: Some(what) });
    }

    /// Where a node was when it panicked.
    pub(super) fn backtrace(&mut self, at: Duration, node: &str, frames: &[String]) {
        for frame in frames {
            let text = format!("was in {frame}");
            self.line(&Line { at_us: micros(at), node, message: None, harness: Some(&text) });
        }
    }

    /// Keeps a result, also as the last one.
    pub(super) fn result(&self, result: &RunResult) {
        let mut json = serde_json::to_string_pretty(result).unwrap_or_default();
        json.push('\n');
        for name in [format!("result-{}.json", result.job), "result.json".to_owned()] {
            if let Err(e) = std::fs::write(self.dir.join(&name), &json) {
                tracing::error!("cannot write {name}: {e}");
            }
        }
    }

    fn line(&mut self, line: &Line<'_>) {
        if let Err(e) = self.events.write_all(images_control::to_line(line).as_bytes()) {
            tracing::error!("cannot write the event log: {e}");
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What befell a node.
const fn words(strike: SimStrike) -> &'static str {
    match strike {
        SimStrike::Kill => "killed",
        SimStrike::Pause => "paused",
        SimStrike::Resume => "resumed",
        SimStrike::Cut { from: true, to: false } => "what it sends is cut off",
        SimStrike::Cut { from: false, .. } => "what is sent to it is cut off",
        SimStrike::Cut { .. } => "cut off",
        SimStrike::Degrade => "its link degrades",
        SimStrike::Heal => "healed",
        SimStrike::Reboot => "killed, and starts again",
        SimStrike::Migrate { .. } => "a rank is to move here",
        SimStrike::Corrupt { .. } => "a copy goes bad",
    }
}
