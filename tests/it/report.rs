//! The report in a real browser: it renders, its filters work, nothing complains.

use tests::{Bench, Browser, Cluster};

#[test]
fn a_report_tells_the_run_in_a_browser() {
    let bench = Bench::process();
    let cluster = Cluster::of(3, 1)
        .named("told")
        .kill("n1", "{ checkpoint: 2 }")
        .expects_the_right_result()
        .expects("takeover: { of: n1, by: n3, within: 20s }");
    let outcome = bench.test(&cluster);
    outcome.must_pass();
    let page = outcome.dir.join("report.html");
    outcome.said.must(0, &[&format!("report: {}", page.display())]);

    let mut browser = Browser::start();
    for (width, height) in [(1280, 900), (360, 740)] {
        for scheme in ["light", "dark"] {
            browser.open(&page, width, height, scheme);
            let fits = "document.documentElement.scrollWidth <= innerWidth";
            assert_eq!(browser.value(fits), true, "wider than {width}");
            assert_eq!(browser.value("document.querySelectorAll('.lane').length"), 4);
            assert_eq!(browser.value("document.querySelector('.verdict').innerText"), "✓ PASS");
        }
    }
    let dark = browser.value("getComputedStyle(document.body).backgroundColor");
    browser.open(&page, 1280, 900, "light");
    let light = browser.value("getComputedStyle(document.body).backgroundColor");
    assert_ne!(dark, light);

    // Everything that was recorded is there, the fault and the failover too.
    let rows = outcome.events.len();
    let title = "document.getElementById('events-title').innerText";
    assert_eq!(browser.value(title), format!("Events ({rows})"));
    assert_eq!(browser.value("document.querySelectorAll('.blow').length"), 1);
    assert_eq!(browser.value("document.querySelectorAll('.death .seg').length"), 3);
    assert_eq!(browser.value("document.querySelectorAll('.chart').length"), 3);

    // A node, then a kind, then an interval.
    browser.value("document.querySelector('.chip[data-node=n1]').click()");
    let others = outcome.events.iter().filter(|event| event["node"] != "n1").count();
    assert_eq!(browser.value(title), format!("Events ({others} of {rows})"));
    assert_eq!(browser.value("document.querySelectorAll('.lane').length"), 3);
    assert_eq!(browser.value("document.querySelectorAll('#consoles .row').length"), 3);
    browser.value("document.querySelector('.chip[data-node=n1]').click()");
    browser.value("document.querySelector('.chip[data-group=checkpoints]').click()");
    let is_checkpoint = |kind: &str| kind.starts_with("checkpoint-");
    let kind = |event: &serde_json::Value| {
        event["message"]["event"]["kind"].as_str().is_some_and(is_checkpoint)
    };
    let others = outcome.events.iter().filter(|event| !kind(event)).count();
    assert_eq!(browser.value(title), format!("Events ({others} of {rows})"));
    assert_eq!(browser.value("document.querySelectorAll('.mark').length"), 0);
    browser.value("document.querySelector('.chip[data-group=checkpoints]').click()");
    browser.value("[...document.querySelectorAll('.span')].at(-1).click()");
    let shown = browser.value("document.querySelector('.shown').innerText");
    assert!(browser.value(title).as_str().is_some_and(|t| t.contains(" of ")), "{shown}");

    // Whatever is pointed at in the list is marked in its lane; whatever is chosen is told in full.
    let over = "new PointerEvent('pointerover', { bubbles: true })";
    browser.value(&format!("document.querySelector('#events .row').dispatchEvent({over})"));
    assert_eq!(browser.value("document.querySelectorAll('.marker circle').length"), 1);
    browser.value("document.querySelector('#events .row').click()");
    assert_eq!(browser.value("document.querySelectorAll('.detail b').length"), 1);
    assert_eq!(browser.complaints, Vec::<String>::new());
}
