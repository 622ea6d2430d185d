//! Builds C programs on MCAPI: static, so that guests, which have no libraries, can run them.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where headers and library are below a prefix.
const LIBRARY: &str = "lib/libmcapi.a";
const HEADER: &str = "include/mcapi.h";
/// What the library needs of the system.
const SYSTEM: [&str; 4] = ["-lpthread", "-ldl", "-lm", "-lrt"];

/// What `understudy cc` is told.
#[derive(Debug, clap::Args)]
pub(crate) struct CcArgs {
    /// C source, or whatever else the compiler takes.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The program; without it, the first file without its end.
    #[arg(short, long)]
    out: Option<PathBuf>,
    /// More for the compiler, after `--`.
    #[arg(last = true)]
    more: Vec<OsString>,
}

/// Builds a program.
pub(crate) fn main(args: &CcArgs) -> Result<()> {
    let out = match (&args.out, args.files.first()) {
        (Some(out), _) => out.clone(),
        (None, Some(first)) => first.with_extension(""),
        (None, None) => bail!("nothing to compile"),
    };
    if args.files.contains(&out) {
        bail!("{} would be overwritten: name the program with -o", out.display());
    }
    compile(&args.files, &out, &args.more)?;
    println!("{}", out.display());
    Ok(())
}

/// A program that can run in a guest: what is there, or what its source makes of `out`.
pub(crate) fn ready(path: &Path, out: PathBuf) -> Result<PathBuf> {
    let about = path.metadata().with_context(|| format!("run.program: {}", path.display()))?;
    if path.extension().is_some_and(|end| end == "c") {
        compile(&[path.to_owned()], &out, &[])?;
        return Ok(out);
    }
    if !about.is_file() || about.permissions().mode() & 0o111 == 0 {
        bail!(
            "run.program: {} is neither C source (its name would end with .c) nor an executable file",
            path.display()
        );
    }
    // Processes are started from elsewhere.
    std::path::absolute(path).with_context(|| format!("no absolute path for {}", path.display()))
}

fn compile(files: &[PathBuf], out: &Path, more: &[OsString]) -> Result<()> {
    let (include, library) = mcapi()?;
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let mut command = Command::new(&compiler);
    command.args(["-O2", "-static", "-Wl,--strip-debug", "-I"]).arg(include).args(more);
    command.args(files).arg(library).args(SYSTEM).arg("-o").arg(out);
    let output = command.output().with_context(|| {
        let compiler = compiler.display();
        format!(
            "cannot start the C compiler {compiler}: install one (Debian: gcc libc6-dev), or set CC"
        )
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{} does not compile:\n{said}", shown(files));
    }
    // What the linker says of static programs that ask for names of hosts is no news: MCAPI asks for none.
    let warnings = said
        .lines()
        .filter(|line| line.contains("warning:") && !line.contains("statically linked"));
    warnings.for_each(|line| eprintln!("{line}"));
    Ok(())
}

fn shown(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// Directory of the headers, and the library: what `UNDERSTUDY_MCAPI` names; those installed beside this program; those of
/// the workspace that it was built in; those of /usr/local.
fn mcapi() -> Result<(PathBuf, PathBuf)> {
    if let Some(prefix) = std::env::var_os("UNDERSTUDY_MCAPI") {
        let prefix = PathBuf::from(prefix);
        return installed(&prefix).with_context(|| {
            let prefix = prefix.display();
            format!("UNDERSTUDY_MCAPI: no {LIBRARY} and {HEADER} in {prefix}: `make install PREFIX={prefix}`")
        });
    }
    let own = std::env::current_exe().ok();
    let own = own.as_deref().and_then(Path::parent).and_then(Path::parent);
    own.and_then(installed)
        .or_else(built)
        .or_else(|| installed(Path::new("/usr/local")))
        .context("no libmcapi.a: `make harness` builds it, `make install` installs it; UNDERSTUDY_MCAPI names where")
}

fn installed(prefix: &Path) -> Option<(PathBuf, PathBuf)> {
    let (header, library) = (prefix.join(HEADER), prefix.join(LIBRARY));
    (header.is_file() && library.is_file()).then(|| (prefix.join("include"), library))
}

/// Of several profiles the newest.
fn built() -> Option<(PathBuf, PathBuf)> {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?.join("runtime/capi/include");
    let target = std::env::current_exe().ok()?.parent()?.parent()?.to_owned();
    let libraries = ["release", "debug"].map(|profile| target.join(profile).join("libcapi.a"));
    let age = |path: &PathBuf| path.metadata().and_then(|about| about.modified()).ok();
    let newest = libraries.into_iter().filter(|path| age(path).is_some()).max_by_key(age)?;
    include.is_dir().then_some((include, newest))
}
