use super::*;
use crate::limits::MCAPI_MAX_QUEUE_ELEMENTS;

fn open(cluster: &mut Cluster) -> (SendHandle, RecvHandle) {
    let (send, recv) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    let connect = cluster.nodes[0].sclchan_connect_i(send, recv);
    assert_eq!(cluster.done(0, connect), Completion::Done);
    let tx = cluster.nodes[0].sclchan_send_open_i(send);
    let rx = cluster.nodes[1].sclchan_recv_open_i(recv);
    let Completion::RecvHandle(rx) = cluster.done(1, rx) else { panic!() };
    let Completion::SendHandle(tx) = cluster.done(0, tx) else { panic!() };
    (tx, rx)
}

#[test]
fn scalars_keep_order_size_and_value() {
    let mut cluster = Cluster::new(2, 1);
    let (tx, rx) = open(&mut cluster);
    let scalars = [(0xfe, 1), (0xfedc, 2), (0xfedc_ba98, 4), (0xfedc_ba98_7654_3210, 8)];
    for (value, size) in scalars {
        let sent = cluster.nodes[0].sclchan_send(tx, value, size);
        assert_eq!(cluster.went(0, sent), Completion::Done);
    }
    assert_eq!(cluster.nodes[1].sclchan_available(rx), Ok(4));
    for (value, size) in scalars {
        let wrong = cluster.nodes[1].sclchan_recv(rx, if size == 8 { 1 } else { 8 });
        assert_eq!(cluster.came(1, wrong), failed(Status::SclSize));
        let received = cluster.nodes[1].sclchan_recv(rx, u8::try_from(size).unwrap());
        assert_eq!(cluster.came(1, received), Completion::Scalar(value));
    }
    assert_eq!(cluster.nodes[0].sclchan_send(tx, 0, 3), Err(Status::SclSize));
    assert_eq!(cluster.nodes[0].pktchan_send_i(tx, vec![1]), Err(Status::ChanInvalid));
    assert_eq!(cluster.nodes[1].pktchan_recv_i(rx), Err(Status::ChanInvalid));
    assert_eq!(cluster.nodes[1].pktchan_recv_close_i(rx), Err(Status::ChanType));
}

#[test]
fn a_full_channel_says_so_exactly_or_waits_as_its_attribute_says() {
    for fail in [true, false] {
        let mut cluster = Cluster::new(2, 2);
        let (send, recv) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
        for endpoint in [send, recv] {
            let memory = if fail { FAIL_ON_MEM_LIMIT } else { 0 };
            let number = Attribute::MemoryType as u32;
            let node = endpoint.node.0 as usize;
            cluster.nodes[node]
                .endpoint_set_attribute(endpoint, number, &memory.to_le_bytes())
                .unwrap();
        }
        let (tx, rx) = cluster.connect(send, recv, 0);
        for _ in 0..MCAPI_MAX_QUEUE_ELEMENTS {
            let sent = cluster.nodes[0].pktchan_send(tx, vec![7]);
            assert_eq!(cluster.went(0, sent), Completion::Done);
        }
        // Not a quarter of the window is taken, yet there is room for just as many.
        for round in 0..5 {
            let Ok(Some(sent)) = cluster.nodes[0].pktchan_send(tx, vec![8]) else { panic!() };
            cluster.run();
            let answer = cluster.nodes[0].test(sent).unwrap();
            assert_eq!(answer, fail.then_some(failed(Status::MemLimit)), "{round}");
            let received = cluster.nodes[1].pktchan_recv_i(rx);
            assert!(matches!(cluster.done(1, received), Completion::Packet(_)));
            if fail {
                let sent = cluster.nodes[0].pktchan_send(tx, vec![9]);
                assert_eq!(cluster.went(0, sent), Completion::Done, "{round}");
            }
        }
        assert_eq!(cluster.nodes[0].counters(), Counters::default());
    }
}
