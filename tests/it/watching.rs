//! Verbs that look at a cluster while it is up, and what Ctrl-C does to them: they end, the cluster does not.

use nix::sys::signal::Signal;
use serde_json::Value;
use std::fs;
use tests::{Bench, Child, Cluster};

/// A shell's exit code for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Nodes that speak Ethernet, so that there are links to look at.
fn ethernet() -> Cluster {
    Cluster::of(2, 1).named("watched").with("transport: ethernet").expects_the_right_result()
}

fn interrupt(verb: Child) {
    verb.signal(Signal::SIGINT);
    verb.end().must(INTERRUPTED, &[]);
}

#[test]
fn a_state_is_watched_until_ctrl_c_or_the_end_of_the_cluster() {
    let bench = Bench::process();
    bench.on("up", &ethernet()).must(0, &[]);
    let (people, program) = (&["status", "--watch"], &["status", "--watch", "--json"]);
    let (left, lines) = (bench.start(people), bench.start(program));
    left.says("cluster watched (process): up");
    lines.says("\"state\":\"ready\"");
    interrupt(left);
    // It tells of what happens, not only every now and then.
    bench.verb(&["kill", "n1"]).must(0, &["n1 is killed"]);
    lines.says("\"state\":\"dead\"");
    bench.verb(&["status"]).must(0, &["dead"]);
    bench.verb(&["down"]).must(0, &["is down"]);
    let said = lines.end();
    said.must(0, &[]);
    for line in said.text.lines() {
        let status: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert_eq!(status["cluster"], "watched");
    }
}

#[test]
fn events_and_consoles_are_followed_until_ctrl_c_or_the_end_of_the_cluster() {
    let bench = Bench::process();
    bench.on("up", &ethernet()).must(0, &[]);
    let follow = |words: &[&str]| bench.start(words);
    let lines = follow(&["events", "--follow", "--json"]);
    let people = [follow(&["events", "--follow"]), follow(&["events", "--follow"])];
    let consoles = [follow(&["console", "n0"]), follow(&["console", "n1"])];
    people.iter().for_each(|verb| verb.says("n2      ready view=1"));
    consoles.iter().for_each(|verb| verb.says(" speaks Ethernet as "));
    let ([left, stays], [detached, attached]) = (people, consoles);
    interrupt(left);
    interrupt(detached);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    stays.says("job-done");
    bench.verb(&["kill", "n1"]).must(0, &["n1 is killed"]);
    stays.says("n1      killed");
    bench.verb(&["down"]).must(0, &["is down"]);
    attached.end().must(0, &["the console of n1, to be read: Ctrl-C leaves it"]);
    stays.end().must(0, &["n1      killed"]);
    let said = lines.end();
    said.must(0, &["\"node\":\"n1\",\"harness\":\"killed\""]);
    // Nothing is left out, and nothing is there twice.
    let file = bench.target().join("understudy/runs/watched-1/events.jsonl");
    assert_eq!(said.text, fs::read_to_string(file).unwrap());
}

#[test]
fn frames_are_recorded_from_on_to_off() {
    let bench = Bench::process();
    bench.on("up", &ethernet()).must(0, &[]);
    let file = bench.target().join("understudy/runs/watched-1/link-n1-sw0.pcapng");
    let size = || fs::metadata(&file).map_or(0, |about| about.len());
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    assert_eq!(size(), 0, "nobody asked for it");
    bench.verb(&["pcap", "on", "n1"]).must(0, &["recording to", "link-n1-sw0.pcapng"]);
    bench.verb(&["status"]).must(0, &["up, recorded"]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["pcap", "off", "n1"]).must(0, &["recorded to", "link-n1-sw0.pcapng"]);
    let recorded = size();
    assert!(recorded > 1 << 20, "a page that changed passes: {recorded} bytes");
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    assert_eq!(size(), recorded, "it was off");
    bench.verb(&["pcap", "off"]).must(0, &["nothing was recorded"]);
    bench.verb(&["down"]).must(0, &["is down"]);
}

#[test]
fn other_workloads_run_on_a_cluster_that_is_up_and_nothing_is_done_to_them() {
    let bench = Bench::process();
    let cluster = Cluster::of(2, 1).kill("n1", "{ checkpoint: 1 }").expects_the_right_result();
    bench.on("up", &cluster).must(0, &[]);
    let small = ["exec", "laplace", "size=64", "iterations=200", "checkpoint-every=50"];
    let said = bench.verb(&small);
    said.must(0, &["the result of the sequential program, bit for bit", "verdict: PASS"]);
    assert!(!said.text.contains("killed"), "{}", said.text);
    bench.verb(&["exec", "recursion"]).must(0, &["recursion on process", "verdict: PASS"]);
    bench
        .verb(&["exec", "recursion", "depth"])
        .must(2, &["`depth`: arguments are written key=value"]);
    bench.verb(&["exec", "laplace", "colour=red"]).must(2, &["laplace has no argument `colour`"]);
    let said = bench.verb(&["exec", "nothing"]);
    said.must(2, &["no `nothing`; there are laplace, recursion"]);
    assert!(!said.text.contains("colour"), "of the call before: {said}");
    // What the file says is as it was.
    bench.verb(&["run"]).must(0, &["n1 is killed", "laplace on process", "verdict: PASS"]);
    bench.verb(&["exec", "recursion"]).must(0, &["verdict: PASS"]);
    bench.verb(&["down"]).must(0, &[]);
}
