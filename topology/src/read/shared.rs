//! Links from node to node: the memory of their board.

use super::boards::Common;
use super::fields::Fields;
use crate::error::{Reader, Span};
use crate::model::Node;
use crate::raw::{Shape, Yaml};
use crate::read::Cluster;
use runtime_core::id::NodeId;
use runtime_core::node::Image;

/// Is an entry of `links` one from node to node through memory, as far as can be seen before it is read?
pub(super) fn is_one(yaml: &Yaml, cluster: &Cluster) -> bool {
    let Shape::Map(entries) = &yaml.shape else { return false };
    let text = |yaml: &Yaml, is: &dyn Fn(&str) -> bool| matches!(&yaml.shape, Shape::Text(text) if is(text));
    let has = |key: &str, value: &dyn Fn(&Yaml) -> bool| {
        entries.iter().any(|(k, v)| text(k, &|k| k == key) && value(v))
    };
    let nodes = |yaml: &Yaml| match &yaml.shape {
        Shape::List(ends) => {
            ends.len() == 2
                && ends
                    .iter()
                    .all(|end| text(end, &|end| cluster.nodes.iter().any(|n| n.name == end)))
        }
        _ => false,
    };
    has("transport", &|yaml| text(yaml, &|word| word == "shm")) && has("between", &nodes)
}

/// Reads such a link: two x86_64 Linux guests of one board with memory.
pub(super) fn link(r: &mut Reader<'_>, yaml: &Yaml, cluster: &Cluster) -> Option<[NodeId; 2]> {
    let keys = ["between", "transport"];
    let fields = Fields::read(r, yaml, yaml.span, "a link through memory", &keys, &[])?;
    let between = fields.get("between")?;
    let Shape::List(ends) = &between.shape else { return None };
    let node = |yaml: &Yaml| match &yaml.shape {
        Shape::Text(name) => cluster.nodes.iter().find(|n| n.name == *name),
        _ => None,
    };
    let nodes: Vec<&Node> = ends.iter().filter_map(node).collect();
    let [one, other] = nodes[..] else { return None };
    if let Some((message, help)) = objection(one, other, cluster) {
        r.error(between.span, message, help);
        return None;
    }
    Some([one.id, other.id])
}

/// Why two nodes have no memory in common, and the remedy.
fn objection(one: &Node, other: &Node, cluster: &Cluster) -> Option<(String, String)> {
    let (a, b) = (&one.name, &other.name);
    if one.id == other.id {
        let help = "write two nodes: those of one machine share its memory without a link";
        return Some((format!("a link from node \"{a}\" to itself"), help.into()));
    }
    if let Some(node) = [one, other].into_iter().find(|node| node.image != Image::Linux) {
        let message = format!("node \"{}\" has no memory of its board", node.name);
        let help = "only x86_64 Linux guests have it: link both to a switch";
        return Some((message, help.into()));
    }
    let [at, there] = [one, other].map(|node| &cluster.boards[usize::from(node.board)]);
    if one.board != other.board {
        let message = format!(
            "nodes \"{a}\" and \"{b}\" share no memory: they are on boards \"{at}\" and \"{there}\""
        );
        let help = "write the same `board:` for both, or link both to a switch";
        return Some((message, help.into()));
    }
    let bytes =
        cluster.common.get(usize::from(one.board)).map_or(0, |common: &Common| common.bytes);
    if bytes == 0 {
        let message = format!("board \"{at}\" has no memory that its guests share");
        return Some((message, format!("write `{at}: {{ shared-memory: 4MiB }}` under `boards`")));
    }
    None
}

/// Are nodes of this board linked through its memory?
pub(crate) fn is_linked(cluster: &Cluster, links: &[([NodeId; 2], Span)], board: usize) -> bool {
    let on = |node: NodeId| {
        cluster.nodes.get(node.index()).is_some_and(|n| usize::from(n.board) == board)
    };
    links.iter().any(|([one, _], _)| on(*one))
}

/// A workload's nodes talk over switches.
pub(crate) fn nobody_uses(r: &mut Reader<'_>, links: &[([NodeId; 2], Span)]) {
    for (_, span) in links {
        let message = "a workload does not use the memory of a board";
        let help = "remove it, or run a program on MCAPI: `run: { program: ./prog.c }`";
        r.error(*span, message, help);
    }
}
