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
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags));
    }
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
        asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// The time stamp counter.
#[inline]
#[must_use]
pub fn tsc() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Takes no interrupts from now on.
#[inline]
pub fn interrupts_off() {
    // SAFETY: delays interrupts at most.
    unsafe { asm!("cli", options(nomem, nostack)) };
}

/// Sleeps until an interrupt, and takes it, with interrupts off before and after. One that is
/// pending already ends the sleep at once: none is taken between the two instructions.
#[inline]
pub fn sleep() {
    // SAFETY: the trap handler returns here with interrupts off; it runs on a stack of its own.
    unsafe { asm!("sti", "hlt", options(nostack)) };
}

/// Physical address of the page table in use.
#[inline]
#[must_use]
pub fn table() -> usize {
    let table: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr3", out(reg) table, options(nomem, nostack, preserves_flags)) };
    table & !0xfff
}

/// Forgets all translations of addresses.
#[inline]
pub fn flush_all() {
    // SAFETY: the same table as before.
    unsafe { asm!("mov {0}, cr3", "mov cr3, {0}", out(reg) _, options(nostack, preserves_flags)) };
}

/// Forgets the translation of an address.
#[inline]
pub fn flush(address: usize) {
    // SAFETY: it will be looked up again.
    unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
}

/// The address that a page fault is about.
#[inline]
#[must_use]
pub fn fault_address() -> usize {
    let address: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}
