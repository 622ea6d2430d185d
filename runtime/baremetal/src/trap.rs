//! Traps: interrupts and exceptions.
//!
//! The host runs with interrupts off; only a rank, and a processor that sleeps, are interrupted. A trap
//! that the host must deal with leaves the rank: all its registers go to one place, and the host
//! finds itself coming out of the call with which it let the rank run. [`resume`] puts the registers
//! back. So the host is one thread of control, which nothing ever breaks into.

use crate::one::One;
use crate::{apic, cpu, fatal, memory};
use core::arch::{global_asm, naked_asm};
use core::fmt;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use runtime_core::id::PageNo;
use runtime_core::mem::Access;
use runtime_driver::context::TRAPPED;
use runtime_driver::slot::{self, Registers};

/// Interrupts are on, in the flags.
const INTERRUPTS: u64 = 1 << 9;
const DOUBLE_FAULT: u64 = 8;
/// Vector of page faults.
pub const PAGE_FAULT: u64 = 14;
/// A page fault was by a write.
const BY_WRITE: u64 = 1 << 1;
/// It was by the fetch of an instruction.
const BY_FETCH: u64 = 1 << 4;

/// The interrupted code's registers, as the handlers push them.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    r11: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rdi: u64,
    rsi: u64,
    /// Frame pointer, in code that keeps one.
    pub rbp: u64,
    rdx: u64,
    rcx: u64,
    rbx: u64,
    rax: u64,
    /// Which trap.
    pub vector: u64,
    /// What the processor says about it.
    pub error: u64,
    /// Instruction.
    pub rip: u64,
    cs: u64,
    rflags: u64,
    /// Stack pointer.
    pub rsp: u64,
    ss: u64,
}

/// Vector registers and their state, as `fxsave64` writes them.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Vectors([u8; 512]);

/// Everything of a rank that was left at a trap.
#[repr(C)]
struct Left {
    vectors: Vectors,
    frame: Frame,
}

const _: () = assert!(offset_of!(Left, frame) == 512 && size_of::<Frame>() == 22 * 8);

// SAFETY: all zero, which is a valid value of numbers.
static LEFT: One<Left> = One::new(unsafe { core::mem::zeroed() });
static CAUSE: One<Cause> = One::new(Cause::Interrupt);
/// The processor sleeps; interrupts are on though no rank runs.
static ASLEEP: AtomicBool = AtomicBool::new(false);

/// Why a rank was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A device or the timer.
    Interrupt,
    /// It touched a page that it may not, and that it can ask for.
    Fault {
        /// Which page.
        page: PageNo,
        /// What it needs.
        access: Access,
    },
    /// It touched what is below its stack.
    Overflow,
    /// It did what it must not.
    Crash {
        /// Which trap.
        vector: u64,
        /// What it touched; 0 when it touched nothing.
        address: usize,
        /// Where in the image.
        instruction: usize,
    },
}

/// Name of an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name(pub u64);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "division error",
            1 | 3 => "debug trap",
            2 => "non-maskable interrupt",
            6 => "invalid instruction",
            7 => "no floating-point unit",
            DOUBLE_FAULT => "double fault",
            10..=12 => "segment fault",
            13 => "general protection fault",
            PAGE_FAULT => "page fault",
            16 | 19 => "floating-point exception",
            17 => "alignment check",
            18 => "machine check",
            _ => return write!(f, "trap {}", self.0),
        };
        f.write_str(name)
    }
}

/// Does nothing go on after it?
pub fn is_last(vector: u64) -> bool {
    // Non-maskable interrupt, double fault, machine check.
    matches!(vector, 2 | DOUBLE_FAULT | 18)
}

// SAFETY: the label of the assembly below; only its address is taken.
unsafe extern "C" {
    /// First of the handlers, which are 16 bytes each.
    static understudy_trap_handlers: u8;
}

/// Address of the handler of a vector.
pub fn handler(vector: usize) -> usize {
    (&raw const understudy_trap_handlers).addr() + vector * 16
}

// Each handler leaves an error code, of its own or the processor's, and its vector on the stack.
global_asm!(
    r#"
    .text
    .balign 16
    .global understudy_trap_handlers
understudy_trap_handlers:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    .else
    pushq $0
    .endif
    pushq $vector
    jmp {common}
    .set vector, vector + 1
    .endr
    "#,
    common = sym common,
    options(att_syntax),
);

/// Saves everything, and asks [`on_trap`].
///
/// # Safety
/// Never called: jumped to by the handlers.
#[unsafe(naked)]
unsafe extern "C" fn common() {
    naked_asm!(
        "push rax", "push rbx", "push rcx", "push rdx", "push rbp", "push rsi", "push rdi",
        "push r8", "push r9", "push r10", "push r11", "push r12", "push r13", "push r14", "push r15",
        "cld",
        "mov rbp, rsp",
        "sub rsp, 512",
        "and rsp, -64",
        "fxsave64 [rsp]",
        "mov rdi, rbp",
        "mov rsi, rsp",
        "call {on_trap}",
        "test rax, rax",
        "jnz 2f",
        "fxrstor64 [rsp]",
        "mov rsp, rbp",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop r11", "pop r10", "pop r9", "pop r8",
        "pop rdi", "pop rsi", "pop rbp", "pop rdx", "pop rcx", "pop rbx", "pop rax",
        "add rsp, 16",
        "iretq",
        // To the host: rax = its registers. It comes out of `enter` or `resume`.
        "2:",
        "fninit",
        "mov rsp, [rax]",
        "ldmxcsr [rsp]",
        "fldcw [rsp + 4]",
        "add rsp, 8",
        "pop r15", "pop r14", "pop r13", "pop r12", "pop rbx", "pop rbp",
        "mov eax, {trapped}",
        "ret",
        on_trap = sym on_trap,
        trapped = const TRAPPED,
    )
}

