use super::data::Told;
use super::gather::{Console, Recorded};
use super::page;
use crate::escape;
use crate::result::{Check, Death};
use crate::table::tests::run as result;

const HOSTILE: &str = "</script><img src=x onerror=\"alert('&')\"><!--";

/// A run whose every word is hostile.
fn hostile() -> Recorded {
    let mut result = result();
    result.workload = HOSTILE.to_owned();
    result.nodes[0].name = HOSTILE.to_owned();
    result.nodes[0].end = HOSTILE.to_owned();
    let (expected, seen) = (HOSTILE.to_owned(), HOSTILE.to_owned());
    result.checks.push(Check { expected, seen, holds: false });
    let by = Some(HOSTILE.to_owned());
    let (node, takeover_us) = (HOSTILE.to_owned(), Some(5));
    result.deaths.push(Death { node, by, takeover_us, ..Death::default() });
    let event = serde_json::json!({ "at_us": 7, "node": HOSTILE, "harness": HOSTILE });
    Recorded {
        name: HOSTILE.to_owned(),
        dir: HOSTILE.to_owned(),
        result: Some(result),
        yaml: Some(HOSTILE.to_owned()),
        events: format!("{event}\nno event {HOSTILE}\n"),
        consoles: vec![Console {
            node: HOSTILE.to_owned(),
            head: HOSTILE.to_owned(),
            ..Console::default()
        }],
        files: vec![(HOSTILE.to_owned(), 1)],
        missing: vec![HOSTILE.to_owned()],
        ..Recorded::default()
    }
}

#[test]
fn what_a_run_says_is_only_ever_text() {
    let run = hostile();
    let page = page::document(&Told::of(&run), true);
    assert!(!page.contains("<img"), "markup of a run got through");
    assert_eq!(page.matches("</script>").count(), 2, "a script was ended by a run");
    assert!(!page.contains("<!--"));
    assert!(!page.contains("onerror=\""), "a quote of a run got through");
    assert!(page.contains("&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;&amp;&#39;)"));
    assert!(page.contains(r"\u003c/script\u003e\u003cimg src=x onerror=\"));
    assert!(page.contains("1 lines are no events"));
}

#[test]
fn the_page_needs_nothing_else() {
    let run = hostile();
    let page = page::document(&Told::of(&run), true);
    for outside in ["src=\"http", "href=\"http", "url(http", "@import", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn a_run_that_left_nothing_is_told_too() {
    let dir = tempfile::tempdir().unwrap();
    let run = Recorded::read(dir.path()).unwrap();
    let page = page::document(&Told::of(&run), true);
    assert!(page.contains("NO VERDICT"));
    for file in ["run.json", "result.json", "topology.yaml", "events.jsonl"] {
        assert!(run.missing.iter().any(|line| line.starts_with(file)), "{file}");
    }
}

#[test]
fn too_many_events_are_said_to_be_left_out() {
    let line = r#"{"at_us":1,"node":"n0","message":{"type":"print","rank":0,"text":"x"}}"#;
    let killed = r#"{"at_us":2,"node":"n0","harness":"killed"}"#;
    let events = format!("{line}\n").repeat(60_001) + killed;
    let run = Recorded { events, ..Recorded::default() };
    let told = Told::of(&run);
    assert_eq!((told.story.entries.len(), told.story.left_out), (60_000, 2));
    assert_eq!(told.story.entries.last().unwrap().kind, "killed");
    assert!(page::document(&told, true).contains("2 of the later routine events"));
}

#[test]
fn hashes_are_named_as_policies_name_them() {
    assert_eq!(escape::base64_of_hex("00ff10"), "AP8Q");
    assert_eq!(escape::base64_of_hex("4d61"), "TWE=");
    assert_eq!(escape::base64_of_hex("4d"), "TQ==");
}
