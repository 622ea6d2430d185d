//! A fence that costs its other side nothing.
//!
//! Who sends a frame publishes it, then looks whether its receiver sleeps; a receiver says that it will sleep, then looks
//! for frames. Both need a full fence between the two, and the sender's waits each time until its stores are out, for as
//! long as it takes to make a frame. The kernel can instead have *all* processors pass a fence when a receiver is about
//! to sleep, which happens seldom: `membarrier(2)`, as far as both processes have registered for it.

use nix::errno::Errno;
use nix::libc;
use std::thread;

fn membarrier(command: libc::c_int) -> Result<(), Errno> {
    // SAFETY: takes two numbers and touches no memory of ours.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) };
    Errno::result(result).map(drop)
}

/// Registers this process. `false`: the kernel has no such fence, and every sender to or from this process takes its own.
pub(crate) fn register() -> bool {
    match membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) {
        Ok(()) => true,
        Err(error) => {
            tracing::debug!(%error, "no membarrier: each frame costs a fence");
            false
        }
    }
}

/// Registers the threads of this process for [`on_all_threads`]; `false`: the kernel has no such fence.
pub(crate) fn register_threads() -> bool {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED).is_ok()
}

/// Has all processors that run a thread of this process pass a fence.
pub(crate) fn on_all_threads() {
    while let Err(error) = membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        // A fork is another process.
        if error != Errno::EPERM || !register_threads() {
            thread::yield_now();
        }
    }
}

/// Has all processors that run a registered process pass a fence.
pub(crate) fn on_all_processors() {
    // A kernel that has registered this process only ever lacks memory, for a moment.
    while membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED).is_err() {
        thread::yield_now();
    }
}
