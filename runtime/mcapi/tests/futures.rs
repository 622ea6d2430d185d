//! Requests as futures, under tokio.

use mcapi::local::Hub;
use mcapi::{
    Address, DomainId, Endpoint, McapiNode, Node, NodeName, Options, PacketReceiver, PacketSender,
    Pending, Port, Status,
};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_millis(1);

fn node(hub: &Hub, number: u32) -> Node {
    let name = NodeName { domain: 1, node: number };
    Node::over(name, hub.join(name).unwrap()).unwrap()
}

async fn find(node: &Node, number: u32, port: u32) -> Address {
    node.find(DomainId(1), McapiNode(number), Port(port)).unwrap().await.unwrap()
}

async fn send(from: &Endpoint, to: Address, n: u32) {
    from.send_i(to, &n.to_le_bytes(), 0).unwrap().await.unwrap();
}

async fn recv(at: &Endpoint) -> u32 {
    number(&at.recv_i().unwrap().await.unwrap().data)
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes.try_into().unwrap())
}

async fn channel(a: &Node, b: &Node) -> (PacketSender, PacketReceiver, [Endpoint; 2]) {
    let (send, recv) = (a.endpoint(Port::ANY).unwrap(), b.endpoint(Port::ANY).unwrap());
    b.connect_packets(send.address(), recv.address()).unwrap().await.unwrap();
    let (tx, rx) = tokio::join!(send.packet_sender().unwrap(), recv.packet_receiver().unwrap());
    (tx.unwrap(), rx.unwrap(), [send, recv])
}

/// Counts how often it is called.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Two nodes that begin in any order.
async fn talk<F: Fn(u32) -> Node + Clone + Send + 'static>(node: F) {
    let echo = tokio::spawn({
        let node = node.clone();
        async move {
            let b = node(2);
            let here = b.endpoint(Port(2)).unwrap();
            for _ in 0..300 {
                let message = here.recv_i().unwrap().await.unwrap();
                here.send_i(message.from, &message.data, 0).unwrap().await.unwrap();
            }
        }
    });
    let a = node(1);
    let here = a.endpoint(Port(1)).unwrap();
    let there = find(&a, 2, 2).await;
    for n in 0..300 {
        send(&here, there, n).await;
        assert_eq!(recv(&here).await, n);
    }
    echo.await.unwrap();
}

