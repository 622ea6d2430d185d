//! What stays after a run: the event log and the results.

use crate::backend::log;
use crate::dispatcher::Event;
use crate::library::{Happening, What};
use crate::plan::{Plan, Target};
use crate::result::RunResult;
use anyhow::Result;
use images_control::sim::SimStrike;
use images_control::{FromNode, kind_of};
use serde::Serialize;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

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

/// Who is told what happens, as it happens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audience(Arc<Mutex<Vec<mpsc::UnboundedSender<Happening>>>>);

impl Audience {
    /// All that happens from now on; it ends with the daemon.
    pub(crate) fn join(&self) -> mpsc::UnboundedReceiver<Happening> {
        let (sender, happenings) = mpsc::unbounded_channel();
        self.lock().push(sender);
        happenings
    }

    /// Nothing happens any more.
    pub(crate) fn leave(&self) {
        self.lock().clear();
    }

    fn tell(&self, happening: &Happening) {
        self.lock().retain(|who| who.send(happening.clone()).is_ok());
    }

    fn lock(&self) -> MutexGuard<'_, Vec<mpsc::UnboundedSender<Happening>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Its file of events.
const EVENTS: &str = "events.jsonl";

/// The files of a run.
#[derive(Debug)]
pub(super) struct Record {
    dir: PathBuf,
    events: File,
    /// Why something could not be written, until that is told.
    trouble: Option<String>,
    is_told: bool,
    audience: Option<Audience>,
}

impl Record {
    pub(super) fn new(dir: &Path, audience: Option<Audience>) -> Result<Self> {
        let events = log(&dir.join(EVENTS))?;
        Ok(Self { dir: dir.to_owned(), events, trouble: None, is_told: false, audience })
    }

    /// Why nothing is recorded any more: to be told once.
    pub(super) fn trouble(&mut self) -> Option<String> {
        let trouble = self.trouble.take().filter(|_| !self.is_told);
        self.is_told |= trouble.is_some();
        trouble
    }

    fn tell(&self, at: Duration, node: &str, what: impl FnOnce() -> Option<What>) {
        if let Some(audience) = &self.audience
            && let Some(what) = what()
        {
            audience.tell(&Happening::new(at, node.to_owned(), what));
        }
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
            Event::SimStruck { target: Target::Node(node), strike } => {
                (*node, None, Some(words(*strike)))
            }
            Event::SimStruck { target: Target::Cable(cable), strike } => {
                return self.done(at, &plan.cables[*cable].name, cable_words(*strike));
            }
            Event::Cable(told) => return self.done(at, &told.cable, told.text),
            Event::Late { link, text } => return self.done(at, link, text),
            Event::Line { node, text } => {
                let node = &plan.nodes[*node].name;
                return self.tell(at, node, || Some(What::Printed(text.clone())));
            }
            _ => return,
        };
        if let Some(message) = message {
            self.tell(at, &plan.nodes[node].name, || said(message));
        }
        self.line(&Line { at_us: micros(at), node: &plan.nodes[node].name, message, harness });
    }

    pub(super) fn killed(&mut self, at: Duration, node: &str) {
        self.line(&Line { at_us: micros(at), node, message: None, harness: Some("killed") });
    }

    /// What was done to a node's machine or link, or to a cable.
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
    ///
    /// # Errors
    /// When it cannot be written; nothing is left that looks like a result.
    pub(super) fn result(&self, result: &RunResult) -> Result<(), String> {
        let mut json = serde_json::to_string_pretty(result).unwrap_or_default();
        json.push('\n');
        for name in [format!("result-{}.json", result.job), "result.json".to_owned()] {
            let path = self.dir.join(name);
            if let Err(e) = std::fs::write(&path, &json) {
                drop(std::fs::remove_file(&path));
                return Err(format!("cannot write {}: {e}: make room for it", path.display()));
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &Line<'_>) {
        if let Some(words) = line.harness {
            let at = Duration::from_micros(line.at_us);
            self.tell(at, line.node, || Some(What::Befell(words.to_owned())));
        }
        if let Err(e) = self.events.write_all(images_control::to_line(line).as_bytes()) {
            let path = self.dir.join(EVENTS);
            self.trouble = Some(format!("cannot write {}: {e}: make room for it", path.display()));
        }
    }
}

/// What a node says, for people and programs; what only the harness needs is left out.
fn said(message: &FromNode) -> Option<What> {
    match message {
        FromNode::Event { event, .. } => Some(What::Said {
            kind: kind_of(event),
            number: event.number(),
            details: serde_json::to_value(event).unwrap_or_default(),
        }),
        FromNode::Print { text, .. } => Some(What::Printed(text.clone())),
        FromNode::Ended { words, .. } => Some(What::Befell(format!("its program ended: {words}"))),
        FromNode::Failed { reason } => Some(What::Befell(format!("failed: {reason}"))),
        FromNode::Panic { message, .. } => Some(What::Befell(format!("panicked: {message}"))),
        _ => None,
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

/// What befell a cable.
const fn cable_words(strike: SimStrike) -> &'static str {
    match strike {
        SimStrike::Cut { from: true, to: false } => "its link is cut one way: from its first end",
        SimStrike::Cut { from: false, .. } => "its link is cut one way: to its first end",
        SimStrike::Cut { .. } => "its link is cut",
        SimStrike::Degrade => "its link degrades",
        _ => "its link is as in the file",
    }
}
