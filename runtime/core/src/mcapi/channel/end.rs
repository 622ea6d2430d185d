//! How channels end: unbound, or broken because the other node is gone.

use super::*;

/// What frames, lost nodes and cancelled requests do to an end.
impl Mcapi {
    /// The channel at `port` whose other end is at `from`; counts frames of channels that are no more.
    pub(in crate::mcapi) fn end_of(
        &mut self,
        from: NodeId,
        channel: u32,
        port: u32,
    ) -> Option<&mut Channel> {
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        let end = end.filter(|end| end.id == channel && end.peer == from);
        if end.is_none() {
            self.counters.stale += 1;
        }
        end
    }

    /// An endpoint is no end of a channel any more, which gives back what it has.
    pub(super) fn unbind(&mut self, port: u32) {
        let Some(local) = self.endpoints.get_mut(port) else { return };
        let (end, dropped) = (local.channel.take(), local.dropped);
        let Some(mut end) = end else { return };
        end.discard(&mut self.pool);
        end.unsent.drain(..).for_each(|(_, payload)| self.pool.unpack(payload));
        self.pool.forgive(end.promised);
        self.starved -= usize::from(end.owed > 0);
        if dropped { self.delete(port) } else { self.feed() }
    }

    /// Breaks every channel to a lost node.
    pub(in crate::mcapi) fn break_channels(&mut self, node: NodeId) {
        let ports: Vec<u32> = self
            .endpoints
            .iter()
            .filter(|(_, local)| local.channel.as_ref().is_some_and(|end| end.peer == node))
            .map(|(port, _)| port)
            .collect();
        for port in ports {
            self.break_channel(port);
        }
    }

    pub(super) fn break_channel(&mut self, port: u32) {
        const FAILED: Completion = Completion::Failed(Status::Transmission);
        let Some(local) = self.endpoints.get_mut(port) else { return };
        let Some(end) = &mut local.channel else { return };
        end.theirs = Side::Gone;
        let mut failed = end.take_waiting(&mut self.requests, &mut self.pool);
        let connector = end.connecting.take();
        if end.handle.is_none() {
            failed.extend(end.closing.take());
            // An open that waits for a connection does not depend on the lost node.
            if end.told_open {
                failed.extend(local.opening.take().map(|opening| opening.request));
            }
            self.unbind(port);
        }
        for request in failed {
            self.complete(request, FAILED);
        }
        if let Some((connector, request)) = connector {
            let status = Status::Transmission;
            self.send(connector, Frame::ConnectDone { request, status });
        }
    }

    /// Takes a request of a channel back.
    pub(in crate::mcapi) fn withdraw(&mut self, port: u32, request: Request) {
        let Some(local) = self.endpoints.get_mut(port) else { return };
        if local.opening.is_some_and(|opening| opening.request == request) {
            local.opening = None;
        }
        if let Some(end) = &mut local.channel {
            end.forget(request, &mut self.requests, &mut self.pool);
        }
        self.finish_close(port);
        self.shut_if_nameless(port);
    }
}
