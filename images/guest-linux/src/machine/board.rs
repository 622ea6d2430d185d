//! The memory that the guests of a board share: a PCI device of which QEMU gives each guest the same pages.
//!
//! ```text
//! 0     mark: who finds none writes it
//! 8     unused
//! 64    one word a node, by its number: which life of it has the memory mapped; 0: none
//! 4096  of MCAPI nodes, if there are any: runtime/shm, board.rs
//! ```
//!
//! A node writes its own word only, before it reads those of the others; so of two nodes that come at the
//! same time at least one sees the other. A board keeps its memory when a node dies: its next life writes a
//! higher number into the same word.

use anyhow::{Context, Result, bail, ensure};
use images_control::BoardSpec;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use runtime_core::limits::BOARD_HEAD;
use std::fs::{self, OpenOptions};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the device says of itself, in `vendor` and `device`.
const IVSHMEM: [&str; 2] = ["0x1af4", "0x1110"];
/// Of this layout.
const MARK: u64 = u64::from_le_bytes(*b"board  1");
/// Where the words of the nodes begin, and what comes after them.
const WORDS: usize = 64;
const FREE: usize = BOARD_HEAD;

/// The memory; it stays mapped for as long as the machine runs.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    base: NonNull<u8>,
    bytes: usize,
    file: PathBuf,
}

impl Board {
    /// Maps the memory of this machine's board.
    ///
    /// # Errors
    /// When there is no such device, or it is not as the harness says.
    pub(crate) fn map(spec: &BoardSpec) -> Result<Self> {
        let device = find(Path::new("/sys/bus/pci/devices"))?;
        let enable = device.join("enable");
        fs::write(&enable, "1").with_context(|| format!("cannot write {}", enable.display()))?;
        let memory = device.join("resource2");
        let file = OpenOptions::new().read(true).write(true).open(&memory);
        let file = file.with_context(|| format!("cannot open {}", memory.display()))?;
        let bytes = file.metadata().context("cannot look at the board's memory")?.len();
        ensure!(bytes == spec.bytes, "the board's memory has {bytes} bytes, not {}", spec.bytes);
        let bytes = usize::try_from(bytes).context("too much memory")?;
        let length = NonZeroUsize::new(bytes).filter(|length| length.get() >= FREE);
        let length = length.with_context(|| format!("{bytes} bytes have no room for nodes"))?;
        let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel wants it; nothing else is there.
        let base = unsafe { mmap(None, length, both, MapFlags::MAP_SHARED, &file, 0) };
        let base = base.context("cannot map the board's memory")?.cast();
        let board = Self { base, bytes, file: memory };
        let mark = board.word(0).compare_exchange(0, MARK, Ordering::SeqCst, Ordering::SeqCst);
        match mark {
            Ok(_) | Err(MARK) => Ok(board),
            Err(other) => bail!("the board's memory is marked {other:#x}, not {MARK:#x}"),
        }
    }

    /// Says that a node is here, in this life of it.
    pub(crate) fn enter(&self, node: u16, generation: u32) {
        self.node(node).store(generation.into(), Ordering::SeqCst);
    }

    /// The nodes that were ever here, with their newest lives.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (u16, u64)> {
        let room = u16::try_from((FREE - WORDS) / size_of::<u64>()).unwrap_or(u16::MAX);
        let life = move |node| self.node(node).load(Ordering::SeqCst);
        (0..room).map(move |node| (node, life(node))).filter(|(_, life)| *life > 0)
    }

    /// The file that it is, for others to map.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Bytes of it.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn node(&self, node: u16) -> &'static AtomicU64 {
        self.word(WORDS + usize::from(node) * size_of::<u64>())
    }

    fn word(&self, offset: usize) -> &'static AtomicU64 {
        assert!(offset + size_of::<u64>() <= FREE.min(self.bytes) && offset.is_multiple_of(8));
        // SAFETY: inside of the mapping, which is never undone, aligned for mappings begin at a page, and
        // everybody who has the memory uses these words as atomic ones.
        unsafe { self.base.add(offset).cast::<AtomicU64>().as_ref() }
    }
}

/// The directory of the device.
fn find(devices: &Path) -> Result<PathBuf> {
    let all =
        fs::read_dir(devices).with_context(|| format!("cannot list {}", devices.display()))?;
    let is = |path: &PathBuf| {
        let says = |what| fs::read_to_string(path.join(what)).unwrap_or_default();
        [says("vendor").trim_end(), says("device").trim_end()] == IVSHMEM
    };
    let mut found: Vec<PathBuf> = all.flatten().map(|entry| entry.path()).filter(is).collect();
    match (found.pop(), found.len()) {
        (Some(device), 0) => Ok(device),
        (Some(_), more) => bail!("{} devices of shared memory, and one is expected", more + 1),
        (None, _) => bail!("no device of shared memory: is ivshmem-plain in QEMU's command?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_found_by_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let device = |name: &str, vendor: &str, device: &str| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("vendor"), vendor).unwrap();
            fs::write(path.join("device"), device).unwrap();
        };
        device("0000:00:00.0", "0x1b36\n", "0x0008\n");
        assert!(find(dir.path()).unwrap_err().to_string().contains("no device"));
        device("0000:00:01.0", "0x1af4\n", "0x1110\n");
        assert_eq!(find(dir.path()).unwrap(), dir.path().join("0000:00:01.0"));
        device("0000:00:02.0", "0x1af4\n", "0x1110\n");
        assert!(find(dir.path()).unwrap_err().to_string().contains("2 devices"));
    }
}
