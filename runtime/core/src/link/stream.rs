//! Flow over a medium that keeps order and loses nothing while its connection lasts.
//!
//! Messages are numbered, and kept until the peer has said that it has them. When the connection breaks, both sides
//! say in their next Hello which message they wait for, and the other goes on from there:
//!
//! ```text
//!   sender    kept:  [first ······ next)  on their way or there, not known to be there
//!                    [next ········· end)  wait: the link is not up, or the connection is broken
//!   receiver  due:   the number that it takes next; said in each frame, and at the latest after so many messages
//!
//!   connection broken ──▶ new connection ──Hello(due)──▶ first = next = due: what was lost goes out again
//! ```
//! So a break between two lives that both go on costs time only. Whoever waits for a number that is not kept any
//! more, or was never sent, is no peer that we know: the link is over.

use super::frame::{Data, Proto};
use super::spare::Spare;
use crate::sabotage::Step;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// After so many messages at the latest, or so many bytes of them, the peer hears what is here.
const MESSAGES_UNSAID: usize = 32;
const BYTES_UNSAID: usize = 256 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    kept: VecDeque<(Proto, Vec<u8>)>,
    /// Number of the first that is kept.
    first: u64,
    /// Number of the next that goes out.
    next: u64,
    /// Number of the next that comes in.
    due: u64,
    /// What came in since that was last said.
    messages: usize,
    bytes: usize,
}

impl Stream {
    pub(super) fn push(&mut self, proto: Proto, payload: Vec<u8>) {
        self.kept.push_back((proto, payload));
    }

    /// Room for so many messages.
    pub(super) fn reserve(&mut self, messages: usize) {
        self.kept.reserve(messages);
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// How many of those kept went out.
    fn sent(&self) -> usize {
        usize::try_from(self.next - self.first).unwrap_or(usize::MAX)
    }

    /// Messages that did not go out yet, or not on this connection.
    pub(super) fn queued(&self) -> usize {
        self.kept.len().saturating_sub(self.sent())
    }

    /// The frame for the message that goes out now, if there is one.
    pub(super) fn next(&mut self) -> Option<Data<'_>> {
        let (proto, payload) = self.kept.get(self.sent())?;
        let seq = self.next;
        self.next += 1;
        Some(Data { seq, proto: *proto, first: true, last: true, payload })
    }

    /// Is this the frame that was due? If not: which one was.
    pub(super) fn accept(&mut self, data: &Data<'_>) -> Result<(), u64> {
        if data.seq != self.due || !data.first || !data.last {
            return Err(self.due);
        }
        self.due += 1;
        self.messages += 1;
        self.bytes += data.payload.len();
        Ok(())
    }

    /// What the peer is told in each frame.
    pub(super) const fn due(&self) -> u64 {
        self.due
    }

    /// It was.
    pub(super) const fn said(&mut self) {
        (self.messages, self.bytes) = (0, 0);
    }

    pub(super) const fn say_due(&mut self) -> u64 {
        self.said();
        self.due
    }

    /// Has the peer waited long enough to hear what is here?
    pub(super) const fn must_say(&self) -> bool {
        self.messages >= MESSAGES_UNSAID || self.bytes >= BYTES_UNSAID
    }

    /// The peer has all before this one. False if that cannot be.
    pub(super) fn acknowledge(&mut self, due: u64, spare: &mut Spare) -> bool {
        if due > self.next {
            return false;
        }
        while self.first < due {
            if let Some((_, payload)) = self.kept.pop_front() {
                spare.give(payload);
            }
            self.first += 1;
        }
        true
    }

    /// On a new connection, the peer waits for this one. False if it cannot have it.
    pub(super) fn resume(&mut self, due: u64, spare: &mut Spare) -> bool {
        if Step::Resume.is_left_out() {
            return true;
        }
        let possible = due >= self.first && self.acknowledge(due, spare);
        if possible {
            self.next = due;
        }
        possible
    }
}
