//! What a guest boots: the kernel, the initramfs with the node program as its PID 1, a manifest of
//! hashes; and the QEMU command line that boots it.
//!
//! Everything is written by this crate, without root and without installing anything. Two builds
//! from the same inputs give the same bytes.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

mod acpi;
mod cpio;
mod error;
pub mod footprint;
mod initramfs;
pub mod kernel;
mod modules;
pub mod probe;
pub mod qemu;
mod vmlinux;

#[cfg(test)]
pub(crate) mod tests;

pub use error::Error;
pub use initramfs::PROGRAM;

/// Processor of a Linux guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

/// What to build from what.
#[derive(Clone, Debug)]
pub struct Options {
    /// For which processor.
    pub arch: Arch,
    /// The node program: a static executable.
    pub node: PathBuf,
    /// A program that the node program starts, if there is one: a static executable.
    pub program: Option<PathBuf>,
    /// Where the results go.
    pub out: PathBuf,
    /// Where a fetched kernel is kept between builds.
    pub cache: PathBuf,
    /// A kernel to use in place of Debian's; for x86_64 only.
    pub kernel: kernel::Override,
}

/// What was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// For `-kernel`.
    pub kernel: PathBuf,
    /// For `-initrd`.
    pub initramfs: PathBuf,
    /// What an emulated guest is to have at [`qemu`]'s place for it: its ACPI tables.
    pub acpi: PathBuf,
    /// Where the manifest was written, as JSON.
    pub manifest_path: PathBuf,
    /// The manifest.
    pub manifest: Manifest,
}

/// What is in an image. Holds no path and no time: the same inputs give the same manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The kernel's own name for its version.
    pub kernel_version: String,
    /// The kernel, as it came.
    pub kernel: Part,
    /// The kernel as it is booted: unpacked where that is possible, which saves each boot the time.
    pub boot: Part,
    /// Whether `boot` is an unpacked kernel (entered by PVH) rather than the kernel as it came.
    pub unpacked: bool,
    /// The node program.
    pub node: Part,
    /// The program that it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Part>,
    /// Kernel modules, in the order in which PID 1 loads them.
    pub modules: Vec<Module>,
    /// The initramfs.
    pub initramfs: Part,
    /// ACPI tables.
    pub acpi: Part,
}

/// Size and hash of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Part {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A kernel module in the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Module {
    /// Its name, as in `lsmod`.
    pub name: String,
    /// Its file.
    #[serde(flatten)]
    pub part: Part,
}

impl Part {
    fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.len() as u64, sha256: sha256(bytes) }
    }
}

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Fetches the kernel if need be, and writes kernel, initramfs and manifest.
///
/// # Errors
/// Names the file or the tool and the remedy.
pub fn build(options: &Options) -> Result<Built, Error> {
    let node = read(&options.node)?;
    initramfs::check_node(&options.node, &node, options.arch)?;
    let program = options.program.as_deref();
    let program = program
        .map(|path| {
            let bytes = read(path)?;
            initramfs::check_program(path, &bytes, options.arch).map(|()| bytes)
        })
        .transpose()?;
    let kernel = match options.arch {
        Arch::X86_64 => kernel::fetch(&options.cache, &options.kernel)?,
        Arch::Aarch64 => kernel::aarch64(&options.cache)?,
    };
    let image = read(&kernel.image)?;
    let unpacked = vmlinux::unpack(&image);
    let modules = modules::load_order(&kernel.modules, initramfs::MODULES)?;
    let initramfs = initramfs::write(&node, program.as_deref(), &modules);
    let acpi = acpi::tables();
    let boot = unpacked.as_deref().unwrap_or(&image);
    let manifest = Manifest {
        kernel_version: kernel.version,
        kernel: Part::of(&image),
        boot: Part::of(boot),
        unpacked: unpacked.is_some(),
        node: Part::of(&node),
        program: program.as_deref().map(Part::of),
        modules: modules
            .iter()
            .map(|m| Module { name: m.name.clone(), part: Part::of(&m.bytes) })
            .collect(),
        initramfs: Part::of(&initramfs),
        acpi: Part::of(&acpi),
    };

    let out = |name: &str| options.out.join(name);
    let built = Built {
        kernel: out("kernel"),
        initramfs: out("initramfs.cpio"),
        acpi: out("acpi"),
        manifest_path: out("manifest.json"),
        manifest,
    };
    // Strings, numbers and lists always encode.
    let json = serde_json::to_vec_pretty(&built.manifest).unwrap_or_default();
    write(&built.kernel, boot)?;
    write(&built.initramfs, &initramfs)?;
    write(&built.acpi, &acpi)?;
    write(&built.manifest_path, &json)?;
    Ok(built)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.into(), source })
}

/// Writes a file as a whole or not at all: guests may be booting from the one before.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let error = |source| Error::Write { path: path.into(), source };
    let dir = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(error)?;
    let readable = fs::Permissions::from_mode(0o644);
    let mut file =
        tempfile::Builder::new().permissions(readable).tempfile_in(dir).map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    file.persist(path).map_err(|e| error(e.error))?;
    Ok(())
}
