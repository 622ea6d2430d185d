//! Requests: what is under way, who waits for it, and what came of it.
//!
//! A request that completes goes into the ready queue of the waiter that it was last given to, so
//! a waiter with hundreds of requests is answered from the front of its queue, in the order of
//! completion and without a look at the others. Only a waiter that goes to sleep walks over the
//! requests that it names.

use super::channel::{RecvHandle, SendHandle};
use super::endpoint::Endpoint;
use super::message::Message;
use super::slab::{self, Slab};
use super::status::Status;
use crate::id::NodeId;
use crate::limits::MCAPI_MAX_REQUESTS;
use crate::sorted::Map;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Something under way on this node. Good for one answer: after that it is
/// [`Status::RequestInvalid`], unless [`super::Mcapi::remember`] lets it be waited for once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(u32);

impl Request {
    /// From a number that a program kept; it may be anything.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// As a number. Never 0.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// Somebody who sleeps until a request completes: a thread, as the driver numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Waiter(pub u32);

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// It is done: a send, a connect, a close.
    Done,
    /// The endpoint exists.
    Endpoint(Endpoint),
    /// A message was received.
    Message(Message),
    /// A packet was received.
    Packet(Vec<u8>),
    /// A scalar was received.
    Scalar(u64),
    /// The value of an attribute: see [`super::Attribute`].
    Attribute(u64),
    /// The request was tested true before, with this status and size.
    Tested(Status, usize),
    /// The channel is open, and this is its send end.
    SendHandle(SendHandle),
    /// The channel is open, and this is its receive end.
    RecvHandle(RecvHandle),
    /// It was not done.
    Failed(Status),
}

impl Completion {
    pub(super) const fn of(status: Status) -> Self {
        match status {
            Status::Success => Self::Done,
            failed => Self::Failed(failed),
        }
    }
}

/// What a pending request is for: where it must be taken from when it is cancelled, and which node
/// it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Get {
        node: NodeId,
        port: u32,
    },
    MessageSend {
        node: NodeId,
        port: u32,
    },
    /// `serial`: once it is done, the number of what was received, in the order in which an endpoint gives.
    MessageReceive {
        port: u32,
        serial: u64,
    },
    Connect {
        node: NodeId,
    },
    Open {
        port: u32,
    },
    PacketSend {
        port: u32,
    },
    PacketReceive {
        port: u32,
        serial: u64,
    },
    ScalarReceive {
        port: u32,
        size: u8,
        serial: u64,
    },
    Attribute {
        node: NodeId,
    },
    Close {
        port: u32,
    },
}

impl Op {
    /// The node whose answer it waits for.
    const fn answerer(self) -> Option<NodeId> {
        match self {
            Self::Get { node, .. }
            | Self::MessageSend { node, .. }
            | Self::Attribute { node }
            | Self::Connect { node } => Some(node),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    op: Op,
    done: Option<Completion>,
    /// Whose ready queue it goes to.
    waiter: Option<Waiter>,
    /// Where that waiter last named it.
    position: usize,
}

#[derive(Clone, Debug, Default)]
struct Waiting {
    /// The waiter sleeps, or was woken and has not asked yet.
    asleep: bool,
    woken: bool,
    ready: VecDeque<Request>,
}

/// All requests of a node.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    entries: Slab<Entry>,
    /// By slot, the last request that was tested true and may still be waited for.
    tested: Vec<Option<(Request, Status, usize)>>,
    waiters: Map<Waiter, Waiting>,
}

impl Requests {
    pub(super) const fn new() -> Self {
        Self { entries: Slab::new(MCAPI_MAX_REQUESTS), tested: Vec::new(), waiters: Map::new() }
    }

    pub(super) fn open(&mut self, op: Op) -> Result<Request, Status> {
        let entry = Entry { op, done: None, waiter: None, position: 0 };
        self.entries.insert(entry).map(Request).ok_or(Status::RequestLimit)
    }

    /// What a request is for, as long as it is pending.
    pub(super) fn pending(&self, request: Request) -> Option<&Op> {
        self.entries.get(request.0).filter(|entry| entry.done.is_none()).map(|entry| &entry.op)
    }

