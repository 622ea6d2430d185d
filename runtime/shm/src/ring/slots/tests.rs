use super::super::tests::{Plain, content, write};
use super::super::{CELLS, INLINE, NoRoom, Reader, Writer};
use super::*;

/// Completes a frame that names a place, whether that can be or not.
fn name(writer: &mut Writer, place: Place, rest: &[u8]) -> Result<(), NoRoom> {
    let frame = [&place.bytes(), rest].concat();
    let at = writer.reserve(frame.len())?;
    // SAFETY: room for so many bytes.
    unsafe { std::ptr::copy_nonoverlapping(frame.as_ptr(), at, frame.len()) };
    writer.commit_slot(frame.len());
    Ok(())
}

type Frame = (Vec<u8>, Option<Place>);

fn read(reader: &mut Reader) -> Result<Option<Frame>, Broken> {
    let read = reader.read(|frame, place| (frame.to_vec(), place));
    reader.give_back();
    read
}

#[test]
fn frames_with_and_without_a_slot_come_in_one_order_and_slots_are_used_again() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    let marks = plain.lane().marks();
    let ledger = Ledger::new();
    let (mut sent, mut received, mut lent) = (0, 0, 0);
    let mut kept = Vec::new();
    // Cells pass their end several times.
    while received < 4 * CELLS as usize {
        for _ in 0..7 {
            let frame = content(sent, [5, 112, 3000][sent % 3]);
            let done = match marks.find() {
                Some(slot) if sent % 3 < 2 => {
                    let done = name(&mut writer, Place { slot, len: sent }, &frame);
                    if done.is_ok() {
                        marks.set(slot);
                    }
                    done
                }
                _ => write(&mut writer, &frame),
            };
            sent += usize::from(done.is_ok());
        }
        while let Some((frame, place)) = read(&mut reader).unwrap() {
            assert!(frame == content(received, frame.len()), "frame {received}");
            assert_eq!(frame.len(), [5, 112, 3000][received % 3]);
            if let Some(place) = place {
                assert_eq!(place.len, received);
                ledger.lend(place.slot).unwrap();
                kept.push(place.slot);
                lent += 1;
            }
            received += 1;
        }
        // Some are kept over the next rounds, and come back in another order.
        while kept.len() > 1 {
            ledger.take_back(kept.remove(received % kept.len()), marks);
        }
    }
    assert!(lent > CELLS as usize / 2, "{lent}");
}

#[test]
fn the_first_slot_that_is_free_is_found_and_none_if_there_is_none() {
    let plain = Plain::new();
    let marks = plain.lane().marks();
    let ledger = Ledger::new();
    for slot in 0..SLOTS {
        assert_eq!(marks.find(), Some(slot));
        marks.set(slot);
        ledger.lend(slot).unwrap();
    }
    assert_eq!(marks.find(), None);
    for slot in (0..SLOTS).rev() {
        ledger.take_back(slot, marks);
        assert_eq!(marks.find(), Some(slot));
    }
}

#[test]
fn places_that_cannot_be_are_found_out() {
    let good = Place { slot: 1, len: SLOT };
    let cases = [
        (good, true),
        (Place { len: 0, ..good }, true),
        (Place { len: SLOT + 1, ..good }, false),
        (Place { len: u32::MAX as usize, ..good }, false),
        (Place { slot: SLOTS, ..good }, false),
        (Place { slot: u32::MAX as usize, ..good }, false),
        // Not in use.
        (Place { slot: 0, ..good }, false),
    ];
    for (place, may_be) in cases {
        let plain = Plain::new();
        let (mut writer, mut reader) = plain.ends();
        plain.lane().marks().set(1);
        name(&mut writer, place, b"rest").unwrap();
        let expected = if may_be { Ok(Some((b"rest".to_vec(), Some(place)))) } else { Err(Broken) };
        assert_eq!(read(&mut reader), expected, "{place:?}");
    }
    // Too short for a place, and longer than a cell.
    for (len, may_be) in [(0, false), (7, false), (8, true), (INLINE, true), (INLINE + 1, false)] {
        let plain = Plain::new();
        let (mut writer, mut reader) = plain.ends();
        plain.lane().marks().set(0);
        writer.reserve(len).unwrap();
        writer.complete(len, IN_A_SLOT);
        assert_eq!(read(&mut reader).is_ok(), may_be, "{len}");
    }
}

#[test]
fn a_slot_that_is_lent_is_not_lent_again() {
    let plain = Plain::new();
    let marks = plain.lane().marks();
    let ledger = Ledger::new();
    marks.set(0);
    assert_eq!(ledger.lend(0), Ok(()));
    assert_eq!(ledger.lend(0), Err(Broken));
    ledger.take_back(0, marks);
    assert_eq!(ledger.lend(0), Ok(()));
}

#[test]
fn after_a_writers_death_all_is_free_but_what_is_lent() {
    let plain = Plain::new();
    let marks = plain.lane().marks();
    let ledger = Ledger::new();
    for slot in 0..SLOTS {
        marks.set(slot);
    }
    ledger.lend(0).unwrap();
    ledger.lend(2).unwrap();
    // The writer has said of one that it is free; but it is not.
    marks.0[2].store(0, Ordering::Relaxed);
    ledger.reset(marks);
    let free = |slot: usize| marks.0[slot].load(Ordering::Relaxed) == 0;
    assert_eq!([0, 1, 2, 3].map(free), [false, true, false, true]);
    ledger.take_back(2, marks);
    assert_eq!([0, 1, 2, 3].map(free), [false, true, true, true]);
}
