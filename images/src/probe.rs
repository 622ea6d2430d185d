//! Whether an accelerator really executes code.
//!
//! `/dev/kvm` may be there, open, and even make a machine, and still be of no use: QEMU aborts, or
//! the guest never runs. So the probe starts one and expects its byte.

use crate::qemu::{Accel, PROGRAM};
use duct::cmd;
use std::fs::{self, OpenOptions};
use std::io;
use std::process::Output;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// What the probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether guests can use the accelerator.
    pub usable: bool,
    /// Why, for people.
    pub reason: String,
}

/// How long the stub may take. KVM needs some 50 ms of it.
const PATIENCE: Duration = Duration::from_millis(2500);
/// The byte that the stub says.
const BYTE: u8 = b'U';
/// Exit code of QEMU after the stub wrote 0x10 to the exit device: twice that, plus one.
const EXIT: i32 = 0x21;

/// Whether guests can use KVM here. Takes under three seconds and leaves no process.
#[must_use]
pub fn kvm_usable() -> Probe {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => boots(Accel::Kvm, PATIENCE),
        Err(e) if e.kind() == io::ErrorKind::NotFound => no("there is no /dev/kvm".into()),
        Err(e) => no(format!("cannot open /dev/kvm: {e}; are you in the group kvm?")),
    }
}

/// Whether a machine on this accelerator runs the stub within the given time.
#[must_use]
pub fn boots(accel: Accel, patience: Duration) -> Probe {
    match run(accel, patience) {
        Ok(Some(output)) => judge(accel, &output),
        Ok(None) => no(format!("a stub under {} said nothing for {patience:?}", accel.name())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            no("setpriv (package util-linux) is not installed".into())
        }
        Err(e) => no(format!("cannot run {PROGRAM}: {e}")),
    }
}

fn no(reason: String) -> Probe {
    Probe { usable: false, reason }
}

fn judge(accel: Accel, output: &Output) -> Probe {
    if output.stdout == [BYTE] && output.status.code() == Some(EXIT) {
        return Probe { usable: true, reason: format!("a stub ran under {}", accel.name()) };
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    // What went wrong stands first; an assertion may follow.
    let prefix = format!("{PROGRAM}: ");
    let line = errors.lines().map(|l| l.trim_start_matches(&prefix)).find(|l| !l.is_empty());
    let line = line.unwrap_or("it said nothing");
    no(format!("{PROGRAM} under {} ended with {}: {line}", accel.name(), output.status))
}

/// Runs the stub; `None` when it took too long.
fn run(accel: Accel, patience: Duration) -> io::Result<Option<Output>> {
    // Also the working directory: a QEMU that aborts may leave a core file.
    let dir = tempfile::tempdir()?;
    let rom = dir.path().join("stub.rom");
    fs::write(&rom, stub())?;
    let cpu = if accel == Accel::Kvm { "host" } else { "qemu64" };
    let handle = cmd!(
        "setpriv",
        "--pdeathsig",
        "KILL",
        "--",
        PROGRAM,
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-machine",
        "microvm",
        "-m",
        "16M",
        "-accel",
        accel.name(),
        "-cpu",
        cpu,
        "-bios",
        rom,
        "-chardev",
        "file,id=out,path=/dev/stdout",
        "-device",
        "isa-debugcon,iobase=0xe9,chardev=out",
        "-device",
        "isa-debug-exit,iobase=0xf4,iosize=1"
    )
    .dir(dir.path())
    .stdin_null()
    .stdout_capture()
    .stderr_capture()
    .unchecked()
    .start()?;
    match handle.wait_timeout(patience)? {
        Some(output) => Ok(Some(output.clone())),
        None => {
            handle.kill()?;
            handle.wait()?;
            Ok(None)
        }
    }
}

/// Firmware that says one byte and ends the machine: all of it fits behind the reset vector, the
/// last 16 bytes of the ROM, where a processor starts in real mode.
fn stub() -> Vec<u8> {
    const SIZE: usize = 64 * 1024;
    const CODE: [u8; 11] = [
        0xb0, BYTE, // mov al, BYTE
        0xe6, 0xe9, // out 0xe9, al
        0xb0, 0x10, // mov al, 0x10
        0xe6, 0xf4, // out 0xf4, al
        0xf4, // hlt
        0xeb, 0xfd, // jmp to hlt
    ];
    let mut rom = vec![0xf4; SIZE];
    rom[SIZE - 16..][..CODE.len()].copy_from_slice(&CODE);
    rom
}
