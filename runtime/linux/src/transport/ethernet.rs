//! Frames on raw Ethernet: one card, a peer known by the address of its own.
//!
//! There is nothing to connect: a peer counts as up from the start, and whether it is there, and in
//! which life, its link finds out. Frames may be lost anywhere, here too when too many wait; the link
//! sends them again. What is dropped is counted.
//!
//! A frame is a system call either way. `recvmmsg` and `sendmmsg` were measured: for one frame they
//! cost a fifth more, with 32 at a time receiving gains nothing worth the copy that it needs, and
//! sending would gain a third but each frame would have to wait for others.

use super::nic::{Nic, NicError};
use super::{Happening, TransportError, notices};
use core::time::Duration;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use runtime_core::id::NodeId;
use runtime_core::limits::LINK_WINDOW;
use runtime_driver::ethernet::{HEADER_BYTES, Header, Mac};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

#[cfg(test)]
mod tests;

/// Frames that may wait for the card.
pub const MAX_WAITING: usize = 1024;
const _: () = assert!(MAX_WAITING >= 8 * LINK_WINDOW, "several peers can be sent a full window");
/// Frames that are read in one turn, so that a busy card does not starve the rest.
const BATCH: u32 = 64;
/// Until the card is tried again whose queue was full: the kernel does not say when it is not.
const RETRY: Duration = Duration::from_millis(1);

/// What became of frames. What is not sent or received was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that the kernel took.
    pub sent: u64,
    /// Frames from a peer, handed on.
    pub received: u64,
    /// Frames that were too large to send, or came in larger than the MTU.
    pub oversize: u64,
    /// Frames to send while [`MAX_WAITING`] waited already.
    pub queue_full: u64,
    /// Frames that the kernel refused, for example because the card is down.
    pub refused: u64,
    /// Frames for another card.
    pub not_ours: u64,
    /// Frames from a card that is no peer's.
    pub unknown: u64,
    /// What came in and is no frame of ours at all.
    pub malformed: u64,
    /// Frames that the kernel dropped because they were not fetched in time.
    pub overflowed: u64,
    /// Errors of the card that went away again.
    pub errors: u64,
}

#[derive(Debug)]
struct Outgoing {
    header: [u8; HEADER_BYTES],
    frame: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Ethernet {
    nic: Nic,
    macs: BTreeMap<NodeId, Mac>,
    peers: BTreeMap<Mac, NodeId>,
    happened: VecDeque<Happening>,
    waiting: VecDeque<Outgoing>,
    retry_at: Option<Instant>,
    /// Frames that may still be read in this turn.
    budget: u32,
    buffer: Vec<u8>,
    counters: Counters,
    gone: Option<Errno>,
}

impl Ethernet {
    pub(super) fn new(
        me: NodeId,
        nic: Nic,
        peers: Vec<(NodeId, Mac)>,
    ) -> Result<Self, TransportError> {
        let macs: BTreeMap<NodeId, Mac> =
            peers.into_iter().filter(|(node, _)| *node != me).collect();
        let mut by_mac = BTreeMap::new();
        for (node, mac) in &macs {
            if !mac.is_unicast() {
                return Err(NicError::Address(*mac).into());
            }
            if *mac == nic.mac() || by_mac.insert(*mac, *node).is_some() {
                return Err(NicError::Shared(*mac).into());
            }
        }
        Ok(Self {
            happened: macs.keys().map(|node| Happening::Up(*node)).collect(),
            macs,
            peers: by_mac,
            waiting: VecDeque::new(),
            retry_at: None,
            budget: 0,
            buffer: vec![0; HEADER_BYTES + nic.mtu()],
            counters: Counters::default(),
            gone: None,
            nic,
        })
    }

    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.macs.contains_key(&node)
    }

    /// Gives the buffer back, unless it waits.
    pub(super) fn send(&mut self, to: NodeId, frame: Vec<u8>) -> Option<Vec<u8>> {
        let Some(to) = self.macs.get(&to) else { return Some(frame) };
        if frame.len() > self.nic.mtu() {
            // The link keeps to the MTU that it was told.
            let (bytes, mtu) = (frame.len(), self.nic.mtu());
            tracing::warn!(bytes, mtu, "a frame is larger than the MTU: dropped");
            self.counters.oversize += 1;
            return Some(frame);
        }
        let mut header = [0; HEADER_BYTES];
        Header { to: *to, from: self.nic.mac() }.emit(&mut header);
        if !self.waiting.is_empty() {
            self.flush();
        }
        if self.waiting.len() == MAX_WAITING {
            if self.counters.queue_full == 0 {
                tracing::warn!("{MAX_WAITING} frames wait for the network card: dropping more");
            }
            self.counters.queue_full += 1;
        } else if !self.waiting.is_empty() || !self.write(&header, &frame) {
            self.waiting.push_back(Outgoing { header, frame });
            return None;
        }
        Some(frame)
    }

