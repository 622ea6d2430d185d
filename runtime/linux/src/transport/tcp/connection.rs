//! One TCP connection: bytes in, frames out, and the other way round.

use core::ops::Range;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, sendmsg};
use runtime_core::id::{Generation, NodeId};
use runtime_core::limits::MAX_FRAME;
use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// First bytes on every connection.
const MAGIC: [u8; 4] = *b"USDY";
/// Version of what goes over the connection.
const VERSION: u16 = 1;
const PREAMBLE_BYTES: usize = 12;
const HEADER_BYTES: usize = 4;
/// Most bytes that are read in one turn, so that a busy peer does not starve the rest.
const READ_BYTES: usize = 256 * 1024;
/// Room for one read.
const ROOM_BYTES: usize = 64 * 1024;
/// What may lie there at once: all but the end of a frame, and what one turn reads.
const INPUT_BYTES: usize = HEADER_BYTES + MAX_FRAME + READ_BYTES;
/// Frames that go into one write.
const BATCH: usize = 32;
/// Bytes queued to one peer before it is given up: more than the whole memory of a rank.
const MAX_QUEUED: usize = 3 << 30;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Preamble {
    pub(crate) node: NodeId,
    pub(crate) generation: Generation,
}

impl Preamble {
    fn emit(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.node.0.to_le_bytes());
        bytes.extend(self.generation.0.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8; PREAMBLE_BYTES]) -> Option<Self> {
        let [a, b, c, d, v0, v1, n0, n1, generation @ ..] = *bytes;
        (([a, b, c, d], u16::from_le_bytes([v0, v1])) == (MAGIC, VERSION)).then_some(Self {
            node: NodeId(u16::from_le_bytes([n0, n1])),
            generation: Generation(u32::from_le_bytes(generation)),
        })
    }
}

#[derive(Debug)]
struct Outgoing {
    /// Length, or nothing before a preamble.
    header: Option<[u8; HEADER_BYTES]>,
    bytes: Vec<u8>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// A dialled connection is not there yet.
    connecting: bool,
    over: bool,
    /// What was read, and room for more, which stays: clearing it anew costs more than a short read.
    input: Vec<u8>,
    /// Bytes of `input` that were read.
    filled: usize,
    /// Bytes of `input` that were taken.
    taken: usize,
    output: VecDeque<Outgoing>,
    /// Bytes of the first element of `output`, header included, that were written.
    written: usize,
    queued: usize,
    /// Buffers of frames that were written.
    spare: Vec<Vec<u8>>,
}

impl Connection {
    pub(crate) fn dialled(stream: TcpStream, preamble: Preamble) -> Self {
        let mut connection = Self::accepted(stream);
        connection.connecting = true;
        connection.greet(preamble);
        connection
    }

    pub(crate) fn accepted(stream: TcpStream) -> Self {
        // Without it small frames wait for acknowledgements; that is slow, but not wrong.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::warn!(%error, "TCP_NODELAY refused: small frames will be slow");
        }
        Self {
            stream,
            connecting: false,
            over: false,
            input: Vec::with_capacity(INPUT_BYTES),
            filled: 0,
            taken: 0,
            output: VecDeque::new(),
            written: 0,
            queued: 0,
            spare: Vec::new(),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(crate) fn interest(&self) -> PollFlags {
        if self.connecting || !self.output.is_empty() {
            PollFlags::POLLIN | PollFlags::POLLOUT
        } else {
            PollFlags::POLLIN
        }
    }

    /// Bytes that the kernel did not take yet.
    pub(crate) const fn queued(&self) -> usize {
        self.queued
    }

    /// Will nothing more come or go?
    pub(crate) const fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn greet(&mut self, preamble: Preamble) {
        self.queue(Outgoing { header: None, bytes: preamble.emit() });
    }

    /// Sends a frame. Gives back the buffer of one that was written: this one, or an earlier one.
    pub(crate) fn send(&mut self, frame: Vec<u8>) -> Option<Vec<u8>> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        debug_assert!(frame.len() <= MAX_FRAME, "the node keeps to the limit");
        self.queue(Outgoing { header: Some(length.to_le_bytes()), bytes: frame });
        self.spare.pop()
    }

    fn queue(&mut self, outgoing: Outgoing) {
        self.queued += outgoing.bytes.len();
        if self.queued > MAX_QUEUED {
            tracing::warn!(peer = ?self.stream.peer_addr().ok(), "more than {MAX_QUEUED} bytes are queued to a peer that does not read: closing");
            self.end("too much is queued");
            return;
        }
        self.output.push_back(outgoing);
        if !self.connecting {
            self.write();
        }
    }

    fn end(&mut self, why: &str) {
        if !self.over {
            tracing::debug!(peer = ?self.stream.peer_addr().ok(), why, "connection is over");
        }
        self.over = true;
        self.output.clear();
    }

