//! The suite in C, by sections of the specification, as threads of one process and as processes; and what a C
//! compiler and a linker see of the library.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Where cargo put the libraries: beside the test's own directory.
fn library(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().unwrap();
    let found = [built.join(name), built.parent().unwrap().join(name)];
    found.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no {name}"))
}

#[track_caller]
fn good(what: &str, output: &Output) {
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(output.status.success(), "{what}: {}\n{text}", output.status);
}

const WARNINGS: [&str; 3] = ["-Wall", "-Wextra", "-Werror"];
const LIBRARIES: [&str; 4] = ["-lpthread", "-ldl", "-lm", "-lrt"];

/// Builds a program of `tests/c`, once.
fn program(name: &str) -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        symlink(library("libcapi.so"), dir.path().join("libmcapi.so.2")).unwrap();
        dir
    });
    let out = dir.path().join(name);
    let mut compile = Command::new("cc");
    compile.args(WARNINGS).args(["-std=gnu11", "-g", "-O1", "-o"]).arg(&out);
    compile.arg(here(&format!("tests/c/{name}.c"))).arg(here("tests/c/check.c"));
    compile.arg("-I").arg(here("include"));
    // Examples have the archive.
    let shared = library("libcapi.so");
    let rpath = format!("-Wl,-rpath,{}", dir.path().display());
    good("cc", &compile.arg(&shared).arg(rpath).arg("-lpthread").output().unwrap());
    out
}

/// Where the nodes of a program are.
#[derive(Clone, Copy)]
enum Place {
    /// Without configuration, in the memory of this machine.
    Here,
    /// Each on a machine of its own, over TCP; the machines are addresses of this one's.
    Tcp,
    /// Odd nodes on one machine and even ones on another, over TCP; over its memory on each.
    TwoMachines,
    /// The same over raw Ethernet, between the two ends of a cable.
    Ethernet,
    /// Odd nodes on one machine and even ones on another, over a file in place of the memory of a board that both are on.
    Board,
}

/// Makes the two ends of a cable, where nobody else is, and goes on there.
const CABLE: &str = "ip link add va address 52:54:00:00:00:01 type veth peer name vb address 52:54:00:00:00:02 \
     && ip link set lo up && ip link set va up && ip link set vb up && exec \"$@\"";

/// A command on both ends of a cable.
fn on_cable(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", CABLE, "sh"]).arg(program);
    command
}

/// Says so when there cannot be a cable here.
fn has_cable() -> bool {
    let tried = on_cable(Path::new("true")).output();
    let reason = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    println!("SKIPPED, needs the right to make network cards: {}", reason.trim());
    false
}

/// Bytes of a board's memory.
const BOARD: u64 = 16 << 20;

/// A topology that places so many nodes, where no other test listens.
fn topology(place: Place, nodes: u8) -> Option<String> {
    static PORTS: AtomicU16 = AtomicU16::new(7300);
    let port = PORTS.fetch_add(32, Ordering::Relaxed);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let board = if let Place::Board = place { "board: a, " } else { "" };
    let node = |n: u8, mcapi: &str| {
        format!(
            "  n{n}: {{ role: compute, {board}address: 127.{}.{low}.{n}, mcapi: [{mcapi}] }}\n",
            64 + high % 128
        )
    };
    let every_second = |first: u8| {
        let those: Vec<_> = (first..=nodes).step_by(2).map(|n| n.to_string()).collect();
        node(first, &those.join(", "))
    };
    let nodes: String = match place {
        Place::Here => return None,
        Place::Tcp => (1..=nodes).map(|n| node(n, &n.to_string())).collect(),
        Place::TwoMachines | Place::Ethernet | Place::Board => every_second(1) + &every_second(2),
    };
    let transport = if let Place::Ethernet = place { "ethernet" } else { "tcp" };
    let runtime = format!("{{ mcapi-port: {port}, transport: {transport} }}");
    let boards = format!("boards: {{ a: {{ shared-memory: {}MiB }} }}\n", BOARD >> 20);
    let boards = if let Place::Board = place { &boards } else { "" };
    Some(format!("name: conformance\n{boards}nodes:\n{nodes}runtime: {runtime}\n"))
}

/// Runs a program where no other test meets. Nodes that are killed are swept up by those that are not.
#[track_caller]
fn run(program: &Path, how: &str) {
    run_with(program, &[how]);
}

#[track_caller]
fn run_with(program: &Path, arguments: &[&str]) {
    run_placed(Place::Here, program, arguments);
}

#[track_caller]
fn run_in(place: Place, program: &Path, how: &str) {
    run_placed(place, program, &[how]);
}

