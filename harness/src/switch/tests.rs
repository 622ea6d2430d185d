mod cables;
mod live;
mod rings;

use super::Fabric;
use super::wire::Wire;
use crate::plan::{
    NodePlan, Plan,
    tests::{plan, switch},
};
use runtime_core::notice;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// A frame from one node to another; node 255 is everybody.
fn frame(from: u8, to: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![0; len];
    frame[..6].copy_from_slice(&if to == 255 { [255; 6] } else { [2, 0, 0, 0, 0, to] });
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, from]);
    frame
}

fn collect(step: impl FnOnce(&mut dyn FnMut(usize, &[u8]))) -> Vec<(usize, usize)> {
    let mut seen = Vec::new();
    step(&mut |port, frame| seen.push((port, frame.len())));
    seen
}

#[test]
fn a_perfect_link_passes_at_once_to_all_and_then_to_one() {
    let mut fabric = Fabric::new(&plan());
    let seen = collect(|out| fabric.enter(0, 0, &frame(0, 255, 60), out));
    assert_eq!(seen, [(1, 60), (2, 60), (3, 60)]);
    let seen = collect(|out| fabric.enter(1, 2, &frame(2, 0, 70), out));
    assert_eq!(seen, [(0, 70)]);
    assert_eq!(fabric.next_ns(), None);
    let status = fabric.status();
    assert_eq!((status[0].in_frames, status[0].out_bytes), (1, 70));
}

#[test]
fn delays_of_both_links_add_up() {
    let mut plan = plan();
    plan.nodes[0].up.delay_ns = 300;
    plan.nodes[1].down.delay_ns = 50;
    let mut fabric = Fabric::new(&plan);
    assert_eq!(collect(|out| fabric.enter(1000, 0, &frame(0, 255, 60), out)), []);
    assert_eq!(fabric.next_ns(), Some(1300));
    assert_eq!(collect(|out| fabric.advance(1299, out)), []);
    assert_eq!(collect(|out| fabric.advance(1300, out)), [(2, 60), (3, 60)]);
    assert_eq!(collect(|out| fabric.advance(1350, out)), [(1, 60)]);
}

/// A millisecond is nobody's concern. What is later is told, and again when it is twice as bad, or no exception.
#[test]
fn frames_that_leave_late_are_counted_and_told() {
    const MS: u64 = 1_000_000;
    let mut plan = plan();
    plan.nodes[0].up.delay_ns = 5 * MS;
    let mut fabric = Fabric::new(&plan);
    let mut told = Vec::new();
    for late_ms in [0, 1, 3, 5, 6, 7, 8, 9] {
        collect(|out| fabric.enter(0, 0, &frame(0, 255, 60), out));
        collect(|out| fabric.advance((5 + late_ms) * MS, out));
        let news = fabric.take_late();
        told.extend(news.map(|(link, news)| (link, news.late_ns / MS, news.scarce)));
    }
    let n0 = || "n0".to_owned();
    assert_eq!(told, [(n0(), 3, false), (n0(), 6, false), (n0(), 7, true)]);
    let late = |p: &crate::proto::PortStatus| (p.held_frames, p.late_frames, p.worst_late_us);
    let status = fabric.status();
    assert_eq!((late(&status[0]), late(&status[1])), ((8, 6, 9_000), (0, 0, 0)));
    let words = crate::table::link_words(&status[0]);
    assert_eq!(words, "down, up: delay 5ms; 6 of 8 frames late, up to 9.0 ms");
}

/// A machine that once in a while is away itself is no reason to push others aside.
#[test]
fn a_late_frame_among_many_is_borne() {
    let mut alarm = super::late::Alarm::default();
    let mut scarce = |late: u64, of: u64| {
        (0..2_000).any(|n| {
            alarm.heed(0, if n % of < late { 2_000_000 } else { 0 });
            alarm.take().is_some_and(|news| news.scarce)
        })
    };
    assert!(!scarce(1, 20));
    assert!(scarce(1, 10));
    assert!(!scarce(1, 10), "it is said once");
}

#[test]
fn lost_frames_are_counted_with_their_reason() {
    let mut plan = plan();
    plan.nodes[0].up.loss = netem::Loss::Random(1.0);
    let mut fabric = Fabric::new(&plan);
    assert_eq!(collect(|out| fabric.enter(0, 0, &frame(0, 255, 60), out)), []);
    assert_eq!(collect(|out| fabric.unplug(0, 3, out)), []);
    assert_eq!(collect(|out| fabric.enter(0, 1, &frame(1, 255, 60), out)), [(0, 60), (2, 60)]);
    let status = fabric.status();
    assert_eq!(status[0].drops, [("loss".to_owned(), 1)]);
    assert_eq!(status[3].drops, [("node gone".to_owned(), 1)]);
}

#[test]
fn all_ports_are_told_once_when_a_node_is_gone_if_the_switch_tells_such_things() {
    let mut plan = plan();
    plan.switches[0].port_notices = true;
    plan.nodes[2].down.delay_ns = 40;
    plan.nodes[1].mac = "52:54:00:00:00:01".to_owned();
    let mut fabric = Fabric::new(&plan);
    let mut told = Vec::new();
    fabric.unplug(100, 1, &mut |port, frame| told.push((port, frame.to_vec())));
    fabric.advance(140, &mut |port, frame| told.push((port, frame.to_vec())));
    assert_eq!(told.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [0, 3, 2]);
    for (_, frame) in told {
        assert_eq!(frame.len(), 60, "the smallest frame");
        assert_eq!((&frame[..6], &frame[12..14]), (&[0xff; 6][..], &[0x88, 0xb6][..]));
        assert_eq!(notice::parse(&frame[14..]), Some([0x52, 0x54, 0, 0, 0, 1]));
    }
    assert_eq!(collect(|out| fabric.unplug(200, 1, out)), [], "it is known");
    fabric.plug(1);
    assert_eq!(collect(|out| fabric.unplug(300, 1, out)), [(0, 60), (3, 60)]);
}

