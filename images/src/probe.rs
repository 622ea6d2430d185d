//! Whether an accelerator really executes code.
//!
//! `/dev/kvm` may be there, open, and even make a machine, and still be of no use: QEMU aborts, or the guest
//! never runs, or it runs until it uses 64-bit mode, or, where KVM has no hardware behind it and interprets what it
//! runs, until an instruction that its interpreter does not know. So the probe starts one that does all that, and
//! expects its byte.

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

/// Firmware that does what a kernel does first, and then says one byte and ends the machine: it makes page
/// tables, enters 64-bit mode, stores from a vector register, compares and exchanges 16 bytes, and clears memory. There
/// are hosts whose KVM gets no further than each of these.
fn stub() -> Vec<u8> {
    const SIZE: usize = 64 * 1024;
    const CODE_AT: usize = 0xff00;
    const TABLE_AT: usize = 0xffa0;
    /// Where a processor starts, in real mode.
    const RESET: usize = SIZE - 16;
    #[rustfmt::skip]
    const CODE: [u8; 157] = [
        // 16 bits, segment 0xf000: the ROM is at 0xf0000 as well.
        0xfa, 0xfc,                                           // cli; cld
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0,                   // xor ax, ax; mov ds, ax; mov es, ax
        0xbf, 0x00, 0x10, 0xb9, 0x00, 0x18, 0xf3, 0xab,       // mov di, 0x1000; mov cx, 0x1800; rep stosw
        0xc7, 0x06, 0x00, 0x10, 0x03, 0x20,                   // mov word [0x1000], 0x2003
        0xc7, 0x06, 0x00, 0x20, 0x03, 0x30,                   // mov word [0x2000], 0x3003
        // The first 8 MiB, in pages of 2 MiB.
        0x66, 0xc7, 0x06, 0x00, 0x30, 0x83, 0x00, 0x00, 0x00, // mov dword [0x3000], 0x000083
        0x66, 0xc7, 0x06, 0x08, 0x30, 0x83, 0x00, 0x20, 0x00, // mov dword [0x3008], 0x200083
        0x66, 0xc7, 0x06, 0x10, 0x30, 0x83, 0x00, 0x40, 0x00, // mov dword [0x3010], 0x400083
        0x66, 0xc7, 0x06, 0x18, 0x30, 0x83, 0x00, 0x60, 0x00, // mov dword [0x3018], 0x600083
        0xb8, 0x00, 0xf0, 0x8e, 0xd8,                         // mov ax, 0xf000; mov ds, ax
        0x66, 0x0f, 0x01, 0x16, 0xb0, 0xff,                   // lgdt [0xffb0]
        0x66, 0xb8, 0xa0, 0x02, 0x00, 0x00, 0x0f, 0x22, 0xe0, // mov eax, 0x2a0; mov cr4, eax
        0x66, 0xb8, 0x00, 0x10, 0x00, 0x00, 0x0f, 0x22, 0xd8, // mov eax, 0x1000; mov cr3, eax
        0x66, 0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32,       // mov ecx, 0xc0000080 (EFER); rdmsr
        0x0d, 0x00, 0x01, 0x0f, 0x30,                         // or ax, 0x100; wrmsr
        0x66, 0xb8, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, // mov eax, 0x80000001; mov cr0, eax
        0x66, 0xea, 0x7b, 0xff, 0x0f, 0x00, 0x08, 0x00,       // jmp 8:0xfff7b
        // 64 bits.
        0xbf, 0x00, 0x00, 0x20, 0x00,                         // mov edi, 0x200000
        0x0f, 0x57, 0xc0, 0x0f, 0x11, 0x07,                   // xorps xmm0, xmm0; movups [rdi], xmm0
        0xf0, 0x48, 0x0f, 0xc7, 0x0f,                         // lock cmpxchg16b [rdi]
        0xb9, 0x00, 0x00, 0x60, 0x00,                         // mov ecx, 0x600000
        0x31, 0xc0, 0xf3, 0xaa,                               // xor eax, eax; rep stosb
        0xb0, BYTE, 0xe6, 0xe9,                               // mov al, BYTE; out 0xe9, al
        0xb0, 0x10, 0xe6, 0xf4, 0xf4,                         // mov al, 0x10; out 0xf4, al; hlt
    ];
    #[rustfmt::skip]
    const TABLE: [u8; 22] = [
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0x9a, 0x20, 0,       // code of 64 bits
        15, 0, 0xa0, 0xff, 0x0f, 0,         // the two, at 0xfffa0
    ];
    let mut rom = vec![0xf4; SIZE];
    rom[CODE_AT..CODE_AT + CODE.len()].copy_from_slice(&CODE);
    rom[TABLE_AT..TABLE_AT + TABLE.len()].copy_from_slice(&TABLE);
    rom[RESET..RESET + 5].copy_from_slice(&[0xea, 0x00, 0xff, 0x00, 0xf0]); // jmp 0xf000:0xff00
    rom
}
