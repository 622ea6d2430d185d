//! Large frames that stay where their sender has put them.

use super::*;
use crate::ring::slots::{Ledger, SLOTS};

/// Content that tells one frame from others.
fn data(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number * 31 + at / 8 + at % 7).to_le_bytes()[0]).collect()
}

fn large(number: usize) -> Vec<u8> {
    data(number, SLOT - number)
}

/// Two who have met, of whom the second one sends.
fn two(dir: &TempDir) -> (Fabric, Fabric) {
    let (mut one, mut two) = (join(dir, 1), join(dir, 2));
    expect(&mut one, 1);
    expect(&mut two, 1);
    (one, two)
}

/// Keeps what is lent, in order; says which frames came otherwise.
fn keep(fabric: &mut Fabric, kept: &mut Vec<(usize, Loan)>) -> Vec<usize> {
    let mut copied = Vec::new();
    let mut take = |event: Event<'_>| match event {
        Event::Lent { head, loan, .. } => {
            let number = usize::from(head[0]);
            assert!(*loan == large(number), "frame {number}");
            kept.push((number, loan));
        }
        Event::Frame { bytes, .. } => {
            let number = usize::from(bytes[0]);
            assert!(bytes[1..] == large(number), "frame {number}");
            copied.push(number);
        }
        Event::Joined(_) | Event::Gone(_) => {}
    };
    while fabric.poll(&mut take) > 0 {}
    copied
}

fn unchanged(kept: &[(usize, Loan)]) {
    for (number, loan) in kept {
        assert!(**loan == large(*number), "frame {number}");
    }
}

fn lend(from: &mut Fabric, number: usize) {
    from.lend(name(1), &[number.try_into().unwrap()], &large(number)).unwrap();
}

fn lane_of(one: &Fabric, sender: &Fabric) -> usize {
    let held = |h: &crate::segment::Holder| h.generation == sender.generation;
    one.shared.header.holders().find(held).unwrap().lane
}

#[test]
fn data_are_lent_if_they_are_large_enough_and_fit() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    let long = vec![5; Place::REST + 1];
    let cases: [(&[u8], usize, bool); 6] = [
        (b"head", MCAPI_LEND_FROM - 1, false),
        (b"head", MCAPI_LEND_FROM, true),
        (b"", SLOT, true),
        (b"head", SLOT + 1, false),
        (&long[1..], SLOT, true),
        (&long, SLOT - 100, false),
    ];
    for (number, (head, len, lent)) in cases.into_iter().enumerate() {
        let data = data(number, len);
        two.lend(name(1), head, &data).unwrap();
        let expected = if lent {
            Seen::Lent(2, head.to_vec(), data)
        } else {
            Seen::Frame(2, [head, &data].concat())
        };
        assert!(poll(&mut one) == [expected], "{number}");
    }
    assert_eq!(two.lend(name(9), b"", &data(1, SLOT)), Err(SendError::Unknown));
    assert_eq!(two.lend(name(1), b"", &data(1, MAX_FRAME + 1)), Err(SendError::TooLong));
    // An end that is free is used: nothing was kept.
    assert_eq!(two.peers[0].outbound.as_ref().unwrap().writer.lane().marks().find(), Some(0));
}

#[test]
fn who_keeps_all_slots_gets_copies_and_nobody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    let mut kept = Vec::new();
    let mut number = 0;
    for _ in 0..SLOTS {
        lend(&mut two, number);
        assert_eq!(keep(&mut one, &mut kept), []);
        number += 1;
    }
    // Many times a lane's bulk.
    for _ in 0..20 {
        lend(&mut two, number);
        assert_eq!(keep(&mut one, &mut kept), [number]);
        number += 1;
    }
    unchanged(&kept);
    // Given back in any order, also on another thread, each slot is used again.
    for at in [SLOTS / 2, 0, SLOTS - 2] {
        let loan = kept.remove(at);
        thread::spawn(move || drop(loan)).join().unwrap();
        lend(&mut two, number);
        assert_eq!(keep(&mut one, &mut kept), []);
        assert_eq!(kept.last().unwrap().0, number);
        unchanged(&kept);
        number += 1;
    }
    lend(&mut two, number);
    assert_eq!(keep(&mut one, &mut kept), [number]);
    // They are there when nobody is.
    drop((one, two));
    unchanged(&kept);
}

#[test]
fn what_is_kept_stays_when_its_sender_dies_and_another_has_the_lane() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    let mut kept = Vec::new();
    (0..2).for_each(|number| lend(&mut two, number));
    // Some are read before it dies, and some after that.
    keep(&mut one, &mut kept);
    assert_eq!(kept.len(), 2);
    let lane = lane_of(&one, &two);
    (2..SLOTS).for_each(|number| lend(&mut two, number));
    drop(two);
    keep(&mut one, &mut kept);
    assert_eq!(kept.len(), SLOTS);
    kept.remove(1);
    for life in 0..3 {
        let mut three = join(&dir, 3);
        expect(&mut three, 1);
        expect(&mut one, 1);
        let mut now = Vec::new();
        let all = 10 * (life + 1);
        let mut copied = Vec::new();
        for number in all..all + SLOTS {
            lend(&mut three, number);
            copied.append(&mut keep(&mut one, &mut now));
        }
        assert_eq!(lane_of(&one, &three), lane);
        assert_eq!((now.len(), copied.len()), (SLOTS - kept.len(), kept.len()), "life {life}");
        unchanged(&kept);
        unchanged(&now);
        drop(three);
        expect(&mut one, 1);
        // What was lent by the last sender goes first, or last.
        if life == 1 {
            kept.truncate(1);
        }
        drop(now);
    }
    unchanged(&kept);
}

