//! Is there an accelerator? An answer that took long is kept for a while.
//!
//! Where KVM is there and of no use, finding out takes all the patience of the probe, at each start. So a "no" holds for
//! some minutes, as long as the host was not started again and the emulator is the same; a host that was only too
//! busy to answer is asked again after that. A "yes" is not kept, for it is quick.

use crate::paths::Places;
use images::probe::{self, Probe};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// How long a "no" holds.
const KEPT: Duration = Duration::from_secs(600);
/// What is found out in less time need not be kept.
const QUICK: Duration = Duration::from_millis(500);

/// Can guests use KVM here? `version` is the emulator's.
pub(super) fn kvm(places: &Places, version: &str) -> Probe {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let about = format!("{version}\n{boot}");
    let file = places.cache().join("no-kvm");
    remembered(&file, &about, KEPT).unwrap_or_else(|| {
        let began = Instant::now();
        let found = probe::kvm_usable();
        if !found.usable && began.elapsed() > QUICK {
            remember(&file, &about, &found.reason);
        }
        found
    })
}

/// The answer in the file, if it is one about this host and not older than that.
fn remembered(file: &Path, about: &str, age: Duration) -> Option<Probe> {
    let written = fs::metadata(file).ok()?.modified().ok()?;
    let text = fs::read_to_string(file).ok()?;
    let reason = text.strip_prefix(about)?.to_owned();
    (written.elapsed().ok()? <= age && !reason.is_empty()).then(|| {
        let minutes = KEPT.as_secs() / 60;
        let reason = format!("{reason}; found out less than {minutes} minutes ago");
        Probe { usable: false, reason }
    })
}

/// Others read whole files only. One that cannot be written is missed by nobody.
fn remember(file: &Path, about: &str, reason: &str) {
    let new = file.with_extension(std::process::id().to_string());
    let kept = fs::write(&new, format!("{about}{reason}")).and_then(|()| fs::rename(&new, file));
    if let Err(error) = kept {
        tracing::debug!(file = %file.display(), %error, "the accelerator will be probed again");
    }
}
