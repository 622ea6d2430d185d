//! Ctrl-C in a test of several files, at any moment: all that runs ends, what did not run is named, and nothing is left.

use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tests::{Backend, Bench, Child, Cluster};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Long enough to be met in the middle.
const LONG: &str =
    "{ workload: laplace, args: { size: 192, iterations: 1000000, checkpoint-every: 50 } }";

/// Waits until it is so; a file has no event for that.
#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Three long runs, two at a time.
fn start(bench: &Bench, backend: &str, moment: &str) -> Child {
    let file =
        |n: u32| bench.topology(&Cluster::of(2, 1).named(&format!("{moment}{n}")).runs(LONG));
    let files = [1, 2, 3].map(file);
    let junit = bench.target().join("junit.xml").display().to_string();
    let words = ["test", "--backend", backend, "--jobs", "2", "--junit", &junit];
    bench.start(&[words.as_slice(), &files.each_ref().map(String::as_str)].concat())
}

/// It says what became of each, in its table and in the file for other programs; nothing runs, and nothing is left.
#[track_caller]
fn is_ended(bench: &Bench, test: Child, signal: Signal, begun: usize) {
    test.signal(signal);
    let (exit, not_run) = (128 + signal as i32, 3 - begun);
    let table = format!("0 of 3 runs passed, {not_run} not run, with 0 deaths");
    let last = format!(
        "error: {signal}: what ran was ended, {not_run} of 3 were not begun; nothing of it is left"
    );
    test.end().must(exit, &["ended before it was judged", "NOT RUN", &table, &last]);
    bench.nothing_runs();
    let xml = fs::read_to_string(bench.target().join("junit.xml")).unwrap();
    let totals = format!("tests=\"3\" failures=\"0\" errors=\"{begun}\" skipped=\"{not_run}\"");
    assert!(xml.contains(&totals), "{totals} in\n{xml}");
    let why = "<skipped message=\"not run: interrupted before its turn\"/>";
    assert_eq!(xml.matches(why).count(), not_run, "{xml}");
    nothing_is_left(bench);
}

/// No socket, no lock, no template half made.
#[track_caller]
fn nothing_is_left(bench: &Bench) {
    let control = fs::read_dir(bench.target().join("understudy/control")).unwrap();
    let left: Vec<_> = control.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(!bench.target().join("understudy/cache/templates/building").exists());
}

/// Two of the runs have committed a checkpoint, and so run side by side.
fn two_run(bench: &Bench, moment: &str) -> bool {
    let has = |n: &u32| {
        let file = bench.target().join(format!("understudy/runs/{moment}{n}-1/events.jsonl"));
        fs::read_to_string(file).is_ok_and(|text| text.contains("checkpoint-committed"))
    };
    [1, 2, 3].iter().filter(|n| has(n)).count() == 2
}

#[test]
fn processes_of_a_test_end_with_it_and_what_did_not_run_is_named() {
    let bench = Bench::new(Backend::Process);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let moment = format!("{signal}").to_lowercase();
        let test = start(&bench, "process", &moment);
        wait_for("two runs at once", || two_run(&bench, &moment));
        is_ended(&bench, test, signal, 2);
    }
}

#[test]
fn guests_of_a_test_end_with_it_while_templates_boot_clusters_boot_and_workloads_run() {
    let bench = Bench::qemu().with_own_templates();
    let test = start(&bench, "qemu", "template");
    let ram = bench.target().join("understudy/cache/templates/building/ram");
    wait_for("a template", || Path::new(&ram).exists());
    is_ended(&bench, test, Signal::SIGINT, 1);

    let test = start(&bench, "qemu", "boot");
    let _ = bench.node("boot1", "n0");
    is_ended(&bench, test, Signal::SIGTERM, 1);

    let test = start(&bench, "qemu", "run");
    wait_for("two runs at once", || two_run(&bench, "run"));
    is_ended(&bench, test, Signal::SIGINT, 2);
}

#[test]
fn a_test_that_is_killed_hard_takes_its_clusters_along() {
    let bench = Bench::new(Backend::Process);
    let test = start(&bench, "process", "hard");
    wait_for("two runs at once", || two_run(&bench, "hard"));
    test.signal(Signal::SIGKILL);
    test.end().must(137, &[]);
    bench.nothing_runs();
    nothing_is_left(&bench);
}

#[test]
fn of_repeated_runs_the_first_that_fails_is_the_last_and_the_whole_fails() {
    let bench = Bench::new(Backend::Process);
    let good = bench.topology(&Cluster::of(2, 1).named("a").expects_the_right_result());
    let bad = bench.topology(&Cluster::of(2, 1).named("b").expects("epochs: 1000"));
    let junit = bench.target().join("junit.xml").display().to_string();
    let words = ["test", "--backend", "process", "--jobs", "1", "--repeat", "2", "--junit", &junit];
    let said = bench.verb(&[words.as_slice(), &[good.as_str(), &bad]].concat());
    said.must(1, &["verdict: FAIL", "another had failed", "2 of 4 runs passed, 1 not run"]);
    let xml = fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("failures=\"1\" errors=\"0\" skipped=\"1\""), "{xml}");
    assert!(xml.contains("<skipped message=\"not run: another had failed\"/>"), "{xml}");
}
