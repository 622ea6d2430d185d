//! Deaths on the process backend: every rank, at every phase, and during takeovers.

use serde_json::Value;
use tests::{Bench, Cluster, LAPLACE, RECURSION, workspace};

/// Three nodes compute, one stands by; each of the three dies in turn, under two programs.
fn each_rank_dies(kill: impl Fn(Cluster, &str) -> Cluster) {
    let bench = Bench::process();
    for run in [LAPLACE, RECURSION] {
        for victim in ["n0", "n1", "n2"] {
            let cluster = kill(Cluster::of(3, 1).runs(run), victim)
                .expects_the_right_result()
                .expects(&format!("takeover: {{ of: {victim}, by: n3 }}"));
            let outcome = bench.test(&cluster);
            outcome.must_pass();
            assert_eq!(outcome.deaths(), 1);
        }
    }
}

fn each_rank_dies_held(at: &str) {
    each_rank_dies(|cluster, victim| cluster.kill_held(victim, at));
}

#[test]
fn a_ring_of_cables_is_cut_and_nobody_is_suspected() {
    let bench = Bench::process();
    let file = workspace().join("topology/examples/ring.yaml").display().to_string();
    let outcome = bench.test_file(&file);
    outcome.must_pass();
    for told in ["cable return carries frames now", "cable front-middle stands by now"] {
        assert_eq!(outcome.said.text.matches(told).count(), 3, "{}", outcome.said);
    }
    let recorded = |e: &&Value| e["node"] == "return" && e["harness"] == "carries frames now";
    assert_eq!(outcome.events.iter().filter(recorded).count(), 3);
    bench.verb(&["test", "--backend", "sim", &file]).must(2, &["a ring of cables (return)"]);
}

#[test]
fn nobody_dies() {
    let bench = Bench::process();
    for run in [LAPLACE, RECURSION] {
        let cluster = Cluster::of(3, 1).runs(run).expects_the_right_result();
        bench.test(&cluster.expects("no-takeover: true").expects("epochs: 6")).must_pass();
    }
}

/// Nobody tells it anything: it has no peers.
#[test]
fn a_node_may_be_alone() {
    let bench = Bench::process();
    let cluster = Cluster::of(1, 0).runs(LAPLACE).expects_the_right_result();
    bench.test(&cluster.expects("epochs: 6")).must_pass();
}

#[test]
fn every_rank_may_die_before_its_first_step() {
    each_rank_dies_held("{ event: resumed }");
}

#[test]
fn every_rank_may_die_at_once_when_it_is_told_to_run() {
    each_rank_dies(|cluster, victim| cluster.kill(victim, "start"));
}

#[test]
fn every_rank_may_die_before_anything_is_committed() {
    each_rank_dies_held("{ checkpoint: 1, phase: staged }");
}

#[test]
fn every_rank_may_die_when_it_begins_a_checkpoint() {
    each_rank_dies_held("{ checkpoint: 2, phase: begun }");
}

#[test]
fn every_rank_may_die_when_its_checkpoint_is_staged() {
    each_rank_dies_held("{ checkpoint: 2, phase: staged }");
}

#[test]
fn every_rank_may_die_when_its_checkpoint_is_replicated() {
    each_rank_dies_held("{ checkpoint: 2, phase: replicated }");
}

#[test]
fn every_rank_may_die_when_its_checkpoint_is_committed() {
    each_rank_dies_held("{ checkpoint: 2, phase: committed }");
}

#[test]
fn every_rank_may_die_between_two_checkpoints() {
    each_rank_dies(|cluster, victim| cluster.kill(victim, "{ checkpoint: 2 }"));
}

#[test]
fn every_rank_may_die_at_any_time() {
    let long = "{ workload: laplace, args: { size: 256, iterations: 600, checkpoint-every: 60 } }";
    let times = ["40ms", "90ms", "150ms"];
    let time = |victim: &str| match victim {
        "n0" => times[0],
        "n1" => times[1],
        _ => times[2],
    };
    each_rank_dies(|cluster, victim| cluster.runs(long).kill(victim, time(victim)));
}

#[test]
fn every_rank_may_die_when_it_has_left_the_program() {
    each_rank_dies_held("{ event: rank-exited }");
}

#[test]
fn the_standby_may_die_and_nobody_minds() {
    let bench = Bench::process();
    let cluster = || Cluster::of(3, 1).expects_the_right_result().expects("no-takeover: true");
    for at in ["{ event: resumed }", "{ event: recovering }"] {
        bench.test(&cluster().kill_held("n3", at)).must_pass();
    }
    for phase in ["begun", "staged", "replicated", "committed"] {
        let at = format!("{{ checkpoint: 2, phase: {phase}, on: n1 }}");
        bench.test(&cluster().kill("n3", &at)).must_pass();
    }
}

/// `n1` dies after checkpoint 2; whatever the second death is, the job must be done.
fn first_death(replicas: usize) -> Cluster {
    Cluster::of(3, 2)
        .replicas(replicas)
        .kill("n1", "{ checkpoint: 2 }")
        .expects_the_right_result()
        .expects("takeover: { of: n1 }")
}

#[test]
fn a_standby_that_dies_while_it_takes_over_is_replaced_by_the_other() {
    let bench = Bench::process();
    let steps = [
        "{ event: view }",
        "{ event: recovering, nth: 2 }",
        "{ event: copy-received }",
        "{ event: rolled-back }",
        "{ event: resumed, nth: 2 }",
        "{ event: checkpoint-staged }",
    ];
    for step in steps {
        for run in [LAPLACE, RECURSION] {
            let cluster = first_death(1).runs(run).kill_held("n3", step);
            let outcome = bench.test(&cluster);
            outcome.must_pass();
            assert_eq!(outcome.death("n3")["by"], "n4", "at {step}: {}", outcome.said);
        }
    }
}

