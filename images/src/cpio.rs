//! The archive that the kernel unpacks as its first file system: cpio, format `newc`.
//!
//! Sorted by path, numbered in that order, owned by root, without times: the same entries give the
//! same bytes. See the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// An archive in the making.
#[derive(Debug, Default)]
pub(crate) struct Archive<'a> {
    entries: BTreeMap<String, Entry<'a>>,
}

#[derive(Debug)]
struct Entry<'a> {
    mode: u32,
    device: (u32, u32),
    bytes: &'a [u8],
}

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

impl<'a> Archive<'a> {
    /// A directory; those above it come by themselves.
    pub(crate) fn directory(&mut self, path: &str) {
        self.add(path, Entry { mode: DIRECTORY, device: (0, 0), bytes: &[] });
    }

    /// A plain file.
    pub(crate) fn file(&mut self, path: &str, bytes: &'a [u8]) {
        self.add(path, Entry { mode: FILE, device: (0, 0), bytes });
    }

    /// An executable file.
    pub(crate) fn program(&mut self, path: &str, bytes: &'a [u8]) {
        self.add(path, Entry { mode: PROGRAM, device: (0, 0), bytes });
    }

    /// A character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.add(path, Entry { mode: CHARACTER_DEVICE, device: (major, minor), bytes: &[] });
    }

    fn add(&mut self, path: &str, entry: Entry<'a>) {
        for (at, _) in path.match_indices('/') {
            let parent = Entry { mode: DIRECTORY, device: (0, 0), bytes: &[] };
            self.entries.entry(path[..at].to_string()).or_insert(parent);
        }
        self.entries.insert(path.to_string(), entry);
    }

    /// The bytes. A path sorts behind its parents, as the kernel wants it.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, (path, entry)) in (1..).zip(&self.entries) {
            header(&mut out, number, path, entry);
        }
        header(&mut out, 0, "TRAILER!!!", &Entry { mode: 0, device: (0, 0), bytes: &[] });
        out
    }
}

fn header(out: &mut Vec<u8>, number: u32, path: &str, entry: &Entry<'_>) {
    // Kernel modules and programs are far from 4 GiB; a longer entry has no representation.
    let size = u32::try_from(entry.bytes.len()).expect("a file in an initramfs is under 4 GiB");
    let name_size = u32::try_from(path.len() + 1).expect("a path is under 4 GiB");
    let links = if entry.mode == DIRECTORY { 2 } else { 1 };
    let fields = [
        number,
        entry.mode,
        0, // owner
        0, // group
        links,
        0, // time
        size,
        0, // device it lies on
        0,
        entry.device.0,
        entry.device.1,
        name_size,
        0, // checksum, unused in this format
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(path.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(entry.bytes);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
