use super::*;
use crate::heap;
use alloc::vec;
use std::sync::{Mutex, MutexGuard, PoisonError};
use virtio_drivers::PhysAddr;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const N: usize = 4;

/// There is one pool of memory.
static MEMORY: Mutex<()> = Mutex::new(());

/// Gives the pool some memory, for as long as the result lives.
fn memory() -> MutexGuard<'static, ()> {
    let guard = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let bytes = vec![0_u8; 64 * FRAME].leak();
    let start = bytes.as_mut_ptr().expose_provenance();
    heap::with_pool(|pool| pool.give(start, start + bytes.len()));
    guard
}

/// A device with one queue, which it works on when the test says so.
#[derive(Default)]
struct Device {
    descriptors: usize,
    available: usize,
    used: usize,
    /// What it has seen of the queue.
    seen: u16,
    done: u16,
    notified: usize,
    /// Serves messages as soon as it is told of them.
    eager: bool,
    taken: Vec<Vec<u8>>,
}

fn at<T>(address: usize) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address)
}

impl Device {
    /// Parts of the next request: address and length of each.
    fn next(&mut self) -> Option<(u16, Vec<(usize, usize)>)> {
        // SAFETY: the rings that the driver told of, which nobody else works on.
        unsafe {
            if at::<u16>(self.available + 2).read() == self.seen {
                return None;
            }
            let slot = usize::from(self.seen) % N;
            self.seen = self.seen.wrapping_add(1);
            let head = at::<u16>(self.available + 4 + 2 * slot).read();
            let (mut parts, mut index) = (Vec::new(), head);
            loop {
                let entry = self.descriptors + 16 * usize::from(index);
                let (address, bytes) = (at::<u64>(entry).read(), at::<u32>(entry + 8).read());
                parts.push((usize::try_from(address).unwrap(), bytes as usize));
                if at::<u16>(entry + 12).read() & 1 == 0 {
                    return Some((head, parts));
                }
                index = at::<u16>(entry + 14).read();
            }
        }
    }

    /// Is done with a request, of which it wrote so many bytes.
    fn finish(&mut self, head: u16, bytes: usize) {
        // SAFETY: as in `next`.
        unsafe {
            let element = self.used + 4 + 8 * (usize::from(self.done) % N);
            at::<u32>(element).write(u32::from(head));
            at::<u32>(element + 4).write(u32::try_from(bytes).unwrap());
            self.done = self.done.wrapping_add(1);
            at::<u16>(self.used + 2).write(self.done);
        }
    }

    /// Does it want to be told of what is added?
    fn listen(&self, wanted: bool) {
        // SAFETY: as in `next`.
        unsafe { at::<u16>(self.used).write(u16::from(!wanted)) };
    }

    /// Does the driver want an interrupt?
    fn may_interrupt(&self) -> bool {
        // SAFETY: as in `next`.
        unsafe { at::<u16>(self.available).read() == 0 }
    }

    /// Fills the next buffer.
    fn fill(&mut self, content: &[u8]) {
        let (head, parts) = self.next().unwrap();
        let [(address, bytes)] = parts[..] else { panic!("{parts:?}") };
        assert!(content.len() <= bytes);
        // SAFETY: a buffer that the driver lent out.
        unsafe { at::<u8>(address).copy_from(content.as_ptr(), content.len()) };
        self.finish(head, content.len());
    }

    /// Reads the next message, without finishing it.
    fn read(&mut self) -> Option<(u16, Vec<u8>)> {
        let (head, parts) = self.next()?;
        let mut message = Vec::new();
        for (address, bytes) in parts {
            // SAFETY: a message that the driver keeps.
            message.extend(unsafe { core::slice::from_raw_parts(at::<u8>(address), bytes) });
        }
        Some((head, message))
    }
}

impl Transport for Device {
    fn device_type(&self) -> DeviceType {
        DeviceType::Network
    }
    fn read_device_features(&mut self) -> u64 {
        0
    }
    fn write_driver_features(&mut self, _: u64) {}
    fn max_queue_size(&mut self, _: u16) -> u32 {
        4
    }
    fn notify(&mut self, queue: u16) {
        assert_eq!(queue, 0);
        self.notified += 1;
        while self.eager
            && let Some((head, message)) = self.read()
        {
            self.taken.push(message);
            self.finish(head, 0);
        }
    }
    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::empty()
    }
    fn set_status(&mut self, _: DeviceStatus) {}
    fn set_guest_page_size(&mut self, _: u32) {}
    fn requires_legacy_layout(&self) -> bool {
        false
    }
    fn queue_set(&mut self, _: u16, _: u32, d: PhysAddr, a: PhysAddr, u: PhysAddr) {
        let word = |address| usize::try_from(address).unwrap();
        (self.descriptors, self.available, self.used) = (word(d), word(a), word(u));
    }
    fn queue_unset(&mut self, _: u16) {}
    fn queue_used(&mut self, _: u16) -> bool {
        false
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }
    fn read_config_generation(&self) -> u32 {
        0
    }
    fn read_config_space<T: FromBytes + IntoBytes>(&self, _: usize) -> virtio_drivers::Result<T> {
        Err(virtio_drivers::Error::Unsupported)
    }
    fn write_config_space<T: IntoBytes + Immutable>(
        &mut self,
        _: usize,
        _: T,
    ) -> virtio_drivers::Result<()> {
        Err(virtio_drivers::Error::Unsupported)
    }
}

