//! How many clusters there is room for at once, and who boots.
//!
//! A guest that boots takes all of a processor that it can get, and a cluster that runs has heartbeats to send: so
//! one cluster boots at a time, and no more of them run than the processors can serve.

use crate::plan::Backend;
use runtime_core::node::Role;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use topology::Topology;

/// Memory of QEMU itself, and of a process, besides what is its node's.
const QEMU_BYTES: u64 = 64 << 20;
const PROCESS_BYTES: u64 = 16 << 20;
/// Memory that is left to everything else.
const SPARE_BYTES: u64 = 256 << 20;
/// So many nodes that compute share a processor at most, where clusters run side by side.
const BUSY_PER_CORE: usize = 2;

/// What a cluster takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) bytes: u64,
    /// Nodes that compute.
    pub(super) busy: usize,
}

impl Need {
    pub(super) fn of(topology: &Topology, backend: Backend) -> Self {
        let runtime = &topology.runtime;
        // A rank's memory, its newest copy, and that of another rank.
        let rank = 3 * (runtime.shared_bytes + runtime.heap_bytes + runtime.stack_bytes);
        let nodes = topology.nodes.iter();
        let bytes = match backend {
            Backend::Qemu => nodes.map(|node| node.memory_bytes + QEMU_BYTES).sum(),
            Backend::Process | Backend::Sim => nodes.map(|_| rank + PROCESS_BYTES).sum(),
        };
        let compute = || topology.nodes.iter().filter(|node| node.role == Role::Compute);
        let busy = match backend {
            Backend::Sim => 1,
            _ => compute().map(|node| usize::from(node.cpus)).sum(),
        };
        Self { bytes, busy }
    }
}

/// The room of this machine.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    busy: usize,
    most: usize,
    taken: Mutex<Taken>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct Taken {
    clusters: usize,
    bytes: u64,
    busy: usize,
    boots: bool,
}

impl Room {
    /// `jobs`: so many clusters, whatever the processors say to it.
    pub(super) fn of_this_machine(jobs: Option<usize>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let bytes = available_bytes().unwrap_or(u64::MAX).saturating_sub(SPARE_BYTES);
        Self::new(bytes, cores, jobs)
    }

    pub(super) fn new(bytes: u64, cores: usize, jobs: Option<usize>) -> Self {
        let busy = if jobs.is_some() { usize::MAX } else { BUSY_PER_CORE * cores };
        let (most, taken) = (jobs.unwrap_or(busy), Mutex::default());
        Self { bytes, busy, most, taken, bell: Condvar::new() }
    }

    pub(super) const fn most_at_once(&self) -> usize {
        self.most
    }

    /// Is this not more memory than there is?
    pub(super) fn holds(&self, need: Need) -> Result<(), String> {
        if need.bytes <= self.bytes {
            return Ok(());
        }
        let [needs, has] = [need.bytes, self.bytes].map(|b| b >> 20);
        Err(format!(
            "the cluster needs {needs} MiB of memory, but only {has} MiB are available: \
             end other programs, or write less `memory` for its nodes"
        ))
    }

    /// Waits for room. Whoever is alone may have all of it; more memory than there is, nobody.
    pub(super) fn enter(&self, need: Need) -> Result<Place<'_>, String> {
        self.holds(need)?;
        let mut taken = self.lock();
        while !self.fits(&taken, need) {
            taken = self.bell.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        taken.clusters += 1;
        taken.bytes += need.bytes;
        taken.busy += need.busy;
        taken.boots = true;
        Ok(Place { room: self, need, boots: Mutex::new(true) })
    }

    fn fits(&self, taken: &Taken, need: Need) -> bool {
        let has_room = taken.clusters < self.most
            && taken.bytes + need.bytes <= self.bytes
            && taken.busy.saturating_add(need.busy) <= self.busy;
        taken.clusters == 0 || (has_room && !taken.boots)
    }

    #[cfg(test)]
    pub(super) fn would_fit(&self, need: Need) -> bool {
        self.fits(&self.lock(), need)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cluster's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    room: &'a Room,
    need: Need,
    boots: Mutex<bool>,
}

impl Place<'_> {
    /// It has booted: the next may.
    pub(super) fn is_up(&self) {
        if std::mem::take(&mut *self.boots.lock().unwrap_or_else(PoisonError::into_inner)) {
            self.room.lock().boots = false;
            self.room.bell.notify_all();
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.is_up();
        let mut taken = self.room.lock();
        taken.clusters -= 1;
        taken.bytes -= self.need.bytes;
        taken.busy -= self.need.busy;
        drop(taken);
        self.room.bell.notify_all();
    }
}

/// What the kernel can give to programs.
fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
