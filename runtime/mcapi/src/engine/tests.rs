use super::Leader;
use crate::limits::MCAPI_MAX_REQUESTS;
use crate::local::Hub;
use crate::transport::{Bell, Transport};
use crate::*;
use runtime_shm::{Event, SendError};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

fn node(hub: &Hub, number: u32) -> Node {
    let name = NodeName { domain: 1, node: number };
    Node::over(name, hub.join(name).unwrap()).unwrap()
}

fn find(node: &Node, number: u32, port: u32) -> Address {
    node.find(DomainId(1), McapiNode(number), Port(port)).unwrap().wait(None).unwrap()
}

#[test]
fn nodes_find_each_other_in_any_order_and_talk() {
    let hub = Hub::default();
    let a = node(&hub, 1);
    let here = a.endpoint(Port(1)).unwrap();
    let there = thread::spawn({
        let hub = hub.clone();
        move || {
            let b = node(&hub, 2);
            let here = b.endpoint(Port(2)).unwrap();
            for _ in 0..1000 {
                let message = here.recv().unwrap();
                here.send(message.from, &message.data, 0).unwrap();
            }
        }
    });
    let echo = find(&a, 2, 2);
    for n in 0..1000u32 {
        here.send(echo, &n.to_le_bytes(), 0).unwrap();
        assert_eq!(here.recv().unwrap().data, n.to_le_bytes());
    }
    there.join().unwrap();
}

#[test]
fn a_node_answers_while_its_program_computes() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let (from, to) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    // Nobody calls b from here on.
    for _ in 0..10 {
        from.send(find(&a, 2, 2), b"x", 0).unwrap();
    }
    assert_eq!(to.available(), Ok(10));
}

#[test]
fn many_threads_wait_on_one_node_and_none_starves() {
    const THREADS: u32 = 8;
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let echo = |node: Node, port: u32| {
        thread::spawn(move || {
            let here = node.endpoint(Port(port)).unwrap();
            for _ in 0..200 {
                let message = here.recv().unwrap();
                here.send(message.from, &message.data, 0).unwrap();
            }
        })
    };
    let ask = |node: Node, port: u32| {
        thread::spawn(move || {
            let here = node.endpoint(Port(port)).unwrap();
            let there = find(&node, 2, port);
            for n in 0..200u32 {
                here.send(there, &n.to_le_bytes(), 0).unwrap();
                assert_eq!(here.recv().unwrap().data, n.to_le_bytes());
            }
        })
    };
    let threads: Vec<_> =
        (1..=THREADS).flat_map(|n| [echo(b.clone(), n), ask(a.clone(), n)]).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn timeouts_cancels_and_the_end_of_the_node_come_back() {
    let hub = Hub::default();
    let a = node(&hub, 1);
    let here = a.endpoint(Port(1)).unwrap();
    here.set(Attribute::Timeout, 1000).unwrap();
    assert_eq!(here.recv().unwrap_err(), Status::Timeout);
    let mut receive = here.recv_i().unwrap();
    assert_eq!(receive.wait(Some(Duration::ZERO)).unwrap_err(), Status::Timeout);
    assert_eq!(receive.test().unwrap(), None);
    let waiting = thread::spawn(move || receive.wait(None).unwrap_err());
    a.finalize();
    let end = waiting.join().unwrap();
    assert!(matches!(end, Status::NodeNotInit | Status::Transmission), "{end:?}");
}

#[test]
fn who_waits_for_a_node_that_leaves_is_told() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let (send, recv) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    // Nobody may name an endpoint of a node that was not heard of yet.
    assert_eq!(find(&a, 2, 2), recv.address());
    a.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
    let tx = send.packet_sender().unwrap();
    let rx = recv.packet_receiver().unwrap().wait(None).unwrap();
    drop(tx);
    let waiting = thread::spawn(move || rx.recv().map(|_| ()).unwrap_err());
    a.finalize();
    assert_eq!(waiting.join().unwrap(), Status::Transmission);
}

