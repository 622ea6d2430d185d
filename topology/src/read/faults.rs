//! Faults of the file, and the blows that they are.

use super::fields::{Fields, plausible_name};
use super::link_faults::{self, Spread};
use super::names::{Names, number};
use super::triggers::{self, AT, Moment, Named};
use crate::error::{Reader, Span};
use crate::model::{Fault, Link, Strike, Target, Trigger, Way};
use crate::raw::{Shape, Yaml};
use crate::units::{self, show_size};
use std::time::Duration;

pub(crate) const KEYS: &[&str] = &[
    "name", "at", "kill", "crash", "pause", "resume", "cut", "heal", "reboot", "migrate",
    "corrupt", "slow", "fill", "degrade", "flap", "for", "every", "times", "hold",
];
const LATER: &[&str] = &["partition"];
const KILL: &str = "write for example `- { at: { checkpoint: 2 }, kill: n1 }`";
const MIGRATE: &str = "write for example `migrate: { rank: 0, to: n3 }`";
const CORRUPT: &str = "write for example `corrupt: { node: n2, rank: 1 }`";
const SLOW: &str = "write for example `slow: { node: n1, to: 25% }`";
const FILL: &str = "write for example `fill: { node: n1, leave: 8MiB }`";
/// A fault may be so many times.
const MOST_TIMES: u64 = 1_000;
/// Least memory that may be left to a node.
const LEAST_LEFT: u64 = 1 << 20;

/// Where the parts of a blow stand, for checks that come later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) node: Span,
    pub(crate) trigger: Span,
    /// The file says itself whose events to watch.
    pub(crate) on_given: bool,
}

/// The blows of all faults, in the order of the file, and the faults that have names.
pub(crate) fn faults(
    r: &mut Reader<'_>,
    yaml: Option<&Yaml>,
    names: Names<'_>,
    links: &[Link],
) -> (Vec<(Fault, Marks)>, Vec<Named>) {
    let items = yaml.map_or(&[][..], |y| r.items(y, "faults", KILL));
    let (mut blows, mut named) = (Vec::new(), Vec::<Named>::new());
    for (item, yaml) in items.iter().enumerate() {
        let Some(draft) = draft(r, yaml, names, &named) else { continue };
        let last = draft.strike_all(item, links, &mut blows);
        named.extend(draft.name.map(|name| Named { name, item, last }));
    }
    (blows, named)
}

/// A fault as it stands in the file.
struct Draft {
    name: Option<String>,
    moment: Moment,
    strike: Strike,
    targets: Vec<Target>,
    /// What changes of their links, and in which direction.
    spread: Option<Spread>,
    hold: bool,
    lasts: Option<Duration>,
    every: Option<Duration>,
    times: u64,
    marks: Marks,
    line: usize,
}

impl Draft {
    /// Adds its blows; says which are the last.
    fn strike_all(
        &self,
        item: usize,
        links: &[Link],
        blows: &mut Vec<(Fault, Marks)>,
    ) -> Vec<usize> {
        let mut last = Vec::new();
        // The latest blow to each node.
        let mut before: Vec<usize> = Vec::new();
        for time in 0..self.times {
            last.clear();
            before = self.strike_once(item, time, &before, blows, &mut last);
        }
        for (blow, _) in blows.iter_mut().filter(|(b, _)| b.item == item && b.ends.is_none()) {
            let Some(spread) = &self.spread else { continue };
            // A cable is named from its first end.
            let link = blow.node().and_then(|node| links.get(node.index()));
            let first = link.is_none_or(|link| link.node_first);
            match (blow.strike, spread.direction.map(|direction| direction.is_up(first))) {
                (Strike::Cut(_), Some(true)) => blow.strike = Strike::Cut(Way::From),
                (Strike::Cut(_), Some(false)) => blow.strike = Strike::Cut(Way::To),
                (Strike::Degrade, _) => blow.changes = Some(Box::new(spread.up_and_down(first))),
                _ => {}
            }
        }
        last
    }

    fn strike_once(
        &self,
        item: usize,
        time: u64,
        before: &[usize],
        blows: &mut Vec<(Fault, Marks)>,
        last: &mut Vec<usize>,
    ) -> Vec<usize> {
        let mut now = Vec::new();
        for (n, target) in self.targets.iter().copied().enumerate() {
            let trigger = match (self.every, before.get(n)) {
                (Some(every), Some(blow)) => Trigger::Follows { faults: vec![*blow], delay: every },
                _ => {
                    let node = if let Target::Node(node) = target { Some(node) } else { None };
                    self.moment.trigger(node, (item as u64) * MOST_TIMES + time)
                }
            };
            let hold = self.hold && time == 0;
            let (name, line) = (self.name.clone(), self.line);
            let blow = Fault {
                item,
                name,
                trigger,
                strike: self.strike,
                target,
                changes: None,
                hold,
                ends: None,
                line,
            };
            now.push(blows.len());
            last.push(blows.len());
            blows.push((blow.clone(), self.marks));
            if let (Some(lasts), Some(strike)) = (self.lasts, self.strike.undone_by()) {
                let faults = vec![blows.len() - 1];
                let trigger = Trigger::Follows { faults, delay: lasts };
                last.pop();
                last.push(blows.len());
                let end = Fault { trigger, strike, hold: false, ends: Some(lasts), ..blow };
                blows.push((end, self.marks));
            }
        }
        now
    }
}

