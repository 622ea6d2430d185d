//! What a file means: names resolved, gaps filled, units taken off.

use netem::{Change, Distribution, DropRule, Filter, Flap, Loss, Profile, Queue, Which};
use runtime_core::checkpoint::{Parity, Redundancy};
use runtime_core::id::{NodeId, Rank};
use runtime_core::node::{Binding, Image, Policy, Quorum, Role};
use std::net::Ipv4Addr;
use std::time::Duration;
use topology::{Direction, Expectation, Link, Phase, Strike, Switch, Topology, Transport, Trigger};

fn read(text: &str) -> Topology {
    topology::parse("test.yaml", text).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_small_file_gets_everything_it_leaves_out() {
    let t = read("name: small\nnodes: { z: { role: compute }, a: { role: standby } }\n");
    let (name, ring_recovery) = ("sw0".into(), Duration::from_millis(200));
    let sw0 = Switch { name, port_notices: true, ring_recovery };
    assert_eq!((t.seed, t.ranks(), t.switches.as_slice()), (0, 1, &[sw0][..]));
    let names: Vec<&str> = t.nodes.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["z", "a"], "the order of the file");
    assert_eq!(t.nodes[1].id, NodeId(1));
    assert_eq!(t.nodes[1].role, Role::Standby);
    assert_eq!(t.nodes[1].address, Ipv4Addr::new(10, 83, 0, 2));
    assert_eq!(t.nodes[1].mac, [0x52, 0x54, 0, 0, 0, 2]);
    assert_ne!(t.nodes[0].board, t.nodes[1].board, "each on a board of its own");
    assert_eq!(t.nodes[0].memory_bytes, 384 << 20, "as much as it may need");
    assert_eq!(t.links.len(), 2);
    assert_eq!(t.links[1].up, Link::PERFECT);
    assert_eq!(t.runtime.heartbeat, Duration::from_millis(100));
    assert_eq!((t.runtime.suspect_after, t.runtime.redundancy), (10, Redundancy::Copies(1)));
    assert_eq!((t.runtime.binding, t.runtime.quorum), (Binding::Mcapi, Quorum::Majority));
    assert_eq!((t.runtime.shared_bytes, t.runtime.checkpoint), (64 << 20, Policy::Program));
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
    assert_eq!((up.loss, down.loss), (Loss::Random(0.005), Loss::Random(0.005)));
    assert_eq!((t.links[1].mtu, t.links[0].mtu), (9000, 1500));
    assert_eq!((t.links[1].node_first, t.links[0].node_first), (false, true));
    let (up, down) = (t.links[0].up, t.links[0].down);
    assert_eq!((up.rate_bits_per_s, down.rate_bits_per_s), (Some(10_000_000), None));
    assert_eq!((up.jitter_ns, down.jitter_ns), (5_000, 5_000));
}

#[test]
fn a_link_may_do_all_that_links_do_to_frames() {
    let t = read(
        "name: links
nodes: { n0: { role: compute }, n1: { role: compute, mac: 02:00:00:00:00:09 } }
switches: { sw0: {} }
links:
  - between: [n0, sw0]
    delay: 10ms
    jitter: { a-to-b: 2ms }
    distribution: normal
    loss: { a-to-b: { to-bad: 1%, to-good: 20%, loss-good: 0.5% }, b-to-a: 2% }
    queue: 100 packets
    drop: { a-to-b: { every: 10, kind: data, to: n1, longer-than: 100B } }
    flap: { b-to-a: { period: 2s, duty: 75% } }
  - { between: [n1, sw0], distribution: pareto, queue: 64KiB, drop: { nth: 3, ethertype: 0x0806 }, rate: none }
",
    );
    let (up, down) = (t.links[0].up, t.links[0].down);
    let bursts =
        Loss::GilbertElliott { to_bad: 0.01, to_good: 0.2, loss_good: 0.005, loss_bad: 1.0 };
    let filter = Filter {
        ethertype: Some(0x88b5),
        to: Some([2, 0, 0, 0, 0, 9]),
        byte: Some((16, 2)),
        longer_than: Some(100),
        ..Filter::default()
    };
    let both = Profile {
        delay_ns: 10_000_000,
        distribution: Distribution::Normal,
        queue: Queue { packets: 100, ..Queue::ENDLESS },
        ..Link::PERFECT
    };
    let drop = Some(DropRule { filter, which: Which::Every(10) });
    assert_eq!(up, Profile { jitter_ns: 2_000_000, loss: bursts, drop, ..both });
    let flap = Some(Flap { period_ns: 2_000_000_000, up_ns: 1_500_000_000, since_ns: 0 });
    assert_eq!(down, Profile { loss: Loss::Random(0.02), flap, ..both });
    let up = t.links[1].up;
    assert_eq!((up.distribution, up.rate_bits_per_s), (Distribution::Pareto, None));
    assert_eq!(up.queue, Queue { bytes: 64 << 10, ..Queue::ENDLESS });
    let filter = Filter { ethertype: Some(0x0806), ..Filter::default() };
    assert_eq!(up.drop, Some(DropRule { filter, which: Which::Nth(3) }));
}

