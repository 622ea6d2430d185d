//! Unit tests of the parts; the whole memory is tested in the simulator against a sequential model.

use super::*;
use crate::node::Distribution;

#[test]
fn a_diff_holds_just_the_bytes_that_changed() {
    let twin = [7u8; PAGE];
    let mut page = twin;
    assert!(diff::make(&twin, &page).is_empty());
    page[0] = 1;
    page[100..120].fill(2);
    page[PAGE - 1] = 3;
    let bytes = diff::make(&twin, &page);
    let runs = diff::parse(&bytes).unwrap();
    assert_eq!(
        runs.iter().map(|(at, run)| (*at, run.len())).collect::<Vec<_>>(),
        [(0, 1), (100, 20), (PAGE - 1, 1)]
    );
    let mut home = [7u8; PAGE];
    for (at, run) in runs {
        home[at..at + run.len()].copy_from_slice(run);
    }
    assert_eq!(home, page);
}

const PAGE: usize = crate::limits::PAGE_SIZE;

#[test]
fn a_diff_with_every_other_byte_changed_fits_its_message() {
    let twin = [0u8; PAGE];
    let mut page = twin;
    page.iter_mut().step_by(2).for_each(|b| *b = 1);
    let bytes = diff::make(&twin, &page);
    assert!(bytes.len() <= 3 * PAGE);
    let message = Message::Diffs(7, alloc::vec![(PageNo(3), bytes)]);
    assert_eq!(Message::parse(&message.emit(), 2), Ok(message));
}

#[test]
fn bad_diffs_are_refused() {
    assert!(diff::parse(&[0]).is_err());
    assert!(diff::parse(&[255, 15, 2, 0, 1, 1]).is_err(), "past the end of the page");
}

#[test]
fn blocks_are_as_equal_as_whole_pages_allow() {
    for (count, ranks) in [(10, 3), (1, 3), (3, 3), (64, 5), (5, 2)] {
        let mut sizes = alloc::vec![0u32; ranks];
        let mut last = 0;
        for i in 0..count {
            let block = pages::block_of(i, count, u32::try_from(ranks).unwrap());
            assert!(block >= last, "blocks are contiguous");
            last = block;
            sizes[usize::try_from(block).unwrap()] += 1;
        }
        let (low, high) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(high - low <= 1, "{count} pages on {ranks} ranks: {sizes:?}");
    }
}

#[test]
fn runs_join_neighbours() {
    let runs: Runs = [1, 2, 3, 7, 9, 10].map(PageNo).into_iter().collect();
    assert_eq!(runs.runs().collect::<Vec<_>>(), [1..4, 7..8, 9..11]);
    assert_eq!(runs.pages().count(), 6);
}

#[test]
fn messages_survive_the_wire_and_cut_ones_are_refused() {
    let runs: Runs = [1, 2, 9].map(PageNo).into_iter().collect();
    let interval = Interval { rank: Rank(1), seq: 4, pages: runs.clone() };
    let alloc = Call::Alloc { bytes: 9, distribution: Distribution::Cyclic(3) };
    let messages = [
        Message::Fetch(PageNo(1), 2),
        Message::Diffs(3, alloc::vec![(PageNo(1), alloc::vec![1, 2])]),
        Message::Touch(PageNo(5)),
        Message::Lock(LockId(2), alloc::vec![1, 2]),
        Message::Unlock(LockId(2), alloc::vec![1, 2], alloc::vec![interval.clone()]),
        Message::Arrive { seq: 1, call: alloc, interval: 3, locks: true, pages: runs.clone() },
        Message::Page(PageNo(7), Box::new([9; PAGE])),
        Message::Applied,
        Message::Home(PageNo(1), Rank(1)),
        Message::Grant(LockId(1), alloc::vec![0, 1], alloc::vec![interval]),
        Message::Release {
            seq: 2,
            outcome: Err(CallError::NoMemory),
            saves: Saves::Held,
            time: alloc::vec![3, 4],
            pages: alloc::vec![runs.clone(), Runs::default()],
        },
    ];
    for message in messages {
        let bytes = message.emit();
        assert_eq!(Message::parse(&bytes, 2), Ok(message));
        for cut in 0..bytes.len() {
            assert!(Message::parse(&bytes[..cut], 2).is_err());
        }
    }
}

#[test]
fn a_snapshot_that_is_wanted_waits_for_a_barrier_without_locks() {
    let mut manager = Manager::new(2);
    let mut seq = 0;
    let mut saves = |manager: &mut Manager, call, locks| {
        seq += 1;
        let arrival = |locks| manager::Arrival { call, interval: 0, locks, pages: Runs::default() };
        assert_eq!(manager.arrive(Rank(1), seq, arrival(locks)), None);
        match manager.arrive(Rank(0), seq, arrival(false)) {
            Some(Message::Release { saves, .. }) => saves,
            other => panic!("{other:?}"),
        }
    };
    let alloc = Call::Alloc { bytes: 1, distribution: Distribution::Block };
    assert_eq!(saves(&mut manager, Call::Barrier, false), Saves::No);
    manager.want_snapshot(false);
    assert_eq!(saves(&mut manager, Call::Barrier, true), Saves::No, "a lock is held");
    assert_eq!(saves(&mut manager, alloc, false), Saves::No, "no barrier");
    assert_eq!(saves(&mut manager, Call::Barrier, false), Saves::Overlapped);
    assert_eq!(saves(&mut manager, Call::Barrier, false), Saves::No, "it was taken");
    manager.want_snapshot(true);
    manager.want_snapshot(false);
    assert_eq!(saves(&mut manager, Call::Checkpoint, false), Saves::Held);
}
