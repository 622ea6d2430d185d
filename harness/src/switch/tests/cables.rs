//! Cables between switches, and VLANs across them.

use super::*;
use crate::plan::CablePlan;
use crate::switch::LinkAction;
use images_control::sim::{SimCable, SimLink};
use netem::{Change, Way, vlan_of};

/// `n0` and `n1` on one switch, `n2` and `n3` on another, a cable in between.
fn two_switches() -> Plan {
    let mut plan = plan();
    plan.switches.push(switch("sw1"));
    for (n, node) in plan.nodes.iter_mut().enumerate() {
        node.mac = format!("02:00:00:00:00:{n:02x}");
        node.switch = n / 2;
    }
    plan.cables = vec![cable("trunk", [0, 1])];
    plan
}

pub(super) fn cable(name: &str, ends: [usize; 2]) -> CablePlan {
    let (up, down) = (topology::Link::PERFECT, topology::Link::PERFECT);
    let sim = SimCable { name: name.to_owned(), link: SimLink::default(), near: Vec::new() };
    CablePlan { name: name.to_owned(), ends, vlans: None, up, down, sim }
}

/// The line of the cable.
const TRUNK: usize = 4;

/// Who hears a broadcast.
pub(super) fn hear(fabric: &mut Fabric, now: u64, from: u8) -> Vec<usize> {
    let mut seen = collect(|out| fabric.enter(now, from.into(), &frame(from, 255, 60), out));
    seen.extend(collect(|out| fabric.advance(now + 1_000_000, out)));
    seen.into_iter().map(|(port, _)| port).collect()
}

#[test]
fn switches_learn_who_is_behind_a_cable() {
    let mut fabric = Fabric::new(&two_switches());
    assert_eq!(hear(&mut fabric, 0, 0), [1, 2, 3]);
    let seen = collect(|out| fabric.enter(1, 2, &frame(2, 0, 70), out));
    assert_eq!(seen, [(0, 70)], "as long as it was: the tag is the cable's own");
    let seen = collect(|out| fabric.enter(2, 1, &frame(1, 0, 70), out));
    assert_eq!(seen, [(0, 70)]);
    let status = fabric.status();
    let ports = |n: usize| (status[n].node.as_str(), status[n].switch.as_str(), status[n].cable);
    assert_eq!(
        [ports(3), ports(4), ports(5)],
        [("n3", "sw1", false), ("trunk", "sw0", true), ("trunk", "sw1", true)]
    );
    let bytes = |n: usize| (status[n].out_bytes, status[n].in_bytes);
    assert_eq!([bytes(4), bytes(5)], [(64, 74), (74, 64)], "each with its tag");
}

#[test]
fn a_cable_delays_loses_is_cut_one_way_and_healed() {
    let mut plan = two_switches();
    plan.cables[0].up.delay_ns = 500;
    let mut fabric = Fabric::new(&plan);
    assert_eq!(collect(|out| fabric.enter(0, 0, &frame(0, 255, 60), out)), [(1, 60)]);
    assert_eq!(fabric.next_ns(), Some(500));
    assert_eq!(collect(|out| fabric.advance(500, out)), [(2, 60), (3, 60)]);
    fabric.act(600, TRUNK, &LinkAction::Cut { up: true, down: false });
    assert_eq!(hear(&mut fabric, 700, 0), [1]);
    assert_eq!(hear(&mut fabric, 800, 3), [2, 0, 1], "the other way is whole");
    assert_eq!(fabric.status()[4].link, "cut to sw1; to sw1: delay 500ns");
    assert_eq!(fabric.status()[4].drops, [("cut".to_owned(), 1)]);
    assert_eq!(fabric.status()[5].drops, []);
    fabric.act(900, TRUNK, &LinkAction::Heal);
    let loss = Change { loss: Some(netem::Loss::Random(1.0)), ..Change::default() };
    let changes = Box::new([Change::default(), loss]);
    fabric.act(900, TRUNK, &LinkAction::Change(changes));
    assert_eq!(hear(&mut fabric, 2_000_000, 3), [2]);
    assert_eq!(fabric.status()[5].drops, [("loss".to_owned(), 1)]);
    assert_eq!(hear(&mut fabric, 4_000_000, 0), [1, 2, 3]);
}

