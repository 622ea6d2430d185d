//! The memory of one node: one memfd that holds the shared segment, the stack and the heap, mapped
//! twice. The *runtime's window* lies anywhere and may always be read and written; the *rank's
//! windows* lie at the addresses of the [`Layout`] and exist while the memory is attached.

use core::ffi::c_void;
use core::num::NonZeroUsize;
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};
use runtime_core::id::PageNo;
use runtime_core::limits::{COPY_RUN, PAGE_SIZE};
use runtime_core::mem::{Access, PRIVATE_BASE, PageBytes, PageMem};
use runtime_driver::arena;
use runtime_driver::context::Context;
use runtime_driver::layout::{GUARD_BYTES, HEAP_OFFSET, Layout, LayoutError, SHARED_OFFSET, Sizes};
use runtime_driver::slot;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Mappings that the process needs besides those of shared memory.
const OTHER_MAPPINGS: usize = 2048;
/// What Linux allows unless told otherwise.
const DEFAULT_MAX_MAP_COUNT: usize = 65_530;

/// Number of the next memory.
static NEXT_ID: AtomicU32 = AtomicU32::new(1);
/// Number of the next thread that attaches memory.
static NEXT_THREAD: AtomicU32 = AtomicU32::new(1);

thread_local! {
    static THREAD: u32 = NEXT_THREAD.fetch_add(1, SeqCst);
}

/// Why memory could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemError {
    /// The kernel refused.
    #[error("{what}: {errno}")]
    Kernel {
        /// What was asked.
        what: &'static str,
        /// What it said.
        errno: Errno,
    },
    /// Something else lies where a rank's memory must lie.
    #[error(
        "address {address:#x} is taken by another mapping: the rank's memory cannot be elsewhere; build a static image that is not position-independent, and run one node per process"
    )]
    Taken {
        /// Start of the mapping that was wanted.
        address: usize,
    },
    /// The slot of this layout is in use.
    #[error("memory slot {slot} is in use by another node of this process")]
    SlotTaken {
        /// Which.
        slot: usize,
    },
    /// Protection by page could need more mappings than the kernel allows.
    #[error(
        "shared memory and heap may need {needed} mappings, and vm.max_map_count leaves {left}: raise it (sysctl vm.max_map_count) or lower runtime.shared-memory"
    )]
    Mappings {
        /// One for each shared page, and one for each run of pages of the heap that are protected together.
        needed: usize,
        /// Mappings left.
        left: usize,
    },
}

fn kernel(what: &'static str) -> impl Fn(Errno) -> MemError {
    move |errno| MemError::Kernel { what, errno }
}

/// The memory of one node; see the module.
#[derive(Debug)]
pub struct LinuxMem {
    layout: Layout,
    fd: OwnedFd,
    /// The runtime's window: shared segment, stack, heap.
    window: NonNull<u8>,
    bytes: usize,
    /// What the rank may do with each shared page, and with each page of its heap.
    allowed: [Vec<Access>; 2],
    id: u32,
    /// The stopped rank's stack pointer, shared with its [`Context`]; 0 for none.
    saved: Arc<AtomicUsize>,
    /// The first change of protection that the kernel refused.
    trouble: Option<MemError>,
}

// SAFETY: the window belongs to this value alone and is not tied to a thread.
unsafe impl Send for LinuxMem {}

impl LinuxMem {
    /// Makes memory, zeroed, with no rank's windows yet.
    ///
    /// # Errors
    /// When the kernel refuses, or allows too few mappings.
    pub fn new(layout: Layout) -> Result<Self, MemError> {
        let pages = layout.shared_pages as usize;
        let heap_pages = layout.heap_bytes / PAGE_SIZE;
        let bytes = layout.shared_bytes() + layout.stack_bytes + layout.heap_bytes;
        let (fd, window) = map_window(bytes)?;
        Ok(Self {
            layout,
            fd,
            window,
            bytes,
            allowed: [vec![Access::None; pages], vec![Access::Write; heap_pages]],
            id: NEXT_ID.fetch_add(1, SeqCst),
            saved: Arc::new(AtomicUsize::new(0)),
            trouble: None,
        })
    }

