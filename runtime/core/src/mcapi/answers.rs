//! Answers to messages that may wait, so that a stream of messages does not cost a frame for each.
//!
//! A sender that lets many messages to a node go before it asks what became of them ([`EASY`]) lets that node say it later
//! ([`Frame::Message`] with `later`). The receiver then **holds** the answer until it has a frame full of them, somebody
//! asks, or its driver has nothing else to do ([`Mcapi::poll`]; a driver that may soon have more to say calls
//! [`Mcapi::poll_urgent`]). Whoever is going to wait for a send **asks** first: what a node was sent before it is asked, and holds
//! an answer to, it answers then. A message that waits for room is answered as soon as it has some.

use super::frame::{Frame, Head};
use super::request::{Op, Request};
use super::{Mcapi, Output, Payload};
use crate::id::NodeId;
use alloc::vec::Vec;

/// With so many sends to a node that its program has not asked for, the answer to one more may wait: they are more than a
/// frame of answers has, so that most are answered by the time they are asked for.
const EASY: u32 = 16;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// By number: whether a node may be late with an answer, and was not asked since.
    unasked: Vec<bool>,
    /// For each node that is owed answers, those.
    held: Vec<(NodeId, Head)>,
}

impl Answers {
    /// Room for so many nodes.
    pub(super) fn reserve(&mut self, nodes: usize) {
        self.unasked.reserve_exact(nodes);
        self.held.reserve_exact(nodes);
    }

    /// A message has gone to a node that may be answered later.
    #[inline]
    pub(super) fn expect(&mut self, node: NodeId) {
        if self.unasked.len() <= node.index() {
            self.unasked.resize(node.index() + 1, false);
        }
        self.unasked[node.index()] = true;
    }

    /// A node is gone.
    pub(super) fn forget(&mut self, node: NodeId) {
        if let Some(unasked) = self.unasked.get_mut(node.index()) {
            *unasked = false;
        }
        self.held.retain(|&(to, _)| to != node);
    }

    /// Whether nothing is held.
    pub(super) const fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The answers that are held for some node.
    pub(super) fn release(&mut self) -> Option<(NodeId, Head)> {
        self.held.pop()
    }

    /// The answers that are held for a node.
    fn release_to(&mut self, node: NodeId) -> Option<Head> {
        let at = self.held.iter().position(|&(to, _)| to == node)?;
        Some(self.held.swap_remove(at).1)
    }

    /// Holds an answer; gives a frame of others back that has no room for it.
    #[inline]
    fn hold(&mut self, node: NodeId, request: Request) -> Option<Head> {
        let Some((_, head)) = self.held.iter_mut().find(|(to, _)| *to == node) else {
            self.held.push((node, done(request)));
            return None;
        };
        let full = !head.append_done(request);
        full.then(|| core::mem::replace(head, done(request)))
    }
}

/// The first of a frame of answers.
fn done(request: Request) -> Head {
    let mut head = Frame::MessagesDone.head();
    head.append_done(request);
    head
}

impl Mcapi {
    /// Whether the answer to a message that goes to a node now, and that nobody waits for yet, may wait.
    #[inline]
    pub(super) fn may_wait(&self, node: NodeId) -> bool {
        self.requests.sends_to(node) > EASY
    }

    /// Tells a sender that its message has arrived, with others of which it was not told yet; later, if it may be.
    #[inline]
    pub(super) fn message_done(&mut self, node: NodeId, request: Request, later: bool) {
        if later && node != self.me {
            if let Some(full) = self.answers.hold(node, request) {
                self.push(node, Payload::Short(full));
            }
            return;
        }
        // What was held goes with it.
        if let Some(head) = self.answers.release_to(node) {
            self.push(node, Payload::Short(head));
        }
        if let Some(Output::Send { to, payload: Payload::Short(head) }) = self.out.back_mut()
            && *to == node
            && head.append_done(request)
        {
            return;
        }
        self.push(node, Payload::Short(done(request)));
    }

    pub(super) fn on_messages_ask(&mut self, from: NodeId) {
        if let Some(head) = self.answers.release_to(from) {
            self.push(from, Payload::Short(head));
        }
    }

    /// Somebody is going to wait for this request.
    pub(super) fn ask_for(&mut self, request: Request) {
        if let Some(&Op::MessageSend { node, .. }) = self.requests.pending(request) {
            self.ask(node);
        }
    }

    /// Somebody is going to wait for what it named.
    #[inline]
    pub(super) fn ask_if_named(&mut self) {
        if core::mem::take(&mut self.requests.named_send) {
            self.ask_all();
        }
    }

    #[cold]
    fn ask_all(&mut self) {
        for node in 0..self.answers.unasked.len() {
            self.ask(NodeId(u16::try_from(node).unwrap_or(u16::MAX)));
        }
    }

    fn ask(&mut self, node: NodeId) {
        if self.answers.unasked.get_mut(node.index()).is_some_and(core::mem::take) {
            self.send(node, Frame::MessagesAsk);
        }
    }
}
