//! Requests as values (3.5.4, 4.7).

use crate::{Completion, Node, Request, Status};
use std::time::Duration;

/// Something under way. Dropped before it is done, it is taken back.
#[derive(Debug)]
#[must_use = "it is taken back when dropped"]
pub struct Pending<T> {
    node: Node,
    request: Option<Request>,
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
        Self { node: node.clone(), request: Some(request), make }
    }

    fn finish(&mut self, completion: Completion) -> Result<T, Status> {
        self.request = None;
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
        let (_, completion) = self.node.wait_any(&[request], timeout)?;
        self.finish(completion)
    }

    /// Takes it back (4.7.4).
    ///
    /// # Errors
    /// [`Status::RequestInvalid`]: it is done.
    pub fn cancel(mut self) -> Result<(), Status> {
        let request = self.request.take().ok_or(Status::RequestInvalid)?;
        self.node.core(|core| core.cancel(request))
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        if let Some(request) = self.request {
            self.node.core(|core| {
                if core.cancel(request).is_err() {
                    // Done already: its result goes with it.
                    let _result = core.test(request);
                }
            });
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
    let requests: Vec<Request> = pending.iter().map(of_node).collect::<Result<_, _>>()?;
    let (at, completion) = node.wait_any(&requests, timeout)?;
    Ok((at, pending[at].finish(completion)))
}
