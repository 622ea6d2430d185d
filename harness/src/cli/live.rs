//! Verbs that do something to a cluster that is up, or look at it.

use super::follow::{Followed, follow};
use super::{Which, attach, complete, done};
use crate::client::Connection;
use crate::failure::Failure;
use crate::graph;
use crate::paths::Places;
use crate::proto::{EXIT_OK, Request, Status};
use crate::table;
use clap::{Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(super) enum Live {
    /// Let a link carry nothing. The signal stays: nobody is told.
    Cut {
        /// The link, or its node.
        #[arg(add = ArgValueCompleter::new(complete::links))]
        link: String,
        /// Only frames from the node (up), or to it (down); or by the order of its ends in the file.
        #[arg(long, alias = "direction", value_parser = WAYS, value_name = "WAY")]
        one_way: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Let a link be as in the file again, whatever was done to it; without a name, all of them.
    Heal {
        /// The link, or its node.
        #[arg(add = ArgValueCompleter::new(complete::links))]
        link: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Change what a link does to frames: `degrade n2 delay=10ms loss=1%`. What is not named stays.
    ///
    /// Keys and values are those of the file: delay, jitter, distribution, loss, duplicate, reorder,
    /// corrupt, rate, queue, drop, flap. `rate=none`, `drop=none` and `flap=none` end them.
    Degrade {
        /// The link, or its node.
        #[arg(add = ArgValueCompleter::new(complete::links))]
        link: String,
        /// For example `delay=10ms`, `'loss={ to-bad: 1%, to-good: 20% }'`, `'drop={ every: 10 }'`.
        #[arg(required = true, value_name = "KEY=VALUE", add = ArgValueCompleter::new(complete::keys))]
        changes: Vec<String>,
        /// Only one way.
        #[arg(long, alias = "one-way", value_parser = WAYS, value_name = "WAY")]
        direction: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// Let a node's machine stand still.
    Pause {
        /// The node.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        node: String,
        #[command(flatten)]
        which: Which,
    },
    /// Let it go on.
    Resume {
        /// The node.
        #[arg(add = ArgValueCompleter::new(complete::nodes))]
        node: String,
        #[command(flatten)]
        which: Which,
    },
    /// Record the frames of a link, dropped ones too with their reason, or stop it.
    Pcap {
        /// Begin or end.
        #[arg(value_enum)]
        switch: OnOff,
        /// The link, or its node; without it, all.
        #[arg(add = ArgValueCompleter::new(complete::links))]
        link: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    /// What has happened: what nodes said, and what was done to them.
    Events {
        /// Go on with what happens, until Ctrl-C or the cluster's end.
        #[arg(long)]
        follow: bool,
        /// As JSON, one event a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        which: Which,
    },
    /// Draw the cluster that is up, or a topology, as SVG.
    Graph {
        /// A topology; without it, the cluster that is up with its present state.
        file: Option<PathBuf>,
        /// To this file instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        which: Which,
    },
}

/// Directions of a link.
const WAYS: [&str; 4] = ["up", "down", "a-to-b", "b-to-a"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum OnOff {
    /// Begin.
    On,
    /// End.
    Off,
}

impl Live {
    pub(super) fn act(self, places: &Places) -> Result<u8, Failure> {
        let (which, request) = match self {
            Self::Cut { link, one_way, which } => (which, Request::Cut { link, one_way }),
            Self::Heal { link, which } => (which, Request::Heal { link }),
            Self::Degrade { link, changes, direction, which } => {
                (which, Request::Degrade { link, direction, changes })
            }
            Self::Pause { node, which } => (which, Request::Pause { node }),
            Self::Resume { node, which } => (which, Request::Resume { node }),
            Self::Pcap { switch, link, which } => {
                (which, Request::Pcap { on: switch == OnOff::On, link })
            }
            Self::Events { follow, json, which } => {
                return events(attach(places, &which)?, follow, json);
            }
            Self::Graph { file, output, which } => {
                return draw(places, file.as_deref(), output.as_deref(), &which);
            }
        };
        done(attach(places, &which)?.ask(&request)?)
    }
}

/// How the cluster is, once or again and again.
pub(super) fn status(mut connection: Connection, json: bool, watch: bool) -> Result<u8, Failure> {
    let mut status = connection.ask(&Request::Status)?.status()?;
    if !watch {
        let text = if json { as_json(&status, true) } else { table::status(&status) };
        print!("{text}");
        return Ok(EXIT_OK);
    }
    connection.hush();
    let events = Path::new(&status.run_dir).join("events.jsonl");
    let mut followed = Followed::open(&events)?;
    let screen = std::io::stdout().is_terminal() && !json;
    loop {
        let mut text = if json { as_json(&status, false) } else { table::status(&status) };
        if screen {
            // To the upper left, and away with what was there.
            text.insert_str(0, "\x1b[H\x1b[2J");
        }
        if std::io::stdout().write_all(text.as_bytes()).is_err() {
            return Ok(EXIT_OK);
        }
        std::io::stdout().flush()?;
        // Frames are counted without an event: look now and then.
        followed.wait(&connection, Some(LOOK_AGAIN_MS))?;
        followed.skip()?;
        let Ok(answer) = connection.ask(&Request::Status) else { return Ok(EXIT_OK) };
        status = answer.status()?;
    }
}

/// Counters are shown so often, at least.
const LOOK_AGAIN_MS: u16 = 1_000;

fn as_json(status: &Status, pretty: bool) -> String {
    let json =
        if pretty { serde_json::to_string_pretty(status) } else { serde_json::to_string(status) };
    // Names, numbers and texts: nothing that JSON does not know.
    json.unwrap_or_default() + "\n"
}

fn events(mut connection: Connection, goes_on: bool, json: bool) -> Result<u8, Failure> {
    let status = connection.ask(&Request::Status)?.status()?;
    let path = Path::new(&status.run_dir).join("events.jsonl");
    let mut rest = Vec::new();
    follow(&connection, &path, goes_on, &mut |bytes| {
        let mut out = std::io::stdout().lock();
        if json {
            out.write_all(bytes)?;
        } else {
            rest.extend_from_slice(bytes);
            // A line may come in pieces.
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                out.write_all(event_line(&line).as_bytes())?;
            }
        }
        out.flush()
    })?;
    Ok(EXIT_OK)
}

/// An event for people: when, where, what.
fn event_line(line: &[u8]) -> String {
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(line) else {
        return String::from_utf8_lossy(line).into_owned();
    };
    let at_us = event["at_us"].as_u64().unwrap_or_default();
    let node = event["node"].as_str().unwrap_or("?");
    let mut text = format!("{:4}.{:06} s  {node:8}", at_us / 1_000_000, at_us % 1_000_000);
    match event["harness"].as_str() {
        Some(words) => text += words,
        None => words(&event["message"], &mut text),
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Names and values, the innermost ones.
fn words(value: &serde_json::Value, text: &mut String) {
    let Some(object) = value.as_object() else { return };
    // What it is comes first.
    let is_kind = |key: &&String| matches!(key.as_str(), "type" | "kind");
    let (kinds, rest): (Vec<_>, Vec<_>) = object.iter().partition(|(key, _)| is_kind(key));
    for (key, value) in kinds.into_iter().chain(rest) {
        match value {
            serde_json::Value::Object(_) => words(value, text),
            // When it happened on the node's own clock.
            _ if key == "at_us" => {}
            // Its kind says more.
            serde_json::Value::String(_) if key == "type" && object.contains_key("event") => {}
            serde_json::Value::String(word) if key == "type" || key == "kind" => {
                *text += &format!("{word} ");
            }
            // Writing to a string cannot fail.
            _ => drop(write!(text, "{key}={value} ")),
        }
    }
}

fn draw(
    places: &Places,
    file: Option<&Path>,
    output: Option<&Path>,
    which: &Which,
) -> Result<u8, Failure> {
    let (topology, status) = match file {
        Some(file) => (topology::load(file), None),
        None => {
            let status = attach(places, which)?.ask(&Request::Status)?.status()?;
            (topology::load(&Path::new(&status.run_dir).join("topology.yaml")), Some(status))
        }
    };
    let topology = topology.map_err(|e| Failure::usage(e.to_string()))?;
    let svg = graph::svg(&topology, status.as_ref());
    match output {
        None => print!("{svg}"),
        Some(path) => std::fs::write(path, svg)
            .map_err(|e| Failure::usage(format!("cannot write {}: {e}", path.display())))?,
    }
    Ok(EXIT_OK)
}

#[cfg(test)]
mod tests {
    use super::event_line;

    #[test]
    fn events_are_told_in_a_line() {
        let killed = br#"{"at_us":1500000,"node":"n1","harness":"killed"}"#;
        assert_eq!(event_line(killed), "   1.500000 s  n1      killed\n");
        let event = br#"{"at_us":7,"node":"n0","message":{"type":"event","at_us":5,"event":{"kind":"ready","peers":3}}}"#;
        assert_eq!(event_line(event), "   0.000007 s  n0      ready peers=3\n");
        let view = br#"{"at_us":7,"node":"n0","message":{"type":"event","at_us":5,"event":{"kind":"view","coordinator":0,"view":3}}}"#;
        assert_eq!(event_line(view), "   0.000007 s  n0      view coordinator=0 view=3\n");
        assert_eq!(event_line(b"no json"), "no json");
    }
}
