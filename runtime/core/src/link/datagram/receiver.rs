//! Fragments in: put in order, put together, acknowledged.

use super::{ACK_DELAY, WINDOW};
use crate::limits::{LINK_WINDOW, MAX_MESSAGE};
use crate::link::frame::{Data, Proto};
use crate::link::spare::Spare;
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// What became of a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link) enum Taken {
    New,
    Duplicate,
    /// Past the window: no sender of ours does that.
    Beyond,
}

#[derive(Clone, Debug)]
struct Fragment {
    proto: Proto,
    first: bool,
    last: bool,
    payload: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
pub(in crate::link) struct Receiver {
    next: u64,
    /// Fragments from `next` on, where they are here; no more than the window. The last one is.
    held: VecDeque<Option<Fragment>>,
    /// The message that is being put together.
    partial: Option<(Proto, Vec<u8>)>,
    unacknowledged: u32,
    ack_due: Option<Instant>,
    /// The latest fragment that came though it was here already; told once.
    pub(in crate::link) repeated: Option<u64>,
}

impl Receiver {
    /// Room for a whole window.
    pub(in crate::link) fn reserve(&mut self) {
        self.held.reserve(LINK_WINDOW);
    }

    pub(in crate::link) fn take(
        &mut self,
        now: Instant,
        data: &Data<'_>,
        spare: &mut Spare,
    ) -> Taken {
        let Some(index) = data.seq.checked_sub(self.next) else {
            return self.again(now, data.seq);
        };
        if index >= WINDOW {
            return Taken::Beyond;
        }
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        // Holes are reported at once, and so is their end.
        let gap = index > 0 || !self.held.is_empty();
        if self.held.len() <= index {
            self.held.resize_with(index + 1, || None);
        }
        if self.held[index].is_some() {
            return self.again(now, data.seq);
        }
        let Data { proto, first, last, .. } = *data;
        // The others are put behind the first one.
        let room = if first && !last { MAX_MESSAGE } else { data.payload.len() };
        let payload = spare.copy(data.payload, room);
        self.held[index] = Some(Fragment { proto, first, last, payload });
        self.unacknowledged += 1;
        let due = if gap || self.unacknowledged > 1 { now } else { now + ACK_DELAY };
        self.ack_due = Some(self.ack_due.map_or(due, |d| d.min(due)));
        Taken::New
    }

    /// A fragment is here already: the peer missed an acknowledgement of ours, or waited too short for it.
    fn again(&mut self, now: Instant, seq: u64) -> Taken {
        (self.ack_due, self.repeated) = (Some(now), Some(seq));
        Taken::Duplicate
    }

    /// The next whole message that is in order, or an error for fragments that do not fit together.
    pub(in crate::link) fn deliver(
        &mut self,
        spare: &mut Spare,
    ) -> Option<Result<(Proto, Vec<u8>), Proto>> {
        while let Some(fragment) = self.held.front_mut().and_then(Option::take) {
            self.held.pop_front();
            self.next += 1;
            let Fragment { proto, first, last, payload } = fragment;
            let message = match (first, self.partial.take()) {
                (true, None) => payload,
                (false, Some((begun, mut message))) if begun == proto => {
                    if message.len() + payload.len() > MAX_MESSAGE {
                        return Some(Err(proto));
                    }
                    message.extend_from_slice(&payload);
                    spare.give(payload);
                    message
                }
                _ => return Some(Err(proto)),
            };
            if last {
                return Some(Ok((proto, message)));
            }
            self.partial = Some((proto, message));
        }
        None
    }

    pub(in crate::link) fn ack_due(&self) -> Option<Instant> {
        self.ack_due
    }

    /// What to tell the peer, in a frame that is about to go out.
    pub(in crate::link) fn acknowledge(&mut self) -> (u64, u128) {
        (self.unacknowledged, self.ack_due) = (0, None);
        let later = self.held.iter().skip(1).enumerate();
        let selective = later.fold(0, |bits, (bit, held)| bits | u128::from(held.is_some()) << bit);
        (self.next, selective)
    }
}
