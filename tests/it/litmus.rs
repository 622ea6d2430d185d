//! What ranks must see of each other's writes, on every backend, also across a death.

use tests::{Bench, Cluster, LITMUS};

fn holds(bench: &Bench, compute: usize, binding: &str) {
    let cluster = Cluster::of(compute, 1)
        .runs(LITMUS)
        .with(&format!("binding: {binding}"))
        .expects_the_right_result();
    bench.test(&cluster).must_pass();
    bench.test(&cluster.kill("n1", "{ checkpoint: 2 }")).must_pass();
}

#[test]
fn litmus_tests_hold_when_simulated() {
    let bench = Bench::sim();
    for compute in [2, 3, 5] {
        holds(&bench, compute, "mcapi");
        holds(&bench, compute, "sockets");
    }
}

#[test]
fn litmus_tests_hold_between_processes() {
    let bench = Bench::process();
    for compute in [2, 3, 5] {
        holds(&bench, compute, "mcapi");
        holds(&bench, compute, "sockets");
    }
}

#[test]
fn litmus_tests_hold_between_guests() {
    let bench = Bench::qemu();
    holds(&bench, 3, "mcapi");
}
