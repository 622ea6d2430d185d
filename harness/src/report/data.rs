//! What the page's script works on.

use super::gather::{Console, Recorded};
use super::lanes::Lanes;
use super::story::Story;
use super::words::Group;
use runtime_core::event::Event;
use runtime_core::node::Role;
use serde_json::{Value, json};

/// A run, ready to be told.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) run: &'a Recorded,
    pub(super) story: Story,
    pub(super) lanes: Lanes,
    /// From the first event to the last, on the harness's clock.
    pub(super) from_us: u64,
    pub(super) to_us: u64,
    /// When the job began; times count from there.
    pub(super) zero_us: u64,
}

impl<'a> Told<'a> {
    pub(super) fn of(run: &'a Recorded) -> Self {
        let story = Story::read(&run.events, run.node_names());
        let times = || story.entries.iter().map(|entry| entry.at_us);
        let (from_us, mut to_us) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let began = run.result.as_ref().and_then(|result| result.started_us);
        let first = || {
            let job = |e: &&super::story::Entry| {
                matches!(e.event, Some(Event::Recovering { .. } | Event::Resumed { .. }))
            };
            story.entries.iter().find(job).map(|entry| entry.at_us)
        };
        let zero_us = began.or_else(first).unwrap_or(from_us);
        if let (Some(result), Some(began)) = (&run.result, began) {
            to_us = to_us.max(began + result.run_us);
        }
        let hosts: Vec<usize> =
            (run.topology.iter().flat_map(|t| t.compute())).map(|node| node.id.index()).collect();
        let lanes = Lanes::of(&story, &hosts, to_us);
        Self { run, story, lanes, from_us, to_us, zero_us }
    }

    /// Since the job began, in seconds.
    fn since(&self, us: u64) -> f64 {
        // Microseconds of a run are few enough to be exact.
        #[expect(clippy::cast_precision_loss, reason = "a run does not take a century")]
        let seconds = |us: u64| us as f64 / 1e6;
        seconds(us) - seconds(self.zero_us)
    }

    /// All that the script needs.
    pub(super) fn json(&self) -> Value {
        let kinds: Vec<&str> = {
            let mut kinds: Vec<&str> = self.story.entries.iter().map(|e| e.kind.as_str()).collect();
            kinds.sort_unstable();
            kinds.dedup();
            kinds
        };
        let entries: Vec<Value> = (self.story.entries.iter())
            .map(|e| {
                let group = Group::ALL.iter().position(|g| *g == e.group);
                let kind = kinds.binary_search(&e.kind.as_str()).ok();
                json!([self.since(e.at_us), e.node, group, kind, e.text])
            })
            .collect();
        let lanes = &self.lanes;
        json!({
            "from": self.since(self.from_us),
            "to": self.since(self.to_us),
            "nodes": self.nodes(),
            "groups": Group::ALL.map(Group::label),
            "kinds": kinds,
            "events": entries,
            "bands": lanes.bands.iter().map(|b| json!({
                "n": b.node, "a": self.since(b.from), "b": self.since(b.to), "s": b.state, "t": b.text,
            })).collect::<Vec<_>>(),
            "marks": lanes.marks.iter().map(|m| json!({
                "n": m.node, "e": m.epoch, "a": self.since(m.from), "x": self.since(m.stopped),
                "s": m.staged.map(|at| self.since(at)), "r": m.replicated.map(|at| self.since(at)),
                "b": self.since(m.to), "ok": m.committed,
            })).collect::<Vec<_>>(),
            "troubles": lanes.troubles.iter().map(|t| json!({
                "n": t.node, "a": self.since(t.from), "b": self.since(t.to), "t": t.text,
            })).collect::<Vec<_>>(),
            "blows": self.blows(),
            "spans": self.spans(),
            "consoles": self.run.consoles.iter().map(|c| self.console(c)).collect::<Vec<_>>(),
        })
    }

    fn nodes(&self) -> Vec<Value> {
        let result = self.run.result.as_ref();
        let node = |(n, name): (usize, &String)| {
            let about = result.and_then(|result| result.nodes.get(n));
            let planned = self.run.topology.as_ref().and_then(|topology| topology.nodes.get(n));
            let cables = self.run.topology.iter().flat_map(|topology| &topology.cables);
            let is_cable = cables.into_iter().any(|cable| cable.name == *name);
            let role =
                planned.map_or(if is_cable { "cable" } else { "" }, |node| match node.role {
                    Role::Compute => "compute",
                    Role::Standby => "standby",
                });
            let role = about.map_or(role, |about| &about.role);
            json!({ "name": name, "role": role, "end": about.map(|about| &about.end) })
        };
        self.story.names.iter().enumerate().map(node).collect()
    }

    fn blows(&self) -> Vec<Value> {
        let blows = self.run.result.iter().flat_map(|result| &result.blows);
        blows
            .map(|blow| {
                let node = self.story.names.iter().position(|name| *name == blow.node);
                let text =
                    if blow.ends { format!("end of: {}", blow.fault) } else { blow.fault.clone() };
                json!({ "at": self.since(blow.at_us), "n": node, "t": text, "ends": blow.ends })
            })
            .collect()
    }

    /// Stretches of time that are worth a button.
    fn spans(&self) -> Vec<Value> {
        let end = self.since(self.to_us);
        let mut spans = vec![json!({ "t": "everything", "a": self.since(self.from_us), "b": end })];
        let Some(result) = &self.run.result else { return spans };
        if self.zero_us > self.from_us {
            spans.push(json!({ "t": "the job", "a": 0.0, "b": end }));
        }
        for death in result.deaths.iter().take(12) {
            let last = [death.detected_us, death.takeover_us, death.resumed_us];
            let Some(last) = last.into_iter().flatten().max() else { continue };
            let from = self.since(self.zero_us + death.at_us);
            let length = self.since(self.zero_us + last);
            spans.push(json!({
                "t": format!("death of {}", death.node),
                "a": from - 0.25 * length,
                "b": from + 1.25 * length,
            }));
        }
        spans
    }

    /// Lines of a console. Those of a kernel say how long after its start they were written.
    fn console(&self, console: &Console) -> Value {
        let node = self.story.names.iter().position(|name| *name == console.node);
        let booted = node.and_then(|node| *self.story.booted_us.get(node)?);
        // A process counts from the start of this machine, and has no kernel of its own.
        let booted =
            booted.filter(|_| self.run.manifest.as_ref().is_none_or(|m| m.backend == "qemu"));
        let lines = |text: &str| -> Vec<Value> {
            let line = |line: &str| {
                let line = line.trim_end();
                let at = booted.zip(uptime_us(line)).map(|(booted, up)| self.since(booted + up));
                json!([at, line])
            };
            text.lines().map(line).collect()
        };
        json!({
            "n": node,
            "head": lines(&console.head),
            "left_out": console.left_out,
            "tail": lines(&console.tail),
        })
    }
}

/// The time stamp at the beginning of a kernel's line, `[    1.234567] …`, in microseconds.
fn uptime_us(line: &str) -> Option<u64> {
    let (stamp, _) = line.strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = stamp.trim().split_once('.')?;
    let micros = micros.get(..6)?.parse::<u64>().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}
