//! What can go wrong, each with its remedy.

use std::io;
use std::path::PathBuf;

/// Why an image was not built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A tool is not installed.
    #[error(
        "{tool} is not installed; fetching Debian's kernel needs it: \
         name a kernel with KERNEL=/path/to/bzImage and KERNEL_MODULES=dir instead"
    )]
    NoTool {
        /// Which.
        tool: &'static str,
    },
    /// The emulator is not installed.
    #[error("{program} is not installed: {remedy}")]
    NoQemu {
        /// Which.
        program: &'static str,
        /// How it gets here.
        remedy: &'static str,
    },
    /// A tool cannot be started.
    #[error("cannot run {tool}: {source}")]
    Run {
        /// Which.
        tool: &'static str,
        /// Why.
        source: io::Error,
    },
    /// apt does not know the kernel's package.
    #[error(
        "apt knows no package {package}: run `apt-get update` as root, \
         or name a kernel with KERNEL=/path/to/bzImage and KERNEL_MODULES=dir"
    )]
    UnknownPackage {
        /// Which.
        package: String,
    },
    /// The package did not come.
    #[error(
        "cannot download {package}: {reason}; check the network, run `apt-get update` as root, \
         or name a kernel with KERNEL=/path/to/bzImage and KERNEL_MODULES=dir"
    )]
    Download {
        /// Which.
        package: String,
        /// What apt-get said.
        reason: String,
    },
    /// The package cannot be unpacked.
    #[error("cannot unpack {package}: {reason}; is the disk full?")]
    Unpack {
        /// Which.
        package: String,
        /// What dpkg said.
        reason: String,
    },
    /// The package holds no kernel, or no modules.
    #[error("package {package} holds no {what}; name another kernel with KERNEL=/path/to/bzImage")]
    Incomplete {
        /// Which.
        package: String,
        /// What is missing.
        what: &'static str,
    },
    /// The file that `KERNEL` names is none.
    #[error("{} is no Linux bzImage for x86; KERNEL must name one", path.display())]
    NotAKernel {
        /// Which.
        path: PathBuf,
    },
    /// There is no kernel for aarch64 guests.
    #[error("no kernel for aarch64 guests below {}: run `make node-aarch64`, which fetches it", path.display())]
    NoAarch64 {
        /// Where it would be.
        path: PathBuf,
    },
    /// Modules that belong to the kernel that `KERNEL` names were not found.
    #[error(
        "no modules for kernel {version}; looked in {looked}; \
         say where they are with KERNEL_MODULES=dir"
    )]
    NoModules {
        /// The kernel's version.
        version: String,
        /// Where they might have been.
        looked: String,
    },
    /// `KERNEL_MODULES` without `KERNEL`.
    #[error("KERNEL_MODULES without KERNEL: name the kernel that they belong to as well")]
    ModulesAlone,
    /// A module is not there.
    #[error(
        "no module {name} under {}, and it is not built in; \
         the kernel needs virtio over MMIO, virtio-net and virtio-console",
        dir.display()
    )]
    NoModule {
        /// Which.
        name: String,
        /// Where it should be.
        dir: PathBuf,
    },
    /// A module is compressed.
    #[error(
        "module {} is compressed; unpack it (unxz, unzstd, gunzip) and try again",
        path.display()
    )]
    Compressed {
        /// Which.
        path: PathBuf,
    },
    /// A module's file is not what it should be.
    #[error("bad module {}: {reason}", path.display())]
    BadModule {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The node program cannot be PID 1.
    #[error("{} cannot be PID 1: {reason}", path.display())]
    BadNode {
        /// Which.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: &'static str,
    },
    /// A guest cannot run the program.
    #[error("{} cannot run in a guest: {reason}", path.display())]
    BadProgram {
        /// Which.
        path: PathBuf,
        /// What is wrong, and the remedy.
        reason: &'static str,
    },
    /// The frequency of the time stamp counter is unknown.
    #[error(
        "/proc/cpuinfo does not tell the frequency of a constant time stamp counter; \
         an emulated guest would hang at random without it: use an x86_64 machine that has one"
    )]
    NoTsc,
}
