//! Which epoch a recovery goes to, and what it sends, in every state a crash can leave behind.

use super::*;
use crate::id::{Generation, PageNo, ViewId};
use crate::limits::PAGE_SIZE;
use crate::node::{Image, Role};
use crate::wire::{Reader, Writer};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

fn members(boards: &[u16]) -> Vec<Member> {
    boards
        .iter()
        .map(|board| Member { role: Role::Compute, board: *board, image: Image::Linux, host: None })
        .collect()
}

fn view(nodes: u16, ranks: &[u16]) -> View {
    View {
        id: ViewId(2),
        members: (0..nodes).map(|n| (NodeId(n), Generation(1))).collect(),
        ranks: ranks.iter().map(|n| NodeId(*n)).collect(),
    }
}

fn page(byte: u8) -> SealedPage {
    SealedPage::new(Box::new([byte; PAGE_SIZE]))
}

/// All of it, page by page.
fn inspect(store: &mut Store) -> Vec<(Rank, Epoch, PageNo)> {
    let mut inspection = Inspection::new(store);
    let mut found = Vec::new();
    while !inspection.is_over() {
        found.extend(store.inspect(&mut inspection, 1));
    }
    found
}

#[test]
fn partners_sit_on_another_board_and_then_next_in_the_ring() {
    let view = view(4, &[0, 1, 2]);
    assert_eq!(partners(&view, Rank(0), &members(&[0, 0, 0, 0]), 1), [NodeId(1)]);
    assert_eq!(partners(&view, Rank(0), &members(&[0, 0, 1, 1]), 1), [NodeId(2)]);
    assert_eq!(partners(&view, Rank(2), &members(&[0, 0, 0, 0]), 1), [NodeId(0)]);
    assert_eq!(partners(&view, Rank(2), &members(&[0; 4]), 3), [NodeId(0), NodeId(1), NodeId(3)]);
    assert_eq!(partners(&view, Rank(2), &members(&[0; 4]), 9).len(), 3);
}

#[test]
fn a_stage_counts_only_when_whole_and_on_its_own_base() {
    let mut store = Store::default();
    store.stage(Rank(0), Epoch(1), PageNo(3), page(1));
    assert!(store.holdings().whole.is_empty());
    assert!(!store.stage_done(Rank(0), Epoch(1), 2), "a page is missing");
    assert!(store.stage_done(Rank(0), Epoch(1), 1));
    assert_eq!(store.holdings().whole, Set::from([(Rank(0), Epoch(1))]));
    store.commit(Epoch(1));
    store.stage(Rank(0), Epoch(2), PageNo(3), page(2));
    assert_eq!(store.image(Rank(0)).unwrap().pages[&PageNo(3)], page(1));
    store.commit(Epoch(2));
    assert_eq!(store.image(Rank(0)).unwrap().epoch, Epoch(1), "an incomplete stage is no epoch");
    store.stage(Rank(1), Epoch(3), PageNo(0), page(3));
    assert!(
        !store.stage_done(Rank(1), Epoch(3), 1),
        "epoch 3 stands on an epoch 2 that is not here"
    );
}

#[test]
fn a_partner_that_hears_of_the_commit_late_loses_nothing() {
    // A standby is a partner, but not at the barrier: the next stage may overtake the commit.
    let mut store = Store::default();
    for rank in [Rank(0), Rank(1)] {
        store.stage(rank, Epoch(1), PageNo(3), page(1));
        assert!(store.stage_done(rank, Epoch(1), 1));
    }
    store.stage(Rank(0), Epoch(2), PageNo(4), page(2));
    let both = Set::from([(Rank(0), Epoch(1)), (Rank(1), Epoch(1))]);
    assert_eq!((store.committed(), store.holdings().whole), (Epoch(1), both));
    store.commit(Epoch(1));
    assert!(store.stage_done(Rank(0), Epoch(2), 1), "the late word does not end the next stage");
    assert!(store.stage_done(Rank(1), Epoch(2), 0), "nothing changed since, the commit is implied");
    store.commit(Epoch(2));
    let image = store.image(Rank(0)).unwrap();
    assert_eq!((image.epoch, image.pages.len()), (Epoch(2), 2));
    assert_eq!(store.image(Rank(1)).unwrap().epoch, Epoch(2));
}

