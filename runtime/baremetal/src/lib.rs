//! Driver of a node with no operating system under it.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cpu;
pub mod fatal;
pub mod frames;
pub mod heap;
mod one;
pub mod power;
pub mod serial;
