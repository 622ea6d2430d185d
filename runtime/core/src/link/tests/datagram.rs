use super::{Chaos, HEARTBEAT, Pair, Rng, messages, settings};
use crate::limits::{LINK_WINDOW, MAX_MESSAGE};
use crate::link::datagram::rtt::Rtt;
use crate::link::datagram::{ACK_DELAY, Sender};
use crate::link::spare::Spare;
use crate::link::{Counters, Event, Proto};
use crate::node::Medium::{Datagram, Stream};
use crate::node::Timer;
use crate::time::{Duration, Instant};
use alloc::vec;
use alloc::vec::Vec;

#[test]
fn loss_repetition_reordering_and_damage_leave_every_message_once_in_order() {
    for seed in 0..60 {
        let chaos = Chaos {
            loss: 100,
            duplicate: 80,
            corrupt: 50,
            jitter: Duration::from_micros(if seed % 2 == 0 { 0 } else { 3000 }),
        };
        let mut a = settings(0, 1, Datagram);
        let mut b = settings(1, 1, Datagram);
        (a.suspect_after, b.suspect_after) = (1000, 1000);
        let mut pair = Pair::of(a, b).seeded(seed, chaos);
        let mut rng = Rng::new(seed + 1000);
        let sent = [messages(&mut rng, 120, 5000), messages(&mut rng, 120, 300)];
        pair.connect();
        for (one, two) in sent[0].iter().zip(&sent[1]) {
            pair.send(0, one);
            pair.send(1, two);
            pair.run(Duration::from_micros(rng.next() % 2000));
        }
        pair.run(Duration::from_millis(20_000));
        assert_eq!(pair.delivered(1), sent[0], "seed {seed}");
        assert_eq!(pair.delivered(0), sent[1], "seed {seed}");
        let counters = pair.links[0].counters();
        assert!(counters.retransmitted > 0 && counters.damaged > 0 && counters.duplicate > 0);
        assert_eq!((counters.malformed, counters.stale, counters.undeliverable), (0, 0, 0));
        assert!(pair.links.iter().all(|link| link.queued() == 0));
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let chaos = Chaos { loss: 100, jitter: Duration::from_micros(900), ..Chaos::default() };
        let mut pair = Pair::joined(Datagram).seeded(3, chaos);
        pair.send(0, &[5; MAX_MESSAGE]);
        pair.run(Duration::from_millis(300));
        (pair.now, pair.frames, pair.said, pair.links.map(|link| link.counters()))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_clean_network_sees_no_retransmission_and_few_acknowledgements() {
    let mut pair = Pair::joined(Datagram);
    let before = pair.frames;
    for _ in 0..20 {
        pair.send(0, &[5; MAX_MESSAGE]);
    }
    pair.run(Duration::from_millis(300));
    let frames = 20 * MAX_MESSAGE.div_ceil(1500 - 52);
    assert_eq!(pair.delivered(1).len(), 20);
    assert!(pair.frames[0] - before[0] < frames + 16);
    assert!(pair.frames[1] - before[1] < frames / 2 + 16);
    assert_eq!(pair.links[0].counters(), Counters::default());
}

#[test]
fn no_more_than_a_window_is_in_flight() {
    // All but the first arrive: the window is open, but its first frame holds it.
    let mut sender = Sender::default();
    (0..2 * LINK_WINDOW).for_each(|_| sender.push(Proto::Mcapi, b"x".to_vec()));
    let (mut now, mut sent, mut held) = (Instant(0), 0, 0);
    while sent < LINK_WINDOW {
        let before = sent;
        while let Some(data) = sender.next(now, 100) {
            sent = sent.max(usize::try_from(data.seq).unwrap() + 1);
        }
        assert!(sent > before);
        now = now + Duration::from_micros(100);
        held = u128::MAX >> (129 - sent);
        sender.on_ack(now, 0, held, &mut Spare::default()).unwrap();
    }
    assert_eq!(sent, LINK_WINDOW);
    assert_eq!(sender.next(now, 100).map(|data| data.seq), Some(0), "again");
    assert!(sender.next(now, 100).is_none());
    assert_eq!((held.count_ones(), sender.queued()), (127, 2 * LINK_WINDOW));
    sender.on_ack(now, 128, 0, &mut Spare::default()).unwrap();
    assert_eq!(sender.next(now, 100).unwrap().seq, 128);
}

#[test]
fn a_lone_message_is_acknowledged_after_the_delay_and_piggybacked_on_an_answer() {
    let mut pair = Pair::joined(Datagram);
    let before = pair.frames;
    pair.send(0, b"ping");
    pair.run(Duration::from_micros(300));
    assert_eq!(pair.frames[1], before[1], "not yet");
    assert_eq!(pair.links[1].deadline().unwrap().1, Timer::Heartbeat);
    pair.run(ACK_DELAY);
    assert_eq!(pair.frames[1], before[1] + 1);
    pair.send(0, b"ping");
    pair.run(Duration::from_micros(300));
    pair.send(1, b"pong");
    pair.run(Duration::from_millis(1));
    assert_eq!(pair.frames[1], before[1] + 2);
    assert_eq!(pair.links[0].queued(), 0);
}

#[test]
fn a_hole_is_filled_without_waiting_for_the_timeout() {
    let mut pair = Pair::joined(Datagram);
    for _ in 0..20 {
        pair.send(0, b"warm up");
        pair.run(Duration::from_millis(2));
    }
    pair.cut = true;
    pair.send(0, b"lost");
    pair.cut = false;
    for _ in 0..3 {
        pair.send(0, b"later");
    }
    // A round trip, and then half of one.
    pair.run(Duration::from_micros(3 * 200));
    assert_eq!(pair.links[0].counters().retransmitted, 1);
    assert_eq!(pair.delivered(1).len(), 24);
}

#[test]
fn after_an_outage_the_whole_window_recovers_fast() {
    let mut pair = Pair::joined(Datagram);
    for _ in 0..20 {
        pair.send(0, b"warm up");
        pair.run(Duration::from_millis(2));
    }
    pair.cut = true;
    pair.send(0, &[5; MAX_MESSAGE]);
    pair.run(Duration::from_micros(3000));
    pair.cut = false;
    assert_eq!(pair.timer(0), Some(Timer::Retransmit));
    pair.run(HEARTBEAT);
    assert_eq!(pair.delivered(1).len(), 21);
    // The first window and a probe, which was new.
    assert_eq!(pair.links[0].counters().retransmitted, 17);
}

#[test]
fn an_outage_is_no_round_trip_and_nobody_waits_longer_because_of_it() {
    let mut pair = Pair::joined(Datagram);
    for _ in 0..20 {
        pair.send(0, b"warm up");
        pair.run(Duration::from_millis(2));
    }
    // It arrives, and the word of it does not; what is said in the outage is tried less and less often.
    pair.send(0, b"arrives");
    pair.run(Duration::from_micros(300));
    pair.cut = true;
    pair.send(0, b"waits");
    pair.run(HEARTBEAT.times(60));
    assert!(pair.links[0].is_suspect() && pair.links[1].is_suspect());
    pair.cut = false;
    // The next sign of life, and two round trips.
    pair.run(HEARTBEAT);
    pair.run(Duration::from_micros(900));
    assert_eq!(pair.delivered(1).last(), Some(&b"waits".as_slice()));
    pair.run(HEARTBEAT);
    pair.cut = true;
    pair.send(0, b"lost");
    let (due, timer) = pair.links[0].deadline().unwrap();
    assert_eq!(timer, Timer::Retransmit);
    assert!(due.since(pair.now) < Duration::from_millis(5), "{:?}", due.since(pair.now));
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_refused() {
    let mut sender = Sender::default();
    sender.push(Proto::Mcapi, b"one".to_vec());
    let now = Instant(5);
    assert_eq!(sender.next(now, 100).unwrap().payload, b"one");
    assert!(sender.on_ack(now, 2, 0, &mut Spare::default()).is_err());
    assert!(sender.on_ack(now, 0, 1, &mut Spare::default()).is_err());
    assert!(sender.on_ack(now, u64::MAX, u128::MAX, &mut Spare::default()).is_err());
    assert!(sender.on_ack(now, 1, 0, &mut Spare::default()).is_ok());
    assert!(sender.on_ack(now, 0, u128::MAX, &mut Spare::default()).is_ok(), "overtaken");
    assert_eq!((sender.queued(), sender.deadline()), (0, None));
}

#[test]
fn the_timeout_follows_the_round_trip_backs_off_and_stays_in_bounds() {
    let mut rtt = Rtt::default();
    assert_eq!(rtt.timeout(2), Duration::from_millis(100));
    rtt.sample(Instant(0), Duration::from_millis(20));
    assert_eq!(rtt.timeout(2), Duration::from_millis(60));
    for _ in 0..100 {
        rtt.sample(Instant(0), Duration::from_millis(20));
    }
    assert!(rtt.timeout(2) < Duration::from_millis(21));
    let once = rtt.timeout(2);
    rtt.back_off();
    assert_eq!(rtt.timeout(2), once.times(2));
    for _ in 0..100 {
        rtt.back_off();
    }
    assert_eq!(rtt.timeout(2), Duration::from_millis(1000));
    rtt.sample(Instant(0), Duration(1));
    assert!(rtt.timeout(2) < Duration::from_millis(40));
    for _ in 0..200 {
        rtt.sample(Instant(0), Duration(1));
    }
    assert_eq!(rtt.timeout(2), Duration::from_millis(1));
}

#[test]
fn a_round_trip_that_grows_past_the_timeout_is_learned() {
    // Delay that the timeout does not know yet: each first try is sent again, Karn keeps the back-off
    // until a frame gets through with its own acknowledgement.
    let mut sender = Sender::default();
    let trip = Duration::from_millis(300);
    let mut now = Instant(0);
    for seq in 0..5 {
        sender.push(Proto::Mcapi, b"x".to_vec());
        assert!(sender.next(now, 100).is_some());
        let answer = now + trip;
        while let Some(due) = sender.deadline().filter(|due| *due < answer) {
            sender.on_timeout(due);
            while sender.next(due, 100).is_some() {}
        }
        now = answer;
        sender.on_ack(now, seq + 1, 0, &mut Spare::default()).unwrap();
    }
    let learned = sender.retransmitted;
    assert!(learned > 0);
    sender.push(Proto::Mcapi, b"x".to_vec());
    assert!(sender.next(now, 100).is_some());
    assert!(sender.deadline().unwrap() > now + trip);
}

#[test]
fn a_frame_that_was_sent_twice_gives_no_sample() {
    let mut sender = Sender::default();
    sender.push(Proto::Mcapi, b"x".to_vec());
    assert!(sender.next(Instant(0), 100).is_some());
    let due = sender.deadline().unwrap();
    sender.on_timeout(due);
    assert!(sender.next(due, 100).is_some());
    sender.on_ack(Instant(due.0 + 1), 1, 0, &mut Spare::default()).unwrap();
    sender.push(Proto::Mcapi, b"y".to_vec());
    assert!(sender.next(due, 100).is_some());
    assert_eq!(sender.deadline().unwrap().since(due), Duration::from_millis(200), "backed off");
}

#[test]
fn a_repeated_frame_is_acknowledged_at_once() {
    let mut pair = Pair::joined(Datagram);
    pair.links[0].send(pair.now, Proto::Mcapi, b"x".to_vec());
    let Some(Event::Transmit(bytes)) = pair.links[0].poll() else { panic!("no frame") };
    pair.inject(1, &bytes);
    pair.run(ACK_DELAY);
    let before = pair.frames[1];
    pair.inject(1, &bytes);
    assert_eq!(pair.frames[1], before + 1);
    assert_eq!(pair.links[1].counters().duplicate, 1);
    assert_eq!(pair.delivered(1), [b"x"]);
}

#[test]
fn every_size_passes_both_media() {
    let sizes = [0, 1, 1447, 1448, 1449, 2896, 4096, MAX_MESSAGE - 1, MAX_MESSAGE];
    let sent: Vec<Vec<u8>> = sizes.iter().map(|size| vec![3; *size]).collect();
    for medium in [Stream, Datagram] {
        let mut pair = Pair::joined(medium);
        sent.iter().for_each(|message| pair.send(0, message));
        pair.run(Duration::from_millis(50));
        assert_eq!(pair.delivered(1), sent);
    }
}

#[test]
#[should_panic(expected = "at most MAX_MESSAGE")]
fn a_message_over_the_limit_is_the_callers_fault() {
    let mut pair = Pair::joined(Stream);
    pair.send(0, &[0; MAX_MESSAGE + 1]);
}
