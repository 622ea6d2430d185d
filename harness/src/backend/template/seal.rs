//! Checksums of a template, made when it is finished: what a disk, a copy tool or a hand changed since then is noticed
//! before guests go on from it, for a guest with one wrong byte in its memory need not say so.
//!
//! The file with the memory has a few hundred megabytes, mostly in the page cache: looking at it takes some 20 ms, so
//! it is done at each start.

use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// What is sealed: all that guests go on from.
const PARTS: [&str; 2] = ["ram", "state"];

/// Writes down how the finished template in `dir` is.
///
/// # Errors
/// When a part of it cannot be read, or the seal not be written.
pub(super) fn seal(dir: &Path) -> Result<()> {
    let sums = PARTS.iter().map(|part| line(dir, part)).collect::<Result<String>>()?;
    let path = place(dir);
    fs::write(&path, sums).with_context(|| format!("cannot write {}", path.display()))
}

/// What is not as it was when the template was finished, if anything is not.
pub(super) fn damage(dir: &Path) -> Option<String> {
    let Ok(sealed) = fs::read_to_string(place(dir)) else {
        return Some("it has no checksums".to_owned());
    };
    let broken = |part: &&&str| !line(dir, part).is_ok_and(|line| sealed.contains(&line));
    let part = PARTS.iter().find(broken)?;
    Some(format!("{} is not what it was", dir.join(part).display()))
}

fn place(dir: &Path) -> std::path::PathBuf {
    dir.join("sums")
}

/// Name, size and CRC-32 of a part.
fn line(dir: &Path, part: &str) -> Result<String> {
    let path = dir.join(part);
    let mut file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let (mut piece, mut sum, mut size) = (vec![0; PIECE], crc32fast::Hasher::new(), 0_u64);
    loop {
        let read = file.read(&mut piece);
        match read.with_context(|| format!("cannot read {}", path.display()))? {
            0 => return Ok(format!("{part} {size} {:08x}\n", sum.finalize())),
            read => {
                sum.update(&piece[..read]);
                size += read as u64;
            }
        }
    }
}
