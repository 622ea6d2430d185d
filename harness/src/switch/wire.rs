//! Moves frames between the guests' sockets and the fabric.
//!
//! One thread of its own: frames do not wait behind other work of the daemon. It sleeps in one
//! `ppoll` until a frame comes, a socket has room again, a delayed frame is due, or a command comes.

use super::late::{self, Remedy};
use super::pcapng::Writer;
use super::rings::Told;
use super::waking::Waking;
use super::{Card, Fabric, LinkAction};
use crate::proto::PortStatus;
use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use runtime_linux::priority::ahead_of_others;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Frames taken from one port before the others have their turn.
const BATCH: usize = 64;
/// Frames that wait for a guest that does not take them.
const WAITING: usize = 2048;
/// Turns of the loop after which nodes on the same processor, which are as urgent, may have theirs.
const TURNS: u32 = 8;
/// Room for the largest frame.
const MAX_FRAME: usize = 1 << 16;

/// What people should know.
#[derive(Debug)]
pub(crate) enum News {
    /// Why a link is not recorded any more.
    Recording(String),
    /// The switches agree on something else.
    Cable(Told),
    /// A link, or a cable, keeps its times much less well than before.
    Late { link: String, text: String },
}

enum Command {
    /// To a card.
    Plug(usize, UnixDatagram),
    Unplug(usize),
    /// Of a line.
    Act(usize, LinkAction),
    Pcap(usize, Option<(PathBuf, String)>, tokio::sync::oneshot::Sender<Result<Option<PathBuf>>>),
    Status(tokio::sync::oneshot::Sender<Vec<PortStatus>>),
}

/// The thread that moves frames; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Wire {
    commands: Sender<Command>,
    bell: UnixStream,
}

impl Wire {
    /// Starts the thread. No port has a guest yet. `tell` gets what people should know.
    pub(crate) fn new(fabric: Fabric, tell: impl Fn(News) + Send + 'static) -> Result<Self> {
        let (bell, rung) = UnixStream::pair().context("cannot make a socket pair")?;
        bell.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        let (commands, inbox) = mpsc::channel();
        let cards = fabric.cards().to_vec();
        let sockets = cards.iter().map(|_| Socket::default()).collect();
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mover = Mover {
            fabric,
            cards,
            sockets,
            captures: BTreeMap::new(),
            broken: BTreeMap::new(),
            tell: Box::new(tell),
            start: Instant::now(),
            epoch_ns: u64::try_from(epoch.as_nanos()).unwrap_or(u64::MAX),
            waking: Waking::new(),
            first: None,
        };
        thread::Builder::new()
            .name("switch".to_owned())
            .spawn(move || mover.run(&rung, &inbox))
            .context("cannot start a thread")?;
        Ok(Self { commands, bell })
    }

    /// There is somebody behind a card.
    pub(crate) fn plug(&self, card: usize, socket: UnixDatagram) {
        self.command(Command::Plug(card, socket));
    }

    /// Whoever was behind a card is gone.
    pub(crate) fn unplug(&self, card: usize) {
        self.command(Command::Unplug(card));
    }

    /// Something is done to a line.
    pub(crate) fn act(&self, line: usize, action: LinkAction) {
        self.command(Command::Act(line, action));
    }

    /// Records the frames of a line of this name to a new file, or stops it. Returns the file, if there is
    /// or was one.
    pub(crate) async fn pcap(
        &self,
        line: usize,
        to: Option<(PathBuf, String)>,
    ) -> Result<Option<PathBuf>> {
        let (answer, file) = tokio::sync::oneshot::channel();
        self.command(Command::Pcap(line, to, answer));
        file.await.context("the switch has ended")?
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

/// The socket behind a card.
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

    /// Sends a frame, now or when there is room; else says why it is lost.
    fn deliver(&mut self, frame: &[u8]) -> Option<&'static str> {
        // What waits already must leave first.
        let sent = if self.waiting.is_empty() { self.try_send(frame) } else { Sent::NoRoom };
        match sent {
            Sent::Yes => None,
            Sent::NoRoom if self.waiting.len() < WAITING => {
                self.waiting.push_back(frame.to_vec());
                None
            }
            Sent::NoRoom => Some("guest too slow"),
            Sent::Gone => {
                self.close();
                Some("node gone")
            }
        }
    }

    fn close(&mut self) {
        self.socket = None;
        self.waiting.clear();
    }
}

/// A link that is recorded.
struct Capture {
    path: PathBuf,
    writer: Writer<BufWriter<File>>,
}

