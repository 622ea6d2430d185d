//! Frames over TCP: one connection per pair of nodes, all on one thread, none of it blocking.
//!
//! The node with the higher number dials the other one, again and again until it answers, and anew
//! when the connection breaks. Both begin with a `Preamble`; then come frames, each with its length
//! (u32, little endian) before it.

mod connection;

use super::{Happening, TransportError};
use connection::{Connection, Preamble};
use core::time::Duration;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};
use runtime_core::id::{Generation, NodeId};
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Instant;

/// Until the first redial; doubles up to the last.
const FIRST_REDIAL: Duration = Duration::from_millis(10);
const LAST_REDIAL: Duration = Duration::from_millis(500);
/// Connections that were accepted and have not yet said who they are.
const MAX_STRANGERS: usize = 128;

#[derive(Debug)]
struct Peer {
    node: NodeId,
    address: SocketAddr,
    connection: Option<Connection>,
    /// Was [`Happening::Up`] said?
    up: bool,
    generation: Option<Generation>,
    redial_at: Option<Instant>,
    backoff: Duration,
}

/// What a file descriptor in the poll set is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token {
    Listener,
    Stranger(usize),
    Peer(usize),
}

/// All connections of one node.
#[derive(Debug)]
pub(super) struct Tcp {
    me: NodeId,
    generation: Generation,
    listener: TcpListener,
    peers: Vec<Peer>,
    strangers: Vec<Connection>,
    happened: VecDeque<Happening>,
    /// Where the search for frames goes on, so that no peer is starved.
    turn: usize,
}

impl Tcp {
    /// Begins to listen and to dial.
    ///
    /// # Errors
    /// When the listener cannot be made non-blocking.
    pub(super) fn new(
        me: NodeId,
        generation: Generation,
        listener: TcpListener,
        peers: Vec<(NodeId, SocketAddr)>,
    ) -> Result<Self, TransportError> {
        listener.set_nonblocking(true).map_err(TransportError::Listen)?;
        let now = Instant::now();
        let peer = |(node, address)| Peer {
            node,
            address,
            connection: None,
            up: false,
            generation: None,
            redial_at: (me > node).then_some(now),
            backoff: FIRST_REDIAL,
        };
        let peers = peers.into_iter().filter(|(node, _)| *node != me).map(peer).collect();
        let (strangers, happened) = (Vec::new(), VecDeque::new());
        Ok(Self { me, generation, listener, peers, strangers, happened, turn: 0 })
    }

    /// Sends a frame; it is lost when there is no connection. Gives back a buffer that is free.
    pub(super) fn send(&mut self, to: NodeId, frame: Vec<u8>) -> Option<Vec<u8>> {
        let peer = self.peers.iter_mut().find(|p| p.node == to && p.up);
        match peer.and_then(|peer| peer.connection.as_mut()) {
            Some(connection) => connection.send(frame),
            None => Some(frame),
        }
    }

    /// Bytes for a node that the kernel did not take yet.
    pub(super) fn queued(&self, to: NodeId) -> usize {
        let connection =
            self.peers.iter().find(|p| p.node == to).and_then(|p| p.connection.as_ref());
        connection.map_or(0, Connection::queued)
    }

    /// Breaks the connection to a node, with all that came over it. A new one may come: a node that was
    /// given up asks over it what became of it, and begins a new life.
    pub(super) fn disconnect(&mut self, node: NodeId) {
        if let Some(peer) = self.peers.iter_mut().find(|p| p.node == node) {
            peer.lose(self.me);
            self.happened.retain(|happened| match happened {
                Happening::Up(of) | Happening::Down(of) | Happening::Frame(of) => *of != node,
                Happening::PortDown(_) => true,
            });
        }
    }

    /// Is there something that need not be waited for?
    pub(super) fn has_something(&self) -> bool {
        !self.happened.is_empty() || self.peers.iter().any(Peer::has_something)
    }

    /// When to dial next.
    pub(super) fn due(&self) -> Option<Instant> {
        self.peers.iter().filter_map(|p| p.redial_at).min()
    }

    /// What is to be polled, and what each is.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (Token, PollFd<'_>)> {
        let listener = (Token::Listener, PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        let strangers = self.strangers.iter().enumerate().map(|(i, stranger)| {
            (Token::Stranger(i), PollFd::new(stranger.fd(), stranger.interest()))
        });
        let peers = self.peers.iter().enumerate().filter_map(|(i, peer)| {
            let connection = peer.connection.as_ref().filter(|c| !c.is_over())?;
            Some((Token::Peer(i), PollFd::new(connection.fd(), connection.interest())))
        });
        core::iter::once(listener).chain(strangers).chain(peers)
    }

