use super::{Heard, TOPOLOGY};
use crate::plan::Backend;

fn event(node: &str, at_us: u64, event: &str) -> String {
    format!(
        r#"{{"at_us":1,"node":"{node}","message":{{"type":"event","at_us":{at_us},"event":{event}}}}}"#
    )
}

fn suspected(node: &str, at_us: u64, peer: u16) -> String {
    event(
        node,
        at_us,
        &format!(r#"{{"kind":"suspected","peer":{peer},"reason":"silent","silent_us":50100}}"#),
    )
}

#[test]
fn every_suspicion_counts_and_whoever_stood_still_is_named() {
    let lines = [
        event("n0", 400_000, r#"{"kind":"longest-silence","peer":1,"silent_us":34000}"#),
        suspected("n0", 1_060_000, 1),
        event("n1", 1_090_000, r#"{"kind":"stood-still","pause_us":90000}"#),
        suspected("n2", 9_000_000, 1),
        "no event".to_owned(),
    ];
    let heard = Heard::of(&lines.join("\n"));
    assert_eq!((heard.suspicions.len(), heard.pauses.len(), heard.longest_us), (2, 1, 34_000));
    assert_eq!(heard.stood_still(1_060_000, "n1"), Some(90_000));
    assert_eq!([heard.stood_still(1_060_000, "n2"), heard.stood_still(990_000, "n1")], [None; 2]);
    let (text, holds) = heard.verdict(60, 2);
    assert!(!holds, "{text}");
    for part in ["2 false suspicions", "for 90.0 ms", "no pause", "34 ms", "50 ms: 90 ms"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(Heard::of("").verdict(1, 2).1);
}

#[test]
fn what_soaks_can_be_run() {
    let parsed = topology::parse("soak", TOPOLOGY).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(crate::plan::unsupported(&parsed, Backend::Process), Vec::<String>::new());
}
