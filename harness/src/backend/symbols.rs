//! Addresses of a program in words: functions, files and lines.

use addr2line::gimli::{self, DW_LANG_Rust, EndianSlice, RunTimeEndian};
use addr2line::{Context, demangle_auto};
use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSection as _, SectionKind, SymbolMap, SymbolMapName};
use std::borrow::Cow;
use std::fs;
use std::ops::Range;
use std::path::Path;

#[cfg(test)]
mod tests;

type Bytes<'a> = EndianSlice<'a, RunTimeEndian>;

/// What a program says of itself.
struct Symbols<'a> {
    /// Functions, with those that were inlined, files and lines.
    lines: Context<Bytes<'a>>,
    /// Functions alone; there even where lines were left out.
    names: SymbolMap<SymbolMapName<'a>>,
    /// Where its code is.
    code: Vec<Range<u64>>,
}

/// The calls that led somewhere, innermost first, each as `function at file:line`, or as much of that as
/// the program says. `addresses`: where each of them is to return to.
pub(super) fn backtrace(program: &Path, addresses: &[u64]) -> Vec<String> {
    let plain = |address: &u64| format!("{address:#x}");
    let frames = fs::read(program).context("cannot be read").and_then(|bytes| {
        let symbols = Symbols::new(&bytes)?;
        Ok(addresses.iter().flat_map(|address| symbols.frames(*address)).collect())
    });
    frames.unwrap_or_else(|e| {
        let mut words: Vec<String> = addresses.iter().map(plain).collect();
        words.push(format!("(without names: {}: {e:#})", program.display()));
        words
    })
}

impl<'a> Symbols<'a> {
    fn new(program: &'a [u8]) -> Result<Self> {
        let file = object::File::parse(program).context("is no program")?;
        let endian =
            if file.is_little_endian() { RunTimeEndian::Little } else { RunTimeEndian::Big };
        let section = |id: gimli::SectionId| -> Result<Bytes<'a>, gimli::Error> {
            let data = file.section_by_name(id.name()).and_then(|s| s.data().ok());
            Ok(EndianSlice::new(data.unwrap_or_default(), endian))
        };
        let dwarf = gimli::Dwarf::load(section)?;
        let lines = Context::from_dwarf(dwarf).context("has bad line tables")?;
        let code = file.sections().filter(|s| s.kind() == SectionKind::Text);
        let code = code.map(|s| s.address()..s.address().saturating_add(s.size())).collect();
        Ok(Self { lines, names: file.symbol_map(), code })
    }

    /// The function that holds the call before this address, after those that were inlined into it.
    fn frames(&self, address: u64) -> Vec<String> {
        let call = address.saturating_sub(1);
        let mut frames = Vec::new();
        // Line tables also tell of functions that were left out, all of them at 0.
        if self.code.iter().any(|code| code.contains(&call))
            && let Ok(mut found) = self.lines.find_frames(call).skip_all_loads()
        {
            // What cannot be looked up has an address still.
            while let Ok(Some(frame)) = found.next() {
                let name = frame.function.as_ref().and_then(|f| f.demangle().ok());
                let place = frame.location.and_then(|l| Some((l.file?, l.line?)));
                frames.push((name.map(Cow::into_owned), place));
            }
        }
        if frames.is_empty() {
            frames.push((None, None));
        }
        // The last of them is the function itself: its symbol says more than its line table.
        if let (Some((name, _)), Some(symbol)) = (frames.last_mut(), self.symbol(call)) {
            *name = Some(symbol);
        }
        let words = |(name, place): (Option<String>, Option<(&str, u32)>)| {
            let name = name.unwrap_or_else(|| format!("{address:#x}"));
            place.map_or(name.clone(), |(file, line)| format!("{name} at {file}:{line}"))
        };
        frames.into_iter().map(words).collect()
    }

    fn symbol(&self, address: u64) -> Option<String> {
        let symbol = self.names.containing(address)?;
        Some(demangle_auto(Cow::Borrowed(symbol.name()), Some(DW_LANG_Rust)).into_owned())
    }
}
