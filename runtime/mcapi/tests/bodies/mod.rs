//! What must hold over every transport, by sections of the specification. [`suite!`] makes tests of them, given how nodes
//! of one place are made.

#![expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]

use mcapi::limits::{MCAPI_MAX_MSG_SIZE, MCAPI_MAX_PKT_SIZE, MCAPI_MAX_QUEUE_ELEMENTS};
use mcapi::{
    Address, Attribute, DomainId, Endpoint, FAIL_ON_MEM_LIMIT, McapiNode, Node, Packet,
    PacketReceiver, PacketSender, Port, Scalar, Status, wait_any,
};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub(crate) const DOMAIN: DomainId = DomainId(1);
/// Nothing takes so long: a test that hangs says where.
const LONG: Option<Duration> = Some(Duration::from_secs(60));
/// A life begins at most sixteen times in a second.
const LIVES: u32 = 30;
const FULL: u32 = MCAPI_MAX_QUEUE_ELEMENTS as u32;

/// A place where nodes meet.
pub(crate) trait Place {
    /// The node of this number in [`DOMAIN`]. One that was dropped can be made again.
    fn node(&self, number: u32) -> Node;
}

/// A test for each body: `suite!(module, expression)`, where the expression makes a new [`Place`].
macro_rules! suite {
    ($transport:ident, $place:expr) => {
        mod $transport {
            use super::*;
            $crate::bodies::suite!(@ $place;
                initialize_and_finalize_several_times
                endpoints_are_made_found_and_deleted
                attributes_have_values_sizes_and_owners
                both_ends_of_a_channel_must_agree
                messages_have_sizes_and_priorities
                a_full_queue_fails_or_blocks_as_its_attribute_says
                receives_posted_ahead_are_served_in_order
                a_stream_is_answered_whoever_computes_or_leaves
                a_third_party_connects_and_packets_come_in_order
                a_slow_receiver_slows_its_sender
                large_packets_are_kept_while_more_come
                channels_close_in_any_order
                scalars_have_sizes
                requests_are_tested_waited_for_and_cancelled
                wait_any_says_which
                a_node_that_leaves_is_told_of_and_may_come_again
                lives_are_found_by_who_knows_of_them
            );
        }
    };
    (@ $place:expr; $($body:ident)*) => {$(
        #[test]
        fn $body() {
            $crate::bodies::$body(&$place);
        }
    )*};
}
pub(crate) use suite;

/// Two that have heard of each other.
fn two(place: &impl Place) -> (Node, Node) {
    let (a, b) = (place.node(1), place.node(2));
    for (from, to) in [(&a, &b), (&b, &a)] {
        let there = to.endpoint(Port::ANY).unwrap();
        let port = there.address().port;
        let found = from.find(DOMAIN, to.node_id(), port).unwrap().wait(LONG);
        assert_eq!(found, Ok(there.address()));
    }
    (a, b)
}

fn find(node: &Node, number: u32, port: u32) -> Address {
    node.find(DOMAIN, McapiNode(number), Port(port)).unwrap().wait(LONG).unwrap()
}

fn set_timeout(endpoint: &Endpoint, timeout: Duration) {
    endpoint.set(Attribute::Timeout, timeout.as_micros().try_into().unwrap()).unwrap();
}

/// 4.2, 3.10
pub(crate) fn initialize_and_finalize_several_times(place: &impl Place) {
    let b = place.node(2);
    for round in 0..3 {
        let a = place.node(1);
        assert_eq!((a.domain_id(), a.node_id()), (DOMAIN, McapiNode(1)));
        let here = a.endpoint(Port(round + 1)).unwrap();
        assert_eq!(find(&b, 1, round + 1), here.address());
        let mut never = b.find(DOMAIN, McapiNode(1), Port(99)).unwrap();
        a.finalize();
        assert_eq!(here.recv().unwrap_err(), Status::NodeNotInit);
        // From now on a get is one of the next life.
        assert_eq!(never.wait(LONG).unwrap_err(), Status::Transmission);
    }
}

