//! What boots in a guest, and on what.

use super::template::{Kind, Template};
use crate::paths::Places;
use crate::plan::NodePlan;
use anyhow::{Context as _, Result};
use images::kernel::Override;
use images::probe::Probe;
use images::qemu::{
    Accel, Board, Boot, Console, EXIT_FAULT, EXIT_ORDERLY, EXIT_RESET, GuestSpec, Memory, NicSpec,
    TEMPLATE_MAC, host_tsc_khz, program, qemu_args,
};
use images::{Arch, Built, Manifest, Options};
use runtime_core::node::Image;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Number of the descriptor that QEMU inherits for the control port.
pub(super) const CONTROL_FD: i32 = 4;
/// The same for QEMU's own monitor.
pub(super) const QMP_FD: i32 = 5;
/// The same for the control port of a seat.
pub(super) const SEAT_FD: i32 = 6;
/// The same for the state of which a copy goes on.
pub(super) const STATE_FD: i32 = 7;
/// Variable with more words for the command line of bare-metal guests, for example `drill=stack`.
const OPTIONS: &str = "UNDERSTUDY_BAREMETAL_OPTIONS";
/// Everything takes longer when QEMU translates instructions on few cores.
const TCG_FACTOR: u32 = 3;

/// What all guests of a cluster have in common.
#[derive(Debug)]
pub(crate) struct Machine {
    /// What Linux guests boot, if there are any.
    linux: Option<Built>,
    /// What Linux guests on aarch64 boot, if there are any.
    aarch64: Option<Built>,
    /// What bare-metal guests boot, if there are any.
    bare_metal: Option<PathBuf>,
    /// More words on the command line of bare-metal guests: for drills.
    options: String,
    accel: Accel,
    tsc_khz: u32,
    /// How much longer everything may take.
    pub(crate) factor: u32,
    /// Which accelerator and why, for people.
    pub(crate) words: String,
    /// Version of the emulator.
    version: String,
    /// Of which guests are copies.
    pub(super) templates: Vec<Template>,
}

impl Machine {
    /// Finds out what this machine can do, and builds what guests of these images boot. Takes
    /// seconds, or longer when a kernel must be fetched.
    pub(crate) fn prepare(
        places: &Places,
        node_program: &Path,
        program: Option<&Path>,
        wanted: &[Image],
    ) -> Result<Self> {
        let version = images::qemu::version(Arch::X86_64)?;
        let mut bare_metal = None;
        if wanted.contains(&Image::BareMetal) {
            bare_metal = Some(places.bare_metal_program()?);
        }
        let build = |arch, node: &Path, program: Option<&Path>| {
            // Another cluster may be booting from one without a program.
            let out = match (arch, program) {
                (Arch::Aarch64, _) => "understudy/image-aarch64",
                (Arch::X86_64, Some(_)) => "understudy/image-mcapi",
                (Arch::X86_64, None) => "understudy/image",
            };
            let built = images::build(&Options {
                arch,
                node: node.to_owned(),
                program: program.map(Path::to_owned),
                out: places.target().join(out),
                cache: places.cache(),
                kernel: Override::from_env(),
            });
            built.context("the guests' image cannot be built")
        };
        let (mut linux, mut aarch64) = (None, None);
        if wanted.contains(&Image::Linux) {
            linux = Some(build(Arch::X86_64, node_program, program)?);
        }
        if wanted.contains(&Image::LinuxAarch64) {
            let program = places.aarch64_program()?;
            images::qemu::version(Arch::Aarch64)?;
            aarch64 = Some(build(Arch::Aarch64, &program, None)?);
        }
        let mut kvm = super::accelerator::kvm(places, &version);
        if kvm.usable && aarch64.is_some() {
            // One clock for all: its guests are emulated, and would hold the others up.
            let reason = "it runs x86_64 only, and some nodes are aarch64".into();
            kvm = Probe { usable: false, reason };
        }
        let (accel, factor) = if kvm.usable { (Accel::Kvm, 1) } else { (Accel::Tcg, TCG_FACTOR) };
        let words = match accel {
            Accel::Kvm => format!("accelerator: KVM ({}); times as in the file", kvm.reason),
            Accel::Tcg => format!(
                "accelerator: TCG, for KVM is not usable ({}); every time-out, also the nodes' \
                 heartbeat and join-timeout, is {factor} times that of the file",
                kvm.reason
            ),
        };
        let tsc_khz = match (accel, &bare_metal) {
            (Accel::Kvm, None) => 0,
            _ if linux.is_none() && bare_metal.is_none() => 0,
            _ => host_tsc_khz().context("guests cannot be given a clock")?,
        };
        let options = std::env::var(OPTIONS).unwrap_or_default();
        let templates = Vec::new();
        Ok(Self {
            linux,
            aarch64,
            bare_metal,
            options,
            accel,
            tsc_khz,
            factor,
            words,
            version,
            templates,
        })
    }

    /// The same machine, without templates.
    pub(crate) fn again(&self) -> Self {
        Self {
            linux: self.linux.clone(),
            aarch64: self.aarch64.clone(),
            bare_metal: self.bare_metal.clone(),
            options: self.options.clone(),
            words: self.words.clone(),
            version: self.version.clone(),
            templates: Vec::new(),
            ..*self
        }
    }

    /// The same machine with another program for bare-metal guests, and nothing for others.
    pub(crate) fn with_bare_metal(&self, program: PathBuf) -> Self {
        Self { linux: None, aarch64: None, bare_metal: Some(program), ..self.again() }
    }

    /// Are there any?
    pub(crate) fn has_templates(&self) -> bool {
        !self.templates.is_empty()
    }

