//! What the initramfs holds.

use crate::Error;
use crate::cpio::Archive;
use crate::modules::LoadableModule;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Architecture, Endianness, Object, ObjectKind, elf};
use std::path::Path;

/// Drivers of the devices that [`crate::qemu`] gives a guest.
pub(crate) const MODULES: &[&str] = &["virtio_mmio", "virtio_console", "virtio_net"];

/// The archive: PID 1, its modules, and the mount points it needs.
pub(crate) fn write(node: &[u8], modules: &[LoadableModule]) -> Vec<u8> {
    let paths: Vec<String> = modules.iter().map(|m| format!("modules/{}.ko", m.name)).collect();
    let list: String = paths.iter().map(|p| format!("/{p}\n")).collect();
    let mut archive = Archive::default();
    archive.program("init", node);
    // PID 1's standard streams, before it mounts the real /dev.
    archive.device("dev/console", 5, 1);
    archive.directory("proc");
    archive.directory("sys");
    archive.file("modules.list", list.as_bytes());
    for (path, module) in paths.iter().zip(modules) {
        archive.file(path, &module.bytes);
    }
    archive.finish()
}

/// PID 1 of an initramfs has no loader and no libraries; it must also lie at the same addresses in
/// every process, or a rank's pointers would not mean the same on another node.
pub(crate) fn check_node(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let bad = |reason| Error::BadNode { path: path.into(), reason };
    let file =
        ElfFile64::<Endianness>::parse(bytes).map_err(|_| bad("it is no 64-bit ELF file"))?;
    if file.architecture() != Architecture::X86_64 {
        return Err(bad("it is no program for x86_64"));
    }
    let endian = file.endian();
    let interpreter = file.elf_program_headers().iter().any(|h| h.p_type(endian) == elf::PT_INTERP);
    if interpreter {
        return Err(bad("it is linked dynamically; build it with -C target-feature=+crt-static"));
    }
    if file.elf_header().e_type(endian) != elf::ET_EXEC || file.kind() != ObjectKind::Executable {
        return Err(bad("it has no fixed address; build it with -C relocation-model=static"));
    }
    Ok(())
}