#[test]
fn channels_carry_packets_and_scalars() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let (send, recv) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    // Nobody may name an endpoint of a node that was not heard of yet.
    assert_eq!(find(&a, 2, 2), recv.address());
    a.connect_scalars(send.address(), recv.address()).unwrap().wait(None).unwrap();
    let mut tx = send.scalar_sender::<u32>().unwrap();
    let rx = recv.scalar_receiver::<u32>().unwrap().wait(None).unwrap();
    let tx = tx.wait(None).unwrap();
    for n in 0..40 {
        tx.send(n).unwrap();
    }
    for n in 0..40 {
        assert_eq!(rx.recv(), Ok(n));
    }
    let (send, recv) = (a.endpoint(Port::ANY).unwrap(), b.endpoint(Port::ANY).unwrap());
    a.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
    let mut tx = send.packet_sender().unwrap();
    let rx = recv.packet_receiver().unwrap().wait(None).unwrap();
    let tx = tx.wait(None).unwrap();
    let receiver = thread::spawn(move || {
        for n in 0..500u32 {
            assert_eq!(*rx.recv().unwrap(), n.to_le_bytes());
        }
    });
    for n in 0..500u32 {
        tx.send_i(n.to_le_bytes()).unwrap().wait(None).unwrap();
    }
    receiver.join().unwrap();
    tx.close().unwrap();
}

/// Waits until the node's progress thread sleeps on the transport.
fn until_progress_leads(node: &Node) {
    let leads = || node.engine().try_lock().is_some_and(|state| state.leader == Leader::Progress);
    while !leads() {
        thread::yield_now();
    }
}

/// The program knows that both ends are closed before the node, whose progress thread sleeps on the transport.
#[test]
fn an_endpoint_whose_channel_is_closed_can_be_deleted_at_once() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let send = a.endpoint(Port(1)).unwrap();
    for _ in 0..20 {
        let recv = b.endpoint(Port(2)).unwrap();
        assert_eq!(find(&a, 2, 2), recv.address());
        a.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
        let mut tx = send.packet_sender().unwrap();
        let rx = recv.packet_receiver().unwrap().wait(None).unwrap();
        let tx = tx.wait(None).unwrap();
        rx.close().unwrap();
        until_progress_leads(&b);
        tx.close().unwrap();
        drop(recv);
    }
}

#[test]
fn a_channel_is_closed_also_when_no_request_is_left() {
    let node = node(&Hub::default(), 1);
    let (send, recv) = (node.endpoint(Port(1)).unwrap(), node.endpoint(Port(2)).unwrap());
    let other = node.endpoint(Port(3)).unwrap();
    node.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
    let mut tx = send.packet_sender().unwrap();
    let rx = recv.packet_receiver().unwrap().wait(None).unwrap();
    let tx = tx.wait(None).unwrap();
    let all: Vec<_> = (0..MCAPI_MAX_REQUESTS).map_while(|_| other.recv_i().ok()).collect();
    assert_eq!(other.recv_i().unwrap_err(), Status::RequestLimit);
    drop(tx);
    assert_eq!(rx.close().unwrap_err(), Status::RequestLimit);
    drop(all);
    node.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
}

/// Drops an endpoint when it is woken.
struct DropsIt(Mutex<Option<Endpoint>>);

impl Wake for DropsIt {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

/// The thread that wakes has the transport of nobody.
#[test]
fn a_waker_may_delete_endpoints_of_its_node_and_of_another() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let (from, at) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(1)).unwrap());
    let there = find(&a, 2, 1);
    for of in [&a, &b] {
        let woken = Arc::new(DropsIt(Mutex::new(Some(of.endpoint(Port(9)).unwrap()))));
        let waker = Waker::from(Arc::clone(&woken));
        let mut pending = at.recv_i().unwrap();
        assert!(Pin::new(&mut pending).poll(&mut Context::from_waker(&waker)).is_pending());
        until_progress_leads(&b);
        from.send(there, b"!", 0).unwrap();
        while of.endpoint(Port(9)).map(drop).is_err() {
            thread::yield_now();
        }
        pending.wait(None).unwrap();
    }
}

#[test]
fn channels_that_are_dropped_leave_no_request_behind() {
    let node = node(&Hub::default(), 1);
    let (send, recv) = (node.endpoint(Port(1)).unwrap(), node.endpoint(Port(2)).unwrap());
    for _ in 0..=MCAPI_MAX_REQUESTS / 2 {
        node.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
        let mut tx = send.packet_sender().unwrap();
        let _rx = recv.packet_receiver().unwrap().wait(None).unwrap();
        let _tx = tx.wait(None).unwrap();
    }
}

