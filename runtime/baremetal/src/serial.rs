//! The console: lines out on the first serial port. It needs no memory and no interrupt, and works from
//! any place, a fault in the middle of another line included.

use crate::cpu::{inb, outb};
use core::fmt::{self, Write};

const PORT: u16 = 0x3f8;
/// Empty transmitter, in the line status register.
const EMPTY: u8 = 0x20;
/// So often a full transmitter is asked before its byte is lost: a console that nobody reads must not
/// hang the node.
const PATIENCE: u32 = 100_000;

/// Makes the port usable: 115200 baud, 8 data bits, no parity, queues, no interrupts.
pub fn init() {
    for (register, value) in [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 7), (4, 3)] {
        // SAFETY: registers of the serial port, which knows nothing of memory.
        unsafe { outb(PORT + register, value) };
    }
}

/// Prints a line.
pub fn say(line: fmt::Arguments<'_>) {
    // Never fails.
    let _ = Port.write_fmt(line);
    let _ = Port.write_str("\n");
}

struct Port;

impl Write for Port {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(b'\r');
            }
            put(byte);
        }
        Ok(())
    }
}

fn put(byte: u8) {
    for _ in 0..PATIENCE {
        // SAFETY: as in `init`.
        if unsafe { inb(PORT + 5) } & EMPTY != 0 {
            break;
        }
    }
    // SAFETY: as in `init`.
    unsafe { outb(PORT, byte) };
}
