//! Crashes at every step of the tour, for each size.

mod double_up;

use super::*;
use crate::explore::Scenario;
use runtime_core::id::NodeId;

fn all(scenario: &Scenario, plan: Plan) -> Tally {
    let tally = enumerate(scenario, plan, &mut |_| {}).unwrap_or_else(|broken| panic!("{broken}"));
    let Scenario { compute, standby, replicas, .. } = scenario;
    println!("{compute}+{standby}, replicas {}: {tally}", replicas.unwrap_or_default());
    tally
}

#[test]
fn a_crash_at_every_step_of_2_plus_1_gives_the_right_answer() {
    let tally = all(&Scenario::tour(4, 2, 1, 1), Plan::SINGLES);
    assert_eq!(tally.done, tally.runs);
    assert!(tally.runs > 700 && tally.takeovers > 200, "{tally}");
}

#[test]
fn a_crash_at_every_step_of_3_plus_1_gives_the_right_answer() {
    let tally = all(&Scenario::tour(4, 3, 1, 1), Plan::SINGLES);
    assert_eq!(tally.done, tally.runs);
    assert!(tally.runs > 2_000 && tally.takeovers > 600, "{tally}");
}

#[test]
fn a_crash_at_every_step_of_3_plus_2_gives_the_right_answer() {
    let tally = all(&Scenario::tour(4, 3, 2, 1), Plan::SINGLES);
    assert_eq!(tally.done, tally.runs);
    assert!(tally.runs > 3_000 && tally.takeovers > 600, "{tally}");
}

#[test]
fn a_sample_of_the_pairs_gives_what_the_promise_says() {
    let tally = all(&Scenario::tour(4, 2, 1, 1), Plan::every(11, 7));
    assert!(tally.no_majority > 1_000 && tally.done > 30, "{tally}");
    let tally = all(&Scenario::tour(4, 3, 1, 1), Plan::every(31, 13));
    assert!(tally.no_majority > 200 && tally.no_standby > 500, "{tally}");
    let tally = all(&Scenario::tour(4, 3, 2, 1), Plan::every(43, 23));
    assert!(tally.lost > 20 && tally.done > 900 && tally.no_majority == 0, "{tally}");
    let tally = all(&Scenario::tour(4, 3, 2, 2), Plan::every(43, 23));
    assert_eq!(tally.done, tally.runs, "two may die at a time");
}

#[test]
fn a_crash_at_every_step_of_a_takeover_is_survived_with_two_copies() {
    // Rank 1 dies when its second epoch is half staged: the first recovery cannot go on to it.
    let mut scenario = Scenario::tour(4, 3, 2, 2);
    scenario.crashes = vec![(NodeId(1), When::Step(480))];
    scenario.death_is_seen = false;
    let tally = all(&scenario, Plan::every(2, 0));
    assert_eq!(tally.done, tally.runs);
    assert!(tally.takeovers > tally.runs, "{tally}");
}

#[test]
fn a_branch_is_the_very_run_that_its_command_repeats() {
    let scenario = Scenario { death_is_seen: false, ..Scenario::tour(4, 3, 2, 1) };
    let (first, second) = ((NodeId(1), 400), (NodeId(2), 700));
    let mut run = Run::new(&scenario);
    for (node, step) in [first, second] {
        while run.steps() < step {
            assert_eq!(run.step().map(|verdict| verdict.end), None);
            run = run.clone();
        }
        run.crash(node);
    }
    let branch = run.finish();
    let crashes = [first, second].map(|(node, step)| (node, When::Step(step))).to_vec();
    let repeated = Scenario { crashes, ..scenario }.run();
    assert_eq!((branch.trace, branch.end), (repeated.trace, repeated.end));
}

#[test]
fn the_parts_of_a_plan_are_the_whole() {
    let scenario = Scenario::tour(4, 2, 1, 1);
    let whole = all(&scenario, Plan::every(9, 0));
    let part = |part| all(&scenario, Plan { part: (part, 3), ..Plan::every(9, 0) });
    let parts = (0..3).map(part).fold(Tally::default(), |mut sum, tally| {
        sum += tally;
        sum
    });
    // Each part runs through once without a crash.
    assert_eq!((whole.runs - 1, whole.takeovers), (parts.runs - 3, parts.takeovers));
}
