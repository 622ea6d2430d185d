//! What a link does to frames, in words.

use crate::model::Link;
use crate::units::{show_duration, show_rate, show_size};
use netem::{Change, Distribution, DropRule, Filter, Loss, Profile, Queue, Which};
use runtime_core::link::{ETHERNET_KIND_AT, KINDS};
use std::time::Duration;

/// Changes up and down a link: `delay 10ms, loss 1%`, or `up: delay 10ms`.
#[must_use]
pub fn change_words(changes: &[Change; 2]) -> String {
    words_of(changes, ["up", "down"])
}

/// The same of a cable between two switches: `delay 10ms`, or `to rear: delay 10ms`.
#[must_use]
pub fn cable_change_words(changes: &[Change; 2], ends: [&str; 2]) -> String {
    let [to_a, to_b] = ends.map(|end| format!("to {end}"));
    words_of(changes, [&to_b, &to_a])
}

fn words_of([there, back]: &[Change; 2], ways: [&str; 2]) -> String {
    let (one, other) = (one_way(there), one_way(back));
    match (there == back, one.is_empty(), other.is_empty()) {
        (true, ..) => one,
        (false, true, _) => format!("{}: {other}", ways[1]),
        (false, false, true) => format!("{}: {one}", ways[0]),
        (false, false, false) => format!("{}: {one}; {}: {other}", ways[0], ways[1]),
    }
}

/// What distinguishes a link from one of which the file says nothing; nothing if nothing does.
#[must_use]
pub fn profile_words(up: &Profile, down: &Profile) -> String {
    change_words(&[unusual(up), unusual(down)])
}

/// The same of a cable between two switches.
#[must_use]
pub fn cable_words(a_to_b: &Profile, b_to_a: &Profile, ends: [&str; 2]) -> String {
    cable_change_words(&[unusual(a_to_b), unusual(b_to_a)], ends)
}

/// What leads from a perfect link to this one.
fn unusual(p: &Profile) -> Change {
    fn other<T: PartialEq>(value: T, perfect: T) -> Option<T> {
        (value != perfect).then_some(value)
    }
    let perfect = Link::PERFECT;
    Change {
        delay_ns: other(p.delay_ns, perfect.delay_ns),
        jitter_ns: other(p.jitter_ns, perfect.jitter_ns),
        distribution: other(p.distribution, perfect.distribution),
        loss: other(p.loss, perfect.loss),
        duplicate: other(p.duplicate, perfect.duplicate),
        reorder: other(p.reorder, perfect.reorder),
        corrupt: other(p.corrupt, perfect.corrupt),
        rate_bits_per_s: other(p.rate_bits_per_s, perfect.rate_bits_per_s),
        queue: other(p.queue, perfect.queue),
        drop: other(p.drop, perfect.drop),
        flap: other(p.flap, perfect.flap),
    }
}

fn time(ns: u64) -> String {
    show_duration(Duration::from_nanos(ns))
}

/// A part of a whole, without needless digits.
fn percent(part: f64) -> String {
    let digits = format!("{:.6}", part * 100.0);
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}

fn one_way(c: &Change) -> String {
    let mut words = Vec::new();
    words.extend(c.delay_ns.map(|ns| format!("delay {}", time(ns))));
    words.extend(c.jitter_ns.map(|ns| format!("jitter {}", time(ns))));
    words.extend(c.distribution.map(|d| {
        let word = match d {
            Distribution::Uniform => "uniform",
            Distribution::Normal => "normal",
            Distribution::Pareto => "pareto",
        };
        format!("distribution {word}")
    }));
    words.extend(c.loss.map(loss));
    for (word, part) in [("duplicate", c.duplicate), ("reorder", c.reorder), ("corrupt", c.corrupt)]
    {
        words.extend(part.map(|p| format!("{word} {}", percent(p))));
    }
    words.extend(c.rate_bits_per_s.map(|rate| match rate {
        Some(rate) => format!("rate {}", show_rate(rate)),
        None => "no limit of rate".into(),
    }));
    words.extend(c.queue.map(queue));
    words.extend(c.drop.map(|rule| rule.map_or("no drop rule".into(), |rule| drop(&rule))));
    words.extend(c.flap.map(|flap| match flap {
        Some(flap) => format!("flap: up {} of each {}", time(flap.up_ns), time(flap.period_ns)),
        None => "no flap".into(),
    }));
    words.join(", ")
}

fn loss(loss: Loss) -> String {
    match loss {
        Loss::None => "loss 0%".into(),
        Loss::Random(p) => format!("loss {}", percent(p)),
        Loss::GilbertElliott { to_bad, to_good, loss_good, loss_bad } => format!(
            "loss in bursts (to bad {}, to good {}, in bad {}, in good {})",
            percent(to_bad),
            percent(to_good),
            percent(loss_bad),
            percent(loss_good)
        ),
    }
}

fn queue(queue: Queue) -> String {
    match (queue.bytes, queue.packets) {
        (usize::MAX, usize::MAX) => "no limit of the queue".into(),
        (usize::MAX, packets) => format!("queue {packets} packets"),
        (bytes, _) => format!("queue {}", show_size(bytes as u64)),
    }
}

fn drop(rule: &DropRule) -> String {
    let which = match rule.which {
        Which::All => "drop all".into(),
        Which::Nth(n) => format!("drop number {n}"),
        Which::Every(n) => format!("drop every {n}th"),
    };
    let Filter { ethertype, from, to, byte, longer_than, shorter_than } = rule.filter;
    let mac = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    let kind = byte.map(|(at, value)| {
        let kind = KINDS.iter().find(|(_, kind)| at == ETHERNET_KIND_AT && *kind == value);
        kind.map_or_else(|| format!("byte {at} is {value}"), |(word, _)| format!("of kind {word}"))
    });
    let of: Vec<String> = [
        kind,
        ethertype.map(|e| format!("of ethertype {e:#06x}")),
        from.map(|f| format!("from {}", mac(f))),
        to.map(|t| format!("to {}", mac(t))),
        longer_than.map(|n| format!("longer than {n} bytes")),
        shorter_than.map(|n| format!("shorter than {n} bytes")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if of.is_empty() { which } else { format!("{which} of those {}", of.join(", ")) }
}
