//! What a link does to frames: the keys of a link, of the fault `degrade` and of the verb of that name.

use super::fields::{Fields, suggestion};
use crate::error::Reader;
use crate::raw::{Shape, Yaml};
use crate::units::{self, Parsed, show_duration};
use netem::{Change, Distribution, DropRule, Filter, Flap, Loss, Queue, Which};
use runtime_core::link::{ETHERNET_KIND_AT, KINDS};
use std::time::Duration;

/// All keys that say what a link does to frames.
pub const KEYS: &[&str] = &[
    "delay",
    "jitter",
    "distribution",
    "loss",
    "duplicate",
    "reorder",
    "corrupt",
    "rate",
    "queue",
    "drop",
    "flap",
];
/// The two directions of a link, in the order of its ends.
pub(crate) const DIRECTIONS: [&str; 2] = ["a-to-b", "b-to-a"];
/// Keys of `loss` where it comes in bursts, of `drop` and of `flap`.
pub(crate) const BURSTS: [&str; 4] = ["to-bad", "to-good", "loss-bad", "loss-good"];
pub(crate) const DROP: [&str; 8] =
    ["nth", "every", "ethertype", "kind", "from", "to", "longer-than", "shorter-than"];
pub(crate) const FLAP: [&str; 2] = ["period", "duty"];
const MAX_DELAY: Duration = Duration::from_secs(60);
const DROP_HELP: &str = "write for example `drop: { nth: 3 }`, `drop: { every: 10, kind: data }` or \
                    `drop: { ethertype: 0x0806 }`";
const BURSTS_HELP: &str = "write `loss: 1%`, or for bursts `loss: { to-bad: 1%, to-good: 20% }`";
const FLAP_HELP: &str = "write for example `flap: { period: 1s, duty: 80% }`";

