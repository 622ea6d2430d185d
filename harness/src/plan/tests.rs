use super::{Backend, Expect, Fault, NodePlan, Plan, Wanted, Workload};
use images_control::RuntimeSpec;
use images_control::sim::{SimLink, Trigger};
use netem::Profile;
use runtime_core::node::{Binding, Image, Quorum, Role};
use std::collections::BTreeMap;

/// Three compute nodes, one standby; `n1` dies when it has committed checkpoint 2.
pub(crate) fn plan() -> Plan {
    let node = |n: usize| NodePlan {
        name: format!("n{n}"),
        role: if n == 3 { Role::Standby } else { Role::Compute },
        board: super::number(n),
        image: Image::Linux,
        memory_bytes: 96 << 20,
        cpus: 1,
        address: format!("10.0.0.{}:7411", n + 1),
        mac: format!("52:54:00:00:00:{n:02x}"),
        nic: None,
        switch: 0,
        link: SimLink::default(),
        up: Profile::default(),
        down: Profile::default(),
    };
    Plan {
        name: "test".to_owned(),
        seed: 1,
        backend: Backend::Process,
        factor: 1,
        nodes: (0..4).map(node).collect(),
        switches: vec!["sw0".to_owned()],
        runtime: RuntimeSpec {
            binding: Binding::Mcapi,
            quorum: Quorum::Majority,
            heartbeat_us: 20_000,
            suspect_after: 5,
            join_timeout_us: 1_000_000,
            replicas: 1,
            checkpoint_every: 0,
            shared_bytes: 1 << 20,
            heap_bytes: 1 << 20,
            stack_bytes: 1 << 20,
        },
        workload: Some(Workload { name: "laplace".to_owned(), args: BTreeMap::new() }),
        faults: vec![Fault {
            kill: 1,
            at: Trigger::Event {
                event: "checkpoint-committed".to_owned(),
                node: Some(1),
                epoch: Some(2),
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
    let hold = images_control::Hold { event: "recovering".to_owned(), epoch: None, nth: 1 };
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
    assert_eq!(super::unsupported(&topology), [""; 0]);
    let setting = |factor| super::Setting { backend: Backend::Qemu, factor, loopback: None };
    let one = Plan::new(&topology, &setting(1));
    let three = Plan::new(&topology, &setting(3));
    assert_eq!(3 * one.runtime.heartbeat_us, three.runtime.heartbeat_us);
    assert_eq!(3 * one.runtime.join_timeout_us, three.runtime.join_timeout_us);
    assert_eq!(one.nodes.len(), topology.nodes.len());
    assert!(one.nodes.iter().all(|n| n.nic.is_some()));
    assert_eq!(one.faults[0].kill, 1);
    assert!(one.nodes[0].address.ends_with(":7411"), "{}", one.nodes[0].address);
}
