//! Events in words, and what sort of event each is.

use images_control::FromNode;
use runtime_core::event::Event;
use runtime_core::id::NodeId;
use std::fmt::Write as _;

/// A sort of events: the page filters by it and gives each a sign and a colour of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    Fault,
    Detection,
    View,
    Recovery,
    Checkpoint,
    Link,
    Job,
    Life,
}

impl Group {
    /// All of them; where many events share a place, the first of these is shown.
    pub(super) const ALL: [Self; 8] = [
        Self::Fault,
        Self::Detection,
        Self::View,
        Self::Recovery,
        Self::Checkpoint,
        Self::Link,
        Self::Job,
        Self::Life,
    ];

    /// For people.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Fault => "faults",
            Self::Detection => "detection",
            Self::View => "views",
            Self::Recovery => "recovery",
            Self::Checkpoint => "checkpoints",
            Self::Link => "links",
            Self::Job => "job",
            Self::Life => "start and end",
        }
    }

    /// May be left out where there are too many.
    pub(super) const fn is_routine(self) -> bool {
        matches!(self, Self::Checkpoint | Self::Job | Self::Link)
    }

    /// Of what a node reported.
    pub(super) const fn of(event: &Event) -> Self {
        match event {
            Event::LinkUp { .. } | Event::Refused { .. } => Self::Link,
            Event::Ready { .. } | Event::Joining { .. } => Self::Life,
            Event::Suspected { .. }
            | Event::HeardAgain { .. }
            | Event::LongestSilence { .. }
            | Event::StoodStill { .. } => Self::Detection,
            Event::NoMajority { .. }
            | Event::View { .. }
            | Event::Fenced { .. }
            | Event::MoveRefused { .. }
            | Event::Doubled { .. } => Self::View,
            Event::Recovering { .. }
            | Event::CopySent { .. }
            | Event::CopyReceived { .. }
            | Event::Rebuilt { .. }
            | Event::RolledBack { .. }
            | Event::Resumed { .. }
            | Event::Held { .. } => Self::Recovery,
            Event::CopyDamaged { .. } | Event::Corrupted { .. } | Event::JobLost { .. } => {
                Self::Fault
            }
            Event::CheckpointBegun { .. }
            | Event::CheckpointStaged { .. }
            | Event::CheckpointReplicated { .. }
            | Event::CheckpointCommitted { .. }
            | Event::CheckpointPaced { .. } => Self::Checkpoint,
            Event::BarrierPassed { .. }
            | Event::Iteration { .. }
            | Event::RankExited { .. }
            | Event::JobDone { .. } => Self::Job,
        }
    }

    /// Of what the harness did or saw.
    pub(super) fn of_harness(text: &str) -> Self {
        if text.starts_with("its link") || text.contains("cut off") || text == "healed" {
            Self::Link
        } else if text.starts_with("started as") || text.starts_with("ended") {
            Self::Life
        } else {
            Self::Fault
        }
    }
}

/// What a node said: its kind, its sort, and words for people.
pub(super) fn message(message: &FromNode, names: &[String]) -> (String, Group, String) {
    let told = |kind: &str, group, text: String| (kind.to_owned(), group, text);
    match message {
        FromNode::Event { event, .. } => {
            (images_control::kind_of(event), Group::of(event), words(event, names))
        }
        FromNode::Hello { image, uptime_us, .. } => {
            let image = image.get(..12).unwrap_or(image);
            let up = seconds(*uptime_us);
            told(
                "hello",
                Group::Life,
                format!("runs, {up} after its machine started; image {image}"),
            )
        }
        FromNode::Report { rank, bytes, sha256, text, .. } => {
            let hash = sha256.get(..16).unwrap_or(sha256);
            let words = format!("rank {rank} hands in {bytes} bytes, sha256 {hash}…: {text}");
            told("report", Group::Job, words)
        }
        FromNode::Print { rank, text } => told("print", Group::Job, format!("rank {rank}: {text}")),
        FromNode::Measured { .. } => told("measured", Group::Job, plain(message)),
        FromNode::Ended { words, .. } => {
            told("ended", Group::Job, format!("program ended: {words}"))
        }
        FromNode::Held { at } => {
            told("held-still", Group::Fault, format!("stands still at {at}, as a fault asks"))
        }
        FromNode::Failed { reason } => told("failed", Group::Fault, reason.clone()),
        FromNode::Panic { message, .. } => told("panic", Group::Fault, message.clone()),
    }
}

