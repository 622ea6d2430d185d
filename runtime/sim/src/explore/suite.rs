//! One short case for each promise: what must find fault when a safety step is left out
//! (`runtime_core::sabotage`), and find none when all are taken.

use super::{Fault, Media, Plan, Scenario, When, enumerate, lives};
use crate::model::{self, commit, membership};
use crate::world::{End, Told};
use membership::Bounds;
use runtime_core::event::Event;
use runtime_core::id::{Epoch, NodeId, Rank};
use runtime_core::node::{Binding, Medium};

/// A case: how much it tried, or what broke.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Runs it.
    pub run: fn() -> Result<u64, String>,
}

/// All cases.
pub const SUITE: &[Case] = &[
    Case { name: "lives", run: lives },
    Case { name: "commits, in every order", run: commits },
    Case { name: "views, in every order", run: views },
    Case { name: "damaged copies", run: damaged_copies },
    Case { name: "sleepers", run: sleepers },
    Case { name: "splits", run: splits },
    Case { name: "cuts", run: cuts },
    Case { name: "one death after another", run: one_after_another },
    Case { name: "crashes at every step", run: crashes },
    Case { name: "takeovers at every step", run: takeovers },
    Case { name: "random runs", run: random_runs },
];

/// The first case that finds fault, and what.
#[must_use]
pub fn find_fault() -> Option<(&'static str, String)> {
    SUITE.iter().find_map(|case| Some((case.name, (case.run)().err()?)))
}

fn views() -> Result<u64, String> {
    let bounds = Bounds { deaths: 1, suspicions: 1, trusts: 0, ticks: 0 };
    Ok(model::explore(membership::Cluster::new(2, 1, bounds), 1)?.states)
}

fn commits() -> Result<u64, String> {
    Ok(model::explore(commit::Cluster::new(2, 1, 2, 2, 1), 1)?.states)
}

fn must_be_done(scenarios: impl IntoIterator<Item = Scenario>) -> Result<u64, String> {
    let mut runs = 0;
    for scenario in scenarios {
        let verdict = scenario.check().map_err(|broken| broken.to_string())?;
        if verdict.end != End::Done {
            return Err(format!("{:?}\nreplay: {scenario}", verdict.end));
        }
        runs += 1;
    }
    Ok(runs)
}

fn lives() -> Result<u64, String> {
    let stories = (0..4).flat_map(|seed| [(seed, Medium::Datagram), (seed, Medium::Stream)]);
    stories.map(|(seed, medium)| lives::story(seed, medium)).sum()
}

/// Rank 1 is on n1, its copies on n2 and n0.
fn damaged_copies() -> Result<u64, String> {
    must_be_done((420..640).step_by(20).map(|step| Scenario {
        faults: vec![(step, Fault::Damage(NodeId(2), Rank(1)))],
        crashes: vec![(NodeId(1), When::Step(step + 1))],
        ..Scenario::tour(4, 3, 2, 2)
    }))
}

fn with_fault(seed: u64, medium: Media, step: u64, fault: Fault) -> Scenario {
    Scenario { medium, faults: vec![(step, fault)], ..Scenario::tour(seed * 4, 3, 2, 1) }
}

/// A node is replaced while it stands still, and wakes up.
fn sleepers() -> Result<u64, String> {
    let nodes = (0..5).map(NodeId).zip(1..);
    must_be_done(nodes.map(|(node, seed)| {
        let media = [Media::Stream, Media::Datagram][usize::from(seed % 2 == 0)];
        with_fault(seed, media, 350 + 50 * seed, Fault::Pause(node, 400))
    }))
}

/// What cuts are tried on. Those of streams are seen, and the connections are made again; or they are not, and what
/// is sent meanwhile comes later.
const ROADS: [(Media, bool); 4] =
    [(Media::Datagram, true), (Media::Stream, true), (Media::Stream, false), (Media::Mixed, true)];

/// Two halves, of which none is a majority, wait for each other; of three and two, the three go on.
fn splits() -> Result<u64, String> {
    let mut runs = 0;
    for (medium, death_is_seen) in ROADS {
        let halves = (1..5).map(|seed| Scenario {
            medium,
            death_is_seen,
            faults: vec![(300 + 50 * seed, Fault::Split(NodeId(2), 600))],
            ..Scenario::tour(seed * 4, 3, 1, 1)
        });
        runs += must_be_done(halves)?;
        for seed in 1..5 {
            let parts = with_fault(seed, medium, 350 + 50 * seed, Fault::Split(NodeId(2), 600));
            let parts = Scenario { death_is_seen, ..parts };
            parts.check().map_err(|broken| broken.to_string())?;
            runs += 1;
        }
    }
    Ok(runs)
}

