//! A place where the real programs run, with a target directory of its own.

use crate::{Cluster, Outcome};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Only one bench at a time: guests and processes share few cores, and heartbeats need them.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
/// Marks every process that comes of a bench, in its environment.
const MARK: &str = "UNDERSTUDY_TEST_BENCH";
/// A verb that takes longer hangs: several times what the slowest needs, and more than the
/// harness's own time-outs.
const PATIENCE: Duration = Duration::from_secs(300);
/// What is killed must be gone by then.
const GONE: Duration = Duration::from_secs(30);

/// What nodes are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// One process for all, on a virtual clock.
    Sim,
    /// Processes.
    Process,
    /// Guests.
    Qemu,
}

impl Backend {
    const fn name(self) -> &'static str {
        match self {
            Self::Sim => "sim",
            Self::Process => "process",
            Self::Qemu => "qemu",
        }
    }
}

/// A target directory and the programs. When it goes, everything that ran in it must be gone.
#[derive(Debug)]
pub struct Bench {
    dir: Option<TempDir>,
    target: PathBuf,
    backend: Backend,
    environment: Vec<(OsString, OsString)>,
    /// What the command is started by.
    through: Vec<String>,
    /// Processes of this bench that were ever seen.
    seen: Mutex<BTreeSet<u32>>,
    _alone: MutexGuard<'static, ()>,
}

/// What a verb said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its words.
    pub words: String,
    /// Its exit code; 128 and more: a signal.
    pub exit: i32,
    /// Output and errors, as they came.
    pub text: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "understudy {} (exit code {})\n{}", self.words, self.exit, self.text)
    }
}

impl Said {
    /// Fails the test unless the verb ended like this and said all of that.
    #[track_caller]
    pub fn must(&self, exit: i32, words: &[&str]) -> &Self {
        assert_eq!(self.exit, exit, "{self}");
        for word in words {
            assert!(self.text.contains(word), "no \"{word}\" in what it said: {self}");
        }
        self
    }
}

/// A verb on its way.
#[derive(Debug)]
pub struct Child {
    /// Its process.
    pub pid: u32,
    words: String,
    output: PathBuf,
    end: Receiver<ExitStatus>,
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Where the program of bare-metal guests is; whether it is there matters only to those who boot it.
#[must_use]
pub fn bare_metal_program() -> PathBuf {
    let default = || {
        workspace().join("target/bare-metal/x86_64-unknown-linux-gnu/bare-metal/guest-baremetal")
    };
    std::env::var_os("UNDERSTUDY_BAREMETAL").map_or_else(default, PathBuf::from)
}

/// Where the program of aarch64 guests is; it is there if it could be built.
#[must_use]
pub fn aarch64_program() -> PathBuf {
    let default =
        || workspace().join("target/node-aarch64/aarch64-unknown-linux-gnu/node/guest-linux");
    std::env::var_os("UNDERSTUDY_NODE_AARCH64").map_or_else(default, PathBuf::from)
}

/// A program that these tests need and do not build.
fn program(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "no program at {}: run `make test`, which builds it", path.display());
    path
}

/// The command.
#[must_use]
pub fn understudy() -> PathBuf {
    // target/debug/deps/it-… → target/debug/understudy
    let test = std::env::current_exe().unwrap_or_default();
    let dir = test.parent().and_then(Path::parent).unwrap_or(Path::new("."));
    program(dir.join("understudy"))
}

/// Where what was fetched is, for all benches.
fn shared_cache() -> PathBuf {
    workspace().join("target/understudy/cache")
}

/// The node program.
#[must_use]
pub fn node_program() -> PathBuf {
    let default = || workspace().join("target/node/x86_64-unknown-linux-gnu/node/guest-linux");
    program(std::env::var_os("UNDERSTUDY_NODE").map_or_else(default, PathBuf::from))
}

