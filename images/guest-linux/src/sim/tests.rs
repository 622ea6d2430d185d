use super::*;
use crate::network::tests::configure;
use images_control::{Run, Transport};

/// Three nodes, the last a standby: TCP but for the first two, who speak Ethernet.
fn plan() -> SimPlan {
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
        death_is_seen: false,
        faults: Vec::new(),
        run: Run { job: 1, workload: "laplace".into(), args },
    }
}

fn configs(plan: &SimPlan) -> Vec<Config> {
    plan.nodes.iter().map(|node| guest::config(node, [0; 32]).unwrap()).collect()
}

/// What is between 0 and 1, 0 and 2, 1 and 2.
fn media(configs: &[Config]) -> [Medium; 3] {
    let pairs = [(0, 1), (0, 2), (1, 2)];
    assert!(pairs.iter().all(|(a, b)| configs[*a].media[*b] == configs[*b].media[*a]));
    pairs.map(|(a, b)| configs[a].media[b])
}

#[test]
fn a_stream_over_a_lossy_link_becomes_datagrams_and_the_others_stay() {
    use Medium::{Datagram, Stream};
    let mut plan = plan();
    let mut calm = configs(&plan);
    assert_eq!(settle_media(&plan, &mut calm).unwrap(), None);
    assert_eq!(media(&calm), [Datagram, Stream, Stream]);
    plan.links[0].down.loss_ppm = 1;
    let mut lossy = configs(&plan);
    let words = settle_media(&plan, &mut lossy).unwrap().unwrap();
    assert_eq!(words, "links lose frames: the datagram link stands in for TCP between n0-n2");
    assert_eq!(media(&lossy), [Datagram, Datagram, Stream]);
}

#[test]
fn a_seat_reaches_its_own_machine_over_no_link() {
    let mut plan = plan();
    plan.links[0].up.loss_ppm = 1;
    for node in &mut plan.nodes {
        node.nodes[2].host = Some(0);
    }
    let mut configs = configs(&plan);
    assert_eq!(settle_media(&plan, &mut configs).unwrap(), None);
    assert_eq!(media(&configs)[1], Medium::Stream);
}

#[test]
fn nodes_that_do_not_agree_on_their_medium_are_refused() {
    let mut plan = plan();
    plan.nodes[2].nodes[1].transport = Transport::Ethernet;
    let error = settle_media(&plan, &mut configs(&plan)).unwrap_err();
    assert_eq!(error.to_string(), "n1 and n2 do not agree on what is between them");
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
