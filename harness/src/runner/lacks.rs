//! What a topology needs that need not be on every machine: guests with another processor.
//!
//! What every machine must have (QEMU, the node program) is not looked for here: without it nothing runs, and that is
//! a failure.

use crate::paths::Places;
use crate::plan::Backend;
use images::Arch;
use runtime_core::node::Image;
use topology::Topology;

/// Why the cluster cannot run here, with how it could; nothing if it can.
pub(super) fn lacks(places: &Places, topology: &Topology, backend: Backend) -> Option<String> {
    let aarch64 = topology.nodes.iter().any(|node| node.image == Image::LinuxAarch64);
    if backend != Backend::Qemu || !aarch64 {
        return None;
    }
    let program = places.aarch64_program().err().map(|e| format!("{e:#}"));
    let emulator = || images::qemu::version(Arch::Aarch64).err().map(|e| e.to_string());
    let kernel = || images::kernel::aarch64(&places.cache()).err().map(|e| e.to_string());
    program.or_else(emulator).or_else(kernel)
}
