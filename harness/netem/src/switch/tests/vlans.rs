//! VLANs: what a port takes, what leaves on it, and that nothing leaks, whatever is sent.

use super::*;
use crate::rng::draw;
use crate::vlan::{MAX_VLAN, Vlan, tagged, untagged, vlan_of};
use std::collections::{BTreeMap, VecDeque};

/// Ports 0 and 1 in VLAN 10, port 2 in VLAN 20, 3 a trunk of all, 4 a trunk of VLAN 20.
fn switch() -> Switch {
    use Port::{Access, Trunk, TrunkOf};
    Switch::new(vec![Access(10), Access(10), Access(20), Trunk, TrunkOf(vec![20])], 64)
}

/// Where a frame leaves, with its tag there.
fn sent(switch: &mut Switch, port: usize, frame: &[u8]) -> Vec<(usize, Option<Vlan>)> {
    let Ok(passage) = switch.forward(port, frame) else { return Vec::new() };
    let ports = passage.ports.iter();
    ports.map(|port| (*port, vlan_of(&switch.dress(*port, passage.vlan, passage.bare())))).collect()
}

#[test]
fn a_vlan_is_flooded_alone_and_its_frames_are_tagged_on_trunks_only() {
    let mut switch = switch();
    assert_eq!(sent(&mut switch, 0, &frame(ALL, A)), [(1, None), (3, Some(10))]);
    assert_eq!(sent(&mut switch, 2, &frame(ALL, B)), [(3, Some(20)), (4, Some(20))]);
    let from_trunk = tagged(&frame(ALL, C), 20);
    assert_eq!(sent(&mut switch, 3, &from_trunk), [(2, None), (4, Some(20))]);
    let passage = switch.forward(3, &from_trunk).unwrap();
    assert_eq!(*switch.dress(2, passage.vlan, passage.bare()), *frame(ALL, C), "as it was sent");
    assert_eq!(*switch.dress(4, passage.vlan, passage.bare()), *from_trunk);
}

#[test]
fn each_vlan_learns_for_itself() {
    let mut switch = switch();
    sent(&mut switch, 0, &frame(ALL, A));
    assert_eq!(sent(&mut switch, 2, &frame(A, B)), [(3, Some(20)), (4, Some(20))], "unknown here");
    assert_eq!(sent(&mut switch, 1, &frame(A, C)), [(0, None)]);
    // The same card in two VLANs, as that of a router would be.
    sent(&mut switch, 3, &tagged(&frame(ALL, A), 20));
    assert_eq!((switch.port_of(10, A), switch.port_of(20, A)), (Some(0), Some(3)));
    assert_eq!(switch.counters().moved, 0);
    switch.forget(3);
    assert_eq!((switch.port_of(10, A), switch.port_of(20, A)), (Some(0), None));
}

#[test]
fn a_card_that_moves_to_another_switch_is_found_behind_the_trunk() {
    let mut switch = switch();
    sent(&mut switch, 0, &frame(ALL, A));
    sent(&mut switch, 3, &tagged(&frame(ALL, A), 10));
    assert_eq!(sent(&mut switch, 1, &frame(A, B)), [(3, Some(10))]);
    assert_eq!(switch.counters().moved, 1);
}

#[test]
fn a_port_takes_what_its_kind_allows() {
    let own = tagged(&frame(ALL, A), 10);
    let cases = [
        (0, frame(ALL, A), true),
        (0, own.clone(), true),
        // A priority and no VLAN.
        (0, tagged(&frame(ALL, A), 0), true),
        (0, tagged(&frame(ALL, A), 20), false),
        (3, own.clone(), true),
        (3, frame(ALL, A), false),
        (3, tagged(&frame(ALL, A), 0), false),
        (3, tagged(&frame(ALL, A), MAX_VLAN), true),
        (4, tagged(&frame(ALL, A), 20), true),
        (4, own, false),
    ];
    for (port, bytes, taken) in cases {
        let mut switch = switch();
        let result = switch.forward(port, &bytes).map(|_| ());
        assert_eq!(result, if taken { Ok(()) } else { Err(Refused::Vlan) }, "{port}: {bytes:?}");
        assert_eq!(switch.counters().foreign, u64::from(!taken));
    }
}

#[test]
fn a_tag_of_its_own_vlan_is_taken_off_a_guests_frame_and_one_behind_it_is_freight() {
    let mut switch = switch();
    let bytes = tagged(&frame(ALL, A), 10);
    let passage = switch.forward(0, &bytes).unwrap();
    assert_eq!(*switch.dress(1, passage.vlan, passage.bare()), *frame(ALL, A));
    // Two tags, so that a second switch would take the inner one for its own.
    let twice = tagged(&tagged(&frame(ALL, A), 20), 10);
    let passage = switch.forward(0, &twice).unwrap();
    assert_eq!((passage.vlan, &passage.ports[..]), (10, &[1, 3][..]));
    let on_trunk = switch.dress(3, passage.vlan, passage.bare());
    assert_eq!(vlan_of(&on_trunk), Some(10));
    assert_eq!(vlan_of(&untagged(&on_trunk)), Some(20));
}

/// Chances of one case.
struct Chance {
    seed: u64,
    next: u64,
}

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.next += 1;
        usize::try_from(draw(self.seed, self.next, bound as u64 - 1)).unwrap()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const VLANS: [Vlan; 3] = [1, 10, 20];

/// A switch and a port of it, twice.
type Ends = [(usize, usize); 2];

/// Switches in a tree. Ports 0 to 3 of each are for guests, those after them for cables.
struct Net {
    switches: Vec<Switch>,
    /// The VLAN of each guest's port.
    access: Vec<[Vlan; 4]>,
    /// One end and the other, and the VLANs that may pass.
    cables: Vec<(Ends, Vec<Vlan>)>,
}

