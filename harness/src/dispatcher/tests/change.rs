//! Nodes that start again, and ranks that move.

use super::*;
use crate::plan::Target;

fn ask(story: &mut Story, request: Request) -> Vec<Action> {
    story.tell(Event::Client { client: CLIENT, request })
}

fn migrate(what: &str, to: &str) -> Request {
    Request::Migrate { what: what.to_owned(), to: to.to_owned() }
}

/// To how many nodes it was said that rank 0 is to move to `n3`.
fn told_of_move(actions: &[Action]) -> usize {
    let told =
        |a: &&Action| matches!(a, Action::Send { message: ToNode::Migrate { rank: 0, to: 3 }, .. });
    actions.iter().filter(told).count()
}

fn view(view: u64, ranks: [u16; 3]) -> NodeEvent {
    NodeEvent::View {
        view: ViewId(view),
        coordinator: NodeId(0),
        members: (0..4).map(NodeId).collect(),
        ranks: ranks.map(NodeId).to_vec(),
    }
}

#[test]
fn a_rebooted_node_begins_a_later_life_and_the_verb_ends_when_it_is_a_standby() {
    let mut story = Story::up(plan());
    assert_eq!(killed(&ask(&mut story, Request::Reboot { node: "n3".to_owned() })), [3]);
    let actions = story.tell(Event::Exited { node: 3, status: "signal: 9".to_owned() });
    assert!(actions.contains(&Action::Spawn { node: 3 }), "{actions:?}");
    story.tell(Event::Spawned { node: 3, pid: 101 });
    let actions = story.hello(3, "same");
    let second = |a: &Action| matches!(a, Action::Send { node: 3, message: ToNode::Configure(c) } if c.generation == 2);
    assert!(actions.iter().any(second), "{actions:?}");
    assert_eq!(story.status_of(3), "rejoining");
    let actions = story.say(3, NodeEvent::Ready { view: ViewId(2) });
    let [.., Response::Done { text }] = &replies(&actions, CLIENT)[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(text, "n3 is back");
    assert_eq!(story.status_of(3), "ready");
}

#[test]
fn a_move_is_said_to_all_and_again_after_each_view_until_the_rank_is_there() {
    let mut story = Story::running(plan());
    assert_eq!(told_of_move(&ask(&mut story, migrate("n0", "n3"))), 4);
    assert_eq!(told_of_move(&story.say(1, view(2, [0, 1, 2]))), 4);
    let actions = story.say(1, view(3, [3, 1, 2]));
    assert_eq!(told_of_move(&actions), 0);
    let [.., Response::Done { text }] = &replies(&actions, CLIENT)[..] else {
        panic!("{actions:?}")
    };
    assert_eq!(text, "rank 0 is on n3");
}

#[test]
fn what_cannot_move_is_said_at_once() {
    let mut story = Story::up(plan());
    let (exit, reason) = failure(&ask(&mut story, migrate("n3", "n3")), CLIENT);
    assert_eq!((exit, reason.as_str()), (EXIT_USAGE, "n3 hosts no rank"));
    ask(&mut story, Request::Kill { node: "n3".to_owned() });
    let (_, reason) = failure(&ask(&mut story, migrate("0", "n3")), CLIENT);
    assert_eq!(reason, "n3 is dead: start it again with `understudy reboot n3`");
    let (_, reason) = failure(&ask(&mut story, migrate("0", "n9")), CLIENT);
    assert_eq!(reason, "no node n9: there are n0, n1, n2, n3");
}

/// The plan, with one fault alone, when epoch 2 is committed on `n1`.
fn struck(strike: Strike, node: usize) -> Plan {
    let mut plan = plan();
    (plan.faults[0].strike, plan.faults[0].target) = (strike, Target::Node(node));
    plan.expect.retain(|e| e.what == Wanted::Reference);
    plan
}

fn to_epoch_2(story: &mut Story) -> Vec<Action> {
    story.checkpoint(1);
    story.checkpoint(2)
}

#[test]
fn a_move_by_the_plan_holds_when_the_rank_is_there() {
    let mut story = Story::running(struck(Strike::Migrate(Rank(0)), 3));
    assert_eq!(told_of_move(&to_epoch_2(&mut story)), 4);
    assert_eq!(told_of_move(&story.say(1, view(2, [0, 1, 2]))), 4);
    assert_eq!(told_of_move(&story.say(1, view(3, [3, 1, 2]))), 0);
    assert_eq!(told_of_move(&story.say(1, view(4, [3, 1, 2]))), 0);
    let result = verdict(&story.done([3, 1, 2], "right"));
    assert!(result.pass, "{:?}", result.checks);
}

#[test]
fn a_move_by_the_plan_that_is_refused_or_too_late_is_a_fail() {
    let strike = Strike::Migrate(Rank(0));
    let mut story = Story::running(struck(strike, 3));
    to_epoch_2(&mut story);
    let reason = "n3 is no member".to_owned();
    story.say(0, NodeEvent::MoveRefused { rank: Rank(0), to: NodeId(3), reason });
    let result = verdict(&story.done([0, 1, 2], "right"));
    assert_eq!((result.pass, result.checks[1].seen.as_str()), (false, "n3 is no member"));

    let mut story = Story::running(struck(strike, 3));
    to_epoch_2(&mut story);
    let result = verdict(&story.done([0, 1, 2], "right"));
    assert!(!result.pass && result.checks[1].seen.starts_with("it was not done"));
}

#[test]
fn a_copy_goes_bad_when_its_keeper_says_so() {
    for (epoch, seen) in [(Some(Epoch(2)), "it happened"), (None, "n3 has no copy of rank 1")] {
        let mut story = Story::running(struck(Strike::Corrupt(Rank(1)), 3));
        let corrupt = Action::Send { node: 3, message: ToNode::Corrupt { rank: 1 } };
        assert!(to_epoch_2(&mut story).contains(&corrupt));
        story.say(3, NodeEvent::Corrupted { rank: Rank(1), epoch });
        let result = verdict(&story.done([0, 1, 2], "right"));
        assert_eq!(result.pass, epoch.is_some(), "{:?}", result.checks);
        assert!(result.checks[1].seen.starts_with(seen), "{:?}", result.checks);
    }
}

#[test]
fn a_reboot_by_the_plan_kills_and_starts_the_machine_also_when_it_is_dead() {
    let mut plan = struck(Strike::Reboot, 3);
    let mut again = plan.faults[0].clone();
    again.at = Trigger::Event { event: "resumed".to_owned(), node: Some(1), number: None, nth: 1 };
    plan.faults.push(again);
    let mut story = Story::running(plan);
    assert_eq!(killed(&to_epoch_2(&mut story)), [3]);
    let actions = story.tell(Event::Exited { node: 3, status: "signal: 9".to_owned() });
    assert!(actions.contains(&Action::Spawn { node: 3 }), "{actions:?}");
    ask(&mut story, Request::Kill { node: "n3".to_owned() });
    story.tell(Event::Exited { node: 3, status: "signal: 9".to_owned() });
    let resumed = NodeEvent::Resumed { view: ViewId(2), job: Job(1), epoch: Epoch(2) };
    let actions = story.say(1, resumed);
    assert!(killed(&actions).is_empty(), "it is dead already");
    assert!(actions.contains(&Action::Spawn { node: 3 }), "{actions:?}");
}
