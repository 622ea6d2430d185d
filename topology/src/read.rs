//! From the tree to the model: each section in a file of its own, all on the helpers of [`fields`].

pub(crate) mod boards;
mod cables;
pub(crate) mod expect;
pub(crate) mod faults;
mod fields;
pub(crate) mod impairments;
pub(crate) mod link_faults;
pub(crate) mod links;
pub(crate) mod mcapi;
pub(crate) mod names;
pub(crate) mod nodes;
pub(crate) mod run;
pub(crate) mod settings;
pub(crate) mod shared;
pub(crate) mod triggers;
pub(crate) mod workloads;

use crate::error::{Reader, Span};
use crate::model::{Expectation, Fault, Topology};
use crate::raw::{Shape, Yaml};
use crate::units;
use crate::{check, memory, program};
use boards::Common;
use fields::{Fields, plausible_name};

pub(crate) use faults::Marks;
pub use impairments::KEYS as LINK_KEYS;
pub use link_faults::Direction;
pub(crate) use link_faults::Spread;
pub(crate) use links::Wiring;
pub use names::event_kinds;
pub(crate) use nodes::{Cluster, least_memory};
pub(crate) use settings::Settings;

pub(crate) const SECTIONS: &[&str] = &[
    "name", "seed", "defaults", "boards", "nodes", "switches", "links", "runtime", "run", "faults",
    "expect",
];

/// A value and where it stands.
#[derive(Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

/// Reads the whole file. `None` or errors in the reader: it cannot be used.
pub(crate) fn topology(r: &mut Reader<'_>, yaml: &Yaml) -> Option<Topology> {
    if matches!(yaml.shape, Shape::Nothing) {
        r.error(Span::default(), "the file is empty", "start from one of topology/examples");
        return None;
    }
    let top = Fields::read(r, yaml, yaml.span, "the topology", SECTIONS, &[])?;
    let name = top.required(r, "name", "add for example `name: my-cluster` at the top");
    let name =
        name.and_then(|y| r.text(y, "name")).filter(|(span, text)| plausible_name(r, *span, text));
    let seed = top.get("seed").and_then(|y| r.parse(y, "seed", units::integer));
    let defaults = nodes::defaults(r, top.get("defaults"));
    let boards = boards::boards(r, top.get("boards"));
    let before = r.count();
    let mut cluster = nodes::nodes(r, &top, &defaults, boards);
    // Errors of a node's role or address would make others follow that are none.
    let sound = r.count() == before;
    let runtime = settings::runtime(r, top.get("runtime"), cluster.nodes.len());
    let settled = r.count() == before;
    let wiring = links::links(r, &top, &cluster, &runtime);
    check::seats(r, &cluster, &runtime);
    let runtime = runtime.runtime;
    let (run, on_mcapi) = run::run(r, top.get("run"));
    let (nodes, boards, cables) = (&cluster.nodes, &cluster.boards, &wiring.cables);
    let names = names::Names { nodes, boards, cables };
    let (faults, named) = faults::faults(r, top.get("faults"), names, &wiring.links);
    let expectations = expect::expectations(r, top.get("expect"), names, &named);
    if run.is_none() && top.get("run").is_none() {
        for section in ["faults", "expect"] {
            if let Some((key, _)) = top.entry(section) {
                let help = "add for example `run: { workload: laplace }`";
                r.error(key, format!("\"{section}\" is given, but nothing to run"), help);
            }
        }
    }
    if sound {
        // Limits that are no numbers would make sums that mean nothing.
        if settled {
            memory::settle(r, &mut cluster, &runtime, on_mcapi.is_some());
        }
        check::codes(r, &cluster, &runtime);
        boards::carriers(r, &cluster, &wiring.shared, on_mcapi.is_some());
        if run.is_some() && on_mcapi.is_none() {
            shared::nobody_uses(r, &wiring.shared);
        }
        match on_mcapi {
            Some(span) => program::check(r, &cluster, &runtime, span, &faults, &expectations),
            None => {
                let whole =
                    check::Whole { nodes: &cluster.nodes, runtime: &runtime, wiring: &wiring };
                check::consequences(r, whole, &faults, &expectations);
            }
        }
    }
    Some(Topology {
        name: name.map(|(_, text)| text.to_string())?,
        seed: seed.unwrap_or(0),
        board_memory: common(&cluster, |common| common.bytes),
        board_carries: common(&cluster, |common| common.carries),
        memory_links: wiring.shared.iter().map(|(ends, _)| *ends).collect(),
        boards: cluster.boards,
        nodes: cluster.nodes,
        switches: wiring.switches,
        links: wiring.links,
        cables: wiring.cables,
        subnet: cluster.subnet,
        runtime,
        run,
        faults: faults.into_iter().map(|(fault, _): (Fault, Marks)| fault).collect(),
        expectations: expectations.into_iter().map(|e: At<Expectation>| e.value).collect(),
    })
}

/// Reads the keys of `degrade` alone.
pub(crate) fn link_changes(
    r: &mut Reader<'_>,
    yaml: &Yaml,
    macs: &[(&str, [u8; 6])],
) -> Option<[netem::Change; 2]> {
    let fields = Fields::read(r, yaml, yaml.span, "degrade", impairments::KEYS, &[])?;
    (!fields.entries().is_empty()).then(|| impairments::changes(r, &fields, macs))
}

/// Something of every board, also of those that the file does not name.
fn common<T: Default + Clone>(cluster: &Cluster, of: impl Fn(&Common) -> T) -> Vec<T> {
    let mut all: Vec<T> = cluster.common.iter().map(of).collect();
    all.resize(cluster.boards.len(), T::default());
    all
}
