//! Endpoints, messages and packet channels between nodes, over links that lose frames.

use crate::cluster::{Cluster, DOMAIN, id};
use crate::network::{Faults, Rng};
use crate::{Body, Case, Outcome, Suite, ensure, same};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use runtime_core::limits::{
    MCAPI_MAX_MSG_SIZE, MCAPI_MAX_PKT_SIZE, MCAPI_MAX_PRIORITY, MCAPI_MAX_QUEUE_ELEMENTS, PAGE_SIZE,
};
use runtime_core::mcapi::{Completion, Endpoint, McapiNode, Port, Request, Status, Waiter};
use runtime_core::time::Duration;

pub(crate) const CASES: &[Case] = &[
    case("an endpoint is found before it is made and after", endpoint_found),
    case("messages arrive by priority, and each priority in order", priorities),
    case("the largest message and the largest packet arrive whole", largest),
    case("packets arrive in order over a channel that a third node connected", packets_in_order),
    case("a slow receiver slows its sender, and nothing is lost", slow_receiver),
    case("what was sent before a close can still be received", half_open),
    case("requests to a lost node fail, and so do its channels", lost_node),
    case("what may not be is refused", refusals),
    case("wait_any answers in the order of completion", wait_any),
    case("a request that was taken back takes nothing", cancelled),
];

const fn case(name: &'static str, body: fn() -> Outcome) -> Case {
    Case { suite: Suite::Mcapi, name, body: Body::Alone(body) }
}

/// Bad, but not hopeless.
const BAD: Faults =
    Faults { loss: 50, duplicate: 30, corrupt: 20, jitter: Duration::from_micros(200) };

fn endpoint_found() -> Outcome {
    let mut cluster = Cluster::new(3, BAD, 1)?;
    let made = cluster.endpoint(1, 5)?;
    same("the endpoint", cluster.find(0, 1, 5)?, made)?;
    let get = cluster.mcapi(0).endpoint_get_i(DOMAIN, McapiNode::from(id(2)), Port(9));
    cluster.settle();
    let Ok(request) = get else { return Err("the endpoint cannot be asked for".into()) };
    same("before it is made", cluster.mcapi(0).test(request), Ok(None))?;
    let made = cluster.endpoint(2, 9)?;
    same("after it is made", cluster.done(0, get)?, Completion::Endpoint(made))
}

fn send(
    cluster: &mut Cluster,
    (from, to): (Endpoint, Endpoint),
    data: &[u8],
    priority: u32,
) -> Result<Completion, String> {
    let node = from.node.0 as usize;
    let sent = cluster.mcapi(node).msg_send_i(from, to, data, priority);
    cluster.done(node, sent)
}

fn receive(cluster: &mut Cluster, at: Endpoint) -> Result<Vec<u8>, String> {
    let node = at.node.0 as usize;
    let request = cluster.mcapi(node).msg_recv_i(at);
    match cluster.done(node, request)? {
        Completion::Message(message) => Ok(message.data),
        other => Err(format!("{other:?} instead of a message")),
    }
}

fn priorities() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 2)?;
    let ends = (cluster.endpoint(0, 1)?, cluster.endpoint(1, 2)?);
    for (data, priority) in [(1, 5), (2, 0), (3, MCAPI_MAX_PRIORITY), (4, 5), (5, 0)] {
        same("a send", send(&mut cluster, ends, &[data], priority)?, Completion::Done)?;
    }
    for expected in [2, 5, 1, 4, 3] {
        same("the next message", receive(&mut cluster, ends.1)?, vec![expected])?;
    }
    Ok(())
}

