mod awaited;
mod change;
mod links;
mod story;

use super::{Action, Dispatcher, Event, OWNER};
use crate::plan::{Backend, Plan, Wanted, tests::plan};
use crate::proto::{EXIT_TESTBED, EXIT_USAGE, Request, Response};
use crate::result::RunResult;
use images_control::sim::Trigger;
use images_control::{FromNode, Hold, ToNode, VERSION};
use runtime_core::event::{Counters, Event as NodeEvent};
use runtime_core::id::{Epoch, Job, NodeId, Rank, ViewId};
use runtime_core::node::Image;
use std::time::Duration;
use topology::Strike;

const CLIENT: u64 = 7;

/// A cluster told as a story: every step is a millisecond later.
struct Story {
    dispatcher: Dispatcher,
    now: Duration,
}

impl Story {
    fn new(plan: Plan) -> Self {
        Self {
            dispatcher: Dispatcher::new(plan, "a machine".to_owned(), false),
            now: Duration::ZERO,
        }
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        self.now += Duration::from_millis(1);
        self.dispatcher.handle(self.now, event)
    }

    fn say(&mut self, node: usize, event: NodeEvent) -> Vec<Action> {
        self.tell(Event::Node { node, message: FromNode::Event { at_us: 0, event } })
    }

    fn status_of(&self, node: usize) -> String {
        self.dispatcher.status().nodes[node].state.clone()
    }

    fn hello(&mut self, node: usize, image: &str) -> Vec<Action> {
        let message = FromNode::Hello { version: VERSION, image: image.to_owned(), uptime_us: 0 };
        self.tell(Event::Node { node, message })
    }

    fn begun(plan: Plan) -> Self {
        let mut story = Self::new(plan);
        let actions = story.tell(Event::Begin { detach: true });
        let spawned = actions.iter().filter(|a| matches!(a, Action::Spawn { .. })).count();
        assert_eq!(spawned, 4);
        for node in 0..4 {
            story.tell(Event::Spawned { node, pid: 100 });
        }
        story
    }

    fn up(plan: Plan) -> Self {
        let mut story = Self::begun(plan);
        for node in 0..4 {
            let actions = story.hello(node, "same");
            assert!(
                actions
                    .iter()
                    .any(|a| matches!(a, Action::Send { node: n, message: ToNode::Configure(c) }
                    if *n == node && usize::from(c.node) == node))
            );
        }
        let mut actions = Vec::new();
        for node in 0..4 {
            actions = story.say(node, NodeEvent::Ready { view: ViewId(1) });
        }
        assert!(matches!(&replies(&actions, OWNER)[..], [.., Response::Up { .. }]));
        story
    }

    fn running(plan: Plan) -> Self {
        let mut story = Self::up(plan);
        let actions = story.tell(Event::Client { client: CLIENT, request: Request::Run });
        assert!(actions.iter().any(|a| matches!(a, Action::Reference(_))), "{actions:?}");
        let actions = story.tell(Event::Reference(Ok("right".to_owned())));
        let told = |a: &&Action| matches!(a, Action::Send { message: ToNode::Run(_), .. });
        assert_eq!(actions.iter().filter(told).count(), 4);
        story
    }

    fn checkpoint(&mut self, epoch: u64) -> Vec<Action> {
        self.checkpoint_on([0, 1, 2], epoch)
    }

    fn checkpoint_on(&mut self, hosts: [usize; 3], epoch: u64) -> Vec<Action> {
        let epoch = Epoch(epoch);
        for node in hosts {
            let (shared_pages, private_pages) = (1, 1);
            let (dirty_bytes, sent_bytes) = (8192, 8300);
            self.say(
                node,
                NodeEvent::CheckpointStaged {
                    epoch,
                    shared_pages,
                    private_pages,
                    dirty_bytes,
                    page_bytes: 8192,
                    sent_bytes,
                    copied_pages: 1,
                    spared_pages: 0,
                },
            );
        }
        let (blocked_us, waited_us, overlapped_us) = (5, 3, 9);
        let commit = NodeEvent::CheckpointCommitted { epoch, blocked_us, waited_us, overlapped_us };
        let mut actions = Vec::new();
        for node in hosts {
            actions.extend(self.say(node, commit.clone()));
        }
        actions
    }

    fn done(&mut self, hosts: [usize; 3], hash: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        for (rank, node) in (0..).zip(hosts) {
            let (job, bytes, sha256) = (1, 8, hash.to_owned());
            let message = FromNode::Report { job, rank, bytes, sha256, text: String::new() };
            self.tell(Event::Node { node, message });
            let counters = Counters::default();
            actions = self.say(node, NodeEvent::JobDone { job: Job(1), counters });
        }
        actions
    }

