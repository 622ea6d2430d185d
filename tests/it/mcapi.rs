//! C programs on MCAPI, across machines: processes over TCP, and guests over TCP and Ethernet.

use std::fs;
use tests::{Bench, Outcome, workspace};

fn example(bench: &Bench, name: &str) -> Outcome {
    let file = workspace().join("topology/examples").join(format!("mcapi-{name}.yaml"));
    let outcome = bench.test_file(&file.display().to_string());
    outcome.must_pass();
    outcome
}

/// What the program said on a machine.
fn console(outcome: &Outcome, node: &str) -> String {
    fs::read_to_string(outcome.dir.join(format!("console-{node}.log"))).unwrap()
}

/// The examples, and a line that only a run from end to end prints.
const EXAMPLES: [(&str, &str); 3] = [
    ("ping-pong", "1000 rounds"),
    ("pipeline", "sum of squares: 333833500"),
    ("control-loop", "degrees after 200 steps"),
];

fn all_examples(bench: &Bench) {
    for (name, line) in EXAMPLES {
        let outcome = example(bench, name);
        assert!(console(&outcome, "n0").contains(line), "{name}");
    }
}

#[test]
fn the_examples_run_as_processes_of_two_machines() {
    all_examples(&Bench::process());
}

#[test]
fn the_examples_run_across_two_guests() {
    all_examples(&Bench::qemu());
}

#[test]
fn a_guest_that_cannot_boot_with_its_program_is_refused_before_it_does() {
    let bench = Bench::qemu();
    let program = bench.target().join("large");
    fs::write(&program, vec![0; 20 << 20]).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let file = bench.file(
        "large.yaml",
        "name: large\nnodes: { n0: { role: compute, memory: 112MiB } }\nrun: { program: ./large }\n",
    );
    let words = "node \"n0\" has 112MiB of memory and needs 128MiB to boot with a program of 20MiB";
    bench.on_file("test", &file).must(2, &["large.yaml: ", words, "write `memory: 128MiB`"]);
    bench.nothing_runs();
}

#[test]
fn boards_and_links_carry_one_program() {
    let bench = Bench::process();
    let outcome = example(&bench, "boards");
    assert!(console(&outcome, "n0").contains("sum of squares: 333833500"));
}

/// They are linked by the memory of their board, and their cables lose every frame. Nobody tells of the death of a guest: it is silent, and then there in a new life.
#[test]
fn a_guest_of_a_board_dies_and_comes_again_and_no_cable_is_needed() {
    let bench = Bench::qemu();
    let text = format!(
        "name: on-a-board\nboards: {{ a: {{ shared-memory: 1MiB, transport: links }} }}\n\
         nodes:\n\
         \x20 n0: {{ board: a, role: compute }}\n  n1: {{ board: a, role: compute }}\n\
         switches: {{ sw0: {{}} }}\nlinks:\n\
         \x20 - {{ between: [n0, sw0], loss: 100% }}\n  - {{ between: [n1, sw0], loss: 100% }}\n\
         \x20 - {{ between: [n0, n1], transport: shm }}\n\
         runtime: {{ heartbeat: 50ms }}\nrun: {}\n\
         faults: [{{ at: 1s, reboot: n1 }}]\n",
        outlive("again")
    );
    let outcome = bench.test_file(&bench.file("on-a-board.yaml", &text));
    outcome.must_pass();
    let said = [console(&outcome, "n0"), console(&outcome, "n1")];
    assert!(said[0].contains("outlived"), "{said:?}");
    assert!(
        said.iter().all(|s| s.contains("1024 KiB of the board's memory are mapped")),
        "{said:?}"
    );
}

/// A topology of two machines that run a program of `tests/programs`, or of the bench's own.
fn two_machines(bench: &Bench, name: &str, run: &str, rest: &str) -> Outcome {
    let text = format!(
        "name: {name}\nnodes: {{ n0: {{ role: compute }}, n1: {{ role: compute }} }}\n\
         runtime: {{ heartbeat: 100ms }}\nrun: {run}\n{rest}"
    );
    let file = bench.file(&format!("{name}.yaml"), &text);
    bench.test_file(&file)
}

