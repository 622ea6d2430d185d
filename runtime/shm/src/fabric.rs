//! One node's part: sending, receiving, waiting. Who is there is found in `peers`.

use crate::directory::{Board, Directory};
use crate::loan::Loan;
use crate::peers::{Inbound, Lenders, Peer, Slots};
use crate::process::{Kept, Process, forks};
use crate::ring::slots::{Place, SLOT};
use crate::ring::{Broken, CELLS, NoRoom, Writer};
use crate::segment::{Generation, Header, Mapping};
use crate::sync::Ordering;
use crate::{JoinError, MAX_FRAME, NodeName, SendError, barrier, bell};
use nix::unistd::{SysconfVar, getuid, sysconf};
use runtime_core::limits::MCAPI_LEND_FROM;
use std::cell::Cell;
use std::env;
use std::hint::spin_loop;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use std::{ptr, slice};

/// How often a node looks whether its peers live. Who leaves says so, and is noticed at once.
pub(crate) const RHYTHM: Duration = Duration::from_millis(50);
/// Looks that a node takes that looked in vain of late.
const LEAST_LOOKS: u32 = 20;
/// Looks between two looks at the clock.
const CLOCK_EVERY: u32 = 1024;

/// Where nodes meet, and how a node waits.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the nodes' files, made when it is missing: the user's, and nobody else may write to it.
    pub dir: PathBuf,
    /// A part of the directory, for nodes that meet nobody outside of it. The last one takes it away.
    pub place: Option<String>,
    /// Looks that [`Fabric::wait`] takes before it sleeps: at most, and fewer after they were in vain. None with a
    /// single processor.
    pub spin: u32,
    /// The memory that this guest shares with others of its board, for those who use it ([`crate::board`]).
    pub board: Option<PathBuf>,
}

impl Default for Options {
    /// `UNDERSTUDY_SHM_DIR`, or `/dev/shm/understudy-<uid>`; some tens of microseconds of looking; `MCAPI_BOARD`. What is set
    /// to nothing is not set.
    fn default() -> Self {
        let path = |name| env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let ours = || PathBuf::from(format!("/dev/shm/understudy-{}", getuid()));
        let dir = path("UNDERSTUDY_SHM_DIR").unwrap_or_else(ours);
        Self { dir, place: None, spin: 2000, board: path("MCAPI_BOARD") }
    }
}

/// Whether the machine has a single processor, so that nothing comes while somebody looks for it. Where a thread may run
/// says nothing: the other one may be tied to another processor.
pub fn is_lone_processor() -> bool {
    matches!(sysconf(SysconfVar::_NPROCESSORS_ONLN), Ok(Some(1)))
}

/// What [`Fabric::poll`] reports.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A node is there. Comes before anything else of it.
    Joined(NodeName),
    /// A frame.
    Frame {
        /// Its sender.
        from: NodeName,
        /// Where it lies: in memory shared with its sender, for the length of the call.
        bytes: &'a [u8],
    },
    /// A frame of which the data are lent: see [`Fabric::lend`].
    Lent {
        /// Its sender.
        from: NodeName,
        /// What is before the data, for the length of the call.
        head: &'a [u8],
        /// The data. Their room is the sender's again when this is dropped.
        loan: Loan,
    },
    /// A node left or died. Comes after all frames that it completed. Whoever joins under this name is another node.
    Gone(NodeName),
}

/// A node's part of the fabric. Leaves when dropped.
#[derive(Debug)]
pub struct Fabric {
    pub(crate) name: NodeName,
    pub(crate) generation: Generation,
    pub(crate) this: Process,
    pub(crate) directory: Directory,
    pub(crate) file: Kept,
    pub(crate) shared: Arc<Shared>,
    pub(crate) board: Mapping<Board>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) inbound: Vec<Inbound>,
    pub(crate) lenders: Lenders,
    /// Nodes that broke a lane and still live.
    pub(crate) shunned: Vec<Generation>,
    /// What the board and the own header showed when they were last looked at.
    pub(crate) seen: (u32, u32),
    /// The last look did not get to its end.
    pub(crate) behind: bool,
    /// A look at everybody is due: the next `poll` takes it.
    pub(crate) due: Cell<bool>,
    pub(crate) next_look: Cell<Instant>,
    /// Peers that had no room.
    pub(crate) starved: usize,
    forks: u32,
    spin: u32,
    /// This process is registered for fences of others.
    pub(crate) fences: bool,
    /// Looks of the next wait.
    patience: Cell<u32>,
    calls: u32,
    /// The peer that was sent to last.
    last: usize,
}

