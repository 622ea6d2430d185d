//! How large a program is, and what of its code is whose.
//!
//! Code is told apart by the names of its symbols. What a crate has the compiler make of a library's generic code
//! counts for that crate where the name tells (names mangled as v0 do), otherwise for the library; what
//! was inlined counts for whoever it was inlined into.

use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};
use std::collections::BTreeMap;
use std::fmt;

/// Rows of the table, in its order: a name, and the paths that belong to it. The first one that fits counts.
const MODULES: &[(&str, &[&str])] = &[
    ("wire", &["runtime_core::wire"]),
    ("link", &["runtime_core::link", "crc32fast"]),
    ("mcapi", &["runtime_core::mcapi"]),
    ("sdsm", &["runtime_core::sdsm"]),
    ("checkpoint", &["runtime_core::checkpoint"]),
    ("membership", &["runtime_core::membership"]),
    ("node", &["runtime_core::node", "runtime_core::event"]),
    ("rest of the core", &["runtime_core"]),
    ("driver", &["runtime_driver"]),
    ("bare metal", &["runtime_baremetal", "virtio_drivers", "talc", "guest_baremetal"]),
    ("bench", &["runtime_bench"]),
    ("workloads", &["runtime", "runtime_conformance", "images_workloads"]),
    ("control protocol", &["images_control", "guest", "sha2", "serde", "serde_core", "serde_json"]),
];
/// The libraries that come with the compiler.
const RUST: &str = "rust's libraries";
/// All else.
const OTHER: &str = "other";
/// Rows that make the communication alone.
const COMMUNICATION: &[&str] = &["wire", "link", "mcapi"];

/// Why a program cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum Unmeasured {
    /// It is no program.
    #[error("not a program: {0}")]
    Format(#[from] object::Error),
    /// Its symbols were stripped.
    #[error("has no symbols of code: build it without `strip`")]
    NoSymbols,
}

/// Bytes of a program in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Code.
    pub text: u64,
    /// Constants.
    pub rodata: u64,
    /// Variables with a first value.
    pub data: u64,
    /// Variables that begin as zero, stacks among them.
    pub bss: u64,
    /// Code by module; its sum is less than `text` by what has no symbol.
    pub modules: BTreeMap<&'static str, u64>,
}

impl Footprint {
    /// Code of MCAPI, link and wire.
    #[must_use]
    pub fn communication(&self) -> u64 {
        COMMUNICATION.iter().filter_map(|name| self.modules.get(name)).sum()
    }

    /// All but what begins as zero: what is loaded.
    #[must_use]
    pub const fn loaded(&self) -> u64 {
        self.text + self.rodata + self.data
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, bytes: u64| writeln!(f, "  {name:<22}{bytes:>9}");
        line("text", self.text)?;
        line("rodata", self.rodata)?;
        line("data", self.data)?;
        line("bss", self.bss)?;
        line("loaded", self.loaded())?;
        line("mcapi + link + wire", self.communication())?;
        let names = MODULES.iter().map(|(name, _)| *name).chain([RUST, OTHER]);
        for name in names {
            line(&format!("text: {name}"), self.modules.get(name).copied().unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Measures an executable.
///
/// # Errors
/// When it is none, or was stripped.
pub fn measure(program: &[u8]) -> Result<Footprint, Unmeasured> {
    let file = object::File::parse(program)?;
    let mut found = Footprint::default();
    for section in file.sections() {
        let sum = match section.kind() {
            SectionKind::Text => &mut found.text,
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => &mut found.rodata,
            SectionKind::Data | SectionKind::Tls => &mut found.data,
            SectionKind::UninitializedData | SectionKind::UninitializedTls => &mut found.bss,
            _ => continue,
        };
        *sum += section.size();
    }
    // Functions that are the same were made one, with several names.
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        let size: &mut (u64, &str) = functions.entry(symbol.address()).or_default();
        if symbol.size() > size.0 {
            *size = (symbol.size(), symbol.name().unwrap_or_default());
        }
    }
    if functions.is_empty() {
        return Err(Unmeasured::NoSymbols);
    }
    for (size, name) in functions.values() {
        let name = format!("{:#}", rustc_demangle::demangle(name));
        *found.modules.entry(module(&name)).or_default() += size;
    }
    Ok(found)
}

/// Most memory that a bare-metal guest ever used, in KiB, of what its console says; the last time that it says
/// so counts, for it can only have grown.
#[must_use]
pub fn peak_kib(console: &str) -> Option<u64> {
    let said = |line: &str| {
        line.trim().strip_prefix("memory: ")?.strip_suffix(" KiB at most")?.parse().ok()
    };
    console.lines().rev().find_map(said)
}

/// The row of a function.
fn module(name: &str) -> &'static str {
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let paths = || name.split(|c| !is_path(c)).filter(|path| path.contains("::"));
    let mut rust = false;
    for path in paths() {
        let first = path.split("::").next().unwrap_or_default();
        if matches!(first, "core" | "alloc" | "std" | "compiler_builtins" | "__rustc") {
            rust = true;
            continue;
        }
        let is_in = |of: &&str| {
            path.strip_prefix(*of).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        if let Some((name, _)) = MODULES.iter().find(|(_, of)| of.iter().any(is_in)) {
            return name;
        }
    }
    if rust { RUST } else { OTHER }
}

#[cfg(test)]
mod tests;
