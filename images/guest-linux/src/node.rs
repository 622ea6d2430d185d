//! A node: the control port on one side, the driver on the other.

use crate::bench;
use crate::control_port::{ControlPort, Incoming, Sender, report_panics};
use crate::machine::{self, Board};
use crate::network::{network, places};
use crate::program;
use crate::setup::{First, setup};
use anyhow::{Context, Result, bail};
use images_control::{Configure, FromNode, ToNode, VERSION};
use runtime_core::id::{Job, NodeId, Rank};
use runtime_driver::conductor::{Command, Ending};
use runtime_linux::driver::{Commander, Driver};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender as Channel, channel};

/// Where the node runs: how it ends, and where its network card comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Guest,
    /// The second node of a guest.
    Seat,
    Process,
}

impl Home {
    /// Fails as a machine does whose system fails.
    fn crash(self) -> ! {
        match self {
            Self::Guest | Self::Seat => machine::crash(),
            Self::Process => std::process::abort(),
        }
    }

    /// Ends for good; `fault` shows in how the machine or the process ends.
    fn end(self, fault: bool) -> ! {
        match self {
            Self::Guest if fault => machine::reset(),
            Self::Guest => machine::power_off(),
            // PID 1 sees it, and ends the machine.
            Self::Seat | Self::Process => std::process::exit(i32::from(fault)),
        }
    }

    /// The network card that is there for the node, ready to use. A process leaves the cards of its
    /// machine alone.
    fn interface(self, configure: &Configure) -> Result<Option<String>> {
        let Some(nic) = &configure.nic else { return Ok(None) };
        Ok(match self {
            Self::Guest => Some(machine::configure_nic(nic)?),
            Self::Seat => Some(machine::interface(nic)?),
            Self::Process => None,
        })
    }
}

/// PID 1 of a guest.
pub(crate) fn guest() -> ! {
    match machine::bring_up() {
        Ok(port) => live(port, Home::Guest),
        Err(error) => {
            eprintln!("this guest cannot be a node: {error:#}");
            machine::reset()
        }
    }
}

/// The seat of a guest, on a control port of its own.
pub(crate) fn seat() -> Result<()> {
    live(machine::seat_port()?, Home::Seat)
}

/// A process, with the control port on standard input and output.
pub(crate) fn process() -> Result<()> {
    live(ControlPort::from_stdio()?, Home::Process)
}

fn live(port: ControlPort, home: Home) -> ! {
    let sender = port.sender();
    report_panics(
        port.sender(),
        match home {
            Home::Guest => || machine::reset(),
            Home::Seat | Home::Process => || std::process::exit(101),
        },
    );
    let fault = match serve(port, home) {
        Ok(Ending::Shutdown) => false,
        Ok(Ending::Halted { reason }) => {
            let _gone = sender.send(&FromNode::Failed { reason });
            false
        }
        Err(error) => {
            let reason = format!("{error:#}");
            eprintln!("{reason}");
            let _gone = sender.send(&FromNode::Failed { reason });
            true
        }
    };
    home.end(fault)
}

fn serve(port: ControlPort, home: Home) -> Result<Ending> {
    let sender = port.sender();
    let image = image_hash()?;
    let (first_in, first) = channel();
    let (commander_in, commanders) = channel::<Commander>();
    let reader = Reader {
        home,
        sender: sender.clone(),
        first: first_in,
        commanders,
        commander: None,
        runs_program: false,
    };
    port.listen({
        let mut reader = reader;
        move |incoming| reader.on(incoming)
    })?;
    let Some(configure) = await_configure(home, &image, &sender, &first)? else {
        return Ok(Ending::Shutdown);
    };
    let interface = home.interface(&configure)?;
    let has_seat = configure.nodes.iter().any(|node| node.host == Some(configure.node));
    if home == Home::Guest && has_seat {
        machine::start_seat()?;
    }
    if let Some(what) = &configure.bench {
        bench::run(&configure, what, interface.as_deref(), image, &sender)?;
        // Nothing else comes but the end, which the reader of the port sees to.
        let _end = first.recv();
        return Ok(Ending::Shutdown);
    }
    if let Some(program) = &configure.program {
        let memory = board_memory(&configure, home)?;
        program::serve(&configure, program, memory.as_deref(), &first, &sender)?;
        return Ok(Ending::Shutdown);
    }
    let network = network(&configure, interface.as_deref())?;
    if let Some(me) = configure.nodes.get(usize::from(configure.node)) {
        // The console's first line: kernel and node are silent while all is well.
        let (image, places) = (guest::hex(&image[..6]), places(&configure, &network));
        let life = match home {
            Home::Guest => format!(", boot {}", machine::introduce(&me.name)?),
            Home::Seat | Home::Process => String::new(),
        };
        eprintln!("understudy: node {} {places}, image {image}{life}", me.name);
        if home == Home::Guest {
            board_memory(&configure, home)?;
        }
    }
    let (driver, commander) = Driver::new(setup(&configure, network, image)?)?;
    let _gone = commander_in.send(commander);
    let ending = driver.run(&mut |notice| {
        // The reader of the port notices when the harness is gone, and ends the node.
        let _gone = sender.send(&guest::message(notice));
    })?;
    Ok(ending)
}

