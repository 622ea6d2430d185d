//! The QEMU command line of one guest. Pure: the caller makes the sockets and starts the process.
//!
//! The machine is `microvm`: no PCI, no firmware devices, virtio over MMIO. Under emulation it must
//! be told the frequency of the time stamp counter, or it hangs at random on a busy host: it has
//! nothing but the PIT to measure the counter by, and a guest that stands still while it measures
//! gets no usable value.

use crate::{Arch, Error, acpi};
use duct::cmd;
use images_control::{PORT_NAME, SEAT_PORT_NAME};
use std::fs;
use std::io;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

mod virt;

/// The emulator of x86_64.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Where a bare-metal guest writes how it ended; QEMU then exits with twice the value, plus one.
pub const EXIT_PORT: u16 = 0xf4;
/// QEMU's exit code for a bare-metal guest that ended in an orderly way: it wrote 0x10.
pub const EXIT_ORDERLY: i32 = 33;
/// QEMU's exit code for a bare-metal guest that stopped at a fault of its own: it wrote 0x11.
pub const EXIT_FAULT: i32 = 35;
/// QEMU's exit code for a guest that reset itself, which is what a processor does that faults while it
/// handles a fault while it handles a fault.
pub const EXIT_RESET: i32 = 0;

/// What executes a guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// The processor, through `/dev/kvm`.
    Kvm,
    /// QEMU's translator.
    Tcg,
}

impl Accel {
    /// As QEMU calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

/// Where a guest's console goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Console {
    /// To a file, from its beginning.
    File(PathBuf),
    /// To an inherited stream socket, both ways. Somebody must read it, or the guest waits.
    Socket(RawFd),
}

/// One network card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicSpec {
    /// `52:54:00:…`, unique on its network.
    pub mac: String,
    /// An inherited end of a Unix datagram socket pair: a datagram is a frame.
    pub fd: RawFd,
}

/// What a guest boots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Linux, with the node program as its PID 1.
    Linux {
        /// Its processor.
        arch: Arch,
        /// [`crate::Built::kernel`].
        kernel: PathBuf,
        /// [`crate::Built::initramfs`].
        initramfs: PathBuf,
        /// [`crate::Built::acpi`].
        acpi: PathBuf,
    },
    /// The node program itself: an ELF file with an entry for PVH.
    BareMetal {
        /// The file.
        program: PathBuf,
        /// More words for its command line; empty for none.
        options: String,
    },
}

/// Where a guest's memory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// With QEMU alone.
    Own,
    /// In this file, which keeps it: of a template.
    Kept(PathBuf),
    /// What is in this file, until it is written to: of a copy of the template. The copy boots nothing, and
    /// waits for the template's state through QMP's `migrate-incoming`.
    Copied(PathBuf),
}

/// Memory that guests have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// An inherited descriptor of it: a file in memory, of that size.
    pub fd: RawFd,
    /// Bytes, a power of two.
    pub bytes: u64,
}

/// Hardware address of a template's card; each copy gets another.
pub const TEMPLATE_MAC: &str = "52:54:00:ff:ff:fe";

/// One guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestSpec {
    /// For `ps` and messages.
    pub name: String,
    /// What it boots.
    pub boot: Boot,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Where that is.
    pub memory: Memory,
    /// What a Linux guest shares with others, as a PCI device.
    pub board: Option<Board>,
    /// Processors.
    pub cpus: u32,
    /// What executes its instructions.
    pub accel: Accel,
    /// [`host_tsc_khz`]. A Linux guest needs it under emulation only, a bare-metal guest always.
    pub tsc_khz: u32,
    /// An inherited end of a stream socket pair for the control port.
    pub control: RawFd,
    /// The same for the control port of its seat, if it has one.
    pub seat: Option<RawFd>,
    /// An inherited end of a stream socket pair for QMP.
    pub qmp: RawFd,
    /// Where the console goes.
    pub console: Console,
    /// Its network cards.
    pub nics: Vec<NicSpec>,
}

impl GuestSpec {
    const fn is_aarch64(&self) -> bool {
        matches!(self.boot, Boot::Linux { arch: Arch::Aarch64, .. })
    }
}

/// The program and its arguments, such that QEMU dies with the thread that starts it.
///
/// With the *thread*, not the process: Linux takes the death of the parent thread for the death of
/// the parent. Start guests from a thread that lives as long as they should.
#[must_use]
pub fn command_line(spec: &GuestSpec) -> Vec<String> {
    let mut line = words(&["setpriv", "--pdeathsig", "KILL", "--", program(&spec.boot)]);
    line.extend(qemu_args(spec));
    line
}

