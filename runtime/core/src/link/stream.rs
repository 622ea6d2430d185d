//! Flow over a medium that keeps order and loses nothing: number the frames, check the numbers.

use super::frame::{Data, Proto};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    /// Messages that wait for the link to come up.
    queue: VecDeque<(Proto, Vec<u8>)>,
    sent: u64,
    received: u64,
}

impl Stream {
    pub(super) fn push(&mut self, proto: Proto, payload: Vec<u8>) {
        self.queue.push_back((proto, payload));
    }

    pub(super) fn pop(&mut self) -> Option<(Proto, Vec<u8>)> {
        self.queue.pop_front()
    }

    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The frame for a message that goes out now.
    pub(super) fn number<'a>(&mut self, proto: Proto, payload: &'a [u8]) -> Data<'a> {
        let seq = self.sent;
        self.sent += 1;
        Data { seq, proto, first: true, last: true, payload }
    }

    /// Is this the frame that was due? If not: which one was.
    pub(super) fn accept(&mut self, data: &Data<'_>) -> Result<(), u64> {
        if data.seq != self.received || !data.first || !data.last {
            return Err(self.received);
        }
        self.received += 1;
        Ok(())
    }
}