    /// Reads and writes what is possible now.
    pub(crate) fn turn(&mut self) {
        if self.connecting {
            match self.stream.take_error() {
                Ok(None) => self.connecting = false,
                Ok(Some(error)) | Err(error) => return self.end(&error.to_string()),
            }
        }
        self.write();
        self.read();
    }

    fn write(&mut self) {
        while !self.over && !self.output.is_empty() {
            let mut skip = self.written;
            let mut slices = [IoSlice::new(&[]); 2 * BATCH];
            let mut parts = slices.iter_mut();
            for outgoing in self.output.iter().take(BATCH) {
                for part in [outgoing.header.as_ref().map_or(&[][..], |h| h), &outgoing.bytes] {
                    let skipped = skip.min(part.len());
                    skip -= skipped;
                    if let Some(slice) = parts.next() {
                        *slice = IoSlice::new(&part[skipped..]);
                    }
                }
            }
            let rest = parts.len();
            let slices = &slices[..2 * BATCH - rest];
            // Without a signal when the peer is gone: a C program would end by it.
            let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
            match sendmsg::<()>(self.stream.as_raw_fd(), slices, &[], flags, None) {
                Ok(bytes) => self.count_written(bytes),
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(errno) => self.last_words(errno.desc()),
            }
        }
    }

    /// Nothing can be written any more: reads what the peer said before it closed, and ends. It may be
    /// the very view that says why.
    fn last_words(&mut self, why: &str) {
        self.output.clear();
        loop {
            let before = self.filled - self.taken;
            self.read();
            if self.over || self.filled - self.taken == before {
                return self.end(why);
            }
        }
    }

    fn count_written(&mut self, bytes: usize) {
        self.written += bytes;
        while let Some(first) = self.output.front() {
            let length = first.header.map_or(0, |h| h.len()) + first.bytes.len();
            if self.written < length {
                return;
            }
            self.written -= length;
            self.queued -= first.bytes.len();
            let written = self.output.pop_front();
            if self.spare.len() < BATCH {
                self.spare.extend(written.map(|outgoing| outgoing.bytes));
            }
        }
    }

    fn read(&mut self) {
        self.input.copy_within(self.taken..self.filled, 0);
        self.filled -= core::mem::take(&mut self.taken);
        let mut budget = READ_BYTES;
        while !self.over && budget > 0 {
            let end = self.filled + budget.min(ROOM_BYTES);
            if self.input.len() < end {
                self.input.resize(end, 0);
            }
            let room = &mut self.input[self.filled..end];
            let length = room.len();
            match self.stream.read(room) {
                Ok(0) => self.end("closed by the peer"),
                Ok(bytes) => {
                    self.filled += bytes;
                    budget -= bytes;
                    if bytes < length {
                        // There was no more; what comes now is told by the next poll.
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.end(&error.to_string()),
            }
        }
    }

    /// What was read and not yet taken.
    fn rest(&self) -> &[u8] {
        &self.input[self.taken..self.filled]
    }

    /// The peer's first words, once they are there.
    pub(crate) fn take_preamble(&mut self) -> Option<Preamble> {
        let bytes = self.rest().first_chunk()?;
        let preamble = Preamble::parse(bytes);
        if preamble.is_none() {
            tracing::warn!(peer = ?self.stream.peer_addr().ok(), "no node of this version speaks there: closing");
            self.end("bad preamble");
        }
        self.taken += PREAMBLE_BYTES;
        preamble
    }

    /// Where the next frame is: nothing when it is not whole, an error when it is too long.
    fn frame(&self) -> Option<Result<Range<usize>, u32>> {
        let rest = self.rest();
        let length = u32::from_le_bytes(*rest.first_chunk()?);
        let bytes = usize::try_from(length).ok().filter(|b| *b <= MAX_FRAME);
        let Some(bytes) = bytes else { return Some(Err(length)) };
        let start = self.taken + HEADER_BYTES;
        (rest.len() >= HEADER_BYTES + bytes).then_some(Ok(start..start + bytes))
    }

    pub(crate) fn has_frame(&self) -> bool {
        self.frame().is_some()
    }

    /// Moves the next frame into the buffer, if there is a whole one.
    pub(crate) fn take_frame(&mut self, into: &mut Vec<u8>) -> bool {
        match self.frame() {
            Some(Ok(range)) => {
                self.taken = range.end;
                into.clear();
                into.extend_from_slice(&self.input[range]);
                true
            }
            Some(Err(length)) => {
                tracing::warn!(peer = ?self.stream.peer_addr().ok(), length, "frame over the limit of {MAX_FRAME} bytes: closing");
                (self.filled, self.taken) = (0, 0);
                self.end("protocol error");
                false
            }
            None => false,
        }
    }
}
