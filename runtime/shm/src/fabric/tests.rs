//! Nodes that are threads of one process, or one thread's.

mod hostile;
mod lending;

use super::*;
use std::collections::BTreeMap;
use std::fs;
use std::thread;
use tempfile::TempDir;

fn name(node: u32) -> NodeName {
    NodeName { domain: 7, node }
}

fn options(dir: &TempDir) -> Options {
    Options { dir: dir.path().to_owned(), place: None, spin: 100, board: None }
}

fn join(dir: &TempDir, node: u32) -> Fabric {
    Fabric::join(name(node), &options(dir)).unwrap()
}

fn files(dir: &TempDir) -> Vec<String> {
    let names = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An event that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Joined(u32),
    Frame(u32, Vec<u8>),
    /// Head and data, which are given back at once.
    Lent(u32, Vec<u8>, Vec<u8>),
    Gone(u32),
}

fn poll(fabric: &mut Fabric) -> Vec<Seen> {
    let mut seen = Vec::new();
    let count = fabric.poll(|event| {
        seen.push(match event {
            Event::Joined(who) => Seen::Joined(who.node),
            Event::Frame { from, bytes } => Seen::Frame(from.node, bytes.to_vec()),
            Event::Lent { from, head, loan } => Seen::Lent(from.node, head.to_vec(), loan.to_vec()),
            Event::Gone(who) => Seen::Gone(who.node),
        });
    });
    assert_eq!(count, seen.len());
    seen
}

/// Waits for so many events.
fn expect(fabric: &mut Fabric, events: usize) -> Vec<Seen> {
    let mut seen = poll(fabric);
    while seen.len() < events {
        fabric.wait(None);
        seen.extend(poll(fabric));
    }
    seen
}

#[test]
fn nodes_find_each_other_talk_and_leave() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = join(&dir, 1);
    assert_eq!(one.send(name(2), &[b"early"]), Err(SendError::Unknown));
    let mut two = join(&dir, 2);
    assert_eq!(poll(&mut two), [Seen::Joined(1)]);
    assert_eq!(poll(&mut one), [Seen::Joined(2)]);
    assert_eq!(poll(&mut one), []);
    one.send(name(2), &[b"in ", b"", b"parts"]).unwrap();
    one.send(name(2), &[]).unwrap();
    let large = vec![9; MAX_FRAME];
    one.send(name(2), &[&large]).unwrap();
    assert_eq!(one.send(name(2), &[&large, b"!"]), Err(SendError::TooLong));
    let came = [b"in parts".to_vec(), Vec::new(), large].map(|bytes| Seen::Frame(1, bytes));
    assert!(poll(&mut two) == came);
    let mut room = two.reserve(name(1), 300).unwrap();
    room.fill(3);
    room.commit();
    assert_eq!(two.reserve(name(1), 200).unwrap().len(), 200, "and is not committed");
    two.send(name(1), &[b"last"]).unwrap();
    drop(two);
    assert_eq!(
        poll(&mut one),
        [Seen::Frame(2, vec![3; 300]), Seen::Frame(2, b"last".to_vec()), Seen::Gone(2)]
    );
    assert_eq!(one.send(name(2), &[b"late"]), Err(SendError::Unknown));
    drop(one);
    assert_eq!(files(&dir), [""; 0], "whoever leaves last takes the board away");
}

#[test]
fn whoever_comes_speaks_and_leaves_between_two_looks_is_heard() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = join(&dir, 1);
    let life = |says: &[u8]| {
        let mut two = join(&dir, 2);
        poll(&mut two);
        two.send(name(1), &[says]).unwrap();
        two
    };
    let frame = |says: &[u8]| Seen::Frame(2, says.to_vec());
    drop(life(b"a"));
    let mut two = life(b"b");
    let first = [Seen::Joined(2), frame(b"a"), Seen::Gone(2), Seen::Joined(2), frame(b"b")];
    assert_eq!(poll(&mut one), first);
    two.send(name(1), &[b"c"]).unwrap();
    drop(two);
    drop(life(b"d"));
    let next = join(&dir, 2);
    let then = [
        vec![frame(b"c"), Seen::Gone(2)],
        vec![Seen::Joined(2), frame(b"d"), Seen::Gone(2)],
        vec![Seen::Joined(2)],
    ];
    assert_eq!(poll(&mut one), then.concat());
    assert_eq!(one.shared.header.holders().count(), 0, "lanes of the dead are free again");
    drop(next);
}

