use super::{Backend, Expect, Fault, NodePlan, Plan, Target, Wanted, Workload};
use images_control::sim::{SimLink, Trigger};
use images_control::{RuntimeSpec, Transport};
use runtime_core::node::{Binding, Image, Quorum, Role};
use std::collections::BTreeMap;

/// Three compute nodes, one standby; `n1` dies when it has committed checkpoint 2.
/// A switch that tells nobody of its ports.
pub(crate) fn switch(name: &str) -> topology::Switch {
    let ring_recovery = topology::Switch::RING_RECOVERY;
    topology::Switch { name: name.to_owned(), port_notices: false, ring_recovery }
}

pub(crate) fn plan() -> Plan {
    let node = |n: usize| NodePlan {
        name: format!("n{n}"),
        host: None,
        seat: None,
        role: if n == 3 { Role::Standby } else { Role::Compute },
        board: super::number(n),
        image: Image::Linux,
        memory_bytes: 96 << 20,
        kept_limit: 40 << 20,
        cpus: 1,
        console: true,
        address: format!("10.0.0.{}:7411", n + 1),
        mac: format!("52:54:00:00:00:{n:02x}"),
        transports: vec![Transport::Tcp; 4],
        board_bytes: 0,
        nic: None,
        switch: 0,
        vlan: 1,
        node_first: true,
        link: SimLink::default(),
        up: topology::Link::PERFECT,
        down: topology::Link::PERFECT,
    };
    Plan {
        name: "test".to_owned(),
        seed: 1,
        backend: Backend::Process,
        factor: 1,
        nodes: (0..4).map(node).collect(),
        switches: vec![switch("sw0")],
        cables: Vec::new(),
        runtime: RuntimeSpec {
            binding: Binding::Mcapi,
            quorum: Quorum::Majority,
            heartbeat_us: 20_000,
            suspect_after: 5,
            join_timeout_us: 1_000_000,
            redundancy: runtime_core::checkpoint::Redundancy::Copies(1),
            checkpoint: runtime_core::node::Policy::Program,
            shared_bytes: 1 << 20,
            heap_bytes: 1 << 20,
            stack_bytes: 1 << 20,
        },
        program: None,
        workload: Some(Workload { name: "laplace".to_owned(), args: BTreeMap::new() }),
        faults: vec![Fault {
            item: 0,
            ends: false,
            strike: topology::Strike::Kill,
            target: Target::Node(1),
            changes: None,
            at: Trigger::Event {
                event: "checkpoint-committed".to_owned(),
                node: Some(1),
                number: Some(2),
                nth: 1,
            },
            hold: None,
            words: "kill n1 when checkpoint 2 is committed".to_owned(),
        }],
        expect: vec![
            Expect { what: Wanted::Reference, words: "the reference".to_owned() },
            Expect {
                what: Wanted::Takeover { of: 1, by: Some(3), within: None },
                words: "n3 takes over from n1".to_owned(),
            },
            Expect { what: Wanted::Checkpoints(2), words: "2 checkpoints".to_owned() },
        ],
    }
}

#[test]
fn only_the_node_that_is_to_die_is_told_to_hold() {
    let mut plan = plan();
    let hold =
        images_control::Hold { event: "recovering".to_owned(), number: None, nth: 1, still: true };
    plan.faults[0].hold = Some(hold.clone());
    assert_eq!(plan.configure(1).holds, [hold]);
    assert_eq!(plan.configure(0).holds, []);
    assert_eq!(plan.configure(0).nodes.len(), 4);
}

#[test]
fn the_example_becomes_a_plan_with_scaled_times() {
    let file =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/examples/failover.yaml");
    let topology = topology::load(&file).unwrap();
    assert_eq!(super::unsupported(&topology, Backend::Qemu), [""; 0]);
    let setting =
        |factor| super::Setting { backend: Backend::Qemu, factor, loopback: None, program: None };
    let one = Plan::new(&topology, &setting(1));
    let three = Plan::new(&topology, &setting(3));
    assert_eq!(3 * one.runtime.heartbeat_us, three.runtime.heartbeat_us);
    assert_eq!(3 * one.runtime.join_timeout_us, three.runtime.join_timeout_us);
    assert_eq!(one.nodes.len(), topology.nodes.len());
    assert!(one.nodes.iter().all(|n| n.nic.is_some()));
    assert_eq!(one.faults[0].target, Target::Node(1));
    assert!(one.nodes[0].address.ends_with(":7411"), "{}", one.nodes[0].address);
}

fn example(name: &str, backend: Backend) -> Plan {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../topology/examples");
    let topology = topology::load(&examples.join(name)).unwrap();
    Plan::new(&topology, &super::Setting { backend, factor: 1, loopback: None, program: None })
}

