//! Who reaches whom: switches that cables join, VLAN by VLAN.

use crate::model::{Cable, Link};
use netem::{Edge, Vlan};
use runtime_core::id::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Links of nodes and cables between switches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Network<'a> {
    /// In the order of the nodes.
    pub(crate) links: &'a [Link],
    pub(crate) cables: &'a [Cable],
}

/// Switches that are joined have one representative.
#[derive(Debug)]
struct Groups(Vec<usize>);

impl Groups {
    fn of(&self, switch: usize) -> usize {
        let mut at = switch;
        while self.0[at] != at {
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, [a, b]: [usize; 2]) {
        let (a, b) = (self.of(a), self.of(b));
        self.0[b] = a;
    }
}

impl Network<'_> {
    fn groups(&self) -> Groups {
        let ends = self.cables.iter().flat_map(|c| c.ends);
        let last = self.links.iter().map(|l| l.switch).chain(ends).max();
        Groups((0..=last.unwrap_or(0)).collect())
    }

    /// The nodes in parts within which they reach each other while these cables are cut; the largest part first, of
    /// equal ones the first in the file.
    pub(crate) fn parts(&self, cut: &BTreeSet<usize>) -> Vec<Vec<NodeId>> {
        let mut groups: BTreeMap<Vlan, Groups> = BTreeMap::new();
        for link in self.links {
            groups.entry(link.vlan).or_insert_with(|| {
                let mut groups = self.groups();
                let whole =
                    |(n, cable): &(usize, &Cable)| !cut.contains(n) && cable.carries(link.vlan);
                for (_, cable) in self.cables.iter().enumerate().filter(whole) {
                    groups.join(cable.ends);
                }
                groups
            });
        }
        let mut parts: Vec<((Vlan, usize), Vec<NodeId>)> = Vec::new();
        for (node, link) in (0u16..).map(NodeId).zip(self.links) {
            let key = (link.vlan, groups[&link.vlan].of(link.switch));
            match parts.iter_mut().find(|(other, _)| *other == key) {
                Some((_, part)) => part.push(node),
                None => parts.push((key, vec![node])),
            }
        }
        parts.sort_by_key(|(_, part)| usize::MAX - part.len());
        parts.into_iter().map(|(_, part)| part).collect()
    }

    /// The nodes on the side of a cable's first end.
    pub(crate) fn near(&self, cable: usize) -> Vec<NodeId> {
        let near = |link: &Link| {
            let mut groups = self.groups();
            let others = |(n, other): &(usize, &Cable)| *n != cable && other.carries(link.vlan);
            for (_, other) in self.cables.iter().enumerate().filter(others) {
                groups.join(other.ends);
            }
            groups.of(link.switch) == groups.of(self.cables[cable].ends[0])
        };
        let nodes = (0u16..).map(NodeId).zip(self.links);
        nodes.filter(|(_, link)| near(link)).map(|(node, _)| node).collect()
    }

    /// The cables that lead from one switch to another, whatever they carry, if any do.
    pub(crate) fn way(&self, from: usize, to: usize) -> Option<Vec<usize>> {
        // The switch before each that is reached, and the cable from there.
        let mut before: BTreeMap<usize, Option<(usize, usize)>> = BTreeMap::from([(from, None)]);
        let mut next = VecDeque::from([from]);
        while let Some(here) = next.pop_front() {
            for (n, Cable { ends: [a, b], .. }) in self.cables.iter().enumerate() {
                if *a == here || *b == here {
                    let there = if *a == here { *b } else { *a };
                    before.entry(there).or_insert_with(|| {
                        next.push_back(there);
                        Some((here, n))
                    });
                }
            }
        }
        let mut at = before.get(&to)?;
        let mut way = Vec::new();
        while let Some((switch, cable)) = at {
            way.push(*cable);
            at = &before[switch];
        }
        way.reverse();
        Some(way)
    }

    /// The cables that stand by while all are whole, each with the VLANs in which it does; of VLANs that nodes are in.
    pub(crate) fn spares(&self) -> BTreeMap<usize, BTreeSet<Vlan>> {
        let vlans: BTreeSet<Vlan> = self.links.iter().map(|link| link.vlan).collect();
        let mut spares: BTreeMap<usize, BTreeSet<Vlan>> = BTreeMap::new();
        for vlan in vlans {
            let carry = |(_, cable): &(usize, &Cable)| cable.carries(vlan);
            let (numbers, edges): (Vec<usize>, Vec<Edge>) = (self.cables.iter().enumerate())
                .filter(carry)
                .map(|(n, cable)| (n, Edge { ends: cable.ends, whole: true }))
                .unzip();
            for spare in netem::spares(&edges) {
                spares.entry(numbers[spare]).or_default().insert(vlan);
            }
        }
        spares
    }
}

#[cfg(test)]
mod tests;
