//! Links and machines that verbs and faults do something to.

use super::*;
use crate::plan::{CablePlan, Target};
use crate::switch::LinkAction;
use images_control::sim::{SimCable, SimLink};
use images_control::{Nic, Transport};
use netem::Change;

fn ask(story: &mut Story, request: Request) -> Vec<Action> {
    story.tell(Event::Client { client: CLIENT, request })
}

fn done(actions: &[Action]) -> String {
    match &replies(actions, CLIENT)[..] {
        [.., Response::Done { text }] => text.clone(),
        _ => panic!("{actions:?}"),
    }
}

/// What is done to which link.
fn links(actions: &[Action]) -> Vec<(usize, LinkAction)> {
    let link = |a: &Action| match a {
        Action::Link { line, what } => Some((*line, what.clone())),
        _ => None,
    };
    actions.iter().filter_map(link).collect()
}

fn cut(link: &str, one_way: Option<&str>) -> Request {
    Request::Cut { link: link.to_owned(), one_way: one_way.map(str::to_owned) }
}

fn degrade(link: &str, direction: Option<&str>, changes: &[&str]) -> Request {
    let direction = direction.map(str::to_owned);
    let changes = changes.iter().map(|change| (*change).to_owned()).collect();
    Request::Degrade { link: link.to_owned(), direction, changes }
}

/// A cluster of guests, all links of which pass the switch.
fn guests() -> Plan {
    let mut plan = Plan { backend: Backend::Qemu, ..plan() };
    for node in &mut plan.nodes {
        let (mac, address) = (node.mac.clone(), node.address.clone());
        node.nic = Some(Nic { mac, address, prefix: 24, mtu: 1500, fd: None });
    }
    plan
}

#[test]
fn a_link_is_cut_by_any_of_its_names_one_way_or_both_and_healed() {
    let mut plan = guests();
    plan.nodes[2].node_first = false;
    let mut story = Story::up(plan);
    let actions = ask(&mut story, cut("n1", None));
    assert_eq!(links(&actions), [(1, LinkAction::Cut { up: true, down: true })]);
    assert_eq!(done(&actions), "n1-sw0 is cut");
    assert_eq!(story.status_of(1), "cut off");
    let actions = ask(&mut story, cut("sw0-n2", Some("a-to-b")));
    assert_eq!(links(&actions), [(2, LinkAction::Cut { up: false, down: true })]);
    assert_eq!(done(&actions), "n2-sw0 is cut from the switch to the node");
    assert_eq!(story.status_of(2), "deaf");
    let actions = ask(&mut story, Request::Heal { link: Some("n1-sw0".to_owned()) });
    assert_eq!(links(&actions), [(1, LinkAction::Heal)]);
    assert_eq!(
        (story.status_of(1), done(&actions)),
        ("ready".into(), "n1-sw0 is as in the file".into())
    );
    let actions = ask(&mut story, Request::Heal { link: None });
    assert_eq!(links(&actions).len(), 4);
    assert_eq!(done(&actions), "all links are as in the file");
}

#[test]
fn a_link_changes_in_what_is_named_and_in_one_direction_if_asked() {
    let mut story = Story::up(guests());
    let actions = ask(&mut story, degrade("n0", Some("up"), &["delay=10ms", "loss=1%"]));
    let up = Change {
        delay_ns: Some(10_000_000),
        loss: Some(netem::Loss::Random(0.01)),
        ..Change::default()
    };
    let changes = LinkAction::Change(Box::new([up, Change::default()]));
    assert_eq!(links(&actions), [(0, changes)]);
    assert_eq!(done(&actions), "n0-sw0: up: delay 10ms, loss 1%");
    assert_eq!(story.status_of(0), "ready", "it is still there");
}

#[test]
fn what_cannot_be_done_to_a_link_is_refused_with_a_remedy() {
    let refusal = |plan: Plan, request: Request| {
        let actions = ask(&mut Story::up(plan), request);
        assert_eq!(links(&actions), []);
        failure(&actions, CLIENT)
    };
    let (exit, reason) = refusal(guests(), cut("n9", None));
    let names = "n0-sw0, n1-sw0, n2-sw0, n3-sw0";
    assert_eq!((exit, reason), (EXIT_USAGE, format!("no link n9: there are {names}")));
    let (_, reason) = refusal(guests(), degrade("n0", None, &["delay=10"]));
    assert!(reason.starts_with("delay: \"10\" has no unit: write `10ms`"), "{reason}");
    let (_, reason) = refusal(guests(), cut("n0", Some("left")));
    assert_eq!(reason, "no direction left: write up, down, a-to-b or b-to-a");
    let (_, reason) = refusal(plan(), cut("n0", None));
    assert!(reason.starts_with("n0 speaks tcp, which passes no switch"), "{reason}");
    let (_, reason) = refusal(plan(), Request::Pcap { on: true, link: None });
    assert!(reason.starts_with("no frames pass a switch on backend process"), "{reason}");
    let mut ethernet = plan();
    ethernet.nodes.iter_mut().for_each(|n| n.transports = vec![Transport::Ethernet; 4]);
    assert_eq!(links(&ask(&mut Story::up(ethernet), cut("n0", None))).len(), 1);
}

