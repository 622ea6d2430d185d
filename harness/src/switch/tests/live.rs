//! Links that change while frames pass, and are recorded.

use super::*;
use crate::switch::LinkAction;
use crate::switch::pcapng::{Captured, tests::read};
use netem::{Change, Loss, Way};

fn delay(ns: u64) -> Change {
    Change { delay_ns: Some(ns), ..Change::default() }
}

/// Which nodes a broadcast of node 0 reaches.
fn reaches(fabric: &mut Fabric, now: u64) -> Vec<usize> {
    let mut seen = collect(|out| fabric.enter(now, 0, &frame(0, 255, 60), out));
    seen.extend(collect(|out| fabric.advance(now + 1_000_000, out)));
    seen.into_iter().map(|(port, _)| port).collect()
}

#[test]
fn a_link_is_cut_one_way_and_healed() {
    let mut fabric = Fabric::new(&plan());
    fabric.act(0, 1, &LinkAction::Cut { up: true, down: false });
    assert_eq!(reaches(&mut fabric, 0), [1, 2, 3], "it still hears");
    let seen = collect(|out| fabric.enter(1, 1, &frame(1, 255, 60), out));
    assert_eq!(seen, [], "but is not heard");
    assert_eq!(fabric.status()[1].link, "cut from the node");
    fabric.act(2, 1, &LinkAction::Cut { up: false, down: true });
    assert_eq!(reaches(&mut fabric, 3), [2, 3]);
    assert_eq!(fabric.status()[1].link, "cut");
    fabric.act(4, 1, &LinkAction::Heal);
    assert_eq!(reaches(&mut fabric, 5), [1, 2, 3]);
    let status = fabric.status().swap_remove(1);
    assert_eq!((status.link.as_str(), status.drops), ("", vec![("cut".to_owned(), 2)]));
}

#[test]
fn a_change_keeps_the_other_values_and_healing_restores_those_of_the_file() {
    let mut plan = plan();
    plan.nodes[0].up.loss = Loss::Random(1.0);
    let mut fabric = Fabric::new(&plan);
    let none = Change { loss: Some(Loss::None), ..delay(700) };
    fabric.act(0, 0, &LinkAction::Change(Box::new([none, Change::default()])));
    fabric.act(0, 0, &LinkAction::Change(Box::new([delay(500), delay(9)])));
    assert_eq!(fabric.status()[0].link, "up: delay 500ns; down: delay 9ns");
    collect(|out| fabric.enter(1000, 0, &frame(0, 255, 60), out));
    assert_eq!(fabric.next_ns(), Some(1500), "no loss any more");
    fabric.act(1500, 0, &LinkAction::Heal);
    assert_eq!(fabric.status()[0].link, "up: loss 100%");
    assert_eq!(reaches(&mut fabric, 2000), [1, 2, 3], "what was on its way arrives");
    assert_eq!(reaches(&mut fabric, 2_000_000), [0; 0]);
}

#[test]
fn only_recorded_links_keep_frames_and_each_says_what_befell_it() {
    let mut plan = plan();
    plan.nodes[1].down.loss = Loss::Random(1.0);
    plan.nodes[2].down.duplicate = 1.0;
    plan.nodes[2].down.delay_ns = 2_500_000;
    let mut fabric = Fabric::new(&plan);
    reaches(&mut fabric, 0);
    assert_eq!(fabric.take_captured(), []);
    for port in 0..3 {
        fabric.tap(port, true);
    }
    collect(|out| fabric.enter(7, 0, &frame(0, 255, 60), out));
    fabric.lost(9, 0, &frame(1, 0, 61), "guest too slow");
    let told = |c: Captured| (c.at_ns, c.line, c.way, c.frame.len(), c.comment.unwrap_or_default());
    let captured: Vec<_> = fabric.take_captured().into_iter().map(told).collect();
    let twice = "frame 1: duplicated: again after 2.500 ms; delayed by 2.500 ms";
    assert_eq!(
        captured,
        [
            (7, 0, Way::Up, 60, String::new()),
            (7, 1, Way::Down, 60, "frame 1: dropped: loss".to_owned()),
            (7, 2, Way::Down, 60, twice.to_owned()),
            (9, 0, Way::Down, 61, "dropped: guest too slow".to_owned()),
        ]
    );
    fabric.tap(0, false);
    fabric.tap(1, false);
    reaches(&mut fabric, 10_000_000);
    assert!(fabric.take_captured().iter().all(|c| c.line == 2));
}

#[test]
fn a_recorded_link_is_a_file_that_readers_of_the_format_understand() {
    let mut plan = plan();
    plan.nodes[1].down.drop =
        Some(netem::DropRule { filter: netem::Filter::default(), which: netem::Which::Nth(2) });
    let (wire, guests) = wire(&plan);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("link.pcapng");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let to = Some((path.clone(), "n1-sw0".to_owned()));
    let begun = runtime.block_on(wire.pcap(1, to.clone())).unwrap();
    assert_eq!(begun, Some(path.clone()));
    let again = runtime.block_on(wire.pcap(1, Some((dir.path().join("x"), String::new()))));
    assert_eq!(again.unwrap(), Some(path.clone()), "it is recorded already");
    for len in [60, 61, 62] {
        guests[0].send(&frame(0, 255, len)).unwrap();
    }
    assert_eq!([receive(&guests[1]).len(), receive(&guests[1]).len()], [60, 62]);
    assert_eq!(runtime.block_on(wire.pcap(1, None)).unwrap(), Some(path.clone()));
    let (interfaces, packets) = read(&std::fs::read(&path).unwrap());
    assert_eq!(interfaces, ["n1-sw0 up: from n1", "n1-sw0 down: to n1"]);
    let told: Vec<_> = packets.iter().map(|p| (p.0, p.2.len(), p.3.clone())).collect();
    let dropped = Some("frame 1: dropped: drop rule".to_owned());
    assert_eq!(told, [(1, 60, None), (1, 61, dropped), (1, 62, None)]);
    assert!(packets.iter().all(|p| p.1 > 1_600_000_000_000_000_000), "times of this century");
    // A file that is there is not written over.
    assert!(runtime.block_on(wire.pcap(1, to)).is_err());
    assert_eq!(runtime.block_on(wire.pcap(1, None)).unwrap(), None);
}
