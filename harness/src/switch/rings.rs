//! Rings of cables: which of them stand by, and when switches agree on others.

use super::line::{End, Line};
use crate::plan::Plan;
use netem::{Edge, Port, Vlan};
use std::collections::{BTreeMap, BTreeSet};

/// A port of a switch: the switch, and the port's number there.
type Place = (usize, usize);

#[derive(Debug)]
struct Cable {
    name: String,
    line: usize,
    ends: [Place; 2],
    switches: [usize; 2],
    port: Port,
    /// So long after something happens to it, all agree.
    recovery_ns: u64,
}

/// What is so of a cable from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) cable: String,
    pub(crate) text: &'static str,
}

/// Cables that stand by, by VLAN.
type Spares = BTreeMap<Vlan, BTreeSet<usize>>;

/// What all switches agree on. With no ring nothing ever stands by, whatever is cut.
#[derive(Debug, Default)]
pub(super) struct Rings {
    cables: Vec<Cable>,
    vlans: BTreeSet<Vlan>,
    spares: Spares,
    /// When they agree on something else.
    due_ns: Option<u64>,
}

impl Rings {
    /// All cables are whole.
    pub(super) fn new(plan: &Plan, lines: &[Line]) -> Self {
        let cable = |(n, cable): (usize, &crate::plan::CablePlan)| {
            let line = plan.machines() + n;
            let place = |end| match end {
                End::Switch { bridge, port } => Some((bridge, port)),
                End::Node => None,
            };
            let [Some(a), Some(b)] = lines[line].ends.map(place) else { return None };
            let recovery = cable.ends.map(|switch| plan.switches[switch].ring_recovery);
            let recovery_ns = recovery.into_iter().max().unwrap_or_default().as_nanos();
            Some(Cable {
                name: cable.name.clone(),
                line,
                ends: [a, b],
                switches: cable.ends,
                port: cable.vlans.clone().map_or(Port::Trunk, Port::TrunkOf),
                recovery_ns: u64::try_from(recovery_ns).unwrap_or(u64::MAX),
            })
        };
        let cables = plan.cables.iter().enumerate().filter_map(cable).collect();
        let vlans = plan.nodes.iter().map(|node| node.vlan).collect();
        let mut rings = Self { cables, vlans, ..Self::default() };
        rings.spares = rings.wanted(lines);
        rings
    }

    /// What they would agree on now.
    fn wanted(&self, lines: &[Line]) -> Spares {
        let of_vlan = |vlan: &Vlan| {
            let carry = |(_, cable): &(usize, &Cable)| cable.port.carries(*vlan);
            let edge =
                |cable: &Cable| Edge { ends: cable.switches, whole: lines[cable.line].is_whole() };
            let (numbers, edges): (Vec<usize>, Vec<Edge>) = (self.cables.iter().enumerate())
                .filter(carry)
                .map(|(n, cable)| (n, edge(cable)))
                .unzip();
            (*vlan, netem::spares(&edges).into_iter().map(|spare| numbers[spare]).collect())
        };
        self.vlans.iter().map(of_vlan).collect()
    }

    /// Something was done to a line. Switches find out by messages that do not come through, and need their time.
    pub(super) fn done_to(&mut self, now_ns: u64, line: usize, lines: &[Line]) {
        let Some(cable) = self.cables.iter().find(|cable| cable.line == line) else { return };
        let changes = self.wanted(lines) != self.spares;
        self.due_ns = changes.then(|| now_ns.saturating_add(cable.recovery_ns));
    }

    /// When they agree on something else, if anything is to change.
    pub(super) const fn due_ns(&self) -> Option<u64> {
        self.due_ns
    }

    /// They agree on what is best now. Returns each cable of which something else is true than before.
    pub(super) fn settle(&mut self, lines: &[Line]) -> Vec<Told> {
        self.due_ns = None;
        let wanted = self.wanted(lines);
        let before = std::mem::replace(&mut self.spares, wanted);
        let all = |spares: &Spares| spares.values().flatten().copied().collect::<BTreeSet<_>>();
        let (before, after) = (all(&before), all(&self.spares));
        let told = |cable: &usize, text| Told { cable: self.cables[*cable].name.clone(), text };
        let carry = before.difference(&after).map(|cable| told(cable, "carries frames now"));
        carry.chain(after.difference(&before).map(|cable| told(cable, "stands by now"))).collect()
    }

    /// The ports of a switch that stand by.
    pub(super) fn spare_ports(&self, switch: usize) -> BTreeSet<(usize, Vlan)> {
        let of_vlan = |(vlan, cables): (&Vlan, &BTreeSet<usize>)| {
            let ends = cables.iter().flat_map(|cable| self.cables[*cable].ends);
            let here = ends.filter(|(at, _)| *at == switch).map(|(_, port)| (port, *vlan));
            here.collect::<Vec<_>>()
        };
        self.spares.iter().flat_map(of_vlan).collect()
    }

    /// Does a line stand by, in every VLAN that nodes are in and it could carry?
    pub(super) fn stands_by(&self, line: usize) -> bool {
        let Some(n) = self.cables.iter().position(|cable| cable.line == line) else { return false };
        let mut carried = self.vlans.iter().filter(|vlan| self.cables[n].port.carries(**vlan));
        let rests = |vlan: &Vlan| self.spares.get(vlan).is_some_and(|s| s.contains(&n));
        carried.clone().next().is_some() && carried.all(rests)
    }
}
