use super::*;
use crate::limits::*;

fn received(cluster: &mut Cluster, at: Endpoint) -> (Vec<u8>, u32, Endpoint) {
    let node = at.node.0 as usize;
    let request = cluster.nodes[node].msg_recv_i(at);
    let Completion::Message(m) = cluster.done(node, request) else { panic!("no message") };
    (m.data, m.priority, m.from)
}

#[test]
fn a_message_arrives_with_its_sender_also_on_the_same_node() {
    for to in [0, 1] {
        let mut cluster = Cluster::new(2, 1);
        let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(to, 20));
        assert_eq!(cluster.message(a, b, b"hello", 3), Completion::Done);
        assert_eq!(cluster.nodes[to].msg_available(b), Ok(1));
        assert_eq!(received(&mut cluster, b), (b"hello".to_vec(), 3, a));
        assert_eq!(cluster.nodes[to].msg_available(b), Ok(0));
        assert_eq!(cluster.frames, if to == 0 { 0 } else { 2 });
    }
}

#[test]
fn the_highest_priority_comes_first_and_each_is_in_order() {
    let mut cluster = Cluster::new(2, 2);
    let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20));
    for (data, priority) in [(1, 5), (2, 0), (3, 10), (4, 5), (5, 0)] {
        assert_eq!(cluster.message(a, b, &[data], priority), Completion::Done);
    }
    let order: Vec<u8> = (0..5).map(|_| received(&mut cluster, b).0[0]).collect();
    assert_eq!(order, [2, 5, 1, 4, 3]);
}

#[test]
fn messages_that_wait_for_room_come_in_when_there_is_more_and_before_later_ones() {
    let mut cluster = Cluster::new(2, 5);
    let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20));
    let set = |cluster: &mut Cluster, attribute: Attribute, value: u32| {
        let value = value.to_le_bytes();
        cluster.nodes[1].endpoint_set_attribute(b, attribute as u32, &value).unwrap();
    };
    set(&mut cluster, Attribute::MemoryType, 0);
    set(&mut cluster, Attribute::NumRecvBuffers, 1);
    let sent: Vec<Request> =
        (0..4).map(|n| cluster.nodes[0].msg_send_i(a, b, &[n], 0).unwrap()).collect();
    cluster.run();
    assert_eq!(cluster.nodes[1].msg_available(b), Ok(1));
    set(&mut cluster, Attribute::NumRecvBuffers, 3);
    assert_eq!(cluster.nodes[1].msg_available(b), Ok(3));
    let last = cluster.nodes[0].msg_send_i(a, b, &[4], 0).unwrap();
    cluster.run();
    for request in &sent[..3] {
        assert_eq!(cluster.nodes[0].test(*request), Ok(Some(Completion::Done)));
    }
    assert_eq!(cluster.nodes[0].test(sent[3]), Ok(None));
    let order: Vec<u8> = (0..5).map(|_| received(&mut cluster, b).0[0]).collect();
    assert_eq!(order, [0, 1, 2, 3, 4]);
    cluster.run();
    assert_eq!(cluster.nodes[0].test(last), Ok(Some(Completion::Done)));
}

#[test]
fn receives_posted_ahead_are_served_in_order_whatever_is_tested_or_cancelled() {
    let mut cluster = Cluster::new(2, 3);
    let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20));
    let posted: Vec<Request> = (0..4).map(|_| cluster.nodes[1].msg_recv_i(b).unwrap()).collect();
    assert_eq!(cluster.nodes[1].test(posted[3]), Ok(None));
    assert_eq!(cluster.nodes[1].cancel(posted[1]), Ok(()));
    for data in 0..3 {
        assert_eq!(cluster.message(a, b, &[data], 10 - u32::from(data)), Completion::Done);
    }
    for (request, data) in [(posted[3], 2), (posted[0], 0), (posted[2], 1)] {
        let Ok(Some(Completion::Message(m))) = cluster.nodes[1].test(request) else { panic!() };
        assert_eq!(m.data, [data]);
    }
}

#[test]
fn a_full_queue_tells_the_sender_and_loses_nothing() {
    for to in [0, 1] {
        let mut cluster = Cluster::new(2, 4);
        let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(to, 20));
        for _ in 0..MCAPI_MAX_QUEUE_ELEMENTS {
            assert_eq!(cluster.message(a, b, b"x", 1), Completion::Done);
        }
        assert_eq!(cluster.message(a, b, b"y", 0), failed(Status::MemLimit));
        assert_eq!(cluster.nodes[to].msg_available(b), Ok(MCAPI_MAX_QUEUE_ELEMENTS));
        assert_eq!(received(&mut cluster, b).0, b"x");
        assert_eq!(cluster.message(a, b, b"z", 0), Completion::Done);
        assert_eq!(received(&mut cluster, b).0, b"z");
        assert_eq!(cluster.nodes[to].counters().refused, 1);
    }
}

