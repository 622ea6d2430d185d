//! Both bindings carry the same messages.

use super::*;
use crate::id::{Generation, ViewId};

fn view(members: u16, ranks: &[u16]) -> View {
    View {
        id: ViewId(1),
        members: (0..members).map(|n| (NodeId(n), Generation(1))).collect(),
        ranks: ranks.iter().map(|n| NodeId(*n)).collect(),
    }
}

type Delivered = Vec<(NodeId, NodeId, Side, Vec<u8>)>;

/// Carries frames until all is quiet; what was delivered, as (to, from, side, bytes).
fn run(nodes: &mut [Binding]) -> Delivered {
    let mut delivered = Vec::new();
    let mut quiet = false;
    while !quiet {
        quiet = true;
        for i in 0..nodes.len() {
            let me = NodeId(u16::try_from(i).unwrap());
            while let Some(action) = nodes[i].poll() {
                quiet = false;
                match action {
                    Action::Transmit { to, proto, payload } => {
                        nodes[to.index()].handle(me, proto, &payload).unwrap();
                    }
                    Action::Deliver { from, side, bytes } => {
                        delivered.push((me, from, side, bytes))
                    }
                }
            }
        }
    }
    delivered
}

fn opened(kind: node::Binding, view: &View) -> Vec<Binding> {
    let mut nodes: Vec<Binding> =
        view.members.keys().map(|node| Binding::new(kind, *node, view)).collect();
    assert!(nodes.iter().all(|node| !node.is_open()));
    for node in &mut nodes {
        node.open();
    }
    assert!(run(&mut nodes).is_empty());
    assert!(nodes.iter().all(Binding::is_open), "{kind:?}");
    nodes
}

#[test]
fn every_compute_side_reaches_every_receive_side_and_back() {
    for kind in [node::Binding::Mcapi, node::Binding::Sockets] {
        let view = view(4, &[0, 3, 2]);
        let mut nodes = opened(kind, &view);
        let mut expected = Delivered::new();
        for from in [0u16, 3, 2] {
            for to in (0u16..4).filter(|to| *to != from) {
                let bytes = alloc::format!("{from} asks {to}").into_bytes();
                nodes[usize::from(from)].send(NodeId(to), Side::Receive, &bytes);
                expected.push((NodeId(to), NodeId(from), Side::Receive, bytes));
                let bytes = alloc::format!("{to} answers {from}").into_bytes();
                nodes[usize::from(to)].send(NodeId(from), Side::Compute, &bytes);
                expected.push((NodeId(from), NodeId(to), Side::Compute, bytes));
            }
        }
        let mut delivered = run(&mut nodes);
        delivered.sort();
        expected.sort();
        assert_eq!(delivered, expected, "{kind:?}");
    }
}

#[test]
fn thousands_of_messages_and_long_ones_arrive_in_order() {
    for kind in [node::Binding::Mcapi, node::Binding::Sockets] {
        let mut nodes = opened(kind, &view(2, &[0, 1]));
        let message = |i: usize| alloc::vec![u8::try_from(i % 251).unwrap(); (i * 97) % 200_000];
        for i in 0..300 {
            nodes[0].send(NodeId(1), Side::Receive, &message(i));
        }
        let delivered = run(&mut nodes);
        assert_eq!(delivered.len(), 300);
        for (i, (_, _, side, bytes)) in delivered.iter().enumerate() {
            assert_eq!((*side, bytes), (Side::Receive, &message(i)), "{kind:?} message {i}");
        }
    }
}

#[test]
fn the_other_binding_is_refused() {
    let view = view(2, &[0, 1]);
    let mut sockets = Binding::new(node::Binding::Sockets, NodeId(0), &view);
    assert!(sockets.handle(NodeId(1), Proto::Mcapi, b"anything").is_err());
}