#[test]
fn links_are_degraded_flap_and_are_healed_again() {
    let t = read(
        "name: faults
boards: { a: {} }
nodes: { n0: { role: compute, board: a }, n1: { role: compute }, n2: { role: standby, board: a } }
switches: { sw0: {} }
links: [{ between: [n0, sw0] }, { between: [sw0, n1] }, { between: [n2, sw0] }]
run: { workload: laplace }
faults:
  - { at: 3s, degrade: { link: n1, direction: b-to-a, delay: 10ms, loss: 1.5% } }
  - { at: 4s, flap: { link: { board: a }, period: 100ms, duty: 25% }, for: 2s }
  - { at: 5s, heal: n1 }
",
    );
    let blows: Vec<_> = t.faults.iter().map(|f| (f.strike, f.node().unwrap().index())).collect();
    let (degrade, heal) = (Strike::Degrade, Strike::Heal);
    assert_eq!(blows, [(degrade, 1), (degrade, 0), (heal, 0), (degrade, 2), (heal, 2), (heal, 1)]);
    let up =
        Change { delay_ns: Some(10_000_000), loss: Some(Loss::Random(0.015)), ..Change::default() };
    let changes: Vec<_> = t.faults.iter().map(|f| f.changes.as_deref()).collect();
    assert_eq!(changes[0], Some(&[up, Change::default()]), "b, its node, is named last");
    assert!(changes[1].is_some() && changes[1] == changes[3] && changes[2].is_none());
    let words = [0, 1, 2].map(|item| t.fault_words(item));
    assert_eq!(
        words,
        [
            "degrade the link of n1 (up: delay 10ms, loss 1.5%) 3s after the start",
            "degrade the link of n0, n2 (flap: up 25ms of each 100ms) 4s after the start for 2s",
            "heal n1 5s after the start",
        ]
    );
}

