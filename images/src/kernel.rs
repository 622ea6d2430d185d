//! Where the kernel comes from: Debian's package, fetched but never installed, or a file.

use crate::vmlinux::BzImage;
use crate::{Error, Part, read};
use duct::cmd;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

/// The package that always depends on the newest kernel for virtual machines.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel to use in place of Debian's.
#[derive(Clone, Debug, Default)]
pub struct Override {
    /// A bzImage.
    pub image: Option<PathBuf>,
    /// The directory of its modules; where it is not given it is sought in the usual places.
    pub modules: Option<PathBuf>,
}

impl Override {
    /// From the environment: `KERNEL` and `KERNEL_MODULES`; an empty value is none.
    #[must_use]
    pub fn from_env() -> Self {
        let path = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        Self { image: path("KERNEL"), modules: path("KERNEL_MODULES") }
    }
}

/// A kernel with its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// A bzImage.
    pub image: PathBuf,
    /// The directory of its modules.
    pub modules: PathBuf,
    /// Its version, as `uname -r` would say it.
    pub version: String,
}

/// What the cache says of itself, in `cache.json` beside the unpacked package. Written last: a
/// directory without it was not finished.
#[derive(Debug, Serialize, Deserialize)]
struct Cached {
    package: String,
    version: String,
    image: Part,
}

/// The kernel: the given one, the one in the cache, or Debian's newest.
///
/// # Errors
/// Names what is missing and the remedy.
pub fn fetch(cache: &Path, given: &Override) -> Result<Kernel, Error> {
    match (&given.image, &given.modules) {
        (Some(image), modules) => given_kernel(image, modules.as_deref()),
        (None, Some(_)) => Err(Error::ModulesAlone),
        (None, None) => {
            let dir = cache.join("kernel");
            match cached(&dir) {
                Some(kernel) => Ok(kernel),
                None => download(cache, &dir),
            }
        }
    }
}

/// The kernel of aarch64 guests, which comes into the cache with the compiler of their node program.
///
/// # Errors
/// When it is not there; says how it gets there.
pub fn aarch64(cache: &Path) -> Result<Kernel, Error> {
    let root = cache.join("aarch64/root");
    let versions = fs::read_dir(root.join("lib/modules")).into_iter().flatten().flatten();
    let kernels = versions.map(|e| in_package(&root, &e.file_name().to_string_lossy()));
    let kernel = kernels.max_by(|a, b| a.version.cmp(&b.version)).filter(|k| k.image.is_file());
    kernel.ok_or(Error::NoAarch64 { path: root })
}

fn given_kernel(image: &Path, modules: Option<&Path>) -> Result<Kernel, Error> {
    let bytes = read(image)?;
    let version = BzImage::new(&bytes).and_then(|i| i.version().map(str::to_string));
    let version = version.ok_or_else(|| Error::NotAKernel { path: image.into() })?;
    let candidates = match modules {
        Some(dir) => vec![dir.to_path_buf()],
        None => usual_places(image, &version),
    };
    let Some(modules) = candidates.iter().find(|dir| dir.is_dir()).cloned() else {
        let looked: Vec<String> = candidates.iter().map(|c| c.display().to_string()).collect();
        return Err(Error::NoModules { version, looked: looked.join(", ") });
    };
    Ok(Kernel { image: image.into(), modules, version })
}

/// Beside the kernel's own `boot/`, for an unpacked package; else where the system has them.
fn usual_places(image: &Path, version: &str) -> Vec<PathBuf> {
    let modules = Path::new("lib/modules").join(version);
    let beside = image.parent().and_then(Path::parent).map(|root| root.join(&modules));
    beside.into_iter().chain([Path::new("/").join(&modules)]).collect()
}

/// The kernel in the cache, when it is whole.
fn cached(dir: &Path) -> Option<Kernel> {
    let cached: Cached = serde_json::from_slice(&fs::read(dir.join("cache.json")).ok()?).ok()?;
    let kernel = in_package(dir, &cached.version);
    let whole = kernel.modules.is_dir() && Part::of(&fs::read(&kernel.image).ok()?) == cached.image;
    whole.then_some(kernel)
}