#[test]
fn a_recovery_goes_to_the_highest_epoch_that_all_ranks_have() {
    let holding = |committed: u64, whole: &[(u16, u64)]| Holdings {
        committed: Epoch(committed),
        whole: whole.iter().map(|(r, e)| (Rank(*r), Epoch(*e))).collect(),
        ran_in: ViewId(1),
        holders: vec![vec![NodeId(0), NodeId(1)], vec![NodeId(1), NodeId(2)]],
        ..Holdings::default()
    };
    let choose = |list: Vec<(u16, Holdings)>| {
        let (view, members) = (view(2, &[0, 1]), members(&[0, 1]));
        let redundancy = Redundancy::Copies(1);
        let placement = Placement { view: &view, members: &members, redundancy };
        choose_epoch(&placement, &list.into_iter().map(|(n, h)| (NodeId(n), h)).collect())
    };
    // Staged everywhere, committed nowhere: somebody dead may have returned from it already.
    let all = holding(0, &[(0, 1), (1, 1)]);
    assert_eq!(choose(vec![(0, all)]), Ok(Epoch(1)));
    // Staged in part: the older one.
    let part = holding(1, &[(0, 1), (1, 1), (0, 2)]);
    assert_eq!(choose(vec![(0, part)]), Ok(Epoch(1)));
    // One has seen the commit and given up the older epoch, one has not.
    let seen = holding(2, &[(0, 2)]);
    let unseen = holding(1, &[(1, 1), (1, 2)]);
    assert_eq!(choose(vec![(0, seen.clone()), (2, unseen)]), Ok(Epoch(2)));
    // Nothing yet.
    assert_eq!(choose(vec![(0, holding(0, &[]))]), Ok(Epoch(0)));
    // Lost: never the wrong answer.
    let lost = choose(vec![(0, seen.clone())]).unwrap_err();
    assert_eq!(
        lost,
        "epoch 2 lost: no living node holds a copy of rank 1 of n1 (the copy on n2 is gone)"
    );
    // The same if who kept it began anew since.
    assert_eq!(choose(vec![(0, seen.clone()), (2, holding(0, &[]))]), Err(lost));
    // One of them ran later, when another kept it.
    let holders = vec![vec![NodeId(0), NodeId(1)], vec![NodeId(1), NodeId(3)]];
    let later = Holdings { ran_in: ViewId(2), holders, ..holding(0, &[]) };
    let lost = choose(vec![(0, seen.clone()), (2, later)]).unwrap_err();
    assert!(lost.ends_with("(the copy on n3 is gone)"), "{lost}");
    let damaged = Set::from([(Rank(1), Epoch(2))]);
    let bad = Holdings { damaged, ..holding(2, &[]) };
    let lost = choose(vec![(0, seen), (2, bad)]).unwrap_err();
    assert_eq!(
        lost,
        "epoch 2 lost: no living node holds a copy of rank 1 of n1 (the copy on n2 is damaged)"
    );
}

#[test]
fn an_epoch_that_was_surely_not_committed_gives_way_to_one_of_which_all_copies_are_there() {
    let holding = |view: u64, keeps: &[u16], whole: &[(u16, u64)]| Holdings {
        committed: Epoch(1),
        whole: whole.iter().map(|(r, e)| (Rank(*r), Epoch(*e))).collect(),
        kept_in: ViewId(view),
        keeps: keeps.iter().copied().map(Rank).collect(),
        ..Holdings::default()
    };
    let choose = |one: Holdings, other: Holdings| {
        let holdings = [(NodeId(1), one), (NodeId(2), other)].into_iter().collect();
        let (view, members) = (view(3, &[0, 1]), members(&[0, 1, 2]));
        let redundancy = Redundancy::Copies(1);
        let placement = Placement { view: &view, members: &members, redundancy };
        choose_epoch(&placement, &holdings)
    };
    let all = [(0, 1), (1, 1), (0, 2), (1, 2)];
    let host = holding(3, &[0, 1], &all);
    assert_eq!(choose(host.clone(), holding(3, &[1], &[(1, 1), (1, 2)])), Ok(Epoch(2)));
    // The partner was to have a copy, and has not: nobody can have heard of a commit.
    let late = holding(3, &[1], &[(1, 1)]);
    assert_eq!(choose(host.clone(), late.clone()), Ok(Epoch(1)));
    // What it was to keep in an older view says nothing.
    assert_eq!(choose(host.clone(), Holdings { kept_in: ViewId(2), ..late.clone() }), Ok(Epoch(2)));
    // It had one, and it was damaged.
    let bad = Holdings { damaged: Set::from([(Rank(1), Epoch(2))]), ..late.clone() };
    assert_eq!(choose(host, bad), Ok(Epoch(2)));
    // There is no older one to go back to.
    let only = holding(3, &[0, 1], &[(0, 2), (1, 2)]);
    assert_eq!(choose(only, late), Ok(Epoch(2)));
}