/// 3.10, 4.3.2. Whoever knows of a node's next life, past MCAPI, finds what is there.
pub(crate) fn lives_are_found_by_who_knows_of_them(place: &impl Place) {
    let a = place.node(1);
    let (born, is_born) = mpsc::channel();
    let (done, is_done) = mpsc::channel();
    let seeker = thread::spawn(move || {
        for there in is_born {
            let found = a.find(DOMAIN, McapiNode(2), Port(5)).unwrap().wait(LONG);
            assert_eq!(found, Ok(there));
            done.send(()).unwrap();
        }
    });
    for _ in 0..LIVES {
        let b = place.node(2);
        let here = b.endpoint(Port(5)).unwrap();
        born.send(here.address()).unwrap();
        is_done.recv().unwrap();
        b.finalize();
    }
    drop(born);
    seeker.join().unwrap();
}

/// 4.3.1-4, 4.4.1
pub(crate) fn endpoints_are_made_found_and_deleted(place: &impl Place) {
    let (a, b) = two(place);
    for bad in [Port(0), Port(u32::MAX - 1)] {
        let made = a.endpoint(bad).map(drop);
        assert_eq!(made, if bad.0 == 0 { Err(Status::PortInvalid) } else { Ok(()) });
    }
    let here = a.endpoint(Port(1)).unwrap();
    assert_eq!(a.endpoint(Port(1)).unwrap_err(), Status::EndpExists);
    assert_ne!(a.endpoint(Port::ANY).unwrap().address(), a.endpoint(Port::ANY).unwrap().address());
    // Before it is there, and after.
    let mut early = b.find(DOMAIN, McapiNode(1), Port(2)).unwrap();
    assert_eq!(early.wait(Some(Duration::from_millis(1))).unwrap_err(), Status::Timeout);
    let late = a.endpoint(Port(2)).unwrap();
    assert_eq!(early.wait(LONG), Ok(late.address()));
    assert_eq!(find(&b, 1, 2), late.address());
    assert_eq!(late.get(Attribute::GetCount), Ok(2));
    let source = u64::from(DOMAIN.0) | 2 << 32;
    assert_eq!(late.get(Attribute::GetSource), Ok(source));
    let wrong = [
        b.find(DOMAIN, McapiNode(u32::MAX), Port(1)).unwrap_err(),
        b.find(DomainId(u32::MAX), McapiNode(1), Port(1)).unwrap_err(),
        b.find(DOMAIN, McapiNode(1), Port::ANY).unwrap_err(),
    ];
    assert_eq!(wrong, [Status::NodeInvalid, Status::DomainInvalid, Status::PortInvalid]);
    let address = here.address();
    drop(here);
    let there = b.endpoint(Port(1)).unwrap();
    assert_eq!(there.send(address, b"x", 0), Err(Status::EndpInvalid));
    assert!(a.endpoint(Port(1)).is_ok(), "the port is free again");
}

/// 4.3.5-6
pub(crate) fn attributes_have_values_sizes_and_owners(place: &impl Place) {
    let (a, _b) = two(place);
    let here = a.endpoint(Port(1)).unwrap();
    for (attribute, value) in [
        (Attribute::Type, 1),
        (Attribute::GetCount, 0),
        (Attribute::GetSource, u64::MAX),
        (Attribute::MaxPayloadSize, MCAPI_MAX_PKT_SIZE as u64),
        (Attribute::BufferType, 0),
        (Attribute::MemoryType, FAIL_ON_MEM_LIMIT.into()),
        (Attribute::NumPriorities, 11),
        (Attribute::Priority, 0),
        (Attribute::NumSendBuffers, FULL.into()),
        (Attribute::NumRecvBuffers, FULL.into()),
        (Attribute::Status, 0),
        (Attribute::Timeout, u32::MAX.into()),
    ] {
        assert_eq!(here.get(attribute), Ok(value), "{attribute:?}");
    }
    for attribute in [Attribute::Type, Attribute::GetCount, Attribute::GetSource, Attribute::Status]
    {
        let refused = here.set(attribute, 1).unwrap_err();
        assert_eq!(refused, Status::AttrReadOnly, "{attribute:?}");
    }
    for (attribute, bad) in [
        (Attribute::MaxPayloadSize, 0),
        (Attribute::MaxPayloadSize, u32::MAX),
        (Attribute::BufferType, 1),
        (Attribute::MemoryType, 3),
        (Attribute::NumPriorities, 0),
        (Attribute::NumPriorities, 12),
        (Attribute::Priority, 11),
        (Attribute::NumSendBuffers, 0),
        (Attribute::NumRecvBuffers, FULL + 1),
    ] {
        assert_eq!(here.set(attribute, bad), Err(Status::AttrValue), "{attribute:?} = {bad}");
    }
    here.set(Attribute::NumRecvBuffers, 3).unwrap();
    here.send(here.address(), b"x", 0).unwrap();
    assert_eq!(here.get(Attribute::NumRecvBuffers), Ok(2), "free ones");
}