#[test]
fn two_switches_without_a_cable_are_two_networks() {
    let mut plan = plan();
    plan.switches.push(switch("sw1"));
    plan.nodes[2].switch = 1;
    plan.nodes[3].switch = 1;
    let mut fabric = Fabric::new(&plan);
    assert_eq!(collect(|out| fabric.enter(0, 2, &frame(2, 255, 60), out)), [(3, 60)]);
    assert_eq!(collect(|out| fabric.enter(0, 0, &frame(0, 255, 60), out)), [(1, 60)]);
}

/// A wire with a guest's socket on every port. A guest that waits too long fails its test.
fn wire(plan: &Plan) -> (Wire, Vec<UnixDatagram>) {
    let wire = Wire::new(Fabric::new(plan), |_| {}).unwrap();
    let mut guests = Vec::new();
    for port in 0..plan.nodes.len() {
        let (guest, ours) = UnixDatagram::pair().unwrap();
        guest.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        wire.plug(port, ours);
        guests.push(guest);
    }
    (wire, guests)
}

fn receive(guest: &UnixDatagram) -> Vec<u8> {
    let mut bytes = vec![0; 2048];
    let len = guest.recv(&mut bytes).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn guests_hear_each_other_through_sockets() {
    let (_wire, guests) = wire(&plan());
    guests[0].send(&frame(0, 255, 60)).unwrap();
    for guest in &guests[1..] {
        assert_eq!(receive(guest), frame(0, 255, 60));
    }
    guests[3].send(&frame(3, 0, 1514)).unwrap();
    assert_eq!(receive(&guests[0]), frame(3, 0, 1514));
}

#[test]
fn a_seat_has_a_card_of_its_own_on_the_cable_of_its_machine() {
    let mut plan = plan();
    let address = |n: u8| format!("02:00:00:00:00:{n:02x}");
    (0u8..).zip(&mut plan.nodes).for_each(|(n, node)| node.mac = address(n));
    // Of n0 a process, of n1 in the guest.
    for (n, host) in [(4, 0), (5, 1)] {
        let mac = address(n);
        plan.nodes.push(NodePlan { host: Some(host), mac, ..plan.nodes[host].clone() });
    }
    let (wire, guests) = wire(&plan);
    wire.unplug(5);
    guests[2].send(&frame(2, 255, 60)).unwrap();
    for node in [0, 1, 3, 4] {
        assert_eq!(receive(&guests[node]), frame(2, 255, 60), "{node}");
    }
    // The switch learns where each is; of one port, one after the other.
    for (from, card) in [(0, 0), (4, 4), (1, 1), (5, 1)] {
        guests[card].send(&frame(from, 2, 62)).unwrap();
        assert_eq!(receive(&guests[2]), frame(from, 2, 62));
    }
    for (to, card, len) in [(0, 0, 63), (4, 4, 64), (1, 1, 65), (5, 1, 66)] {
        guests[2].send(&frame(2, to, len)).unwrap();
        assert_eq!(receive(&guests[card]), frame(2, to, len), "{to}");
    }
    // A seat that goes takes nothing along; with its machine the port is down, for the seat as well.
    wire.unplug(4);
    guests[2].send(&frame(2, 0, 67)).unwrap();
    assert_eq!(receive(&guests[0]).len(), 67);
    wire.unplug(0);
    // The answer comes when the cable is out: until then the next frame might be read with the one before.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let status = runtime.block_on(wire.status());
    guests[2].send(&frame(2, 4, 68)).unwrap();
    assert_eq!(receive(&guests[1]).len(), 68, "the switch knows no more where it is");
    assert_eq!(status.len(), 4, "ports are of machines");
    assert!(!status[0].open && status[1].open);
}

#[test]
fn a_delayed_frame_arrives_without_another_to_push_it() {
    let mut plan = plan();
    plan.nodes[1].down.delay_ns = 2_000_000;
    let (_wire, guests) = wire(&plan);
    guests[0].send(&frame(0, 255, 99)).unwrap();
    assert_eq!(receive(&guests[1]).len(), 99);
}

#[test]
fn a_guest_that_reads_late_loses_nothing_and_the_order_stays() {
    let (_wire, guests) = wire(&plan());
    // More than a socket holds: the rest waits in the switch.
    let count: u8 = 200;
    for n in 0..count {
        let mut frame = frame(0, 255, 60);
        frame[20] = n;
        guests[0].send(&frame).unwrap();
    }
    for n in 0..count {
        assert_eq!(receive(&guests[1])[20], n);
    }
}

#[test]
fn a_dead_guest_does_not_disturb_the_others() {
    let (wire, mut guests) = wire(&plan());
    drop(guests.remove(1));
    guests[0].send(&frame(0, 255, 60)).unwrap();
    assert_eq!(receive(&guests[1]).len(), 60);
    assert_eq!(receive(&guests[2]).len(), 60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let status = runtime.block_on(wire.status());
    assert!(!status[1].open && status[2].open);
    assert_eq!(status[1].drops, [("node gone".to_owned(), 1)]);
}
