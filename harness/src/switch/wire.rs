//! Moves frames between the guests' sockets and the fabric.
//!
//! One thread of its own: frames do not wait behind other work of the daemon. It sleeps in one
//! `ppoll` until a frame comes, a socket has room again, a delayed frame is due, or a command comes.

use super::Fabric;
use crate::proto::PortStatus;
use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// Frames taken from one port before the others have their turn.
const BATCH: usize = 64;
/// Frames that wait for a guest that does not take them.
const WAITING: usize = 2048;
/// Room for the largest frame.
const MAX_FRAME: usize = 1 << 16;

enum Command {
    Plug(usize, UnixDatagram),
    Unplug(usize),
    Cut { port: usize, from: bool, to: bool },
    Heal(usize),
    Status(tokio::sync::oneshot::Sender<Vec<PortStatus>>),
}

/// The thread that moves frames; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    commands: Sender<Command>,
    bell: UnixStream,
}

impl Wire {
    /// Starts the thread. No port has a guest yet.
    pub(crate) fn new(fabric: Fabric) -> Result<Self> {
        let (bell, rung) = UnixStream::pair().context("cannot make a socket pair")?;
        bell.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        let (commands, inbox) = mpsc::channel();
        let sockets = fabric.status().iter().map(|_| Socket::default()).collect();
        let mover = Mover { fabric, sockets, start: Instant::now() };
        thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || mover.run(&rung, &inbox))
            .context("cannot start a thread")?;
        Ok(Self { commands, bell })
    }

    /// Gives a port its guest.
    pub(crate) fn plug(&self, port: usize, socket: UnixDatagram) {
        self.command(Command::Plug(port, socket));
    }

    /// The guest of a port is gone.
    pub(crate) fn unplug(&self, port: usize) {
        self.command(Command::Unplug(port));
    }

    /// A node's link is cut: what it sends, what is sent to it, or both.
    pub(crate) fn cut(&self, port: usize, from: bool, to: bool) {
        self.command(Command::Cut { port, from, to });
    }

    /// A node's link is healed.
    pub(crate) fn heal(&self, port: usize) {
        self.command(Command::Heal(port));
    }

    /// Counters of all ports.
    pub(crate) async fn status(&self) -> Vec<PortStatus> {
        let (answer, status) = tokio::sync::oneshot::channel();
        self.command(Command::Status(answer));
        status.await.unwrap_or_default()
    }

    fn command(&self, command: Command) {
        // The thread ends only with this value, and a full pipe has a bell in it already.
        let _ = self.commands.send(command);
        let _ = (&self.bell).write(&[0]);
    }
}

/// The guest's socket of a port.
#[derive(Debug, Default)]
struct Socket {
    socket: Option<UnixDatagram>,
    /// Frames that it had no room for.
    waiting: VecDeque<Vec<u8>>,
}

enum Sent {
    Yes,
    NoRoom,
    Gone,
}

impl Socket {
    fn try_send(&self, frame: &[u8]) -> Sent {
        let Some(socket) = &self.socket else { return Sent::Gone };
        loop {
            match socket.send(frame) {
                Ok(_) => return Sent::Yes,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Sent::NoRoom,
                Err(e) if e.raw_os_error() == Some(nix::libc::ENOBUFS) => return Sent::NoRoom,
                Err(_) => return Sent::Gone,
            }
        }
    }

    /// Sends what waits, as far as there is room.
    fn drain(&mut self) {
        while let Some(frame) = self.waiting.front() {
            match self.try_send(frame) {
                Sent::Yes => drop(self.waiting.pop_front()),
                Sent::NoRoom => return,
                Sent::Gone => self.close(),
            }
        }
    }

    fn close(&mut self) {
        self.socket = None;
        self.waiting.clear();
    }
}

struct Mover {
    fabric: Fabric,
    sockets: Vec<Socket>,
    start: Instant,
}