fn draft(r: &mut Reader<'_>, yaml: &Yaml, names: Names<'_>, named: &[Named]) -> Option<Draft> {
    let before = r.count();
    let fields = Fields::read(r, yaml, yaml.span, "a fault", KEYS, LATER)?;
    let given = |word: &'static str| fields.entry(word).map(|(span, yaml)| (word, span, yaml));
    let words = Strike::PLAIN.map(Strike::word);
    let words = words.into_iter().chain(["migrate", "corrupt", "slow", "fill", "degrade", "flap"]);
    let strikes: Vec<(&str, Span, &Yaml)> = words.filter_map(given).collect();
    // One with a word of a later version has been refused for that already.
    if r.count() > before && strikes.is_empty() {
        return None;
    }
    if let [(first, ..), (second, span, _), ..] = *strikes {
        let help = format!("write two faults, one with `{second}`");
        r.error(span, format!("a fault with \"{first}\" and \"{second}\""), help);
        return None;
    }
    let victim_yaml = strikes.first().map(|(.., yaml)| *yaml);
    if victim_yaml.is_none() {
        r.error(yaml.span, "a fault that does nothing", KILL);
    }
    let struck = strikes.first().and_then(|(word, _, y)| strike(r, word, y, names));
    let name = fields.get("name").and_then(|y| r.text(y, "name"));
    let name = name.filter(|(span, name)| plausible_name(r, *span, name));
    if let Some((span, name)) = name
        && named.iter().any(|n| n.name == name)
    {
        r.error(span, format!("two faults are named \"{name}\""), "give each its own name");
    }
    let hold = fields.entry("hold").map(|(span, y)| (span, r.parse(y, "hold", units::truth)));
    let moment =
        fields.required(r, "at", AT).map(|at| (at.span, triggers::moment(r, at, names, named)));
    let random = matches!(&moment, Some((_, Some(moment))) if moment.is_random());
    let (every, times) = repetition(r, &fields, random);
    let lasts = lasts(r, &fields, struck.as_ref().map(|(strike, ..)| *strike), every);
    let (trigger, moment) = moment?;
    let ((strike, targets, spread), moment, victim_yaml) = (struck?, moment?, victim_yaml?);
    let on_cable = targets.iter().any(|target| matches!(target, Target::Cable(_)));
    if on_cable && moment.is_reported() && moment.on.is_none() {
        let first = names.nodes.first().map_or("n0", |node| &node.name);
        let help = format!("say whose: add for example `on: {first}` to the trigger");
        r.error(trigger, "a cable reports no events", help);
        return None;
    }
    let hold = match hold {
        Some((span, Some(true))) => {
            let own = moment.on.is_none_or(|on| targets == [Target::Node(on)]);
            if !moment.is_reported() || !own {
                let help =
                    "give a checkpoint or an event of the struck node itself, or remove `hold`";
                r.error(span, "the node has nothing to hold at", help);
            }
            true
        }
        _ => false,
    };
    let marks = Marks { node: victim_yaml.span, trigger, on_given: moment.on.is_some() };
    let line = r.line(victim_yaml.span);
    let name = name.map(|(_, name)| name.to_string());
    Some(Draft { name, moment, strike, targets, spread, hold, lasts, every, times, marks, line })
}

/// How often, and how long after each other.
fn repetition(r: &mut Reader<'_>, fields: &Fields<'_>, random: bool) -> (Option<Duration>, u64) {
    let every = fields.entry("every").map(|(span, y)| (span, r.parse(y, "every", units::duration)));
    let times = fields.entry("times").map(|(span, y)| (span, number(r, y, "times", MOST_TIMES)));
    match (every, times) {
        (Some((span, _)), None) => {
            let help = "say how often: `times: 5`";
            r.error(span, "\"every\" without \"times\"", help);
        }
        (None, Some((span, _))) if !random => {
            let help = "say how long after each other: `every: 2s`";
            r.error(span, "\"times\" without \"every\"", help);
        }
        (Some((span, Some(Duration::ZERO))), _) => {
            r.error(span, "every: 0 is no time", "write for example `every: 2s`");
        }
        _ => {}
    }
    (every.and_then(|(_, every)| every), times.and_then(|(_, times)| times).unwrap_or(1))
}

