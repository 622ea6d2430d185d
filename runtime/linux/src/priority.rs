//! Who runs first.

use nix::errno::Errno;
use nix::libc::{self, c_int};

/// Lets the calling thread run before all others that are not more urgent still: a node must answer
/// while its rank, or whoever else, computes, and the testbed's switch must let frames go when it is their time.
/// The lowest real-time priority does it on any machine; being nice to nobody does so only among the programs of one
/// session, for the scheduler is fair to sessions first. Threads that this one starts are like any other.
///
/// # Errors
/// There is no right to either.
pub fn ahead_of_others() -> Result<(), Errno> {
    const MOST: c_int = -20;
    const THIS_THREAD: libc::pid_t = 0;
    let lowest = libc::sched_param { sched_priority: 1 };
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the parameters are read in the call.
    let real_time = unsafe { libc::sched_setscheduler(THIS_THREAD, policy, &raw const lowest) };
    if Errno::result(real_time).is_ok() {
        return Ok(());
    }
    // SAFETY: no memory is handed over.
    Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, MOST) }).map(drop)
}
