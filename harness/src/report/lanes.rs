//! What each node was doing, as bands over time.

use super::story::{Entry, Story};
use runtime_core::event::Event;
use serde::Serialize;

#[cfg(test)]
mod tests;

/// What a node is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// Its machine starts.
    Boot,
    /// It looks for the others.
    Join,
    /// A member without a rank, or with nothing to run.
    Idle,
    /// It runs a rank.
    Compute,
    /// The members agree on a view, and go back to an epoch.
    Recover,
    /// It is gone.
    Dead,
}

/// A stretch of time of one node. Times in microseconds on the harness's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Band {
    pub(super) node: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) state: State,
    /// Short, to stand in it.
    pub(super) text: String,
}

/// A checkpoint of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Mark {
    pub(super) node: usize,
    pub(super) epoch: u64,
    pub(super) from: u64,
    /// Until here the rank stood still.
    pub(super) stopped: u64,
    pub(super) staged: Option<u64>,
    pub(super) replicated: Option<u64>,
    pub(super) to: u64,
    pub(super) committed: bool,
}

/// A link that is not as in the file, or a machine that stands still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Trouble {
    pub(super) node: usize,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) text: String,
}

/// All lanes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Lanes {
    pub(super) bands: Vec<Band>,
    pub(super) marks: Vec<Mark>,
    pub(super) troubles: Vec<Trouble>,
}

/// Where one node is on its way through the story.
#[derive(Clone, Debug, Default)]
struct Now {
    state: Option<(State, u64)>,
    rank: Option<usize>,
    /// A job runs.
    runs: bool,
    mark: Option<Mark>,
    link: Option<(u64, String)>,
    still: Option<u64>,
}

impl Lanes {
    /// Of a story that ends at `end_us`. `hosts`: the nodes that host a rank at first, by rank.
    pub(super) fn of(story: &Story, hosts: &[usize], end_us: u64) -> Self {
        let mut lanes = Self::default();
        let mut nodes = vec![Now::default(); story.names.len()];
        for (rank, host) in hosts.iter().enumerate() {
            if let Some(now) = nodes.get_mut(*host) {
                now.rank = Some(rank);
            }
        }
        for entry in &story.entries {
            lanes.step(&mut nodes[entry.node], entry);
        }
        for (node, now) in nodes.iter_mut().enumerate() {
            lanes.turn(now, node, end_us, None);
            lanes.close(now, node, end_us);
            if let Some(mark) = now.mark.take() {
                lanes.marks.push(Mark { to: end_us.max(mark.from), ..mark });
            }
        }
        lanes
    }

    /// The node does something else from now on.
    fn turn(&mut self, now: &mut Now, node: usize, at: u64, next: Option<State>) {
        if let (Some((old, _)), Some(next)) = (now.state, next)
            && old == next
        {
            return;
        }
        if let Some((state, from)) = now.state.filter(|(_, from)| *from < at) {
            let text = match (state, now.rank) {
                (State::Boot, _) => "boot".to_owned(),
                (State::Join, _) => "join".to_owned(),
                (State::Idle, _) => "ready".to_owned(),
                (State::Compute, Some(rank)) => format!("rank {rank}"),
                (State::Compute, None) => "runs".to_owned(),
                (State::Recover, _) => "recovery".to_owned(),
                (State::Dead, _) => "dead".to_owned(),
            };
            self.bands.push(Band { node, from, to: at, state, text });
        }
        now.state = next.map(|state| (state, at));
    }

    /// Whatever is wrong with link and machine is over.
    fn close(&mut self, now: &mut Now, node: usize, at: u64) {
        if let Some((from, text)) = now.link.take() {
            self.troubles.push(Trouble { node, from, to: at, text });
        }
        if let Some(from) = now.still.take() {
            let text = "stands still".to_owned();
            self.troubles.push(Trouble { node, from, to: at, text });
        }
    }

