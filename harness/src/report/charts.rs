//! Checkpoints as bars: bytes and times of each epoch.

use crate::escape;
use crate::result::Checkpoint;
use crate::table;
use std::fmt::Write as _;

/// Size of a chart; it is scaled to the page.
const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 170.0;
/// Room for the numbers at the left, and for the epochs below.
const LEFT: f64 = 58.0;
const BELOW: f64 = 22.0;
const ABOVE: f64 = 8.0;
/// Most groups of bars; beyond that, neighbours share one, which shows the largest of them.
const MOST: usize = 48;

/// What is drawn side by side for each epoch.
struct Series<'a> {
    name: &'a str,
    class: &'a str,
    value: fn(&Checkpoint) -> u64,
}

/// All charts, or nothing where no epoch was committed.
pub(super) fn all(checkpoints: &[Checkpoint]) -> String {
    if checkpoints.is_empty() {
        return String::new();
    }
    let bytes = [
        Series { name: "changed", class: "bar-a", value: |c| c.dirty_bytes },
        Series { name: "sent", class: "bar-b", value: |c| c.sent_bytes },
    ];
    let stops = [
        Series { name: "stood still", class: "bar-a", value: |c| c.blocked_us },
        Series { name: "of it frozen", class: "bar-b", value: |c| c.frozen_us },
    ];
    let over = [Series {
        name: "computed on until the commit",
        class: "bar-a",
        value: |c| c.overlapped_us,
    }];
    let time = |us| table::time(Some(us));
    chart("Bytes per epoch, all nodes", checkpoints, &bytes, table::bytes, 1024)
        + &chart("Longest stop of a rank", checkpoints, &stops, time, 1000)
        + &chart("Longest overlap", checkpoints, &over, time, 1000)
}

/// One chart. `base`: its units are powers of this.
fn chart(
    title: &str,
    checkpoints: &[Checkpoint],
    series: &[Series<'_>],
    words: impl Fn(u64) -> String,
    base: u64,
) -> String {
    let each = checkpoints.len().div_ceil(MOST);
    let groups: Vec<&[Checkpoint]> = checkpoints.chunks(each).collect();
    let value = |s: &Series<'_>, group: &[Checkpoint]| group.iter().map(s.value).max().unwrap_or(0);
    let most = groups.iter().flat_map(|g| series.iter().map(|s| value(s, g))).max().unwrap_or(0);
    let step = step(most, base);
    let top = most.div_ceil(step).max(1) * step;
    let high = HEIGHT - ABOVE - BELOW;
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let y = |value: u64| ABOVE + high * (1.0 - value as f64 / top as f64);
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let (wide, thin) = {
        let wide = (WIDTH - LEFT) / groups.len() as f64;
        (wide, (wide * 0.76 / series.len() as f64).min(22.0))
    };
    let mut svg = format!(
        "<figure class=\"chart\"><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
        escape::markup(title),
        escape::markup(title)
    );
    // Writing to a string cannot fail.
    for tick in 0..=top / step {
        let (at, text) = (y(tick * step), words(tick * step));
        let text = if tick == 0 { "0".to_owned() } else { text };
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text class=\"tick end\" x=\"{}\" y=\"{:.1}\">{text}</text>",
            LEFT - 6.0,
            at + 3.5
        );
    }
    let every = groups.len().div_ceil(12);
    let mut middle = LEFT + wide / 2.0;
    for (n, group) in groups.iter().enumerate() {
        let first = group.first().map_or(0, |c| c.epoch);
        let last = group.last().map_or(0, |c| c.epoch);
        let epochs = if first == last {
            format!("epoch {first}")
        } else {
            format!("epochs {first}–{last}, the largest")
        };
        let mut x = middle - thin * f64::from(u32::try_from(series.len()).unwrap_or(1)) / 2.0;
        for s in series {
            let value = value(s, group);
            let (at, height) = (y(value), (ABOVE + high - y(value)).max(0.0));
            let _ = write!(
                svg,
                "<rect class=\"{}\" x=\"{x:.1}\" y=\"{at:.1}\" width=\"{thin:.1}\" height=\"{height:.1}\"><title>{epochs}: {} {}</title></rect>",
                s.class,
                words(value),
                s.name
            );
            x += thin;
        }
        if n % every == 0 {
            let _ = write!(
                svg,
                "<text class=\"tick mid\" x=\"{middle:.1}\" y=\"{:.1}\">{first}</text>",
                HEIGHT - 6.0
            );
        }
        middle += wide;
    }
    svg += "</svg><p class=\"legend\">";
    for s in series {
        let _ = write!(svg, "<span><i class=\"key {}\"></i>{}</span>", s.class, s.name);
    }
    if each > 1 {
        let _ = write!(svg, "<span>each bar: the largest of {each} epochs</span>");
    }
    svg + "</p></figure>"
}

/// A round step so that three or four of them reach the top.
fn step(most: u64, base: u64) -> u64 {
    let mut unit = 1;
    while unit * base <= most {
        unit *= base;
    }
    let steps = [1, 2, 5, 10, 20, 50, 100, 200, 250, 500];
    steps.into_iter().map(|n| n * unit).find(|step| step * 4 >= most).unwrap_or(unit * base)
}