fn largest() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 3)?;
    let mut rng = Rng::new(3);
    let ends = (cluster.endpoint(0, 1)?, cluster.endpoint(1, 2)?);
    let message = rng.bytes(MCAPI_MAX_MSG_SIZE);
    same("a send", send(&mut cluster, ends, &message, 0)?, Completion::Done)?;
    ensure(receive(&mut cluster, ends.1)? == message, "the message changed on its way")?;
    let (tx, rx) = cluster.channel((0, 1), 10, 0)?;
    let packet = rng.bytes(MCAPI_MAX_PKT_SIZE);
    let sent = cluster.mcapi(0).pktchan_send_i(tx, packet.clone());
    same("a send", cluster.done(0, sent)?, Completion::Done)?;
    ensure(cluster.packet(1, rx)? == packet, "the packet changed on its way")
}

fn packets_in_order() -> Outcome {
    for (seed, by) in [(4, 0), (5, 1), (6, 2)] {
        let mut cluster = Cluster::new(3, BAD, seed)?;
        let (tx, rx) = cluster.channel((0, 1), 10, by)?;
        let mut rng = Rng::new(seed);
        let packets: Vec<Vec<u8>> =
            (0..100).map(|i| rng.bytes(if i % 2 == 0 { 24 } else { PAGE_SIZE })).collect();
        let mut sent = 0;
        for expected in &packets {
            while sent < packets.len()
                && cluster.mcapi(0).pktchan_send_i(tx, packets[sent].clone()).is_ok()
            {
                sent += 1;
            }
            ensure(cluster.packet(1, rx)? == *expected, "a packet is out of order or changed")?;
        }
    }
    Ok(())
}

fn slow_receiver() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 7)?;
    let (tx, rx) = cluster.channel((0, 1), 10, 0)?;
    let mut sends: Vec<Request> = Vec::new();
    let full = loop {
        let number = u32::try_from(sends.len()).unwrap_or(u32::MAX);
        match cluster.mcapi(0).pktchan_send_i(tx, number.to_le_bytes()) {
            Ok(request) => sends.push(request),
            Err(status) => break status,
        }
        ensure(sends.len() < 10 * MCAPI_MAX_QUEUE_ELEMENTS, "the sender is never slowed")?;
    };
    same("the refusal", full, Status::MemLimit)?;
    cluster.settle();
    same("packets there", cluster.mcapi(1).pktchan_available(rx), Ok(MCAPI_MAX_QUEUE_ELEMENTS))?;
    let count = u32::try_from(sends.len()).unwrap_or(u32::MAX);
    for number in 0..count {
        same("a packet", cluster.packet(1, rx)?, number.to_le_bytes().to_vec())?;
    }
    for send in sends {
        same("a send", cluster.done(0, Ok(send))?, Completion::Done)?;
    }
    Ok(())
}

fn half_open() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 8)?;
    let (tx, rx) = cluster.channel((0, 1), 10, 0)?;
    for number in 0..10 {
        let sent = cluster.mcapi(0).pktchan_send_i(tx, vec![number; 500]);
        same("a send", cluster.done(0, sent)?, Completion::Done)?;
    }
    let close = cluster.mcapi(0).pktchan_send_close_i(tx);
    same("the close", cluster.done(0, close)?, Completion::Done)?;
    cluster.settle();
    for number in 0..10 {
        same("a packet", cluster.packet(1, rx)?, vec![number; 500])?;
    }
    let over = cluster.mcapi(1).pktchan_recv_i(rx);
    same("a receive after the last", over, Err(Status::ChanInvalid))
}

fn lost_node() -> Outcome {
    let mut cluster = Cluster::new(3, BAD, 9)?;
    let (tx, _) = cluster.channel((0, 2), 10, 0)?;
    let (_, rx) = cluster.channel((2, 1), 20, 2)?;
    let (kept, kept_rx) = cluster.channel((0, 1), 30, 0)?;
    let receive = cluster.mcapi(1).pktchan_recv_i(rx);
    let get = cluster.mcapi(0).endpoint_get_i(DOMAIN, McapiNode::from(id(2)), Port(99));
    cluster.settle();
    cluster.kill(2);
    let gone = Completion::Failed(Status::Transmission);
    same("a receive", cluster.done(1, receive)?, gone.clone())?;
    same("a get", cluster.done(0, get)?, gone)?;
    let sent = cluster.mcapi(0).pktchan_send_i(tx, vec![1]);
    same("a send", sent, Err(Status::Transmission))?;
    let sent = cluster.mcapi(0).pktchan_send_i(kept, vec![1]);
    same("a send elsewhere", cluster.done(0, sent)?, Completion::Done)?;
    same("a packet from elsewhere", cluster.packet(1, kept_rx)?, vec![1])
}

