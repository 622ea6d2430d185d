//! The page: sections in their order, with style and script inside it.

use super::data::Told;
use super::{charts, failover};
use crate::escape::{self, markup as html};
use crate::graph;
use crate::proto::{NodeStatus, Status};
use crate::result::{Checkpoint, RunResult};
use crate::table;
use runtime_core::event::Event;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = include_str!("assets/report.css");
/// No script runs but the one with this hash, and nothing is fetched.
const POLICY: &str = include_str!("assets/policy.txt");
const SCRIPTS: [&str; 4] = [
    include_str!("assets/model.js"),
    include_str!("assets/lanes.js"),
    include_str!("assets/list.js"),
    include_str!("assets/page.js"),
];

/// The whole document. `beside`: it lies in the run's directory, so that files can be linked.
pub(super) fn document(told: &Told<'_>, beside: bool) -> String {
    let script = format!("(() => {{\n\"use strict\";\n{}}})();\n", SCRIPTS.concat());
    let hash = escape::base64_of_hex(&images::sha256(script.as_bytes()));
    let policy = POLICY.trim().replace("HASH", &hash);
    let title = match &told.run.result {
        Some(result) => format!("{}: {}", told.run.name, verdict(result).1),
        None => format!("{}: no verdict", told.run.name),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style></head>\n<body>\n",
        html(&title)
    );
    header(&mut page, told);
    page.push_str("<main>");
    missing(&mut page, told);
    page.push_str("<div class=\"pair\">");
    checks(&mut page, told);
    cluster(&mut page, told);
    page.push_str("</div>");
    page.push_str(STORY);
    page.push_str(&failover::section(told));
    checkpoints(&mut page, told);
    files(&mut page, told, beside);
    page.push_str("</main>\n");
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<script type=\"application/json\" id=\"data\">{}</script>\n<script>{script}</script>\n</body></html>\n",
        escape::json(&told.json())
    );
    page
}

/// Filled by the script.
const STORY: &str = "<section id=\"story\"><h2>Story</h2>\
<noscript><p class=\"missing\">Timelines, events and consoles need JavaScript; everything else does not.</p></noscript>\
<div id=\"tools\" class=\"tools\"></div>\
<div id=\"lanes\" tabindex=\"0\" role=\"group\" aria-label=\"One timeline per node. Arrow keys move, plus and minus zoom, 0 shows everything.\"></div>\
<div id=\"overview\" aria-hidden=\"true\"></div>\
<p id=\"legend\" class=\"legend\"></p>\
<div class=\"pair story\"><div><h3 id=\"events-title\">Events</h3><div id=\"events\"></div></div>\
<div><h3>Consoles</h3><div id=\"consoles\"></div></div></div></section>";

/// Class, word and sign of a verdict.
const fn verdict(result: &RunResult) -> (&'static str, &'static str, &'static str) {
    if result.pass { ("pass", "PASS", "✓") } else { ("fail", "FAIL", "✗") }
}

fn header(page: &mut String, told: &Told<'_>) {
    let run = told.run;
    let (class, word, sign) = run.result.as_ref().map_or(("none", "NO VERDICT", "?"), verdict);
    let title = match (&run.result, &run.manifest, &run.topology) {
        (Some(result), ..) => format!("{} on {}", result.workload, result.backend),
        (None, Some(manifest), _) => format!("{} on {}", manifest.topology, manifest.backend),
        (None, None, Some(topology)) => topology.name.clone(),
        (None, None, None) => run.name.clone(),
    };
    let _ = write!(
        page,
        "<header><p class=\"verdict {class}\" role=\"status\"><span aria-hidden=\"true\">{sign}</span> {word}</p>\
         <div><h1>{}</h1><p class=\"run\">run <b>{}</b>{}</p></div><dl class=\"facts\">",
        html(&title),
        html(&run.name),
        run.result.as_ref().map_or_else(String::new, |r| match r.job {
            0 | 1 => String::new(),
            job => format!(", job {job} of its cluster"),
        })
    );
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = write!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", html(value));
        }
    };
    if let Some(result) = &run.result {
        fact("run time", &table::time(Some(result.run_us)));
        let held = result.checks.iter().filter(|check| check.holds).count();
        fact("checks", &format!("{held} of {} hold", result.checks.len()));
        fact("deaths", &result.deaths.len().to_string());
        let slowest = result.deaths.iter().filter_map(|death| death.resumed_us).max();
        if slowest.is_some() {
            fact("longest outage", &table::time(slowest));
        }
        if !result.on_mcapi {
            fact("checkpoints", &result.checkpoints.len().to_string());
            fact("sent", &table::bytes(result.bytes().1));
        }
    }
    if let Some(manifest) = &run.manifest {
        fact("seed", &manifest.seed.to_string());
        fact("time-outs", &format!("× {}", manifest.factor));
    }
    page.push_str("</dl>");
    if run.manifest.is_some() {
        let _ = write!(
            page,
            "<p class=\"replay\"><span>replay</span><code id=\"replay\">understudy replay {}</code>\
             <button type=\"button\" id=\"copy\">copy</button></p>",
            html(&run.name)
        );
    }
    page.push_str("</header>");
}