#[track_caller]
fn run_placed(place: Place, program: &Path, arguments: &[&str]) {
    run_among(place, 9, program, arguments);
}

/// With places for so many nodes. Those that are not there are dialled again and again.
#[track_caller]
fn run_among(place: Place, nodes: u8, program: &Path, arguments: &[&str]) -> Output {
    let dir = tempfile::Builder::new().prefix("mcapi-").tempdir_in("/dev/shm").unwrap();
    let meet = dir.path().join("nodes");
    let mut command = match place {
        Place::Ethernet => on_cable(program),
        _ => Command::new(program),
    };
    command.args(arguments).env("UNDERSTUDY_SHM_DIR", &meet);
    if let Some(topology) = topology(place, nodes) {
        let file = dir.path().join("topology.yaml");
        std::fs::write(&file, topology).unwrap();
        command.env("MCAPI_TOPOLOGY", file);
    }
    if let Place::Board = place {
        let memory = dir.path().join("memory");
        std::fs::File::create(&memory).unwrap().set_len(BOARD).unwrap();
        command.env("MCAPI_BOARD", memory);
    }
    let output = command.output().unwrap();
    good(&arguments.join(" "), &output);
    // What a killed node leaves on a machine of its own, the next one that comes to any place sweeps up.
    if let Place::Here = place {
        let left: Vec<_> = std::fs::read_dir(meet).unwrap().map(|f| f.unwrap().path()).collect();
        assert!(left.is_empty(), "{arguments:?} left {left:?}");
    }
    output
}

/// As threads and as processes, over everything.
#[track_caller]
fn run_everywhere(program: &Path) {
    run(program, "threads");
    run(program, "processes");
    run_in(Place::Tcp, program, "threads");
    run_in(Place::Tcp, program, "processes");
    run_in(Place::TwoMachines, program, "processes");
    run_in(Place::Board, program, "processes");
    if has_cable() {
        run_in(Place::Ethernet, program, "processes");
    }
}

#[test]
fn nodes() {
    let program = program("nodes");
    run(&program, "threads");
    run_in(Place::Tcp, &program, "threads");
}

#[test]
fn endpoints() {
    run_everywhere(&program("endpoints"));
}

#[test]
fn messages() {
    run_everywhere(&program("messages"));
}

#[test]
fn packets() {
    run_everywhere(&program("packets"));
}

/// Packets that their receiver keeps.
#[test]
fn closes() {
    run_everywhere(&program("closes"));
}

#[test]
fn walks() {
    run_everywhere(&program("walks"));
}

#[test]
fn lending() {
    run_everywhere(&program("lending"));
}

#[test]
fn scalars() {
    run_everywhere(&program("scalars"));
}

/// As processes only: of threads, nobody could say whose an allocation was.
#[test]
fn allocations() {
    let program = program("allocations");
    run(&program, "processes");
    run_among(Place::Tcp, 2, &program, &["processes"]);
    run_among(Place::Board, 2, &program, &["processes"]);
    if has_cable() {
        run_among(Place::Ethernet, 2, &program, &["processes"]);
    }
}

#[test]
fn deaths() {
    let program = program("deaths");
    run(&program, "processes");
    run_among(Place::Tcp, 2, &program, &["processes"]);
    run_among(Place::Board, 2, &program, &["processes"]);
    if has_cable() {
        run_among(Place::Ethernet, 2, &program, &["processes"]);
    }
}

/// What shows in no status is said.
#[test]
fn a_board_s_memory_that_somebody_writes_to_is_told_of() {
    let output = run_among(Place::Board, 2, &program("damage"), &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("WARN") && said.contains("another guest writes there"), "{said}");
}

