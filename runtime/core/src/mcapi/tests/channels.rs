use super::*;
use crate::limits::*;

type Pair = (usize, usize);

fn send(cluster: &mut Cluster, node: usize, tx: SendHandle, data: &[u8]) -> Completion {
    let request = cluster.nodes[node].pktchan_send_i(tx, data);
    cluster.done(node, request)
}

fn receive(cluster: &mut Cluster, node: usize, rx: RecvHandle) -> Completion {
    let request = cluster.nodes[node].pktchan_recv_i(rx);
    cluster.done(node, request)
}

fn packet(data: &[u8]) -> Completion {
    Completion::Packet(data.to_vec().into())
}

/// Who sends, who receives, who connects.
const PLACES: [(Pair, usize); 5] =
    [((0, 1), 0), ((0, 1), 1), ((0, 1), 2), ((0, 0), 0), ((0, 0), 2)];

#[test]
fn packets_travel_whoever_connected() {
    for ((from, to), by) in PLACES {
        let mut cluster = Cluster::new(3, 1);
        let (_, _, tx, rx) = cluster.channel((from, to), 10, by);
        for data in [b"one".as_slice(), b"", &[3; MCAPI_MAX_PKT_SIZE]] {
            assert_eq!(send(&mut cluster, from, tx, data), Completion::Done);
        }
        assert_eq!(cluster.nodes[to].pktchan_available(rx), Ok(3));
        for data in [b"one".as_slice(), b"", &[3; MCAPI_MAX_PKT_SIZE]] {
            assert_eq!(receive(&mut cluster, to, rx), packet(data));
        }
        let long = vec![0; MCAPI_MAX_PKT_SIZE + 1];
        assert_eq!(cluster.nodes[from].pktchan_send_i(tx, long), Err(Status::PktSize));
        assert!(cluster.nodes.iter().all(|node| node.counters() == Counters::default()));
    }
}

#[test]
fn the_steps_may_come_in_any_order() {
    // Each permutation of: connect, open the send end, open the receive end.
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for ((from, to), by) in PLACES {
            for settle in [false, true] {
                let mut cluster = Cluster::new(3, 2);
                let (a, b) = (cluster.endpoint(from, 1), cluster.endpoint(to, 2));
                let mut requests = [None; 3];
                for step in order {
                    requests[step] = Some(match step {
                        0 => (by, cluster.nodes[by].pktchan_connect_i(a, b)),
                        1 => (from, cluster.nodes[from].pktchan_send_open_i(a)),
                        _ => (to, cluster.nodes[to].pktchan_recv_open_i(b)),
                    });
                    if settle {
                        cluster.run();
                    }
                }
                let [connect, tx, rx] = requests.map(|r| {
                    let (node, request) = r.unwrap();
                    cluster.done(node, request)
                });
                assert_eq!(connect, Completion::Done);
                let Completion::SendHandle(tx) = tx else { panic!("{tx:?}") };
                let Completion::RecvHandle(rx) = rx else { panic!("{rx:?}") };
                assert_eq!(send(&mut cluster, from, tx, b"x"), Completion::Done);
                assert_eq!(receive(&mut cluster, to, rx), packet(b"x"));
            }
        }
    }
}

