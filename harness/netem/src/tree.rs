//! Rings of cables between switches: which cables stand by so that no frame goes round for ever.
//!
//! What a spanning tree protocol (IEEE 802.1Q, clause 13) or a ring protocol (IEC 62439-2) agrees on, without its
//! messages: whoever has the whole network before him need not ask.

use std::collections::BTreeSet;

/// A cable as a tree sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The switches that it joins.
    pub ends: [usize; 2],
    /// It carries frames both ways.
    pub whole: bool,
}

/// The cables, by their places, that close a ring when cables are laid one after the other: first those that are
/// whole, then the others. So a whole one carries wherever there is one, of equal ones the first, and what is joined at
/// all stays joined.
#[must_use]
pub fn spares(edges: &[Edge]) -> BTreeSet<usize> {
    let switches = edges.iter().flat_map(|edge| edge.ends).max().map_or(0, |last| last + 1);
    // Switches that are joined have one representative.
    let mut group: Vec<usize> = (0..switches).collect();
    let mut spares = BTreeSet::new();
    for whole in [true, false] {
        for (n, edge) in edges.iter().enumerate().filter(|(_, edge)| edge.whole == whole) {
            let [a, b] = edge.ends.map(|switch| group[switch]);
            if a == b {
                spares.insert(n);
            } else {
                group.iter_mut().filter(|of| **of == b).for_each(|of| *of = a);
            }
        }
    }
    spares
}

#[cfg(test)]
mod tests;