fn missing(page: &mut String, told: &Told<'_>) {
    let mut lines = told.run.missing.clone();
    let story = &told.story;
    if story.unreadable > 0 {
        lines.push(format!("events.jsonl: {} lines are no events", story.unreadable));
    }
    if story.left_out > 0 {
        lines.push(format!(
            "{} of the later routine events (checkpoints, links, job) are left out of this page: all are in events.jsonl",
            story.left_out
        ));
    }
    for line in lines {
        let _ = write!(page, "<p class=\"missing\">{}</p>", html(&line));
    }
}

fn checks(page: &mut String, told: &Told<'_>) {
    let Some(result) = &told.run.result else { return };
    page.push_str(
        "<section id=\"checks\"><h2>Verdict</h2><table><thead><tr><th></th><th>expected</th><th>seen</th></tr></thead><tbody>",
    );
    for check in &result.checks {
        let (class, sign) = if check.holds { ("ok", "✓ ok") } else { ("no", "✗ NO") };
        let _ = write!(
            page,
            "<tr class=\"{class}\"><td>{sign}</td><td>{}</td><td>{}</td></tr>",
            html(&check.expected),
            html(&check.seen)
        );
    }
    page.push_str("</tbody></table></section>");
}

/// The cluster as it is in the end, and its nodes.
fn cluster(page: &mut String, told: &Told<'_>) {
    let Some(topology) = &told.run.topology else { return };
    let result = told.run.result.as_ref();
    let ends = |name: &str| result.and_then(|r| r.nodes.iter().find(|node| node.name == name));
    let status = result.map(|result| Status {
        cluster: result.cluster.clone(),
        backend: result.backend.clone(),
        phase: "in the end".to_owned(),
        run_dir: String::new(),
        nodes: (topology.nodes.iter())
            .filter_map(|node| ends(&node.name))
            .map(|node| NodeStatus {
                name: node.name.clone(),
                role: node.role.clone(),
                image: String::new(),
                state: if node.end == "dead" { "dead" } else { "ready" }.to_owned(),
                boot_us: node.boot_us,
                ranks: node
                    .end
                    .strip_prefix("rank ")
                    .and_then(|r| r.parse().ok())
                    .into_iter()
                    .collect(),
                pid: None,
            })
            .collect(),
        ports: Vec::new(),
    });
    let _ = write!(
        page,
        "<section id=\"cluster\"><h2>Cluster</h2><div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Topology\">{}</div>",
        graph::svg(topology, status.as_ref())
    );
    if let Some(result) = result {
        page.push_str("<table><thead><tr><th>node</th><th>role</th><th>boot</th><th>in the end</th></tr></thead><tbody>");
        for node in &result.nodes {
            let _ = write!(
                page,
                "<tr><td>{}</td><td>{}</td><td class=\"num\">{}</td><td>{}</td></tr>",
                html(&node.name),
                html(&node.role),
                table::time(node.boot_us),
                html(&node.end)
            );
        }
        page.push_str("</tbody></table>");
    }
    page.push_str("</section>");
}

/// Of a run without a verdict, what the nodes reported counts.
fn committed(told: &Told<'_>) -> Vec<Checkpoint> {
    if let Some(result) = &told.run.result {
        return result.checkpoints.clone();
    }
    let mut epochs: BTreeMap<u64, (Checkpoint, bool)> = BTreeMap::new();
    for event in told.story.entries.iter().filter_map(|entry| entry.event.as_ref()) {
        match event {
            Event::CheckpointStaged { epoch, .. } => {
                let (sums, _) = epochs.entry(epoch.0).or_default();
                sums.epoch = epoch.0;
                sums.add_staged(event);
            }
            Event::CheckpointCommitted { epoch, blocked_us, waited_us, overlapped_us } => {
                let (sums, committed) = epochs.entry(epoch.0).or_default();
                sums.epoch = epoch.0;
                sums.add_stop(*blocked_us, *waited_us);
                sums.overlapped_us = sums.overlapped_us.max(*overlapped_us);
                *committed = true;
            }
            _ => {}
        }
    }
    epochs.into_values().filter(|(_, committed)| *committed).map(|(sums, _)| sums).collect()
}

