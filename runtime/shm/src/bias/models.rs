//! Every order in which the thread that a lock leans towards can meet one that ends that (`make loom`).

use super::*;
use crate::sync::{UnsafeCell, fence};
use loom::sync::Arc;
use loom::thread;

const FAVOURED: u64 = 1;
const OTHER: u64 = 2;

#[test]
fn nobody_is_inside_with_another() {
    loom::model(|| {
        let shared = Arc::new((Bias::new(), UnsafeCell::new(0u32)));
        shared.0.lean(FAVOURED);
        let favoured = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let (bias, value) = &*shared;
                for _ in 0..2 {
                    if bias.enter(FAVOURED) {
                        // SAFETY: loom sees to it that nobody else does this now.
                        value.with_mut(|value| unsafe { *value += 1 });
                        bias.leave();
                    }
                }
            }
        });
        let (bias, value) = &*shared;
        assert_eq!(bias.end(OTHER, || fence(Ordering::SeqCst)), Some(FAVOURED));
        while bias.is_inside() {
            thread::yield_now();
        }
        // SAFETY: as above.
        value.with_mut(|value| unsafe { *value += 1 });
        favoured.join().unwrap();
    });
}