#[test]
fn changes_of_a_link_are_read_as_a_verb_gets_them() {
    let macs = [("n1", [2, 0, 0, 0, 0, 1])];
    let read = |words: &[&str], way| {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        topology::link_changes(&words, &macs, true, way)
    };
    let [up, down] = read(&["delay=10ms", "drop={ to: n1, every: 2 }"], None).unwrap();
    assert_eq!((up, up.delay_ns), (down, Some(10_000_000)));
    let filter = Filter { to: Some(macs[0].1), ..Filter::default() };
    assert_eq!(up.drop, Some(Some(DropRule { filter, which: Which::Every(2) })));
    let [up, down] = read(&["rate=none"], Some(Direction::Down)).unwrap();
    assert_eq!((up, down.rate_bits_per_s), (Change::default(), Some(None)));
    let [up, down] = read(&["jitter={ b-to-a: 1ms }"], None).unwrap();
    assert_eq!((up.jitter_ns, down.jitter_ns), (None, Some(1_000_000)));
    for (words, reason) in [
        (&["delay"][..], "\"delay\" changes nothing: write for example `delay=10ms`"),
        (&[], "nothing is to be changed: write for example `delay=10ms`"),
        (
            &["delya=1ms", "loss=3"],
            "unknown key \"delya\" in degrade: did you mean \"delay\"?; \
             loss: \"3\" has no percent sign: write `3%`",
        ),
    ] {
        assert_eq!(read(words, None).unwrap_err(), reason);
    }
    assert!(read(&["delay=1ms\nloss: 5%"], None).is_err());
    assert!(read(&["loss={"], None).is_err());
    assert!(read(&["delay=1ms", "delay=2ms"], None).is_err());
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
run: { workload: laplace, args: { size: 512, iterations: 1.50 } }
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
    assert_eq!(run.args["iterations"], "1.50", "as written");
    let (n0, n1) = (NodeId(0), NodeId(1));
    let staged = Trigger::Checkpoint { epoch: 3, phase: Phase::Staged, on: n1 };
    assert_eq!((&t.faults[0].trigger, t.faults[0].hold, t.faults[0].line), (&staged, true, 5));
    assert_eq!((t.faults[0].strike, t.faults[0].node()), (Strike::Kill, Some(n1)));
    let event = Trigger::Event { kind: "recovering".into(), nth: 2, on: n0 };
    assert_eq!(t.faults[1].trigger, event);
    assert_eq!(t.faults[2].trigger, Trigger::After(Duration::from_secs(2)));
    assert_eq!(t.faults[3].trigger, Trigger::Start);
    assert_eq!(t.expectations, [Expectation::Epochs(3)]);
}

#[test]
fn ranks_move_machines_start_again_and_copies_go_bad() {
    let t = read(
        "name: change
nodes: { n0: { role: compute }, n1: { role: compute }, n2: { role: compute }, n3: { role: standby } }
run: { workload: laplace }
faults:
  - { at: { checkpoint: 1, on: n0 }, migrate: { rank: 0, to: n3 } }
  - { at: { event: view, on: n3 }, reboot: n0 }
  - { at: { event: view, on: n0 }, migrate: { rank: 1, to: n0 } }
  - { at: { checkpoint: 5, on: n2 }, corrupt: { node: n0, rank: 2 } }
  - { at: { checkpoint: 6, on: n2 }, kill: n0 }
  - { at: { checkpoint: 7, on: n2 }, reboot: n0 }
  - { at: { checkpoint: 8, on: n2 }, kill: n0 }
expect:
  - { result: reference }
",
    );
    let first: Vec<_> = t.faults[..4].iter().map(|f| (f.strike, f.node().unwrap())).collect();
    let (n0, n3) = (NodeId(0), NodeId(3));
    let moves = [(Strike::Migrate(Rank(0)), n3), (Strike::Reboot, n0)];
    assert_eq!(first[..2], moves);
    assert_eq!(first[2..], [(Strike::Migrate(Rank(1)), n0), (Strike::Corrupt(Rank(2)), n0)]);
    assert_eq!(
        [0, 1, 3].map(|f: usize| t.fault_words(f)),
        [
            "migrate rank 0 to n3 when checkpoint 1 is committed on n0",
            "reboot n0 at event view number 1 on n3",
            "corrupt the copy of rank 2 on n0 when checkpoint 5 is committed on n2",
        ]
    );
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
runs laplace (checkpoint-every 50, iterations 300, size 512) on MCAPI over TCP, 8MiB shared, checkpoints when the program asks
survives any 1 node; does not survive any 2 at once (2 of 4 is no majority)
keeping epochs costs at most 67MiB on each node; in all a node needs at most 160MiB
fault: kill n1 when checkpoint 2 is committed
expects: the result of the sequential program, bit for bit
expects: n3 takes over from n1
expects: at least 5 checkpoints";
    assert_eq!(t.describe(), expected);
}

const MIXED: &str = "name: mixed
nodes:
  n0: { role: compute }
  n1: { role: compute, image: bare-metal }
  n2: { role: standby }
  n3: { role: standby, image: bare-metal }
  n4: { role: standby }
