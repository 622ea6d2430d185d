//! On aarch64. No instruction jumps and leaves all registers alone, so the kernel brings the rank back: the handler
//! copies the frame that the kernel made for it to the rank's stack, vector registers and all, and
//! the trampoline hands it over with `rt_sigreturn`. That frame also names the signal stack and the signal mask of
//! this thread: a rank is copied at a call only, never at a fault, so it comes back to the thread that it left.
//! See `arch/arm64/kernel/signal.c` of Linux.

use super::frame_address;
use core::arch::naked_asm;
use core::ffi::c_void;
use core::mem::offset_of;
use nix::libc;
use runtime_core::id::PageNo;
use runtime_driver::slot::Slot;
use runtime_driver::switch;

/// As `rt_sigreturn` takes it.
#[repr(C, align(16))]
struct SignalFrame {
    /// Not looked at.
    info: [u8; 128],
    context: libc::ucontext_t,
}

/// What the fault handler leaves on the rank's stack, for [`fault`].
#[repr(C, align(16))]
struct FaultFrame {
    /// Arguments of the switch: number of the page, and access.
    page: u64,
    write: u64,
    signal: SignalFrame,
}

const _: () =
    assert!(offset_of!(FaultFrame, signal) == 16 && offset_of!(SignalFrame, context) == 128);

/// Where the records on vector registers and on the fault begin in a machine context, and their room.
const RECORDS: usize = 288;
const RECORDS_BYTES: usize = 4096;
const _: () = assert!(size_of::<libc::mcontext_t>() == RECORDS + RECORDS_BYTES);
/// The record with the syndrome of the fault, and the one that says that more records are elsewhere.
const ESR_RECORD: u32 = 0x4553_5201;
const EXTRA_RECORD: u32 = 0x4558_5401;
/// In a syndrome: it was by a write; but for one by an instruction for caches, which only reads.
const WRITE: u64 = 1 << 6;
const CACHE: u64 = 1 << 8;

/// Nothing has to be found out about the processor: the kernel saves what there is.
pub(crate) fn prepare() {}

/// Where the fault handler sends a rank: switches to the host, and on return runs the same instruction again.
/// sp = a [`FaultFrame`].
///
/// # Safety
/// Never called: jumped to, with sp as said.
#[unsafe(naked)]
unsafe extern "C" fn fault() {
    naked_asm!(
        "ldp x0, x1, [sp]",
        "bl {leave}",
        "add sp, sp, #16",
        "mov x8, {sigreturn}",
        "svc #0",
        "brk #1",
        leave = sym runtime_driver::context::leave_with_fault,
        sigreturn = const libc::SYS_rt_sigreturn,
    )
}

/// The registers of interrupted code.
pub(crate) struct Interrupted<'a>(&'a mut libc::ucontext_t);

impl Interrupted<'_> {
    /// # Safety
    /// `context` is the third argument of a signal handler.
    pub(crate) unsafe fn of<'a>(context: *mut c_void) -> Interrupted<'a> {
        // SAFETY: the kernel handed the handler this context, and nobody else looks at it.
        Interrupted(unsafe { &mut *context.cast::<libc::ucontext_t>() })
    }
    /// Its stack pointer.
    pub(crate) fn stack(&self) -> usize {
        usize::try_from(self.0.uc_mcontext.sp).unwrap_or(0)
    }

    /// The instruction that it is at.
    pub(crate) fn instruction(&self) -> usize {
        usize::try_from(self.0.uc_mcontext.pc).unwrap_or(0)
    }

    /// After a page fault: was it by a write?
    pub(crate) fn wrote(&self) -> bool {
        self.record(ESR_RECORD).is_some_and(|syndrome| syndrome & (WRITE | CACHE) == WRITE)
    }

    /// The first word of the record of this kind.
    fn record(&self, kind: u32) -> Option<u64> {
        let context = (&raw const self.0.uc_mcontext).cast::<u8>();
        let mut at = 0;
        while at + 24 <= RECORDS_BYTES {
            // SAFETY: within the context; all of it are words of the kernel's.
            let (found, bytes, word) = unsafe {
                let record = context.add(RECORDS + at);
                (
                    record.cast::<u32>().read(),
                    record.add(4).cast::<u32>().read(),
                    record.add(8).cast::<u64>().read(),
                )
            };
            // The last one is all zeroes; none is smaller than its own beginning.
            if found == kind || bytes < 8 {
                return (found == kind).then_some(word);
            }
            at = at.checked_add(usize::try_from(bytes).ok()?)?;
        }
        None
    }

    /// Has it go to the host, and never come back.
    pub(crate) fn give_up(&mut self, slot: &'static Slot) {
        self.0.uc_mcontext.regs[0] = core::ptr::from_ref(&slot.registers).addr() as u64;
        self.0.uc_mcontext.pc = switch::abandon as *const () as u64;
    }

    /// Has it ask the host for a page, and then try again; `false`: its stack has no room for that.
    pub(crate) fn ask(&mut self, page: PageNo, slot: &'static Slot) -> bool {
        if self.record(EXTRA_RECORD).is_some() {
            // Vectors so long that the kernel keeps them behind its frame. No guest has them: see `images::qemu`.
            return false;
        }
        let Some(frame) = frame_address(self.stack(), size_of::<FaultFrame>(), 0, slot) else {
            return false;
        };
        let at = core::ptr::with_exposed_provenance_mut::<FaultFrame>(frame);
        // SAFETY: on the rank's stack, below everything that the interrupted code uses, and aligned; the context
        // is the kernel's, and copied as it is.
        unsafe {
            (&raw mut (*at).page).write(u64::from(page.0));
            (&raw mut (*at).write).write(u64::from(self.wrote()));
            (&raw mut (*at).signal.context).copy_from_nonoverlapping(&raw const *self.0, 1);
        }
        self.0.uc_mcontext.sp = frame as u64;
        self.0.uc_mcontext.pc = fault as *const () as u64;
        true
    }
}
