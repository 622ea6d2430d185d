//! The bare-metal image: the node with no operating system under it. What there is of a machine is in
//! `runtime_baremetal`; here are the entry, what the compiler wants of a program without a standard
//! library, and the node itself.
//!
//! Built without `cfg(bare_metal)`, as for the workspace's lints, the package is a program that only says
//! how to build the image.

#![cfg_attr(bare_metal, no_std, no_main)]

#[cfg(bare_metal)]
extern crate alloc;

#[cfg(bare_metal)]
mod entry;
#[cfg(bare_metal)]
mod intrinsics;
#[cfg(bare_metal)]
mod node;

#[cfg(bare_metal)]
use runtime_baremetal::heap::HostHeap;
#[cfg(bare_metal)]
use runtime_driver::arena::RankAllocator;

/// Memory that a rank allocates is its own, and goes with its checkpoints.
#[cfg(bare_metal)]
#[global_allocator]
static ALLOCATOR: RankAllocator<HostHeap> = RankAllocator(HostHeap);

/// Says how to build the image.
#[cfg(not(bare_metal))]
fn main() -> std::process::ExitCode {
    eprintln!("this is no bare-metal image: build one with `make node`");
    std::process::ExitCode::from(2)
}
