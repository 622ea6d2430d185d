use super::*;
use crate::sim::tests::plan;
use images_control::Transport;
use images_control::sim::SimFault;
use images_control::sim::{SimStrike, Trigger};

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
    let words = settle_media(&plan, &mut configs).unwrap().unwrap();
    assert!(words.ends_with("between n1-n2"), "the seat is behind its machine's link: {words}");
    assert_eq!(media(&configs)[1], Medium::Stream);
}

#[test]
fn nodes_that_do_not_agree_on_their_medium_are_refused() {
    let mut plan = plan();
    plan.nodes[2].nodes[1].transport = Transport::Ethernet;
    let error = settle_media(&plan, &mut configs(&plan)).unwrap_err();
    assert_eq!(error.to_string(), "n1 and n2 do not agree on what is between them");
}

/// Between the first node and the others.
fn cable() -> SimCable {
    SimCable { name: "trunk".into(), link: SimLink::default(), near: vec![0] }
}

#[test]
fn a_lossy_cable_is_felt_by_those_whose_frames_pass_it() {
    use Medium::{Datagram, Stream};
    let mut plan = plan();
    plan.cables = vec![cable()];
    let mut calm = configs(&plan);
    assert_eq!(settle_media(&plan, &mut calm).unwrap(), None);
    let degrade = SimFault {
        target: SimTarget::Cable(0),
        strike: SimStrike::Degrade,
        at: Trigger::Time { us: 5 },
        changes: Some([
            SimChange { loss_ppm: Some(1), ..SimChange::default() },
            SimChange::default(),
        ]),
    };
    plan.faults = vec![degrade];
    let mut lossy = configs(&plan);
    assert!(settle_media(&plan, &mut lossy).unwrap().is_some());
    assert_eq!(media(&lossy), [Datagram, Datagram, Stream]);
}

#[test]
fn what_is_on_a_way_adds_up() {
    let part = |delay_ns, loss_ppm, rate_bits_per_s| SimProfile {
        delay_ns,
        loss_ppm,
        rate_bits_per_s,
        ..SimProfile::default()
    };
    let way = joined(&[&part(100, 500_000, 0), &part(20, 0, 9), &part(3, 500_000, 7)]);
    assert_eq!((way.delay_ns, way.rate_bits_per_s), (20_123, Some(7)));
    assert_eq!(way.loss, netem::Loss::Random(0.75));
}

#[test]
fn a_way_is_cut_while_any_part_of_it_is() {
    let mut plan = plan();
    plan.cables = vec![cable()];
    let mut world = crate::sim::world(&plan).unwrap();
    let mut wires = Wires::new(&plan);
    let (trunk, last) = (SimTarget::Cable(0), SimTarget::Node(2));
    let both = [(0, 1), (0, 2), (1, 0), (2, 0)];
    wires.cut(&mut world, trunk, [true, true]);
    assert_eq!(wires.cut, BTreeSet::from(both));
    wires.cut(&mut world, last, [false, true]);
    let deaf = [(0, 2), (1, 2)];
    assert_eq!(wires.cut, both.into_iter().chain(deaf).collect());
    wires.heal(&mut world, trunk);
    assert_eq!(wires.cut, BTreeSet::from(deaf), "the cable is whole, the link is not");
    wires.heal(&mut world, last);
    assert_eq!(wires.cut, BTreeSet::new());
    wires.cut(&mut world, trunk, [false, true]);
    assert_eq!(wires.cut, BTreeSet::from([(1, 0), (2, 0)]), "from the far side to the near one");
}
