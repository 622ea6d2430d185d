//! Who is there: comings, goings, deaths, and the lanes to and from each.

use crate::directory::{Directory, Found, if_there};
use crate::fabric::{Event, Fabric, RHYTHM};
use crate::loan::{Lender, Loan};
use crate::process::Kept;
use crate::ring::slots::{Data, Ledger, Place};
use crate::ring::{Broken, CELLS, Lane, Reader, Writer};
use crate::segment::{Generation, Header, Holder, Mapping, map_lane, map_slots};
use crate::sync::Ordering;
use crate::{JoinError, MAX_SENDERS, NodeName, SendError};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Another node.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: NodeName,
    pub(crate) generation: Generation,
    pub(crate) header: Arc<Mapping<Header>>,
    pub(crate) outbound: Option<Outbound>,
    /// The last frame found no room.
    pub(crate) starved: bool,
    /// A frame to it needs no fence.
    pub(crate) fenced: bool,
    /// Not used again while its header is mapped.
    inode: u64,
    path: PathBuf,
}

/// The lane to a node.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) writer: Writer,
    lane: usize,
    pub(crate) slots: Slots,
    _memory: Mapping<Lane>,
}

/// Where the data of large frames to a node may lie.
#[derive(Debug)]
pub(crate) enum Slots {
    /// There was none yet.
    Unused,
    Here(Mapping<Data>),
    /// They could not be had: such frames go as all others do.
    Nowhere,
}

impl Peer {
    fn new(name: NodeName, found: Found, path: PathBuf, fences: bool) -> Self {
        Self {
            name,
            path,
            generation: found.header.generation(),
            fenced: fences && found.header.fences(),
            header: Arc::new(found.header),
            outbound: None,
            starved: false,
            inode: found.inode,
        }
    }

    /// Whether it had no room, and may have some now.
    pub(crate) fn is_fed(&self) -> bool {
        self.starved && self.outbound.as_ref().is_none_or(|out| out.writer.may_have_room())
    }

    pub(crate) fn starve(&self) {
        if let (true, Some(out)) = (self.starved, &self.outbound) {
            out.writer.starve();
        }
    }
}

/// The lane from a node.
#[derive(Debug)]
pub(crate) struct Inbound {
    pub(crate) generation: Generation,
    from: NodeName,
    lane: usize,
    reader: Reader,
    /// Whom to tell of room; nobody, if the sender was never seen alive.
    sender: Option<Arc<Mapping<Header>>>,
    memory: Arc<Mapping<Lane>>,
}

/// What a node lends its program of: by lane, since a frame first lay there in a slot, and as long as the node lives.
#[derive(Debug)]
pub(crate) struct Lenders(Vec<Option<Arc<Lender>>>);

impl Lenders {
    pub(crate) fn new() -> Self {
        Self(vec![None; MAX_SENDERS])
    }

    fn lend(
        &mut self,
        own: &Kept,
        lane: (usize, &Arc<Mapping<Lane>>),
        place: Place,
    ) -> Result<Loan, Broken> {
        let lender = &mut self.0[lane.0];
        if lender.is_none() {
            match Lender::open(own.file(), lane.0, lane.1) {
                Ok(new) => *lender = Some(Arc::new(new)),
                // Its sender has the memory already, so this one has too many mappings; and without it the frame is lost.
                Err(error) => tracing::warn!(%error, "cannot map large frames"),
            }
        }
        lender.as_ref().ok_or(Broken)?.lend(place)
    }

    /// Frees the slots of a lane whose last writer is dead, but those that are lent.
    fn reset(&self, inbound: &Inbound) {
        match &self.0[inbound.lane] {
            Some(lender) => lender.reset(),
            None => Ledger::new().reset(inbound.memory.marks()),
        }
    }
}

impl Inbound {
    #[inline]
    pub(crate) fn has_frame(&self) -> bool {
        self.reader.has_frame()
    }

