//! Frames to and from the other nodes, all on one thread, none of it blocking: a connection to each
//! peer that is reached by TCP, and one network card for all that are reached by raw Ethernet.

pub mod ethernet;
pub mod nic;
mod notices;
mod tcp;
#[cfg(test)]
mod tests;

use core::time::Duration;
use ethernet::{Counters, Ethernet};
use nic::{Nic, NicError};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use notices::Notices;
use runtime_core::id::{Generation, NodeId};
use runtime_driver::ethernet::Mac;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::BorrowedFd;
use std::time::Instant;
use tcp::Tcp;

/// What the transport has for the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Connected to a node.
    Up(NodeId),
    /// Not connected any more.
    Down(NodeId),
    /// A frame from a node, in the buffer that was handed in.
    Frame(NodeId),
    /// The switch says that the port of a node lost its signal.
    PortDown(NodeId),
}

/// Why the transport cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The listening socket cannot be used.
    #[error("preparing to listen: {0}")]
    Listen(std::io::Error),
    /// The network card cannot be used, or the list of its peers.
    #[error(transparent)]
    Nic(#[from] NicError),
    /// The kernel refused to wait.
    #[error("waiting for sockets: {0}")]
    Wait(Errno),
}

/// How a node reaches the others; each of them by one of the two.
#[derive(Debug, Default)]
pub struct Network {
    /// Where the others dial this node, and where it dials them. Needed by TCP peers only.
    pub tcp: Option<(TcpListener, Vec<(NodeId, SocketAddr)>)>,
    /// The card, and whose card has which address. Needed by Ethernet peers only.
    pub ethernet: Option<(Nic, Vec<(NodeId, Mac)>)>,
    /// Where the switch tells of its ports ([`Nic::notices`]), and whose card has which address. Where
    /// frames come from a socket in place of a card, notices come among them.
    pub notices: Option<(Nic, Vec<(NodeId, Mac)>)>,
}

impl Network {
    /// All others are reached by TCP.
    #[must_use]
    pub const fn tcp(listener: TcpListener, peers: Vec<(NodeId, SocketAddr)>) -> Self {
        Self { tcp: Some((listener, peers)), ethernet: None, notices: None }
    }

    /// All others are reached by raw Ethernet.
    #[must_use]
    pub const fn ethernet(nic: Nic, peers: Vec<(NodeId, Mac)>) -> Self {
        Self { tcp: None, ethernet: Some((nic, peers)), notices: None }
    }
}

/// All transports of one node. The default one reaches nobody.
#[derive(Debug, Default)]
pub struct Transport {
    tcp: Option<Tcp>,
    ethernet: Option<Ethernet>,
    notices: Option<Notices>,
    /// Is it the card's turn to be asked first? Then neither kind of peer starves the other.
    card_first: bool,
    /// For [`Transport::wait`], so that it allocates nothing.
    fds: Vec<PollFd<'static>>,
    tokens: Vec<tcp::Token>,
    ready: Vec<bool>,
}

/// Which of what [`Transport::wait`] was told of is readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readable(u32);

impl Readable {
    /// Whether this one is, by its place.
    #[must_use]
    pub const fn is(self, at: usize) -> bool {
        self.0 >> at & 1 == 1
    }
}

impl Transport {
    /// Begins to listen and to dial; the card listens already.
    ///
    /// # Errors
    /// When the listener cannot be made non-blocking, or two peers share a card.
    pub fn new(
        me: NodeId,
        generation: Generation,
        network: Network,
    ) -> Result<Self, TransportError> {
        let tcp = network.tcp.map(|(listener, peers)| Tcp::new(me, generation, listener, peers));
        let ethernet = network.ethernet.map(|(nic, peers)| Ethernet::new(me, nic, peers));
        Ok(Self {
            tcp: tcp.transpose()?,
            ethernet: ethernet.transpose()?,
            notices: network.notices.map(|(nic, cards)| Notices::new(nic, cards)),
            ..Self::default()
        })
    }

    /// Sends a frame; it is lost when there is no way to the node. Gives back a buffer that is free, for another frame: this one's,
    /// or that of an earlier one.
    pub fn send(&mut self, to: NodeId, frame: Vec<u8>) -> Option<Vec<u8>> {
        match (&mut self.ethernet, &mut self.tcp) {
            (Some(ethernet), _) if ethernet.knows(to) => ethernet.send(to, frame),
            (_, Some(tcp)) => tcp.send(to, frame),
            _ => Some(frame),
        }
    }