switches: { sw0: {} }
links:
  - { between: [n0, sw0] }
  - { between: [n1, sw0], mtu: 9000 }
  - { between: [n2, sw0] }
  - { between: [n3, sw0], transport: ethernet }
  - { between: [n4, sw0], transport: ethernet }
run: { workload: laplace }
";

#[test]
fn two_nodes_speak_tcp_where_both_their_links_do() {
    let t = read(MIXED);
    assert_eq!((t.nodes[1].image, t.nodes[2].image), (Image::BareMetal, Image::Linux));
    let between = |a, b| t.transport_between(NodeId(a), NodeId(b));
    assert_eq!((between(0, 2), between(2, 0)), (Transport::Tcp, Transport::Tcp));
    for (a, b) in [(0, 1), (0, 3), (0, 4), (1, 2), (1, 3), (2, 4), (3, 4)] {
        let both = (between(a, b), between(b, a));
        assert_eq!(both, (Transport::Ethernet, Transport::Ethernet), "n{a} and n{b}");
    }
}

#[test]
fn links_speak_the_transport_of_the_runtime_unless_they_say_otherwise() {
    let nodes =
        "{ a: { role: compute }, b: { role: compute }, c: { role: compute, image: bare-metal } }";
    let of = |rest: &str| -> Vec<Transport> {
        let t = read(&format!("name: t\nnodes: {nodes}\n{rest}"));
        t.links.iter().map(|link| link.transport).collect()
    };
    let (tcp, ethernet) = (Transport::Tcp, Transport::Ethernet);
    assert_eq!(of(""), [tcp, tcp, ethernet], "without links");
    assert_eq!(of("runtime: { transport: ethernet }"), [ethernet; 3]);
    let links = "switches: { s: {} }
links: [{ between: [a, s], transport: tcp }, { between: [b, s] }, { between: [s, c] }]
runtime: { transport: ethernet }
";
    assert_eq!(of(links), [tcp, ethernet, ethernet]);
}

#[test]
fn a_mixed_cluster_says_who_is_what_and_speaks_what() {
    let expected = "\
mixed: 2 compute (n0, n1), 3 standby (n2, n3, n4), bare metal: n1, n3
runs laplace on MCAPI over TCP (among n0, n2) and Ethernet, 64MiB shared, checkpoints when the program asks
survives any 1 node; does not survive n0 and n1 together (rank 0 of n0 and all its copies), nor n1 and n3 together (no standby for rank 1 of n1)
keeping epochs costs at most 269MiB on each node; in all a node needs at most 480MiB";
    assert_eq!(read(MIXED).describe(), expected);
    let metal = read(include_str!("../examples/bare-metal.yaml")).describe();
    let first = "bare-metal: 3 compute (n0, n1, n2), 1 standby (n3), all bare metal\n";
    assert!(metal.starts_with(first) && metal.contains(" on MCAPI over Ethernet, "), "{metal}");
}

#[test]
fn what_is_survived_depends_on_standbys_copies_and_majority() {
    let tolerates = |nodes: &str, runtime: &str| {
        let t = read(&format!("name: t\nnodes: {{ {nodes} }}\nruntime: {runtime}\n")).survival();
        (t.any, t.in_a_row)
    };
    let (c, s) = (": { role: compute }, ", ": { role: standby }, ");
    let five_two = format!("a{c}b{c}c{c}d{c}e{c}f{s}g{s}");
    assert_eq!(tolerates(&five_two, "{}"), (1, 2));
    assert_eq!(tolerates(&five_two, "{ checkpoint: { replicas: 2 } }"), (2, 2));
    assert_eq!(tolerates(&five_two, "{ checkpoint: { replicas: 0 } }"), (0, 0));
    let metal = ": { role: standby, image: bare-metal }, ";
    let mixed =
        format!("a{c}b{c}c{c}d{c}e: {{ role: compute, image: bare-metal }}, f{s}g{s}h{metal}");
    assert_eq!(tolerates(&mixed, "{}"), (1, 1), "the one standby of an image is the limit");
    let none = format!("a{c}b: {{ role: compute, image: bare-metal }}, c{s}d{s}");
    assert_eq!(tolerates(&none, "{}"), (0, 0), "no standby of one image");
    let pair = format!("a{c}b{s}");
    assert_eq!(tolerates(&pair, "{}"), (0, 0), "one of two is no majority");
    assert_eq!(tolerates(&pair, "{ quorum: fail-stop }"), (1, 1));
}