    /// Hands over at most so many frames, and those behind one that is lent another time: its sender waits while there is one
    /// that was not read, so that it is never far ahead of those who look at what it sends, and need not copy.
    #[inline]
    pub(crate) fn drain(
        &mut self,
        at_most: u32,
        (own, lenders): (&Kept, &mut Lenders),
        on: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, Broken> {
        let mut frames = 0;
        for _ in 0..at_most {
            let Self { from, lane, reader, memory, .. } = self;
            let from = *from;
            let read = reader.read(|bytes, place| match place {
                None => {
                    on(Event::Frame { from, bytes });
                    Ok(false)
                }
                Some(place) => {
                    let loan = lenders.lend(own, (*lane, &*memory), place)?;
                    on(Event::Lent { from, head: bytes, loan });
                    Ok(true)
                }
            })?;
            let Some(lent) = read.transpose()? else { break };
            frames += 1;
            let told = if lent { reader.give_back_now() } else { reader.give_back() };
            if told && let Some(sender) = &self.sender {
                sender.rouse();
            }
            if lent {
                break;
            }
        }
        Ok(frames)
    }
}

#[cfg(test)]
impl Inbound {
    pub(crate) fn from(&self) -> NodeName {
        self.from
    }

    /// Does to the next frame what no node does.
    pub(crate) fn corrupt(&mut self) {
        self.reader.corrupt();
    }
}

impl Fabric {
    /// Wakes every living node: there are news on the board.
    pub(crate) fn rouse_all(&self) {
        let rouse = |name: NodeName| {
            if let Some(found) = self.directory.find(name, &self.this)? {
                found.header.rouse();
            }
            Ok::<_, io::Error>(())
        };
        // Who is not woken now sees the board when it wakes by itself. Without a directory there is nobody.
        if let Err(error) = if_there(self.directory.names())
            .and_then(|names| names.into_iter().flatten().try_for_each(rouse))
        {
            tracing::warn!(node = %self.name, %error, "cannot wake the others");
        }
    }

    pub(crate) fn leave(&self) -> Result<(), JoinError> {
        let locked = self.directory.lock()?;
        self.directory.sweep(&locked, &self.this).map_err(self.directory.failed("cannot sweep"))?;
        self.directory
            .remove(&locked, self.name, &self.file)
            .map_err(self.directory.failed("cannot remove a node's file"))?;
        drop(locked);
        self.rouse_all();
        Ok(())
    }

    /// No more is heard of a node that does not keep the rules.
    #[cold]
    pub(crate) fn shun(&mut self, generation: Generation, reason: &str) {
        self.due.set(true);
        if !self.shunned.contains(&generation) {
            let peer = self.peers.iter().find(|p| p.generation == generation).map(|p| p.name);
            tracing::warn!(node = %self.name, ?peer, reason, "gives up a node that breaks the rules");
            self.shunned.push(generation);
        }
    }

    /// The way to a peer.
    #[cold]
    pub(crate) fn attach(&mut self, peer: usize) -> Result<(), SendError> {
        let peer = &mut self.peers[peer];
        let no_memory = |error: io::Error| {
            tracing::warn!(node = %self.name, %error, "cannot get a lane");
            SendError::NoMemory
        };
        let found = self.directory.find(peer.name, &self.this).map_err(no_memory)?;
        let Some(found) = found.filter(|f| f.inode == peer.inode) else {
            self.due.set(true);
            return Err(SendError::Gone);
        };
        let lane = found.header.take(self.generation).ok_or(SendError::Crowded)?;
        let memory = map_lane(&found.file, lane).map_err(|error| {
            found.header.free(lane);
            no_memory(error)
        })?;
        // SAFETY: the lane stays mapped with the writer; whoever frees a lane empties it, and it is ours now.
        let writer = unsafe { Writer::new(memory.pointer()) };
        found.header.announce(lane, self.generation, self.name);
        peer.outbound = Some(Outbound { writer, lane, slots: Slots::Unused, _memory: memory });
        Ok(())
    }

