use super::super::nic::MAX_MTU;
use super::super::tests::{A, B, B_MAC, MTU, cable, drain, mac, nic_on, pair, raw};
use super::*;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use runtime_core::notice;
use runtime_driver::ethernet::ETHERTYPE;
use std::os::fd::{AsRawFd, OwnedFd};

/// What node `A`'s card would hear from a card: the bytes of a frame.
fn heard(to: Mac, from: Mac, payload: &[u8]) -> Vec<u8> {
    let mut header = [0; HEADER_BYTES];
    Header { to, from }.emit(&mut header);
    [&header, payload].concat()
}

fn put(end: &OwnedFd, bytes: &[u8]) {
    send(end.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT).unwrap();
}

#[test]
fn every_peer_is_up_at_once() {
    let (mut a, _end) = raw(MTU);
    let happened = drain(&mut a);
    assert_eq!(happened, [(Happening::Up(B), vec![])]);
    a.disconnect(B); // nothing to break
    assert_eq!(drain(&mut a), []);
}

#[test]
fn frames_of_all_sizes_arrive_in_order_both_ways() {
    let (mut a, mut b) = pair(MAX_MTU);
    drain(&mut a);
    drain(&mut b);
    let size = |i: usize| [0, 1, 45, 46, 1500, 4160, MAX_MTU][i % 7];
    let frame = |i: usize| vec![u8::try_from(i).unwrap(); size(i)];
    for i in 0..200 {
        a.send(B, frame(i));
        b.send(A, frame(i + 1));
    }
    let mut got = [Vec::new(), Vec::new()];
    while got.iter().any(|frames| frames.len() < 200) {
        got[0].extend(drain(&mut a));
        got[1].extend(drain(&mut b));
    }
    assert!((0..200).all(|i| got[0][i] == (Happening::Frame(B), frame(i + 1))));
    assert!((0..200).all(|i| got[1][i] == (Happening::Frame(A), frame(i))));
    let counters = a.counters().unwrap();
    assert_eq!(counters, Counters { sent: 200, received: 200, ..Counters::default() });
}

#[test]
fn a_frame_that_is_lost_on_the_way_is_missing_and_nothing_else() {
    let (near, cable_a) = cable();
    let (cable_b, far) = cable();
    let mut a = nic_on(near, A, MTU);
    let mut b = nic_on(far, B, MTU);
    drain(&mut a);
    drain(&mut b);
    let mut buffer = [0; 2048];
    for i in 0..100u8 {
        a.send(B, vec![i; usize::from(i)]);
        let bytes = recv(cable_a.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).unwrap();
        if i % 3 != 1 {
            put(&cable_b, &buffer[..bytes]);
        }
    }
    let got: Vec<u8> =
        drain(&mut b).into_iter().map(|(_, frame)| u8::try_from(frame.len()).unwrap()).collect();
    assert_eq!(got, (0..100).filter(|i| i % 3 != 1).collect::<Vec<u8>>());
}

#[test]
fn the_switch_is_heard_when_it_says_that_a_peers_port_is_down() {
    let (mut a, end) = raw(MTU);
    drain(&mut a);
    let told = |card: Mac| {
        let mut frame = heard(Mac([0xff; 6]), mac(NodeId(99)), &notice::port_down(card.0));
        frame[12..14].copy_from_slice(&notice::ETHERTYPE.to_be_bytes());
        frame.resize(60, 0);
        frame
    };
    put(&end, &told(mac(NodeId(9))));
    let mut damaged = told(B_MAC);
    damaged[HEADER_BYTES + 7] ^= 1;
    put(&end, &damaged);
    put(&end, &told(B_MAC));
    assert_eq!(drain(&mut a), [(Happening::PortDown(B), vec![])]);
}

