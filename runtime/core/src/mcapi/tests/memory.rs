//! Nodes whose memory is fixed: what happens when it is used up.

use super::*;
use crate::limits::{MCAPI_MAX_BUFFERS, MCAPI_SMALL_BUFFER};

/// Of these seeds, nodes have fixed memory.
const FIXED: u64 = 1;
const LARGE: [u8; MCAPI_SMALL_BUFFER + 1] = [7; MCAPI_SMALL_BUFFER + 1];

/// Sends a packet and receives one, if there is a buffer for it.
fn exchange(cluster: &mut Cluster, tx: SendHandle, rx: RecvHandle) -> Result<Vec<u8>, Status> {
    let sent = cluster.nodes[0].pktchan_send_i(tx, LARGE);
    cluster.run();
    let received = cluster.nodes[1].pktchan_recv_i(rx)?;
    cluster.run();
    assert_eq!(cluster.nodes[0].test(sent?), Ok(Some(Completion::Done)));
    match cluster.nodes[1].test(received) {
        Ok(Some(Completion::Packet(packet))) => Ok(packet.into_buffer()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_keeps_all_buffers_gets_no_packet_until_one_is_given_back() {
    let mut cluster = Cluster::new(2, FIXED);
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    for _ in 0..3 {
        let mut kept = vec![];
        loop {
            match exchange(&mut cluster, tx, rx) {
                Ok(packet) => kept.push(packet),
                Err(status) => break assert_eq!(status, Status::MemLimit),
            }
        }
        assert_eq!(kept.len(), MCAPI_MAX_BUFFERS);
        // The last send waits: nothing is lost.
        cluster.run();
        assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(0));
        cluster.nodes[1].give_back(kept.pop().unwrap());
        cluster.run();
        assert_eq!(cluster.nodes[1].pktchan_available(rx), Ok(1));
        let late = cluster.nodes[1].pktchan_recv_i(rx);
        assert_eq!(cluster.done(1, late), Completion::Packet(LARGE.to_vec().into()));
        // That one was not given back.
        cluster.nodes[1].give_back(Vec::with_capacity(crate::limits::MAX_MESSAGE));
        kept.into_iter().for_each(|packet| cluster.nodes[1].give_back(packet));
    }
    assert_eq!(cluster.nodes[1].counters(), Counters::default());
}

#[test]
fn many_channels_share_the_buffers_and_none_goes_without() {
    let mut cluster = Cluster::new(2, FIXED);
    let channels: Vec<_> = (0..100).map(|n| cluster.channel((0, 1), 10 + 2 * n, 0)).collect();
    for _ in 0..20 {
        for &(_, _, tx, rx) in &channels {
            let packet = exchange(&mut cluster, tx, rx).unwrap();
            cluster.nodes[1].give_back(packet);
        }
    }
    // All at once, as far as each was granted: more than there are buffers are never promised.
    for &(_, _, tx, _) in &channels {
        for _ in 0..64 {
            cluster.nodes[0].pktchan_send_i(tx, LARGE).ok();
        }
    }
    cluster.run();
    let there = |cluster: &Cluster| -> usize {
        channels.iter().map(|(.., rx)| cluster.nodes[1].pktchan_available(*rx).unwrap()).sum()
    };
    assert!((100..=MCAPI_MAX_BUFFERS).contains(&there(&cluster)), "{}", there(&cluster));
    assert_eq!(cluster.nodes[1].counters(), Counters::default());
}

#[test]
fn a_message_for_which_there_is_no_buffer_is_refused_and_later_ones_are_not() {
    let mut cluster = Cluster::new(2, FIXED);
    let a = cluster.endpoint(0, 1);
    let ends: Vec<Endpoint> = (10..40).map(|port| cluster.endpoint(1, port)).collect();
    let mut there = 0;
    'full: for &to in &ends {
        for _ in 0..64 {
            match cluster.message(a, to, &LARGE, 0) {
                Completion::Done => there += 1,
                other => {
                    assert_eq!(other, failed(Status::MemLimit));
                    break 'full;
                }
            }
        }
    }
    assert_eq!(there, MCAPI_MAX_BUFFERS);
    let small = cluster.message(a, ends[29], b"small", 0);
    assert_eq!(small, Completion::Done, "these have buffers of their own");
    assert_eq!(cluster.nodes[1].endpoint_delete(ends[0]), Ok(()));
    assert_eq!(cluster.message(a, ends[29], &LARGE, 0), Completion::Done);
}
