//! Rules for the source that no other tool checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tests::{bare_metal_program, node_program, understudy, workspace};

/// Longest source file, in lines; tests may be longer.
const LONGEST: usize = 600;
/// The only places for it.
const UNSAFE_HOMES: &[&str] = &[
    "runtime/driver/",
    "runtime/shm/",
    "runtime/linux/",
    "runtime/baremetal/",
    "runtime/capi/",
    "images/guest-linux/",
    "images/guest-baremetal/",
];
/// Lines above unsafe code in which its reason must begin.
const REASON_WITHIN: usize = 8;

/// What each crate may use of the workspace; any other arrow is a fault.
const MAY_USE: &[(&str, &[&str])] = &[
    ("runtime/core", &[]),
    ("harness/netem", &[]),
    ("runtime/sim", &["runtime-core", "netem"]),
    ("runtime/driver", &["runtime-core"]),
    ("runtime/shm", &["runtime-core"]),
    (
        "runtime/mcapi",
        &["runtime-core", "runtime-shm", "runtime-driver", "runtime-linux", "topology"],
    ),
    ("runtime/capi", &["mcapi"]),
    ("runtime/linux", &["runtime-core", "runtime-driver"]),
    ("runtime/baremetal", &["runtime-core", "runtime-driver"]),
    ("runtime", &["runtime-core", "runtime-driver", "runtime-sim", "runtime-linux"]),
    ("runtime/bench", &["runtime-core"]),
    ("runtime/conformance", &["runtime-core", "runtime", "runtime-linux"]),
    ("images/control", &["runtime-core", "runtime-bench"]),
    ("images/workloads", &["runtime", "runtime-conformance"]),
    (
        "images/guest",
        &[
            "runtime",
            "runtime-core",
            "runtime-driver",
            "runtime-bench",
            "images-control",
            "images-workloads",
        ],
    ),
    (
        "images/guest-baremetal",
        &[
            "guest",
            "runtime",
            "runtime-bench",
            "runtime-core",
            "runtime-driver",
            "runtime-baremetal",
            "images-control",
        ],
    ),
    (
        "images/guest-linux",
        &[
            "guest",
            "runtime",
            "runtime-core",
            "runtime-driver",
            "runtime-linux",
            "runtime-bench",
            "runtime-sim",
            "netem",
            "images-control",
            "images-workloads",
        ],
    ),
    ("images", &["images-control"]),
    ("topology", &["runtime-core", "netem"]),
    (
        "harness",
        &[
            "topology",
            "netem",
            "runtime-core",
            "runtime-bench",
            "runtime-sim",
            "runtime-linux",
            "images",
            "images-control",
        ],
    ),
    ("tests", &["harness"]),
];

/// All files with this end of their names, with their paths below the root.
fn files(end: &str) -> Vec<(String, String)> {
    fn walk(dir: &Path, end: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    walk(&path, end, found);
                }
            } else if name.ends_with(end) {
                found.push(path);
            }
        }
    }
    let root = workspace();
    let mut found = Vec::new();
    walk(&root, end, &mut found);
    found.sort();
    let below = |p: &PathBuf| p.strip_prefix(&root).unwrap().display().to_string();
    found.iter().map(|p| (below(p), fs::read_to_string(p).unwrap())).collect()
}

fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

/// A line without its comment and, roughly, without what stands in quotes.
fn code(line: &str) -> String {
    let line = line.split("//").next().unwrap_or_default();
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

fn has_word(line: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(inside) && !line[at + word.len()..].starts_with(inside)
    })
}

