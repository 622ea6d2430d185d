//! Bare-metal guests: examples, and how their ends are told. What they survive is in `failures.rs`.

use crate::faults::all_are_named;
use std::fs;
use std::os::unix::fs::symlink;
use tests::{Bench, Cluster, Images, bare_metal_program, workspace};

fn example(name: &str) {
    let file = workspace().join("topology/examples").join(name);
    Bench::qemu().test_file(&file.display().to_string()).must_pass();
}

#[test]
fn four_bare_metal_guests_survive_a_death() {
    example("bare-metal.yaml");
}

#[test]
fn linux_and_bare_metal_guests_survive_a_death_of_each() {
    example("mixed.yaml");
}

#[test]
fn a_rank_that_computes_without_a_word_is_interrupted_to_serve_others() {
    // It computes for far longer than a silent node lives: were frames and timers served at calls
    // only, it would be replaced.
    let cluster = small()
        .runs("{ workload: busy, args: { millions: 400 } }")
        .with("heartbeat: 20ms")
        .expects_the_right_result()
        .expects("no-takeover: true");
    Bench::qemu().test(&cluster).must_pass();
}

/// Faults of the runtime itself, under any rank, and what must be said about each.
const DRILLS: &[(&str, &[&str])] = &[
    ("panic", &["a drill", "perform at ", "drill.rs:"]),
    ("pointer", &["page fault", "perform"]),
    ("code", &["page fault", "perform"]),
    ("stack", &["stack overflow in the runtime", "dig at "]),
    ("double", &["double fault", "perform"]),
    ("heap", &["out of memory", "memory in the topology", "heap::exhausted"]),
    ("frames", &["out of memory", "memory in the topology", "perform"]),
];

#[test]
fn a_bare_metal_guest_whose_runtime_breaks_says_how_and_where() {
    for (drill, words) in DRILLS {
        let bench = Bench::qemu().with("UNDERSTUDY_BAREMETAL_OPTIONS", format!("drill={drill}"));
        let said = bench.on("up", &Cluster::of(1, 0).of_images(Images::BareMetal));
        // The backtrace comes with names and places.
        said.must(3, words).must(3, &["n0 panicked", "   0: ", "   1: "]);
        bench.nothing_runs();
    }
}

fn small() -> Cluster {
    Cluster::of(2, 1).of_images(Images::BareMetal)
}

#[test]
fn a_bare_metal_guest_names_what_broke() {
    all_are_named(&Bench::qemu(), |cluster| cluster.of_images(Images::BareMetal));
}

#[test]
fn a_cluster_of_bare_metal_guests_stays_up_and_can_be_watched() {
    let bench = Bench::qemu();
    let cluster = small().expects_the_right_result();
    bench.on("up", &cluster).must(0, &["n2", "bare-metal", "ready"]);
    for _ in 0..2 {
        bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    }
    bench.verb(&["kill", "n1"]).must(0, &["n1 is killed"]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["down"]).must(0, &["is down"]);
}

/// Smallest program that a machine without an operating system boots, with an entry for PVH (a note of
/// type 18 that holds its address): loaded at 1 MiB, entered in 32-bit mode. Its last bytes are zeros.
fn program(code: &[u8]) -> Vec<u8> {
    const BASE: u32 = 0x10_0000;
    const HEADERS: u32 = 64 + 2 * 56;
    const NOTE: u32 = 20;
    let entry = BASE + HEADERS + NOTE;
    let size = u64::from(HEADERS + NOTE) + code.len() as u64 + 16;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut put = |bytes: &[u8]| elf.extend(bytes);
    // An executable for x86-64; its headers follow this one.
    put(&[2, 0, 62, 0, 1, 0, 0, 0]);
    put(&u64::from(entry).to_le_bytes());
    put(&64_u64.to_le_bytes());
    put(&[0; 12]);
    for half in [64_u16, 56, 2, 64, 0, 0] {
        put(&half.to_le_bytes());
    }
    // All of the file is loaded; a part of it is the note.
    let (load, note) = ((1_u32, 7_u32, 0, size), (4, 4, HEADERS, u64::from(NOTE)));
    for (kind, flags, offset, length) in [load, note] {
        put(&kind.to_le_bytes());
        put(&flags.to_le_bytes());
        put(&u64::from(offset).to_le_bytes());
        for _ in 0..2 {
            put(&u64::from(BASE + offset).to_le_bytes());
        }
        for _ in 0..2 {
            put(&length.to_le_bytes());
        }
        put(&4_u64.to_le_bytes());
    }
    for word in [4_u32, 4, 18] {
        put(&word.to_le_bytes());
    }
    put(b"Xen\0");
    put(&entry.to_le_bytes());
    put(code);
    put(&[0; 16]);
    elf
}