    /// Gets the slots of the lane to a peer, before the first large frame to it.
    #[cold]
    pub(crate) fn attach_slots(&mut self, peer: usize) {
        let peer = &mut self.peers[peer];
        let Some(out) = &mut peer.outbound else { return };
        let slots = match self.directory.find(peer.name, &self.this) {
            Ok(Some(found)) if found.inode == peer.inode => map_slots(&found.file, out.lane),
            // It is gone, which is noticed elsewhere.
            Ok(_) => return,
            Err(error) => Err(error),
        };
        out.slots = slots.map_or_else(
            |error| {
                tracing::warn!(node = %self.name, peer = %peer.name, %error, "no memory for large frames, which are copied");
                Slots::Nowhere
            },
            Slots::Here,
        );
    }

    /// Looks at the board, the directory and the lanes that were taken, and reports who came and went.
    #[cold]
    pub(crate) fn look_around(&mut self, events: &mut usize, on: &mut impl FnMut(Event<'_>)) {
        let thorough = self.due.replace(false);
        self.next_look.set(Instant::now() + RHYTHM);
        let now = (
            self.board.news.load(Ordering::Acquire),
            self.shared.header.taken.0.load(Ordering::Acquire),
        );
        let same = std::mem::replace(&mut self.seen, now) == now;
        if same && !self.behind && self.all_are_well() {
            return;
        }
        let mut report = |event: Event<'_>| {
            *events += 1;
            on(event);
        };
        let reviewed = self.review(thorough, &mut report);
        self.behind = reviewed.is_err();
        if let Err(error) = reviewed {
            // Again when the next look is due.
            tracing::warn!(node = %self.name, %error, "cannot look who is there");
        }
    }

    /// Whether all peers live and keep the rules, and nobody else has a lane. This is what a look finds unless somebody came
    /// or went, and allocates nothing.
    fn all_are_well(&self) -> bool {
        let is_well = |peer: &Peer| {
            !self.shunned.contains(&peer.generation) && matches!(self.lives(peer, true), Ok(true))
        };
        let is_known = |holder: Holder| {
            self.shunned.contains(&holder.generation)
                || self.peers.iter().any(|peer| peer.generation == holder.generation)
        };
        self.peers.iter().all(is_well) && self.shared.header.holders().all(is_known)
    }

    fn review(&mut self, thorough: bool, on: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        // Before the directory: who has a lane and is not in there any more is dead.
        let holders: Vec<Holder> = self.shared.header.holders().collect();
        let names = self.directory.names()?;
        for at in (0..self.peers.len()).rev() {
            let shunned = self.shunned.contains(&self.peers[at].generation);
            if shunned || !self.lives(&self.peers[at], thorough)? {
                self.part(at, shunned, on)?;
            }
        }
        let newcomers = self.newcomers(names)?;
        let is_new = |who| newcomers.iter().any(|p: &Peer| p.generation == who);
        for holder in holders.iter().filter(|h| !is_new(h.generation)) {
            // Not if it was freed with a peer just now.
            let known = self.peers.iter().any(|p| p.generation == holder.generation);
            if !known && self.shared.header.holders().any(|now| now == *holder) {
                self.receive_from_the_dead(*holder, on)?;
            }
        }
        for peer in newcomers {
            on(Event::Joined(peer.name));
            self.peers.push(peer);
        }
        holders.into_iter().try_for_each(|holder| self.receive_from(holder))
    }

    /// The living whom this node does not know yet.
    fn newcomers(&self, mut names: Vec<NodeName>) -> io::Result<Vec<Peer>> {
        names.retain(|&n| n != self.name && self.peers.iter().all(|p| p.name != n));
        let found = names.into_iter().map(|name| {
            let found = self.directory.find(name, &self.this)?;
            let path = self.directory.file_of(name);
            Ok(found.map(|found| Peer::new(name, found, path, self.fences)))
        });
        let found: io::Result<Vec<_>> = found.collect();
        let fair = |peer: &Peer| !self.shunned.contains(&peer.generation);
        Ok(found?.into_iter().flatten().filter(fair).collect())
    }

