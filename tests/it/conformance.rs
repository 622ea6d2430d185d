//! The conformance suites on every backend, also across a death.

use tests::{Bench, CONFORMANCE, Cluster, Images};

fn all(compute: usize) -> Cluster {
    let cluster = Cluster::of(compute, 1).runs(CONFORMANCE);
    cluster.with("heap: 16MiB").with("stack: 1MiB").expects_the_right_result()
}

fn conforms(bench: &Bench, compute: usize) {
    let cluster = all(compute);
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
fn everything_holds_on_bare_metal() {
    let bench = Bench::qemu();
    bench.test(&all(3).of_images(Images::BareMetal)).must_pass();
    let dies = all(3).of_images(Images::BareMetal).kill("n1", "{ checkpoint: 9 }");
    bench.test(&dies).must_pass();
}

#[test]
fn everything_holds_between_processes_over_ethernet() {
    Bench::process().test(&all(3).with("transport: ethernet").links("loss: 2%")).must_pass();
}

#[test]
fn everything_holds_between_guests() {
    Bench::qemu().test(&all(3).kill("n1", "{ checkpoint: 9 }")).must_pass();
}