#[test]
fn a_damaged_copy_is_given_up_and_named() {
    let mut store = Store::default();
    for rank in 0..2 {
        store.stage(Rank(rank), Epoch(1), PageNo(4), page(1));
        store.stage(Rank(rank), Epoch(1), PageNo(9), page(2));
        assert!(store.stage_done(Rank(rank), Epoch(1), 2));
    }
    store.commit(Epoch(1));
    assert!(inspect(&mut store).is_empty());
    assert_eq!(store.damage(Rank(7)), None, "there is no copy to be damaged");
    assert!(store.damage(Rank(1)).is_some());
    assert_eq!(inspect(&mut store), [(Rank(1), Epoch(1), PageNo(9))]);
    let holdings = store.holdings();
    assert_eq!(holdings.whole, Set::from([(Rank(0), Epoch(1))]));
    assert_eq!(holdings.damaged, Set::from([(Rank(1), Epoch(1))]));
    assert!(inspect(&mut store).is_empty(), "said once");
    store.settle(Epoch(1));
    assert!(store.holdings().damaged.is_empty());
}

#[test]
fn what_is_staged_on_a_damaged_epoch_is_given_up_with_it() {
    let mut store = Store::default();
    store.stage(Rank(0), Epoch(1), PageNo(4), page(1));
    assert!(store.stage_done(Rank(0), Epoch(1), 1));
    store.commit(Epoch(1));
    store.stage(Rank(0), Epoch(2), PageNo(5), page(2));
    assert_eq!(store.damage(Rank(0)), Some(Epoch(1)), "the later one is not whole yet");
    assert!(store.stage_done(Rank(0), Epoch(2), 1));
    assert_eq!(inspect(&mut store), [(Rank(0), Epoch(1), PageNo(4))]);
    let holdings = store.holdings();
    assert!(holdings.whole.is_empty());
    assert_eq!(holdings.damaged, Set::from([(Rank(0), Epoch(1)), (Rank(0), Epoch(2))]));
}

#[test]
fn a_staged_epoch_that_is_damaged_leaves_the_one_before() {
    let mut store = Store::default();
    for epoch in [1, 2] {
        store.stage(Rank(0), Epoch(epoch), PageNo(4), page(1));
        assert!(store.stage_done(Rank(0), Epoch(epoch), 1));
    }
    assert_eq!(store.damage(Rank(0)), Some(Epoch(2)));
    assert_eq!(inspect(&mut store), [(Rank(0), Epoch(2), PageNo(4))]);
    assert_eq!(store.holdings().whole, Set::from([(Rank(0), Epoch(1))]));
}

#[test]
fn a_seal_goes_over_the_wire_as_it_is() {
    let mut bad = page(3);
    bad.damage();
    assert!(page(3).is_intact() && !bad.is_intact());
    let pages = vec![(PageNo(1), bad)];
    let copy = CopyMessage::Pages { rank: Rank(0), epoch: Epoch(1), pages };
    let mut w = Writer::new();
    copy.emit(&mut w);
    let parsed = CopyMessage::parse(&mut Reader::new(&w.into_vec()));
    assert_eq!(parsed, Ok(copy), "who receives it can see the damage");
}

