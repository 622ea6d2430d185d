//! Switching between the host's stack and a rank's.
//!
//! A stack that stands still has, from its stack pointer up: MXCSR and x87 control word (8 bytes),
//! r15, r14, r13, r12, rbx, rbp, return address.

use crate::slot::Registers;
use core::arch::naked_asm;
use core::mem::offset_of;

const _: () = assert!(offset_of!(Registers, host) == 0 && offset_of!(Registers, rank) == 8);

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

/// What crosses a switch towards the rank: two registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Words {
    /// 0: a value; else which error.
    pub tag: u64,
    /// The value.
    pub value: u64,
}

/// Bytes of a first frame, see [`enter`].
pub const FRAME_WORDS: usize = 8;

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

/// First instructions of a rank: rbx is what [`crate::context`] put there.
///
/// # Safety
/// Never called: returned to, by the first `enter`.
#[unsafe(naked)]
pub unsafe extern "C" fn begin() {
    naked_asm!("xor ebp, ebp", "mov rdi, rbx", "call {main}", "ud2", main = sym crate::context::main)
}