    /// After waiting: moves bytes where it is possible.
    pub(super) fn serve(&mut self, tokens: &[Token], ready: &[bool]) {
        for (token, ready) in tokens.iter().zip(ready).rev() {
            match token {
                Token::Peer(i) if *ready => self.move_bytes(*i),
                Token::Stranger(i) if *ready => self.hear(*i),
                Token::Listener if *ready => self.accept(),
                _ => {}
            }
        }
    }

    /// The next thing that happened; a frame is put into `frame`. Drain it to `None` before waiting.
    pub(super) fn next(&mut self, frame: &mut Vec<u8>) -> Option<Happening> {
        if let Some(happened) = self.happened.pop_front() {
            return Some(happened);
        }
        for step in 0..self.peers.len() {
            let at = (self.turn + step) % self.peers.len();
            let peer = &mut self.peers[at];
            let Some(connection) = &mut peer.connection else { continue };
            if peer.up && connection.take_frame(frame) {
                self.turn = at + 1;
                return Some(Happening::Frame(peer.node));
            }
            if connection.is_over() {
                let was_up = peer.up;
                peer.lose(self.me);
                if was_up {
                    return Some(Happening::Down(peer.node));
                }
            }
        }
        None
    }

    fn preamble(&self) -> Preamble {
        Preamble { node: self.me, generation: self.generation }
    }

    /// Begins those connections whose time has come.
    pub(super) fn dial_what_is_due(&mut self) {
        let (now, preamble) = (Instant::now(), self.preamble());
        for peer in &mut self.peers {
            if peer.connection.is_some() || peer.redial_at.is_none_or(|at| at > now) {
                continue;
            }
            match dial(peer.address) {
                Ok(stream) => {
                    peer.redial_at = None;
                    peer.connection = Some(Connection::dialled(stream, preamble));
                }
                Err(errno) => {
                    tracing::debug!(peer = %peer.node, address = %peer.address, %errno, "cannot dial");
                    peer.lose(self.me);
                }
            }
        }
    }

    fn move_bytes(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let Some(connection) = &mut peer.connection else { return };
        connection.turn();
        if peer.up {
            return;
        }
        let Some(hello) = connection.take_preamble() else { return };
        if hello.node == peer.node {
            peer.greet(hello.generation);
            self.happened.push_back(Happening::Up(peer.node));
        } else {
            tracing::warn!(address = %peer.address, expected = %peer.node, found = %hello.node, "another node answers at this address: check the addresses in the topology");
            peer.lose(self.me);
        }
    }

    fn accept(&mut self) {
        // Whatever error it is: poll tells again when there is something to accept.
        while let Ok((stream, from)) = self.listener.accept() {
            if self.strangers.len() == MAX_STRANGERS {
                tracing::warn!(%from, "too many connections that do not say who they are: closing the oldest");
                self.strangers.remove(0);
            }
            if stream.set_nonblocking(true).is_ok() {
                self.strangers.push(Connection::accepted(stream));
            }
        }
    }

    /// Reads what a stranger says. Called for the last index first, for strangers leave the list.
    fn hear(&mut self, index: usize) {
        let stranger = &mut self.strangers[index];
        stranger.turn();
        let Some(hello) = stranger.take_preamble() else {
            if stranger.is_over() {
                self.strangers.remove(index);
            }
            return;
        };
        let mut connection = self.strangers.remove(index);
        let known = self.peers.iter_mut().find(|p| p.node == hello.node && p.node > self.me);
        let Some(peer) = known else {
            tracing::warn!(node = %hello.node, "a node that should not dial this one does: closing");
            return;
        };
        if peer.generation.is_some_and(|g| hello.generation < g) {
            tracing::debug!(node = %hello.node, generation = %hello.generation, "a process before the one that is known: closing");
            return;
        }
        // In place of one that nobody here knew to be broken: the peer is there, so it is not said to be down. What
        // the old one still held goes out again, or was of a life before.
        connection.greet(Preamble { node: self.me, generation: self.generation });
        peer.connection = Some(connection);
        peer.greet(hello.generation);
        self.happened.push_back(Happening::Up(peer.node));
    }
}

impl Peer {
    fn greet(&mut self, generation: Generation) {
        (self.up, self.generation) = (true, Some(generation));
        self.backoff = FIRST_REDIAL;
    }

    fn has_something(&self) -> bool {
        self.connection.as_ref().is_some_and(|c| c.is_over() || (self.up && c.has_frame()))
    }

    fn lose(&mut self, me: NodeId) {
        (self.connection, self.up) = (None, false);
        if me > self.node {
            self.redial_at = Some(Instant::now() + self.backoff);
            self.backoff = (self.backoff * 2).min(LAST_REDIAL);
        }
    }
}

fn dial(address: SocketAddr) -> Result<TcpStream, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(address)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests;
