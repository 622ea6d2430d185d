//! What depends on the processor: the way from a page fault to the host and back. A signal handler changes where
//! the interrupted rank goes on: in a trampoline on the rank's own stack, which calls the host and then runs
//! the same instruction again, with every register as it was.

use runtime_driver::layout::GUARD_BYTES;
use runtime_driver::slot::Slot;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{Interrupted, prepare};
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use x86_64::XSAVE_BYTES;
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{Interrupted, prepare};

/// Stack that the way through a fault needs besides its frame and what the trampoline saves.
const FAULT_ROOM: usize = 4096;

/// Where on the rank's stack a frame of so many bytes goes, if there is room for it and all that follows.
fn frame_address(stack: usize, bytes: usize, saved: usize, slot: &'static Slot) -> Option<usize> {
    let frame = stack.checked_sub(bytes)? & !15;
    (frame.checked_sub(saved.checked_add(FAULT_ROOM)?)? >= slot.base() + GUARD_BYTES)
        .then_some(frame)
}
