//! Every order in which a writer and a reader can meet in a lane of two cells (`make loom`).

use super::*;
use crate::bell::Word;
use crate::bell::models::Futex;
use loom::sync::Arc;
use loom::thread;

/// Lengths, which are the frames of a model: whether the bytes are there is what loom's cells see.
fn write(writer: &mut Writer, len: usize) -> Result<(), NoRoom> {
    writer.reserve(len)?;
    writer.commit(len);
    Ok(())
}

fn ends(lane: &Arc<Lane>) -> (Writer, Reader) {
    let lane = NonNull::from(&**lane);
    // SAFETY: both threads have a part of the lane for as long as they use their ends.
    unsafe { (Writer::new(lane), Reader::new(lane)) }
}

/// Writes these and reads them on another thread, neither ever asleep.
fn passes(lens: &'static [usize]) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let lane = Arc::new(Lane::empty());
        let (mut writer, mut reader) = ends(&lane);
        let writing = thread::spawn({
            let lane = Arc::clone(&lane);
            move || {
                for &len in lens {
                    while let Err(full) = write(&mut writer, len) {
                        assert_eq!(full, NoRoom::Full);
                        thread::yield_now();
                    }
                }
                drop(lane);
            }
        });
        for &len in lens {
            let read = loop {
                match reader.read(|frame, _| frame.len()) {
                    Ok(Some(read)) => break read,
                    Ok(None) => thread::yield_now(),
                    Err(Broken) => panic!("broken"),
                }
            };
            assert_eq!(read, len);
            reader.give_back();
        }
        assert_eq!(reader.read(|frame, _| frame.len()), Ok(None));
        writing.join().unwrap();
    });
}

#[test]
fn short_frames_come_whole_and_in_order() {
    passes(&[1, 2, 3]);
}

#[test]
fn long_frames_come_whole_and_in_order() {
    passes(&[64, 33, 9]);
}

#[test]
fn frames_of_both_sorts_come_whole_and_in_order() {
    passes(&[8, 64, 1]);
}

/// As the fabric does it: whoever finds no frame, or no room, sleeps on its word.
#[test]
fn a_writer_without_room_and_a_reader_without_frames_wake_each_other() {
    const FRAMES: usize = 3;
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let lane = Arc::new(Lane::empty());
        let (mut writer, mut reader) = ends(&lane);
        let sides = || Arc::new((Word::new(), Futex::new()));
        let (of_writer, of_reader) = (sides(), sides());
        let writing = thread::spawn({
            let (mine, theirs) = (Arc::clone(&of_writer), Arc::clone(&of_reader));
            let lane = Arc::clone(&lane);
            move || {
                for len in 1..=FRAMES {
                    while write(&mut writer, len).is_err() {
                        mine.0.sleep_unless(
                            || writer.starve(),
                            || writer.may_have_room(),
                            |word, value| mine.1.wait(word, value),
                        );
                    }
                    theirs.0.rouse(|_| theirs.1.wake());
                }
                drop(lane);
            }
        });
        for len in 1..=FRAMES {
            loop {
                match reader.read(|frame, _| frame.len()) {
                    Ok(Some(read)) => break assert_eq!(read, len),
                    Ok(None) => of_reader.0.sleep_unless(
                        || {},
                        || reader.has_frame(),
                        |word, value| of_reader.1.wait(word, value),
                    ),
                    Err(Broken) => panic!("broken"),
                }
            }
            if reader.give_back() {
                of_writer.0.rouse(|_| of_writer.1.wake());
            }
        }
        writing.join().unwrap();
    });
}
