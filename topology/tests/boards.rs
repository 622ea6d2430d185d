//! Whose frames go through the memory of a board.

use runtime_core::id::NodeId;
use topology::{McapiName, Topology};

fn read(boards: &str) -> Topology {
    let text = format!(
        "name: boards\nboards: {{ {boards} }}\nnodes:\n\
         \x20 n0: {{ board: a, role: compute, mcapi: [1, 2] }}\n\
         \x20 n1: {{ board: a, role: compute, mcapi: [3] }}\n\
         \x20 n2: {{ board: b, role: compute, mcapi: [4] }}\n\
         \x20 n3: {{ board: b, role: compute, mcapi: [5] }}\n\
         run: {{ program: ./p.c }}\n"
    );
    topology::parse("boards.yaml", &text).unwrap_or_else(|e| panic!("{e}"))
}

fn sharers(t: &Topology) -> Vec<(u16, u16)> {
    let all = (0..4).flat_map(|a| (0..4).map(move |b| (a, b)));
    all.filter(|(a, b)| t.share_a_board(NodeId(*a), NodeId(*b))).collect()
}

#[test]
fn guests_of_a_board_with_memory_use_it_unless_the_board_says_otherwise() {
    let t = read("a: { shared-memory: 2MiB }, b: { shared-memory: 2MiB, transport: links }");
    assert_eq!(sharers(&t), [(0, 1), (1, 0)]);
    let t = read("a: { shared-memory: 2MiB, transport: shm }, b: { shared-memory: 2MiB }");
    assert_eq!(sharers(&t), [(0, 1), (1, 0), (2, 3), (3, 2)]);
    assert_eq!(sharers(&read("a: {}, b: {}")), []);
}

/// The order is the layout of the memory: whoever changes it changes the mark in `runtime/shm/src/pair.rs`.
#[test]
fn there_is_a_way_from_each_node_to_each_of_another_guest() {
    let t = read("a: { shared-memory: 2MiB }, b: {}");
    let ways: Vec<[u32; 2]> =
        t.board_ways(0).iter().map(|way| way.map(|McapiName { node, .. }| node)).collect();
    assert_eq!(ways, [[1, 3], [2, 3], [3, 1], [3, 2]]);
    let words = t.describe();
    let line = "MCAPI between guests of board a goes through its memory, with 1188 KiB";
    assert!(words.lines().any(|l| l == line), "{words}");
    assert!(!words.contains("board b"), "{words}");
}

/// Links from node to node need no link to a switch beside them, and are for those two alone.
#[test]
fn two_guests_of_a_board_may_be_linked_by_its_memory() {
    let text = |links: &str| {
        format!(
            "name: linked\nboards: {{ a: {{ shared-memory: 4MiB, transport: links }} }}\nnodes:\n\
             \x20 n0: {{ board: a, role: compute }}\n\
             \x20 n1: {{ board: a, role: compute }}\n\
             \x20 n2: {{ board: a, role: compute }}\n\
             links: [{links}]\nrun: {{ program: ./p.c }}\n"
        )
    };
    let parse = |links: &str| {
        topology::parse("linked.yaml", &text(links)).unwrap_or_else(|e| panic!("{e}"))
    };
    let t = parse("{ between: [n2, n0], transport: shm }");
    assert_eq!(sharers(&t), [(0, 2), (2, 0)]);
    let words = t.describe();
    let line = "MCAPI between n2 and n0 goes through the memory of board a";
    assert!(words.lines().any(|l| l == line), "{words}");
    let t = parse("");
    assert_eq!((sharers(&t), t.links.len()), (vec![], 3));
}
