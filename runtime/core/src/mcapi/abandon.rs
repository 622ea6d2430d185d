//! Forgetting a request whether it is done or not, so that nothing is lost with it: for callers that may lose interest at
//! any moment, as futures do.

use super::channel::Value;
use super::request::{Op, Request};
use super::{Completion, Mcapi, Packet};

impl Mcapi {
    /// Takes a request back, as [`Mcapi::cancel`] does; if it is done already, then with what came of it: a message or
    /// packet that it received is the next one of its endpoint again, in the order in which they came, an endpoint that it
    /// got is released, and a channel that it opened can be opened again. What was sent stays sent.
    pub fn abandon(&mut self, request: Request) {
        if self.cancel(request).is_ok() {
            return;
        }
        let Some((op, completion)) = self.requests.take_done(request) else { return };
        match (op, completion) {
            (Op::MessageReceive { port, serial }, Completion::Message(message)) => {
                self.unreceive(port, serial, message);
            }
            (Op::PacketReceive { port, serial }, Completion::Packet(packet)) => {
                self.unreceive_packet(port, serial, packet);
            }
            (Op::ScalarReceive { port, size, serial }, Completion::Scalar(value)) => {
                let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
                if let Some(end) = end
                    && end.unpop_scalar(serial, Value(value, size))
                {
                    self.match_scalars(port);
                }
            }
            (Op::Open { port }, Completion::SendHandle(handle)) => self.unopen(port, handle.raw()),
            (Op::Open { port }, Completion::RecvHandle(handle)) => self.unopen(port, handle.raw()),
            (Op::Get { .. }, Completion::Endpoint(endpoint)) => {
                self.endpoint_forget(endpoint);
            }
            _ => {}
        }
        self.settle();
    }

    /// A packet that nobody took comes back, unless the channel is no more.
    fn unreceive_packet(&mut self, port: u32, number: u64, packet: Packet) {
        let end = self.endpoints.get_mut(port).and_then(|local| local.channel.as_mut());
        // Of an earlier channel at this endpoint, there is no such number here.
        match end.filter(|end| end.gave(number)) {
            Some(end) => {
                end.unpop(number, packet);
                self.serve_posted(port);
            }
            None => self.release(packet),
        }
    }

    fn unopen(&mut self, port: u32, handle: u32) {
        let local = self.endpoints.get_mut(port);
        if let Some(end) = local.and_then(|local| local.channel.as_mut())
            && end.lose_handle(handle)
        {
            self.handles.remove(handle);
            self.shut_if_nameless(port);
        }
    }
}