/// 4.5.1 `ATTR_INCOMPATIBLE`
pub(crate) fn both_ends_of_a_channel_must_agree(place: &impl Place) {
    let (a, b) = two(place);
    for (n, (attribute, value)) in [
        (Attribute::MaxPayloadSize, 100),
        (Attribute::MemoryType, 0),
        (Attribute::MemoryType, FAIL_ON_MEM_LIMIT | 1),
        (Attribute::NumPriorities, 4),
        (Attribute::Priority, 3),
    ]
    .into_iter()
    .enumerate()
    {
        let port = Port(n as u32 + 1);
        let (send, recv) = (a.endpoint(port).unwrap(), b.endpoint(port).unwrap());
        recv.set(attribute, value).unwrap();
        let connect = |by: &Node| {
            by.connect_packets(send.address(), recv.address()).and_then(|mut made| made.wait(LONG))
        };
        assert_eq!(connect(&a), Err(Status::AttrIncompatible), "{attribute:?}");
        assert_eq!(connect(&b), Err(Status::AttrIncompatible), "{attribute:?}");
        send.set(attribute, value).unwrap();
        assert_eq!(connect(&b), Ok(()), "{attribute:?}");
        assert_eq!(connect(&a), Err(Status::ChanConnected));
        assert_eq!(send.set(attribute, value), Err(Status::ChanConnected));
        assert_eq!(send.get(Attribute::Type), Ok(2));
    }
}

/// 4.4, 3.5.3
pub(crate) fn messages_have_sizes_and_priorities(place: &impl Place) {
    let (a, b) = two(place);
    let (from, to) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    let there = find(&a, 2, 2);
    let large: Vec<u8> = (0..=MCAPI_MAX_MSG_SIZE).map(|n| (n * 7) as u8).collect();
    assert_eq!(from.send(there, &large, 0), Err(Status::MsgSize));
    assert_eq!(from.send(there, b"x", 11), Err(Status::Priority));
    from.send(there, &large[1..], 10).unwrap();
    for (data, priority) in [("b", 5), ("a", 0), ("", 5), ("c", 9)] {
        from.send(there, data.as_bytes(), priority).unwrap();
    }
    assert_eq!(to.available(), Ok(5));
    for (data, priority) in [("a", 0), ("b", 5), ("", 5), ("c", 9)] {
        let message = to.recv().unwrap();
        assert_eq!((&message.data[..], message.priority), (data.as_bytes(), priority));
        assert_eq!(message.from, from.address());
    }
    assert!(to.recv().unwrap().data == large[1..]);
    set_timeout(&to, Duration::from_millis(1));
    assert_eq!(to.recv().unwrap_err(), Status::Timeout);
}

/// 3.5.3, 3.13
pub(crate) fn a_full_queue_fails_or_blocks_as_its_attribute_says(place: &impl Place) {
    let (a, b) = two(place);
    let (from, to) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    let there = find(&a, 2, 2);
    for n in 0..FULL {
        from.send(there, &n.to_le_bytes(), 0).unwrap();
    }
    assert_eq!(from.send(there, b"more", 0), Err(Status::MemLimit));
    to.set(Attribute::MemoryType, 0).unwrap();
    set_timeout(&from, Duration::from_millis(1));
    assert_eq!(from.send(there, b"more", 0), Err(Status::Timeout));
    // That it was taken back arrives before the answer to this.
    find(&a, 2, 2);
    let mut more = from.send_i(there, &FULL.to_le_bytes(), 0).unwrap();
    assert_eq!(more.test(), Ok(None));
    for n in 0..=FULL {
        assert_eq!(to.recv().unwrap().data, n.to_le_bytes());
    }
    assert_eq!(more.wait(LONG), Ok(()));
    assert_eq!(to.available(), Ok(0));
}

/// 4.4.3, 4.7.4
pub(crate) fn receives_posted_ahead_are_served_in_order(place: &impl Place) {
    let (a, b) = two(place);
    let (from, to) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    let there = find(&a, 2, 2);
    let mut posted: Vec<_> = (0..5).map(|_| to.recv_i().unwrap()).collect();
    posted.remove(1).cancel().unwrap();
    // Dropped is cancelled.
    drop(posted.remove(2));
    for n in 0..4u8 {
        from.send(there, &[n], 0).unwrap();
    }
    for n in [2u8, 0, 1] {
        assert_eq!(posted[usize::from(n)].wait(LONG).unwrap().data, [n]);
    }
    assert_eq!(to.recv().unwrap().data, [3]);
}

