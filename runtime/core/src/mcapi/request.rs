//! Requests: what is under way, who waits for it, and what came of it.
//!
//! A request that completes goes into the ready queue of the waiter that it was last given to, so
//! a waiter with hundreds of requests is answered from the front of its queue, in the order of
//! completion and without a look at the others. Only a waiter that goes to sleep walks over the
//! requests that it names, and only where something has changed since it last did is there more to do than to compare.

mod waiting;

use super::buffer::Packet;
use super::channel::{RecvHandle, SendHandle};
use super::endpoint::Endpoint;
use super::message::Message;
use super::slab::{self, Slab};
use super::status::Status;
use crate::id::NodeId;
use crate::limits::{MCAPI_MAX_NODES, MCAPI_MAX_REQUESTS};
use crate::sorted::Map;
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
    Packet(Packet),
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

/// What came of the beginning of a blocking call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is over.
    Done(Completion),
    /// It is to be waited for.
    Pending(Request),
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
    /// The node of the endpoint is to say that it has heard of the release.
    Release {
        node: NodeId,
    },
    /// What was sent before the close has not all gone yet.
    Close {
        port: u32,
    },
    /// The node of the other end is to say that it has heard of the close.
    Closing {
        node: NodeId,
    },
}

impl Op {
    /// The node whose answer it waits for.
    const fn answerer(self) -> Option<NodeId> {
        match self {
            Self::Get { node, .. }
            | Self::MessageSend { node, .. }
            | Self::Attribute { node }
            | Self::Connect { node }
            | Self::Release { node }
            | Self::Closing { node } => Some(node),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    op: Op,
    done: Option<Completion>,
    /// Neighbours in the queue that it is in.
    before: Option<Request>,
    after: Option<Request>,
}

/// Requests in a row, each in one row at most.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Queue {
    first: Option<Request>,
    last: Option<Request>,
}

impl Queue {
    pub(super) const EMPTY: Self = Self { first: None, last: None };

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

/// Who named a request last, and where: one comparison tells that nothing has changed since. It is reset when somebody
/// else names it, and gone with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Watch {
    request: Request,
    position: u32,
    waiter: Option<Waiter>,
}

#[derive(Clone, Debug, Default)]
struct Waiting {
    /// The waiter sleeps, or was woken and has not asked yet.
    asleep: bool,
    woken: bool,
    /// What completed and was named by it last, in the order of completion.
    ready: Queue,
    /// The place of what it found last.
    last: usize,
}

/// How far a waiter has come with naming its requests: see [`super::Mcapi::wait_part`].
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    at: usize,
    left: usize,
    begun: bool,
}

impl Scan {
    /// Whether the waiter sleeps, if nothing was found.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.left == 0
    }
}

/// Requests that are named in one part.
const PART: usize = 16;

/// All requests of a node.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    entries: Slab<Entry>,
    /// By slot.
    watches: Vec<Watch>,
    /// By slot, the last request that was tested true and may still be waited for.
    tested: Vec<Option<(Request, Status, usize)>>,
    waiters: Map<Waiter, Waiting>,
    /// Sends of messages that nobody has taken yet, done or not, by the number of their node.
    sends: Vec<u32>,
    /// Somebody named one that is pending.
    pub(super) named_send: bool,
}

/// Threads that are prepared for, of a node whose memory is fixed; for each more some bytes are allocated when it first
/// waits.
const WAITERS: usize = 64;

impl Requests {
    pub(super) const fn new() -> Self {
        Self {
            entries: Slab::new(MCAPI_MAX_REQUESTS),
            watches: Vec::new(),
            tested: Vec::new(),
            waiters: Map::new(),
            sends: Vec::new(),
            named_send: false,
        }
    }

    /// Allocates all.
    pub(super) fn reserve(&mut self) {
        self.entries.reserve();
        self.watches.reserve_exact(MCAPI_MAX_REQUESTS);
        self.tested.resize(MCAPI_MAX_REQUESTS, None);
        self.waiters.reserve(WAITERS);
        self.sends.reserve_exact(MCAPI_MAX_NODES);
    }

    pub(super) fn open(&mut self, op: Op) -> Result<Request, Status> {
        let entry = Entry { op, done: None, before: None, after: None };
        let request = self.entries.insert(entry).map(Request).ok_or(Status::RequestLimit)?;
        let watch = Watch { request, position: 0, waiter: None };
        match self.watches.get_mut(slab::index(request.0)) {
            Some(place) => *place = watch,
            None => self.watches.push(watch),
        }
        if let Op::MessageSend { node, .. } = op {
            if self.sends.len() <= node.index() {
                self.sends.resize(node.index() + 1, 0);
            }
            self.sends[node.index()] += 1;
        }
        Ok(request)
    }

    /// A request is no more.
    #[inline]
    fn close(&mut self, request: Request) {
        let Some(entry) = self.entries.get(request.0) else { return };
        if let Op::MessageSend { node, .. } = entry.op
            && let Some(sends) = self.sends.get_mut(node.index())
        {
            *sends -= 1;
        }
        self.entries.discard(request.0);
    }

