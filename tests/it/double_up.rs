//! Survivors that host two ranks: processes and guests.

use crate::members::told;
use tests::{Bench, Cluster};

fn doubling(compute: usize, standby: usize) -> Cluster {
    Cluster::of(compute, standby).with("on-exhausted: double-up").expects_the_right_result()
}

#[test]
fn with_no_standby_a_survivor_hosts_two_ranks_and_the_result_is_the_same() {
    let bench = Bench::process();
    for (victim, at) in [
        ("n0", "{ checkpoint: 2, phase: committed }"),
        ("n1", "{ checkpoint: 2, phase: staged }"),
        ("n2", "{ event: resumed }"),
    ] {
        let expected = format!("takeover: {{ of: {victim} }}");
        let outcome = bench.test(&doubling(3, 0).kill_held(victim, at).expects(&expected));
        outcome.must_pass();
        assert_eq!(outcome.deaths(), 1);
        let heir = outcome.death(victim)["by"].as_str().unwrap().to_owned();
        assert!(heir.ends_with('+') && !heir.starts_with(victim), "{heir} took over");
        assert!(outcome.kinds(&heir).contains(&"doubled"));
    }
}

#[test]
fn a_machine_with_two_ranks_dies_and_both_move_on() {
    // The seat of n0, the first of those that serve equally well, takes rank 1; then n0 dies.
    let cluster = doubling(4, 0)
        .kill("n1", "{ checkpoint: 2 }")
        .kill("n0", "{ checkpoint: 4 }")
        .expects("takeover: { of: n1, by: n0 }")
        .expects("takeover: { of: n0 }");
    let outcome = Bench::process().test(&cluster);
    outcome.must_pass();
    assert_eq!(outcome.deaths(), 3, "n1, n0, and its seat with a rank of its own");
    assert!(outcome.death("n0+")["by"].is_string());
}

#[test]
fn without_the_key_the_run_stops_and_says_why() {
    // No result is expected, or the file would be refused.
    let cluster = Cluster::of(3, 0).kill("n1", "{ checkpoint: 2 }");
    Bench::process().on("test", &cluster).must(1, &["no standby is left to take over rank 1"]);
}

#[test]
fn a_machine_that_is_back_takes_its_rank_again() {
    let bench = Bench::process();
    let args = "size: 256, iterations: 3000, checkpoint-every: 100";
    let cluster = doubling(3, 0).runs(&format!("{{ workload: laplace, args: {{ {args} }} }}"));
    // Each seat has a cable of its own, which must be there again.
    let cluster = cluster.with("transport: ethernet");
    bench.on("up", &cluster).must(0, &[]);
    let run = bench.start(&["run"]);
    run.says("epoch 2 is committed");
    bench.verb(&["kill", "n1+"]).must(2, &["n1+ is the seat of n1, on the same machine: name n1"]);
    bench.verb(&["kill", "n1"]).must(0, &["n1 is killed"]);
    run.says("degraded: n0 hosts two ranks, for rank 1 runs on its seat n0+");
    bench.verb(&["reboot", "n1"]).must(0, &["n1 is back"]);
    bench.verb(&["migrate", "1", "n1"]).must(0, &["rank 1 is on n1"]);
    bench.verb(&["status"]).must(0, &["seat on n1"]);
    run.end().must(0, &["verdict: PASS"]);
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn a_guest_hosts_two_ranks_and_the_one_that_died_comes_back_with_its_seat() {
    let bench = Bench::qemu();
    let cluster = doubling(3, 0).named("seats-tcp").kill("n1", "{ checkpoint: 2 }");
    let cluster = cluster.expects("takeover: { of: n1 }");
    bench.on("up", &cluster).must(0, &[]);
    let run = bench.start(&["run"]);
    run.says("hosts two ranks, for rank 1 runs on its seat n");
    run.end().must(0, &["verdict: PASS"]);
    bench.verb(&["reboot", "n1"]).must(0, &["n1 is back"]);
    let back = bench.await_events(&cluster.name, told("n1+", "ready", 2));
    assert_eq!(back["kind"], "ready");
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn two_guests_on_ethernet_become_one_with_both_ranks() {
    let cluster = doubling(2, 0).named("seats-ethernet").with("transport: ethernet");
    let cluster = cluster.with("quorum: fail-stop").kill("n1", "{ checkpoint: 2 }");
    let outcome = Bench::qemu().test(&cluster.expects("takeover: { of: n1, by: n0 }"));
    outcome.must_pass();
    assert_eq!(outcome.deaths(), 1, "nobody misses an idle seat");
    assert_eq!(outcome.death("n1")["by"], "n0+");
    assert!(outcome.kinds("n0+").contains(&"doubled"));
}
