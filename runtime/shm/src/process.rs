//! Which process a node lives in, and what a fork must not take along.
//!
//! A node's file is locked by its owner, and the kernel unlocks it when the owner ends, however it ends. A fork shares
//! the lock, though. So children close what they inherit of it, and peers look at the owner's process besides.

use nix::libc;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// A process, whatever becomes of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    /// When it started, in the kernel's ticks.
    pub(crate) started: u64,
    /// The name space of its number.
    pub(crate) space: u64,
}

impl Process {
    /// The calling one.
    pub(crate) fn this() -> io::Result<Self> {
        let pid = std::process::id();
        let space = fs::metadata("/proc/self/ns/pid")?.ino();
        let started = started(pid)?.ok_or_else(|| io::Error::other("no start time in /proc"))?;
        Ok(Self { pid, started, space })
    }

    /// Whether it ended. A process of another name space cannot be looked up: only its lock tells of its end.
    pub(crate) fn has_ended(&self, this: &Self) -> bool {
        let same = self.pid == this.pid && self.started == this.started;
        self.space == this.space
            && !same
            && matches!(started(self.pid), Ok(now) if now != Some(self.started))
    }
}

/// When a process started; `None` if there is none of this number, or only what its parent has not asked for yet. A
/// process of which `main` ended by `pthread_exit` looks like that, but has threads.
fn started(pid: u32) -> io::Result<Option<u64>> {
    let mut text = [0; STAT];
    let len = match read_stat(pid, &mut text) {
        Ok(len) => len,
        Err(e) if e.kind() == io::ErrorKind::NotFound || e.raw_os_error() == Some(libc::ESRCH) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    Ok(started_by(&text[..len]))
}

/// Bytes of `/proc/<pid>/stat` that are read: some 50 words of at most 20 digits, and a name.
const STAT: usize = 1280;

/// Allocates nothing.
fn read_stat(pid: u32, to: &mut [u8; STAT]) -> io::Result<usize> {
    let mut path = [0; 24];
    let mut rest = &mut path[..];
    write!(rest, "/proc/{pid}/stat")?;
    let unused = rest.len();
    let path = OsStr::from_bytes(&path[..path.len() - unused]);
    // The kernel gives all of it at once.
    File::open(path)?.read(to)
}

/// "pid (any bytes) state …": the number of threads is the 17th word after the state, the start time the 19th.
fn started_by(stat: &[u8]) -> Option<u64> {
    let name_ends = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = str::from_utf8(stat.get(name_ends + 2..)?).ok()?;
    let word = |n| rest.split(' ').nth(n);
    let (state, threads, started) = (word(0)?, word(17)?, word(19)?);
    let ended = match state {
        "Z" => threads.parse::<u32>().is_ok_and(|threads| threads < 2),
        state => state == "X",
    };
    if ended { None } else { started.parse().ok() }
}

/// Forks between the first process and this one, since this library was first used.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// Descriptors that a child closes.
static KEPT: [AtomicI32; 256] = [const { AtomicI32::new(-1) }; 256];
static ONCE: Once = Once::new();

/// How often this process was forked: what was made at another count belongs to an ancestor.
#[inline]
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    for kept in &KEPT {
        let fd = kept.swap(-1, Ordering::Relaxed);
        if fd >= 0 {
            // SAFETY: the descriptor is one of `Kept`, which does not touch it in a child.
            unsafe { libc::close(fd) };
        }
    }
}

/// A locked file that stays with the process that opened it: a fork has no part in it.
#[derive(Debug)]
pub(crate) struct Kept {
    file: ManuallyDrop<File>,
    slot: &'static AtomicI32,
    forks: u32,
}

impl Kept {
    /// To be called before the file is locked.
    pub(crate) fn new(file: File) -> io::Result<Self> {
        // SAFETY: the handler only uses atomics and `close`, which may be called in a child.
        ONCE.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        });
        let fd = file.as_raw_fd();
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(-1, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        let slot = KEPT.iter().find(free).ok_or_else(|| {
            io::Error::other(format!("more than {} nodes in one process", KEPT.len()))
        })?;
        Ok(Self { file: ManuallyDrop::new(file), slot, forks: forks() })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.forks == forks() {
            self.slot.store(-1, Ordering::Relaxed);
            // A fork that comes just now may have the descriptor: closing it here does not unlock the file.
            if let Err(error) = super::lock::unlock(&self.file) {
                tracing::warn!(%error, "cannot unlock a node's file");
            }
            // SAFETY: dropped once, here.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

#[cfg(test)]
mod tests;
