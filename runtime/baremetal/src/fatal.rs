//! The last words of a node that cannot go on: on the console, and on the control port if somebody
//! listens there. Nothing here allocates or waits for long, for any part of the node may be broken.

use crate::image;
use crate::memory;
use crate::one::One;
use crate::paging::{PAGE, PRESENT};
use crate::trap::{Frame, Name, PAGE_FAULT};
use crate::{cpu, power, serial};
use core::fmt::{self, Write};
use core::ops::Range;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Most calls of a backtrace.
const DEPTH: usize = 32;
/// Room for what the control port is told.
const LINE: usize = 4096;

/// Somebody is dying.
static ENDING: AtomicBool = AtomicBool::new(false);
/// Takes a line to the control port.
type Tell = fn(&[u8]);
/// Who does.
static LISTENER: One<Option<Tell>> = One::new(None);
/// What was said last that the end may be due to.
static REMARK: One<Text> = One::new(Text { bytes: [0; LINE], used: 0 });
static TEXT: One<Text> = One::new(Text { bytes: [0; LINE], used: 0 });

/// From now on `tell` is handed the last words as a line of the control protocol. It must neither
/// allocate nor hang.
pub fn listen(tell: Tell) {
    // SAFETY: nobody is dying, so nobody reads it.
    unsafe { *LISTENER.borrow() = Some(tell) };
}

/// Says why, and ends the machine after a fault.
pub fn end_with(message: fmt::Arguments<'_>) -> ! {
    end(message, &Trace::here())
}

/// For the panic handler.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    cpu::interrupts_off();
    // SAFETY: nobody else goes on any more.
    match unsafe { REMARK.borrow() }.as_str() {
        "" => end(format_args!("{info}"), &Trace::here()),
        remark => end(format_args!("{remark}; {info}"), &Trace::here()),
    }
}

/// Takes note of something that a panic may follow from, which cannot say it itself.
pub fn remark(text: &str) {
    // SAFETY: a rank's remark may be interrupted, but its host makes none then; a panic comes after it.
    let remark = unsafe { REMARK.borrow() };
    remark.used = 0;
    // Never fails, but may be cut short.
    let _ = remark.write_str(text);
}

/// The host itself was trapped.
pub(crate) fn trapped(frame: &Frame) -> ! {
    let Frame { vector, error, rip, rsp, .. } = frame;
    let (name, address) = (Name(*vector), cpu::fault_address());
    let below = |stack: &Range<usize>| address.wrapping_sub(stack.start - PAGE) < PAGE;
    if *vector == PAGE_FAULT
        && let Some(image) = image::get()
        && [&image.host_stack, &image.trap_stack, &image.fatal_stack].into_iter().any(below)
    {
        end(
            format_args!("stack overflow in the runtime at instruction {rip:#x}"),
            &Trace::from(*rip, frame.rbp),
        )
    }
    end(
        format_args!(
            "{name} in the runtime at instruction {rip:#x} (error code {error:#x}, fault address {address:#x}, stack pointer {rsp:#x})"
        ),
        &Trace::from(*rip, frame.rbp),
    )
}

fn end(message: fmt::Arguments<'_>, trace: &Trace) -> ! {
    cpu::interrupts_off();
    if ENDING.swap(true, Relaxed) {
        serial::say(format_args!("and while it was ending: {message}"));
        power::end(true)
    }
    serial::say(message);
    for address in trace.calls() {
        serial::say(format_args!("  at {address:#x}"));
    }
    // SAFETY: nothing else goes on any more, and this is done once.
    let (text, listener) = unsafe { (TEXT.borrow(), LISTENER.borrow()) };
    if let Some(tell) = listener {
        // Never fails, but may be cut short.
        let _ = text.put_panic(message, trace.calls());
        tell(&text.bytes[..text.used]);
    }
    power::end(true)
}

/// Where calls were made, innermost first.
struct Trace {
    calls: [u64; DEPTH],
    count: usize,
}

impl Trace {
    /// Of who calls this.
    #[inline(never)]
    fn here() -> Self {
        let frame: u64;
        // SAFETY: reads a register.
        unsafe {
            core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags));
        }
        Self::from(0, frame)
    }

    /// From an instruction and a frame pointer, as far as frames follow each other upwards on memory
    /// that is there.
    fn from(instruction: u64, frame: u64) -> Self {
        let mut trace = Self { calls: [0; DEPTH], count: 0 };
        trace.push(instruction);
        let mut at = frame;
        while let Some([next, call]) = read(at) {
            // Within the call, rather than after it, where another line may begin.
            if !trace.push(call.wrapping_sub(1)) || next <= at {
                break;
            }
            at = next;
        }
        trace
    }

    /// Says whether the address is one of code, and there was room.
    fn push(&mut self, call: u64) -> bool {
        let code = image::get().is_some_and(|image| {
            usize::try_from(call).is_ok_and(|address| image.has_code(address))
        });
        match self.calls.get_mut(self.count).filter(|_| code) {
            Some(slot) => *slot = call,
            None => return false,
        }
        self.count += 1;
        true
    }

    fn calls(&self) -> &[u64] {
        &self.calls[..self.count]
    }
}

/// Two words of memory, if they are there.
fn read(at: u64) -> Option<[u64; 2]> {
    let at = usize::try_from(at).ok().filter(|at| at.is_multiple_of(8))?;
    let there = |at: usize| at < 1 << 47 && memory::space().get(at) & PRESENT != 0;
    if !there(at) || !there(at.checked_add(15)?) {
        return None;
    }
    // SAFETY: both words lie on pages that are there.
    Some(unsafe { core::ptr::with_exposed_provenance::<[u64; 2]>(at).read() })
}

/// A line that is cut short where its room ends.
struct Text {
    bytes: [u8; LINE],
    used: usize,
}

impl Text {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.used]).unwrap_or_default()
    }

    /// As `images_control::FromNode::Panic` is written.
    fn put_panic(&mut self, message: fmt::Arguments<'_>, calls: &[u64]) -> fmt::Result {
        self.write_str(r#"{"type":"panic","message":""#)?;
        // Whatever the message, room is left for the rest.
        write!(Quoted(self, LINE - 32 - DEPTH * 21), "{message}")?;
        self.write_str(r#"","backtrace":["#)?;
        for (i, call) in calls.iter().enumerate() {
            write!(self, "{}{call}", if i == 0 { "" } else { "," })?;
        }
        self.write_str("]}\n")
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.used..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.used += taken;
        Ok(())
    }
}

/// Writes into a string of JSON, up to a length.
struct Quoted<'a>(&'a mut Text, usize);

impl Write for Quoted<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.used + 8 > self.1 {
                break;
            }
            match c {
                '"' | '\\' => write!(self.0, "\\{c}")?,
                '\0'..='\x1f' => write!(self.0, "\\u{:04x}", u32::from(c))?,
                _ => self.0.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