/// Two living nodes cannot reach each other, in one way or in both, for a while or now and then.
fn cuts() -> Result<u64, String> {
    let all = ROADS.iter().flat_map(|road| (1..9).map(move |seed| (*road, seed)));
    must_be_done(all.map(|((medium, death_is_seen), seed)| {
        let pair = u16::try_from(seed).unwrap_or_default();
        let (a, b) = (NodeId(pair % 5), NodeId((pair + 1 + pair / 5) % 5));
        let fault = match seed % 3 {
            0 => Fault::Cut(a, b, 400),
            1 => Fault::OneWay(a, b, 400),
            _ => Fault::Flap(a, b, 5, 30),
        };
        Scenario { death_is_seen, ..with_fault(seed, medium, 350 + 30 * seed, fault) }
    }))
}

/// Each death is survived, if the one before is recovered from.
fn one_after_another() -> Result<u64, String> {
    let pairs = (0..5).flat_map(|one| (1..5).map(move |other| (one, (one + other) % 5)));
    must_be_done(pairs.zip(0..).map(|((one, other), i)| Scenario {
        crashes: vec![
            (NodeId(one), When::Step(400 + 10 * i)),
            (NodeId(other), When::AfterRecovery(1 + 3 * i)),
        ],
        ..Scenario::tour(4, 3, 2, 1)
    }))
}

fn crashes() -> Result<u64, String> {
    let mut runs = 0;
    // In those of seed 8 some links are slow: what goes over them is overtaken by new views.
    let tours = [
        (4, 2, Binding::Mcapi, 5),
        (16, 3, Binding::Sockets, 13),
        (8, 3, Binding::Mcapi, 17),
        (8, 3, Binding::Sockets, 19),
    ];
    for (seed, compute, binding, stride) in tours {
        let scenario = Scenario { binding, ..Scenario::tour(seed, compute, 1, 1) };
        let tally = enumerate(&scenario, Plan::every(stride, 0), &mut |_| {});
        runs += tally.map_err(|broken| broken.to_string())?.runs;
    }
    Ok(runs)
}

/// A rank with two copies dies while an epoch is being staged, and another node while that is recovered from.
fn takeovers() -> Result<u64, String> {
    let mut runs = 0;
    let begun = second_epoch_begins(&Scenario::tour(4, 3, 2, 2));
    // Late enough for some copies to be there, early enough for others not to be.
    for step in (begun..begun + 56).step_by(8) {
        let crashes = vec![(NodeId(1), When::Step(step))];
        let scenario = Scenario { crashes, death_is_seen: false, ..Scenario::tour(4, 3, 2, 2) };
        let tally = enumerate(&scenario, Plan::every(13, 0), &mut |_| {});
        runs += tally.map_err(|broken| broken.to_string())?.runs;
    }
    Ok(runs)
}

/// The step in which a rank begins to stage its second epoch.
fn second_epoch_begins(scenario: &Scenario) -> u64 {
    let mut world = scenario.world();
    let second = Told::Event(Event::CheckpointBegun { epoch: Epoch(2) });
    while world.step().is_none() && world.take_told().iter().all(|(.., told)| *told != second) {}
    world.steps()
}

fn random_runs() -> Result<u64, String> {
    let mut runs = 0;
    for seed in 0..40 {
        Scenario::random(seed, 3, 2).check().map_err(|broken| broken.to_string())?;
        runs += 1;
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::{SUITE, find_fault};
    use runtime_core::sabotage::{Sabotage, Step};
    use std::panic;

    #[test]
    fn the_suite_finds_no_fault_when_every_step_is_taken() {
        for case in SUITE {
            let began = std::time::Instant::now();
            let tried = (case.run)().unwrap_or_else(|fault| panic!("{}: {fault}", case.name));
            println!("{}: {tried} in {:?}", case.name, began.elapsed());
            assert!(tried > 0);
        }
    }

    /// A panic of the core is a fault that was found as well.
    #[test]
    fn the_suite_finds_every_safety_step_that_is_left_out() {
        let mut missed = Vec::new();
        for step in Step::ALL {
            let found = panic::catch_unwind(|| {
                let _sabotage = Sabotage::commit(step);
                find_fault()
            });
            match found {
                Ok(Some((case, fault))) => {
                    println!(
                        "{step} left out: found by {case}: {}",
                        fault.lines().next().unwrap_or_default()
                    );
                }
                Ok(None) => missed.push(step),
                Err(_) => println!("{step} left out: the core gives up"),
            }
        }
        assert!(missed.is_empty(), "nobody misses {missed:?}");
    }
}