#[test]
fn a_name_has_one_living_node() {
    let dir = tempfile::tempdir().unwrap();
    let one = join(&dir, 1);
    let again = Fabric::join(name(1), &options(&dir));
    assert!(matches!(again, Err(JoinError::Taken(n)) if n == name(1)));
    let elsewhere = NodeName { domain: 8, node: 1 };
    let mut other = Fabric::join(elsewhere, &options(&dir)).unwrap();
    assert_eq!(poll(&mut other), [Seen::Joined(1)], "domains are no walls");
    drop(one);
    join(&dir, 1);
}

#[test]
fn of_many_who_join_as_one_a_single_one_does() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..20 {
        let start = std::sync::Barrier::new(4);
        let joined = thread::scope(|scope| {
            let race = || {
                start.wait();
                let result = Fabric::join(name(1), &options(&dir));
                // Nobody leaves before all have tried.
                start.wait();
                result.is_ok()
            };
            let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
            racers
                .into_iter()
                .filter(|_| true)
                .map(|r| usize::from(r.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!(joined, 1);
        assert_eq!(files(&dir), [""; 0]);
    }
}

#[test]
fn threads_exchange_frames_of_all_lengths_in_order() {
    const NODES: u32 = 4;
    const ROUNDS: u32 = 2000;
    let dir = tempfile::tempdir().unwrap();
    let met = std::sync::Barrier::new(NODES as usize);
    let node = |me: u32| {
        let mut fabric = join(&dir, me);
        met.wait();
        let mut there = 0;
        let mut next: BTreeMap<u32, u32> = BTreeMap::new();
        let mut take = |fabric: &mut Fabric, there: &mut u32| {
            fabric.poll(|event| match event {
                Event::Joined(_) => *there += 1,
                Event::Gone(who) => panic!("{who} is gone"),
                Event::Frame { from, bytes } => {
                    let n = next.entry(from.node).or_default();
                    assert_eq!(bytes[..4], n.to_le_bytes(), "from {from}");
                    assert_eq!(bytes.len(), 4 + (*n as usize * 37) % 3000);
                    *n += 1;
                }
                Event::Lent { .. } => panic!("nothing was to be lent"),
            });
            next.values().map(|&n| n as usize).sum::<usize>()
        };
        while there < NODES - 1 {
            take(&mut fabric, &mut there);
            fabric.wait(None);
        }
        let mut done = 0;
        for n in 0..ROUNDS {
            let filling = vec![1; (n as usize * 37) % 3000];
            for to in (0..NODES).filter(|&to| to != me) {
                while let Err(error) = fabric.send(name(to), &[&n.to_le_bytes(), &filling]) {
                    assert_eq!(error, SendError::Full);
                    fabric.wait(None);
                    done = take(&mut fabric, &mut there);
                }
            }
        }
        while done < (ROUNDS * (NODES - 1)) as usize {
            fabric.wait(None);
            done = take(&mut fabric, &mut there);
        }
        met.wait();
    };
    thread::scope(|scope| {
        for me in 0..NODES {
            scope.spawn(move || node(me));
        }
    });
    assert_eq!(files(&dir), [""; 0]);
}

#[test]
fn a_bell_wakes_a_node_that_waits_and_one_that_will() {
    let dir = tempfile::tempdir().unwrap();
    let mut fabric = Fabric::join(name(1), &Options { spin: 0, ..options(&dir) }).unwrap();
    poll(&mut fabric);
    let rung = AtomicBool::new(false);
    let bell = fabric.bell();
    thread::scope(|scope| {
        scope.spawn(|| {
            rung.store(true, Ordering::Relaxed);
            bell.ring();
        });
        // May come back for nothing; without the bell it would for ever.
        while !fabric.shared.rung.load(Ordering::Relaxed) {
            fabric.wait(None);
            if rung.load(Ordering::Relaxed) {
                break;
            }
            poll(&mut fabric);
        }
    });
    bell.ring();
    fabric.wait(None);
    drop(fabric);
    bell.ring();
}

#[test]
fn whoever_finds_no_room_is_woken_when_there_is_some() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (join(&dir, 1), join(&dir, 2));
    expect(&mut one, 1);
    expect(&mut two, 1);
    let reader = thread::spawn(move || {
        let frames = expect(&mut two, 3000).len();
        (two, frames)
    });
    for n in 0..3000_u32 {
        while one.send(name(2), &[n.to_le_bytes().as_slice(); 30]) == Err(SendError::Full) {
            one.wait(None);
            poll(&mut one);
        }
    }
    assert_eq!(reader.join().unwrap().1, 3000);
}

#[test]
fn directories_that_others_can_write_to_are_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().unwrap();
    let (open, link, file) =
        (dir.path().join("open"), dir.path().join("link"), dir.path().join("file"));
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o770)).unwrap();
    symlink(dir.path(), &link).unwrap();
    for dir in [open, link] {
        let result = Fabric::join(name(1), &Options { dir, place: None, spin: 0, board: None });
        assert!(matches!(result, Err(JoinError::Exposed(_))), "{result:?}");
    }
    fs::write(&file, "").unwrap();
    // No name at all can be made again and again, and is never there.
    for dir in [file, "".into()] {
        let result = Fabric::join(name(1), &Options { dir, place: None, spin: 0, board: None });
        assert!(matches!(result, Err(JoinError::System { .. })), "{result:?}");
    }
}

