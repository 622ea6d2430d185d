//! Faults that only a machine of its own can have, all on one cluster of guests.

use serde_json::Value;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use tests::Bench;

/// Panics of a kernel and of a bare-metal image; a processor that is taken away, at random times; memory that is
/// filled; a link that is bad again and again; and a copy that goes bad right before it is needed.
const ABUSE: &str = "
name: abuse
seed: 11
nodes:
  n0: { role: compute }
  n1: { role: compute }
  n2: { role: compute, image: bare-metal }
  n3: { role: standby }
  n4: { role: standby, image: bare-metal }
runtime: { heartbeat: 100ms, shared-memory: 4MiB, heap: 8MiB, stack: 4MiB, checkpoint: { replicas: 2 } }
run: { workload: laplace, args: { size: 192, iterations: 180, checkpoint-every: 30 } }
faults:
  - { at: { random: [10ms, 200ms] }, slow: { node: n0, to: 20% }, for: 150ms, times: 2 }
  - { at: { checkpoint: 1, on: n0 }, fill: { node: n0, leave: 24MiB } }
  - { at: { checkpoint: 1, on: n0 }, degrade: { link: n1, loss: 5% }, for: 50ms, every: 100ms, times: 3 }
  - { at: { checkpoint: 2, on: n1 }, corrupt: { node: n0, rank: 1 } }
  - { at: { event: corrupted, on: n0 }, crash: n1 }
  - { at: { checkpoint: 4, on: n0 }, crash: n2 }
expect:
  - { result: reference }
  - { takeover: { of: n1, by: n3 } }
  - { takeover: { of: n2, by: n4 } }
  - { seen: { event: copy-damaged, on: n0 } }
  - { state: { n0: rank 0, n1: exited 0, n2: exited 35, n3: rank 1, n4: rank 2 } }
  - order:
      - { line: sysrq triggered crash, on: n1 }
      - { event: suspected }
      - { event: resumed }
      - { line: told to crash, on: n2 }
      - { event: suspected }
      - { event: resumed }
  - { seen: { line: 'the memory is filled: 2', on: n0 } }
  - { never: { line: panic, on: n0 } }
  - { metric: { checkpoints: { at-least: 6 }, recovery-time: { at-most: 10s } } }
";

/// Far longer than the run takes: who never stands still is not slowed.
const PATIENCE: Duration = Duration::from_secs(120);

fn stands_still(pid: u64) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") T ")
}

#[test]
fn guests_that_crash_are_slow_or_full_lose_nothing() {
    let bench = Bench::qemu();
    bench.on_file("up", &bench.file("abuse.yaml", ABUSE)).must(0, &["n4", "ready"]);
    let status: Value = serde_json::from_str(&bench.verb(&["status", "--json"]).text).unwrap();
    let pid = |node: usize| status["nodes"][node]["pid"].as_u64().unwrap();
    let run = bench.start(&["run"]);
    run.says("n0 is slowed to 20%");
    // It runs for a fifth of the time, so it is soon met while it does not.
    let began = Instant::now();
    while !stands_still(pid(0)) {
        assert!(began.elapsed() < PATIENCE, "it never stands still");
        thread::sleep(Duration::from_micros(500));
    }
    run.end().must(0, &["it happened 2 times", "it happened 3 times", "verdict: PASS"]);
    assert!(!stands_still(pid(0)));
    bench.verb(&["down"]).must(0, &["is down"]);
}
