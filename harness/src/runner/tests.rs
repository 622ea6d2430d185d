use super::room::{Need, Room};
use super::{End, Job, Outcome, how_far, junit, summary};
use crate::failure::Failure;
use crate::plan::Backend;
use crate::proto::EXIT_TESTBED;
use crate::table::tests::run;
use std::path::PathBuf;
use std::time::Duration;

fn outcome(result: Result<crate::result::RunResult, &str>) -> Outcome {
    let failure = |reason: &str| Failure { exit: EXIT_TESTBED, reason: reason.to_owned() };
    Outcome {
        job: Job {
            file: PathBuf::from("dir/a<b>.yaml"),
            turn: Some((2, 3)),
            topology: Err(String::new()),
        },
        took: Duration::from_millis(1500),
        logs: Some("runs/a-1".to_owned()),
        end: result.map_or_else(|e| End::Failed(failure(e)), |r| End::Judged(Box::new(r))),
    }
}

fn skipped(why: &str) -> Outcome {
    Outcome { end: End::Skipped(why.to_owned()), ..outcome(Err("")) }
}

#[test]
fn junit_has_a_case_for_each_run_and_for_each_thing_that_had_to_hold() {
    let result = run();
    let checks = result.checks.len();
    let wrong = result.checks.iter().filter(|check| !check.holds).count();
    let xml = junit::report(&[outcome(Ok(result)), outcome(Err("no \"kernel\"\n & \u{1}more"))]);
    assert_eq!(xml.matches("<testcase ").count(), checks + 2, "{xml}");
    assert_eq!(xml.matches("<failure ").count(), wrong, "{xml}");
    assert!(xml.contains("<error message=\"no &quot;kernel&quot;\">"), "{xml}");
    assert!(xml.contains(" &amp; \u{fffd}more"), "{xml}");
    assert!(xml.contains("name=\"dir/a&lt;b&gt;.yaml (2 of 3)\""), "{xml}");
    let totals =
        format!("tests=\"{}\" failures=\"{wrong}\" errors=\"1\" skipped=\"0\"", checks + 2);
    assert!(xml.contains(&totals), "{totals} in\n{xml}");
}

#[test]
fn what_cannot_run_here_is_skipped_and_neither_passed_nor_failed() {
    let good = crate::result::RunResult { pass: true, ..run() };
    let all = [outcome(Ok(good)), skipped("no \"program\": run `make`")];
    let text = summary(&all);
    assert!(text.contains("SKIPPED") && text.contains("no \"program\": run `make`"), "{text}");
    assert!(text.ends_with("1 of 2 runs passed, 1 skipped, with 1 deaths\n"), "{text}");
    let xml = junit::report(&all[1..]);
    assert!(xml.contains("<skipped message=\"no &quot;program&quot;: run `make`\"/>"), "{xml}");
    let totals = "tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"1\"";
    assert_eq!(xml.matches(totals).count(), 2, "in all, and of the suite:\n{xml}");
}

#[test]
fn the_table_counts_those_that_passed_and_says_why_others_did_not() {
    let good = crate::result::RunResult { pass: true, ..run() };
    let text = summary(&[outcome(Ok(good)), outcome(Ok(run())), outcome(Err("no kernel"))]);
    for word in ["PASS", "FAIL", "ERROR"] {
        assert_eq!(text.matches(word).count(), 1, "{text}");
    }
    assert!(text.contains("no kernel") && text.contains("no node said anything"), "{text}");
    assert!(text.ends_with("1 of 3 runs passed, with 2 deaths\n"), "{text}");
}

#[test]
fn whoever_waits_is_told_how_far_it_is() {
    let seconds = Duration::from_secs;
    assert_eq!(how_far(3, 4, seconds(30)), "3 of 4 done after 30 s, about 10 s to go");
    assert_eq!(how_far(1, 23, seconds(9)), "1 of 23 done after 9 s, about 3 min to go");
}

const fn need(bytes: u64, busy: usize) -> Need {
    Need { bytes, busy }
}

#[test]
fn clusters_run_side_by_side_while_memory_and_processors_last() {
    let room = Room::new(100, 2, None);
    let first = room.enter(need(40, 2)).unwrap();
    first.is_up();
    assert!(room.would_fit(need(60, 2)) && !room.would_fit(need(61, 2)), "memory");
    assert!(!room.would_fit(need(10, 3)), "processors");
    let second = room.enter(need(40, 2)).unwrap();
    second.is_up();
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| room.enter(need(80, 4)).map(drop));
        drop(first);
        drop(second);
        assert_eq!(waits.join().unwrap(), Ok(()), "it had to wait for both");
    });
    let refused = room.enter(need(101, 1)).unwrap_err();
    assert!(refused.contains("end other programs"), "{refused}");
}

#[test]
fn one_boots_at_a_time() {
    let room = Room::new(100, 8, Some(4));
    let booting = room.enter(need(1, 1)).unwrap();
    assert!(!room.would_fit(need(1, 1)), "somebody boots");
    booting.is_up();
    assert!(room.would_fit(need(1, 1)));
    let other = room.enter(need(1, 1)).unwrap();
    assert!(!room.would_fit(need(1, 1)), "again");
    drop(other);
    assert!(room.would_fit(need(99, 1)) && !room.would_fit(need(100, 1)), "memory");
}

#[test]
fn a_cluster_of_the_file_says_what_it_takes() {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/examples/failover.yaml");
    let topology = topology::load(&file).unwrap();
    let of = |backend| Need::of(&topology, backend);
    assert_eq!(of(Backend::Qemu), need(4 * ((160 + 64) << 20), 3));
    assert_eq!(of(Backend::Process).busy, 3);
    assert_eq!(of(Backend::Sim).busy, 1);
}
