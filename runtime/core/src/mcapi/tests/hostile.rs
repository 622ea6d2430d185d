//! A node that says whatever it likes: frames that it overheard, with other numbers in them. The two that it talks to do
//! their work with each other as if it were not there.
//!
//! `UNDERSTUDY_FUZZ=ROUNDS` for more than the gate runs; `UNDERSTUDY_FUZZ_SEED=N` for others.

extern crate std;

use super::channel::Channel;
use super::*;
use crate::limits::{MCAPI_MAX_ENDPOINTS, MCAPI_MAX_QUEUE_ELEMENTS, MCAPI_MAX_REQUESTS};
use std::env;

const HOSTILE: usize = 2;
/// Frames with which it begins; real ones are added as they pass.
const CORPUS: usize = 512;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect(name))
}

struct Overheard(Vec<Vec<u8>>);

impl Overheard {
    fn hear(&mut self, frame: &[u8], rng: &mut Rng) {
        if self.0.len() < CORPUS {
            self.0.push(frame.to_vec());
        } else {
            let at = rng.below(CORPUS);
            self.0[at] = frame.to_vec();
        }
    }

    /// One of them, as it was or with bytes changed, cut or grown.
    fn draw(&self, rng: &mut Rng) -> Vec<u8> {
        let mut frame = self.0[rng.below(self.0.len())].clone();
        for _ in 0..rng.below(4) {
            if frame.is_empty() {
                break;
            }
            let at = rng.below(frame.len().min(32));
            frame[at] = match rng.below(4) {
                0 => u8::try_from(rng.below(256)).unwrap(),
                1 => u8::try_from(rng.below(24)).unwrap(),
                2 => frame[at].wrapping_add(1),
                _ => u8::MAX,
            };
        }
        match rng.below(12) {
            0 => frame.truncate(rng.below(frame.len() + 1)),
            1 => frame.extend((0..rng.below(70)).map(|n| u8::try_from(n).unwrap())),
            _ => {}
        }
        frame
    }
}

/// What the two honest nodes do: numbered messages one way, numbered packets the other, and gets.
struct Work {
    ends: (Endpoint, Endpoint),
    tx: SendHandle,
    rx: RecvHandle,
    sent: u32,
}

impl Work {
    fn step(&mut self, cluster: &mut Cluster) {
        let word = self.sent.to_le_bytes();
        assert_eq!(cluster.message(self.ends.0, self.ends.1, &word, 2), Completion::Done);
        let receive = cluster.nodes[1].msg_recv_i(self.ends.1);
        let Completion::Message(message) = cluster.done(1, receive) else { panic!() };
        assert_eq!(message.data, word);
        assert_eq!(message.from, self.ends.0);
        let send = cluster.nodes[1].pktchan_send_i(self.tx, word);
        assert_eq!(cluster.done(1, send), Completion::Done);
        let receive = cluster.nodes[0].pktchan_recv_i(self.rx);
        assert_eq!(cluster.done(0, receive), Completion::Packet(word.to_vec().into()));
        self.sent += 1;
    }
}

/// No more than the limits say, whatever was asked for.
fn bounded(node: &Mcapi) {
    assert!(node.endpoints.len() <= MCAPI_MAX_ENDPOINTS);
    assert!(node.wanted.values().map(Vec::len).sum::<usize>() <= MCAPI_MAX_REQUESTS);
    for (_, local) in node.endpoints.iter() {
        assert!(local.inbox.len() <= MCAPI_MAX_QUEUE_ELEMENTS);
        assert!(local.inbox.blocked().len() <= MCAPI_MAX_REQUESTS);
        let waiting = local.channel.as_ref().map_or(0, Channel::waiting);
        assert!(waiting <= MCAPI_MAX_QUEUE_ELEMENTS);
    }
}

fn run(seed: u64) {
    let mut cluster = Cluster::new(3, seed);
    let mut rng = Rng(seed ^ 0x5eed);
    let (_, _, tx, rx) = cluster.channel((1, 0), 20, 0);
    // What it may do is done with these: its own, and some that are left to it.
    let own = cluster.endpoint(HOSTILE, 1);
    let open = [cluster.endpoint(0, 5), cluster.endpoint(1, 5)];
    let block = 0u32.to_le_bytes();
    cluster.nodes[1].endpoint_set_attribute(open[1], 5, &block).unwrap();
    let mut overheard = Overheard(vec![]);
    // A life like that of others, to hear from; and its answers.
    for &to in &open {
        cluster.message(own, to, b"hello", 0);
    }
    // Anybody may connect any two endpoints, so these have names that are not found by chance.
    let ends = (cluster.endpoint(0, 0x1234_5678), cluster.endpoint(1, 0x2345_6789));
    let mut work = Work { ends, tx, rx, sent: 0 };
    for _ in 0..300 {
        work.step(&mut cluster);
        cluster.collect();
        for _ in 0..8 {
            // Every sort of frame, whether it passed or not.
            overheard.hear(frames::sample(&mut rng), &mut rng);
            let frame = overheard.draw(&mut rng);
            let to = rng.below(2);
            cluster.nodes[to].handle(NodeId(2), &frame);
            cluster.collect();
            // What comes back it hears, and need not obey.
            if let Some(answers) = cluster.wires.get_mut(&(to, HOSTILE)) {
                answers.drain(..).for_each(|answer| overheard.hear(&answer, &mut rng));
            }
        }
        // Its messages are in nobody's way for long.
        for (node, &at) in open.iter().enumerate() {
            while cluster.nodes[node].msg_available(at).is_ok_and(|waiting| waiting > 0) {
                let Ok(receive) = cluster.nodes[node].msg_recv_i(at) else { break };
                assert!(cluster.nodes[node].test(receive).unwrap().is_some());
            }
        }
        cluster.nodes[..2].iter().for_each(bounded);
    }
    cluster.kill(HOSTILE);
    work.step(&mut cluster);
    let counters = cluster.nodes[0].counters();
    assert!(counters.malformed > 0 && counters.stale > 0, "{counters:?}");
}

#[test]
fn a_hostile_node_harms_nobody() {
    let first = number("UNDERSTUDY_FUZZ_SEED", 1);
    for seed in first..first + number("UNDERSTUDY_FUZZ", 20) {
        run(seed);
    }
}
