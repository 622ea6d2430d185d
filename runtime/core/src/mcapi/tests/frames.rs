use super::*;

const TERMS: attribute::Terms =
    attribute::Terms { max_payload_size: 0x201, memory_type: 3, num_priorities: 4, priority: 5 };
const R: Request = Request::from_raw(0x0403_0201);

/// Every frame with its bytes: a change here is a change of the protocol.
const GOLDEN: &[(Frame, &[u8])] = &[
    (Frame::Get { request: R, port: 9 }, &[1, 1, 2, 3, 4, 9, 0, 0, 0]),
    (Frame::GetCancel { request: R, port: 9 }, &[2, 1, 2, 3, 4, 9, 0, 0, 0]),
    (
        Frame::GetDone { request: R, status: Status::Success, port: 9 },
        &[3, 1, 2, 3, 4, 1, 9, 0, 0, 0],
    ),
    (
        Frame::Message { request: R, from: 5, to: 6, priority: 7, later: false },
        &[4, 1, 2, 3, 4, 5, 0, 0, 0, 6, 0, 0, 0, 7, b'd', b'a', b't', b'a'],
    ),
    (Frame::MessageDone { request: R, status: Status::MemLimit }, &[5, 1, 2, 3, 4, 38]),
    (
        Frame::Connect {
            request: R,
            kind: ChannelKind::Packet,
            send: 5,
            recv: Endpoint { domain: DomainId(7), node: McapiNode(0x0201), port: Port(6) },
        },
        &[6, 1, 2, 3, 4, 0, 5, 0, 0, 0, 7, 0, 0, 0, 1, 2, 0, 0, 6, 0, 0, 0],
    ),
    (
        Frame::Bind { channel: 8, kind: ChannelKind::Scalar, send: 5, recv: 6, terms: TERMS },
        &[7, 8, 0, 0, 0, 1, 5, 0, 0, 0, 6, 0, 0, 0, 1, 2, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0],
    ),
    (
        Frame::Bound { channel: 8, send: 5, status: Status::ChanConnected },
        &[8, 8, 0, 0, 0, 5, 0, 0, 0, 29],
    ),
    (Frame::ConnectDone { request: R, status: Status::General }, &[9, 1, 2, 3, 4, 43]),
    (Frame::Opened { channel: 8, port: 9, window: 64 }, &[10, 8, 0, 0, 0, 9, 0, 0, 0, 64, 0]),
    (Frame::Packet { channel: 8, port: 9 }, &[11, 8, 0, 0, 0, 9, 0, 0, 0, b'd', b'a', b't', b'a']),
    (Frame::Credit { channel: 8, port: 9, count: 16 }, &[12, 8, 0, 0, 0, 9, 0, 0, 0, 16, 0]),
    (
        Frame::Closed { channel: 8, port: 9, request: Some(R) },
        &[13, 8, 0, 0, 0, 9, 0, 0, 0, 1, 2, 3, 4],
    ),
    (
        Frame::Closed { channel: 8, port: 9, request: None },
        &[13, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0],
    ),
    (Frame::Release { port: 9, request: Some(R) }, &[14, 9, 0, 0, 0, 1, 2, 3, 4]),
    (Frame::Release { port: 9, request: None }, &[14, 9, 0, 0, 0, 0, 0, 0, 0]),
    (Frame::AttributeGet { request: R, port: 9, number: 11 }, &[15, 1, 2, 3, 4, 9, 0, 0, 0, 11]),
    (
        Frame::AttributeDone { request: R, status: Status::Success, value: 0x0807_0605_0403_0201 },
        &[16, 1, 2, 3, 4, 1, 1, 2, 3, 4, 5, 6, 7, 8],
    ),
    (Frame::MessageCancel { request: R, port: 9 }, &[17, 1, 2, 3, 4, 9, 0, 0, 0]),
    (Frame::CreditAsk { channel: 8, port: 9 }, &[18, 8, 0, 0, 0, 9, 0, 0, 0]),
    (Frame::CreditAnswer { channel: 8, port: 9, count: 0 }, &[19, 8, 0, 0, 0, 9, 0, 0, 0, 0, 0]),
    (Frame::MessagesDone, &[20, b'd', b'a', b't', b'a']),
    (
        Frame::Message { request: R, from: 5, to: 6, priority: 7, later: true },
        &[21, 1, 2, 3, 4, 5, 0, 0, 0, 6, 0, 0, 0, 7, b'd', b'a', b't', b'a'],
    ),
    (Frame::MessagesAsk, &[22]),
    (Frame::Heard { request: R, status: Status::Success }, &[23, 1, 2, 3, 4, 1]),
];

