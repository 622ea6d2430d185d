//! Where things are: logs, results, caches, control sockets.

use anyhow::{Context as _, Result, bail};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// Longest path of a unix socket, with room for the final zero.
const MAX_SOCKET_PATH: usize = 107;
/// Longest name of a cluster.
const MAX_NAME: usize = 48;

/// The name of a cluster, taken for as long as this lives. A dead daemon holds none.
#[derive(Debug)]
pub(crate) struct Name {
    path: PathBuf,
    _file: File,
}

impl Drop for Name {
    fn drop(&mut self) {
        // Still locked, so it is ours: whoever opened it meanwhile finds that it is no file of this name any more.
        drop(fs::remove_file(&self.path));
    }
}

/// The places of one workspace.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    target: PathBuf,
    /// Where runs go, instead of the target directory.
    runs: Option<PathBuf>,
}

impl Places {
    /// `target_dir`: given by the caller; else `target` in the workspace that this program was
    /// built in, or in the working directory when that workspace is gone.
    pub(crate) fn find(target_dir: Option<&Path>) -> Result<Self> {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let target = match (target_dir, built_in) {
            (Some(dir), _) => dir.to_owned(),
            (None, Some(root)) if root.join("Cargo.toml").is_file() => root.join("target"),
            (None, _) => PathBuf::from("target"),
        };
        let target = std::path::absolute(&target)
            .with_context(|| format!("no absolute path for {}", target.display()))?;
        let places = Self { target, runs: None };
        fs::create_dir_all(places.runs())
            .with_context(|| format!("cannot create {}", places.runs().display()))?;
        Ok(places)
    }