    fn step(&mut self, now: &mut Now, entry: &Entry) {
        let (at, node) = (entry.at_us, entry.node);
        match &entry.event {
            Some(event) => self.reported(now, node, at, event),
            None => match entry.kind.as_str() {
                "started" => self.turn(now, node, at, Some(State::Boot)),
                "hello" => self.turn(now, node, at, Some(State::Join)),
                "killed" | "ended" | "panic" if now.state.is_some() => {
                    self.turn(now, node, at, Some(State::Dead));
                    self.close(now, node, at);
                    now.rank = None;
                    now.mark = None;
                }
                "link-cut" | "link-changed" => {
                    if let Some((from, text)) = now.link.take() {
                        self.troubles.push(Trouble { node, from, to: at, text });
                    }
                    now.link = Some((at, entry.text.clone()));
                }
                "link-healed" => {
                    if let Some((from, text)) = now.link.take() {
                        self.troubles.push(Trouble { node, from, to: at, text });
                    }
                }
                "paused" => now.still = now.still.or(Some(at)),
                "goes-on" => {
                    if let Some(from) = now.still.take() {
                        let text = "stands still".to_owned();
                        self.troubles.push(Trouble { node, from, to: at, text });
                    }
                }
                _ => {}
            },
        }
    }

    fn reported(&mut self, now: &mut Now, node: usize, at: u64, event: &Event) {
        // The last reports of a node that is gone may come after its end.
        if now.state.is_some_and(|(state, _)| state == State::Dead) {
            return;
        }
        match event {
            Event::Ready { .. } => self.turn(now, node, at, Some(State::Idle)),
            Event::Joining { .. } => {
                self.turn(now, node, at, Some(State::Join));
                now.rank = None;
            }
            Event::Fenced { .. } => self.turn(now, node, at, Some(State::Join)),
            Event::View { ranks, .. } => {
                if now.runs {
                    self.turn(now, node, at, Some(State::Recover));
                }
                now.rank = ranks.iter().position(|host| host.index() == node);
                now.mark = None;
            }
            Event::Recovering { taken_over, epoch, .. }
                if epoch.0 > 0 || !taken_over.is_empty() =>
            {
                self.turn(now, node, at, Some(State::Recover));
            }
            Event::Resumed { .. } => {
                now.runs = true;
                let next = if now.rank.is_some() { State::Compute } else { State::Idle };
                self.turn(now, node, at, Some(next));
            }
            Event::RankExited { .. } => self.turn(now, node, at, Some(State::Idle)),
            Event::JobDone { .. } | Event::JobLost { .. } => {
                now.runs = false;
                self.turn(now, node, at, Some(State::Idle));
            }
            _ => self.checkpoint(now, node, at, event),
        }
    }

    fn checkpoint(&mut self, now: &mut Now, node: usize, at: u64, event: &Event) {
        match event {
            Event::CheckpointBegun { epoch } => {
                now.mark = Some(Mark {
                    node,
                    epoch: epoch.0,
                    from: at,
                    stopped: at,
                    staged: None,
                    replicated: None,
                    to: at,
                    committed: false,
                });
            }
            Event::CheckpointStaged { epoch, .. } => {
                if let Some(mark) = now.mark.as_mut().filter(|m| m.epoch == epoch.0) {
                    mark.staged = Some(at);
                }
            }
            Event::CheckpointReplicated { epoch } => {
                if let Some(mark) = now.mark.as_mut().filter(|m| m.epoch == epoch.0) {
                    mark.replicated = Some(at);
                }
            }
            Event::CheckpointCommitted { epoch, blocked_us, .. } => {
                if let Some(mark) = now.mark.take().filter(|m| m.epoch == epoch.0) {
                    let stopped = mark.from.saturating_add(*blocked_us).min(at);
                    self.marks.push(Mark { stopped, to: at, committed: true, ..mark });
                }
            }
            _ => {}
        }
    }
}