#[test]
fn each_node_is_told_how_it_reaches_the_others() {
    use Transport::{Ethernet, Tcp};
    let plan = example("mixed.yaml", Backend::Qemu);
    let of = |node: usize| -> Vec<Transport> {
        plan.configure(node).nodes.iter().map(|n| n.transport).collect()
    };
    // n0, n1 and n4 run Linux. The entry for the node itself says what it mostly speaks.
    assert_eq!(of(0), [Ethernet, Tcp, Ethernet, Ethernet, Tcp, Ethernet]);
    assert_eq!(of(4), [Tcp, Tcp, Ethernet, Ethernet, Ethernet, Ethernet]);
    assert_eq!(of(2), [Ethernet; 6]);
    let images: Vec<Image> = plan.configure(2).nodes.iter().map(|n| n.image).collect();
    let (linux, metal) = (Image::Linux, Image::BareMetal);
    assert_eq!(images, [linux, linux, metal, metal, linux, metal]);
    assert_eq!(example("failover.yaml", Backend::Qemu).nodes[0].transports, [Tcp; 4]);
}

#[test]
fn a_seat_has_addresses_of_its_own_and_speaks_tcp_to_its_machine_alone() {
    use Transport::{Ethernet, Tcp};
    let plan = |backend| example("double-up-ethernet.yaml", backend);
    let guests = plan(Backend::Qemu);
    let count = guests.machines();
    assert_eq!(guests.nodes.len(), 2 * count);
    let (host, seat) = (&guests.nodes[1], &guests.nodes[count + 1]);
    assert_eq!((seat.name.as_str(), seat.host, &host.seat), ("n1+", Some(1), &Some("n1+".into())));
    assert_eq!(
        (host.address.as_str(), seat.address.as_str()),
        ("10.83.0.2:7411", "10.83.0.2:7412")
    );
    // One card for both, with a second address.
    assert_eq!(seat.nic, host.nic);
    let mut addresses: Vec<&str> = guests.nodes.iter().map(|n| n.mac.as_str()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 2 * count);
    for (a, b) in (0..2 * count).flat_map(|a| (0..2 * count).map(move |b| (a, b))) {
        let expected = if a != b && a % count == b % count { Tcp } else { Ethernet };
        assert_eq!(guests.nodes[a].transports[b], expected, "{a} {b}");
    }
    let process = plan(Backend::Process);
    let card = |n: usize| process.nodes[n].nic.as_ref().unwrap();
    assert_eq!(card(count + 1).mac, process.nodes[count + 1].mac);
    assert_ne!(card(count + 1).mac, card(1).mac);
    assert!(process.nodes[count + 1].seat.is_none());
}

#[test]
fn whoever_speaks_ethernet_gets_a_card() {
    let card = |name, backend| example(name, backend).configure(0).nic;
    assert_eq!(card("failover.yaml", Backend::Process), None);
    assert_eq!(card("failover.yaml", Backend::Sim), None);
    assert_eq!(card("failover.yaml", Backend::Qemu).unwrap().fd, None);
    let process = card("bare-metal.yaml", Backend::Process).unwrap();
    assert_eq!((process.fd, process.mtu), (Some(crate::backend::NET_FD), 9000));
    let sim = card("bare-metal.yaml", Backend::Sim).unwrap();
    assert_eq!((sim.fd, sim.mtu), (None, 9000));
    let switch = |name, backend| example(name, backend).needs_switch();
    assert!(switch("mixed.yaml", Backend::Process) && switch("failover.yaml", Backend::Qemu));
    assert!(!switch("failover.yaml", Backend::Process) && !switch("mixed.yaml", Backend::Sim));
}

#[test]
fn what_a_backend_does_otherwise_than_guests_is_said() {
    assert_eq!(example("mixed.yaml", Backend::Qemu).remarks(), [""; 0]);
    let process = example("mixed.yaml", Backend::Process).remarks();
    assert_eq!(process, ["n2, n3, n5: bare-metal runs as a Linux process on this backend"]);
    let sim = example("mixed.yaml", Backend::Sim).remarks();
    assert_eq!(sim, ["n2, n3, n5: bare-metal runs as a simulated Linux node on this backend"]);
    let mut plan = plan();
    plan.nodes[2].link.down.loss_ppm = 1;
    plan.nodes[3].link.up.mtu = 9000;
    assert!(plan.remarks()[0].starts_with("n2: delay, loss"), "{:?}", plan.remarks());
    plan.nodes[2].transports = vec![Transport::Ethernet; 4];
    assert_eq!(plan.remarks(), [""; 0]);
    let mut seats = example("double-up-ethernet.yaml", Backend::Process);
    seats.nodes[1].link.down.loss_ppm = 1;
    assert_eq!(seats.remarks(), [""; 0], "only a node and its seat speak TCP");
}
