//! A cluster as a picture: nodes on their boards, switches below them, links between, and cables from switch to switch.

use crate::escape::markup;
use crate::plan::image_name;
use crate::proto::{NodeStatus, PortStatus, Status};
use runtime_core::node::Role;
use std::fmt::Write as _;
use topology::{Cable, Node, Topology};

#[cfg(test)]
mod tests;

/// Of a node's box, in pixels, with the room around it.
const CELL: usize = 150;
const BOX: (usize, usize) = (126, 62);
const TOP: usize = 64;
/// Where switches stand, below the boards.
const SWITCH_TOP: usize = 320;
const SWITCH: (usize, usize) = (120, 34);
/// How far a cable hangs below its switches, for each switch that it passes.
const SLACK: usize = 44;
/// Of its size, so that it can be read where there is little room: then it is moved about.
const LEAST_PERCENT: usize = 65;

/// For the picture alone, which may stand inside a page.
const STYLE: &str = "
  .cluster-graph { font: 12px system-ui, sans-serif; background: #fff }
  .cluster-graph text { fill: #222; text-anchor: middle }
  .cluster-graph .small { font-size: 10px; fill: #666 }
  .cluster-graph .title { font-size: 15px; font-weight: 600; text-anchor: start }
  .cluster-graph .board { fill: #f2f4f7; stroke: #c8ced8 }
  .cluster-graph .node { fill: #fff; stroke: #3b6ea5; stroke-width: 1.5 }
  .cluster-graph .standby { stroke-dasharray: 5 3 }
  .cluster-graph .dead { fill: #f8d7da; stroke: #a33 }
  .cluster-graph .away { fill: #fff3cd; stroke: #a80 }
  .cluster-graph .switch { fill: #dfe7f1; stroke: #3b6ea5 }
  .cluster-graph .link { stroke: #5b6b80; stroke-width: 1.5; fill: none }
  .cluster-graph .impaired { stroke: #a80; stroke-width: 2 }
  .cluster-graph .broken { stroke: #a33; stroke-width: 2; stroke-dasharray: 4 4 }
  @media (prefers-color-scheme: dark) {
    .cluster-graph { background: #16191e }
    .cluster-graph text { fill: #e4e6ea }
    .cluster-graph .small { fill: #a0a6b0 }
    .cluster-graph .board { fill: #20242b; stroke: #3a414c }
    .cluster-graph .node { fill: #2a303a }
    .cluster-graph .dead { fill: #4a2327 }
    .cluster-graph .away { fill: #463a17 }
    .cluster-graph .switch { fill: #2d3a4c }
  }
";

/// What the file says, and how it is now, if that is known.
pub(crate) fn svg(topology: &Topology, status: Option<&Status>) -> String {
    // Nodes of a board stand side by side.
    let mut order: Vec<usize> = (0..topology.nodes.len()).collect();
    order.sort_by_key(|node| topology.nodes[*node].board);
    let width = (order.len() * CELL).max(topology.switches.len() * CELL).max(2 * CELL) + 20;
    let lowest = (0..topology.cables.len()).map(|n| slack(topology, n)).max();
    let height = SWITCH_TOP + SWITCH.1 + lowest.map_or(24, |slack| slack + 50);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cluster-graph\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" style=\"min-width:{}px\" role=\"img\">\n<style>{STYLE}</style>\n",
        width * LEAST_PERCENT / 100
    );
    let title = match status {
        Some(status) => format!("{} ({}): {}", topology.name, status.backend, status.phase),
        None => topology.name.clone(),
    };
    let title = markup(&title);
    // Writing to a string cannot fail.
    let _ = writeln!(
        svg,
        "<title>{title}</title>\n<text class=\"title\" x=\"14\" y=\"24\">{title}</text>"
    );
    boards(&mut svg, topology, &order);
    for (place, node) in order.iter().enumerate() {
        let port =
            status.and_then(|s| s.ports.iter().find(|p| p.node == topology.nodes[*node].name));
        link(&mut svg, topology, *node, place, width, port);
    }
    for (place, node) in order.iter().enumerate() {
        let node = &topology.nodes[*node];
        let state = status.and_then(|s| s.nodes.iter().find(|n| n.name == node.name));
        draw_node(&mut svg, node, place, state);
    }
    for (n, switch) in topology.switches.iter().enumerate() {
        let x = switch_x(topology, n, width);
        let (left, (w, h)) = (x - SWITCH.0 / 2, SWITCH);
        let name = markup(&switch.name);
        let _ = writeln!(
            svg,
            "<rect class=\"switch\" x=\"{left}\" y=\"{SWITCH_TOP}\" width=\"{w}\" height=\"{h}\" rx=\"4\"/>\
             <text x=\"{x}\" y=\"{}\">{name}</text>",
            SWITCH_TOP + 21
        );
    }
    for (n, cable) in topology.cables.iter().enumerate() {
        let is_it = |p: &&PortStatus| p.cable && p.node == cable.name;
        let port = status.and_then(|s| s.ports.iter().find(is_it));
        draw_cable(&mut svg, topology, n, width, port);
    }
    svg + "</svg>\n"
}

fn center(place: usize) -> usize {
    10 + place * CELL + CELL / 2
}

fn switch_x(topology: &Topology, switch: usize, width: usize) -> usize {
    width * (2 * switch + 1) / (2 * topology.switches.len())
}

/// A frame around the nodes of each board.
fn boards(svg: &mut String, topology: &Topology, order: &[usize]) {
    let board = |place: usize| topology.nodes[order[place]].board;
    let mut first = 0;
    while first < order.len() {
        let count = (first..order.len()).take_while(|place| board(*place) == board(first)).count();
        let (x, width) = (10 + first * CELL + 4, count * CELL - 8);
        let name = topology.boards.get(usize::from(board(first))).map_or("", String::as_str);
        let _ = writeln!(
            svg,
            "<rect class=\"board\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{}\" rx=\"8\"/>\
             <text class=\"small\" x=\"{}\" y=\"{}\">{}</text>",
            TOP - 22,
            BOX.1 + 32,
            x + width / 2,
            TOP - 8,
            markup(name)
        );
        first += count;
    }
}

fn draw_node(svg: &mut String, node: &Node, place: usize, state: Option<&NodeStatus>) {
    let (x, (w, h)) = (center(place), BOX);
    let role = if node.role == Role::Standby { "standby" } else { "compute" };
    let mut class = format!("node {role}");
    let mut words = vec![format!("{role}, {}", image_name(node.image))];
    if let Some(state) = state {
        class += match state.state.as_str() {
            "dead" => " dead",
            "ready" => "",
            _ => " away",
        };
        let ranks: Vec<String> = state.ranks.iter().map(|rank| format!("rank {rank}")).collect();
        words
            .push(std::iter::once(state.state.clone()).chain(ranks).collect::<Vec<_>>().join(", "));
    } else {
        words.push(node.address.to_string());
    }
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{}\" y=\"{TOP}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\
         <text x=\"{x}\" y=\"{}\">{}</text>",
        x - w / 2,
        TOP + 21,
        markup(&node.name)
    );
    for (n, line) in words.iter().enumerate() {
        let y = TOP + 38 + 14 * n;
        let _ = writeln!(svg, "<text class=\"small\" x=\"{x}\" y=\"{y}\">{}</text>", markup(line));
    }
}

fn link(
    svg: &mut String,
    topology: &Topology,
    node: usize,
    place: usize,
    width: usize,
    port: Option<&PortStatus>,
) {
    let Some(link) = topology.links.get(node) else { return };
    let mut words = match port {
        Some(port) => port.link.clone(),
        None => topology::profile_words(&link.up, &link.down),
    };
    let class = class(&words, port);
    if link.vlan != netem::DEFAULT_VLAN {
        let sep = if words.is_empty() { "" } else { ", " };
        let _ = write!(words, "{sep}VLAN {}", link.vlan);
    }
    let (x, to) = (center(place), switch_x(topology, link.switch, width));
    let from = TOP + BOX.1;
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{x}\" y1=\"{from}\" x2=\"{to}\" y2=\"{SWITCH_TOP}\"/>"
    );
    for (n, line) in words.split([',', ';']).map(str::trim).filter(|w| !w.is_empty()).enumerate() {
        let y = from + 28 + 13 * n;
        let _ = writeln!(svg, "<text class=\"small\" x=\"{x}\" y=\"{y}\">{}</text>", markup(line));
    }
}

/// How a line looks that does this to frames.
fn class(words: &str, port: Option<&PortStatus>) -> &'static str {
    let is_broken = words.starts_with("cut") || port.is_some_and(|port| !port.open);
    match (is_broken, words.is_empty()) {
        (true, _) => "link broken",
        (false, false) => "link impaired",
        (false, true) => "link",
    }
}

/// How deep a cable hangs: below those before it that join the same switches, with room for their words.
fn slack(topology: &Topology, cable: usize) -> usize {
    let ends = |cable: &Cable| [cable.ends[0].min(cable.ends[1]), cable.ends[0].max(cable.ends[1])];
    let [from, to] = ends(&topology.cables[cable]);
    let above = topology.cables[..cable].iter().filter(|other| ends(other) == [from, to]);
    SLACK * (to - from) + 2 * SLACK * above.count()
}

fn draw_cable(
    svg: &mut String,
    topology: &Topology,
    index: usize,
    width: usize,
    port: Option<&PortStatus>,
) {
    let cable = &topology.cables[index];
    let does = match port {
        Some(port) => port.link.clone(),
        None => topology::cable_words(&cable.a_to_b, &cable.b_to_a, topology.cable_ends(cable)),
    };
    let class = class(&does, port);
    let vlans = cable.vlans.as_ref().map(|vlans| {
        let vlans: Vec<String> = vlans.iter().map(ToString::to_string).collect();
        format!("VLANs {}", vlans.join(", "))
    });
    let words = [Some(does), vlans].into_iter().flatten().filter(|words| !words.is_empty());
    let words = words.collect::<Vec<_>>().join("; ");
    let [from, to] = cable.ends.map(|end| switch_x(topology, end, width));
    let (top, middle) = (SWITCH_TOP + SWITCH.1, (from + to) / 2);
    // The curve's lowest point is half-way to the one that draws it down.
    let slack = slack(topology, index);
    let (lowest, pull) = (top + slack / 2, top + slack);
    let _ = writeln!(
        svg,
        "<path class=\"{class}\" d=\"M {from} {top} Q {middle} {pull} {to} {top}\"/>\
         <text x=\"{middle}\" y=\"{}\">{}</text><text class=\"small\" x=\"{middle}\" y=\"{}\">{}</text>",
        lowest + 16,
        markup(&cable.name),
        lowest + 30,
        markup(&words)
    );
}