    /// Sends of messages to a node that nobody has taken yet, done or not.
    #[inline]
    pub(super) fn sends_to(&self, node: NodeId) -> u32 {
        self.sends.get(node.index()).copied().unwrap_or(0)
    }

    /// Whether there can be one more.
    pub(super) fn has_room(&self) -> bool {
        self.entries.has_room()
    }

    /// Forgets a request that was just opened, and is in no queue.
    pub(super) fn withdraw(&mut self, request: Request) {
        self.close(request);
    }

    /// What a request is for, as long as it is pending.
    pub(super) fn pending(&self, request: Request) -> Option<&Op> {
        self.entries.get(request.0).filter(|entry| entry.done.is_none()).map(|entry| &entry.op)
    }

    /// A pending request is for something else now, which is in no queue.
    pub(super) fn turn(&mut self, request: Request, op: Op) {
        if let Some(entry) = self.entries.get_mut(request.0).filter(|entry| entry.done.is_none()) {
            entry.op = op;
        }
    }

    /// Pending requests that wait for an answer from a node.
    pub(super) fn waiting_for(&self, node: NodeId) -> Vec<Request> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.done.is_none() && entry.op.answerer() == Some(node))
            .map(|(key, _)| Request(key))
            .collect()
    }

    pub(super) fn enqueue(&mut self, queue: &mut Queue, request: Request) {
        let Some(entry) = self.entries.get_mut(request.0) else { return };
        (entry.before, entry.after) = (queue.last, None);
        match queue.last.and_then(|last| self.entries.get_mut(last.0)) {
            Some(last) => last.after = Some(request),
            None => queue.first = Some(request),
        }
        queue.last = Some(request);
    }

    pub(super) fn dequeue(&mut self, queue: &mut Queue) -> Option<Request> {
        let first = queue.first?;
        self.unqueue(queue, first);
        Some(first)
    }

    /// Takes a request out of the queue in which it may be.
    pub(super) fn unqueue(&mut self, queue: &mut Queue, request: Request) {
        let Some(entry) = self.entries.get_mut(request.0) else { return };
        let (before, after) = (entry.before.take(), entry.after.take());
        if before.is_none() && queue.first != Some(request) {
            return;
        }
        match before.and_then(|before| self.entries.get_mut(before.0)) {
            Some(entry) => entry.after = after,
            None => queue.first = after,
        }
        match after.and_then(|after| self.entries.get_mut(after.0)) {
            Some(entry) => entry.before = before,
            None => queue.last = before,
        }
    }

    fn watch(&mut self, request: Request) -> Option<&mut Watch> {
        self.watches.get_mut(slab::index(request.0)).filter(|watch| watch.request == request)
    }

    fn waiter_of(&self, request: Request) -> Option<Waiter> {
        let watch = self.watches.get(slab::index(request.0));
        watch.filter(|watch| watch.request == request)?.waiter
    }

    /// Says what came of a pending request, which is in no queue; returns who is to be woken.
    pub(super) fn complete(&mut self, request: Request, completion: Completion) -> Option<Waiter> {
        let entry = self.entries.get_mut(request.0).filter(|entry| entry.done.is_none())?;
        entry.done = Some(completion);
        let waiter = self.waiter_of(request)?;
        let Some(waiting) = self.waiters.get_mut(&waiter) else {
            self.abandon(request);
            return None;
        };
        let wake = waiting.asleep && !waiting.woken;
        waiting.woken |= wake;
        let mut ready = waiting.ready;
        self.enqueue(&mut ready, request);
        self.set_ready(waiter, ready);
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
        self.disown(request);
        self.close(request);
        Some((op, done))
    }

    fn set_ready(&mut self, waiter: Waiter, ready: Queue) {
        if let Some(waiting) = self.waiters.get_mut(&waiter) {
            waiting.ready = ready;
        }
    }

    /// Nobody has named it; if it is done, whoever does will see that.
    fn abandon(&mut self, request: Request) {
        if let Some(watch) = self.watch(request) {
            watch.waiter = None;
        }
    }

    /// Takes a request that is done from who has named it.
    fn disown(&mut self, request: Request) {
        if let Some(waiter) = self.waiter_of(request) {
            if let Some(mut ready) = self.waiters.get(&waiter).map(|waiting| waiting.ready) {
                self.unqueue(&mut ready, request);
                self.set_ready(waiter, ready);
            }
            self.abandon(request);
        }
    }

    pub(super) fn test(&mut self, request: Request) -> Result<Option<Completion>, Status> {
        let Some(entry) = self.entries.get_mut(request.0) else {
            return Err(self.why_gone(request));
        };
        let done = entry.done.take();
        if done.is_some() {
            self.disown(request);
            self.close(request);
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

    /// Forgets a pending request, which is in no queue, unless somebody sleeps on it: then it fails for that waiter.
    pub(super) fn cancel(&mut self, request: Request) -> Option<Waiter> {
        if self.waiter_of(request).is_some_and(|waiter| self.asleep(waiter)) {
            return self.complete(request, Completion::Failed(Status::RequestCancelled));
        }
        self.abandon(request);
        self.close(request);
        None
    }
}

#[cfg(test)]
impl Requests {
    pub(super) fn waiters(&self) -> usize {
        self.waiters.len()
    }
}
