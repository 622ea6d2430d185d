//! Single instructions of the processor.

use core::arch::asm;

/// Writes a byte to a port.
///
/// # Safety
/// Whatever is behind the port must not touch memory that is in use.
#[inline]
pub unsafe fn outb(port: u16, value: u8) {
    // SAFETY: as the caller promises.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags))
    };
}

/// Reads a byte from a port.
///
/// # Safety
/// Reading must not do anything to memory that is in use.
#[inline]
#[must_use]
pub unsafe fn inb(port: u16) -> u8 {
    let value: u8;
    // SAFETY: as the caller promises.
    unsafe {
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags))
    };
    value
}
