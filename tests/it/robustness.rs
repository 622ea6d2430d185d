//! What must not go wrong when something goes wrong with the testbed itself.

use nix::sys::signal::Signal;
use std::fs;
use tests::{Bench, Cluster, node_program};

/// A shell's exit code for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;
/// Long enough to be met in the middle.
const LONG: &str =
    "{ workload: laplace, args: { size: 256, iterations: 100000, checkpoint-every: 100 } }";

fn small() -> Cluster {
    Cluster::of(3, 1).expects_the_right_result()
}

#[test]
fn a_daemon_that_is_killed_hard_takes_every_node_along_and_blocks_nothing() {
    let bench = Bench::process();
    for _ in 0..2 {
        // The second time round the dead daemon's socket is still there.
        bench.on("up", &small()).must(0, &["up"]);
        assert_eq!(bench.running().len(), 5, "{:?}", bench.running());
        bench.signal(bench.daemon(), Signal::SIGKILL);
        bench.nothing_runs();
        bench.verb(&["status"]).must(2, &["no cluster is up"]);
        bench.verb(&["down"]).must(0, &["no cluster is up"]);
    }
    bench.test(&small()).must_pass();
}

#[test]
fn a_daemon_that_is_killed_hard_in_a_run_is_a_failure_of_the_testbed() {
    let bench = Bench::process();
    let test = bench.start_on("test", &small().runs(LONG).expects("epochs: 1"));
    test.says("epoch 1 is committed");
    bench.signal(bench.daemon(), Signal::SIGKILL);
    test.end().must(3, &["the daemon is gone without a word"]);
    bench.nothing_runs();
}

#[test]
fn a_daemon_that_is_asked_to_end_says_so() {
    let bench = Bench::process();
    let test = bench.start_on("test", &small().runs(LONG));
    test.says("epoch 1 is committed");
    bench.signal(bench.daemon(), Signal::SIGTERM);
    test.end().must(3, &["stopped by a signal"]);
    bench.nothing_runs();
}

#[test]
fn ctrl_c_in_a_test_leaves_nothing_and_the_next_run_works() {
    let bench = Bench::process();
    for moment in ["started", "job 1 runs", "epoch 1 is committed", "n1 is killed"] {
        let cluster = small().runs(LONG).kill("n1", "{ checkpoint: 2 }");
        let test = bench.start_on("test", &cluster);
        test.says(moment);
        test.signal(Signal::SIGINT);
        test.end().must(INTERRUPTED, &[moment]);
        bench.nothing_runs();
    }
    bench.test(&small()).must_pass();
}

#[test]
fn ctrl_c_in_a_run_leaves_the_cluster_up() {
    let bench = Bench::process();
    bench.on("up", &small().runs(LONG)).must(0, &[]);
    let run = bench.start(&["run"]);
    run.says("epoch 1 is committed");
    run.signal(Signal::SIGINT);
    run.end().must(INTERRUPTED, &[]);
    bench.verb(&["status"]).must(0, &["running"]);
    bench.verb(&["run"]).must(2, &["still running"]);
    bench.verb(&["down"]).must(0, &["is down"]);
}

#[test]
fn a_name_can_be_up_only_once() {
    let bench = Bench::process();
    bench.on("up", &small()).must(0, &[]);
    let name = small().name;
    for verb in ["up", "test"] {
        bench.on(verb, &small()).must(2, &[&format!("cluster {name} is up already"), "down"]);
    }
    let other = small().named("other");
    bench.test(&other).must_pass();
    bench.verb(&["down"]).must(0, &[&format!("cluster {name} is down")]);
    bench.verb(&["down"]).must(0, &["no cluster is up"]);
    bench.verb(&["down", "--cluster", &name]).must(0, &["is not up"]);
}

#[test]
fn two_clusters_are_told_apart_by_name() {
    let bench = Bench::process();
    let other = small().named("other");
    bench.on("up", &small()).must(0, &[]);
    bench.on("up", &other).must(0, &[]);
    bench.verb(&["status"]).must(2, &["--cluster", "other", &small().name]);
    bench.verb(&["status", "--cluster", "other"]).must(0, &["cluster other"]);
    bench.verb(&["run", "--cluster", "other"]).must(0, &["PASS"]);
    bench.verb(&["down"]).must(0, &["cluster other is down"]);
}

