use super::*;
use alloc::collections::BTreeMap;
use runtime_core::id::Generation;
use runtime_core::node::{Binding, Image, Medium, Member, Policy, Quorum, Role};
use runtime_core::time::Duration;

const DELAY: u64 = 20_000;
/// A frame of this many bytes takes as many nanoseconds: a byte a nanosecond.
const PLAN: Plan = Plan { warm_up: 5, round_trips: 100, fetches: 50, stream_bytes: 4 << 20 };

fn config(me: u16, medium: Medium, mtu: usize) -> Config {
    let member = Member { role: Role::Compute, board: 0, image: Image::Linux, host: None };
    Config {
        me: NodeId(me),
        generation: Generation(1),
        hash: [0; 32],
        members: vec![member.clone(), member],
        media: vec![medium; 2],
        mtu,
        binding: Binding::Mcapi,
        quorum: Quorum::Majority,
        heartbeat: Duration::from_millis(50),
        suspect_after: 10,
        join_timeout: Duration::from_millis(5_000),
        redundancy: runtime_core::checkpoint::Redundancy::Copies(1),
        copy_window: 32,
        checkpoint: Policy::Program,
        shared_pages: 0,
    }
}

/// Two nodes; every so many frames one is lost.
struct Pair {
    nodes: [Bench; 2],
    now: Instant,
    wire: BTreeMap<(Instant, u64), (usize, Vec<u8>)>,
    free: [Instant; 2],
    serial: u64,
    lost_every: Option<u64>,
    halts: [Option<String>; 2],
}

impl Pair {
    fn new(medium: Medium, mtu: usize, lost_every: Option<u64>) -> Self {
        let now = Instant(1_000);
        let nodes = [0, 1].map(|me| Bench::new(&config(me, medium, mtu), PLAN, now));
        let (wire, free) = (BTreeMap::new(), [now; 2]);
        Self { nodes, now, wire, free, serial: 0, lost_every, halts: [None, None] }
    }

    fn input(&mut self, at: usize, input: &Input<'_>) {
        self.nodes[at].handle(self.now, input);
        while let Some(output) = self.nodes[at].poll() {
            match output {
                Output::Transmit { bytes, .. } => {
                    self.serial += 1;
                    if self.lost_every.is_some_and(|n| self.serial.is_multiple_of(n)) {
                        continue;
                    }
                    self.free[at] = self.free[at].max(self.now) + Duration(bytes.len() as u64);
                    let arrives = self.free[at] + Duration(DELAY);
                    self.wire.insert((arrives, self.serial), (1 - at, bytes));
                }
                Output::Halt { reason } => self.halts[at] = Some(reason),
                other => panic!("{other:?}"),
            }
        }
    }

    fn run(mut self) -> Self {
        for at in 0..2 {
            self.input(at, &Input::TransportUp(NodeId(1 - u16::try_from(at).unwrap())));
        }
        let end = Instant(60_000_000_000);
        while self.halts.iter().any(Option::is_none) && self.now < end {
            let timer = (0..2).filter_map(|i| Some((self.nodes[i].deadline()?.0, i))).min();
            let frame = self.wire.keys().next().map(|(at, _)| *at);
            match (frame, timer) {
                (Some(at), timer) if timer.is_none_or(|(due, _)| at <= due) => {
                    self.now = at;
                    let (_, (to, bytes)) = self.wire.pop_first().unwrap();
                    let from = NodeId(1 - u16::try_from(to).unwrap());
                    self.input(to, &Input::Frame { from, bytes: &bytes });
                }
                (_, Some((due, node))) => {
                    self.now = self.now.max(due);
                    self.input(node, &Input::Tick);
                }
                (_, None) => break,
            }
        }
        self
    }
}

