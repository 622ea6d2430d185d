//! Fixed addresses: where the memory of a rank lies in the address space of whoever runs it.
//!
//! The address space from 64 GiB up is cut into one slot per rank, 128 GiB each. A node process runs
//! one rank and uses slot 0, whichever rank that is, so that a takeover finds every address again. The
//! simulator runs many ranks in one process and gives rank `r` slot `r`.
//!
//! ```text
//! slot + 0            guard: touching it is a stack overflow
//! slot + GUARD        stack
//! slot + 4 GiB        heap
//! slot + 64 GiB       shared segment, as the rank sees it
//! ```

use runtime_core::id::Rank;
use runtime_core::limits::{MAX_PRIVATE_PAGES, MAX_RANKS, MAX_SHARED_PAGES, PAGE_SIZE};

/// Address of the first slot.
pub const FIRST_SLOT: usize = 0x10_0000_0000;
/// Distance of slots.
pub const SLOT_BYTES: usize = 0x20_0000_0000;
/// Bytes below the stack that nobody may touch.
pub const GUARD_BYTES: usize = 64 * 1024;
/// Where the heap lies in its slot.
pub const HEAP_OFFSET: usize = 0x1_0000_0000;
/// Where the shared segment lies in its slot.
pub const SHARED_OFFSET: usize = 0x10_0000_0000;
/// Smallest stack: the fault trampoline saves all vector registers on it.
const MIN_STACK_BYTES: usize = 64 * 1024;

const _: () = assert!(GUARD_BYTES + MAX_PRIVATE_PAGES as usize * PAGE_SIZE <= HEAP_OFFSET);
const _: () = assert!(HEAP_OFFSET + MAX_PRIVATE_PAGES as usize * PAGE_SIZE <= SHARED_OFFSET);
const _: () = assert!(SHARED_OFFSET + MAX_SHARED_PAGES as usize * PAGE_SIZE <= SLOT_BYTES);
// User space of x86_64 with four-level page tables ends at 2^47, that of aarch64 at 2^48; the one slot of a node lies
// below 2^39, where an aarch64 kernel with three levels ends.
const _: () = assert!(FIRST_SLOT + MAX_RANKS * SLOT_BYTES < 1 << 46);
const _: () = assert!(FIRST_SLOT + SLOT_BYTES < 1 << 39);

/// How much memory a rank has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes of stack.
    pub stack_bytes: u64,
    /// Bytes of heap.
    pub heap_bytes: u64,
    /// Pages of the shared segment.
    pub shared_pages: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { stack_bytes: 1 << 20, heap_bytes: 64 << 20, shared_pages: (16 << 20) / 4096 }
    }
}

/// Why there is no such layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Too small or too large a stack.
    #[error(
        "stack of {0} bytes: must be from 64 KiB to 1 GiB; change runtime.stack in the topology"
    )]
    Stack(u64),
    /// No heap, or too large a one.
    #[error(
        "heap of {0} bytes: must be from 256 KiB up, at most 1 GiB together with the stack; change runtime.heap in the topology"
    )]
    Heap(u64),
    /// No shared memory, or too much.
    #[error(
        "{0} shared pages: must be from 1 to {MAX_SHARED_PAGES}; change runtime.shared-memory in the topology"
    )]
    Shared(u32),
    /// No such slot.
    #[error("rank {0} has no memory slot: at most {MAX_RANKS} ranks fit one process")]
    Rank(u16),
}

/// Addresses of one rank's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lowest usable address of the stack.
    pub stack_base: usize,
    /// Bytes of stack, whole pages.
    pub stack_bytes: usize,
    /// Start of the heap.
    pub heap_base: usize,
    /// Bytes of heap, whole pages.
    pub heap_bytes: usize,
    /// Start of the shared segment.
    pub shared_base: usize,
    /// Pages of the shared segment.
    pub shared_pages: u32,
}

impl Layout {
    /// The layout that every node process uses.
    ///
    /// # Errors
    /// When a size is out of range.
    pub fn node(sizes: Sizes) -> Result<Self, LayoutError> {
        Self::for_rank(0, sizes)
    }