/// The bytes of one of them.
pub(super) fn sample(rng: &mut Rng) -> &'static [u8] {
    GOLDEN[rng.below(GOLDEN.len())].1
}

fn data_of(frame: &Frame) -> &'static [u8] {
    match frame {
        Frame::Message { .. } | Frame::Packet { .. } | Frame::MessagesDone => b"data",
        _ => b"",
    }
}

#[test]
fn the_bytes_are_pinned() {
    // Each tag has its line, in order, and may have more.
    let mut tags: Vec<u8> = GOLDEN.iter().map(|(_, bytes)| bytes[0]).collect();
    tags.dedup();
    assert!((1..=Frame::LAST_TAG).eq(tags));
    for (frame, bytes) in GOLDEN {
        assert_eq!(frame.emit(data_of(frame)), *bytes, "{frame:?}");
        assert_eq!(Frame::parse(bytes), Ok((*frame, data_of(frame))));
    }
}

#[test]
fn cut_and_overlong_frames_are_malformed() {
    for (frame, bytes) in GOLDEN {
        for end in 0..bytes.len() - data_of(frame).len() {
            assert!(Frame::parse(&bytes[..end]).is_err(), "{frame:?} cut to {end}");
        }
        let long = [bytes, [0].as_slice()].concat();
        assert_eq!(Frame::parse(&long).is_ok(), !data_of(frame).is_empty());
    }
    for bytes in [&[0][..], &[24], &[3, 0, 0, 0, 0, 0], &[3, 0, 0, 0, 0, 47]] {
        assert!(Frame::parse(bytes).is_err(), "{bytes:?}");
    }
    assert!(Frame::parse(&[7, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0]).is_err(), "a third kind");
}

#[test]
fn frames_that_break_a_rule_are_counted_and_change_nothing() {
    let mut cluster = Cluster::new(2, 1);
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    let id = 0;
    let wrong = [
        (0, Frame::Opened { channel: id, port: 10, window: 9 }),
        (0, Frame::Bound { channel: id, send: 10, status: Status::Success }),
        (0, Frame::Packet { channel: id, port: 10 }),
        (0, Frame::Credit { channel: id, port: 10, count: 1 }),
        (1, Frame::Credit { channel: id, port: 11, count: 1 }),
    ];
    for (n, (node, frame)) in wrong.into_iter().enumerate() {
        let before = cluster.nodes[node].counters().malformed;
        cluster.nodes[node].handle(NodeId(u16::from(node == 0)), &frame.emit(b""));
        assert_eq!(cluster.nodes[node].counters().malformed, before + 1, "{n}: {frame:?}");
    }
    cluster.nodes[0].handle(NodeId(0), &Frame::Get { request: R, port: 1 }.emit(b""));
    cluster.nodes[0].handle(NodeId(9), &Frame::Get { request: R, port: 1 }.emit(b""));
    assert_eq!(cluster.nodes[0].counters().malformed, 6);
    let stale = [
        Frame::Packet { channel: id + 1, port: 11 },
        Frame::Closed { channel: id, port: 12, request: None },
        Frame::Heard { request: R, status: Status::Success },
        Frame::GetDone { request: R, status: Status::Success, port: 9 },
        Frame::MessageDone { request: R, status: Status::Success },
        Frame::ConnectDone { request: R, status: Status::Success },
    ];
    for frame in stale {
        cluster.nodes[1].handle(NodeId(0), &frame.emit(b""));
    }
    assert_eq!(cluster.nodes[1].counters().stale, 6);
    // A sender that ignores the window.
    for _ in 0..65 {
        cluster.nodes[1].handle(NodeId(0), &Frame::Packet { channel: id, port: 11 }.emit(b"p"));
    }
    assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(64));
    assert_eq!(cluster.nodes[1].counters().malformed, 2);
    assert!(cluster.nodes[0].pktchan_send_i(tx, vec![]).is_ok());
}

