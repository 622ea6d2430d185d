//! The transport of a node, with numbers for its names, and what it had no room for.

use super::loans::Loans;
use super::slip::Slip;
use crate::transport::Transport;
use runtime_core::id::NodeId;
use runtime_core::limits::{MCAPI_LEND_FROM, MCAPI_MAX_NODES};
use runtime_core::mcapi::{DomainId, Mcapi, McapiNode, Payload, Road, split_packet};
use runtime_shm::{Event, Loan, NodeName, SendError};
use std::collections::VecDeque;
use std::sync::Arc;

/// Frames that are prepared for: more than one peer ever has requests. There may be more while several peers do not
/// read.
const FRAMES: usize = 4096;
/// Names whose numbers are found at once.
const NEAR: u32 = 64;

/// See the module.
pub(super) struct Wire {
    /// Away while the leader sleeps on it.
    pub(super) transport: Option<Box<dyn Transport>>,
    outbox: VecDeque<(NodeId, Payload)>,
    /// By number, of all nodes that ever joined.
    names: Vec<Option<NodeName>>,
    /// The number of the last node whose name falls in a place.
    near: [Option<(NodeName, NodeId)>; NEAR as usize],
    loans: Arc<Loans>,
    /// How far who receives stays behind.
    pub(super) slip: Slip,
}

/// Nodes, by number.
#[derive(Default)]
struct Marks([u64; MCAPI_MAX_NODES.div_ceil(64)]);

impl Marks {
    fn set(&mut self, node: NodeId) {
        if let Some(word) = self.0.get_mut(node.index() / 64) {
            *word |= 1 << (node.index() % 64);
        }
    }

    fn has(&self, node: NodeId) -> bool {
        self.0.get(node.index() / 64).is_some_and(|word| word >> (node.index() % 64) & 1 == 1)
    }
}

