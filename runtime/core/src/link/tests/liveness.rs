use super::{HEARTBEAT, Pair, settings};
use crate::link::pulse::Pulse;
use crate::link::{Counters, Event, Link};
use crate::node::Medium::{Datagram, Stream};
use crate::node::Timer;
use crate::time::{Duration, Instant};
use alloc::string::ToString;

const LIMIT: Duration = HEARTBEAT.times(5);

fn suspect(reason: &str, silent: Duration) -> Event {
    Event::Suspect { reason: reason.to_string(), silent }
}

#[test]
fn idle_links_beat_and_nobody_is_suspected() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        let before = pair.frames;
        assert_eq!(pair.timer(0), Some(Timer::Heartbeat));
        pair.run(HEARTBEAT.times(50));
        assert_eq!(pair.frames, before.map(|n| n + 50));
        assert!(pair.said.iter().all(|said| said.is_empty()));
    }
}

#[test]
fn data_is_a_sign_of_life_too() {
    let mut pair = Pair::joined(Stream);
    let before = pair.frames;
    for _ in 0..40 {
        pair.send(0, b"x");
        pair.run(Duration(HEARTBEAT.0 - 1));
    }
    assert_eq!(pair.frames[0], before[0] + 40);
}

#[test]
fn silence_is_reported_once_at_its_time_and_again_only_after_a_sign_of_life() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        pair.run(HEARTBEAT.times(3));
        let heard = pair.links[0].heard;
        pair.cut = true;
        pair.wire.clear();
        pair.run(LIMIT.times(3));
        assert_eq!(pair.said[0], [suspect("silent", LIMIT)]);
        assert!(pair.links[0].is_up(), "a suspect link goes on");
        assert_eq!(pair.links[0].heard, heard);
        pair.cut = false;
        pair.run(HEARTBEAT.times(3));
        pair.send(0, b"still there?");
        pair.run(HEARTBEAT);
        assert_eq!(pair.delivered(1), [b"still there?"]);
        assert_eq!(pair.said[0][1..], [Event::HeardAgain]);
        pair.cut = true;
        pair.run(LIMIT.times(3));
        assert_eq!(pair.said[0].len(), 3);
    }
}

#[test]
fn the_deadline_of_suspicion_is_exact() {
    let mut pair = Pair::joined(Stream);
    let link = &mut pair.links[0];
    let due = link.heard + LIMIT;
    link.tick(Instant(due.0 - 1));
    while let Some(event) = link.poll() {
        assert!(matches!(event, Event::Transmit(_)), "{event:?}");
    }
    assert_eq!(link.deadline(), Some((due, Timer::Suspicion)));
    link.tick(due);
    assert_eq!(link.poll(), Some(suspect("silent", LIMIT)));
}

#[test]
fn no_contact_in_time_is_reported_once() {
    for medium in [Stream, Datagram] {
        for transport in [false, true] {
            let mut pair = Pair::new(medium);
            pair.cut = true;
            if transport {
                pair.connect();
            }
            pair.run(Duration::from_millis(999));
            assert!(pair.said[0].is_empty());
            pair.run(Duration::from_millis(3000));
            let reason = "no contact within 1000 ms: is n1 started and reachable?";
            assert_eq!(pair.said[0], [suspect(reason, Duration::from_millis(1000))]);
            // Late is better than never.
            pair.cut = false;
            pair.connect();
            pair.run(HEARTBEAT.times(2));
            assert!(pair.links.iter().all(Link::is_up));
        }
    }
}

#[test]
fn a_refused_peer_that_never_becomes_welcome_is_suspected_with_the_refusal() {
    let mut other = settings(1, 1, Datagram);
    other.hash = [0; 32];
    let mut pair = Pair::of(settings(0, 1, Datagram), other);
    pair.connect();
    pair.run(Duration::from_millis(2000));
    let [Event::Refused { reason }, Event::Suspect { reason: later, .. }] = &pair.said[0][..]
    else {
        panic!("{:?}", pair.said[0]);
    };
    assert_eq!(reason, later);
}

#[test]
fn a_connection_that_closes_before_the_hello_may_come_again() {
    let mut pair = Pair::new(Stream);
    pair.connect();
    pair.disconnect();
    pair.connect();
    pair.run(HEARTBEAT);
    assert!(pair.links.iter().all(Link::is_up));
}

#[test]
fn a_gap_in_a_stream_is_a_broken_transport() {
    let mut pair = Pair::joined(Stream);
    pair.send(0, b"zero");
    pair.cut = true;
    pair.send(0, b"one");
    pair.cut = false;
    pair.send(0, b"two");
    pair.run(HEARTBEAT);
    assert_eq!(pair.delivered(1), [b"zero"]);
    let Some(Event::Suspect { reason, .. }) = pair.said[1].last() else { panic!("not suspect") };
    assert_eq!(reason, "broken transport: frame 2 came where 1 was due");
    assert!(!pair.links[1].is_up());
}