/// Every line that breaks a rule, as `path:line: text`.
#[track_caller]
fn none(what: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

#[test]
fn no_source_file_is_too_long() {
    let long = |(path, text): &(String, String)| {
        let lines = text.lines().count();
        (lines > LONGEST && !is_test(path)).then(|| format!("{path}: {lines} lines"))
    };
    none("split these", &files(".rs").iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "#[ignore", "FIXME", "dbg!"];
    let mut broken = Vec::new();
    for (path, text) in files(".rs") {
        for (n, line) in text.lines().enumerate() {
            let code = code(line);
            let comment = line.split_once("//").map(|(_, c)| c).unwrap_or_default();
            if words.iter().any(|w| code.contains(w)) || has_word(comment, "FIXME") {
                broken.push(format!("{path}:{}: {}", n + 1, line.trim()));
            }
        }
    }
    none("do it, or take it out", &broken);
}

/// Types of functions and attributes do nothing; methods of an unsafe trait fall under its reason.
fn has_reason(lines: &[&str], n: usize) -> bool {
    let line = code(lines[n]);
    let harmless = ["unsafe fn(", "unsafe extern \"\" fn(", "#[unsafe("];
    let item = lines[..n].iter().rev().find(|l| l.starts_with(|c: char| c.is_alphabetic()));
    let above = &lines[n.saturating_sub(REASON_WITHIN)..=n];
    harmless.iter().any(|h| line.contains(h))
        || line.trim().starts_with("unsafe fn") && item.is_some_and(|i| i.contains("unsafe impl"))
        || above.iter().any(|l| l.contains("SAFETY:") || l.contains("# Safety"))
}

#[test]
fn unsafe_code_has_an_address_and_a_reason() {
    let (mut astray, mut silent) = (Vec::new(), Vec::new());
    for (path, text) in files(".rs") {
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            if !has_word(&code(line), "unsafe") {
                continue;
            }
            let place = format!("{path}:{}: {}", n + 1, line.trim());
            if !UNSAFE_HOMES.iter().any(|home| path.starts_with(home)) {
                astray.push(place);
            } else if !has_reason(&lines, n) {
                silent.push(place);
            }
        }
    }
    none("unsafe code outside of its places", &astray);
    none("unsafe code without a `SAFETY:` in the lines above it", &silent);
}

/// Names of a manifest's dependencies of one kind of section, development left out.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.contains("dependencies") && !section.contains("dev-dependencies");
        } else if let (true, Some((name, _))) = (inside, line.split_once(['.', '=', ' '])) {
            names.insert(name.to_owned());
        }
    }
    names
}

fn package_name(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|l| l.strip_prefix("name = "))?.split('"').nth(1)
}

#[test]
fn crates_use_only_what_stands_above_them() {
    let manifests = files("Cargo.toml");
    let ours: BTreeSet<&str> =
        manifests.iter().filter_map(|(_, text)| package_name(text)).collect();
    assert!(ours.len() >= MAY_USE.len(), "{ours:?}");
    let mut broken = Vec::new();
    for (path, text) in manifests.iter().filter(|(path, _)| path != "Cargo.toml") {
        let dir = path.trim_end_matches("/Cargo.toml");
        let Some((_, may)) = MAY_USE.iter().find(|(d, _)| *d == dir) else {
            broken.push(format!("{dir}: a crate that this rule does not know"));
            continue;
        };
        let uses = dependencies(text);
        let astray =
            uses.iter().filter(|u| ours.contains(u.as_str()) && !may.contains(&u.as_str()));
        broken.extend(astray.map(|u| format!("{dir} uses {u}")));
    }
    none("arrows that must not be", &broken);
}

#[test]
fn every_crate_obeys_the_common_lints() {
    let without = |(path, text): &(String, String)| {
        let obeys = path == "Cargo.toml" || text.contains("[lints]\nworkspace = true");
        (!obeys).then(|| path.clone())
    };
    none(
        "without `[lints] workspace = true`",
        &files("Cargo.toml").iter().filter_map(without).collect::<Vec<_>>(),
    );
}

#[test]
fn the_core_forbids_unsafe_code_and_std() {
    let core = fs::read_to_string(workspace().join("runtime/core/src/lib.rs")).unwrap();
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        assert!(core.contains(attribute), "no {attribute} in runtime/core");
    }
}

/// The names of a program's parts are in it: this one is there only where safety steps can be left out.
#[test]
fn no_image_can_leave_out_a_safety_step() {
    let has = |program: &Path, name: &str| {
        let bytes = fs::read(program).unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        bytes.windows(name.len()).any(|window| window == name.as_bytes())
    };
    let (part, switch) = ("12runtime_core", "8sabotage8LEFT_OUT");
    assert!(has(&understudy(), switch), "the simulator of the harness can: is {switch} its name?");
    for image in [node_program(), bare_metal_program()] {
        assert!(has(&image, part), "{} has no names", image.display());
        assert!(!has(&image, switch), "{} is built with `sabotage`", image.display());
    }
}
