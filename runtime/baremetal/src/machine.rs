//! Bringing a machine up.

use crate::image::Image;
use crate::start::{self, Options, StartError};
use crate::{apic, clock, descriptors, heap, serial};

/// How long the time stamp counter is watched when its frequency is not known: 10 ms.
const WATCHED_NS: u32 = 10_000_000;

/// Makes a machine usable: console, traps, memory with its protection, interrupt controllers, clock.
/// Interrupts are off.
///
/// # Errors
/// When the machine is not one that this can run on. The console works already.
///
/// # Safety
/// Called once, first, with the start information and the image that the machine was started with.
pub unsafe fn bring_up(info: usize, image: Image) -> Result<Options, StartError> {
    serial::init();
    descriptors::install(&image.trap_stack, &image.fatal_stack);
    // SAFETY: as the caller promises; nothing but the image's own memory was written so far.
    let (map, line) = unsafe { start::read(info) }?;
    let line = core::str::from_utf8(line).map_err(|_| StartError::Option("text"))?;
    let options = Options::parse(line)?;
    let free = start::free_memory(map, &(image.start..image.end))?;
    heap::with_pool(|pool| pool.give(free.start, free.end));
    // SAFETY: as the caller promises; there is memory for tables now.
    unsafe { image.settle(map) };
    apic::start();
    clock::start(options.tsc_khz.unwrap_or_else(|| {
        // The timer of the interrupt controller counts nanoseconds on QEMU.
        let khz = apic::ticks_during(WATCHED_NS) / u64::from(WATCHED_NS / 1_000_000);
        serial::say(format_args!("tsc_khz is not on the command line: measured {khz}"));
        khz
    }));
    Ok(options)
}
