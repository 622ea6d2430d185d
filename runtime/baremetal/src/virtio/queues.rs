//! The two directions of a device's queues.
//!
//! Who has seen a queue empty and goes to sleep asks for an interrupt first and looks once more; who has put something into a queue
//! looks whether the device wants to hear of it. Each time a fence keeps the two in order, for the other side does the same.

use super::{Metal, VirtioError, take_pages};
use crate::frames::FRAME;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::sync::atomic::{Ordering::SeqCst, fence};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;

/// Sets up a queue.
pub(super) fn queue<const N: usize>(
    what: &'static str,
    transport: &mut impl Transport,
    index: u16,
    remedy: &'static str,
) -> Result<Box<VirtQueue<Metal, N>>, VirtioError> {
    let has = transport.max_queue_size(index);
    if (has as usize) < N {
        return Err(VirtioError::Queue { what, index, has, wanted: N, remedy });
    }
    VirtQueue::new(transport, index, false, false)
        .map(Box::new)
        .map_err(|e| VirtioError::Other(what, e))
}

/// Tells the device of what was added, if it wants to hear of it.
fn notify<const N: usize>(queue: &VirtQueue<Metal, N>, index: u16, transport: &mut impl Transport) {
    fence(SeqCst);
    if queue.should_notify() {
        transport.notify(index);
    }
}

/// Buffers that the device fills.
pub(super) struct In<const N: usize> {
    queue: Box<VirtQueue<Metal, N>>,
    index: u16,
    /// All buffers, one after the other.
    buffers: usize,
    bytes: usize,
    /// Which buffer stands behind an entry of the queue.
    by_token: Box<[u16; N]>,
    /// Buffers were added of which the device was not told.
    added: bool,
}

/// A buffer that the device filled, lent out until it is given back.
#[derive(Debug)]
pub(super) struct Filled {
    number: u16,
    content: &'static [u8],
}

impl Filled {
    /// What the device wrote.
    pub(super) const fn content(&self) -> &[u8] {
        self.content
    }
}

impl<const N: usize> In<N> {
    /// Gives the device all buffers, of so many bytes each.
    pub(super) fn new(
        queue: Box<VirtQueue<Metal, N>>,
        index: u16,
        bytes: usize,
    ) -> Result<Self, virtio_drivers::Error> {
        let bytes = bytes.next_multiple_of(64);
        let buffers = take_pages((N * bytes).div_ceil(FRAME));
        let mut this =
            Self { queue, index, buffers, bytes, by_token: Box::new([0; N]), added: true };
        for number in 0..N {
            this.add(u16::try_from(number).unwrap_or(0))?;
        }
        Ok(this)
    }

    fn buffer(&self, number: u16) -> *mut u8 {
        core::ptr::with_exposed_provenance_mut(self.buffers + usize::from(number) * self.bytes)
    }

    fn add(&mut self, number: u16) -> Result<(), virtio_drivers::Error> {
        // SAFETY: a buffer that is not lent out; nobody touches it until the device gives it back.
        let token = unsafe {
            let buffer = core::slice::from_raw_parts_mut(self.buffer(number), self.bytes);
            self.queue.add(&[], &mut [buffer])?
        };
        if let Some(place) = self.by_token.get_mut(usize::from(token)) {
            *place = number;
        }
        self.added = true;
        Ok(())
    }

    /// The next buffer that the device has filled.
    pub(super) fn next(&mut self) -> Option<Filled> {
        let token = self.queue.peek_used()?;
        let number = *self.by_token.get(usize::from(token))?;
        let buffer = self.buffer(number);
        // SAFETY: the buffer that was added under this token.
        let used = unsafe {
            let buffer = core::slice::from_raw_parts_mut(buffer, self.bytes);
            self.queue.pop_used(token, &[], &mut [buffer]).ok()?
        };
        let used = (used as usize).min(self.bytes);
        // SAFETY: lent out until it is given back; until then the device does not have it.
        Some(Filled { number, content: unsafe { core::slice::from_raw_parts(buffer, used) } })
    }

    /// Takes a buffer back; the device has it after [`In::settle`].
    pub(super) fn give_back(&mut self, filled: Filled) {
        // There is an entry for each buffer, so the queue is not full.
        let _ = self.add(filled.number);
    }

    /// Tells the device what was given back.
    pub(super) fn settle(&mut self, transport: &mut impl Transport) {
        if core::mem::take(&mut self.added) {
            notify(&self.queue, self.index, transport);
        }
    }

    /// Should the device interrupt when it fills a buffer? Says whether one is filled already.
    pub(super) fn listen(&mut self, wanted: bool) -> bool {
        self.queue.set_dev_notify(wanted);
        fence(SeqCst);
        self.queue.can_pop()
    }
}

/// So often a last message is looked after.
const LAST_PATIENCE: u32 = 10_000_000;
/// Longest head of a message.
pub(super) const HEAD: usize = 32;

