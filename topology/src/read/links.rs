//! Switches, and the links of nodes to them.

use super::Settings;
use super::cables::{self, Laid};
use super::fields::{Fields, plausible_name, suggestion};
use super::impairments;
use super::nodes::Cluster;
use super::settings;
use super::shared;
use crate::error::{Reader, Span};
use crate::model::{Cable, Link, Node, Switch, Transport};
use crate::network::Network;
use crate::raw::{Shape, Yaml};
use crate::units::{self, show_duration};
use netem::{Change, DEFAULT_VLAN, MAX_VLAN, Vlan};
use runtime_core::id::NodeId;
use runtime_core::limits::{MAX_NODES, MIN_MTU};
use runtime_core::node::{Binding, Image};
use std::time::Duration;

/// Keys of a switch.
pub(crate) const SWITCH: &[&str] = &["port-notices", "ring-recovery"];
/// Keys of a link besides those of [`impairments`].
pub(crate) const LINK: &[&str] = &["between", "name", "vlan", "vlans", "transport", "mtu"];
/// More switches are no cluster's.
const MAX_SWITCHES: usize = MAX_NODES;
/// From the quickest of rings to the slowest of spanning trees.
const RECOVERY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_secs(120));
/// Of the largest frames that are usual on Ethernet.
const MAX_MTU: u64 = 9_000;
const EXAMPLE: &str = "write for example `links: [{ between: [n0, sw0], delay: 50us }]`";

/// One end of a link.
#[derive(Clone, Copy, Debug)]
enum End {
    Node(usize),
    Switch(usize),
}

/// Switches by name, one link per node, in the order of the nodes, and the cables between switches.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) switches: Vec<Switch>,
    pub(crate) links: Vec<Link>,
    pub(crate) cables: Vec<Cable>,
    /// Nodes that are linked through the memory of their board, and where that stands.
    pub(crate) shared: Vec<([NodeId; 2], Span)>,
}

impl Wiring {
    pub(crate) fn network(&self) -> Network<'_> {
        Network { links: &self.links, cables: &self.cables }
    }
}

/// All that is between the nodes.
pub(crate) fn links(
    r: &mut Reader<'_>,
    top: &Fields<'_>,
    cluster: &Cluster,
    runtime: &Settings,
) -> Wiring {
    let wiring = all_links(r, top, cluster, runtime.runtime.transport);
    sockets_need_tcp(r, cluster, &wiring.links, runtime);
    wiring
}

/// Plain sockets between two nodes need TCP between them.
fn sockets_need_tcp(r: &mut Reader<'_>, cluster: &Cluster, links: &[Link], runtime: &Settings) {
    let speaks = links.iter().find(|link| link.transport == Transport::Ethernet);
    let (Some(link), Binding::Sockets, [_, _, ..]) = (speaks, runtime.runtime.binding, links)
    else {
        return;
    };
    let node = &cluster.nodes[link.node];
    let message = format!(
        "binding \"sockets\" needs tcp between all nodes, but \"{}\" speaks ethernet",
        node.name
    );
    let help = match node.image {
        Image::BareMetal => "write `binding: mcapi`: a bare-metal node has no tcp",
        Image::Linux | Image::LinuxAarch64 => {
            "write `binding: mcapi`, or `transport: tcp` for all links"
        }
    };
    r.error(runtime.binding, message, help);
}

