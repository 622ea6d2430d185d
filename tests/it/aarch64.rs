//! Guests with an aarch64 processor, alone and beside x86_64. `make aarch64` builds their program, or says why not.

use tests::{Bench, aarch64_program, workspace};

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