#[test]
fn random_bytes_never_panic_and_keep_memory_bounded() {
    let mut cluster = Cluster::new(3, 2);
    let (a, _, tx, _) = cluster.channel((0, 1), 1, 2);
    cluster.channel((1, 0), 3, 2);
    let mut rng = Rng(3);
    for _ in 0..100_000 {
        let len = rng.below(24);
        // Small numbers, so that many frames make some sense.
        let mut bytes: Vec<u8> = (0..len)
            .map(|_| u8::try_from(if rng.below(4) == 0 { rng.below(256) } else { 0 }).unwrap())
            .collect();
        if let Some(tag) = bytes.first_mut() {
            *tag = u8::try_from(rng.below(22)).unwrap();
        }
        if let Some(port) = bytes.get_mut(5) {
            *port = u8::try_from(rng.below(6)).unwrap();
        }
        cluster.nodes[0].handle(NodeId(u16::try_from(1 + rng.below(2)).unwrap()), &bytes);
        while cluster.nodes[0].poll().is_some() {}
    }
    let node = &mut cluster.nodes[0];
    assert!(node.counters().malformed > 0 && node.counters().stale > 0);
    let waiting: usize = node.wanted.values().map(Vec::len).sum();
    assert!(waiting <= crate::limits::MCAPI_MAX_REQUESTS);
    let _ = node.pktchan_send_i(tx, vec![1]);
    let _ = node.endpoint_delete(a);
    node.node_gone(NodeId(1));
    node.node_gone(NodeId(2));
}

#[test]
fn the_numbers_of_the_status_codes_are_pinned() {
    let pins = [
        (Status::Success, 1),
        (Status::Pending, 2),
        (Status::Timeout, 3),
        (Status::Parameter, 4),
        (Status::DomainInvalid, 5),
        (Status::NodeInvalid, 6),
        (Status::NodeInitFailed, 7),
        (Status::NodeInitialized, 8),
        (Status::NodeNotInit, 9),
        (Status::NodeFinalFailed, 10),
        (Status::PortInvalid, 11),
        (Status::EndpInvalid, 12),
        (Status::EndpExists, 13),
        (Status::EndpGetLimit, 14),
        (Status::EndpDeleted, 15),
        (Status::EndpNotOwner, 16),
        (Status::EndpRemote, 17),
        (Status::AttrIncompatible, 18),
        (Status::AttrSize, 19),
        (Status::AttrNum, 20),
        (Status::AttrValue, 21),
        (Status::AttrNotSupported, 22),
        (Status::AttrReadOnly, 23),
        (Status::MsgSize, 24),
        (Status::MsgTruncated, 25),
        (Status::ChanOpen, 26),
        (Status::ChanType, 27),
        (Status::ChanDirection, 28),
        (Status::ChanConnected, 29),
        (Status::ChanOpenPending, 30),
        (Status::ChanClosePending, 31),
        (Status::ChanNotOpen, 32),
        (Status::ChanInvalid, 33),
        (Status::PktSize, 34),
        (Status::Transmission, 35),
        (Status::Priority, 36),
        (Status::BufInvalid, 37),
        (Status::MemLimit, 38),
        (Status::RequestInvalid, 39),
        (Status::RequestLimit, 40),
        (Status::RequestCancelled, 41),
        (Status::WaitPending, 42),
        (Status::General, 43),
        (Status::SclSize, 44),
        (Status::EndpLimit, 45),
        (Status::EndpNoPorts, 46),
    ];
    assert_eq!(pins.map(|(status, _)| status), *Status::ALL);
    for (status, number) in pins {
        assert_eq!(status.number(), number);
        assert_eq!(Status::from_number(number), Some(status));
        assert!(status.name().starts_with("MCAPI_") && status.name().len() < 32);
        assert!(!alloc::format!("{status}").is_empty());
    }
    assert_eq!((Status::from_number(0), Status::from_number(47)), (None, None));
    assert_eq!(Status::EndpNotOwner.name(), "MCAPI_ERR_ENDP_NOTOWNER");
}
