//! Deaths and what followed, as measured bars beside the limits that were asked for.

use super::data::Told;
use super::words::Group;
use crate::escape::markup as html;
use crate::result::Death;
use crate::table;
use std::fmt::Write as _;
use topology::{Expectation, Metric};

/// Steps of a recovery that are told one by one.
const MOST_STEPS: usize = 40;

/// A limit of the file, as it holds on this machine.
struct Limit {
    us: u64,
    what: &'static str,
}

/// A bar for each death; nothing where nobody died.
pub(super) fn section(told: &Told<'_>) -> String {
    let deaths = told.run.result.as_ref().map_or(&[][..], |result| &result.deaths);
    if deaths.is_empty() {
        return String::new();
    }
    let limits: Vec<Vec<Limit>> = deaths.iter().map(|death| limits(told, death)).collect();
    let measured = deaths.iter().filter_map(end).max().unwrap_or(0);
    // A limit far beyond what was measured would leave nothing to be seen of it.
    let near = |limit: &&Limit| limit.us <= measured.saturating_mul(4);
    let limit = limits.iter().flatten().filter(near).map(|limit| limit.us).max().unwrap_or(0);
    let scale = measured.max(limit).max(1) * 21 / 20;
    let mut text = String::from(
        "<section id=\"failover\"><h2>Failover</h2><p class=\"note\">Measured from the death, as the harness heard of it.</p>",
    );
    for (death, limits) in deaths.iter().zip(&limits) {
        bar(&mut text, told, death, limits, scale);
    }
    text + "</section>"
}

/// When all that was measured of it was over.
fn end(death: &Death) -> Option<u64> {
    [death.detected_us, death.takeover_us, death.resumed_us].into_iter().flatten().max()
}

fn limits(told: &Told<'_>, death: &Death) -> Vec<Limit> {
    let Some(topology) = &told.run.topology else { return Vec::new() };
    let factor = told.run.manifest.as_ref().map_or(1, |manifest| u64::from(manifest.factor));
    let limit = |expectation: &Expectation| match expectation {
        Expectation::Takeover { of, within: Some(within), .. }
            if topology.name_of(*of) == death.node =>
        {
            let us = u64::try_from(within.as_micros()).ok()?;
            Some(Limit { us: us.saturating_mul(factor), what: "takeover" })
        }
        Expectation::Metric { metric, at_most: Some(ns), .. } => {
            let what = match metric {
                Metric::DetectionTime => "detection",
                Metric::TakeoverTime => "takeover",
                Metric::RecoveryTime => "resumed",
                _ => return None,
            };
            Some(Limit { us: (ns / 1000).saturating_mul(factor), what })
        }
        _ => None,
    };
    topology.expectations.iter().filter_map(limit).collect()
}

fn bar(text: &mut String, told: &Told<'_>, death: &Death, limits: &[Limit], scale: u64) {
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let percent = |us: u64| us as f64 * 100.0 / scale as f64;
    let node = html(&death.node);
    let rank = death.rank.map_or_else(String::new, |rank| format!(", rank {rank}"));
    // Writing to a string cannot fail.
    let _ = write!(
        text,
        "<article class=\"death\"><h3>{node}<small>{rank}, dies after {}</small></h3><div class=\"bar\">",
        table::time(Some(death.at_us))
    );
    let by = death.by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
    let epoch = death.epoch.map_or_else(String::new, |epoch| format!(" from epoch {epoch}"));
    let steps = [
        ("detected", "seg-detect", death.detected_us, String::new()),
        ("taken over", "seg-take", death.takeover_us, by + &epoch),
        ("resumed", "seg-resume", death.resumed_us, String::new()),
    ];
    let mut from = 0;
    for (what, class, at, _) in &steps {
        let Some(at) = *at else { continue };
        let _ = write!(
            text,
            "<span class=\"seg {class}\" style=\"left:{:.2}%;width:{:.2}%\" title=\"{what} after {}\"></span>",
            percent(from),
            percent(at.saturating_sub(from)),
            table::time(Some(at))
        );
        from = at.max(from);
    }
    for limit in limits {
        let far = limit.us > scale;
        let _ = write!(
            text,
            "<span class=\"limit{}\" style=\"left:{:.2}%\"><b>{} ≤ {}{}</b></span>",
            if percent(limit.us) > 55.0 { " flip" } else { "" },
            percent(limit.us).min(100.0),
            limit.what,
            table::time(Some(limit.us)),
            if far { " →" } else { "" }
        );
    }
    let _ = write!(text, "</div><ol class=\"measured\">");
    for (what, class, at, more) in &steps {
        let seen = at.map_or_else(|| "never".to_owned(), |at| table::time(Some(at)));
        let _ = write!(
            text,
            "<li><i class=\"key {class}\"></i>{what} <b>{seen}</b>{}</li>",
            html(more)
        );
    }
    text.push_str("</ol>");
    steps_of(text, told, death);
    text.push_str("</article>");
}

/// What nodes said between the death and its end.
fn steps_of(text: &mut String, told: &Told<'_>, death: &Death) {
    let Some(last) = end(death) else { return };
    let from = told.zero_us + death.at_us;
    let wanted = [Group::Fault, Group::Detection, Group::View, Group::Recovery];
    let steps: Vec<_> = (told.story.entries.iter())
        .filter(|e| e.at_us >= from && e.at_us <= from + last && wanted.contains(&e.group))
        .collect();
    if steps.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "<details><summary>Step by step ({})</summary><table class=\"steps\">",
        steps.len()
    );
    for step in steps.iter().take(MOST_STEPS) {
        let name = told.story.names.get(step.node).map_or("", String::as_str);
        let _ = write!(
            text,
            "<tr><td class=\"num\">+{}</td><td>{}</td><td>{}</td></tr>",
            table::time(Some(step.at_us - from)),
            html(name),
            html(&step.text)
        );
    }
    if let Some(more) = steps.len().checked_sub(MOST_STEPS).filter(|n| *n > 0) {
        let _ = write!(
            text,
            "<tr><td></td><td></td><td>… and {more} more: they are in the story</td></tr>"
        );
    }
    text.push_str("</table></details>");
}
