//! The whole harness against a node that is a shell script: the process backend, the daemon, the
//! verbs and their exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

const FILE: &str = "
name: smoke
nodes:
  n0: { role: compute }
  n1: { role: compute }
run: { workload: laplace }
expect: [{ result: reference }, { epochs: 1 }]
";

struct Bench {
    dir: TempDir,
    fake: &'static str,
    hash: &'static str,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("smoke.yaml"), FILE).unwrap();
        Self { dir, fake: "", hash: "aa" }
    }

    fn with(fake: &'static str, hash: &'static str) -> Self {
        let mut bench = Self::new();
        (bench.fake, bench.hash) = (fake, hash);
        bench
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("smoke.yaml")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        let node = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process/fake-node");
        command
            .arg("--target-dir")
            .arg(self.dir.path())
            .args(words)
            .env("UNDERSTUDY_NODE", node)
            .env("FAKE", self.fake)
            .env("FAKE_VERSION", images_control::VERSION.to_string())
            .env("FAKE_HASH", self.hash);
        command
    }

    fn verb(&self, words: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.command(words).output().unwrap();
        let text = [stdout, stderr].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
        (status.code().unwrap(), text)
    }

    fn on_file(&self, verb: &str) -> (i32, String) {
        self.verb(&[verb, "--backend", "process", self.file().to_str().unwrap()])
    }

    /// Processes of this bench that still run.
    fn left_over(&self) -> Vec<String> {
        let target = self.dir.path().to_str().unwrap().to_owned();
        let mut left = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let environ = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&environ).replace('\0', " ");
            if line.contains(&target) {
                left.push(line);
            }
        }
        left
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that fails must not leave a cluster.
        drop(self.command(&["down"]).output());
    }
}

#[test]
fn test_boots_runs_judges_and_leaves_nothing() {
    let bench = Bench::new();
    let (exit, text) = bench.on_file("test");
    assert_eq!(exit, 0, "{text}");
    assert!(text.contains("verdict: PASS"), "{text}");
    let run = bench.dir.path().join("understudy/runs/smoke-1");
    for file in ["events.jsonl", "result.json", "console-n0.log", "topology.yaml", "daemon.log"] {
        assert!(run.join(file).is_file(), "no {file}");
    }
    let (exit, text) = bench.verb(&["status"]);
    assert_eq!(exit, 2, "{text}");
    // The daemon closes its connections last, but its process may still be on its way out.
    assert!(bench.left_over().iter().all(|l| l.contains(" daemon ")), "{:?}", bench.left_over());
}

#[test]
fn a_wrong_result_is_exit_code_1() {
    let bench = Bench::with("", "bb");
    let (exit, text) = bench.on_file("test");
    assert_eq!(exit, 1, "{text}");
    assert!(text.contains("verdict: FAIL"), "{text}");
}

#[test]
fn a_node_that_ends_at_once_is_exit_code_3_with_its_last_words() {
    let bench = Bench::with("crash", "aa");
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 3, "{text}");
    assert!(text.contains("ended by itself (exit status: 7)"), "{text}");
    assert!(text.contains("the last words of a node"), "{text}");
}

#[test]
fn a_node_that_panics_is_exit_code_3_with_the_calls_it_was_in() {
    let bench = Bench::with("panic", "aa");
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 3, "{text}");
    assert!(text.contains(" panicked: a bad day at line 7\n   0: 0x401000\n   1: 0x8\n"), "{text}");
    assert!(text.contains("without names"), "a script has no symbols: {text}");
    let events = bench.dir.path().join("understudy/runs/smoke-1/events.jsonl");
    let events = std::fs::read_to_string(events).unwrap();
    assert!(events.contains("was in 0x401000"), "{events}");
}

#[test]
fn nodes_that_speak_ethernet_are_plugged_into_the_switch() {
    let bench = Bench::new();
    let ethernet = FILE.replace("run:", "runtime: { transport: ethernet }\nrun:");
    std::fs::write(bench.file(), ethernet).unwrap();
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 0, "{text}");
    let ports = text.lines().filter(|l| l.contains("sw0") && l.contains("up"));
    assert_eq!(ports.count(), 2, "{text}");
    let (exit, text) = bench.verb(&["run"]);
    assert_eq!(exit, 0, "{text}");
}

#[test]
fn a_missing_program_for_bare_metal_guests_is_exit_code_3_with_the_remedy() {
    let bench = Bench::new();
    let metal = FILE.replace("role: compute", "role: compute, image: bare-metal");
    std::fs::write(bench.file(), metal).unwrap();
    let missing = bench.dir.path().join("nowhere");
    let file = bench.file();
    let words = ["up", "--backend", "qemu", file.to_str().unwrap()];
    let output = bench.command(&words).env("UNDERSTUDY_BAREMETAL", &missing).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains(missing.to_str().unwrap()) && text.contains("make node"), "{text}");
}