impl Mover {
    fn run(mut self, rung: &UnixStream, inbox: &Receiver<Command>) {
        let mut buffer = vec![0; MAX_FRAME];
        loop {
            let ready = self.wait(rung);
            let mut bells = [0; 64];
            while matches!((&*rung).read(&mut bells), Ok(n) if n > 0) {}
            loop {
                match inbox.try_recv() {
                    Ok(command) => self.obey(command),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            for port in ready {
                self.sockets[port].drain();
                self.read(port, &mut buffer);
            }
            let now = self.now();
            self.pass(|fabric, out| fabric.advance(now, out));
        }
    }

    /// Sleeps until there is something to do; returns the ports that have something.
    fn wait(&self, rung: &UnixStream) -> Vec<usize> {
        let mut ports = Vec::new();
        let mut fds = vec![PollFd::new(rung.as_fd(), PollFlags::POLLIN)];
        for (port, socket) in self.sockets.iter().enumerate() {
            if let Some(fd) = &socket.socket {
                let mut flags = PollFlags::POLLIN;
                flags.set(PollFlags::POLLOUT, !socket.waiting.is_empty());
                fds.push(PollFd::new(fd.as_fd(), flags));
                ports.push(port);
            }
        }
        let timeout = self
            .fabric
            .next_ns()
            .map(|at| TimeSpec::from_duration(Duration::from_nanos(at.saturating_sub(self.now()))));
        // Interrupted: look, find nothing, and come back.
        let _ = ppoll(&mut fds, timeout, None);
        let hit = |fd: &PollFd<'_>| fd.revents().is_some_and(|r| !r.is_empty());
        ports.into_iter().zip(&fds[1..]).filter(|(_, fd)| hit(fd)).map(|(port, _)| port).collect()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Plug(port, socket) => {
                // A socket that blocks would stop the whole network.
                if socket.set_nonblocking(true).is_ok() {
                    self.sockets[port].socket = Some(socket);
                    self.fabric.plug(port);
                }
            }
            Command::Unplug(port) => {
                self.sockets[port].close();
                let now = self.now();
                self.pass(|fabric, out| fabric.unplug(now, port, out));
            }
            Command::Cut { port, from, to } => self.fabric.cut(port, from, to),
            Command::Heal(port) => self.fabric.heal(port),
            Command::Status(answer) => {
                let mut status = self.fabric.status();
                for (status, socket) in status.iter_mut().zip(&self.sockets) {
                    status.open = socket.socket.is_some();
                }
                // Whoever asked may be gone.
                let _ = answer.send(status);
            }
        }
    }

    fn read(&mut self, port: usize, buffer: &mut [u8]) {
        for _ in 0..BATCH {
            let Some(socket) = &self.sockets[port].socket else { return };
            match socket.recv(buffer) {
                // A datagram without bytes is what a closed peer looks like on some kernels.
                Ok(0) => return,
                Ok(len) => {
                    let (now, frame) = (self.now(), &mut buffer[..len]);
                    self.pass(|fabric, out| fabric.enter(now, port, frame, out));
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.sockets[port].close(),
            }
        }
    }

    /// Runs the fabric and sends what leaves it.
    fn pass(&mut self, step: impl FnOnce(&mut Fabric, &mut dyn FnMut(usize, &[u8]))) {
        let Self { fabric, sockets, .. } = self;
        let mut lost = Vec::new();
        step(fabric, &mut |port, frame| {
            let socket = &mut sockets[port];
            // What waits already must leave first.
            let sent =
                if socket.waiting.is_empty() { socket.try_send(frame) } else { Sent::NoRoom };
            match sent {
                Sent::Yes => {}
                Sent::NoRoom if socket.waiting.len() < WAITING => {
                    socket.waiting.push_back(frame.to_vec());
                }
                Sent::NoRoom => lost.push((port, "guest too slow")),
                Sent::Gone => {
                    socket.close();
                    lost.push((port, "node gone"));
                }
            }
        });
        for (port, reason) in lost {
            fabric.count_drop(port, reason);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
