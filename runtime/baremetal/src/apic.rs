//! Interrupt controllers: the processor's own with its timer, and those that devices pull the
//! lines of. The old ones are switched off.

use crate::clock;
use crate::cpu::{self, outb};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use runtime_core::time::Instant;

const LOCAL: usize = 0xfee0_0000;
/// The second one is there when the machine has more than 24 lines.
const OUTER: [usize; 2] = [0xfec0_0000, 0xfec1_0000];
/// Lines of an outer controller.
const LINES: u32 = 24;

/// Registers of the processor's controller.
const END: usize = 0xb0;
const SPURIOUS: usize = 0xf0;
const TIMER: usize = 0x320;
const LINT: [usize; 2] = [0x350, 0x360];
const INITIAL_COUNT: usize = 0x380;
const CURRENT_COUNT: usize = 0x390;
const DIVISOR: usize = 0x3e0;

const MASKED: u32 = 1 << 16;

/// Vector of the timer.
pub const TIMER_VECTOR: u8 = 0x20;
/// Vector of line 0; the others follow.
pub const LINE_VECTOR: u8 = 0x30;
/// Vector of interrupts that went away before they were taken. They are not ended.
pub const SPURIOUS_VECTOR: u8 = 0xff;

/// When the timer is to go off; `u64::MAX` for never.
static ARMED: AtomicU64 = AtomicU64::new(u64::MAX);
/// Lines that interrupted and were not looked after since, a bit each.
static PULLED: AtomicU64 = AtomicU64::new(0);

fn write(address: usize, value: u32) {
    // SAFETY: a register of an interrupt controller, which is mapped to itself.
    unsafe { core::ptr::with_exposed_provenance_mut::<u32>(address).write_volatile(value) };
}

fn read(address: usize) -> u32 {
    // SAFETY: as in `write`.
    unsafe { core::ptr::with_exposed_provenance::<u32>(address).read_volatile() }
}

/// Switches the old controllers off and the processor's on. No interrupt comes yet.
pub fn start() {
    // SAFETY: mask registers of the old controllers.
    unsafe {
        outb(0x21, 0xff);
        outb(0xa1, 0xff);
    }
    LINT.iter().for_each(|register| write(LOCAL + register, MASKED));
    write(LOCAL + TIMER, MASKED);
    // Undivided: on QEMU one count is a nanosecond.
    write(LOCAL + DIVISOR, 0b1011);
    write(LOCAL + SPURIOUS, 0x100 | u32::from(SPURIOUS_VECTOR));
}

/// Lets a line of a device interrupt the processor. By its edge: who serves the device first takes
/// its line down, then looks what there is, so that nothing is missed, and nothing comes twice.
///
/// Says whether there is such a line.
#[must_use]
pub fn route(line: u32) -> bool {
    let Some(controller) = OUTER.get((line / LINES) as usize) else { return false };
    let register = 0x10 + 2 * (line % LINES);
    let set = |register: u32, value: u32| {
        write(*controller, register);
        write(*controller + 0x10, value);
    };
    set(register + 1, 0);
    set(register, u32::from(LINE_VECTOR) + line);
    true
}

/// Ends the interrupt that is being served.
pub fn end() {
    write(LOCAL + END, 0);
}

/// An interrupt was taken: takes note of whose.
pub fn taken(vector: u64) {
    if vector == u64::from(TIMER_VECTOR) {
        ARMED.store(u64::MAX, Relaxed);
    } else if let Some(line) = vector.checked_sub(u64::from(LINE_VECTOR)) {
        PULLED.fetch_or(1 << (line % 64), Relaxed);
    }
}

/// Did the line interrupt since this was asked last? Asking a device itself is expensive.
pub fn pulled(line: u32) -> bool {
    PULLED.fetch_and(!(1 << line), Relaxed) & (1 << line) != 0
}

/// Makes sure that an interrupt comes when it is this late, or somewhat earlier. Not setting the
/// timer is cheap, setting it is not, so one that goes off too early stays.
pub fn wake_at(at: Option<Instant>) {
    let Some(Instant(at)) = at else { return };
    if ARMED.load(Relaxed) <= at {
        return;
    }
    let left = at.saturating_sub(clock::now().0).max(1);
    let count = u32::try_from(left).unwrap_or(u32::MAX);
    ARMED.store(at, Relaxed);
    write(LOCAL + TIMER, u32::from(TIMER_VECTOR));
    write(LOCAL + INITIAL_COUNT, count);
}

/// Ticks of the time stamp counter while the timer counts so many nanoseconds.
pub fn ticks_during(nanoseconds: u32) -> u64 {
    write(LOCAL + TIMER, MASKED | u32::from(TIMER_VECTOR));
    write(LOCAL + INITIAL_COUNT, u32::MAX);
    let (from, start) = (read(LOCAL + CURRENT_COUNT), cpu::tsc());
    loop {
        let (count, tsc) = (read(LOCAL + CURRENT_COUNT), cpu::tsc());
        if from - count >= nanoseconds {
            write(LOCAL + INITIAL_COUNT, 0);
            // What was really counted may be more, when the machine stood still.
            let ticks = u128::from(tsc - start) * u128::from(nanoseconds);
            return u64::try_from(ticks / u128::from(from - count)).unwrap_or(u64::MAX);
        }
    }
}
