//! Nodes of several machines, or guests, as a topology file places them: between machines frames go over TCP
//! connections or raw Ethernet, between guests of one board through the memory that they share, between the nodes of one
//! machine through its own.
//!
//! Every node has a port of its own (TCP), an address of its own on its machine's card (Ethernet) or a door for each other
//! node (a board's memory), and a `runtime_core` link to each node of another machine: order, exactly once, signs of life. A node that dies, is cut
//! off, or falls silent is `Gone`; when it comes back it is another one.

mod life;
mod place;
mod watch;
mod ways;
mod wire;

pub use place::Map;

use crate::transport::{Bell, Transport};
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use runtime_driver::ethernet::Mac;
use runtime_linux::transport::TransportError;
use runtime_linux::transport::nic::NicError;
use runtime_shm::board::BoardError;
use runtime_shm::{Event, Fabric, JoinError, NodeName, Options, SendError};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;
use watch::Watch;
use wire::{News, Wire};

/// Why a node cannot be where the file places it.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The file is wrong.
    #[error("{0}")]
    File(String),
    /// The file is right, and the node is not.
    #[error("{file}: {why}")]
    Place {
        /// The file.
        file: String,
        /// What is wrong.
        why: Why,
    },
    /// A living node has this name, or the machine's memory cannot be used.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The system refuses what no file can change.
    #[error("{0}: {1}")]
    System(&'static str, io::Error),
}

/// What the file and this node disagree on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each says it")]
pub enum Why {
    #[error(
        "no place for node {name}; there are {there}: initialise one of these, or add it to the `mcapi:` of its node"
    )]
    Unknown { name: NodeName, there: String },
    #[error("MCAPI_MACHINE is {machine}, and there is no such node; there are {there}")]
    Machine { machine: String, there: String },
    #[error(
        "node {name} lives on {lives}, and this is {machine} (MCAPI_MACHINE): initialise it there, or move it in the file"
    )]
    Elsewhere { name: NodeName, lives: String, machine: String },
    #[error(
        "{address} of node {name} is in use: end the program that has it, or write another `mcapi-port` under `runtime`"
    )]
    InUse { name: NodeName, address: SocketAddr },
    #[error(
        "{address} of node {name} is no address of this machine: start it on {machine}, or correct the `address` of {machine}"
    )]
    NotHere { name: NodeName, address: SocketAddr, machine: String },
    #[error("node {name} cannot listen on {address}: {source}")]
    Listen { name: NodeName, address: SocketAddr, source: io::Error },
    #[error(
        "no network card of this machine has the address {mac}: start the node on {machine}, or correct the `mac` of {machine}"
    )]
    NoCard { machine: String, mac: Mac },
    #[error("{machine} cannot use its card {interface} (raw Ethernet needs CAP_NET_RAW): {error}")]
    Card { machine: String, interface: String, error: NicError },
    #[error("{machine} cannot use its network: {error}")]
    Network { machine: String, error: TransportError },
    #[error(
        "{machine} talks to others through the memory of board {board}, and MCAPI_BOARD does not say where that is: set it to the file (`resource2` of the PCI device), or write `transport: links` for the board"
    )]
    NoBoard { machine: String, board: String },
    #[error(
        "{machine} cannot use the memory of board {board}: {error}; correct MCAPI_BOARD or the board's `shared-memory`, or write `transport: links` for the board"
    )]
    Board { machine: String, board: String, error: BoardError },
}

/// A node's part of the network, and of its machine's memory.
#[derive(Debug)]
pub struct Net {
    map: Map,
    at: usize,
    /// Also keeps the name from being taken twice.
    fabric: Fabric,
    wire: RefCell<Wire>,
    /// Among mates: rings the fabric's bell when the network has something.
    watch: Option<Watch>,
    /// Alone: ends a wait for the network.
    bell: Arc<EventFd>,
}

