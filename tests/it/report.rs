//! The report in a real browser: it renders, its filters work, nothing complains.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tests::{Bench, Browser, Cluster, Outcome};

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
    let kind =
        |event: &Value| event["message"]["event"]["kind"].as_str().is_some_and(is_checkpoint);
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

/// A run that goes on for much longer than another: so many events, nearly all of checkpoints.
fn prolonged(short: &Outcome, dir: &Path, all: usize) -> PathBuf {
    fs::create_dir(dir).unwrap();
    for file in ["topology.yaml", "run.json", "result.json"] {
        fs::copy(short.dir.join(file), dir.join(file)).unwrap();
    }
    let mut at_us = short.events.last().unwrap()["at_us"].as_u64().unwrap();
    let mut lines: Vec<String> = short.events.iter().map(Value::to_string).collect();
    let phases = ["begun", "staged", "replicated", "committed"];
    let steps = (1_000..).flat_map(|epoch| phases.map(|phase| (epoch, phase)));
    let steps = steps.flat_map(|step| ["n0", "n2", "n3"].map(|node| (step, node)));
    for ((epoch, phase), node) in steps.take(all - lines.len()) {
        at_us += 1_700;
        let numbers = match phase {
            "staged" => {
                "shared_pages private_pages dirty_bytes page_bytes sent_bytes copied_pages spared_pages"
            }
            "committed" => "blocked_us waited_us overlapped_us",
            _ => "",
        };
        let mut event = json!({ "kind": format!("checkpoint-{phase}"), "epoch": epoch });
        numbers.split_whitespace().for_each(|name| event[name] = 7.into());
        let message = json!({ "type": "event", "at_us": at_us, "event": event });
        lines.push(json!({ "at_us": at_us, "node": node, "message": message }).to_string());
    }
    fs::write(dir.join("events.jsonl"), lines.join("\n") + "\n").unwrap();
    dir.join("report.html")
}

/// What is shown of the time axis: from, to.
fn shown(browser: &mut Browser) -> (f64, f64) {
    let text = browser.value("document.querySelector('.shown').innerText");
    let text = text.as_str().unwrap().replace('−', "-");
    let (from, to) = text.split_once(" s to ").unwrap();
    (from.parse().unwrap(), to.split(' ').next().unwrap().parse().unwrap())
}

#[track_caller]
fn near(seen: (f64, f64), wanted: (f64, f64), length: f64) {
    let off = (seen.0 - wanted.0).abs().max((seen.1 - wanted.1).abs());
    assert!(off < 0.02 * length, "{seen:?}, not {wanted:?}");
}

const TITLE: &str = "document.getElementById('events-title').innerText";
const MARKS: &str = "JSON.parse(document.getElementById('data').textContent).marks.length";
/// How many checkpoints those that are drawn stand for.
const TOLD: &str = "[...document.querySelectorAll('.mark')]
    .reduce((n, mark) => n + Number(mark.dataset.count ?? 1), 0)";

#[test]
fn a_report_of_fifty_thousand_events_leaves_none_out_and_draws_few() {
    let bench = Bench::process();
    let short = bench.test(&Cluster::of(3, 1).kill("n1", "{ checkpoint: 2 }"));
    let dir = bench.target().join("long");
    let page = prolonged(&short, &dir, 50_000);
    bench.verb(&["report", &dir.display().to_string()]).must(0, &["report: "]);
    let mut browser = Browser::start();
    browser.open(&page, 1280, 900, "light");
    assert_eq!(browser.value(TITLE), "Events (50000)");
    let drawn = browser.value("document.querySelectorAll('#lanes *').length").as_u64().unwrap();
    assert!(drawn < 4_000, "{drawn} things are drawn");
    let marks = browser.value(MARKS);
    assert!(marks.as_u64().unwrap() > 12_000);
    assert_eq!(browser.value(TOLD), marks);
    let find = |text: &str| {
        format!(
            "(() => {{ const search = document.querySelector('input[type=search]');
             search.value = '{text}'; search.dispatchEvent(new Event('input')); }})()"
        )
    };
    browser.value(&find("checkpoint-staged"));
    let events = fs::read_to_string(dir.join("events.jsonl")).unwrap();
    let staged = events.matches("\"checkpoint-staged\"").count();
    assert_eq!(browser.value(TITLE), format!("Events ({staged} of 50000)"));
    browser.value(&find(""));
    led_by_mouse_and_keys(&mut browser);
    assert_eq!(browser.complaints, Vec::<String>::new());
}

fn led_by_mouse_and_keys(browser: &mut Browser) {
    browser.value("document.getElementById('lanes').scrollIntoView({ block: 'center' })");
    let whole = shown(browser);
    let length = whole.1 - whole.0;
    let lanes = "(() => { const r = document.getElementById('lanes').getBoundingClientRect();
                 return [r.left, r.top, r.width]; })()";
    let [left, top, width]: [f64; 3] = serde_json::from_value(browser.value(lanes)).unwrap();
    // Names stand at the left.
    let at = |part: f64| (left + 84.0 + part * (width - 92.0), top + 75.0);
    browser.drag(&[at(0.25), at(0.5), at(0.75)]);
    let half = (whole.0 + 0.25 * length, whole.0 + 0.75 * length);
    near(shown(browser), half, length);
    assert_ne!(browser.value(TITLE), "Events (50000)");
    browser.value("document.getElementById('lanes').focus()");
    browser.key("ArrowRight");
    near(shown(browser), (half.0 + 0.1 * length, half.1 + 0.1 * length), length);
    browser.key("ArrowLeft");
    near(shown(browser), half, length);
    browser.key("+");
    near(shown(browser), (half.0 + 0.125 * length, half.1 - 0.125 * length), length);
    browser.key("-");
    near(shown(browser), half, length);
    browser.key("0");
    near(shown(browser), whole, length);
    assert_eq!(browser.value(TITLE), "Events (50000)");
    // Near enough, each has a mark of its own.
    (0..10).for_each(|_| browser.key("+"));
    assert_eq!(browser.value("document.querySelectorAll('.mark.crowd').length"), 0);
    assert!(browser.value("document.querySelectorAll('.mark').length").as_u64().unwrap() > 3);
    // A press that does not move chooses the event there.
    let sign = "(() => { const r = document.querySelector('.lane .sign').getBoundingClientRect();
                return [r.left + r.width / 2, r.top + r.height / 2]; })()";
    let [x, y] = serde_json::from_value(browser.value(sign)).unwrap();
    browser.drag(&[(x, y), (x, y)]);
    assert_eq!(browser.value("document.querySelectorAll('.detail b').length"), 1);
}