    pub(crate) fn lives(&self, peer: &Peer, thorough: bool) -> io::Result<bool> {
        if thorough {
            let (header, inode) = (&peer.header, peer.inode);
            return Ok(header.is_complete()
                && Directory::is_kept(&peer.path, inode, &header.owner(), &self.this)?);
        }
        Ok(self.directory.inode(peer.name)? == Some(peer.inode))
    }

    /// Takes leave of a peer: its last frames, then `Gone`.
    fn part(&mut self, at: usize, shunned: bool, on: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        let generation = self.peers[at].generation;
        if shunned {
            // It may go on writing: its lane stays as it is.
            self.inbound.retain(|inbound| inbound.generation != generation);
        } else {
            // It may have taken a lane at last.
            let holders: Vec<Holder> = self.shared.header.holders().collect();
            for holder in holders.into_iter().filter(|h| h.generation == generation) {
                self.empty(holder, on)?;
            }
        }
        let peer = self.peers.remove(at);
        self.starved -= usize::from(peer.starved);
        on(Event::Gone(peer.name));
        Ok(())
    }

    fn open(&self, holder: Holder, from: NodeName) -> io::Result<Inbound> {
        let memory = Arc::new(map_lane(self.file.file(), holder.lane)?);
        let peer = self.peers.iter().find(|p| p.generation == holder.generation);
        Ok(Inbound {
            generation: holder.generation,
            from,
            lane: holder.lane,
            // SAFETY: the lane stays mapped with the reader, which is this node's only one for it.
            reader: unsafe { Reader::new(memory.pointer()) },
            sender: peer.map(|p| Arc::clone(&p.header)),
            memory,
        })
    }

    /// Hands over what a dead node left in its lane, and frees that.
    fn empty(&mut self, holder: Holder, on: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        let open = self.inbound.iter().position(|i| i.lane == holder.lane);
        let mut inbound = match (open, holder.name) {
            (Some(at), _) => self.inbound.remove(at),
            // Without a name nothing was sent.
            (None, name) => self.open(holder, name.unwrap_or(self.name))?,
        };
        loop {
            match inbound.drain(CELLS, (&self.file, &mut self.lenders), on) {
                Ok(0) => break,
                Ok(_) => {}
                Err(Broken) => {
                    tracing::warn!(node = %self.name, peer = %inbound.from, "a dead node left a frame that cannot be");
                    break;
                }
            }
        }
        self.lenders.reset(&inbound);
        inbound.reader.reset();
        self.shared.header.free(holder.lane);
        Ok(())
    }

    /// Begins to read a lane, if that is new and a peer's.
    fn receive_from(&mut self, holder: Holder) -> io::Result<()> {
        let open = self.inbound.iter().any(|i| i.lane == holder.lane);
        let peer = self.peers.iter().find(|p| p.generation == holder.generation);
        match (peer.map(|p| p.name), holder.name) {
            (Some(name), Some(said)) if name != said => {
                self.shun(holder.generation, "it takes a lane for another");
            }
            (Some(name), Some(_)) if !open => {
                let inbound = self.open(holder, name)?;
                self.inbound.push(inbound);
            }
            // Read already; or about to say its name; or freed meanwhile.
            _ => {}
        }
        Ok(())
    }

    /// From a node that came and went between two looks.
    fn receive_from_the_dead(
        &mut self,
        holder: Holder,
        on: &mut impl FnMut(Event<'_>),
    ) -> io::Result<()> {
        if self.shunned.contains(&holder.generation) {
            return Ok(());
        }
        if let Some(name) = holder.name {
            let inbound = self.open(holder, name)?;
            self.inbound.push(inbound);
            on(Event::Joined(name));
        }
        self.empty(holder, on)?;
        if let Some(name) = holder.name {
            on(Event::Gone(name));
        }
        Ok(())
    }
}
