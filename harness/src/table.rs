//! Tables for people.

use crate::proto::{NodeStatus, PortStatus, Status};
use crate::result::{NodeResult, RunResult};
use comfy_table::{ContentArrangement, Table, presets};
use console::Term;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

#[cfg(test)]
pub(crate) mod tests;

/// An empty table, not wider than the terminal that it is for.
pub(crate) fn table(header: &[&str]) -> Table {
    table_within(header, terminal_width())
}

/// An empty table of at most so many columns; what does not fit in a cell goes on below.
fn table_within(header: &[&str], width: Option<u16>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(header);
    if let Some(width) = width {
        table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
    }
    table
}

/// Columns of the terminal that is written to, if it is one.
fn terminal_width() -> Option<u16> {
    let output = Term::stdout();
    let (_, columns) = output.is_term().then(|| output.size_checked()).flatten()?;
    // One that says nothing of itself has none.
    (columns > 0).then_some(columns)
}

/// How a cluster is.
pub(crate) fn status(status: &Status) -> String {
    let Status { cluster, backend, phase, run_dir, nodes, ports } = status;
    let mut text = format!("cluster {cluster} ({backend}): {phase}\nlogs in {run_dir}\n");
    let mut rows = table(&["node", "role", "image", "state", "rank", "boot", "process"]);
    for node in nodes {
        let ranks: Vec<String> = node.ranks.iter().map(ToString::to_string).collect();
        let pid = node.pid.map_or_else(|| "–".to_owned(), |p| p.to_string());
        let ranks = if ranks.is_empty() { "–".to_owned() } else { ranks.join(", ") };
        let NodeStatus { name, role, image, state, boot_us, .. } = node;
        rows.add_row([name, role, image, state, &ranks, &time(*boot_us), &pid]);
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{rows}");
    if !ports.is_empty() {
        let mut rows = table(&["port", "switch", "link", "in", "out", "dropped"]);
        for port in ports {
            let drops: Vec<String> = port.drops.iter().map(|(r, n)| format!("{n} {r}")).collect();
            rows.add_row([
                port.node.clone(),
                port.switch.clone(),
                link_words(port),
                format!("{} frames, {}", port.in_frames, bytes(port.in_bytes)),
                format!("{} frames, {}", port.out_frames, bytes(port.out_bytes)),
                if drops.is_empty() { "0".to_owned() } else { drops.join(", ") },
            ]);
        }
        let _ = writeln!(text, "{rows}");
    }
    text
}

/// Is the other end there, and what does the link do to frames?
pub(crate) fn link_words(port: &PortStatus) -> String {
    let mut words = if port.open { "up" } else { "down" }.to_owned();
    if !port.link.is_empty() {
        let _ = write!(words, ", {}", port.link);
    }
    if port.pcap.is_some() {
        words += ", recorded";
    }
    if port.late_frames > 0 {
        let worst = time(Some(port.worst_late_us));
        let _ = write!(
            words,
            "; {} of {} frames late, up to {worst}",
            port.late_frames, port.held_frames
        );
    }
    words
}

/// What checkpoints cost: what was sent, and how long who computes felt it. Two tables, for one is wider than a terminal.
fn checkpoints(result: &RunResult) -> [Table; 2] {
    let (dirty, sent) = result.bytes();
    let all = &result.checkpoints;
    let blocked = all.iter().map(|c| c.blocked_us).max();
    let frozen = all.iter().map(|c| c.frozen_us).max();
    let overlapped = all.iter().map(|c| c.overlapped_us).max();
    let protocol: u64 = all.iter().map(|c| c.protocol_bytes).sum();
    let copied: u64 = all.iter().map(|c| c.copied_pages).sum();
    let spared: u64 = all.iter().map(|c| c.spared_pages).sum();
    let mut volume =
        table(&["checkpoints", "changed", "sent", "protocol", "sent / changed", "spared"]);
    volume.add_row([
        all.len().to_string(),
        bytes(dirty),
        bytes(sent),
        bytes(protocol),
        ratio(sent, dirty),
        format!("{spared} pages"),
    ]);
    let mut stops = table(&["longest stop", "frozen", "longest overlap", "copied on write"]);
    let copied = format!("{copied} pages");
    stops.add_row([time(blocked), time(frozen), time(overlapped), copied]);
    [volume, stops]
}

/// What a node kept, of what the validator says that it may need.
fn kept(node: &NodeResult) -> String {
    let limit = bytes(node.kept_limit);
    node.kept_bytes.map_or_else(|| "-".to_owned(), |kept| format!("{} of {limit}", bytes(kept)))
}

/// What came out of a run.
pub(crate) fn result(result: &RunResult) -> String {
    let mut text = String::new();
    // A program on MCAPI keeps no epochs.
    let mut columns = vec!["node", "role", "boot", "in the end"];
    columns.extend((!result.on_mcapi).then_some("kept for recoveries, at most"));
    let mut rows = table(&columns);
    for node in &result.nodes {
        let mut row =
            vec![node.name.clone(), node.role.clone(), time(node.boot_us), node.end.clone()];
        if !result.on_mcapi {
            row.push(kept(node));
        }
        rows.add_row(row);
    }
    let _ = writeln!(text, "{rows}");

    if !result.on_mcapi {
        for rows in checkpoints(result) {
            let _ = writeln!(text, "{rows}");
        }
    }

    if !result.deaths.is_empty() {
        let header = ["death", "after", "detected", "taken over", "by", "from epoch", "resumed"];
        let mut rows = table(&header);
        for death in &result.deaths {
            rows.add_row([
                death.node.clone(),
                time(Some(death.at_us)),
                time(death.detected_us),
                time(death.takeover_us),
                death.by.clone().unwrap_or_else(|| "–".to_owned()),
                death.epoch.map_or_else(|| "–".to_owned(), |e| e.to_string()),
                time(death.resumed_us),
            ]);
        }
        let _ = writeln!(text, "{rows}");
    }

    let mut rows = table(&["", "expected", "seen"]);
    for check in &result.checks {
        rows.add_row([if check.holds { "ok" } else { "NO" }, &check.expected, &check.seen]);
    }
    let _ = writeln!(text, "{rows}");
    let RunResult { workload, backend, .. } = result;
    let _ = writeln!(text, "{workload} on {backend}: {} of run time", time(Some(result.run_us)));
    let verdict = if result.pass { "PASS" } else { "FAIL" };
    let _ = writeln!(text, "verdict: {}", coloured(verdict, result.pass));
    text
}

fn coloured(word: &str, good: bool) -> String {
    if std::io::stdout().is_terminal() {
        format!("\x1b[1;{}m{word}\x1b[0m", if good { 32 } else { 31 })
    } else {
        word.to_owned()
    }
}

/// The same words on lines of at most so many characters, as far as words are shorter.
pub(crate) fn folded(text: &str, columns: usize) -> String {
    let fold = |line: &str| {
        let mut lines = vec![String::new()];
        for word in line.split(' ') {
            let last = lines.last().map_or(0, |line| line.chars().count());
            if last > 0 && last + 1 + word.chars().count() > columns {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                line.push_str(if line.is_empty() { "" } else { " " });
                line.push_str(word);
            }
        }
        lines.join("\n")
    };
    text.lines().map(fold).collect::<Vec<_>>().join("\n")
}

/// With its unit.
pub(crate) fn time(us: Option<u64>) -> String {
    us.map_or_else(
        || "–".to_owned(),
        |us| {
            let seconds = Duration::from_micros(us).as_secs_f64();
            if us < 1_000_000 {
                format!("{:.1} ms", seconds * 1e3)
            } else {
                format!("{seconds:.2} s")
            }
        },
    )
}

/// With their unit.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024),
        _ => format!("{}.{} MiB", bytes >> 20, bytes % (1 << 20) * 10 / (1 << 20)),
    }
}

/// In hundredths, without leaving whole numbers.
pub(crate) fn ratio(sent: u64, dirty: u64) -> String {
    let hundredths = sent.saturating_mul(100).saturating_add(dirty / 2).checked_div(dirty);
    hundredths.map_or_else(|| "–".to_owned(), |h| format!("{}.{:02}", h / 100, h % 100))
}