#[test]
fn an_outage_of_a_datagram_transport_loses_nothing() {
    let mut pair = Pair::joined(Datagram);
    pair.disconnect();
    assert!(pair.said.iter().all(|said| said.is_empty()));
    pair.send(0, b"kept");
    pair.run(HEARTBEAT);
    assert_eq!(pair.frames[0], Pair::joined(Datagram).frames[0], "nothing is sent");
    pair.connect();
    pair.run(HEARTBEAT);
    assert_eq!(pair.delivered(1), [b"kept"]);
}

#[test]
fn frames_without_a_transport_are_stale() {
    let mut pair = Pair::new(Stream);
    pair.inject(0, &[1, 2, 3]);
    assert_eq!(pair.links[0].counters(), Counters { stale: 1, ..Counters::default() });
}

#[test]
fn a_punctual_peer_is_suspected_after_half_of_what_is_allowed() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        pair.run(HEARTBEAT.times(40));
        pair.cut = true;
        pair.run(LIMIT);
        let half = Duration(LIMIT.0 / 2);
        let [Event::Suspect { silent, .. }] = &pair.said[0][..] else { panic!("{:?}", pair.said) };
        assert_eq!(*silent, half);
    }
}

/// Heartbeats at these times after one another, then silence: how long is it borne?
fn patience_after(gaps: impl Iterator<Item = Duration>) -> Duration {
    let mut pulse = Pulse::new(HEARTBEAT, 20, Instant(0));
    let mut now = Instant(0);
    for gap in gaps {
        now = now + gap;
        pulse.beat(now, gap);
    }
    pulse.patience()
}

#[test]
fn a_peer_that_was_late_of_late_gets_more_time_and_loses_it_slowly() {
    let punctual = (0..64).map(|_| HEARTBEAT);
    let late = || punctual.clone().chain([HEARTBEAT.times(8)]);
    assert_eq!(patience_after(punctual.clone()), HEARTBEAT.times(10));
    assert!(patience_after(late()) >= HEARTBEAT.times(15));
    assert!(patience_after(late().chain((0..250).map(|_| HEARTBEAT))) > HEARTBEAT.times(12));
    let forgotten = late().chain((0..1_024).map(|_| HEARTBEAT));
    assert_eq!(patience_after(forgotten), HEARTBEAT.times(10));
}

#[test]
fn what_happens_while_all_start_is_not_held_against_a_peer_for_long() {
    let start = (0..4).map(|_| HEARTBEAT.times(8));
    let learnt = start.chain((0..64).map(|_| HEARTBEAT));
    assert_eq!(patience_after(learnt), HEARTBEAT.times(10));
}

#[test]
fn lateness_never_earns_more_than_what_is_allowed_and_chatter_never_less_than_half() {
    assert_eq!(patience_after((0..64).map(|_| HEARTBEAT.times(15))), HEARTBEAT.times(20));
    let chatter = (0..100_000).map(|_| Duration::from_micros(10));
    assert_eq!(patience_after(chatter), HEARTBEAT.times(10));
}

#[test]
fn until_something_has_been_learnt_all_that_is_allowed_is_borne() {
    assert_eq!(patience_after((0..10).map(|_| HEARTBEAT)), HEARTBEAT.times(20));
}

#[test]
fn a_port_that_lost_its_signal_is_reason_enough_and_a_sign_of_life_takes_it_back() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        pair.links[0].port_down(pair.now);
        pair.links[0].port_down(pair.now);
        pair.drain();
        let [Event::Suspect { reason, .. }] = &pair.said[0][..] else { panic!("{:?}", pair.said) };
        assert_eq!(reason, "its port at the switch went down");
        pair.run(HEARTBEAT.times(2));
        assert_eq!(pair.said[0][1..], [Event::HeardAgain]);
    }
}

#[test]
fn what_was_under_way_when_a_port_lost_its_signal_is_delivered_and_is_no_sign_of_life() {
    let mut pair = Pair::joined(Datagram);
    pair.send(1, b"last words");
    pair.links[0].port_down(pair.now);
    pair.run(Duration::from_micros(900));
    assert_eq!(pair.delivered(0), [b"last words"]);
    assert!(pair.links[0].is_suspect(), "{:?}", pair.said[0]);
    // It lives after all.
    pair.run(HEARTBEAT.times(2));
    assert!(!pair.links[0].is_suspect());
    assert_eq!(pair.said[0].last(), Some(&Event::HeardAgain));
}
