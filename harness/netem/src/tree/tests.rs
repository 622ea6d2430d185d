use super::{Edge, spares};

/// The spares of cables between these switches, of which some are broken.
fn of(cables: &[[usize; 2]], broken: &[usize]) -> Vec<usize> {
    let edge = |(n, ends): (usize, &[usize; 2])| Edge { ends: *ends, whole: !broken.contains(&n) };
    let edges: Vec<Edge> = cables.iter().enumerate().map(edge).collect();
    spares(&edges).into_iter().collect()
}

#[test]
fn the_last_cable_of_a_ring_stands_by_until_another_breaks() {
    let ring = [[0, 1], [1, 2], [2, 0]];
    assert_eq!(of(&ring, &[]), [2]);
    for broken in [0, 1] {
        assert_eq!(of(&ring, &[broken]), [broken], "the spare carries, the broken one stands by");
    }
    assert_eq!(of(&ring, &[2]), [2], "nothing changes");
    // Two are broken: one of them is missed, and stays where it would be missed.
    assert_eq!(of(&ring, &[0, 1]), [1]);
}

#[test]
fn where_no_ring_is_nothing_stands_by_whatever_breaks() {
    let line = [[3, 1], [1, 2], [0, 1]];
    assert_eq!(of(&line, &[]), []);
    assert_eq!(of(&line, &[0, 1, 2]), []);
    assert_eq!(of(&[], &[]), []);
}

#[test]
fn several_rings_have_a_spare_each() {
    // Two cables side by side, and a square that one of them is a side of.
    let mesh = [[0, 1], [1, 0], [1, 2], [2, 3], [3, 0]];
    assert_eq!(of(&mesh, &[]), [1, 4]);
    assert_eq!(of(&mesh, &[0]), [0, 4]);
    assert_eq!(of(&mesh, &[0, 2]), [0, 2]);
}
