//! `events.jsonl` as the page tells it: in the order in which things happened, in words.

use super::words::{self, Group};
use images_control::FromNode;
use runtime_core::event::Event;
use serde::Deserialize;
use serde_json::Value;

/// Most events on a page.
const MOST: usize = 60_000;
/// An event is at latest so long before a later one of its node as the node's own clock says, if that is not more
/// than this: clocks of guests run a few hundredths too fast or too slow.
const NEAR_US: u64 = 500_000;

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Microseconds on the harness's clock.
    pub(super) at_us: u64,
    /// Which of [`Story::names`].
    pub(super) node: usize,
    pub(super) kind: String,
    pub(super) group: Group,
    pub(super) text: String,
    /// What a node reported, where this harness knows it.
    pub(super) event: Option<Event>,
    /// On the node's own clock.
    own_us: Option<u64>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// Names of all nodes: those of the topology first, as events number them.
    pub(super) names: Vec<String>,
    pub(super) entries: Vec<Entry>,
    /// Lines that are no events.
    pub(super) unreadable: usize,
    /// Routine events that would be too many.
    pub(super) left_out: usize,
    /// When the machine of each node started, by its last first words.
    pub(super) booted_us: Vec<Option<u64>>,
}

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    at_us: u64,
    node: String,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    harness: Option<String>,
}

impl Story {
    /// Reads the file. `names`: the nodes that are known.
    pub(super) fn read(text: &str, names: Vec<String>) -> Self {
        let mut story = Self { names, ..Self::default() };
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Line>(line) {
                Ok(line) => story.add(line),
                Err(_) => story.unreadable += 1,
            }
        }
        story.booted_us.resize(story.names.len(), None);
        settle(&mut story.entries, story.names.len());
        story.entries.sort_by_key(|entry| entry.at_us);
        story.thin_out(MOST);
        story
    }

    fn add(&mut self, line: Line) {
        let known = self.names.iter().position(|name| *name == line.node);
        let node = known.unwrap_or_else(|| {
            self.names.push(line.node.clone());
            self.names.len() - 1
        });
        self.booted_us.resize(self.names.len(), None);
        let mut entry = Entry {
            at_us: line.at_us,
            node,
            kind: "unknown".to_owned(),
            group: Group::Job,
            text: String::new(),
            event: None,
            own_us: None,
        };
        if let Some(text) = line.harness {
            entry.group = Group::of_harness(&text);
            entry.kind = harness_kind(&text).to_owned();
            entry.text = text;
        } else if let Some(message) = line.message {
            // One of another version is told as it stands.
            let words = message.to_string();
            match serde_json::from_value::<FromNode>(message) {
                Ok(message) => {
                    (entry.kind, entry.group, entry.text) = words::message(&message, &self.names);
                    if let FromNode::Hello { uptime_us, .. } = message {
                        self.booted_us[node] = line.at_us.checked_sub(uptime_us);
                    }
                    if let FromNode::Event { at_us, event } = message {
                        entry.own_us = Some(at_us);
                        entry.event = Some(event);
                    }
                }
                Err(_) => entry.text = words,
            }
        }
        self.entries.push(entry);
    }

    /// Leaves out routine events, the later ones, until there are few enough.
    fn thin_out(&mut self, most: usize) {
        let Some(mut surplus) = self.entries.len().checked_sub(most).filter(|n| *n > 0) else {
            return;
        };
        let before = self.entries.len();
        let mut kept = Vec::with_capacity(most);
        for entry in self.entries.drain(..).rev() {
            if surplus > 0 && entry.group.is_routine() {
                surplus -= 1;
            } else {
                kept.push(entry);
            }
        }
        kept.reverse();
        self.left_out = before - kept.len();
        self.entries = kept;
    }
}

/// A word for what the harness did or saw.
fn harness_kind(text: &str) -> &str {
    let kinds = [
        ("started as", "started"),
        ("ended", "ended"),
        ("killed", "killed"),
        ("stands still", "paused"),
        ("paused", "paused"),
        ("goes on", "goes-on"),
        ("resumed", "goes-on"),
        ("its link is cut", "link-cut"),
        ("cut off", "link-cut"),
        ("what ", "link-cut"),
        ("its link is as in the file", "link-healed"),
        ("its link is late", "link-late"),
        ("healed", "link-healed"),
        ("its link", "link-changed"),
        ("was in", "backtrace"),
    ];
    kinds.iter().find(|(start, _)| text.starts_with(start)).map_or("harness", |(_, kind)| kind)
}

/// Reports of a node may arrive late and together. None happened after it arrived, and none later before the next
/// than the node's own clock says.
fn settle(entries: &mut [Entry], nodes: usize) {
    for node in 0..nodes {
        let own: Vec<usize> = (0..entries.len())
            .filter(|n| entries[*n].node == node && entries[*n].own_us.is_some())
            .collect();
        for (place, &this) in own.iter().enumerate().rev() {
            let Some(own_us) = entries[this].own_us else { continue };
            let Some(&next) = own.get(place + 1) else { continue };
            // In a later life of the node its clock may begin anew.
            let gap = entries[next].own_us.and_then(|later| later.checked_sub(own_us));
            if let Some(gap) = gap.filter(|gap| *gap <= NEAR_US) {
                let arrived = entries[this].at_us;
                let latest = entries[next].at_us.saturating_sub(gap);
                entries[this].at_us = latest.clamp(arrived.saturating_sub(NEAR_US), arrived);
            }
        }
    }
}
