//! The node: the control port on one side, the driver on the other.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use images_control::bench::{Bench, Way};
use images_control::{
    Configure, FromNode, MAX_LINE, PORT_NAME, ToNode, Transport, VERSION, from_line, to_line,
};
use runtime_baremetal::driver::{Outside, Setup, run_machine};
use runtime_baremetal::image::Image;
use runtime_baremetal::serial::say;
use runtime_baremetal::start::{Device, Options};
use runtime_baremetal::virtio::{Nic, PortState};
use runtime_baremetal::{clock, control, heap, machine, power, trap};
use runtime_core::event::Event;
#[cfg(feature = "node")]
use runtime_core::id::Job;
use runtime_core::id::{NodeId, Rank};
use runtime_driver::conductor::{Command, Ending, Notice};
use runtime_driver::ethernet::Mac;
use runtime_driver::layout::Layout;
use sha2::{Digest, Sha256};

/// Brings the machine up and is a node on it.
pub(crate) fn run(info: usize, image: Image) -> ! {
    // SAFETY: this very image; it was linked so that what was loaded is never written.
    let loaded = unsafe { image.loaded() };
    // SAFETY: the machine's start information and this very image.
    let options = match unsafe { machine::bring_up(info, image) } {
        Ok(options) => options,
        Err(error) => refuse(&error),
    };
    // SAFETY: the machine's devices, which nobody drives so far.
    if let Err(error) = unsafe { control::open(options.devices(), PORT_NAME, MAX_LINE) } {
        refuse(&error)
    }
    if let Some(drill) = options.drill {
        drill.perform();
    }
    let fault = match serve(&options, Sha256::digest(loaded).into()) {
        Ok(Ending::Shutdown) => false,
        Ok(Ending::Halted { reason }) => {
            failed(reason);
            false
        }
        Err(reason) => {
            say(format_args!("{reason}"));
            failed(reason);
            true
        }
    };
    control::flush();
    say_memory();
    power::end(fault)
}

/// For people who choose how much memory a machine gets.
fn say_memory() {
    say(format_args!("memory: {} KiB at most", heap::peak() >> 10));
}

fn refuse(why: &dyn core::fmt::Display) -> ! {
    say(format_args!("this machine cannot be a node: {why}"));
    power::end(true)
}

fn tell(message: &FromNode) {
    control::send(to_line(message).into_bytes());
}

fn failed(reason: String) {
    tell(&FromNode::Failed { reason });
}

fn serve(options: &Options, image: [u8; 32]) -> Result<Ending, String> {
    let uptime_us = clock::now().0 / 1_000;
    tell(&FromNode::Hello { version: VERSION, image: guest::hex(&image), uptime_us });
    let mut harness = Harness::default();
    let Some(configure) = harness.await_configure() else { return Ok(Ending::Shutdown) };
    harness.configured = true;
    let setup = setup(&configure, image, options.devices())?;
    if let Some(me) = configure.nodes.get(usize::from(configure.node)) {
        // The console's first line: the node is silent while all is well.
        let image = guest::hex(&image[..6]);
        say(format_args!("understudy: node {} listens at {}, image {image}", me.name, me.mac));
    }
    if let Some(bench) = &configure.bench {
        measure(bench, setup, &mut harness)?;
        harness.await_end();
        return Ok(Ending::Shutdown);
    }
    be_node(setup, &mut harness)
}

#[cfg(feature = "node")]
fn be_node(setup: Setup, harness: &mut Harness) -> Result<Ending, String> {
    runtime_baremetal::driver::run(setup, harness).map_err(|error| error.to_string())
}

#[cfg(not(feature = "node"))]
fn be_node(_setup: Setup, _harness: &mut Harness) -> Result<Ending, String> {
    Err("this image has links and MCAPI only: it can be measured, and a node needs the image with the feature `node`".into())
}

/// Measures instead of being a node, and tells.
fn measure(bench: &Bench, setup: Setup, harness: &mut Harness) -> Result<(), String> {
    let [way @ Way::Ethernet] = bench.ways.as_slice() else {
        return Err("a bare-metal node can be measured over ethernet only, and once".into());
    };
    let machine = guest::bench::Machine::new(&setup.config, bench, clock::now())?;
    let ending = run_machine(machine, setup, harness).map_err(|error| error.to_string())?;
    tell(&guest::bench::measured(*way, ending)?);
    Ok(())
}

