//! What a node is made of: a QEMU, a process, or a part of a simulated world.

pub(crate) mod loopback;
pub(crate) mod qemu;
pub(crate) mod sim;
pub(crate) mod spawn;
mod symbols;

use crate::plan::NodePlan;
use anyhow::{Context as _, Result};
use runtime_core::node::Image;
use spawn::{OnExit, Process, Program, Spawner};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

/// Number of the descriptor on which a node or its machine inherits its end of the cable.
pub(crate) const NET_FD: i32 = 3;

/// What all nodes of a cluster share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) spawner: Spawner,
    pub(crate) run_dir: PathBuf,
    /// The program that runs in the nodes.
    pub(crate) node_program: PathBuf,
    /// Kernel, initramfs and machine, for the QEMU backend.
    pub(crate) machine: Option<qemu::Machine>,
}

/// A node that was just started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) process: Process,
    /// The harness's end of its control port.
    pub(crate) control: UnixStream,
    /// The harness's end of its NIC: a datagram is a frame.
    pub(crate) net: Option<UnixDatagram>,
    /// The harness's end of the control port of its seat: the guest starts that one itself.
    pub(crate) seat: Option<UnixStream>,
    /// Keeps QEMU's monitor open; a QEMU that loses it complains.
    pub(crate) _monitor: Option<UnixStream>,
}

impl Site {
    /// A file of the run that does not exist yet: `name.end`, or `name-2.end` and so on.
    pub(crate) fn free_file(&self, name: &str, end: &str) -> PathBuf {
        let numbered = (2u32..).map(|n| self.run_dir.join(format!("{name}-{n}.{end}")));
        let mut paths = std::iter::once(self.run_dir.join(format!("{name}.{end}"))).chain(numbered);
        paths.find(|path| !path.exists()).unwrap_or_default()
    }

    /// Where a node's console goes.
    pub(crate) fn console(&self, node: &str) -> PathBuf {
        console(&self.run_dir, node)
    }

    /// Starts a node.
    pub(crate) async fn start(&self, node: &NodePlan, on_exit: OnExit) -> Result<Started> {
        match &self.machine {
            Some(machine) => self.start_guest(machine, node, on_exit).await,
            None => self.start_process(node, on_exit).await,
        }
    }

    async fn start_process(&self, node: &NodePlan, on_exit: OnExit) -> Result<Started> {
        let (control, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
        let theirs = OwnedFd::from(theirs);
        let (net, fds) = match node.nic.as_ref().and_then(|nic| nic.fd) {
            Some(fd) => {
                let (net, theirs) = UnixDatagram::pair().context("cannot make a socket pair")?;
                (Some(net), vec![(theirs.into(), fd)])
            }
            None => (None, Vec::new()),
        };
        let program = Program {
            words: vec![self.node_program.clone().into(), "process".into()],
            stdin: Some(theirs.try_clone().context("cannot share a socket")?),
            stdout: Some(theirs),
            log: log(&self.console(&node.name))?,
            fds,
        };
        let process = self.spawner.start(program, on_exit).await?;
        Ok(Started { process, control, net, seat: None, _monitor: None })
    }

    async fn start_guest(
        &self,
        machine: &qemu::Machine,
        node: &NodePlan,
        on_exit: OnExit,
    ) -> Result<Started> {
        let (control, their_control) = UnixStream::pair().context("cannot make a socket pair")?;
        let (monitor, their_monitor) = UnixStream::pair().context("cannot make a socket pair")?;
        let (net, their_net) = UnixDatagram::pair().context("cannot make a socket pair")?;
        let console = self.console(&node.name);
        log(&console)?;
        let mut fds = vec![
            (their_net.into(), NET_FD),
            (their_control.into(), qemu::CONTROL_FD),
            (their_monitor.into(), qemu::QMP_FD),
        ];
        let mut seat = None;
        if let Some(name) = &node.seat {
            let (ours, theirs) = UnixStream::pair().context("cannot make a socket pair")?;
            fds.push((theirs.into(), qemu::SEAT_FD));
            seat = Some(ours);
            one_console(&console, &self.console(name))?;
        }
        let program = Program {
            words: machine.command(node, &console)?,
            stdin: None,
            stdout: None,
            log: log(&self.run_dir.join(format!("qemu-{}.log", node.name)))?,
            fds,
        };
        let process = self.spawner.start(program, on_exit).await?;
        Ok(Started { process, control, net: Some(net), seat, _monitor: Some(monitor) })
    }

    /// The program whose addresses a node names; only bare-metal nodes do.
    fn program(&self, image: Image) -> &Path {
        let metal = self.machine.as_ref().and_then(qemu::Machine::bare_metal);
        match image {
            Image::Linux | Image::LinuxAarch64 => &self.node_program,
            Image::BareMetal => metal.unwrap_or(&self.node_program),
        }
    }

    /// A backtrace in words. Takes some time: the program is large.
    pub(crate) fn backtrace(&self, image: Image, addresses: &[u64]) -> Vec<String> {
        symbols::backtrace(self.program(image), addresses)
    }

    /// The last lines that a node left behind: its console, and what its QEMU said. A kernel names
    /// the reason of its panic first and its registers after it: the reason must not be cut off.
    pub(crate) fn last_words(&self, node: &str) -> Vec<String> {
        let mut lines = tail(&self.console(node), usize::MAX);
        let shown = lines.len().saturating_sub(12);
        let tells = |l: &&String| {
            l.starts_with("understudy: ")
                || ["Kernel panic", "panicked at"].iter().any(|w| l.contains(w))
        };
        let reasons: Vec<String> =
            lines[..shown].iter().rev().filter(tells).take(4).cloned().collect();
        let mut words: Vec<String> =
            reasons.into_iter().rev().chain(lines.drain(shown..)).collect();
        words.extend(tail(&self.run_dir.join(format!("qemu-{node}.log")), 4));
        words
    }
}

/// Where a node's console goes.
pub(crate) fn console(run_dir: &Path, node: &str) -> PathBuf {
    run_dir.join(format!("console-{node}.log"))
}

/// Both node programs of a guest write to its console: it is found under either name.
fn one_console(console: &Path, seat: &Path) -> Result<()> {
    let name = console.file_name().context("a console has a name")?;
    match std::os::unix::fs::symlink(name, seat) {
        // From an earlier life of the guest.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        other => other.with_context(|| format!("cannot write {}", seat.display())),
    }
}

/// Opens a log file to append to.
pub(crate) fn log(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The last lines of a file, without control characters; none if it cannot be read.
pub(crate) fn tail(path: &Path, lines: usize) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let clean = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let all: Vec<String> = text.lines().map(clean).filter(|l| !l.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].to_vec()
}
