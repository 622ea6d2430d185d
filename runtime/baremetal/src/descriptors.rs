//! What the processor looks up at a trap: segments, stacks, handlers.

use crate::one::One;
use crate::trap;
use core::arch::asm;
use core::ops::Range;

/// Selector of the code segment.
pub(crate) const CODE: u16 = 8;
const TASK: u16 = 16;

/// A task state: only its stacks are used.
#[repr(C, packed(4))]
struct Task {
    reserved: u32,
    privileged: [u64; 3],
    reserved2: u64,
    stacks: [u64; 7],
    reserved3: u64,
    reserved4: u16,
    port_map: u16,
}

/// A handler of a vector.
#[repr(C)]
#[derive(Clone, Copy)]
struct Gate {
    low: u16,
    code: u16,
    /// Which of the task's stacks, from 1.
    stack: u8,
    kind: u8,
    middle: u16,
    high: u32,
    reserved: u32,
}

/// An interrupt gate: interrupts are off in the handler.
const INTERRUPT_GATE: u8 = 0x8e;

#[repr(C, packed(2))]
struct Pointer {
    limit: u16,
    address: u64,
}

static SEGMENTS: One<[u64; 4]> = One::new([0, 0x00af_9b00_0000_ffff, 0, 0]);
static TASK_STATE: One<Task> = One::new(Task {
    reserved: 0,
    privileged: [0; 3],
    reserved2: 0,
    stacks: [0; 7],
    reserved3: 0,
    reserved4: 0,
    #[expect(clippy::cast_possible_truncation, reason = "a hundred bytes")]
    port_map: size_of::<Task>() as u16,
});
static GATES: One<[Gate; 256]> = One::new(
    [Gate { low: 0, code: CODE, stack: 0, kind: 0, middle: 0, high: 0, reserved: 0 }; 256],
);

/// Traps are taken from now on: on the stack `traps`, those that nothing goes on after on `fatal`.
///
/// Both are stacks of their own because precompiled code keeps data below its stack pointer.
pub fn install(traps: &Range<usize>, fatal: &Range<usize>) {
    let pointer = |limit: usize, address: usize| Pointer {
        limit: u16::try_from(limit - 1).unwrap_or(u16::MAX),
        address: address as u64,
    };
    // SAFETY: called once, before there are traps; the tables are static and stay as they are.
    unsafe {
        let task = TASK_STATE.borrow();
        task.stacks[0] = traps.end as u64;
        task.stacks[1] = fatal.end as u64;
        let at = TASK_STATE.get().addr() as u64;
        let segments = SEGMENTS.borrow();
        // An available task state of 64 bits.
        segments[2] = (size_of::<Task>() as u64 - 1)
            | (at & 0xff_ffff) << 16
            | 0x89 << 40
            | (at >> 24 & 0xff) << 56;
        segments[3] = at >> 32;
        for (vector, gate) in GATES.borrow().iter_mut().enumerate() {
            let handler = trap::handler(vector);
            #[expect(clippy::cast_possible_truncation, reason = "cut into parts")]
            {
                gate.low = handler as u16;
                gate.middle = (handler >> 16) as u16;
                gate.high = (handler >> 32) as u32;
            }
            gate.kind = INTERRUPT_GATE;
            gate.stack = if trap::is_last(vector as u64) { 2 } else { 1 };
        }
        let table = pointer(size_of::<[u64; 4]>(), SEGMENTS.get().addr());
        asm!(
            "lgdt [{table}]",
            "ltr {task:x}",
            table = in(reg) &raw const table,
            task = in(reg) TASK,
            options(nostack, preserves_flags),
        );
        let gates = pointer(size_of::<[Gate; 256]>(), GATES.get().addr());
        asm!("lidt [{}]", in(reg) &raw const gates, options(nostack, preserves_flags));
    }
}
