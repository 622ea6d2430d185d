//! Packets of which the data lie with the transport: each token that the core takes comes out once, with a packet or as unwanted.

use super::*;
use crate::limits::{MCAPI_MAX_BUFFERS, MCAPI_MAX_PKT_SIZE};
use core::num::NonZeroU32;

/// What a transport has lent, by token.
#[derive(Default)]
struct Lender {
    out: BTreeMap<u32, Vec<u8>>,
    next: u32,
    refused: usize,
}

impl Lender {
    fn lend(&mut self, data: &[u8]) -> Lent {
        self.next += 1;
        self.out.insert(self.next, data.to_vec());
        Lent { token: NonZeroU32::new(self.next).unwrap(), len: data.len().try_into().unwrap() }
    }

    fn take(&mut self, lent: Lent) -> Vec<u8> {
        let data = self.out.remove(&lent.token.get()).expect("a token comes out once");
        assert_eq!(data.len(), lent.len as usize);
        data
    }

    fn handle(&mut self, node: &mut Mcapi, from: u16, head: &[u8], data: &[u8]) -> bool {
        let lent = self.lend(data);
        let taken = node.handle_lent(NodeId(from), head, lent);
        if !taken {
            self.take(lent);
            self.refused += 1;
        }
        taken
    }

    /// Delivers all frames; those that carry packets are lent.
    fn run(&mut self, cluster: &mut Cluster) {
        loop {
            cluster.collect();
            cluster.wires.retain(|_, wire| !wire.is_empty());
            let n = cluster.rng.below(cluster.wires.len().max(1));
            let Some((&(from, to), wire)) = cluster.wires.iter_mut().nth(n) else { return };
            let (frame, from) = (wire.pop_front().unwrap(), u16::try_from(from).unwrap());
            match split_packet(&frame) {
                Some((head, data)) => {
                    self.handle(&mut cluster.nodes[to], from, head, data);
                }
                None => cluster.nodes[to].handle(NodeId(from), &frame),
            }
        }
    }

    /// Takes what the core wants no more; says how much.
    fn unwanted(&mut self, node: &mut Mcapi) -> usize {
        let mut number = 0;
        while let Some(lent) = node.unwanted() {
            self.take(lent);
            number += 1;
        }
        assert!(!node.has_unwanted());
        number
    }

