//! The conformance suites on every backend, also across a death.

use tests::{Bench, CONFORMANCE, Cluster};

fn conforms(bench: &Bench, compute: usize) {
    let cluster = Cluster::of(compute, 1)
        .runs(CONFORMANCE)
        .with("heap: 16MiB")
        .with("stack: 1MiB")
        .expects_the_right_result();
    bench.test(&cluster).must_pass();
    bench.test(&cluster.kill("n1", "{ checkpoint: 9 }")).must_pass();
}

#[test]
fn everything_holds_when_simulated() {
    let bench = Bench::sim();
    conforms(&bench, 2);
    conforms(&bench, 3);
}

#[test]
fn everything_holds_between_processes() {
    conforms(&Bench::process(), 3);
}

#[test]
fn everything_holds_between_guests() {
    conforms(&Bench::qemu(), 3);
}
