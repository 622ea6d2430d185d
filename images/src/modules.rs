//! Kernel modules and the order in which they must be loaded.
//!
//! A package that was never installed has no `modules.dep` (depmod writes it at installation), so
//! the order comes from what each module says itself: `depends=` in its section `.modinfo`.

use crate::{Error, read};
use object::{Object, ObjectSection};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

#[cfg(test)]
pub(crate) mod tests;

/// A module to load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadableModule {
    /// As in `lsmod`, with underscores.
    pub(crate) name: String,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

/// The wanted modules and all they need, each behind those it needs.
pub(crate) fn load_order(dir: &Path, wanted: &[&str]) -> Result<Vec<LoadableModule>, Error> {
    let mut search = Search { dir, files: files(dir)?, builtin: builtin(dir), ..Search::default() };
    for name in wanted {
        search.visit(name)?;
    }
    Ok(search.order)
}

struct Search<'a> {
    dir: &'a Path,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
    seen: BTreeSet<String>,
    order: Vec<LoadableModule>,
}

impl Default for Search<'_> {
    fn default() -> Self {
        Self {
            dir: Path::new(""),
            files: BTreeMap::new(),
            builtin: BTreeSet::new(),
            seen: BTreeSet::new(),
            order: Vec::new(),
        }
    }
}

impl Search<'_> {
    /// Depth first. Modules that need each other cannot be loaded in any order, so the kernel's
    /// build refuses them; should such a pair come along, each is still taken once.
    fn visit(&mut self, name: &str) -> Result<(), Error> {
        if !self.seen.insert(name.to_string()) {
            return Ok(());
        }
        let Some(path) = self.files.get(name).cloned() else {
            if self.builtin.contains(name) {
                return Ok(());
            }
            return Err(Error::NoModule { name: name.into(), dir: self.dir.into() });
        };
        if path.extension().is_none_or(|e| e != "ko") {
            return Err(Error::Compressed { path });
        }
        let bytes = read(&path)?;
        let needs = depends(&bytes).map_err(|reason| Error::BadModule { path, reason })?;
        for needed in needs {
            self.visit(&needed)?;
        }
        self.order.push(LoadableModule { name: name.to_string(), bytes });
        Ok(())
    }
}

/// Names in `depends=` of a module.
fn depends(module: &[u8]) -> Result<Vec<String>, String> {
    let file = object::File::parse(module).map_err(|e| e.to_string())?;
    let section = file.section_by_name(".modinfo").ok_or("it has no section .modinfo")?;
    let info = section.data().map_err(|e| e.to_string())?;
    let line = info.split(|b| *b == 0).find_map(|line| line.strip_prefix(b"depends="));
    let line = line.ok_or("its section .modinfo says nothing of what it depends on")?;
    let line = str::from_utf8(line).map_err(|e| e.to_string())?;
    Ok(line.split(',').filter(|n| !n.is_empty()).map(canonical).collect())
}

/// `virtio-rng` in a file name is `virtio_rng` as a module.
fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// All modules under a directory, by name.
fn files(dir: &Path) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(dir) = open.pop() {
        let error = |source| Error::Read { path: dir.clone(), source };
        for entry in fs::read_dir(&dir).map_err(error)? {
            let entry = entry.map_err(error)?;
            // Does not follow links: `build` and `source` lead out of the tree.
            let kind = entry.file_type().map_err(error)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() {
                open.push(entry.path());
            } else if let Some((stem, "" | ".xz" | ".zst" | ".gz")) = name.split_once(".ko") {
                found.insert(canonical(stem), entry.path());
            }
        }
    }
    Ok(found)
}

/// Names of what is built into the kernel, as far as the directory says.
fn builtin(dir: &Path) -> BTreeSet<String> {
    let list = fs::read_to_string(dir.join("modules.builtin")).unwrap_or_default();
    let name = |line: &str| Some(canonical(Path::new(line).file_stem()?.to_str()?));
    list.lines().filter_map(name).collect()
}