#[test]
fn a_slow_receiver_slows_its_sender_and_loses_nothing() {
    const PACKETS: u32 = 10_000;
    for seed in 0..4 {
        let mut cluster = Cluster::new(2, seed);
        let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
        let (mut sent, mut got) = (0u32, 0u32);
        let mut posted = VecDeque::new();
        let mut full = 0;
        cluster.frames = 0;
        while got < PACKETS {
            if sent < PACKETS {
                match cluster.nodes[0].pktchan_send_i(tx, sent.to_le_bytes()) {
                    Ok(request) => (posted.push_back(request), sent += 1).1,
                    Err(status) => {
                        assert_eq!(status, Status::MemLimit);
                        full += 1;
                    }
                }
            }
            while let Some(&first) = posted.front()
                && cluster.nodes[0].test(first).unwrap().is_some()
            {
                posted.pop_front();
            }
            assert!(posted.len() <= MCAPI_MAX_QUEUE_ELEMENTS);
            for _ in 0..cluster.rng.below(4) {
                cluster.step();
            }
            assert!(cluster.nodes[1].pktchan_available(rx).unwrap() <= MCAPI_MAX_QUEUE_ELEMENTS);
            let stuck = !cluster.step();
            if stuck || cluster.rng.below(3) == 0 {
                let request = cluster.nodes[1].pktchan_recv_i(rx).unwrap();
                match cluster.nodes[1].test(request).unwrap() {
                    Some(completion) => {
                        assert_eq!(completion, packet(&got.to_le_bytes()));
                        cluster.nodes[1].discard(completion);
                        got += 1;
                    }
                    None => cluster.nodes[1].cancel(request).unwrap(),
                }
            }
        }
        assert!(full > 0, "the sender was never slowed");
        cluster.run();
        assert!(cluster.frames <= (PACKETS + PACKETS / 16) as usize, "credits come in batches");
        assert!(cluster.nodes.iter().all(|node| node.counters() == Counters::default()));
    }
}

#[test]
fn sends_wait_for_room_in_order_and_can_be_cancelled() {
    let mut cluster = Cluster::new(2, 3);
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    for n in 0..64 {
        assert_eq!(send(&mut cluster, 0, tx, &[n]), Completion::Done);
    }
    let waiting: Vec<Request> =
        (64..128).map(|n| cluster.nodes[0].pktchan_send_i(tx, vec![n]).unwrap()).collect();
    cluster.pending(0, waiting[0]);
    assert_eq!(cluster.nodes[0].pktchan_send_i(tx, vec![]), Err(Status::MemLimit));
    assert_eq!(cluster.nodes[0].cancel(waiting[1]), Ok(()));
    for n in (0..128).filter(|&n| n != 65) {
        assert_eq!(receive(&mut cluster, 1, rx), packet(&[n]));
    }
    assert_eq!(cluster.done(0, Ok(waiting[63])), Completion::Done);
}

#[test]
fn posted_receives_are_served_in_order_and_can_be_cancelled() {
    let mut cluster = Cluster::new(2, 4);
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    let posted = [(); 3].map(|()| cluster.nodes[1].pktchan_recv_i(rx).unwrap());
    assert_eq!(cluster.nodes[1].cancel(posted[0]), Ok(()));
    send(&mut cluster, 0, tx, b"1");
    send(&mut cluster, 0, tx, b"2");
    assert_eq!(cluster.done(1, Ok(posted[2])), packet(b"2"));
    assert_eq!(cluster.done(1, Ok(posted[1])), packet(b"1"));
}

#[test]
fn wrong_connects_are_refused() {
    let mut cluster = Cluster::new(3, 5);
    let (a, b, c) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2), cluster.endpoint(2, 3));
    let made_up = Endpoint { port: Port(99), ..b };
    let elsewhere = Endpoint { domain: DomainId(1), ..b };
    let nowhere = Endpoint { node: McapiNode(9), ..b };
    let connect = |cluster: &mut Cluster, by: usize, s, r| {
        let request = cluster.nodes[by].pktchan_connect_i(s, r);
        request.map(|request| cluster.done(by, Ok(request)))
    };
    assert_eq!(connect(&mut cluster, 0, a, a), Err(Status::Parameter));
    assert_eq!(connect(&mut cluster, 0, a, elsewhere), Err(Status::EndpInvalid));
    assert_eq!(connect(&mut cluster, 0, nowhere, a), Err(Status::EndpInvalid));
    for by in [0, 2] {
        assert_eq!(connect(&mut cluster, by, a, made_up), Ok(failed(Status::EndpInvalid)));
        assert_eq!(connect(&mut cluster, by, made_up, a), Ok(failed(Status::EndpInvalid)));
    }
    assert_eq!(connect(&mut cluster, 2, a, b), Ok(Completion::Done));
    assert_eq!(connect(&mut cluster, 0, a, c), Err(Status::ChanConnected));
    assert_eq!(connect(&mut cluster, 2, a, c), Ok(failed(Status::ChanConnected)));
    assert_eq!(connect(&mut cluster, 2, c, b), Ok(failed(Status::ChanConnected)));
    assert_eq!(connect(&mut cluster, 1, b, a), Err(Status::ChanConnected));
    assert_eq!(cluster.nodes[0].endpoint_delete(a), Err(Status::ChanConnected));
    // The refusal left c free.
    let d = cluster.endpoint(0, 4);
    assert_eq!(connect(&mut cluster, 1, d, c), Ok(Completion::Done));
}

