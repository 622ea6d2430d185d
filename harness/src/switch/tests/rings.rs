//! Rings of cables: one stands by, and takes over when another is cut.

use super::cables::{cable, hear};
use super::*;
use crate::switch::LinkAction;

/// `n0` and `n1` on one switch, `n2` and `n3` each on another, and a cable between each two of them.
fn ring() -> Plan {
    let mut plan = plan();
    plan.switches.extend([switch("sw1"), switch("sw2")]);
    for (node, at) in plan.nodes.iter_mut().zip([0, 0, 1, 2]) {
        node.switch = at;
    }
    plan.cables = vec![cable("a", [0, 1]), cable("b", [1, 2]), cable("c", [2, 0])];
    plan
}

/// Lines of the cables.
const A: usize = 4;
const C: usize = 6;
const CUT: LinkAction = LinkAction::Cut { up: true, down: true };
/// When the switches have agreed after something at time 0.
const AGREED: u64 = 200_000_000;

fn told(fabric: &mut Fabric) -> Vec<String> {
    fabric.take_told().iter().map(|told| format!("{} {}", told.cable, told.text)).collect()
}

fn sorted(mut heard: Vec<usize>) -> Vec<usize> {
    heard.sort_unstable();
    heard
}

#[test]
fn frames_do_not_go_round_a_ring_and_arrive_once() {
    let mut fabric = Fabric::new(&ring());
    for (from, others) in [(0, [1, 2, 3]), (2, [0, 1, 3]), (3, [0, 1, 2])] {
        assert_eq!(sorted(hear(&mut fabric, 0, from)), others);
    }
    let status = fabric.status();
    let links: Vec<&str> = status[4..].iter().map(|port| port.link.as_str()).collect();
    assert_eq!(links, ["", "", "", "", "stands by", "stands by"], "both ends of the last cable");
    assert_eq!((status[8].out_frames, status[9].out_frames), (0, 0));
}

#[test]
fn a_cut_cable_of_a_ring_is_missed_until_the_switches_agree_and_comes_back_when_it_is_whole() {
    let mut fabric = Fabric::new(&ring());
    hear(&mut fabric, 0, 2);
    fabric.act(0, A, &CUT);
    assert_eq!(fabric.next_ns(), Some(AGREED));
    assert_eq!(hear(&mut fabric, 1, 0), [1], "the cut parts the ring for now");
    assert!(fabric.take_told().is_empty());
    collect(|out| fabric.advance(AGREED, out));
    assert_eq!(told(&mut fabric), ["c carries frames now", "a stands by now"]);
    assert_eq!(sorted(hear(&mut fabric, AGREED, 0)), [1, 2, 3]);
    // What was learned before the cut leads nowhere any more.
    let seen = collect(|out| fabric.enter(AGREED, 0, &frame(0, 2, 70), out));
    assert!(seen.contains(&(2, 70)), "{seen:?}");
    assert_eq!(fabric.status()[4].link, "stands by; cut");
    fabric.act(2 * AGREED, A, &LinkAction::Heal);
    assert_eq!(sorted(hear(&mut fabric, 2 * AGREED, 0)), [1, 2, 3], "over the other one still");
    collect(|out| fabric.advance(3 * AGREED, out));
    assert_eq!(told(&mut fabric), ["a carries frames now", "c stands by now"]);
    assert_eq!(sorted(hear(&mut fabric, 3 * AGREED, 3)), [0, 1, 2]);
}

#[test]
fn what_is_whole_again_in_time_or_was_never_missed_changes_nothing() {
    let mut fabric = Fabric::new(&ring());
    fabric.act(0, A, &LinkAction::Cut { up: true, down: false });
    assert_eq!(fabric.next_ns(), Some(AGREED), "whoever hears nothing back cannot use it either");
    fabric.act(1, A, &LinkAction::Heal);
    assert_eq!(fabric.next_ns(), None);
    fabric.act(2, C, &CUT);
    assert_eq!(fabric.next_ns(), None, "it stood by");
    assert_eq!(sorted(hear(&mut fabric, 3, 0)), [1, 2, 3]);
    // Now none is left to take over.
    fabric.act(4, A, &CUT);
    assert_eq!(fabric.next_ns(), None);
    assert_eq!(hear(&mut fabric, AGREED + 5, 0), [1]);
    assert_eq!(sorted(hear(&mut fabric, AGREED + 5, 2)), [3]);
}

#[test]
fn each_vlan_has_a_spare_of_its_own_and_the_slower_switch_decides_when() {
    let mut plan = ring();
    for node in [1, 3] {
        plan.nodes[node].vlan = 10;
    }
    // VLAN 10 has no ring: one cable does not carry it.
    plan.cables[1].vlans = Some(vec![1]);
    plan.switches[1].ring_recovery = Duration::from_millis(300);
    let mut fabric = Fabric::new(&plan);
    assert_eq!(hear(&mut fabric, 0, 1), [3]);
    assert_eq!(hear(&mut fabric, 0, 0), [2]);
    assert_eq!(fabric.status()[8].link, "", "it carries one of the two");
    fabric.act(0, A, &CUT);
    assert_eq!(fabric.next_ns(), Some(300_000_000));
    collect(|out| fabric.advance(300_000_000, out));
    assert_eq!(
        (hear(&mut fabric, 300_000_000, 0), hear(&mut fabric, 300_000_000, 1)),
        (vec![2], vec![3])
    );
}