struct Mover {
    fabric: Fabric,
    cards: Vec<Card>,
    /// One for each card.
    sockets: Vec<Socket>,
    /// By line.
    captures: BTreeMap<usize, Capture>,
    /// Why a line is not recorded any more, until somebody asks for the file.
    broken: BTreeMap<usize, String>,
    tell: Box<dyn Fn(News) + Send>,
    start: Instant,
    epoch_ns: u64,
    waking: Waking,
    /// This thread runs before others, or may not; once it must.
    first: Option<bool>,
}

impl Mover {
    fn run(mut self, rung: &UnixStream, inbox: &Receiver<Command>) {
        let mut buffer = vec![0; MAX_FRAME];
        // The kernel may let a thread sleep 50 microseconds longer than it asked for. A kernel that cannot
        // do better is said by the accuracy table.
        if let Err(e) = nix::sys::prctl::set_timerslack(1) {
            tracing::warn!("times of links are coarse: {e}");
        }
        let mut turn = 0u32;
        loop {
            turn = turn.wrapping_add(1);
            if turn.is_multiple_of(TURNS) {
                thread::yield_now();
            }
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
            for card in ready {
                self.sockets[card].drain();
                self.read(card, &mut buffer);
            }
            let now = self.now();
            self.pass(|fabric, out| fabric.advance(now, out));
            self.fabric.take_told().into_iter().for_each(|told| (self.tell)(News::Cable(told)));
            if let Some((link, news)) = self.fabric.take_late() {
                let text = late::words(news.late_ns, self.remedy(news.scarce));
                (self.tell)(News::Late { link, text });
            }
            self.write_captured();
        }
    }

    /// Where processors are scarce this thread runs before others, and else does not, for it then only costs: a
    /// guest wakes up for each frame.
    fn remedy(&mut self, scarce: bool) -> Remedy {
        if scarce {
            self.first = Some(ahead_of_others().is_ok());
        }
        match self.first {
            None => Remedy::None,
            Some(false) => Remedy::Refused,
            Some(true) if scarce => Remedy::Taken,
            Some(true) => Remedy::Less,
        }
    }