#[test]
fn files_that_are_no_nodes_disturb_nobody() {
    let dir = tempfile::tempdir().unwrap();
    for (file, content) in [("7-9", "short"), ("readme", "x"), ("7-x", ""), ("7-10", "")] {
        fs::write(dir.path().join(file), content).unwrap();
    }
    let long = fs::File::create(dir.path().join("7-11")).unwrap();
    long.set_len(crate::segment::LEN).unwrap();
    let mut one = join(&dir, 1);
    assert_eq!(poll(&mut one), []);
    assert_eq!(files(&dir), ["7-1", "7-x", "board", "readme"], "remains of nodes are swept");
}

#[test]
fn nodes_come_while_the_last_one_takes_their_place_away() {
    let dir = tempfile::tempdir().unwrap();
    let at = Options { place: Some("here".into()), ..options(&dir) };
    let come_and_go = |node| {
        for _ in 0..300 {
            drop(Fabric::join(name(node), &at).unwrap());
        }
    };
    thread::scope(|scope| {
        (1..4).for_each(|node| drop(scope.spawn(move || come_and_go(node))));
    });
    assert_eq!(files(&dir), [""; 0]);
}

#[test]
fn whoever_comes_sweeps_places_where_nobody_is() {
    let dir = tempfile::tempdir().unwrap();
    let at = |place: &str| Options { place: Some(place.into()), ..options(&dir) };
    let mut here = Fabric::join(name(1), &at("here")).unwrap();
    let users = [("kept", "readme"), ("also", "board"), ("too", "7-1"), ("empty", "")];
    for (place, file) in [("dead", "7-1")].into_iter().chain(users) {
        let place = dir.path().join(format!("at-{place}"));
        fs::create_dir(&place).unwrap();
        if !file.is_empty() {
            fs::write(place.join(file), "").unwrap();
        }
    }
    let board = fs::File::create(dir.path().join("at-dead/board")).unwrap();
    board.set_len(size_of::<Board>() as u64).unwrap();
    fs::create_dir(dir.path().join("else")).unwrap();
    // What a dead node left where somebody lives.
    fs::write(dir.path().join("at-here/7-3"), "").unwrap();
    let there = Fabric::join(name(1), &at("there")).unwrap();
    assert_eq!(files(&dir), ["at-also", "at-here", "at-kept", "at-there", "at-too", "else"]);
    let left = |place: &str| fs::read_dir(dir.path().join(place)).unwrap().count();
    assert_eq!(["at-here", "at-also", "at-kept", "at-too"].map(left), [2, 1, 1, 1]);
    assert_eq!(poll(&mut here), [], "they do not meet");
    drop((here, there));
    assert_eq!(files(&dir), ["at-also", "at-kept", "at-too", "else"]);
}

#[test]
fn a_node_that_breaks_its_lane_is_gone_for_the_other_and_only_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two, mut three) = (join(&dir, 1), join(&dir, 2), join(&dir, 3));
    expect(&mut one, 2);
    expect(&mut two, 2);
    expect(&mut three, 2);
    two.send(name(1), &[b"good"]).unwrap();
    three.send(name(1), &[b"good, too"]).unwrap();
    expect(&mut one, 2);
    // A stamp for a frame longer than any.
    let lane = one.inbound.iter().position(|i| i.from() == name(2)).unwrap();
    one.inbound[lane].corrupt();
    assert_eq!(poll(&mut one), [Seen::Gone(2)]);
    assert_eq!(poll(&mut one), [], "and does not join again");
    assert_eq!(one.send(name(2), &[b"?"]), Err(SendError::Unknown));
    three.send(name(1), &[b"still"]).unwrap();
    assert_eq!(poll(&mut one), [Seen::Frame(3, b"still".to_vec())]);
    // Its next life is another node.
    drop(two);
    let mut two = join(&dir, 2);
    assert_eq!(poll(&mut one), [Seen::Joined(2)]);
    expect(&mut two, 2);
    two.send(name(1), &[b"new"]).unwrap();
    assert_eq!(expect(&mut one, 1), [Seen::Frame(2, b"new".to_vec())]);
}