#[test]
fn a_node_that_dies_while_it_sends_a_copy_is_replaced_too() {
    let bench = Bench::process();
    for sender in ["n0", "n2"] {
        let cluster = first_death(2).kill_held(sender, "{ event: copy-sent }");
        bench.test(&cluster).must_pass();
    }
}

#[test]
fn the_coordinator_may_die_in_a_takeover() {
    let bench = Bench::process();
    let steps = [
        "{ event: suspected }",
        "{ event: view }",
        "{ event: recovering, nth: 2 }",
        "{ event: rolled-back }",
        "{ event: resumed, nth: 2 }",
    ];
    for step in steps {
        bench.test(&first_death(2).kill_held("n0", step)).must_pass();
    }
}

#[test]
fn two_nodes_may_die_at_one_moment_when_there_are_two_copies() {
    let bench = Bench::process();
    for (a, b) in [("n0", "n1"), ("n1", "n2"), ("n0", "n2")] {
        let cluster = Cluster::of(3, 2)
            .replicas(2)
            .kill(a, "{ checkpoint: 2, on: n0 }")
            .kill(b, "{ checkpoint: 2, on: n0 }")
            .expects_the_right_result();
        let outcome = bench.test(&cluster);
        outcome.must_pass();
        assert_eq!(outcome.deaths(), 2);
    }
}

#[test]
fn two_nodes_may_die_one_after_the_other() {
    let bench = Bench::process();
    for (first, second) in [("n1", "n3"), ("n0", "n1"), ("n4", "n0")] {
        let cluster = Cluster::of(5, 2)
            .kill_held(first, "{ checkpoint: 2 }")
            .kill_held(second, "{ event: checkpoint-committed, nth: 4 }")
            .expects_the_right_result()
            .expects(&format!("takeover: {{ of: {first} }}"))
            .expects(&format!("takeover: {{ of: {second} }}"));
        let outcome = bench.test(&cluster);
        outcome.must_pass();
        assert_eq!(outcome.deaths(), 2);
    }
}

#[test]
fn the_heir_of_a_rank_may_die_like_anybody_else() {
    let bench = Bench::process();
    let cluster = Cluster::of(3, 2)
        .kill_held("n1", "{ checkpoint: 2 }")
        .kill("n3", "{ checkpoint: 4, on: n3 }")
        .expects_the_right_result()
        .expects("takeover: { of: n1, by: n3 }")
        .expects("takeover: { of: n3, by: n4 }");
    bench.test(&cluster).must_pass();
}

#[test]
fn a_death_with_no_standby_left_is_a_plain_refusal() {
    let bench = Bench::process();
    let cluster = Cluster::of(3, 1).kill("n1", "{ checkpoint: 2 }").kill("n2", "{ checkpoint: 4 }");
    bench.test(&cluster).must_fail(&["no standby"]);
}

#[test]
fn a_death_whose_copy_died_too_is_a_plain_refusal() {
    let bench = Bench::process();
    // One copy of each epoch, and three nodes of five ranks die at one moment: some copy is gone.
    let mut cluster = Cluster::of(5, 4);
    for victim in ["n0", "n1", "n2"] {
        cluster = cluster.kill(victim, "{ checkpoint: 2, on: n4 }");
    }
    bench.test(&cluster).must_fail(&["copy", "copies"]);
}

#[test]
fn a_minority_stops_and_says_so() {
    let bench = Bench::process();
    let mut cluster = Cluster::of(3, 1);
    for victim in ["n1", "n2", "n3"] {
        cluster = cluster.kill(victim, "{ checkpoint: 2, on: n0 }");
    }
    bench.test(&cluster).must_fail(&["no majority", "majority", "no node said anything"]);
}

#[test]
fn nobody_left_is_the_end() {
    let bench = Bench::process();
    let mut cluster = Cluster::of(2, 1);
    for victim in ["n0", "n1", "n2"] {
        cluster = cluster.kill(victim, "{ checkpoint: 2, on: n0 }");
    }
    bench.test(&cluster).must_fail(&["every node is dead"]);
}

#[test]
fn a_copy_that_went_bad_is_reported_and_another_one_used() {
    let bench = Bench::process();
    let args = "size: 256, iterations: 900, checkpoint-every: 300";
    // Both partners of rank 1.
    for (keeper, other) in [("n0", "n2"), ("n2", "n0")] {
        let cluster = Cluster::of(3, 1)
            .replicas(2)
            .runs(&format!("{{ workload: laplace, args: {{ {args} }} }}"))
            .strike(&format!("corrupt: {{ node: {keeper}, rank: 1 }}"), "{ checkpoint: 1, on: n1 }")
            .kill("n1", &format!("{{ event: corrupted, on: {keeper} }}"))
            .expects("takeover: { of: n1, by: n3 }")
            .expects_the_right_result();
        let outcome = bench.test(&cluster);
        outcome.must_pass();
        assert!(outcome.kinds(keeper).contains(&"copy-damaged"), "{}", outcome.said);
        assert!(!outcome.kinds(other).contains(&"copy-damaged"), "{}", outcome.said);
        assert_eq!(outcome.death("n1")["epoch"], 1, "{}", outcome.said);
    }
    // Where there is no copy, none goes bad, and that is no success.
    let cluster = Cluster::of(3, 1)
        .strike("corrupt: { node: n3, rank: 1 }", "{ checkpoint: 1, on: n0 }")
        .expects_the_right_result();
    bench.test(&cluster).must_fail(&["n3 has no copy of rank 1"]);
}