impl Net {
    /// Takes a node's place. `machine`: the node of the file that this machine is said to be. `options`: where and how
    /// its nodes meet; each machine of the file gets a place in that directory.
    ///
    /// # Errors
    /// See [`NetError`].
    pub fn join(
        name: NodeName,
        map: Map,
        machine: Option<&str>,
        options: &Options,
    ) -> Result<Self, NetError> {
        let at = map.find(name, machine)?;
        let mut options = options.clone();
        // Machines of a file may be one machine, and their memory is not common then.
        options.place = Some(map.meeting(at));
        let fabric = Fabric::join(name, &options)?;
        let life = life::next();
        let ways = map.open(at, life, &options)?;
        let me = map.number(name).unwrap_or_default();
        let wire = Wire::new(me, life, ways, map.remotes(at), map.manners(at));
        let system = |what| move |errno: Errno| NetError::System(what, errno.into());
        let watch = map.has_mates(at).then(|| Watch::start(fabric.bell()));
        let watch = watch.transpose().map_err(|e| NetError::System("no watch over sockets", e))?;
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let bell = EventFd::from_value_and_flags(0, flags).map_err(system("no bell"))?;
        Ok(Self { map, at, fabric, wire: RefCell::new(wire), watch, bell: Arc::new(bell) })
    }
}

impl Transport for Net {
    fn poll(&mut self, on: &mut dyn FnMut(Event<'_>)) -> usize {
        if self.fabric.is_inherited() {
            return 0;
        }
        let Self { map, at, fabric, wire, watch, .. } = self;
        let wire = wire.get_mut();
        wire.feed();
        let mut events = wire.poll(&mut |node, news| {
            let Some(name) = map.name(node) else { return };
            on(match news {
                News::Joined => Event::Joined(name),
                News::Frame(bytes) => Event::Frame { from: name, bytes },
                News::Gone => Event::Gone(name),
            });
        });
        if watch.is_some() {
            events += fabric.poll(|event| {
                let name = match event {
                    Event::Joined(name)
                    | Event::Gone(name)
                    | Event::Frame { from: name, .. }
                    | Event::Lent { from: name, .. } => name,
                };
                if map.is_mate(*at, name) {
                    on(event);
                }
            });
        }
        events
    }

    fn send(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        if self.map.is_mate(self.at, to) {
            return self.fabric.send(to, &[head, data]);
        }
        if self.fabric.is_inherited() {
            return Err(SendError::Forked);
        }
        let node = self.map.number(to).ok_or(SendError::Unknown)?;
        match self.wire.get_mut().send(node, head, data) {
            Some(true) => Ok(()),
            Some(false) => Err(SendError::Full),
            None => Err(SendError::Gone),
        }
    }

    fn lend(&mut self, to: NodeName, head: &[u8], data: &[u8]) -> Result<(), SendError> {
        if self.map.is_mate(self.at, to) {
            return self.fabric.lend(to, head, data);
        }
        self.send(to, head, data)
    }

    fn wait(&self, until: Option<Instant>) {
        if self.fabric.is_inherited() {
            return;
        }
        let mut wire = self.wire.borrow_mut();
        if wire.has_news() {
            return;
        }
        match &self.watch {
            Some(watch) => {
                let rest = wire.ways().rest().map(|rest| Instant::now() + rest);
                let until = until.into_iter().chain(wire.due()).chain(rest).min();
                watch.arm(wire.ways().poll_fds());
                self.fabric.wait(until);
            }
            None => {
                wire.wait(&[self.bell.as_fd()], until);
                // Whatever was done before the bell was rung is seen by who comes back for it.
                let _count_or_nothing = self.bell.read();
            }
        }
    }

    fn bell(&self) -> Bell {
        if self.watch.is_some() {
            let bell = self.fabric.bell();
            return Arc::new(move || bell.ring());
        }
        let bell = Arc::clone(&self.bell);
        Arc::new(move || {
            // It can only be full, and then it was rung.
            let _written = bell.write(1);
        })
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        if !self.fabric.is_inherited() {
            self.wire.get_mut().leave();
        }
    }
}
