//! What follows from the whole: can what the file breaks be survived the way it expects?

use crate::error::Reader;
use crate::model::{
    Expectation, Fault, Node, OnExhausted, Outcome, Runtime, Strike, Target, Trigger,
};
use crate::read::{At, Cluster, Marks, Settings, Wiring};
use runtime_core::checkpoint::survival::Refusal;
use runtime_core::checkpoint::{Parity, Redundancy};
use runtime_core::id::NodeId;
use runtime_core::limits::{MAX_NODES, MAX_REPLICAS};
use runtime_core::membership::View;
use runtime_core::node::{Image, Quorum, Role};
use runtime_core::sorted::Set;
use std::collections::BTreeSet;

/// What faults strike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) runtime: &'a Runtime,
    pub(crate) wiring: &'a Wiring,
}

/// Checks faults against nodes, and expectations against faults.
pub(crate) fn consequences(
    r: &mut Reader<'_>,
    whole: Whole<'_>,
    faults: &[(Fault, Marks)],
    expectations: &[At<Expectation>],
) {
    let Whole { nodes, runtime, .. } = whole;
    killed_once(r, nodes, faults);
    triggers(r, nodes, faults);
    fills(r, nodes, faults);
    moves(r, nodes, faults);
    takeovers(r, nodes, runtime, faults, expectations);
    ends(r, nodes, faults, expectations);
    stillness(r, whole, faults, expectations);
    let survives = expectations
        .iter()
        .any(|e| matches!(e.value, Expectation::ResultIsReference | Expectation::Takeover { .. }));
    if survives && !faults.is_empty() {
        survivors(r, whole, faults);
    }
}

/// Only the image of Linux has the code for several losses.
pub(crate) fn codes(r: &mut Reader<'_>, cluster: &Cluster, runtime: &Runtime) {
    let Redundancy::Parity(Parity { losses: losses @ 2.., .. }) = runtime.redundancy else {
        return;
    };
    for (node, span) in cluster.nodes.iter().zip(&cluster.spans) {
        if node.image == Image::BareMetal {
            let message = format!(
                "node \"{}\" is bare metal: its image does not have the code that parity for {losses} losses needs",
                node.name
            );
            let help =
                "write `losses: 1` under runtime, checkpoint, keep copies, or write `image: linux`";
            r.error(*span, message, help);
        }
    }
}

/// A seat is a second process beside the node's own.
pub(crate) fn seats(r: &mut Reader<'_>, cluster: &Cluster, settings: &Settings) {
    if settings.runtime.on_exhausted != OnExhausted::DoubleUp {
        return;
    }
    let nodes = &cluster.nodes;
    let (message, help) = if let Some(metal) = nodes.iter().find(|n| n.image == Image::BareMetal) {
        let message = format!(
            "\"{}\" is bare metal: it has one address space, and cannot host two ranks",
            metal.name
        );
        (message, "write `on-exhausted: stop`, or `image: linux` for all nodes".into())
    } else if nodes.len() > MAX_NODES / 2 {
        let message = format!("each of {} nodes has a seat, which makes too many", nodes.len());
        let most = MAX_NODES / 2;
        (message, format!("write `on-exhausted: stop`, or have at most {most} nodes"))
    } else {
        return;
    };
    r.error(settings.on_exhausted, message, help);
}

/// Faults that take a node away and do not give it back.
fn for_good(faults: &[(Fault, Marks)]) -> impl Iterator<Item = &(Fault, Marks)> {
    faults.iter().enumerate().filter_map(|(i, pair)| {
        let taken = pair.0.strike.takes_away() && pair.0.strike != Strike::Reboot;
        (taken && !is_undone(&pair.0, &faults[i..])).then_some(pair)
    })
}

/// Does a later fault undo this one?
fn is_undone(fault: &Fault, later: &[(Fault, Marks)]) -> bool {
    let undoes = |f: &Fault| f.target == fault.target && Some(f.strike) == fault.strike.undone_by();
    later.iter().any(|(f, _)| undoes(f))
}

