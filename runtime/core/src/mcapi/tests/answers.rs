//! Answers that wait, and who asks for them.

use super::*;

const MANY: usize = 64;

/// Two nodes whose drivers always have something else to do, and an endpoint on each.
fn busy(seed: u64) -> (Cluster, Endpoint, Endpoint) {
    let mut cluster = Cluster::new(2, seed);
    cluster.busy = true;
    let (a, b) = (cluster.endpoint(0, 10), cluster.endpoint(1, 20));
    (cluster, a, b)
}

fn send(cluster: &mut Cluster, from: Endpoint, to: Endpoint, n: usize) -> Vec<Request> {
    let node = &mut cluster.nodes[from.node.0 as usize];
    (0..n).map(|_| node.msg_send_i(from, to, b"x", 0).unwrap()).collect()
}

/// How many of these are still to be answered.
fn left(cluster: &Cluster, node: usize, sent: &[Request]) -> usize {
    let requests = &cluster.nodes[node].requests;
    sent.iter().filter(|&&request| requests.pending(request).is_some()).count()
}

#[test]
fn a_stream_is_answered_by_the_frame_full_and_the_rest_when_it_is_asked_for() {
    let (mut cluster, a, b) = busy(0);
    let sent = send(&mut cluster, a, b, MANY);
    cluster.run();
    // The first ones at once, for there may be no more; of the others, those that fill a frame.
    let rest = (MANY - 16) % 15;
    assert_eq!(left(&cluster, 0, &sent), rest);
    assert_eq!(cluster.frames, MANY + 16 + (MANY - 16) / 15, "frames of answers are full");
    assert!(cluster.nodes[1].has_answers());
    let last = *sent.last().unwrap();
    assert_eq!(cluster.nodes[0].test(last), Ok(None));
    cluster.run();
    assert_eq!(left(&cluster, 0, &sent), 0);
    assert!(!cluster.nodes[1].has_answers());
    assert_eq!(cluster.nodes[0].test(last), Ok(Some(Completion::Done)));
}

#[test]
fn an_answer_that_may_not_wait_takes_those_with_it_that_were_held() {
    let (mut cluster, a, b) = busy(1);
    let sent = send(&mut cluster, a, b, 20);
    cluster.run();
    assert_eq!(left(&cluster, 0, &sent), 4);
    let before = cluster.frames;
    let one = cluster.nodes[0].msg_send_on(&mut (), (a, b), b"x", 0).unwrap();
    cluster.run();
    assert_eq!((left(&cluster, 0, &sent), left(&cluster, 0, &[one])), (0, 0));
    assert_eq!(cluster.frames, before + 2);
}

#[test]
fn whoever_has_nothing_else_to_do_answers_unasked() {
    let (mut cluster, a, b) = busy(1);
    let sent = send(&mut cluster, a, b, MANY);
    cluster.run();
    assert_ne!(left(&cluster, 0, &sent), 0);
    cluster.busy = false;
    cluster.run();
    assert_eq!(left(&cluster, 0, &sent), 0);
}

#[test]
fn each_way_of_waiting_asks_once() {
    let ways: [fn(&mut Mcapi, &[Request]); 4] = [
        |node, sent| assert_eq!(node.test(sent[MANY - 1]), Ok(None)),
        |node, sent| assert_eq!(node.wait(sent[MANY - 1], Waiter(1)), Ok(None)),
        |node, sent| assert_eq!(node.wait_any(&sent[MANY - 2..], Waiter(1)), Ok(None)),
        |node, sent| {
            let mut scan = node.scan(2, Waiter(1));
            let of = |at| Ok(sent[MANY - 2 + at]);
            assert_eq!(node.wait_part(&mut scan, 2, of, Waiter(1)), Ok(None));
            assert!(scan.is_over());
        },
    ];
    for way in ways {
        let (mut cluster, a, b) = busy(1);
        let sent = send(&mut cluster, a, b, MANY);
        cluster.run();
        let before = cluster.frames;
        way(&mut cluster.nodes[0], &sent);
        way(&mut cluster.nodes[0], &sent);
        cluster.run();
        assert_eq!(cluster.frames, before + 2, "one question and its answer");
        assert_eq!(left(&cluster, 0, &sent), 0);
    }
}