    /// The target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The same places, but runs go elsewhere.
    pub(crate) fn with_runs(self, runs: &Path) -> Result<Self> {
        let path = std::path::absolute(runs)
            .with_context(|| format!("no absolute path for {}", runs.display()))?;
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { runs: Some(path), ..self })
    }

    /// One directory a cluster.
    pub(crate) fn runs(&self) -> PathBuf {
        self.runs.clone().unwrap_or_else(|| self.target.join("understudy/runs"))
    }

    /// Kernel and initramfs.
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("understudy/cache")
    }

    /// Guests that were booted once, of which others are copies.
    pub(crate) fn templates(&self) -> PathBuf {
        self.cache().join("templates")
    }

    /// The program that runs in the nodes.
    pub(crate) fn node_program(&self) -> Result<PathBuf> {
        let path = match std::env::var_os("UNDERSTUDY_NODE") {
            Some(path) => PathBuf::from(path),
            None => self.target.join("node/x86_64-unknown-linux-gnu/node/guest-linux"),
        };
        if !path.is_file() {
            bail!(
                "no node program at {}: run `make node`, or set UNDERSTUDY_NODE to one",
                path.display()
            );
        }
        Ok(path)
    }

    /// The program that runs in nodes with an aarch64 processor.
    pub(crate) fn aarch64_program(&self) -> Result<PathBuf> {
        let path = match std::env::var_os("UNDERSTUDY_NODE_AARCH64") {
            Some(path) => PathBuf::from(path),
            None => self.target.join("node-aarch64/aarch64-unknown-linux-gnu/node/guest-linux"),
        };
        if !path.is_file() {
            bail!(
                "no node program for aarch64 at {}: run `make node-aarch64`, which says what it lacks, \
                 or write `arch: x86_64`",
                path.display()
            );
        }
        Ok(path)
    }

    /// The program that bare-metal guests boot.
    pub(crate) fn bare_metal_program(&self) -> Result<PathBuf> {
        let path = match std::env::var_os("UNDERSTUDY_BAREMETAL") {
            Some(path) => PathBuf::from(path),
            None => {
                self.target.join("bare-metal/x86_64-unknown-linux-gnu/bare-metal/guest-baremetal")
            }
        };
        if !path.is_file() {
            bail!(
                "no program for bare-metal guests at {}: run `make node`, or set \
                 UNDERSTUDY_BAREMETAL to one",
                path.display()
            );
        }
        Ok(path)
    }

    /// A bare-metal image that is made to be looked at: `whole`, or `link` without the shared memory.
    pub(crate) fn footprint(&self, which: &str) -> Result<PathBuf> {
        let path = self.target.join("footprint").join(which);
        let path = path.join("x86_64-unknown-linux-gnu/bare-metal/guest-baremetal");
        if !path.is_file() {
            bail!("no image to be measured at {}: run `make footprint`", path.display());
        }
        Ok(path)
    }

    /// A new directory for a cluster: `<name>-<n>`.
    pub(crate) fn new_run(&self, name: &str) -> Result<PathBuf> {
        let runs = self.runs();
        for n in 1_u32.. {
            let dir = runs.join(format!("{name}-{n}"));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(dir),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e).context(format!("cannot create {}", dir.display())),
            }
        }
        bail!("no free directory for {name} in {}", runs.display())
    }

    /// Where control sockets are: a directory that only this user may enter.
    fn control_dir(&self) -> Result<PathBuf> {
        let dir = self.target.join("understudy/control");
        let long = dir.as_os_str().len() + 1 + MAX_NAME + ".socket".len();
        let dir = if long <= MAX_SOCKET_PATH {
            dir
        } else {
            // The path is too long for a socket: a short one that follows from it.
            let mut hasher = DefaultHasher::new();
            dir.hash(&mut hasher);
            let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(
                || std::env::temp_dir().join(format!("understudy-{}", nix::unistd::getuid())),
                |d| PathBuf::from(d).join("understudy"),
            );
            base.join(format!("{:016x}", hasher.finish()))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot create {}", dir.display()))?;
        let about = fs::metadata(&dir)?;
        if about.uid() != nix::unistd::getuid().as_raw() {
            bail!("{} belongs to another user: remove it", dir.display());
        }
        // One that was there before may let others in.
        if about.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
                .with_context(|| format!("cannot make {} private", dir.display()))?;
        }
        Ok(dir)
    }

    /// The control socket of a cluster.
    pub(crate) fn socket(&self, name: &str) -> Result<PathBuf> {
        if name.len() > MAX_NAME {
            bail!("the cluster's name is longer than {MAX_NAME} bytes: give it a shorter one");
        }
        Ok(self.control_dir()?.join(format!("{name}.socket")))
    }

    /// Takes the name of a cluster.
    pub(crate) fn take_name(&self, name: &str) -> Result<Name> {
        let path = self.control_dir()?.join(format!("{name}.lock"));
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path);
            let file = file.with_context(|| format!("cannot open {}", path.display()))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, &path) => return Ok(Name { path, _file: file }),
                // Its last holder has just removed it.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => bail!(
                    "cluster {name} is up already: `understudy down --cluster {name}` takes it down"
                ),
                Err(TryLockError::Error(e)) => {
                    return Err(e).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
        }
    }

    /// Names of the clusters that are up: those whose socket answers. What a daemon left that was killed is removed.
    pub(crate) fn clusters(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.control_dir()?)? {
            let path = entry?.path();
            let Some(name) = path.file_stem().and_then(|n| n.to_str()) else { continue };
            match path.extension().and_then(|e| e.to_str()) {
                Some("socket") if std::os::unix::net::UnixStream::connect(&path).is_ok() => {
                    names.push(name.to_owned());
                }
                Some("socket") => {
                    if let Ok(_nobody_is) = self.take_name(name) {
                        drop(fs::remove_file(&path));
                    }
                }
                _ => {}
            }
        }
        names.sort();
        Ok(names)
    }
}

/// Is this open file the one that stands there?
fn is_at(file: &File, path: &Path) -> bool {
    let is = |about: fs::Metadata| (about.dev(), about.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => is(open) == is(there),
        _ => false,
    }
}
