//! The testbed as a library: what a test of another crate does with it, and what it leaves behind.

use harness::{
    Backend, Cluster, Error, Seconds, What, checkpoint, event, in_order, line, metric, never, node,
    takeover,
};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use tests::Bench;

/// Three ranks that take long enough to be interfered with, and say what they are.
const SLOW: &str = "
name: library
seed: 11
nodes: { n0: { role: compute }, n1: { role: compute }, n2: { role: compute }, n3: { role: standby } }
runtime: { heartbeat: 100ms, shared-memory: 4MiB, heap: 8MiB, stack: 4MiB }
run: { workload: laplace, args: { size: 256, iterations: 1500, checkpoint-every: 100 } }
expect: [{ result: reference }, { epochs: 2 }]
";

/// Runs a future as `#[tokio::test]` does.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

fn process(bench: &Bench) -> harness::Builder {
    Cluster::from_yaml(SLOW).backend(Backend::Process).directory(bench.target())
}

/// A process is gone, or nothing of it is left but its number.
fn is_gone(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

async fn pids(cluster: &Cluster) -> Vec<u32> {
    let nodes = cluster.status().await.unwrap().nodes;
    nodes.iter().map(|n| n.pid.unwrap_or_else(|| panic!("{} has no process", n.name))).collect()
}

#[test]
fn a_node_is_killed_and_its_takeover_awaited() {
    let bench = Bench::process();
    wait(async {
        let cluster = process(&bench).boot().await.unwrap();
        let mut events = cluster.events();
        let pids = pids(&cluster).await;
        let run = cluster.start().await.unwrap();
        cluster.expect(checkpoint(1)).await.unwrap();
        cluster.node("n1").kill().await.unwrap();
        let seen = cluster.expect(takeover("n1").by("n3").within(20.s())).await.unwrap();
        assert!(seen.starts_with("n3 in "), "{seen}");
        cluster.expect(event("suspected").on("n0")).await.unwrap();
        cluster.expect(node("n1").is_dead()).await.unwrap();
        cluster.expect(node("n3").hosts(1)).await.unwrap();
        assert_eq!(cluster.node("n1").status().await.unwrap().state, "dead");

        let verdict = run.verdict().await.unwrap();
        assert!(verdict.pass, "{verdict}");
        assert_eq!(verdict.deaths[0].by.as_deref(), Some("n3"));
        // A run that is over still answers.
        cluster.expect(takeover("n1").by("n3")).await.unwrap();

        let logs = cluster.logs().to_owned();
        assert!(logs.starts_with(bench.target()) && logs.join("result.json").is_file());
        cluster.down().await.unwrap();
        assert!(pids.iter().all(|pid| is_gone(*pid)), "nothing is left after `down`");
        let (mut kills, mut commits) = (0, 0);
        while let Some(happening) = events.next().await {
            match happening.what {
                What::Befell(words) if words == "killed" && happening.node == "n1" => kills += 1,
                What::Said { kind, number: Some(1), .. } if kind == "checkpoint-committed" => {
                    commits += 1;
                }
                _ => {}
            }
        }
        assert_eq!((kills, commits), (1, 3), "events end with their cluster");
    });
}

#[test]
fn orders_measures_and_what_never_shows_are_awaited_as_a_file_expects_them() {
    let bench = Bench::process();
    wait(async {
        let cluster = process(&bench).boot().await.unwrap();
        let run = cluster.start().await.unwrap();
        let seen = cluster.expect(metric("checkpoints").at_least(2)).await.unwrap();
        assert_eq!(seen, "2");
        assert_eq!(cluster.status().await.unwrap().phase, "running");
        cluster.node("n1").kill().await.unwrap();
        let story = || [event("suspected").within(20.s()), event("recovering"), event("resumed")];
        cluster.expect(in_order(story())).await.unwrap();
        let early = cluster.expect(never(event("suspected"))).await.unwrap_err();
        let Error::Unmet { expected, seen, .. } = &early else { panic!("{early:?}") };
        assert!(expected == "never suspected" && seen.starts_with("on n"), "{early}");
        assert_eq!(cluster.status().await.unwrap().phase, "running", "it was known at once");
        let many = cluster.expect(metric("checkpoints").at_most(1)).await.unwrap_err();
        assert!(many.to_string().contains("checkpoints at most 1"), "{many}");
        let wrong = cluster.expect(metric("checkpoints").at_most(1.s())).await.unwrap_err();
        assert!(matches!(&wrong, Error::Usage(text) if text.contains("1s")), "{wrong}");

        // All of these are known when it is over.
        cluster.expect(never(line("panicked"))).await.unwrap();
        let took = metric("recovery-time").at_least(1.ms()).at_most(60.s());
        assert!(cluster.expect(took).await.unwrap().contains("(n1)"));
        cluster.expect(metric("sent-ratio").at_most("130%")).await.unwrap();
        let [a, b, c] = story();
        let back = cluster.expect(in_order([c, b, a])).await.unwrap_err();
        assert!(back.to_string().contains("then nothing like the "), "{back}");
        assert!(run.verdict().await.unwrap().pass);
        cluster.down().await.unwrap();
    });
}

#[test]
fn what_is_not_so_is_told_with_what_was_seen() {
    let bench = Bench::process();
    wait(async {
        let cluster = process(&bench).boot().await.unwrap();
        let nothing = cluster.expect(checkpoint(1)).await.unwrap_err();
        assert!(nothing.to_string().contains("nothing has run yet"), "{nothing}");
        let run = cluster.start().await.unwrap();
        cluster.expect(checkpoint(1)).await.unwrap();
        cluster.node("n1").kill().await.unwrap();
        let other = cluster.expect(takeover("n1").by("n2")).await.unwrap_err();
        let Error::Unmet { expected, seen, .. } = &other else { panic!("{other:?}") };
        assert_eq!(expected, "n2 takes over from n1");
        assert!(seen.starts_with("n3 in "), "{seen}");
        // It cannot come in a microsecond, and that is known before the run is over.
        let late = event("job-done").within(std::time::Duration::from_micros(1));
        let late = cluster.expect(late).await.unwrap_err().to_string();
        assert!(late.contains("job-done within 1µs; seen: not once (at most"), "{late}");
        assert_eq!(cluster.status().await.unwrap().phase, "running");

        let usage = [
            cluster.node("n9").kill().await.unwrap_err(),
            cluster.expect(takeover("n9")).await.unwrap_err(),
            cluster.expect(event("suspectd")).await.unwrap_err(),
            cluster.node("n9").status().await.unwrap_err(),
            cluster.link("n1").cut().await.unwrap_err(),
            cluster.start().await.err().unwrap(),
        ];
        let words = [
            "no node n9: there are n0",
            "no node n9: there are n0",
            "no event is called suspectd: there are",
            "no node n9: there are n0",
            "passes no switch",
            "job 1 is still running",
        ];
        for (error, words) in usage.iter().zip(words) {
            assert!(matches!(error, Error::Usage(text) if text.contains(words)), "{error:?}");
        }
        assert!(run.verdict().await.unwrap().pass);
        cluster.down().await.unwrap();
    });
}

#[test]
fn a_wrong_file_is_told_with_all_that_is_wrong() {
    let _bench = Bench::process();
    let broken = "name: x\nnodes: { n0: { role: cook } }\nfaults: 7\n";
    let error = wait(Cluster::from_yaml(broken).backend(Backend::Process).boot()).unwrap_err();
    let Error::Usage(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("cook") && text.contains("faults"), "{text}");
    let error = wait(Cluster::from_file("nowhere.yaml").boot()).unwrap_err();
    assert!(matches!(&error, Error::Usage(text) if text.contains("no such file")), "{error:?}");
}

#[test]
fn links_of_processes_are_cut_and_healed() {
    let bench = Bench::process();
    let ethernet = SLOW.replace("runtime: {", "runtime: { transport: ethernet,");
    wait(async {
        let builder = Cluster::from_yaml(ethernet).backend(Backend::Process);
        let cluster = builder.directory(bench.target()).boot().await.unwrap();
        let run = cluster.start().await.unwrap();
        cluster.expect(checkpoint(1)).await.unwrap();
        cluster.link("n3").degrade(&["delay=2ms"]).await.unwrap();
        let ports = cluster.status().await.unwrap().ports;
        let n3 = ports.iter().find(|port| port.node == "n3").unwrap();
        assert!(n3.open && n3.in_frames > 0 && n3.link.contains("delay 2ms"), "{n3:?}");
        cluster.heal().await.unwrap();
        cluster.link("n1-sw0").cut().await.unwrap();
        cluster.expect(takeover("n1").by("n3")).await.unwrap();
        cluster.link("n1-sw0").heal().await.unwrap();
        cluster.expect(node("n1").is_standby()).await.unwrap();
        assert!(run.verdict().await.unwrap().pass);
    });
}

#[test]
fn two_clusters_are_up_at_once_in_one_test() {
    let bench = Bench::process();
    wait(async {
        let (one, two) = tokio::join!(process(&bench).boot(), process(&bench).boot());
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_ne!(one.name(), two.name());
        let (a, b) = tokio::join!(one.run(), two.run());
        assert!(a.unwrap().pass && b.unwrap().pass);
        let again = process(&bench).name(one.name()).boot().await.unwrap_err();
        assert!(again.to_string().contains("is up already"), "{again}");
    });
}

#[test]
fn a_simulated_cluster_takes_over_in_virtual_time() {
    let bench = Bench::sim();
    let text = format!("{SLOW}faults: [{{ at: {{ checkpoint: 2 }}, kill: n1 }}]\n");
    wait(async {
        let builder = Cluster::from_yaml(text).backend(Backend::Sim).seed(3);
        let cluster = builder.directory(bench.target()).boot().await.unwrap();
        let run = cluster.start().await.unwrap();
        cluster.expect(takeover("n1").by("n3").within(2.s())).await.unwrap();
        assert!(run.verdict().await.unwrap().pass);
        let late = cluster.expect(takeover("n1").within(0.ms())).await.unwrap_err();
        assert!(matches!(&late, Error::Unmet { seen, .. } if seen.starts_with("n3 in")), "{late}");
        let refused = cluster.node("n1").kill().await.unwrap_err().to_string();
        assert!(refused.contains("as a fault in the topology"), "{refused}");
        cluster.down().await.unwrap();
    });
}

#[test]
fn a_test_that_panics_leaves_nothing() {
    let bench = Bench::process();
    let found = std::sync::Mutex::new(Vec::new());
    let panicked = std::panic::catch_unwind(|| {
        wait(async {
            let cluster = process(&bench).boot().await.unwrap();
            let _run = cluster.start().await.unwrap();
            *found.lock().unwrap() = pids(&cluster).await;
            panic!("as a test does that fails");
        })
    });
    assert!(panicked.is_err());
    let pids = found.into_inner().unwrap();
    assert_eq!(pids.len(), 4);
    assert!(pids.iter().all(|pid| is_gone(*pid)), "nothing is left when the cluster was dropped");
}

/// Set in a test's process that is the child of another test: what it is to do.
const CHILD: &str = "UNDERSTUDY_LIBRARY_CHILD";

/// This test's own process again, for one of the tests below.
fn child(test: &str, target: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, target).stdout(Stdio::piped());
    command
}