    /// The layout of one of many ranks in a process.
    ///
    /// # Errors
    /// When a size is out of range, or the rank.
    pub fn for_rank(rank: u16, sizes: Sizes) -> Result<Self, LayoutError> {
        let whole = |bytes: u64| usize::try_from(bytes).ok()?.checked_next_multiple_of(PAGE_SIZE);
        let limit = MAX_PRIVATE_PAGES as usize * PAGE_SIZE;
        let stack_bytes = whole(sizes.stack_bytes)
            .filter(|b| (MIN_STACK_BYTES..=limit).contains(b))
            .ok_or(LayoutError::Stack(sizes.stack_bytes))?;
        let heap_bytes = whole(sizes.heap_bytes)
            .filter(|b| *b >= 256 * 1024 && *b <= limit - stack_bytes)
            .ok_or(LayoutError::Heap(sizes.heap_bytes))?;
        if sizes.shared_pages == 0 || sizes.shared_pages > MAX_SHARED_PAGES {
            return Err(LayoutError::Shared(sizes.shared_pages));
        }
        if usize::from(rank) >= MAX_RANKS {
            return Err(LayoutError::Rank(rank));
        }
        let base = FIRST_SLOT + usize::from(rank) * SLOT_BYTES;
        Ok(Self {
            stack_base: base + GUARD_BYTES,
            stack_bytes,
            heap_base: base + HEAP_OFFSET,
            heap_bytes,
            shared_base: base + SHARED_OFFSET,
            shared_pages: sizes.shared_pages,
        })
    }

    /// Which slot it lies in.
    #[must_use]
    pub const fn slot(&self) -> usize {
        (self.stack_base - FIRST_SLOT) / SLOT_BYTES
    }

    /// Whose addresses these are, as given to [`Layout::for_rank`].
    #[must_use]
    pub const fn rank(&self) -> Rank {
        #[expect(clippy::cast_possible_truncation, reason = "there are MAX_RANKS slots")]
        Rank(self.slot() as u16)
    }

    /// First address after the stack.
    #[must_use]
    pub const fn stack_top(&self) -> usize {
        self.stack_base + self.stack_bytes
    }

    /// Bytes of the shared segment.
    #[must_use]
    pub const fn shared_bytes(&self) -> usize {
        self.shared_pages as usize * PAGE_SIZE
    }

    /// Pages of the stack.
    #[must_use]
    pub const fn stack_pages(&self) -> usize {
        self.stack_bytes / PAGE_SIZE
    }

    /// Which of the private pages is the first of the heap.
    #[must_use]
    pub const fn first_heap_page(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_PRIVATE_PAGES")]
        let first = self.stack_pages() as u32;
        first
    }

    /// Pages of stack and heap, as the core counts pages.
    #[must_use]
    pub const fn private_count(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_PRIVATE_PAGES")]
        let count = self.private_pages() as u32;
        count
    }

    /// Pages of stack and heap.
    #[must_use]
    pub const fn private_pages(&self) -> usize {
        (self.stack_bytes + self.heap_bytes) / PAGE_SIZE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_do_not_overlap() {
        let sizes = Sizes::default();
        let (a, b) = (Layout::node(sizes).unwrap(), Layout::for_rank(1, sizes).unwrap());
        assert!(a.shared_base + a.shared_bytes() <= b.stack_base - GUARD_BYTES);
        assert_eq!((a.slot(), b.slot()), (0, 1));
    }

    #[test]
    fn sizes_out_of_range_are_refused() {
        let with = |stack_bytes, heap_bytes, shared_pages| {
            Layout::node(Sizes { stack_bytes, heap_bytes, shared_pages })
        };
        assert_eq!(with(0, 1 << 20, 1), Err(LayoutError::Stack(0)));
        assert_eq!(with(u64::MAX, 1 << 20, 1), Err(LayoutError::Stack(u64::MAX)));
        assert_eq!(with(1 << 20, 1 << 30, 1), Err(LayoutError::Heap(1 << 30)));
        assert_eq!(with(1 << 20, 1 << 20, 0), Err(LayoutError::Shared(0)));
        assert_eq!(Layout::for_rank(64, Sizes::default()), Err(LayoutError::Rank(64)));
        assert_eq!(with(65_537, 1 << 20, 1).unwrap().stack_bytes, 17 * PAGE_SIZE);
    }
}
