//! Switches, VLANs and cables in words.

use crate::impairment_words::{cable_change_words, cable_words, change_words};
use crate::model::{Cable, Fault, Switch, Target, Topology, Way};
use crate::network::Network;
use crate::units::show_duration;
use runtime_core::node::Quorum;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

impl Topology {
    /// Which switches a cable joins: first the one that the file names first.
    #[must_use]
    pub fn cable_ends(&self, cable: &Cable) -> [&str; 2] {
        cable.ends.map(|end| self.switches.get(end).map_or("?", |s| s.name.as_str()))
    }

    /// The nodes on the side of a cable's first end.
    #[must_use]
    pub fn near(&self, cable: usize) -> Vec<runtime_core::id::NodeId> {
        Network { links: &self.links, cables: &self.cables }.near(cable)
    }

    /// The cables that close rings, and stand by while all are whole: each with the VLANs in which it does.
    #[must_use]
    pub fn spare_cables(&self) -> BTreeMap<usize, BTreeSet<netem::Vlan>> {
        Network { links: &self.links, cables: &self.cables }.spares()
    }

    /// Who is on which switch, and what joins them; nothing of a network of one switch and no VLAN to speak of.
    pub(super) fn network_lines(&self) -> Vec<String> {
        let Some(vlan) = self.links.first().map(|link| link.vlan) else { return Vec::new() };
        if self.cables.is_empty() && vlan == netem::DEFAULT_VLAN {
            return Vec::new();
        }
        let switch = |(n, switch): (usize, &Switch)| {
            let on = self.links.iter().filter(|link| link.switch == n);
            let on: Vec<&str> = on.map(|link| self.nodes[link.node].name.as_str()).collect();
            let on = if on.is_empty() { "no node".into() } else { on.join(", ") };
            format!("{} ({on})", switch.name)
        };
        let switches: Vec<String> = self.switches.iter().enumerate().map(switch).collect();
        let of_vlan = match vlan {
            netem::DEFAULT_VLAN => String::new(),
            vlan => format!(", all nodes in VLAN {vlan}"),
        };
        let mut lines = vec![format!("switches: {}{of_vlan}", switches.join(", "))];
        lines.extend((0..self.cables.len()).map(|cable| self.cable_line(cable)));
        lines
    }

    /// What a cable joins and carries, and what comes of it when it is cut.
    fn cable_line(&self, index: usize) -> String {
        let cable = &self.cables[index];
        let ends = self.cable_ends(cable);
        let mut words = vec![format!("joins {} and {}", ends[0], ends[1])];
        if let Some(vlans) = &cable.vlans {
            let vlans: Vec<String> = vlans.iter().map(ToString::to_string).collect();
            words.push(format!("VLANs {}", vlans.join(", ")));
        }
        let does = cable_words(&cable.a_to_b, &cable.b_to_a, ends);
        words.extend((!does.is_empty()).then_some(does));
        words.extend(self.spare_cables().contains_key(&index).then(|| "stands by".into()));
        format!("cable {}: {}; {}", cable.name, words.join(", "), self.parted_words(index))
    }

    /// What a cut of a cable parts, and which part goes on.
    fn parted_words(&self, cable: usize) -> String {
        let network = Network { links: &self.links, cables: &self.cables };
        let parts = network.parts(&BTreeSet::from([cable]));
        let [most, other] = parts.as_slice() else {
            let ring = !self.spare_cables().is_empty();
            let after = cable_recovery(&self.switches, &self.cables[cable]);
            return if ring {
                let after = show_duration(after);
                format!("cut, it parts nobody from anybody for more than {after}")
            } else {
                "cut, it parts nobody from anybody".into()
            };
        };
        let parted =
            format!("cut, it parts {} from {}", self.names(most, "and"), self.names(other, "and"));
        let is_run = self.run.as_ref().is_some_and(|run| run.program.is_none());
        match self.runtime.quorum {
            Quorum::Majority if is_run && most.len() > other.len() => {
                format!("{parted}: the {} go on", most.len())
            }
            Quorum::Majority if is_run => {
                format!(
                    "{parted}: neither part is a majority, and all stand still until it is healed"
                )
            }
            _ => parted,
        }
    }

    /// `cut what n1 sends`, `cut trunk from front to rear`.
    pub(super) fn cut_words(&self, target: Target, way: Way, names: &str) -> String {
        let Target::Cable(cable) = target else {
            return match way {
                Way::From => format!("cut what {names} sends"),
                _ => format!("cut what is sent to {names}"),
            };
        };
        let [one, other] = self.cables.get(cable).map_or(["?"; 2], |cable| self.cable_ends(cable));
        let (from, to) = if way == Way::From { (one, other) } else { (other, one) };
        format!("cut {names} from {from} to {to}")
    }

    /// `degrade the link of n1 (delay 10ms)`, `degrade trunk (to rear: loss 1%)`.
    pub(super) fn degrade_words(&self, fault: &Fault, names: &str) -> String {
        let changes = fault.changes.as_deref();
        let cable = match fault.target {
            Target::Node(_) => None,
            Target::Cable(cable) => self.cables.get(cable),
        };
        match cable {
            None => {
                let changes = changes.map(change_words).unwrap_or_default();
                format!("degrade the link of {names} ({changes})")
            }
            Some(cable) => {
                let ends = self.cable_ends(cable);
                let changes = changes.map(|c| cable_change_words(c, ends)).unwrap_or_default();
                format!("degrade {names} ({changes})")
            }
        }
    }
}

/// How long after a cut of a cable others carry in its place.
fn cable_recovery(switches: &[Switch], cable: &Cable) -> Duration {
    let of_end = |end: usize| switches.get(end).map(|switch| switch.ring_recovery);
    cable.ends.into_iter().filter_map(of_end).max().unwrap_or_default()
}
