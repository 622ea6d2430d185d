//! Does anybody take a living node for dead, while every processor of the machine is busy? A cluster of processes with
//! heartbeats of 10 ms computes for as long as it is told to, beside a loop on each processor that does nothing else.

use super::outages::write;
use crate::client::{Connection, How, Launch};
use crate::failure::Failure;
use crate::paths::Places;
use crate::plan::Backend;
use crate::progress::Progress;
use crate::proto::{EXIT_OK, EXIT_TESTBED, EXIT_VERDICT, Request, Response};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

#[cfg(test)]
mod tests;

const NAME: &str = "soak";
const HEARTBEAT_US: u64 = 10_000;
/// Each sweep is some milliseconds of computing and a barrier; a checkpoint now and then. It ends with the time.
const TOPOLOGY: &str = "name: soak
nodes:
  n0: { role: compute }
  n1: { role: compute }
  n2: { role: compute }
  n3: { role: standby }
runtime: { heartbeat: 10ms, suspect-after: 10, shared-memory: 32MiB, heap: 16MiB }
run: { workload: laplace, args: { size: 1024, iterations: 10000000, checkpoint-every: 400 } }
";

/// What the nodes said of each other. Times are microseconds on the machine's clock, which all of them read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    /// When, who, whom, and how long that one had been silent.
    suspicions: Vec<(u64, String, String, u64)>,
    /// Until when, who, and how long a node knows that it stood still.
    pauses: Vec<(u64, String, u64)>,
    /// Longest silence after which a node was heard again, and was not suspected.
    longest_us: u64,
}

impl Heard {
    /// From the lines of `events.jsonl`.
    fn of(events: &str) -> Self {
        let mut heard = Self::default();
        for line in events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let (message, node) = (&line["message"], line["node"].as_str().unwrap_or_default());
            let event = &message["event"];
            let number = |value: &Value| value.as_u64().unwrap_or_default();
            let at = number(&message["at_us"]);
            match event["kind"].as_str() {
                Some("suspected") => {
                    let peer = format!("n{}", number(&event["peer"]));
                    let silent = number(&event["silent_us"]);
                    heard.suspicions.push((at, node.to_owned(), peer, silent));
                }
                Some("stood-still") => {
                    heard.pauses.push((at, node.to_owned(), number(&event["pause_us"])));
                }
                Some("longest-silence") => {
                    heard.longest_us = heard.longest_us.max(number(&event["silent_us"]));
                }
                _ => {}
            }
        }
        heard
    }

    /// How long did the one that was suspected stand still just then, by its own word?
    fn stood_still(&self, at: u64, peer: &str) -> Option<u64> {
        let then = |(until, node, pause): &&(u64, String, u64)| {
            node == peer && until.saturating_sub(*pause) <= at && at <= until + HEARTBEAT_US
        };
        self.pauses.iter().find(then).map(|(_, _, pause)| *pause)
    }

    /// For people, and whether nobody was suspected. All nodes live, so each suspicion is false; but it matters whether
    /// the one that was suspected stood still, or the other one did not listen.
    fn verdict(&self, minutes: u32, loops: usize) -> (String, bool) {
        let mut text = String::new();
        // Writing to a string cannot fail.
        for (at, node, peer, silent) in &self.suspicions {
            let ms = |us: u64| format!("{}.{} ms", us / 1_000, us % 1_000 / 100);
            let why = match self.stood_still(*at, peer) {
                Some(pause) => format!("it did stand still, for {}", ms(pause)),
                None => "it knows of no pause".to_owned(),
            };
            let _ = writeln!(text, "{node} suspects {peer} after {}: {why}", ms(*silent));
        }
        let longest = self.longest_us / 1_000;
        let stood = self.pauses.iter().map(|(_, _, pause)| pause / 1_000).max();
        let stood = stood.map_or("none".to_owned(), |ms| format!("{ms} ms"));
        let count = self.suspicions.len();
        let _ = writeln!(
            text,
            "{minutes} min with heartbeats of 10 ms and {loops} busy loops: {count} false suspicions (aim 0); longest \
             silence that was borne: {longest} ms; longest pause of a node, of those over 50 ms: {stood}",
        );
        (text, count == 0)
    }
}

/// Threads that compute for nothing until this is dropped.
struct Loops(Arc<AtomicBool>);

impl Loops {
    fn start(count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..count {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(stop)
    }
}

impl Drop for Loops {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs for so many minutes, and says what was heard.
pub(super) fn main(places: &Places, minutes: u32, progress: &Progress) -> Result<u8, Failure> {
    let dir = places.new_run(NAME)?;
    let file = write(&dir, "soak.yaml", TOPOLOGY)?;
    let loops = std::thread::available_parallelism()?.get();
    let launch = Launch {
        own_name: true,
        quiet: true,
        ..Launch::new(&file, How { backend: Backend::Process, cold: true })
    };
    let (mut connection, logs) = Connection::own(places, &launch)?;
    progress.step(0, 0, &format!("{minutes} min of heartbeats, logs in {logs}"));
    let _busy = Loops::start(loops);
    let (tell, ended) = channel();
    // A job that is done before the time is over begins again.
    let runs = std::thread::spawn(move || {
        let mut run = || connection.ask(&Request::Run).and_then(Response::verdict);
        let last = loop {
            match run() {
                Ok(result) if result.pass => {}
                other => break other,
            }
        };
        let _timed_out = tell.send(last);
        connection
    });
    match ended.recv_timeout(Duration::from_secs(60 * u64::from(minutes))) {
        Err(RecvTimeoutError::Timeout) => {
            // It has the name of its run.
            let name = Path::new(&logs).file_name().and_then(|name| name.to_str());
            Connection::attach(places, name.unwrap_or(NAME))?.ask(&Request::Down)?;
        }
        Ok(Err(failure)) => return Err(failure),
        Ok(Ok(_)) | Err(RecvTimeoutError::Disconnected) => {
            let reason = format!("the job ended before its time, and not well: logs in {logs}");
            return Err(Failure { exit: EXIT_TESTBED, reason });
        }
    }
    if let Ok(connection) = runs.join() {
        connection.wait_for_end();
    }
    let events = std::fs::read_to_string(Path::new(&logs).join("events.jsonl"))?;
    let (text, holds) = Heard::of(&events).verdict(minutes, loops);
    print!("{text}");
    println!("logs in {logs}");
    Ok(if holds { EXIT_OK } else { EXIT_VERDICT })
}