    /// The standby takes over from `n1`.
    fn takeover(&mut self) {
        let (peer, reason) = (NodeId(1), "silence".to_owned());
        self.say(0, NodeEvent::Suspected { peer, reason, silent_us: 1 });
        let members = vec![NodeId(0), NodeId(2), NodeId(3)];
        let ranks = vec![NodeId(0), NodeId(3), NodeId(2)];
        let view = ViewId(2);
        self.say(0, NodeEvent::View { view, coordinator: NodeId(0), members, ranks });
        let taken_over = vec![Rank(1)];
        self.say(3, NodeEvent::Recovering { view, job: Job(1), epoch: Epoch(2), taken_over });
        let (rank, epoch) = (Rank(1), Epoch(2));
        self.say(3, NodeEvent::RolledBack { rank, epoch, taken_over: true });
        self.say(0, NodeEvent::Resumed { view, job: Job(1), epoch });
    }
}

fn replies(actions: &[Action], to: u64) -> Vec<Response> {
    let to_client = |a: &Action| match a {
        Action::Reply { client, response } if *client == to => Some(response.clone()),
        _ => None,
    };
    actions.iter().filter_map(to_client).collect()
}

fn killed(actions: &[Action]) -> Vec<usize> {
    let node = |a: &Action| if let Action::Kill { node } = a { Some(*node) } else { None };
    actions.iter().filter_map(node).collect()
}

fn verdict(actions: &[Action]) -> RunResult {
    match replies(actions, CLIENT).pop() {
        Some(Response::Verdict { result }) => *result,
        other => panic!("no verdict but {other:?}"),
    }
}

fn failure(actions: &[Action], client: u64) -> (u8, String) {
    match replies(actions, client).into_iter().find(|r| matches!(r, Response::Failed { .. })) {
        Some(Response::Failed { exit, reason, .. }) => (exit, reason),
        _ => panic!("no failure in {actions:?}"),
    }
}

#[test]
fn a_killed_node_is_taken_over_and_the_verdict_holds() {
    let mut story = Story::running(plan());
    assert!(killed(&story.checkpoint(1)).is_empty());
    assert_eq!(killed(&story.checkpoint(2)), [1]);
    story.takeover();
    story.checkpoint_on([0, 3, 2], 3);
    let result = verdict(&story.done([0, 3, 2], "right"));
    assert!(result.pass, "{:?}", result.checks);
    assert_eq!(result.checkpoints.len(), 3);
    assert_eq!(result.bytes(), (3 * 3 * 8192, 3 * 3 * 8300));
    let death = &result.deaths[0];
    assert_eq!((death.node.as_str(), death.rank, death.epoch), ("n1", Some(1), Some(2)));
    assert_eq!(death.by.as_deref(), Some("n3"));
    let times = [death.detected_us, death.takeover_us, death.resumed_us].map(Option::unwrap);
    assert!(times.is_sorted() && times[0] > 0, "{times:?}");
}

#[test]
fn a_paused_node_stands_still_and_its_rank_is_taken_over_until_it_goes_on() {
    let mut plan = plan();
    plan.faults[0].strike = Strike::Pause;
    let mut resume = plan.faults[0].clone();
    resume.strike = Strike::Resume;
    resume.item = 1;
    resume.at = Trigger::Event { event: "resumed".to_owned(), node: Some(0), number: None, nth: 1 };
    plan.faults.push(resume);
    let mut story = Story::running(plan);
    story.checkpoint(1);
    let still = |actions: &[Action], node, still| actions.contains(&Action::Freeze { node, still });
    assert!(still(&story.checkpoint(2), 1, true));
    assert_eq!(story.status_of(1), "paused");
    story.takeover();
    assert_eq!(story.status_of(1), "ready");
    let result = verdict(&story.done([0, 3, 2], "right"));
    assert!(result.pass, "{:?}", result.checks);
    assert_eq!(result.deaths[0].by.as_deref(), Some("n3"));
}

#[test]
fn one_wrong_bit_is_a_fail() {
    let mut story = Story::running(plan());
    story.checkpoint(1);
    story.checkpoint(2);
    story.takeover();
    let result = verdict(&story.done([0, 3, 2], "wrong"));
    assert!(!result.pass);
    assert!(!result.checks[2].holds && result.checks[2].seen.contains("not right"));
}

#[test]
fn a_fault_that_never_happened_is_a_fail() {
    let mut story = Story::running(plan());
    story.checkpoint(1);
    let result = verdict(&story.done([0, 1, 2], "right"));
    assert!(!result.pass);
    assert!(!result.checks[1].holds, "{:?}", result.checks);
}

