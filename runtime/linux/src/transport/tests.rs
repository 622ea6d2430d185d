use super::*;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::os::fd::OwnedFd;

mod rtt;
mod veth;

pub(super) const A: NodeId = NodeId(0);
pub(super) const B: NodeId = NodeId(1);
pub(super) const B_MAC: Mac = mac(B);
pub(super) const MTU: usize = 1500;

pub(super) const fn mac(node: NodeId) -> Mac {
    let [high, low] = node.0.to_be_bytes();
    Mac([0x52, 0x54, 0, 0, high, low])
}

/// Two ends of a cable.
pub(super) fn cable() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::SOCK_NONBLOCK).unwrap()
}

/// One of the nodes `A` and `B`, on one end of a cable.
pub(super) fn nic_on(end: OwnedFd, me: NodeId, mtu: usize) -> Transport {
    on(Nic::from_socket(end, mac(me), mtu).unwrap(), me)
}

/// One of the nodes `A` and `B` with this card.
fn on(nic: Nic, me: NodeId) -> Transport {
    let peers = vec![(A, mac(A)), (B, mac(B))];
    Transport::new(me, Generation(1), Network::ethernet(nic, peers)).unwrap()
}

/// Node `A`, and the other end of its cable.
pub(super) fn raw(mtu: usize) -> (Transport, OwnedFd) {
    let (near, far) = cable();
    (nic_on(near, A, mtu), far)
}

/// The nodes `A` and `B` on one cable.
pub(super) fn pair(mtu: usize) -> (Transport, Transport) {
    let (near, far) = cable();
    (nic_on(near, A, mtu), nic_on(far, B, mtu))
}

/// All that has happened by now, with the frames.
pub(super) fn drain(transport: &mut Transport) -> Vec<(Happening, Vec<u8>)> {
    let (mut all, mut frame) = (Vec::new(), Vec::new());
    loop {
        transport.wait(&[], Some(Duration::ZERO)).unwrap();
        let before = all.len();
        while let Some(happening) = transport.next(&mut frame) {
            let is_frame = matches!(happening, Happening::Frame(_));
            all.push((happening, if is_frame { frame.clone() } else { Vec::new() }));
        }
        if all.len() == before {
            return all;
        }
    }
}

fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn a_node_with_peers_of_no_kind_can_wait() {
    let mut alone = Transport::new(A, Generation(1), Network::default()).unwrap();
    alone.send(B, vec![1]);
    alone.disconnect(B);
    assert_eq!(alone.wait(&[], Some(Duration::ZERO)).unwrap(), Readable::default());
    assert_eq!(alone.next(&mut Vec::new()), None);
    assert_eq!(alone.counters(), None);
}

/// Node `A` with `B` on a cable and `C` by TCP; `C` itself; all are up. With it the far end.
fn mixed() -> (Transport, Transport, Transport) {
    let c = NodeId(2);
    let (for_a, for_c) = (listen(), listen());
    let addresses = [for_a.local_addr().unwrap(), for_c.local_addr().unwrap()];
    let (near, far) = cable();
    let nic = Nic::from_socket(near, mac(A), MTU).unwrap();
    let network = Network {
        tcp: Some((for_a, vec![(c, addresses[1])])),
        ethernet: Some((nic, vec![(B, mac(B))])),
        notices: None,
    };
    let mut a = Transport::new(A, Generation(1), network).unwrap();
    let peers = vec![(A, addresses[0])];
    let mut c = Transport::new(c, Generation(1), Network::tcp(for_c, peers)).unwrap();
    let mut b = nic_on(far, B, MTU);
    let mut ups = Vec::new();
    while ups.len() < 4 {
        for transport in [&mut a, &mut b, &mut c] {
            ups.extend(drain(transport));
        }
    }
    assert!(ups.iter().all(|(happening, _)| matches!(happening, Happening::Up(_))), "{ups:?}");
    (a, b, c)
}

#[test]
fn a_frame_goes_the_way_that_its_peer_is_reached_by() {
    let (mut a, mut b, mut c) = mixed();
    a.send(B, b"to b".to_vec());
    a.send(NodeId(2), b"to c".to_vec());
    assert_eq!(drain(&mut b), [(Happening::Frame(A), b"to b".to_vec())]);
    let mut got = Vec::new();
    while got.is_empty() {
        got = drain(&mut c);
    }
    assert_eq!(got, [(Happening::Frame(A), b"to c".to_vec())]);
    // Cutting the one leaves the other.
    a.disconnect(NodeId(2));
    a.disconnect(B);
    b.send(A, b"still here".to_vec());
    assert_eq!(drain(&mut a), [(Happening::Frame(B), b"still here".to_vec())]);
}

#[test]
fn neither_kind_of_peer_starves_the_other() {
    const MANY: usize = 1000;
    let (mut a, mut b, mut c) = mixed();
    for flood_by_card in [true, false] {
        let (flood, word) = if flood_by_card { (&mut b, &mut c) } else { (&mut c, &mut b) };
        word.send(A, b"a word".to_vec());
        for _ in 0..MANY {
            flood.send(A, vec![0; 100]);
        }
        let mut frames: Vec<Vec<u8>> = Vec::new();
        while frames.len() <= MANY {
            for transport in [&mut b, &mut c] {
                assert_eq!(drain(transport), []);
            }
            a.wait(&[], None).unwrap();
            let mut frame = Vec::new();
            while let Some(happening) = a.next(&mut frame) {
                assert!(matches!(happening, Happening::Frame(_)));
                frames.push(frame.clone());
            }
        }
        let at = frames.iter().position(|frame| frame == b"a word").unwrap();
        assert!(at < MANY / 2, "{at} of {MANY} frames came first");
    }
}
