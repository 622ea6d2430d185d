//! What a node is made of: a QEMU, a process, or a part of a simulated world.

mod accelerator;
pub(crate) mod loopback;
pub(crate) mod qemu;
mod qmp;
pub(crate) mod sim;
pub(crate) mod spawn;
mod symbols;
pub(crate) mod template;

use crate::plan::NodePlan;
use anyhow::{Context as _, Result};
use images::qemu::Memory;
use nix::sys::memfd::{MFdFlags, memfd_create};
use runtime_core::node::Image;
use spawn::{OnExit, Process, Program, Spawner};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Number of the descriptor on which a node or its machine inherits its end of the cable.
pub(crate) const NET_FD: i32 = 3;
/// The same for the memory of its board.
pub(crate) const BOARD_FD: i32 = 8;

/// In place of a console that is not kept.
pub(crate) const NOT_KEPT: &str = "(not kept: the topology says `console: none` of this node)\n";

/// What all nodes of a cluster share.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) spawner: Spawner,
    pub(crate) run_dir: PathBuf,
    /// The program that runs in the nodes.
    pub(crate) node_program: PathBuf,
    /// Memory of boards, by their numbers.
    pub(crate) boards: Mutex<BTreeMap<u16, OwnedFd>>,
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
    /// What is worth a line to people.
    pub(crate) remark: Option<String>,
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

    /// For nodes of which none runs yet.
    pub(crate) fn new(
        spawner: Spawner,
        run_dir: PathBuf,
        node_program: PathBuf,
        machine: Option<qemu::Machine>,
    ) -> Self {
        Self { spawner, run_dir, node_program, boards: Mutex::default(), machine }
    }

    /// Where a node's console goes.
    pub(crate) fn console(&self, node: &str) -> PathBuf {
        console(&self.run_dir, node)
    }

    /// The file that a node's console is written to. Of one that is not kept, the place where it would be says so.
    fn console_of(&self, node: &NodePlan) -> Result<PathBuf> {
        let console = self.console(&node.name);
        if node.console {
            log(&console)?;
            return Ok(console);
        }
        std::fs::write(&console, NOT_KEPT)
            .with_context(|| format!("cannot write {}", console.display()))?;
        Ok("/dev/null".into())
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
        let (net, mut fds) = match node.nic.as_ref().and_then(|nic| nic.fd) {
            Some(fd) => {
                let (net, theirs) = UnixDatagram::pair().context("cannot make a socket pair")?;
                (Some(net), vec![(theirs.into(), fd)])
            }
            None => (None, Vec::new()),
        };
        fds.extend(self.board(node)?);
        let program = Program {
            words: vec![self.node_program.clone().into(), "process".into()],
            stdin: Some(theirs.try_clone().context("cannot share a socket")?),
            stdout: Some(theirs),
            log: log(&self.console_of(node)?)?,
            fds,
        };
        let process = self.spawner.start(program, on_exit).await?;
        Ok(Started { process, control, net, seat: None, remark: None, _monitor: None })
    }

    async fn start_guest(
        &self,
        machine: &qemu::Machine,
        node: &NodePlan,
        on_exit: OnExit,
    ) -> Result<Started> {
        let mut remark = None;
        if let Some(template) = machine.template(node) {
            match self.start_copy(machine, template, node).await {
                Ok((started, end)) => {
                    tokio::spawn(async move { on_exit(end.await.unwrap_or_default()) });
                    return Ok(started);
                }
                Err(e) => {
                    template.doubt();
                    remark = Some(format!("{} boots: it cannot be a copy: {e:#}", node.name));
                }
            }
        }
        let console = self.console_of(node)?;
        let command = machine.command(node, &console, Memory::Own)?;
        let Cables { control, monitor, net, seat, theirs } = Cables::new(node.seat.is_some())?;
        self.seat_console(node)?;
        let more = self.board(node)?.into_iter().collect();
        let process = self.start_qemu(&node.name, command, theirs, more, on_exit).await?;
        Ok(Started { process, control, net: Some(net), seat, remark, _monitor: Some(monitor) })
    }

    /// Both node programs of a guest write to its console.
    fn seat_console(&self, node: &NodePlan) -> Result<()> {
        match &node.seat {
            Some(seat) => one_console(&self.console(&node.name), &self.console(seat)),
            None => Ok(()),
        }
    }

    /// The memory of a node's board, for its machine to inherit; made when it is first asked for.
    fn board(&self, node: &NodePlan) -> Result<Option<(OwnedFd, i32)>> {
        let Some(memory) = node.board_memory() else { return Ok(None) };
        let mut boards = self.boards.lock().unwrap_or_else(PoisonError::into_inner);
        let board = match boards.entry(node.board) {
            Entry::Occupied(board) => board.into_mut(),
            Entry::Vacant(board) => {
                board.insert(board_memory(&format!("board-{}", node.board), memory.bytes)?)
            }
        };
        let shared = board.try_clone().context("cannot share the memory of a board")?;
        Ok(Some((shared, BOARD_FD)))
    }

    /// Starts the machine of a guest with these ends of its cables, and more descriptors.
    async fn start_qemu(
        &self,
        name: &str,
        words: Vec<OsString>,
        theirs: Theirs,
        more: Vec<(OwnedFd, i32)>,
        on_exit: OnExit,
    ) -> Result<Process> {
        let mut fds = vec![
            (theirs.net.into(), NET_FD),
            (theirs.control.into(), qemu::CONTROL_FD),
            (theirs.monitor.into(), qemu::QMP_FD),
        ];
        fds.extend(theirs.seat.map(|seat| (seat.into(), qemu::SEAT_FD)));
        fds.extend(more);
        let log = log(&self.qemu_log(name))?;
        let program = Program { words, stdin: None, stdout: None, log, fds };
        self.spawner.start(program, on_exit).await
    }

    /// What the machine of a guest says.
    fn qemu_log(&self, name: &str) -> PathBuf {
        self.run_dir.join(format!("qemu-{name}.log"))
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
        words.extend(tail(&self.qemu_log(node), 4));
        words
    }
}