#[test]
fn wrong_sends_and_receives_are_refused() {
    let mut cluster = Cluster::new(2, 5);
    let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20));
    let made_up = Endpoint { port: Port(99), ..b };
    let elsewhere = Endpoint { domain: DomainId(8), ..b };
    let nowhere = Endpoint { node: McapiNode(2), ..b };
    let no_node = Endpoint { node: McapiNode(0xdead_beef), ..b };
    let node = &mut cluster.nodes[0];
    for to in [elsewhere, nowhere, no_node, Endpoint { port: Port(99), ..a }] {
        assert_eq!(node.msg_send_i(a, to, b"", 0), Err(Status::EndpInvalid), "{to}");
    }
    assert_eq!(node.msg_send_i(b, a, b"", 0), Err(Status::EndpInvalid));
    assert_eq!(node.msg_send_i(a, b, b"", MCAPI_MAX_PRIORITY + 1), Err(Status::Priority));
    assert_eq!(node.msg_send_i(a, b, b"", 256), Err(Status::Priority));
    let long = vec![0; MCAPI_MAX_MSG_SIZE + 1];
    assert_eq!(node.msg_send_i(a, b, &long, 0), Err(Status::MsgSize));
    assert_eq!(node.msg_recv_i(b), Err(Status::EndpInvalid));
    assert_eq!(node.msg_available(made_up), Err(Status::EndpInvalid));
    assert_eq!(cluster.message(a, b, &long[1..], MCAPI_MAX_PRIORITY), Completion::Done);
    assert_eq!(cluster.message(a, made_up, b"", 0), failed(Status::EndpInvalid));
    assert_eq!(received(&mut cluster, b).0.len(), MCAPI_MAX_MSG_SIZE);
}

#[test]
fn connected_endpoints_take_no_messages_but_keep_those_they_have() {
    let mut cluster = Cluster::new(3, 6);
    let (a, b, c) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20), cluster.endpoint(2, 30));
    cluster.message(c, b, b"before", 0);
    let (tx, rx) = cluster.connect(a, b, 2);
    assert_eq!(cluster.message(c, b, b"during", 0), failed(Status::General));
    assert_eq!(cluster.nodes[0].msg_send_i(a, c, b"", 0), Err(Status::General));
    assert_eq!(cluster.nodes[1].msg_recv_i(b), Err(Status::General));
    let close = cluster.nodes[1].pktchan_recv_close_i(rx);
    assert_eq!(cluster.done(1, close), Completion::Done);
    let close = cluster.nodes[0].pktchan_send_close_i(tx);
    assert_eq!(cluster.done(0, close), Completion::Done);
    assert_eq!(received(&mut cluster, b).0, b"before");
    assert_eq!(cluster.message(c, b, b"after", 0), Completion::Done);
}

#[test]
fn endpoints_are_made_found_and_deleted() {
    let mut cluster = Cluster::new(2, 7);
    let a = cluster.endpoint(0, 10);
    let node = &mut cluster.nodes[0];
    assert_eq!((a.domain, a.node, a.port), (node.domain_id(), node.node_id(), Port(10)));
    assert_eq!(node.endpoint_create(Port(10)), Err(Status::EndpExists));
    assert_eq!(node.endpoint_create(Port(0)), Err(Status::PortInvalid));
    let any = [Port::ANY; 3].map(|port| node.endpoint_create(port).unwrap().port);
    assert!(any[0] != any[1] && any[1] != any[2] && !any.contains(&Port::ANY));
    assert_eq!(node.endpoint_attributes(a).unwrap().num_recv_buffers, 64);

    let receive = cluster.nodes[0].msg_recv_i(a).unwrap();
    let open = cluster.nodes[0].pktchan_send_open_i(a).unwrap();
    assert_eq!(cluster.nodes[1].endpoint_delete(a), Err(Status::EndpNotOwner));
    assert_eq!(cluster.nodes[1].endpoint_attributes(a), Err(Status::EndpRemote));
    assert_eq!(cluster.nodes[0].endpoint_delete(a), Ok(()));
    for request in [receive, open] {
        let completion = cluster.nodes[0].test(request);
        assert_eq!(completion, Ok(Some(failed(Status::EndpDeleted))));
    }
    assert_eq!(cluster.nodes[0].endpoint_delete(a), Err(Status::EndpInvalid));
    let b = cluster.endpoint(1, 20);
    assert_eq!(cluster.message(b, a, b"", 0), failed(Status::EndpInvalid));
}