#[test]
fn a_lost_port_is_told_behind_cables_but_a_cut_is_nobodys_death() {
    let mut plan = two_switches();
    // Only the switch that loses a port must speak.
    plan.switches.push(switch("sw2"));
    plan.cables.push(cable("far", [1, 2]));
    plan.nodes[3].switch = 2;
    plan.switches[0].port_notices = true;
    let mut fabric = Fabric::new(&plan);
    let mut told = Vec::new();
    fabric.act(0, TRUNK, &LinkAction::Cut { up: true, down: true });
    assert_eq!(fabric.next_ns(), None, "nobody is told of a cut");
    fabric.act(0, TRUNK, &LinkAction::Heal);
    fabric.unplug(100, 1, &mut |port, frame| told.push((port, frame.to_vec())));
    assert_eq!(told.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [0, 2, 3]);
    for (_, frame) in told {
        assert_eq!(frame.len(), 60, "without a tag");
        assert_eq!(notice::parse(&frame[14..]), Some([2, 0, 0, 0, 0, 1]));
    }
    // Whoever cannot be told finds out by silence.
    fabric.act(200, TRUNK, &LinkAction::Cut { up: true, down: true });
    assert_eq!(collect(|out| fabric.unplug(300, 0, out)), []);
}

#[test]
fn a_notice_stays_in_the_vlan_of_its_port() {
    let mut plan = two_switches();
    plan.switches[0].port_notices = true;
    for node in [1, 3] {
        plan.nodes[node].vlan = 10;
    }
    let mut fabric = Fabric::new(&plan);
    assert_eq!(collect(|out| fabric.unplug(0, 0, out)), [(2, 60)]);
    assert_eq!(collect(|out| fabric.unplug(0, 1, out)), [(3, 60)]);
}

#[test]
fn vlans_are_apart_and_a_cable_carries_those_that_it_names() {
    let mut plan = two_switches();
    for node in [1, 3] {
        plan.nodes[node].vlan = 10;
    }
    let mut fabric = Fabric::new(&plan);
    assert_eq!(hear(&mut fabric, 0, 0), [2]);
    assert_eq!(hear(&mut fabric, 1, 3), [1]);
    // A guest that tags its frames itself is in no other VLAN for that.
    let foreign = netem::tagged(&frame(0, 255, 60), 10);
    assert_eq!(collect(|out| fabric.enter(2, 0, &foreign, out)), []);
    assert_eq!(fabric.status()[0].drops, [("foreign VLAN".to_owned(), 1)]);
    plan.cables[0].vlans = Some(vec![10]);
    let mut fabric = Fabric::new(&plan);
    assert_eq!(hear(&mut fabric, 0, 0), [] as [usize; 0]);
    assert_eq!(hear(&mut fabric, 1, 1), [3]);
}

#[test]
fn frames_of_a_recorded_cable_carry_their_vlans_tag() {
    let mut plan = two_switches();
    plan.nodes.iter_mut().for_each(|node| node.vlan = 10);
    let mut fabric = Fabric::new(&plan);
    fabric.tap(TRUNK, true);
    hear(&mut fabric, 0, 0);
    hear(&mut fabric, 1, 3);
    let told = |c: &crate::switch::pcapng::Captured| (c.line, c.way, vlan_of(&c.frame));
    let captured: Vec<_> = fabric.take_captured().iter().map(told).collect();
    assert_eq!(captured, [(TRUNK, Way::Up, Some(10)), (TRUNK, Way::Down, Some(10))]);
    assert_eq!(fabric.ways(TRUNK), ["from sw0 to sw1", "from sw1 to sw0"]);
}

#[test]
fn a_cable_is_recorded_and_counted_beside_the_sockets_of_guests() {
    let (wire, guests) = wire(&two_switches());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trunk.pcapng");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let to = Some((path.clone(), "trunk".to_owned()));
    runtime.block_on(wire.pcap(TRUNK, to)).unwrap();
    guests[0].send(&frame(0, 255, 60)).unwrap();
    assert_eq!(receive(&guests[3]), frame(0, 255, 60));
    let status = runtime.block_on(wire.status());
    assert_eq!(status.len(), 6);
    assert!(status.iter().all(|port| port.open));
    let recorded: Vec<bool> = status.iter().map(|port| port.pcap.is_some()).collect();
    assert_eq!(recorded, [false, false, false, false, true, true]);
    assert_eq!((status[4].out_frames, status[5].in_frames), (1, 1));
    runtime.block_on(wire.pcap(TRUNK, None)).unwrap();
    let (interfaces, packets) = crate::switch::pcapng::tests::read(&std::fs::read(&path).unwrap());
    assert_eq!(interfaces, ["trunk up: from sw0 to sw1", "trunk down: from sw1 to sw0"]);
    assert_eq!(packets.len(), 1);
}