/// A place that is none is refused with a status, and with a line that says what to do.
#[test]
fn wrong_places_are_refused_in_words() {
    let refused = |topology: &str, environment: (&str, &str), status: &str, words: &[&str]| {
        let dir = tempfile::Builder::new().prefix("mcapi-").tempdir_in("/dev/shm").unwrap();
        let file = dir.path().join("topology.yaml");
        std::fs::write(&file, topology).unwrap();
        let mut command = Command::new(program("places"));
        command.env("UNDERSTUDY_SHM_DIR", dir.path().join("nodes")).env("MCAPI_TOPOLOGY", &file);
        let output = command.env(environment.0, environment.1).arg(status).output().unwrap();
        good(topology, &output);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        for word in words {
            assert!(text.contains(word), "no {word:?} in {text}");
        }
    };
    let right = topology(Place::Tcp, 9).unwrap();
    let (none, failed) = (("NOTHING", ""), "MCAPI_ERR_NODE_INITFAILED");
    let board = topology(Place::Board, 9).unwrap();
    refused(&board, none, failed, &["memory of board a", "MCAPI_BOARD", "transport: links"]);
    let small = tempfile::NamedTempFile::new().unwrap();
    let here = ("MCAPI_BOARD", small.path().to_str().unwrap());
    refused(&board, here, failed, &[here.1, "0 bytes", "need 12128256", "correct MCAPI_BOARD"]);
    refused(
        "name: bad\nnodes: { n1: { role: computer } }\n",
        none,
        failed,
        &[":2:", "did you mean"],
    );
    let missing = "/nowhere/topology.yaml";
    refused(&right, ("MCAPI_TOPOLOGY", missing), failed, &[missing, "no such file"]);
    let elsewhere = right.replace("mcapi: [1]", "mcapi: [77]");
    refused(&elsewhere, none, "MCAPI_ERR_NODE_INVALID", &["no place for node 1-1", "1-77 on n1"]);
    let words = ["no such node", "n1, n2"];
    refused(&right, ("MCAPI_MACHINE", "n77"), failed, &words);
    refused(&right, ("MCAPI_MACHINE", "n2"), failed, &["lives on n1", "initialise it there"]);
    let abroad =
        "name: abroad\nnodes: { a: { role: compute, address: 192.0.2.1 }, b: { role: compute } }\n";
    refused(abroad, none, failed, &["no address of this machine", "`address` of a"]);
    let no_card =
        format!("{}runtime: {{ transport: ethernet }}\n", abroad.replace("192.0.2", "10.9.9"));
    refused(&no_card, none, failed, &["no network card", "`mac` of a"]);
    let address =
        right.lines().find_map(|l| l.split("address: ").nth(1)?.split(',').next()).unwrap();
    let port = right.split("mcapi-port: ").nth(1).unwrap().split(',').next().unwrap();
    let _taken = std::net::TcpListener::bind(format!("{address}:{port}")).unwrap();
    refused(&right, none, failed, &["in use", "mcapi-port", &format!("{address}:{port}")]);
}

/// A few hundred; `MCAPI_TEST_KILLS=10000 cargo test -p capi kills` for more.
#[test]
fn kills() {
    let kills = std::env::var("MCAPI_TEST_KILLS").unwrap_or("300".into());
    run_with(&program("kills"), &[&kills]);
}

/// The end of a process, with calls in handlers that run when its threads' variables are gone.
#[test]
fn ends() {
    let program = program("ends");
    for how in ["atexit", "thread", "main", "nothing"] {
        run(&program, how);
    }
}

#[test]
fn misuse() {
    run(&program("misuse"), "threads");
    run(&program("misuse"), "processes");
}

/// Random calls with random arguments; `make fuzz` runs more of them, and under AddressSanitizer.
#[test]
fn fuzz() {
    let program = program("fuzz");
    for seed in ["1", "2", "3"] {
        run_with(&program, &["threads", seed, "4000"]);
        run_with(&program, &["processes", seed, "4000"]);
    }
}

#[test]
fn requests() {
    let program = program("requests");
    run(&program, "threads");
    run_in(Place::Tcp, &program, "threads");
}

/// Compiles and runs a few lines with the headers, as C and as C++.
fn compiles(text: &str) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("headers.c");
    std::fs::write(&source, text).unwrap();
    for (compiler, language) in [("cc", "c"), ("c++", "c++")] {
        let mut compile = Command::new(compiler);
        compile.args(WARNINGS).args(["-x", language, "-fsyntax-only", "-I"]).arg(here("include"));
        good(compiler, &compile.arg(&source).output().unwrap());
    }
}