    /// Sleeps until there is something to do; returns the cards that have something.
    fn wait(&mut self, rung: &UnixStream) -> Vec<usize> {
        let mut cards = Vec::new();
        let mut fds = vec![PollFd::new(rung.as_fd(), PollFlags::POLLIN)];
        for (card, socket) in self.sockets.iter().enumerate() {
            if let Some(fd) = &socket.socket {
                let mut flags = PollFlags::POLLIN;
                flags.set(PollFlags::POLLOUT, !socket.waiting.is_empty());
                fds.push(PollFd::new(fd.as_fd(), flags));
                cards.push(card);
            }
        }
        let asleep = Instant::now();
        let sleep = self.fabric.next_ns().map(|at| {
            let now = u64::try_from((asleep - self.start).as_nanos()).unwrap_or(u64::MAX);
            self.waking.sleep(Duration::from_nanos(at.saturating_sub(now)))
        });
        // Interrupted: look, find nothing, and come back.
        let woken = ppoll(&mut fds, sleep.map(TimeSpec::from_duration), None);
        if let (Ok(0), Some(sleep)) = (woken, sleep.filter(|sleep| !sleep.is_zero())) {
            self.waking.woke(asleep.elapsed().saturating_sub(sleep));
        }
        let hit = |fd: &PollFd<'_>| fd.revents().is_some_and(|r| !r.is_empty());
        cards.into_iter().zip(&fds[1..]).filter(|(_, fd)| hit(fd)).map(|(card, _)| card).collect()
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Plug(card, socket) => {
                // A socket that blocks would stop the whole network.
                if socket.set_nonblocking(true).is_ok() {
                    self.sockets[card].socket = Some(socket);
                    if self.cards[card].port == card {
                        self.fabric.plug(card);
                    }
                }
            }
            Command::Unplug(card) => {
                self.sockets[card].close();
                // The signal is that of the machine's own card.
                if self.cards[card].port == card {
                    let now = self.now();
                    self.pass(|fabric, out| fabric.unplug(now, card, out));
                }
            }
            Command::Act(line, action) => {
                let now = self.now();
                self.fabric.act(now, line, &action);
            }
            // Whoever asked may be gone.
            Command::Pcap(line, to, answer) => drop(answer.send(self.pcap(line, to))),
            Command::Status(answer) => {
                let mut status = self.fabric.status();
                let links = status.iter().filter(|port| !port.cable).count();
                for (port, status) in status.iter_mut().enumerate() {
                    let mut line = port;
                    if status.cable {
                        // Of each, both ends in a row.
                        line = links + (port - links) / 2;
                    } else {
                        status.open = self.sockets[port].socket.is_some();
                    }
                    status.pcap = self.captures.get(&line).map(|c| c.path.display().to_string());
                }
                // Whoever asked may be gone.
                let _ = answer.send(status);
            }
        }
    }

    fn read(&mut self, card: usize, buffer: &mut [u8]) {
        let port = self.cards[card].port;
        for _ in 0..BATCH {
            let Some(socket) = &self.sockets[card].socket else { return };
            match socket.recv(buffer) {
                // A datagram without bytes is what a closed peer looks like on some kernels.
                Ok(0) => return,
                Ok(len) => {
                    let (now, frame) = (self.now(), &buffer[..len]);
                    self.pass(|fabric, out| fabric.enter(now, port, frame, out));
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.sockets[card].close(),
            }
        }
    }

    /// Runs the fabric and sends what leaves it.
    fn pass(&mut self, step: impl FnOnce(&mut Fabric, &mut dyn FnMut(usize, &[u8]))) {
        let now = self.now();
        let Self { fabric, cards, sockets, .. } = self;
        let mut lost = Vec::new();
        step(fabric, &mut |port, frame| {
            let (own, seat) = takers(cards, sockets, port, frame);
            for card in own.into_iter().chain(seat) {
                if let Some(reason) = sockets[card].deliver(frame) {
                    lost.push((port, frame.to_vec(), reason));
                }
            }
        });
        for (port, frame, reason) in lost {
            fabric.lost(now, port, &frame, reason);
        }
    }

    /// Begins to record a line, or stops.
    fn pcap(&mut self, line: usize, to: Option<(PathBuf, String)>) -> Result<Option<PathBuf>> {
        let Some((path, link)) = to else {
            self.write_captured();
            self.fabric.tap(line, false);
            if let Some(why) = self.broken.remove(&line) {
                bail!("{why}");
            }
            return Ok(self.captures.remove(&line).map(|capture| capture.path));
        };
        if let Some(capture) = self.captures.get(&line) {
            return Ok(Some(capture.path.clone()));
        }
        let begin = || -> std::io::Result<Writer<BufWriter<File>>> {
            let file = File::options().write(true).create_new(true).open(&path)?;
            Writer::new(BufWriter::new(file), &link, &self.fabric.ways(line), self.epoch_ns)
        };
        self.broken.remove(&line);
        let writer = begin().with_context(|| format!("cannot write {}", path.display()))?;
        self.captures.insert(line, Capture { path: path.clone(), writer });
        self.fabric.tap(line, true);
        Ok(Some(path))
    }

    /// Writes what was recorded, so that whoever reads the file finds it.
    fn write_captured(&mut self) {
        let captured = self.fabric.take_captured();
        for frame in &captured {
            let Some(capture) = self.captures.get_mut(&frame.line) else { continue };
            if let Err(e) = capture.writer.frame(frame) {
                self.give_up(frame.line, &e);
            }
        }
        let lines: BTreeSet<usize> = captured.iter().map(|frame| frame.line).collect();
        for line in lines {
            let flushed = self.captures.get_mut(&line).map(|capture| capture.writer.flush());
            if let Some(Err(e)) = flushed {
                self.give_up(line, &e);
            }
        }
    }

    /// A file that cannot be written any more is no reason to hold up frames.
    fn give_up(&mut self, line: usize, why: &std::io::Error) {
        self.fabric.tap(line, false);
        if let Some(capture) = self.captures.remove(&line) {
            let file = capture.path.display();
            let text = format!(
                "recording to {file} stopped, the file ends early: {why}: make room for it"
            );
            tracing::error!("{text}");
            (self.tell)(News::Recording(text.clone()));
            self.broken.insert(line, text);
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Which cards take a frame that leaves a port: the seat's, if it has one of its own and the frame is for it;
/// for anything else the machine's own, and for all, both.
fn takers(
    cards: &[Card],
    sockets: &[Socket],
    port: usize,
    frame: &[u8],
) -> (Option<usize>, Option<usize>) {
    let has_seat = |card: &usize| {
        *card != port && cards[*card].port == port && sockets[*card].socket.is_some()
    };
    // Seats come after all machines.
    let Some(seat) = (port + 1..cards.len()).find(has_seat) else { return (Some(port), None) };
    let to = frame.first_chunk::<6>();
    if to.is_some_and(|to| to[0] & 1 == 1) {
        (Some(port), Some(seat))
    } else if to == cards[seat].address.as_ref() {
        (None, Some(seat))
    } else {
        (Some(port), None)
    }
}
