//! The thread that leads while no call waits.

use super::{Engine, Leader, QUIET};
use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::{io, thread};

thread_local! {
    static PROGRESS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is the progress thread of a node. May be asked in handlers of `atexit`.
pub(super) fn is_this_thread() -> bool {
    PROGRESS.get()
}

pub(super) fn start(engine: &Arc<Engine>) -> io::Result<()> {
    let weak = Arc::downgrade(engine);
    let run = move || {
        PROGRESS.set(true);
        let mut seen = 0;
        while let Some(engine) = weak.upgrade()
            && step(&engine, &mut seen)
        {}
    };
    let handle = thread::Builder::new().name("mcapi".into()).spawn(run)?;
    *engine.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    Ok(())
}

/// Sleeps once, in the way that the state asks for; `false` at the end.
fn step(engine: &Engine, seen: &mut u64) -> bool {
    // Whoever calls all the time takes the lock for next to nothing, as long as nobody else does.
    let calls = engine.calls.load(Ordering::Relaxed);
    let busy = calls != *seen;
    *seen = calls;
    if busy && !engine.awaited.load(Ordering::Relaxed) {
        thread::park_timeout(QUIET);
        return true;
    }
    let Some(mut state) = engine.try_lock() else {
        // Somebody calls, or looks for what comes.
        thread::park_timeout(QUIET);
        return true;
    };
    if state.closed {
        return false;
    }
    if state.wire.transport.is_none() {
        state.progress_rests = true;
        drop(state);
        thread::park();
        return true;
    }
    let unawaited = state.tasks.is_empty();
    engine.awaited.store(!unawaited, Ordering::Relaxed);
    if busy && unawaited || !state.sleepers.is_empty() {
        drop(state);
        thread::park_timeout(QUIET);
        return true;
    }
    state.pump();
    state.drain_rest();
    engine.settle(&mut state);
    if state.has_roused() {
        // As who sleeps in a call.
        return true;
    }
    let Some(transport) = state.wire.transport.take() else { return true };
    state.leader = Leader::Progress;
    drop(state);
    transport.wait(None);
    let mut state = engine.lock();
    state.wire.transport = Some(transport);
    state.leader = Leader::Nobody;
    state.pump();
    state.drain_rest();
    engine.settle(&mut state);
    state.call_next();
    true
}
