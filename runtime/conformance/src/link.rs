//! Ordered, exactly once, and within one life.

use crate::network::{Faults, Rng};
use crate::pair::{HEARTBEAT, Pair, settings};
use crate::{Body, Case, Outcome, Suite, ensure, same};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use runtime_core::id::{Generation, ViewId};
use runtime_core::limits::{MAX_MESSAGE, PAGE_SIZE};
use runtime_core::link::{Event, Link};
use runtime_core::node::Medium::{self, Datagram, Stream};
use runtime_core::time::Duration;

pub(crate) const CASES: &[Case] = &[
    case("messages of every size pass whole over both media", every_size),
    case("loss, repetition, reordering and damage leave each message once and in order", chaos),
    case("five percent of loss leave four fifths of the speed", lossy_speed),
    case("no bit of a frame can flip unseen", flipped_bits),
    case("a page is one frame where the MTU allows", page_in_a_frame),
    case("a path that was cut brings everything once it is whole", cut_and_healed),
    case("a new life of a peer gets nothing of the old one's mail", new_life),
    case("frames of an earlier life are ignored", old_frames),
    case("silence makes a peer suspect, and nothing else does", silence),
    case("a peer with another program is refused", other_program),
    case("a closed link is silent and deaf", closed),
];

const fn case(name: &'static str, body: fn() -> Outcome) -> Case {
    Case { suite: Suite::Link, name, body: Body::Alone(body) }
}

const GOOD: Faults = Faults { loss: 0, duplicate: 0, corrupt: 0, jitter: Duration::ZERO };
const MEDIA: [Medium; 2] = [Stream, Datagram];

fn every_size() -> Outcome {
    let sizes = [0, 1, 1_447, 1_448, 1_449, 2_896, PAGE_SIZE, MAX_MESSAGE - 1, MAX_MESSAGE];
    let mut rng = Rng::new(1);
    let sent: Vec<Vec<u8>> = sizes.iter().map(|size| rng.bytes(*size)).collect();
    for medium in MEDIA {
        let mut pair = Pair::up(medium, GOOD, 1)?;
        sent.iter().for_each(|message| pair.send(0, message));
        pair.run_until("all arrived", |pair| pair.arrived[1].len() == sizes.len())?;
        ensure(pair.arrived[1] == sent, "a message changed on its way")?;
    }
    Ok(())
}

fn chaos() -> Outcome {
    for seed in 0..4 {
        let jitter = Duration::from_micros(600 * (seed % 2));
        let faults = Faults { loss: 100, duplicate: 80, corrupt: 50, jitter };
        let mut pair = Pair::up(Datagram, faults, seed)?;
        let mut rng = Rng::new(seed + 100);
        let mut messages = |longest: usize| -> Vec<Vec<u8>> {
            let length = |rng: &mut Rng| rng.below(longest);
            (0..60)
                .map(|_| {
                    let length = length(&mut rng);
                    rng.bytes(length)
                })
                .collect()
        };
        let sent = [messages(5_000), messages(300)];
        for (one, two) in sent[0].iter().zip(&sent[1]) {
            pair.send(0, one);
            pair.send(1, two);
            pair.run(Duration::from_micros(300));
        }
        pair.run_until("all arrived", |pair| pair.links.iter().all(|link| link.queued() == 0))?;
        ensure(pair.arrived[1] == sent[0], "what n1 got is not what n0 sent")?;
        ensure(pair.arrived[0] == sent[1], "what n0 got is not what n1 sent")?;
        let counters = pair.links[0].counters();
        ensure(counters.retransmitted > 0 && counters.damaged > 0, "nothing was lost or damaged")?;
    }
    Ok(())
}

/// Virtual time for so many pages, in nanoseconds.
fn transfer(pages: usize, faults: Faults) -> Result<u64, String> {
    let mut pair = Pair::up(Datagram, faults, 5)?;
    let (start, page) = (pair.network.now, vec![9; PAGE_SIZE]);
    (0..pages).for_each(|_| pair.send(0, &page));
    pair.run_until("all arrived", |pair| pair.arrived[1].len() == pages)?;
    Ok(pair.network.now.since(start).0)
}

fn lossy_speed() -> Outcome {
    let clean = transfer(500, GOOD)?;
    let lossy = transfer(500, Faults { loss: 50, ..GOOD })?;
    ensure(lossy * 4 <= clean * 5, "loss costs more than a fifth")
}

/// A frame that node 0 sends for a message.
fn frame_of(pair: &mut Pair, message: &[u8]) -> Result<Vec<u8>, String> {
    pair.links[0].send(pair.network.now, runtime_core::link::Proto::Mcapi, message.to_vec());
    match pair.links[0].poll() {
        Some(Event::Transmit(bytes)) => Ok(bytes),
        other => Err(alloc::format!("{other:?} instead of a frame")),
    }
}

