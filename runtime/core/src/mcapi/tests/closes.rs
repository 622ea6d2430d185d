//! What a close promises: when the closes of both ends are done, the channel is no more on either node, for whoever
//! knows of it.

use super::*;

struct Closing {
    cluster: Cluster,
    ends: [Endpoint; 2],
    /// Of the send end and the receive end, once they are asked for.
    closes: [Option<Request>; 2],
    done: [bool; 2],
    handles: (SendHandle, RecvHandle),
}

impl Closing {
    /// A channel between nodes 0 and 1, with more packets on their way than are taken.
    fn new(seed: u64) -> Self {
        let mut cluster = Cluster::new(3, seed);
        let (send, recv, tx, rx) = cluster.channel((0, 1), 10, 2);
        let packets = [0, 3, 64, 80][cluster.rng.below(4)];
        for n in 0..packets {
            cluster.nodes[0].pktchan_send_i(tx, vec![n]).unwrap();
        }
        // One that asks whether there is room.
        let _asks = cluster.nodes[0].pktchan_send(tx, vec![]);
        Self { cluster, ends: [send, recv], closes: [None; 2], done: [false; 2], handles: (tx, rx) }
    }

    fn close(&mut self, end: usize) {
        let node = &mut self.cluster.nodes[end];
        let request = match end {
            0 => node.pktchan_send_close_i(self.handles.0),
            _ => node.pktchan_recv_close_i(self.handles.1),
        };
        self.closes[end] = Some(request.unwrap());
    }

    /// Looks whether closes are done; each fares well.
    fn look(&mut self) {
        for end in 0..2 {
            let Some(request) = self.closes[end].filter(|_| !self.done[end]) else { continue };
            if let Some(completion) = self.cluster.nodes[end].test(request).unwrap() {
                assert_eq!(completion, Completion::Done);
                self.done[end] = true;
            }
        }
    }

    fn is_bound(&self, end: usize) -> bool {
        self.cluster.nodes[end].local(self.ends[end].port.0).unwrap().channel.is_some()
    }

    /// Goes on at random until both are done.
    fn until_both_are_done(&mut self) {
        for _ in 0..10_000 {
            if self.done == [true; 2] {
                return;
            }
            match self.cluster.rng.below(8) {
                end @ (0 | 1) if self.closes[end].is_none() => self.close(end),
                _ => _ = self.cluster.step(),
            }
            self.look();
        }
        panic!("the closes are never done");
    }
}

#[test]
fn when_both_closes_are_done_neither_node_knows_the_channel() {
    for seed in 0..500 {
        let mut closing = Closing::new(seed);
        closing.until_both_are_done();
        // Not one frame is delivered from here on.
        let [send, recv] = closing.ends;
        assert!(!closing.is_bound(0) && !closing.is_bound(1), "seed {seed}");
        let nodes = &mut closing.cluster.nodes;
        if seed % 2 == 0 {
            nodes[0].endpoint_delete(send).unwrap();
            nodes[1].endpoint_delete(recv).unwrap();
            continue;
        }
        // A third node connects at once, whoever was the sender, and messages are none of a channel's.
        nodes[1].msg_recv_i(recv).unwrap();
        let third = nodes[2].pktchan_connect_i(recv, send);
        assert_eq!(closing.cluster.done(2, third), Completion::Done, "seed {seed}");
        assert!(closing.cluster.nodes.iter().all(|node| node.counters().malformed == 0));
    }
}

/// One that closes is not kept by the program of the other, only by its node.
#[test]
fn the_first_close_is_done_though_the_other_side_stays_open() {
    let mut cluster = Cluster::new(2, 1);
    let (_, _, tx, rx) = cluster.channel((0, 1), 10, 0);
    let close = cluster.nodes[0].pktchan_send_close_i(tx).unwrap();
    assert_eq!(cluster.nodes[0].test(close), Ok(None), "node 1 has not heard of it");
    assert_eq!(cluster.done(0, Ok(close)), Completion::Done);
    assert_eq!(cluster.nodes[1].pktchan_recv_i(rx), Err(Status::ChanInvalid));
}