/// How long, of what has an end.
fn lasts(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    strike: Option<Strike>,
    every: Option<Duration>,
) -> Option<Duration> {
    let (span, yaml) = fields.entry("for")?;
    let lasts = r.parse(yaml, "for", units::duration)?;
    if let Some(strike) = strike
        && strike.undone_by().is_none()
    {
        let message = format!("\"{}\" has no end that \"for\" could set", strike.word());
        r.error(span, message, "remove `for`");
    }
    if let Some(every) = every
        && lasts >= every
    {
        let help = "make `for` shorter, or `every` longer";
        r.error(span, "it is repeated before it has ended", help);
    }
    Some(lasts)
}

/// What is done, to what, and what changes of links.
fn strike(
    r: &mut Reader<'_>,
    word: &str,
    yaml: &Yaml,
    names: Names<'_>,
) -> Option<(Strike, Vec<Target>, Option<Spread>)> {
    let (strike, changed) = match word {
        "degrade" => (Strike::Degrade, link_faults::degrade(r, yaml, names)),
        "flap" => (Strike::Degrade, link_faults::flap(r, yaml, names)),
        "cut" if has_key(yaml, "link") => {
            (Strike::Cut(Way::Both), link_faults::cut(r, yaml, names))
        }
        _ => return strike_nodes(r, word, yaml, names).map(|(strike, of)| (strike, of, None)),
    };
    changed.map(|(links, spread)| (strike, links, Some(spread)))
}

/// What is done, and to which nodes.
fn strike_nodes(
    r: &mut Reader<'_>,
    word: &str,
    yaml: &Yaml,
    names: Names<'_>,
) -> Option<(Strike, Vec<Target>)> {
    match word {
        "migrate" | "corrupt" => {
            let (key, help) = if word == "migrate" { ("to", MIGRATE) } else { ("node", CORRUPT) };
            let fields = Fields::read(r, yaml, yaml.span, word, &["rank", key], &[])?;
            let rank = fields.required(r, "rank", help).and_then(|y| names.rank(r, y, "a fault"));
            let node = fields.required(r, key, help).and_then(|y| names.node(r, y, "a fault"));
            let rank = rank?;
            let strike =
                if word == "migrate" { Strike::Migrate(rank) } else { Strike::Corrupt(rank) };
            Some((strike, vec![Target::Node(node?)]))
        }
        "slow" => {
            let fields = Fields::read(r, yaml, yaml.span, word, &["node", "to"], &[])?;
            let nodes = fields.required(r, "node", SLOW).and_then(|y| names.targets(r, y));
            let to = fields
                .required(r, "to", SLOW)
                .and_then(|y| r.within(y, "to", (1, 99), whole_percent, |v| format!("{v}%")));
            Some((Strike::Slow(to?), nodes?))
        }
        "fill" => {
            let fields = Fields::read(r, yaml, yaml.span, word, &["node", "leave"], &[])?;
            let nodes = fields.required(r, "node", FILL).and_then(|y| names.targets(r, y));
            let leave = fields
                .required(r, "leave", FILL)
                .and_then(|y| r.within(y, "leave", (LEAST_LEFT, u64::MAX), units::size, show_size));
            Some((Strike::Fill(Some(leave?)), nodes?))
        }
        "cut" => cut(r, yaml, names),
        "heal" => names.links(r, yaml).map(|links| (Strike::Heal, links)),
        _ => {
            let plain = Strike::PLAIN.into_iter().find(|s| s.word() == word)?;
            names.targets(r, yaml).map(|nodes| (plain, nodes))
        }
    }
}

/// Both ways, or `{ from: … }`, or `{ to: … }`.
fn cut(r: &mut Reader<'_>, yaml: &Yaml, names: Names<'_>) -> Option<(Strike, Vec<Target>)> {
    if !has_key(yaml, "from") && !has_key(yaml, "to") {
        return names.links(r, yaml).map(|links| (Strike::Cut(Way::Both), links));
    }
    let fields = Fields::read(r, yaml, yaml.span, "cut", &["from", "to"], &[])?;
    let (way, nodes) = match (fields.get("from"), fields.get("to")) {
        (Some(nodes), None) => (Way::From, nodes),
        (None, Some(nodes)) => (Way::To, nodes),
        _ => {
            let help = "both ways are cut with `cut: n1`";
            r.error(yaml.span, "a cut is from nodes or to nodes, not both", help);
            return None;
        }
    };
    names.targets(r, nodes).map(|nodes| (Strike::Cut(way), nodes))
}

/// Is it a mapping with this key?
fn has_key(yaml: &Yaml, key: &str) -> bool {
    let is = |(k, _): &(Yaml, Yaml)| matches!(&k.shape, Shape::Text(text) if text == key);
    matches!(&yaml.shape, Shape::Map(pairs) if pairs.iter().any(is))
}

/// `25%`.
fn whole_percent(text: &str) -> units::Parsed<u8> {
    let fraction = units::fraction(text)?;
    let percent = fraction * 100.0;
    if percent.fract() != 0.0 {
        return units::bad(format!("{text} is not a whole percentage"), "write for example `25%`");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    Ok(percent as u8)
}
