//! Survivors that host two ranks, with crashes of machines and of single seats at every step.

use super::*;
use crate::explore::Media;
use runtime_core::node::Quorum;

fn doubling(compute: u16, quorum: Quorum) -> Scenario {
    Scenario { double_up: true, quorum, ..Scenario::tour(4, compute, 0, 1) }
}

#[test]
fn a_crash_at_steps_of_3_plus_0_gives_the_right_answer() {
    // At every step: `understudy sim --exhaustive`.
    let tally = all(&doubling(3, Quorum::Majority), Plan::every(5, 0));
    assert_eq!(tally.done, tally.runs);
    assert!(tally.runs > 800 && tally.takeovers > 130, "{tally}");
}

#[test]
fn a_crash_at_every_step_of_2_plus_0_leaves_one_machine_with_both_ranks() {
    let tally = all(&doubling(2, Quorum::FailStop), Plan::every(2, 0));
    assert_eq!(tally.done, tally.runs);
    assert!(tally.runs > 700 && tally.takeovers > 100, "{tally}");
    // One machine of two is no majority: a run that a machine is lost to is refused.
    let tally = all(&doubling(2, Quorum::Majority), Plan::every(9, 0));
    assert_eq!(tally.done + tally.no_majority, tally.runs);
    assert!(tally.no_majority > 30, "{tally}");
}

#[test]
fn over_datagrams_the_switch_names_the_machine_and_both_its_nodes_are_missed() {
    let scenario = Scenario { medium: Media::Datagram, ..doubling(3, Quorum::Majority) };
    let tally = all(&scenario, Plan::every(29, 0));
    assert_eq!(tally.done, tally.runs);
    assert!(tally.runs > 100 && tally.takeovers > 20, "{tally}");
}

#[test]
fn a_machine_with_two_ranks_may_die_as_well() {
    // Rank 1 is on a seat by then; in a third of the runs the machine that has two goes.
    let mut scenario = doubling(4, Quorum::Majority);
    scenario.crashes = vec![(NodeId(1), When::Step(1_000))];
    let tally = all(&scenario, Plan::every(11, 0));
    assert!(tally.done > 300 && tally.takeovers > tally.runs, "{tally}");
    assert_eq!(tally.no_standby, 0, "three machines have room for four ranks: {tally}");
}

#[test]
fn a_machine_that_dies_while_the_ranks_are_told_to_go_on_leaves_no_majority_and_they_say_so() {
    // The seat n4 says so before it hears that the recovery is over.
    let mut scenario = doubling(3, Quorum::Majority);
    scenario.crashes = vec![(NodeId(0), When::Step(1)), (NodeId(2), When::Step(496))];
    let verdict = scenario.run();
    assert_eq!((verdict.end, verdict.broken), (End::NoMajority, None));
    // And at any step around it.
    scenario.crashes = vec![(NodeId(0), When::Step(1))];
    let tally = all(&scenario, Plan::every(7, 0));
    assert!(tally.no_majority > 100, "{tally}");
}

#[test]
fn without_double_up_the_same_run_is_refused() {
    let tally = all(&Scenario::tour(4, 3, 0, 1), Plan::every(23, 0));
    assert!(tally.no_standby > 40 && tally.takeovers == 0, "{tally}");
}
