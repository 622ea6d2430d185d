use super::{bytes, folded, ratio, result, table_within, time};
use crate::result::{Check, Checkpoint, Death, NodeResult, RankResult, RunResult};

pub(crate) fn run() -> RunResult {
    RunResult {
        cluster: "c".to_owned(),
        job: 1,
        backend: "process".to_owned(),
        machine: "m".to_owned(),
        on_mcapi: false,
        workload: "laplace".to_owned(),
        nodes: vec![NodeResult {
            name: "n0".to_owned(),
            role: "compute".to_owned(),
            boot_us: Some(2_345_678),
            end: "rank 0".to_owned(),
            kept_bytes: Some(5 << 20),
            kept_limit: 40 << 20,
        }],
        checkpoints: vec![
            Checkpoint {
                epoch: 1,
                dirty_bytes: 1000,
                sent_bytes: 1010,
                blocked_us: 7,
                ..Checkpoint::default()
            },
            Checkpoint {
                epoch: 2,
                dirty_bytes: 1000,
                sent_bytes: 1090,
                protocol_bytes: 90,
                blocked_us: 900,
                frozen_us: 300,
                overlapped_us: 4_200,
                copied_pages: 17,
                spared_pages: 23,
            },
        ],
        deaths: vec![Death { node: "n1".to_owned(), at_us: 1_000_000, ..Death::default() }],
        results: vec![RankResult { rank: 0, sha256: "ab".to_owned() }],
        started_us: Some(9_000_000),
        run_us: 61_000_000,
        blows: Vec::new(),
        pass: false,
        checks: vec![Check {
            expected: "the job is done".to_owned(),
            seen: "no node said anything".to_owned(),
            holds: false,
        }],
        unkept: None,
    }
}

#[test]
fn the_table_says_what_was_measured() {
    let text = result(&run());
    for part in [
        "n0",
        "2.35 s",
        "5.0 MiB of 40.0 MiB",
        "1.9 KiB",
        "2.0 KiB",
        "90 B",
        "1.05",
        "0.9 ms",
        "0.3 ms",
        "4.2 ms",
        "17",
        "23",
        "61.00 s",
        "NO",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    assert!(text.ends_with("verdict: FAIL\n"), "{text}");
}

#[test]
fn a_death_without_takeover_has_gaps_not_zeros() {
    let text = result(&run());
    let line = text.lines().find(|l| l.contains("n1")).unwrap();
    assert_eq!(line.matches('–').count(), 5, "{line}");
}

#[test]
fn sizes_and_times_carry_their_unit() {
    assert_eq!([bytes(1023), bytes(1024), bytes(3 << 19)], ["1023 B", "1.0 KiB", "1.5 MiB"]);
    assert_eq!([time(None), time(Some(1_500)), time(Some(1_500_000))], ["–", "1.5 ms", "1.50 s"]);
    assert_eq!([ratio(1, 0), ratio(105, 100)], ["–", "1.05"]);
}

#[test]
fn on_a_narrow_terminal_a_table_goes_on_below() {
    let cells = ["the result of the sequential program, bit for bit", "the same: sha256 f02ee787"];
    let lines = |width| {
        let mut rows = table_within(&["expected", "seen"], width);
        rows.add_row(cells);
        rows.lines().collect::<Vec<_>>()
    };
    let wide = lines(None);
    assert_eq!(wide.len(), 5, "a row, the header and their borders: {wide:#?}");
    for width in [30, 50] {
        let narrow = lines(Some(width));
        assert!(narrow.len() > 5, "{narrow:#?}");
        let longest = narrow.iter().map(|line| line.chars().count()).max();
        assert!(longest <= Some(width.into()), "{narrow:#?}");
        let text = narrow.join(" ").replace(['│', '\n'], " ");
        let said: Vec<&str> = text.split_whitespace().collect();
        for word in cells.iter().flat_map(|cell| cell.split(' ')) {
            assert!(said.contains(&word), "no {word} in {narrow:#?}");
        }
    }
}

#[test]
fn a_long_reason_is_folded_between_words() {
    assert_eq!(folded("no program: run `make`\nor not", 11), "no program:\nrun `make`\nor not");
    assert_eq!(folded("/a/long/path is it", 5), "/a/long/path\nis it");
    assert_eq!(folded("", 5), "");
}
