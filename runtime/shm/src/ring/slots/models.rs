//! Every order in which a writer, a reader and whoever gives a slot back can meet, with one slot (`make loom`).

use super::super::{Lane, NoRoom, Reader, Writer};
use super::*;
use loom::sync::Arc;
use loom::thread;
use std::ptr::NonNull;

/// Both sides' memory. What lies in a slot is one cell, in which loom sees races.
struct Shared {
    lane: Lane,
    data: UnsafeCell<usize>,
    ledger: Ledger,
}

fn model(check: impl Fn(&Arc<Shared>, Writer, Reader) + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let shared = Arc::new(Shared {
            lane: Lane::empty(),
            data: UnsafeCell::new(0),
            ledger: Ledger::new(),
        });
        let lane = NonNull::from(&shared.lane);
        // SAFETY: both threads have a part of the lane for as long as they use their ends.
        let (writer, reader) = unsafe { (Writer::new(lane), Reader::new(lane)) };
        check(&shared, writer, reader);
    });
}

/// As the fabric does it; `false`: in the bulk, for no slot was free.
fn lend(shared: &Shared, writer: &mut Writer, number: usize) -> Result<bool, NoRoom> {
    let Some(slot) = shared.lane.marks().find() else {
        // Its length is its number: what is in it is of no interest here.
        writer.reserve(number)?;
        writer.commit(number);
        return Ok(false);
    };
    let at = writer.reserve(Place::LEN)?;
    shared.lane.marks().set(slot);
    // SAFETY: it was free.
    shared.data.with_mut(|data| unsafe { *data = number });
    // SAFETY: room for so many bytes.
    unsafe { std::slice::from_raw_parts_mut(at, Place::LEN) }
        .copy_from_slice(&Place { slot, len: number }.bytes());
    writer.commit_slot(Place::LEN);
    Ok(true)
}

/// The next frame; of one in a slot, the slot, which is lent.
fn next(shared: &Shared, reader: &mut Reader) -> (usize, Option<usize>) {
    loop {
        let read = reader.read(|frame, place| match place {
            None => Ok((frame.len(), None)),
            Some(place) => {
                shared.ledger.lend(place.slot)?;
                // SAFETY: lent.
                let data = shared.data.with_mut(|data| unsafe { *data });
                assert_eq!(data, place.len);
                Ok((data, Some(place.slot)))
            }
        });
        match read {
            Ok(Some(Ok(read))) => return read,
            Ok(None) => thread::yield_now(),
            Ok(Some(Err(Broken))) | Err(Broken) => panic!("broken"),
        }
    }
}

#[test]
fn a_slot_is_written_read_and_written_again() {
    model(|shared, mut writer, mut reader| {
        let writing = thread::spawn({
            let shared = Arc::clone(shared);
            move || {
                for number in 1..=2 {
                    while lend(&shared, &mut writer, number).is_err() {
                        thread::yield_now();
                    }
                }
            }
        });
        for number in 1..=2 {
            let (read, slot) = next(shared, &mut reader);
            assert_eq!(read, number);
            if let Some(slot) = slot {
                shared.ledger.take_back(slot, shared.lane.marks());
            }
            reader.give_back();
        }
        writing.join().unwrap();
    });
}

/// The program gives back on another thread than the one that reads, and looks once more before.
#[test]
fn what_is_kept_stays_as_it_is_until_it_is_given_back() {
    model(|shared, mut writer, mut reader| {
        assert_eq!(lend(shared, &mut writer, 1), Ok(true));
        let (_, slot) = next(shared, &mut reader);
        reader.give_back_rest();
        let keeping = thread::spawn({
            let shared = Arc::clone(shared);
            move || {
                // SAFETY: lent.
                assert_eq!(shared.data.with_mut(|data| unsafe { *data }), 1);
                shared.ledger.take_back(slot.unwrap(), shared.lane.marks());
            }
        });
        let writing = thread::spawn({
            let shared = Arc::clone(shared);
            move || lend(&shared, &mut writer, 2).unwrap()
        });
        let (read, slot) = next(shared, &mut reader);
        assert_eq!((read, slot.is_some()), (2, writing.join().unwrap()));
        keeping.join().unwrap();
    });
}

/// The writer is dead, and the lane goes to another one while the program has the slot, gives it back, or has done so.
#[test]
fn what_is_kept_stays_as_it_is_for_the_next_writer() {
    model(|shared, mut writer, mut reader| {
        assert_eq!(lend(shared, &mut writer, 1), Ok(true));
        let (_, slot) = next(shared, &mut reader);
        drop(writer);
        let keeping = thread::spawn({
            let shared = Arc::clone(shared);
            move || {
                // SAFETY: lent.
                assert_eq!(shared.data.with_mut(|data| unsafe { *data }), 1);
                shared.ledger.take_back(slot.unwrap(), shared.lane.marks());
            }
        });
        shared.ledger.reset(shared.lane.marks());
        reader.reset();
        let lane = NonNull::from(&shared.lane);
        // SAFETY: as above, and the lane is empty.
        let (mut writer, mut reader) = unsafe { (Writer::new(lane), Reader::new(lane)) };
        let lent = lend(shared, &mut writer, 2).unwrap();
        assert_eq!(next(shared, &mut reader), (2, lent.then_some(0)));
        keeping.join().unwrap();
        if !lent {
            assert_eq!(shared.lane.marks().find(), Some(0));
        }
    });
}
