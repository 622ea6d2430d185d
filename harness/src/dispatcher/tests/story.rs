//! Faults that follow each other, and what is expected to show.

use super::{CLIENT, Story, replies, verdict};
use crate::dispatcher::{Action, Event};
use crate::plan::tests::plan;
use crate::plan::{Expect, Fault, Plan, Target, Wanted};
use crate::proto::Response;
use crate::switch::LinkAction;
use images_control::sim::Trigger;
use images_control::{Hold, ToNode};
use runtime_core::event::Event as NodeEvent;
use runtime_core::id::NodeId;
use std::time::Duration;
use topology::{Metric, Outcome, Shown, Sight, Strike, Way};

fn blow(item: usize, node: usize, strike: Strike, at: Trigger) -> Fault {
    let words = format!("fault {item}");
    let changes = None;
    let target = Target::Node(node);
    Fault { item, ends: false, strike, target, changes, at, hold: None, words }
}

fn after(faults: &[u32], us: u64) -> Trigger {
    Trigger::Follows { faults: faults.to_vec(), us }
}

fn event(kind: &str) -> Sight {
    Sight { shown: Shown::Event { kind: kind.to_owned(), number: None }, on: None }
}

fn line(text: &str, on: u16) -> Sight {
    Sight { shown: Shown::Line(text.to_owned()), on: Some(NodeId(on)) }
}

/// A plan without faults that expects these things only.
fn expecting(wanted: impl IntoIterator<Item = Wanted>) -> Plan {
    let mut plan = plan();
    plan.faults.clear();
    let words = |what| Expect { what, words: String::new() };
    plan.expect = std::iter::once(Wanted::Reference).chain(wanted).map(words).collect();
    plan
}

fn suspected() -> NodeEvent {
    NodeEvent::Suspected { peer: NodeId(1), reason: "silence".to_owned(), silent_us: 1 }
}

#[test]
fn a_fault_follows_the_last_of_those_that_it_waits_for() {
    let mut plan = expecting([]);
    plan.faults = vec![
        blow(0, 1, Strike::Cut(Way::From), Trigger::Time { us: 5_000 }),
        Fault { ends: true, ..blow(0, 1, Strike::Heal, after(&[0], 10_000)) },
        blow(1, 2, Strike::Slow(25), after(&[1], 0)),
    ];
    let mut story = Story::running(plan);
    let start = story.now;
    let due = story.dispatcher.deadline().unwrap();
    assert_eq!(due, start + Duration::from_millis(5));
    story.now = due;
    let cut = story.tell(Event::Tick);
    let what = LinkAction::Cut { up: true, down: false };
    assert!(cut.contains(&Action::Link { line: 1, what }), "{cut:?}");
    let due = story.dispatcher.deadline().unwrap();
    assert_eq!(due, story.now + Duration::from_millis(10));
    story.now = due;
    let healed = story.tell(Event::Tick);
    let what = LinkAction::Heal;
    assert!(healed.contains(&Action::Link { line: 1, what }), "{healed:?}");
    assert!(healed.contains(&Action::Slow { node: 2, percent: 25 }), "{healed:?}");
    let result = verdict(&story.done([0, 1, 2], "right"));
    let faults: Vec<_> = result.checks.iter().filter(|c| c.expected.starts_with("fault")).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(result.pass, "{:?}", result.checks);
}

#[test]
fn a_fault_that_happened_too_seldom_is_a_fail() {
    let mut plan = expecting([]);
    plan.faults = vec![
        blow(0, 1, Strike::Slow(50), Trigger::Time { us: 0 }),
        blow(0, 1, Strike::Slow(50), after(&[0], 60_000_000)),
    ];
    let mut story = Story::running(plan);
    let result = verdict(&story.done([0, 1, 2], "right"));
    assert!(!result.pass);
    assert_eq!(result.checks[1].seen, "it happened 1 of 2 times before the run was over");
}

#[test]
fn a_node_is_told_which_of_its_frequent_events_is_waited_for() {
    let mut plan = expecting([]);
    let (event, node) = ("iteration".to_owned(), Some(2));
    let at = Trigger::Event { event, node, number: Some(70), nth: 1 };
    plan.faults = vec![blow(0, 1, Strike::Crash, at)];
    let hold = Hold { event: "iteration".to_owned(), number: Some(70), nth: 1, still: false };
    assert_eq!(plan.configure(2).holds, [hold]);
    assert_eq!(plan.configure(1).holds, []);
    let mut story = Story::running(plan);
    let crash = story.say(2, NodeEvent::Iteration { number: 70 });
    assert!(crash.contains(&Action::Send { node: 1, message: ToNode::Crash }), "{crash:?}");
    assert_eq!(story.status_of(1), "dead");
}

