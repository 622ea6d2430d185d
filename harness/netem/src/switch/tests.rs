use super::{Switch, SwitchCounters};

const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
const B: [u8; 6] = [2, 0, 0, 0, 0, 2];
const C: [u8; 6] = [2, 0, 0, 0, 0, 3];
const ALL: [u8; 6] = [0xff; 6];

fn frame(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    [&to[..], &from[..], &[0x88, 0xb5], b"payload"].concat()
}

#[test]
fn unknown_receivers_are_flooded_and_known_ones_are_not() {
    let mut switch = Switch::new(4, 16);
    assert_eq!(switch.forward(0, &frame(B, A)), [1, 2, 3]);
    assert_eq!(switch.forward(2, &frame(A, B)), [0]);
    assert_eq!(switch.forward(0, &frame(B, A)), [2]);
    assert_eq!(switch.port_of(A), Some(0));
    let expected = SwitchCounters { unicast: 2, flooded: 1, ..SwitchCounters::default() };
    assert_eq!(switch.counters(), expected);
}

#[test]
fn broadcast_and_multicast_go_everywhere_but_back() {
    let mut switch = Switch::new(3, 16);
    assert_eq!(switch.forward(1, &frame(ALL, A)), [0, 2]);
    assert_eq!(switch.forward(2, &frame([1, 0, 0x5e, 0, 0, 1], B)), [0, 1]);
    assert_eq!(switch.counters().multicast, 2);
    assert_eq!(switch.port_of(ALL), None);
}

#[test]
fn a_receiver_on_the_same_port_is_filtered() {
    let mut switch = Switch::new(2, 16);
    assert_eq!(switch.forward(0, &frame(ALL, A)), [1]);
    assert!(switch.forward(0, &frame(A, B)).is_empty());
    assert_eq!(switch.counters().filtered, 1);
}

#[test]
fn an_address_that_moves_is_found_at_its_new_port() {
    let mut switch = Switch::new(3, 16);
    let _ = switch.forward(0, &frame(ALL, A));
    let _ = switch.forward(2, &frame(ALL, A));
    assert_eq!(switch.forward(1, &frame(A, B)), [2]);
    assert_eq!(switch.counters().moved, 1);
}

#[test]
fn a_full_table_floods_instead_of_growing() {
    let mut switch = Switch::new(3, 2);
    let _ = switch.forward(0, &frame(ALL, A));
    let _ = switch.forward(1, &frame(ALL, B));
    let _ = switch.forward(2, &frame(ALL, C));
    assert_eq!(switch.counters().table_full, 1);
    assert_eq!(switch.forward(0, &frame(C, A)), [1, 2]);
    assert_eq!(switch.forward(0, &frame(B, A)), [1]);
}

#[test]
fn a_pulled_cable_is_forgotten() {
    let mut switch = Switch::new(3, 16);
    let _ = switch.forward(0, &frame(ALL, A));
    let _ = switch.forward(1, &frame(ALL, B));
    switch.forget(0);
    assert_eq!((switch.port_of(A), switch.port_of(B)), (None, Some(1)));
}

#[test]
fn vlan_tags_make_no_difference() {
    let mut switch = Switch::new(3, 16);
    let tagged = [&ALL[..], &A[..], &[0x81, 0, 0, 5, 0x88, 0xb5], b"payload"].concat();
    assert_eq!(switch.forward(0, &tagged), [1, 2]);
    assert_eq!(switch.forward(1, &frame(A, B)), [0]);
}

#[test]
fn what_is_no_frame_goes_nowhere() {
    let mut switch = Switch::new(2, 16);
    assert!(switch.forward(0, &[]).is_empty());
    assert!(switch.forward(0, &frame(A, B)[..13]).is_empty());
    assert!(switch.forward(0, &frame(A, ALL)).is_empty());
    assert!(switch.forward(2, &frame(A, B)).is_empty());
    assert_eq!(switch.counters().malformed, 4);
    assert_eq!(switch.port_of(B), None);
}
