//! Members that come back, and ranks that move, while a program runs.

use nix::sys::signal::Signal;
use serde_json::Value;
use tests::{Bench, Cluster};

/// So many iterations of a program with a barrier in each.
fn small(iterations: u32) -> Cluster {
    let args = format!("size: 256, iterations: {iterations}, checkpoint-every: 100");
    let run = format!("{{ workload: laplace, args: {{ {args} }} }}");
    Cluster::of(3, 1).expects_the_right_result().runs(&run)
}

/// The `nth` event of this kind that the node told, from 1.
pub(crate) fn told(node: &str, kind: &str, nth: usize) -> impl Fn(&[Value]) -> Option<Value> {
    let (node, kind) = (node.to_owned(), kind.to_owned());
    move |events: &[Value]| {
        let event = |e: &&Value| e["node"] == node[..] && e["message"]["event"]["kind"] == kind[..];
        events.iter().filter(event).nth(nth - 1).map(|e| e["message"]["event"].clone())
    }
}

#[test]
fn a_node_that_wakes_up_after_it_was_replaced_comes_back_and_takes_over_the_next_death() {
    let bench = Bench::process();
    let cluster = small(6_000);
    bench.on("up", &cluster).must(0, &[]);
    let name = cluster.name.as_str();
    let sleeper = bench.node(name, "n1");
    let run = bench.start(&["run"]);
    run.says("epoch 2 is committed");
    bench.signal(sleeper, Signal::SIGSTOP);
    // Silence is all that the others have of it; the standby has its rank when it rolls back.
    let suspicion = bench.await_events(name, told("n0", "suspected", 1));
    assert_eq!(suspicion["peer"], 1, "{suspicion}");
    let taken = bench.await_events(name, told("n3", "rolled-back", 1));
    assert_eq!((&taken["rank"], &taken["taken_over"]), (&1.into(), &true.into()), "{taken}");
    bench.signal(sleeper, Signal::SIGCONT);
    bench.await_events(name, told("n1", "fenced", 1));
    let joining = bench.await_events(name, told("n1", "joining", 1));
    assert_eq!(joining["generation"], 2);
    run.says("n1 is back, as a standby");
    bench.verb(&["kill", "n2"]).must(0, &["n2 is killed"]);
    let taken = bench.await_events(name, told("n1", "rolled-back", 1));
    assert_eq!((&taken["rank"], &taken["taken_over"]), (&2.into(), &true.into()), "{taken}");
    run.end().must(0, &["verdict: PASS"]);
    bench.verb(&["reboot", "n2"]).must(0, &["n2 is back"]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["down"]).must(0, &[]);
}

#[test]
fn a_spare_that_dies_sends_no_rank_back() {
    let outcome = Bench::process().test(&small(3_000).kill("n3", "{ checkpoint: 2, on: n0 }"));
    outcome.must_pass();
    assert_eq!(outcome.deaths(), 1);
    for node in ["n0", "n1", "n2"] {
        let kinds = outcome.kinds(node);
        assert!(!kinds.contains(&"rolled-back"), "{node}: {kinds:?}");
        // It is let go all the same, at a checkpoint at which the ranks were held.
        assert!(kinds.contains(&"view"), "{node}: {kinds:?}");
    }
}

#[test]
fn every_node_is_replaced_in_turn_under_a_running_program() {
    let bench = Bench::process();
    let cluster = small(20_000);
    bench.on("up", &cluster).must(0, &[]);
    let run = bench.start(&["run"]);
    run.says("epoch 1 is committed");
    bench
        .verb(&["migrate", "n0", "n1"])
        .must(2, &["n1 hosts rank 1: a rank moves to a standby only"]);
    bench.verb(&["migrate", "n3", "n1"]).must(2, &["n3 hosts no rank"]);
    // Each rank moves to the one that is free before its host goes.
    for (node, free) in [("n0", "n3"), ("n1", "n0"), ("n2", "n1")] {
        bench.verb(&["migrate", node, free]).must(0, &[&format!("is on {free}")]);
        bench.verb(&["reboot", node]).must(0, &[&format!("{node} is back")]);
    }
    // And one that dies with its rank.
    bench.verb(&["reboot", "n3"]).must(0, &["n3 is back"]);
    bench.verb(&["run"]).must(2, &["still running"]);
    run.end().must(0, &["verdict: PASS"]);
    // A move sends nobody back.
    let events = bench.await_events(&cluster.name, |events| Some(events.to_vec()));
    let killed = |e: &Value| e["harness"].as_str().is_some_and(|text| text.starts_with("killed"));
    let first = events.iter().position(killed).expect("n0 was killed");
    let back = |e: &Value| e["message"]["event"]["kind"] == "rolled-back";
    let back: Vec<&Value> = events[..first].iter().filter(|e| back(e)).collect();
    assert_eq!(back.len(), 1, "n3 alone restored rank 0: {back:?}");
    bench.verb(&["status"]).must(0, &["ready"]);
    bench.verb(&["down"]).must(0, &[]);
}