/// The emulator for what a guest boots.
#[must_use]
pub const fn program(boot: &Boot) -> &'static str {
    match boot {
        Boot::Linux { arch: Arch::Aarch64, .. } => virt::PROGRAM,
        Boot::Linux { .. } | Boot::BareMetal { .. } => PROGRAM,
    }
}

/// QEMU's arguments. The inherited descriptors keep their numbers.
#[must_use]
pub fn qemu_args(spec: &GuestSpec) -> Vec<String> {
    let mut args = words(&["-name", &spec.name, "-nodefaults", "-no-user-config"]);
    // A guest that resets has failed: QEMU ends, and QMP says `guest-reset`.
    args.extend(words(&["-no-reboot", "-display", "none"]));
    args.extend(machine(spec));
    match &spec.boot {
        // What it boots is in its memory already.
        _ if matches!(spec.memory, Memory::Copied(_)) => {
            args.extend(words(&["-incoming", "defer"]));
        }
        Boot::Linux { kernel, initramfs, acpi, .. } => {
            args.extend(words(&["-kernel", &text(kernel), "-initrd", &text(initramfs)]));
            args.extend(words(&["-append", &kernel_command_line(spec)]));
            if has_own_tables(spec) {
                let (file, at) = (escaped(acpi), acpi::BASE);
                let loader = format!("loader,file={file},addr={at:#x},force-raw=on");
                args.extend(words(&["-device", &loader]));
            }
        }
        Boot::BareMetal { program, options } => {
            args.extend(words(&["-kernel", &text(program)]));
            let line = format!("tsc_khz={} {options}", spec.tsc_khz);
            args.extend(words(&["-append", line.trim_end()]));
            let exit = format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=0x04");
            args.extend(words(&["-device", &exit]));
        }
    }

    let console = match &spec.console {
        Console::File(path) => format!("file,id=console,path={}", escaped(path)),
        Console::Socket(fd) => format!("socket,id=console,fd={fd}"),
    };
    args.extend(words(&["-chardev", &console, "-serial", "chardev:console"]));
    let qmp = format!("socket,id=qmp,fd={}", spec.qmp);
    args.extend(words(&["-chardev", &qmp, "-mon", "chardev=qmp,mode=control"]));
    let control = format!("socket,id=control,fd={}", spec.control);
    args.extend(words(&["-device", "virtio-serial-device", "-chardev", &control]));
    args.extend(words(&["-device", &format!("virtserialport,chardev=control,name={PORT_NAME}")]));
    if let Some(fd) = spec.seat {
        args.extend(words(&["-chardev", &format!("socket,id=seat,fd={fd}")]));
        args.extend(words(&[
            "-device",
            &format!("virtserialport,chardev=seat,name={SEAT_PORT_NAME}"),
        ]));
    }
    if let Some(Board { fd, bytes }) = spec.board {
        let path = format!("/proc/self/fd/{fd}");
        let object = format!("memory-backend-file,id=board,size={bytes},mem-path={path},share=on");
        args.extend(words(&["-object", &object]));
        // Not the master of the memory, it could not be a template's.
        args.extend(words(&["-device", "ivshmem-plain,memdev=board,master=on"]));
    }
    for (i, nic) in spec.nics.iter().enumerate() {
        args.extend(words(&[
            "-netdev",
            &format!("dgram,id=net{i},local.type=fd,local.str={}", nic.fd),
        ]));
        // The default queue of 256 loses bursts while the guest is not scheduled.
        let device = format!("virtio-net-device,netdev=net{i},mac={},rx_queue_size=1024", nic.mac);
        args.extend(words(&["-device", &device]));
    }
    args
}

fn machine(spec: &GuestSpec) -> Vec<String> {
    if spec.is_aarch64() {
        return virt::machine(spec);
    }
    let (accel, cpu) = match spec.accel {
        Accel::Kvm => ("kvm", "host"),
        // Not `max`: five-level page tables and wide registers cost every fault and switch.
        // The random instruction seeds the kernel at once.
        Accel::Tcg => ("tcg", "qemu64,+rdrand"),
    };
    let kind = match &spec.boot {
        Boot::Linux { .. } if spec.board.is_some() => "microvm,pcie=on",
        Boot::Linux { .. } => "microvm",
        // Without ACPI the devices stand on the command line. The old timers and interrupt controllers
        // have no use, and would take a little of a processor even while the guest sleeps.
        Boot::BareMetal { .. } => "microvm,acpi=off,pit=off,pic=off,rtc=off",
    };
    let (kind, memory) = match &spec.memory {
        Memory::Own => (kind.to_owned(), Vec::new()),
        Memory::Kept(file) => memory_in(spec, kind, file, "on"),
        Memory::Copied(file) => memory_in(spec, kind, file, "off"),
    };
    let mut args = words(&[
        "-machine",
        &kind,
        "-global",
        "virtio-mmio.force-legacy=off",
        "-accel",
        accel,
        "-cpu",
        cpu,
        "-smp",
        &spec.cpus.to_string(),
        "-m",
        &format!("{}M", spec.memory_mib),
    ]);
    args.extend(memory);
    args
}

