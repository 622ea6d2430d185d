//! `make install` and what a program's makefile does with it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where cargo put the libraries for this test.
fn built() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let mut dirs = test.ancestors().skip(1).take(2);
    dirs.find(|dir| dir.join("libcapi.a").exists()).expect("a library").to_owned()
}

#[track_caller]
fn good(what: &str, output: Output) -> String {
    let [out, err] = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy);
    assert!(output.status.success(), "{what}: {}\n{out}{err}", output.status);
    out.into_owned()
}

fn make(target: &str, prefix: &Path) {
    let mut make = Command::new("make");
    // As from a shell: nothing of the make that may have started this test.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").current_dir(workspace());
    make.arg("--no-print-directory").arg(target);
    make.arg(format!("PREFIX={}", prefix.display()));
    make.arg(format!("MCAPI_BUILT={}", built().display()));
    good(target, make.output().unwrap());
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

const PROGRAM: &str = r#"
#include <mcapi.h>
#include <mca.h>
#include <mcapi_impl_spec.h>
#include <mca_config.h>
#include <stdio.h>

int main(void)
{
    mcapi_status_t status;
    mcapi_info_t info;
    mcapi_param_t parameters = 0;
    char name[MCAPI_MAX_STATUS_SIZE], got[8];
    size_t size;
    mcapi_initialize(1, 1, NULL, &parameters, &info, &status);
    mcapi_endpoint_t here = mcapi_endpoint_create(MCAPI_PORT_ANY, &status);
    mcapi_msg_send(here, here, "hello", 5, MCAPI_MAX_PRORITY, &status);
    mcapi_msg_recv(here, got, sizeof got, &size, &status);
    mcapi_finalize(&status);
    printf("%u %.*s %s\n", info.mcapi_version, (int)size, got, mcapi_display_status(status, name, sizeof name));
    return status != MCAPI_SUCCESS;
}
"#;

#[test]
fn programs_find_what_was_installed() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("usr");
    make("install-built", &prefix);
    let lib = prefix.join("lib");
    for (link, to) in [("libmcapi.so", "libmcapi.so.2"), ("libmcapi.so.2", "libmcapi.so.2.15")] {
        assert_eq!(std::fs::read_link(lib.join(link)).unwrap(), Path::new(to));
    }
    let pkg_config = |arguments: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.args(arguments).arg("mcapi").env("PKG_CONFIG_PATH", lib.join("pkgconfig"));
        good("pkg-config", command.output().unwrap())
    };
    assert_eq!(pkg_config(&["--modversion"]).trim(), "2.15");

    for (compiler, source) in [("cc", "program.c"), ("c++", "program.cpp")] {
        std::fs::write(dir.path().join(source), PROGRAM).unwrap();
        for how in ["shared", "static"] {
            let flags = match how {
                "shared" => pkg_config(&["--cflags", "--libs"]),
                _ => format!("-static {}", pkg_config(&["--static", "--cflags", "--libs"])),
            };
            let program = dir.path().join(format!("{compiler}-{how}"));
            let mut compile = Command::new(compiler);
            compile.arg(dir.path().join(source)).arg("-o").arg(&program);
            compile.args(flags.split_whitespace()).args(["-Wall", "-Wextra", "-Werror"]);
            good(&format!("{compiler}, {how}"), compile.output().unwrap());
            let mut run = Command::new(&program);
            run.env("UNDERSTUDY_SHM_DIR", dir.path().join("nodes"));
            if how == "shared" {
                assert!(!run.output().unwrap().status.success(), "it needs the library");
                run.env("LD_LIBRARY_PATH", &lib);
            }
            let said = good(&format!("{compiler}, {how}"), run.output().unwrap());
            assert_eq!(said, "2015 hello MCAPI_SUCCESS\n", "{compiler}, {how}");
        }
    }
    make("uninstall", &prefix);
    assert_eq!(files(&prefix), Vec::<PathBuf>::new());
}