#[test]
fn of_crossing_connects_the_ends_always_agree() {
    for seed in 0..200 {
        let mut cluster = Cluster::new(3, seed);
        let ends = [cluster.endpoint(0, 1), cluster.endpoint(1, 1), cluster.endpoint(2, 1)];
        let requests: Vec<(usize, Request)> =
            [(0, 0, 1), (1, 1, 2), (2, 2, 0), (0, 1, 0), (2, 0, 1)]
                .into_iter()
                .filter_map(|(by, s, r)| {
                    let request = cluster.nodes[by].pktchan_connect_i(ends[s], ends[r]);
                    request.ok().map(|request| (by, request))
                })
                .collect();
        let done: Vec<_> = requests.into_iter().map(|(by, r)| cluster.done(by, Ok(r))).collect();
        let connected = done.iter().filter(|&c| *c == Completion::Done).count();
        let others = done.iter().filter(|&c| *c == failed(Status::ChanConnected)).count();
        assert_eq!(connected + others, done.len());
        let bound = |n: usize| cluster.nodes[n].local(1).unwrap().channel.is_some();
        assert_eq!((0..3).filter(|&n| bound(n)).count(), 2 * connected, "seed {seed}");
    }
}

#[test]
fn wrong_opens_are_refused() {
    let mut cluster = Cluster::new(2, 6);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    assert_eq!(cluster.nodes[0].pktchan_send_open_i(b), Err(Status::EndpInvalid));
    let wrong = cluster.nodes[1].pktchan_send_open_i(b).unwrap();
    assert_eq!(cluster.nodes[1].pktchan_recv_open_i(b), Err(Status::ChanOpenPending));
    let connect = cluster.nodes[0].pktchan_connect_i(a, b);
    assert_eq!(cluster.done(0, connect), Completion::Done);
    assert_eq!(cluster.done(1, Ok(wrong)), failed(Status::ChanDirection));
    assert_eq!(cluster.nodes[0].pktchan_recv_open_i(a), Err(Status::ChanDirection));
    let tx = cluster.nodes[0].pktchan_send_open_i(a);
    assert_eq!(cluster.nodes[0].pktchan_send_open_i(a), Err(Status::ChanOpenPending));
    let rx = cluster.nodes[1].pktchan_recv_open_i(b);
    let Completion::SendHandle(tx) = cluster.done(0, tx) else { panic!() };
    let Completion::RecvHandle(rx) = cluster.done(1, rx) else { panic!() };
    assert_eq!(cluster.nodes[0].pktchan_send_open_i(a), Err(Status::ChanOpen));

    let node = &mut cluster.nodes[0];
    let mistaken = RecvHandle::from_raw(tx.raw());
    assert_eq!(node.pktchan_recv_i(mistaken), Err(Status::ChanInvalid));
    assert_eq!(node.pktchan_recv_close_i(mistaken), Err(Status::ChanDirection));
    assert_eq!(node.pktchan_send_i(SendHandle::from_raw(7), vec![]), Err(Status::ChanInvalid));
    let close = cluster.nodes[1].pktchan_recv_close_i(rx);
    assert_eq!(cluster.done(1, close), Completion::Done);
    assert_eq!(cluster.nodes[1].pktchan_recv_open_i(b), Err(Status::ChanClosePending));
    let again = cluster.nodes[0].pktchan_connect_i(b, a);
    assert_eq!(again, Err(Status::ChanClosePending));
}

