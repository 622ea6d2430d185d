//! How the machine ends.

use crate::cpu::outb;
use core::arch::asm;

/// QEMU's `isa-debug-exit`.
const EXIT_PORT: u16 = 0xf4;
/// What it is told for an orderly end; QEMU then exits with `2 * x + 1`, here 33.
const ORDERLY: u8 = 0x10;
/// What it is told after a fault; QEMU exits with 35.
const FAULT: u8 = 0x11;

/// Ends the machine for good; `fault` shows in how QEMU exits. Without the device the machine resets, and QEMU,
/// told not to reboot, exits with 0.
pub fn end(fault: bool) -> ! {
    // SAFETY: the device, if it is there, ends the machine; nothing else is at this port.
    unsafe { outb(EXIT_PORT, if fault { FAULT } else { ORDERLY }) };
    let none: [u16; 5] = [0; 5];
    // SAFETY: without a table of handlers the next exception is the third in a row, which resets the machine.
    unsafe { asm!("lidt [{}]", "ud2", in(reg) &raw const none, options(noreturn)) }
}
