//! Guests with an aarch64 processor: machine `virt`, with the same devices as microvm. It tells the kernel of them by a
//! device tree, and ends and resets at the kernel's call (PSCI). Always emulated: hosts are x86_64.

use super::{GuestSpec, words};

pub(super) const PROGRAM: &str = "qemu-system-aarch64";

/// As [`super::kernel_command_line`] for x86_64, as far as it applies. The seed in the device tree is trusted: a guest has
/// no other.
pub(super) const KERNEL_COMMAND_LINE: &str = "console=ttyAMA0 quiet panic=-1 ipv6.disable=1 mitigations=off nokaslr \
     random.trust_bootloader=on rcupdate.rcu_expedited=1 cryptomgr.notests \
     initcall_blacklist=load_system_certificate_list,crypto_kdf108_init,crypto_algapi_init";

pub(super) fn machine(spec: &GuestSpec) -> Vec<String> {
    words(&[
        "-machine",
        // The older interrupt controller knows eight processors.
        "virt,gic-version=3,acpi=off",
        "-global",
        "virtio-mmio.force-legacy=off",
        "-accel",
        "tcg",
        "-cpu",
        // Not `max`: signed pointers and long vectors cost time, and the vectors space in every signal frame.
        "cortex-a57",
        "-smp",
        &spec.cpus.to_string(),
        "-m",
        &format!("{}M", spec.memory_mib),
    ])
}