#[test]
fn what_shows_is_judged_by_time_order_and_number() {
    let ms = Duration::from_millis;
    let seen = |sight, times, within| Wanted::Seen { sight, times, within, after: None };
    let plan = expecting([
        seen(event("suspected"), 2, Some(ms(500))),
        seen(event("suspected"), 3, None),
        Wanted::Order(vec![event("suspected"), event("no-majority")]),
        Wanted::Order(vec![event("fenced"), event("suspected")]),
        Wanted::Never(event("fenced")),
        Wanted::Never(event("suspected")),
    ]);
    let mut story = Story::running(plan);
    story.say(0, suspected());
    story.say(2, suspected());
    let view = runtime_core::id::ViewId(1);
    story.say(0, NodeEvent::NoMajority { view, reachable: 3, members: 4 });
    let result = verdict(&story.done([0, 1, 2], "right"));
    let holds: Vec<bool> = result.checks[2..].iter().map(|c| c.holds).collect();
    assert_eq!(holds, [true, false, true, false, true, false], "{:?}", result.checks);
    assert_eq!(result.checks[3].seen, "2 times only");
    assert_eq!(result.checks[5].seen, "nothing like the 1st of them");
}

#[test]
fn lines_on_consoles_are_waited_for_before_the_verdict() {
    let plan = expecting([
        Wanted::Seen { sight: line("all is well", 2), times: 1, within: None, after: None },
        Wanted::Never(line("panicked", 1)),
    ]);
    let mut story = Story::running(plan);
    let actions = story.done([0, 1, 2], "right");
    assert_eq!(replies(&actions, CLIENT), []);
    assert!(actions.contains(&Action::ReadConsoles), "{actions:?}");
    story.tell(Event::Line { node: 2, text: "kernel: all is well now".to_owned() });
    let result = verdict(&story.tell(Event::ConsolesRead));
    assert!(result.pass, "{:?}", result.checks);
    assert!(result.checks[2].seen.contains("kernel: all is well"), "{:?}", result.checks);
}

#[test]
fn nodes_end_as_they_do_and_bounds_are_bounds() {
    let state = |node, outcome| Wanted::State { node, outcome };
    let metric = |metric, at_least, at_most| Wanted::Metric { metric, at_least, at_most };
    let mut plan = expecting([
        state(1, Outcome::Dead),
        state(1, Outcome::Exited(35)),
        state(1, Outcome::Exited(0)),
        state(3, Outcome::Rank(runtime_core::id::Rank(1))),
        state(3, Outcome::Standby),
        metric(Metric::Checkpoints, Some(3), Some(3)),
        metric(Metric::SentRatio, Some(1_000_000), Some(1_100_000)),
        metric(Metric::RecoveryTime, None, Some(1)),
        metric(Metric::DetectionTime, None, Some(60_000_000_000)),
    ]);
    plan.faults = super::plan().faults;
    let mut story = Story::running(plan);
    story.checkpoint(1);
    story.checkpoint(2);
    story.tell(Event::Exited { node: 1, status: "at a fault, exit status: 35".to_owned() });
    story.takeover();
    story.checkpoint_on([0, 3, 2], 3);
    let result = verdict(&story.done([0, 3, 2], "right"));
    let holds: Vec<bool> = result.checks[3..].iter().map(|c| c.holds).collect();
    let expected = [true, true, false, true, false, true, true, false, true];
    assert_eq!(holds, expected, "{:?}", result.checks);
}

#[test]
fn a_fault_with_no_death_has_no_recovery_to_measure() {
    let metric = Wanted::Metric { metric: Metric::RecoveryTime, at_least: None, at_most: Some(1) };
    let mut story = Story::running(expecting([metric]));
    let actions = story.done([0, 1, 2], "right");
    assert!(matches!(&replies(&actions, CLIENT)[..], [.., Response::Verdict { .. }]));
    let result = verdict(&actions);
    assert_eq!((result.checks[2].seen.as_str(), result.pass), ("no node died", false));
}
