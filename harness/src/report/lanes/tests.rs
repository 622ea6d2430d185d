use super::{Lanes, State};
use crate::report::story::Story;

/// A node that computes, takes a checkpoint and is killed; and one that takes over.
const EVENTS: &str = r#"{"at_us":0,"node":"n0","harness":"started as process 1"}
{"at_us":1,"node":"n1","harness":"started as process 2"}
{"at_us":10,"node":"n0","message":{"type":"hello","version":1,"image":"abc","uptime_us":5}}
{"at_us":10,"node":"n1","message":{"type":"hello","version":1,"image":"abc","uptime_us":5}}
{"at_us":20,"node":"n0","message":{"type":"event","at_us":1,"event":{"kind":"ready","view":1}}}
{"at_us":20,"node":"n1","message":{"type":"event","at_us":1,"event":{"kind":"ready","view":1}}}
{"at_us":30,"node":"n0","message":{"type":"event","at_us":11,"event":{"kind":"resumed","view":1,"job":1,"epoch":0}}}
{"at_us":30,"node":"n1","message":{"type":"event","at_us":11,"event":{"kind":"resumed","view":1,"job":1,"epoch":0}}}
{"at_us":100,"node":"n0","message":{"type":"event","at_us":50,"event":{"kind":"checkpoint-begun","epoch":1}}}
{"at_us":101,"node":"n0","message":{"type":"event","at_us":70,"event":{"kind":"checkpoint-committed","epoch":1,"blocked_us":5,"waited_us":0,"overlapped_us":15}}}
{"at_us":200,"node":"n0","harness":"killed"}
{"at_us":210,"node":"n1","message":{"type":"event","at_us":200,"event":{"kind":"view","view":2,"coordinator":1,"members":[1],"ranks":[1]}}}
{"at_us":250,"node":"n1","message":{"type":"event","at_us":240,"event":{"kind":"resumed","view":2,"job":1,"epoch":1}}}
"#;

fn states(lanes: &Lanes, node: usize) -> Vec<(State, u64, u64)> {
    let bands = lanes.bands.iter().filter(|band| band.node == node);
    bands.map(|band| (band.state, band.from, band.to)).collect()
}

#[test]
fn bands_follow_a_node_from_boot_to_death_and_its_heir_to_the_rank() {
    let story = Story::read(EVENTS, vec!["n0".to_owned(), "n1".to_owned()]);
    let lanes = Lanes::of(&story, &[0], 300);
    let n0 = states(&lanes, 0);
    assert_eq!(
        n0.iter().map(|(state, ..)| *state).collect::<Vec<_>>(),
        [State::Boot, State::Join, State::Idle, State::Compute, State::Dead]
    );
    assert_eq!(n0.last(), Some(&(State::Dead, 200, 300)));
    let n1 = states(&lanes, 1);
    assert_eq!(n1.last(), Some(&(State::Compute, 250, 300)));
    assert!(n1.contains(&(State::Recover, 210, 250)), "{n1:?}");
    assert_eq!(lanes.bands.last().map(|band| band.text.as_str()), Some("rank 0"));
}

#[test]
fn what_was_reported_late_stands_where_the_nodes_clock_puts_it() {
    let story = Story::read(EVENTS, vec!["n0".to_owned(), "n1".to_owned()]);
    let lanes = Lanes::of(&story, &[0], 300);
    let mark = &lanes.marks[0];
    // Begun 20 µs before the commit, though both arrived within one.
    assert_eq!((mark.from, mark.stopped, mark.to, mark.committed), (81, 86, 101, true));
}
