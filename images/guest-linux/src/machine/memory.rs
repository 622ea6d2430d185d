//! Memory that is kept busy on purpose.

use anyhow::{Context, Result};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is taken at a time.
const STEP: usize = 1 << 20;

/// What was taken, until it is given back.
static TAKEN: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// How many bytes are to be left; all ones: nothing is to be taken any more.
static LEAVE: AtomicU64 = AtomicU64::new(u64::MAX);

/// Takes memory until the kernel has only so many bytes left to give; `None`: gives everything back. It is taken beside
/// whatever else goes on, so that it can be given back at any time.
///
/// # Errors
/// When the kernel does not say how much there is, or has no thread to give.
pub(crate) fn fill(leave: Option<u64>) -> Result<()> {
    LEAVE.store(leave.unwrap_or(u64::MAX), Ordering::Relaxed);
    let Some(leave) = leave else {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).clear();
        tell("given back", available()?);
        return Ok(());
    };
    available()?;
    let taker = std::thread::Builder::new().name("fill".into());
    taker.spawn(move || take(leave)).context("cannot fill the memory")?;
    Ok(())
}

fn take(leave: u64) {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    while LEAVE.load(Ordering::Relaxed) == leave {
        // It changes while it is taken: others take, and the kernel gives up what it had only cached.
        match available() {
            Ok(left) if left >= leave + STEP as u64 => {}
            Ok(left) => return tell("filled", left),
            Err(e) => return eprintln!("understudy: the memory is not filled: {e:#}"),
        }
        // Each page is written, or it would not be there.
        taken.push(vec![0xa5; STEP]);
    }
}

/// What became of it, on the console.
fn tell(what: &str, left: u64) {
    eprintln!("understudy: the memory is {what}: {} KiB are left", left >> 10);
}

/// Bytes that the kernel can give to programs without giving up any of theirs.
fn available() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")).and_then(|n| n.trim().parse().ok());
    let kib: u64 = kib.context("/proc/meminfo does not say what is available")?;
    Ok(kib << 10)
}
