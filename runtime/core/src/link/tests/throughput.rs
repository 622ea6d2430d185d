//! What loss, full queues, reordering and peers that stand still cost, counted in virtual time.

use super::road::{MESSAGE, Road, Traffic};
use crate::link::Event;
use crate::node::Medium::Datagram;
use crate::time::Duration;

const TIME: Duration = Duration::from_millis(400);

#[test]
fn five_percent_of_loss_cost_little_more_than_five_percent() {
    for (rtt, mbit) in [(100, 100), (100, 1_000), (1_000, 100)] {
        let clean = Traffic::goodput(Road::new(rtt, mbit), 1500, TIME);
        assert!(clean > 930, "{clean}");
        let lossy = Traffic::goodput(Road { loss: 50, ..Road::new(rtt, mbit) }, 1500, TIME);
        assert!(10 * lossy > 9 * clean, "{lossy} of {clean} at {rtt} us, {mbit} Mbit/s");
    }
}

#[test]
fn five_percent_of_loss_leave_half_where_a_window_is_hardly_more_than_the_path_holds() {
    for (rtt, mbit, mtu) in [(1_000, 1_000, 1500), (10_000, 100, 1500), (1_000, 1_000, 9000)] {
        let clean = Traffic::goodput(Road::new(rtt, mbit), mtu, TIME);
        let lossy = Traffic::goodput(Road { loss: 50, ..Road::new(rtt, mbit) }, mtu, TIME);
        assert!(2 * lossy > clean, "{lossy} of {clean} at {rtt} us, {mbit} Mbit/s");
    }
}

#[test]
fn ten_percent_of_loss_leave_two_thirds() {
    for queue in [8, 32, 1_000] {
        let road = Road { loss: 100, queue, ..Road::new(100, 1_000) };
        let lossy = Traffic::goodput(road, 1500, TIME);
        assert!(lossy > 640, "{lossy} with a queue of {queue}");
    }
}

#[test]
fn a_short_queue_is_not_flooded() {
    for (rtt, mbit) in [(100, 100), (100, 1_000), (1_000, 100)] {
        for queue in [8, 32] {
            let mut traffic = Traffic::new(Road { queue, ..Road::new(rtt, mbit) }, 1, 1500, 7);
            traffic.bulk(TIME);
            let share = traffic.share(0, TIME);
            assert!(share > 930, "{share} at {rtt} us, {mbit} Mbit/s, a queue of {queue}");
            let (lost, sent) = (traffic.overflowed(), traffic.frames[0]);
            assert!(20 * lost < sent, "{lost} of {sent}");
        }
    }
}

#[test]
fn a_queue_that_is_short_for_its_path_does_not_collapse() {
    for (queue, least) in [(8, 500), (32, 700)] {
        let share = Traffic::goodput(Road { queue, ..Road::new(1_000, 1_000) }, 1500, TIME);
        assert!(share > least, "{share} with a queue of {queue}");
    }
}

#[test]
fn two_flows_through_one_bottleneck_both_get_on() {
    for (rtt, queue, loss) in [(100, 32, 0), (100, 8, 0), (1_000, 32, 0), (100, 32, 50)] {
        let mut traffic = Traffic::new(Road { queue, loss, ..Road::new(rtt, 1_000) }, 2, 1500, 7);
        traffic.bulk(TIME);
        let shares = [traffic.share(0, TIME), traffic.share(1, TIME)];
        assert!(shares[0] + shares[1] > 850, "{shares:?}");
        assert!(shares.iter().all(|share| *share > 250), "{shares:?}");
    }
}

#[test]
fn a_peer_that_stands_still_gets_a_few_probes_and_loses_nothing() {
    for still in [5, 20, 100, 400] {
        let still = Duration::from_millis(still);
        let mut traffic = Traffic::new(Road::new(100, 1_000), 1, 1500, 7);
        traffic.bulk(Duration::from_millis(50));
        traffic.still = Some((0, traffic.now + still));
        traffic.bulk(still);
        let before = traffic.arrived[0];
        traffic.bulk(Duration::from_millis(20));
        let again = traffic.links[0].counters().retransmitted;
        assert!(again <= 8, "{again} after {still:?}");
        assert_eq!(traffic.links[1].counters().duplicate, again);
        let full = 20 * 1_000_000 / 8 / MESSAGE as u64;
        assert!(10 * (traffic.arrived[0] - before) > 9 * full, "as fast as before at once");
    }
}

#[test]
fn a_cut_path_gets_probes_and_is_full_again_soon_after() {
    let mut traffic = Traffic::new(Road::new(100, 1_000), 1, 1500, 7);
    traffic.bulk(Duration::from_millis(50));
    traffic.lose(1_000);
    traffic.bulk(Duration::from_millis(1));
    let before = traffic.frames[0];
    traffic.bulk(Duration::from_millis(100));
    assert!(traffic.frames[0] - before < 12, "probes and heartbeats");
    traffic.lose(0);
    traffic.bulk(Duration::from_millis(100));
    let before = traffic.arrived[0];
    traffic.bulk(TIME);
    assert!((traffic.arrived[0] - before) * 8 * MESSAGE as u64 > 930 * TIME.0 / 1_000);
}

#[test]
fn reordering_costs_few_frames_and_no_speed() {
    for jitter in [20, 100, 300] {
        let road = Road { jitter: Duration::from_micros(jitter), ..Road::new(400, 1_000) };
        let mut traffic = Traffic::new(road, 1, 1500, 7);
        traffic.bulk(TIME);
        let (share, counters) = (traffic.share(0, TIME), traffic.links[0].counters());
        assert!(share > 900, "{share} with {jitter} us");
        assert!(counters.retransmitted <= 10, "{counters:?} with {jitter} us");
    }
}

#[test]
fn a_question_and_its_answer_are_two_frames_and_wait_for_nothing() {
    let mut pair = super::Pair::joined(Datagram);
    let (start, before) = (pair.now, pair.frames);
    for _ in 0..50 {
        pair.send(0, b"question");
        pair.run(super::DELAY);
        pair.send(1, &[7; 1_400]);
        pair.run(super::DELAY);
    }
    assert_eq!(pair.now.since(start), super::DELAY.times(100));
    assert_eq!((pair.delivered(0).len(), pair.delivered(1).len()), (50, 50));
    assert_eq!((pair.frames[0] - before[0], pair.frames[1] - before[1]), (50, 50));
}

#[test]
fn a_lost_answer_comes_again_within_two_held_acknowledgements() {
    let mut pair = super::Pair::joined(Datagram);
    for _ in 0..20 {
        pair.send(0, b"question");
        pair.run(super::DELAY);
        pair.send(1, b"answer");
        pair.run(super::DELAY);
    }
    pair.send(0, b"question");
    pair.run(super::DELAY);
    pair.cut = true;
    pair.send(1, b"answer");
    pair.cut = false;
    pair.run(Duration::from_micros(2_000));
    assert_eq!(pair.delivered(0).len(), 21);
}

#[test]
fn a_page_is_one_frame_where_the_mtu_allows() {
    let mut traffic = Traffic::new(Road::new(100, 1_000), 1, 9000, 7);
    for _ in 0..10 {
        traffic.send(0, MESSAGE);
        traffic.run(Duration::from_millis(2));
    }
    assert_eq!(traffic.arrived[0], 10);
    assert_eq!(traffic.frames[0], 10);
    assert!(!matches!(traffic.links[0].poll(), Some(Event::Transmit(_))));
}