    /// The program of bare-metal guests, if there are any.
    pub(super) fn bare_metal(&self) -> Option<&Path> {
        self.bare_metal.as_deref()
    }

    /// Which templates are worth while for these nodes, and where they are kept: none for KVM, where a boot is
    /// quick, and none for bare metal, where it is quicker than anything.
    pub(crate) fn kinds<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a NodePlan>,
    ) -> BTreeSet<Kind> {
        // A seat has no machine of its own.
        let linux = |node: &&NodePlan| {
            node.image == Image::Linux && node.host.is_none() && self.accel == Accel::Tcg
        };
        nodes.into_iter().filter(linux).map(Kind::of).collect()
    }

    /// The template of which a node may be a copy.
    pub(super) fn template(&self, node: &NodePlan) -> Option<&Template> {
        let kind = Kind::of(node);
        let fits = |template: &&Template| template.kind == kind && node.image == Image::Linux;
        self.templates.iter().find(fits)
    }

    /// All that a template is made of. It is valid until the host starts again, for nobody waits until its
    /// memory is on the disk.
    pub(super) fn made_of(&self, kind: Kind) -> Result<String> {
        let linux = self.linux.as_ref().context("no image was built for Linux guests")?;
        let boot = "/proc/sys/kernel/random/boot_id";
        let boot = std::fs::read_to_string(boot).with_context(|| format!("cannot read {boot}"))?;
        let (console, ram) = (Path::new("console"), Memory::Kept("ram".into()));
        let line = self.template_command(kind, console, ram)?;
        // Where a file is does not matter, but what is in it.
        let files = [linux.kernel.as_os_str(), linux.initramfs.as_os_str()];
        let line = line.iter().filter(|word| !files.contains(&word.as_os_str()));
        let line = line.map(|word| word.to_string_lossy());
        let line: Vec<_> = line.filter(|word| !word.starts_with("loader,file=")).collect();
        let Manifest { boot: kernel, initramfs, acpi, .. } = &linux.manifest;
        Ok(format!(
            "{}\nkernel {}\ninitramfs {}\nacpi {}\nhost {}{}\n",
            self.version,
            kernel.sha256,
            initramfs.sha256,
            acpi.sha256,
            boot,
            line.join(" ")
        ))
    }

    /// The command that boots a template.
    pub(super) fn template_command(
        &self,
        kind: Kind,
        console: &Path,
        memory: Memory,
    ) -> Result<Vec<OsString>> {
        self.line("template", Image::Linux, kind, memory, console, TEMPLATE_MAC)
    }

    /// The command that boots a node, or has it go on as a copy.
    pub(super) fn command(
        &self,
        node: &NodePlan,
        console: &Path,
        memory: Memory,
    ) -> Result<Vec<OsString>> {
        let nic = node.nic.as_ref().context("a guest needs a NIC")?;
        self.line(&node.name, node.image, Kind::of(node), memory, console, &nic.mac)
    }

    fn line(
        &self,
        name: &str,
        image: Image,
        kind: Kind,
        memory: Memory,
        console: &Path,
        mac: &str,
    ) -> Result<Vec<OsString>> {
        let board = Some(kind.board_bytes).filter(|bytes| *bytes > 0);
        let linux = |arch, built: Option<&Built>| {
            let built = built.context("no image was built for Linux guests")?;
            let Built { kernel, initramfs, acpi, .. } = built.clone();
            anyhow::Ok(Boot::Linux { arch, kernel, initramfs, acpi })
        };
        let boot = match image {
            Image::Linux => linux(Arch::X86_64, self.linux.as_ref())?,
            Image::LinuxAarch64 => linux(Arch::Aarch64, self.aarch64.as_ref())?,
            Image::BareMetal => {
                let program = self.bare_metal.clone();
                let program = program.context("no program for bare-metal guests")?;
                Boot::BareMetal { program, options: self.options.clone() }
            }
        };
        let emulator = program(&boot);
        let args = qemu_args(&GuestSpec {
            name: name.to_owned(),
            boot,
            memory_mib: kind.memory_mib,
            memory,
            board: board.map(|bytes| Board { fd: super::BOARD_FD, bytes }),
            cpus: kind.cpus,
            accel: self.accel,
            tsc_khz: self.tsc_khz,
            control: CONTROL_FD,
            seat: kind.seat.then_some(SEAT_FD),
            qmp: QMP_FD,
            console: Console::File(console.to_owned()),
            nics: vec![NicSpec { mac: mac.to_owned(), fd: super::NET_FD }],
        });
        Ok(std::iter::once(emulator.into()).chain(args.into_iter().map(Into::into)).collect())
    }
}

/// How a bare-metal guest ended, given how its QEMU did: the guest itself wrote the exit code, or had no
/// time to.
pub(crate) fn bare_metal_end(status: &str) -> String {
    let code = status.strip_prefix("exit status: ").and_then(|code| code.parse().ok());
    match code {
        Some(EXIT_RESET) => "the guest reset itself: triple fault".to_owned(),
        Some(EXIT_ORDERLY) => format!("in an orderly way, {status}"),
        Some(EXIT_FAULT) => format!("at a fault that its console tells, {status}"),
        _ => status.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::bare_metal_end;

    #[test]
    fn a_bare_metal_guest_tells_by_its_exit_code_how_it_ended() {
        assert!(bare_metal_end("exit status: 0").contains("reset itself: triple fault"));
        assert!(bare_metal_end("exit status: 33").contains("orderly"));
        assert!(bare_metal_end("exit status: 35").contains("a fault"));
        for other in ["exit status: 1", "signal: 9 (SIGKILL)", ""] {
            assert_eq!(bare_metal_end(other), other, "that is QEMU's own end");
        }
    }
}