fn outlive(again: &str) -> String {
    let path = workspace().join("tests/programs/outlive.c");
    format!("{{ program: {}, args: [{again}] }}", path.display())
}

#[test]
fn a_machine_that_is_killed_is_outlived() {
    let bench = Bench::process();
    let faults = "faults: [{ at: 1s, kill: n1 }]\n";
    let outcome = two_machines(&bench, "outlived", &outlive("once"), faults);
    outcome.must_pass();
    assert!(console(&outcome, "n0").contains("outlived"));
}

#[test]
fn a_machine_that_starts_again_is_heard_again() {
    let bench = Bench::process();
    let faults = "faults: [{ at: 1s, reboot: n1 }]\n";
    two_machines(&bench, "again", &outlive("again"), faults).must_pass();
}

#[test]
fn a_machine_without_a_signal_is_missed_by_its_silence() {
    let bench = Bench::process();
    // It stands still for longer than anybody is waited for, and goes on: by then it is another one.
    let faults = "faults: [{ at: 1s, pause: n1 }, { at: 4s, resume: n1 }]\n";
    two_machines(&bench, "silent", &outlive("again"), faults).must_pass();
}

#[test]
fn a_program_that_fails_fails_the_run() {
    let bench = Bench::process();
    drop(
        bench.file(
            "fails.c",
            "#include <unistd.h>\nint main(void) { return access(\"/\", 0) + 3; }\n",
        ),
    );
    two_machines(&bench, "fails", "{ program: ./fails.c }", "").must_fail(&["exit code 3"]);
    drop(bench.file("crashes.c", "#include <stdlib.h>\nint main(void) { abort(); }\n"));
    two_machines(&bench, "crashes", "{ program: ./crashes.c }", "").must_fail(&["SIGABRT"]);
    drop(bench.file("hangs.c", "#include <unistd.h>\nint main(void) { pause(); return 0; }\n"));
    let run = "{ program: ./hangs.c, timeout: 500ms }";
    two_machines(&bench, "hangs", run, "").must_fail(&["no end after 0.5 s on n0, n1"]);
    bench.nothing_runs();
}

#[test]
fn programs_that_cannot_be_are_refused() {
    let bench = Bench::process();
    let refused = |run: &str, words: &[&str]| {
        let text = format!("name: refused\nnodes: {{ n0: {{ role: compute }} }}\nrun: {run}\n");
        bench
            .verb(&["test", &bench.file("refused.yaml", &text), "--backend", "process"])
            .must(2, words);
    };
    refused("{ program: ./nothing.c }", &["nothing.c", "No such file"]);
    drop(bench.file("wrong.c", "int main(void) { return wrong; }\n"));
    refused("{ program: ./wrong.c }", &["wrong.c does not compile", "undeclared"]);
    drop(bench.file("text.txt", "text"));
    refused("{ program: ./text.txt }", &["neither C source", "executable"]);
    let sim = workspace().join("topology/examples/mcapi-ping-pong.yaml");
    let sim = sim.display().to_string();
    bench.verb(&["test", &sim, "--backend", "sim"]).must(2, &["run.program with backend sim"]);
}

#[test]
fn a_program_is_built_by_hand_too() {
    let bench = Bench::process();
    let source = workspace().join("runtime/capi/examples/ping-pong.c");
    let out = bench.file("ping-pong", "");
    bench.verb(&["cc", &source.display().to_string(), "-o", &out]).must(0, &["ping-pong"]);
    let mut command = std::process::Command::new(&out);
    command.arg("processes").env("UNDERSTUDY_SHM_DIR", bench.target().join("nodes"));
    let said = command.output().unwrap();
    assert!(said.status.success() && said.stdout == b"1000 rounds\n", "{said:?}");
    bench.verb(&["cc", "nothing.c"]).must(2, &["nothing.c"]);
}
