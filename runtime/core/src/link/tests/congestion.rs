use super::Rng;
use super::messages;
use crate::limits::LINK_WINDOW;
use crate::link::Proto;
use crate::link::datagram::Sender;
use crate::link::datagram::congestion::Congestion;
use crate::link::datagram::rtt::Rtt;
use crate::link::spare::Spare;
use crate::time::{Duration, Instant};
use alloc::vec;
use alloc::vec::Vec;

const TRIP: Duration = Duration::from_micros(100);

/// A path whose shortest round trip is one, and the latest so many.
fn trips(latest: u64) -> Rtt {
    let mut rtt = Rtt::default();
    rtt.sample(Instant(0), TRIP);
    rtt.end_round();
    rtt.end_round();
    rtt.sample(Instant(0), TRIP.times(latest));
    rtt
}

/// A window of 64 frames that has lost nothing yet.
fn opened() -> Congestion {
    let mut congestion = Congestion::default();
    congestion.on_arrival(48);
    assert_eq!(congestion.window(), 64);
    congestion
}

#[test]
fn the_window_doubles_in_a_round_trip_and_ends_at_its_limit() {
    let mut congestion = Congestion::default();
    assert_eq!(congestion.window(), 16);
    congestion.on_arrival(16);
    assert_eq!(congestion.window(), 32);
    congestion.on_arrival(1_000);
    assert_eq!(congestion.window(), LINK_WINDOW);
}

#[test]
fn a_loss_with_no_queue_on_the_way_costs_nothing() {
    let mut congestion = opened();
    for order in 1..10 {
        congestion.on_loss(100 * order, 100 * order + 64, &trips(1));
    }
    assert_eq!(congestion.window(), 64);
    congestion.on_arrival(1);
    assert_eq!(congestion.window(), 65, "nor does it end the doubling");
    let mut rtt = trips(1);
    rtt.end_round();
    rtt.end_round();
    rtt.sample(Instant(0), Duration::from_micros(101));
    let mut congestion = opened();
    congestion.on_loss(10, 64, &rtt);
    assert_eq!(congestion.window(), 64, "a queue of less than a frame is none");
}

#[test]
fn a_loss_behind_a_queue_leaves_what_the_path_holds_without_it_but_at_least_half() {
    let mut rtt = trips(1);
    rtt.end_round();
    rtt.end_round();
    rtt.sample(Instant(0), Duration::from_micros(125));
    rtt.end_round();
    let mut congestion = opened();
    congestion.on_loss(10, 64, &rtt);
    assert!((51..54).contains(&congestion.window()), "{}", congestion.window());
    let mut congestion = opened();
    congestion.on_loss(10, 64, &trips(9));
    assert_eq!(congestion.window(), 32);
    let mut grown = 0;
    while congestion.window() == 32 {
        congestion.on_arrival(1);
        grown += 1;
    }
    assert_eq!((congestion.window(), grown), (33, 32), "by one frame in a round trip");
}

#[test]
fn one_window_of_frames_shrinks_it_once() {
    let mut congestion = opened();
    for order in 10..20 {
        congestion.on_loss(order, 64, &trips(9));
    }
    assert_eq!(congestion.window(), 32);
    congestion.on_loss(65, 80, &trips(9));
    assert_eq!(congestion.window(), 16);
}

#[test]
fn more_loss_than_chance_takes_leaves_what_got_through_and_no_less_than_the_floor() {
    let mut congestion = opened();
    for order in 1..=20 {
        congestion.on_loss(order, 64, &trips(1));
    }
    assert_eq!(congestion.window(), 64, "this may be chance");
    for order in 21..=30 {
        congestion.on_loss(order, 64, &trips(1));
    }
    assert_eq!(congestion.window(), 34);
    for order in 31..=64 {
        congestion.on_loss(order, 64, &trips(1));
    }
    assert_eq!(congestion.window(), 4);
    congestion.on_arrival(4);
    assert_eq!(congestion.window(), 8, "back to half of what it was, it doubles");
}

#[test]
fn a_shortest_round_trip_is_forgotten_in_time() {
    let mut rtt = Rtt::default();
    let slow = TRIP.times(20);
    rtt.sample(Instant(0), TRIP);
    assert_eq!(rtt.shortest(), TRIP);
    for second in 1..=11 {
        rtt.sample(Instant(0) + Duration::from_millis(1_000 * second), slow);
        assert_eq!(rtt.shortest(), TRIP);
    }
    rtt.sample(Instant(0) + Duration::from_millis(12_000), slow);
    assert_eq!(rtt.shortest(), slow);
}