/// 4.4.2: whose messages were taken is told so, also if the receiver does nothing more, or leaves.
pub(crate) fn a_stream_is_answered_whoever_computes_or_leaves(place: &impl Place) {
    const MANY: usize = 50;
    let (a, b) = two(place);
    let (from, to) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    let there = find(&a, 2, 2);
    for leaves in [false, false, true] {
        let sent: Vec<_> = (0..MANY).map(|_| from.send_i(there, b"x", 0).unwrap()).collect();
        (0..MANY).for_each(|_| assert_eq!(to.recv().unwrap().data, b"x"));
        if leaves {
            b.clone().finalize();
        }
        for mut sent in sent.into_iter().rev() {
            assert_eq!(sent.wait(LONG), Ok(()));
        }
    }
}

fn packets(
    by: &Node,
    (a, b): (&Node, &Node),
) -> (Endpoint, Endpoint, PacketSender, PacketReceiver) {
    let (send, recv) = (a.endpoint(Port::ANY).unwrap(), b.endpoint(Port::ANY).unwrap());
    // An open may come before the connect, on either side.
    let mut rx = recv.packet_receiver().unwrap();
    let there = [&send, &recv].map(|end| {
        let Address { node, port, .. } = end.address();
        find(by, node.0, port.0)
    });
    by.connect_packets(there[0], there[1]).unwrap().wait(LONG).unwrap();
    let tx = send.packet_sender().unwrap().wait(LONG).unwrap();
    let rx = rx.wait(LONG).unwrap();
    (send, recv, tx, rx)
}

/// 4.5.1-9
pub(crate) fn a_third_party_connects_and_packets_come_in_order(place: &impl Place) {
    let (a, b) = two(place);
    let third = place.node(3);
    for by in [&third, &a, &b] {
        let (send, recv, tx, rx) = packets(by, (&a, &b));
        assert_eq!(send.send(recv.address(), b"x", 0), Err(Status::General));
        assert_eq!(send.packet_sender().map(drop).unwrap_err(), Status::ChanOpen);
        assert_eq!(send.packet_receiver().map(drop).unwrap_err(), Status::ChanDirection);
        assert_eq!(send.scalar_sender::<u8>().map(drop).unwrap_err(), Status::ChanType);
        assert_eq!(tx.send(vec![0; MCAPI_MAX_PKT_SIZE + 1]), Err(Status::PktSize));
        tx.send(vec![7; MCAPI_MAX_PKT_SIZE]).unwrap();
        tx.send(Vec::new()).unwrap();
        let largest = rx.recv().unwrap();
        assert_eq!(rx.recv().unwrap().len(), 0);
        // Kept as long as one likes.
        assert!(*largest == [7; MCAPI_MAX_PKT_SIZE]);
        thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..500u32 {
                    tx.send_i(n.to_le_bytes()).unwrap().wait(LONG).unwrap();
                }
            });
            for n in 0..500u32 {
                assert_eq!(*rx.recv().unwrap(), n.to_le_bytes());
            }
        });
    }
    let lone = a.endpoint(Port::ANY).unwrap();
    let refused = a.connect_packets(lone.address(), lone.address()).map(drop);
    assert_eq!(refused, Err(Status::Parameter));
}

/// 3.5.3, 4.5.4-5
pub(crate) fn a_slow_receiver_slows_its_sender(place: &impl Place) {
    let (a, b) = two(place);
    let (_ends, _other, tx, rx) = packets(&a, (&a, &b));
    for n in 0..FULL {
        tx.send(n.to_le_bytes()).unwrap();
    }
    assert_eq!(tx.send(vec![]), Err(Status::MemLimit), "as its attribute says");
    let mut waiting: Vec<_> =
        (0..FULL).map(|n| tx.send_i((FULL + n).to_le_bytes()).unwrap()).collect();
    assert_eq!(tx.send_i(vec![]).map(drop), Err(Status::MemLimit), "its own buffers");
    assert_eq!(waiting[0].test(), Ok(None));
    for n in 0..2 * FULL {
        assert_eq!(*rx.recv().unwrap(), n.to_le_bytes());
    }
    for sent in &mut waiting {
        assert_eq!(sent.wait(LONG), Ok(()));
    }
}

