use super::*;
use crate::limits::{MCAPI_MAX_NODES, MCAPI_MAX_QUEUE_ELEMENTS};

fn get(cluster: &mut Cluster, by: usize, endpoint: Endpoint, of: Attribute) -> u64 {
    let request = cluster.nodes[by].endpoint_get_attribute_i(endpoint, of as u32, of.size());
    match cluster.done(by, request) {
        Completion::Attribute(value) => value,
        other => panic!("{other:?}"),
    }
}

fn set(cluster: &mut Cluster, endpoint: Endpoint, of: Attribute, value: u32) -> Result<(), Status> {
    let node = endpoint.node.0 as usize;
    cluster.nodes[node].endpoint_set_attribute(endpoint, of as u32, &value.to_le_bytes())
}

#[test]
fn values_sizes_and_numbers_are_checked() {
    let mut cluster = Cluster::new(2, 1);
    let a = cluster.endpoint(0, 1);
    for (of, good, bad) in [
        (Attribute::MaxPayloadSize, 100, 0),
        (Attribute::BufferType, 0, 1),
        (Attribute::MemoryType, 2, 3),
        (Attribute::NumPriorities, 2, 12),
        (Attribute::Priority, 1, 2),
        (Attribute::NumSendBuffers, 3, 0),
        (Attribute::NumRecvBuffers, 4, 65),
    ] {
        assert_eq!(set(&mut cluster, a, of, good), Ok(()), "{of:?}");
        assert_eq!(set(&mut cluster, a, of, bad), Err(Status::AttrValue), "{of:?}");
        assert_eq!(get(&mut cluster, 1, a, of), good.into(), "{of:?}");
    }
    for of in [Attribute::Type, Attribute::GetCount, Attribute::GetSource, Attribute::Status] {
        assert_eq!(set(&mut cluster, a, of, 1), Err(Status::AttrReadOnly));
    }
    let node = &mut cluster.nodes[0];
    assert_eq!(node.endpoint_set_attribute(a, 12, &[0; 4]), Err(Status::AttrNum));
    assert_eq!(node.endpoint_set_attribute(a, 11, &[0; 8]), Err(Status::AttrSize));
    assert_eq!(node.endpoint_get_attribute_i(a, 12, 4), Err(Status::AttrNum));
    assert_eq!(node.endpoint_get_attribute_i(a, 2, 4), Err(Status::AttrSize));
    assert_eq!(cluster.nodes[1].endpoint_set_attribute(a, 11, &[0; 4]), Err(Status::EndpRemote));
}

#[test]
fn attributes_rule_messages() {
    let mut cluster = Cluster::new(2, 2);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    set(&mut cluster, b, Attribute::NumRecvBuffers, 2).unwrap();
    set(&mut cluster, b, Attribute::MaxPayloadSize, 4).unwrap();
    set(&mut cluster, a, Attribute::NumPriorities, 2).unwrap();
    assert_eq!(cluster.message(a, b, b"12345", 0), failed(Status::MsgSize));
    assert_eq!(cluster.nodes[0].msg_send_i(a, b, b"1", 2), Err(Status::Priority));
    assert_eq!(cluster.message(a, b, b"1", 0), Completion::Done);
    assert_eq!(get(&mut cluster, 0, b, Attribute::NumRecvBuffers), 1, "room is told");
    assert_eq!(cluster.message(a, b, b"2", 1), Completion::Done);
    assert_eq!(cluster.message(a, b, b"3", 1), failed(Status::MemLimit));
    set(&mut cluster, b, Attribute::MemoryType, 0).unwrap();
    let third = cluster.nodes[0].msg_send_i(a, b, b"3", 0).unwrap();
    let fourth = cluster.nodes[0].msg_send_i(a, b, b"4", 0).unwrap();
    cluster.run();
    cluster.pending(0, third);
    cluster.nodes[0].cancel(third).unwrap();
    cluster.run();
    let received = cluster.nodes[1].msg_recv_i(b);
    assert!(matches!(cluster.done(1, received), Completion::Message(m) if m.data == b"1"));
    assert_eq!(cluster.nodes[0].test(fourth), Ok(Some(Completion::Done)), "it found room");
    let received = cluster.nodes[1].msg_recv_i(b);
    assert!(matches!(cluster.done(1, received), Completion::Message(m) if m.data == b"4"));
    assert_eq!(cluster.nodes[1].msg_available(b), Ok(1), "what was taken back is not there");
}

