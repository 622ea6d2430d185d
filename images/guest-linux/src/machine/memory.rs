//! Memory that is kept busy on purpose.

use anyhow::{Context, Result};
use std::fs;
use std::sync::{Mutex, PoisonError};

/// What is taken at a time.
const STEP: usize = 1 << 20;

/// What was taken, until it is given back.
static TAKEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Takes memory until the kernel has only so many bytes left to give; `None`: gives everything back.
///
/// # Errors
/// When the kernel does not say how much there is.
pub(crate) fn fill(leave: Option<u64>) -> Result<()> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(leave) = leave else {
        taken.clear();
        return Ok(());
    };
    // It changes while it is taken: others take, and the kernel gives up what it had only cached.
    while available()? >= leave + STEP as u64 {
        // Each page is written, or it would not be there.
        taken.push(vec![0xa5; STEP]);
    }
    Ok(())
}

/// Bytes that the kernel can give to programs without giving up any of theirs.
fn available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|n| n.trim().parse().ok());
    let kib: u64 = kib.context("/proc/meminfo does not say what is available")?;
    Ok(kib << 10)
}
