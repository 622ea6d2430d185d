//! A node's file: who it is, the word it sleeps on, and a lane for each node that sends to it; behind these, the slots of each
//! lane.

use crate::bell::Word;
use crate::process::Process;
use crate::ring::Lane;
use crate::ring::slots::Data;
use crate::sync::{Apart, AtomicU32, AtomicU64, Ordering};
use crate::{MAX_SENDERS, NodeName};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;

/// Stands in a file that is complete. Names the layout, and what frames are sent there, too: whoever changes these, changes this.
const MAGIC: u64 = u64::from_le_bytes(*b"ustudy04");

/// Who a file's owner is. Written before the magic, and never again.
#[derive(Debug)]
#[repr(C)]
struct Identity {
    magic: AtomicU64,
    generation: AtomicU64,
    pid: AtomicU32,
    started: AtomicU64,
    space: AtomicU64,
    /// Not 0: before it sleeps, it has a fence on all processors that run registered processes.
    fences: AtomicU32,
}

/// The first page of a node's file.
#[derive(Debug)]
#[repr(C, align(4096))]
pub(crate) struct Header {
    identity: Identity,
    /// What the owner sleeps on.
    pub(crate) bell: Apart<Word>,
    /// Grows when a lane is taken.
    pub(crate) taken: Apart<AtomicU32>,
    /// Who writes to each lane.
    writers: [Writing; MAX_SENDERS],
}

/// Who writes to a lane.
#[derive(Debug)]
#[repr(C)]
struct Writing {
    /// 0, or twice the writer's generation; and one more when the name stands.
    who: AtomicU64,
    name: AtomicU64,
}

/// A node's life: never used twice while anybody may know of it.
pub(crate) type Generation = u64;

/// Who holds a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) lane: usize,
    pub(crate) generation: Generation,
    /// Not there if the holder got no further than taking the lane.
    pub(crate) name: Option<NodeName>,
}

impl Header {
    /// Makes the file a node's.
    pub(crate) fn publish(&self, generation: Generation, owner: &Process, fences: bool) {
        let id = &self.identity;
        id.generation.store(generation, Ordering::Relaxed);
        id.pid.store(owner.pid, Ordering::Relaxed);
        id.started.store(owner.started, Ordering::Relaxed);
        id.space.store(owner.space, Ordering::Relaxed);
        id.fences.store(fences.into(), Ordering::Relaxed);
        id.magic.store(MAGIC, Ordering::Release);
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.identity.magic.load(Ordering::Acquire) == MAGIC
    }

    pub(crate) fn generation(&self) -> Generation {
        self.identity.generation.load(Ordering::Relaxed)
    }

    pub(crate) fn owner(&self) -> Process {
        let id = &self.identity;
        Process {
            pid: id.pid.load(Ordering::Relaxed),
            started: id.started.load(Ordering::Relaxed),
            space: id.space.load(Ordering::Relaxed),
        }
    }

    /// Wakes the owner if it sleeps.
    #[inline]
    pub(crate) fn rouse(&self) {
        self.bell.0.rouse(crate::bell::wake);
    }

    /// The same by a process that is registered for fences, of a frame that is published.
    #[inline]
    pub(crate) fn rouse_fenced(&self) {
        self.bell.0.rouse_fenced(crate::bell::wake);
    }

    /// Whether the owner has a fence on all processors before it sleeps.
    pub(crate) fn fences(&self) -> bool {
        self.identity.fences.load(Ordering::Relaxed) != 0
    }