#[test]
fn a_scalar_channel_is_no_packet_channel() {
    let mut cluster = Cluster::new(2, 7);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    let early = cluster.nodes[1].pktchan_recv_open_i(b);
    let connect = cluster.nodes[0].connect_i(ChannelKind::Scalar, a, b);
    assert_eq!(cluster.done(0, connect), Completion::Done);
    assert_eq!(cluster.done(1, early), failed(Status::ChanType));
    assert_eq!(cluster.nodes[0].pktchan_send_open_i(a), Err(Status::ChanType));
}

#[test]
fn a_cancelled_open_can_be_taken_up_again() {
    let mut cluster = Cluster::new(2, 8);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    let connect = cluster.nodes[0].pktchan_connect_i(a, b);
    let open = cluster.nodes[1].pktchan_recv_open_i(b).unwrap();
    assert_eq!(cluster.done(0, connect), Completion::Done);
    assert_eq!(cluster.nodes[1].cancel(open), Ok(()));
    let tx = cluster.nodes[0].pktchan_send_open_i(a);
    let Completion::SendHandle(tx) = cluster.done(0, tx) else { panic!() };
    send(&mut cluster, 0, tx, b"kept");
    let close = cluster.nodes[0].pktchan_send_close_i(tx);
    assert_eq!(cluster.done(0, close), Completion::Done);
    let rx = cluster.nodes[1].pktchan_recv_open_i(b);
    let Completion::RecvHandle(rx) = cluster.done(1, rx) else { panic!() };
    assert_eq!(receive(&mut cluster, 1, rx), packet(b"kept"));
}

#[test]
fn closing_the_send_end_first_delivers_what_was_sent() {
    for (from, to) in [(0, 1), (0, 0)] {
        let mut cluster = Cluster::new(2, 9);
        let (a, b, tx, rx) = cluster.channel((from, to), 10, 0);
        for n in 0..100 {
            cluster.nodes[from].pktchan_send_i(tx, vec![n]).unwrap();
        }
        let close = cluster.nodes[from].pktchan_send_close_i(tx).unwrap();
        cluster.pending(from, close);
        assert_eq!(cluster.nodes[from].pktchan_send_i(tx, vec![]), Err(Status::ChanInvalid));
        assert_eq!(cluster.nodes[from].pktchan_send_close_i(tx), Err(Status::ChanInvalid));
        for n in 0..100 {
            assert_eq!(receive(&mut cluster, to, rx), packet(&[n]));
        }
        assert_eq!(cluster.done(from, Ok(close)), Completion::Done);
        assert_eq!(cluster.nodes[to].pktchan_recv_i(rx), Err(Status::ChanInvalid));
        let close = cluster.nodes[to].pktchan_recv_close_i(rx);
        assert_eq!(cluster.done(to, close), Completion::Done);
        assert_eq!(cluster.nodes[to].pktchan_available(rx), Err(Status::ChanInvalid));
        assert_eq!(cluster.nodes[from].endpoint_delete(a), Ok(()));
        assert_eq!(cluster.nodes[to].endpoint_delete(b), Ok(()));
    }
}