    /// Could each page have a mapping of its own, as the worst pattern of protection needs? A node
    /// asks before it begins, rather than to fail in the middle of a run.
    ///
    /// # Errors
    /// When the kernel allows too few mappings; says what to do.
    pub fn check_mappings(&self) -> Result<(), MemError> {
        let limit = std::fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or(DEFAULT_MAX_MAP_COUNT);
        let runs = (self.layout.heap_bytes / PAGE_SIZE).div_ceil(COPY_RUN as usize);
        let needed = self.layout.shared_pages as usize + runs;
        let left = limit.saturating_sub(OTHER_MAPPINGS);
        if needed > left { Err(MemError::Mappings { needed, left }) } else { Ok(()) }
    }

    /// Its addresses.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The context of the rank that lives in it.
    #[must_use]
    pub fn rank(&self) -> Context {
        Context::new(self.layout, Arc::clone(&self.saved))
    }

    fn owner(&self) -> u64 {
        u64::from(THREAD.with(|t| *t)) << 32 | u64::from(self.id)
    }

    /// Are the rank's windows mapped here?
    #[must_use]
    pub fn is_attached(&self) -> bool {
        // The low half names the memory.
        slot::get(self.layout.slot()).owner.load(SeqCst) & 0xffff_ffff == u64::from(self.id)
    }

    /// Maps the rank's windows at their addresses. With `steal`, takes them over from another memory
    /// that the same thread attached: two ranks with one number, one of which does not know yet that
    /// it was replaced, exist in a simulated cluster, and only one runs at a time.
    ///
    /// # Errors
    /// When an address or the slot is taken, or the kernel refuses.
    pub fn attach(&mut self, steal: bool) -> Result<(), MemError> {
        let slot = slot::get(self.layout.slot());
        let (mine, holder) = (self.owner(), slot.owner.load(SeqCst));
        if self.is_attached() {
            return Ok(());
        }
        let same_thread = holder >> 32 == mine >> 32;
        if holder != 0 && !(steal && same_thread) {
            return Err(MemError::SlotTaken { slot: self.layout.slot() });
        }
        if slot.owner.compare_exchange(holder, mine, SeqCst, SeqCst).is_err() {
            return Err(MemError::SlotTaken { slot: self.layout.slot() });
        }
        if holder != 0 {
            unmap(slot);
        }
        let done = self.map_windows();
        if done.is_err() {
            slot.owner.store(0, SeqCst);
        }
        done
    }

    /// Moves a memory to the addresses of a rank; see [`Layout::for_rank`]. Its content stays.
    ///
    /// # Errors
    /// When there is no such slot.
    pub fn relocate(&mut self, rank: u16) -> Result<(), LayoutError> {
        let sizes = Sizes {
            stack_bytes: self.layout.stack_bytes as u64,
            heap_bytes: self.layout.heap_bytes as u64,
            shared_pages: self.layout.shared_pages,
        };
        let layout = Layout::for_rank(rank, sizes)?;
        if layout != self.layout {
            self.detach();
            self.layout = layout;
        }
        Ok(())
    }

    /// Unmaps the rank's windows. The rank must stand still.
    pub fn detach(&mut self) {
        if self.is_attached() {
            let slot = slot::get(self.layout.slot());
            unmap(slot);
            slot.owner.store(0, SeqCst);
        }
    }

    fn map_windows(&mut self) -> Result<(), MemError> {
        let l = self.layout;
        let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let none = ProtFlags::PROT_NONE;
        let shared = l.shared_bytes();
        let plan = [
            (l.stack_base - GUARD_BYTES, GUARD_BYTES, none, None),
            (l.stack_base, l.stack_bytes, rw, Some(shared)),
            (l.heap_base, l.heap_bytes, rw, Some(shared + l.stack_bytes)),
            (l.shared_base, shared, none, Some(0)),
        ];
        for (i, (address, bytes, prot, offset)) in plan.into_iter().enumerate() {
            if let Err(error) = map_at(address, bytes, prot, offset.map(|o| (&self.fd, o))) {
                for (address, bytes, ..) in &plan[..i] {
                    // SAFETY: mapped just now by this loop, and nobody was told of it.
                    let _ = unsafe { munmap(pointer(*address), *bytes) };
                }
                return Err(error);
            }
        }
        slot::get(l.slot()).publish(&l);
        self.protect_all();
        Ok(())
    }

