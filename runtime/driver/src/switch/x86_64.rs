//! On x86_64. A stack that stands still has, from its stack pointer up: MXCSR and x87 control word (8 bytes),
//! r15, r14, r13, r12, rbx, rbp, return address.

use super::{Registers, Words};
use core::arch::naked_asm;

/// Where nothing is under the ranks, a rank runs with interrupts on, and its host with interrupts off: as
/// soon as the stack is the rank's, and until it is not. What `sti` turns on begins after the next instruction.
#[cfg(bare_metal)]
macro_rules! interrupts {
    (on) => {
        "sti"
    };
    (off) => {
        "cli"
    };
}
/// An operating system sees to interrupts.
#[cfg(not(bare_metal))]
macro_rules! interrupts {
    ($state:ident) => {
        ""
    };
}

/// Words of the frame of a rank that begins.
pub const FRAME_WORDS: usize = 8;
/// What the stack pointer of a stack that stands still is a multiple of.
pub(crate) const FRAME_ALIGN: usize = 8;

/// The frame of a rank that begins: its first `enter` leads to [`begin`], which finds the argument.
pub(crate) fn first_frame(argument: usize) -> [u64; FRAME_WORDS] {
    let mut words = [0_u64; FRAME_WORDS];
    // MXCSR and x87 control word as the ABI has them at the start of a process.
    words[0] = 0x1f80 | 0x037f << 32;
    words[5] = argument as u64;
    words[7] = begin as *const () as u64;
    words
}

/// Where the stack is that the calling code runs on.
#[inline]
pub(crate) fn stack_pointer() -> usize {
    let rsp: usize;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, rsp", out(reg) rsp, options(nomem, nostack, preserves_flags))
    };
    rsp
}

/// From the host to the rank whose stack pointer was saved; returns when it switches out, with the
/// address of its request, or with 0 when it was abandoned.
///
/// # Safety
/// `registers.rank` must be the stack pointer of a stack that stands still.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(_registers: *const Registers, _words: Words) -> usize {
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
        interrupts!(on),
        "ret",
    )
}

/// From the rank to the host, with the address of a request; returns with the answer.
///
/// # Safety
/// Only on a rank's stack that `enter` switched to; `registers` of its slot.
#[unsafe(naked)]
pub unsafe extern "C" fn leave(_registers: *const Registers, _request: usize) -> Words {
    // rdi = registers, rsi = request; the answer comes in rax and rdx
    naked_asm!(
        interrupts!(off),
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
pub unsafe extern "C" fn abandon() {
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

/// First instructions of a rank: rbx is the argument of [`first_frame`].
///
/// # Safety
/// Never called: returned to, by the first `enter`.
#[unsafe(naked)]
unsafe extern "C" fn begin() {
    naked_asm!("xor ebp, ebp", "mov rdi, rbx", "call {main}", "ud2", main = sym crate::context::main)
}
