//! Cables between switches.

use super::fields::{Fields, plausible_name};
use super::links::vlan;
use super::nodes::Cluster;
use crate::error::{Reader, Span};
use crate::model::{Cable, Link, Switch};
use netem::Change;

/// So many VLANs may be named for a cable.
const MAX_VLANS: usize = 64;
/// More cables are no cluster's: there is hardly a use for them.
const MAX_CABLES: usize = 256;
const VLANS: &str = "write for example `vlans: [1, 10]`, or leave it out: then all pass";

/// A cable, and where its name stands or, if it has none of its own, its ends.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) cable: Cable,
    span: Span,
}

/// Reads a cable between two switches.
pub(super) fn cable(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    between: Span,
    ends: [usize; 2],
    switches: &[Switch],
    changed: &[Change; 2],
) -> Option<Laid> {
    let [one, other] = ends.map(|end| switches[end].name.as_str());
    if ends[0] == ends[1] {
        let message = format!("a cable from switch \"{one}\" to itself");
        r.error(between, message, "name two switches");
        return None;
    }
    for (key, help) in [
        ("vlan", "write `vlans: [10]` for those that it carries, or nothing for all"),
        ("transport", "remove it: nodes have transports"),
        ("mtu", "remove it: the cards of nodes have one"),
    ] {
        if let Some((span, _)) = fields.entry(key) {
            let message = format!("a cable between switches has no \"{key}\"");
            r.error(span, message, help);
        }
    }
    let vlans = fields.get("vlans").map(|yaml| {
        let before = r.count();
        let items = r.items(yaml, "vlans", VLANS);
        if r.count() == before && (items.is_empty() || items.len() > MAX_VLANS) {
            let message = format!("a cable with {} VLANs", items.len());
            let help = format!("{VLANS}; name at most {MAX_VLANS}");
            r.error(yaml.span, message, help);
        }
        let mut vlans = Vec::new();
        for item in items.iter().take(MAX_VLANS) {
            let Some(number) = vlan(r, item) else { continue };
            if vlans.contains(&number) {
                r.error(item.span, format!("VLAN {number} is named twice"), "name it once");
            }
            vlans.push(number);
        }
        vlans.sort_unstable();
        vlans
    });
    let name = fields.get("name").and_then(|y| r.text(y, "name"));
    let name = name.filter(|(span, name)| plausible_name(r, *span, name));
    let (span, name) = match name {
        Some((span, name)) => (span, name.to_owned()),
        None => (between, format!("{one}-{other}")),
    };
    let [a_to_b, b_to_a] = changed.map(|change| change.of(Link::PERFECT, 0));
    Some(Laid { cable: Cable { name, ends, a_to_b, b_to_a, vlans }, span })
}

/// Faults and verbs call cables and nodes by their names, and links by those of their ends.
pub(super) fn named_once(
    r: &mut Reader<'_>,
    laid: &[Laid],
    cluster: &Cluster,
    switches: &[Switch],
    links: &[Option<(Link, Span)>],
) {
    if let Some(Laid { span, .. }) = laid.get(MAX_CABLES) {
        let message = format!("{} cables are too many", laid.len());
        r.error(*span, message, format!("a cluster has at most {MAX_CABLES}"));
    }
    for (n, Laid { cable, span }) in laid.iter().enumerate().take(MAX_CABLES) {
        let name = cable.name.as_str();
        let of_link = |(link, _): &(Link, Span)| {
            let (node, switch) = (&cluster.nodes[link.node].name, &switches[link.switch].name);
            format!("{node}-{switch}") == name || format!("{switch}-{node}") == name
        };
        if let Some(earlier) = laid[..n].iter().find(|l| l.cable.name == name) {
            let help =
                format!("add `name: …` to this one or to that on line {}", r.line(earlier.span));
            r.error(*span, format!("two cables are named \"{name}\""), help);
        } else if cluster.nodes.iter().any(|node| node.name == name) {
            let message = format!("\"{name}\" is the name of a node and of a cable");
            r.error(*span, message, "rename one of them");
        } else if links.iter().flatten().any(of_link) {
            let message = format!("\"{name}\" is the name of a node's link and of a cable");
            r.error(*span, message, "give the cable another one: `name: …`");
        }
    }
}
