//! Driver of a node with no operating system under it: one x86_64 processor, virtio devices behind
//! registers in memory, as QEMU's `microvm` has them.
//!
//! Modules in reading order:
//!
//! - the processor: [`cpu`] (single instructions) · [`serial`] (console) · [`power`] (the end) ·
//!   [`fatal`] (last words) · [`drill`] (faults on purpose)
//! - memory: [`frames`] (what nobody has yet) · [`heap`] (the runtime's own) · [`paging`] (tables) ·
//!   [`image`] (where the program lies, and the map of the machine) · [`memory`] (the rank's pages)
//! - traps and time: [`descriptors`] (tables of the processor) · [`apic`] (interrupt controllers, timer) ·
//!   [`trap`] (leaving and resuming a rank) · [`clock`]
//! - the machine: [`start`] (what QEMU tells) · [`machine`] (bringing it up)
//! - devices: [`virtio`] (network card, named port) · [`lines`] · [`control`] (the control port)
//! - the node: [`compute`] (its rank) · [`driver`] (the loop)
//!
//! # How it runs
//!
//! There is one thread of control, the *host*, on a stack of its own, with interrupts off. It serves
//! frames, commands and deadlines, and when there is nothing left to do it lets the rank run, with interrupts
//! on, or sleeps. The rank comes back by a call, by a fault, or because an interrupt came, and
//! all three look the same to the host: a function that returns. So nothing is locked, remote
//! requests are served while the rank computes, and stopping a rank is forgetting it.
//!
//! A rank's pages get their frames when they are touched first, by the rank or by the runtime, and
//! lose them when they are reset. All else, the runtime's heap and the buffers of devices, comes from
//! the same memory, so there is one number to give: the machine's.
//!
//! Whatever goes wrong ends in a message: on the console, on the control port if it still works, and
//! in how QEMU exits: 33 after an orderly end, 35 after a fault, 0 after a triple fault, which says nothing.

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
pub mod drill;
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