#[test]
fn closing_the_receive_end_first_discards_and_fails_sends() {
    let mut cluster = Cluster::new(2, 10);
    let (a, b, tx, rx) = cluster.channel((0, 1), 10, 0);
    let sends: Vec<Request> =
        (0..70).map(|n| cluster.nodes[0].pktchan_send_i(tx, vec![n]).unwrap()).collect();
    cluster.run();
    let close = cluster.nodes[1].pktchan_recv_close_i(rx);
    assert_eq!(cluster.done(1, close), Completion::Done);
    assert_eq!(cluster.done(0, Ok(sends[63])), Completion::Done);
    assert_eq!(cluster.done(0, Ok(sends[64])), failed(Status::ChanInvalid));
    assert_eq!(cluster.nodes[1].counters().discarded, 64);
    assert_eq!(cluster.nodes[0].pktchan_send_i(tx, vec![]), Err(Status::ChanInvalid));
    let close = cluster.nodes[0].pktchan_send_close_i(tx);
    assert_eq!(cluster.done(0, close), Completion::Done);
    cluster.run();
    assert_eq!(cluster.nodes[0].endpoint_delete(a), Ok(()));
    assert_eq!(cluster.nodes[1].endpoint_delete(b), Ok(()));
}

#[test]
fn a_posted_receive_learns_of_either_close() {
    let mut cluster = Cluster::new(2, 11);
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    let posted = cluster.nodes[1].pktchan_recv_i(rx);
    let close = cluster.nodes[0].pktchan_send_close_i(tx);
    assert_eq!(cluster.done(0, close), Completion::Done);
    assert_eq!(cluster.done(1, posted), failed(Status::ChanInvalid));

    let (_, _, _, rx) = cluster.channel((0, 1), 20, 0);
    let posted = cluster.nodes[1].pktchan_recv_i(rx);
    cluster.nodes[1].pktchan_recv_close_i(rx).unwrap();
    assert_eq!(cluster.done(1, posted), failed(Status::ChanInvalid));
}

#[test]
fn the_same_endpoints_serve_many_channels_under_any_interleaving() {
    for seed in 0..200 {
        let mut cluster = Cluster::new(3, seed);
        let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 1));
        for round in 0..4u8 {
            let (s, r) = if round % 2 == 0 { (a, b) } else { (b, a) };
            let (from, to) = (s.node.0 as usize, r.node.0 as usize);
            let (tx, rx) = cluster.connect(s, r, usize::from(round) % 3);
            cluster.nodes[from].pktchan_send_i(tx, vec![round]).unwrap();
            for _ in 0..cluster.rng.below(3) {
                cluster.step();
            }
            if cluster.rng.below(2) == 0 {
                assert_eq!(receive(&mut cluster, to, rx), packet(&[round]));
            }
            let mut closes = [(from, None), (to, None)];
            let first = cluster.rng.below(2);
            for n in [first, 1 - first] {
                closes[n].1 = Some(if n == 0 {
                    cluster.nodes[from].pktchan_send_close_i(tx)
                } else {
                    cluster.nodes[to].pktchan_recv_close_i(rx)
                });
                for _ in 0..cluster.rng.below(3) {
                    cluster.step();
                }
            }
            for (node, close) in closes {
                assert_eq!(cluster.done(node, close.unwrap()), Completion::Done);
            }
        }
        assert!(cluster.nodes.iter().all(|node| node.counters().malformed == 0));
        assert!(cluster.nodes.iter().all(|node| node.handles.iter().next().is_none()));
    }
}