/// Who knows of both closes need not wait for the second to be heard of.
#[test]
fn who_closes_second_has_no_channel_at_once() {
    let mut cluster = Cluster::new(2, 2);
    let (_, recv, tx, rx) = cluster.channel((0, 1), 10, 0);
    let close = cluster.nodes[0].pktchan_send_close_i(tx);
    assert_eq!(cluster.done(0, close), Completion::Done);
    let close = cluster.nodes[1].pktchan_recv_close_i(rx).unwrap();
    assert_eq!(cluster.nodes[1].endpoint_delete(recv), Ok(()));
    assert_eq!(cluster.nodes[1].test(close), Ok(None));
    assert_eq!(cluster.done(1, Ok(close)), Completion::Done);
}

/// At every step of every order.
#[test]
fn a_close_ends_when_the_other_node_dies() {
    for seed in 0..20 {
        for steps in 0.. {
            let mut closing = Closing::new(seed);
            let dead = closing.cluster.rng.below(2);
            let first = closing.cluster.rng.below(2);
            let second = closing.cluster.rng.below(2) == 0;
            closing.close(first);
            let mut left = steps;
            while left > 0 && closing.cluster.step() {
                left -= 1;
            }
            if second {
                closing.close(1 - first);
            }
            closing.cluster.kill(dead);
            let other = 1 - dead;
            if closing.closes[other].is_none() {
                closing.close(other);
            }
            closing.cluster.run();
            let came = closing.cluster.nodes[other].test(closing.closes[other].unwrap());
            // What was not even sent is lost.
            let lost = Ok(Some(failed(Status::Transmission)));
            let right = came == Ok(Some(Completion::Done)) || other == 0 && came == lost;
            assert!(right, "seed {seed}, {steps} steps: {came:?}");
            assert!(!closing.is_bound(other), "seed {seed}, {steps} steps");
            if left > 0 {
                break;
            }
        }
    }
}

#[test]
fn a_close_that_nobody_waits_for_closes() {
    for wanted in [false, true] {
        let mut cluster = Cluster::new(2, 3);
        let (send, recv, tx, rx) = cluster.channel((0, 1), 10, 0);
        cluster.frames = 0;
        if wanted {
            let close = cluster.nodes[0].pktchan_send_close_i(tx).unwrap();
            cluster.nodes[0].cancel(close).unwrap();
        } else {
            assert!(cluster.nodes[0].send_end_drop(tx));
        }
        assert!(cluster.nodes[1].recv_end_drop(rx));
        cluster.run();
        assert_eq!(cluster.frames, 2 + usize::from(wanted), "who dropped it gets no answer");
        assert_eq!(cluster.nodes[0].counters().stale, u64::from(wanted));
        assert_eq!(cluster.nodes[0].endpoint_delete(send), Ok(()));
        assert_eq!(cluster.nodes[1].endpoint_delete(recv), Ok(()));
    }
}

/// Of which nobody knows the name any more.
#[test]
fn a_dropped_endpoint_goes_with_its_channel() {
    for lost in [false, true] {
        let mut cluster = Cluster::new(2, 6);
        let (send, recv, tx, rx) = cluster.channel((0, 1), 10, 0);
        cluster.nodes[0].endpoint_drop(send);
        assert!(cluster.nodes[0].send_end_drop(tx));
        cluster.run();
        assert_eq!(cluster.nodes[0].endpoint_create(send.port), Err(Status::EndpExists));
        if lost {
            cluster.kill(1);
        } else {
            assert!(cluster.nodes[1].recv_end_drop(rx));
            cluster.nodes[1].endpoint_drop(recv);
            cluster.run();
        }
        assert_eq!(cluster.nodes[0].endpoint_create(send.port), Ok(send));
    }
}

