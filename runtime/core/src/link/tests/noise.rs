//! Whatever comes in: no panic, bounded memory, and the link still works afterwards.

use super::{Pair, Rng};
use crate::id::Generation;
use crate::link::frame::{Body, Data, Frame, Proto};
use crate::link::{Event, Link};
use crate::node::Medium::{Datagram, Stream};
use crate::time::Duration;
use alloc::vec::Vec;

fn random_bytes(rng: &mut Rng) -> Vec<u8> {
    let length = rng.below(200);
    let mut bytes: Vec<u8> = (0..length).map(|_| rng.next().to_le_bytes()[7]).collect();
    // Half of them look like a frame at first sight.
    if rng.chance(500) && length > 20 {
        bytes[..3].copy_from_slice(&[0xd5, 3, rng.next().to_le_bytes()[7] % 4]);
        bytes[12..16].copy_from_slice(&u32::try_from(length).unwrap().to_le_bytes());
        bytes[16..20].fill(0);
        let crc = crc32fast::hash(&bytes);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

/// A frame of the right pair with a right checksum and wild numbers.
fn wild_frame(rng: &mut Rng, medium: crate::node::Medium) -> Vec<u8> {
    let mut wild = || match rng.below(4) {
        0 => rng.next(),
        1 => u64::MAX - rng.next() % 3,
        _ => rng.next() % 140,
    };
    let (seq, ack) = (wild(), wild());
    let selective = u128::from(wild()) << 64 | u128::from(wild());
    let flags = rng.below(4);
    let proto = if rng.chance(500) { Proto::Sdsm } else { Proto::Mcapi };
    let (first, last) = (flags & 1 == 1, flags & 2 == 2);
    let data = Body::Data(Data { seq, proto, first, last, payload: b"wild" });
    let ack_alone = Body::Ack(rng.chance(500).then_some(seq));
    let body = if rng.chance(300) { ack_alone } else { data };
    let (from, to) = (Generation(1), Generation(1));
    Frame { from, to, ack, selective, body }.emit(medium)
}

#[test]
fn random_bytes_do_nothing() {
    for medium in [Stream, Datagram] {
        let mut rng = Rng::new(11);
        let mut pair = Pair::joined(medium);
        for _ in 0..20_000 {
            let bytes = random_bytes(&mut rng);
            pair.inject(0, &bytes);
        }
        let counters = pair.links[0].counters();
        assert!(counters.malformed > 0 && counters.stale > 0);
        assert!(!pair.said[0].iter().any(|event| matches!(event, Event::Deliver { .. })));
        pair.send(1, b"still works");
        pair.run(Duration::from_millis(5));
        assert_eq!(pair.delivered(0), [b"still works"]);
    }
}

#[test]
fn mutated_frames_never_panic() {
    for medium in [Stream, Datagram] {
        let mut rng = Rng::new(12);
        for round in 0..300 {
            let mut pair = Pair::joined(medium);
            let mut frames = Vec::new();
            pair.links[1].say_hello(pair.now);
            pair.links[1].send(pair.now, Proto::Membership, alloc::vec![1; 3000]);
            pair.links[1].say_ack(pair.now);
            while let Some(event) = pair.links[1].poll() {
                let Event::Transmit(bytes) = event else { continue };
                frames.push(bytes);
            }
            for _ in 0..40 {
                let mut bytes = frames[rng.below(frames.len())].clone();
                for _ in 0..=rng.below(3) {
                    let at = rng.below(bytes.len());
                    bytes[at] = rng.next().to_le_bytes()[7];
                }
                if rng.chance(200) {
                    bytes.truncate(rng.below(bytes.len()));
                } else if rng.chance(800) {
                    bytes[16..20].fill(0);
                    let crc = crc32fast::hash(&bytes);
                    bytes[16..20].copy_from_slice(&crc.to_le_bytes());
                }
                pair.inject(0, &bytes);
                pair.run(Duration::from_micros(100));
            }
            pair.run(Duration::from_millis(2000));
            assert!(pair.links[0].queued() == 0, "round {round}");
        }
    }
}

#[test]
fn wild_numbers_never_panic_and_hold_no_more_than_a_window() {
    for medium in [Stream, Datagram] {
        let mut rng = Rng::new(13);
        for _ in 0..200 {
            let mut pair = Pair::joined(medium);
            pair.send(0, &[1; 20_000]);
            for _ in 0..100 {
                let bytes = wild_frame(&mut rng, medium);
                pair.inject(0, &bytes);
                pair.run(Duration::from_micros(50));
            }
            pair.run(Duration::from_millis(1000));
            assert!(pair.links.iter().all(|link: &Link| link.queued() <= 1));
        }
    }
}
