//! Driver of a node with no operating system under it.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod apic;
pub mod clock;
pub mod compute;
pub mod control;
pub mod cpu;
pub mod descriptors;
pub mod driver;
pub mod fatal;
pub mod frames;
pub mod heap;
pub mod image;
pub mod lines;
pub mod machine;
pub mod memory;
mod one;
pub mod paging;
pub mod power;
pub mod serial;
pub mod start;
pub mod trap;
pub mod virtio;
