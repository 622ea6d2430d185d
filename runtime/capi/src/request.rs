//! Requests (4.7): what is written where when one is done.

use crate::pointer::{Array, Out, Room};
use crate::registry::{self, CNode};
use crate::{INVALID, handle, render};
use mcapi::{Completion, Mcapi, Request, Status, duration};
use std::sync::PoisonError;

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

/// By the place of a request, the one that was begun there last.
#[derive(Debug, Default)]
pub(crate) struct Targets(Vec<Option<(Request, Target)>>);

const PLACES: u32 = 1 << 10;

impl Targets {
    fn place(&mut self, request: Request) -> Option<&mut Option<(Request, Target)>> {
        let at = usize::try_from(request.raw() % PLACES).ok()?;
        if self.0.len() <= at {
            self.0.resize(at + 1, None);
        }
        self.0.get_mut(at)
    }

    fn take(&mut self, request: Request) -> Target {
        let entry = self.place(request).and_then(|place| place.take_if(|(of, _)| *of == request));
        entry.map_or(Target::None, |(_, target)| target)
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
        request.some()?;
        let begun = self.node.core(call)?;
        self.begun(request, begun, target);
        Ok(())
    }

    pub(crate) fn begun(&self, request: Out<u32>, begun: Request, target: Target) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = targets.place(begun) {
            *place = Some((begun, target));
        }
        drop(targets);
        request.set(self.salt.request(begun.raw()));
    }

    fn request(&self, handle: u32) -> Request {
        Request::from_raw(self.salt.request(handle))
    }

    fn target(&self, request: Request) -> Target {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).take(request)
    }

    /// Writes what came of a request; returns its status and size.
    fn deliver(&self, request: Request, completion: Completion) -> (Status, usize) {
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
                (if whole { Status::Success } else { Status::MsgTruncated }, filled)
            }
            (Completion::Packet(packet), Target::Packet(out)) => {
                let size = packet.len();
                out.set(self.lend(packet));
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
            _ => (Status::Success, 0),
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
        let Some(completion) = me.node.core(|core| core.test(request))? else {
            return Err(Status::Pending);
        };
        let (code, bytes) = me.deliver(request, completion);
        me.node.core(|core| core.remember(request, code, bytes));
        end = Some((code, bytes));
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
        let (_, completion) = me.node.wait_any(&[request], duration(timeout))?;
        if completion == Completion::Failed(Status::RequestCancelled) {
            return Err(Status::RequestCancelled);
        }
        end = Some(me.deliver(request, completion));
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
        let named = (0..number).map(|at| Ok(me.request(requests.get(at)?.get()?)));
        let named = named.collect::<Result<Vec<_>, Status>>()?;
        let (at, completion) = me.node.wait_any(&named, duration(timeout))?;
        end = Some(me.deliver(named[at], completion));
        u32::try_from(at).map_err(|_| Status::General)
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