/// Nodes that filters may name, with the addresses of their cards.
pub(crate) type Macs<'a> = &'a [(&'a str, [u8; 6])];

/// What these fields change: from the first end to the second, and back.
pub(crate) fn changes(r: &mut Reader<'_>, fields: &Fields<'_>, macs: Macs<'_>) -> [Change; 2] {
    let mut both = [Change::default(); 2];
    each(r, fields, "delay", &mut both, &time, |c, v| c.delay_ns = Some(v));
    each(r, fields, "jitter", &mut both, &time, |c, v| c.jitter_ns = Some(v));
    each(r, fields, "distribution", &mut both, &distribution, |c, v| c.distribution = Some(v));
    each(r, fields, "loss", &mut both, &loss, |c, v| c.loss = Some(v));
    each(r, fields, "duplicate", &mut both, &part, |c, v| c.duplicate = Some(v));
    each(r, fields, "reorder", &mut both, &part, |c, v| c.reorder = Some(v));
    each(r, fields, "corrupt", &mut both, &part, |c, v| c.corrupt = Some(v));
    each(r, fields, "rate", &mut both, &rate, |c, v| c.rate_bits_per_s = Some(v));
    each(r, fields, "queue", &mut both, &queue, |c, v| c.queue = Some(v));
    let drop = |r: &mut Reader<'_>, key: &str, y: &Yaml| drop_rule(r, key, y, macs);
    each(r, fields, "drop", &mut both, &drop, |c, v| c.drop = Some(v));
    each(r, fields, "flap", &mut both, &flap, |c, v| c.flap = Some(v));
    both
}

type ReadOne<'f, T> = &'f dyn Fn(&mut Reader<'_>, &str, &Yaml) -> Option<T>;

/// One value for both directions, or `{ a-to-b: …, b-to-a: … }`.
fn each<T: Copy>(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    key: &str,
    both: &mut [Change; 2],
    read: ReadOne<'_, T>,
    set: impl Fn(&mut Change, T),
) {
    let Some(yaml) = fields.get(key) else { return };
    if !is_split(key, yaml) {
        if let Some(value) = read(r, key, yaml) {
            both.iter_mut().for_each(|p| set(p, value));
        }
        return;
    }
    let Some(split) = Fields::read(r, yaml, yaml.span, key, &DIRECTIONS, &[]) else { return };
    for (direction, profile) in DIRECTIONS.into_iter().zip(both) {
        if let Some(value) = split.get(direction).and_then(|y| read(r, key, y)) {
            set(profile, value);
        }
    }
}

/// Does a mapping say something for each direction? Of keys whose own value may be one, it must name one.
fn is_split(key: &str, yaml: &Yaml) -> bool {
    let Shape::Map(pairs) = &yaml.shape else { return false };
    let direction = |(key, _): &(Yaml, Yaml)| matches!(&key.shape, Shape::Text(text) if DIRECTIONS.contains(&text.as_str()));
    !matches!(key, "loss" | "drop" | "flap") || pairs.iter().any(direction)
}

/// Is the value the word `none`?
fn is_none(yaml: &Yaml) -> bool {
    matches!(&yaml.shape, Shape::Text(text) if text == "none")
}

fn time(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<u64> {
    let parser = |text: &str| -> Parsed<u64> {
        if units::duration(text)? > MAX_DELAY {
            return units::bad(
                format!("{text} is too large"),
                format!("write at most {}", show_duration(MAX_DELAY)),
            );
        }
        units::nanoseconds(text)
    };
    r.parse(yaml, key, parser)
}

fn distribution(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<Distribution> {
    let choices = [
        ("uniform", Some(Distribution::Uniform)),
        ("normal", Some(Distribution::Normal)),
        ("pareto", Some(Distribution::Pareto)),
    ];
    r.choice(yaml, key, &choices)
}

fn part(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<f64> {
    r.parse(yaml, key, units::fraction)
}

fn loss(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<Loss> {
    if !matches!(yaml.shape, Shape::Map(_)) {
        let p = part(r, key, yaml)?;
        return Some(if p > 0.0 { Loss::Random(p) } else { Loss::None });
    }
    let fields = Fields::read(r, yaml, yaml.span, key, &BURSTS, &[])?;
    let to_bad = fields.required(r, "to-bad", BURSTS_HELP).and_then(|y| part(r, "to-bad", y));
    let to_good = fields.required(r, "to-good", BURSTS_HELP).and_then(|y| part(r, "to-good", y));
    let or = |r: &mut Reader<'_>, key: &str, left_out: f64| {
        fields.get(key).map_or(Some(left_out), |y| part(r, key, y))
    };
    let (loss_bad, loss_good) = (or(r, "loss-bad", 1.0), or(r, "loss-good", 0.0));
    Some(Loss::GilbertElliott {
        to_bad: to_bad?,
        to_good: to_good?,
        loss_good: loss_good?,
        loss_bad: loss_bad?,
    })
}

fn rate(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<Option<u64>> {
    if is_none(yaml) {
        return Some(None);
    }
    let parser = |text: &str| match units::rate(text)? {
        0 => units::bad(format!("{text} carries nothing"), "write `rate: none` for no limit"),
        rate => Ok(rate),
    };
    r.parse(yaml, key, parser).map(Some)
}

fn queue(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<Queue> {
    let parser = |text: &str| -> Parsed<Queue> {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let packets = text.strip_suffix("packets").or_else(|| text.strip_suffix("packet"));
        let queue = match packets {
            Some(count) => {
                Queue { packets: number(units::integer(count.trim_end())?), ..Queue::ENDLESS }
            }
            None => match units::size(text) {
                Ok(bytes) => Queue { bytes: number(bytes), ..Queue::ENDLESS },
                Err(bad) => {
                    return Err(units::Bad {
                        help: format!("{}; or `100 packets`", bad.help),
                        ..bad
                    });
                }
            },
        };
        if queue.bytes == 0 || queue.packets == 0 {
            return units::bad(format!("{text} holds nothing"), "write at least `1 packet`");
        }
        Ok(queue)
    };
    r.parse(yaml, key, parser)
}

fn flap(r: &mut Reader<'_>, key: &str, yaml: &Yaml) -> Option<Option<Flap>> {
    if is_none(yaml) {
        return Some(None);
    }
    let fields = Fields::read(r, yaml, yaml.span, key, &FLAP, &[])?;
    flap_of(r, &fields, FLAP_HELP).map(Some)
}

/// A flap of which these fields tell the period and how much of it the link is up.
pub(crate) fn flap_of(r: &mut Reader<'_>, fields: &Fields<'_>, help: &str) -> Option<Flap> {
    let period = fields.required(r, "period", help);
    let period_ns = period.and_then(|y| {
        let ns = time(r, "period", y)?;
        if ns == 0 {
            r.error(y.span, "a flap without a period", help);
        }
        (ns > 0).then_some(ns)
    });
    let duty = match fields.get("duty") {
        Some(y) => part(r, "duty", y),
        None => Some(0.5),
    };
    let (period_ns, duty) = (period_ns?, duty?);
    Some(Flap { period_ns, up_ns: share(period_ns, duty), since_ns: 0 })
}

/// A part, 0 to 1, of at most a minute.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a minute of nanoseconds fits an f64"
)]
fn share(ns: u64, part: f64) -> u64 {
    (ns as f64 * part).round() as u64
}

fn drop_rule(
    r: &mut Reader<'_>,
    key: &str,
    yaml: &Yaml,
    macs: Macs<'_>,
) -> Option<Option<DropRule>> {
    if is_none(yaml) {
        return Some(None);
    }
    let before = r.count();
    let fields = Fields::read(r, yaml, yaml.span, key, &DROP, &[])?;
    if fields.entries().is_empty() && r.count() == before {
        r.error(yaml.span, "a drop rule without a condition would drop everything", DROP_HELP);
        return None;
    }
    let from_one = |r: &mut Reader<'_>, key: &str| {
        let value = |y| r.within(y, key, (1, u64::MAX), units::integer, |v| v.to_string());
        fields.get(key).map(value)
    };
    let (nth, every) = (from_one(r, "nth"), from_one(r, "every"));
    if let (Some(_), Some((span, _))) = (nth, fields.entry("every")) {
        r.error(span, "a drop rule with \"nth\" and \"every\"", "keep one of them");
    }
    let which = match (nth, every) {
        (Some(n), _) => n.map(Which::Nth),
        (None, Some(n)) => n.map(Which::Every),
        (None, None) => Some(Which::All),
    };
    let mut filter = Filter::default();
    if let Some(y) = fields.get("ethertype") {
        filter.ethertype = r.parse(y, "ethertype", ethertype);
    }
    if let Some(y) = fields.get("kind") {
        let kinds = KINDS.map(|(word, kind)| (word, Some(kind)));
        filter.byte = r.choice(y, "kind", &kinds).map(|kind| (ETHERNET_KIND_AT, kind));
        filter.ethertype = filter.ethertype.or(Some(runtime_core::link::ETHERTYPE));
    }
    filter.from = fields.get("from").and_then(|y| card(r, y, macs));
    filter.to = fields.get("to").and_then(|y| card(r, y, macs));
    let size = |r: &mut Reader<'_>, key: &str| {
        let bytes = fields.get(key).and_then(|y| r.parse(y, key, units::size))?;
        Some(usize::try_from(bytes).unwrap_or(usize::MAX))
    };
    filter.longer_than = size(r, "longer-than");
    filter.shorter_than = size(r, "shorter-than");
    (r.count() == before).then_some(Some(DropRule { filter, which: which? }))
}

/// `0x0806`, or the same in decimal digits.
fn ethertype(text: &str) -> Parsed<u16> {
    let hex = text.strip_prefix("0x").map(|digits| u16::from_str_radix(digits, 16));
    match hex.unwrap_or_else(|| text.parse()) {
        Ok(value) if !text.contains('+') => Ok(value),
        _ => units::bad(
            format!("\"{text}\" is not an EtherType"),
            "write 16 bits in hexadecimal, for example `0x88b5`",
        ),
    }
}

/// The card of a node.
fn card(r: &mut Reader<'_>, yaml: &Yaml, macs: Macs<'_>) -> Option<[u8; 6]> {
    let (span, name) = r.text(yaml, "a node")?;
    let found = macs.iter().find(|(node, _)| *node == name).map(|(_, mac)| *mac);
    if found.is_none() {
        let help = suggestion(name, macs.iter().map(|(node, _)| *node)).unwrap_or_else(|| {
            let names: Vec<&str> = macs.iter().map(|(node, _)| *node).take(16).collect();
            format!("the nodes are {}", names.join(", "))
        });
        r.error(span, format!("unknown node \"{name}\" in a drop rule"), help);
    }
    found
}