/// What became of a frame.
enum Sent {
    /// It went, or its receiver is gone, which will be told.
    Over,
    Full,
    Lost,
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>, loans: Arc<Loans>) -> Self {
        Self {
            transport: Some(transport),
            outbox: VecDeque::with_capacity(FRAMES),
            names: vec![None; MCAPI_MAX_NODES],
            near: [None; NEAR as usize],
            loans,
            slip: Slip::default(),
        }
    }

    /// Whether frames wait that only the transport can take, which is away.
    pub(super) fn is_stuck(&self) -> bool {
        self.transport.is_none() && !self.outbox.is_empty()
    }

    /// Whether frames wait that could be sent now.
    #[inline]
    pub(super) fn has_waiting(&self) -> bool {
        !self.outbox.is_empty() && self.transport.is_some()
    }

    /// Whether something may have come, or could be sent that waits.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.transport
            .as_ref()
            .is_some_and(|transport| transport.has_news() || !self.outbox.is_empty())
    }

    /// Takes in all that has come; says how much that was.
    #[inline]
    pub(super) fn poll(&mut self, core: &mut Mcapi) -> usize {
        let Self { transport, outbox, names, near, loans, .. } = self;
        let Some(transport) = transport else { return 0 };
        transport.poll(&mut |event| match event {
            Event::Frame { from, bytes } => {
                if let Some(node) = number(core, near, from) {
                    core.handle(node, bytes);
                }
            }
            Event::Lent { from, head, loan } => {
                if let Some(node) = number(core, near, from) {
                    take_lent(core, loans, node, (head, loan));
                }
            }
            Event::Joined(name) => {
                // One too many is not heard of, and what it sends is from nobody.
                let known = core.expect_node(DomainId(name.domain), McapiNode(name.node));
                if let Ok(node) = known {
                    if let Some(place) = names.get_mut(node.index()) {
                        *place = Some(name);
                    }
                    core.node_joined(node);
                }
            }
            Event::Gone(name) => {
                if let Some(node) = number(core, near, name) {
                    lose(outbox, core, node);
                }
            }
        })
    }

    /// Sends a frame, or keeps it. `false`: the node cannot be sent to.
    pub(super) fn send(&mut self, core: &mut Mcapi, to: NodeId, payload: Payload) -> bool {
        if !self.outbox.is_empty() {
            self.outbox.push_back((to, payload));
            return true;
        }
        let sent = self.put_whole(to, &payload);
        match sent {
            Sent::Full => self.outbox.push_back((to, payload)),
            Sent::Over | Sent::Lost => core.sent(payload),
        }
        !matches!(sent, Sent::Lost)
    }

    /// A node cannot be sent to any more.
    #[cold]
    pub(super) fn give_up(&mut self, core: &mut Mcapi, node: NodeId) {
        lose(&mut self.outbox, core, node);
    }

    /// Sends what was kept, in order to each node; says which node cannot be sent to, the first of them.
    pub(super) fn flush(&mut self, core: &mut Mcapi) -> Option<NodeId> {
        self.transport.as_ref()?;
        let mut full = Marks::default();
        let mut lost = None;
        for _ in 0..self.outbox.len() {
            let (to, payload) = self.outbox.pop_front()?;
            if full.has(to) {
                self.outbox.push_back((to, payload));
                continue;
            }
            match self.put_whole(to, &payload) {
                Sent::Full => {
                    full.set(to);
                    self.outbox.push_back((to, payload));
                }
                Sent::Over => core.sent(payload),
                Sent::Lost => {
                    core.sent(payload);
                    lost = lost.or(Some(to));
                }
            }
        }
        lost
    }

    fn put_whole(&mut self, to: NodeId, frame: &[u8]) -> Sent {
        let large = (frame.len() >= MCAPI_LEND_FROM).then(|| split_packet(frame)).flatten();
        let (head, data) = large.unwrap_or((frame, &[]));
        self.put(to, head, data)
    }

    /// Gives back what was lent for packets that are no more.
    #[cold]
    pub(super) fn give_back(&self, core: &mut Mcapi) {
        while let Some(lent) = core.unwanted() {
            self.loans.take(lent);
        }
    }

    #[inline]
    fn put(&mut self, to: NodeId, head: &[u8], data: &[u8]) -> Sent {
        let name = self.names.get(to.index()).copied().flatten();
        let (Some(transport), Some(name)) = (&mut self.transport, name) else { return Sent::Full };
        let sent = if data.len() >= MCAPI_LEND_FROM && split_packet(head).is_some() {
            transport.lend(name, head, data)
        } else {
            transport.send(name, head, data)
        };
        match sent {
            // It is told of, or will be.
            Ok(()) | Err(SendError::Gone) => Sent::Over,
            Err(SendError::Full) => Sent::Full,
            Err(_) => Sent::Lost,
        }
    }
}

/// A node is gone. What was for a life that is over is nothing to the next one.
#[cold]
fn lose(outbox: &mut VecDeque<(NodeId, Payload)>, core: &mut Mcapi, node: NodeId) {
    core.node_gone(node);
    outbox.retain_mut(|(to, payload)| {
        if *to == node
            && let Payload::Long(buffer) = payload
        {
            core.give_back(std::mem::take(buffer));
        }
        *to != node
    });
}

/// Out of the way of frames that are small.
#[cold]
fn take_lent(core: &mut Mcapi, loans: &Loans, node: NodeId, (head, loan): (&[u8], Loan)) {
    if let Some(lent) = loans.put(loan)
        && !core.handle_lent(node, head, lent)
    {
        loans.take(lent);
    }
}

impl Road for Wire {
    fn carry(&mut self, to: NodeId, head: &[u8], data: &[u8]) -> bool {
        self.slip.forget();
        self.outbox.is_empty() && matches!(self.put(to, head, data), Sent::Over)
    }
}

/// The number of a node. It never changes.
#[inline]
fn number(
    core: &Mcapi,
    near: &mut [Option<(NodeName, NodeId)>; NEAR as usize],
    name: NodeName,
) -> Option<NodeId> {
    let place = &mut near[(name.node % NEAR) as usize];
    match *place {
        Some((of, node)) if of == name => Some(node),
        _ => {
            let node = core.node_of(DomainId(name.domain), McapiNode(name.node)).ok()?;
            *place = Some((name, node));
            Some(node)
        }
    }
}
