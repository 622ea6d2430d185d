//! Faults that change what links do to frames: `degrade` and `flap`.

use super::fields::Fields;
use super::impairments;
use super::names::Names;
use crate::error::Reader;
use crate::model::Target;
use crate::raw::Yaml;
use netem::Change;

const DEGRADE: &str = "write for example `degrade: { link: n2, delay: 10ms, loss: 1% }`";
const FLAP: &str = "write for example `flap: { link: n2, period: 200ms, duty: 50% }`";

/// Keys of `degrade` besides those of [`impairments`].
pub(crate) const DEGRADE_KEYS: &[&str] = &["link", "direction"];
/// Keys of `flap`.
pub(crate) const FLAP_KEYS: &[&str] = &["link", "direction", "period", "duty"];

/// Keys of `cut` where it names a direction.
pub(crate) const CUT_KEYS: &[&str] = &["link", "direction"];
const CUT: &str = "write for example `cut: { link: n2, direction: a-to-b }`";

/// One of the two directions of a link, as people name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the node to the switch. A cable between switches has no such direction.
    Up,
    /// From the switch to the node; neither has it this one.
    Down,
    /// From the end that the file names first.
    AToB,
    /// To it.
    BToA,
}

impl Direction {
    /// All, with their words.
    pub const ALL: [(&str, Self); 4] =
        [("up", Self::Up), ("down", Self::Down), ("a-to-b", Self::AToB), ("b-to-a", Self::BToA)];

    /// Is it from the node to the switch? Of a cable, whose first end counts as a node's: is it from the first?
    #[must_use]
    pub const fn is_up(self, node_first: bool) -> bool {
        match self {
            Self::Up => true,
            Self::Down => false,
            Self::AToB => node_first,
            Self::BToA => !node_first,
        }
    }
}

/// What changes of some links: from the first end to the second, and back; in one direction alone, if any is named.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) changes: [Change; 2],
    pub(crate) direction: Option<Direction>,
}

impl Spread {
    /// What changes up and down a link.
    pub(crate) fn up_and_down(&self, node_first: bool) -> [Change; 2] {
        let [a_to_b, b_to_a] = self.changes;
        let [up, down] = if node_first { [a_to_b, b_to_a] } else { [b_to_a, a_to_b] };
        match self.direction.map(|direction| direction.is_up(node_first)) {
            None => [up, down],
            Some(true) => [up, Change::default()],
            Some(false) => [Change::default(), down],
        }
    }
}

/// The links of which nodes do what else from then on.
pub(crate) fn degrade(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    names: Names<'_>,
) -> Option<(Vec<Target>, Spread)> {
    let keys = [DEGRADE_KEYS, impairments::KEYS].concat();
    let before = r.count();
    let fields = Fields::read(r, yaml, yaml.span, "degrade", &keys, &[])?;
    let macs: Vec<_> = names.nodes.iter().map(|n| (n.name.as_str(), n.mac)).collect();
    let changes = impairments::changes(r, &fields, &macs);
    if r.count() == before && changes.iter().all(Change::is_empty) {
        r.error(yaml.span, "a degrade that changes nothing", DEGRADE);
    }
    spread(r, &fields, changes, DEGRADE, names)
}

/// The links of which nodes come and go from then on.
pub(crate) fn flap(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    names: Names<'_>,
) -> Option<(Vec<Target>, Spread)> {
    let fields = Fields::read(r, yaml, yaml.span, "flap", FLAP_KEYS, &[])?;
    let flap = impairments::flap_of(r, &fields, FLAP);
    let change = Change { flap: flap.map(Some), ..Change::default() };
    let found = spread(r, &fields, [change; 2], FLAP, names);
    flap.and(found)
}

/// Which links carry nothing any more in one direction, or in both.
pub(crate) fn cut(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    names: Names<'_>,
) -> Option<(Vec<Target>, Spread)> {
    let fields = Fields::read(r, yaml, yaml.span, "cut", CUT_KEYS, &[])?;
    spread(r, &fields, [Change::default(); 2], CUT, names)
}

fn spread(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    changes: [Change; 2],
    help: &str,
    names: Names<'_>,
) -> Option<(Vec<Target>, Spread)> {
    let links = fields.required(r, "link", help).and_then(|y| names.links(r, y));
    let words = Direction::ALL.map(|(word, direction)| (word, Some(direction)));
    let direction = fields.get("direction").map(|y| r.choice(y, "direction", &words));
    let direction = direction.map_or(Some(None), |direction| direction.map(Some));
    let (links, direction) = (links?, direction?);
    let is_cable = |target: &Target| matches!(target, Target::Cable(_));
    if let (true, Some(Direction::Up | Direction::Down), Some(yaml)) =
        (links.iter().any(is_cable), direction, fields.get("direction"))
    {
        let help = "write `a-to-b`, from the end that the file names first, or `b-to-a`";
        r.error(yaml.span, "a cable between switches has no up and down", help);
        return None;
    }
    Some((links, Spread { changes, direction }))
}