#[test]
fn a_machine_stands_still_and_goes_on() {
    let mut story = Story::up(guests());
    let pause = || Request::Pause { node: "n2".to_owned() };
    let resume = || Request::Resume { node: "n2".to_owned() };
    assert_eq!(done(&ask(&mut story, resume())), "n2 is not paused");
    let actions = ask(&mut story, pause());
    assert!(actions.contains(&Action::Freeze { node: 2, still: true }), "{actions:?}");
    assert_eq!(story.status_of(2), "paused");
    assert_eq!(done(&ask(&mut story, pause())), "n2 stands still already");
    ask(&mut story, Request::Heal { link: Some("n2".to_owned()) });
    assert_eq!(story.status_of(2), "paused", "its link is another matter");
    let actions = ask(&mut story, resume());
    assert!(actions.contains(&Action::Freeze { node: 2, still: false }), "{actions:?}");
    assert_eq!(done(&actions), "n2 goes on");
    ask(&mut story, Request::Kill { node: "n2".to_owned() });
    let (_, reason) = failure(&ask(&mut story, pause()), CLIENT);
    assert_eq!(reason, "n2 is dead: start it again with `understudy reboot n2`");
}

#[test]
fn recording_is_asked_of_those_who_hold_the_frames() {
    let mut story = Story::up(guests());
    let actions = ask(&mut story, Request::Pcap { on: true, link: Some("n3".to_owned()) });
    assert_eq!(actions, [Action::Pcap { client: CLIENT, lines: vec![3], on: true }]);
    let actions = ask(&mut story, Request::Pcap { on: false, link: None });
    assert_eq!(actions, [Action::Pcap { client: CLIENT, lines: vec![0, 1, 2, 3], on: false }]);
}

#[test]
fn a_link_that_a_fault_degrades_does_what_the_fault_says() {
    let mut plan = guests();
    let change = Change { duplicate: Some(0.5), ..Change::default() };
    let changes = Box::new([Change::default(), change]);
    let fault = &mut plan.faults[0];
    (fault.strike, fault.target) = (Strike::Degrade, Target::Node(3));
    (fault.at, fault.changes) = (Trigger::Time { us: 0 }, Some(changes.clone()));
    let mut story = Story::up(plan);
    ask(&mut story, Request::Run);
    let actions = story.tell(Event::Reference(Ok("right".to_owned())));
    assert_eq!(links(&actions), [(3, LinkAction::Change(changes))]);
}

/// The same with two nodes on a second switch, and a cable.
fn two_switches() -> Plan {
    let mut plan = guests();
    plan.switches.push(crate::plan::tests::switch("sw1"));
    (plan.nodes[2].switch, plan.nodes[3].switch) = (1, 1);
    let (up, down) = (topology::Link::PERFECT, topology::Link::PERFECT);
    let (name, near) = ("trunk".to_owned(), vec![0, 1]);
    let sim = SimCable { name: name.clone(), link: SimLink::default(), near };
    plan.cables.push(CablePlan { name, ends: [0, 1], vlans: None, up, down, sim });
    plan
}

#[test]
fn a_cable_is_cut_degraded_recorded_and_healed_by_its_name() {
    let mut story = Story::up(two_switches());
    let actions = ask(&mut story, cut("trunk", None));
    assert_eq!(links(&actions), [(4, LinkAction::Cut { up: true, down: true })]);
    assert_eq!(done(&actions), "trunk is cut");
    assert_eq!(story.status_of(0), "ready", "nobody is away for that");
    let actions = ask(&mut story, cut("trunk", Some("b-to-a")));
    assert_eq!(links(&actions), [(4, LinkAction::Cut { up: false, down: true })]);
    assert_eq!(done(&actions), "trunk is cut from sw1 to sw0");
    let actions = ask(&mut story, degrade("trunk", Some("a-to-b"), &["delay=1ms"]));
    assert_eq!(done(&actions), "trunk: to sw1: delay 1ms");
    let actions = ask(&mut story, Request::Pcap { on: true, link: Some("trunk".to_owned()) });
    assert_eq!(actions, [Action::Pcap { client: CLIENT, lines: vec![4], on: true }]);
    let actions = ask(&mut story, Request::Heal { link: None });
    assert_eq!(links(&actions).len(), 5);
    let (_, reason) = failure(&ask(&mut story, cut("trunk", Some("up"))), CLIENT);
    assert_eq!(reason, "a cable has no direction up: write a-to-b or b-to-a");
    let (_, reason) = failure(&ask(&mut story, cut("trnk", None)), CLIENT);
    assert!(reason.ends_with("n3-sw1, trunk"), "{reason}");
    let tcp = Plan { backend: Backend::Process, ..two_switches() };
    let (_, reason) = failure(&ask(&mut Story::up(tcp), cut("trunk", None)), CLIENT);
    assert!(reason.starts_with("n0 speaks tcp, which passes no switch"), "{reason}");
}

