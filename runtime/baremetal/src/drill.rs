//! Faults on purpose, so that what people see of them can be tested: `drill=panic` and so on, on the
//! command line. Ranks have workloads for that; these are faults of the runtime itself.

use crate::{heap, image, memory};
use alloc::vec::Vec;
use core::hint::black_box;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drill {
    /// A panic.
    Panic,
    /// A write to a null pointer.
    Pointer,
    /// Code that is written to.
    Code,
    /// A stack that is too small.
    Stack,
    /// A fault in the handling of a fault.
    Double,
    /// A heap that takes all memory.
    Heap,
    /// Pages that take all memory.
    Frames,
}

/// Their names.
const NAMES: &[(&str, Drill)] = &[
    ("panic", Drill::Panic),
    ("pointer", Drill::Pointer),
    ("code", Drill::Code),
    ("stack", Drill::Stack),
    ("double", Drill::Double),
    ("heap", Drill::Heap),
    ("frames", Drill::Frames),
];

impl Drill {
    /// The drill of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        NAMES.iter().find(|(found, _)| *found == name).map(|(_, drill)| *drill)
    }

    /// Does it.
    ///
    /// # Panics
    /// Always, in one way or another.
    pub fn perform(self) {
        match self {
            Self::Panic => {}
            Self::Pointer => write(8),
            Self::Code => write(image::get().map_or(0, |image| image.start)),
            Self::Stack => _ = black_box(dig(black_box(1))),
            Self::Double => {
                let traps = image::get().map_or(0..0, |image| image.trap_stack.clone());
                for page in traps.step_by(crate::paging::PAGE) {
                    memory::space().set(page, 0);
                }
                crate::cpu::flush_all();
                write(8);
            }
            Self::Heap => {
                let mut blocks = Vec::new();
                loop {
                    blocks.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
                }
            }
            Self::Frames => loop {
                black_box(heap::take_zeroed());
            },
        }
        panic!("a drill")
    }
}

fn write(address: usize) {
    // SAFETY: not sound at all: the processor is to stop it, and the machine ends.
    unsafe { core::ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
}

/// Needs its frame after the call.
fn dig(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    if black_box(depth) == 0 {
        return 0;
    }
    dig(depth + 1).wrapping_add(frame[7])
}
