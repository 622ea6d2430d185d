//! Requests (4.7): what is written where when one is done.

use crate::pointer::{Array, Out, Room};
use crate::registry::{self, CNode};
use crate::{INVALID, handle, render};
use mcapi::{Completion, Mcapi, Request, Road, Status, duration};

/// What a request leaves when it is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// Nothing.
    None,
    /// So many bytes were sent.
    Sent(usize),
    Endpoint(Out<u32>),
    Message(Room, usize),
    Packet(Out<Room>),
    Handle(Out<u32>),
}

/// The request that was begun last in its place; 0 is none. In two parts, which are written one by one: see
/// `mcapi::Node::send`.
#[derive(Clone, Copy, Debug)]
struct Place {
    request: u32,
    target: Target,
}

/// By the place of a request.
#[derive(Debug)]
pub(crate) struct Targets(Vec<Place>);

const PLACES: u32 = 1 << 10;

impl Targets {
    pub(crate) fn new() -> Self {
        Self(vec![Place { request: 0, target: Target::None }; PLACES as usize])
    }

    fn place(&mut self, request: Request) -> Option<&mut Place> {
        let at = usize::try_from(request.raw() % PLACES).ok()?;
        self.0.get_mut(at)
    }

    /// How many bytes were sent, if something was.
    #[inline]
    fn sent(&mut self, request: Request) -> usize {
        let place = self.place(request).filter(|place| place.request == request.raw());
        place.map_or(0, |place| if let Target::Sent(size) = place.target { size } else { 0 })
    }

    fn take(&mut self, request: Request) -> Target {
        let place = self.place(request).filter(|place| place.request == request.raw());
        place.map_or(Target::None, |place| {
            place.request = 0;
            place.target
        })
    }
}

impl CNode {
    /// Begins an operation, and gives its request out.
    pub(crate) fn start(
        &self,
        request: Out<u32>,
        target: Target,
        call: impl FnOnce(&mut Mcapi) -> Result<Request, Status>,
    ) -> Result<(), Status> {
        self.start_on(request, target, |core, _| call(core))
    }

    /// The same with the way out.
    pub(crate) fn start_on(
        &self,
        request: Out<u32>,
        target: Target,
        call: impl FnOnce(&mut Mcapi, &mut dyn Road) -> Result<Request, Status>,
    ) -> Result<(), Status> {
        request.some()?;
        let begun = self.node.core_on(call)?;
        self.begun(request, begun, target);
        Ok(())
    }

    pub(crate) fn begun(&self, request: Out<u32>, begun: Request, target: Target) {
        let mut targets = self.targets.lock();
        if let Some(place) = targets.place(begun) {
            place.request = begun.raw();
            place.target = target;
        }
        drop(targets);
        request.set(self.salt.request(begun.raw()));
    }

    fn request(&self, handle: u32) -> Request {
        Request::from_raw(self.salt.request(handle))
    }

    fn target(&self, request: Request) -> Target {
        self.targets.lock().take(request)
    }

    /// The end of a wait: a request that was cancelled meanwhile is a failure of the wait.
    fn end(
        &self,
        core: &mut Mcapi,
        request: Request,
        completion: Completion,
    ) -> Result<(Status, usize), Status> {
        match completion {
            Completion::Failed(Status::RequestCancelled) => Err(Status::RequestCancelled),
            completion => Ok(self.deliver(core, request, completion)),
        }
    }