/// An event in words; those that need none are told by their fields.
fn words(event: &Event, names: &[String]) -> String {
    let name = |node: &NodeId| match names.get(node.index()) {
        Some(name) => name.clone(),
        None => format!("node {}", node.index()),
    };
    let all = |nodes: &[NodeId]| nodes.iter().map(name).collect::<Vec<_>>().join(" ");
    match event {
        Event::LinkUp { peer, .. } => format!("linked to {}", name(peer)),
        Event::Ready { .. } => "linked to all members".to_owned(),
        Event::Refused { peer, reason } => format!("refuses {}: {reason}", name(peer)),
        Event::Suspected { peer, reason, silent_us } => {
            format!("suspects {}: {reason}, silent for {}", name(peer), seconds(*silent_us))
        }
        Event::HeardAgain { peer } => format!("hears {} again, in time", name(peer)),
        Event::LongestSilence { peer, silent_us } => {
            format!("longest silence of {} so far: {}", name(peer), seconds(*silent_us))
        }
        Event::StoodStill { pause_us } => format!("stood still for {}", seconds(*pause_us)),
        Event::View { view, coordinator, members, ranks } => format!(
            "view {}: {} led by {}; ranks on {}",
            view.0,
            all(members),
            name(coordinator),
            all(ranks)
        ),
        Event::Recovering { epoch, taken_over, .. } if taken_over.is_empty() => {
            format!("goes to epoch {}", epoch.0)
        }
        Event::Recovering { epoch, taken_over, .. } => {
            let ranks: Vec<String> = taken_over.iter().map(|r| r.0.to_string()).collect();
            format!("goes to epoch {}; new host for rank {}", epoch.0, ranks.join(", "))
        }
        Event::CopySent { rank, epoch, to, pages, bytes } => {
            let (to, size) = (name(to), size(*bytes));
            format!(
                "sends {to} its copy of rank {} at epoch {}: {pages} pages, {size}",
                rank.0, epoch.0
            )
        }
        Event::CopyReceived { rank, epoch, from, pages, bytes } => {
            let (from, size) = (name(from), size(*bytes));
            format!("has rank {} at epoch {} from {from}: {pages} pages, {size}", rank.0, epoch.0)
        }
        Event::RolledBack { rank, epoch, taken_over: true } => {
            format!("takes over rank {}: it stands here at epoch {}", rank.0, epoch.0)
        }
        Event::RolledBack { rank, epoch, .. } => {
            format!("rank {} is back at epoch {}", rank.0, epoch.0)
        }
        Event::Resumed { epoch, .. } if epoch.0 == 0 => "runs from the start".to_owned(),
        Event::Resumed { epoch, .. } => format!("runs again from epoch {}", epoch.0),
        _ => words_of_work(event),
    }
}

/// Checkpoints, and the end of a job.
fn words_of_work(event: &Event) -> String {
    match event {
        Event::CheckpointBegun { epoch } => format!("epoch {} begins", epoch.0),
        Event::CheckpointStaged {
            epoch,
            dirty_bytes,
            sent_bytes,
            shared_pages,
            private_pages,
            ..
        } => {
            let (dirty, sent) = (size(*dirty_bytes), size(*sent_bytes));
            format!(
                "epoch {} staged: {dirty} changed ({shared_pages} shared pages, {private_pages} private), {sent} sent",
                epoch.0
            )
        }
        Event::CheckpointReplicated { epoch } => format!("epoch {} is with all partners", epoch.0),
        Event::CheckpointCommitted { epoch, blocked_us, waited_us, overlapped_us } => {
            let [blocked, waited, over] = [*blocked_us, *waited_us, *overlapped_us].map(seconds);
            format!(
                "epoch {} committed: stood still for {blocked} ({waited} of it waiting), computed on for {over}",
                epoch.0
            )
        }
        Event::RankExited { rank } => format!("rank {} left the program", rank.0),
        Event::JobDone { job, counters } => {
            let (faults, messages, bytes) =
                (counters.faults, counters.messages, size(counters.message_bytes));
            format!("job {} is done: {faults} page faults, {messages} messages, {bytes}", job.0)
        }
        Event::JobLost { job, reason } => format!("job {} is lost: {reason}", job.0),
        Event::BarrierPassed { number } => format!("passed barrier {number}"),
        Event::Iteration { number } => format!("iteration {number}"),
        _ => plain(event),
    }
}

/// Names and values.
fn plain(message: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(message).unwrap_or_default();
    let mut text = String::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        if key != "kind" && key != "type" {
            // Writing to a string cannot fail.
            let _ = write!(text, "{key}={value} ");
        }
    }
    text.truncate(text.trim_end().len());
    text
}

fn seconds(us: u64) -> String {
    crate::table::time(Some(us))
}

fn size(bytes: u64) -> String {
    crate::table::bytes(bytes)
}