fn killed_once(r: &mut Reader<'_>, nodes: &[Node], faults: &[(Fault, Marks)]) {
    for (i, (fault, marks)) in faults.iter().enumerate() {
        let kill = |strike| matches!(strike, Strike::Kill | Strike::Crash);
        let kills = |f: &Fault| kill(f.strike) && f.target == fault.target;
        if kills(fault)
            && let Target::Node(node) = fault.target
            && let Some(earlier) = faults[..i].iter().rposition(|(f, _)| kills(f))
            && !is_undone(&faults[earlier].0, &faults[earlier..i])
        {
            let first = &faults[earlier].0;
            let name = &nodes[node.index()].name;
            let help = if first.line == fault.line {
                "it does not come back in between: add for example `for: 1s`".into()
            } else {
                format!("it does not come back after the kill on line {}: remove one", first.line)
            };
            r.error(marks.node, format!("node \"{name}\" is killed twice"), help);
        }
    }
}

/// Only a system of the node's own can be asked for its memory.
fn fills(r: &mut Reader<'_>, nodes: &[Node], faults: &[(Fault, Marks)]) {
    for (fault, marks) in faults.iter().filter(|(f, _)| matches!(f.strike, Strike::Fill(Some(_)))) {
        let Target::Node(node) = fault.target else { continue };
        let node = &nodes[node.index()];
        if node.image == Image::BareMetal {
            let message =
                format!("node \"{}\" is bare metal: its memory cannot be filled", node.name);
            r.error(marks.node, message, "name a node with `image: linux`");
        }
    }
}

/// A rank moves to a standby of its image: one that has no rank, or loses it by another fault.
fn moves(r: &mut Reader<'_>, nodes: &[Node], faults: &[(Fault, Marks)]) {
    let compute: Vec<&Node> = nodes.iter().filter(|n| n.role == Role::Compute).collect();
    for (fault, marks) in faults {
        let (Strike::Migrate(rank), Target::Node(to)) = (fault.strike, fault.target) else {
            continue;
        };
        let (Some(first), to) = (compute.get(rank.index()), &nodes[to.index()]) else {
            continue;
        };
        let own = compute.iter().position(|n| n.id == to.id);
        let frees = |f: &Fault| match f.strike {
            Strike::Migrate(moved) => Some(moved.index()) == own && f.node() != Some(to.id),
            _ => f.strike.takes_away() && f.node() == Some(to.id),
        };
        if to.image != first.image {
            let message = format!(
                "{rank} cannot move to \"{}\": one runs {}, the other {}",
                to.name,
                words(first.image),
                words(to.image)
            );
            let alike = nodes.iter().find(|n| n.role == Role::Standby && n.image == first.image);
            let help = match alike {
                Some(other) => {
                    format!("name a standby of the same image, for example `to: {}`", other.name)
                }
                None => format!("add a standby, for example {}", spare(nodes, first.image)),
            };
            r.error(marks.node, message, help);
        } else if let Some(own) = own
            && !faults.iter().any(|(f, _)| frees(f))
        {
            let message = format!("{rank} cannot move to \"{}\", which has rank {own}", to.name);
            let help = "name a standby, or first move that rank to another node";
            r.error(marks.node, message, help);
        }
    }
}

/// A standby reports no checkpoints until it hosts a rank.
fn triggers(r: &mut Reader<'_>, nodes: &[Node], faults: &[(Fault, Marks)]) {
    for (fault, marks) in faults {
        let (Trigger::Checkpoint { on, .. }
        | Trigger::Barrier { on, .. }
        | Trigger::Iteration { on, .. }) = fault.trigger
        else {
            continue;
        };
        if nodes[on.index()].role == Role::Standby && !marks.on_given {
            let name = &nodes[on.index()].name;
            let other = nodes.iter().find(|n| n.role == Role::Compute).map_or("?", |n| &n.name);
            let does = match fault.trigger {
                Trigger::Checkpoint { .. } => "takes no checkpoints",
                _ => "runs no program",
            };
            let message = format!("standby \"{name}\" {does} before it has a rank");
            let help = format!(
                "watch another node: add `on: {other}` to the trigger (or `on: {name}` if it has a rank by then)"
            );
            r.error(marks.trigger, message, help);
        }
    }
}

