use super::*;
use images_control::{Nic as NicSpec, RuntimeSpec};
use runtime_core::node::{Binding, Image, Quorum, Role};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixDatagram;

const TCP: Transport = Transport::Tcp;
const ETHERNET: Transport = Transport::Ethernet;

/// Node 0 of as many as there are transports, the first of which is its own.
pub(crate) fn configure(transports: &[Transport], nic: Option<NicSpec>) -> Configure {
    let node = |(i, transport): (usize, &Transport)| NodeSpec {
        name: format!("n{i}"),
        role: Role::Compute,
        board: 0,
        image: Image::Linux,
        transport: *transport,
        address: if i == 0 { "127.0.0.1:0".into() } else { format!("127.0.0.1:{i}") },
        mac: format!("52:54:00:00:00:{i:02x}"),
        host: None,
    };
    let nodes = transports.iter().enumerate().map(node).collect();
    let runtime = RuntimeSpec {
        binding: Binding::Mcapi,
        quorum: Quorum::Majority,
        heartbeat_us: 1,
        suspect_after: 1,
        join_timeout_us: 1,
        redundancy: runtime_core::checkpoint::Redundancy::Copies(1),
        checkpoint: runtime_core::node::Policy::Program,
        shared_bytes: 0,
        heap_bytes: 0,
        stack_bytes: 0,
    };
    Configure {
        node: 0,
        generation: 1,
        nodes,
        nic,
        board_memory: None,
        runtime,
        holds: Vec::new(),
        bench: None,
        program: None,
    }
}

fn nic(fd: Option<i32>) -> Option<NicSpec> {
    let (mac, address) = ("52:54:00:00:00:00".into(), "10.0.0.1".into());
    Some(NicSpec { mac, address, prefix: 24, mtu: 9000, fd })
}

fn error(configure: &Configure) -> String {
    format!("{:#}", network(configure, None).unwrap_err())
}

#[test]
fn tcp_alone_needs_no_card_and_ethernet_alone_no_listener() {
    let only_tcp = configure(&[ETHERNET, TCP, TCP], None);
    let made = network(&only_tcp, None).unwrap();
    let (_, peers) = made.tcp.as_ref().unwrap();
    let address = |i: u16| (NodeId(i), SocketAddr::from(([127, 0, 0, 1], i)));
    assert_eq!(*peers, [address(1), address(2)]);
    assert!(made.ethernet.is_none());
    assert_eq!(places(&only_tcp, &made), "listens at 127.0.0.1:0");

    let (near, _far) = UnixDatagram::pair().unwrap();
    let mut only_ethernet = configure(&[TCP, ETHERNET], nic(Some(near.into_raw_fd())));
    only_ethernet.nodes[0].address = "nowhere".into();
    let made = network(&only_ethernet, None).unwrap();
    assert!(made.tcp.is_none());
    assert_eq!(places(&only_ethernet, &made), "speaks Ethernet as 52:54:00:00:00:00");
    let (card, peers) = made.ethernet.unwrap();
    assert_eq!((card.mtu(), peers), (9000, vec![(NodeId(1), Mac([0x52, 0x54, 0, 0, 0, 1]))]));
}

#[test]
fn each_peer_is_reached_as_it_is_said() {
    let (near, _far) = UnixDatagram::pair().unwrap();
    let mixed = configure(&[TCP, ETHERNET, TCP, ETHERNET], nic(Some(near.into_raw_fd())));
    let made = network(&mixed, None).unwrap();
    let nodes = |peers: &[NodeId]| peers.iter().map(|node| node.0).collect::<Vec<_>>();
    let tcp: Vec<NodeId> = made.tcp.unwrap().1.into_iter().map(|(node, _)| node).collect();
    let card: Vec<NodeId> = made.ethernet.unwrap().1.into_iter().map(|(node, _)| node).collect();
    assert_eq!((nodes(&tcp), nodes(&card)), (vec![2], vec![1, 3]));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let ethernet = [ETHERNET, ETHERNET];
    let said = error(&configure(&ethernet, None));
    assert_eq!(said, "Ethernet needs a network card, and none is named");
    let said = error(&configure(&ethernet, nic(None)));
    assert_eq!(said, "a process has no network card of its own: nic.fd is missing");
    for fd in [0, 1, 9999, -1] {
        let said = error(&configure(&ethernet, nic(Some(fd))));
        let expected = format!("nic.fd is {fd}, which is no socket that this process was given");
        assert_eq!(said, expected);
    }
    let mut bad = configure(&ethernet, nic(None));
    bad.nodes[1].mac = "52:54".into();
    assert!(error(&bad).starts_with("address \"52:54\" of n1: a MAC is six bytes"));
    let mut bad = configure(&[TCP, TCP], None);
    bad.nodes[1].address = "127.0.0.1".into();
    assert!(error(&bad).starts_with("address 127.0.0.1 of n1: "), "{}", error(&bad));
}