fn input() -> (Device, In<N>) {
    let mut device = Device::default();
    let queue = queue("test", &mut device, 0, "").unwrap();
    (device, In::new(queue, 0, 100).unwrap())
}

fn output() -> (Device, Out<N>) {
    let mut device = Device::default();
    let queue = queue("test", &mut device, 0, "").unwrap();
    (device, Out::new(queue, 0))
}

#[test]
fn a_queue_that_is_too_short_is_refused() {
    let _memory = memory();
    let error = queue::<8>("card", &mut Device::default(), 0, "; do this").err().unwrap();
    let expected = "queue 0 of card has 4 entries, 8 are needed; do this";
    assert_eq!(alloc::string::ToString::to_string(&error), expected);
}

#[test]
fn buffers_are_filled_and_go_round() {
    let _memory = memory();
    let (mut device, mut input) = input();
    input.settle(&mut device);
    assert_eq!(device.notified, 1);
    // Often enough that the counters of 16 bits wrap.
    for round in 0..70_000_u32 {
        device.fill(&round.to_le_bytes());
        device.fill(b"another");
        let first = input.next().unwrap();
        assert_eq!(first.content(), round.to_le_bytes());
        let second = input.next().unwrap();
        assert_eq!(
            (second.content(), first.content()),
            (&b"another"[..], &round.to_le_bytes()[..])
        );
        assert!(input.next().is_none());
        // Not in the order in which they came.
        input.give_back(second);
        input.give_back(first);
        let told = device.notified;
        device.listen(round % 2 == 0);
        input.settle(&mut device);
        assert_eq!(device.notified, told + usize::from(round % 2 == 0), "round {round}");
        input.settle(&mut device);
        assert_eq!(device.notified, told + usize::from(round % 2 == 0), "told once");
    }
}

#[test]
fn who_goes_to_sleep_looks_once_more() {
    let _memory = memory();
    let (mut device, mut input) = input();
    input.listen(false);
    assert!(!device.may_interrupt());
    device.fill(b"in between");
    assert!(input.listen(true));
    assert!(device.may_interrupt());
    let filled = input.next().unwrap();
    input.give_back(filled);
    assert!(!input.listen(true));
}

#[test]
fn messages_wait_for_room_and_keep_their_order() {
    let _memory = memory();
    let (mut device, mut output) = output();
    for number in 0..5_u8 {
        output.send(b"head", vec![number; 3], &mut device);
    }
    // Two entries each.
    assert_eq!(output.waiting(), 3);
    assert!(!device.may_interrupt());
    assert!(!output.listen());
    assert!(device.may_interrupt(), "something waits for room");
    let mut seen = Vec::new();
    while let Some((head, message)) = device.read() {
        seen.push(message);
        device.finish(head, 0);
        output.go_on(&mut device);
    }
    let expected: Vec<Vec<u8>> = (0..5).map(|n| [&b"head"[..], &[n; 3]].concat()).collect();
    assert_eq!(seen, expected);
    assert!(output.is_done());
    assert!(!device.may_interrupt(), "nothing waits any more");
}

#[test]
fn messages_are_told_of_over_a_wrap() {
    let _memory = memory();
    let (mut device, mut output) = output();
    for round in 0..70_000_u32 {
        output.send(&[], round.to_le_bytes().into(), &mut device);
        assert_eq!(device.notified, round as usize + 1);
        let (head, message) = device.read().unwrap();
        assert_eq!(message, round.to_le_bytes());
        device.finish(head, 0);
    }
    assert!(output.is_done());
}

#[test]
fn a_last_message_goes_past_those_that_the_device_is_done_with() {
    let _memory = memory();
    let (mut device, mut output) = output();
    output.send(&[], b"earlier".into(), &mut device);
    let (head, _) = device.read().unwrap();
    device.finish(head, 0);
    device.eager = true;
    output.send_last(b"last", &mut device);
    assert_eq!(device.taken, [b"last"]);
}
