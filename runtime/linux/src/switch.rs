//! The only assembly: switching between the host's stack and a rank's, and the way from a page fault
//! to such a switch and back.
//!
//! A stack that stands still has, from its stack pointer up: MXCSR and x87 control word (8 bytes),
//! r15, r14, r13, r12, rbx, rbp, return address.

use crate::slot::Registers;
use core::arch::naked_asm;
use core::mem::offset_of;
use core::sync::atomic::AtomicU64;

const _: () = assert!(offset_of!(Registers, host) == 0 && offset_of!(Registers, rank) == 8);

/// What crosses a switch towards the rank: two registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Words {
    pub(crate) tag: u64,
    pub(crate) value: u64,
}

/// Bytes that `xsave64` writes with all components that the kernel enabled; 0 where it has to be
/// `fxsave64`.
pub(crate) static XSAVE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Bytes of a first frame, see [`enter`].
pub(crate) const FRAME_WORDS: usize = 8;

/// From the host to the rank whose stack pointer was saved; returns when it switches out, with the
/// address of its request, or with 0 when it was abandoned.
///
/// # Safety
/// `registers.rank` must be the stack pointer of a stack that stands still.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn enter(_registers: *const Registers, _words: Words) -> usize {
    // rdi = registers, rsi = tag, rdx = value
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi], rsp",
        "mov rsp, [rdi + 8]",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "mov rax, rsi",
        "ret",
    )
}

/// From the rank to the host, with the address of a request; returns with the answer.
///
/// # Safety
/// Only on a rank's stack that `enter` switched to; `registers` of its slot.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn leave(_registers: *const Registers, _request: usize) -> Words {
    // rdi = registers, rsi = request; the answer comes in rax and rdx
    naked_asm!(
        "push rbp",
        "push rbx",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "fnstcw [rsp + 4]",
        "mov [rdi + 8], rsp",
        "mov rsp, [rdi]",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "mov rax, rsi",
        "ret",
    )
}

/// Where a signal handler sends a rank that is to be given up: to the host, with request 0, saving
/// nothing. rdi = registers of its slot.
///
/// # Safety
/// Never called: jumped to, from a rank's stack.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn abandon() {
    naked_asm!(
        "cld",
        "fninit",
        "mov rsp, [rdi]",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbx",
        "pop rbp",
        "xor eax, eax",
        "ret",
    )
}

/// First instructions of a rank: rbx is what [`crate::context`] put there.
///
/// # Safety
/// Never called: returned to, by the first `enter`.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn begin() {
    naked_asm!("xor ebp, ebp", "mov rdi, rbx", "call {main}", "ud2", main = sym crate::context::main)
}

/// What the fault handler leaves on the rank's stack, below the red zone, for [`fault`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct FaultFrame {
    /// Argument of the switch: shared page and access.
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
        leave = sym crate::context::leave_with_fault,
    )
}

/// Finds out how large the area of `xsave64` is here.
pub(crate) fn detect_xsave() {
    use core::arch::x86_64::{__cpuid, __cpuid_count};
    const OSXSAVE: u32 = 1 << 27;
    let bytes = if __cpuid(1).ecx & OSXSAVE == 0 { 0 } else { __cpuid_count(0xd, 0).ebx };
    XSAVE_BYTES.store(u64::from(bytes), core::sync::atomic::Ordering::SeqCst);
}
