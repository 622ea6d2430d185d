use super::*;
use crate::model::Transport;

fn link(switch: usize, vlan: Vlan) -> Link {
    let (up, down) = (Link::PERFECT, Link::PERFECT);
    let transport = Transport::Tcp;
    Link { node: 0, switch, node_first: true, up, down, mtu: Link::MTU, transport, vlan }
}

fn cable(a: usize, b: usize, vlans: Option<&[Vlan]>) -> Cable {
    Cable {
        name: format!("{a}-{b}"),
        ends: [a, b],
        a_to_b: Link::PERFECT,
        b_to_a: Link::PERFECT,
        vlans: vlans.map(<[Vlan]>::to_vec),
    }
}

fn parts(network: Network<'_>, cut: &[usize]) -> Vec<Vec<u16>> {
    let parts = network.parts(&cut.iter().copied().collect());
    parts.iter().map(|part| part.iter().map(|node| node.0).collect()).collect()
}

#[test]
fn nodes_reach_each_other_in_one_vlan_over_cables_that_carry_it() {
    let links = [link(0, 1), link(1, 1), link(2, 1), link(0, 10), link(2, 10), link(2, 1)];
    let cables = [cable(0, 1, None), cable(2, 1, Some(&[1]))];
    let network = Network { links: &links, cables: &cables };
    assert_eq!(parts(network, &[]), [vec![0, 1, 2, 5], vec![3], vec![4]]);
    assert_eq!(parts(network, &[0]), [vec![1, 2, 5], vec![0], vec![3], vec![4]]);
    assert_eq!(parts(network, &[1]), [vec![0, 1], vec![2, 5], vec![3], vec![4]]);
    let near = |cable| network.near(cable).iter().map(|node| node.0).collect::<Vec<_>>();
    assert_eq!(near(0), [0, 3]);
    assert_eq!(near(1), [2, 4, 5], "the end that is named first");
}

#[test]
fn a_way_is_the_cables_from_end_to_end() {
    let cables = [cable(0, 1, None), cable(2, 1, None), cable(3, 2, Some(&[7]))];
    let network = Network { links: &[link(5, 1)], cables: &cables };
    assert_eq!(network.way(0, 3), Some(vec![0, 1, 2]));
    assert_eq!(network.way(2, 2), Some(vec![]));
    assert_eq!(network.way(0, 5), None);
}

#[test]
fn of_the_cables_of_a_ring_one_stands_by_in_each_vlan() {
    let links = [link(0, 1), link(0, 3)];
    let spares = |cables: &[Cable]| Network { links: &links, cables }.spares();
    let in_vlans = |vlans: &[Vlan]| vlans.iter().copied().collect::<BTreeSet<Vlan>>();
    let all = [cable(0, 1, None), cable(1, 2, None), cable(2, 0, None)];
    assert_eq!(spares(&all), [(2, in_vlans(&[1, 3]))].into());
    assert_eq!(spares(&all[..2]), BTreeMap::new());
    // Two cables side by side, each for VLANs of its own.
    assert_eq!(spares(&[cable(0, 1, Some(&[1, 2])), cable(0, 1, Some(&[3]))]), BTreeMap::new());
    let both = [cable(0, 1, Some(&[1, 3])), cable(1, 0, Some(&[3]))];
    assert_eq!(spares(&both), [(1, in_vlans(&[3]))].into());
}