#[test]
fn zeroes_at_the_end_of_a_page_do_not_travel() {
    for length in [0, 1, 63, 64, 65, PAGE_SIZE - 64, PAGE_SIZE - 1, PAGE_SIZE] {
        let mut bytes = Box::new([0; PAGE_SIZE]);
        if let Some(last) = length.checked_sub(1) {
            bytes[last] = 7;
        }
        let page = SealedPage::new(bytes);
        assert_eq!(page.content().len(), length);
        let copy =
            CopyMessage::Pages { rank: Rank(0), epoch: Epoch(1), pages: vec![(PageNo(1), page)] };
        let mut w = Writer::new();
        copy.emit(&mut w);
        assert_eq!(w.len(), 12 + message::PAGE_HEADER + length);
        assert_eq!(CopyMessage::parse(&mut Reader::new(&w.into_vec())), Ok(copy));
    }
    let long = [&[33, 0, 0][..], &1u64.to_le_bytes(), &[1], &[0; 12], &[1, 0x10], &[0; 4097]];
    let parsed = CopyMessage::parse(&mut Reader::new(&long.concat()));
    assert_eq!(parsed.unwrap_err().what, "page length");
}

#[test]
fn the_standby_and_the_new_partner_get_what_they_lack() {
    let whole = |list: &[u16]| Holdings {
        committed: Epoch(1),
        whole: list.iter().map(|r| (Rank(*r), Epoch(1))).collect(),
        ..Holdings::default()
    };
    // n1 died; n3 takes rank 1; n2 held its copy; n0's copy was on n1.
    let mut view = view(4, &[0, 3, 2]);
    view.members.remove(&NodeId(1));
    let holdings = Map::from([
        (NodeId(0), whole(&[0, 2])),
        (NodeId(2), whole(&[2, 1])),
        (NodeId(3), whole(&[])),
    ]);
    let (members, redundancy) = (members(&[0; 4]), Redundancy::Copies(1));
    let placement = Placement { view: &view, members: &members, redundancy };
    let list = transfers(&placement, Epoch(1), &holdings);
    assert_eq!(
        list,
        [
            Transfer { rank: Rank(0), target: Rank(0), from: NodeId(0), to: NodeId(3) },
            Transfer { rank: Rank(1), target: Rank(1), from: NodeId(2), to: NodeId(3) },
        ]
    );
}

#[test]
fn settle_gives_up_every_other_epoch() {
    let mut store = Store::default();
    for rank in 0..2 {
        store.stage(Rank(rank), Epoch(1), PageNo(0), page(1));
        assert!(store.stage_done(Rank(rank), Epoch(1), 1));
    }
    store.commit(Epoch(1));
    store.stage(Rank(0), Epoch(2), PageNo(0), page(2));
    assert!(store.stage_done(Rank(0), Epoch(2), 1));
    let mut back = store.clone();
    back.settle(Epoch(1));
    assert_eq!(back.image(Rank(0)).unwrap().pages[&PageNo(0)].bytes()[0], 1);
    assert_eq!(back.holdings().whole.len(), 2, "a stage of the life before is gone");
    assert!(!back.stage_done(Rank(0), Epoch(2), 1), "and counts for nothing in the next one");
    store.settle(Epoch(2));
    assert_eq!(store.image(Rank(0)).unwrap().pages[&PageNo(0)].bytes()[0], 2);
    assert!(store.image(Rank(1)).is_none(), "its epoch 1 is of no use at epoch 2");
}

#[test]
fn copies_survive_the_wire() {
    let copy =
        CopyMessage::Pages { rank: Rank(3), epoch: Epoch(9), pages: vec![(PageNo(7), page(0xa5))] };
    let done = Message::Stage(CopyMessage::Done { rank: Rank(3), epoch: Epoch(9), count: 1 });
    let staged = Message::Staged { rank: Rank(3), epoch: Epoch(9) };
    for message in [Message::Stage(copy), done, staged] {
        let mut w = Writer::new();
        message.emit(&mut w);
        let bytes = w.into_vec();
        assert_eq!(Message::parse(&mut Reader::new(&bytes)), Ok(message));
        for cut in 0..bytes.len() {
            assert!(Message::parse(&mut Reader::new(&bytes[..cut])).is_err());
        }
    }
}

