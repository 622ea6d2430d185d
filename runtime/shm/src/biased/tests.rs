use super::*;
use std::sync::Arc;

fn leans<T>(lock: &Biased<T>) -> bool {
    lock.bias.thread.load(Ordering::Relaxed) != 0
}

/// Takes the lock until it leans towards this thread.
fn lean<T>(lock: &Biased<T>) {
    for _ in 0..ENOUGH {
        drop(lock.lock());
    }
    assert_eq!(leans(lock), lock.leans);
}

#[test]
fn it_leans_after_a_while_and_another_thread_ends_that() {
    let lock = Arc::new(Biased::new(0));
    drop(lock.lock());
    assert!(!leans(&lock));
    lean(&lock);
    *lock.lock() += 1;
    let other = Arc::clone(&lock);
    thread::spawn(move || *other.lock() += 1).join().unwrap();
    assert!(!leans(&lock));
    assert_eq!(*lock.lock(), 2);
}

#[test]
fn who_only_tries_does_not_wait_for_who_is_inside() {
    let lock = Arc::new(Biased::new(()));
    lean(&lock);
    let inside = lock.lock();
    let other = Arc::clone(&lock);
    thread::spawn(move || assert!(other.try_lock().is_none())).join().unwrap();
    drop(inside);
    assert_eq!(leans(&lock), lock.leans, "it leans as before");
    let other = Arc::clone(&lock);
    thread::spawn(move || assert!(other.try_lock().is_some())).join().unwrap();
    assert!(lock.try_lock().is_some());
}

#[test]
#[should_panic(expected = "has the lock already")]
fn nobody_is_inside_twice() {
    let lock = Biased::new(());
    if !lock.leans {
        panic!("has the lock already: this kernel has no fence, and the mutex would wait for ever");
    }
    lean(&lock);
    let _inside = lock.lock();
    drop(lock.lock());
}

#[test]
fn nothing_is_lost_between_threads_that_take_turns_of_any_length() {
    const THREADS: usize = 3;
    const EACH: usize = 40_000;
    // Two halves that must never be seen apart.
    let lock = Arc::new(Biased::new((0usize, 0usize)));
    let threads = (0..THREADS).map(|n| {
        let lock = Arc::clone(&lock);
        thread::spawn(move || {
            for turn in 0..EACH {
                let mut pair = lock.lock();
                assert_eq!(pair.0, pair.1);
                pair.0 += 1;
                pair.1 += 1;
                drop(pair);
                if turn % (1_000 * (n + 1)) == 0 {
                    thread::yield_now();
                }
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*lock.lock(), (THREADS * EACH, THREADS * EACH));
}
