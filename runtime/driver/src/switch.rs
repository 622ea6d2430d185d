//! Switching between the host's stack and a rank's: one file of assembly for each processor.

use crate::slot::Registers;
use core::mem::offset_of;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "aarch64")]
pub(crate) use aarch64::{FRAME_ALIGN, first_frame, stack_pointer};
#[cfg(target_arch = "aarch64")]
pub use aarch64::{FRAME_WORDS, abandon, enter, leave};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86_64::{FRAME_ALIGN, first_frame, stack_pointer};
#[cfg(target_arch = "x86_64")]
pub use x86_64::{FRAME_WORDS, abandon, enter, leave};

const _: () = assert!(offset_of!(Registers, host) == 0 && offset_of!(Registers, rank) == 8);

/// What crosses a switch towards the rank: two registers.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Words {
    /// 0: a value; else which error.
    pub tag: u64,
    /// The value.
    pub value: u64,
}