#[test]
fn a_cluster_stays_up_and_verbs_attach_to_it() {
    let bench = Bench::new();
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 0, "{text}");
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 2, "{text}");
    assert!(text.contains("cluster smoke is up already"), "{text}");
    let (exit, text) = bench.verb(&["status"]);
    assert_eq!(exit, 0, "{text}");
    assert!(text.contains("n1") && text.contains("ready"), "{text}");
    let (exit, text) = bench.verb(&["kill", "n9"]);
    assert_eq!(exit, 2, "{text}");
    let (exit, text) = bench.verb(&["run", "--cluster", "smoke"]);
    assert_eq!(exit, 0, "{text}");
    let (exit, text) = bench.verb(&["kill", "n1"]);
    assert_eq!(exit, 0, "{text}");
    for _ in 0..2 {
        let (exit, text) = bench.verb(&["down"]);
        assert_eq!(exit, 0, "{text}");
    }
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 0, "a name must be free again after down: {text}");
}

#[test]
fn a_daemon_killed_hard_leaves_no_node_and_blocks_nothing() {
    let bench = Bench::new();
    assert_eq!(bench.on_file("up").0, 0);
    let (_, text) = bench.verb(&["status"]);
    let row = text.lines().find(|l| l.contains("n0")).unwrap().to_owned();
    let node = row.split_whitespace().rev().find_map(|w| w.parse::<i32>().ok()).unwrap();
    let find = |dir: std::fs::DirEntry| {
        let line = std::fs::read(dir.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let ours = line.contains(" daemon ") && line.contains(bench.dir.path().to_str().unwrap());
        ours.then(|| dir.file_name().to_str().unwrap().parse::<i32>().unwrap())
    };
    let daemon = std::fs::read_dir("/proc").unwrap().flatten().find_map(find).unwrap();
    let pid = nix::unistd::Pid::from_raw;
    nix::sys::signal::kill(pid(daemon), nix::sys::signal::Signal::SIGKILL).unwrap();
    // Its node is killed by the kernel; whoever inherits it reaps it, or leaves a zombie. The daemon
    // holds its name until the last of its threads is gone, and its first may be a zombie before that.
    let gone = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        stat.is_empty() || stat.contains(") Z ") && threads <= 1
    };
    while !(gone(node) && gone(daemon)) {
        std::thread::yield_now();
    }
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 0, "{text}");
}

#[test]
fn wrong_files_and_calls_are_exit_code_2() {
    let bench = Bench::new();
    std::fs::write(bench.file(), "name: smoke\nnodes: 7\n").unwrap();
    for verb in ["up", "test"] {
        let (exit, text) = bench.on_file(verb);
        assert_eq!(exit, 2, "{text}");
    }
    assert_eq!(bench.verb(&["validate", bench.file().to_str().unwrap()]).0, 2);
    assert_eq!(bench.verb(&["fly"]).0, 2);
    assert_eq!(bench.verb(&["run"]).0, 2);
    assert_eq!(bench.verb(&["down"]).0, 0);
}

/// A file whose nodes speak Ethernet, so that their frames pass the switch.
const ETHERNET: &str = "
name: live
nodes:
  n0: { role: compute }
  n1: { role: compute }
switches: { sw0: {} }
links: [{ between: [n0, sw0], delay: 2ms }, { between: [n1, sw0] }]
runtime: { transport: ethernet }
run: { workload: laplace }
";

#[test]
fn a_cluster_that_is_up_is_changed_looked_at_and_told_of() {
    let bench = Bench::new();
    std::fs::write(bench.file(), ETHERNET).unwrap();
    let (exit, text) = bench.on_file("up");
    assert_eq!(exit, 0, "{text}");
    let ok = |words: &[&str], expected: &str| {
        let (exit, text) = bench.verb(words);
        assert_eq!((exit, text.contains(expected)), (0, true), "{words:?}: {text}");
    };
    ok(&["degrade", "n0", "loss=5%", "--direction", "up"], "n0-sw0: up: loss 5%");
    ok(&["cut", "n1-sw0", "--one-way", "down"], "n1-sw0 is cut from the switch to the node");
    ok(&["status"], "up, up: delay 2ms, loss 5%; down: delay 2ms");
    ok(&["status"], "up, cut to the node");
    ok(&["pcap", "on", "n1"], "link-n1-sw0.pcapng");
    ok(&["pcap", "off"], "recorded to");
    ok(&["pcap", "off"], "nothing was recorded");
    ok(&["pause", "n1"], "n1 stands still");
    ok(&["resume", "n1"], "n1 goes on");
    ok(&["heal"], "all links are as in the file");
    ok(&["status"], "up, delay 2ms");
    ok(&["events"], "n1      its link is cut one way: to it");
    ok(&["events", "--json"], "\"node\":\"n0\",\"harness\":\"its link: up: loss 5%\"");
    ok(&["graph"], ">delay 2ms</text>");
    ok(&["graph", bench.file().to_str().unwrap()], ">delay 2ms</text>");
    ok(&["completion", "zsh"], "UNDERSTUDY_COMPLETE");
    let (exit, text) = bench.verb(&["status", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, json["ports"][0]["link"].as_str()), (0, Some("delay 2ms")), "{text}");
    for (words, reason) in [
        (&["degrade", "n0", "dely=1ms"][..], "did you mean \"delay\"?"),
        (&["cut", "n7"], "no link n7: there are n0-sw0, n1-sw0"),
        (&["cut", "n0", "--one-way", "left"], "possible values: up, down, a-to-b, b-to-a"),
    ] {
        let (exit, text) = bench.verb(words);
        assert_eq!((exit, text.contains(reason)), (2, true), "{words:?}: {text}");
    }
}

