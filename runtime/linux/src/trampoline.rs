//! The way from a page fault to the host and back: assembly that a signal handler sends the rank to.

use core::arch::naked_asm;
use core::sync::atomic::AtomicU64;

/// Bytes that `xsave64` writes with all components that the kernel enabled; 0 where it has to be
/// `fxsave64`.
pub(crate) static XSAVE_BYTES: AtomicU64 = AtomicU64::new(0);

/// What the fault handler leaves on the rank's stack, below the red zone, for [`fault`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct FaultFrame {
    /// Argument of the switch: number of the page, and access.
    pub(crate) page: u64,
    pub(crate) write: u64,
    /// As `iretq` takes it: it loads instruction and stack pointer at once, so nothing has to be put
    /// where the interrupted code's red zone is.
    pub(crate) rip: u64,
    pub(crate) cs: u64,
    pub(crate) rflags: u64,
    pub(crate) rsp: u64,
    pub(crate) ss: u64,
    /// Keeps the frame at a multiple of 16.
    pub(crate) pad: u64,
}

/// Where the fault handler sends a rank: saves everything the interrupted code may have live, switches
/// to the host, and on return runs the same instruction again. rsp = a [`FaultFrame`], at a multiple of 16.
///
/// # Safety
/// Never called: jumped to, with rsp as said.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn fault() {
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
pub(crate) fn detect_xsave() {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    const OSXSAVE: u32 = 1 << 27;
    let bytes = if __cpuid(1).ecx & OSXSAVE == 0 { 0 } else { __cpuid_count(0xd, 0).ebx };
    XSAVE_BYTES.store(u64::from(bytes), core::sync::atomic::Ordering::SeqCst);
}