/// Who dies for good is dead in the end.
fn ends(
    r: &mut Reader<'_>,
    nodes: &[Node],
    faults: &[(Fault, Marks)],
    expectations: &[At<Expectation>],
) {
    for expected in expectations {
        let Expectation::State { node, outcome } = expected.value else { continue };
        let strikes = |strike| {
            let is = move |(f, _): &&(Fault, Marks)| f.node() == Some(node) && f.strike == strike;
            faults.iter().find(is).map(|(f, _)| f.line)
        };
        let dies = strikes(Strike::Kill).or_else(|| strikes(Strike::Crash));
        if let (Outcome::Rank(_) | Outcome::Standby, Some(line), None) =
            (outcome, dies, strikes(Strike::Reboot))
        {
            let name = &nodes[node.index()].name;
            let message = format!("\"{name}\" is to live in the end, but dies on line {line}");
            let help = format!("expect `{name}: dead`, or add a fault `reboot: {name}`");
            r.error(expected.span, message, help);
        }
    }
}

fn takeovers(
    r: &mut Reader<'_>,
    nodes: &[Node],
    runtime: &Runtime,
    faults: &[(Fault, Marks)],
    expectations: &[At<Expectation>],
) {
    // With seats, who computes can take over as well.
    let doubles = runtime.on_exhausted == OnExhausted::DoubleUp;
    let takes_over = |n: &&Node| doubles || n.role == Role::Standby;
    let standbys: Vec<&Node> = nodes.iter().filter(takes_over).collect();
    for expected in expectations {
        let Expectation::Takeover { of, by, .. } = expected.value else { continue };
        let Node { name, image, .. } = &nodes[of.index()];
        let alike: Vec<&str> =
            standbys.iter().filter(|n| n.image == *image).map(|n| n.name.as_str()).collect();
        if standbys.is_empty() {
            let message = format!("a takeover of \"{name}\" is expected, but there is no standby");
            r.error(
                expected.span,
                message,
                format!("add one, for example {}", spare(nodes, *image)),
            );
        } else if alike.is_empty() {
            let message = format!(
                "a takeover of \"{name}\" is expected, but no standby runs its image, {}",
                words(*image)
            );
            let help = format!(
                "a rank moves only to a standby of the same image: add one, for example {}",
                spare(nodes, *image)
            );
            r.error(expected.span, message, help);
        }
        // Which part of a network goes on is known in the end.
        let strikes = |f: &Fault| f.node().is_none_or(|node| node == of);
        if !faults.iter().any(|(f, _)| strikes(f) && f.strike.takes_away()) {
            let help = format!("add `- {{ at: {{ checkpoint: 2 }}, kill: {name} }}` to the faults");
            r.error(
                expected.span,
                format!("a takeover of \"{name}\" is expected, but no fault kills it"),
                help,
            );
        }
        let Some(by) = by else { continue };
        let heir = &nodes[by.index()];
        if by == of {
            let help = "name the standby in `by`, or leave it out";
            r.error(expected.span, format!("node \"{name}\" cannot take over from itself"), help);
        } else if heir.role == Role::Compute && !doubles && !comes_back(faults, heir) {
            let help = "name a standby in `by`, or leave it out";
            let message = format!(
                "compute node \"{}\" cannot take over: it has a rank of its own",
                heir.name
            );
            r.error(expected.span, message, help);
        } else if heir.image != *image {
            let message = format!(
                "\"{}\" cannot take over from \"{name}\": one runs {}, the other {}",
                heir.name,
                words(heir.image),
                words(*image)
            );
            let help = match alike.first() {
                Some(other) => {
                    format!("name a standby of the same image, for example `by: {other}`")
                }
                None => format!("add a standby, for example {}", spare(nodes, *image)),
            };
            r.error(expected.span, message, help);
        }
    }
}

/// Whoever starts again is a standby from then on.
fn comes_back(faults: &[(Fault, Marks)], node: &Node) -> bool {
    faults.iter().any(|(f, _)| f.node() == Some(node.id) && f.strike == Strike::Reboot)
}

