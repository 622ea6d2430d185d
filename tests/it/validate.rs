//! Topology files that are right, wrong, or no topology at all.

use crate::sim::examples;
use std::process::Command;
use tests::{Bench, Cluster, node_program};

#[test]
fn every_example_is_valid() {
    let bench = Bench::sim();
    for file in examples() {
        bench.verb(&["validate", file.to_str().unwrap()]).must(0, &[]);
    }
}

#[test]
fn files_that_are_no_topology_are_refused_with_a_reason() {
    let bench = Bench::sim();
    let empty = bench.file("empty.yaml", "");
    let noise = bench.file("noise.yaml", [0xff, 0x00, 0x9b, 0xc3]);
    let large = bench.file("large.yaml", "# what a long comment\n".repeat(500_000));
    let missing = bench.target().join("missing.yaml").display().to_string();
    let directory = bench.target().display().to_string();
    let cases = [
        (empty, "the file is empty"),
        (noise, "UTF-8"),
        (large, "too large"),
        (missing, "no such file"),
        (directory.clone(), "is a directory"),
    ];
    for (file, reason) in &cases {
        bench.verb(&["validate", file]).must(2, &[file, reason]);
        bench.on_file("up", file).must(2, &[reason]);
        // Of a directory, all that is in it is tested.
        let tested = if *file == directory { "the file is empty" } else { reason };
        bench.on_file("test", file).must(2, &[tested]);
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once_with_line_and_remedy() {
    let bench = Bench::sim();
    let text = "\
name: wrong
defaults: { memory: 96 }
nodes:
  n0: { role: compute, colour: red }
  n1: { role: compute, address: 10.0.0.1 }
  n2: { role: standby, address: 10.0.0.1 }
links:
  - { between: [n7, sw0] }
run: { workload: laplace }
";
    let file = bench.file("wrong.yaml", text);
    let places = [":2:", ":4:", ":6:", ":8:"].map(|line| format!("wrong.yaml{line}"));
    let words: Vec<&str> = places.iter().map(String::as_str).collect();
    bench.verb(&["validate", &file]).must(2, &words).must(2, &["96", "colour", "10.0.0.1", "n7"]);
}

#[test]
fn one_wrong_file_among_right_ones_decides() {
    let bench = Bench::sim();
    let right = bench.topology(&Cluster::of(2, 1));
    let wrong = bench.file("wrong.yaml", "name: wrong\n");
    bench.verb(&["validate", &right, &wrong]).must(2, &[]);
    bench.verb(&["validate", &wrong, &right]).must(2, &[]);
    bench.verb(&["validate", &right, &right]).must(0, &[]);
}

#[test]
fn a_fault_that_cannot_be_survived_is_refused_before_anything_boots() {
    let bench = Bench::sim();
    let cluster = Cluster::of(3, 0).kill("n1", "{ checkpoint: 2 }").expects_the_right_result();
    bench.on("test", &cluster).must(2, &["standby"]);
}

/// What comes after these words, to the end of the line.
fn after<'a>(text: &'a str, words: &str) -> &'a str {
    let (_, rest) = text.split_once(words).unwrap_or_else(|| panic!("no \"{words}\" in {text}"));
    rest.lines().next().unwrap_or_default()
}

#[test]
fn workloads_and_arguments_that_files_may_name_are_those_of_the_images() {
    let bench = Bench::sim();
    let image = |workload: &str| {
        let program = Command::new(node_program()).args(["reference", workload, "zzz=1"]).output();
        String::from_utf8(program.unwrap().stderr).unwrap()
    };
    let file = |workload: &str| {
        let run = format!("{{ workload: {workload}, args: {{ zzz: 1 }} }}");
        bench.verb(&["validate", &bench.topology(&Cluster::of(2, 1).runs(&run))]).text
    };
    let (known, names) = (file("zzz"), image("zzz"));
    let names = after(&names, "there are ");
    assert_eq!(after(&known, "help: there are "), names);
    for name in names.split(", ") {
        assert_eq!(after(&file(name), "help: it has "), after(&image(name), "; it has "), "{name}");
    }
}