/// 4.5.7, 4.5.9
pub(crate) fn large_packets_are_kept_while_more_come(place: &impl Place) {
    const KEPT: usize = 20;
    let (a, b) = two(place);
    let (send, recv, tx, rx) = packets(&a, (&a, &b));
    let content = |n: usize| -> Vec<u8> {
        (0..MCAPI_MAX_PKT_SIZE).map(|at| (n * 31 + at / 64 + at % 7) as u8).collect()
    };
    let mut kept: Vec<(usize, Packet)> = Vec::new();
    let unchanged = |kept: &[(usize, Packet)]| {
        for (n, packet) in kept {
            assert!(*packet == content(*n), "packet {n} has changed");
        }
    };
    for n in 0..3 * KEPT {
        if n >= KEPT {
            kept.swap_remove(n * 7 % KEPT);
        }
        tx.send(content(n)).unwrap();
        let packet =
            if n % 2 == 0 { rx.recv() } else { rx.recv_i().and_then(|mut r| r.wait(LONG)) };
        kept.push((n, packet.unwrap()));
    }
    unchanged(&kept);
    // Some wait here when the sender leaves: they are there still, and so are those that were taken.
    for n in 0..3 {
        tx.send(content(n)).unwrap();
    }
    while rx.available().unwrap() < 3 {}
    drop((tx, send));
    a.finalize();
    for n in 0..2 {
        assert!(rx.recv().unwrap() == content(n), "packet {n}");
    }
    let again = place.node(1);
    let (_send, _recv, tx, _rx) = packets(&again, (&again, &b));
    for n in 0..2 * KEPT {
        tx.send(content(n)).unwrap();
    }
    unchanged(&kept);
    b.finalize();
    unchanged(&kept);
    drop((rx, recv));
}