#[test]
fn the_headers_say_what_the_library_does() {
    use mcapi::limits as l;
    use mcapi::{Attribute, Status};
    let mut text = String::from(
        "#include <mcapi.h>\n#ifdef __cplusplus\n#define SAME static_assert\n#else\n#define SAME _Static_assert\n#endif\n",
    );
    let mut same = |left: &str, right: String| {
        text.push_str(&format!("SAME(({left}) == ({right}), \"{left}\");\n"));
    };
    for status in Status::ALL {
        same(status.name(), status.number().to_string());
    }
    for (name, value) in [
        ("MCAPI_MAX_ENDPOINTS", l::MCAPI_MAX_ENDPOINTS),
        ("MCAPI_MAX_REQUESTS", l::MCAPI_MAX_REQUESTS),
        ("MCA_MAX_REQUESTS", l::MCAPI_MAX_REQUESTS),
        ("MCA_MAX_NODES", l::MCAPI_MAX_NODES),
        ("MCAPI_MAX_QUEUE_ELEMENTS", l::MCAPI_MAX_QUEUE_ELEMENTS),
        ("MCAPI_MAX_BUFFERS", l::MCAPI_MAX_BUFFERS),
        ("MCAPI_MAX_SMALL_BUFFERS", l::MCAPI_MAX_SMALL_BUFFERS),
        ("MCAPI_SMALL_BUFFER", l::MCAPI_SMALL_BUFFER),
        ("MCAPI_MAX_MSG_SIZE", l::MCAPI_MAX_MSG_SIZE),
        ("MCAPI_MAX_PKT_SIZE", l::MCAPI_MAX_PKT_SIZE),
        ("MCAPI_MAX_PRIORITY", l::MCAPI_MAX_PRIORITY as usize),
        ("MCAPI_NUM_RESERVED_PORTS", mcapi::Port::RESERVED as usize),
        ("sizeof(mcapi_endpoint_t)", 4),
        ("sizeof(mcapi_request_t)", 4),
        ("sizeof(mcapi_boolean_t)", 1),
        ("sizeof(mcapi_status_t)", 4),
        ("sizeof(mcapi_info_t)", 24),
        ("sizeof(mcapi_node_attributes_t)", 16),
        ("sizeof(mcapi_endp_attr_get_source_t)", 8),
    ] {
        same(name, value.to_string());
    }
    for (name, value) in [
        ("TYPE", Attribute::Type as u32),
        ("GET_COUNT", Attribute::GetCount as u32),
        ("GET_SOURCE", Attribute::GetSource as u32),
        ("MAX_PAYLOAD_SIZE", Attribute::MaxPayloadSize as u32),
        ("BUFFER_TYPE", Attribute::BufferType as u32),
        ("MEMORY_TYPE", Attribute::MemoryType as u32),
        ("NUM_PRIORITIES", Attribute::NumPriorities as u32),
        ("PRIORITY", Attribute::Priority as u32),
        ("NUM_SEND_BUFFERS", Attribute::NumSendBuffers as u32),
        ("NUM_RECV_BUFFERS", Attribute::NumRecvBuffers as u32),
        ("STATUS", Attribute::Status as u32),
        ("TIMEOUT", Attribute::Timeout as u32),
        ("FAIL_ON_MEM_LIMIT", mcapi::FAIL_ON_MEM_LIMIT),
        ("STATUS_CONNECTED", Attribute::STATUS_CONNECTED),
        ("STATUS_OPEN", Attribute::STATUS_OPEN),
        ("STATUS_OPEN_PENDING", Attribute::STATUS_OPEN_PENDING),
        ("STATUS_CLOSE_PENDING", Attribute::STATUS_CLOSE_PENDING),
        ("STATUS_PKTCHAN", Attribute::STATUS_PKTCHAN),
        ("STATUS_SCLCHAN", Attribute::STATUS_SCLCHAN),
        ("STATUS_SEND", Attribute::STATUS_SEND),
        ("STATUS_RECEIVE", Attribute::STATUS_RECEIVE),
    ] {
        same(&format!("MCAPI_ENDP_ATTR_{name}"), value.to_string());
    }
    compiles(&text);
}

/// Names of functions that the header declares.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(here("include/mcapi.h")).unwrap();
    let names = header.lines().filter(|line| line.starts_with("extern ") && line.contains('('));
    let name = |line: &str| {
        let before = line.split('(').next().unwrap();
        before.rsplit([' ', '*']).next().unwrap().to_owned()
    };
    names.map(name).collect()
}

#[test]
fn every_declared_function_is_exported_and_no_other() {
    let mut nm = Command::new("nm");
    let output = nm.args(["-D", "--defined-only"]).arg(library("libcapi.so")).output().unwrap();
    good("nm", &output);
    let text = String::from_utf8(output.stdout).unwrap();
    let exported: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.split(' ').next_back())
        .filter(|name| name.starts_with("mcapi_"))
        .map(str::to_owned)
        .collect();
    assert_eq!(exported, declared());
    assert_eq!(exported.len(), 52);
}

#[test]
fn examples_run_as_threads_and_as_processes_from_the_same_source() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["ping-pong", "pipeline", "control-loop"] {
        let out = dir.path().join(name);
        let mut compile = Command::new("cc");
        compile.args(WARNINGS).args(["-std=gnu11", "-o"]).arg(&out).arg("-I").arg(here("include"));
        compile.arg(here(&format!("examples/{name}.c")));
        good("cc", &compile.arg(library("libcapi.a")).args(LIBRARIES).output().unwrap());
        run(&out, "processes");
        run(&out, "threads");
    }
}
