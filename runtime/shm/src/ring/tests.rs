use super::*;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};

/// A lane in plain memory.
pub(super) struct Plain(NonNull<Lane>);

impl Plain {
    pub(super) fn new() -> Self {
        let layout = Layout::new::<Lane>();
        // SAFETY: a lane has a size, and all zero is one.
        let memory = unsafe { alloc_zeroed(layout) };
        Self(NonNull::new(memory.cast()).unwrap_or_else(|| handle_alloc_error(layout)))
    }

    pub(super) fn ends(&self) -> (Writer, Reader) {
        // SAFETY: tests use them while the lane lives.
        unsafe { (Writer::new(self.0), Reader::new(self.0)) }
    }

    pub(super) fn lane(&self) -> &Lane {
        // SAFETY: allocated, and initialised with zeroes.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.0.as_ptr().cast(), Layout::new::<Lane>()) };
    }
}

/// Content of a frame that tells it from its neighbours.
pub(super) fn content(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (number.wrapping_mul(31) ^ at.wrapping_mul(7)).to_le_bytes()[0]).collect()
}

pub(super) fn write(writer: &mut Writer, frame: &[u8]) -> Result<(), NoRoom> {
    let at = writer.reserve(frame.len())?;
    // SAFETY: room for so many bytes.
    unsafe { std::ptr::copy_nonoverlapping(frame.as_ptr(), at, frame.len()) };
    writer.commit(frame.len());
    Ok(())
}

fn read(reader: &mut Reader) -> Option<Vec<u8>> {
    let frame = reader.read(|frame, _| frame.to_vec()).unwrap();
    reader.give_back();
    frame
}

#[test]
fn frames_of_all_lengths_come_whole_and_in_order() {
    let lens = [0, 1, 8, INLINE - 1, INLINE, INLINE + 1, 4096, LONGEST - 1, LONGEST];
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    let (mut sent, mut received) = (0, 0);
    // Long enough to wrap cells and bulk several times, and to be full at all positions of both.
    let enough = if cfg!(miri) { 30 } else { 800 };
    while received < enough {
        while write(&mut writer, &content(sent, lens[sent * sent % 11 % lens.len()])).is_ok() {
            sent += 1;
        }
        for _ in 0..=received % 5 {
            let Some(frame) = read(&mut reader) else { break };
            assert!(frame == content(received, frame.len()), "frame {received}");
            assert_eq!(frame.len(), lens[received * received % 11 % lens.len()]);
            received += 1;
        }
    }
}

#[test]
fn a_full_lane_takes_nothing_and_has_room_again_once_read() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    for n in 0..CELLS as usize {
        write(&mut writer, &content(n, 24)).unwrap();
    }
    assert_eq!(write(&mut writer, &[]), Err(NoRoom::Full));
    assert!(!writer.may_have_room());
    writer.starve();
    let mut woken = 0;
    for n in 0..CELLS as usize {
        assert_eq!(reader.read(|frame, _| frame.to_vec()), Ok(Some(content(n, 24))));
        woken += u32::from(reader.give_back());
    }
    assert_eq!(reader.read(|frame, _| frame.to_vec()), Ok(None));
    assert_eq!(woken, 1, "told once");
    assert!(writer.may_have_room());
    write(&mut writer, &content(9, 9)).unwrap();
    assert_eq!(read(&mut reader), Some(content(9, 9)));
}

#[test]
fn whoever_has_read_all_has_given_back_enough_for_the_longest_frame() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    let rounds = if cfg!(miri) { 5 } else { 200 };
    for n in 0..rounds {
        write(&mut writer, &content(n, LONGEST)).expect("the lane is read empty");
        assert!(read(&mut reader) == Some(content(n, LONGEST)));
        write(&mut writer, &content(n, 200 + n * 97 % 5000)).expect("the lane is read empty");
        read(&mut reader).unwrap();
    }
}

#[test]
fn counters_pass_their_ends() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    let late = Position { cells: u32::MAX - 5, bulk: u32::MAX - u32::MAX % BULK };
    (writer.next, writer.freed, reader.next, reader.freed) = (late, late, late, late);
    plain.lane().freed.0.store(late.pack(), Ordering::Relaxed);
    for n in 0..600 {
        write(&mut writer, &content(n, 90 + n % 300)).unwrap();
        assert_eq!(read(&mut reader), Some(content(n, 90 + n % 300)));
    }
}

#[test]
fn what_is_not_committed_is_never_seen() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    write(&mut writer, b"first").unwrap();
    writer.reserve(LONGEST).unwrap();
    writer.reserve(20).unwrap();
    assert_eq!(read(&mut reader), Some(b"first".to_vec()));
    assert_eq!(read(&mut reader), None);
    write(&mut writer, b"second").unwrap();
    assert_eq!(read(&mut reader), Some(b"second".to_vec()));
}

#[test]
fn a_lane_that_was_reset_shows_nothing_of_its_last_writer() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    for n in 0..7 {
        write(&mut writer, &content(n, 1000 * n)).unwrap();
    }
    while read(&mut reader).is_some() {}
    reader.reset();
    let (mut writer, mut reader) = plain.ends();
    assert_eq!(read(&mut reader), None);
    write(&mut writer, b"new").unwrap();
    assert_eq!(read(&mut reader), Some(b"new".to_vec()));
}

#[test]
fn nonsense_in_a_lane_is_found_and_harms_nobody() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    write(&mut writer, b"good").unwrap();
    let stamp = &plain.lane().cells[0].stamp;
    for len in [LONGEST as u64 + 1, u64::from(u32::MAX)] {
        stamp.store(len << 32 | 1, Ordering::Relaxed);
        assert_eq!(reader.read(|frame, _| frame.len()), Err(Broken));
    }
    // Any length that may be is read from within the lane, whatever the writer meant.
    stamp.store((LONGEST as u64) << 32 | 1, Ordering::Relaxed);
    assert_eq!(reader.read(|frame, _| frame.len()), Ok(Some(LONGEST)));

    for freed in [1 << 40, u64::MAX, u64::from(u32::MAX), 2] {
        let (mut writer, _) = plain.ends();
        writer.next = Position { cells: 1, bulk: 0 };
        for n in 0..CELLS as usize - 1 {
            write(&mut writer, &content(n, 3)).unwrap();
        }
        plain.lane().freed.0.store(freed, Ordering::Relaxed);
        let outcome = write(&mut writer, b"x");
        let fine = freed == 2;
        assert_eq!(outcome, if fine { Ok(()) } else { Err(NoRoom::Broken) }, "{freed:x}");
    }
}

#[test]
fn two_threads() {
    let plain = Plain::new();
    let (mut writer, mut reader) = plain.ends();
    let frames = if cfg!(miri) { 40 } else { 20_000 };
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for n in 0..frames {
                let frame = content(n, n * 13 % 500);
                while write(&mut writer, &frame).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..frames {
            let frame = loop {
                match read(&mut reader) {
                    Some(frame) => break frame,
                    None => std::thread::yield_now(),
                }
            };
            assert!(frame == content(n, n * 13 % 500), "frame {n}");
        }
    });
}
