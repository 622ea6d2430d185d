//! Nodes that leave and come again: what was for one life is nothing to the next.

use super::*;

const PORT: Port = Port(5);

/// Node 1 as it is in another life.
fn born_anew(cluster: &mut Cluster) {
    cluster.nodes[1] = Mcapi::new(DomainId(7), NodeId(1), &[NodeId(0)]);
}

fn ask(cluster: &mut Cluster) -> Request {
    cluster.nodes[0].endpoint_get_i(DomainId(7), McapiNode(1), PORT).unwrap()
}

#[test]
fn a_question_that_waits_fails_with_its_node() {
    for heard in [false, true] {
        let mut cluster = Cluster::new(2, 2);
        let asked = ask(&mut cluster);
        if heard {
            cluster.run();
        }
        cluster.kill(1);
        born_anew(&mut cluster);
        cluster.endpoint(1, PORT.0);
        cluster.nodes[0].node_joined(NodeId(1));
        assert_eq!(cluster.done(0, Ok(asked)), failed(Status::Transmission));
    }
}

/// Whoever takes a question back while the endpoint is made has not got it.
#[test]
fn an_answer_to_a_question_that_was_taken_back_is_given_back() {
    for seed in 0..40 {
        let mut cluster = Cluster::new(2, seed);
        let asked = ask(&mut cluster);
        for _ in 0..cluster.rng.below(3) {
            cluster.step();
        }
        let early = cluster.rng.below(2) == 0;
        if early {
            cluster.nodes[0].cancel(asked).unwrap();
        }
        cluster.endpoint(1, PORT.0);
        if !early {
            cluster.nodes[0].cancel(asked).unwrap();
        }
        cluster.run();
        assert_eq!(cluster.nodes[1].local(PORT.0).unwrap().get_count, 0, "seed {seed}");
    }
}

/// A message and the answer to one, both of which the next life would take for its own.
#[test]
fn what_waits_to_be_sent_is_not_for_the_next_life() {
    let mut cluster = Cluster::new(2, 4);
    let (here, there) = (cluster.endpoint(0, 5), cluster.endpoint(1, 5));
    let theirs = cluster.nodes[1].msg_send_i(there, here, b"m", 0).unwrap();
    cluster.collect();
    let frame = cluster.wires.get_mut(&(1, 0)).unwrap().pop_front().unwrap();
    cluster.nodes[0].handle(NodeId(1), &frame);
    let mine = cluster.nodes[0].msg_send_i(here, there, &[1; 4000], 0);
    // Neither has gone out when that node is gone and there again.
    cluster.nodes[0].node_gone(NodeId(1));
    cluster.nodes[0].node_joined(NodeId(1));
    born_anew(&mut cluster);
    let there = cluster.endpoint(1, 5);
    let again = cluster.nodes[1].msg_send_i(there, here, b"n", 0).unwrap();
    assert_eq!(again, theirs, "the numbers begin anew");
    cluster.collect();
    assert!(cluster.wires.get(&(0, 1)).is_none_or(VecDeque::is_empty));
    assert_eq!(cluster.nodes[1].test(again), Ok(None));
    assert_eq!(cluster.done(0, mine), failed(Status::Transmission));
    assert_eq!(cluster.nodes[1].msg_available(there), Ok(0));
}
