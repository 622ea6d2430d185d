//! What callers wait for: answered as soon as it is so, or cannot be any more.

use super::*;
use crate::proto::{Awaited, Outcome, Shown, Sighted};

const CALLER: u64 = 9;

impl Story {
    fn expect(&mut self, what: Awaited) -> Option<(String, bool)> {
        let actions =
            self.tell(Event::Client { client: CALLER, request: Request::Expect { what } });
        answer(&actions)
    }
}

fn attended(mut story: Story) -> Story {
    story.dispatcher.attended = true;
    story
}

fn answer(actions: &[Action]) -> Option<(String, bool)> {
    replies(actions, CALLER).iter().find_map(|response| match response {
        Response::Expected { seen, holds } => Some((seen.clone(), *holds)),
        Response::Failed { reason, .. } => Some((reason.clone(), false)),
        _ => None,
    })
}

fn takeover(by: Option<&str>, within_us: Option<u64>) -> Awaited {
    Awaited::Takeover { of: "n1".to_owned(), by: by.map(str::to_owned), within_us }
}

fn event(kind: &str, within_us: Option<u64>) -> Awaited {
    let shown = Shown::Event { kind: kind.to_owned(), number: None };
    Awaited::Seen { shown, on: None, times: 1, within_us }
}

fn kill(story: &mut Story) {
    let request = Request::Kill { node: "n1".to_owned() };
    story.tell(Event::Client { client: CLIENT, request });
}

fn take_over(story: &mut Story) -> Vec<Action> {
    let rolled = NodeEvent::RolledBack { rank: Rank(1), epoch: Epoch(1), taken_over: true };
    story.say(3, rolled)
}

#[test]
fn a_takeover_is_answered_when_it_has_come_and_late_callers_are_too() {
    let mut story = attended(Story::running(plan()));
    assert_eq!(story.expect(takeover(Some("n3"), None)), None);
    kill(&mut story);
    let (seen, holds) = answer(&take_over(&mut story)).unwrap();
    assert!(holds && seen.starts_with("n3 in 0.00 s"), "{seen}");
    assert!(story.expect(takeover(None, Some(1_000_000))).unwrap().1);
    let (seen, holds) = story.expect(takeover(Some("n2"), None)).unwrap();
    assert!(!holds && seen.starts_with("n3 in"), "another will not take over any more: {seen}");
}

#[test]
fn a_takeover_that_is_late_is_known_before_the_run_is_over() {
    let mut story = attended(Story::running(plan()));
    kill(&mut story);
    assert_eq!(story.expect(takeover(None, Some(5_000))), None);
    let due = story.dispatcher.deadline().unwrap();
    story.now = due;
    let (seen, holds) = answer(&story.tell(Event::Tick)).unwrap();
    assert!(!holds && seen == "nobody took over (at most 0.01 s on this machine)", "{seen}");
    assert_ne!(story.dispatcher.deadline(), Some(due), "nobody waits for it any more");
}

#[test]
fn what_showed_before_the_latest_deed_does_not_count() {
    let mut story = attended(Story::running(plan()));
    let suspected =
        || NodeEvent::Suspected { peer: NodeId(1), reason: String::new(), silent_us: 1 };
    story.say(0, suspected());
    assert!(story.expect(event("suspected", None)).unwrap().1);
    kill(&mut story);
    assert_eq!(story.expect(event("suspected", None)), None);
    assert!(answer(&story.say(2, suspected())).unwrap().1);
}

#[test]
fn the_end_of_a_run_answers_everybody() {
    let mut story = attended(Story::running(plan()));
    assert_eq!(story.expect(event("no-majority", None)), None);
    let never = Awaited::State { node: "n1".to_owned(), outcome: Outcome::Dead, within_us: None };
    assert_eq!(story.expect(never), None);
    assert_eq!(story.expect(Awaited::Checkpoints { at_least: 1 }), None);
    let committed = story.checkpoint(1);
    assert_eq!(answer(&committed), Some(("1 so far".to_owned(), true)));
    story.done([0, 1, 2], "right");
    let actions = story.tell(Event::ConsolesRead);
    let seen = replies(&actions, CALLER);
    let told = |text: &str| {
        seen.iter().any(|r| matches!(r, Response::Expected { seen, holds: false } if seen == text))
    };
    assert!(seen.len() == 2 && told("not once") && told("rank 1"), "{seen:?}");
}

#[test]
fn a_cluster_that_ends_fails_all_that_is_awaited() {
    let mut story = attended(Story::running(plan()));
    assert_eq!(story.expect(takeover(None, None)), None);
    let actions = story.tell(Event::Garbled { node: 2, reason: "sent a mess".to_owned() });
    let (reason, _) = answer(&actions).unwrap();
    assert_eq!(reason, "node n2 sent a mess");
}

#[test]
fn nothing_shows_where_nothing_has_run() {
    let mut story = attended(Story::up(plan()));
    let (reason, _) = story.expect(takeover(None, None)).unwrap();
    assert!(reason.contains("nothing has run yet"), "{reason}");
    let outcome = Outcome::Standby;
    let state = Awaited::State { node: "n3".to_owned(), outcome, within_us: None };
    assert_eq!(story.expect(state), Some(("a standby".to_owned(), true)));
}

fn never(kind: &str, within_us: Option<u64>) -> Awaited {
    let shown = Shown::Event { kind: kind.to_owned(), number: None };
    Awaited::Never { shown, on: None, times: 1, within_us }
}

fn order(kinds: &[(&str, Option<u64>)]) -> Awaited {
    let sight = |(kind, within_us): &(&str, Option<u64>)| {
        let shown = Shown::Event { kind: (*kind).to_owned(), number: None };
        Sighted { shown, on: None, within_us: *within_us }
    };
    Awaited::Order { sights: kinds.iter().map(sight).collect() }
}

