//! Which node lives where, as a topology file says it, and what a node needs of the system to be reached there.

use super::ways::Ways;
use super::wire::{Manners, Remote};
use super::{NetError, Why};
use nix::ifaddrs::getifaddrs;
use runtime_core::id::{Generation, NodeId};
use runtime_core::node::Medium;
use runtime_driver::ethernet::Mac;
use runtime_linux::transport::nic::Nic;
use runtime_linux::transport::{Network, Transport};
use runtime_shm::board::{Board, Neighbour};
use runtime_shm::{NodeName, Options};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use topology::Topology;

/// First octet of a card's further addresses: of those that nobody was given by a registry.
const FURTHER: u8 = 0x56;

/// An MCAPI node of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    name: NodeName,
    /// Index of its machine in the file.
    machine: usize,
    /// The how manieth of its machine.
    nth: u16,
}

/// How a node of another machine is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Tcp,
    Ethernet,
    /// The memory of the board that both are on.
    Board,
}

/// A topology file, as MCAPI reads it.
#[derive(Clone, Debug)]
pub struct Map {
    file: PathBuf,
    topology: Topology,
    /// In the order of the file; links know a node by its position.
    places: Vec<Place>,
}

impl Map {
    /// Reads a topology file.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, NetError> {
        let topology = topology::load(file).map_err(|errors| NetError::File(errors.to_string()))?;
        let place = |(machine, node): (usize, &topology::Node)| {
            let names: Vec<_> = node.mcapi.clone();
            (0..).zip(names).map(move |(nth, name)| Place {
                name: NodeName { domain: name.domain, node: name.node },
                machine,
                nth,
            })
        };
        let places = topology.nodes.iter().enumerate().flat_map(place).collect();
        Ok(Self { file: file.to_owned(), topology, places })
    }

    fn error(&self, why: Why) -> NetError {
        NetError::Place { file: self.file.display().to_string(), why }
    }

    /// Where a node lives: its number, and whether that is on `machine`, if this is said to be one.
    ///
    /// # Errors
    /// The file does not have the node, or has it elsewhere, or does not have the machine.
    pub(super) fn find(&self, name: NodeName, machine: Option<&str>) -> Result<usize, NetError> {
        let at = self.places.iter().position(|place| place.name == name).ok_or_else(|| {
            let there: Vec<String> = self.places.iter().map(|place| self.words(*place)).collect();
            self.error(Why::Unknown { name, there: there.join(", ") })
        })?;
        let Some(machine) = machine else { return Ok(at) };
        if self.topology.node(machine).is_none() {
            let there: Vec<&str> = self.topology.nodes.iter().map(|n| n.name.as_str()).collect();
            return Err(
                self.error(Why::Machine { machine: machine.to_owned(), there: there.join(", ") })
            );
        }
        let lives = self.machine(at).name.clone();
        if lives == machine {
            Ok(at)
        } else {
            Err(self.error(Why::Elsewhere { name, lives, machine: machine.to_owned() }))
        }
    }

    fn words(&self, place: Place) -> String {
        format!("{} on {}", place.name, self.topology.nodes[place.machine].name)
    }

    fn machine(&self, at: usize) -> &topology::Node {
        &self.topology.nodes[self.places[at].machine]
    }

    /// A name for where the nodes of a machine meet: with its address, for a cluster of processes has others each time.
    pub(super) fn meeting(&self, at: usize) -> String {
        let machine = self.machine(at);
        format!("{}-{}-{}", self.topology.name, machine.name, machine.address)
    }

    pub(super) fn name(&self, node: NodeId) -> Option<NodeName> {
        self.places.get(node.index()).map(|place| place.name)
    }

    pub(super) fn number(&self, name: NodeName) -> Option<NodeId> {
        self.places.iter().position(|place| place.name == name).map(node_id)
    }

    /// Does the node of this name live on the machine of that one?
    pub(super) fn is_mate(&self, at: usize, name: NodeName) -> bool {
        let machine = self.places[at].machine;
        self.places.iter().any(|place| place.machine == machine && place.name == name)
    }

    /// Whether other nodes live on the machine of this one.
    pub(super) fn has_mates(&self, at: usize) -> bool {
        let machine = self.places[at].machine;
        self.places.iter().filter(|place| place.machine == machine).count() > 1
    }

    pub(super) fn manners(&self, at: usize) -> Manners {
        let runtime = &self.topology.runtime;
        let mtu = self.topology.links.get(self.places[at].machine).map(|link| link.mtu);
        Manners {
            heartbeat: runtime.heartbeat,
            suspect_after: runtime.suspect_after,
            mtu: mtu.map_or(0, usize::from),
        }
    }

    /// The nodes of other machines, and how each is reached.
    fn others(&self, at: usize) -> impl Iterator<Item = (NodeId, Place, By)> {
        let mine = self.places[at].machine;
        self.places.iter().enumerate().filter(move |(_, place)| place.machine != mine).map(
            move |(number, place)| {
                let [a, b] = [mine, place.machine].map(|m| self.topology.nodes[m].id);
                let by = match self.topology.transport_between(a, b) {
                    _ if self.topology.share_a_board(a, b) => By::Board,
                    topology::Transport::Tcp => By::Tcp,
                    topology::Transport::Ethernet => By::Ethernet,
                };
                (node_id(number), *place, by)
            },
        )
    }

    pub(super) fn remotes(&self, at: usize) -> Vec<Remote> {
        let remote = |(node, _, by)| Remote {
            node,
            medium: match by {
                By::Tcp | By::Board => Medium::Stream,
                By::Ethernet => Medium::Datagram,
            },
        };
        self.others(at).map(remote).collect()
    }

    fn address(&self, place: Place) -> SocketAddr {
        let port = self.topology.runtime.mcapi_port + place.nth;
        (self.topology.nodes[place.machine].address, port).into()
    }

    /// The first node of a machine has the card's own address, the others have further ones, which follow from it.
    fn mac(&self, place: Place) -> Mac {
        let [first, second, rest @ ..] = self.topology.nodes[place.machine].mac;
        match u8::try_from(place.nth) {
            Ok(0) | Err(_) => Mac(self.topology.nodes[place.machine].mac),
            Ok(nth) => {
                let [c, d, e, f] = rest;
                // What was in the first two distinguishes cards of few makers only.
                Mac([FURTHER, nth ^ (first ^ second ^ 0x52 ^ 0x54), c, d, e, f])
            }
        }
    }

    /// Is where the others look for this node.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn open(
        &self,
        at: usize,
        life: Generation,
        options: &Options,
    ) -> Result<Ways, NetError> {
        let me = self.places[at];
        let mut network = Network::default();
        let (mut tcp, mut cards, mut near) = (Vec::new(), Vec::new(), Vec::new());
        for (node, place, by) in self.others(at) {
            match by {
                By::Tcp => tcp.push((node, self.address(place))),
                By::Ethernet => cards.push((node, self.mac(place))),
                By::Board => near.push((node, place)),
            }
        }
        if !tcp.is_empty() {
            let own = self.address(me);
            let listener =
                TcpListener::bind(own).map_err(|source| self.cannot_listen(at, source))?;
            network.tcp = Some((listener, tcp));
        }
        if !cards.is_empty() {
            network.ethernet = Some((self.card(at)?, cards));
        }
        let machine = self.machine(at).name.clone();
        let network = Transport::new(node_id(at), life, network)
            .map_err(|error| self.error(Why::Network { machine, error }))?;
        let board = (!near.is_empty()).then(|| self.board(at, life, &near, options)).transpose()?;
        Ok(Ways::new(network, board))
    }

    /// The memory of the machine's board, and who is reached through it.
    fn board(
        &self,
        at: usize,
        life: Generation,
        near: &[(NodeId, Place)],
        options: &Options,
    ) -> Result<(Board, Vec<NodeId>), NetError> {
        let me = self.places[at].name;
        let number = self.machine(at).board;
        let name = || {
            let board = &self.topology.boards[usize::from(number)];
            (self.machine(at).name.clone(), board.clone())
        };
        let Some(file) = &options.board else {
            let (machine, board) = name();
            return Err(self.error(Why::NoBoard { machine, board }));
        };
        let named = |name: topology::McapiName| NodeName { domain: name.domain, node: name.node };
        let ways: Vec<[NodeName; 2]> =
            self.topology.board_ways(number).into_iter().map(|way| way.map(named)).collect();
        let way = |way: [NodeName; 2]| ways.iter().position(|w| *w == way).unwrap_or(ways.len());
        let neighbour = |(_, place): &(NodeId, Place)| Neighbour {
            name: place.name,
            out: way([me, place.name]),
            into: way([place.name, me]),
        };
        let neighbours: Vec<_> = near.iter().map(neighbour).collect();
        let board = Board::open(file, me, life.0, &neighbours, ways.len()).map_err(|error| {
            let (machine, board) = name();
            self.error(Why::Board { machine, board, error })
        })?;
        Ok((board, near.iter().map(|(node, _)| *node).collect()))
    }

    fn cannot_listen(&self, at: usize, source: std::io::Error) -> NetError {
        let (name, address) = (self.places[at].name, self.address(self.places[at]));
        let machine = self.machine(at).name.clone();
        self.error(match source.kind() {
            ErrorKind::AddrInUse => Why::InUse { name, address },
            ErrorKind::AddrNotAvailable => Why::NotHere { name, address, machine },
            _ => Why::Listen { name, address, source },
        })
    }

    fn card(&self, at: usize) -> Result<Nic, NetError> {
        let (me, machine) = (self.places[at], self.machine(at).name.clone());
        let cards = Mac(self.machine(at).mac);
        let interface = interface(cards)
            .ok_or_else(|| self.error(Why::NoCard { machine: machine.clone(), mac: cards }))?;
        let (mac, mtu) = (self.mac(me), self.manners(at).mtu);
        let nic = if mac == cards {
            Nic::open(&interface, mac, mtu)
        } else {
            Nic::beside(&interface, mac, mtu)
        };
        nic.map_err(|error| self.error(Why::Card { machine, interface, error }))
    }
}

fn node_id(position: usize) -> NodeId {
    NodeId(u16::try_from(position).unwrap_or(u16::MAX))
}

/// The interface whose card has this address.
fn interface(mac: Mac) -> Option<String> {
    let mut all = getifaddrs().ok()?;
    let found = all.find(|interface| {
        let address = interface.address.as_ref().and_then(|a| a.as_link_addr()?.addr());
        address == Some(mac.0)
    });
    found.map(|interface| interface.interface_name)
}
