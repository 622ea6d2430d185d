//! Every order in which a sleeper and those who wake it can meet (`make loom`).

use super::*;
use crate::sync::AtomicU64;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// What the kernel does: looks at the word and falls asleep in one step. A wake-up that is lost is a deadlock, which loom
/// reports.
pub(crate) struct Futex {
    lock: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    pub(crate) fn new() -> Self {
        Self { lock: Mutex::new(()), woken: Condvar::new() }
    }

    pub(crate) fn wait(&self, word: &AtomicU32, value: u32) {
        let locked = self.lock.lock().unwrap();
        if word.load(Ordering::Relaxed) == value {
            drop(self.woken.wait(locked).unwrap());
        }
    }

    pub(crate) fn wake(&self) {
        let _locked = self.lock.lock().unwrap();
        self.woken.notify_one();
    }
}

#[test]
fn no_news_is_slept_through() {
    loom::model(|| {
        let shared = Arc::new((Word::new(), AtomicU64::new(0), Futex::new()));
        let teller = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (word, news, futex) = &*shared;
                for n in 1..=2 {
                    news.store(n, Ordering::Release);
                    word.rouse(|_| futex.wake());
                }
            }
        });
        let (word, news, futex) = &*shared;
        while news.load(Ordering::Acquire) < 2 {
            word.sleep_unless(
                || {},
                || news.load(Ordering::Acquire) == 2,
                |word, value| futex.wait(word, value),
            );
        }
        teller.join().unwrap();
    });
}

#[test]
fn two_tellers_lose_nothing_between_them() {
    loom::model(|| {
        let shared = Arc::new((Word::new(), [AtomicU64::new(0), AtomicU64::new(0)], Futex::new()));
        let tellers = [0, 1].map(|n| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (word, news, futex) = &*shared;
                news[n].store(1, Ordering::Release);
                word.rouse(|_| futex.wake());
            })
        });
        let (word, news, futex) = &*shared;
        let all = || news.iter().all(|n| n.load(Ordering::Acquire) == 1);
        while !all() {
            word.sleep_unless(|| {}, all, |word, value| futex.wait(word, value));
        }
        tellers.into_iter().for_each(|teller| teller.join().unwrap());
    });
}