/// As the file calls it.
const fn words(image: Image) -> &'static str {
    match image {
        Image::Linux => "linux",
        Image::LinuxAarch64 => "linux on aarch64",
        Image::BareMetal => "bare-metal",
    }
}

/// A standby to add; it names its image where nodes differ in that.
fn spare(nodes: &[Node], image: Image) -> String {
    if nodes.iter().all(|n| n.image == Image::Linux) {
        "`spare: { role: standby }`".into()
    } else {
        let machine = match image {
            Image::Linux if nodes.iter().any(|n| n.image == Image::LinuxAarch64) => "arch: x86_64",
            Image::Linux => "image: linux",
            Image::LinuxAarch64 => "arch: aarch64",
            Image::BareMetal => "image: bare-metal",
        };
        format!("`spare: {{ role: standby, {machine} }}`")
    }
}

/// `no-takeover` does not go with a takeover, nor with a result after the death of a rank's host.
fn stillness(
    r: &mut Reader<'_>,
    whole: Whole<'_>,
    faults: &[(Fault, Marks)],
    expectations: &[At<Expectation>],
) {
    let nodes = whole.nodes;
    let find = |wanted: fn(&Expectation) -> bool| expectations.iter().find(|e| wanted(&e.value));
    let Some(none) = find(|e| *e == Expectation::NoTakeover) else { return };
    if let Some(other) = find(|e| matches!(e, Expectation::Takeover { .. })) {
        let line = r.line(other.span);
        let help = format!("remove this, or the takeover on line {line}");
        r.error(none.span, "a takeover and no takeover are expected at once", help);
    }
    let mut dies = for_good(faults).filter_map(|(f, _)| f.node());
    let dies = dies.find(|v| nodes[v.index()].role == Role::Compute);
    if let (Some(dead), Some(_)) = (dies, find(|e| *e == Expectation::ResultIsReference)) {
        let name = &nodes[dead.index()].name;
        let message = format!("without a takeover there is no result once \"{name}\" is killed");
        r.error(none.span, message, "expect a takeover, or kill only standbys");
    }
}

/// What is lost at one moment: the nodes themselves, and those that are not with the most when cables are cut.
fn lost_at_once(
    whole: Whole<'_>,
    faults: &[&(Fault, Marks)],
    cut: &mut BTreeSet<usize>,
) -> Set<NodeId> {
    let mut dead = Set::new();
    let before = cut.len();
    for (fault, _) in faults {
        match fault.target {
            Target::Node(node) => {
                dead.insert(node);
            }
            Target::Cable(cable) => {
                cut.insert(cable);
            }
        }
    }
    if cut.len() > before {
        dead.extend(whole.wiring.network().parts(cut).into_iter().skip(1).flatten());
    }
    dead
}

/// Kills with one trigger strike together: one view must survive them all. No moment is empty.
fn by_moment<'f>(faults: &[&'f (Fault, Marks)]) -> Vec<Vec<&'f (Fault, Marks)>> {
    let mut moments: Vec<Vec<&(Fault, Marks)>> = Vec::new();
    for pair in faults.iter().copied() {
        let same =
            |moment: &&mut Vec<&(Fault, Marks)>| same_moment(&pair.0.trigger, &moment[0].0.trigger);
        match moments.iter_mut().find(same) {
            Some(moment) => moment.push(pair),
            None => moments.push(vec![pair]),
        }
    }
    moments
}