#[test]
fn a_test_process_that_is_killed_leaves_nothing() {
    if let Some(target) = std::env::var_os(CHILD) {
        wait(async {
            let builder = Cluster::from_yaml(SLOW).backend(Backend::Process);
            let cluster = builder.directory(target).boot().await.unwrap();
            println!("\npids {:?}", pids(&cluster).await);
            std::future::pending::<()>().await;
        });
    }
    let bench = Bench::process();
    let name = "library::a_test_process_that_is_killed_leaves_nothing";
    let mut child = child(name, bench.target()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let found = lines.find(|line| line.starts_with("pids ")).unwrap();
    let numbers = found.split(|c: char| !c.is_ascii_digit()).filter(|word| !word.is_empty());
    let pids: Vec<u32> = numbers.map(|number| number.parse().unwrap()).collect();
    assert_eq!(pids.len(), 4);
    child.kill().unwrap();
    child.wait().unwrap();
    // The kernel ends them when their starter's thread is gone; there is no event for that here.
    while !pids.iter().all(|pid| is_gone(*pid)) {
        std::thread::yield_now();
    }
}

#[test]
fn a_missing_node_program_is_told_with_the_remedy() {
    if let Some(target) = std::env::var_os(CHILD) {
        let builder = Cluster::from_yaml(SLOW).backend(Backend::Process);
        let error = wait(builder.directory(target).boot()).unwrap_err();
        println!("\n{error}");
        return;
    }
    let bench = Bench::process();
    let mut child =
        child("library::a_missing_node_program_is_told_with_the_remedy", bench.target());
    let output = child.env("UNDERSTUDY_NODE", "/nowhere/node").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("no node program at /nowhere/node: run `make node`"), "{text}");
}

#[test]
fn a_guest_is_killed_and_its_takeover_awaited() {
    let bench = Bench::qemu();
    wait(async {
        let cluster = Cluster::from_yaml(SLOW).directory(bench.target()).boot().await.unwrap();
        let pids = pids(&cluster).await;
        let run = cluster.start().await.unwrap();
        cluster.expect(checkpoint(1)).await.unwrap();
        let guest = cluster.node("n1");
        assert!(guest.console().unwrap().iter().any(|line| line.contains("node n1 listens")));
        guest.kill().await.unwrap();
        cluster.expect(takeover("n1").by("n3").within(10.s())).await.unwrap();
        guest.reboot().await.unwrap();
        cluster.expect(line("node n1 listens").on("n1")).await.unwrap();
        cluster.expect(node("n1").is_standby()).await.unwrap();
        let verdict = run.verdict().await.unwrap();
        assert!(verdict.pass, "{verdict}");
        drop(cluster);
        assert!(pids.iter().all(|pid| is_gone(*pid)), "nothing is left when it was dropped");
    });
}