    /// Takes a free lane for a sender. [`Self::announce`] follows when the lane can be used.
    pub(crate) fn take(&self, generation: Generation) -> Option<usize> {
        let free = |w: &Writing| {
            w.who.compare_exchange(0, generation << 1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        };
        self.writers.iter().position(free)
    }

    /// Tells the owner who took the lane.
    pub(crate) fn announce(&self, lane: usize, generation: Generation, name: NodeName) {
        let writing = &self.writers[lane];
        let name = u64::from(name.domain) << 32 | u64::from(name.node);
        writing.name.store(name, Ordering::Relaxed);
        writing.who.store(generation << 1 | 1, Ordering::Release);
        self.taken.0.fetch_add(1, Ordering::Release);
    }

    /// Who holds lanes.
    pub(crate) fn holders(&self) -> impl Iterator<Item = Holder> {
        self.writers.iter().enumerate().filter_map(|(lane, writing)| {
            let who = writing.who.load(Ordering::Acquire);
            let name = writing.name.load(Ordering::Relaxed);
            #[expect(clippy::cast_possible_truncation, reason = "two halves")]
            let name = NodeName { domain: (name >> 32) as u32, node: name as u32 };
            let generation = who >> 1;
            (who != 0).then_some(Holder { lane, generation, name: (who & 1 == 1).then_some(name) })
        })
    }

    /// Frees a lane whose holder is dead.
    pub(crate) fn free(&self, lane: usize) {
        self.writers[lane].who.store(0, Ordering::Release);
    }
}

/// Where a lane begins in the file.
const fn lane_at(lane: usize) -> usize {
    size_of::<Header>() + lane * size_of::<Lane>()
}

/// Where a lane's slots begin in the file.
const fn slots_at(lane: usize) -> usize {
    lane_at(MAX_SENDERS) + lane * size_of::<Data>()
}

/// Bytes of a node's file. What nobody wrote to takes no memory.
pub(crate) const LEN: u64 = slots_at(MAX_SENDERS) as u64;

/// Part of a file in memory, shared with everybody who maps it.
#[derive(Debug)]
pub(crate) struct Mapping<T>(NonNull<T>);

// SAFETY: `map` is only offered for types whose shared parts are atomics and cells with rules of their own.
unsafe impl<T> Send for Mapping<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapping<T> {}

/// The first page of a node's file. The caller has seen that the file is long enough.
pub(crate) fn map_header(file: &File) -> io::Result<Mapping<Header>> {
    // SAFETY: a header is made of atomics; each value is one.
    unsafe { Mapping::map(file, 0) }
}

/// A lane of a node's file, with memory for all of it.
pub(crate) fn map_lane(file: &File, lane: usize) -> io::Result<Mapping<Lane>> {
    // SAFETY: a lane is made of atomics and bytes; each value is one.
    unsafe { Mapping::map_with_memory(file, lane_at(lane)) }
}

/// The data of a lane's slots, the same way.
pub(crate) fn map_slots(file: &File, lane: usize) -> io::Result<Mapping<Data>> {
    // SAFETY: made of bytes.
    unsafe { Mapping::map_with_memory(file, slots_at(lane)) }
}

fn to_offset(bytes: usize) -> io::Result<i64> {
    i64::try_from(bytes).map_err(io::Error::other)
}

impl<T> Mapping<T> {
    const LEN: NonZeroUsize = NonZeroUsize::new(size_of::<T>()).unwrap();

    /// # Safety
    /// Any bytes are a `T`, which others may write to at any time.
    pub(crate) unsafe fn map(file: &File, at: usize) -> io::Result<Self> {
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let end = (at + size_of::<T>()) as u64;
        if file.metadata()?.len() < end {
            return Err(io::Error::other("the file is too short"));
        }
        // SAFETY: a new mapping where the kernel likes.
        let memory =
            unsafe { mmap(None, Self::LEN, access, MapFlags::MAP_SHARED, file, to_offset(at)?) }?;
        Ok(Self(memory.cast()))
    }

    /// The same with memory for all of it.
    ///
    /// # Safety
    /// As for [`Self::map`].
    unsafe fn map_with_memory(file: &File, at: usize) -> io::Result<Self> {
        // A page for which there is no memory when it is touched would end the process.
        fallocate(file, FallocateFlags::empty(), to_offset(at)?, to_offset(size_of::<T>())?)?;
        // SAFETY: so the caller says.
        unsafe { Self::map(file, at) }
    }

    pub(crate) fn pointer(&self) -> NonNull<T> {
        self.0
    }
}

impl<T> Deref for Mapping<T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: mapped until dropped; any bytes are a `T`.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Mapping<T> {
    fn drop(&mut self) {
        // SAFETY: ours, of this length, and nothing borrows from it any more.
        if let Err(error) = unsafe { munmap(self.0.cast(), Self::LEN.get()) } {
            tracing::warn!(%error, "cannot unmap a node's file");
        }
    }
}
