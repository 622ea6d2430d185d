use super::*;

fn data(completion: Option<Completion>) -> Vec<u8> {
    match completion {
        Some(Completion::Message(message)) => message.data,
        Some(Completion::Packet(packet)) => packet.into_buffer(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_that_nobody_took_come_first_again_in_their_order() {
    // In whatever order they are given back.
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut cluster = Cluster::new(1, 1);
        let a = cluster.endpoint(0, 1);
        let receives: Vec<Request> =
            (0..3).map(|_| cluster.nodes[0].msg_recv_i(a).unwrap()).collect();
        for n in 0..5u8 {
            cluster.message(a, a, &[n], 4);
        }
        let node = &mut cluster.nodes[0];
        for n in order {
            node.abandon(receives[n]);
            assert_eq!(node.test(receives[n]), Err(Status::RequestInvalid));
        }
        assert_eq!(node.msg_available(a), Ok(5));
        cluster.message(a, a, b"first", 3);
        cluster.message(a, a, b"last", 5);
        let node = &mut cluster.nodes[0];
        for expected in [&b"first"[..], &[0], &[1], &[2], &[3], &[4], b"last"] {
            let request = node.msg_recv_i(a).unwrap();
            assert_eq!(data(node.test(request).unwrap()), expected);
        }
        assert_eq!(node.msg_available(a), Ok(0));
    }
}

#[test]
fn what_comes_back_goes_to_whoever_waits() {
    let mut cluster = Cluster::new(2, 2);
    let (_, _, tx, rx) = cluster.channel((0, 1), 1, 0);
    let a = cluster.endpoint(1, 9);
    let node = &mut cluster.nodes[1];
    let messages = [node.msg_recv_i(a).unwrap(), node.msg_recv_i(a).unwrap()];
    let packets = [node.pktchan_recv_i(rx).unwrap(), node.pktchan_recv_i(rx).unwrap()];
    cluster.message(a, a, b"message", 0);
    let sent = cluster.nodes[0].pktchan_send_i(tx, b"packet");
    assert_eq!(cluster.done(0, sent), Completion::Done);
    let node = &mut cluster.nodes[1];
    assert_eq!(node.wait(messages[1], Waiter(1)), Ok(None));
    node.abandon(messages[0]);
    assert_eq!(node.poll(), Some(Output::Wake(Waiter(1))));
    assert_eq!(data(node.wait(messages[1], Waiter(1)).unwrap()), b"message");
    node.abandon(packets[0]);
    assert_eq!(data(node.test(packets[1]).unwrap()), b"packet");
}

#[test]
fn packets_come_back_in_order_and_cost_no_credit() {
    let mut cluster = Cluster::new(2, 3);
    let (_, _, tx, rx) = cluster.channel((0, 1), 1, 0);
    let mut next = 0u32;
    // Many windows long, with three of each five given back once.
    for round in 0..100u32 {
        for n in 0..5 {
            let sent = cluster.nodes[0].pktchan_send_i(tx, (5 * round + n).to_le_bytes());
            assert_eq!(cluster.done(0, sent), Completion::Done);
        }
        let node = &mut cluster.nodes[1];
        let first: Vec<Request> = (0..3).map(|_| node.pktchan_recv_i(rx).unwrap()).collect();
        first.iter().for_each(|&receive| node.abandon(receive));
        assert_eq!(node.pktchan_available(rx), Ok(5));
        for _ in 0..5 {
            let receive = node.pktchan_recv_i(rx).unwrap();
            assert_eq!(data(node.test(receive).unwrap()), next.to_le_bytes());
            next += 1;
        }
        cluster.run();
    }
    assert!(cluster.nodes.iter().all(|node| node.counters() == Counters::default()));
}

#[test]
fn a_packet_of_an_earlier_channel_does_not_come_back() {
    let mut cluster = Cluster::new(2, 4);
    let (send, recv, tx, rx) = cluster.channel((0, 1), 1, 0);
    let sent = cluster.nodes[0].pktchan_send_i(tx, b"old");
    assert_eq!(cluster.done(0, sent), Completion::Done);
    let old = cluster.nodes[1].pktchan_recv_i(rx).unwrap();
    let (closed, shut) =
        (cluster.nodes[0].pktchan_send_close_i(tx), cluster.nodes[1].pktchan_recv_close_i(rx));
    assert_eq!(cluster.done(0, closed), Completion::Done);
    assert_eq!(cluster.done(1, shut), Completion::Done);
    let (tx, rx) = cluster.connect(send, recv, 0);
    let sent = cluster.nodes[0].pktchan_send_i(tx, b"new");
    assert_eq!(cluster.done(0, sent), Completion::Done);
    let new = cluster.nodes[1].pktchan_recv_i(rx).unwrap();
    cluster.nodes[1].abandon(old);
    assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(0));
    cluster.nodes[1].abandon(new);
    assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(1));
}