#[test]
fn what_a_sender_leaves_behind_is_free_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    lend(&mut two, 0);
    // Killed when it has marked slots, and not said so.
    let marks = |fabric: &Fabric, slots: std::ops::Range<usize>| {
        let lane = fabric.peers[0].outbound.as_ref().unwrap().writer.lane();
        slots.for_each(|slot| lane.marks().set(slot));
    };
    marks(&two, 1..SLOTS);
    drop(two);
    let mut kept = Vec::new();
    keep(&mut one, &mut kept);
    drop(kept);
    let mut three = join(&dir, 3);
    expect(&mut three, 1);
    expect(&mut one, 1);
    let mut kept = Vec::new();
    for number in 0..SLOTS {
        lend(&mut three, number);
    }
    assert_eq!(keep(&mut one, &mut kept), []);
    drop(kept);
    // The same before any frame was lent: what is free then is no less.
    drop(three);
    expect(&mut one, 1);
    let mut four = join(&dir, 4);
    expect(&mut four, 1);
    four.send(name(1), &[b"small"]).unwrap();
    marks(&four, 0..SLOTS);
    expect(&mut one, 2);
    drop(four);
    expect(&mut one, 1);
    let mut two = join(&dir, 2);
    expect(&mut two, 1);
    expect(&mut one, 1);
    lend(&mut two, 0);
    assert_eq!(keep(&mut one, &mut Vec::new()), []);
}

#[test]
fn a_sender_that_is_ahead_waits_until_its_receiver_has_come_so_far_and_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    (0..SLOTS).for_each(|number| lend(&mut two, number));
    let late = |two: &mut Fabric| two.lend(name(1), &[9], &large(9));
    let mut kept = Vec::new();
    for read in 0..SLOTS {
        assert_eq!(late(&mut two), Err(SendError::Full), "{read}");
        two.wait(Some(Instant::now()));
        // One at a time.
        let frames = one.poll(|event| {
            if let Event::Lent { head, loan, .. } = event {
                kept.push((usize::from(head[0]), loan));
            }
        });
        assert!(frames <= 1 + usize::from(read == 0));
        while kept.len() <= read {
            one.poll(|event| {
                if let Event::Lent { head, loan, .. } = event {
                    kept.push((usize::from(head[0]), loan));
                }
            });
        }
        assert_eq!(kept.len(), read + 1);
    }
    late(&mut two).unwrap();
    assert_eq!(keep(&mut one, &mut kept), [9]);
    unchanged(&kept);
    // Small ones do not wait.
    kept.truncate(0);
    (0..SLOTS).for_each(|number| lend(&mut two, number));
    two.send(name(1), &[b"small"]).unwrap();
}

#[test]
fn whoever_lends_what_it_has_lent_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    let mut kept = Vec::new();
    lend(&mut two, 0);
    keep(&mut one, &mut kept);
    // Takes it back by itself, and lends it anew.
    Ledger::new().take_back(0, two.peers[0].outbound.as_ref().unwrap().writer.lane().marks());
    lend(&mut two, 1);
    assert_eq!(poll(&mut one), [Seen::Gone(2)]);
    assert_eq!(poll(&mut one), [], "and does not join again");
}

#[test]
fn without_memory_for_slots_large_frames_go_as_others_do() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    two.send(name(1), &[b"first"]).unwrap();
    expect(&mut one, 1);
    two.peers[0].outbound.as_mut().unwrap().slots = Slots::Nowhere;
    for number in 0..10 {
        lend(&mut two, number);
        assert_eq!(keep(&mut one, &mut Vec::new()), [number]);
    }
}

#[test]
fn threads_lend_to_each_other_and_keep_for_a_while() {
    const ROUNDS: usize = 400;
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = two(&dir);
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..ROUNDS {
                let head = [(number % 200).try_into().unwrap()];
                while let Err(error) = two.lend(name(1), &head, &large(number % 200)) {
                    assert_eq!(error, SendError::Full);
                    two.wait(None);
                    poll(&mut two);
                }
            }
        });
        let (mut kept, mut next) = (Vec::new(), 0);
        let (mut lent, mut copied) = (0, 0);
        while next < ROUNDS {
            let mut now = Vec::new();
            let others = keep(&mut one, &mut now);
            next += now.len() + others.len();
            (lent, copied) = (lent + now.len(), copied + others.len());
            kept.append(&mut now);
            unchanged(&kept);
            // Sometimes all, sometimes a few stay.
            kept.drain(..kept.len() * (next % 3) / 2);
            one.wait(Some(Instant::now()));
        }
        assert_eq!(lent + copied, ROUNDS);
        assert!(lent > SLOTS, "{lent}");
    });
}
