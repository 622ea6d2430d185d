//! The bare-metal image: the node with no operating system under it. What there is of a machine is in
//! `runtime_baremetal`; here are the entry, what the compiler wants of a program without a standard
//! library, and the node itself.
//!
//! Built without `cfg(bare_metal)`, as for the workspace's lints, the package is a program that only says
//! how to build the image.

#![cfg_attr(bare_metal, no_std, no_main)]

#[cfg(bare_metal)]
mod entry;
#[cfg(bare_metal)]
mod intrinsics;
#[cfg(bare_metal)]
mod node;

/// The runtime's own heap.
#[cfg(bare_metal)]
#[global_allocator]
static ALLOCATOR: runtime_baremetal::heap::HostHeap = runtime_baremetal::heap::HostHeap;

/// Says how to build the image.
#[cfg(not(bare_metal))]
fn main() -> std::process::ExitCode {
    eprintln!("this is no bare-metal image: build one with `make node`");
    std::process::ExitCode::from(2)
}
