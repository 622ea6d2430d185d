//! What the drivers share, whatever is under them: how a rank lies in memory, how it is run and left,
//! and how a node's inputs and outputs go round.
//!
//! Modules in reading order: [`layout`] (which addresses) · [`slot`] (who uses them now) · [`switch`]
//! (assembly) · [`context`] (a rank that can be stopped, copied and continued elsewhere) · [`arena`] (its
//! heap) · [`rank`] (what it may call) · [`conductor`] (the node and all around it) · [`ethernet`]
//! (frames on a raw network).
//!
//! A rank's private state is its stack and its heap, both at fixed addresses, and nothing in them may
//! point at host memory: not at the host's heap or stack, not at thread-local storage. It may point
//! at code and statics, for all nodes of one kind run the same static image that is not
//! position-independent.

#![no_std]

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("runtime-driver knows x86_64 and aarch64 only");

extern crate alloc;

pub mod arena;
pub mod conductor;
pub mod context;
pub mod ethernet;
pub mod layout;
pub mod rank;
pub mod slot;
pub mod switch;