impl Net {
    fn random(chance: &mut Chance) -> Self {
        let count = 1 + chance.below(5);
        let access: Vec<[Vlan; 4]> =
            (0..count).map(|_| [(); 4].map(|()| chance.pick(&VLANS))).collect();
        let mut ports: Vec<Vec<Port>> =
            access.iter().map(|vlans| vlans.map(Port::Access).to_vec()).collect();
        let mut cables = Vec::new();
        for switch in 1..count {
            let other = chance.below(switch);
            let all = chance.below(2) == 0;
            let vlans: Vec<Vlan> =
                VLANS.into_iter().filter(|_| all || chance.below(2) == 0).collect();
            let port = if all { Port::Trunk } else { Port::TrunkOf(vlans.clone()) };
            cables.push(([(other, ports[other].len()), (switch, ports[switch].len())], vlans));
            ports[other].push(port.clone());
            ports[switch].push(port);
        }
        let switches = ports.into_iter().map(|ports| Switch::new(ports, 8)).collect();
        Self { switches, access, cables }
    }

    /// The guests that a frame arrives at, with what arrives.
    fn send(&mut self, at: (usize, usize), frame: &[u8]) -> BTreeMap<(usize, usize), Vec<Vec<u8>>> {
        let mut arrived: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
        let mut under_way = VecDeque::from([(at, frame.to_vec())]);
        while let Some(((switch, port), frame)) = under_way.pop_front() {
            let Ok(passage) = self.switches[switch].forward(port, &frame) else { continue };
            for port in passage.ports.clone() {
                let frame =
                    self.switches[switch].dress(port, passage.vlan, passage.bare()).into_owned();
                let here = |end: &(usize, usize)| *end == (switch, port);
                let cable = self.cables.iter().find(|(ends, _)| ends.iter().any(here));
                match cable {
                    Some((ends, _)) => {
                        let there = ends.iter().copied().find(|end| !here(end)).unwrap();
                        under_way.push_back((there, frame));
                    }
                    None => arrived.entry((switch, port)).or_default().push(frame),
                }
            }
        }
        arrived
    }

    /// Switches that a VLAN reaches from one.
    fn reach(&self, from: usize, vlan: Vlan) -> Vec<usize> {
        let mut reached = vec![from];
        let mut next = 0;
        while next < reached.len() {
            for ([(a, _), (b, _)], vlans) in &self.cables {
                for (one, other) in [(*a, *b), (*b, *a)] {
                    if one == reached[next] && vlans.contains(&vlan) && !reached.contains(&other) {
                        reached.push(other);
                    }
                }
            }
            next += 1;
        }
        reached
    }
}

#[test]
fn whatever_guests_send_in_any_tree_of_switches_nothing_leaks_and_a_broadcast_reaches_all_once() {
    for seed in 0..400 {
        let mut chance = Chance { seed, next: 0 };
        let mut net = Net::random(&mut chance);
        for _ in 0..60 {
            let at = (chance.below(net.switches.len()), chance.below(4));
            let vlan = net.access[at.0][at.1];
            let card = |n: usize| [2, 0, 0, 0, 0, u8::try_from(n).unwrap()];
            // Few cards, so that they move, also between VLANs.
            let to = if chance.below(3) == 0 { ALL } else { card(chance.below(9)) };
            let bare = frame(to, card(chance.below(9)));
            let tag = chance.pick(&[None, None, Some(0), Some(1), Some(10), Some(20)]);
            let inner =
                if chance.below(4) == 0 { tagged(&bare, chance.pick(&VLANS)) } else { bare };
            let sent = tag.map_or_else(|| inner.clone(), |tag| tagged(&inner, tag));
            // What the port takes for the frame, and what others must get of it.
            let (goes, whole) = match vlan_of(&sent) {
                None => (true, sent.clone()),
                Some(tag) => (tag == 0 || tag == vlan, untagged(&sent).into_owned()),
            };
            let reach = net.reach(at.0, vlan);
            let arrived = net.send(at, &sent);
            assert!(goes || arrived.is_empty(), "seed {seed}: a foreign tag passed");
            for ((switch, port), frames) in &arrived {
                assert_eq!(net.access[*switch][*port], vlan, "seed {seed}: it leaked");
                assert!(reach.contains(switch) && (*switch, *port) != at, "seed {seed}");
                assert_eq!(
                    frames.as_slice(),
                    std::slice::from_ref(&whole),
                    "seed {seed}: once, and as it was sent"
                );
            }
            if goes && to == ALL {
                let others = reach.iter().flat_map(|s| (0..4).map(move |p| (*s, p)));
                let others = others.filter(|o| *o != at && net.access[o.0][o.1] == vlan);
                assert_eq!(arrived.len(), others.count(), "seed {seed}: a broadcast reaches all");
            }
        }
    }
}

#[test]
fn a_tag_comes_off_as_it_was_put_on() {
    let bare = frame(A, B);
    for vlan in [1, 10, MAX_VLAN] {
        let with = tagged(&bare, vlan);
        assert_eq!((with.len(), vlan_of(&with)), (bare.len() + 4, Some(vlan)));
        assert_eq!(*untagged(&with), *bare);
    }
    // Priority and drop eligibility stand in the same two bytes.
    let mut urgent = tagged(&bare, 10);
    urgent[14] |= 0xf0;
    assert_eq!(vlan_of(&urgent), Some(10));
    assert_eq!((vlan_of(&bare), vlan_of(&urgent[..15])), (None, None));
    assert_eq!(*untagged(&urgent[..15]), urgent[..15]);
}