#[test]
fn a_cluster_can_be_used_again_and_again() {
    let bench = Bench::process();
    bench.on("up", &small()).must(0, &[]);
    for _ in 0..3 {
        bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    }
    let run = bench.target().join("understudy/runs").join(format!("{}-1", small().name));
    for file in ["result-1.json", "result-2.json", "result-3.json", "result.json"] {
        assert!(run.join(file).is_file(), "no {file}");
    }
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn a_node_killed_by_hand_is_replaced_in_the_next_run() {
    let bench = Bench::process();
    bench.on("up", &small()).must(0, &[]);
    bench.verb(&["kill", "n9"]).must(2, &["no node n9", "n0, n1, n2, n3"]);
    bench.verb(&["kill", "n1"]).must(0, &["n1 is killed"]);
    bench.verb(&["kill", "n1"]).must(0, &["n1 is dead already"]);
    bench.verb(&["status"]).must(0, &["dead"]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["kill", "n2"]).must(0, &["n2 is killed"]);
    bench.verb(&["run"]).must(1, &["no standby", "verdict: FAIL"]);
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn a_fault_cannot_kill_a_node_twice() {
    let bench = Bench::process();
    bench.on("up", &small().kill("n1", "{ checkpoint: 2 }")).must(0, &[]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["run"]).must(2, &["n1 is dead, but a fault is to strike it (kill n1"]);
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn a_fault_that_never_comes_is_no_pass() {
    let bench = Bench::process();
    let cluster = small().kill("n1", "{ checkpoint: 99 }");
    bench.test(&cluster).must_fail(&["it did not happen"]);
}

#[test]
fn what_is_wrong_with_the_program_is_said_with_its_place_in_the_file() {
    let cases = [
        ("{ workload: laplace, args: { size: many } }", "run.args", "argument size"),
        ("{ workload: laplace, args: { size: 2 } }", "run.args", "not from 3"),
    ];
    for bench in [Bench::process, Bench::sim] {
        let bench = bench();
        for (run, place, reason) in cases {
            // With a reference it is found before anything runs, else by the nodes.
            bench.on("test", &small().runs(run)).must(2, &[place, reason]);
            bench.on("test", &Cluster::of(2, 1).runs(run)).must(3, &[place, reason]);
        }
    }
}

#[test]
fn a_program_without_room_says_what_to_raise() {
    let bench = Bench::process();
    let deep = "{ workload: recursion, args: { depth: 2000, checkpoint-every: 0 } }";
    let cluster = small().runs(deep).with("stack: 64KiB");
    bench.on("test", &cluster).must(3, &["overflowed its stack", "runtime.stack"]);
    let wide = "{ workload: laplace, args: { size: 256, iterations: 2 } }";
    let cluster = small().runs(wide).with("heap: 256KiB");
    bench.on("test", &cluster).must(3, &["node n0", "heap is full", "runtime.heap"]);
    let cluster = small().runs(wide).with("shared-memory: 64KiB");
    bench.on("test", &cluster).must(3, &["node n", "laplace needs", "runtime.shared-memory"]);
}

#[test]
fn more_memory_than_there_is_is_refused_before_anything_starts() {
    let bench = Bench::qemu();
    let yaml = Cluster::of(16, 16).yaml();
    let file = bench.file("huge.yaml", format!("{yaml}defaults: {{ memory: 64GiB }}\n"));
    for verb in ["up", "test"] {
        let said = bench.on_file(verb, &file);
        said.must(3, &["the cluster needs 2099200 MiB of memory, but only", "write less `memory`"]);
    }
    assert!(bench.running().is_empty());
}

/// What the harness writes has room for so many blocks in each file; what nodes have in memory, room for all.
fn with_a_small_disk(blocks: u32) -> Bench {
    let bench = Bench::process();
    let node = node_program().display().to_string();
    let script = format!("#!/bin/sh\nulimit -S -f unlimited\nexec {node} \"$@\"\n");
    let script = bench.file("node", script);
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&script, runs).unwrap();
    bench.with("UNDERSTUDY_NODE", &script).with_files_of_at_most(blocks)
}

#[test]
fn a_disk_that_is_full_ends_a_run_with_plain_words() {
    let bench = with_a_small_disk(40);
    // The first files fit; what happens does not.
    let test = bench.on("test", &Cluster::of(3, 1).runs(LONG));
    test.must(3, &["epoch 1 is committed", "cannot write", "events.jsonl", "make room for it"]);
    bench.nothing_runs();
}

#[test]
fn a_link_that_cannot_be_recorded_any_more_is_said_and_carries_frames_all_the_same() {
    let bench = with_a_small_disk(400);
    let cluster = small().named("tapped").with("transport: ethernet");
    bench.on("up", &cluster).must(0, &[]);
    bench.verb(&["pcap", "on", "n1"]).must(0, &["recording to"]);
    let stopped = ["link-n1-sw0.pcapng stopped, the file ends early", "make room for it"];
    bench.verb(&["run"]).must(0, &["verdict: PASS"]).must(0, &stopped);
    let status = bench.verb(&["status"]);
    assert!(!status.text.contains("recorded"), "{status}");
    bench.verb(&["pcap", "off"]).must(3, &stopped);
    bench.verb(&["pcap", "off"]).must(0, &["nothing was recorded"]);
    bench.verb(&["down"]).must(0, &["is down"]);
}

#[test]
fn a_result_that_cannot_be_kept_is_a_failure_of_the_testbed() {
    let bench = Bench::process();
    bench.on("up", &small()).must(0, &[]);
    let run = bench.target().join("understudy/runs").join(format!("{}-1", small().name));
    // Something else is in the way, which may be any reason.
    fs::create_dir(run.join("result-1.json")).unwrap();
    let said = ["verdict: PASS", "the result is not kept: cannot write", "result-1.json"];
    bench.verb(&["run"]).must(3, &said);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn a_node_program_that_is_none_is_a_failure_of_the_testbed() {
    let bench = Bench::process();
    let missing = bench.target().join("nowhere");
    drop(bench);
    let bench = Bench::process().with("UNDERSTUDY_NODE", &missing);
    bench.on("up", &small()).must(3, &["no node program at", "nowhere"]);
    drop(bench);
    for (program, reason) in [("/bin/false", "ended by itself"), ("/bin/ls", "n")] {
        let bench = Bench::process().with("UNDERSTUDY_NODE", program);
        bench.on("up", &small()).must(3, &["node n", reason]);
    }
}

#[test]
fn a_node_with_another_program_is_refused() {
    let bench = Bench::process();
    // The same program with one more byte at its end, where it does no harm but to the hash.
    let mut other = fs::read(node_program()).unwrap();
    other.push(0);
    let runs = || std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let other = bench.file("other", other);
    let taken = bench.target().join("taken").display().to_string();
    let same = node_program().display().to_string();
    // Whoever comes first takes the other one.
    let text = format!(
        "#!/bin/sh\nif mkdir {taken} 2>/dev/null; then exec {other} \"$@\"; fi\nexec {same} \"$@\"\n"
    );
    let script = bench.file("node", text);
    for file in [&other, &script] {
        fs::set_permissions(file, runs()).unwrap();
    }
    let bench = bench.with("UNDERSTUDY_NODE", &script);
    let words =
        ["node n", "runs image ", "another node runs ", "addresses would not mean the same"];
    bench.on("up", &small()).must(3, &words);
    bench.nothing_runs();
}

#[test]
fn a_node_that_does_not_speak_is_given_up() {
    let bench = Bench::process();
    let silent = bench.file("silent", "#!/bin/sh\nexec sleep 1000\n");
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&silent, runs).unwrap();
    let bench = bench.with("UNDERSTUDY_NODE", &silent);
    bench.on("up", &Cluster::of(1, 1)).must(3, &["did not boot", "said nothing"]);
    bench.nothing_runs();
}
