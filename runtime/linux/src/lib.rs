//! Driver for Linux: what the sans-IO node of `runtime-core` needs of a machine.
//!
//! Modules in reading order: [`layout`] (which addresses) · `slot` (who uses them now) · [`memory`]
//! (pages) · `switch` (the only assembly) · `signals` (page faults, stops) · [`context`] (a rank that
//! can be stopped, copied and continued elsewhere) · [`arena`] (its heap) · [`rank`] (what it may call)
//! · [`compute`] (its thread) · [`transport`] (TCP) · [`driver`] (the loop) · [`sim_host`] (many ranks
//! on one thread).
//!
//! A rank's private state is its stack and its heap, both at fixed addresses, and nothing in them may
//! point at host memory: not at the host's heap or stack, not at thread-local storage. It may point
//! at code and statics, for all nodes run the same static image that is not position-independent.

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
compile_error!("runtime-linux knows x86_64 Linux only");

pub mod arena;
pub mod compute;
pub mod context;
pub mod driver;
pub mod layout;
pub mod memory;
pub mod rank;
mod signals;
pub mod sim_host;
mod slot;
mod switch;
pub mod transport;

pub use arena::RankAllocator;

#[cfg(test)]
#[global_allocator]
static ALLOCATOR: RankAllocator = RankAllocator;

#[cfg(test)]
mod tests;