#[test]
fn a_lone_frame_is_given_the_time_that_its_acknowledgement_may_be_held() {
    let mut rtt = Rtt::default();
    for _ in 0..100 {
        rtt.sample(Instant(0), Duration::from_millis(3));
    }
    assert_eq!(rtt.timeout(1), Duration(rtt.timeout(2).0 + 1_000_000));
}

/// Sends all that may go; the numbers of what went.
fn go(sender: &mut Sender, now: Instant) -> Vec<u64> {
    core::iter::from_fn(|| sender.next(now, 100).map(|data| data.seq)).collect()
}

fn sender(rng: &mut Rng, frames: usize) -> Sender {
    let mut sender = Sender::default();
    for message in messages(rng, frames, 90) {
        sender.push(Proto::Mcapi, message);
    }
    sender
}

#[test]
fn a_frame_that_three_have_overtaken_is_sent_again_and_so_is_one_that_was_lost_twice() {
    let mut sender = sender(&mut Rng::new(1), 40);
    let at = |trip: u64| Instant(1) + TRIP.times(trip);
    assert_eq!(go(&mut sender, at(0)), (0..16).collect::<Vec<_>>());
    // Held: 1 and 2.
    sender.on_ack(at(1), 0, 0b11, &mut Spare::default()).unwrap();
    assert!(!go(&mut sender, at(1)).contains(&0), "not yet");
    sender.on_ack(at(1), 0, 0b111, &mut Spare::default()).unwrap();
    assert!(go(&mut sender, at(1)).contains(&0));
    let before = sender.retransmitted;
    // What was sent before it came back says nothing about it.
    sender.on_ack(at(2), 0, (1 << 15) - 1, &mut Spare::default()).unwrap();
    assert_eq!(sender.retransmitted, before);
    let later = go(&mut sender, at(2));
    let held = (1 << later.last().copied().unwrap()) - 1;
    sender.on_ack(at(3), 0, held, &mut Spare::default()).unwrap();
    assert!(go(&mut sender, at(3)).contains(&0), "no timeout needed");
}

#[test]
fn a_probe_repeats_the_last_frame_and_its_arrival_tells_of_all_others() {
    let mut sender = sender(&mut Rng::new(1), 8);
    go(&mut sender, Instant(0));
    let due = sender.deadline().unwrap();
    sender.on_timeout(due);
    assert_eq!(go(&mut sender, due), [7], "one frame, and no other is lost yet");
    let now = due + TRIP;
    sender.on_ack(now, 0, 1 << 6, &mut Spare::default()).unwrap();
    assert_eq!(go(&mut sender, now), (0..7).collect::<Vec<_>>());
}

#[test]
fn a_probe_is_something_new_where_there_is_any_though_the_window_is_full() {
    let mut sender = sender(&mut Rng::new(1), 17);
    assert_eq!(go(&mut sender, Instant(0)).len(), 16);
    sender.on_timeout(Instant(1));
    assert_eq!(go(&mut sender, Instant(1)), [16]);
    assert_eq!(sender.retransmitted, 0);
}

#[test]
fn frames_that_were_only_late_teach_patience() {
    let mut sender = sender(&mut Rng::new(1), 100);
    let start = Instant(1);
    go(&mut sender, start);
    sender.on_ack(start + TRIP, 2, 0, &mut Spare::default()).unwrap();
    go(&mut sender, start + TRIP);
    // 2 comes after 3, 4 and 5, and was sent again in between.
    sender.on_ack(start + TRIP, 2, 0b111, &mut Spare::default()).unwrap();
    assert!(go(&mut sender, start + TRIP).contains(&2));
    sender.on_ack(start + TRIP + Duration(500), 6, 0, &mut Spare::default()).unwrap();
    let before = sender.retransmitted;
    go(&mut sender, start + TRIP.times(2));
    // The next one that three overtake is waited for, until six have.
    sender.on_ack(start + TRIP.times(2), 6, 0b1_1111, &mut Spare::default()).unwrap();
    go(&mut sender, start + TRIP.times(2));
    assert_eq!(sender.retransmitted, before);
    sender.on_ack(start + TRIP.times(2), 6, 0b11_1111, &mut Spare::default()).unwrap();
    go(&mut sender, start + TRIP.times(2));
    assert_eq!(sender.retransmitted, before + 1);
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut sender = Sender::default();
    for seq in 0..200 {
        sender.push(Proto::Mcapi, vec![1]);
        assert_eq!(go(&mut sender, Instant(seq)), [seq]);
        sender.on_ack(Instant(seq + 1), seq + 1, 0, &mut Spare::default()).unwrap();
    }
    (0..200).for_each(|_| sender.push(Proto::Mcapi, vec![1]));
    assert_eq!(go(&mut sender, Instant(500)).len(), 16);
}
