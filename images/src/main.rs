//! Builds guest images from the command line.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use images::{Arch, Options, Part, footprint, kernel, probe};
use std::fs;
use std::path::PathBuf;

/// Builds what guests boot.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write kernel, initramfs and manifest. KERNEL=/path/to/bzImage and KERNEL_MODULES=dir in the
    /// environment replace Debian's kernel.
    Build {
        /// The node program, a static executable.
        #[arg(long)]
        node: PathBuf,
        /// Where the results go.
        #[arg(long)]
        out: PathBuf,
        /// Where a fetched kernel is kept.
        #[arg(long)]
        cache: PathBuf,
    },
    /// Say how large programs are, and what of them is whose code.
    Footprint {
        /// Programs, with their symbols.
        #[arg(required = true)]
        programs: Vec<PathBuf>,
    },
    /// Say whether guests can use KVM here.
    Probe,
}

fn main() -> Result<()> {
    match Cli::parse().verb {
        Verb::Build { node, out, cache } => {
            let kernel = kernel::Override::from_env();
            let built = images::build(&Options {
                arch: Arch::X86_64,
                node,
                program: None,
                out,
                cache,
                kernel,
            })?;
            let manifest = &built.manifest;
            let how = if manifest.unpacked { "unpacked" } else { "as it came" };
            println!("kernel     {} ({how})", manifest.kernel_version);
            line("", &manifest.boot, &built.kernel.display().to_string());
            line("node", &manifest.node, "");
            for module in &manifest.modules {
                line("module", &module.part, &module.name);
            }
            line("initramfs", &manifest.initramfs, &built.initramfs.display().to_string());
            println!("manifest   {}", built.manifest_path.display());
        }
        Verb::Footprint { programs } => {
            for program in programs {
                let bytes = fs::read(&program).with_context(|| format!("{}", program.display()))?;
                let found =
                    footprint::measure(&bytes).with_context(|| format!("{}", program.display()))?;
                println!("{}\n{found}", program.display());
            }
        }
        Verb::Probe => {
            let found = probe::kvm_usable();
            let word = if found.usable { "usable" } else { "not usable" };
            println!("kvm {word}: {}", found.reason);
        }
    }
    Ok(())
}

fn line(what: &str, part: &Part, name: &str) {
    let hash = part.sha256.get(..16).unwrap_or(&part.sha256);
    let line = format!("{what:<10} {:>9} bytes  {hash}  {name}", part.bytes);
    println!("{}", line.trim_end());
}