    /// Pending requests that wait for an answer from a node.
    pub(super) fn waiting_for(&self, node: NodeId) -> Vec<Request> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.done.is_none() && entry.op.answerer() == Some(node))
            .map(|(key, _)| Request(key))
            .collect()
    }

    /// Says what came of a pending request; returns who is to be woken.
    pub(super) fn complete(&mut self, request: Request, completion: Completion) -> Option<Waiter> {
        let entry = self.entries.get_mut(request.0).filter(|entry| entry.done.is_none())?;
        entry.done = Some(completion);
        let waiter = entry.waiter?;
        let waiting = self.waiters.get_mut(&waiter)?;
        waiting.ready.push_back(request);
        let wake = waiting.asleep && !waiting.woken;
        waiting.woken |= wake;
        wake.then_some(waiter)
    }

    /// Completes a receive with what an endpoint gave out as its `number`th.
    pub(super) fn receive(
        &mut self,
        request: Request,
        number: u64,
        completion: Completion,
    ) -> Option<Waiter> {
        let entry = self.entries.get_mut(request.0)?;
        if let Op::MessageReceive { serial, .. }
        | Op::PacketReceive { serial, .. }
        | Op::ScalarReceive { serial, .. } = &mut entry.op
        {
            *serial = number;
        }
        self.complete(request, completion)
    }

    /// Forgets a request that is done, with what it was for and what came of it.
    pub(super) fn take_done(&mut self, request: Request) -> Option<(Op, Completion)> {
        let entry = self.entries.get_mut(request.0)?;
        let (op, done) = (entry.op, entry.done.take()?);
        self.entries.remove(request.0);
        Some((op, done))
    }

    pub(super) fn test(&mut self, request: Request) -> Result<Option<Completion>, Status> {
        let Some(entry) = self.entries.get_mut(request.0) else {
            return Err(self.why_gone(request));
        };
        let done = entry.done.take();
        if done.is_some() {
            self.entries.remove(request.0);
        }
        Ok(done)
    }

    /// Remembers what a test said, until the slot has been tested true again.
    pub(super) fn remember(&mut self, request: Request, status: Status, size: usize) {
        let index = slab::index(request.0);
        if self.tested.len() <= index {
            self.tested.resize(index + 1, None);
        }
        self.tested[index] = Some((request, status, size));
    }

    /// What is said of a request that is no more.
    fn why_gone(&self, request: Request) -> Status {
        match self.tested.get(slab::index(request.0)) {
            Some(&Some((of, Status::RequestCancelled, _))) if of == request => {
                Status::RequestCancelled
            }
            _ => Status::RequestInvalid,
        }
    }

    /// What was remembered, once; that it was cancelled, as often as it is asked for.
    fn claim(&mut self, request: Request) -> Result<Completion, Status> {
        if self.why_gone(request) == Status::RequestCancelled {
            return Ok(Completion::Failed(Status::RequestCancelled));
        }
        let slot = self.tested.get_mut(slab::index(request.0)).ok_or(Status::RequestInvalid)?;
        let (_, status, size) =
            slot.take_if(|(tested, ..)| *tested == request).ok_or(Status::RequestInvalid)?;
        Ok(Completion::Tested(status, size))
    }

    /// Pending requests for an endpoint of a node, with its port.
    pub(super) fn gets(&self, node: NodeId) -> Vec<(Request, u32)> {
        let get = |(key, entry): (u32, &Entry)| match entry.op {
            Op::Get { node: of, port } if of == node && entry.done.is_none() => {
                Some((Request(key), port))
            }
            _ => None,
        };
        self.entries.iter().filter_map(get).collect()
    }

    /// Forgets a pending request, unless somebody sleeps on it: then it fails for that waiter.
    pub(super) fn cancel(&mut self, request: Request) -> Option<Waiter> {
        let waiter = self.entries.get(request.0)?.waiter;
        if waiter.is_some_and(|waiter| self.asleep(waiter)) {
            return self.complete(request, Completion::Failed(Status::RequestCancelled));
        }
        self.entries.remove(request.0);
        None
    }

    pub(super) fn wait_any(
        &mut self,
        requests: &[Request],
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        self.awake(waiter);
        if let Some(found) = self.next_ready(requests, waiter) {
            return Ok(Some(found));
        }
        if requests.is_empty() {
            return Err(Status::Parameter);
        }
        for (position, &request) in requests.iter().enumerate() {
            let Some(entry) = self.entries.get(request.0) else {
                return self.claim(request).map(|tested| Some((position, tested)));
            };
            if entry.waiter.is_some_and(|other| other != waiter && self.asleep(other)) {
                return Err(Status::WaitPending);
            }
            if let Some(completion) = self.test(request)? {
                return Ok(Some((position, completion)));
            }
        }
        for (position, &request) in requests.iter().enumerate() {
            if let Some(entry) = self.entries.get_mut(request.0) {
                entry.waiter = Some(waiter);
                entry.position = position;
            }
        }
        self.sleep(waiter);
        Ok(None)
    }

    /// From the waiter's ready queue: the first that is still there and among `requests`.
    fn next_ready(&mut self, requests: &[Request], waiter: Waiter) -> Option<(usize, Completion)> {
        while let Some(request) = self.waiters.get_mut(&waiter)?.ready.pop_front() {
            let Some(entry) = self.entries.get_mut(request.0) else { continue };
            if entry.waiter != Some(waiter) {
                continue;
            }
            let position = match requests.get(entry.position) {
                Some(&there) if there == request => Some(entry.position),
                _ => requests.iter().position(|&named| named == request),
            };
            match position {
                Some(position) => return Some((position, self.test(request).ok()??)),
                // It is done, and whoever names it next will see that.
                None => entry.waiter = None,
            }
        }
        None
    }

    fn asleep(&self, waiter: Waiter) -> bool {
        self.waiters.get(&waiter).is_some_and(|waiting| waiting.asleep)
    }

    fn awake(&mut self, waiter: Waiter) {
        if let Some(waiting) = self.waiters.get_mut(&waiter) {
            waiting.asleep = false;
            waiting.woken = false;
        }
    }

    fn sleep(&mut self, waiter: Waiter) {
        // Those that sleep have a request each, so these are never more than twice the requests.
        if self.waiters.len() >= MCAPI_MAX_REQUESTS && !self.waiters.contains_key(&waiter) {
            self.waiters.retain(|_, waiting| waiting.asleep);
        }
        self.waiters.get_or_default(waiter).asleep = true;
    }

    /// The waiter has given up.
    pub(super) fn wait_stop(&mut self, waiter: Waiter) {
        self.waiters.remove(&waiter);
    }
}

#[cfg(test)]
impl Requests {
    pub(super) fn waiters(&self) -> usize {
        self.waiters.len()
    }
}