#[tokio::test]
async fn two_nodes_in_one_runtime_talk() {
    let hub = Hub::default();
    talk(move |number| node(&hub, number)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_talk_over_shared_memory() {
    let dir = tempfile::Builder::new().prefix("mcapi-").tempdir_in("/dev/shm").unwrap();
    let nodes = dir.path().join("nodes");
    talk(move |number| {
        let options = Options { dir: nodes.clone(), ..Options::default() };
        Node::join(NodeName { domain: 1, node: number }, &options).unwrap()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_wait_on_one_node_and_on_channels() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (tx, rx, ends) = channel(&a, &b).await;
        tasks.spawn(async move {
            let sends = async {
                for n in 0..200u32 {
                    tx.send_i(n.to_le_bytes()).unwrap().await.unwrap();
                }
                tx.close_i().unwrap().await.unwrap();
            };
            let receives = async {
                for n in 0..200u32 {
                    assert_eq!(number(&rx.recv_i().unwrap().await.unwrap()), n);
                }
                let end = match rx.recv_i() {
                    Ok(pending) => pending.await.map(drop),
                    Err(status) => Err(status),
                };
                assert_eq!(end, Err(Status::ChanInvalid));
                rx.close_i().unwrap().await.unwrap();
            };
            tokio::join!(sends, receives);
            drop(ends);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn select_over_endpoints_loses_and_reorders_nothing() {
    const EACH: u32 = 200;
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let here = [1, 2, 3].map(|port| b.endpoint(Port(port)).unwrap());
    let sender = tokio::spawn({
        let to: Vec<Address> = here.iter().map(Endpoint::address).collect();
        async move {
            let from = a.endpoint(Port(1)).unwrap();
            for n in 0..EACH {
                for &to in &to {
                    // Queues fill: whoever sends waits for the others to receive.
                    while let Err(full) = from.send_i(to, &n.to_le_bytes(), 0).unwrap().await {
                        assert_eq!(full, Status::MemLimit);
                        tokio::task::yield_now().await;
                    }
                }
            }
        }
    });
    let mut next = [0; 3];
    while next != [EACH; 3] {
        // Two of the three lose, in whatever state they are.
        let (at, n) = tokio::select! {
            n = recv(&here[0]) => (0, n),
            n = recv(&here[1]) => (1, n),
            n = recv(&here[2]) => (2, n),
        };
        assert_eq!(n, next[at], "endpoint {at}");
        next[at] += 1;
    }
    sender.await.unwrap();
}

#[tokio::test]
async fn a_timeout_in_the_middle_takes_nothing_with_it() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let (from, here) = (a.endpoint(Port(1)).unwrap(), b.endpoint(Port(2)).unwrap());
    assert!(timeout(SOON, recv(&here)).await.is_err());
    let (tx, rx, _ends) = channel(&a, &b).await;
    assert!(timeout(SOON, rx.recv_i().unwrap()).await.is_err());
    // What is polled once and then left alone completes behind its back, and is dropped.
    for n in 0..200 {
        {
            let mut receive = pin!(here.recv_i().unwrap());
            let mut packet = pin!(rx.recv_i().unwrap());
            poll_fn(|context| {
                assert!(receive.as_mut().poll(context).is_pending());
                assert!(packet.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            send(&from, here.address(), n).await;
            tx.send_i(n.to_le_bytes()).unwrap().await.unwrap();
        }
        assert_eq!(recv(&here).await, n);
        assert_eq!(number(&rx.recv_i().unwrap().await.unwrap()), n);
    }
}

#[tokio::test]
async fn a_future_is_woken_once_and_by_its_last_waker() {
    let hub = Hub::default();
    let a = node(&hub, 1);
    let here = a.endpoint(Port(1)).unwrap();
    let mut receive = here.recv_i().unwrap();
    let counts = [Arc::new(Count::default()), Arc::new(Count::default())];
    for count in &counts {
        let waker = Waker::from(Arc::clone(count));
        assert!(pin!(&mut receive).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    send(&here, here.address(), 7).await;
    let woken = counts.each_ref().map(|count| count.0.load(Ordering::SeqCst));
    assert_eq!(woken, [0, 1]);
    // It was a future; it can be waited for as well.
    assert_eq!(number(&receive.wait(None).unwrap().data), 7);
    assert_eq!(receive.await.unwrap_err(), Status::RequestInvalid);
}

#[tokio::test]
async fn the_end_of_a_node_ends_its_futures() {
    let hub = Hub::default();
    let (a, b) = (node(&hub, 1), node(&hub, 2));
    let here = a.endpoint(Port(1)).unwrap();
    let receive = tokio::spawn(here.recv_i().unwrap());
    let get: Pending<Address> = a.find(DomainId(1), McapiNode(2), Port(9)).unwrap();
    let get = tokio::spawn(get);
    tokio::task::yield_now().await;
    b.finalize();
    assert_eq!(get.await.unwrap(), Err(Status::Transmission));
    a.finalize();
    assert_eq!(receive.await.unwrap().unwrap_err(), Status::NodeNotInit);
}

#[tokio::test]
async fn a_task_may_take_the_last_part_of_its_node_with_it() {
    let hub = Hub::default();
    let a = node(&hub, 1);
    let here = a.endpoint(Port(1)).unwrap();
    let b = node(&hub, 2);
    let to = here.address();
    let task = tokio::spawn(async move {
        recv(&here).await;
        drop((a, here));
    });
    let from = b.endpoint(Port(1)).unwrap();
    send(&from, to, 1).await;
    task.await.unwrap();
    assert!(hub.join(NodeName { domain: 1, node: 1 }).is_some(), "the name is free again");
}
