//! Packet sockets on real interfaces: a pair of virtual cards in a network namespace of its own.

use super::*;
use crate::transport::nic::MAX_MTU;
use nix::sched::{CloneFlags, unshare};
use runtime_core::notice;
use runtime_driver::ethernet::{HEADER_BYTES, Header};
use std::process::Command;

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output().map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

fn two_cards() -> Result<(), String> {
    // Of this thread alone, and of the programs that it starts.
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| format!("no network namespace: {errno}"))?;
    let (a, b) = (mac(A), mac(B));
    let (first, second) =
        (format!("va mtu {MAX_MTU} address {a}"), format!("vb mtu {MAX_MTU} address {b}"));
    ip(&format!("link add {first} type veth peer name {second}"))?;
    ip("link set va up")?;
    ip("link set vb up")
}

/// `A` and `B` on two cards of one cable, for a test on a thread of its own.
pub(super) fn on_cards(test: impl FnOnce(Transport, Transport) + Send + 'static) {
    let thread = std::thread::spawn(move || {
        if let Err(reason) = two_cards() {
            println!("SKIPPED, needs the right to make network cards: {reason}");
            return;
        }
        let card = |name, me| on(Nic::open(name, mac(me), MAX_MTU).unwrap(), me);
        let (mut a, mut b) = (card("va", A), card("vb", B));
        assert_eq!(drain(&mut a), [(Happening::Up(B), vec![])]);
        assert_eq!(drain(&mut b), [(Happening::Up(A), vec![])]);
        knock(&mut a, &mut b);
        knock(&mut b, &mut a);
        test(a, b);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Sends until a frame gets through, and none is under way any more: for a while after a card was
/// set up, the kernel throws away what it is given.
fn knock(from: &mut Transport, to: &mut Transport) {
    let to_node = if to.ethernet.as_ref().unwrap().knows(A) { B } else { A };
    for number in 0_u64.. {
        from.send(to_node, number.to_le_bytes().to_vec());
        to.wait(&[], Some(Duration::from_millis(1))).unwrap();
        if drain(to).last().is_some_and(|(_, frame)| *frame == number.to_le_bytes()) {
            return;
        }
    }
}

#[test]
fn the_switch_is_heard_on_a_socket_of_its_own_by_whoever_speaks_tcp() {
    on_cards(|_, _| {
        let heard = Nic::notices("va", mac(A), MAX_MTU).unwrap();
        let network = Network { notices: Some((heard, vec![(B, mac(B))])), ..Network::default() };
        let mut a = Transport::new(A, Generation(1), network).unwrap();
        let teller = Nic::notices("vb", mac(B), MAX_MTU).unwrap();
        let mut header = [0xff; HEADER_BYTES];
        Header { to: Mac([0xff; 6]), from: mac(NodeId(99)) }.emit(&mut header);
        header[12..].copy_from_slice(&notice::ETHERTYPE.to_be_bytes());
        teller.send(&header, &[7; 46]).unwrap();
        teller.send(&header, &notice::port_down(mac(B).0)).unwrap();
        assert_eq!(next_frame(&mut a), (Happening::PortDown(B), vec![]));
    });
}

/// Until something comes in.
fn next_frame(transport: &mut Transport) -> (Happening, Vec<u8>) {
    let mut frame = Vec::new();
    loop {
        if let Some(happening) = transport.next(&mut frame) {
            return (happening, frame);
        }
        transport.wait(&[], None).unwrap();
    }
}

#[test]
fn frames_go_from_card_to_card() {
    on_cards(|mut a, mut b| {
        let before = (a.counters().unwrap(), b.counters().unwrap());
        for size in [0, 24, 1500, 4160, MAX_MTU] {
            a.send(B, vec![5; size]);
            assert_eq!(next_frame(&mut b), (Happening::Frame(A), vec![5; size]));
            b.send(A, vec![6; size]);
            assert_eq!(next_frame(&mut a), (Happening::Frame(B), vec![6; size]));
        }
        // Neither what goes out nor what else there is on the cable comes in.
        assert_eq!(drain(&mut a), []);
        for (transport, was) in [(&mut a, before.0), (&mut b, before.1)] {
            let now = Counters { sent: was.sent + 5, received: was.received + 5, ..was };
            assert_eq!(transport.counters(), Some(now));
            assert_eq!((now.malformed, now.unknown, now.not_ours), (0, 0, 0));
        }
    });
}

#[test]
fn two_nodes_share_a_card_and_neither_hears_what_is_for_the_other() {
    on_cards(|mut a, _b| {
        let c = NodeId(2);
        let nic = Nic::beside("va", mac(c), MAX_MTU).unwrap();
        let mut c_node =
            Transport::new(c, Generation(1), Network::ethernet(nic, vec![(B, mac(B))]));
        let c_node = c_node.as_mut().unwrap();
        let nic = Nic::open("vb", mac(B), MAX_MTU).unwrap();
        let peers = vec![(A, mac(A)), (c, mac(c))];
        let mut b_node = Transport::new(B, Generation(1), Network::ethernet(nic, peers)).unwrap();
        assert_eq!(drain(c_node), [(Happening::Up(B), vec![])]);
        assert_eq!(drain(&mut b_node).len(), 2);
        let before = (a.counters().unwrap(), c_node.counters().unwrap());
        b_node.send(c, vec![1; 100]);
        assert_eq!(next_frame(c_node), (Happening::Frame(B), vec![1; 100]));
        b_node.send(A, vec![2; 100]);
        assert_eq!(next_frame(&mut a), (Happening::Frame(B), vec![2; 100]));
        c_node.send(B, vec![3; 100]);
        assert_eq!(next_frame(&mut b_node), (Happening::Frame(c), vec![3; 100]));
        assert_eq!((drain(&mut a), drain(c_node)), (vec![], vec![]));
        for (now, was) in [(a.counters(), before.0), (c_node.counters(), before.1)] {
            let now = now.unwrap();
            assert_eq!((now.received, now.not_ours), (was.received + 1, 0), "{now:?}");
        }
    });
}

#[test]
fn a_card_that_goes_down_and_up_again_goes_on() {
    on_cards(|mut a, mut b| {
        let sent = a.counters().unwrap().sent;
        ip("link set va down").unwrap();
        a.send(B, vec![1]);
        assert_eq!(drain(&mut a), []);
        let counters = a.counters().unwrap();
        assert_eq!((counters.sent, counters.refused), (sent, 1), "{counters:?}");
        assert!(counters.errors > 0);
        ip("link set va up").unwrap();
        knock(&mut a, &mut b);
        knock(&mut b, &mut a);
    });
}

#[test]
fn what_the_kernel_drops_is_counted() {
    on_cards(|mut a, mut b| {
        let sent = a.counters().unwrap().sent;
        while b.counters().unwrap().overflowed == 0 {
            (0..100).for_each(|_| drop(a.send(B, vec![0; MAX_MTU])));
            assert_eq!(drain(&mut a), []);
        }
        let knocks = b.counters().unwrap().received;
        let got = u64::try_from(drain(&mut b).len()).unwrap();
        let (sent, b) = (a.counters().unwrap().sent - sent, b.counters().unwrap());
        assert_eq!((b.received - knocks, got + b.overflowed), (got, sent));
    });
}

#[test]
fn a_card_that_is_not_there_is_refused() {
    let error = Nic::open("no-such-card", mac(A), MTU).unwrap_err();
    assert_eq!(error.to_string(), "finding the interface: ENODEV: No such device");
}