fn in_package(dir: &Path, version: &str) -> Kernel {
    Kernel {
        image: dir.join("boot").join(format!("vmlinuz-{version}")),
        modules: dir.join("lib/modules").join(version),
        version: version.to_string(),
    }
}

fn download(cache: &Path, dir: &Path) -> Result<Kernel, Error> {
    let write_error = |source| Error::Write { path: cache.into(), source };
    let package = newest_package()?;
    fs::create_dir_all(cache).map_err(write_error)?;
    let scratch = tempfile::tempdir_in(cache).map_err(write_error)?;
    run("apt-get", &["download", &package], scratch.path())?
        .map_err(|reason| Error::Download { package: package.clone(), reason })?;
    let archive = fs::read_dir(scratch.path())
        .map_err(write_error)?
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .find(|name| name.starts_with(&package) && name.ends_with(".deb"));
    let archive = archive.ok_or_else(|| Error::Download {
        package: package.clone(),
        reason: "apt-get left no file".into(),
    })?;
    run("dpkg", &["-x", &archive, "root"], scratch.path())?
        .map_err(|reason| Error::Unpack { package: package.clone(), reason })?;

    let root = scratch.path().join("root");
    let missing = |what| Error::Incomplete { package: package.clone(), what };
    let version = package.strip_prefix("linux-image-").unwrap_or(&package).to_string();
    let kernel = in_package(&root, &version);
    let image = fs::read(&kernel.image).map_err(|_| missing("kernel"))?;
    if !kernel.modules.is_dir() {
        return Err(missing("modules"));
    }
    let cached_now = Cached { package: package.clone(), version, image: Part::of(&image) };
    let json = serde_json::to_vec_pretty(&cached_now).unwrap_or_default();
    fs::write(root.join("cache.json"), json).map_err(write_error)?;
    publish(&root, dir)
}

/// Moves the unpacked package to its place in one step. Somebody else may have done so meanwhile;
/// then theirs counts.
fn publish(root: &Path, dir: &Path) -> Result<Kernel, Error> {
    let error = |source| Error::Write { path: dir.into(), source };
    if let Some(theirs) = cached(dir) {
        return Ok(theirs);
    }
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error(e)),
        _ => {}
    }
    match fs::rename(root, dir) {
        Ok(()) => cached(dir).ok_or_else(|| error(io::Error::other("it changed meanwhile"))),
        Err(e) => cached(dir).ok_or_else(|| error(e)),
    }
}

/// The package of the newest kernel.
fn newest_package() -> Result<String, Error> {
    let unknown = || Error::UnknownPackage { package: PACKAGE.into() };
    let answer = run("apt-cache", &["depends", PACKAGE], Path::new("/"))?.map_err(|_| unknown())?;
    first_kernel(&answer).ok_or_else(unknown)
}

/// The first kernel among the dependencies that `apt-cache depends` prints.
fn first_kernel(answer: &str) -> Option<String> {
    let dependencies = answer.lines().filter_map(|l| l.trim().strip_prefix("Depends: "));
    dependencies.map(str::trim).find(|p| p.starts_with("linux-image-")).map(str::to_string)
}

/// Runs a tool in a directory: what it printed, or, when it failed, the last line of its errors.
fn run(tool: &'static str, args: &[&str], dir: &Path) -> Result<Result<String, String>, Error> {
    let command = cmd(tool, args).dir(dir).env("LC_ALL", "C").stdin_null();
    let output = command.stdout_capture().stderr_capture().unchecked().run();
    let output = output.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::NoTool { tool },
        _ => Error::Run { tool, source },
    })?;
    if output.status.success() {
        return Ok(Ok(String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = errors.lines().map(str::trim).rfind(|l| l.starts_with("E: ") || l.contains("error"));
    Ok(Err(last.or(errors.lines().next_back()).unwrap_or("it did not say why").to_string()))
}
