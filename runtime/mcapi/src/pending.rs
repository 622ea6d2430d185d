//! Requests as values (3.5.4, 4.7).

use crate::{Completion, Mcapi, Node, Request, Status};
use runtime_core::mcapi::Waiter;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Something under way: to be tested, waited for, or awaited.
///
/// Dropped, it is taken back; and if it is done already, so is what came of it: a message or packet that it received is
/// the next one of its endpoint again, in order, and a channel that it opened can be opened again. So a future may be dropped at any
/// moment, by a timeout or a `select!`, and nothing is lost. What was sent stays sent.
#[derive(Debug)]
#[must_use = "it is taken back when dropped"]
pub struct Pending<T> {
    node: Node,
    request: Option<Request>,
    /// Its number as a future, since it was polled.
    task: Option<Waiter>,
    make: fn(&Node, Completion) -> Result<T, Status>,
}

impl Pending<()> {
    pub(crate) fn unit(node: &Node, request: Request) -> Self {
        Self::new(node, request, |_, _| Ok(()))
    }
}

impl<T> Pending<T> {
    pub(crate) fn new(
        node: &Node,
        request: Request,
        make: fn(&Node, Completion) -> Result<T, Status>,
    ) -> Self {
        Self { node: node.clone(), request: Some(request), task: None, make }
    }

    fn finish(&mut self, completion: Completion) -> Result<T, Status> {
        self.request = None;
        self.node.engine().stop_task(&mut self.task);
        match completion {
            Completion::Failed(status) => Err(status),
            done => (self.make)(&self.node, done),
        }
    }

    /// What came of it, if it is done (4.7.1).
    ///
    /// # Errors
    /// What the operation failed with; [`Status::RequestInvalid`] when its result was taken before.
    pub fn test(&mut self) -> Result<Option<T>, Status> {
        let request = self.request.ok_or(Status::RequestInvalid)?;
        match self.node.core(|core| core.test(request))? {
            Some(completion) => self.finish(completion).map(Some),
            None => Ok(None),
        }
    }

    /// Waits for it (4.7.2); `None` for ever. After [`Status::Timeout`] it can be waited for again.
    ///
    /// # Errors
    /// What the operation failed with; [`Status::Timeout`]; [`Status::RequestInvalid`] when its result was taken before.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<T, Status> {
        let request = self.request.ok_or(Status::RequestInvalid)?;
        self.node.engine().stop_task(&mut self.task);
        let (_, completion) = self.node.wait_any(&[request], timeout)?;
        self.finish(completion)
    }

    /// Takes it back (4.7.4).
    ///
    /// # Errors
    /// [`Status::RequestInvalid`]: it is done, and as good as dropped.
    pub fn cancel(mut self) -> Result<(), Status> {
        let request = self.request.ok_or(Status::RequestInvalid)?;
        self.node.core(|core| core.cancel(request))?;
        self.request = None;
        Ok(())
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        self.node.engine().stop_task(&mut self.task);
        if let Some(request) = self.request {
            self.node.core(|core| core.abandon(request));
        }
    }
}

/// Completes without a thread of its own and without polling: the node's thread wakes the task. With any executor.
impl<T> Future for Pending<T> {
    type Output = Result<T, Status>;

    /// As [`Pending::wait`] without a timeout. After it is ready, [`Status::RequestInvalid`].
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(request) = this.request else { return Poll::Ready(Err(Status::RequestInvalid)) };
        match this.node.engine().poll(request, &mut this.task, context.waker()) {
            Poll::Ready(Ok(completion)) => Poll::Ready(this.finish(completion)),
            Poll::Ready(Err(status)) => Poll::Ready(Err(status)),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Waits for the first of several requests of one node (4.7.3), and says which it was.
///
/// # Errors
/// [`Status::Timeout`]; [`Status::Parameter`] without requests or with those of several nodes;
/// [`Status::RequestInvalid`] when the result of one was taken before.
pub fn wait_any<T>(
    pending: &mut [Pending<T>],
    timeout: Option<Duration>,
) -> Result<(usize, Result<T, Status>), Status> {
    let node = pending.first().ok_or(Status::Parameter)?.node.clone();
    let of_node = |each: &Pending<T>| {
        if !std::sync::Arc::ptr_eq(&each.node.0, &node.0) {
            return Err(Status::Parameter);
        }
        each.request.ok_or(Status::RequestInvalid)
    };
    pending.iter_mut().for_each(|each| node.engine().stop_task(&mut each.task));
    let found = |_: &mut Mcapi, at, completion| (at, completion);
    let request = |at: usize| of_node(&pending[at]);
    let (at, completion) = node.wait_any_of(pending.len(), &request, timeout, found)?;
    Ok((at, pending[at].finish(completion)))
}