fn refusals() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 10)?;
    let (a, b) = (cluster.endpoint(0, 1)?, cluster.endpoint(1, 2)?);
    let (tx, rx) = cluster.channel((0, 1), 10, 0)?;
    let made_up = Endpoint { port: Port(99), ..b };
    let to_nobody = send(&mut cluster, (a, made_up), b"x", 0)?;
    same("to nobody", to_nobody, Completion::Failed(Status::EndpInvalid))?;
    let node = cluster.mcapi(0);
    let long = vec![0; MCAPI_MAX_MSG_SIZE + 1];
    same("a long message", node.msg_send_i(a, b, &long, 0), Err(Status::MsgSize))?;
    let low = MCAPI_MAX_PRIORITY + 1;
    same("a low priority", node.msg_send_i(a, b, b"x", low), Err(Status::Priority))?;
    let long = vec![0; MCAPI_MAX_PKT_SIZE + 1];
    same("a long packet", node.pktchan_send_i(tx, long), Err(Status::PktSize))?;
    same("a port twice", node.endpoint_create(Port(1)), Err(Status::EndpExists))?;
    same("another's endpoint", node.endpoint_delete(b), Err(Status::EndpNotOwner))?;
    let connected = Endpoint { port: Port(11), ..b };
    let to_channel = send(&mut cluster, (a, connected), b"x", 0)?;
    same("a message into a channel", to_channel, Completion::Failed(Status::General))?;
    same("packets there", cluster.mcapi(1).pktchan_available(rx), Ok(0))
}

fn wait_any() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 11)?;
    let mut ends = Vec::new();
    let mut requests = Vec::new();
    for port in 0..3 {
        let to = cluster.endpoint(1, 10 + port)?;
        let receive = cluster.mcapi(1).msg_recv_i(to).map_err(|status| format!("{status}"))?;
        ends.push((cluster.endpoint(0, 20 + port)?, to));
        requests.push(receive);
    }
    let me = Waiter(4);
    same("too early", cluster.mcapi(1).wait_any(&requests, me), Ok(None))?;
    for at in [2, 0, 1] {
        send(&mut cluster, ends[at], &[0], 0)?;
    }
    same("who is woken", &cluster.hosts[1].wakes, &vec![me])?;
    for expected in [2, 0, 1] {
        let at = match cluster.mcapi(1).wait_any(&requests, me) {
            Ok(Some((at, Completion::Message(_)))) => at,
            other => return Err(format!("{other:?} instead of a message")),
        };
        let endpoint = requests.remove(at);
        let found = ends.remove(at).1.port;
        same("the next", (endpoint.raw() > 0, found), (true, Port(10 + expected)))?;
    }
    Ok(())
}

fn cancelled() -> Outcome {
    let mut cluster = Cluster::new(2, BAD, 12)?;
    let ends = (cluster.endpoint(0, 1)?, cluster.endpoint(1, 2)?);
    let (first, second) =
        (cluster.mcapi(1).msg_recv_i(ends.1), cluster.mcapi(1).msg_recv_i(ends.1));
    let (Ok(first), Ok(second)) = (first, second) else {
        return Err("receives were refused".into());
    };
    same("the cancel", cluster.mcapi(1).cancel(first), Ok(()))?;
    same("a send", send(&mut cluster, ends, b"x", 0)?, Completion::Done)?;
    let Completion::Message(message) = cluster.done(1, Ok(second))? else {
        return Err("the second receive got no message".into());
    };
    same("the message", message.data, b"x".to_vec())?;
    same("the first", cluster.mcapi(1).test(first), Err(Status::RequestInvalid))
}
