//! The shared memory on MCAPI packet channels and on plain sockets: the same bits.

use tests::{Bench, Cluster, LAPLACE, LITMUS, RECURSION};

fn same_bits(bench: &Bench, run: &str, die: bool) {
    let hash = |binding: &str| {
        let mut cluster = Cluster::of(3, 1).runs(run).with(&format!("binding: {binding}"));
        if die {
            cluster = cluster.kill("n1", "{ checkpoint: 2 }");
        }
        bench.test(&cluster.expects_the_right_result()).must_pass().hash()
    };
    assert_eq!(hash("mcapi"), hash("sockets"));
}

#[test]
fn both_bindings_give_the_same_bits() {
    let bench = Bench::process();
    for run in [LAPLACE, RECURSION, LITMUS] {
        same_bits(&bench, run, false);
        same_bits(&bench, run, true);
    }
}

#[test]
fn both_bindings_give_the_same_bits_when_simulated() {
    let bench = Bench::sim();
    for run in [LAPLACE, RECURSION, LITMUS] {
        same_bits(&bench, run, true);
    }
}