    /// Gives each run of equally protected pages its protection in fresh windows.
    fn protect_all(&mut self) {
        let allowed = core::mem::take(&mut self.allowed);
        let l = &self.layout;
        // As they were mapped.
        let windows = [(l.shared_base, Access::None), (l.heap_base, Access::Write)];
        for (pages, (base, fresh)) in allowed.iter().zip(windows) {
            let mut address = base;
            for run in pages.chunk_by(|a, b| a == b) {
                if run[0] != fresh {
                    self.mprotect(address, run.len(), run[0]);
                }
                address += run.len() * PAGE_SIZE;
            }
        }
        self.allowed = allowed;
    }

    fn mprotect(&mut self, address: usize, pages: usize, access: Access) {
        let prot = match access {
            Access::None => ProtFlags::PROT_NONE,
            Access::Read => ProtFlags::PROT_READ,
            Access::Write => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        };
        // SAFETY: whole pages of the rank's shared window or its heap, which is attached; the rank that touches
        // them faults or does not, and the fault is handled.
        let done = unsafe { mprotect(pointer(address), pages * PAGE_SIZE, prot) };
        if let Err(errno) = done {
            let what = if errno == Errno::ENOMEM {
                "protecting pages, perhaps for want of mappings (sysctl vm.max_map_count)"
            } else {
                "protecting pages"
            };
            self.trouble.get_or_insert(MemError::Kernel { what, errno });
        }
    }

    /// What went wrong in a call of [`PageMem`], which cannot say so. The node must not go on then.
    ///
    /// # Errors
    /// The first such failure.
    pub fn check(&mut self) -> Result<(), MemError> {
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// Start of the page in the runtime's window.
    fn at(&self, page: PageNo) -> *mut u8 {
        let index = if page.is_private() {
            let index = (page.0 - PRIVATE_BASE) as usize;
            assert!(index < self.layout.private_pages(), "{page} is not a page of this rank");
            self.layout.shared_pages as usize + index
        } else {
            assert!(page.0 < self.layout.shared_pages, "{page} is not in the shared segment");
            page.0 as usize
        };
        // SAFETY: the index was checked, so the page lies within the window.
        unsafe { self.window.as_ptr().add(index * PAGE_SIZE) }
    }

    fn punch(&mut self, offset: usize, bytes: usize) {
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let done = match (i64::try_from(offset), i64::try_from(bytes)) {
            (Ok(offset), Ok(bytes)) => fallocate(&self.fd, flags, offset, bytes),
            _ => Err(Errno::EOVERFLOW),
        };
        if let Err(errno) = done {
            self.trouble.get_or_insert(MemError::Kernel { what: "zeroing memory", errno });
        }
    }
}

impl PageMem for LinuxMem {
    fn read(&self, page: PageNo, into: &mut PageBytes) {
        // SAFETY: a whole page of the window. The rank may write it at the same time when the program
        // races with itself; the copy then holds some mixture, which is what such a program gets.
        unsafe { self.at(page).copy_to_nonoverlapping(into.as_mut_ptr(), PAGE_SIZE) };
    }

    fn write(&mut self, page: PageNo, from: &PageBytes) {
        // SAFETY: as in `read`.
        unsafe { self.at(page).copy_from_nonoverlapping(from.as_ptr(), PAGE_SIZE) };
    }

