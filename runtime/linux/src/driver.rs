//! The loop of a node process: sockets, commands and the rank in; what the node says out.

use crate::compute::{Compute, ComputeError};
use crate::context::{ContextError, Program, Request};
use crate::layout::Layout;
use crate::memory::{LinuxMem, MemError};
use crate::transport::{Happening, Network, Transport, TransportError};
use core::time::Duration;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::time::{ClockId, clock_gettime};
use runtime_core::event::Event;
use runtime_core::id::{Epoch, Job, Rank};
use runtime_core::mem::PageMem;
use runtime_core::node::{Config, Input, Node, Output, Timer};
use runtime_core::time::Instant;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// What the loop drives: [`Node`], or a stand-in in tests.
pub trait Machine {
    /// See [`Node::handle`].
    fn handle(&mut self, now: Instant, input: Input<'_>, mem: &mut dyn PageMem);
    /// See [`Node::poll`].
    fn poll(&mut self) -> Option<Output>;
    /// See [`Node::deadline`].
    fn deadline(&self) -> Option<(Instant, Timer)>;
}

impl Machine for Node {
    fn handle(&mut self, now: Instant, input: Input<'_>, mem: &mut dyn PageMem) {
        Self::handle(self, now, input, mem);
    }

    fn poll(&mut self) -> Option<Output> {
        Self::poll(self)
    }

    fn deadline(&self) -> Option<(Instant, Timer)> {
        Self::deadline(self)
    }
}

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

/// An event at which a node stands still, so that it can be killed just there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its kind, as [`Setup::kind_of`] says it.
    pub kind: String,
    /// Only of this epoch.
    pub epoch: Option<Epoch>,
    /// Which of those that match since the job began, from 1.
    pub nth: u32,
}

/// From outside.
#[derive(Debug)]
pub enum Command {
    /// Run a program.
    Start {
        /// Number of the run.
        job: Job,
        /// What each rank runs.
        program: Program,
    },
    /// Go on after a hold.
    Release,
    /// End.
    Shutdown,
}

/// To the outside.
#[derive(Debug, PartialEq, Eq)]
pub enum Notice {
    /// Something happened.
    Event {
        /// When, in microseconds on the machine's monotonic clock.
        at_us: u64,
        /// What.
        event: Event,
    },
    /// The rank handed in a result.
    Report {
        /// Which run.
        job: Job,
        /// Which rank.
        rank: Rank,
        /// The result.
        bytes: Vec<u8>,
        /// The program's line about it.
        text: String,
    },
    /// The rank printed a line.
    Print {
        /// Which rank.
        rank: Rank,
        /// The line.
        text: String,
    },
    /// The node stands still.
    Held {
        /// Kind of the event that it stands at.
        at: String,
    },
}

