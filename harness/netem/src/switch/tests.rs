mod vlans;

use super::{Passage, Port, Refused, Switch, SwitchCounters};
use crate::vlan::DEFAULT_VLAN;

const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];
const C: [u8; 6] = [2, 0, 0, 0, 0, 3];
const ALL: [u8; 6] = [0xff; 6];

fn frame(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    [&to[..], &from[..], &[0x88, 0xb5], b"payload"].concat()
}

/// So many ports, all in one VLAN.
fn switch(ports: usize, limit: usize) -> Switch {
    Switch::new(vec![Port::default(); ports], limit)
}

/// The ports on which a frame leaves; none if it is refused.
fn forward(switch: &mut Switch, port: usize, frame: &[u8]) -> Vec<usize> {
    switch.forward(port, frame).map_or_else(|_| Vec::new(), |passage| passage.ports)
}

fn port_of(switch: &Switch, mac: [u8; 6]) -> Option<usize> {
    switch.port_of(DEFAULT_VLAN, mac)
}

#[test]
fn unknown_receivers_are_flooded_and_known_ones_are_not() {
    let mut switch = switch(4, 16);
    assert_eq!(forward(&mut switch, 0, &frame(B, A)), [1, 2, 3]);
    assert_eq!(forward(&mut switch, 2, &frame(A, B)), [0]);
    assert_eq!(forward(&mut switch, 0, &frame(B, A)), [2]);
    assert_eq!(port_of(&switch, A), Some(0));
    let expected = SwitchCounters { unicast: 2, flooded: 1, ..SwitchCounters::default() };
    assert_eq!(switch.counters(), expected);
}

#[test]
fn broadcast_and_multicast_go_everywhere_but_back() {
    let mut switch = switch(3, 16);
    assert_eq!(forward(&mut switch, 1, &frame(ALL, A)), [0, 2]);
    assert_eq!(forward(&mut switch, 2, &frame([1, 0, 0x5e, 0, 0, 1], B)), [0, 1]);
    assert_eq!(switch.counters().multicast, 2);
    assert_eq!(port_of(&switch, ALL), None);
}

#[test]
fn a_receiver_on_the_same_port_is_filtered() {
    let mut switch = switch(2, 16);
    assert_eq!(forward(&mut switch, 0, &frame(ALL, A)), [1]);
    assert!(forward(&mut switch, 0, &frame(A, B)).is_empty());
    assert_eq!(switch.counters().filtered, 1);
}

#[test]
fn an_address_that_moves_is_found_at_its_new_port() {
    let mut switch = switch(3, 16);
    forward(&mut switch, 0, &frame(ALL, A));
    forward(&mut switch, 2, &frame(ALL, A));
    assert_eq!(forward(&mut switch, 1, &frame(A, B)), [2]);
    assert_eq!(switch.counters().moved, 1);
}

#[test]
fn a_full_table_floods_instead_of_growing() {
    let mut switch = switch(3, 2);
    forward(&mut switch, 0, &frame(ALL, A));
    forward(&mut switch, 1, &frame(ALL, B));
    forward(&mut switch, 2, &frame(ALL, C));
    assert_eq!(switch.counters().table_full, 1);
    assert_eq!(forward(&mut switch, 0, &frame(C, A)), [1, 2]);
    assert_eq!(forward(&mut switch, 0, &frame(B, A)), [1]);
}

#[test]
fn a_pulled_cable_is_forgotten() {
    let mut switch = switch(3, 16);
    forward(&mut switch, 0, &frame(ALL, A));
    forward(&mut switch, 1, &frame(ALL, B));
    switch.forget(0);
    assert_eq!((port_of(&switch, A), port_of(&switch, B)), (None, Some(1)));
}

#[test]
fn what_is_no_frame_goes_nowhere() {
    let mut switch = switch(2, 16);
    for (port, bytes) in
        [(0, vec![]), (0, frame(A, B)[..13].to_vec()), (0, frame(A, ALL)), (2, frame(A, B))]
    {
        assert_eq!(switch.forward(port, &bytes), Err(Refused::Malformed));
    }
    assert_eq!(switch.counters().malformed, 4);
    assert_eq!(port_of(&switch, B), None);
}

#[test]
fn a_frame_that_stays_in_its_vlan_is_not_copied() {
    let mut switch = switch(2, 16);
    let bytes = frame(ALL, A);
    let passage = switch.forward(0, &bytes).unwrap();
    let is_borrowed =
        |bytes: &std::borrow::Cow<'_, [u8]>| matches!(bytes, std::borrow::Cow::Borrowed(_));
    let Passage { vlan, bare, .. } = &passage;
    assert_eq!(*vlan, DEFAULT_VLAN);
    assert!(is_borrowed(bare) && is_borrowed(&switch.dress(1, passage.vlan, passage.bare())));
}
