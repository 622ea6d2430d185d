use crate::{Body, Suite, WORDS, cases, expected, link, run, runner};
use alloc::collections::BTreeSet;
use runtime::{Args, Distribution, Rank, sequential};
use runtime_driver::layout::Sizes;

// Bodies of ranks run on a rank's heap.
#[global_allocator]
static ALLOCATOR: runtime_linux::RankAllocator = runtime_linux::ALLOCATOR;

#[test]
fn every_case_that_needs_nobody_holds() {
    for case in cases() {
        if let Body::Alone(body) = case.body {
            assert_eq!(body(), Ok(()), "{}: {}", case.suite.name(), case.name);
        }
    }
}

fn program(rank: &mut Rank, _: &Args) {
    let lines = run(rank, Suite::ALL, 2).unwrap();
    rank.report(&[], format_args!("{lines}"));
}

#[test]
fn every_case_holds_on_a_rank_that_is_alone() {
    let sizes = Sizes { heap_bytes: 16 << 20, ..Sizes::default() };
    let report = sequential::run(program, &Args::default(), sizes).unwrap();
    assert_eq!(report.text, expected(Suite::ALL));
}

#[test]
fn words_that_are_not_as_they_should_be_are_noticed() {
    fn program(rank: &mut Rank, _: &Args) {
        let mut words = rank.alloc::<u64>(WORDS, Distribution::Block).unwrap();
        // These count on from what is there.
        for name in
            ["lock hand-over", "false sharing", "data that migrates", "a ring", "many locks"]
        {
            let case = cases().find(|case| case.name.starts_with(name)).unwrap();
            let Body::Ranks(body) = case.body else { panic!("{name}") };
            (0..WORDS).for_each(|i| words.set(rank, i, 77));
            let why = body(rank, &mut words).unwrap_err();
            rank.print(format_args!("{why}"));
        }
    }
    let report = sequential::run(program, &Args::default(), Sizes::default()).unwrap();
    let why = ["the counter is 137, should be 60", "a count is 82, should be 5"];
    assert_eq!((report.printed.len(), &report.printed[..2]), (5, &why.map(Into::into)[..]));
}

#[test]
fn a_case_that_does_not_hold_is_named_with_its_reason() {
    let line = runner::line(&link::CASES[0], Some("here"), Err("of this".into()));
    let name = link::CASES[0].name;
    assert_eq!(line, alloc::format!("link: {name}, here: FAILED: of this\n"));
}

#[test]
fn names_differ_and_every_suite_has_cases() {
    let names: BTreeSet<_> = cases().map(|case| (case.suite.name(), case.name)).collect();
    assert_eq!(names.len(), cases().count());
    for suite in Suite::ALL {
        assert!(cases().any(|case| case.suite == *suite), "{}", suite.name());
    }
}