/// Enters the memory of the board, if there is any; where programs find it.
fn board_memory(configure: &Configure, home: Home) -> Result<Option<PathBuf>> {
    let Some(spec) = &configure.board_memory else { return Ok(None) };
    if home == Home::Guest {
        let board = Board::map(spec)?;
        enter_board(configure, &board);
        return Ok(Some(board.file().to_owned()));
    }
    let own = |fd| PathBuf::from(format!("/proc/{}/fd/{fd}", std::process::id()));
    Ok(spec.fd.map(own))
}

/// Tells the others of the board that this node is here, and people who is.
fn enter_board(configure: &Configure, board: &Board) {
    board.enter(configure.node, configure.generation);
    let name = |node: u16| configure.nodes.get(usize::from(node)).map(|spec| spec.name.as_str());
    let here = board.nodes().map(|(node, life)| {
        let later = if life > 1 { format!(" (life {life})") } else { String::new() };
        format!("{}{later}", name(node).unwrap_or("?"))
    });
    let here = here.collect::<Vec<_>>().join(", ");
    eprintln!(
        "understudy: {} KiB of the board's memory are mapped, by {here}",
        board.bytes() >> 10
    );
}

/// Says hello until it is told what to be; nothing when nobody says so any more.
fn await_configure(
    home: Home,
    image: &[u8],
    sender: &Sender,
    first: &Receiver<First>,
) -> Result<Option<Box<Configure>>> {
    let mut woke_us = 0;
    loop {
        let uptime_us = uptime_us().saturating_sub(woke_us);
        let hello = FromNode::Hello { version: VERSION, image: guest::hex(image), uptime_us };
        sender.send(&hello).context("cannot speak to the harness")?;
        match first.recv() {
            Ok(First::Configure(configure)) => return Ok(Some(configure)),
            Ok(First::Awake(_)) if home != Home::Guest => bail!("only a guest can be a copy"),
            Ok(First::Run(_)) => bail!("told to run before it was told what"),
            Ok(First::Awake(awake)) => {
                machine::awake(&awake).context("this copy cannot have its own identity")?;
                woke_us = self::uptime_us();
            }
            Ok(First::End(reason)) => bail!("{reason}"),
            Err(_) => return Ok(None),
        }
    }
}

/// Runs on the thread that reads the control port.
struct Reader {
    home: Home,
    sender: Sender,
    first: Channel<First>,
    commanders: Receiver<Commander>,
    commander: Option<Commander>,
    runs_program: bool,
}

impl Reader {
    fn on(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Message(message) => self.message(message),
            Incoming::Bad(reason) => self.failed(reason),
            // Whatever the node is doing, it must not outlive its harness.
            Incoming::Closed(_) => self.home.end(false),
        }
    }

    fn failed(&self, reason: String) {
        let _gone = self.sender.send(&FromNode::Failed { reason });
    }

    fn message(&mut self, message: ToNode) {
        match message {
            ToNode::Configure(configure) => {
                self.runs_program = configure.program.is_some();
                if self.first.send(First::Configure(Box::new(configure))).is_err() {
                    self.failed("this node is configured already".into());
                }
            }
            ToNode::Awake(awake) => {
                if self.first.send(First::Awake(Box::new(awake))).is_err() {
                    self.failed("this node is configured already".into());
                }
            }
            ToNode::Shutdown if self.commander().is_none() => {
                let _late = self.first.send(First::End("told to end before it began".into()));
                self.home.end(false);
            }
            ToNode::Shutdown => self.command(Command::Shutdown),
            ToNode::Crash => self.home.crash(),
            ToNode::Fill { leave } => {
                let done = match self.home {
                    Home::Guest | Home::Seat => machine::fill(leave),
                    Home::Process => Err(anyhow::anyhow!("only a guest's memory can be filled")),
                };
                if let Err(error) = done {
                    self.failed(format!("{error:#}"));
                }
            }
            ToNode::Release => self.command(Command::Release),
            ToNode::Migrate { rank, to } => {
                self.command(Command::Migrate { rank: Rank(rank), to: NodeId(to) });
            }
            ToNode::Corrupt { rank } => self.command(Command::Damage(Rank(rank))),
            // Whoever runs a program listens until the end.
            ToNode::Run(run) if self.runs_program => {
                let _ended = self.first.send(First::Run(run.job));
            }
            ToNode::Run(run) => match guest::workload(&run.workload, run.args) {
                Ok((workload, args)) => {
                    let program = runtime::image(workload.program, &args);
                    self.command(Command::Start { job: Job(run.job), program });
                }
                Err(reason) => self.failed(reason),
            },
        }
    }

    fn commander(&mut self) -> Option<&Commander> {
        if self.commander.is_none() {
            self.commander = self.commanders.try_recv().ok();
        }
        self.commander.as_ref()
    }

    fn command(&mut self, command: Command) {
        match self.commander() {
            Some(commander) => commander.send(command),
            None => self.failed("this node is not configured yet".into()),
        }
    }
}

/// SHA-256 of this very program.
fn image_hash() -> Result<[u8; 32]> {
    let bytes = std::fs::read("/proc/self/exe").context("cannot read the node's own program")?;
    Ok(Sha256::digest(&bytes).into())
}

/// Time since the machine started.
fn uptime_us() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: f64 = text.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or_default();
    std::time::Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|time| u64::try_from(time.as_micros()).ok())
        .unwrap_or_default()
}