fn all_links(
    r: &mut Reader<'_>,
    top: &Fields<'_>,
    cluster: &Cluster,
    default: Transport,
) -> Wiring {
    let (switches, spans) = switches(r, top.get("switches"), cluster);
    let perfect = |node: usize| Link {
        node,
        switch: 0,
        node_first: true,
        up: Link::PERFECT,
        down: Link::PERFECT,
        mtu: Link::MTU,
        transport: usual(cluster.nodes[node].image, default),
        vlan: DEFAULT_VLAN,
    };
    let items = top.get("links").map_or(&[][..], |y| r.items(y, "links", EXAMPLE));
    let (near, items): (Vec<&Yaml>, Vec<&Yaml>) =
        items.iter().partition(|yaml| shared::is_one(yaml, cluster));
    let near =
        near.into_iter().filter_map(|yaml| Some((shared::link(r, yaml, cluster)?, yaml.span)));
    let shared = near.collect();
    if items.is_empty() {
        if let [_, second, ..] = spans.as_slice() {
            let help = "add `links:` that say which node is on which switch, or keep one switch";
            r.error(*second, "several switches, but no links", help);
        }
        let switches = if switches.is_empty() {
            let (name, ring_recovery) = ("sw0".into(), Switch::RING_RECOVERY);
            vec![Switch { name, port_notices: true, ring_recovery }]
        } else {
            switches
        };
        let links = (0..cluster.nodes.len()).map(perfect).collect();
        return Wiring { switches, links, cables: Vec::new(), shared };
    }
    let before = r.count();
    let mut found: Vec<Option<(Link, Span)>> = vec![None; cluster.nodes.len()];
    let mut laid: Vec<Laid> = Vec::new();
    for item in items {
        let Some(line) = line(r, item, cluster, &switches, default) else { continue };
        let (link, span) = match line {
            Line::Link(link, span) => (link, span),
            Line::Cable(cable) => {
                laid.push(cable);
                continue;
            }
        };
        let slot = &mut found[link.node];
        if let Some((_, first)) = slot {
            let message = format!("node \"{}\" has a second link", cluster.nodes[link.node].name);
            let line = r.line(*first);
            let help =
                format!("a node has one NIC in this version: keep this or the one on line {line}");
            r.error(span, message, help);
        } else {
            *slot = Some((link, span));
        }
    }
    cables::named_once(r, &laid, cluster, &switches, &found);
    // Of one that could not be read others would follow that are none.
    let sound = r.count() == before;
    let spans: Vec<Option<Span>> =
        found.iter().map(|l| l.as_ref().map(|(_, span)| *span)).collect();
    let links = found.into_iter().enumerate();
    let wiring = Wiring {
        links: links.map(|(node, l)| l.map_or_else(|| perfect(node), |(link, _)| link)).collect(),
        cables: laid.iter().map(|l| l.cable.clone()).collect(),
        switches,
        shared,
    };
    // A link that could not be read would leave its node without one.
    if sound && spans.len() <= MAX_NODES {
        connected(r, &wiring, &spans, cluster);
    }
    wiring
}

fn switches(
    r: &mut Reader<'_>,
    yaml: Option<&Yaml>,
    cluster: &Cluster,
) -> (Vec<Switch>, Vec<Span>) {
    let Some(yaml) = yaml else { return Default::default() };
    let entries = r.entries(yaml, "switches", "write for example `switches: { sw0: {} }`");
    let mut names = Vec::new();
    let mut spans = Vec::new();
    let entries = entries.unwrap_or_default();
    if let Some((_, span, _)) = entries.get(MAX_SWITCHES) {
        let message = format!("{} switches are too many", entries.len());
        r.error(*span, message, format!("a cluster has at most {MAX_SWITCHES}"));
    }
    for (name, span, value) in entries.into_iter().take(MAX_SWITCHES) {
        plausible_name(r, span, name);
        let place = format!("switch \"{name}\"");
        let fields = Fields::read(r, value, span, &place, SWITCH, &[]);
        let notices = fields.as_ref().and_then(|fields| fields.get("port-notices"));
        let yes_or_no = [("true", Some(true)), ("false", Some(false))];
        let port_notices = notices.map(|y| r.choice(y, "port-notices", &yes_or_no));
        if let Some(node) = cluster.nodes.iter().position(|n| n.name == name) {
            let line = r.line(cluster.spans[node]);
            let help = format!("the node is on line {line}: rename one of them");
            r.error(span, format!("\"{name}\" is the name of a node and of a switch"), help);
        }
        let port_notices = port_notices.flatten().unwrap_or(true);
        let recovery = fields.as_ref().and_then(|fields| fields.get("ring-recovery"));
        let recovery = recovery
            .and_then(|y| r.within(y, "ring-recovery", RECOVERY, units::duration, show_duration));
        let ring_recovery = recovery.unwrap_or(Switch::RING_RECOVERY);
        names.push(Switch { name: name.to_string(), port_notices, ring_recovery });
        spans.push(span);
    }
    (names, spans)
}