#[test]
fn who_waits_for_something_else_does_not_ask() {
    let (mut cluster, a, b) = busy(0);
    let sent = send(&mut cluster, a, b, MANY);
    cluster.run();
    let (before, open) = (cluster.frames, left(&cluster, 0, &sent));
    let receive = cluster.nodes[0].msg_recv_i(a).unwrap();
    assert_eq!(cluster.nodes[0].test(receive), Ok(None));
    assert_eq!(cluster.nodes[0].wait(receive, Waiter(1)), Ok(None));
    cluster.run();
    assert_eq!((cluster.frames, left(&cluster, 0, &sent)), (before, open));
}

#[test]
fn a_sender_that_waits_for_each_message_is_answered_at_once() {
    for fan_out in [false, true] {
        let mut cluster = Cluster::new(40, 1);
        cluster.busy = true;
        let from = cluster.endpoint(0, 10);
        let ends: Vec<_> = (1..40).map(|node| cluster.endpoint(node, 20)).collect();
        for _ in 0..3 {
            let mut sent = vec![];
            for &to in &ends {
                sent.extend(send(&mut cluster, from, to, 1));
                if !fan_out {
                    cluster.run();
                    assert_eq!(left(&cluster, 0, &sent), 0);
                }
            }
            cluster.run();
            assert_eq!(left(&cluster, 0, &sent), 0);
        }
        // And a blocking send, however many are on their way.
        send(&mut cluster, from, ends[0], MANY - 3);
        let last = cluster.nodes[0].msg_send_on(&mut (), (from, ends[0]), b"x", 0).unwrap();
        cluster.run();
        assert_eq!(left(&cluster, 0, &[last]), 0);
    }
}

#[test]
fn what_waited_for_room_is_answered_when_it_has_some() {
    let (mut cluster, a, b) = busy(1);
    for (attribute, value) in [(Attribute::NumRecvBuffers, 40u32), (Attribute::MemoryType, 0)] {
        let value = value.to_le_bytes();
        cluster.nodes[1].endpoint_set_attribute(b, attribute as u32, &value).unwrap();
    }
    let sent = send(&mut cluster, a, b, MANY);
    cluster.run();
    for taken in 1..=MANY - 40 {
        assert!(cluster.nodes[1].msg_take(b, |_| ()).unwrap().is_some());
        cluster.run();
        assert_eq!(left(&cluster, 0, &sent[..40 + taken][40..]), 0, "{taken}");
    }
}

#[test]
fn answers_to_a_node_that_is_gone_are_forgotten_and_its_next_life_owes_none() {
    let (mut cluster, a, b) = busy(1);
    send(&mut cluster, a, b, MANY);
    cluster.run();
    assert!(cluster.nodes[1].has_answers());
    cluster.nodes[1].node_gone(NodeId(0));
    assert!(!cluster.nodes[1].has_answers());
    cluster.nodes[0].node_gone(NodeId(1));
    for (node, other) in [(0, 1), (1, 0)] {
        cluster.nodes[node].node_joined(NodeId(other));
    }
    let sent = send(&mut cluster, a, b, 1);
    cluster.run();
    assert_eq!(left(&cluster, 0, &sent), 0, "it is the first one to that life");
}

#[test]
fn a_sender_that_takes_its_messages_back_is_not_taken_for_one_that_streams() {
    let (mut cluster, a, b) = busy(1);
    for _ in 0..3 {
        for request in send(&mut cluster, a, b, 20) {
            cluster.nodes[0].cancel(request).unwrap();
        }
    }
    let sent = send(&mut cluster, a, b, 16);
    cluster.run();
    assert_eq!(left(&cluster, 0, &sent), 0);
}
