//! What a file means: names resolved, gaps filled, units taken off.

use runtime_core::id::NodeId;
use runtime_core::node::{Binding, Quorum, Role};
use std::net::Ipv4Addr;
use std::time::Duration;
use topology::{Action, Expectation, LinkProfile, Phase, Topology, Trigger};

fn read(text: &str) -> Topology {
    topology::parse("test.yaml", text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_small_file_gets_everything_it_leaves_out() {
    let t = read("name: small\nnodes: { z: { role: compute }, a: { role: standby } }\n");
    assert_eq!((t.seed, t.ranks(), t.switches.as_slice()), (0, 1, &["sw0".to_string()][..]));
    let names: Vec<&str> = t.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["z", "a"], "the order of the file");
    assert_eq!(t.nodes[1].id, NodeId(1));
    assert_eq!(t.nodes[1].role, Role::Standby);
    assert_eq!(t.nodes[1].address, Ipv4Addr::new(10, 83, 0, 2));
    assert_eq!(t.nodes[1].mac, [0x52, 0x54, 0, 0, 0, 2]);
    assert_ne!(t.nodes[0].board, t.nodes[1].board, "each on a board of its own");
    assert_eq!(t.nodes[0].memory_bytes, 96 << 20);
    assert_eq!(t.links.len(), 2);
    assert_eq!(t.links[1].up, LinkProfile::default());
    assert_eq!(t.runtime.heartbeat, Duration::from_millis(100));
    assert_eq!((t.runtime.suspect_after, t.runtime.replicas), (10, 1));
    assert_eq!((t.runtime.binding, t.runtime.quorum), (Binding::Mcapi, Quorum::Majority));
    assert_eq!((t.runtime.shared_bytes, t.runtime.checkpoint_every), (64 << 20, 0));
    assert!(t.run.is_none() && t.faults.is_empty() && t.expectations.is_empty());
}

#[test]
fn directions_of_a_link_follow_the_order_of_its_ends() {
    let t = read(
        "name: links
nodes: { n0: { role: compute }, n1: { role: compute } }
switches: { sw0: {} }
links:
  - { between: [sw0, n1], delay: { a-to-b: 2ms, b-to-a: 1ms }, loss: 0.5%, mtu: 9000 }
  - { between: [n0, sw0], rate: { a-to-b: 10Mbit }, jitter: 5us }
",
    );
    assert_eq!((t.links[0].node, t.links[1].node), (0, 1), "in the order of the nodes");
    let (up, down) = (t.links[1].up, t.links[1].down);
    assert_eq!((up.delay_ns, down.delay_ns), (1_000_000, 2_000_000));
    assert_eq!((up.loss, down.loss, up.mtu, down.mtu), (0.005, 0.005, 9000, 9000));
    let (up, down) = (t.links[0].up, t.links[0].down);
    assert_eq!((up.rate_bits_per_s, down.rate_bits_per_s), (Some(10_000_000), None));
    assert_eq!((up.jitter_ns, down.jitter_ns), (5_000, 5_000));
}

#[test]
fn made_up_addresses_keep_clear_of_given_ones() {
    let t = read(
        "name: addresses
nodes:
  n0: { role: compute }
  n1: { role: compute, address: 192.168.7.1, mac: 52:54:00:00:00:01 }
  n2: { role: compute, address: 192.168.7.40 }
",
    );
    let last: Vec<u8> = t.nodes.iter().map(|n| n.address.octets()[3]).collect();
    assert_eq!(last, [2, 1, 40]);
    let macs: Vec<u8> = t.nodes.iter().map(|n| n.mac[5]).collect();
    assert_eq!(macs, [2, 1, 3]);
    assert_eq!((t.subnet.network, t.subnet.prefix), (Ipv4Addr::new(192, 168, 7, 0), 24));
}

#[test]
fn triggers_watch_the_node_that_dies_unless_told_otherwise() {
    let t = read(
        "name: faults
nodes: { n0: { role: compute }, n1: { role: compute }, n2: { role: standby }, n3: { role: standby }, n4: { role: standby } }
run: { workload: laplace, args: { size: 512, eps: 1.50 } }
faults:
  - { at: { checkpoint: 3, phase: staged }, kill: n1, hold: true }
  - { at: { event: recovering, nth: 2, on: n0 }, kill: n2 }
  - { at: 2s, kill: n3 }
  - { at: start, kill: n4 }
expect:
  - { epochs: 3 }
",
    );
    let run = t.run.as_ref().unwrap();
    assert_eq!(run.args["eps"], "1.50", "as written");
    let (n0, n1) = (NodeId(0), NodeId(1));
    let staged = Trigger::Checkpoint { epoch: 3, phase: Phase::Staged, on: n1 };
    assert_eq!((&t.faults[0].trigger, t.faults[0].hold, t.faults[0].line), (&staged, true, 5));
    assert_eq!(t.faults[0].action, Action::Kill(n1));
    let event = Trigger::Event { kind: "recovering".into(), nth: 2, on: n0 };
    assert_eq!(t.faults[1].trigger, event);
    assert_eq!(t.faults[2].trigger, Trigger::After(Duration::from_secs(2)));
    assert_eq!(t.faults[3].trigger, Trigger::Start);
    assert_eq!(t.expectations, [Expectation::Epochs(3)]);
}

#[test]
fn expectations_name_nodes_and_times() {
    let t = read(
        "name: expectations
nodes: { n0: { role: compute }, n1: { role: compute }, n2: { role: standby } }
run: { workload: laplace }
faults: [{ at: { checkpoint: 1 }, kill: n1 }]
expect: [{ takeover: { of: n1, by: n2, within: 1s } }, { takeover: { of: n1 } }, { result: reference }]
",
    );
    let (of, by, within) = (NodeId(1), Some(NodeId(2)), Some(Duration::from_secs(1)));
    let expected = [
        Expectation::Takeover { of, by, within },
        Expectation::Takeover { of, by: None, within: None },
        Expectation::ResultIsReference,
    ];
    assert_eq!(t.expectations, expected);
}

#[test]
fn a_profile_can_be_shared_with_an_anchor() {
    let t = read(
        "name: anchors
nodes: { n0: { role: compute }, n1: { role: compute } }
switches: { sw0: {} }
links:
  - &slow { between: [n0, sw0], delay: 5ms }
  - { <<: *slow, between: [n1, sw0] }
",
    );
    assert_eq!(t.links[1].up.delay_ns, 5_000_000);
}

#[test]
fn a_topology_describes_itself_in_a_few_lines() {
    let t = read(include_str!("../examples/failover.yaml"));
    let expected = "\
failover: 3 compute (n0, n1, n2), 1 standby (n3)
runs laplace (checkpoint-every 50, iterations 300, size 512) on MCAPI over TCP, 64MiB shared, checkpoints when the program asks
survives the death of any 1
fault: kill n1 when checkpoint 2 is committed
expects: the result of the sequential program, bit for bit
expects: n3 takes over from n1
expects: at least 5 checkpoints";
    assert_eq!(t.describe(), expected);
}

#[test]
fn what_is_survived_depends_on_standbys_copies_and_majority() {
    let tolerates = |nodes: &str, runtime: &str| {
        read(&format!("name: t\nnodes: {{ {nodes} }}\nruntime: {runtime}\n")).tolerates()
    };
    let (c, s) = (": { role: compute }, ", ": { role: standby }, ");
    let five_two = format!("a{c}b{c}c{c}d{c}e{c}f{s}g{s}");
    assert_eq!(tolerates(&five_two, "{}"), (1, 2));
    assert_eq!(tolerates(&five_two, "{ checkpoint: { replicas: 2 } }"), (2, 2));
    assert_eq!(tolerates(&five_two, "{ checkpoint: { replicas: 0 } }"), (0, 0));
    let pair = format!("a{c}b{s}");
    assert_eq!(tolerates(&pair, "{}"), (0, 0), "one of two is no majority");
    assert_eq!(tolerates(&pair, "{ quorum: fail-stop }"), (1, 1));
}