/// Why the loop ended in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to, or nobody is left who could.
    Shutdown,
    /// The node must not go on.
    Halted {
        /// For people.
        reason: String,
    },
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
    /// The node wants a rank to run before there was a program.
    #[error("{0} is to start, but no program was given to this node")]
    NoProgram(Rank),
    /// The rank's stack is full.
    #[error("{0} overflowed its stack: raise runtime.stack in the topology")]
    Overflow(Rank),
    /// The rank touched what is not its own.
    #[error(
        "{rank} touched address {address:#x} at instruction {instruction:#x}: a fault of the program"
    )]
    Crash {
        /// Which.
        rank: Rank,
        /// What.
        address: usize,
        /// Where in the image.
        instruction: usize,
    },
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
    machine: M,
    // Before the memory: its thread must end first.
    compute: Compute,
    memory: LinuxMem,
    transport: Transport,
    commands: Receiver<Command>,
    wake: Arc<EventFd>,
    /// Where to stand still, and how many such events there were in this job.
    holds: Vec<(Hold, u32)>,
    kind_of: fn(&Event) -> String,
    job: Job,
    program: Option<Program>,
    rank: Rank,
    /// The rank stands still and the node is to be told.
    rank_stopped: bool,
    ending: Option<Ending>,
    /// Came in while the node stood at a hold.
    postponed: VecDeque<Command>,
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
        let driver = Self {
            machine,
            compute,
            memory,
            transport,
            commands,
            wake,
            holds: holds.into_iter().map(|hold| (hold, 0)).collect(),
            kind_of,
            job: Job(0),
            program: None,
            rank: Rank(0),
            rank_stopped: false,
            ending: None,
            postponed: VecDeque::new(),
        };
        Ok((driver, commander))
    }

    /// Runs the node until it ends.
    ///
    /// # Errors
    /// When it cannot go on.
    pub fn run(mut self, sink: Sink<'_>) -> Result<Ending, DriverError> {
        let mut frame = Vec::new();
        loop {
            self.take_commands(sink)?;
            if self.machine.deadline().is_some_and(|(at, _)| at <= now()) {
                self.step(Input::Tick, sink)?;
            }
            if let Some(ending) = self.ending {
                return Ok(ending);
            }
            let timeout =
                self.machine.deadline().map(|(at, _)| Duration::from_nanos(at.since(now()).0));
            let ready = self.transport.wait(&[self.wake.as_fd(), self.compute.fd()], timeout)?;
            while let Some(happening) = self.transport.next(&mut frame) {
                let input = match happening {
                    Happening::Up(node) => Input::TransportUp(node),
                    Happening::Down(node) => Input::TransportDown(node),
                    Happening::Frame(from) => Input::Frame { from, bytes: &frame },
                };
                self.step(input, sink)?;
            }
            if ready.get(1).is_some_and(|ready| *ready)
                && let Some(request) = self.compute.take()
            {
                self.serve(request?, sink)?;
            }
        }
    }

    fn take_commands(&mut self, sink: Sink<'_>) -> Result<(), DriverError> {
        let _ = self.wake.read();
        loop {
            let command =
                match self.postponed.pop_front().map_or_else(|| self.commands.try_recv(), Ok) {
                    Ok(command) => command,
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => Command::Shutdown,
                };
            match command {
                Command::Start { job, program } => {
                    (self.job, self.program) = (job, Some(program));
                    self.holds.iter_mut().for_each(|(_, seen)| *seen = 0);
                    self.step(Input::Start(job), sink)?;
                }
                Command::Release => {}
                Command::Shutdown => {
                    self.ending.get_or_insert(Ending::Shutdown);
                    return Ok(());
                }
            }
        }
    }

    /// What the rank asked for.
    fn serve(&mut self, request: Request, sink: Sink<'_>) -> Result<(), DriverError> {
        let rank = self.rank;
        match request {
            Request::Call(call) => return self.step(Input::Call(call), sink),
            Request::Fault { page, access } => {
                return self.step(Input::Fault { page, access }, sink);
            }
            Request::Print(text) => sink(Notice::Print { rank, text }),
            Request::Report { bytes, text } => {
                sink(Notice::Report { job: self.job, rank, bytes, text });
            }
            Request::Overflow => return Err(DriverError::Overflow(rank)),
            Request::Crash { address, instruction } => {
                return Err(DriverError::Crash { rank, address, instruction });
            }
            // Who stops a rank does not leave its request behind.
            Request::Abandoned => return Ok(()),
        }
        self.compute.answer(Ok(0));
        Ok(())
    }

    /// One input, and all that comes of it.
    fn step(&mut self, input: Input<'_>, sink: Sink<'_>) -> Result<(), DriverError> {
        self.machine.handle(now(), input, &mut self.memory);
        loop {
            self.memory.check()?;
            while let Some(output) = self.machine.poll() {
                self.apply(output, sink)?;
            }
            if !core::mem::take(&mut self.rank_stopped) || self.ending.is_some() {
                return Ok(());
            }
            self.machine.handle(now(), Input::RankStopped, &mut self.memory);
        }
    }

    fn apply(&mut self, output: Output, sink: Sink<'_>) -> Result<(), DriverError> {
        if self.ending.is_some() {
            return Ok(());
        }
        match output {
            Output::Transmit { to, bytes } => self.transport.send(to, bytes),
            Output::Disconnect(node) => self.transport.disconnect(node),
            Output::Wake => self.compute.answer(Ok(0)),
            Output::Complete(answer) => self.compute.answer(answer),
            Output::StartRank { rank, ranks, restored } => {
                self.rank = rank;
                if let Some(value) = restored {
                    self.compute.restore(value);
                } else {
                    let program = self.program.clone().ok_or(DriverError::NoProgram(rank))?;
                    self.memory.reset_private();
                    self.compute.start(program, rank, ranks);
                }
            }
            Output::StopRank => {
                self.compute.stop();
                self.rank_stopped = true;
            }
            Output::Event(event) => self.tell(event, sink),
            Output::Halt { reason } => {
                self.compute.stop();
                self.ending = Some(Ending::Halted { reason });
            }
        }
        Ok(())
    }

    fn tell(&mut self, event: Event, sink: Sink<'_>) {
        let kind = (!self.holds.is_empty()).then(|| (self.kind_of)(&event));
        let epoch = event.epoch();
        sink(Notice::Event { at_us: now().0 / 1_000, event });
        let Some(kind) = kind else { return };
        let mut held = false;
        for (hold, seen) in &mut self.holds {
            if hold.kind == kind && (hold.epoch.is_none() || hold.epoch == epoch) {
                *seen += 1;
                held |= *seen == hold.nth;
            }
        }
        if held {
            sink(Notice::Held { at: kind });
            self.stand_still();
        }
    }

    /// Nothing is sent, nothing is answered, until somebody says so.
    fn stand_still(&mut self) {
        loop {
            match self.commands.recv() {
                Ok(Command::Release) => return,
                Ok(start @ Command::Start { .. }) => self.postponed.push_back(start),
                Ok(Command::Shutdown) | Err(_) => {
                    self.ending = Some(Ending::Shutdown);
                    return;
                }
            }
        }
    }
}

/// The machine's monotonic clock: the same for all processes on it.
fn now() -> Instant {
    // CLOCK_MONOTONIC cannot fail on Linux, and is never negative.
    let at = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    Instant(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
