//! Switches and links.

use super::Settings;
use super::fields::{Fields, plausible_name, suggestion};
use super::impairments;
use super::nodes::Cluster;
use super::settings;
use crate::error::{Reader, Span};
use crate::model::{Link, Node, Switch, Transport};
use crate::raw::{Shape, Yaml};
use crate::units;
use runtime_core::limits::MIN_MTU;
use runtime_core::node::{Binding, Image};

/// Keys of a switch.
pub(crate) const SWITCH: &[&str] = &["port-notices"];
/// Keys of a link besides those of [`impairments`].
pub(crate) const LINK: &[&str] = &["between", "transport", "mtu"];
/// Of the largest frames that are usual on Ethernet.
const MAX_MTU: u64 = 9_000;
const EXAMPLE: &str = "write for example `links: [{ between: [n0, sw0], delay: 50us }]`";

/// One end of a link.
#[derive(Clone, Copy, Debug)]
enum End {
    Node(usize),
    Switch(usize),
}

/// Switches by name, and one link per node, in the order of the nodes.
pub(crate) fn links(
    r: &mut Reader<'_>,
    top: &Fields<'_>,
    cluster: &Cluster,
    runtime: &Settings,
) -> (Vec<Switch>, Vec<Link>) {
    let default = runtime.runtime.transport;
    let (switches, links) = all_links(r, top, cluster, default);
    sockets_need_tcp(r, cluster, &links, runtime);
    (switches, links)
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
) -> (Vec<Switch>, Vec<Link>) {
    let (switches, spans) = switches(r, top.get("switches"), cluster);
    let perfect = |node: usize| Link {
        node,
        switch: 0,
        node_first: true,
        up: Link::PERFECT,
        down: Link::PERFECT,
        mtu: Link::MTU,
        transport: usual(cluster.nodes[node].image, default),
    };
    let items = top.get("links").map_or(&[][..], |y| r.items(y, "links", EXAMPLE));
    if items.is_empty() {
        if let [_, second, ..] = spans.as_slice() {
            let help = "add `links:` that say which node is on which switch, or keep one switch";
            r.error(*second, "several switches, but no links", help);
        }
        let switches = if switches.is_empty() {
            vec![Switch { name: "sw0".into(), port_notices: true }]
        } else {
            switches
        };
        return (switches, (0..cluster.nodes.len()).map(perfect).collect());
    }
    let before = r.count();
    let mut found: Vec<Option<(Link, Span)>> = vec![None; cluster.nodes.len()];
    for item in items {
        let Some((link, span)) = link(r, item, cluster, &switches, default) else { continue };
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
    // A link that could not be read would leave its node without one.
    if r.count() == before {
        connected(r, &found, cluster, &switches);
    }
    let links = found.iter().enumerate();
    (switches, links.map(|(node, l)| l.map_or_else(|| perfect(node), |(link, _)| link)).collect())
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
    for (name, span, value) in entries.unwrap_or_default() {
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
        names.push(Switch { name: name.to_string(), port_notices });
        spans.push(span);
    }
    (names, spans)
}

/// Every node has a link, and all are on one switch.
fn connected(
    r: &mut Reader<'_>,
    found: &[Option<(Link, Span)>],
    cluster: &Cluster,
    switches: &[Switch],
) {
    let first = found.iter().flatten().next().map(|(link, _)| link.switch);
    let name = |switch: usize| switches.get(switch).map_or("?", |s| s.name.as_str());
    for (index, link) in found.iter().enumerate() {
        let node = &cluster.nodes[index].name;
        match (link, first) {
            (Some((link, span)), Some(first)) if link.switch != first => {
                let message = format!(
                    "node \"{node}\" is on switch \"{}\", others are on \"{}\": they cannot reach each other",
                    name(link.switch),
                    name(first)
                );
                r.error(
                    *span,
                    message,
                    "put all nodes on one switch: switches cannot be joined yet in this version",
                );
            }
            (None, Some(first)) => {
                let help = format!("add `- {{ between: [{node}, {}] }}` to the links", name(first));
                r.error(
                    cluster.spans[index],
                    format!("node \"{node}\" is not connected to a switch"),
                    help,
                );
            }
            _ => {}
        }
    }
}

fn link(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    cluster: &Cluster,
    switches: &[Switch],
    default: Transport,
) -> Option<(Link, Span)> {
    let keys = [LINK, impairments::KEYS].concat();
    let fields = Fields::read(r, yaml, yaml.span, "a link", &keys, &[])?;
    let changed = impairments::changes(r, &fields, &cluster.macs());
    let [a_to_b, b_to_a] = changed.map(|change| change.of(Link::PERFECT, 0));
    let mtu = mtu(r, &fields);
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
        let transport = transport(r, &fields, &cluster.nodes[node], default);
        let (up, down) = if node_first { (a_to_b, b_to_a) } else { (b_to_a, a_to_b) };
        Some((Link { node, switch, node_first, up, down, mtu, transport }, between.span))
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
                "link both to a switch: `- { between: [node, sw0] }` for each",
            );
            None
        }
        (End::Switch(_), End::Switch(_)) => {
            let message = format!("a link from switch \"{}\" to switch \"{}\"", a.1, b.1);
            r.error(
                between.span,
                message,
                "switches cannot be joined yet in this version: use one switch",
            );
            None
        }
    }
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
