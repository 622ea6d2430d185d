//! The topology file: one YAML file says what a cluster is, what runs on it, what breaks, and what
//! must hold in the end.
//!
//! ```text
//! text ──raw──▶ Yaml tree with places ──read──▶ parts, names resolved ──check──▶ Topology
//! ```
//!
//! Every stage after the syntax goes on after an error, so that one pass names all of them, each
//! with its place and a remedy.

#![forbid(unsafe_code)]

mod address;
mod check;
mod describe;
mod error;
mod impairment_words;
mod memory;
mod model;
mod network;
mod program;
mod raw;
mod read;
mod schema;
mod survival;
mod units;

pub use error::{Errors, Place, Problem};
pub use impairment_words::{cable_change_words, cable_words, change_words, profile_words};
pub use model::{
    Cable, Changes, Expectation, Fault, Link, McapiName, Metric, Node, OnExhausted, Outcome, Phase,
    Program, Run, Runtime, Shown, Sight, Strike, Subnet, Switch, Target, Topology, Transport,
    Trigger, Way,
};

pub use read::{Direction, LINK_KEYS, event_kinds};
pub use schema::schema;

use error::Reader;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Largest topology file, in bytes. A larger one is refused unread.
pub const MAX_FILE: u64 = 1 << 20;

/// Reads and checks a topology file.
///
/// # Errors
/// All that is wrong with the file, or why it could not be read.
pub fn load(path: &Path) -> Result<Topology, Errors> {
    let name = path.display().to_string();
    let refuse = |message: String, help: &str| Errors::whole_file(&name, message, help);
    let unreadable = |e: &std::io::Error| match e.kind() {
        std::io::ErrorKind::NotFound => {
            refuse("no such file".into(), "check the path; examples are in topology/examples")
        }
        _ => refuse(format!("cannot be read: {e}"), "check the path and its permissions"),
    };
    let about = std::fs::metadata(path).map_err(|e| unreadable(&e))?;
    if about.is_dir() {
        return Err(refuse("is a directory".into(), "name a topology file inside it"));
    }
    if !about.is_file() {
        return Err(refuse("is not a regular file".into(), "write the topology to a file first"));
    }
    let mut bytes = Vec::new();
    // One byte past the limit, should the file have grown since it was looked at.
    File::open(path)
        .and_then(|f| {
            if about.len() > MAX_FILE {
                Ok(0)
            } else {
                f.take(MAX_FILE + 1).read_to_end(&mut bytes)
            }
        })
        .map_err(|e| unreadable(&e))?;
    let size = about.len().max(bytes.len() as u64);
    if size > MAX_FILE {
        return Err(too_large(&name, size));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes().iter().take(good).filter(|b| **b == b'\n').count();
        refuse(format!("is not UTF-8 text (line {line})"), "save the file as UTF-8")
    })?;
    parse(&name, &text)
}

fn too_large(name: &str, size: u64) -> Errors {
    let message = format!("is too large: {size} bytes, at most {MAX_FILE} are allowed");
    Errors::whole_file(name, message, "a topology is a few kilobytes: is this the right file?")
}

/// Checks the text of a topology; `name` stands for the file in errors.
///
/// # Errors
/// All that is wrong with the text.
pub fn parse(name: &str, text: &str) -> Result<Topology, Errors> {
    if text.len() as u64 > MAX_FILE {
        return Err(too_large(name, text.len() as u64));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::new(text);
    let topology = match raw::parse(text) {
        Ok(yaml) => read::topology(&mut reader, &yaml),
        Err(found) => {
            reader.push(found);
            None
        }
    };
    match (reader.finish(name), topology) {
        (None, Some(topology)) => Ok(topology),
        (Some(errors), _) => Err(errors),
        (None, None) => {
            Err(Errors::whole_file(name, "is not a topology".into(), "see topology/examples"))
        }
    }
}

/// Reads changes of a link as a verb gets them, `delay=10ms`, in the words of the file: up, and down. `macs`:
/// the nodes that a drop rule may name. With a direction, the other one stays as it is.
///
/// # Errors
/// All that is wrong with them, each with a remedy.
pub fn link_changes(
    words: &[String],
    macs: &[(&str, [u8; 6])],
    node_first: bool,
    direction: Option<Direction>,
) -> Result<[netem::Change; 2], String> {
    let mut text = String::new();
    for word in words {
        let Some((key, value)) = word.split_once('=').filter(|_| !word.contains(['\n', '\r']))
        else {
            return Err(format!("\"{word}\" changes nothing: write for example `delay=10ms`"));
        };
        text += &format!("{key}: {value}\n");
    }
    let mut reader = Reader::new(&text);
    let changes = match raw::parse(&text) {
        Ok(yaml) => read::link_changes(&mut reader, &yaml, macs),
        Err(found) => {
            reader.push(found);
            None
        }
    };
    if let Some(errors) = reader.finish("changes") {
        let all = errors.problems().iter().map(|p| format!("{}: {}", p.message, p.help));
        return Err(all.collect::<Vec<_>>().join("; "));
    }
    let changes = changes.ok_or("nothing is to be changed: write for example `delay=10ms`")?;
    Ok(read::Spread { changes, direction }.up_and_down(node_first))
}