/// Connected by a third node, say, or opened by somebody who has lost interest: the other side opens and closes as ever.
#[test]
fn a_dropped_endpoint_that_nobody_can_open_closes_by_itself() {
    for (case, seed) in (0..5).flat_map(|case| (0..20).map(move |seed| (case, seed))) {
        let mut cluster = Cluster::new(3, seed);
        let (send, recv) = (cluster.endpoint(0, 10), cluster.endpoint(1, 11));
        let connect = cluster.nodes[2].pktchan_connect_i(send, recv).unwrap();
        let open = (case > 1).then(|| cluster.nodes[1].pktchan_recv_open_i(recv).unwrap());
        let early = cluster.nodes[0].pktchan_send_open_i(send).unwrap();
        for _ in 0..cluster.rng.below(8) {
            cluster.step();
        }
        if case == 0 {
            cluster.run();
        }
        match (case, open) {
            (2, Some(open)) => {
                cluster.nodes[1].abandon(open);
                cluster.nodes[1].endpoint_drop(recv);
            }
            (3, Some(open)) => {
                cluster.nodes[1].endpoint_drop(recv);
                cluster.nodes[1].abandon(open);
            }
            (4, Some(open)) => {
                cluster.run();
                cluster.nodes[1].abandon(open);
                cluster.nodes[1].endpoint_drop(recv);
            }
            _ => cluster.nodes[1].endpoint_drop(recv),
        }
        // It is not there, if it was not connected yet.
        let connected = cluster.done(2, Ok(connect)) == Completion::Done;
        assert!(connected || (1..4).contains(&case), "case {case}, seed {seed}");
        if !connected {
            continue;
        }
        let Completion::SendHandle(tx) = cluster.done(0, Ok(early)) else { panic!() };
        assert_eq!(cluster.nodes[0].pktchan_send_i(tx, vec![]), Err(Status::ChanInvalid));
        let close = cluster.nodes[0].pktchan_send_close_i(tx);
        assert_eq!(cluster.done(0, close), Completion::Done);
        cluster.run();
        assert_eq!(cluster.nodes[1].endpoint_create(recv.port), Ok(recv), "case {case}");
        assert_eq!(cluster.nodes[0].endpoint_delete(send), Ok(()));
        assert!(cluster.nodes.iter().all(|node| node.counters().malformed == 0));
        assert!(cluster.nodes.iter().all(|node| node.handles.iter().next().is_none()));
    }
}

/// Whoever says that an end is closed of which nothing is known here does not wait for ever.
#[test]
fn a_close_of_nothing_is_answered() {
    let mut cluster = Cluster::new(2, 4);
    let request = Request::from_raw(1025);
    let closed = Frame::Closed { channel: 3, port: 4, request: Some(request) };
    cluster.nodes[0].handle(NodeId(1), &closed.emit(b""));
    let payload = Payload::Short(Frame::Heard { request, status: Status::Success }.head());
    assert_eq!(cluster.nodes[0].poll(), Some(Output::Send { to: NodeId(1), payload }));
    assert_eq!(cluster.nodes[0].counters().stale, 1);
}

/// Nor is a close done because somebody else says so.
#[test]
fn only_the_other_end_s_node_confirms_a_close() {
    let mut cluster = Cluster::new(3, 5);
    let (_, _, tx, _) = cluster.channel((0, 1), 10, 0);
    let close = cluster.nodes[0].pktchan_send_close_i(tx).unwrap();
    let answer = Frame::Heard { request: close, status: Status::Success }.emit(b"");
    cluster.nodes[0].handle(NodeId(2), &answer);
    assert_eq!(cluster.nodes[0].test(close), Ok(None));
    cluster.nodes[0].handle(NodeId(1), &answer);
    assert_eq!(cluster.nodes[0].test(close), Ok(Some(Completion::Done)));
}
