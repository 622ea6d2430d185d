//! Ctrl-C, and whoever else wants a verb to end: what the verb owns ends first, then the verb, and it says so.

use crate::failure::Failure;
use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

/// Signals that a verb heeds, and what is to end with it. Of no verb, nothing comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// The first that came.
    signal: Option<Signal>,
    /// Connections to daemons, which end what they do for this verb when it has nothing more to say.
    connections: BTreeMap<u64, UnixStream>,
    next: u64,
}

/// A connection that a signal closes, until this is dropped.
#[derive(Debug)]
pub(crate) struct Closed {
    of: Interrupt,
    number: u64,
}

impl Interrupt {
    /// From now on SIGINT, SIGTERM and SIGHUP close connections instead of ending the process; a second one ends it at
    /// once.
    pub(crate) fn watch() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("cannot watch for signals")?;
        let on = |kind| signal(kind).context("cannot watch for signals");
        let inside = runtime.enter();
        let mut interrupt = on(SignalKind::interrupt())?;
        let mut terminate = on(SignalKind::terminate())?;
        let mut hangup = on(SignalKind::hangup())?;
        drop(inside);
        let watched = Self::default();
        let told = watched.clone();
        let heed = async move {
            loop {
                told.came(tokio::select! {
                    _ = interrupt.recv() => Signal::SIGINT,
                    _ = terminate.recv() => Signal::SIGTERM,
                    _ = hangup.recv() => Signal::SIGHUP,
                });
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || runtime.block_on(heed))
            .context("cannot start a thread")?;
        Ok(watched)
    }

    /// A signal came.
    pub(crate) fn came(&self, signal: Signal) {
        let mut state = self.lock();
        if state.signal.replace(signal).is_some() {
            std::process::exit(exit(signal).into());
        }
        for connection in state.connections.values() {
            // Only what this verb says: the daemon closes the other half when all is gone. One that is closed already
            // needs nothing.
            let _ = connection.shutdown(Shutdown::Write);
        }
    }

    /// A signal will close this connection; at once, if one came.
    pub(crate) fn closes(&self, connection: &UnixStream) -> std::io::Result<Closed> {
        let connection = connection.try_clone()?;
        let mut state = self.lock();
        if state.signal.is_some() {
            connection.shutdown(Shutdown::Write)?;
        }
        let number = state.next;
        state.next += 1;
        state.connections.insert(number, connection);
        Ok(Closed { of: self.clone(), number })
    }

    /// Which signal came, with its exit code, if one did; `what` has become of it.
    pub(crate) fn failure(&self, what: &str) -> Option<Failure> {
        let signal = self.lock().signal?;
        Some(Failure { exit: exit(signal), reason: format!("{}: {what}", signal.as_str()) })
    }

    /// What came of something, unless a signal explains why nothing did.
    pub(crate) fn explains<T>(&self, result: Result<T, Failure>, what: &str) -> Result<T, Failure> {
        result.map_err(|failure| self.failure(what).unwrap_or(failure))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.of.lock().connections.remove(&self.number);
    }
}

/// As a shell has it of a program that a signal ended.
const fn exit(signal: Signal) -> u8 {
    // Signals are 1 to 31.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 31")]
    let number = signal as i32 as u8;
    128 + number
}

#[cfg(test)]
mod tests;
