//! Topologies on the virtual clock.

use std::fs;
use std::path::PathBuf;
use tests::{Bench, Cluster, RECURSION, workspace};

pub(crate) fn examples() -> Vec<PathBuf> {
    let dir = workspace().join("topology/examples");
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    assert!(files.len() >= 3, "where are the examples? {files:?}");
    files
}

#[test]
fn every_example_passes_when_simulated() {
    let bench = Bench::sim();
    let mut passed = 0;
    for file in examples() {
        // A program on MCAPI needs machines, and so does one that is slowed; a ring needs switches: that is refused, and said.
        let text = fs::read_to_string(&file).unwrap();
        let file = file.to_str().unwrap();
        if ["{ program:", "slow: {", "ring-recovery:"].iter().any(|word| text.contains(word)) {
            bench.verb(&["test", "--backend", "sim", file]).must(2, &["cannot do"]);
        } else {
            bench.test_file(file).must_pass();
            passed += 1;
        }
    }
    assert!(passed >= 14, "{passed}");
}

#[test]
fn the_same_seed_tells_the_same_story_byte_for_byte() {
    let bench = Bench::sim();
    let cluster = Cluster::of(3, 2)
        .runs(RECURSION)
        .kill("n1", "{ checkpoint: 2, phase: staged }")
        .kill("n3", "{ event: rolled-back }")
        .expects_the_right_result();
    let story = || {
        let outcome = bench.test(&cluster);
        outcome.must_pass();
        fs::read(outcome.dir.join("events.jsonl")).unwrap()
    };
    let first = story();
    assert!(first.len() > 1_000);
    assert!(first == story(), "two runs of one seed differ");
}

#[test]
fn deaths_at_every_phase_are_survived_when_simulated() {
    let bench = Bench::sim();
    let phases = ["begun", "staged", "replicated", "committed"];
    for phase in phases {
        for victim in ["n0", "n1", "n2"] {
            let at = format!("{{ checkpoint: 3, phase: {phase} }}");
            let cluster = Cluster::of(3, 1).kill(victim, &at).expects_the_right_result();
            bench.test(&cluster).must_pass();
        }
    }
}

#[test]
fn the_explorer_keeps_every_promise_and_replays() {
    let bench = Bench::sim();
    let words = ["sim", "--runs", "200", "--seed", "5"];
    let first = bench.verb(&words);
    first.must(0, &["PASS", "takeovers"]);
    // All but the rate, which comes last.
    let counts = |text: &str| {
        let line = text.lines().find(|l| l.contains(" steps, ")).unwrap_or_default();
        line.rsplit_once(", ").map(|(counts, _)| counts.to_owned())
    };
    assert!(counts(&first.text).is_some(), "{first}");
    assert_eq!(counts(&first.text), counts(&bench.verb(&words).text));
}