    /// Writes what came of a request; returns its status and size.
    fn deliver(
        &self,
        core: &mut Mcapi,
        request: Request,
        completion: Completion,
    ) -> (Status, usize) {
        let target = self.target(request);
        match (completion, target) {
            (Completion::Tested(status, size), _) => (status, size),
            (Completion::Failed(status), _) => (status, 0),
            (Completion::Done, Target::Sent(size)) => (Status::Success, size),
            (Completion::Endpoint(address), Target::Endpoint(out)) => {
                match handle::from_address(address) {
                    Ok(handle) => {
                        out.set(handle);
                        (Status::Success, 0)
                    }
                    Err(status) => (status, 0),
                }
            }
            (Completion::Message(message), Target::Message(room, size)) => {
                let filled = room.fill(size, &message.data);
                let whole = message.data.len() <= size;
                core.give_back(message.data);
                (if whole { Status::Success } else { Status::MsgTruncated }, filled)
            }
            (Completion::Packet(packet), Target::Packet(out)) => {
                let (room, size) = self.lend(packet);
                out.set(room);
                (Status::Success, size)
            }
            (Completion::SendHandle(handle), Target::Handle(out)) => {
                out.set(self.salt.channel(handle.raw()));
                (Status::Success, 0)
            }
            (Completion::RecvHandle(handle), Target::Handle(out)) => {
                out.set(self.salt.channel(handle.raw()));
                (Status::Success, 0)
            }
            (other, _) => {
                core.discard(other);
                (Status::Success, 0)
            }
        }
    }
}

/// Sets the size, and makes a failure of the operation one of the call, with its value: the operation is over.
fn over((code, bytes): (Status, usize), size: Out<usize>, status: Out<u32>) {
    size.set(bytes);
    status.set(code.number());
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_test(request: Out<u32>, size: Out<usize>, status: Out<u32>) -> u8 {
    let mut end = None;
    let done = render(status, 0, || {
        let me = registry::current()?;
        let request = me.request(request.get()?);
        size.some()?;
        end = me.node.core(|core| {
            let Some(completion) = core.test(request)? else { return Err(Status::Pending) };
            let (code, bytes) = me.deliver(core, request, completion);
            core.remember(request, code, bytes);
            Ok(Some((code, bytes)))
        })?;
        Ok(1)
    });
    end.into_iter().for_each(|end| over(end, size, status));
    done
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_wait(
    request: Out<u32>,
    size: Out<usize>,
    timeout: u32,
    status: Out<u32>,
) -> u8 {
    let mut end = None;
    let done = render(status, 0, || {
        let me = registry::current()?;
        let request = me.request(request.get()?);
        size.some()?;
        // Before the request is no more: its place may be another thread's then.
        let sent = me.targets.lock().sent(request);
        if me.node.take_plain(request) {
            size.set(sent);
            return Ok(1);
        }
        let ended = |core: &mut Mcapi, _, completion| me.end(core, request, completion);
        end = Some(me.node.wait_any_of(1, &|_| Ok(request), duration(timeout), ended)??);
        Ok(1)
    });
    end.into_iter().for_each(|end| over(end, size, status));
    done
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_wait_any(
    number: usize,
    requests: Array<Out<u32>>,
    size: Out<usize>,
    timeout: u32,
    status: Out<u32>,
) -> u32 {
    let mut end = None;
    let at = render(status, INVALID, || {
        let me = registry::current()?;
        size.some()?;
        if number == 0 || number > mcapi::limits::MCAPI_MAX_REQUESTS {
            return Err(Status::Parameter);
        }
        let named = |at: usize| Ok(me.request(requests.get(at)?.get()?));
        let ended = |core: &mut Mcapi, at: usize, completion| {
            end = Some(me.deliver(core, named(at)?, completion));
            u32::try_from(at).map_err(|_| Status::General)
        };
        me.node.wait_any_of(number, &named, duration(timeout), ended)?
    });
    end.into_iter().for_each(|end| over(end, size, status));
    at
}

#[unsafe(no_mangle)]
pub(crate) extern "C" fn mcapi_cancel(request: Out<u32>, status: Out<u32>) {
    render(status, (), || {
        let me = registry::current()?;
        let request = me.request(request.get()?);
        me.node.core(|core| {
            core.cancel(request)?;
            core.remember(request, Status::RequestCancelled, 0);
            Ok(())
        })?;
        me.target(request);
        Ok(())
    });
}
