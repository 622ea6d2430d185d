//! Guests that are copies of one that booted, guests that boot, and guests of one board.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use tests::{Bench, Cluster};

/// What a guest said on its console so far.
fn console(bench: &Bench, cluster: &str, node: &str) -> String {
    let path = format!("understudy/runs/{cluster}-1/console-{node}.log");
    fs::read_to_string(bench.target().join(path)).unwrap()
}

/// Waits until the consoles of all nodes say something; the consoles.
fn consoles(bench: &Bench, cluster: &str, nodes: &[&str], word: &str) -> Vec<String> {
    for node in nodes {
        let following = bench.start(&["console", node]);
        following.says(word);
        following.signal(nix::sys::signal::Signal::SIGKILL);
        let _killed = following.end();
    }
    nodes.iter().map(|node| console(bench, cluster, node)).collect()
}

#[test]
fn copies_of_a_guest_are_no_twins() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(3, 1).named("copies").expects_the_right_result();
    bench.on("up", &cluster).must(0, &["n3", "ready"]);
    let all = consoles(&bench, "copies", &["n0", "n1", "n2", "n3"], ", boot ");
    // What the kernel draws at random once a boot.
    let boots: BTreeSet<_> = all.iter().filter_map(|c| c.split(", boot ").nth(1)).collect();
    assert_eq!(boots.len(), 4, "{all:?}");
    assert!(all.iter().all(|c| !c.contains("Linux version")), "nobody booted: {all:?}");
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["reboot", "n1"]).must(0, &["n1"]);
    bench.verb(&["down"]).must(0, &["is down"]);
}

/// An emulator that takes nothing but what it is told at its start: guests boot in it, but cannot go on from a state.
fn without_copies(bench: Bench) -> Bench {
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|dir| dir.join("qemu-system-x86_64"));
    let real = real.into_iter().find(|file| file.is_file()).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-incoming*) echo 'no copies today' >&2; exit 1;; esac\nexec {} \"$@\"\n",
        real.display()
    );
    let dir = bench.target().join("bin");
    fs::create_dir(&dir).unwrap();
    let file = bench.file("bin/qemu-system-x86_64", script);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    bench.with("PATH", format!("{}:{path}", dir.display()))
}

#[test]
fn templates_are_shared_checked_and_done_without() {
    let bench = Bench::qemu().with_own_templates();
    let cluster = |name: &str| Cluster::of(1, 1).named(name).expects_the_right_result();
    let names = ["one", "other"];
    // Both need the same one: who comes first makes it, and the other waits. Then they run side by side.
    let up = names.map(|name| bench.start_on("up", &cluster(name))).map(|verb| verb.end());
    for said in &up {
        said.must(0, &["n1", "ready"]);
    }
    let made = |said: &&tests::Said| said.text.contains("the template booted in");
    assert_eq!(up.iter().filter(made).count(), 1, "{up:?}");
    let run = names.map(|name| bench.start(&["run", "--cluster", name]));
    for verb in run {
        verb.end().must(0, &["verdict: PASS"]);
    }
    bench.verb(&["down"]).must(0, &["cluster one is down", "cluster other is down"]);

    // One bit of a guest's memory would change what any program computes, or nothing at all for hours.
    let house = bench.target().join("understudy/cache/templates");
    let all = fs::read_dir(house).unwrap().flatten().map(|entry| entry.path());
    let [template] = &all.filter(|path| path.is_dir()).collect::<Vec<_>>()[..] else {
        panic!("not one template")
    };
    let memory = fs::File::options().read(true).write(true).open(template.join("ram")).unwrap();
    let (mut byte, middle) = ([0], memory.metadata().unwrap().len() / 2);
    memory.read_exact_at(&mut byte, middle).unwrap();
    memory.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    drop(memory);
    let said = bench.on("test", &cluster("one"));
    said.must(0, &["is damaged, and made anew", "ram is not what it was", "verdict: PASS"]);
    said.must(0, &["the template booted in"]);

    let file = bench.topology(&cluster("cold"));
    let said = bench.verb(&["test", "--cold", &file]);
    said.must(0, &["verdict: PASS"]);
    assert!(!said.text.contains("template"), "{said}");
    let bench = without_copies(bench);
    let said = bench.on("test", &cluster("one"));
    said.must(0, &["n0 boots: it cannot be a copy", "no copies today", "verdict: PASS"]);
    // So the next run makes another.
    assert!(template.is_dir() && !template.join("made-of").exists());
}

#[test]
fn an_emulator_that_is_missing_or_does_not_work_is_named() {
    let bench = Bench::qemu();
    let nothing = bench.target().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let bench = bench.with("PATH", nothing.as_os_str());
    let cluster = Cluster::of(1, 1);
    bench.on("up", &cluster).must(3, &["qemu-system-x86_64 is not installed", "make setup"]);
    drop(bench);

    let bench = Bench::qemu();
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && echo a script && exit\n\
                  echo 'no machine today' >&2\nexit 1\n";
    let program = bench.file("qemu-system-x86_64", script);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", bench.target().display());
    let bench = bench.with("PATH", path);
    bench.on("up", &cluster).must(3, &["they boot (", "no machine today", "exit status: 1"]);
    bench.nothing_runs();
}

#[test]
fn guests_of_one_board_find_each_other_in_its_memory() {
    let bench = Bench::qemu();
    let file = bench.file(
        "board.yaml",
        "name: board\nboards: { a: { shared-memory: 1MiB }, b: {} }\nnodes:\n\
         \x20 n0: { board: a, role: compute }\n  n1: { board: a, role: standby }\n\
         \x20 n2: { board: b, role: standby }\n\
         runtime: { heartbeat: 100ms, shared-memory: 1MiB, heap: 1MiB, stack: 1MiB }\n",
    );
    bench.on_file("up", &file).must(0, &["n2", "ready"]);
    let word = "1024 KiB of the board's memory are mapped, by ";
    let both = consoles(&bench, "board", &["n0", "n1"], word);
    assert!(both.iter().any(|c| c.contains(&format!("{word}n0, n1"))), "{both:?}");
    assert!(!console(&bench, "board", "n2").contains("mapped"));
    // A board keeps its memory.
    bench.verb(&["reboot", "n1"]).must(0, &["n1"]);
    let again = format!("{word}n0, n1 (life 2)");
    consoles(&bench, "board", &["n1"], &again);
    bench.verb(&["down"]).must(0, &["is down"]);
}
