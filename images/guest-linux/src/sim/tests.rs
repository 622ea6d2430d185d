use super::*;
use crate::network::tests::configure;
use images_control::sim::{SimLink, SimProfile};
use images_control::{Run, Transport};

/// Three nodes, the last a standby: TCP but for the first two, who speak Ethernet.
pub(super) fn plan() -> SimPlan {
    let [tcp, ethernet] = [Transport::Tcp, Transport::Ethernet];
    let mut nodes = Vec::new();
    for (me, transports) in
        [[tcp, ethernet, tcp], [ethernet, tcp, tcp], [tcp; 3]].iter().enumerate()
    {
        let mut node = configure(transports, None);
        node.node = u16::try_from(me).unwrap();
        node.nodes[2].role = Role::Standby;
        let runtime = &mut node.runtime;
        (runtime.heartbeat_us, runtime.suspect_after) = (10_000, 10);
        runtime.join_timeout_us = 1_000_000;
        (runtime.shared_bytes, runtime.heap_bytes, runtime.stack_bytes) =
            (1 << 20, 1 << 20, 1 << 18);
        nodes.push(node);
    }
    let args = [("size", "32"), ("iterations", "20"), ("checkpoint-every", "5")];
    let args = args.map(|(name, value)| (name.to_string(), value.to_string())).into();
    SimPlan {
        seed: 1,
        nodes,
        links: vec![SimLink::default(); 3],
        cables: Vec::new(),
        death_is_seen: false,
        faults: Vec::new(),
        run: Run { job: 1, workload: "laplace".into(), args },
    }
}

#[test]
fn a_mixed_cluster_with_a_lossy_link_and_a_death_runs_to_its_end() {
    let mut plan = plan();
    plan.links[1].up =
        SimProfile { loss_ppm: 30_000, duplicate_ppm: 10_000, ..SimProfile::default() };
    let mut world = world(&plan).unwrap();
    let (mut told, mut reports) = (Vec::new(), Vec::new());
    let end = loop {
        let end = world.step();
        for (_, _, word) in world.take_told() {
            match word {
                Told::Event(Event::CheckpointCommitted { .. }) if world.is_alive(NodeId(1)) => {
                    world.kill(NodeId(1));
                }
                Told::Event(event) => told.push(event),
                Told::Report(bytes, _) => reports.push(bytes),
                Told::Print(_) => {}
            }
        }
        if let Some(end) = end {
            break end;
        }
    };
    assert_eq!(end, End::Done);
    assert!(
        told.iter().any(|e| matches!(e, Event::RolledBack { taken_over: true, .. })),
        "{told:?}"
    );
    let (workload, args) = guest::workload("laplace", plan.run.args.clone()).unwrap();
    let right = workload.reference.unwrap()(&args);
    assert!(!reports.is_empty() && reports.iter().all(|bytes| *bytes == right));
}
