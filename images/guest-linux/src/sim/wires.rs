//! What links and cables do between each two nodes of a simulated world, and what cuts of them come to there.

use super::SimNode;
use anyhow::{Result, bail};
use images_control::Configure;
use images_control::sim::{SimCable, SimChange, SimLink, SimPlan, SimProfile, SimTarget};
use runtime_core::id::NodeId;
use runtime_core::node::{Config, Medium};
use runtime_sim::World;
use std::collections::BTreeSet;

/// See the module. Of two directions the first is up.
pub(super) struct Wires {
    /// As in the beginning, and as they are.
    first: Vec<SimLink>,
    links: Vec<SimLink>,
    cables: Vec<SimCable>,
    cables_first: Vec<SimLink>,
    /// Which directions are cut, of the links of nodes and of cables.
    cut_links: Vec<[bool; 2]>,
    cut_cables: Vec<[bool; 2]>,
    /// Ways from one node to another that are cut.
    cut: BTreeSet<(u16, u16)>,
    /// Whose seat each node is, if it is one: on the same machine, behind the same link.
    hosts: Vec<Option<u16>>,
}

impl Wires {
    pub(super) fn new(plan: &SimPlan) -> Self {
        Self {
            first: plan.links.clone(),
            links: plan.links.clone(),
            cables: plan.cables.clone(),
            cables_first: plan.cables.iter().map(|cable| cable.link).collect(),
            cut_links: vec![[false; 2]; plan.links.len()],
            cut_cables: vec![[false; 2]; plan.cables.len()],
            cut: BTreeSet::new(),
            hosts: seats(plan),
        }
    }

    /// These directions carry nothing any more.
    pub(super) fn cut(&mut self, world: &mut World<SimNode>, target: SimTarget, ways: [bool; 2]) {
        let cut = match target {
            SimTarget::Node(node) => self.cut_links.get_mut(usize::from(node)),
            SimTarget::Cable(cable) => self.cut_cables.get_mut(usize::from(cable)),
        };
        if let Some(cut) = cut {
            *cut = [cut[0] || ways[0], cut[1] || ways[1]];
        }
        self.settle_cuts(world);
    }

    /// Some values change: up, and down.
    pub(super) fn degrade(
        &mut self,
        world: &mut World<SimNode>,
        target: SimTarget,
        [up, down]: &[SimChange; 2],
    ) {
        if let Some(link) = self.link(target) {
            *link = SimLink { up: up.of(link.up), down: down.of(link.down) };
        }
        self.set_profiles(world);
    }

    /// All is as in the beginning.
    pub(super) fn heal(&mut self, world: &mut World<SimNode>, target: SimTarget) {
        let (cut, first) = match target {
            SimTarget::Node(node) => {
                let node = usize::from(node);
                (self.cut_links.get_mut(node), self.first.get(node).copied())
            }
            SimTarget::Cable(cable) => {
                let cable = usize::from(cable);
                (self.cut_cables.get_mut(cable), self.cables_first.get(cable).copied())
            }
        };
        if let Some(cut) = cut {
            *cut = [false; 2];
        }
        if let (Some(first), Some(link)) = (first, self.link(target)) {
            *link = first;
        }
        self.settle_cuts(world);
        self.set_profiles(world);
    }

    fn link(&mut self, target: SimTarget) -> Option<&mut SimLink> {
        match target {
            SimTarget::Node(node) => self.links.get_mut(usize::from(node)),
            SimTarget::Cable(cable) => {
                self.cables.get_mut(usize::from(cable)).map(|cable| &mut cable.link)
            }
        }
    }

    /// All ways from one machine to another.
    fn ways(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (count, hosts) = (self.links.len(), self.hosts.clone());
        let pairs = (0..count).flat_map(move |a| (0..count).map(move |b| (a, b)));
        pairs.filter(move |(a, b)| !on_one_machine(&hosts, *a, *b))
    }

    /// A way is cut as long as anything on it is.
    fn settle_cuts(&mut self, world: &mut World<SimNode>) {
        for (a, b) in self.ways() {
            let (from, to) = (machine(&self.hosts, a), machine(&self.hosts, b));
            let mut cables = self.cables.iter().zip(&self.cut_cables);
            let cut = self.cut_links[from][0]
                || self.cut_links[to][1]
                || cables.any(|(cable, cut)| match cable.passes(number(from), number(to)) {
                    Some(true) => cut[0],
                    Some(false) => cut[1],
                    None => false,
                });
            let way = (number(a), number(b));
            if cut && self.cut.insert(way) {
                world.cut(NodeId(way.0), NodeId(way.1), false);
            } else if !cut && self.cut.remove(&way) {
                world.heal(NodeId(way.0), NodeId(way.1));
            }
        }
    }