#[test]
fn both_ends_of_a_channel_must_agree() {
    for of in [Attribute::MaxPayloadSize, Attribute::MemoryType, Attribute::NumPriorities] {
        let mut cluster = Cluster::new(2, 3);
        let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
        set(&mut cluster, b, of, 1).unwrap();
        let connect = cluster.nodes[0].pktchan_connect_i(a, b);
        assert_eq!(cluster.done(0, connect), failed(Status::AttrIncompatible), "{of:?}");
        set(&mut cluster, a, of, 1).unwrap();
        let connect = cluster.nodes[0].pktchan_connect_i(a, b);
        assert_eq!(cluster.done(0, connect), Completion::Done);
        assert_eq!(set(&mut cluster, a, of, 1), Err(Status::ChanConnected));
    }
}

#[test]
fn an_endpoint_tells_what_it_is_and_who_got_it() {
    let mut cluster = Cluster::new(2, 4);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    assert_eq!(get(&mut cluster, 0, b, Attribute::GetSource), u64::MAX);
    let find = |cluster: &mut Cluster| {
        let found = cluster.nodes[0].endpoint_get_i(DomainId(7), McapiNode(1), Port(2));
        cluster.done(0, found)
    };
    assert_eq!(find(&mut cluster), Completion::Endpoint(b));
    assert_eq!(find(&mut cluster), Completion::Endpoint(b));
    assert_eq!(get(&mut cluster, 0, b, Attribute::GetCount), 2);
    assert_eq!(get(&mut cluster, 0, b, Attribute::GetSource), 7);
    let release = cluster.nodes[0].endpoint_release_i(b);
    assert_eq!(cluster.done(0, release), Completion::Done);
    assert_eq!(get(&mut cluster, 0, b, Attribute::GetCount), 1);
    assert_eq!(get(&mut cluster, 1, b, Attribute::Type), 1);
    cluster.connect(a, b, 0);
    assert_eq!(get(&mut cluster, 1, a, Attribute::Type), 2);
    let open = Attribute::STATUS_CONNECTED | Attribute::STATUS_OPEN | Attribute::STATUS_PKTCHAN;
    let status = get(&mut cluster, 0, b, Attribute::Status);
    assert_eq!(status, u64::from(open | Attribute::STATUS_RECEIVE));
    let all = u64::try_from(MCAPI_MAX_QUEUE_ELEMENTS).unwrap();
    assert_eq!(get(&mut cluster, 0, b, Attribute::NumRecvBuffers), all);
    assert_eq!(find(&mut cluster), Completion::Endpoint(b));
    assert_eq!(find(&mut cluster), failed(Status::EndpGetLimit), "a channel is got once");
    let release = cluster.nodes[0].endpoint_release_i(b);
    assert_eq!(cluster.done(0, release), Completion::Done);
    assert_eq!(find(&mut cluster), Completion::Endpoint(b));
}

/// So a third node that is told so, whichever way, can get it.
#[test]
fn a_release_is_done_when_the_owner_has_heard_of_it() {
    let mut cluster = Cluster::new(3, 5);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    cluster.connect(a, b, 0);
    let get = |cluster: &mut Cluster, by: usize| {
        cluster.nodes[by].endpoint_get_i(DomainId(7), McapiNode(1), Port(2)).unwrap()
    };
    let got = get(&mut cluster, 0);
    assert_eq!(cluster.done(0, Ok(got)), Completion::Endpoint(b));
    for other in [2, 0] {
        let mine = 2 - other;
        let release = cluster.nodes[mine].endpoint_release_i(b).unwrap();
        assert_eq!(cluster.nodes[mine].test(release), Ok(None), "node 1 has not heard of it");
        while cluster.nodes[mine].test(release) == Ok(None) {
            assert!(cluster.step());
        }
        let got = get(&mut cluster, other);
        assert_eq!(cluster.done(other, Ok(got)), Completion::Endpoint(b));
    }
    let gone = cluster.endpoint(1, 3);
    cluster.nodes[1].endpoint_delete(gone).unwrap();
    let release = cluster.nodes[0].endpoint_release_i(gone);
    assert_eq!(cluster.done(0, release), failed(Status::EndpInvalid));
    let release = cluster.nodes[0].endpoint_release_i(b).unwrap();
    cluster.kill(1);
    assert_eq!(cluster.done(0, Ok(release)), failed(Status::Transmission));
}

