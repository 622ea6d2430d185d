use super::*;

const PLAN: Plan = Plan { warm_up: 3, round_trips: 20, fetches: 10, stream_bytes: 100_000 };

fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let dialled = dial(address, Duration::ZERO).unwrap();
    (accept(&listener, Duration::from_secs(60)).unwrap(), dialled)
}

#[test]
fn everything_is_asked_and_answered() {
    let (asks, answers) = connection();
    let other = std::thread::spawn(move || answer(answers, &PLAN));
    let report = ask(asks, &PLAN).unwrap();
    other.join().unwrap().unwrap();
    assert_eq!((report.round_trip.count, report.fetch.count), (20, 10));
    assert!(report.round_trip.min > 0 && report.fetch.min > 0);
    let streams: Vec<_> = report.streams.iter().map(|s| (s.packet, s.bytes)).collect();
    assert_eq!(streams, [(4_096, 102_400), (32_768, 131_072)], "whole packets");
}

#[test]
fn one_that_goes_away_is_an_error_at_the_other() {
    let (asks, answers) = connection();
    drop(asks);
    assert!(answer(answers, &PLAN).is_err());
    let (asks, answers) = connection();
    drop(answers);
    assert!(ask(asks, &PLAN).is_err());
}
