//! A machine that runs a program on MCAPI: the program's configuration is the topology file itself, in which this
//! machine has its name.

use crate::control_port::Sender;
use crate::setup::First;
use anyhow::{Context as _, Result};
use images_control::{Configure, FromNode, Program};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use runtime_core::event::Event;
use runtime_core::id::ViewId;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::Receiver;
use std::thread;

/// Runs the program each time it is told to, until the port is closed. `board`: the memory that it shares with others.
///
/// # Errors
/// When the configuration cannot be written or the program cannot be started; says which.
pub(crate) fn serve(
    configure: &Configure,
    program: &Program,
    board: Option<&Path>,
    orders: &Receiver<First>,
    sender: &Sender,
) -> Result<()> {
    let me = configure.nodes.get(usize::from(configure.node));
    let machine = me.context("no such node in the configuration")?.name.clone();
    fs::write(&program.file, &program.topology)
        .with_context(|| format!("cannot write {}", program.file))?;
    eprintln!("understudy: node {machine} runs {} when it is told to", program.path);
    let ready = FromNode::Event { at_us: 0, event: Event::Ready { view: ViewId(0) } };
    sender.send(&ready).context("cannot speak to the harness")?;
    while let Ok(order) = orders.recv() {
        let First::Run(job) = order else { continue };
        let child = start(program, &machine, board)?;
        let sender = sender.clone();
        // The machine listens while its program runs; the harness tells it to run one at a time.
        thread::spawn(move || {
            let ended = match wait(child) {
                Ok(status) => FromNode::Ended { job, code: status.code(), words: words(status) },
                Err(error) => FromNode::Failed { reason: format!("cannot wait: {error:#}") },
            };
            let _gone = sender.send(&ended);
        });
    }
    Ok(())
}

fn start(program: &Program, machine: &str, board: Option<&Path>) -> Result<Child> {
    // Standard output of a process is its control port.
    let log = std::io::stderr().as_fd().try_clone_to_owned().context("cannot share the console")?;
    let nodes: Vec<String> = program.nodes.iter().map(ToString::to_string).collect();
    let mut command = Command::new(&program.path);
    command
        .args(&program.args)
        .env("MCAPI_TOPOLOGY", &program.file)
        .env("MCAPI_MACHINE", machine)
        .env("MCAPI_NODES", nodes.join(","))
        .stdin(Stdio::null())
        .stdout(Stdio::from(log));
    if let Some(board) = board {
        command.env("MCAPI_BOARD", board);
    }
    // SAFETY: between fork and exec there is one system call.
    unsafe {
        command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?));
    }
    command.spawn().with_context(|| format!("cannot start {}", program.path))
}

fn wait(mut child: Child) -> Result<ExitStatus> {
    Ok(child.wait()?)
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("ended by {signal}"),
            Err(_) => format!("ended by signal {signal}"),
        },
        (None, None) => "it has not ended".into(),
    }
}