#[test]
fn nodes_have_names_and_come_when_they_like() {
    let mut a = Mcapi::named(DomainId(1), McapiNode(u32::MAX - 1), NodeId(0));
    let name = (DomainId(9), McapiNode(123_456_789));
    assert_eq!(a.endpoint_get_i(name.0, name.1, Port(1)), Err(Status::DomainInvalid));
    assert_eq!(a.endpoint_get_i(DomainId(1), name.1, Port(1)), Err(Status::NodeInvalid));
    let id = a.expect_node(name.0, name.1).unwrap();
    let get = a.endpoint_get_i(name.0, name.1, Port(1)).unwrap();
    assert_eq!((a.poll(), a.test(get)), (None, Ok(None)), "it waits for the node");
    assert_eq!(a.node_get_attribute(name.0, name.1, 0, 4), Err(Status::NodeInvalid));
    a.node_joined(id);
    assert_eq!(a.node_get_attribute(name.0, name.1, 0, 4), Ok(0));
    assert_eq!(a.node_get_attribute(name.0, name.1, 1, 4), Err(Status::AttrNum));
    let Some(Output::Send { to, payload }) = a.poll() else { panic!() };
    assert_eq!(to, id);
    let mut b = Mcapi::named(name.0, name.1, NodeId(0));
    let back = b.expect_node(DomainId(1), McapiNode(u32::MAX - 1)).unwrap();
    b.node_joined(back);
    b.handle(back, &payload);
    let made = b.endpoint_create(Port(1)).unwrap();
    let Some(Output::Send { payload, .. }) = b.poll() else { panic!() };
    a.handle(id, &payload);
    assert_eq!(a.test(get), Ok(Some(Completion::Endpoint(made))));
    a.node_gone(id);
    let get = a.endpoint_get_i(name.0, name.1, Port(1));
    assert_eq!(get, Err(Status::Transmission), "as long as nobody expects it back");
    assert_eq!(a.expect_node(name.0, name.1), Ok(id));
    assert!(a.endpoint_get_i(name.0, name.1, Port(1)).is_ok());
    for n in 2..u32::try_from(MCAPI_MAX_NODES).unwrap() {
        a.expect_node(DomainId(5), McapiNode(n)).unwrap();
    }
    assert_eq!(a.expect_node(DomainId(6), McapiNode(0)), Err(Status::NodeInvalid));
    assert_eq!(a.expect_node(DomainId(6), McapiNode(u32::MAX)), Err(Status::NodeInvalid));
    assert_eq!(a.expect_node(DomainId(u32::MAX), McapiNode(0)), Err(Status::DomainInvalid));
}

#[test]
fn a_request_that_was_tested_true_can_be_waited_for_once() {
    let mut cluster = Cluster::new(1, 5);
    let a = cluster.endpoint(0, 1);
    let node = &mut cluster.nodes[0];
    let send = node.msg_send_i(a, a, b"x", 0).unwrap();
    assert_eq!(node.test(send), Ok(Some(Completion::Done)));
    node.remember(send, Status::Success, 1);
    assert_eq!(node.test(send), Err(Status::RequestInvalid));
    assert_eq!(node.cancel(send), Err(Status::RequestInvalid));
    let again = node.wait(send, Waiter(1));
    assert_eq!(again, Ok(Some(Completion::Tested(Status::Success, 1))));
    assert_eq!(node.wait(send, Waiter(1)), Err(Status::RequestInvalid));
}
