//! What boots in a guest, and on what.

use crate::paths::Places;
use crate::plan::NodePlan;
use anyhow::{Context as _, Result};
use images::kernel::Override;
use images::qemu::{Accel, Console, GuestSpec, NicSpec, PROGRAM, host_tsc_khz, qemu_args};
use images::{Built, Options, probe};
use std::ffi::OsString;
use std::path::Path;

/// Numbers of the descriptors that QEMU inherits.
pub(super) const NET_FD: i32 = 3;
/// The control port.
pub(super) const CONTROL_FD: i32 = 4;
/// QEMU's own monitor.
pub(super) const QMP_FD: i32 = 5;
/// Everything takes longer when QEMU translates instructions on few cores.
const TCG_FACTOR: u32 = 3;

/// What all guests of a cluster have in common.
#[derive(Debug)]
pub(crate) struct Machine {
    built: Built,
    accel: Accel,
    tsc_khz: u32,
    /// How much longer everything may take.
    pub(crate) factor: u32,
    /// Which accelerator and why, for people.
    pub(crate) words: String,
}

impl Machine {
    /// Finds out what this machine can do, and builds what its guests boot. Takes seconds, or
    /// longer when a kernel must be fetched.
    pub(crate) fn prepare(places: &Places, node_program: &Path) -> Result<Self> {
        let built = images::build(&Options {
            node: node_program.to_owned(),
            out: places.target().join("understudy/image"),
            cache: places.cache(),
            kernel: Override::from_env(),
        })
        .context("the guests' image cannot be built")?;
        let kvm = probe::kvm_usable();
        let (accel, factor) = if kvm.usable { (Accel::Kvm, 1) } else { (Accel::Tcg, TCG_FACTOR) };
        let words = match accel {
            Accel::Kvm => format!("accelerator: KVM ({}); times as in the file", kvm.reason),
            Accel::Tcg => format!(
                "accelerator: TCG, for KVM is not usable ({}); every time-out, also the nodes' \
                 heartbeat and join-timeout, is {factor} times that of the file",
                kvm.reason
            ),
        };
        let tsc_khz = match accel {
            Accel::Kvm => 0,
            Accel::Tcg => host_tsc_khz().context("guests cannot be given a clock")?,
        };
        Ok(Self { built, accel, tsc_khz, factor, words })
    }

    /// The command that boots a node.
    pub(super) fn command(&self, node: &NodePlan, console: &Path) -> Result<Vec<OsString>> {
        let nic = node.nic.as_ref().context("a guest needs a NIC")?;
        let memory_mib = u32::try_from(node.memory_bytes >> 20).unwrap_or(u32::MAX);
        let args = qemu_args(&GuestSpec {
            name: node.name.clone(),
            kernel: self.built.kernel.clone(),
            initramfs: self.built.initramfs.clone(),
            memory_mib,
            cpus: node.cpus,
            accel: self.accel,
            tsc_khz: self.tsc_khz,
            control: CONTROL_FD,
            qmp: QMP_FD,
            console: Console::File(console.to_owned()),
            nics: vec![NicSpec { mac: nic.mac.clone(), fd: NET_FD }],
        });
        Ok(std::iter::once(PROGRAM.into()).chain(args.into_iter().map(Into::into)).collect())
    }
}
