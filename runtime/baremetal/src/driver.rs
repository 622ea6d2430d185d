//! The loop of a node: frames, commands and the rank in; what the node says out.
//!
//! Everything happens on one stack, one thing after the other. While a rank computes, an interrupt brings
//! the loop back, which serves whatever came and lets the rank go on.

use crate::compute::{Compute, ComputeError};
use crate::memory::BareMem;
use crate::virtio::Nic;
use crate::{apic, clock, trap};
use alloc::string::String;
use alloc::vec::Vec;
use runtime_core::event::Event;
use runtime_core::id::{NodeId, Rank};
use runtime_core::mem::PageMem;
use runtime_core::node::{Config, Input, Node};
use runtime_core::notice;
use runtime_core::time::Instant;
use runtime_driver::conductor::{
    Command, Conductor, Ending, Failure, Hold, Host, Machine, Notice, RankFault,
};
use runtime_driver::context::{Answer, Program};
use runtime_driver::ethernet::{BadHeader, HEADER_BYTES, Header, Mac};
use runtime_driver::layout::Layout;

/// Most frames that are served before commands and time are looked after.
const BATCH: usize = 64;

/// Everything that a node must know.
#[derive(Debug)]
pub struct Setup {
    /// Of the node.
    pub config: Config,
    /// Its network card.
    pub nic: Nic,
    /// The others.
    pub peers: Vec<(NodeId, Mac)>,
    /// Where its rank's memory lies.
    pub layout: Layout,
    /// Events right after which to stand still.
    pub holds: Vec<Hold>,
    /// Kind of an event, as it stands in `holds`.
    pub kind_of: fn(&Event) -> String,
}

/// Who commands the node, and listens to it.
pub trait Outside {
    /// Takes what has come in, and what waits to go out, along; no interrupts are wanted from now on.
    fn attend(&mut self);
    /// The next command.
    fn command(&mut self) -> Option<Command>;
    /// Is told something.
    fn tell(&mut self, notice: Notice);
    /// From now on an interrupt says that something came in. Says whether something is there already.
    fn leave_alone(&mut self) -> bool;
}

/// Why the node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The rank does not run.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The rank.
    #[error(transparent)]
    Rank(RankFault),
}

impl From<Failure<Self>> for DriverError {
    fn from(failure: Failure<Self>) -> Self {
        match failure {
            Failure::Host(error) => error,
            Failure::Rank(fault) => Self::Rank(fault),
        }
    }
}

/// What the node has under it.
struct Parts<'a, O> {
    compute: Compute,
    memory: BareMem,
    nic: Nic,
    peers: Vec<(NodeId, Mac)>,
    outside: &'a mut O,
    trouble: Option<DriverError>,
}

/// Runs a node until it ends.
///
/// # Errors
/// When it cannot go on.
pub fn run<O: Outside>(setup: Setup, outside: &mut O) -> Result<Ending, DriverError> {
    let machine = Node::new(setup.config.clone(), clock::now());
    run_machine(machine, setup, outside)
}

/// The same with a stand-in for the node.
///
/// # Errors
/// When it cannot go on.
pub fn run_machine<M: Machine, O: Outside>(
    machine: M,
    setup: Setup,
    outside: &mut O,
) -> Result<Ending, DriverError> {
    let Setup { nic, peers, layout, holds, kind_of, .. } = setup;
    let mut conductor = Conductor::new(machine, holds, kind_of);
    let memory = BareMem::new(layout);
    let compute = Compute::new(&memory);
    let mut host = Parts { compute, memory, nic, peers, outside, trouble: None };
    let nodes: Vec<NodeId> = host.peers.iter().map(|(node, _)| *node).collect();
    for node in nodes {
        // A raw network has no connections: it works as soon as the card does.
        conductor.input(Input::TransportUp(node), &mut host)?;
    }
    loop {
        host.outside.attend();
        host.nic.attend();
        for _ in 0..BATCH {
            let Some(received) = host.nic.receive() else { break };
            // Frames for others are no fault: a switch floods what it has not learnt.
            let frame = Header::parse(received.bytes());
            if let Err(BadHeader::Type(notice::ETHERTYPE)) = frame
                && let Some(card) = received.bytes().get(HEADER_BYTES..).and_then(notice::parse)
                && let Some(node) = host.node(Mac(card))
            {
                conductor.input(Input::PortDown(node), &mut host)?;
            }
            let frame = frame.ok().filter(|(header, _)| header.to == host.nic.mac());
            if let Some((from, bytes)) = frame.and_then(|(h, b)| Some((host.node(h.from)?, b))) {
                conductor.input(Input::Frame { from, bytes }, &mut host)?;
            }
            host.nic.give_back(received);
        }
        conductor.commands(&mut host)?;
        conductor.tick(&mut host)?;
        if let Some(ending) = conductor.ending() {
            return Ok(ending.clone());
        }
        if host.leave_alone() {
            continue;
        }
        apic::wake_at(conductor.deadline());
        if host.compute.can_run() {
            if let Some(request) = host.compute.run()? {
                conductor.request(request, &mut host)?;
            }
        } else {
            trap::sleep();
        }
    }
}

impl<O: Outside> Parts<'_, O> {
    /// The node with this address.
    fn node(&self, mac: Mac) -> Option<NodeId> {
        self.peers.iter().find(|(_, its)| *its == mac).map(|(node, _)| *node)
    }

    /// Says whether there is something to do already.
    fn leave_alone(&mut self) -> bool {
        self.nic.leave_alone() | self.outside.leave_alone()
    }
}

impl<O: Outside> Host for Parts<'_, O> {
    type Error = DriverError;

    fn now(&self) -> Instant {
        clock::now()
    }

    fn memory(&mut self) -> &mut dyn PageMem {
        &mut self.memory
    }

    fn check(&mut self) -> Result<(), DriverError> {
        self.trouble.take().map_or(Ok(()), Err)
    }

    fn transmit(&mut self, to: NodeId, frame: Vec<u8>) {
        if let Some((_, mac)) = self.peers.iter().find(|(node, _)| *node == to) {
            self.nic.send(*mac, frame);
        }
    }

    /// There is no connection; the link itself hears no more of that node.
    fn disconnect(&mut self, _node: NodeId) {}

    fn answer(&mut self, answer: Answer) {
        self.compute.answer(answer);
    }

    fn start(&mut self, program: Program, rank: Rank, ranks: u16) {
        if let Err(error) = self.compute.start(&program, rank, ranks) {
            self.trouble.get_or_insert(error.into());
        }
    }

    fn restore(&mut self, value: u64) {
        self.compute.restore(value);
    }

    fn stop(&mut self) {
        self.compute.stop();
    }

    fn tell(&mut self, notice: Notice) {
        self.outside.tell(notice);
    }

    fn command(&mut self) -> Option<Command> {
        self.outside.command()
    }

    fn wait_command(&mut self) -> Command {
        loop {
            self.outside.attend();
            if let Some(command) = self.outside.command() {
                return command;
            }
            if !self.outside.leave_alone() {
                trap::sleep();
            }
        }
    }
}