/// 4.5.11-12
pub(crate) fn channels_close_in_any_order(place: &impl Place) {
    let (a, b) = two(place);
    // The sender first: what it sent can be received.
    let (send, recv, tx, rx) = packets(&b, (&a, &b));
    // An end is found once, by whoever, until it is given back.
    let Address { domain, node, port } = recv.address();
    assert_eq!(find(&b, node.0, port.0), recv.address());
    let refused = a.find(domain, node, port).unwrap().wait(LONG);
    assert_eq!(refused, Err(Status::EndpGetLimit));
    b.release(recv.address()).unwrap();
    assert_eq!(find(&a, node.0, port.0), recv.address());
    tx.send(b"last").unwrap();
    tx.close().unwrap();
    assert_eq!(*rx.recv().unwrap(), *b"last");
    assert_eq!(rx.recv().map(drop).unwrap_err(), Status::ChanInvalid);
    rx.close().unwrap();
    drop((send, recv));
    // The receiver first: sends fail, once that is known.
    let (send, recv, tx, rx) = packets(&a, (&a, &b));
    tx.send(b"lost").unwrap();
    rx.close().unwrap();
    let end = loop {
        match tx.send(b"more") {
            Ok(()) | Err(Status::MemLimit) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(end, Status::ChanInvalid);
    tx.close().unwrap();
    // Both are for messages again.
    send.send(recv.address(), b"message", 0).unwrap();
    assert_eq!(recv.recv().unwrap().data, b"message");
    // Dropped in any order, nothing is left of endpoints and ends.
    for last in 0..2 {
        let (send, recv, tx, rx) = packets(&a, (&a, &b));
        let (from, to) = (send.address().port, recv.address().port);
        match last {
            0 => drop((send, tx, recv, rx)),
            _ => drop((tx, rx, recv, send)),
        }
        for (node, port) in [(&a, from), (&b, to)] {
            while node.endpoint(port).map(drop) == Err(Status::EndpExists) {
                thread::yield_now();
            }
        }
    }
}

/// 4.6
pub(crate) fn scalars_have_sizes(place: &impl Place) {
    fn carries<T: Scalar + PartialEq + std::fmt::Debug>(a: &Node, b: &Node, values: [T; 3]) {
        let (send, recv) = (a.endpoint(Port::ANY).unwrap(), b.endpoint(Port::ANY).unwrap());
        let there = find(a, 2, recv.address().port.0);
        a.connect_scalars(send.address(), there).unwrap().wait(LONG).unwrap();
        let mut tx = send.scalar_sender::<T>().unwrap();
        let rx = recv.scalar_receiver::<T>().unwrap().wait(LONG).unwrap();
        let tx = tx.wait(LONG).unwrap();
        for value in values {
            tx.send(value).unwrap();
        }
        for value in values {
            assert_eq!(rx.recv(), Ok(value));
        }
        for _ in 0..FULL {
            tx.send(values[0]).unwrap();
        }
        assert_eq!(tx.send(values[0]), Err(Status::MemLimit));
        for _ in 0..FULL {
            assert_eq!(rx.recv(), Ok(values[0]));
        }
        assert_eq!(rx.available(), Ok(0));
        tx.close().unwrap();
        assert_eq!(rx.recv(), Err(Status::ChanInvalid));
    }
    let (a, b) = two(place);
    carries(&a, &b, [0u8, 1, u8::MAX]);
    carries(&a, &b, [0u16, 0x1234, u16::MAX]);
    carries(&a, &b, [0u32, 0x1234_5678, u32::MAX]);
    carries(&a, &b, [0u64, 0x1234_5678_9abc_def0, u64::MAX]);
}

/// 4.7, 3.5.4
pub(crate) fn requests_are_tested_waited_for_and_cancelled(place: &impl Place) {
    let (a, b) = two(place);
    let (from, to) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    let there = find(&a, 2, 2);
    let mut receive = to.recv_i().unwrap();
    assert_eq!(receive.test(), Ok(None));
    assert_eq!(receive.wait(Some(Duration::from_millis(1))).unwrap_err(), Status::Timeout);
    from.send(there, b"x", 0).unwrap();
    assert_eq!(receive.wait(LONG).unwrap().data, b"x");
    assert_eq!(receive.wait(LONG).unwrap_err(), Status::RequestInvalid);
    assert_eq!(receive.test().unwrap_err(), Status::RequestInvalid);
    // One that is done is not cancelled, and what it received is not lost.
    let receive = to.recv_i().unwrap();
    from.send(there, b"y", 0).unwrap();
    assert_eq!(receive.cancel(), Err(Status::RequestInvalid));
    assert_eq!(to.recv().unwrap().data, b"y");
    let get = a.find(DOMAIN, McapiNode(2), Port(9)).unwrap();
    assert_eq!(get.cancel(), Ok(()));
}

/// 4.7.3
pub(crate) fn wait_any_says_which(place: &impl Place) {
    let (a, b) = two(place);
    let from = a.endpoint(Port(1)).unwrap();
    let ends: Vec<Endpoint> = (10..42).map(|port| b.endpoint(Port(port)).unwrap()).collect();
    let mut waiting: Vec<_> = ends.iter().map(|end| end.recv_i().unwrap()).collect();
    let wait = wait_any(&mut waiting, Some(Duration::from_millis(1)));
    assert_eq!(wait.unwrap_err(), Status::Timeout);
    for at in [31, 0, 17, 17, 5] {
        from.send(find(&a, 2, 10 + at), &[at as u8], 0).unwrap();
        let (found, message) = wait_any(&mut waiting, LONG).unwrap();
        assert_eq!(found, at as usize);
        assert_eq!(message.unwrap().data, [at as u8]);
        waiting[found] = ends[found].recv_i().unwrap();
    }
    assert_eq!(wait_any::<()>(&mut [], LONG).unwrap_err(), Status::Parameter);
}

/// 3.10
pub(crate) fn a_node_that_leaves_is_told_of_and_may_come_again(place: &impl Place) {
    let a = place.node(1);
    for life in 0..3u8 {
        let b = place.node(2);
        let (_send, _recv, tx, rx) = packets(&a, (&b, &a));
        tx.send(vec![life]).unwrap();
        let mut get = a.find(DOMAIN, McapiNode(2), Port(99)).unwrap();
        assert_eq!(*rx.recv().unwrap(), [life]);
        b.finalize();
        assert_eq!(get.wait(LONG).unwrap_err(), Status::Transmission);
        assert_eq!(rx.recv().map(drop).unwrap_err(), Status::Transmission);
        rx.close().unwrap();
        // A get waits for it to come again.
        let mut again = a.find(DOMAIN, McapiNode(2), Port(7)).unwrap();
        assert_eq!(again.test(), Ok(None));
        let b = place.node(2);
        let here = b.endpoint(Port(7)).unwrap();
        assert_eq!(again.wait(LONG), Ok(here.address()));
        b.finalize();
    }
}
