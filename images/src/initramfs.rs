//! What the initramfs holds.

use crate::cpio::Archive;
use crate::modules::LoadableModule;
use crate::{Arch, Error};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};
use object::{Architecture, Endianness, Object, ObjectKind, elf};
use std::path::Path;

/// Drivers of the devices that [`crate::qemu`] gives a guest.
pub(crate) const MODULES: &[&str] = &["virtio_mmio", "virtio_console", "virtio_net"];

/// Where a guest has the program that it is to start.
pub const PROGRAM: &str = "/program";

/// The archive: PID 1, its modules, and the mount points it needs.
pub(crate) fn write(node: &[u8], program: Option<&[u8]>, modules: &[LoadableModule]) -> Vec<u8> {
    let paths: Vec<String> = modules.iter().map(|m| format!("modules/{}.ko", m.name)).collect();
    let list: String = paths.iter().map(|p| format!("/{p}\n")).collect();
    let mut archive = Archive::default();
    archive.program("init", node);
    if let Some(program) = program {
        archive.program(PROGRAM.trim_start_matches('/'), program);
    }
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

/// A guest has no loader and no libraries.
pub(crate) fn check_program(path: &Path, bytes: &[u8], arch: Arch) -> Result<(), Error> {
    let dynamic = "it is linked dynamically, and a guest has no libraries: link it with -static, or let `understudy cc` build it";
    let bad = |reason: Option<_>| Error::BadProgram {
        path: path.into(),
        reason: reason.unwrap_or(dynamic),
    };
    static_elf(bytes, arch).map(drop).map_err(bad)
}

/// Why a file is no static program; `None`: it needs a loader.
fn static_elf(bytes: &[u8], arch: Arch) -> Result<ElfFile64<'_, Endianness>, Option<&'static str>> {
    let file =
        ElfFile64::<Endianness>::parse(bytes).map_err(|_| Some("it is no 64-bit ELF file"))?;
    let (wanted, other) = match arch {
        Arch::X86_64 => (Architecture::X86_64, "it is no program for x86_64"),
        Arch::Aarch64 => (Architecture::Aarch64, "it is no program for aarch64"),
    };
    if file.architecture() != wanted {
        return Err(Some(other));
    }
    let endian = file.endian();
    let interpreter = file.elf_program_headers().iter().any(|h| h.p_type(endian) == elf::PT_INTERP);
    if interpreter { Err(None) } else { Ok(file) }
}

/// PID 1 of an initramfs has no loader and no libraries; it must also lie at the same addresses in
/// every process, or a rank's pointers would not mean the same on another node.
pub(crate) fn check_node(path: &Path, bytes: &[u8], arch: Arch) -> Result<(), Error> {
    let bad = |reason| Error::BadNode { path: path.into(), reason };
    let file = static_elf(bytes, arch).map_err(|reason| {
        bad(reason
            .unwrap_or("it is linked dynamically; build it with -C target-feature=+crt-static"))
    })?;
    let endian = file.endian();
    if file.elf_header().e_type(endian) != elf::ET_EXEC || file.kind() != ObjectKind::Executable {
        return Err(bad("it has no fixed address; build it with -C relocation-model=static"));
    }
    Ok(())
}