fn checkpoints(page: &mut String, told: &Told<'_>) {
    let epochs = committed(told);
    if epochs.is_empty() {
        return;
    }
    let _ = write!(
        page,
        "<section id=\"checkpoints\"><h2>Checkpoints</h2><div class=\"charts\">{}</div>\
         <details><summary>All {} epochs in numbers</summary><div class=\"scroll\" tabindex=\"0\" role=\"group\" aria-label=\"Epochs\"><table><thead><tr>\
         <th>epoch</th><th>changed</th><th>sent</th><th>protocol</th><th>stood still</th><th>frozen</th><th>overlap</th>\
         <th>copied on write</th><th>spared</th></tr></thead><tbody>",
        charts::all(&epochs),
        epochs.len()
    );
    for c in &epochs {
        let _ = write!(page, "<tr><td class=\"num\">{}</td>", c.epoch);
        for bytes in [c.dirty_bytes, c.sent_bytes, c.protocol_bytes] {
            let _ = write!(page, "<td class=\"num\">{}</td>", table::bytes(bytes));
        }
        for us in [c.blocked_us, c.frozen_us, c.overlapped_us] {
            let _ = write!(page, "<td class=\"num\">{}</td>", table::time(Some(us)));
        }
        for pages in [c.copied_pages, c.spared_pages] {
            let _ = write!(page, "<td class=\"num\">{pages}</td>");
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div></details></section>");
}

/// What a file of a run is.
fn about(name: &str) -> &'static str {
    let ends = [
        (".pcapng", "frames of a link, with what befell them"),
        ("events.jsonl", "all events, on one clock"),
        ("topology.yaml", "what was run"),
        ("run.json", "seed, backend, programs"),
        ("result.json", "the last verdict"),
        ("daemon.log", "the harness's own log"),
        ("reference.log", "the sequential program"),
    ];
    let starts =
        [("console-", "console"), ("qemu-", "QEMU's own words"), ("result-", "verdict of a job")];
    let end = ends.iter().find(|(end, _)| name.ends_with(end));
    let start = starts.iter().find(|(start, _)| name.starts_with(start));
    end.or(start).map_or("", |(_, about)| about)
}

fn files(page: &mut String, told: &Told<'_>, beside: bool) {
    let run = told.run;
    let _ = write!(
        page,
        "<section id=\"files\"><h2>Recorded</h2><p class=\"note\">in <code>{}</code></p><div class=\"pair\"><div><table><tbody>",
        html(&run.dir)
    );
    for (name, bytes) in run.files.iter().filter(|(name, bytes)| *bytes > 0 && name != super::NAME)
    {
        let shown = html(name);
        let shown = if beside && !name.contains([':', '/', '%', '?', '#']) {
            format!("<a href=\"{shown}\">{shown}</a>")
        } else {
            shown
        };
        let _ = write!(
            page,
            "<tr><td>{shown}</td><td class=\"num\">{}</td><td>{}</td></tr>",
            table::bytes(*bytes),
            about(name)
        );
    }
    page.push_str("</tbody></table></div><div>");
    if let Some(manifest) = &run.manifest {
        page.push_str("<dl class=\"made\">");
        let mut fact = |name: &str, value: &str| {
            let _ = write!(page, "<div><dt>{}</dt><dd>{}</dd></div>", html(name), html(value));
        };
        fact("machine", &manifest.machine);
        fact("time-outs", &format!("{} times those of the file", manifest.factor));
        fact("seed", &manifest.seed.to_string());
        fact("understudy", &manifest.version);
        for (name, hash) in &manifest.programs {
            fact(&format!("{name} program"), &format!("sha256 {hash}"));
        }
        page.push_str("</dl>");
    }
    if let Some(yaml) = &run.yaml {
        let _ = write!(
            page,
            "<details><summary>topology.yaml</summary><pre>{}</pre></details>",
            html(yaml)
        );
    }
    page.push_str("<p class=\"note\">Times count from the start of the job. An event that a node reported late stands where the \
                   node's own clock puts it before its next one; durations in verdicts and bars are those that the harness measured.</p>\
                   </div></div></section>");
}
