//! What a file expects: that it is judged right both ways, and with what was seen.

use tests::{Backend, Bench, Cluster, Outcome};

/// `n1` crashes between two checkpoints, and n3 takes over.
fn crash() -> Cluster {
    Cluster::of(3, 1).strike("crash: n1", "{ checkpoint: 2 }")
}

fn with(expected: &[&str]) -> Cluster {
    expected.iter().fold(crash(), |cluster, expectation| cluster.expects(expectation))
}

/// Fails the test unless these are the checks that do not hold, each with something that was seen.
#[track_caller]
fn broken(outcome: &Outcome, wanted: &[(&str, &str)]) {
    let checks = outcome.result["checks"].as_array().unwrap();
    let text = |check: &serde_json::Value, key: &str| check[key].as_str().unwrap().to_owned();
    let broken: Vec<(String, String)> = (checks.iter().filter(|check| check["holds"] == false))
        .map(|check| (text(check, "expected"), text(check, "seen")))
        .collect();
    assert_eq!(broken.len(), wanted.len(), "{}", outcome.said);
    for ((expected, seen), (words, cause)) in broken.iter().zip(wanted) {
        assert!(expected.contains(words) && seen.contains(cause), "{expected} / {seen}");
    }
    assert_eq!(outcome.said.exit, i32::from(!wanted.is_empty()), "{}", outcome.said);
}

#[test]
fn what_became_so_passes() {
    for backend in [Backend::Process, Backend::Sim] {
        let bench = Bench::new(backend);
        let outcome = bench.test(&with(&[
            "result: reference",
            "state: { n0: rank 0, n1: dead, n2: rank 2, n3: rank 1 }",
            "order: [{ event: suspected }, { event: recovering, on: n3 }, { event: resumed }]",
            "seen: { event: resumed, times: 6, within: 60s }",
            "never: { event: no-majority }",
            "metric: { checkpoints: { at-least: 6, at-most: 8 }, recovery-time: { at-most: 60s } }",
            "metric: { sent-ratio: { at-least: 50%, at-most: 130% }, changed-bytes: { at-least: 1MiB } }",
        ]));
        broken(outcome.must_pass(), &[]);
    }
}

#[test]
fn what_did_not_become_so_fails_and_is_said() {
    for backend in [Backend::Process, Backend::Sim] {
        let bench = Bench::new(backend);
        let outcome = bench.test(&with(&[
            "state: { n0: dead, n1: exited 0, n2: standby, n3: rank 0 }",
            "order: [{ event: resumed, on: n1 }, { event: job-done }, { event: suspected }]",
            "seen: { event: suspected, times: 1000 }",
            "seen: { event: rolled-back, on: n1 }",
            "never: { event: suspected }",
            "metric: { checkpoints: { at-most: 5 }, sent-ratio: { at-most: 1% }, run-time: { at-least: 1h } }",
        ]));
        // In the order of the file.
        broken(
            &outcome,
            &[
                ("n0 is dead in the end", "rank 0"),
                ("n1 has ended with code 0 in the end", "dead"),
                ("n2 is a standby in the end", "rank 2"),
                ("n3 is rank 0 in the end", "rank 1"),
                ("then event suspected", ", then nothing like the 3rd of them"),
                ("event suspected 1000 times", " times only"),
                ("event rolled-back on n1", "not once"),
                ("never event suspected", "on n"),
                ("checkpoints at most 5", "6"),
                ("sent-ratio at most 1.0%", "%"),
                ("run-time at least 1h", "s"),
            ],
        );
    }
}

#[test]
fn lines_are_seen_in_their_order_or_not() {
    let bench = Bench::process();
    let program =
        "#include <stdio.h>\nint main(void) { puts(\"first of all\\nthen this\"); return 0; }\n";
    drop(bench.file("lines.c", program));
    let run = |name: &str, expect: &str| {
        let text = format!(
            "name: {name}\nnodes: {{ n0: {{ role: compute }}, n1: {{ role: compute }} }}\n\
             run: {{ program: ./lines.c }}\nexpect:\n{expect}"
        );
        bench.test_file(&bench.file(&format!("{name}.yaml"), text))
    };
    let outcome = run(
        "said",
        "  - { seen: { line: first of, on: n1, within: 60s } }\n\
         \x20 - { seen: { line: then this, times: 2 } }\n\
         \x20 - { order: [{ line: first, on: n0 }, { line: then, on: n0 }] }\n\
         \x20 - { never: { line: at last } }\n",
    );
    outcome.must_pass();
    let outcome = run(
        "unsaid",
        "  - { seen: { line: at last } }\n\
         \x20 - { seen: { line: first, on: n1, times: 2 } }\n\
         \x20 - { seen: { line: first, within: 1us } }\n\
         \x20 - { order: [{ line: then, on: n0 }, { line: first, on: n0 }] }\n\
         \x20 - { never: { line: first of, on: n1 } }\n",
    );
    broken(
        &outcome,
        &[
            ("a line with \"at last\"", "not once"),
            ("2 times", "once only"),
            ("within 1us of the start", "first of all"),
            ("then a line with \"first\" on n0", "nothing like the 2nd of them"),
            ("never a line with \"first of\" on n1", " s: first of all"),
        ],
    );
}

/// When the blows of a run struck, in microseconds after its start.
fn blows(outcome: &Outcome) -> Vec<u64> {
    let started = outcome.result["started_us"].as_u64().unwrap();
    let blows = outcome.result["blows"].as_array().unwrap().iter();
    let struck = blows.filter(|blow| blow["ends"] == false);
    struck.map(|blow| blow["at_us"].as_u64().unwrap() - started).collect()
}

#[test]
fn times_at_random_are_those_of_the_seed() {
    let bench = Bench::sim();
    let cluster = || {
        Cluster::of(3, 1)
            .with("suspect-after: 100")
            .strike("degrade: { link: n1, delay: 1ms }, times: 3", "{ random: [2ms, 20ms] }")
            .expects_the_right_result()
    };
    let (one, again) = (bench.test(&cluster()), bench.test(&cluster()));
    // A simulated fault strikes between two steps of its world, and some of those take a millisecond.
    let times = blows(one.must_pass());
    assert_eq!(times, blows(again.must_pass()), "{}", one.said);
    assert!(times.len() == 3 && times.iter().all(|t| (2_000..25_000).contains(t)), "{times:?}");
    one.said.must(0, &["it happened 3 times, from 0.00 s to 0.0"]);
    let file = bench.topology(&cluster());
    let other = bench.verb(&["test", "--backend", "sim", "--seed", "12", &file]);
    assert_ne!(times, blows(Outcome::read(other).must_pass()));
}