/// What other threads of the process may touch.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) header: Mapping<Header>,
    rung: AtomicBool,
}

impl Fabric {
    /// Joins under a name. Remains of the dead are swept on the way.
    ///
    /// # Errors
    /// The name belongs to a living node; the directory is not private; the system refuses.
    pub fn join(name: NodeName, options: &Options) -> Result<Self, JoinError> {
        let directory = Directory::open(&options.dir)?;
        let this = Process::this().map_err(directory.failed("cannot look into /proc"))?;
        directory.sweep_places(&this).map_err(directory.failed("cannot sweep places"))?;
        let directory = match &options.place {
            Some(place) => directory.place(place)?,
            None => directory,
        };
        let locked = directory.lock()?;
        directory.sweep(&locked, &this).map_err(directory.failed("cannot sweep"))?;
        let made = directory.create(&locked, name).map_err(directory.failed("cannot make a file"));
        let (file, header) = made?.ok_or(JoinError::Taken(name))?;
        let generation = locked.next_generation();
        let fences = barrier::register();
        header.publish(generation, &this, fences);
        let board = locked.post();
        let spin = if is_lone_processor() { 0 } else { options.spin };
        let fabric = Self {
            name,
            generation,
            this,
            file,
            shared: Arc::new(Shared { header, rung: AtomicBool::new(false) }),
            // One back: the first poll looks around.
            seen: (board.news.load(Ordering::Acquire).wrapping_sub(1), 0),
            behind: false,
            board,
            peers: Vec::new(),
            inbound: Vec::new(),
            lenders: Lenders::new(),
            shunned: Vec::new(),
            due: Cell::new(false),
            next_look: Cell::new(Instant::now() + RHYTHM),
            starved: 0,
            forks: forks(),
            spin,
            fences,
            patience: Cell::new(spin),
            calls: 0,
            last: 0,
            directory,
        };
        fabric.rouse_all();
        Ok(fabric)
    }

    /// This node's name.
    pub fn name(&self) -> NodeName {
        self.name
    }

    /// Whether this process is a fork of the one that joined. Then nothing is sent or received, and dropping leaves
    /// the parent's node alone.
    #[inline]
    pub fn is_inherited(&self) -> bool {
        self.forks != forks()
    }

