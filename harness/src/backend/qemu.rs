//! What boots in a guest, and on what.

use crate::paths::Places;
use crate::plan::NodePlan;
use anyhow::{Context as _, Result};
use images::kernel::Override;
use images::probe::{self, Probe};
use images::qemu::{
    Accel, Boot, Console, EXIT_FAULT, EXIT_ORDERLY, EXIT_RESET, GuestSpec, NicSpec, host_tsc_khz,
    program, qemu_args,
};
use images::{Arch, Built, Options};
use runtime_core::node::Image;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Number of the descriptor that QEMU inherits for the control port.
pub(super) const CONTROL_FD: i32 = 4;
/// The same for QEMU's own monitor.
pub(super) const QMP_FD: i32 = 5;
/// The same for the control port of a seat.
pub(super) const SEAT_FD: i32 = 6;
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
            aarch64 = Some(build(Arch::Aarch64, &places.aarch64_program()?, None)?);
        }
        let mut kvm = probe::kvm_usable();
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
        Ok(Self { linux, aarch64, bare_metal, options, accel, tsc_khz, factor, words })
    }

    /// The same machine with another program for bare-metal guests, and nothing for others.
    pub(crate) fn with_bare_metal(&self, program: PathBuf) -> Self {
        let (options, words) = (self.options.clone(), self.words.clone());
        Self { linux: None, aarch64: None, bare_metal: Some(program), options, words, ..*self }
    }

    /// The program of bare-metal guests, if there are any.
    pub(super) fn bare_metal(&self) -> Option<&Path> {
        self.bare_metal.as_deref()
    }

    /// The command that boots a node.
    pub(super) fn command(&self, node: &NodePlan, console: &Path) -> Result<Vec<OsString>> {
        let nic = node.nic.as_ref().context("a guest needs a NIC")?;
        let memory_mib = u32::try_from(node.memory_bytes >> 20).unwrap_or(u32::MAX);
        let linux = |arch, built: Option<&Built>| {
            let built = built.context("no image was built for Linux guests")?;
            let (kernel, initramfs) = (built.kernel.clone(), built.initramfs.clone());
            anyhow::Ok(Boot::Linux { arch, kernel, initramfs })
        };
        let boot = match node.image {
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
            name: node.name.clone(),
            boot,
            memory_mib,
            cpus: node.cpus,
            accel: self.accel,
            tsc_khz: self.tsc_khz,
            control: CONTROL_FD,
            seat: node.seat.is_some().then_some(SEAT_FD),
            qmp: QMP_FD,
            console: Console::File(console.to_owned()),
            nics: vec![NicSpec { mac: nic.mac.clone(), fd: super::NET_FD }],
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