#[test]
fn scalars_opens_and_gets_can_be_asked_for_again() {
    let mut cluster = Cluster::new(2, 5);
    let (send, recv) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    let connect = cluster.nodes[0].sclchan_connect_i(send, recv);
    assert_eq!(cluster.done(0, connect), Completion::Done);
    let (tx, rx) =
        (cluster.nodes[0].sclchan_send_open_i(send), cluster.nodes[1].sclchan_recv_open_i(recv));
    cluster.run();
    // Nobody took the handles: both ends can be opened again, at once.
    cluster.nodes[0].abandon(tx.unwrap());
    cluster.nodes[1].abandon(rx.unwrap());
    let tx = cluster.nodes[0].sclchan_send_open_i(send);
    let Completion::SendHandle(tx) = cluster.done(0, tx) else { panic!() };
    let rx = cluster.nodes[1].sclchan_recv_open_i(recv);
    let Completion::RecvHandle(rx) = cluster.done(1, rx) else { panic!() };
    let Ok(Begun::Pending(receive)) = cluster.nodes[1].sclchan_recv(rx, 1) else { panic!() };
    for (value, size) in [(0xfe, 1), (0xfedc, 2)] {
        let sent = cluster.nodes[0].sclchan_send(tx, value, size);
        assert_eq!(cluster.went(0, sent), Completion::Done);
    }
    let node = &mut cluster.nodes[1];
    assert_eq!(node.sclchan_available(rx), Ok(1));
    node.abandon(receive);
    assert_eq!(node.sclchan_available(rx), Ok(2));
    let wrong = Begun::Done(failed(Status::SclSize));
    assert_eq!(node.sclchan_recv(rx, 2), Ok(wrong), "in order");
    for (size, value) in [(1, 0xfe), (2, 0xfedc)] {
        let received = Begun::Done(Completion::Scalar(value));
        assert_eq!(node.sclchan_recv(rx, size), Ok(received));
    }

    let there = cluster.endpoint(1, 5);
    let get = cluster.nodes[0].endpoint_get_i(DomainId(7), McapiNode(1), Port(5)).unwrap();
    cluster.run();
    cluster.nodes[0].abandon(get);
    cluster.run();
    let count = cluster.nodes[1].endpoint_get_attribute_i(there, 1, 4);
    assert_eq!(cluster.done(1, count), Completion::Attribute(0));
}

#[test]
fn what_is_pending_is_cancelled_and_that_is_remembered_if_it_is_to_be() {
    let mut cluster = Cluster::new(1, 6);
    let a = cluster.endpoint(0, 1);
    let node = &mut cluster.nodes[0];
    let receive = node.msg_recv_i(a).unwrap();
    node.abandon(receive);
    node.abandon(receive);
    assert_eq!(node.test(receive), Err(Status::RequestInvalid));
    let receive = node.msg_recv_i(a).unwrap();
    assert_eq!(node.cancel(receive), Ok(()));
    node.remember(receive, Status::RequestCancelled, 0);
    for _ in 0..2 {
        assert_eq!(node.test(receive), Err(Status::RequestCancelled));
        assert_eq!(node.wait(receive, Waiter(1)), Ok(Some(failed(Status::RequestCancelled))));
        assert_eq!(node.cancel(receive), Err(Status::RequestInvalid));
    }
}