fn flipped_bits() -> Outcome {
    let mut pair = Pair::up(Datagram, GOOD, 1)?;
    let frame = frame_of(&mut pair, b"sixteen byte msg")?;
    for bit in 0..8 * frame.len() {
        let mut flipped = frame.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        pair.inject(1, &flipped);
        ensure(pair.arrived[1].is_empty(), "a damaged frame was taken")?;
    }
    let counters = pair.links[1].counters();
    same("frames found damaged", counters.damaged, 8 * frame.len() as u64)?;
    pair.inject(1, &frame);
    same("what arrived", pair.arrived[1].len(), 1)
}

fn page_in_a_frame() -> Outcome {
    let wide = |node| runtime_core::link::Settings { mtu: 9_000, ..settings(node, 1, Datagram) };
    let mut pair = Pair::new(wide(0), wide(1), GOOD, 1);
    pair.run_until("both ends are up", |pair| pair.links.iter().all(Link::is_up))?;
    let before = pair.frames[0];
    pair.send(0, &[1; PAGE_SIZE + 64]);
    same("frames of a page", pair.frames[0] - before, 1)?;
    pair.run_until("it arrived", |pair| pair.arrived[1].len() == 1)
}

fn cut_and_healed() -> Outcome {
    let mut pair = Pair::up(Datagram, GOOD, 1)?;
    pair.send(0, &[1; 30_000]);
    pair.cut = true;
    pair.run(Duration::from_millis(5));
    pair.send(0, &[2; 30_000]);
    pair.run(Duration::from_millis(50));
    same("messages before", pair.arrived[1].len(), 0)?;
    pair.cut = false;
    pair.run_until("both arrived", |pair| pair.arrived[1].len() == 2)?;
    ensure(pair.arrived[1][1] == [2; 30_000], "the second message changed on its way")
}

fn new_life() -> Outcome {
    for medium in MEDIA {
        let mut pair = Pair::up(medium, GOOD, 1)?;
        pair.cut = true;
        pair.send(0, b"for the old one");
        pair.network.clear(1);
        if medium == Stream {
            pair.links[0].transport_down(pair.network.now);
        }
        let now = pair.network.now;
        pair.links[1] = Link::new(settings(1, 2, medium), runtime_core::id::NodeId(0), now);
        pair.cut = false;
        if medium == Stream {
            pair.links[0].transport_up(now);
        }
        pair.links[1].transport_up(now);
        pair.drain();
        pair.run_until("both ends are up", |pair| {
            let new = Generation(2);
            let [a, b] = &pair.links;
            a.is_up() && a.generation() == Some(new) && b.is_up()
        })?;
        pair.send(0, b"for the new one");
        pair.run_until("it arrived", |pair| !pair.arrived[1].is_empty())?;
        same("what arrived", &pair.arrived[1], &vec![b"for the new one".to_vec()])?;
        let restarted = |event: &Event| matches!(event, Event::Restarted { .. });
        ensure(pair.said[0].iter().any(restarted), "nobody said that the peer restarted")?;
    }
    Ok(())
}

fn old_frames() -> Outcome {
    let mut pair = Pair::up(Datagram, GOOD, 1)?;
    let old = frame_of(&mut pair, b"old")?;
    let mut later = Pair::new(settings(0, 2, Datagram), settings(1, 1, Datagram), GOOD, 1);
    later.run_until("both ends are up", |pair| pair.links.iter().all(Link::is_up))?;
    let before = later.links[1].counters().stale;
    later.inject(1, &old);
    same("stale frames", later.links[1].counters().stale - before, 1)?;
    same("what arrived", later.arrived[1].len(), 0)
}

fn silence() -> Outcome {
    for medium in MEDIA {
        let mut pair = Pair::up(medium, GOOD, 1)?;
        let suspect = |event: &Event| matches!(event, Event::Suspect { .. });
        pair.run(HEARTBEAT.times(200));
        ensure(
            !pair.said[0].iter().any(suspect),
            "a peer that only has nothing to say is suspect",
        )?;
        pair.cut = true;
        pair.run_until("the peer is suspect", |pair| pair.said[0].iter().any(suspect))?;
    }
    Ok(())
}

fn other_program() -> Outcome {
    for medium in MEDIA {
        let other = runtime_core::link::Settings { hash: [8; 32], ..settings(1, 1, medium) };
        let mut pair = Pair::new(settings(0, 1, medium), other, GOOD, 1);
        let refused = |event: &Event| matches!(event, Event::Refused { .. });
        pair.run_until("it is refused", |pair| pair.said[0].iter().any(refused))?;
        ensure(!pair.links.iter().any(Link::is_up), "the link is up")?;
    }
    Ok(())
}

fn closed() -> Outcome {
    for medium in MEDIA {
        let mut pair = Pair::up(medium, GOOD, 1)?;
        pair.links[1].close(Generation(1), ViewId(2));
        pair.send(0, b"anybody?");
        pair.send(1, b"no");
        pair.run(HEARTBEAT.times(10));
        let told = |event: &Event| matches!(event, Event::Gone { view: ViewId(2) });
        ensure(pair.said[0].iter().any(told), "who is gone was not told")?;
        same("what arrived", (pair.arrived[0].len(), pair.arrived[1].len()), (0, 0))?;
        ensure(pair.links[1].deadline().is_none(), "the closed end has a timer")?;
    }
    Ok(())
}
