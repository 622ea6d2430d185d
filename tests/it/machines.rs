//! Guests that are copies of one that booted, guests that boot, and guests of one board.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tests::{Bench, Cluster};

/// What a guest said on its console so far.
fn console(bench: &Bench, cluster: &str, node: &str) -> String {
    let path = format!("understudy/runs/{cluster}-1/console-{node}.log");
    fs::read_to_string(bench.target().join(path)).unwrap()
}

/// Waits until the consoles of all nodes say something; the consoles.
fn consoles(bench: &Bench, cluster: &str, nodes: &[&str], word: &str) -> Vec<String> {
    for node in nodes {
        let following = bench.start(&["console", node]);
        following.says(word);
        following.signal(nix::sys::signal::Signal::SIGKILL);
        let _killed = following.end();
    }
    nodes.iter().map(|node| console(bench, cluster, node)).collect()
}

#[test]
fn copies_of_a_guest_are_no_twins() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(3, 1).named("copies").expects_the_right_result();
    bench.on("up", &cluster).must(0, &["n3", "ready"]);
    let all = consoles(&bench, "copies", &["n0", "n1", "n2", "n3"], ", boot ");
    // What the kernel draws at random once a boot.
    let boots: BTreeSet<_> = all.iter().filter_map(|c| c.split(", boot ").nth(1)).collect();
    assert_eq!(boots.len(), 4, "{all:?}");
    assert!(all.iter().all(|c| !c.contains("Linux version")), "nobody booted: {all:?}");
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["reboot", "n1"]).must(0, &["n1"]);
    bench.verb(&["down"]).must(0, &["is down"]);
}

#[test]
fn guests_boot_when_their_template_is_broken_or_not_wanted() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(1, 1).named("broken").expects_the_right_result();
    bench.test(&cluster).must_pass();
    let templates = bench.target().join("understudy/cache/templates");
    let states = fs::read_dir(templates).unwrap().flatten().map(|e| e.path().join("state"));
    let states: Vec<_> = states.filter(|state| state.is_file()).collect();
    assert!(!states.is_empty());
    for state in &states {
        fs::write(state, b"nothing").unwrap();
    }
    bench.on("test", &cluster).must(0, &["n0 boots: it cannot be a copy", "verdict: PASS"]);
    // The next run makes another.
    bench.on("test", &cluster).must(0, &["the template booted in", "verdict: PASS"]);
    let file = bench.topology(&cluster);
    let said = bench.verb(&["test", "--cold", &file]);
    said.must(0, &["verdict: PASS"]);
    assert!(!said.text.contains("template"), "{said}");
}

#[test]
fn an_emulator_that_is_missing_or_does_not_work_is_named() {
    let bench = Bench::qemu();
    let nothing = bench.target().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let bench = bench.with("PATH", nothing.as_os_str());
    let cluster = Cluster::of(1, 1);
    bench.on("up", &cluster).must(3, &["qemu-system-x86_64 is not installed", "make setup"]);
    drop(bench);

    let bench = Bench::qemu();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo a script && exit\n\
                  echo 'no machine today' >&2\nexit 1\n";
    let program = bench.file("qemu-system-x86_64", script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bench.target().display());
    let bench = bench.with("PATH", path);
    bench.on("up", &cluster).must(3, &["they boot (", "no machine today", "exit status: 1"]);
    bench.nothing_runs();
}

#[test]
fn guests_of_one_board_find_each_other_in_its_memory() {
    let bench = Bench::qemu();
    let file = bench.file(
        "board.yaml",
        "name: board\nboards: { a: { shared-memory: 1MiB }, b: {} }\nnodes:\n\
         \x20 n0: { board: a, role: compute }\n  n1: { board: a, role: standby }\n\
         \x20 n2: { board: b, role: standby }\n\
         runtime: { heartbeat: 100ms, shared-memory: 1MiB, heap: 1MiB, stack: 1MiB }\n",
    );
    bench.on_file("up", &file).must(0, &["n2", "ready"]);
    let word = "1024 KiB of the board's memory are mapped, by ";
    let both = consoles(&bench, "board", &["n0", "n1"], word);
    assert!(both.iter().any(|c| c.contains(&format!("{word}n0, n1"))), "{both:?}");
    assert!(!console(&bench, "board", "n2").contains("mapped"));
    // A board keeps its memory.
    bench.verb(&["reboot", "n1"]).must(0, &["n1"]);
    let again = format!("{word}n0, n1 (life 2)");
    consoles(&bench, "board", &["n1"], &again);
    bench.verb(&["down"]).must(0, &["is down"]);
}
