//! Streams whose connection breaks, and is made again between the same two lives.

use super::{HEARTBEAT, Pair, Rng, messages, settings};
use crate::id::Generation;
use crate::link::{Event, Link};
use crate::node::Medium::{Datagram, Stream};
use crate::time::Duration;
use alloc::vec::Vec;

fn is_closed(event: &Event) -> bool {
    matches!(event, Event::Suspect { reason, .. } if reason == "connection closed")
}

#[test]
fn a_closed_connection_is_suspect_at_once_and_a_new_one_takes_that_back() {
    let mut pair = Pair::joined(Stream);
    pair.run(Duration::from_millis(7));
    pair.disconnect();
    assert!(pair.said.iter().all(|said| said.len() == 1 && is_closed(&said[0])));
    assert_eq!(pair.links[0].deadline(), None, "nothing more is due before it comes back");
    pair.send(0, b"kept");
    assert_eq!(pair.links[0].queued(), 1);
    pair.run(HEARTBEAT.times(30));
    pair.connect();
    pair.run(HEARTBEAT);
    assert_eq!(pair.said[0][1..], [Event::HeardAgain]);
    assert_eq!((pair.delivered(1), pair.links[0].queued()), ([&b"kept"[..]].into(), 0));
    assert!(pair.links.iter().all(|link| link.is_up() && !link.is_suspect()));
}

#[test]
fn what_was_on_the_broken_connection_comes_on_the_next_and_what_arrived_does_not_come_twice() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut pair = Pair::joined(Stream);
        let sent = [messages(&mut rng, 200, 300), messages(&mut rng, 200, 300)];
        for (one, other) in sent[0].iter().zip(&sent[1]) {
            pair.send(0, one);
            pair.send(1, other);
            pair.run(Duration(rng.next() % 150_000));
            if rng.chance(80) {
                pair.disconnect();
                pair.run(Duration(rng.next() % 100_000));
                pair.connect();
            } else if rng.chance(80) {
                // One end has not noticed yet that it broke.
                pair.wire.clear();
                let (now, end) = (pair.now, rng.below(2));
                pair.links[end].transport_down(now);
                pair.connect();
            }
        }
        pair.run(HEARTBEAT);
        for to in 0..2 {
            assert_eq!(pair.delivered(to), sent[1 - to], "seed {seed}");
        }
    }
}

#[test]
fn a_break_while_the_two_meet_loses_nothing_either() {
    for micros in (0..1_000).step_by(50) {
        let mut pair = Pair::new(Stream);
        pair.connect();
        pair.send(0, b"one");
        pair.send(1, b"two");
        pair.run(Duration::from_micros(micros));
        pair.disconnect();
        pair.connect();
        pair.run(HEARTBEAT);
        assert_eq!(pair.delivered(1), [b"one"], "broken after {micros} us");
        assert_eq!(pair.delivered(0), [b"two"], "broken after {micros} us");
    }
}

#[test]
fn a_new_connection_in_place_of_one_that_was_not_known_to_be_broken_is_no_reason_to_suspect() {
    let mut pair = Pair::joined(Stream);
    pair.wire.clear();
    pair.connect();
    pair.run(HEARTBEAT.times(3));
    assert!(pair.said.iter().all(Vec::is_empty), "{:?}", pair.said);
}

#[test]
fn what_is_kept_is_bounded_by_what_the_peer_has_not_acknowledged() {
    let mut pair = Pair::joined(Stream);
    for _ in 0..1_000 {
        pair.send(0, &[7; 1_000]);
        pair.run(Duration::from_micros(20));
    }
    assert!(pair.links[0].kept() < 64, "{} messages are kept", pair.links[0].kept());
    pair.run(HEARTBEAT.times(2));
    assert_eq!(pair.links[0].kept(), 0);
}

#[test]
fn nothing_flows_on_a_new_connection_before_the_hello_of_the_peer() {
    let mut pair = Pair::joined(Stream);
    pair.disconnect();
    pair.send(0, b"waits");
    pair.cut = true;
    let before = pair.frames;
    pair.connect();
    pair.run(HEARTBEAT.times(5));
    assert_eq!(pair.frames, before.map(|frames| frames + 1), "a Hello each, and no more");
    assert_eq!(pair.links[0].queued(), 1);
}

#[test]
fn a_peer_that_waits_for_what_was_never_sent_is_none_that_we_know() {
    let mut pair = Pair::joined(Stream);
    let mut other = Pair::joined(Stream);
    (0..3).for_each(|_| other.send(0, b"to another"));
    other.run(HEARTBEAT);
    pair.disconnect();
    core::mem::swap(&mut pair.links[1], &mut other.links[1]);
    pair.links[1].transport_down(pair.now);
    pair.connect();
    pair.run(HEARTBEAT);
    assert!(pair.links[0].is_over());
    assert!(!pair.links[0].is_up());
}

#[test]
fn a_life_that_the_peer_did_not_know_yet_begins_at_its_first_message() {
    let mut pair = Pair::joined(Stream);
    (0..5).for_each(|_| pair.send(0, b"of the old life"));
    pair.run(HEARTBEAT);
    pair.disconnect();
    pair.links[0].begin_anew(pair.now, Generation(2));
    pair.connect();
    pair.send(0, b"of the new one");
    pair.run(HEARTBEAT);
    let heard = pair.delivered(1);
    assert_eq!((heard.len(), heard.last()), (6, Some(&&b"of the new one"[..])));
    assert!(pair.links.iter().all(Link::is_up));
}

#[test]
fn a_datagram_link_needs_none_of_it() {
    let mut pair = Pair::of(settings(0, 1, Datagram), settings(1, 1, Datagram));
    pair.connect();
    pair.send(0, b"x");
    pair.run(HEARTBEAT);
    assert_eq!(pair.links[0].kept(), 0);
}