fn setup(configure: &Configure, image: [u8; 32], devices: &[Device]) -> Result<Setup, String> {
    let config = guest::config(configure, image)?;
    let me = usize::from(configure.node);
    let mac = |text: &str, whose: &str| -> Result<Mac, String> {
        text.parse().map_err(|error| format!("{whose}: {error}, not \"{text}\""))
    };
    let mut peers = Vec::new();
    for (index, node) in configure.nodes.iter().enumerate().filter(|(index, _)| *index != me) {
        if node.transport == Transport::Tcp {
            return Err(format!(
                "a bare-metal node speaks ethernet only, and {} is to be reached by tcp: set `transport: ethernet` on its link in the topology",
                node.name
            ));
        }
        let id = u16::try_from(index).map_err(|_| format!("too many nodes: {index}"))?;
        peers.push((NodeId(id), mac(&node.mac, &node.name)?));
    }
    let nic = configure.nic.as_ref().ok_or("a bare-metal node needs a network card: `nic`")?;
    let address = mac(&nic.mac, "nic")?;
    let mtu = usize::try_from(nic.mtu).unwrap_or(usize::MAX);
    if !(64..=9_000).contains(&mtu) {
        return Err(format!("nic: an MTU of {mtu} is not from 64 to 9000"));
    }
    // SAFETY: the machine's devices, of which only the console is driven so far.
    let nic = unsafe { Nic::open(devices, address, mtu) }.map_err(|error| error.to_string())?;
    let layout = Layout::node(guest::sizes(configure, &config)).map_err(|e| e.to_string())?;
    Ok(Setup { config, nic, peers, layout, holds: guest::holds(configure), kind_of: guest::kind })
}

/// What the harness wants, and hears.
#[derive(Debug, Default)]
struct Harness {
    configure: Option<Box<Configure>>,
    configured: bool,
    commands: VecDeque<Command>,
}

impl Harness {
    /// What the node is to be; nothing when it is to end instead.
    fn await_configure(&mut self) -> Option<Box<Configure>> {
        loop {
            self.attend();
            if let Some(configure) = self.configure.take() {
                return Some(configure);
            }
            if let Some(Command::Shutdown) = self.commands.pop_front() {
                return None;
            }
            if !self.leave_alone() {
                trap::sleep();
            }
        }
    }

    /// Nothing else is to come.
    fn await_end(&mut self) {
        loop {
            self.attend();
            if let Some(Command::Shutdown) = self.commands.pop_front() {
                return;
            }
            if !self.leave_alone() {
                trap::sleep();
            }
        }
    }

    fn message(&mut self, message: ToNode) {
        match message {
            ToNode::Configure(_) if self.configured || self.configure.is_some() => {
                failed("this node is configured already".into());
            }
            ToNode::Configure(configure) => self.configure = Some(Box::new(configure)),
            ToNode::Shutdown => self.commands.push_back(Command::Shutdown),
            ToNode::Awake(_) => failed("a bare-metal guest is no copy: it boots".into()),
            _ if !self.configured => failed("this node is not configured yet".into()),
            ToNode::Crash => panic!("told to crash"),
            ToNode::Fill { .. } => failed("only a Linux guest can have its memory filled".into()),
            ToNode::Release => self.commands.push_back(Command::Release),
            ToNode::Migrate { rank, to } => {
                self.commands.push_back(Command::Migrate { rank: Rank(rank), to: NodeId(to) });
            }
            ToNode::Corrupt { rank } => self.commands.push_back(Command::Damage(Rank(rank))),
            #[cfg(not(feature = "node"))]
            ToNode::Run(_) => failed("this image has no shared memory: it runs no program".into()),
            #[cfg(feature = "node")]
            ToNode::Run(run) => match guest::workload(&run.workload, run.args) {
                Ok((workload, args)) => {
                    let program = runtime::image(workload.program, &args);
                    self.commands.push_back(Command::Start { job: Job(run.job), program });
                }
                Err(reason) => failed(reason),
            },
        }
    }
}

impl Outside for Harness {
    fn attend(&mut self) {
        // Whatever the node is doing, it must not outlive its harness.
        if control::attend() == PortState::Closed {
            power::end(false)
        }
        loop {
            match control::line() {
                Ok(None) => return,
                Ok(Some(line)) => match from_line(&line) {
                    Ok(message) => self.message(message),
                    Err(error) => failed(error.to_string()),
                },
                Err(error) => {
                    say(format_args!("control port: {error}"));
                    power::end(true)
                }
            }
        }
    }

    fn command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn tell(&mut self, notice: Notice) {
        if matches!(&notice, Notice::Event { event: Event::JobDone { .. }, .. }) {
            say_memory();
        }
        tell(&guest::message(notice));
    }

    fn leave_alone(&mut self) -> bool {
        control::leave_alone()
    }
}
