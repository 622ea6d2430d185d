//! Driver for Linux: what the sans-IO node of `runtime-core` needs of a machine.
//!
//! Modules in reading order: [`memory`] (pages) · `arch` (assembly) · `signals` (page faults, stops)
//! · [`allocator`] (what is under the ranks' heaps) · [`compute`] (the thread of a rank) · [`transport`]
//! (TCP) · [`priority`] (who runs first) · [`driver`] (the loop) · [`sim_host`] (many ranks on one thread). What does
//! not depend on Linux is in `runtime_driver`.

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("runtime-linux knows Linux on x86_64 and aarch64 only");

pub mod allocator;
mod arch;
pub mod compute;
pub mod driver;
pub mod memory;
pub mod priority;
mod signals;
pub mod sim_host;
pub mod transport;

pub use allocator::{ALLOCATOR, RankAllocator};

#[cfg(test)]
#[global_allocator]
static GLOBAL: RankAllocator = ALLOCATOR;

#[cfg(test)]
mod tests;
