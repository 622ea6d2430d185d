use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::thread;

#[test]
fn nobody_is_woken_who_is_awake() {
    let word = Word::new();
    word.rouse(|_| panic!("nobody sleeps"));
    word.sleep_unless(|| {}, || true, |_, _| panic!("there are news"));
    word.rouse(|_| panic!("nobody sleeps any more"));
}

#[test]
fn no_news_is_slept_through() {
    let word = Arc::new(Word::new());
    let published = Arc::new(AtomicU64::new(0));
    let wakes = Arc::new(AtomicUsize::new(0));
    let rounds = 2000;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let teller = {
        let (word, published) = (Arc::clone(&word), Arc::clone(&published));
        let (wakes, acknowledged) = (Arc::clone(&wakes), Arc::clone(&acknowledged));
        thread::spawn(move || {
            for n in 1..=rounds {
                published.store(n, Ordering::Release);
                word.rouse(|word| {
                    wakes.fetch_add(1, Ordering::Relaxed);
                    wake(word);
                });
                while acknowledged.load(Ordering::Acquire) < n {
                    thread::yield_now();
                }
            }
        })
    };
    for n in 1..=rounds {
        let news = || published.load(Ordering::Acquire) >= n;
        while !news() {
            // A lost wake-up would hang the test.
            word.sleep_unless(
                || {},
                news,
                |word, value| wait(word, value, std::time::Duration::from_secs(3600)),
            );
        }
        acknowledged.store(n, Ordering::Release);
    }
    teller.join().unwrap();
}