#[test]
fn a_node_that_may_host_two_ranks_needs_memory_for_both() {
    let of = |way: &str| {
        let nodes = "n0: { role: compute }, n1: { role: compute }, n2: { role: compute }";
        let t =
            read(&format!("name: t\nnodes: {{ {nodes} }}\nruntime: {{ on-exhausted: {way} }}\n"));
        (t.nodes[0].memory_bytes >> 20, t.kept_bytes(&t.survival())[0])
    };
    let ((stop, kept), (double_up, kept_by_both)) = (of("stop"), of("double-up"));
    // A second rank: the segment, its twins, heap and stack.
    assert!(double_up >= stop + 64 + 64 + 16, "{double_up} and {stop} MiB");
    assert!(kept_by_both > kept, "{kept_by_both} and {kept}");
}

#[test]
fn a_guest_needs_memory_for_the_program_that_it_boots_with() {
    let t = read(
        "name: t
nodes:
  n0: { role: compute, memory: 96MiB }
  n1: { role: compute }
run: { program: ./prog.c }
",
    );
    assert_eq!(t.nodes[0].memory_bytes, 96 << 20, "it has no rank to be large enough for");
    assert_eq!(t.short_of_memory(10 << 20), Vec::<String>::new());
    let short = t.short_of_memory((12 << 20) + 1);
    let words = "node \"n0\" has 96MiB of memory and needs 112MiB to boot with a program of 13MiB";
    assert!(short.len() == 1 && short[0].starts_with(words), "{short:?}");
    assert_eq!(t.short_of_memory(200 << 20).len(), 2, "what the file leaves out may be too little");
}

#[test]
fn the_sentence_names_who_may_die_and_who_may_not_and_why() {
    let sentence = |nodes: &str, runtime: &str| {
        let boards = "boards: { a: {}, b: {}, c: {} }";
        let t = read(&format!("name: t\n{boards}\nnodes: {{ {nodes} }}\nruntime: {runtime}\n"));
        t.describe().lines().find(|line| line.starts_with("survives")).unwrap().to_owned()
    };
    let compute =
        |name: &str, board: &str| format!("{name}: {{ role: compute, board: {board} }}, ");
    let standby =
        |name: &str, board: &str| format!("{name}: {{ role: standby, board: {board} }}, ");
    let (c, s) = (": { role: compute }, ", ": { role: standby }, ");
    let five_two = format!("n0{c}n1{c}n2{c}n3{c}n4{c}n5{s}n6{s}");
    let boards = [compute("n0", "a"), compute("n1", "a"), compute("n2", "b"), standby("n3", "b")];
    let boards = [boards.concat(), standby("n4", "c"), standby("n5", "c")].concat();
    let cases = [
        (
            format!("n0{c}n1{c}n2{s}"),
            "{}",
            "survives any 1 node; does not survive any 2 at once (1 of 3 is no majority)",
        ),
        (
            five_two.clone(),
            "{}",
            "survives any 1 node, or any 2 nodes one after another; does not survive n0 and n1 together \
             (rank 0 of n0 and all its copies), nor n0 and n4 together (rank 4 of n4 and all its \
             copies), nor 3 more pairs",
        ),
        (
            five_two,
            "{ checkpoint: { replicas: 2 } }",
            "survives any 2 nodes; does not survive any 3 at once (no standby for rank 2 of n2)",
        ),
        (format!("n0{c}n1{c}"), "{}", "survives no death of a node: 1 of 2 is no majority"),
        (
            format!("n0{c}n1{c}n2{s}"),
            "{ checkpoint: { replicas: 0 } }",
            "survives n2; does not survive n0 (rank 0 of n0 has no copy), nor n1 (rank 1 of n1 has no \
             copy)",
        ),
        (
            boards,
            "{}",
            "survives any 1 node, or board a, b or c, or any 3 nodes one after another; does not \
             survive n0 and n2 together (rank 0 of n0 and all its copies), nor n1 and n2 together (rank \
             1 of n1 and all its copies)",
        ),
        (
            format!("n0{c}n1{c}n2{c}n3{c}"),
            "{ on-exhausted: double-up, checkpoint: { replicas: 2 } }",
            "survives any 1 node, or any 2 nodes one after another; does not survive any 2 at once (2 of \
             4 is no majority); with no standby left, a survivor hosts two ranks",
        ),
        (
            format!("n0{c}n1{c}n2{c}"),
            "{ on-exhausted: double-up, quorum: fail-stop, checkpoint: { replicas: 2 } }",
            "survives any 1 node; does not survive any 2 at once (each node has room for two ranks, and \
             there is none for rank 1 of n1); with no standby left, a survivor hosts two ranks",
        ),
    ];
    for (nodes, runtime, expected) in cases {
        assert_eq!(sentence(&nodes, runtime), expected);
    }
}

