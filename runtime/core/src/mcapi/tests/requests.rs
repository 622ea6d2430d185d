use super::*;
use crate::limits::MCAPI_MAX_REQUESTS;

const A: Waiter = Waiter(1);
const B: Waiter = Waiter(2);

#[test]
fn a_request_is_good_for_one_answer() {
    let mut cluster = Cluster::new(1, 1);
    let a = cluster.endpoint(0, 1);
    let node = &mut cluster.nodes[0];
    let send = node.msg_send_i(a, a, b"x", 0).unwrap();
    assert_eq!(node.cancel(send), Err(Status::RequestInvalid), "it is done");
    assert_eq!(node.test(send), Ok(Some(Completion::Done)));
    assert_eq!(node.test(send), Err(Status::RequestInvalid));
    assert_eq!(node.wait(send, A), Err(Status::RequestInvalid));
    for raw in [0, 1, 1023, u32::MAX, 0xdead_beef] {
        let request = Request::from_raw(raw);
        assert_eq!(node.test(request), Err(Status::RequestInvalid));
        assert_eq!(node.cancel(request), Err(Status::RequestInvalid));
    }
}

#[test]
fn a_slot_is_never_the_same_request_again() {
    let mut cluster = Cluster::new(1, 2);
    let a = cluster.endpoint(0, 1);
    let node = &mut cluster.nodes[0];
    let first = node.msg_recv_i(a).unwrap();
    node.cancel(first).unwrap();
    for _ in 0..3 * MCAPI_MAX_REQUESTS {
        let request = node.msg_recv_i(a).unwrap();
        assert_ne!(request, first);
        assert_eq!(node.test(first), Err(Status::RequestInvalid));
        node.cancel(request).unwrap();
    }
    for _ in 0..MCAPI_MAX_REQUESTS {
        node.msg_recv_i(a).unwrap();
    }
    assert_eq!(node.msg_recv_i(a), Err(Status::RequestLimit));
    assert_eq!(node.msg_send_i(a, a, b"", 0), Err(Status::RequestLimit));
}

#[test]
fn a_waiter_is_woken_once_and_finds_its_answer() {
    let mut cluster = Cluster::new(2, 3);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(1, 2));
    let receive = cluster.nodes[1].msg_recv_i(b).unwrap();
    assert_eq!(cluster.nodes[1].wait(receive, A), Ok(None));
    assert_eq!(cluster.nodes[1].wait(receive, B), Err(Status::WaitPending));
    cluster.message(a, b, b"x", 0);
    assert_eq!(cluster.wakes, [(1, A)]);
    assert_eq!(cluster.nodes[1].wait(receive, B), Err(Status::WaitPending), "A was first");
    assert!(matches!(cluster.nodes[1].wait(receive, A), Ok(Some(Completion::Message(_)))));
    assert_eq!(cluster.nodes[1].wait(receive, A), Err(Status::RequestInvalid));
}

#[test]
fn a_timeout_leaves_the_request_to_others() {
    let mut cluster = Cluster::new(1, 4);
    let a = cluster.endpoint(0, 1);
    let receive = cluster.nodes[0].msg_recv_i(a).unwrap();
    assert_eq!(cluster.nodes[0].wait(receive, A), Ok(None));
    cluster.nodes[0].wait_stop(A);
    assert_eq!(cluster.nodes[0].wait(receive, B), Ok(None));
    cluster.message(a, a, b"x", 0);
    assert_eq!(cluster.wakes, [(0, B)]);
    assert!(cluster.nodes[0].wait(receive, B).unwrap().is_some());
}

#[test]
fn cancel_wakes_the_waiter_with_the_reason() {
    let mut cluster = Cluster::new(1, 5);
    let a = cluster.endpoint(0, 1);
    let node = &mut cluster.nodes[0];
    let receive = node.msg_recv_i(a).unwrap();
    assert_eq!(node.wait(receive, A), Ok(None));
    assert_eq!(node.cancel(receive), Ok(()));
    assert_eq!(node.poll(), Some(Output::Wake(A)));
    assert_eq!(node.wait(receive, A), Ok(Some(failed(Status::RequestCancelled))));
    assert_eq!(node.cancel(receive), Err(Status::RequestInvalid));
    cluster.message(a, a, b"x", 0);
    assert_eq!(cluster.nodes[0].msg_available(a), Ok(1), "nobody received it");
}

#[test]
fn wait_any_over_500_requests_takes_them_in_the_order_of_completion() {
    const N: usize = 500;
    let mut cluster = Cluster::new(2, 6);
    let a = cluster.endpoint(0, 1);
    let ports: Vec<Endpoint> = (10..).take(N).map(|port| cluster.endpoint(1, port)).collect();
    let mut requests: Vec<Request> =
        ports.iter().map(|&port| cluster.nodes[1].msg_recv_i(port).unwrap()).collect();
    let mut rng = Rng(6);
    for round in 0..50u8 {
        assert_eq!(cluster.nodes[1].wait_any(&requests, A), Ok(None));
        let mut chosen: Vec<usize> = (0..20).map(|_| rng.below(N)).collect();
        chosen.dedup();
        let mut seen = alloc::collections::BTreeSet::new();
        chosen.retain(|&n| seen.insert(n));
        for &n in &chosen {
            assert_eq!(cluster.message(a, ports[n], &[round], 0), Completion::Done);
        }
        assert_eq!(core::mem::take(&mut cluster.wakes), [(1, A)], "one wake for all of them");
        for &n in &chosen {
            let (found, completion) = cluster.nodes[1].wait_any(&requests, A).unwrap().unwrap();
            assert_eq!(found, n);
            assert!(matches!(completion, Completion::Message(m) if m.data == [round]));
            requests[n] = cluster.nodes[1].msg_recv_i(ports[n]).unwrap();
        }
    }
}

#[test]
fn wait_any_does_not_mistake_other_requests_for_its_own() {
    let mut cluster = Cluster::new(1, 7);
    let (a, b) = (cluster.endpoint(0, 1), cluster.endpoint(0, 2));
    let (ra, rb) =
        (cluster.nodes[0].msg_recv_i(a).unwrap(), cluster.nodes[0].msg_recv_i(b).unwrap());
    assert_eq!(cluster.nodes[0].wait_any(&[ra, rb], A), Ok(None));
    cluster.message(a, a, b"a", 0);
    cluster.message(a, b, b"b", 0);
    let node = &mut cluster.nodes[0];
    assert!(
        matches!(node.wait_any(&[rb], A), Ok(Some((0, Completion::Message(m)))) if m.data == b"b")
    );
    assert!(matches!(node.wait_any(&[rb, ra], A), Err(Status::RequestInvalid)));
    assert!(
        matches!(node.wait_any(&[ra], A), Ok(Some((0, Completion::Message(m)))) if m.data == b"a")
    );
    assert_eq!(node.wait_any(&[], A), Err(Status::Parameter));
}

#[test]
fn waiters_that_come_and_go_are_not_kept() {
    let mut cluster = Cluster::new(1, 8);
    let a = cluster.endpoint(0, 1);
    let node = &mut cluster.nodes[0];
    for n in 0..10_000 {
        let request = node.msg_recv_i(a).unwrap();
        assert_eq!(node.wait(request, Waiter(n)), Ok(None));
        let send = node.msg_send_i(a, a, b"", 0).unwrap();
        assert!(node.test(send).unwrap().is_some());
        assert!(node.wait(request, Waiter(n)).unwrap().is_some());
        assert_eq!(node.poll(), Some(Output::Wake(Waiter(n))));
    }
    assert!(node.requests.waiters() <= MCAPI_MAX_REQUESTS);
}
