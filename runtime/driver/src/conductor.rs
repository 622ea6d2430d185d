//! The node and all around it: what comes in goes to the [`Node`], what it wants goes to the [`Host`].
//!
//! A driver's loop takes commands ([`Conductor::commands`]), lets time pass ([`Conductor::tick`]), and hands
//! over frames ([`Conductor::input`]) and what the rank asks for ([`Conductor::request`]), until there is an
//! [`Conductor::ending`]; it sleeps no longer than until [`Conductor::deadline`].

use crate::context::{Answer, Program, Request};
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use runtime_core::event::Event;
use runtime_core::id::{Job, NodeId, Rank};
use runtime_core::mem::PageMem;
use runtime_core::node::{Input, Node, Output, Timer};
use runtime_core::time::Instant;

/// What is conducted: [`Node`], or a stand-in in tests and measurements.
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

/// What a driver does for its node.
pub trait Host {
    /// Why the driver cannot go on.
    type Error;
    /// Now, on the machine's monotonic clock.
    fn now(&self) -> Instant;
    /// The node's memory.
    fn memory(&mut self) -> &mut dyn PageMem;
    /// Did the memory fail in a call that cannot say so?
    ///
    /// # Errors
    /// The first such failure.
    fn check(&mut self) -> Result<(), Self::Error>;
    /// Sends a frame, or loses it when the transport is down.
    fn transmit(&mut self, to: NodeId, frame: Vec<u8>);
    /// Breaks the connection to a node.
    fn disconnect(&mut self, node: NodeId);
    /// Answers the rank's request: it goes on.
    fn answer(&mut self, answer: Answer);
    /// Runs a rank from its beginning; the private state is zero.
    fn start(&mut self, program: Program, rank: Rank, ranks: u16);
    /// Lets a restored rank come out of its call with a value.
    fn restore(&mut self, value: u64);
    /// Makes the rank stand still wherever it is, and forgets it. Nothing happens without a rank.
    fn stop(&mut self);
    /// Tells the outside.
    fn tell(&mut self, notice: Notice);
    /// The next command, if there is one.
    fn command(&mut self) -> Option<Command>;
    /// The next command; nothing else happens until it comes.
    fn wait_command(&mut self) -> Command;
}

/// An event that somebody waits for: a node may stand still at it, so that it can be killed just there; and
/// one that is frequent is told for that only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its kind, as `kind_of` of the [`Conductor`] says it.
    pub kind: String,
    /// Only with this [`Event::number`].
    pub number: Option<u64>,
    /// Which of those that match since the job began, from 1.
    pub nth: u32,
    /// Stand still there.
    pub still: bool,
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
    /// Move a rank to a standby.
    Migrate {
        /// Which rank.
        rank: Rank,
        /// Where to.
        to: NodeId,
    },
    /// Damage the copy of a rank, for tests.
    Damage(Rank),
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

/// Why a node ended in order.
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

/// What keeps a node from going on: what is under it, or its rank.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure<E> {
    /// The driver.
    #[error(transparent)]
    Host(E),
    /// The rank.
    #[error(transparent)]
    Rank(RankFault),
}

/// Why a rank cannot go on, on this node or any other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RankFault {
    /// The node wants a rank to run before there was a program.
    #[error("{0} is to start, but no program was given to this node")]
    NoProgram(Rank),
    /// Its stack is full.
    #[error("{0} overflowed its stack: raise runtime.stack in the topology")]
    Overflow(Rank),
    /// It touched what is not its own.
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

impl<E> From<RankFault> for Failure<E> {
    fn from(fault: RankFault) -> Self {
        Self::Rank(fault)
    }
}

/// See the module.
#[derive(Debug)]
pub struct Conductor<M = Node> {
    machine: M,
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

impl<M: Machine> Conductor<M> {
    /// Conducts a machine. `kind_of` names the kind of an event as it stands in the holds.
    #[must_use]
    pub fn new(machine: M, holds: Vec<Hold>, kind_of: fn(&Event) -> String) -> Self {
        Self {
            machine,
            holds: holds.into_iter().map(|hold| (hold, 0)).collect(),
            kind_of,
            job: Job(0),
            program: None,
            rank: Rank(0),
            rank_stopped: false,
            ending: None,
            postponed: VecDeque::new(),
        }
    }

    /// The machine.
    #[must_use]
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Has the node ended, and how?
    #[must_use]
    pub const fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// When [`Conductor::tick`] is due next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.machine.deadline().map(|(at, _)| at)
    }

