//! What checkpoints cost on the network: little more than the pages that changed, once for each copy.

use serde_json::Value;
use std::collections::BTreeMap;
use tests::{Bench, Cluster, Outcome};

const PAGE: u64 = 4096;
/// Percent that headers, counts and checksums may add.
const MORE: u64 = 5;

/// Sums over all ranks: changed pages, pages that a partner had already, bytes of pages sent, bytes sent.
#[derive(Default)]
struct Sums {
    ranks: usize,
    changed: u64,
    spared: u64,
    pages: u64,
    sent: u64,
}

/// From what the nodes said, by epoch.
fn sums(events: &[Value]) -> BTreeMap<u64, Sums> {
    let mut epochs: BTreeMap<u64, Sums> = BTreeMap::new();
    for event in events.iter().map(|e| &e["message"]["event"]) {
        if event["kind"] != "checkpoint-staged" {
            continue;
        }
        let number = |key: &str| event[key].as_u64().unwrap_or_else(|| panic!("{key}: {event}"));
        let sums = epochs.entry(number("epoch")).or_default();
        let changed = number("shared_pages") + number("private_pages");
        assert_eq!(number("dirty_bytes"), changed * PAGE, "{event}");
        sums.ranks += 1;
        sums.changed += changed;
        sums.spared += number("spared_pages");
        sums.pages += number("page_bytes");
        sums.sent += number("sent_bytes");
    }
    epochs
}

/// What each node kept for recoveries, it says itself; it is no more than the validator says, and on a node with a rank no
/// less than an epoch of that. A spare need not say that it kept nothing.
fn what_is_kept_fits(outcome: &Outcome) {
    for node in outcome.result["nodes"].as_array().unwrap() {
        let least = if node["role"] == "compute" { PAGE } else { 0 };
        let (kept, limit) = (node["kept_bytes"].as_u64(), node["kept_limit"].as_u64().unwrap());
        assert!((least..=limit).contains(&kept.unwrap_or_default()), "{node}");
    }
}

/// What a run with this workload sends: little more than `replicas` times the pages that changed, at each epoch.
fn only_changed_pages_leave(bench: &Bench, replicas: u64, workload: &str) {
    let cluster = Cluster::of(3, 1)
        .replicas(usize::try_from(replicas).unwrap())
        .runs(workload)
        .expects_the_right_result();
    let outcome = bench.test(&cluster);
    outcome.must_pass();
    what_is_kept_fits(&outcome);
    let epochs = sums(&outcome.events);
    assert!(epochs.len() >= 5, "{}", outcome.said);
    for (epoch, Sums { ranks, changed, spared, pages, sent }) in epochs {
        assert_eq!(ranks, 3, "epoch {epoch}");
        let bound = changed * replicas * PAGE;
        assert!(changed > 0 && pages > 0, "epoch {epoch}: nothing was sent");
        assert!(pages <= bound - spared * PAGE, "epoch {epoch}: {pages} bytes of {changed} pages");
        let (protocol, most) = (sent - pages, bound * MORE / 100);
        assert!(protocol <= most, "epoch {epoch}: {protocol} bytes of protocol, at most {most}");
    }
}

const LAPLACE: &str =
    "{ workload: laplace, args: { size: 256, iterations: 60, checkpoint-every: 10 } }";
/// Few private pages change between its checkpoints.
const RECURSION: &str =
    "{ workload: recursion, args: { depth: 100, items: 64, checkpoint-every: 10 } }";

#[test]
fn only_changed_pages_leave_a_process() {
    let bench = Bench::process();
    [1, 2].into_iter().for_each(|replicas| only_changed_pages_leave(&bench, replicas, LAPLACE));
    only_changed_pages_leave(&bench, 1, RECURSION);
}

#[test]
fn only_changed_pages_leave_a_simulated_node() {
    let bench = Bench::sim();
    [1, 2, 3].into_iter().for_each(|replicas| only_changed_pages_leave(&bench, replicas, LAPLACE));
}
