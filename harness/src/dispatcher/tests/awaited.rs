//! What callers wait for: answered as soon as it is so, or cannot be any more.

use super::*;
use crate::proto::{Awaited, Outcome, Shown};

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
