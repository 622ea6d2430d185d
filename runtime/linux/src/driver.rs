//! The loop of a node process: sockets, commands and the rank in; what the node says out.

use crate::compute::{Compute, ComputeError};
use crate::memory::{LinuxMem, MemError};
use crate::priority;
use crate::transport::{Happening, Network, Transport, TransportError};
use core::time::Duration;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};
use runtime_core::event::Event;
use runtime_core::id::{NodeId, Rank};
use runtime_core::mem::PageMem;
use runtime_core::node::{Config, Input, Node};
use runtime_core::time::Instant;
use runtime_driver::conductor::{
    Command, Conductor, Ending, Failure, Hold, Host, Machine, Notice, RankFault,
};
use runtime_driver::context::{Answer, ContextError, Program};
use runtime_driver::layout::Layout;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// Turns of the loop after which other nodes on the same processor, which are as urgent, may have theirs: one that has
/// always something to do would keep it for a tenth of a second, and they would be taken for dead.
const TURNS: u32 = 8;

/// Everything a node process must know.
#[derive(Debug)]
pub struct Setup {
    /// Of the node.
    pub config: Config,
    /// How it reaches the others.
    pub network: Network,
    /// Where its rank's memory lies.
    pub layout: Layout,
    /// Events right after which to stand still.
    pub holds: Vec<Hold>,
    /// Kind of an event, as it stands in `holds`.
    pub kind_of: fn(&Event) -> String,
}

/// Why the node cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemError),
    /// The compute thread.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// A rank that does not run.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// Sockets.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No eventfd.
    #[error("making an eventfd: {0}")]
    EventFd(Errno),
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

/// Hands commands to a [`Driver`], from any thread.
#[derive(Clone, Debug)]
pub struct Commander {
    commands: Option<Sender<Command>>,
    wake: Arc<EventFd>,
}

impl Commander {
    /// Hands over a command; lost when the driver has ended.
    pub fn send(&self, command: Command) {
        if let Some(commands) = &self.commands {
            let _ = commands.send(command);
        }
        // A full counter is readable as well.
        let _ = self.wake.write(1);
    }
}

impl Drop for Commander {
    fn drop(&mut self) {
        // The last one to go wakes the driver, which then finds nobody left.
        self.commands = None;
        let _ = self.wake.write(1);
    }
}

/// A node process.
#[derive(Debug)]
pub struct Driver<M = Node> {
    conductor: Conductor<M>,
    parts: Parts,
}

/// What the node has under it.
#[derive(Debug)]
struct Parts {
    // Before the memory: its thread must end first.
    compute: Compute,
    memory: LinuxMem,
    transport: Transport,
    commands: Receiver<Command>,
    wake: Arc<EventFd>,
}

type Sink<'a> = &'a mut dyn FnMut(Notice);

impl Driver {
    /// A node process with all its parts, not yet running.
    ///
    /// # Errors
    /// When memory, threads or sockets cannot be had.
    pub fn new(setup: Setup) -> Result<(Self, Commander), DriverError> {
        let machine = Node::new(setup.config.clone(), now());
        Self::with_machine(machine, setup)
    }
}

impl<M: Machine> Driver<M> {
    /// The same with a stand-in for the node.
    ///
    /// # Errors
    /// When memory, threads or sockets cannot be had.
    pub fn with_machine(machine: M, setup: Setup) -> Result<(Self, Commander), DriverError> {
        let Setup { config, network, layout, holds, kind_of } = setup;
        let mut memory = LinuxMem::new(layout)?;
        memory.check_mappings()?;
        memory.attach(false)?;
        let compute = Compute::new(&memory)?;
        let transport = Transport::new(config.me, config.generation, network)?;
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .map_err(DriverError::EventFd)?;
        let wake = Arc::new(wake);
        let (sender, commands) = channel();
        let commander = Commander { commands: Some(sender), wake: Arc::clone(&wake) };
        let parts = Parts { compute, memory, transport, commands, wake };
        Ok((Self { conductor: Conductor::new(machine, holds, kind_of), parts }, commander))
    }

    /// Runs the node until it ends.
    ///
    /// # Errors
    /// When it cannot go on.
    pub fn run(mut self, sink: Sink<'_>) -> Result<Ending, DriverError> {
        if let Err(errno) = priority::ahead_of_others() {
            tracing::warn!(%errno, "no right to run before other programs: under load, signs of life may be late");
        }
        let mut frame = Vec::new();
        let conductor = &mut self.conductor;
        let mut host = Process { parts: &mut self.parts, sink };
        let mut turn = 0u32;
        loop {
            turn = turn.wrapping_add(1);
            if turn.is_multiple_of(TURNS) {
                std::thread::yield_now();
            }
            conductor.commands(&mut host)?;
            if let Some(ending) = conductor.ending() {
                return Ok(ending.clone());
            }
            let timeout = conductor.deadline().map(|at| Duration::from_nanos(at.since(now()).0));
            let Parts { transport, wake, compute, .. } = &mut *host.parts;
            let ready = transport.wait(&[wake.as_fd(), compute.fd()], timeout)?;
            if ready.is(0) {
                let _ = wake.read();
            }
            while let Some(happening) = host.parts.transport.next(&mut frame) {
                let input = match happening {
                    Happening::Up(node) => Input::TransportUp(node),
                    Happening::Down(node) => Input::TransportDown(node),
                    Happening::PortDown(node) => Input::PortDown(node),
                    Happening::Frame(from) => Input::Frame { from, bytes: &frame },
                };
                conductor.input(input, &mut host)?;
            }
            if ready.is(1)
                && let Some(request) = host.parts.compute.take()
            {
                conductor.request(request?, &mut host)?;
            }
            // After the frames: a node that stood still hears what it missed before it counts the silence.
            conductor.tick(&mut host)?;
        }
    }
}

/// The parts, and who listens to the node.
struct Process<'a, 'b> {
    parts: &'a mut Parts,
    sink: Sink<'b>,
}

impl Host for Process<'_, '_> {
    type Error = DriverError;

    fn now(&self) -> Instant {
        now()
    }

    fn memory(&mut self) -> &mut dyn PageMem {
        &mut self.parts.memory
    }

    fn check(&mut self) -> Result<(), DriverError> {
        Ok(self.parts.memory.check()?)
    }

    fn transmit(&mut self, to: NodeId, frame: Vec<u8>) {
        let _buffer = self.parts.transport.send(to, frame);
    }

    fn disconnect(&mut self, node: NodeId) {
        self.parts.transport.disconnect(node);
    }

    fn answer(&mut self, answer: Answer) {
        self.parts.compute.answer(answer);
    }

    fn start(&mut self, program: Program, rank: Rank, ranks: u16) {
        self.parts.compute.start(program, rank, ranks);
    }

    fn restore(&mut self, value: u64) {
        self.parts.compute.restore(value);
    }

    fn stop(&mut self) {
        self.parts.compute.stop();
    }

    fn tell(&mut self, notice: Notice) {
        (self.sink)(notice);
    }

    fn command(&mut self) -> Option<Command> {
        match self.parts.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Command::Shutdown),
        }
    }

    fn wait_command(&mut self) -> Command {
        self.parts.commands.recv().unwrap_or(Command::Shutdown)
    }
}

/// The machine's monotonic clock: the same for all processes on it.
#[must_use]
pub fn now() -> Instant {
    // CLOCK_MONOTONIC cannot fail on Linux, and is never negative.
    let at = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    Instant(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
