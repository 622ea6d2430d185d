//! Guests: boot, death, takeover, and guests that never become nodes.

use nix::sys::signal::Signal;
use tests::{Bench, Cluster, RECURSION, workspace};

fn example(bench: &Bench, name: &str) {
    let file = workspace().join("topology/examples").join(name);
    bench.test_file(&file.display().to_string()).must_pass();
}

#[test]
fn a_guest_dies_between_two_checkpoints() {
    example(&Bench::qemu(), "failover.yaml");
}

#[test]
fn a_guest_dies_in_the_middle_of_a_checkpoint() {
    example(&Bench::qemu(), "deep.yaml");
}

#[test]
fn two_guests_die_one_after_the_other() {
    example(&Bench::qemu(), "five-two.yaml");
}

#[test]
fn nodes_over_tcp_of_which_none_sees_a_majority_go_on_when_the_cut_is_healed() {
    example(&Bench::qemu(), "even-split.yaml");
}

#[test]
fn two_switches_whose_cable_is_pulled_leave_two_halves_that_go_on_when_it_is_back() {
    let bench = Bench::qemu();
    let example = workspace().join("topology/examples/two-cabinets.yaml");
    let text = std::fs::read_to_string(example).unwrap();
    let fixed = "role: compute, mac: \"52:54:00:0c:ab:01\", address: 10.83.7.21 }";
    let text = text
        .replace("n1: { board: left, role: compute }", &format!("n1: {{ board: left, {fixed}"))
        .replace("role: standby }", "role: standby, console: none }")
        .replace("iterations: 600, checkpoint-every: 100", "iterations: 300, checkpoint-every: 50");
    let outcome = bench.test_file(&bench.file("two-cabinets.yaml", text));
    outcome.must_pass();
    let dir = &outcome.dir;
    // Addresses that the file fixes, and a console that it does not want.
    let console =
        |node: &str| std::fs::read_to_string(dir.join(format!("console-{node}.log"))).unwrap();
    assert!(console("n1").contains("n1 listens at 10.83.7.21:"), "{}", console("n1"));
    assert!(console("n2").contains("n2 listens at 10.83.7."), "{}", console("n2"));
    assert!(console("n3").starts_with("(not kept") && console("n3").lines().count() == 1);
}

#[test]
fn the_standby_guest_dies_and_nobody_minds() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(2, 1)
        .kill("n2", "{ checkpoint: 2, on: n0 }")
        .expects_the_right_result()
        .expects("no-takeover: true");
    bench.test(&cluster).must_pass();
}

#[test]
fn the_coordinator_guest_dies_with_its_checkpoint_half_done() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(2, 1)
        .runs(RECURSION)
        .with("binding: sockets")
        .kill_held("n0", "{ checkpoint: 2, phase: replicated }")
        .expects_the_right_result()
        .expects("takeover: { of: n0, by: n2 }");
    bench.test(&cluster).must_pass();
}

#[test]
fn a_cluster_of_guests_stays_up_and_can_be_watched() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(2, 1).expects_the_right_result();
    bench.on("up", &cluster).must(0, &["n2", "ready"]);
    bench.verb(&["console", "n7"]).must(2, &["no node n7"]);
    let console = bench.start(&["console", "n0"]);
    console.says("node n0 listens at");
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["kill", "n1"]).must(0, &["n1 is killed"]);
    bench.verb(&["status"]).must(0, &["dead", "down", "frames"]);
    bench.verb(&["run"]).must(0, &["verdict: PASS"]);
    bench.verb(&["down"]).must(0, &["is down"]);
    console.end().must(0, &[]);
}

#[test]
fn a_daemon_that_is_killed_hard_takes_every_guest_along() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(2, 1);
    bench.on("up", &cluster).must(0, &[]);
    let machines = || bench.running().iter().filter(|(_, l)| l.contains("qemu-system")).count();
    assert_eq!(machines(), 3);
    bench.signal(bench.daemon(), Signal::SIGKILL);
    bench.nothing_runs();
    bench.verb(&["status"]).must(2, &["no cluster is up"]);
}

#[test]
fn ctrl_c_while_guests_boot_leaves_nothing() {
    let bench = Bench::qemu();
    let cluster = Cluster::of(2, 1);
    for moment in ["image is built", "started", "n0 runs"] {
        let up = bench.start_on("up", &cluster);
        up.says(moment);
        up.signal(Signal::SIGINT);
        up.end().must(130, &[]);
        bench.nothing_runs();
    }
}

#[test]
fn a_kernel_that_is_none_is_named() {
    let bench = Bench::qemu();
    let text = bench.file("kernel.txt", "this is no kernel\n".repeat(1_000));
    let bench = bench.with("KERNEL", &text);
    bench.on("up", &Cluster::of(2, 1)).must(3, &["kernel.txt", "kernel"]);
}

#[test]
fn a_node_program_that_is_none_is_no_image() {
    let bench = Bench::qemu().with("UNDERSTUDY_NODE", "/bin/ls");
    bench.on("up", &Cluster::of(2, 1)).must(3, &["/bin/ls", "static"]);
}

#[test]
fn a_guest_whose_program_has_no_room_says_what_to_raise() {
    let bench = Bench::qemu();
    let wide = "{ workload: laplace, args: { size: 256, iterations: 2 } }";
    let cluster = Cluster::of(2, 1).runs(wide).with("heap: 256KiB");
    bench.on("test", &cluster).must(3, &["node n0", "heap is full", "runtime.heap"]);
}

#[test]
fn a_guest_too_small_for_its_program_and_its_copies_is_refused_before_it_boots() {
    let bench = Bench::qemu();
    let yaml = Cluster::of(2, 1).with("shared-memory: 128MiB").yaml();
    let file = bench.file("small.yaml", format!("{yaml}defaults: {{ memory: 96MiB }}\n"));
    bench.on_file("test", &file).must(2, &["node \"n0\" has 96MiB", "for epochs", "memory: "]);
}

#[test]
fn a_disk_that_fills_up_under_guests_ends_their_recording_and_then_their_run_with_plain_words() {
    let bench = Bench::qemu().with_a_disk_of(4096);
    let long =
        "{ workload: laplace, args: { size: 192, iterations: 1000000, checkpoint-every: 50 } }";
    let cluster = Cluster::of(2, 1).named("full").with("transport: ethernet").runs(long);
    let test = bench.start_on("test", &cluster);
    test.says("epoch 1 is committed");
    bench.verb(&["pcap", "on"]).must(0, &["recording to"]);
    let stopped = ["pcapng stopped, the file ends early", "events.jsonl", "make room for it"];
    test.end().must(3, &stopped);
    bench.nothing_runs();
}