    fn packet(&mut self, node: &mut Mcapi, request: Request) -> Vec<u8> {
        match node.test(request) {
            Ok(Some(Completion::Packet(mut packet))) => {
                let data = self.take(packet.take_lent().expect("it was lent"));
                node.release(packet);
                data
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Sends so many packets, numbered from a number on, and lends them to the other side.
fn send(
    cluster: &mut Cluster,
    lender: &mut Lender,
    tx: SendHandle,
    numbers: core::ops::Range<u32>,
) {
    for n in numbers {
        let sent = cluster.nodes[0].pktchan_send_i(tx, n.to_le_bytes()).unwrap();
        lender.run(cluster);
        assert_eq!(cluster.nodes[0].test(sent), Ok(Some(Completion::Done)));
    }
}

#[test]
fn lent_packets_come_in_order_to_receives_before_and_after_them() {
    for seed in 0..4 {
        let mut cluster = Cluster::new(2, seed);
        let mut lender = Lender::default();
        let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
        let mut next = 0u32;
        // Many windows long.
        for round in 0..100u32 {
            let early: Vec<Request> =
                (0..round % 4).map(|_| cluster.nodes[1].pktchan_recv_i(rx).unwrap()).collect();
            send(&mut cluster, &mut lender, tx, 5 * round..5 * round + 5);
            let node = &mut cluster.nodes[1];
            let late = (early.len()..5).map(|_| node.pktchan_recv_i(rx).unwrap());
            let all: Vec<Request> = early.iter().copied().chain(late).collect();
            for request in all {
                assert_eq!(lender.packet(node, request), next.to_le_bytes());
                next += 1;
            }
            lender.run(&mut cluster);
        }
        assert!(lender.out.is_empty() && lender.refused == 0);
        assert!(cluster.nodes.iter().all(|node| node.counters() == Counters::default()));
    }
}

#[test]
fn lent_and_other_packets_are_one_row() {
    let mut cluster = Cluster::new(2, 1);
    let mut lender = Lender::default();
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    for n in 0..30u32 {
        let sent = cluster.nodes[0].pktchan_send_i(tx, n.to_le_bytes()).unwrap();
        if n % 3 == 0 {
            lender.run(&mut cluster)
        } else {
            cluster.run()
        }
        assert_eq!(cluster.nodes[0].test(sent), Ok(Some(Completion::Done)));
    }
    for n in 0..30u32 {
        let mut packet = cluster.nodes[1].pktchan_take(rx).unwrap().unwrap();
        let data = match packet.take_lent() {
            Some(lent) => lender.take(lent),
            None => packet.clone().into_buffer(),
        };
        assert_eq!(data, n.to_le_bytes());
        cluster.nodes[1].release(packet);
    }
    assert_eq!(lender.next, 10);
    assert!(lender.out.is_empty());
}

#[test]
fn who_keeps_all_buffers_gets_no_lent_packet_either() {
    let mut cluster = Cluster::new(2, 1);
    let mut lender = Lender::default();
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    let mut kept = vec![];
    while kept.len() < MCAPI_MAX_BUFFERS {
        let n = u32::try_from(kept.len()).unwrap();
        send(&mut cluster, &mut lender, tx, n..n + 1);
        kept.push(cluster.nodes[1].pktchan_take(rx).unwrap().unwrap());
        lender.run(&mut cluster);
    }
    assert_eq!(cluster.nodes[1].pktchan_take(rx), Err(Status::MemLimit));
    // As it came: what is lent with it is nobody's then.
    cluster.nodes[1].release(kept.pop().unwrap());
    assert_eq!(lender.unwanted(&mut cluster.nodes[1]), 1);
    lender.run(&mut cluster);
    send(&mut cluster, &mut lender, tx, 9..10);
    assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(1));
    assert_eq!(lender.refused, 0);
}

#[test]
fn what_is_discarded_comes_back() {
    for (seed, gone) in [(0, false), (1, false), (2, true), (3, true)] {
        let mut cluster = Cluster::new(2, seed);
        let mut lender = Lender::default();
        let (_, recv, tx, rx) = cluster.channel((0, 1), 10, 0);
        send(&mut cluster, &mut lender, tx, 0..10);
        let node = &mut cluster.nodes[1];
        // Some were given out: one that nobody took, one that is done, and one that the program has.
        let [back, done] = [(); 2].map(|()| node.pktchan_recv_i(rx).unwrap());
        let mut kept = node.pktchan_take(rx).unwrap().unwrap();
        node.abandon(back);
        assert_eq!(node.pktchan_available(rx), Ok(8));
        if gone {
            cluster.kill(0);
            assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(8), "what came stays");
        }
        let node = &mut cluster.nodes[1];
        assert_eq!(lender.unwanted(node), 0);
        let close = node.pktchan_recv_close_i(rx);
        assert_eq!(cluster.done(1, close), Completion::Done);
        let node = &mut cluster.nodes[1];
        assert_eq!(lender.unwanted(node), 8);
        assert_eq!(node.counters().discarded, 8);
        assert_eq!(lender.packet(node, done), 1u32.to_le_bytes());
        assert_eq!(lender.take(kept.take_lent().unwrap()), 2u32.to_le_bytes());
        node.release(kept);
        assert!(lender.out.is_empty());
        assert_eq!(node.endpoint_delete(recv).is_ok(), gone, "the other side has not closed");
    }
}

#[test]
fn what_comes_back_when_its_channel_is_no_more_is_unwanted() {
    let mut cluster = Cluster::new(2, 1);
    let mut lender = Lender::default();
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    send(&mut cluster, &mut lender, tx, 0..2);
    let node = &mut cluster.nodes[1];
    let [one, two] = [(); 2].map(|()| node.pktchan_recv_i(rx).unwrap());
    let close = node.pktchan_recv_close_i(rx);
    assert_eq!(cluster.done(1, close), Completion::Done);
    let node = &mut cluster.nodes[1];
    node.abandon(one);
    assert_eq!(lender.unwanted(node), 1);
    let done = node.test(two).unwrap().unwrap();
    node.discard(done);
    assert_eq!(lender.unwanted(node), 1);
}

#[test]
fn what_may_not_be_is_refused_with_what_was_lent() {
    for seed in 0..2 {
        let mut cluster = Cluster::new(3, seed);
        let mut lender = Lender::default();
        let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
        // The heads of frames that pass.
        let sent = cluster.nodes[0].pktchan_send_i(tx, b"x");
        cluster.collect();
        let packet = split_packet(&cluster.wires[&(0, 1)][0]).unwrap().0.to_vec();
        assert_eq!(cluster.done(0, sent), Completion::Done);
        let (from, to) = (cluster.endpoint(0, 20), cluster.endpoint(1, 21));
        let sent = cluster.nodes[0].msg_send_i(from, to, b"m", 0);
        cluster.collect();
        let message = cluster.wires[&(0, 1)][0].clone();
        assert_eq!(split_packet(&message), None);
        assert_eq!(cluster.done(0, sent), Completion::Done);
        let (scalar, at) = (cluster.endpoint(0, 30), cluster.endpoint(1, 31));
        let connect = cluster.nodes[0].sclchan_connect_i(scalar, at);
        assert_eq!(cluster.done(0, connect), Completion::Done);
        let opens = (
            cluster.nodes[0].sclchan_send_open_i(scalar),
            cluster.nodes[1].sclchan_recv_open_i(at),
        );
        let Completion::SendHandle(stx) = cluster.done(0, opens.0) else { panic!() };
        let sent = cluster.nodes[0].sclchan_send(stx, 1, 1);
        cluster.collect();
        let value = split_packet(&cluster.wires[&(0, 1)][0]).unwrap().0.to_vec();
        assert_eq!(cluster.went(0, sent), Completion::Done);

        let node = &mut cluster.nodes[1];
        let before = node.counters();
        let long = vec![1; MCAPI_MAX_PKT_SIZE + 1];
        let cut = &packet[..packet.len() - 1];
        let more = [&packet[..], b"!"].concat();
        for (from, head, data) in [
            (0, &message[..], &b"data"[..]),
            (0, &message[..message.len() - 1], b"data"),
            (0, b"", b"data"),
            (0, cut, b"data"),
            (0, &more, b"data"),
            (0, &packet, &long),
            (0, &value, b"12345678"),
            (1, &packet, b"of itself"),
            (2, &packet, b"of another"),
            (9, &packet, b"of nobody"),
        ] {
            assert!(!lender.handle(node, from, head, data), "{from} {head:?}");
        }
        let refused =
            Counters { malformed: before.malformed + 9, stale: before.stale + 1, ..before };
        assert_eq!(node.counters(), refused);
        // As many as are granted, and no more.
        let mut there = node.pktchan_available(rx).unwrap();
        while lender.handle(node, 0, &packet, b"data") {
            there += 1;
            assert_eq!(node.pktchan_available(rx), Ok(there));
        }
        assert_eq!(there, 64);
        // One that comes after the close.
        let taken = node.pktchan_take(rx).unwrap().unwrap();
        node.release(taken);
        let close = node.pktchan_recv_close_i(rx);
        assert!(close.is_ok());
        lender.unwanted(node);
        assert!(!lender.handle(node, 0, &packet, b"data"));
        assert!(lender.out.is_empty());
        assert_eq!(lender.unwanted(node), 0);
    }
}
