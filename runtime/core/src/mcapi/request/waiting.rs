//! Waiting for the first of many requests: each is named once, and whoever is done says so, so that waiting for a thousand
//! costs what waiting for one does.

use super::{Completion, Op, PART, Request, Requests, Scan, Status, Waiter, Watch};
use crate::limits::MCAPI_MAX_REQUESTS;
use crate::mcapi::slab;
use alloc::vec::Vec;

impl Requests {
    pub(in crate::mcapi) fn wait_any(
        &mut self,
        number: usize,
        request: impl Fn(usize) -> Result<Request, Status>,
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        let mut scan = Scan { at: 0, left: number, begun: false };
        loop {
            let found = self.wait_part(&mut scan, number, &request, waiter)?;
            if found.is_some() || scan.left == 0 {
                return Ok(found);
            }
        }
    }

    /// A scan that begins where the waiter found something last: what it has named since is likely to stand there.
    pub(in crate::mcapi) fn scan(&self, number: usize, waiter: Waiter) -> Scan {
        let last = self.waiters.get(&waiter).map_or(0, |waiting| waiting.last);
        Scan { at: if last < number { last } else { 0 }, left: number, begun: false }
    }

    /// What came of a request that was done before anybody waited for it: there is nothing to look up.
    #[inline]
    pub(in crate::mcapi) fn take_unnamed(&mut self, request: Request) -> Option<Completion> {
        let unnamed = self.watch(request).is_some_and(|watch| watch.waiter.is_none());
        let done = self.entries.get_mut(request.0).filter(|_| unnamed)?.done.take()?;
        self.close(request);
        Some(done)
    }

    /// The same for one of which nothing is to be told but that it was done; says whether. Nothing is copied: what was just
    /// written in smaller parts would be there only when the frames are out that were written before.
    #[inline]
    pub(in crate::mcapi) fn take_plain(&mut self, request: Request) -> bool {
        let unnamed = self.watch(request).is_some_and(|watch| watch.waiter.is_none());
        let entry = self.entries.get(request.0).filter(|_| unnamed);
        let plain = entry.is_some_and(|entry| matches!(entry.done, Some(Completion::Done)));
        if plain {
            self.close(request);
        }
        plain
    }

    /// Looks at some of the requests; the waiter sleeps when all have been looked at.
    pub(in crate::mcapi) fn wait_part(
        &mut self,
        scan: &mut Scan,
        number: usize,
        request: &impl Fn(usize) -> Result<Request, Status>,
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        if !core::mem::replace(&mut scan.begun, true) {
            if number == 1
                && let Some(completion) = self.take_unnamed(request(0)?)
            {
                return Ok(Some((0, completion)));
            }
            self.awake(waiter);
        }
        if let Some(found) = self.next_ready(number, request, waiter)? {
            return Ok(Some(found));
        }
        if number == 0 {
            return Err(Status::Parameter);
        }
        for _ in 0..scan.left.min(PART) {
            let place = scan.at;
            if let Some(completion) = self.name(place, request(place)?, waiter)? {
                return Ok(Some((place, completion)));
            }
            scan.at = if place + 1 == number { 0 } else { place + 1 };
            scan.left -= 1;
        }
        if scan.left == 0 {
            self.sleep(waiter);
        }
        Ok(None)
    }

    /// A waiter names a request at a place.
    #[inline]
    pub(super) fn name(
        &mut self,
        place: usize,
        request: Request,
        waiter: Waiter,
    ) -> Result<Option<Completion>, Status> {
        let position = u32::try_from(place).unwrap_or(u32::MAX);
        let watch = Watch { request, position, waiter: Some(waiter) };
        if self.watches.get(slab::index(request.0)) == Some(&watch) {
            // As it was when it was last named, so it is pending: what is done is in the queue.
            return Ok(None);
        }
        if self.entries.get(request.0).is_none() {
            return self.claim(request).map(Some);
        }
        let other = self.waiter_of(request).filter(|&other| other != waiter);
        if other.is_some_and(|other| self.asleep(other)) {
            return Err(Status::WaitPending);
        }
        let done = self.test(request)?;
        if done.is_none()
            && let Some(old) = self.watch(request)
        {
            *old = watch;
            self.named_send |= matches!(self.pending(request), Some(Op::MessageSend { .. }));
        }
        Ok(done)
    }

    /// From the waiter's ready queue: the first that is among `requests`.
    pub(super) fn next_ready(
        &mut self,
        number: usize,
        request: &impl Fn(usize) -> Result<Request, Status>,
        waiter: Waiter,
    ) -> Result<Option<(usize, Completion)>, Status> {
        while let Some(ready) = self.waiters.get(&waiter).and_then(|waiting| waiting.ready.first) {
            let position = self.watch(ready).map_or(usize::MAX, |watch| watch.position as usize);
            let place = if position < number && request(position)? == ready {
                Some(position)
            } else {
                (0..number).find(|&at| request(at) == Ok(ready))
            };
            match place {
                Some(place) => {
                    if let Some(waiting) = self.waiters.get_mut(&waiter) {
                        waiting.last = place;
                    }
                    return Ok(self.test(ready)?.map(|completion| (place, completion)));
                }
                // It is done, and whoever names it next will see that.
                None => self.disown(ready),
            }
        }
        Ok(None)
    }

    pub(super) fn asleep(&self, waiter: Waiter) -> bool {
        self.waiters.get(&waiter).is_some_and(|waiting| waiting.asleep)
    }

    pub(super) fn awake(&mut self, waiter: Waiter) {
        if let Some(waiting) = self.waiters.get_mut(&waiter) {
            waiting.asleep = false;
            waiting.woken = false;
        }
    }

    pub(super) fn sleep(&mut self, waiter: Waiter) {
        // Those that sleep have a request each, so these are never more than twice the requests.
        if self.waiters.len() >= MCAPI_MAX_REQUESTS && !self.waiters.contains_key(&waiter) {
            let idle = self.waiters.iter().filter(|(_, waiting)| !waiting.asleep);
            let idle: Vec<Waiter> = idle.map(|(&idle, _)| idle).collect();
            idle.into_iter().for_each(|idle| self.wait_stop(idle));
        }
        self.waiters.get_or_default(waiter).asleep = true;
    }

    /// The waiter has given up.
    pub(in crate::mcapi) fn wait_stop(&mut self, waiter: Waiter) {
        while let Some(ready) = self.waiters.get(&waiter).and_then(|waiting| waiting.ready.first) {
            self.disown(ready);
        }
        self.waiters.remove(&waiter);
    }
}