    fn patch(&mut self, page: PageNo, offset: usize, bytes: &[u8]) {
        assert!(
            offset <= PAGE_SIZE && bytes.len() <= PAGE_SIZE - offset,
            "a patch of {page} leaves the page"
        );
        // SAFETY: within the page, as just checked; else as in `read`.
        unsafe { self.at(page).add(offset).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }

    fn protect(&mut self, pages: Range<u32>, access: Access) {
        let l = &self.layout;
        let heap = self.heap_start();
        let private = pages.start >= heap;
        let (origin, base) = if private { (heap, l.heap_base) } else { (0, l.shared_base) };
        let (first, end) = ((pages.start - origin) as usize, (pages.end - origin) as usize);
        let allowed = &mut self.allowed[usize::from(private)];
        let Some(run) = allowed.get_mut(first..end).filter(|run| !run.is_empty()) else { return };
        if run.iter().all(|a| *a == access) {
            return;
        }
        run.fill(access);
        if self.is_attached() {
            self.mprotect(base + first * PAGE_SIZE, end - first, access);
        }
    }

    fn reset_shared(&mut self) {
        self.protect(0..self.layout.shared_pages, Access::None);
        self.punch(0, self.layout.shared_bytes());
    }

    fn reset_private(&mut self) {
        self.saved.store(0, SeqCst);
        let heap = self.heap_start();
        self.protect(heap..PRIVATE_BASE + self.layout.private_count(), Access::Write);
        self.punch(self.layout.shared_bytes(), self.layout.stack_bytes + self.layout.heap_bytes);
    }

    fn private_in_use(&self) -> Vec<Range<u32>> {
        let mut header = [0; arena::HEADER_BYTES];
        let heap = self.at(PageNo(self.heap_start()));
        // SAFETY: the header is smaller than the first page of the heap.
        unsafe { heap.copy_to_nonoverlapping(header.as_mut_ptr(), header.len()) };
        arena::private_in_use(&self.layout, self.saved.load(SeqCst), &header)
    }

    fn heap_start(&self) -> u32 {
        PRIVATE_BASE + self.layout.first_heap_page()
    }

    fn context(&self) -> u64 {
        self.saved.load(SeqCst) as u64
    }

    fn set_context(&mut self, context: u64) {
        // What does not fit an address is caught as bad when the rank is to continue there.
        self.saved.store(usize::try_from(context).unwrap_or(usize::MAX), SeqCst);
    }
}

impl Drop for LinuxMem {
    fn drop(&mut self) {
        self.detach();
        // SAFETY: the window is this value's own, and it ends here.
        let _ = unsafe { munmap(self.window.cast(), self.bytes) };
    }
}

fn map_window(bytes: usize) -> Result<(OwnedFd, NonNull<u8>), MemError> {
    let fd = memfd_create(c"understudy", MFdFlags::MFD_CLOEXEC)
        .map_err(kernel("making shared memory"))?;
    let size = i64::try_from(bytes).map_err(|_| kernel("sizing shared memory")(Errno::EFBIG))?;
    nix::unistd::ftruncate(&fd, size).map_err(kernel("sizing shared memory"))?;
    let length = NonZeroUsize::new(bytes).ok_or_else(|| kernel("sizing")(Errno::EINVAL))?;
    let rw = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let window = unsafe { mmap(None, length, rw, MapFlags::MAP_SHARED, &fd, 0) }
        .map_err(kernel("mapping memory"))?;
    Ok((fd, window.cast()))
}

fn map_at(
    address: usize,
    bytes: usize,
    prot: ProtFlags,
    file: Option<(&OwnedFd, usize)>,
) -> Result<(), MemError> {
    let at = NonZeroUsize::new(address);
    let length = NonZeroUsize::new(bytes).ok_or_else(|| kernel("mapping")(Errno::EINVAL))?;
    let fixed = MapFlags::MAP_FIXED_NOREPLACE;
    // SAFETY: NOREPLACE: no mapping that exists is touched.
    let mapped = unsafe {
        match file {
            None => mmap_anonymous(at, length, prot, fixed | MapFlags::MAP_PRIVATE),
            Some((fd, offset)) => {
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                mmap(at, length, prot, fixed | MapFlags::MAP_SHARED, fd, offset)
            }
        }
    };
    match mapped {
        Ok(got) if got.as_ptr().addr() == address => Ok(()),
        Ok(got) => {
            // A kernel older than 4.17 takes the address for a hint.
            // SAFETY: mapped just now.
            let _ = unsafe { munmap(got, bytes) };
            Err(MemError::Taken { address })
        }
        Err(Errno::EEXIST) => Err(MemError::Taken { address }),
        Err(errno) => Err(MemError::Kernel { what: "mapping a rank's memory", errno }),
    }
}

/// Unmaps whatever rank's windows the slot has.
fn unmap(slot: &'static slot::Slot) {
    let base = slot.base();
    let windows = [
        (base, slot.stack_top.load(SeqCst)),
        (base + HEAP_OFFSET, slot.heap_end.load(SeqCst)),
        (base + SHARED_OFFSET, slot.shared_end.load(SeqCst)),
    ];
    slot.retract();
    for (start, end) in windows {
        if end > start {
            // SAFETY: the windows of a rank that stands still; the guard and the stack are adjacent.
            let _ = unsafe { munmap(pointer(start), end - start) };
        }
    }
}

/// An address in a slot, as a pointer.
fn pointer(address: usize) -> NonNull<c_void> {
    NonNull::new(core::ptr::with_exposed_provenance_mut(address)).unwrap_or(NonNull::dangling())
}

#[cfg(test)]
mod tests;
