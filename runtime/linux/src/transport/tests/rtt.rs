//! Round trips of the transports beside each other: what is sent comes back, and what that took is
//! printed (`--release`, `--nocapture`); no time is judged.

use super::veth::on_cards;
use super::*;
use crate::transport::nic::MAX_MTU;
use runtime_core::limits::PAGE_SIZE;

const ROUNDS: usize = 1_000;
/// A small message, and a page with its headers.
const SIZES: [usize; 2] = [24, PAGE_SIZE + 64];

/// The next frame into the buffer; `None` when the peer is gone.
fn await_frame(transport: &mut Transport, frame: &mut Vec<u8>) -> Option<()> {
    loop {
        match transport.next(frame) {
            Some(Happening::Frame(_)) => return Some(()),
            Some(Happening::Down(_)) => return None,
            Some(Happening::Up(_) | Happening::PortDown(_)) => {}
            None => drop(transport.wait(&[], None).unwrap()),
        }
    }
}

/// Median of a round trip in nanoseconds, for each size.
fn measure(mut a: Transport, mut b: Transport) -> Vec<u128> {
    let echo = std::thread::spawn(move || {
        let mut frame = Vec::new();
        while await_frame(&mut b, &mut frame).is_some() && !frame.is_empty() {
            b.send(A, frame.clone());
        }
    });
    let mut frame = Vec::new();
    let medians = SIZES.map(|size| {
        let mut times: Vec<u128> = (0..ROUNDS)
            .map(|_| {
                let start = Instant::now();
                a.send(B, vec![1; size]);
                await_frame(&mut a, &mut frame).unwrap();
                let took = start.elapsed().as_nanos();
                assert_eq!(frame, vec![1; size]);
                took
            })
            .collect();
        times.sort_unstable();
        times[ROUNDS / 2]
    });
    a.send(B, Vec::new());
    echo.join().unwrap();
    medians.to_vec()
}

fn over_tcp() -> Vec<u128> {
    let (a, b) = (listen(), listen());
    let peers = vec![(A, a.local_addr().unwrap()), (B, b.local_addr().unwrap())];
    let node = |listener, me| {
        Transport::new(me, Generation(1), Network::tcp(listener, peers.clone())).unwrap()
    };
    let (mut a, mut b) = (node(a, A), node(b, B));
    let mut ups = 0;
    while ups < 2 {
        ups += drain(&mut a).len() + drain(&mut b).len();
    }
    measure(a, b)
}

#[test]
fn what_round_trips_cost() {
    let say = |what: &str, medians: Vec<u128>| {
        for (size, median) in SIZES.iter().zip(medians) {
            println!("{what:<14} {size:>5} bytes: {median:>7} ns there and back (median)");
        }
    };
    let (a, b) = pair(MAX_MTU);
    say("unix datagram", measure(a, b));
    say("tcp loopback", over_tcp());
    let (sender, receiver) = std::sync::mpsc::channel();
    on_cards(move |a, b| sender.send(measure(a, b)).unwrap());
    if let Ok(medians) = receiver.recv() {
        say("packet socket", medians);
    }
}
