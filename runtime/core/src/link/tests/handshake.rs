use super::{HEARTBEAT, Pair, settings};
use crate::id::{Generation, NodeId, ViewId};
use crate::link::frame::{Body, Frame};
use crate::link::{Counters, Event, Link, Settings};
use crate::node::Image;
use crate::node::Medium::{self, Datagram, Stream};
use crate::time::Duration;
use alloc::string::String;
use alloc::vec;

const UP: Event = Event::Up { generation: Generation(1) };
const RESTARTED: Event = Event::Restarted { old: Generation(1), new: Generation(2) };
const UP_AGAIN: Event = Event::Up { generation: Generation(2) };
const A_WHILE: Duration = Duration::from_millis(100);

fn refusals(said: &[Event]) -> vec::Vec<&str> {
    let reasons = said.iter().filter_map(|event| match event {
        Event::Refused { reason } => Some(&reason[..]),
        _ => None,
    });
    reasons.collect()
}

/// Node 0 is as usual, node 1 is not; what does node 0 say, and does it stay down?
fn refused(medium: Medium, change: impl Fn(&mut Settings)) -> String {
    let mut other = settings(1, 1, medium);
    change(&mut other);
    let mut pair = Pair::of(settings(0, 1, medium), other);
    pair.connect();
    pair.run(A_WHILE);
    assert!(!pair.links[0].is_up());
    let reasons = refusals(&pair.said[0]);
    assert_eq!(reasons.len(), 1, "said once");
    reasons[0].into()
}

#[test]
fn both_come_up_once_and_queued_messages_follow() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::new(medium);
        pair.send(0, b"early");
        assert_eq!((pair.frames[0], pair.links[0].queued()), (0, 1));
        pair.connect();
        pair.run(A_WHILE);
        assert_eq!(pair.said[0], [UP]);
        assert_eq!(pair.said[1][0], UP);
        assert_eq!(pair.delivered(1), [b"early"]);
        assert_eq!(pair.links[0].queued(), 0);
        assert_eq!(pair.links[0].generation(), Some(Generation(1)));
    }
}

#[test]
fn a_transport_that_comes_up_late_at_one_end_is_no_obstacle() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::new(medium);
        pair.links[0].transport_up(pair.now);
        pair.drain();
        pair.run(A_WHILE);
        pair.links[1].transport_up(pair.now);
        pair.drain();
        pair.send(0, b"one");
        pair.send(1, b"two");
        pair.run(A_WHILE);
        assert_eq!((pair.delivered(1), pair.delivered(0)), (vec![&b"one"[..]], vec![&b"two"[..]]));
        assert!(pair.links.iter().all(Link::is_up));
    }
}

#[test]
fn a_datagram_hello_is_repeated_until_it_gets_through() {
    let mut pair = Pair::new(Datagram);
    pair.cut = true;
    pair.connect();
    pair.run(HEARTBEAT.times(4));
    assert_eq!(pair.frames, [5, 5]);
    pair.cut = false;
    pair.run(HEARTBEAT.times(2));
    assert_eq!(pair.said, [[UP], [UP]]);
}

#[test]
fn strangers_are_refused_with_a_remedy() {
    for medium in [Stream, Datagram] {
        let reason = refused(medium, |other| other.hash[0] = 9);
        assert!(reason.contains("another program image (090707070707, here 070707070707)"));
        assert!(reason.contains("start them from the same image"), "{reason}");
        let reason = refused(medium, |other| other.me.node = NodeId(5));
        assert!(reason.contains("the node at the address of n1 says that it is n5"), "{reason}");
    }
    let reason = refused(Stream, |other| other.ours = Image::BareMetal);
    assert!(
        reason.contains("n1 runs a bare-metal image, and a Linux image is expected"),
        "{reason}"
    );
    let reason = refused(Stream, |other| other.medium = Datagram);
    assert!(reason.contains("give both the same runtime.transport"), "{reason}");
}

#[test]
fn images_of_two_kinds_need_not_be_the_same() {
    let mut pair = Pair::new(Datagram);
    (pair.links[0].settings.theirs, pair.links[1].settings.ours) =
        (Image::BareMetal, Image::BareMetal);
    pair.links[1].settings.hash = [9; 32];
    pair.connect();
    pair.run(HEARTBEAT.times(2));
    assert!(pair.links.iter().all(Link::is_up));
}

#[test]
fn another_version_is_refused() {
    let mut pair = Pair::new(Datagram);
    pair.connect();
    pair.links[1].say_hello(pair.now);
    let Some(Event::Transmit(mut bytes)) = pair.links[1].poll() else { panic!("no Hello") };
    bytes[1] = 9;
    bytes[16..20].fill(0);
    let crc = crc32fast::hash(&bytes);
    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    pair.inject(0, &bytes);
    let reasons = refusals(&pair.said[0]);
    assert!(reasons[0].contains("n1 speaks version 9 of the link protocol, this node 3"));
}

#[test]
fn the_smaller_mtu_holds() {
    let mut small = settings(1, 1, Datagram);
    small.mtu = 300;
    let mut pair = Pair::of(settings(0, 1, Datagram), small);
    pair.connect();
    pair.run(A_WHILE);
    pair.links[0].send(pair.now, super::Proto::Recovery, alloc::vec![1; 1000]);
    let mut frames = 0;
    while let Some(Event::Transmit(bytes)) = pair.links[0].poll() {
        assert!(bytes.len() <= 300);
        frames += 1;
    }
    assert_eq!(frames, 1_000_usize.div_ceil(300 - 52));
}