impl Bench {
    /// A bench for clusters of one kind. Waits until no other is in use.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = match tempfile::tempdir() {
            Ok(dir) => dir,
            Err(e) => panic!("no temporary directory: {e}"),
        };
        let target = dir.path().to_owned();
        // The kernel is fetched once for all.
        let cache = shared_cache();
        let linked = fs::create_dir_all(&cache)
            .and_then(|()| fs::create_dir(target.join("understudy")))
            .and_then(|()| std::os::unix::fs::symlink(&cache, target.join("understudy/cache")));
        if let Err(e) = linked {
            panic!("cannot share {}: {e}", cache.display());
        }
        Self {
            dir: Some(dir),
            target,
            backend,
            environment: Vec::new(),
            through: Vec::new(),
            seen: Mutex::default(),
            _alone: alone,
        }
    }

    /// Nodes that are processes.
    #[must_use]
    pub fn process() -> Self {
        Self::new(Backend::Process)
    }

    /// Nodes that are guests.
    #[must_use]
    pub fn qemu() -> Self {
        Self::new(Backend::Qemu)
    }

    /// Nodes that are simulated.
    #[must_use]
    pub fn sim() -> Self {
        Self::new(Backend::Sim)
    }

    /// With templates of guests of its own, of which there is none yet; the kernel is that of all.
    #[must_use]
    pub fn with_own_templates(self) -> Self {
        let (cache, shared) = (self.target.join("understudy/cache"), shared_cache());
        let own = fs::remove_file(&cache)
            .and_then(|()| fs::create_dir(&cache))
            .and_then(|()| std::os::unix::fs::symlink(shared.join("kernel"), cache.join("kernel")));
        if let Err(e) = own {
            panic!("no cache at {}: {e}", cache.display());
        }
        self
    }

    /// Sets a variable for all verbs to come.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// No file that the harness writes can become larger than so many blocks, of 512 or 1024 bytes: a disk that is full,
    /// for those who write to it.
    #[must_use]
    pub fn with_files_of_at_most(mut self, blocks: u32) -> Self {
        // Who has memory that counts as a file, as nodes do, may lift it again.
        let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$@\"");
        self.through = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        self
    }

    /// What runs leave behind goes to a disk of so many KiB, which only the verb has, and what it starts. It takes root
    /// to mount one; whoever is not is root of a user namespace.
    #[must_use]
    pub fn with_a_disk_of(mut self, kib: u32) -> Self {
        let runs = self.target.join("understudy/runs");
        if let Err(e) = fs::create_dir_all(&runs) {
            panic!("cannot create {}: {e}", runs.display());
        }
        let mount = format!("mount -t tmpfs -o size={kib}k none {} && exec \"$@\"", runs.display());
        let own = if nix::unistd::geteuid().is_root() { "--mount" } else { "--map-root-user" };
        self.through =
            ["unshare", own, "--mount", "sh", "-c", &mount, "sh"].map(str::to_owned).to_vec();
        self
    }

    /// The target directory.
    #[must_use]
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Writes a file; returns its path.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.target.join(name);
        if let Err(e) = fs::write(&path, content) {
            panic!("cannot write {}: {e}", path.display());
        }
        path.display().to_string()
    }

    /// Writes a topology; returns its path.
    #[must_use]
    pub fn topology(&self, cluster: &Cluster) -> String {
        self.file(&format!("{}.yaml", cluster.name), cluster.yaml())
    }

    /// Starts a verb.
    #[must_use]
    pub fn start(&self, words: &[&str]) -> Child {
        let output = match tempfile::NamedTempFile::with_prefix_in("said-", &self.target) {
            Ok(file) => file.keep(),
            Err(e) => panic!("cannot write into {}: {e}", self.target.display()),
        };
        let Ok((file, output)) = output else { panic!("a temporary file cannot be kept") };
        let errors = file.try_clone().map_or_else(|_| Stdio::inherit(), Stdio::from);
        let mut command = match self.through.as_slice() {
            [] => Command::new(understudy()),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(understudy());
                command
            }
        };
        command
            .arg("--target-dir")
            .arg(&self.target)
            .args(words)
            .env_remove("KERNEL")
            .env_remove("KERNEL_MODULES")
            .env_remove("RUST_BACKTRACE")
            .env("UNDERSTUDY_NODE", node_program())
            .env("UNDERSTUDY_NODE_AARCH64", aarch64_program())
            .env("UNDERSTUDY_BAREMETAL", bare_metal_program())
            .env(MARK, &self.target)
            .envs(self.environment.iter().map(|(k, v)| (k, v)))
            .stdin(Stdio::null())
            .stdout(Stdio::from(file))
            .stderr(errors);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => panic!("cannot start understudy: {e}"),
        };
        let pid = child.id();
        let (ended, end) = channel();
        // Nobody listens any more only when the test is over.
        thread::spawn(move || child.wait().map(|status| ended.send(status)));
        Child { pid, words: words.join(" "), output, end }
    }

    /// A verb, from start to end.
    pub fn verb(&self, words: &[&str]) -> Said {
        self.start(words).end()
    }

    /// A verb with this bench's backend, on a topology.
    pub fn on(&self, verb: &str, cluster: &Cluster) -> Said {
        self.on_file(verb, &self.topology(cluster))
    }

    /// A verb with this bench's backend, on a file.
    pub fn on_file(&self, verb: &str, file: &str) -> Said {
        self.verb(&[verb, "--backend", self.backend.name(), file])
    }

    /// Starts a verb with this bench's backend, on a topology.
    #[must_use]
    pub fn start_on(&self, verb: &str, cluster: &Cluster) -> Child {
        self.start(&[verb, "--backend", self.backend.name(), &self.topology(cluster)])
    }

    /// Up, run, judge, down.
    #[must_use]
    pub fn test(&self, cluster: &Cluster) -> Outcome {
        self.test_file(&self.topology(cluster))
    }

    /// Up, run, judge, down, with a file.
    #[must_use]
    pub fn test_file(&self, file: &str) -> Outcome {
        let start = Instant::now();
        let outcome = Outcome::read(self.on_file("test", file));
        let verdict = if outcome.result["pass"] == true { "PASS" } else { "FAIL" };
        let name = outcome.dir.file_name().unwrap_or_default().display();
        let seconds = start.elapsed().as_secs_f64();
        println!("  {name} on {}: {verdict} after {seconds:.1} s", self.backend.name());
        outcome
    }

    /// Waits until `found` makes something of what the first cluster of this name has told so far, line by
    /// line; a file has no event for that.
    #[track_caller]
    pub fn await_events<T>(&self, name: &str, found: impl Fn(&[Value]) -> Option<T>) -> T {
        let file = self.target.join(format!("understudy/runs/{name}-1/events.jsonl"));
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            // The last line may be half written.
            let events: Vec<Value> =
                text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            if let Some(found) = found(&events) {
                return found;
            }
            assert!(start.elapsed() < PATIENCE, "it never came: {}\n{text}", file.display());
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// The process of a node of the first cluster of this name.
    #[track_caller]
    #[must_use]
    pub fn node(&self, name: &str, node: &str) -> u32 {
        self.await_events(name, |events| {
            let of_node = events.iter().filter(|e| e["node"] == node);
            let mut told = of_node.filter_map(|e| e["harness"].as_str());
            told.find_map(|text| text.strip_prefix("started as process ")?.parse().ok())
        })
    }

    /// Processes of this bench that still run, with their command lines.
    #[must_use]
    pub fn running(&self) -> Vec<(u32, String)> {
        let mark = format!("{MARK}={}", self.target.display());
        let mut running = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
            // Empty as soon as the process begins to end; see `nothing_runs`.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            if environment.split(|b| *b == 0).any(|v| v == mark.as_bytes()) {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                running.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(running.iter().map(|(pid, _)| pid));
        running
    }

    /// Has every process ended that was ever seen? One that has only begun to end may still hold
    /// its sockets and locks. A zombie holds nothing, only its parent has not looked.
    fn all_ended(&self) -> bool {
        let ended = |pid: &u32| match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) if stat.contains(") Z ") || stat.contains(") X ") => {
                // The first thread is a zombie while others are still at it.
                fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count) <= 1
            }
            Ok(_) => false,
            Err(_) => true,
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).iter().all(ended)
    }

    /// The process of the daemon.
    #[track_caller]
    #[must_use]
    pub fn daemon(&self) -> u32 {
        match self.running().into_iter().find(|(_, line)| line.contains(" daemon ")) {
            Some((pid, _)) => pid,
            None => panic!("no daemon runs"),
        }
    }

    /// Waits until nothing of this bench runs any more; there is no event for that.
    #[track_caller]
    pub fn nothing_runs(&self) {
        let start = Instant::now();
        loop {
            let running = self.running();
            if running.is_empty() && self.all_ended() {
                return;
            }
            assert!(start.elapsed() < GONE, "still running: {running:#?}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal to a process of this bench.
    #[track_caller]
    pub fn signal(&self, pid: u32, signal: Signal) {
        signal_to(pid, signal);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.nothing_runs();
            return;
        }
        for (pid, _) in self.running() {
            signal_to(pid, Signal::SIGKILL);
        }
        if let Some(dir) = self.dir.take() {
            println!("what this test left is kept in {}", dir.keep().display());
        }
    }
}

/// It may have ended by itself meanwhile.
fn signal_to(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

impl Child {
    /// Waits for its end.
    #[track_caller]
    #[must_use]
    pub fn end(self) -> Said {
        let Ok(status) = self.end.recv_timeout(PATIENCE) else {
            signal_to(self.pid, Signal::SIGKILL);
            panic!("hangs: understudy {}\n{}", self.words, self.text());
        };
        let exit = status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(-1);
        Said { exit, text: self.text(), words: self.words }
    }

    /// Waits until it has said something; a file has no event for that.
    #[track_caller]
    pub fn says(&self, words: &str) {
        let start = Instant::now();
        while !self.text().contains(words) {
            let over = start.elapsed() > PATIENCE;
            assert!(!over, "never said \"{words}\": understudy {}\n{}", self.words, self.text());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        signal_to(self.pid, signal);
    }

    fn text(&self) -> String {
        let text = File::open(&self.output).and_then(std::io::read_to_string);
        text.unwrap_or_default()
    }
}
