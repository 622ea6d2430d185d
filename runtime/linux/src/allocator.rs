//! What is under the heaps of ranks: the system's allocator, and standard error.

use core::alloc::{GlobalAlloc, Layout};
use nix::libc;
use runtime_driver::arena;
use std::alloc::System;

/// A process of Linux.
#[derive(Clone, Copy, Debug, Default)]
pub struct Process;

// SAFETY: the system's allocator, as it is.
unsafe impl GlobalAlloc for Process {
    unsafe fn alloc(&self, shape: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(shape) }
    }

    unsafe fn dealloc(&self, block: *mut u8, shape: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(block, shape) }
    }

    unsafe fn realloc(&self, block: *mut u8, shape: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.realloc(block, shape, new_size) }
    }
}

impl arena::Below for Process {
    fn complain(&self, text: &str) {
        // SAFETY: writes from a live buffer; there is nobody to tell when it fails.
        unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    }
}

/// The global allocator of a binary that runs ranks:
///
/// ```
/// use runtime_linux::{ALLOCATOR, RankAllocator};
///
/// #[global_allocator]
/// static GLOBAL: RankAllocator = ALLOCATOR;
/// ```
pub type RankAllocator = arena::RankAllocator<Process>;

/// The one to use.
pub const ALLOCATOR: RankAllocator = arena::RankAllocator(Process);