    /// Between each two nodes, what is there one after the other.
    pub(super) fn set_profiles(&self, world: &mut World<SimNode>) {
        let count = self.links.len();
        let perfect = SimProfile::default();
        for (a, b) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))) {
            let (from, to) = (machine(&self.hosts, a), machine(&self.hosts, b));
            let mut way = vec![&self.links[from].up, &self.links[to].down];
            for cable in &self.cables {
                match cable.passes(number(from), number(to)) {
                    Some(true) => way.push(&cable.link.up),
                    Some(false) => way.push(&cable.link.down),
                    None => {}
                }
            }
            if from == to {
                way = vec![&perfect];
            }
            world.set_profile(NodeId(number(a)), NodeId(number(b)), joined(&way));
        }
    }
}

fn number(node: usize) -> u16 {
    u16::try_from(node).unwrap_or(u16::MAX)
}

/// The machine that a node is on, by the number of its own node.
fn machine(hosts: &[Option<u16>], node: usize) -> usize {
    hosts.get(node).copied().flatten().map_or(node, usize::from)
}

/// What a node and its seat say to each other goes over no link.
fn on_one_machine(hosts: &[Option<u16>], a: usize, b: usize) -> bool {
    machine(hosts, a) == machine(hosts, b)
}

/// Whose seat each node is, if it is one.
fn seats(plan: &SimPlan) -> Vec<Option<u16>> {
    let host =
        |(n, configure): (usize, &Configure)| configure.nodes.get(n).and_then(|spec| spec.host);
    plan.nodes.iter().enumerate().map(host).collect()
}

/// A stream over a link that loses frames is TCP's work; here the datagram link does it, and this says
/// between whom.
pub(super) fn settle_media(plan: &SimPlan, configs: &mut [Config]) -> Result<Option<String>> {
    let hosts = seats(plan);
    let lossy = |link: &SimLink| !is_perfect(&link.up) || !is_perfect(&link.down);
    // A fault may make it so later.
    let degrades = |target: SimTarget| {
        let of_target = plan.faults.iter().filter(|f| f.target == target);
        of_target
            .filter_map(|f| f.changes.as_ref())
            .flatten()
            .any(|c| !is_perfect(&c.of(SimProfile::default())))
    };
    let of_node = |node: usize| {
        plan.links.get(node).is_some_and(lossy) || degrades(SimTarget::Node(number(node)))
    };
    let between = |a: usize, b: usize| {
        let (a, b) = (machine(&hosts, a), machine(&hosts, b));
        let cables = plan.cables.iter().enumerate();
        of_node(a)
            || of_node(b)
            || cables.into_iter().any(|(n, cable)| {
                cable.passes(number(a), number(b)).is_some()
                    && (lossy(&cable.link) || degrades(SimTarget::Cable(number(n))))
            })
    };
    let name = |node: usize| plan.nodes[node].nodes.get(node).map_or("?", |spec| &spec.name);
    let mut changed = Vec::new();
    for (a, b) in (0..configs.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
        let (one, other) = (configs[a].media.get(b), configs[b].media.get(a));
        if one != other {
            bail!("{} and {} do not agree on what is between them", name(a), name(b));
        }
        let over_links = !on_one_machine(&hosts, a, b) && between(a, b);
        if one == Some(&Medium::Stream) && over_links {
            (configs[a].media[b], configs[b].media[a]) = (Medium::Datagram, Medium::Datagram);
            changed.push(format!("{}-{}", name(a), name(b)));
        }
    }
    if changed.is_empty() {
        return Ok(None);
    }
    let all = changed.join(", ");
    Ok(Some(format!("links lose frames: the datagram link stands in for TCP between {all}")))
}

const fn is_perfect(p: &SimProfile) -> bool {
    p.loss_ppm == 0 && p.duplicate_ppm == 0 && p.reorder_ppm == 0 && p.corrupt_ppm == 0
}

/// Links and cables one after the other, as one.
fn joined(parts: &[&SimProfile]) -> netem::Profile {
    // Of all parts, at least one does it.
    let any = |part: fn(&SimProfile) -> u32| {
        let none = parts.iter().map(|p| 1.0 - f64::from(part(p)) / 1e6);
        1.0 - none.product::<f64>()
    };
    let sum = |part: fn(&SimProfile) -> u64| parts.iter().map(|p| part(p)).sum::<u64>();
    let loss = any(|p| p.loss_ppm);
    netem::Profile {
        // A switch and two drivers take their time even where the links take none.
        delay_ns: sum(|p| p.delay_ns) + 20_000,
        jitter_ns: sum(|p| p.jitter_ns),
        loss: if loss > 0.0 { netem::Loss::Random(loss) } else { netem::Loss::None },
        duplicate: any(|p| p.duplicate_ppm),
        reorder: any(|p| p.reorder_ppm),
        corrupt: any(|p| p.corrupt_ppm),
        rate_bits_per_s: parts.iter().map(|p| p.rate_bits_per_s).filter(|rate| *rate > 0).min(),
        ..netem::Profile::default()
    }
}

#[cfg(test)]
mod tests;
