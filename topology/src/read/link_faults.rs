//! Faults that change what links do to frames: `degrade` and `flap`.

use super::fields::Fields;
use super::impairments;
use super::names::Names;
use crate::error::Reader;
use crate::raw::Yaml;
use netem::Change;
use runtime_core::id::NodeId;

const DEGRADE: &str = "write for example `degrade: { link: n2, delay: 10ms, loss: 1% }`";
const FLAP: &str = "write for example `flap: { link: n2, period: 200ms, duty: 50% }`";

/// Keys of `degrade` besides those of [`impairments`].
pub(crate) const DEGRADE_KEYS: &[&str] = &["link", "direction"];
/// Keys of `flap`.
pub(crate) const FLAP_KEYS: &[&str] = &["link", "direction", "period", "duty"];

/// One of the two directions of a link, as people name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the node to the switch.
    Up,
    /// From the switch to the node.
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

    /// Is it from the node to the switch?
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
) -> Option<(Vec<NodeId>, Spread)> {
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
) -> Option<(Vec<NodeId>, Spread)> {
    let fields = Fields::read(r, yaml, yaml.span, "flap", FLAP_KEYS, &[])?;
    let flap = impairments::flap_of(r, &fields, FLAP);
    let change = Change { flap: flap.map(Some), ..Change::default() };
    let found = spread(r, &fields, [change; 2], FLAP, names);
    flap.and(found)
}

fn spread(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    changes: [Change; 2],
    help: &str,
    names: Names<'_>,
) -> Option<(Vec<NodeId>, Spread)> {
    let nodes = fields.required(r, "link", help).and_then(|y| names.targets(r, y));
    let words = Direction::ALL.map(|(word, direction)| (word, Some(direction)));
    let direction = fields.get("direction").map(|y| r.choice(y, "direction", &words));
    let direction = direction.map_or(Some(None), |direction| direction.map(Some));
    Some((nodes?, Spread { changes, direction: direction? }))
}