#[test]
fn what_is_not_for_us_from_a_peer_is_counted_and_dropped() {
    let (mut a, end) = raw(MTU);
    drain(&mut a);
    let (me, stranger) = (mac(A), mac(NodeId(9)));
    let mut other_type = heard(me, B_MAC, b"x");
    other_type[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    put(&end, &heard(me, stranger, b"who?"));
    put(&end, &heard(me, me, b"an echo of our own"));
    put(&end, &heard(stranger, B_MAC, b"flooded by a switch"));
    put(&end, &heard(Mac([0xff; 6]), B_MAC, b"for all"));
    put(&end, &other_type);
    put(&end, &heard(me, B_MAC, &[])[..HEADER_BYTES - 1]);
    put(&end, &[]);
    put(&end, &heard(me, B_MAC, &[0; MTU + 1]));
    put(&end, &heard(me, B_MAC, &[7; 60]));
    assert_eq!(drain(&mut a), [(Happening::Frame(B), vec![7; 60])]);
    let counters = Counters {
        received: 1,
        unknown: 2,
        not_ours: 2,
        malformed: 3,
        oversize: 1,
        ..Counters::default()
    };
    assert_eq!(a.counters().unwrap(), counters);
}

#[test]
fn a_frame_goes_out_with_its_header_and_an_oversize_one_not_at_all() {
    let (mut a, end) = raw(MTU);
    a.send(B, vec![1; MTU + 1]);
    a.send(B, vec![2; MTU]);
    a.send(NodeId(7), vec![3]); // no such peer
    let mut buffer = [0; 2 * MTU];
    let bytes = recv(end.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).unwrap();
    assert_eq!(buffer[..bytes], heard(B_MAC, mac(A), &[2; MTU]));
    assert_eq!(buffer[12..14], ETHERTYPE.to_be_bytes());
    assert_eq!(recv(end.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT), Err(Errno::EAGAIN));
    let counters = a.counters().unwrap();
    assert_eq!(counters, Counters { sent: 1, oversize: 1, ..Counters::default() });
}

#[test]
fn what_the_card_does_not_take_waits_up_to_a_bound_and_in_order() {
    let (mut a, end) = raw(MTU);
    let mut numbers = 0u32..;
    while a.counters().unwrap().queue_full < 5 {
        let number = numbers.next().unwrap();
        a.send(B, [&number.to_le_bytes()[..], &[0; MTU - 4]].concat());
    }
    let offered = u64::from(numbers.start);
    let at_once = a.counters().unwrap().sent;
    assert_eq!(at_once + MAX_WAITING as u64 + 5, offered);
    // The other end reads: what waited follows, and nothing comes twice or out of turn.
    let mut buffer = [0; 2 * MTU];
    let mut got = 0u32;
    loop {
        match recv(end.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(bytes) => {
                assert_eq!(bytes, HEADER_BYTES + MTU);
                assert_eq!(buffer[HEADER_BYTES..HEADER_BYTES + 4], got.to_le_bytes());
                got += 1;
            }
            Err(Errno::EAGAIN) if u64::from(got) == offered - 5 => break,
            Err(Errno::EAGAIN) => drop(a.wait(&[], None).unwrap()),
            Err(errno) => panic!("{errno}"),
        }
    }
    assert_eq!(a.counters().unwrap().sent, offered - 5);
}

#[test]
fn a_cable_that_is_pulled_out_is_counted_and_no_end() {
    let (mut a, end) = raw(MTU);
    drain(&mut a);
    put(&end, &heard(mac(A), B_MAC, b"last words"));
    drop(end);
    assert_eq!(drain(&mut a), [(Happening::Frame(B), b"last words".to_vec())]);
    a.send(B, vec![1]);
    assert_eq!(drain(&mut a), []);
    let counters = a.counters().unwrap();
    assert_eq!((counters.refused, counters.sent, counters.received), (1, 0, 1));
    // It does not spin either: there is nothing to wait for but the end of time.
    assert_eq!(a.wait(&[], Some(Duration::ZERO)).unwrap(), crate::transport::Readable::default());
}

#[test]
fn a_descriptor_or_a_list_of_peers_that_cannot_be_is_refused() {
    let stream = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty());
    let error = Nic::from_socket(stream.unwrap().0, mac(A), MTU).unwrap_err();
    assert!(matches!(error, NicError::NotASocket), "{error}");
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let error = Nic::from_socket(udp.into(), mac(A), MTU).unwrap_err();
    assert!(matches!(error, NicError::NotASocket), "{error}");
    let file = std::fs::File::open("/dev/null").unwrap();
    let error = Nic::from_socket(file.into(), mac(A), MTU).unwrap_err();
    assert!(matches!(error, NicError::NotASocket), "{error}");
    let error = Nic::from_socket(cable().0, mac(A), 100).unwrap_err();
    assert_eq!(error.to_string(), "MTU 100 is not between 256 and 9000");
    let error = Nic::from_socket(cable().0, Mac([0xff; 6]), MTU).unwrap_err();
    assert_eq!(error.to_string(), "ff:ff:ff:ff:ff:ff cannot be the address of a network card");
    for peers in [vec![(B, mac(A))], vec![(B, B_MAC), (NodeId(2), B_MAC)]] {
        let nic = Nic::from_socket(cable().0, mac(A), MTU).unwrap();
        let error = Ethernet::new(A, nic, peers).unwrap_err();
        assert!(error.to_string().ends_with("is the network card of two nodes"), "{error}");
    }
}
