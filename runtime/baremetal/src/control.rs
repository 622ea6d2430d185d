//! The control port: lines in from the harness, lines out to it. There is one, for last words must
//! find it from anywhere.

use crate::lines::{BadLine, Lines};
use crate::one::One;
use crate::start::Device;
use crate::virtio::{Port, PortState, VirtioError};
use crate::{clock, fatal, trap};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

struct Control {
    port: Port,
    lines: Lines,
}

static CONTROL: One<Option<Control>> = One::new(None);
/// Somebody is in the middle of something.
static BUSY: AtomicBool = AtomicBool::new(false);
/// How long the end of the machine waits for the harness to take what was said.
const PATIENCE_NS: u64 = 5_000_000_000;

/// Opens the port of this name, with lines of at most `limit` bytes, and waits until somebody is at
/// the other end. From now on that is who is told last words.
///
/// # Errors
/// When there is no such port.
///
/// # Safety
/// These are devices of the machine, and nobody drives them.
pub unsafe fn open(
    devices: &[Device],
    name: &'static str,
    limit: usize,
) -> Result<(), VirtioError> {
    // SAFETY: as the caller promises.
    let port = unsafe { Port::open(devices, name) }?;
    // SAFETY: nobody uses it yet.
    unsafe { *CONTROL.borrow() = Some(Control { port, lines: Lines::new(limit) }) };
    fatal::listen(last_words);
    while attend() == PortState::New {
        if !leave_alone() {
            trap::sleep();
        }
    }
    Ok(())
}

fn with<R>(default: R, use_it: impl FnOnce(&mut Control) -> R) -> R {
    // SAFETY: whoever uses it calls nobody who comes back here, but for a fault, which finds it busy.
    match unsafe { CONTROL.borrow() } {
        Some(control) => {
            BUSY.store(true, Relaxed);
            let result = use_it(control);
            BUSY.store(false, Relaxed);
            result
        }
        None => default,
    }
}

/// Takes in what came; no interrupts are wanted from now on. Says how the port is.
pub fn attend() -> PortState {
    with(PortState::New, |control| {
        control.port.attend(control.lines.bytes());
        control.port.state()
    })
}

/// The next line.
///
/// # Errors
/// When it is none.
pub fn line() -> Result<Option<String>, BadLine> {
    with(Ok(None), |control| control.lines.take())
}

/// Sends a line, with its end; never waits.
pub fn send(line: Vec<u8>) {
    with((), |control| control.port.send(line));
}

/// From now on an interrupt says that something came in. Says whether something is there already.
#[must_use]
pub fn leave_alone() -> bool {
    with(false, |control| control.port.leave_alone())
}

/// Waits until the other end has everything, but not for ever.
pub fn flush() {
    let start = clock::now();
    while clock::now().since(start).0 < PATIENCE_NS && !with(true, |c| c.port.is_done()) {
        core::hint::spin_loop();
    }
}

fn last_words(line: &[u8]) {
    // Who was in the middle of something left the port in no state to be used.
    if !BUSY.load(Relaxed) {
        with((), |control| control.port.send_last(line));
    }
}