    /// Hands over all that is there, and says how many events that was. No allocation and no system call when there is
    /// nothing new (but now and then a look at whether peers live).
    pub fn poll(&mut self, mut on: impl FnMut(Event<'_>)) -> usize {
        if self.is_inherited() {
            return 0;
        }
        let mut events = 0;
        if self.is_due() {
            self.look_around(&mut events, &mut on);
        }
        let mut broken = None;
        for inbound in &mut self.inbound {
            // No more than a lane's worth, so that a busy sender leaves time for the others.
            match inbound.drain(CELLS, (&self.file, &mut self.lenders), &mut on) {
                Ok(frames) => events += frames,
                Err(Broken) => broken = Some(inbound.generation),
            }
        }
        if let Some(generation) = broken {
            self.shun(generation, "its lane holds a frame that cannot be");
            self.look_around(&mut events, &mut on);
        }
        if self.starved > 0 {
            self.feed();
        }
        self.count_call();
        events
    }

    /// Sends a frame: the parts, one after the other.
    ///
    /// # Errors
    /// See [`SendError`]; nothing was sent then.
    #[inline]
    pub fn send(&mut self, to: NodeName, parts: &[&[u8]]) -> Result<(), SendError> {
        let len = parts.iter().map(|p| p.len()).fold(0, usize::saturating_add);
        let mut room = self.reserve(to, len)?;
        let mut at = 0;
        for part in parts {
            room[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        room.commit();
        Ok(())
    }

    /// The same for a frame whose data the receiver may keep where they are written to: then it is an [`Event::Lent`] there.
    /// Those of less than [`MCAPI_LEND_FROM`] bytes, and all while the receiver keeps what it has, are an [`Event::Frame`]: nobody
    /// waits for something to be given back, though for the receiver to come to what was sent before.
    ///
    /// # Errors
    /// As [`Self::send`].
    #[inline(never)]
    pub fn lend(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        let fits = (MCAPI_LEND_FROM..=SLOT).contains(&data.len()) && head.len() <= Place::REST;
        let slot = if fits { self.free_slot(to)? } else { None };
        let Some((slot, at)) = slot else { return self.send(to, &[head, data]) };
        let place = Place { slot, len: data.len() };
        let mut room = self.reserve(to, Place::LEN + head.len())?;
        room[..Place::LEN].copy_from_slice(&place.bytes());
        room[Place::LEN..].copy_from_slice(head);
        room.writer.lane().marks().set(slot);
        // SAFETY: the slot is mapped and has so much room; it was free, so nobody but its writer, which this is, looks at it.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), at, data.len()) };
        room.commit_slot();
        Ok(())
    }

    /// A slot for data to a node, and where it begins; `None` if they are to be copied.
    fn free_slot(&mut self, to: NodeName) -> Result<Option<(usize, *mut u8)>, SendError> {
        let peer = self.reach(to)?;
        if matches!(&self.peers[peer].outbound, Some(out) if matches!(out.slots, Slots::Unused)) {
            self.attach_slots(peer);
        }
        let out = self.peers[peer].outbound.as_mut().ok_or(SendError::Gone)?;
        let Slots::Here(data) = &out.slots else { return Ok(None) };
        match out.writer.slot() {
            Ok(slot) => Ok(slot.map(|slot| (slot, data.slot(slot)))),
            Err(_) => Err(self.full(peer)),
        }
    }

    /// The place of a peer to which there is a lane.
    #[inline]
    fn reach(&mut self, to: NodeName) -> Result<usize, SendError> {
        if self.is_inherited() {
            return Err(SendError::Forked);
        }
        if self.peers.get(self.last).is_none_or(|peer| peer.name != to) {
            let found = self.peers.iter().position(|peer| peer.name == to);
            self.last = found.ok_or(SendError::Unknown)?;
        }
        if self.peers[self.last].outbound.is_none() {
            self.attach(self.last)?;
        }
        Ok(self.last)
    }

    /// Room for a frame in the receiver's own memory, to be written there and [committed](Reserved::commit).
    ///
    /// # Errors
    /// As [`Self::send`].
    #[inline]
    pub fn reserve(&mut self, to: NodeName, len: usize) -> Result<Reserved<'_>, SendError> {
        if len > MAX_FRAME {
            return Err(SendError::TooLong);
        }
        let peer = self.reach(to)?;
        let peer = &mut self.peers[peer];
        let writer = &mut peer.outbound.as_mut().ok_or(SendError::Gone)?.writer;
        match writer.reserve(len) {
            Ok(at) => {
                let peer = &mut self.peers[self.last];
                let writer = &mut peer.outbound.as_mut().ok_or(SendError::Gone)?.writer;
                Ok(Reserved { writer, header: &peer.header, fenced: peer.fenced, at, len })
            }
            Err(NoRoom::Full) => Err(self.full(self.last)),
            Err(NoRoom::Broken) => {
                let generation = peer.generation;
                self.shun(generation, "it gave back what it was not sent");
                Err(SendError::Gone)
            }
        }
    }

    /// Comes back when something may have come: a frame, a node, a death, room after [`SendError::Full`], a
    /// [ring of the bell](Bell::ring). May come back for nothing. Looks first, then sleeps.
    pub fn wait(&self, until: Option<Instant>) {
        if self.is_inherited() {
            return;
        }
        for looks in 1..=self.patience.get() {
            if self.has_news() {
                self.patience.set(self.spin);
                return self.answer();
            }
            spin_loop();
            if looks % CLOCK_EVERY == 0 {
                self.look_at_clock();
                if until.is_some_and(|until| Instant::now() >= until) {
                    return;
                }
            }
        }
        if self.spin < u32::MAX {
            self.patience.set((self.patience.get() / 2).max(self.spin.min(LEAST_LOOKS)));
        }
        while !self.has_news() {
            let now = Instant::now();
            if until.is_some_and(|until| now >= until) {
                return;
            }
            // Nobody announces a sudden death.
            self.look_at_clock();
            let wake = until.map_or(self.next_look.get(), |until| until.min(self.next_look.get()));
            let at_most = wake.saturating_duration_since(now);
            self.shared.header.bell.0.sleep_unless(
                || {
                    self.starve();
                    if self.fences {
                        barrier::on_all_processors();
                    }
                },
                || self.has_news(),
                |word, value| bell::wait(word, value, at_most),
            );
        }
        self.answer();
    }

    /// What wakes this node from another thread of the process.
    pub fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.shared))
    }

    #[inline]
    fn is_due(&self) -> bool {
        let news = self.board.news.load(Ordering::Acquire);
        let taken = self.shared.header.taken.0.load(Ordering::Acquire);
        self.due.get() || (news, taken) != self.seen
    }

    /// Whether `poll` would have something to do, or the bell was rung.
    #[inline]
    pub fn has_news(&self) -> bool {
        self.inbound.iter().any(Inbound::has_frame)
            || self.shared.rung.load(Ordering::Relaxed)
            || self.is_due()
            || self.starved > 0 && self.peers.iter().any(Peer::is_fed)
    }

    fn answer(&self) {
        // Whatever was done before the bell was rung is seen by who comes back for it.
        if self.shared.rung.load(Ordering::Relaxed) {
            self.shared.rung.swap(false, Ordering::Acquire);
        }
    }

    #[cold]
    pub(crate) fn look_at_clock(&self) {
        if Instant::now() >= self.next_look.get() {
            self.due.set(true);
        }
    }

    /// The clock is looked at once in a while.
    #[inline]
    fn count_call(&mut self) {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(CLOCK_EVERY) {
            self.look_at_clock();
        }
    }

    #[cold]
    fn full(&mut self, peer: usize) -> SendError {
        self.count_call();
        // Who sends and never polls would not learn that nobody reads.
        if self.due.get() && matches!(self.lives(&self.peers[peer], true), Ok(false)) {
            return SendError::Gone;
        }
        let peer = &mut self.peers[peer];
        self.starved += usize::from(!peer.starved);
        peer.starved = true;
        SendError::Full
    }

    /// Forgets that peers had no room who have some.
    #[cold]
    fn feed(&mut self) {
        for peer in &mut self.peers {
            if peer.is_fed() {
                peer.starved = false;
                self.starved -= 1;
            }
        }
    }

    /// Asks those that had no room to wake this node when they have.
    fn starve(&self) {
        if self.starved > 0 {
            self.peers.iter().for_each(Peer::starve);
        }
    }
}