/// Lets the rank that was left at a trap go on where it was, with interrupts on. Returns what
/// [`runtime_driver::switch::enter`] does.
///
/// # Safety
/// A rank was left at a trap, and its memory is as it was. `registers` are those of its slot.
pub unsafe fn resume(registers: *const Registers) -> usize {
    // SAFETY: as the caller promises.
    unsafe { go_on(registers, LEFT.get()) }
}

#[unsafe(naked)]
unsafe extern "C" fn go_on(_registers: *const Registers, _left: *const Left) -> usize {
    // As `enter` leaves the host's stack.
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
        "fxrstor64 [rsi]",
        "lea rsp, [rsi + 512]",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop r11",
        "pop r10",
        "pop r9",
        "pop r8",
        "pop rdi",
        "pop rsi",
        "pop rbp",
        "pop rdx",
        "pop rcx",
        "pop rbx",
        "pop rax",
        "add rsp, 16",
        "iretq",
    )
}

/// Why the rank was left at the last trap.
pub fn cause() -> Cause {
    // SAFETY: a copy of a plain value, which only traps of a rank change, and the rank does not run.
    unsafe { *CAUSE.borrow() }
}

/// Sleeps until an interrupt.
pub fn sleep() {
    ASLEEP.store(true, Relaxed);
    cpu::sleep();
    ASLEEP.store(false, Relaxed);
}

/// Deals with a trap, or leaves the rank: then returns the address of the registers of its slot.
extern "C" fn on_trap(frame: &mut Frame, vectors: &Vectors) -> usize {
    let rank = slot::of_stack(usize::try_from(frame.rsp).unwrap_or(0));
    let asleep = ASLEEP.load(Relaxed);
    // A rank that lost its stack pointer is still told by its interrupts, which are on.
    let by_rank = rank.is_some() || frame.rflags & INTERRUPTS != 0 && !asleep;
    let cause = if frame.vector >= u64::from(apic::TIMER_VECTOR) {
        interrupted(frame.vector);
        if !by_rank {
            frame.rflags &= !INTERRUPTS;
            return 0;
        }
        Cause::Interrupt
    } else {
        match excepted(frame) {
            None => return 0,
            Some(cause) if by_rank && !is_last(frame.vector) => cause,
            Some(_) => fatal::trapped(frame),
        }
    };
    // SAFETY: the rank runs, so the host uses neither.
    unsafe {
        *CAUSE.borrow() = cause;
        *LEFT.borrow() = Left { vectors: *vectors, frame: *frame };
    }
    core::ptr::from_ref(&rank.unwrap_or_else(|| slot::get(0)).registers).addr()
}

fn interrupted(vector: u64) {
    if vector == u64::from(apic::SPURIOUS_VECTOR) {
        return;
    }
    apic::taken(vector);
    apic::end();
}

/// What an exception means for a rank; `None` when the instruction can be tried again at once.
fn excepted(frame: &Frame) -> Option<Cause> {
    let instruction = usize::try_from(frame.rip).unwrap_or(0);
    let vector = frame.vector;
    if vector != PAGE_FAULT {
        return Some(Cause::Crash { vector, address: 0, instruction });
    }
    let address = cpu::fault_address();
    let access = if frame.error & BY_WRITE == 0 { Access::Read } else { Access::Write };
    if frame.error & BY_FETCH != 0 {
        return Some(Cause::Crash { vector, address, instruction });
    }
    match memory::touched(address, access) {
        memory::Touch::Mapped => None,
        memory::Touch::Asks(page) => Some(Cause::Fault { page, access }),
        memory::Touch::Guard => Some(Cause::Overflow),
        memory::Touch::Foreign => Some(Cause::Crash { vector, address, instruction }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_handler_names_its_vector_and_pushes_an_error_code_where_the_processor_does_not() {
        for vector in 0..256_usize {
            let code = core::ptr::with_exposed_provenance::<[u8; 16]>(handler(vector));
            // SAFETY: the handlers are 16 bytes each.
            let code = unsafe { code.read() };
            let by_processor = [8, 10, 11, 12, 13, 14, 17, 21].contains(&vector);
            let code = if by_processor {
                &code[..]
            } else {
                assert_eq!(code[..2], [0x6a, 0], "vector {vector}");
                &code[2..]
            };
            // `push` with 8 or 32 bits.
            let pushed = match code {
                [0x6a, low, ..] => usize::from(*low),
                [0x68, a, b, c, d, ..] => u32::from_le_bytes([*a, *b, *c, *d]) as usize,
                _ => panic!("vector {vector}: {code:x?}"),
            };
            assert_eq!(pushed, vector);
        }
    }
}
