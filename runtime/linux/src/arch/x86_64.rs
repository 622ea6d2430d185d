//! On x86_64. The trampoline saves all registers on the rank's stack, below the red zone, and returns by `iretq`.

use super::frame_address;
use core::arch::naked_asm;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use nix::libc;
use runtime_core::id::PageNo;
use runtime_driver::slot::Slot;
use runtime_driver::switch;

/// Bytes below its stack pointer that interrupted code may be using.
const RED_ZONE: usize = 128;
/// In the processor's word on a fault: it was by a write.
const WRITE: u64 = 1 << 1;

/// Bytes that `xsave64` writes with all components that the kernel enabled; 0 where it has to be
/// `fxsave64`.
pub(crate) static XSAVE_BYTES: AtomicU64 = AtomicU64::new(0);

/// What the fault handler leaves on the rank's stack, below the red zone, for [`fault`].
#[derive(Debug)]
#[repr(C)]
struct FaultFrame {
    /// Argument of the switch: number of the page, and access.
    page: u64,
    write: u64,
    /// As `iretq` takes it: it loads instruction and stack pointer at once, so nothing has to be put
    /// where the interrupted code's red zone is.
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
    /// Keeps the frame at a multiple of 16.
    pad: u64,
}

/// Where the fault handler sends a rank: saves everything the interrupted code may have live, switches
/// to the host, and on return runs the same instruction again. rsp = a [`FaultFrame`], at a multiple of 16.
///
/// # Safety
/// Never called: jumped to, with rsp as said.
#[unsafe(naked)]
unsafe extern "C" fn fault() {
    naked_asm!(
        "push rax", "push rbx", "push rcx", "push rdx", "push rbp", "push rsi", "push rdi",
        "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
        "cld",
        // The frame: its `page` is above the 15 registers.
        "mov rbp, rsp",
        "mov rbx, [rip + {bytes}]",
        "test rbx, rbx",
        "jz 2f",
        "sub rsp, rbx",
        "and rsp, -64",
        // xsave leaves the header's reserved words as they are, xrstor wants them zero.
        "xor eax, eax",
        "mov [rsp + 512], rax", "mov [rsp + 520], rax", "mov [rsp + 528], rax", "mov [rsp + 536], rax",
        "mov [rsp + 544], rax", "mov [rsp + 552], rax", "mov [rsp + 560], rax", "mov [rsp + 568], rax",
        "mov eax, -1", "mov edx, -1",
        "xsave64 [rsp]",
        "jmp 3f",
        "2:",
        "sub rsp, 512",
        "and rsp, -64",
        "fxsave64 [rsp]",
        "3:",
        "fninit",
        "mov rdi, [rbp + 120]",
        "mov rsi, [rbp + 128]",
        "call {leave}",
        "test rbx, rbx",
        "jz 4f",
        "mov eax, -1", "mov edx, -1",
        "xrstor64 [rsp]",
        "jmp 5f",
        "4:",
        "fxrstor64 [rsp]",
        "5:",
        "mov rsp, rbp",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rdi", "pop rsi", "pop rbp", "pop rdx", "pop rcx", "pop rbx", "pop rax",
        "lea rsp, [rsp + 16]",
        "iretq",
        bytes = sym XSAVE_BYTES,
        leave = sym runtime_driver::context::leave_with_fault,
    )
}

/// Finds out how large the area of `xsave64` is here.
pub(crate) fn prepare() {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    const OSXSAVE: u32 = 1 << 27;
    let bytes = if __cpuid(1).ecx & OSXSAVE == 0 { 0 } else { __cpuid_count(0xd, 0).ebx };
    XSAVE_BYTES.store(u64::from(bytes), core::sync::atomic::Ordering::SeqCst);
}

/// The registers of interrupted code; the kernel keeps them as signed words.
pub(crate) struct Interrupted<'a>(&'a mut [i64; 23]);

impl Interrupted<'_> {
    /// # Safety
    /// `context` is the third argument of a signal handler.
    pub(crate) unsafe fn of<'a>(context: *mut c_void) -> Interrupted<'a> {
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

    /// Its stack pointer.
    pub(crate) fn stack(&self) -> usize {
        usize::try_from(self.get(libc::REG_RSP)).unwrap_or(0)
    }

    /// The instruction that it is at.
    pub(crate) fn instruction(&self) -> usize {
        usize::try_from(self.get(libc::REG_RIP)).unwrap_or(0)
    }

    /// After a page fault: was it by a write?
    pub(crate) fn wrote(&self) -> bool {
        self.get(libc::REG_ERR) & WRITE != 0
    }

    /// Has it go to the host, and never come back.
    pub(crate) fn give_up(&mut self, slot: &'static Slot) {
        self.set(libc::REG_RDI, core::ptr::from_ref(&slot.registers).addr());
        self.set(libc::REG_RIP, switch::abandon as *const () as usize);
    }

    /// Has it ask the host for a page, and then try again; `false`: its stack has no room for that.
    pub(crate) fn ask(&mut self, page: PageNo, slot: &'static Slot) -> bool {
        let vectors = usize::try_from(XSAVE_BYTES.load(Relaxed)).unwrap_or(usize::MAX).max(512);
        let bytes = RED_ZONE + size_of::<FaultFrame>();
        let Some(frame) = frame_address(self.stack(), bytes, vectors, slot) else { return false };
        let (cs, ss): (u16, u16);
        // SAFETY: reads two segment registers.
        unsafe {
            core::arch::asm!("mov {0:x}, cs", "mov {1:x}, ss", out(reg) cs, out(reg) ss, options(nomem, nostack, preserves_flags));
        }
        let content = FaultFrame {
            page: u64::from(page.0),
            write: u64::from(self.wrote()),
            rip: self.get(libc::REG_RIP),
            cs: u64::from(cs),
            rflags: self.get(libc::REG_EFL),
            rsp: self.get(libc::REG_RSP),
            ss: u64::from(ss),
            pad: 0,
        };
        // SAFETY: on the rank's stack, below everything that the interrupted code uses, and aligned.
        unsafe { core::ptr::with_exposed_provenance_mut::<FaultFrame>(frame).write(content) };
        self.set(libc::REG_RSP, frame);
        self.set(libc::REG_RIP, fault as *const () as usize);
        true
    }
}