/// Boots a guest that runs nothing but these instructions.
#[track_caller]
fn ends(code: &[u8], words: &[&str]) {
    let bench = Bench::qemu();
    let file = bench.file("program", program(code));
    let bench = bench.with("UNDERSTUDY_BAREMETAL", &file);
    let cluster = Cluster::of(1, 0).of_images(Images::BareMetal);
    bench
        .on("up", &cluster)
        .must(3, &["node n0 ended by itself", "last lines of the console"])
        .must(3, words);
}

#[test]
fn a_guest_that_resets_itself_is_told_as_a_triple_fault() {
    // An interrupt table without an entry, at the zeros after the program, and an instruction that is none:
    // no fault can be handled, not even the fault of a missing handler.
    let table = 0x10_0000_u32 + 64 + 2 * 56 + 20 + 9;
    let mut code = vec![0x0f, 0x01, 0x1d];
    code.extend(table.to_le_bytes());
    code.extend([0x0f, 0x0b]);
    ends(&code, &["the guest reset itself: triple fault"]);
}

#[test]
fn a_guest_says_with_its_exit_code_whether_it_ended_at_a_fault() {
    // mov al, code; out 0xf4, al; hlt
    ends(&[0xb0, 0x11, 0xe6, 0xf4, 0xf4], &["at a fault"]);
    ends(&[0xb0, 0x10, 0xe6, 0xf4, 0xf4], &["orderly"]);
}

#[test]
fn a_program_that_no_machine_boots_is_said_by_qemu() {
    let bench = Bench::qemu();
    let text = bench.file("text", "this is no program\n");
    let bench = bench.with("UNDERSTUDY_BAREMETAL", &text);
    bench.on("up", &small()).must(3, &["node n", "qemu"]);
}

#[test]
fn the_peak_of_an_image_is_what_its_guests_said() {
    let bench = Bench::qemu();
    bench.verb(&["bench", "--only", "footprint"]).must(3, &["footprint/whole", "make footprint"]);
    for which in ["whole", "link"] {
        let folder = format!("footprint/{which}/x86_64-unknown-linux-gnu/bare-metal");
        let folder = bench.target().join(folder);
        fs::create_dir_all(&folder).unwrap();
        symlink(bare_metal_program(), folder.join("guest-baremetal")).unwrap();
    }
    let said = bench.verb(&["bench", "--only", "footprint"]);
    said.must(0, &["text", "data", "bss", "peak RAM"]);
    let runs = bench.target().join("understudy/runs");
    let peak = |guest: &str| -> u64 {
        // The first run had no image and no guest.
        let console = runs.join(format!("bench-2/console-{guest}.log"));
        let text = fs::read_to_string(&console).unwrap_or_else(|e| panic!("{guest}: {e}"));
        let line = text.lines().rfind(|line| line.starts_with("memory: ")).expect(&text);
        line.split(' ').nth(1).unwrap().parse().unwrap()
    };
    for (row, guests) in [("with SDSM: ", "whole-metal"), ("link and MCAPI: ", "link-metal")] {
        let peak = peak(&format!("{guests}-0")).max(peak(&format!("{guests}-1")));
        let row = said.text.lines().find(|line| line.contains(row)).expect(&said.text);
        assert!(row.contains(&format!(" {peak} KiB ")), "not {peak}: {said}");
    }
    bench.nothing_runs();
}
