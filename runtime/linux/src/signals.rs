//! Page faults and stops, by signal. The handlers run on a signal stack of their own and never block:
//! they change where the interrupted rank continues, and return.

use crate::arch::{self, Interrupted};
use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::SeqCst;
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use runtime_core::id::PageNo;
use runtime_core::limits::PAGE_SIZE;
use runtime_driver::context::ContextError;
use runtime_driver::slot::{self, Slot};
use std::sync::OnceLock;

/// Makes a computing rank stand still.
pub(crate) const STOP: Signal = Signal::SIGUSR2;

const SIGNAL_STACK_BYTES: usize = 64 * 1024;

/// Installs the handlers, once per process. Before that, [`STOP`] would end the process.
pub(crate) fn handled() -> Result<(), Errno> {
    static INSTALLED: OnceLock<Result<(), Errno>> = OnceLock::new();
    *INSTALLED.get_or_init(install)
}

/// Installs the handlers, and this thread's signal stack.
pub(crate) fn ready() -> Result<(), ContextError> {
    thread_local! {
        static STACK: Result<SignalStack, Errno> = SignalStack::install();
    }
    let done = handled().and_then(|()| STACK.with(|s| s.as_ref().map(|_| ()).map_err(|e| *e)));
    done.map_err(|errno| ContextError::Thread(errno.to_string()))
}

fn install() -> Result<(), Errno> {
    arch::prepare();
    let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESTART;
    let mut mask = SigSet::empty();
    mask.add(STOP);
    let fault = SigAction::new(SigHandler::SigAction(on_fault), flags, mask);
    let stop = SigAction::new(SigHandler::SigAction(on_stop), flags, SigSet::empty());
    // SAFETY: both handlers only read atomics, write the rank's stack and the context that they are
    // given, and make no call that is not safe in a signal handler.
    unsafe {
        sigaction(Signal::SIGSEGV, &fault)?;
        sigaction(STOP, &stop)?;
    }
    Ok(())
}

/// The signal stack of a thread that runs ranks.
struct SignalStack(Box<[u8]>);

impl SignalStack {
    fn install() -> Result<Self, Errno> {
        let mut memory = vec![0_u8; SIGNAL_STACK_BYTES].into_boxed_slice();
        let stack =
            libc::stack_t { ss_sp: memory.as_mut_ptr().cast(), ss_flags: 0, ss_size: memory.len() };
        // SAFETY: the memory lives until `drop` has taken the stack back.
        Errno::result(unsafe { libc::sigaltstack(&raw const stack, core::ptr::null_mut()) })?;
        Ok(Self(memory))
    }
}

impl Drop for SignalStack {
    fn drop(&mut self) {
        let none = libc::stack_t {
            ss_sp: core::ptr::null_mut(),
            ss_flags: libc::SS_DISABLE,
            ss_size: self.0.len(),
        };
        // SAFETY: the thread ends, and runs no rank any more.
        unsafe { libc::sigaltstack(&raw const none, core::ptr::null_mut()) };
    }
}

extern "C" fn on_stop(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: a handler's context.
    let mut at = unsafe { Interrupted::of(context) };
    // Elsewhere the host is running: it looks whether it should stop by itself, or is asked again.
    if let Some(slot) = slot::of_stack(at.stack())
        && slot.stopping.load(SeqCst)
    {
        at.give_up(slot);
    }
}

extern "C" fn on_fault(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: a handler's context.
    let mut at = unsafe { Interrupted::of(context) };
    // SAFETY: the kernel handed the handler this record of a fault.
    let (address, code) = unsafe { ((*info).si_addr().addr(), (*info).si_code) };
    let Some(slot) = slot::of_stack(at.stack()) else {
        complain(at.instruction(), address);
        // SAFETY: puts the default in place; the instruction faults again and ends the process.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        return;
    };
    const ACCESS_ERROR: c_int = 2;
    let page = page_of(slot, address, at.wrote()).filter(|_| code == ACCESS_ERROR);
    if page.is_some_and(|page| at.ask(page, slot)) {
        return;
    }
    // With a page that can be had but no room to ask for it, it is the stack that is at its end.
    let address = if page.is_some() { slot.base() } else { address };
    slot.crash_address.store(address, SeqCst);
    slot.crash_instruction.store(at.instruction().max(1), SeqCst);
    at.give_up(slot);
}

/// The page that the rank asks for by touching an address: a shared one, or one of its heap that was
/// protected from writes.
fn page_of(slot: &'static Slot, address: usize, wrote: bool) -> Option<PageNo> {
    if let Some(offset) = slot.shared_offset(address) {
        return u32::try_from(offset / PAGE_SIZE).ok().map(PageNo);
    }
    slot.heap_page(address).filter(|_| wrote)
}

/// Says where the host touched what it may not. Only calls that a handler may make.
fn complain(instruction: usize, address: usize) {
    let mut text = *b"understudy: the runtime touched 0x0000000000000000 at 0x0000000000000000 outside of a rank's memory\n";
    let hex = |text: &mut [u8], mut value: usize| {
        for digit in text.iter_mut().rev() {
            *digit = b"0123456789abcdef"[value % 16];
            value /= 16;
        }
    };
    hex(&mut text[34..50], address);
    hex(&mut text[56..72], instruction);
    // SAFETY: writes from a live buffer; there is nobody to tell when it fails.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