/// Every node has a link, and all reach each other.
fn connected(r: &mut Reader<'_>, wiring: &Wiring, spans: &[Option<Span>], cluster: &Cluster) {
    let linked = |node: &NodeId| spans[node.index()].is_some();
    let parts = wiring.network().parts(&std::collections::BTreeSet::new());
    let parts: Vec<Vec<NodeId>> = (parts.into_iter())
        .map(|part| part.into_iter().filter(linked).collect::<Vec<_>>())
        .filter(|part| !part.is_empty())
        .collect();
    let most = parts.iter().max_by_key(|part| (part.len(), usize::MAX - part[0].index()));
    let Some(most) = most else { return };
    for (index, span) in spans.iter().enumerate() {
        let node = &cluster.nodes[index];
        match span {
            Some(span) if !most.contains(&node.id) => {
                apart(r, wiring, cluster, most[0], index, *span)
            }
            Some(_) => {}
            None => {
                let switch = &wiring.switches[wiring.links[most[0].index()].switch].name;
                let help = format!("add `- {{ between: [{}, {switch}] }}` to the links", node.name);
                let message = format!("node \"{}\" is not connected to a switch", node.name);
                r.error(cluster.spans[index], message, help);
            }
        }
    }
}

/// Why two nodes cannot reach each other, and the remedy.
fn apart(
    r: &mut Reader<'_>,
    wiring: &Wiring,
    cluster: &Cluster,
    first: NodeId,
    node: usize,
    span: Span,
) {
    let (one, other) = (&wiring.links[first.index()], &wiring.links[node]);
    let name = |switch: usize| &wiring.switches[switch].name;
    let (from, to) = (name(one.switch), name(other.switch));
    let (why, help) = if one.vlan != other.vlan {
        let why = format!("one is in VLAN {}, the other in VLAN {}", one.vlan, other.vlan);
        (why, format!("put both in one VLAN: write `vlan: {}` here as well", one.vlan))
    } else if let Some(way) = wiring.network().way(one.switch, other.switch) {
        let stops = way.into_iter().map(|n| &wiring.cables[n]).filter(|c| !c.carries(one.vlan));
        let stops: Vec<&str> = stops.map(|c| c.name.as_str()).collect();
        let why = format!("no cable from \"{from}\" to \"{to}\" carries their VLAN, {}", one.vlan);
        (why, format!("add {} to the `vlans` of {}", one.vlan, stops.join(" and ")))
    } else {
        let why = format!("no cable leads from switch \"{from}\" to \"{to}\"");
        (why, format!("add `- {{ between: [{from}, {to}] }}` to the links"))
    };
    let names = [first.index(), node].map(|n| cluster.nodes[n].name.as_str());
    let message =
        format!("nodes \"{}\" and \"{}\" cannot reach each other: {why}", names[0], names[1]);
    r.error(span, message, help);
}

/// What an entry of `links` is.
enum Line {
    Link(Link, Span),
    Cable(Laid),
}

fn line(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    cluster: &Cluster,
    switches: &[Switch],
    default: Transport,
) -> Option<Line> {
    let keys = [LINK, impairments::KEYS].concat();
    let fields = Fields::read(r, yaml, yaml.span, "a link", &keys, &[])?;
    let changed = impairments::changes(r, &fields, &cluster.macs());
    let between = fields.required(r, "between", "say what it connects: `between: [n0, sw0]`")?;
    let ends: Vec<(Span, &str)> = r
        .items(between, "between", "write for example `between: [n0, sw0]`")
        .iter()
        .filter_map(|y| r.text(y, "the end of a link"))
        .collect();
    let [a, b] = ends.as_slice() else {
        if let Shape::List(_) = between.shape {
            let message = format!("a link has two ends, found {}", ends.len());
            r.error(between.span, message, "write for example `between: [n0, sw0]`");
        }
        return None;
    };
    let (a_end, b_end) = (end(r, *a, cluster, switches), end(r, *b, cluster, switches));
    let mut link = |node: usize, switch, node_first| {
        let link = link(r, &fields, cluster, default, (node, switch, node_first), &changed);
        Some(Line::Link(link, between.span))
    };
    match (a_end?, b_end?) {
        (End::Node(node), End::Switch(switch)) => link(node, switch, true),
        (End::Switch(switch), End::Node(node)) => link(node, switch, false),
        (End::Node(_), End::Node(_)) => {
            let message =
                format!("a link from node \"{}\" to node \"{}\" without a switch", a.1, b.1);
            r.error(
                between.span,
                message,
                "link both to a switch: `- { between: [node, sw0] }` for each; guests of one board with memory may be linked by `transport: shm`",
            );
            None
        }
        (End::Switch(one), End::Switch(other)) => {
            cables::cable(r, &fields, between.span, [one, other], switches, &changed)
                .map(Line::Cable)
        }
    }
}