#[test]
fn a_new_life_replaces_the_old_and_gets_nothing_of_its_mail() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        if medium == Stream {
            pair.disconnect();
            assert_eq!(pair.said[0].len(), 1, "connection closed");
        }
        pair.said[0].clear();
        pair.cut = true;
        pair.send(0, b"for the dead");
        pair.cut = false;
        pair.restart(settings(1, 2, medium));
        pair.connect();
        pair.run(A_WHILE);
        assert_eq!(pair.said[0], [RESTARTED, UP_AGAIN]);
        assert_eq!(pair.links[0].counters().undeliverable, 1);
        pair.send(0, b"for the living");
        pair.send(1, b"and back");
        pair.run(A_WHILE);
        assert_eq!(pair.delivered(1), [b"for the living"]);
        assert_eq!(pair.delivered(0), [b"and back"]);
    }
}

#[test]
fn a_new_life_gets_our_hello_even_if_the_transport_never_said_that_it_broke() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        pair.restart(settings(1, 2, medium));
        pair.links[1].transport_up(pair.now);
        pair.drain();
        pair.run(A_WHILE);
        assert_eq!(pair.said, [vec![RESTARTED, UP_AGAIN], vec![UP]]);
    }
}

#[test]
fn an_old_life_is_refused_and_its_frames_die() {
    let mut old = Pair::joined(Datagram);
    old.links[1].send(old.now, super::Proto::Mcapi, b"late".to_vec());
    let Some(Event::Transmit(late)) = old.links[1].poll() else { panic!("no frame") };
    old.links[1].say_hello(old.now);
    let Some(Event::Transmit(hello)) = old.links[1].poll() else { panic!("no Hello") };

    let mut pair = old;
    pair.restart(settings(1, 2, Datagram));
    pair.connect();
    pair.run(A_WHILE);
    pair.said[0].clear();
    pair.inject(0, &late);
    assert!(pair.said[0].is_empty());
    assert_eq!(pair.links[0].counters().stale, 1);
    pair.inject(0, &hello);
    pair.inject(0, &hello);
    assert!(refusals(&pair.said[0])[0].contains("an earlier life of n1 (g1)"));
    assert_eq!(pair.said[0].len(), 1);
    assert!(pair.links[0].is_up());
}

#[test]
fn a_frame_for_another_life_of_ours_dies() {
    let mut pair = Pair::joined(Stream);
    let frame = Frame {
        from: Generation(1),
        to: Generation(7),
        ack: 0,
        selective: 0,
        body: Body::Ack(None),
    };
    pair.inject(0, &frame.emit(Stream));
    assert_eq!(pair.links[0].counters(), Counters { stale: 1, ..Counters::default() });
}

const GONE: Event = Event::Gone { view: ViewId(2) };

fn close(pair: &mut Pair) -> bool {
    let closed = pair.links[0].close(Generation(1), ViewId(2));
    pair.drain();
    closed
}

#[test]
fn a_closed_link_takes_nothing_and_says_that_it_is_closed() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        pair.cut = true;
        pair.send(0, b"nobody hears this");
        assert!(close(&mut pair), "the word of it is lost");
        assert!(!close(&mut pair));
        pair.cut = false;
        assert_eq!((pair.links[0].deadline(), pair.links[0].queued()), (None, 0));
        assert!(!pair.links[0].is_up());
        pair.send(0, b"nor this");
        pair.run(HEARTBEAT);
        assert!(pair.said[0].is_empty());
        assert_eq!(pair.said[1][0], GONE, "each sign of life is answered");
        assert!(pair.delivered(1).is_empty());
        assert!(pair.links[0].counters().stale > 0);
    }
}

#[test]
fn a_life_that_is_gone_learns_it_over_a_new_connection() {
    let mut pair = Pair::joined(Stream);
    pair.cut = true;
    assert!(close(&mut pair));
    pair.cut = false;
    pair.disconnect();
    pair.said[1].clear();
    pair.connect();
    pair.run(HEARTBEAT);
    assert_eq!(pair.said[1], [GONE]);
    assert!(pair.said[0].is_empty());
}

#[test]
fn one_that_starts_too_late_learns_it_too() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::new(medium);
        assert!(close(&mut pair));
        pair.connect();
        pair.run(Duration(HEARTBEAT.0 - 1));
        assert_eq!(pair.said, [vec![], vec![GONE]]);
    }
}

#[test]
fn a_closed_link_lets_a_new_life_in() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        close(&mut pair);
        pair.disconnect();
        pair.restart(settings(1, 2, medium));
        pair.connect();
        pair.run(A_WHILE);
        assert_eq!(pair.said, [vec![RESTARTED, UP_AGAIN], vec![UP]]);
        assert!(!close(&mut pair), "the word about the old life is nothing to the new one");
        pair.send(1, b"back");
        pair.run(A_WHILE);
        assert_eq!(pair.delivered(0), [b"back"]);
    }
}

#[test]
fn a_node_that_is_gone_begins_anew_where_it_stands() {
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        pair.send(1, b"of the old life");
        pair.cut = true;
        close(&mut pair);
        pair.cut = false;
        pair.run(A_WHILE);
        assert_eq!(pair.said[1][0], GONE);
        pair.said[1].clear();
        pair.links[1].begin_anew(pair.now, Generation(2));
        if medium == Stream {
            pair.disconnect();
            pair.connect();
        }
        pair.drain();
        pair.run(A_WHILE);
        assert_eq!(pair.said[0], [RESTARTED, UP_AGAIN]);
        assert_eq!(pair.said[1], [UP]);
    }
}