#[test]
fn a_blocking_send_waits_also_where_no_more_sends_are_kept() {
    let node = node(&Hub::default(), 1);
    let (send, recv) = (node.endpoint(Port(1)).unwrap(), node.endpoint(Port(2)).unwrap());
    for end in [&send, &recv] {
        end.set(Attribute::MemoryType, 0).unwrap();
    }
    send.set(Attribute::NumSendBuffers, 1).unwrap();
    recv.set(Attribute::NumRecvBuffers, 1).unwrap();
    node.connect_packets(send.address(), recv.address()).unwrap().wait(None).unwrap();
    let mut tx = send.packet_sender().unwrap();
    let rx = recv.packet_receiver().unwrap().wait(None).unwrap();
    let tx = tx.wait(None).unwrap();
    let mut sent = Vec::new();
    let full = loop {
        match tx.send_i([u8::try_from(sent.len()).unwrap()]) {
            Ok(request) => sent.push(request),
            Err(status) => break status,
        }
    };
    assert_eq!((full, sent.len()), (Status::MemLimit, 2));
    let sender = thread::spawn(move || tx.send([2]).map(|()| tx));
    let got: Vec<u8> = (0..3).map(|_| rx.recv().unwrap()[0]).collect();
    assert_eq!(got, [0, 1, 2]);
    sender.join().unwrap().unwrap();
}

#[derive(Default)]
struct Told {
    events: Vec<(NodeName, bool)>,
    full: bool,
    sent: usize,
}

/// A transport that says and does what a test tells it to.
#[derive(Clone, Default)]
struct Puppet(Arc<Mutex<Told>>);

impl Transport for Puppet {
    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize {
        let events = std::mem::take(&mut self.0.lock().unwrap().events);
        for (node, comes) in &events {
            on(if *comes { Event::Joined(*node) } else { Event::Gone(*node) });
        }
        events.len()
    }

    fn send(&mut self, _: NodeName, _: &[u8], _: &[u8]) -> Result<(), SendError> {
        let mut told = self.0.lock().unwrap();
        told.sent += usize::from(!told.full);
        if told.full { Err(SendError::Full) } else { Ok(()) }
    }

    fn wait(&self, _: Option<Instant>) {
        thread::yield_now();
    }

    fn bell(&self) -> Bell {
        Arc::new(|| {})
    }
}

#[test]
fn what_found_no_room_is_not_sent_to_the_next_life() {
    let other = NodeName { domain: 1, node: 2 };
    let puppet = Puppet::default();
    let a = Node::over(NodeName { domain: 1, node: 1 }, puppet.clone()).unwrap();
    *puppet.0.lock().unwrap() = Told { events: vec![(other, true)], full: true, sent: 0 };
    a.catch_up();
    let mut asked = a.find(DomainId(1), McapiNode(2), Port(1)).unwrap();
    a.catch_up();
    *puppet.0.lock().unwrap() =
        Told { events: vec![(other, false), (other, true)], full: false, sent: 0 };
    a.catch_up();
    assert_eq!(asked.wait(None), Err(Status::Transmission));
    let sent = puppet.0.lock().unwrap().sent;
    assert_eq!(sent, 0);
}

/// Who asks again and again for what cannot be had has the lock for next to nothing, and no other thread of its node hears
/// meanwhile.
#[test]
fn who_is_refused_all_the_time_hears_others() {
    let puppet = Puppet::default();
    let a = Node::over(NodeName { domain: 1, node: 1 }, puppet.clone()).unwrap();
    let here = a.endpoint(Port(1)).unwrap();
    a.core(|core| core.endpoint_delete(here.address())).unwrap();
    for round in 0..20 {
        let other = NodeName { domain: 1, node: 2 };
        puppet.0.lock().unwrap().events = vec![(other, round % 2 == 0)];
        // Of so many calls one asks a transport that has no news.
        for _ in 0..super::OFTEN {
            assert_eq!(here.recv().unwrap_err(), Status::EndpInvalid);
        }
        assert!(puppet.0.lock().unwrap().events.is_empty(), "round {round}");
    }
}