/// Walks through the kills: are there hosts for all ranks, copies of the dead, and a majority?
fn survivors(r: &mut Reader<'_>, whole: Whole<'_>, faults: &[(Fault, Marks)]) {
    let Whole { nodes, runtime, wiring } = whole;
    let members = crate::survival::members(nodes, runtime);
    let faults: Vec<&(Fault, Marks)> = for_good(faults).collect();
    let mut cut = BTreeSet::new();
    let mut view = View::of(&members);
    for together in by_moment(&faults) {
        let dead = lost_at_once(whole, &together, &mut cut);
        // The very rule by which the nodes will find a host for each rank.
        let next = view.without(&dead, &members, runtime.redundancy);
        let (before, left) = (view.voters(&members), next.voters(&members));
        let (places, ranks) = (next.members.len(), view.ranks.len());
        let (fault, marks) = together[0];
        let (act, name) = match fault.target {
            Target::Node(node) => ("killing", &nodes[node.index()].name),
            Target::Cable(cable) => ("cutting", &wiring.cables[cable].name),
        };
        if let Some(orphan) = next.orphans().next() {
            let host = next.ranks[orphan.index()];
            let Node { name: host_name, image, .. } = &nodes[host.index()];
            let message = if places < ranks && places > left {
                format!(
                    "{act} \"{name}\" leaves room for {places} of {ranks} ranks, two on each node, but a result is expected"
                )
            } else if places < ranks {
                format!(
                    "{act} \"{name}\" leaves fewer nodes than ranks ({left} and {ranks}), but a result is expected"
                )
            } else {
                format!(
                    "killing \"{host_name}\" leaves its rank no standby of its image, {}, but a result is expected",
                    words(*image)
                )
            };
            let help =
                format!("add a standby, for example {}, or remove a kill", spare(nodes, *image));
            let of_host = faults.iter().find(|(f, _)| places >= ranks && f.node() == Some(host));
            r.error(of_host.map_or(marks.node, |(_, marks)| marks.node), message, help);
            return;
        }
        if runtime.quorum == Quorum::Majority && 2 * left <= before {
            let message =
                format!("{act} \"{name}\" leaves {left} of {before} nodes, which is no majority");
            let help = match fault.target {
                Target::Node(_) => {
                    "add nodes, spread the kills, or set `quorum: fail-stop` in runtime"
                }
                Target::Cable(_) => {
                    "let it end, for example with `for: 2s`, or add nodes to one side"
                }
            };
            r.error(marks.node, message, help);
            return;
        }
        let layout = crate::survival::layout(&members, runtime);
        if let Some(Refusal::NoCopy(rank)) = layout.refusal(&view, &dead) {
            let host = &nodes[view.ranks[rank.index()].index()].name;
            let (message, help) = no_copy(host, dead.len(), runtime);
            r.error(marks.node, message, help);
            return;
        }
        view = next;
    }
}

/// What is wrong when a rank and its copies die, and the remedy.
fn no_copy(host: &str, dead: usize, runtime: &Runtime) -> (String, String) {
    let (loses, most) = match runtime.redundancy {
        Redundancy::Copies(0) => {
            let message =
                format!("the rank of \"{host}\" has no copy anywhere, but a result is expected");
            return (message, "write `replicas: 1` under runtime, checkpoint".into());
        }
        Redundancy::Copies(_) => ("all its copies", "replicas"),
        Redundancy::Parity(_) => ("too much of its group", "losses"),
    };
    let nodes = if dead == 1 { "a node dies".into() } else { format!("{dead} nodes die together") };
    let message =
        format!("the rank of \"{host}\" loses {loses} when {nodes}, but a result is expected");
    let more = dead.min(MAX_REPLICAS);
    let help =
        format!("write `{most}: {more}` under runtime, checkpoint, add nodes, or spread the kills");
    (message, help)
}

/// Do two triggers strike at one moment, whichever node they watch?
fn same_moment(a: &Trigger, b: &Trigger) -> bool {
    match (a, b) {
        (Trigger::Start, Trigger::Start) => true,
        (Trigger::After(a), Trigger::After(b)) => a == b,
        (
            Trigger::Checkpoint { epoch: a, phase: p, .. },
            Trigger::Checkpoint { epoch: b, phase: q, .. },
        ) => a == b && p == q,
        (Trigger::Event { kind: a, nth: n, .. }, Trigger::Event { kind: b, nth: m, .. }) => {
            a == b && n == m
        }
        (Trigger::Barrier { number: a, .. }, Trigger::Barrier { number: b, .. })
        | (Trigger::Iteration { number: a, .. }, Trigger::Iteration { number: b, .. }) => a == b,
        (Trigger::Random { draw: a, .. }, Trigger::Random { draw: b, .. }) => a == b,
        (Trigger::Follows { faults: a, delay: x }, Trigger::Follows { faults: b, delay: y }) => {
            a == b && x == y
        }
        _ => false,
    }
}
