//! Page faults and stops, by signal. The handlers run on a signal stack of their own and never block:
//! they change where the interrupted rank continues, and return.

use crate::trampoline::{self, FaultFrame, XSAVE_BYTES};
use core::ffi::{c_int, c_void};
use core::sync::atomic::Ordering::{Relaxed, SeqCst};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use runtime_core::id::PageNo;
use runtime_core::limits::PAGE_SIZE;
use runtime_driver::context::ContextError;
use runtime_driver::layout::GUARD_BYTES;
use runtime_driver::slot::{self, Slot};
use runtime_driver::switch;
use std::sync::OnceLock;

/// Makes a computing rank stand still.
pub(crate) const STOP: Signal = Signal::SIGUSR2;

/// Bytes below its stack pointer that interrupted code may be using.
const RED_ZONE: usize = 128;
/// Stack that the way through a fault needs besides the vector registers.
const FAULT_ROOM: usize = 4096;
/// In the processor's word on a fault: it was by a write.
const WRITE: u64 = 1 << 1;
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
    trampoline::detect_xsave();
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

/// A register of the interrupted code; the kernel keeps them as signed words.
struct Interrupted<'a>(&'a mut [i64; 23]);

impl Interrupted<'_> {
    /// # Safety
    /// `context` is the third argument of a signal handler.
    unsafe fn of<'a>(context: *mut c_void) -> Interrupted<'a> {
        // SAFETY: the kernel handed the handler this context, and nobody else looks at it.
        Interrupted(unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs })
    }

    #[expect(clippy::cast_sign_loss, reason = "registers are bits; register numbers are small")]
    fn get(&self, register: c_int) -> u64 {
        self.0[register as usize] as u64
    }

    #[expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "as in `get`")]
    fn set(&mut self, register: c_int, value: usize) {
        self.0[register as usize] = value as i64;
    }

    fn rsp(&self) -> usize {
        usize::try_from(self.get(libc::REG_RSP)).unwrap_or(0)
    }

    fn give_up(&mut self, slot: &'static Slot) {
        self.set(libc::REG_RDI, core::ptr::from_ref(&slot.registers).addr());
        self.set(libc::REG_RIP, switch::abandon as *const () as usize);
    }
}

extern "C" fn on_stop(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: a handler's context.
    let mut at = unsafe { Interrupted::of(context) };
    // Elsewhere the host is running: it looks whether it should stop by itself, or is asked again.
    if let Some(slot) = slot::of_stack(at.rsp())
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
    let rip = usize::try_from(at.get(libc::REG_RIP)).unwrap_or(0);
    let Some(slot) = slot::of_stack(at.rsp()) else {
        complain(rip, address);
        // SAFETY: puts the default in place; the instruction faults again and ends the process.
        unsafe { libc::signal(libc::SIGSEGV, libc::SIG_DFL) };
        return;
    };
    const ACCESS_ERROR: c_int = 2;
    let page = page_of(slot, address, at.get(libc::REG_ERR)).filter(|_| code == ACCESS_ERROR);
    let frame = frame_address(at.rsp(), slot);
    match (page, frame) {
        (Some(page), Some(frame)) => redirect(&mut at, frame, page),
        (page, _) => {
            // With a page that can be had but no room for the frame, it is the stack that is at its end.
            let address = if page.is_some() { slot.base() } else { address };
            slot.crash_address.store(address, SeqCst);
            slot.crash_instruction.store(rip.max(1), SeqCst);
            at.give_up(slot);
        }
    }
}

/// The page that the rank asks for by touching an address: a shared one, or one of its heap that was
/// protected from writes.
fn page_of(slot: &'static Slot, address: usize, error: u64) -> Option<PageNo> {
    if let Some(offset) = slot.shared_offset(address) {
        return u32::try_from(offset / PAGE_SIZE).ok().map(PageNo);
    }
    slot.heap_page(address).filter(|_| error & WRITE != 0)
}

/// Where on the rank's stack the frame for the trampoline goes, if there is room for all it saves.
fn frame_address(rsp: usize, slot: &'static Slot) -> Option<usize> {
    let vectors = usize::try_from(XSAVE_BYTES.load(Relaxed)).ok()?.max(512);
    let frame = (rsp.checked_sub(RED_ZONE + size_of::<FaultFrame>())?) & !15;
    (frame.checked_sub(vectors + FAULT_ROOM)? >= slot.base() + GUARD_BYTES).then_some(frame)
}

fn redirect(at: &mut Interrupted<'_>, frame: usize, page: PageNo) {
    let (cs, ss): (u16, u16);
    // SAFETY: reads two segment registers.
    unsafe {
        core::arch::asm!("mov {0:x}, cs", "mov {1:x}, ss", out(reg) cs, out(reg) ss, options(nomem, nostack, preserves_flags));
    }
    let content = FaultFrame {
        page: u64::from(page.0),
        write: u64::from(at.get(libc::REG_ERR) & WRITE != 0),
        rip: at.get(libc::REG_RIP),
        cs: u64::from(cs),
        rflags: at.get(libc::REG_EFL),
        rsp: at.get(libc::REG_RSP),
        ss: u64::from(ss),
        pad: 0,
    };
    // SAFETY: on the rank's stack, below everything that the interrupted code uses, and aligned.
    unsafe { core::ptr::with_exposed_provenance_mut::<FaultFrame>(frame).write(content) };
    at.set(libc::REG_RSP, frame);
    at.set(libc::REG_RIP, trampoline::fault as *const () as usize);
}

/// Says where the host touched what it may not. Only calls that a handler may make.
fn complain(rip: usize, address: usize) {
    let mut text = *b"understudy: the runtime touched 0x0000000000000000 at 0x0000000000000000 outside of a rank's memory\n";
    let hex = |text: &mut [u8], mut value: usize| {
        for digit in text.iter_mut().rev() {
            *digit = b"0123456789abcdef"[value % 16];
            value /= 16;
        }
    };
    hex(&mut text[34..50], address);
    hex(&mut text[56..72], rip);
    // SAFETY: writes from a live buffer; there is nobody to tell when it fails.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
}