#[test]
fn a_node_that_rolls_back_is_not_done_any_more() {
    let mut story = Story::running(plan());
    let counters = Counters::default();
    story.say(0, NodeEvent::JobDone { job: Job(1), counters });
    story.say(0, NodeEvent::RolledBack { rank: Rank(0), epoch: Epoch(0), taken_over: false });
    story.say(1, NodeEvent::JobDone { job: Job(1), counters });
    let actions = story.say(2, NodeEvent::JobDone { job: Job(1), counters });
    assert_eq!(replies(&actions, CLIENT), []);
    let actions = story.say(0, NodeEvent::JobDone { job: Job(1), counters });
    assert_eq!(replies(&actions, CLIENT).len(), 1);
}

#[test]
fn a_held_node_dies_where_it_stands() {
    let mut plan = plan();
    plan.faults[0].hold = Some(Hold {
        event: "checkpoint-committed".to_owned(),
        number: Some(2),
        nth: 1,
        still: true,
    });
    let mut story = Story::running(plan);
    assert!(killed(&story.checkpoint(2)).is_empty());
    let message = FromNode::Held { at: "checkpoint-committed".to_owned() };
    assert_eq!(killed(&story.tell(Event::Node { node: 1, message })), [1]);
}

#[test]
fn a_timed_fault_has_a_deadline_and_fires_at_it() {
    let mut plan = plan();
    plan.faults[0].at = Trigger::Time { us: 5_000 };
    let mut story = Story::running(plan);
    let due = story.dispatcher.deadline().unwrap();
    assert_eq!(due, story.now + Duration::from_millis(5));
    assert!(killed(&story.tell(Event::Tick)).is_empty());
    story.now = due;
    assert_eq!(killed(&story.tell(Event::Tick)), [1]);
}

#[test]
fn a_node_with_another_image_is_refused() {
    let mut story = Story::begun(plan());
    story.hello(0, "one");
    let actions = story.hello(1, "other");
    let (exit, reason) = failure(&actions, OWNER);
    assert_eq!(exit, EXIT_TESTBED);
    assert!(reason.contains("n1 runs image other"), "{reason}");
    assert_eq!(actions.last(), Some(&Action::Stop));
}

/// `n1` and `n3` are bare metal.
fn mixed(backend: Backend) -> Plan {
    let mut plan = plan();
    plan.backend = backend;
    for node in [1, 3] {
        plan.nodes[node].image = Image::BareMetal;
    }
    plan
}

#[test]
fn images_are_compared_between_nodes_of_one_kind() {
    let mut story = Story::begun(mixed(Backend::Qemu));
    for (node, image) in [(0, "linux"), (1, "metal"), (2, "linux")] {
        let actions = story.hello(node, image);
        assert!(!actions.contains(&Action::Stop), "{actions:?}");
    }
    let (exit, reason) = failure(&story.hello(3, "other"), OWNER);
    assert_eq!(exit, EXIT_TESTBED);
    assert!(reason.contains("n3 runs image other, another node runs metal"), "{reason}");
}

#[test]
fn processes_all_run_the_same_program_whatever_the_file_says() {
    let mut story = Story::new(mixed(Backend::Process));
    let actions = story.tell(Event::Begin { detach: true });
    let notes: Vec<String> = (replies(&actions, OWNER).into_iter())
        .filter_map(|r| if let Response::Note { text } = r { Some(text) } else { None })
        .collect();
    assert_eq!(notes[1..], ["n1, n3: bare-metal runs as a Linux process on this backend"]);
    story.hello(0, "one");
    assert!(failure(&story.hello(1, "other"), OWNER).1.contains("n1 runs image other"));
}

#[test]
fn a_node_that_stays_silent_is_named() {
    let mut story = Story::begun(plan());
    for node in [0, 1, 3] {
        story.hello(node, "same");
    }
    story.now = story.dispatcher.deadline().unwrap();
    let actions = story.tell(Event::Tick);
    let (exit, reason) = failure(&actions, OWNER);
    assert_eq!(exit, EXIT_TESTBED);
    assert!(reason.starts_with("node n2 did not boot"), "{reason}");
    assert_eq!(actions.last(), Some(&Action::Stop));
}

#[test]
fn a_node_that_panics_in_a_run_ends_it_all() {
    let mut story = Story::running(plan());
    let message =
        FromNode::Panic { message: "index out of bounds".to_owned(), backtrace: vec![3, 4] };
    let actions = story.tell(Event::Node { node: 2, message });
    let (exit, reason) = failure(&actions, CLIENT);
    assert_eq!((exit, reason.as_str()), (EXIT_TESTBED, "node n2 panicked: index out of bounds"));
    let told =
        |r: &Response| matches!(r, Response::Failed { frames, .. } if frames.addresses == [3, 4]);
    assert!(replies(&actions, CLIENT).iter().any(told), "where it stood is passed on");
    assert_eq!(actions.last(), Some(&Action::Stop));
}

