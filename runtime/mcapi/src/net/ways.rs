//! All ways of a node to those on other machines: connections and a card, and the memory of its board.

use nix::poll::PollFd;
use runtime_core::id::NodeId;
use runtime_core::limits::BOARD_PAUSE_US;
use runtime_linux::transport::{Happening, Transport, TransportError};
use runtime_shm::board::{self, Board};
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// See the module. A node is reached in one way.
#[derive(Debug, Default)]
pub(super) struct Ways {
    network: Transport,
    /// There is nobody in it.
    no_network: bool,
    board: Option<OverBoard>,
}

/// The memory, and whom each of its neighbours is.
#[derive(Debug)]
struct OverBoard {
    board: Board,
    nodes: Vec<NodeId>,
    /// How long the next sleep is: nobody wakes who sleeps.
    pause: Cell<Duration>,
}

const LEAST: Duration = Duration::from_micros(BOARD_PAUSE_US[0]);
const MOST: Duration = Duration::from_micros(BOARD_PAUSE_US[1]);

impl OverBoard {
    fn place(&self, node: NodeId) -> Option<usize> {
        self.nodes.iter().position(|n| *n == node)
    }
}

impl Ways {
    /// `board`: the memory, with a node for each of its neighbours.
    pub(super) fn new(network: Transport, board: Option<(Board, Vec<NodeId>)>) -> Self {
        let over = |(board, nodes)| OverBoard { board, nodes, pause: Cell::new(LEAST) };
        let no_network = network.poll_fds().next().is_none();
        Self { network, no_network, board: board.map(over) }
    }

    /// The board's memory, if a node is reached through it.
    fn over_board(&mut self, node: NodeId) -> Option<(&mut OverBoard, usize)> {
        let over = self.board.as_mut()?;
        let at = over.place(node)?;
        Some((over, at))
    }

    /// Nobody is reached over the network any more.
    pub(super) fn lose_network(&mut self) {
        (self.network, self.no_network) = (Transport::default(), true);
    }

    /// Sends a frame; it is lost when there is no way to the node. Gives back a buffer that is free.
    pub(super) fn send(&mut self, to: NodeId, frame: Vec<u8>) -> Option<Vec<u8>> {
        match self.over_board(to) {
            Some((over, at)) => {
                over.pause.set(LEAST);
                over.board.send(at, frame)
            }
            None => self.network.send(to, frame),
        }
    }

    pub(super) fn disconnect(&mut self, node: NodeId) {
        match self.over_board(node) {
            Some((over, at)) => over.board.disconnect(at),
            None => self.network.disconnect(node),
        }
    }

    /// The next thing that happened; a frame is put into `frame`.
    pub(super) fn next(&mut self, frame: &mut Vec<u8>) -> Option<Happening> {
        if let Some(over) = &mut self.board
            && let Some(happening) = over.board.next(frame)
        {
            over.pause.set(LEAST);
            return Some(match happening {
                board::Happening::Up(at) => Happening::Up(over.nodes[at]),
                board::Happening::Down(at) => Happening::Down(over.nodes[at]),
                board::Happening::Frame(at) => Happening::Frame(over.nodes[at]),
            });
        }
        if self.no_network { None } else { self.network.next(frame) }
    }

    /// Moves bytes until something happens, one of `others` is readable, or the time is over. Comes back early, too, to
    /// look into the board's memory.
    ///
    /// # Errors
    /// The network cannot be used.
    pub(super) fn wait(
        &mut self,
        others: &[BorrowedFd<'_>],
        timeout: Option<Duration>,
    ) -> Result<(), TransportError> {
        let at_once = timeout.is_some_and(|timeout| timeout.is_zero());
        if at_once && self.no_network && others.is_empty() {
            return Ok(());
        }
        let timeout = match self.rest() {
            Some(rest) if !at_once => Some(timeout.map_or(rest, |timeout| timeout.min(rest))),
            _ => timeout,
        };
        self.network.wait(others, timeout).map(drop)
    }

    /// How long a sleep is now, at most. Each is longer than the one before, until something happens.
    pub(super) fn rest(&self) -> Option<Duration> {
        let over = self.board.as_ref()?;
        if over.board.has_something() {
            return Some(Duration::ZERO);
        }
        let pause = over.pause.get();
        over.pause.set((2 * pause).min(MOST));
        Some(pause)
    }

    pub(super) fn has_something(&self) -> bool {
        self.network.has_something()
            || self.board.as_ref().is_some_and(|over| over.board.has_something())
    }

    /// When [`Self::wait`] must be called at the latest.
    pub(super) fn due(&self) -> Option<Instant> {
        self.network.due()
    }

    /// What the network waits for, for somebody else who does.
    pub(super) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.network.poll_fds()
    }

    /// Bytes for a node that nobody took yet.
    pub(super) fn queued(&self, to: NodeId) -> usize {
        match self.board.as_ref().and_then(|over| Some((over, over.place(to)?))) {
            Some((over, at)) => over.board.queued(at),
            None => self.network.queued(to),
        }
    }

    /// Whether what was sent is where it is out of this node's hands.
    pub(super) fn is_out(&self, to: NodeId) -> bool {
        match self.board.as_ref().and_then(|over| Some((over, over.place(to)?))) {
            Some((over, at)) => over.board.is_read(at),
            None => self.network.queued(to) == 0,
        }
    }

    /// How often something of a node's was found changed in the board's memory.
    #[cfg(test)]
    pub(super) fn damaged(&self, by: NodeId) -> u64 {
        let over = self.board.as_ref();
        over.and_then(|over| Some(over.board.damaged(over.place(by)?))).unwrap_or(0)
    }

    /// Tells those who share the board's memory that this node leaves.
    pub(super) fn leave(&mut self) {
        if let Some(over) = &mut self.board {
            over.board.leave();
        }
    }
}
