//! What to run: a workload on the shared memory, or a program on MCAPI.

use super::fields::Fields;
use super::workloads;
use crate::error::{Reader, Span};
use crate::model::{Program, Run};
use crate::raw::{Shape, Yaml};
use crate::units::{self, show_duration};
use std::path::Path;
use std::time::Duration;

pub(crate) const KEYS: &[&str] = &["workload", "program", "args", "timeout"];

/// How long a program may take.
const TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(24 * 3600));
const USUAL_TIMEOUT: Duration = Duration::from_secs(60);

/// What to run, and where `program` stands, if that is it. What a program's arguments mean
/// is its own business, and so are values of those that workloads have: they are passed on as they are written.
pub(crate) fn run(r: &mut Reader<'_>, yaml: Option<&Yaml>) -> (Option<Run>, Option<Span>) {
    let Some(yaml) = yaml else { return (None, None) };
    let Some(fields) = Fields::read(r, yaml, yaml.span, "run", KEYS, &[]) else {
        return (None, None);
    };
    match (fields.entry("program"), fields.entry("workload")) {
        (Some((key, path)), other) => {
            if let Some((workload, _)) = other {
                let message = "run has a \"workload\" and a \"program\"";
                r.error(workload, message, "one of them runs: remove the other");
            }
            (program(r, &fields, path), Some(key))
        }
        (None, _) => (workload(r, &fields), None),
    }
}

fn workload(r: &mut Reader<'_>, fields: &Fields<'_>) -> Option<Run> {
    let help = "name a program: `run: { workload: laplace }`";
    let workload = fields.required(r, "workload", help).and_then(|y| r.text(y, "workload"));
    let known = workload.and_then(|(span, name)| workloads::arguments(r, span, name));
    if let Some((key, _)) = fields.entry("timeout") {
        r.error(key, "timeout is for a program", "remove it: a workload may take what it takes");
    }
    let args = fields
        .get("args")
        .and_then(|y| r.entries(y, "args", "write for example `args: { size: 512 }`"));
    let mut run =
        Run { workload: workload?.1.to_string(), args: Default::default(), program: None };
    for (key, span, value) in args.unwrap_or_default() {
        if let Some(known) = known {
            workloads::argument(r, (span, key), &run.workload, known);
        }
        if let Shape::Text(text) = &value.shape {
            run.args.insert(key.to_string(), text.clone());
        } else {
            let message =
                format!("argument \"{key}\" must be a single value, found {}", value.shape.name());
            r.error(value.span, message, "write a number or a word");
        }
    }
    Some(run)
}

fn program(r: &mut Reader<'_>, fields: &Fields<'_>, path: &Yaml) -> Option<Run> {
    let (span, text) = r.text(path, "program")?;
    let name = Path::new(text).file_name().and_then(|name| name.to_str());
    if name.is_none() {
        let help = "name a file: `program: ./ping-pong.c`";
        r.error(span, format!("program: \"{text}\" names no file"), help);
    }
    let items = fields
        .get("args")
        .map_or(&[][..], |y| r.items(y, "args", "write for example `args: [threads, 100]`"));
    let args = items.iter().filter_map(|y| r.text(y, "an argument")).map(|(_, text)| text.into());
    let args = args.collect();
    let timeout = fields
        .get("timeout")
        .and_then(|y| r.within(y, "timeout", TIMEOUT, units::duration, show_duration));
    let timeout = timeout.unwrap_or(USUAL_TIMEOUT);
    Some(Run {
        workload: name?.into(),
        args: Default::default(),
        program: Some(Program { path: text.into(), args, timeout }),
    })
}
