//! What tells this machine from another that started as a copy of the same one.

use super::{net, set};
use anyhow::{Context, Result, ensure};
use images_control::Awake;
use nix::libc;
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Most bytes of a seed that are used, and fewest that do.
const SEED: std::ops::RangeInclusive<usize> = 32..=256;

/// The kernel's `rand_pool_info`, with room for the longest seed.
#[repr(C)]
struct Entropy {
    bits: libc::c_int,
    bytes: libc::c_int,
    seed: [u8; *SEED.end()],
}

// The kernel's numbers count the header only.
nix::ioctl_write_ptr_bad!(
    add_entropy,
    nix::request_code_write!(b'R', 0x03, 2 * size_of::<libc::c_int>()),
    Entropy
);
nix::ioctl_none!(reseed, b'R', 0x07);

/// Makes this copy of a machine one of its own: random numbers, the time, addresses.
///
/// # Errors
/// Says which step failed; the machine would be taken for another then.
pub(crate) fn awake(own: &Awake) -> Result<()> {
    add_randomness(&bytes(&own.seed).context("bad seed")?)?;
    let now = TimeSpec::from_duration(Duration::from_micros(own.unix_us));
    clock_settime(ClockId::CLOCK_REALTIME, now).context("cannot set the clock")?;
    own.cards.iter().try_for_each(net::rename)
}

/// Gives the machine its name; returns what the kernel calls this boot, which no other has.
///
/// # Errors
/// When the system refuses.
pub(crate) fn introduce(name: &str) -> Result<String> {
    set("/proc/sys/kernel/hostname", name)?;
    let boot = "/proc/sys/kernel/random/boot_id";
    let id = fs::read_to_string(boot).with_context(|| format!("cannot read {boot}"))?;
    Ok(id.trim_end().to_owned())
}

/// Mixes a seed into the kernel's random numbers, and lets them begin anew.
fn add_randomness(seed: &[u8]) -> Result<()> {
    ensure!(SEED.contains(&seed.len()), "a seed of {} bytes: {SEED:?} are needed", seed.len());
    let count = libc::c_int::try_from(seed.len())?;
    let mut entropy = Entropy { bits: count * 8, bytes: count, seed: [0; *SEED.end()] };
    entropy.seed[..seed.len()].copy_from_slice(seed);
    let random = File::open("/dev/urandom").context("cannot open /dev/urandom")?;
    // SAFETY: the kernel only reads the structure, of which `bytes` says how much there is.
    unsafe { add_entropy(random.as_raw_fd(), &raw const entropy) }
        .context("cannot add randomness")?;
    // SAFETY: it has no argument.
    unsafe { reseed(random.as_raw_fd()) }.context("cannot begin with new random numbers")?;
    Ok(())
}

/// Bytes from hexadecimal.
fn bytes(hex: &str) -> Result<Vec<u8>> {
    let digits = hex.bytes().all(|b| b.is_ascii_hexdigit());
    ensure!(digits && hex.len().is_multiple_of(2), "it is not in hexadecimal");
    (0..hex.len()).step_by(2).map(|at| Ok(u8::from_str_radix(&hex[at..at + 2], 16)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn seeds_are_read_or_refused() {
        assert_eq!(bytes("00ff7a").unwrap(), [0, 255, 122]);
        for bad in ["0", "0g", "+1", "é"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