#[test]
fn a_lost_node_fails_what_waits_for_it_and_frees_the_rest() {
    let mut cluster = Cluster::new(3, 12);
    let (a, _, tx, _) = cluster.channel((0, 1), 10, 0);
    let (b, _, _, rx) = {
        let (send_ep, recv_ep, tx, rx) = cluster.channel((1, 0), 20, 2);
        send(&mut cluster, 1, tx, b"last");
        (recv_ep, send_ep, tx, rx)
    };
    let (c, remote) = (cluster.endpoint(0, 30), cluster.endpoint(1, 31));
    let connect = cluster.nodes[2].pktchan_connect_i(c, remote);
    assert_eq!(cluster.done(2, connect), Completion::Done);
    let open = cluster.nodes[0].pktchan_send_open_i(c);
    for n in 0..65 {
        let sent = cluster.nodes[0].pktchan_send_i(tx, vec![n]).unwrap();
        if n < 64 {
            assert_eq!(cluster.nodes[0].test(sent), Ok(Some(Completion::Done)));
        }
    }
    let waiting = cluster.nodes[0].pktchan_send_i(tx, vec![]);
    let get = cluster.nodes[0].endpoint_get_i(DomainId(7), McapiNode(1), Port(77));
    cluster.run();
    let d = cluster.endpoint(0, 40);
    let message = cluster.nodes[0].msg_send_i(d, remote, b"", 0);
    let third = cluster.nodes[2].pktchan_connect_i(remote, d);
    let half = cluster.nodes[2].pktchan_connect_i(d, Endpoint { port: Port(50), ..remote });
    cluster.collect();
    let to_0 = cluster.wires.get_mut(&(2, 0)).unwrap().pop_front().unwrap();
    cluster.nodes[0].handle(NodeId(2), &to_0);
    cluster.kill(1);
    for (node, request) in [(0, open), (0, waiting), (0, get), (0, message), (2, third), (2, half)]
    {
        assert_eq!(cluster.done(node, request), failed(Status::Transmission));
    }
    let node = &mut cluster.nodes[0];
    assert_eq!(node.pktchan_send_i(tx, vec![]), Err(Status::Transmission));
    assert_eq!(node.msg_send_i(d, remote, b"", 0), Err(Status::Transmission));
    assert_eq!(node.pktchan_connect_i(d, remote), Err(Status::Transmission));
    assert_eq!(receive(&mut cluster, 0, rx), packet(b"last"));
    assert_eq!(cluster.nodes[0].pktchan_recv_i(rx), Err(Status::Transmission));
    let closes =
        [cluster.nodes[0].pktchan_send_close_i(tx), cluster.nodes[0].pktchan_recv_close_i(rx)];
    for close in closes {
        assert_eq!(cluster.done(0, close), Completion::Done);
    }
    for endpoint in [a, b, c, d] {
        assert_eq!(cluster.nodes[0].endpoint_delete(endpoint), Ok(()));
    }
}

#[test]
fn a_node_that_comes_back_is_used_like_a_new_one() {
    let mut cluster = Cluster::new(2, 13);
    let (_, _, tx, _) = cluster.channel((0, 1), 10, 0);
    cluster.kill(1);
    cluster.nodes[1] = Mcapi::new(DomainId(7), NodeId(1), &[NodeId(0)]);
    cluster.nodes[0].handle(NodeId(1), &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(cluster.nodes[0].counters().malformed, 1, "it is not back yet");
    cluster.nodes[0].node_joined(NodeId(1));
    assert_eq!(cluster.nodes[0].pktchan_send_i(tx, vec![]), Err(Status::Transmission));
    let (_, _, tx, rx) = cluster.channel((0, 1), 20, 1);
    assert_eq!(send(&mut cluster, 0, tx, b"x"), Completion::Done);
    assert_eq!(receive(&mut cluster, 1, rx), packet(b"x"));
}

/// Over a network, nodes hear of each other at different times.
#[test]
fn a_connect_waits_until_the_send_side_has_heard_of_the_other() {
    let there = Endpoint { domain: DomainId(1), node: McapiNode(2), port: Port(6) };
    for late in [false, true] {
        let mut a = Mcapi::named(DomainId(1), McapiNode(1), NodeId(0));
        let connector = a.expect_node(DomainId(1), McapiNode(3)).unwrap();
        a.node_joined(connector);
        a.endpoint_create(Port(5)).unwrap();
        let request = Request::from_raw(1025);
        let frame = Frame::Connect { request, kind: ChannelKind::Packet, send: 5, recv: there };
        a.handle(connector, &frame.emit(b""));
        assert_eq!(a.poll(), None, "it waits");
        if late {
            a.node_gone(connector);
        }
        let other = a.expect_node(there.domain, there.node).unwrap();
        a.node_joined(other);
        let goes_on = matches!(a.poll(), Some(Output::Send { to, .. }) if to == other);
        assert_eq!(goes_on, !late, "unless nobody asks any more");
    }
}
