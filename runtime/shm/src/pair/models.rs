//! Every order in which two sides can meet, give each other up and meet again (`make loom`). Lanes have two cells.

use super::*;
use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::thread;

type Ways = [Arc<Way>; 2];

/// One by one: the stacks of a model are small.
fn ways() -> Ways {
    [0; 2].map(|_| Arc::new(Way::empty()))
}

fn side(ways: &Ways, me: usize) -> Pair {
    let way = |at: usize| NonNull::from(&*ways[at]);
    let other = 1 - me;
    // SAFETY: each thread has a part of the ways for as long as it uses its side.
    unsafe { Pair::new([me as u64 + 1, other as u64 + 1], way(me), way(other), 1) }
}

fn check(bound: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.check(model);
}

/// Looks until that happens; whatever else does is handed over.
fn until(pair: &mut Pair, step: Step, buffer: &mut Vec<u8>, mut on: impl FnMut(Step, &[u8])) {
    loop {
        match pair.step(true, buffer) {
            Some(seen) => {
                on(seen, buffer);
                if seen == step {
                    return;
                }
            }
            None => thread::yield_now(),
        }
    }
}

#[test]
fn two_sides_meet_and_each_hears_the_other() {
    check(2, || {
        let ways = ways();
        let talk = |ways: Ways, me: usize| {
            let mut pair = side(&ways, me);
            let mut buffer = Vec::new();
            until(&mut pair, Step::Up, &mut buffer, |_, _| {});
            pair.send(vec![0; me + 1]);
            until(&mut pair, Step::Frame, &mut buffer, |seen, _| assert_eq!(seen, Step::Frame));
            assert_eq!(buffer.len(), 2 - me);
        };
        let other = thread::spawn({
            let ways = ways.clone();
            move || talk(ways, 1)
        });
        talk(ways, 0);
        other.join().unwrap();
    });
}

/// One side gives the other up with a frame on its way, and sends another one in the next connection. The other side may have
/// both, each in its connection; loom sees if a frame is read while another is written in its place.
#[test]
fn a_frame_of_a_connection_that_was_given_up_is_not_taken_for_one_of_the_next() {
    check(2, || {
        let ways = ways();
        let (mut pair, mut giving) = (side(&ways, 0), side(&ways, 1));
        let mut buffer = Vec::new();
        let mut up = 0;
        while up < 2 {
            for side in [&mut pair, &mut giving] {
                up += usize::from(side.step(true, &mut buffer).is_some());
            }
        }
        let giving = thread::spawn({
            let ways = ways.clone();
            move || {
                let mut buffer = Vec::new();
                giving.send(vec![1]);
                giving.renew();
                until(&mut giving, Step::Up, &mut buffer, |seen, _| assert_eq!(seen, Step::Up));
                giving.send(vec![2, 2]);
                drop(ways);
            }
        });
        let mut first = true;
        until(&mut pair, Step::Up, &mut buffer, |seen, frame| match seen {
            Step::Frame => assert!(first && frame == [1]),
            Step::Down => first = false,
            Step::Up => assert!(!first),
        });
        until(&mut pair, Step::Frame, &mut buffer, |seen, _| assert_eq!(seen, Step::Frame));
        assert_eq!(buffer, [2, 2]);
        giving.join().unwrap();
    });
}
