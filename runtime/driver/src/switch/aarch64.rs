//! On aarch64. A stack that stands still has, from its stack pointer up: x19 to x28, x29, where it goes on (x30),
//! d8 to d15, FPCR, and 8 bytes that keep it at a multiple of 16.

use super::{Registers, Words};
use core::arch::naked_asm;

/// Words of the frame of a rank that begins.
pub const FRAME_WORDS: usize = 22;
/// What the stack pointer of a stack that stands still is a multiple of.
pub(crate) const FRAME_ALIGN: usize = 16;

const _: () = assert!(FRAME_WORDS * 8 == 176, "the assembly counts so");

/// Pushes a frame; x9 is lost.
macro_rules! save {
    () => {
        concat!(
            "sub sp, sp, #176\n",
            "stp x19, x20, [sp]\n",
            "stp x21, x22, [sp, #16]\n",
            "stp x23, x24, [sp, #32]\n",
            "stp x25, x26, [sp, #48]\n",
            "stp x27, x28, [sp, #64]\n",
            "stp x29, x30, [sp, #80]\n",
            "stp d8, d9, [sp, #96]\n",
            "stp d10, d11, [sp, #112]\n",
            "stp d12, d13, [sp, #128]\n",
            "stp d14, d15, [sp, #144]\n",
            "mrs x9, fpcr\n",
            "str x9, [sp, #160]\n",
            "mov x9, sp",
        )
    };
}

/// Takes the stack that x9 points to and pops its frame; x9 is lost.
macro_rules! load {
    () => {
        concat!(
            "mov sp, x9\n",
            "ldr x9, [sp, #160]\n",
            "msr fpcr, x9\n",
            "ldp x19, x20, [sp]\n",
            "ldp x21, x22, [sp, #16]\n",
            "ldp x23, x24, [sp, #32]\n",
            "ldp x25, x26, [sp, #48]\n",
            "ldp x27, x28, [sp, #64]\n",
            "ldp x29, x30, [sp, #80]\n",
            "ldp d8, d9, [sp, #96]\n",
            "ldp d10, d11, [sp, #112]\n",
            "ldp d12, d13, [sp, #128]\n",
            "ldp d14, d15, [sp, #144]\n",
            "add sp, sp, #176",
        )
    };
}

/// The frame of a rank that begins: its first `enter` leads to [`begin`], which finds the argument.
pub(crate) fn first_frame(argument: usize) -> [u64; FRAME_WORDS] {
    // FPCR is 0 at the start of a process.
    let mut words = [0_u64; FRAME_WORDS];
    words[0] = argument as u64;
    words[11] = begin as *const () as u64;
    words
}

/// Where the stack is that the calling code runs on.
#[inline]
pub(crate) fn stack_pointer() -> usize {
    let sp: usize;
    // SAFETY: reads a register.
    unsafe {
        core::arch::asm!("mov {}, sp", out(reg) sp, options(nomem, nostack, preserves_flags))
    };
    sp
}

/// From the host to the rank whose stack pointer was saved; returns when it switches out, with the
/// address of its request, or with 0 when it was abandoned.
///
/// # Safety
/// `registers.rank` must be the stack pointer of a stack that stands still.
#[unsafe(naked)]
pub unsafe extern "C" fn enter(_registers: *const Registers, _words: Words) -> usize {
    // x0 = registers, x1 = tag, x2 = value
    naked_asm!(
        save!(),
        "str x9, [x0]",
        "ldr x9, [x0, #8]",
        load!(),
        "mov x0, x1",
        "mov x1, x2",
        "ret",
    )
}

/// From the rank to the host, with the address of a request; returns with the answer.
///
/// # Safety
/// Only on a rank's stack that `enter` switched to; `registers` of its slot.
#[unsafe(naked)]
pub unsafe extern "C" fn leave(_registers: *const Registers, _request: usize) -> Words {
    // x0 = registers, x1 = request; the answer comes in x0 and x1
    naked_asm!(save!(), "str x9, [x0, #8]", "ldr x9, [x0]", load!(), "mov x0, x1", "ret")
}

/// Where a signal handler sends a rank that is to be given up: to the host, with request 0, saving
/// nothing. x0 = registers of its slot.
///
/// # Safety
/// Never called: jumped to, from a rank's stack.
#[unsafe(naked)]
pub unsafe extern "C" fn abandon() {
    naked_asm!("ldr x9, [x0]", load!(), "mov x0, #0", "ret")
}

/// First instructions of a rank: x19 is the argument of [`first_frame`].
///
/// # Safety
/// Never called: returned to, by the first `enter`.
#[unsafe(naked)]
unsafe extern "C" fn begin() {
    naked_asm!("mov x29, #0", "mov x30, #0", "mov x0, x19", "bl {main}", "brk #1", main = sym crate::context::main)
}