fn metric(metric: &str, at_least: Option<&str>, at_most: Option<&str>) -> Awaited {
    let [at_least, at_most] = [at_least, at_most].map(|text| text.map(str::to_owned));
    Awaited::Metric { metric: metric.to_owned(), at_least, at_most }
}

fn suspected() -> NodeEvent {
    NodeEvent::Suspected { peer: NodeId(1), reason: String::new(), silent_us: 1 }
}

#[test]
fn what_is_never_to_show_is_known_when_it_shows_or_at_the_end() {
    let mut story = attended(Story::running(plan()));
    assert_eq!(story.expect(never("suspected", None)), None);
    let (seen, holds) = answer(&story.say(0, suspected())).unwrap();
    assert!(!holds && seen.starts_with("on n0"), "{seen}");

    assert_eq!(story.expect(never("no-majority", None)), None);
    story.done([0, 1, 2], "right");
    let end = answer(&story.tell(Event::ConsolesRead));
    assert_eq!(end, Some(("not once".to_owned(), true)));
    assert!(!story.expect(never("suspected", None)).unwrap().1, "nor is it forgotten");
}

#[test]
fn for_a_while_it_does_not_show() {
    let mut story = attended(Story::running(plan()));
    assert_eq!(story.expect(never("suspected", Some(5_000))), None);
    story.now = story.dispatcher.deadline().unwrap();
    assert_eq!(answer(&story.tell(Event::Tick)), Some(("not once".to_owned(), true)));
}

#[test]
fn an_order_waits_for_each_in_turn() {
    let mut story = attended(Story::running(plan()));
    let wanted = || order(&[("suspected", None), ("rolled-back", None)]);
    take_over(&mut story);
    assert_eq!(story.expect(wanted()), None, "it came too early");
    assert_eq!(answer(&story.say(0, suspected())), None);
    let (seen, holds) = answer(&take_over(&mut story)).unwrap();
    assert!(holds && seen.contains(", n3 "), "{seen}");
    // Nothing of it counts after a deed.
    kill(&mut story);
    assert_eq!(story.expect(wanted()), None);
    story.takeover();
    assert!(story.expect(wanted()).unwrap().1);
    assert_eq!(story.expect(order(&[("resumed", None), ("suspected", None)])), None);
    story.done([0, 3, 2], "right");
    let (seen, holds) = answer(&story.tell(Event::ConsolesRead)).unwrap();
    assert!(!holds && seen.ends_with(", then nothing like the 2nd of them"), "{seen}");
}

#[test]
fn an_order_is_too_late_by_the_bound_of_what_is_missing() {
    let mut story = attended(Story::running(plan()));
    let kinds = [("suspected", Some(900_000)), ("rolled-back", Some(5_000))];
    assert_eq!(story.expect(order(&kinds)), None);
    story.say(0, suspected());
    story.now = story.dispatcher.deadline().unwrap();
    let (seen, holds) = answer(&story.tell(Event::Tick)).unwrap();
    assert!(!holds && seen.contains("the 2nd of them (at most 0.01 s"), "{seen}");
    // It came, but whoever asks now is not told otherwise.
    take_over(&mut story);
    assert!(!story.expect(order(&kinds)).unwrap().1);
}

#[test]
fn a_measure_is_answered_when_it_cannot_change_any_more() {
    let mut story = attended(Story::running(Plan { faults: Vec::new(), ..plan() }));
    assert_eq!(story.expect(metric("checkpoints", Some("1"), None)), None);
    assert_eq!(answer(&story.checkpoint(1)), Some(("1".to_owned(), true)));
    // Two are too many; one is not, but that is known at the end only.
    assert_eq!(story.expect(metric("checkpoints", None, Some("1"))), None);
    assert_eq!(answer(&story.checkpoint(2)), Some(("2".to_owned(), false)));
    assert_eq!(story.expect(metric("checkpoints", None, Some("2"))), None);
    // This one may fall again, and rise.
    assert_eq!(story.expect(metric("sent-ratio", None, Some("1%"))), None);
    story.done([0, 1, 2], "right");
    let actions = story.tell(Event::ConsolesRead);
    let seen = replies(&actions, CALLER);
    let told = |text: &str, held: bool| {
        let is = |r: &Response| matches!(r, Response::Expected { seen, holds } if seen == text && *holds == held);
        seen.iter().any(is)
    };
    assert!(told("2", true) && told("101.3%", false), "{seen:?}");
}

#[test]
fn a_run_that_takes_too_long_is_known_at_that_moment() {
    let mut story = attended(Story::running(plan()));
    assert_eq!(story.expect(metric("run-time", None, Some("50ms"))), None);
    story.now = story.dispatcher.deadline().unwrap();
    assert!(!answer(&story.tell(Event::Tick)).unwrap().1);
}

#[test]
fn measures_that_are_none_and_bounds_without_sense_are_refused() {
    let mut story = attended(Story::running(plan()));
    let cases = [
        (metric("run-tim", None, Some("1s")), "nothing that is measured is called run-tim"),
        (metric("run-time", None, Some("1")), "run-time: "),
        (metric("run-time", None, None), "run-time without a bound"),
        (metric("checkpoints", Some("3"), Some("2")), "nothing lies between"),
        (order(&[("suspectd", None)]), "no event is called suspectd"),
    ];
    for (wanted, words) in cases {
        let (reason, holds) = story.expect(wanted).unwrap();
        assert!(!holds && reason.contains(words), "{reason}");
    }
}
