use super::*;
use membership::Bounds;

fn views(bounds: Bounds) -> u64 {
    let extent = explore(membership::Cluster::new(2, 1, bounds), 1);
    let extent = extent.unwrap_or_else(|fault| panic!("{fault}"));
    println!("views of 2+1, {bounds:?}: {extent}");
    extent.states
}

#[test]
fn three_nodes_agree_on_views_whatever_happens_in_whatever_order() {
    // A death, and a false suspicion, and a timer that rings at any time.
    assert!(views(Bounds { deaths: 1, suspicions: 1, trusts: 0, ticks: 1 }) > 90_000);
    // A death, and a false suspicion that is taken back.
    assert!(views(Bounds { deaths: 1, suspicions: 1, trusts: 1, ticks: 0 }) > 9_000);
    // Nobody dies, and two are suspected.
    assert!(views(Bounds { deaths: 0, suspicions: 2, trusts: 0, ticks: 0 }) > 3_000);
}

fn commits(compute: u16, standby: u16, replicas: usize, epochs: u64) -> u64 {
    let deaths = u8::try_from(replicas).unwrap();
    let first = commit::Cluster::new(compute, standby, replicas, deaths, epochs);
    let extent = explore(first, 1).unwrap_or_else(|fault| panic!("{fault}"));
    println!("commits of {compute}+{standby}, {replicas} copies, {deaths} deaths: {extent}");
    extent.states
}

#[test]
fn a_committed_epoch_is_never_lost_while_no_more_die_than_there_are_copies() {
    assert!(commits(2, 1, 1, 3) > 2_000);
    assert!(commits(2, 1, 2, 2) > 10_000);
}

#[test]
fn a_fault_is_told_from_its_beginning() {
    let bounds = Bounds { deaths: 2, suspicions: 0, trusts: 0, ticks: 0 };
    let fault = explore(Doomed(0, bounds), 1).unwrap_err();
    assert_eq!(fault, "three is too many\n\"one more\"\n\"one more\"\n\"one more\"");
}

#[derive(Clone, Hash)]
struct Doomed(u8, Bounds);

impl Model for Doomed {
    type Action = &'static str;

    fn actions(&self) -> Vec<&'static str> {
        vec!["one more"]
    }

    fn happen(&mut self, _: &&'static str) -> Result<(), String> {
        self.0 += 1;
        if self.0 > 2 { Err("three is too many".into()) } else { Ok(()) }
    }
}