/// Ranks 0 to 2 with images that change over two epochs, and the stores of hosts and keepers.
fn with_parity(parity: Parity) -> (Vec<Store>, Vec<Store>) {
    let mut hosts = vec![Store::default(); 3];
    let mut keepers = vec![Store::default(); usize::from(parity.losses)];
    for epoch in 1..=2u8 {
        let at = Epoch(u64::from(epoch));
        for (rank, host) in (0u16..).map(Rank).zip(&mut hosts) {
            let first = u32::from(rank.0) * 10;
            // One page changes, one is new, and each rank has another number of them.
            let numbers = [first, first + u32::from(epoch)].into_iter().chain(100..100 + first);
            let pages =
                numbers.map(|n| (PageNo(n), page(epoch.wrapping_mul(n.to_le_bytes()[0]) + 1)));
            let mut pages: Vec<_> = pages.collect();
            host.number(rank, at, &mut pages);
            let count = u64::try_from(pages.len()).unwrap();
            for (number, page) in &pages {
                host.stage(rank, at, *number, page.clone());
                let change = host.change(rank, *number, page);
                for (index, keeper) in (0u16..).zip(&mut keepers) {
                    let piece = (Parity::piece(0, index), parity);
                    keeper.absorb(piece, (rank, at), *number, &change);
                }
            }
            assert!(host.stage_done(rank, at, count));
            for (index, keeper) in (0u16..).zip(&mut keepers) {
                let piece = Parity::piece(0, index);
                assert!(keeper.holdings().whole.iter().all(|(_, epoch)| *epoch < at));
                assert!(keeper.absorbed(piece, (rank, at), count, 3));
            }
        }
        hosts.iter_mut().chain(&mut keepers).for_each(|store| store.commit(at));
    }
    (hosts, keepers)
}

/// Makes a rank from those that are there, in a store of its own.
fn make(parity: Parity, target: Rank, from: &[(Rank, &Store)]) -> Result<super::Image, PageNo> {
    let mut store = Store::default();
    for (source, there) in from {
        let image = there.image(*source).unwrap();
        for (number, page) in &image.pages {
            store.feed(parity, (target, *source), Epoch(2), *number, page.clone());
        }
        let count = u64::try_from(image.pages.len()).unwrap();
        assert!(store.fed((target, *source), Epoch(2), count));
    }
    store.finish(parity, target, 3)?;
    Ok(store.image(target).unwrap().clone())
}

#[test]
fn a_rank_is_made_from_its_group_and_parity_and_parity_from_its_group() {
    let parity = Parity { group: 4, losses: 1 };
    let (hosts, mut keepers) = with_parity(parity);
    let piece = Parity::piece(0, 0);
    for lost in 0..3 {
        let there = (0u16..).map(Rank).zip(&hosts).filter(|(rank, _)| rank.0 != lost);
        let from: Vec<_> = there.chain([(piece, &keepers[0])]).collect();
        let made = make(parity, Rank(lost), &from).unwrap();
        assert_eq!(made, *hosts[usize::from(lost)].image(Rank(lost)).unwrap());
    }
    let all: Vec<_> = (0u16..).map(Rank).zip(&hosts).collect();
    assert_eq!(make(parity, piece, &all).unwrap(), *keepers[0].image(piece).unwrap());
    // As long as the longest, and a table of one page for each rank.
    let longest = hosts[2].image(Rank(2)).unwrap().pages.len();
    assert_eq!(keepers[0].image(piece).unwrap().pages.len(), longest + 3);
    // The seals of the lost rank's pages are kept with the parity: it is found out if one is wrong.
    assert!(keepers[0].damage(piece).is_some());
    let from = [(Rank(1), &hosts[1]), (piece, &keepers[0])];
    assert!(make(parity, Rank(0), &from).is_err(), "two ranks are not there");
    assert_eq!(inspect(&mut keepers[0]).len(), 1);
}

#[cfg(feature = "reed-solomon")]
#[test]
fn two_ranks_are_made_from_two_pieces() {
    let parity = Parity { group: 4, losses: 2 };
    let (hosts, keepers) = with_parity(parity);
    let pieces = || (0u16..).map(|index| Parity::piece(0, index)).zip(&keepers);
    for left in 0..3 {
        let there = (Rank(left), &hosts[usize::from(left)]);
        let from: Vec<_> = pieces().chain([there]).collect();
        for lost in (0..3).filter(|rank| *rank != left) {
            let made = make(parity, Rank(lost), &from).unwrap();
            assert_eq!(made, *hosts[usize::from(lost)].image(Rank(lost)).unwrap());
        }
    }
    let there = (0u16..).map(Rank).zip(&hosts);
    let from: Vec<_> = pieces().skip(1).chain(there.skip(1)).collect();
    assert_eq!(make(parity, Rank(0), &from).unwrap(), *hosts[0].image(Rank(0)).unwrap());
}
