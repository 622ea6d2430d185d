//! Guests with an aarch64 processor, alone and beside x86_64. `make aarch64` builds their program, or says why not.

use std::fs;
use tests::{Bench, Cluster, Images, aarch64_program, workspace};

fn example(name: &str) {
    if !aarch64_program().is_file() {
        println!("skipped: no program for aarch64 guests; `make node-aarch64` says what it lacks");
        return;
    }
    let file = workspace().join("topology/examples").join(name);
    Bench::qemu().test_file(&file.display().to_string()).must_pass();
}

#[test]
fn an_aarch64_guest_dies_and_another_takes_over() {
    example("aarch64.yaml");
}

#[test]
fn a_rank_keeps_its_processor_in_a_cluster_of_two() {
    example("two-processors.yaml");
}

#[test]
fn without_a_program_for_it_aarch64_is_refused_with_the_remedy() {
    let bench = Bench::qemu().with("UNDERSTUDY_NODE_AARCH64", "/nonexistent");
    let file = workspace().join("topology/examples/aarch64.yaml");
    bench.on_file("up", &file.display().to_string()).must(3, &["make node-aarch64"]);
}

/// A directory with an example for aarch64 guests, and with these clusters.
fn directory(bench: &Bench, clusters: &[Cluster]) -> String {
    let dir = bench.target().join("all");
    fs::create_dir(&dir).unwrap();
    fs::copy(workspace().join("topology/examples/aarch64.yaml"), dir.join("a.yaml")).unwrap();
    for cluster in clusters {
        fs::write(dir.join(format!("{}.yaml", cluster.name)), cluster.yaml()).unwrap();
    }
    dir.display().to_string()
}

#[test]
fn without_a_program_for_it_aarch64_is_skipped_among_others() {
    let bench = Bench::qemu().with("UNDERSTUDY_NODE_AARCH64", "/nonexistent");
    let dir = directory(&bench, &[Cluster::of(1, 1).of_images(Images::BareMetal)]);
    let junit = bench.target().join("junit.xml").display().to_string();
    let said = bench.verb(&["test", "--backend", "qemu", "--junit", &junit, &dir]);
    said.must(
        0,
        &["a.yaml: skipped: no node program for aarch64 at /nonexistent: run `make node-aarch64`"],
    );
    said.must(0, &["SKIPPED", "1 of 2 runs passed, 1 skipped, with 0 deaths"]);
    let xml = fs::read_to_string(junit).unwrap();
    assert!(xml.contains("<skipped message=\"no node program for aarch64"), "{xml}");
    assert!(xml.contains("errors=\"0\" skipped=\"1\""), "{xml}");
}

#[test]
fn where_all_is_skipped_nothing_was_tested() {
    let bench = Bench::qemu().with("UNDERSTUDY_NODE_AARCH64", "/nonexistent");
    let dir = directory(&bench, &[]);
    let file = format!("{dir}/a.yaml");
    for what in [&dir, &file] {
        let said = bench.verb(&["test", "--backend", "qemu", what]);
        said.must(3, &["a.yaml: skipped: ", "make node-aarch64", "error: nothing was run"]);
    }
    // An emulator that is not there has a remedy of its own.
    let empty = bench.target().join("empty");
    fs::create_dir(&empty).unwrap();
    let program = bench.file("program", "");
    let bench = bench.with("UNDERSTUDY_NODE_AARCH64", program).with("PATH", empty);
    let said = bench.verb(&["test", "--backend", "qemu", &file]);
    said.must(3, &["a.yaml: skipped: qemu-system-aarch64 is not installed", "qemu-system-arm"]);
}
