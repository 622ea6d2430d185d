//! A node: the control port on one side, the driver on the other.

use crate::control_port::{ControlPort, Incoming, Sender, report_panics};
use crate::network::{network, places};
use crate::{guest, reference};
use anyhow::{Context, Result, bail};
use images_control::{Configure, FromNode, ToNode, Transport, VERSION, kind_of};
use runtime_core::event::Event;
use runtime_core::id::{Epoch, Generation, Job, NodeId};
use runtime_core::limits::PAGE_SIZE;
use runtime_core::node::{Config, Medium, Member};
use runtime_core::time::Duration;
use runtime_linux::driver::{Command, Commander, Driver, Ending, Hold, Notice, Setup};
use runtime_linux::layout::{Layout, Sizes};
use runtime_linux::transport::Network;
use sha2::{Digest, Sha256};
use std::sync::mpsc::{Receiver, Sender as Channel, channel};

/// Where the node runs: how it ends, and whether it brings up its own network card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Guest,
    Process,
}

impl Home {
    /// Ends for good; `fault` shows in how the machine or the process ends.
    fn end(self, fault: bool) -> ! {
        match self {
            Self::Guest if fault => guest::reset(),
            Self::Guest => guest::power_off(),
            Self::Process => std::process::exit(i32::from(fault)),
        }
    }
}

/// PID 1 of a guest.
pub(crate) fn guest() -> ! {
    match guest::bring_up() {
        Ok(port) => live(port, Home::Guest),
        Err(error) => {
            eprintln!("this guest cannot be a node: {error:#}");
            guest::reset()
        }
    }
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
            Home::Guest => || guest::reset(),
            Home::Process => || std::process::exit(101),
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

/// What the reader of the port hands over before there is a driver.
enum First {
    Configure(Box<Configure>),
    /// From now on messages go to this one.
    End(String),
}

fn serve(port: ControlPort, home: Home) -> Result<Ending> {
    let sender = port.sender();
    let image = image_hash()?;
    let (first_in, first) = channel();
    let (commander_in, commanders) = channel::<Commander>();
    let reader =
        Reader { home, sender: sender.clone(), first: first_in, commanders, commander: None };
    port.listen({
        let mut reader = reader;
        move |incoming| reader.on(incoming)
    })?;
    let uptime_us = uptime_us();
    let hello = FromNode::Hello { version: VERSION, image: reference::hex(&image), uptime_us };
    sender.send(&hello).context("cannot speak to the harness")?;
    let configure = match first.recv() {
        Ok(First::Configure(configure)) => configure,
        Ok(First::End(reason)) => bail!("{reason}"),
        Err(_) => return Ok(Ending::Shutdown),
    };
    // A process leaves the cards of its machine alone.
    let interface = match (&configure.nic, home) {
        (Some(nic), Home::Guest) => Some(guest::configure_nic(nic)?),
        _ => None,
    };
    let network = network(&configure, interface.as_deref())?;
    if let Some(me) = configure.nodes.get(usize::from(configure.node)) {
        // The console's first line: kernel and node are silent while all is well.
        let (image, places) = (reference::hex(&image[..6]), places(&configure, &network));
        eprintln!("understudy: node {} {places}, image {image}", me.name);
    }
    let (driver, commander) = Driver::new(setup(&configure, network, image)?)?;
    let _gone = commander_in.send(commander);
    let mut fenced = false;
    let ending = driver.run(&mut |notice| {
        fenced |= matches!(&notice, Notice::Event { event: Event::Fenced { .. }, .. });
        tell(&sender, notice);
    })?;
    // That it was replaced is told, and is no failure: others go on in its place.
    Ok(if fenced { Ending::Shutdown } else { ending })
}

fn tell(sender: &Sender, notice: Notice) {
    let message = match notice {
        Notice::Event { at_us, event } => FromNode::Event { at_us, event },
        Notice::Report { job, rank, bytes, text } => FromNode::Report {
            job: job.0,
            rank: rank.0,
            bytes: bytes.len() as u64,
            sha256: reference::sha256(&bytes),
            text,
        },
        Notice::Print { rank, text } => FromNode::Print { rank: rank.0, text },
        Notice::Held { at } => FromNode::Held { at },
    };
    // The reader of the port notices when the harness is gone, and ends the node.
    let _gone = sender.send(&message);
}

/// Runs on the thread that reads the control port.
struct Reader {
    home: Home,
    sender: Sender,
    first: Channel<First>,
    commanders: Receiver<Commander>,
    commander: Option<Commander>,
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
                if self.first.send(First::Configure(Box::new(configure))).is_err() {
                    self.failed("this node is configured already".into());
                }
            }
            ToNode::Shutdown if self.commander().is_none() => {
                let _late = self.first.send(First::End("told to end before it began".into()));
                self.home.end(false);
            }
            ToNode::Shutdown => self.command(Command::Shutdown),
            ToNode::Release => self.command(Command::Release),
            ToNode::Run(run) => match reference::workload(&run.workload, run.args) {
                Ok((workload, args)) => {
                    let program = runtime::image(workload.program, &args);
                    self.command(Command::Start { job: Job(run.job), program });
                }
                Err(error) => self.failed(format!("{error:#}")),
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

/// What the core must know.
pub(crate) fn config(configure: &Configure, image: [u8; 32]) -> Result<Config> {
    let runtime = &configure.runtime;
    let micros = Duration::from_micros;
    let pages = runtime.shared_bytes.div_ceil(PAGE_SIZE as u64);
    Ok(Config {
        me: NodeId(configure.node),
        generation: Generation(configure.generation),
        hash: image,
        members: configure
            .nodes
            .iter()
            .map(|node| Member { role: node.role, board: node.board, image: node.image })
            .collect(),
        media: configure.nodes.iter().map(|node| medium(node.transport)).collect(),
        mtu: configure.nic.as_ref().map_or(1_500, |nic| nic.mtu as usize),
        binding: runtime.binding,
        quorum: runtime.quorum,
        heartbeat: micros(runtime.heartbeat_us),
        suspect_after: runtime.suspect_after,
        join_timeout: micros(runtime.join_timeout_us),
        replicas: usize::from(runtime.replicas),
        checkpoint_every: runtime.checkpoint_every,
        shared_pages: u32::try_from(pages).context("runtime.shared-memory is too large")?,
    })
}

/// What a transport does to frames.
const fn medium(transport: Transport) -> Medium {
    match transport {
        Transport::Tcp => Medium::Stream,
        Transport::Ethernet => Medium::Datagram,
    }
}

/// How much memory a rank has.
pub(crate) fn sizes(configure: &Configure, config: &Config) -> Sizes {
    let runtime = &configure.runtime;
    Sizes {
        stack_bytes: runtime.stack_bytes,
        heap_bytes: runtime.heap_bytes,
        shared_pages: config.shared_pages,
    }
}

fn setup(configure: &Configure, network: Network, image: [u8; 32]) -> Result<Setup> {
    let config = config(configure, image)?;
    let layout = Layout::node(sizes(configure, &config))?;
    let holds = configure.holds.iter().map(|hold| {
        let epoch = hold.epoch.map(Epoch);
        Hold { kind: hold.event.clone(), epoch, nth: hold.nth }
    });
    let holds = holds.collect();
    Ok(Setup { config, network, layout, holds, kind_of })
}