#[test]
fn a_shell_that_asks_gets_the_names_of_what_is_up() {
    let bench = Bench::new();
    std::fs::write(bench.file(), ETHERNET).unwrap();
    assert_eq!(bench.on_file("up").0, 0);
    let complete = |words: &[&str]| {
        // What the script of bash does.
        let mut command = Command::new(env!("CARGO_BIN_EXE_understudy"));
        command.env("UNDERSTUDY_COMPLETE", "bash").env("UNDERSTUDY_TARGET_DIR", bench.dir.path());
        command.env("_CLAP_COMPLETE_INDEX", (words.len() + 1).to_string());
        command.env("_CLAP_IFS", "\n").args(["--", "understudy"]).args(words).arg("");
        let text = String::from_utf8(command.output().unwrap().stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let has = |words: &[&str], wanted: &str| {
        let candidates = complete(words);
        assert!(candidates.iter().any(|c| c == wanted), "{words:?}: {candidates:?}");
    };
    has(&[], "degrade");
    has(&["kill"], "n1");
    has(&["cut"], "n0-sw0");
    has(&["degrade", "n0"], "jitter=");
    has(&["status", "--cluster"], "live");
}

#[test]
fn bash_that_reads_the_script_completes_verbs_names_and_files() {
    let bench = Bench::new();
    std::fs::write(bench.file(), ETHERNET).unwrap();
    assert_eq!(bench.on_file("up").0, 0);
    // What bash itself does when somebody presses Tab: it calls what is registered for the command.
    let script = r#"
        source <("$UNDERSTUDY" completion bash) || exit 1
        registered=$(complete -p understudy | sed 's/.*-F \([^ ]*\).*/\1/')
        tab() {
            COMP_WORDS=(understudy "$@"); COMP_CWORD=$#; COMP_TYPE=9; COMP_LINE="${COMP_WORDS[*]}"
            COMP_POINT=${#COMP_LINE}; COMPREPLY=()
            $registered understudy "${@: -1}" "${COMP_WORDS[COMP_CWORD - 1]}" || exit 1
            echo "$* -> ${COMPREPLY[*]}"
        }
        tab mig; tab kill n; tab cut n1; tab degrade n0 jit; tab run --cluster ''; tab validate smo
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script]).current_dir(bench.dir.path());
    bash.env("UNDERSTUDY", env!("CARGO_BIN_EXE_understudy"));
    let output = bash.env("UNDERSTUDY_TARGET_DIR", bench.dir.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let wanted = "mig -> migrate\nkill n -> n0 n1\ncut n1 -> n1 n1-sw0\ndegrade n0 jit -> jitter=\n\
                  run --cluster  -> live\nvalidate smo -> smoke.yaml\n";
    assert_eq!(text, wanted, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn two_clusters_at_once_do_not_disturb_each_other() {
    let bench = Bench::new();
    let other = bench.dir.path().join("other.yaml");
    std::fs::write(&other, ETHERNET).unwrap();
    assert_eq!(bench.on_file("up").0, 0);
    let (exit, text) = bench.verb(&["up", "--backend", "process", other.to_str().unwrap()]);
    assert_eq!(exit, 0, "{text}");
    let (exit, text) = bench.verb(&["status"]);
    assert_eq!(exit, 2);
    assert!(text.contains("several clusters are up (live, smoke): choose one"), "{text}");
    assert_eq!(bench.verb(&["kill", "n1", "--cluster", "live"]).0, 0);
    let (exit, text) = bench.verb(&["run", "--cluster", "smoke"]);
    assert_eq!((exit, text.contains("verdict: PASS")), (0, true), "{text}");
    assert_eq!(bench.verb(&["down", "--cluster", "smoke"]).0, 0);
    let (exit, text) = bench.verb(&["status"]);
    assert_eq!((exit, text.contains("cluster live")), (0, true), "{text}");
}

#[test]
fn the_control_socket_is_private_to_its_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    // A directory that was there before, open to all, is closed.
    let control = bench.dir.path().join("understudy/control");
    std::fs::create_dir_all(&control).unwrap();
    std::fs::set_permissions(&control, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(bench.on_file("up").0, 0);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&control), 0o700);
    assert_eq!(mode(&control.join("smoke.socket")), 0o600);
}