    /// Breaks the connection to a node; a new one may come.
    /// To a peer on the card it does nothing: there is no connection, and frames of a life that is
    /// over die in the node's link.
    pub fn disconnect(&mut self, node: NodeId) {
        if let Some(tcp) = &mut self.tcp {
            tcp.disconnect(node);
        }
    }

    /// Moves bytes until something happens, one of `others` is readable, or the time is over (`None`:
    /// never). Says which of `others`, 32 at most, are readable.
    ///
    /// # Errors
    /// When the kernel refuses, or the card is gone.
    pub fn wait(
        &mut self,
        others: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> Result<Readable, TransportError> {
        if let Some(tcp) = &mut self.tcp {
            tcp.dial_what_is_due();
        }
        if let Some(ethernet) = &self.ethernet {
            ethernet.check()?;
        }
        let due = self.due().map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = if self.has_something() {
            Some(Duration::ZERO)
        } else {
            timeout.into_iter().chain(due).min()
        };

        let mut fds: Vec<PollFd<'_>> = core::mem::take(&mut self.fds);
        self.tokens.clear();
        for (token, fd) in self.tcp.iter().flat_map(Tcp::sockets) {
            self.tokens.push(token);
            fds.push(fd);
        }
        let card = fds.len();
        fds.extend(self.ethernet.as_ref().map(Ethernet::poll_fd));
        let told = fds.len();
        fds.extend(self.notices.as_ref().map(Notices::poll_fd));
        let first_other = fds.len();
        fds.extend(others.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)));
        let mut timeout = timeout.map(TimeSpec::from_duration);
        // A process that was stopped and goes on looks at once what came meanwhile.
        while let Err(errno) = ppoll(&mut fds, timeout, None) {
            if errno != Errno::EINTR {
                return Err(TransportError::Wait(errno));
            }
            timeout = Some(TimeSpec::from_duration(Duration::ZERO));
        }
        self.ready.clear();
        self.ready.extend(fds.iter().map(|fd| fd.any().unwrap_or(true)));
        // Nothing of it is left but the memory.
        self.fds = fds.into_iter().map_while(|_| None).collect();
        let ready = &self.ready;
        if let Some(tcp) = &mut self.tcp {
            tcp.serve(&self.tokens, ready);
        }
        if let Some(ethernet) = &mut self.ethernet {
            ethernet.serve(ready[card]);
        }
        if let Some(notices) = &mut self.notices {
            notices.serve(ready[told]);
        }
        let readable = ready[first_other..].iter().enumerate().take(32);
        Ok(Readable(readable.fold(0, |all, (at, ready)| all | u32::from(*ready) << at)))
    }

    /// The next thing that happened; a frame is put into `frame`. Drain it to `None` before waiting.
    pub fn next(&mut self, frame: &mut Vec<u8>) -> Option<Happening> {
        self.card_first = !self.card_first;
        let Self { tcp, ethernet, notices, card_first, .. } = self;
        if let Some(node) = notices.as_mut().and_then(Notices::next) {
            return Some(Happening::PortDown(node));
        }
        if *card_first && let Some(happening) = ethernet.as_mut().and_then(|e| e.next(frame)) {
            return Some(happening);
        }
        tcp.as_mut().and_then(|tcp| tcp.next(frame)).or_else(|| ethernet.as_mut()?.next(frame))
    }

    /// Is there something that [`Transport::next`] gives, or that can be read, without waiting?
    #[must_use]
    pub fn has_something(&self) -> bool {
        self.tcp.as_ref().is_some_and(Tcp::has_something)
            || self.ethernet.as_ref().is_some_and(Ethernet::has_something)
    }

    /// When [`Transport::wait`] must be called at the latest: a connection is to be dialled, a card to be tried again.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let dial = self.tcp.as_ref().and_then(Tcp::due);
        dial.into_iter().chain(self.ethernet.as_ref().and_then(Ethernet::due)).min()
    }

    /// What [`Transport::wait`] waits for, for somebody else who does.
    pub fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let sockets = self.tcp.iter().flat_map(Tcp::sockets).map(|(_, fd)| fd);
        let card = self.ethernet.iter().map(Ethernet::poll_fd);
        sockets.chain(card).chain(self.notices.iter().map(Notices::poll_fd))
    }

    /// Bytes for a node that the kernel did not take yet. None wait for a peer on the card: what is too much is lost.
    #[must_use]
    pub fn queued(&self, to: NodeId) -> usize {
        self.tcp.as_ref().map_or(0, |tcp| tcp.queued(to))
    }

    /// What became of frames on the card, if there is one.
    #[must_use]
    pub fn counters(&mut self) -> Option<Counters> {
        self.ethernet.as_mut().map(Ethernet::counters)
    }
}