#[test]
fn checkpoints_come_by_barriers_by_time_or_as_often_as_pays() {
    let read = |checkpoint: &str| {
        let nodes = "nodes: { n0: { role: compute }, n1: { role: standby } }";
        let text = format!("name: c\n{nodes}\nruntime: {{ checkpoint: {{ {checkpoint} }} }}");
        let text = format!("{text}\nrun: {{ workload: laplace }}\n");
        topology::parse("c.yaml", &text).unwrap()
    };
    for (text, policy, words) in [
        ("every: 50 barriers", Policy::Barriers(50), "a checkpoint every 50 barriers"),
        ("every: 5s", Policy::EveryUs(5_000_000), "a checkpoint every 5s"),
        (
            "every: auto, mtbf: 1h",
            Policy::AutoUs(3_600_000_000),
            "checkpoints as often as pays with a failure every 1h",
        ),
    ] {
        let topology = read(text);
        assert_eq!(topology.runtime.checkpoint, policy);
        assert!(topology.describe().contains(words), "{}", topology.describe());
    }
}

#[test]
fn parity_is_of_groups_of_ranks() {
    let (c, s) = (": { role: compute }, ", ": { role: standby }, ");
    let of = |checkpoint: &str| {
        let nodes = format!("n0{c}n1{c}n2{c}n3{s}n4{s}");
        read(&format!("name: t\nnodes: {{ {nodes} }}\nruntime: {{ checkpoint: {checkpoint} }}\n"))
    };
    let redundancy = |group, losses| Redundancy::Parity(Parity { group, losses });
    let plain = of("{ redundancy: parity }");
    assert_eq!(plain.runtime.redundancy, redundancy(4, 1));
    let sentence = "\nsurvives any 1 node, or any 2 nodes one after another; does not survive n0 and n1 \
        together (rank 0 of n0 and too much of its group), nor n0 and n2 together (rank 0 of n0 and too \
        much of its group), nor 4 more pairs\n";
    assert!(plain.describe().contains(sentence), "{}", plain.describe());
    let two = of("{ redundancy: parity, parity: { group: 3, losses: 2 } }");
    assert_eq!(two.runtime.redundancy, redundancy(3, 2));
    assert_eq!(two.survival().any, 2);
    assert_eq!(of("{ redundancy: copies, replicas: 2 }").runtime.redundancy, Redundancy::Copies(2));
}

#[test]
fn a_large_cluster_with_many_standbys_is_judged_too() {
    // Far more orders in which they could die than anybody waits for: what is promised does not suffer.
    let node =
        |n: usize| format!("n{n}: {{ role: {} }}, ", if n < 16 { "compute" } else { "standby" });
    let nodes: String = (0..32).map(node).collect();
    let described = read(&format!("name: t\nnodes: {{ {nodes} }}\n")).describe();
    let words = "survives any 1 node, or any 16 nodes one after another; does not survive n0 and n1 together";
    assert!(described.contains(words), "{described}");
}