    /// Hands a frame to the kernel. `false`: it may take it later.
    fn write(&mut self, header: &[u8; HEADER_BYTES], frame: &[u8]) -> bool {
        match self.nic.send(header, frame) {
            Ok(()) => self.counters.sent += 1,
            Err(Errno::EAGAIN | Errno::EINTR) => return false,
            Err(Errno::ENOBUFS) => {
                self.retry_at = Some(Instant::now() + RETRY);
                return false;
            }
            Err(errno) => {
                self.counters.refused += 1;
                self.trouble(errno);
            }
        }
        true
    }

    fn flush(&mut self) {
        if self.retry_at.is_some_and(|at| at > Instant::now()) {
            return;
        }
        self.retry_at = None;
        while let Some(first) = self.waiting.pop_front() {
            if !self.write(&first.header, &first.frame) {
                self.waiting.push_front(first);
                return;
            }
        }
    }

    /// An error of the card: it may pass, or it is the end.
    fn trouble(&mut self, errno: Errno) {
        match errno {
            // Down, or nobody at the other end at the moment.
            Errno::ENETDOWN | Errno::ENETUNREACH | Errno::EHOSTDOWN | Errno::EMSGSIZE => {}
            Errno::ECONNREFUSED | Errno::ECONNRESET | Errno::ENOTCONN | Errno::EPIPE => {}
            other => self.gone = Some(other),
        }
        if self.counters.errors == 0 {
            tracing::warn!(%errno, "the network card does not work at the moment");
        }
        self.counters.errors += 1;
    }

    pub(super) const fn check(&self) -> Result<(), NicError> {
        match self.gone {
            Some(errno) => Err(NicError::Gone(errno)),
            None => Ok(()),
        }
    }

    /// Is there something that need not be waited for?
    pub(super) fn has_something(&self) -> bool {
        !self.happened.is_empty() || self.budget > 0
    }

    /// When frames that wait are to be tried again.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.retry_at
    }

    pub(super) fn poll_fd(&self) -> PollFd<'_> {
        let waits_for_room = !self.waiting.is_empty() && self.retry_at.is_none();
        let out = if waits_for_room { PollFlags::POLLOUT } else { PollFlags::empty() };
        PollFd::new(self.nic.fd(), PollFlags::POLLIN | out)
    }

    /// After waiting: sends what waited, and allows to read if there is something.
    pub(super) fn serve(&mut self, ready: bool) {
        self.flush();
        self.budget = if ready { BATCH } else { 0 };
    }

    pub(super) fn next(&mut self, frame: &mut Vec<u8>) -> Option<Happening> {
        if let Some(happened) = self.happened.pop_front() {
            return Some(happened);
        }
        while self.budget > 0 {
            self.budget -= 1;
            match self.nic.receive(&mut self.buffer) {
                Ok(bytes) => {
                    let whole = self.buffer.get(..bytes).unwrap_or_default();
                    if let Some(node) = notices::port_down(whole, &self.peers) {
                        return Some(Happening::PortDown(node));
                    }
                    if let Some((from, payload)) = self.sort_out(bytes) {
                        frame.clear();
                        frame.extend_from_slice(payload);
                        self.counters.received += 1;
                        return Some(Happening::Frame(from));
                    }
                }
                Err(Errno::EAGAIN) => self.budget = 0,
                Err(Errno::EINTR) => {}
                Err(errno) => self.trouble(errno),
            }
        }
        None
    }

    /// Whose frame is it, of so many bytes in the buffer?
    fn sort_out(&mut self, bytes: usize) -> Option<(NodeId, &[u8])> {
        let Some(bytes) = self.buffer.get(..bytes) else {
            self.counters.oversize += 1;
            return None;
        };
        let Ok((header, payload)) = Header::parse(bytes) else {
            self.counters.malformed += 1;
            return None;
        };
        if header.to != self.nic.mac() {
            self.counters.not_ours += 1;
            return None;
        }
        let Some(from) = self.peers.get(&header.from) else {
            if self.counters.unknown == 0 {
                tracing::warn!(from = %header.from, "frames come from a network card that is no peer's");
            }
            self.counters.unknown += 1;
            return None;
        };
        Some((*from, payload))
    }

    pub(super) fn counters(&mut self) -> Counters {
        self.counters.overflowed += self.nic.overflowed();
        self.counters
    }
}

impl Drop for Ethernet {
    fn drop(&mut self) {
        let counters = self.counters();
        tracing::debug!(?counters, waiting = self.waiting.len(), "the network card is closed");
    }
}