#[test]
fn who_speaks_another_version_is_told_which_side_is_older() {
    for (version, older) in [
        (VERSION - 1, "its program is older: run `make node`"),
        (VERSION + 1, "this command is older"),
    ] {
        let mut story = Story::begun(plan());
        let message = FromNode::Hello { version, image: "same".to_owned(), uptime_us: 0 };
        let actions = story.tell(Event::Node { node: 2, message });
        let (exit, reason) = failure(&actions, OWNER);
        assert_eq!(exit, EXIT_TESTBED);
        let (theirs, ours) =
            (format!("protocol {version}, "), format!("harness {VERSION}: {older}"));
        assert!(reason.contains(&theirs) && reason.contains(&ours), "{reason}");
    }
}

#[test]
fn the_end_of_a_killed_process_is_no_news() {
    let mut story = Story::up(plan());
    let request = Request::Kill { node: "n2".to_owned() };
    assert_eq!(killed(&story.tell(Event::Client { client: CLIENT, request })), [2]);
    let status = "signal: 9".to_owned();
    assert_eq!(story.tell(Event::Exited { node: 2, status }), []);
}

#[test]
fn a_run_without_a_word_is_judged_as_hanging() {
    let mut story = Story::running(plan());
    story.now = story.dispatcher.deadline().unwrap();
    let result = verdict(&story.tell(Event::Tick));
    assert!(!result.pass);
    assert!(result.checks[0].seen.contains("no node said anything"), "{:?}", result.checks[0]);
}

#[test]
fn when_all_members_are_dead_who_was_replaced_does_not_keep_the_run_waiting() {
    let mut story = Story::running(plan());
    story.takeover();
    let mut kill = |node: &str| {
        let request = Request::Kill { node: node.to_owned() };
        story.tell(Event::Client { client: CLIENT + 1, request })
    };
    kill("n0");
    kill("n2");
    let result = verdict(&kill("n3"));
    assert_eq!(result.checks[0].seen, "every member of view 2 is dead");
}

#[test]
fn a_lost_job_is_judged_at_once() {
    let mut story = Story::running(plan());
    let reason = "no copy of rank 1 is left".to_owned();
    let result = verdict(&story.say(0, NodeEvent::JobLost { job: Job(1), reason }));
    assert!(!result.pass);
    assert!(result.checks[0].seen.contains("n0 says: no copy"), "{:?}", result.checks[0]);
}

#[test]
fn a_node_that_ended_says_more_of_a_lost_job_than_those_who_miss_it() {
    let lost = |story: &mut Story| {
        let view = NodeEvent::View {
            view: ViewId(2),
            coordinator: NodeId(0),
            members: vec![NodeId(0), NodeId(2)],
            ranks: vec![NodeId(0), NodeId(2)],
        };
        story.say(0, view);
        let reason = "no standby is left".to_owned();
        story.say(0, NodeEvent::JobLost { job: Job(1), reason })
    };
    let mut story = Story::running(plan());
    assert_eq!(lost(&mut story).iter().filter(|a| matches!(a, Action::Keep(_))).count(), 0);
    let message = FromNode::Failed { reason: "has no room".to_owned() };
    let actions = story.tell(Event::Node { node: 1, message });
    assert!(failure(&actions, CLIENT).1.contains("node n1 has no room"), "{actions:?}");

    // Nothing comes of it.
    let mut story = Story::running(plan());
    lost(&mut story);
    story.now = story.dispatcher.deadline().unwrap();
    let result = verdict(&story.tell(Event::Tick));
    assert!(result.checks[0].seen.contains("n0 says: no standby"), "{:?}", result.checks[0]);
}

#[test]
fn bad_arguments_of_the_workload_leave_the_cluster_up() {
    let mut story = Story::up(plan());
    story.tell(Event::Client { client: CLIENT, request: Request::Run });
    let actions = story.tell(Event::Reference(Err("unknown workload".to_owned())));
    assert_eq!(failure(&actions, CLIENT).0, EXIT_USAGE);
    assert!(!actions.contains(&Action::Stop));
}

#[test]
fn an_owner_that_leaves_before_the_end_takes_the_cluster_with_it() {
    let mut story = Story::begun(plan());
    let actions = story.tell(Event::ClientGone { client: OWNER });
    assert_eq!(actions.last(), Some(&Action::Stop));

    let mut story = Story::up(plan());
    assert_eq!(story.tell(Event::ClientGone { client: OWNER }), []);
}

#[test]
fn a_second_run_while_one_runs_is_refused() {
    let mut story = Story::running(plan());
    let actions = story.tell(Event::Client { client: 9, request: Request::Run });
    assert_eq!(failure(&actions, 9).0, EXIT_USAGE);
}