impl Drop for Fabric {
    fn drop(&mut self) {
        // A fork that did not go through `fork` shows in nothing but its number.
        if self.is_inherited() || std::process::id() != self.this.pid {
            return;
        }
        if let Err(error) = self.leave() {
            // The lock goes with the descriptor: peers and the next sweep see a dead node.
            tracing::warn!(node = %self.name, %error, "cannot leave in order");
        }
    }
}

/// A frame that is being written. Dropped without [`Self::commit`], nothing is sent.
#[derive(Debug)]
pub struct Reserved<'a> {
    writer: &'a mut Writer,
    header: &'a Header,
    fenced: bool,
    at: *mut u8,
    len: usize,
}

impl Reserved<'_> {
    /// Sends it.
    #[inline]
    pub fn commit(self) {
        self.writer.commit(self.len);
        self.rouse();
    }

    /// The same for the rest of a frame whose data are in a slot.
    fn commit_slot(self) {
        self.writer.commit_slot(self.len);
        self.rouse();
    }

    #[inline]
    fn rouse(&self) {
        if self.fenced {
            self.header.rouse_fenced();
        } else {
            self.header.rouse();
        }
    }
}

impl Deref for Reserved<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the writer reserved so many bytes there, and lends itself as long.
        unsafe { slice::from_raw_parts(self.at, self.len) }
    }
}

impl DerefMut for Reserved<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the reader does not look before `commit`.
        unsafe { slice::from_raw_parts_mut(self.at, self.len) }
    }
}

/// Wakes a node that waits. May be rung from any thread of the node's process, and before the wait begins.
#[derive(Clone, Debug)]
pub struct Bell(Arc<Shared>);

impl Bell {
    /// The wait that is on, or the next one, comes back.
    pub fn ring(&self) {
        self.0.rung.store(true, Ordering::Release);
        self.0.header.rouse();
    }
}

#[cfg(test)]
mod tests;
