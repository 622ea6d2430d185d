//! Programs that break: the cause is named, on every kind of node, and nothing goes on in silence.

use tests::{Bench, Cluster};

/// How rank 1 breaks, and what must be said about it.
const WAYS: &[(&str, &str)] = &[
    ("panic", "rank 1 breaks on purpose"),
    ("index", "index out of bounds: the len is 3 but the index is 7"),
    ("divide", "attempt to divide by zero"),
    ("heap", "the rank's heap is full: raise runtime.heap in the topology"),
    ("stack", "rank 1 overflowed its stack: raise runtime.stack in the topology"),
];

/// A cluster whose rank 1 breaks, and the words that must come out.
pub(crate) fn broken(how: &str) -> Cluster {
    Cluster::of(2, 0).named(how).runs(&format!("{{ workload: fault, args: {{ how: {how} }} }}"))
}

/// Breaks it in every way.
pub(crate) fn all_are_named(bench: &Bench, adapt: fn(Cluster) -> Cluster) {
    for (how, words) in WAYS {
        bench.on("test", &adapt(broken(how))).must(3, &["n1", words]);
        bench.nothing_runs();
    }
}

#[test]
fn a_process_names_what_broke() {
    all_are_named(&Bench::process(), |cluster| cluster);
}

#[test]
fn a_way_to_break_that_is_none_is_refused() {
    let bench = Bench::process();
    bench.on("test", &broken("quietly")).must(3, &["argument how: `quietly` is none of panic"]);
}
