//! Which packets lie where their sender has put them, and that each place is free again whatever became of its packet.

use crate::*;
use runtime_core::limits::{MCAPI_LEND_FROM, MCAPI_MAX_MSG_SIZE, MCAPI_MAX_PKT_SIZE};

/// Packets that can be lent by one node to another at a time.
const SLOTS: usize = MAX_LOANS / limits::MAX_NODES;

struct Two {
    a: Node,
    b: Node,
    _dir: tempfile::TempDir,
}

impl Two {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("mcapi-").tempdir_in("/dev/shm").unwrap();
        let options = Options { dir: dir.path().join("nodes"), ..Options::default() };
        let node = |node| Node::join(NodeName { domain: 1, node }, &options).unwrap();
        Self { a: node(1), b: node(2), _dir: dir }
    }

    fn channel(&self) -> (Endpoint, Endpoint, PacketSender, PacketReceiver) {
        self.channel_to(Port::ANY)
    }

    fn channel_to(&self, port: Port) -> (Endpoint, Endpoint, PacketSender, PacketReceiver) {
        let (send, recv) = (self.a.endpoint(Port::ANY).unwrap(), self.b.endpoint(port).unwrap());
        let Address { domain, node, port } = recv.address();
        let there = self.a.find(domain, node, port).unwrap().wait(None).unwrap();
        self.a.connect_packets(send.address(), there).unwrap().wait(None).unwrap();
        let mut tx = send.packet_sender().unwrap();
        let rx = recv.packet_receiver().unwrap().wait(None).unwrap();
        let tx = tx.wait(None).unwrap();
        (send, recv, tx, rx)
    }
}

fn pass(tx: &PacketSender, rx: &PacketReceiver, content: u8, len: usize) -> Packet {
    tx.send(vec![content; len]).unwrap();
    let packet = rx.recv().unwrap();
    assert!(packet.len() == len && packet.iter().all(|&byte| byte == content));
    packet
}

/// Sees that all places are free.
#[track_caller]
fn all_are_lent(tx: &PacketSender, rx: &PacketReceiver) {
    let all: Vec<Packet> = (0..SLOTS).map(|_| pass(tx, rx, 9, MCAPI_MAX_PKT_SIZE)).collect();
    assert!(all.iter().all(|packet| packet.loan.is_some()));
    assert!(pass(tx, rx, 9, MCAPI_MAX_PKT_SIZE).loan.is_none());
}

#[test]
fn large_packets_are_lent_and_those_beyond_are_copied() {
    let two = Two::new();
    let (send, recv, tx, rx) = two.channel();
    assert!(pass(&tx, &rx, 1, MCAPI_LEND_FROM - 1).loan.is_none());
    assert!(pass(&tx, &rx, 2, MCAPI_LEND_FROM).loan.is_some());
    let mut kept: Vec<Packet> = Vec::new();
    for n in 0..3 * u8::try_from(SLOTS).unwrap() {
        let packet = pass(&tx, &rx, n, MCAPI_MAX_PKT_SIZE);
        assert_eq!(packet.loan.is_some(), usize::from(n) < SLOTS, "{n}");
        kept.push(packet);
    }
    for at in [1, 0] {
        drop(kept.remove(at));
        kept.insert(at, pass(&tx, &rx, u8::try_from(at).unwrap(), MCAPI_MAX_PKT_SIZE));
        assert!(kept[at].loan.is_some());
    }
    for (n, packet) in (0..).zip(&kept) {
        assert!(packet.iter().all(|&byte| byte == n), "packet {n} has changed");
    }
    drop(kept);
    all_are_lent(&tx, &rx);
    // Messages are copied to whoever receives them.
    drop((tx, rx));
    let (from, to) = (two.a.endpoint(Port(1)).unwrap(), two.b.endpoint(Port(1)).unwrap());
    from.send(to.address(), &vec![3; MCAPI_MAX_MSG_SIZE], 0).unwrap();
    let message = to.recv().unwrap();
    assert!(message.data.loan.is_none() && message.data == vec![3; MCAPI_MAX_MSG_SIZE]);
    drop((send, recv));
}

#[test]
fn what_nobody_takes_is_free_again() {
    let two = Two::new();
    let (_send, _recv, tx, rx) = two.channel();
    // A receive that is dropped when it is done: the packet is the next one again.
    let receive = rx.recv_i().unwrap();
    tx.send(vec![1; MCAPI_MAX_PKT_SIZE]).unwrap();
    tx.send(vec![1; MCAPI_MAX_PKT_SIZE]).unwrap();
    // They come in order.
    while rx.available().unwrap() == 0 {}
    drop(receive);
    assert_eq!(rx.available(), Ok(2));
    drop(rx.recv().unwrap());
    let packet = rx.recv().unwrap();
    assert!(packet.loan.is_some() && packet.iter().all(|&byte| byte == 1));
    drop(packet);
    all_are_lent(&tx, &rx);
    // Closed with packets that wait here, that are on their way, and that come after it.
    for _ in 0..SLOTS + 2 {
        tx.send(vec![2; MCAPI_MAX_PKT_SIZE]).unwrap();
    }
    while rx.available().unwrap() < 2 {}
    rx.close().unwrap();
    while tx.send(vec![2; MCAPI_MAX_PKT_SIZE]).is_ok() {}
    drop(tx);
    let (_send, _recv, tx, rx) = two.channel();
    all_are_lent(&tx, &rx);
}

#[test]
fn packets_that_wait_for_room_are_lent_when_they_go() {
    let two = Two::new();
    let (_send, _recv, tx, rx) = two.channel();
    let number = 4 * u8::try_from(SLOTS).unwrap();
    for n in 0..number {
        tx.send(vec![n; MCAPI_MAX_PKT_SIZE]).unwrap();
    }
    let mut lent = 0;
    for n in 0..number {
        let packet = rx.recv().unwrap();
        assert!(packet.iter().all(|&byte| byte == n), "packet {n}");
        lent += usize::from(packet.loan.is_some());
    }
    assert!(lent > SLOTS, "{lent}");
}

#[test]
fn a_close_behind_lent_packets_that_nobody_took_in_is_seen_by_who_deletes() {
    let two = Two::new();
    for _ in 0..10 {
        let (_send, recv, tx, rx) = two.channel_to(Port(7));
        for _ in 0..SLOTS {
            tx.send(vec![2; MCAPI_MAX_PKT_SIZE]).unwrap();
        }
        tx.close().unwrap();
        drop(rx);
        drop(recv);
    }
}