#[test]
fn a_fault_cuts_a_cable_for_a_while() {
    let mut plan = two_switches();
    let fault = &mut plan.faults[0];
    (fault.strike, fault.target) = (Strike::Cut(topology::Way::Both), Target::Cable(0));
    fault.at = Trigger::Time { us: 0 };
    let mut story = Story::up(plan);
    ask(&mut story, Request::Run);
    let actions = story.tell(Event::Reference(Ok("right".to_owned())));
    assert_eq!(links(&actions), [(4, LinkAction::Cut { up: true, down: true })]);
}

#[test]
fn who_was_back_before_anyone_missed_it_did_not_die() {
    let mut story = Story::running(guests());
    ask(&mut story, Request::Pause { node: "n3".to_owned() });
    ask(&mut story, Request::Resume { node: "n3".to_owned() });
    story.checkpoint(1);
    story.checkpoint(2);
    story.takeover();
    story.checkpoint_on([0, 3, 2], 3);
    let result = verdict(&story.done([0, 3, 2], "right"));
    let dead: Vec<&str> = result.deaths.iter().map(|death| death.node.as_str()).collect();
    assert_eq!(dead, ["n1"], "recovered from, it was its death alone");
}

/// Its rank goes back to a checkpoint with all others when another node dies: that is no takeover.
#[test]
fn who_was_not_missed_takes_over_from_nobody() {
    let mut story = Story::running(guests());
    ask(&mut story, Request::Pause { node: "n0".to_owned() });
    ask(&mut story, Request::Resume { node: "n0".to_owned() });
    story.checkpoint(1);
    story.checkpoint(2);
    story.takeover();
    story.say(0, NodeEvent::RolledBack { rank: Rank(0), epoch: Epoch(2), taken_over: false });
    story.say(0, NodeEvent::Resumed { view: ViewId(2), job: Job(1), epoch: Epoch(2) });
    story.checkpoint_on([0, 3, 2], 3);
    let result = verdict(&story.done([0, 3, 2], "right"));
    let dead: Vec<&str> = result.deaths.iter().map(|death| death.node.as_str()).collect();
    assert_eq!(dead, ["n1"]);
}

/// Ranks that begin after a node fell silent do not go on without it.
#[test]
fn nobody_recovers_from_a_death_before_it_is_noticed() {
    let mut story = Story::running(guests());
    ask(&mut story, Request::Pause { node: "n1".to_owned() });
    story.say(0, NodeEvent::Resumed { view: ViewId(9), job: Job(1), epoch: Epoch(0) });
    let result = verdict(&story.done([0, 1, 2], "right"));
    assert_eq!(result.deaths[0].resumed_us, None);
}

/// A machine that starts again mends no link: whoever waits for it to come back is told what keeps it.
#[test]
fn a_node_that_starts_again_behind_a_cut_link_says_what_it_waits_for() {
    let reboot = |story: &mut Story| {
        let mut actions = ask(story, Request::Reboot { node: "n3".to_owned() });
        actions.extend(story.tell(Event::Exited { node: 3, status: "signal: 9".to_owned() }));
        let told = "n3 is cut off still: it is no member before `understudy heal n3`";
        let note = Response::Note { text: told.to_owned() };
        assert!(replies(&actions, CLIENT).contains(&note), "{actions:?}");
        story.tell(Event::Spawned { node: 3, pid: 101 });
        story.hello(3, "same");
        assert_eq!(story.status_of(3), "cut off");
        ask(story, Request::Heal { link: Some("n3".to_owned()) });
        assert_eq!(story.status_of(3), "rejoining");
    };
    let mut story = Story::up(guests());
    ask(&mut story, cut("n3", None));
    reboot(&mut story);
    // Cut while it was dead.
    ask(&mut story, Request::Kill { node: "n3".to_owned() });
    ask(&mut story, cut("n3", None));
    assert_eq!(story.status_of(3), "dead");
    reboot(&mut story);
}