    /// Takes all commands that are there.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn commands<H: Host>(&mut self, host: &mut H) -> Result<(), Failure<H::Error>> {
        while let Some(command) = self.postponed.pop_front().or_else(|| host.command()) {
            match command {
                Command::Start { job, program } => {
                    (self.job, self.program) = (job, Some(program));
                    self.holds.iter_mut().for_each(|(_, seen)| *seen = 0);
                    self.input(Input::Start(job), host)?;
                }
                Command::Migrate { rank, to } => self.input(Input::Migrate { rank, to }, host)?,
                Command::Damage(rank) => self.input(Input::Damage(rank), host)?,
                Command::Release => {}
                Command::Shutdown => {
                    self.ending.get_or_insert(Ending::Shutdown);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn tick<H: Host>(&mut self, host: &mut H) -> Result<(), Failure<H::Error>> {
        if self.deadline().is_some_and(|at| at <= host.now()) {
            self.input(Input::Tick, host)?;
        }
        Ok(())
    }

    /// What the rank asked for.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn request<H: Host>(
        &mut self,
        request: Request,
        host: &mut H,
    ) -> Result<(), Failure<H::Error>> {
        let rank = self.rank;
        match request {
            Request::Call(call) => return self.input(Input::Call(call), host),
            Request::Fault { page, access } => {
                return self.input(Input::Fault { page, access }, host);
            }
            Request::Print(text) => host.tell(Notice::Print { rank, text }),
            Request::Iteration(number) => self.tell(Event::Iteration { number }, host),
            Request::Report { bytes, text } => {
                host.tell(Notice::Report { job: self.job, rank, bytes, text });
            }
            Request::Overflow => return Err(RankFault::Overflow(rank).into()),
            Request::Crash { address, instruction } => {
                return Err(RankFault::Crash { rank, address, instruction }.into());
            }
            // Who stops a rank does not leave its request behind.
            Request::Abandoned => return Ok(()),
        }
        host.answer(Ok(0));
        Ok(())
    }

    /// One input, and all that comes of it.
    ///
    /// # Errors
    /// When the node cannot go on.
    pub fn input<H: Host>(
        &mut self,
        input: Input<'_>,
        host: &mut H,
    ) -> Result<(), Failure<H::Error>> {
        self.machine.handle(host.now(), input, host.memory());
        loop {
            host.check().map_err(Failure::Host)?;
            while let Some(output) = self.machine.poll() {
                self.apply(output, host)?;
            }
            if !core::mem::take(&mut self.rank_stopped) || self.ending.is_some() {
                return Ok(());
            }
            self.machine.handle(host.now(), Input::RankStopped, host.memory());
        }
    }

    fn apply<H: Host>(&mut self, output: Output, host: &mut H) -> Result<(), Failure<H::Error>> {
        if self.ending.is_some() {
            return Ok(());
        }
        match output {
            Output::Transmit { to, bytes } => host.transmit(to, bytes),
            Output::Disconnect(node) => host.disconnect(node),
            Output::Wake => host.answer(Ok(0)),
            Output::Complete(answer) => host.answer(answer),
            Output::StartRank { rank, ranks, restored } => {
                self.rank = rank;
                if let Some(value) = restored {
                    host.restore(value);
                } else {
                    let program = self.program.clone().ok_or(RankFault::NoProgram(rank))?;
                    host.memory().reset_private();
                    host.start(program, rank, ranks);
                }
            }
            Output::StopRank => {
                host.stop();
                self.rank_stopped = true;
            }
            Output::Event(event) => self.tell(event, host),
            Output::Halt { reason } => {
                host.stop();
                self.ending = Some(Ending::Halted { reason });
            }
        }
        Ok(())
    }

    fn tell<H: Host>(&mut self, event: Event, host: &mut H) {
        let kind = (!self.holds.is_empty()).then(|| (self.kind_of)(&event));
        let (number, is_frequent) = (event.number(), event.is_frequent());
        let (mut wanted, mut held) = (!is_frequent, false);
        for (hold, seen) in &mut self.holds {
            if Some(&hold.kind) == kind.as_ref() && (hold.number.is_none() || hold.number == number)
            {
                *seen += 1;
                wanted |= *seen == hold.nth;
                held |= hold.still && *seen == hold.nth;
            }
        }
        if wanted {
            host.tell(Notice::Event { at_us: host.now().0 / 1_000, event });
        }
        let Some(kind) = kind else { return };
        if held {
            host.tell(Notice::Held { at: kind });
            self.stand_still(host);
        }
    }

    /// Nothing is sent, nothing is answered, until somebody says so.
    fn stand_still<H: Host>(&mut self, host: &mut H) {
        loop {
            match host.wait_command() {
                Command::Release => return,
                later @ (Command::Start { .. } | Command::Migrate { .. } | Command::Damage(_)) => {
                    self.postponed.push_back(later);
                }
                Command::Shutdown => {
                    self.ending = Some(Ending::Shutdown);
                    return;
                }
            }
        }
    }
}
