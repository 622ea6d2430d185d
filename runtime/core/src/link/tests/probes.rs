//! What a link makes of silence: a frame that is lost, or a peer that is not scheduled.

use super::road::{Road, Traffic};
use crate::link::Proto;
use crate::link::datagram::Sender;
use crate::link::spare::Spare;
use crate::time::{Duration, Instant};

const CALM: Duration = Duration::from_millis(3);

/// Questions and answers, where one side stands still for so long now and then. Returns how many questions
/// went out again.
fn with_pauses(pauses: usize, still: Duration) -> u64 {
    let mut traffic = Traffic::new(Road::new(100, 1_000), 1, 1500, 7);
    for _ in 0..pauses {
        (0..20).for_each(|_| ask(&mut traffic));
        traffic.still = Some((0, traffic.now + still));
        ask(&mut traffic);
    }
    let again = traffic.links[0].counters().retransmitted;
    assert_eq!(traffic.links[1].counters().duplicate, again, "nothing was lost");
    again
}

/// A question, and the answer as soon as the question is there.
fn ask(traffic: &mut Traffic) {
    for link in 0..2 {
        let before = traffic.arrived[0];
        traffic.send(link, 100);
        while traffic.arrived[0] == before {
            traffic.run(Duration::from_micros(1));
        }
    }
}

#[test]
fn a_peer_that_often_stands_still_for_a_while_is_waited_for() {
    for millis in [4, 8, 16] {
        let again = with_pauses(30, Duration::from_millis(millis));
        assert!((1..=4).contains(&again), "{again} probes for pauses of {millis} ms");
    }
}

/// A question whose frame is lost, and the time until it arrives all the same.
fn lose_one(traffic: &mut Traffic) -> Duration {
    let (before, start) = (traffic.arrived[0], traffic.now);
    traffic.lose(1_000);
    traffic.send(0, 100);
    traffic.lose(0);
    while traffic.arrived[0] == before {
        traffic.run(Duration::from_micros(100));
    }
    let took = traffic.now.since(start);
    traffic.run(Duration::from_millis(40));
    took
}

#[test]
fn a_peer_that_is_not_slow_any_more_is_probed_soon_again() {
    let mut traffic = Traffic::new(Road::new(100, 1_000), 1, 1500, 7);
    (0..20).for_each(|_| ask(&mut traffic));
    assert!(lose_one(&mut traffic) < CALM);
    (0..20).for_each(|_| ask(&mut traffic));
    traffic.still = Some((0, traffic.now + Duration::from_millis(16)));
    ask(&mut traffic);
    (0..20).for_each(|_| ask(&mut traffic));
    assert!(lose_one(&mut traffic) > Duration::from_millis(10), "it may stand still again");
    for _ in 0..4_000 {
        ask(&mut traffic);
        traffic.run(CALM);
    }
    assert!(lose_one(&mut traffic) < CALM, "it has not for twelve seconds");
}

#[test]
fn lost_frames_do_not_make_probes_slower() {
    let mut traffic = Traffic::new(Road::new(100, 1_000), 1, 1500, 7);
    for _ in 0..30 {
        for _ in 0..20 {
            traffic.send(0, 100);
            traffic.run(CALM);
        }
        let before = traffic.arrived[0];
        traffic.lose(1_000);
        traffic.send(0, 100);
        traffic.lose(0);
        traffic.run(CALM);
        assert_eq!(traffic.arrived[0], before + 1, "it came with the first probe");
        traffic.run(CALM);
    }
    assert_eq!(traffic.links[1].counters().duplicate, 0);
}

/// The peer has everything up to this.
fn acknowledge(sender: &mut Sender, now: Instant, next: u64) {
    sender.on_ack(now, next, 0, &mut Spare::default()).unwrap();
}

#[test]
fn an_answer_right_after_a_probe_does_not_say_that_the_path_reorders() {
    let (mut sender, mut now) = (Sender::default(), Instant(0));
    let send = |sender: &mut Sender, now: Instant| {
        sender.push(Proto::Mcapi, b"x".to_vec());
        sender.next(now, 100).unwrap().seq
    };
    for _ in 0..10 {
        let seq = send(&mut sender, now);
        now = now + Duration::from_micros(500);
        acknowledge(&mut sender, now, seq + 1);
    }
    // Each time the answer was on its way when the probe went out.
    for _ in 0..6 {
        let seq = send(&mut sender, now);
        now = sender.deadline().unwrap();
        sender.on_timeout(now);
        assert_eq!(sender.next(now, 100).unwrap().seq, seq, "a probe");
        now = now + Duration::from_micros(10);
        acknowledge(&mut sender, now, seq + 1);
    }
    let first = send(&mut sender, now);
    (0..3).for_each(|_| assert!(send(&mut sender, now) > first));
    sender.on_ack(now + Duration::from_micros(500), first, 0b111, &mut Spare::default()).unwrap();
    assert_eq!(sender.next(now, 100).map(|data| data.seq), Some(first), "three have overtaken it");
}