/// Memory without a name: it goes with those who have it.
fn board_memory(name: &str, bytes: u64) -> Result<OwnedFd> {
    let file = memfd_create(name, MFdFlags::MFD_CLOEXEC).context("cannot make shared memory")?;
    let file = File::from(file);
    file.set_len(bytes).with_context(|| format!("cannot make {bytes} bytes of shared memory"))?;
    Ok(file.into())
}

/// The cables of a guest's machine.
#[derive(Debug)]
struct Cables {
    control: UnixStream,
    monitor: UnixStream,
    net: UnixDatagram,
    seat: Option<UnixStream>,
    theirs: Theirs,
}

/// The ends that the machine gets.
#[derive(Debug)]
struct Theirs {
    control: UnixStream,
    monitor: UnixStream,
    net: UnixDatagram,
    seat: Option<UnixStream>,
}

impl Cables {
    /// `has_seat`: it has a second control port.
    fn new(has_seat: bool) -> Result<Self> {
        let stream = || UnixStream::pair().context("cannot make a socket pair");
        let (control, their_control) = stream()?;
        let (monitor, their_monitor) = stream()?;
        let (net, their_net) = UnixDatagram::pair().context("cannot make a socket pair")?;
        let (seat, their_seat) =
            if has_seat { stream().map(|(a, b)| (Some(a), Some(b)))? } else { (None, None) };
        let theirs = Theirs {
            control: their_control,
            monitor: their_monitor,
            net: their_net,
            seat: their_seat,
        };
        Ok(Self { control, monitor, net, seat, theirs })
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
    tail_after(path, 0, lines)
}

/// The same, of what comes after so many bytes.
pub(crate) fn tail_after(path: &Path, bytes: u64, lines: usize) -> Vec<String> {
    let all = std::fs::read(path).unwrap_or_default();
    let after = usize::try_from(bytes).unwrap_or(usize::MAX);
    let text = String::from_utf8_lossy(all.get(after..).unwrap_or_default());
    let clean = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let all: Vec<String> = text.lines().map(clean).filter(|l| !l.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].to_vec()
}