/// The link of a node.
fn link(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    cluster: &Cluster,
    default: Transport,
    (node, switch, node_first): (usize, usize, bool),
    changed: &[Change; 2],
) -> Link {
    let name = &cluster.nodes[node].name;
    if let Some((span, _)) = fields.entry("name") {
        let message = format!("the link of node \"{name}\" goes by the name of its node");
        r.error(span, message, "remove `name`: cables between switches have names");
    }
    if let Some((span, _)) = fields.entry("vlans") {
        let message = format!("node \"{name}\" is in one VLAN");
        r.error(
            span,
            message,
            "write for example `vlan: 10`: cables between switches have `vlans`",
        );
    }
    let [a_to_b, b_to_a] = changed.map(|change| change.of(Link::PERFECT, 0));
    let (up, down) = if node_first { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
    let mtu = mtu(r, fields);
    let transport = transport(r, fields, &cluster.nodes[node], default);
    let vlan = fields.get("vlan").and_then(|y| vlan(r, y));
    let vlan = vlan.unwrap_or(DEFAULT_VLAN);
    Link { node, switch, node_first, up, down, mtu, transport, vlan }
}

/// The number of a VLAN.
pub(super) fn vlan(r: &mut Reader<'_>, yaml: &Yaml) -> Option<Vlan> {
    let most = u64::from(MAX_VLAN);
    let number = r.within(yaml, "vlan", (1, most), units::integer, |v| v.to_string());
    number.and_then(|number| Vlan::try_from(number).ok())
}

/// What a node speaks that is not told otherwise.
const fn usual(image: Image, default: Transport) -> Transport {
    match image {
        Image::Linux | Image::LinuxAarch64 => default,
        Image::BareMetal => Transport::Ethernet,
    }
}

/// What a node speaks over its link.
fn transport(
    r: &mut Reader<'_>,
    fields: &Fields<'_>,
    node: &Node,
    default: Transport,
) -> Transport {
    let usual = usual(node.image, default);
    let Some(yaml) = fields.get("transport") else { return usual };
    let given = settings::transport(r, yaml).unwrap_or(usual);
    if node.image == Image::BareMetal && given == Transport::Tcp {
        let message = format!("node \"{}\" is bare metal and has no tcp", node.name);
        r.error(yaml.span, message, "remove it, or write `transport: ethernet`");
    }
    given
}

fn end(
    r: &mut Reader<'_>,
    (span, name): (Span, &str),
    cluster: &Cluster,
    switches: &[Switch],
) -> Option<End> {
    if let Some(switch) = switches.iter().position(|s| s.name == name) {
        return Some(End::Switch(switch));
    }
    if let Some(node) = cluster.nodes.iter().position(|n| n.name == name) {
        return Some(End::Node(node));
    }
    let nodes = cluster.nodes.iter().map(|n| n.name.as_str());
    let known = nodes.chain(switches.iter().map(|s| s.name.as_str()));
    let help = suggestion(name, known.clone()).unwrap_or_else(|| {
        if switches.is_empty() {
            return format!("if it is a switch, add `switches: {{ {name}: {{}} }}`");
        }
        let known: Vec<&str> = known.take(16).collect();
        format!("use one of {}", known.join(", "))
    });
    r.error(span, format!("unknown node or switch \"{name}\" in a link"), help);
    None
}

/// Largest packet of a link: a card has one size for both directions.
fn mtu(r: &mut Reader<'_>, fields: &Fields<'_>) -> u16 {
    let least = u64::try_from(MIN_MTU).unwrap_or(u64::MAX);
    let given = fields
        .get("mtu")
        .and_then(|y| r.within(y, "mtu", (least, MAX_MTU), units::integer, |v| v.to_string()));
    given.and_then(|mtu| u16::try_from(mtu).ok()).unwrap_or(Link::MTU)
}