/// The machine, and the arguments that put its memory into a file.
fn memory_in(spec: &GuestSpec, kind: &str, file: &Path, share: &str) -> (String, Vec<String>) {
    let (size, path) = (spec.memory_mib, escaped(file));
    let object =
        format!("memory-backend-file,id=memory,size={size}M,mem-path={path},share={share}");
    (format!("{kind},memory-backend=memory"), words(&["-object", &object]))
}

/// Initcalls that no guest needs: tracing, certificates and self-tests cost an emulated boot a third
/// of its time; the last two complain of a machine without PCI, and of a clock that is in no table (its time is read
/// without a driver).
const SKIPPED: &[&str] = &[
    "init_kprobe_trace",
    "load_system_certificate_list",
    "crypto_kdf108_init",
    "crypto_algapi_init",
    "pci_arch_init",
    "cmos_init",
];

/// Emulated guests without PCI have tables of their own (see [`crate::acpi`]); KVM's timers are not measured.
fn has_own_tables(spec: &GuestSpec) -> bool {
    spec.accel == Accel::Tcg && spec.board.is_none() && !spec.is_aarch64()
}

fn kernel_command_line(spec: &GuestSpec) -> String {
    if spec.is_aarch64() {
        return virt::KERNEL_COMMAND_LINE.to_owned();
    }
    let mut line = String::from("console=ttyS0 quiet panic=-1 ipv6.disable=1");
    if spec.board.is_none() {
        line += " pci=off";
    }
    line += " mitigations=off nokaslr random.trust_cpu=on rcupdate.rcu_expedited=1";
    line += " cryptomgr.notests initcall_blacklist=";
    line += &SKIPPED.join(",");
    if spec.accel == Accel::Tcg {
        line += &format!(" tsc_early_khz={} tsc=reliable no_timer_check", spec.tsc_khz);
    }
    if has_own_tables(spec) {
        line += &format!(" acpi_rsdp={:#x} nr_cpus={}", acpi::BASE, spec.cpus);
    }
    line
}

/// What the emulator calls its version.
///
/// # Errors
/// When it is not installed, or cannot be started.
pub fn version(arch: Arch) -> Result<String, Error> {
    let (program, remedy) = match arch {
        Arch::X86_64 => (PROGRAM, "`make setup` installs it (on Debian: qemu-system-x86)"),
        Arch::Aarch64 => {
            (virt::PROGRAM, "`make node-aarch64` installs it (on Debian: qemu-system-arm)")
        }
    };
    let output = cmd(program, ["--version"]).stdin_null().stderr_null().read();
    let output = output.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NoQemu { program, remedy },
        _ => Error::Run { tool: program, source },
    })?;
    Ok(output.lines().next().unwrap_or_default().to_owned())
}

/// Frequency of this machine's time stamp counter, which an emulated guest reads directly.
///
/// # Errors
/// When `/proc/cpuinfo` cannot be read or does not tell.
pub fn host_tsc_khz() -> Result<u32, Error> {
    let path = Path::new("/proc/cpuinfo");
    let text =
        fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
    tsc_khz(&text).ok_or(Error::NoTsc)
}

/// From `bogomips`, which the kernel sets to twice the counter's frequency in MHz and which, unlike
/// `cpu MHz`, does not follow the processor's current frequency.
fn tsc_khz(cpuinfo: &str) -> Option<u32> {
    let value = |key: &str| {
        let line =
            cpuinfo.lines().find(|l| l.split(':').next().is_some_and(|k| k.trim() == key))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    if !value("flags")?.split(' ').any(|f| f == "constant_tsc") {
        return None;
    }
    // "4890.86" counts hundredths of half a MHz: five kHz each.
    let (whole, hundredths) = value("bogomips")?.split_once('.')?;
    if hundredths.len() != 2 {
        return None;
    }
    let hundredths: u32 = format!("{whole}{hundredths}").parse().ok()?;
    hundredths.checked_mul(5).filter(|khz| *khz > 0)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A path inside a comma-separated option: QEMU reads two commas as one.
fn escaped(path: &Path) -> String {
    text(path).replace(',', ",,")
}