/// A message that the device reads: a head, which may be empty, and a body.
struct Message {
    head: [u8; HEAD],
    head_bytes: usize,
    body: Vec<u8>,
}

/// Messages that the device is to take, and those that wait for room.
pub(super) struct Out<const N: usize> {
    queue: Box<VirtQueue<Metal, N>>,
    index: u16,
    /// What the device has, by the entry of the queue.
    sent: Vec<Option<Box<Message>>>,
    waiting: VecDeque<Box<Message>>,
}

impl<const N: usize> Out<N> {
    pub(super) fn new(mut queue: Box<VirtQueue<Metal, N>>, index: u16) -> Self {
        // What the device has taken is noticed when the next message is sent.
        queue.set_dev_notify(false);
        let mut sent = Vec::new();
        sent.resize_with(N, || None);
        Self { queue, index, sent, waiting: VecDeque::new() }
    }

    /// Sends a message, at once if there is room. The head is at most [`HEAD`] bytes.
    pub(super) fn send(&mut self, head: &[u8], body: Vec<u8>, transport: &mut impl Transport) {
        let mut message =
            Box::new(Message { head: [0; HEAD], head_bytes: head.len().min(HEAD), body });
        message.head[..message.head_bytes].copy_from_slice(&head[..message.head_bytes]);
        self.waiting.push_back(message);
        self.go_on(transport);
    }

    /// Takes back what the device is done with, and hands it what waits.
    pub(super) fn go_on(&mut self, transport: &mut impl Transport) {
        self.queue.set_dev_notify(false);
        self.reclaim();
        let mut added = false;
        while self.queue.available_desc() >= 2
            && let Some(message) = self.waiting.pop_front()
        {
            added |= self.add(message);
        }
        if added {
            notify(&self.queue, self.index, transport);
        }
    }

    fn add(&mut self, message: Box<Message>) -> bool {
        let (head, body) = (&message.head[..message.head_bytes], &message.body[..]);
        // SAFETY: the message lies in a box that is kept until the device is done with it.
        let token = unsafe {
            match (head, body) {
                ([], []) => return false,
                ([], some) | (some, []) => self.queue.add(&[some], &mut []),
                both => self.queue.add(&[both.0, both.1], &mut []),
            }
        };
        // There are two entries, as was looked before.
        let Some(place) = token.ok().and_then(|token| self.sent.get_mut(usize::from(token))) else {
            return false;
        };
        *place = Some(message);
        true
    }

    fn reclaim(&mut self) {
        while let Some(token) = self.queue.peek_used() {
            let Some(message) = self.sent.get_mut(usize::from(token)).and_then(Option::take) else {
                return;
            };
            let (head, body) = (&message.head[..message.head_bytes], &message.body[..]);
            // SAFETY: the same message as was added under this token.
            let done = unsafe {
                match (head, body) {
                    ([], some) | (some, []) => self.queue.pop_used(token, &[some], &mut []),
                    both => self.queue.pop_used(token, &[both.0, both.1], &mut []),
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Asks for an interrupt when the device takes something, if something waits for that. Says
    /// whether there is room already.
    pub(super) fn listen(&mut self) -> bool {
        if self.waiting.is_empty() {
            return false;
        }
        self.queue.set_dev_notify(true);
        fence(SeqCst);
        let room = self.queue.can_pop();
        if room {
            self.queue.set_dev_notify(false);
        }
        room
    }

    /// How many messages wait for room.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sends a last message without allocating or freeing anything, and waits until the device is done
    /// with it, but not for long. Nothing may be sent after it.
    pub(super) fn send_last(&mut self, message: &[u8], transport: &mut impl Transport) {
        // SAFETY: the message stays where it is until the device is done with it, or for good, for
        // the machine ends.
        let Ok(token) = (unsafe { self.queue.add(&[message], &mut []) }) else { return };
        notify(&self.queue, self.index, transport);
        for _ in 0..LAST_PATIENCE {
            match self.queue.peek_used() {
                Some(done) if done == token => return,
                Some(done) => {
                    let Some(Some(earlier)) = self.sent.get(usize::from(done)) else { return };
                    let (head, body) = (&earlier.head[..earlier.head_bytes], &earlier.body[..]);
                    // SAFETY: as in `reclaim`, but that the memory is kept.
                    let popped = unsafe {
                        match (head, body) {
                            ([], some) | (some, []) => self.queue.pop_used(done, &[some], &mut []),
                            both => self.queue.pop_used(done, &[both.0, both.1], &mut []),
                        }
                    };
                    if popped.is_err() {
                        return;
                    }
                }
                None => core::hint::spin_loop(),
            }
        }
    }

    /// Has the device everything, and is it done with it?
    pub(super) fn is_done(&mut self) -> bool {
        self.reclaim();
        self.waiting.is_empty() && self.sent.iter().all(Option::is_none)
    }
}

#[cfg(test)]
mod tests;
