//! Memory as the core sees it: numbered pages behind [`PageMem`]. Only the driver knows addresses.
//!
//! Page numbers: the shared segment is `0 .. shared`, the private state of the rank that the node
//! hosts starts at [`PRIVATE_BASE`] (stack first, then heap; the driver decides where which lies).

use crate::id::PageNo;
use crate::limits::{MAX_SHARED_PAGES, PAGE_SIZE};
use alloc::vec::Vec;
use core::ops::Range;

/// Number of the first private page.
pub const PRIVATE_BASE: u32 = 1 << 24;

const _: () = assert!(MAX_SHARED_PAGES <= PRIVATE_BASE, "shared and private numbers are disjoint");

/// One page of bytes.
pub type PageBytes = [u8; PAGE_SIZE];

/// What the rank may do with a page without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Any access faults.
    None,
    /// Reads pass, writes fault.
    Read,
    /// Everything passes.
    Write,
}

impl PageNo {
    /// Is this a page of the private state?
    #[must_use]
    pub const fn is_private(self) -> bool {
        self.0 >= PRIVATE_BASE
    }
}

/// The memory of one node: its view of the shared segment and the private state of its rank.
///
/// The runtime's own accesses go past the rank's protection. Page numbers handed in are in range.
pub trait PageMem {
    /// Copies a page out.
    fn read(&self, page: PageNo, into: &mut PageBytes);
    /// Overwrites a page.
    fn write(&mut self, page: PageNo, from: &PageBytes);
    /// Overwrites `bytes.len()` bytes at `offset` in a page; the caller stays inside the page.
    /// Other bytes of the page are not touched, for the rank may be writing them just now.
    fn patch(&mut self, page: PageNo, offset: usize, bytes: &[u8]);
    /// Sets what the rank may do with a run of shared pages, or of pages of its heap: those it may always
    /// read, and writes to them can be made to fault.
    fn protect(&mut self, pages: Range<u32>, access: Access);
    /// Zeroes all shared pages and takes away all access to them.
    fn reset_shared(&mut self);
    /// Zeroes all private state; the rank may write all of it. Only called while no rank runs.
    fn reset_private(&mut self);
    /// Runs of private pages in use by the stopped rank: from its stack pointer up, and its heap
    /// up to the highest byte ever allocated.
    fn private_in_use(&self) -> Vec<Range<u32>>;
    /// The first private page that [`PageMem::protect`] works on: those before it are the stack.
    fn heap_start(&self) -> u32;
    /// Where the stopped rank continues: an opaque word that is meaningful in the private state.
    fn context(&self) -> u64;
    /// Sets where the rank continues, after its private state has been written.
    fn set_context(&mut self, context: u64);
}