#[test]
fn round_trips_take_what_the_way_takes_and_no_frame_more() {
    for medium in [Medium::Stream, Medium::Datagram] {
        let pair = Pair::new(medium, 9_000, None).run();
        let report = pair.nodes[0].report();
        let (trip, fetch) = (report.round_trip, report.fetch);
        assert_eq!((trip.count, fetch.count), (100, 50));
        // Two frames with their headers, and twice the delay.
        assert_eq!(trip.min, trip.median, "{report}");
        let headers = trip.min - 2 * DELAY - 2 * SHORT as u64;
        assert!((50..200).contains(&headers), "{headers}");
        assert_eq!(fetch.min - trip.min, PAGE_SIZE as u64, "a page is one frame");
        assert_eq!(fetch.median, fetch.min);
        assert_eq!(report.retransmitted, 0);
    }
}

#[test]
fn streams_come_near_to_what_the_way_carries() {
    for medium in [Medium::Stream, Medium::Datagram] {
        let pair = Pair::new(medium, 9_000, None).run();
        let streams = &pair.nodes[0].report().streams;
        assert_eq!(streams.iter().map(|s| s.packet).collect::<Vec<_>>(), STREAM_PACKETS);
        for stream in streams {
            assert_eq!(stream.bytes, PLAN.stream_bytes);
            // A byte a nanosecond is 954 MiB a second.
            let speed = stream.centi_mib_per_second();
            assert!((85_000..95_400).contains(&speed), "{stream:?}: {speed}");
        }
    }
}

#[test]
fn both_halt_the_asking_one_with_its_report() {
    let pair = Pair::new(Medium::Datagram, 1_500, None).run();
    let json = pair.nodes[0].report().to_json();
    assert_eq!(pair.halts, [Some(json.clone()), Some("served".to_string())]);
    assert!(json.starts_with(r#"{"round_trip":{"count":100,"min_ns":"#), "{json}");
    assert!(pair.nodes.iter().all(|node| node.deadline().is_none()));
}

#[test]
fn loss_is_survived_and_counted() {
    let pair = Pair::new(Medium::Datagram, 1_500, Some(37)).run();
    assert_eq!(pair.halts[1].as_deref(), Some("served"));
    let report = pair.nodes[0].report();
    assert_eq!((report.round_trip.count, report.fetch.count, report.streams.len()), (100, 50, 2));
    assert!(report.retransmitted > 0 && report.round_trip.max > report.round_trip.min);
}

#[test]
fn a_peer_that_is_not_there_ends_it_with_a_reason() {
    let pair = Pair::new(Medium::Datagram, 1_500, Some(1)).run();
    let reason = pair.halts[0].as_deref().unwrap();
    assert!(reason.starts_with("no contact within 5000 ms"), "{reason}");
}

#[test]
fn a_spread_is_of_sorted_samples() {
    let spread = Spread::of((1..=200).rev().collect());
    assert_eq!(spread, Spread { count: 200, min: 1, median: 100, p99: 198, max: 200 });
    assert_eq!(Spread::of(vec![7]), Spread { count: 1, min: 7, median: 7, p99: 7, max: 7 });
    assert_eq!(Spread::of(vec![]), Spread::default());
    let text = Spread::of(vec![1_234_567]).to_string();
    assert_eq!(text, "min 1234.56, median 1234.56, p99 1234.56, max 1234.56 us (1 samples)");
}

#[test]
fn the_report_reads_as_text_and_json() {
    let stream = Stream { packet: 4096, bytes: 3 << 20, nanos: 2_000_000_000 };
    let report = Report { streams: vec![stream], retransmitted: 3, ..Report::default() };
    assert!(report.to_string().contains("1.50 MiB/s (3 MiB in packets of 4 KiB)"));
    let streams =
        r#""streams":[{"packet":4096,"bytes":3145728,"ns":2000000000}],"retransmitted":3}"#;
    assert!(report.to_json().ends_with(streams));
    assert_eq!(Report::from_json(&report.to_json()), Some(report));
    assert_eq!(Report::from_json(SERVED), None);
}