#[test]
fn the_table_of_endpoints_is_bounded() {
    let mut node = Mcapi::new(DomainId(0), NodeId(0), &[]);
    for _ in 0..MCAPI_MAX_ENDPOINTS {
        node.endpoint_create(Port::ANY).unwrap();
    }
    assert_eq!(node.endpoint_create(Port::ANY), Err(Status::EndpLimit));
    assert_eq!(node.endpoint_create(Port(5)), Err(Status::EndpLimit));
}

#[test]
fn a_get_waits_until_the_endpoint_exists() {
    for owner in [0, 1] {
        let mut cluster = Cluster::new(3, 8);
        let name = McapiNode(u32::try_from(owner).unwrap());
        let get = |c: &mut Cluster, by: usize| {
            c.nodes[by].endpoint_get_i(DomainId(7), name, Port(10)).unwrap()
        };
        let (early, other, never) =
            (get(&mut cluster, 0), get(&mut cluster, 2), get(&mut cluster, 0));
        cluster.pending(0, early);
        assert_eq!(cluster.nodes[0].cancel(never), Ok(()));
        cluster.run();
        let a = cluster.endpoint(owner, 10);
        assert_eq!(cluster.done(0, Ok(early)), Completion::Endpoint(a));
        assert_eq!(cluster.done(2, Ok(other)), Completion::Endpoint(a));
        let late = get(&mut cluster, 2);
        assert_eq!(cluster.done(2, Ok(late)), Completion::Endpoint(a));
        assert!(cluster.nodes.iter().all(|node| node.counters() == Counters::default()));
        assert!(cluster.nodes[owner].wanted.is_empty());
    }
}

#[test]
fn wrong_gets_are_refused_and_waiting_gets_are_bounded() {
    let mut cluster = Cluster::new(3, 9);
    let node = &mut cluster.nodes[0];
    let get = |node: &mut Mcapi, domain, name, port| {
        node.endpoint_get_i(DomainId(domain), McapiNode(name), port)
    };
    assert_eq!(get(node, 8, 1, Port(1)), Err(Status::DomainInvalid));
    assert_eq!(get(node, 7, 3, Port(1)), Err(Status::NodeInvalid));
    assert_eq!(get(node, 7, 1 << 16, Port(1)), Err(Status::NodeInvalid));
    assert_eq!(get(node, 7, 1, Port::ANY), Err(Status::PortInvalid));
    for n in 1..=u32::try_from(MCAPI_MAX_REQUESTS).unwrap() {
        get(&mut cluster.nodes[0], 7, 1, Port(n)).unwrap();
    }
    assert_eq!(get(&mut cluster.nodes[0], 7, 1, Port(1)), Err(Status::RequestLimit));
    cluster.run();
    let more = get(&mut cluster.nodes[2], 7, 1, Port(1));
    assert_eq!(cluster.done(2, more), failed(Status::EndpGetLimit));
}

/// In place, in the same order; whoever posted a receive is served before; a sender that waits for room is let in.
#[test]
fn what_is_there_can_be_taken_without_a_request() {
    for seed in [10, 11] {
        let mut cluster = Cluster::new(2, seed);
        let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20));
        let take = |cluster: &mut Cluster| cluster.nodes[1].msg_take(b, |m| m.data[0]);
        assert_eq!(take(&mut cluster), Ok(None));
        let posted = cluster.nodes[1].msg_recv_i(b).unwrap();
        assert_eq!(cluster.message(a, b, &[1], 5), Completion::Done);
        assert_eq!(take(&mut cluster), Ok(None));
        // It comes back, before those of its priority and after higher ones.
        cluster.nodes[1].abandon(posted);
        for (data, priority) in [(2, 5), (3, 0)] {
            assert_eq!(cluster.message(a, b, &[data], priority), Completion::Done);
        }
        assert_eq!(
            [0; 4].map(|_| take(&mut cluster)),
            [Ok(Some(3)), Ok(Some(1)), Ok(Some(2)), Ok(None)]
        );
        let memory = Attribute::MemoryType as u32;
        cluster.nodes[1].endpoint_set_attribute(b, memory, &0u32.to_le_bytes()).unwrap();
        let send = |_| cluster.nodes[0].msg_send_i(a, b, b"x", 1).unwrap();
        let last = (0..=MCAPI_MAX_QUEUE_ELEMENTS).map(send).last().unwrap();
        cluster.run();
        assert_eq!(cluster.nodes[0].take_done(last), None);
        assert_eq!(take(&mut cluster), Ok(Some(b'x')));
        cluster.run();
        assert_eq!(cluster.nodes[0].take_done(last), Some(Completion::Done));
        assert_eq!(cluster.nodes[0].take_done(last), None);
        assert_eq!(cluster.nodes[1].msg_take(a, |_| ()), Err(Status::EndpInvalid));
    }
}
