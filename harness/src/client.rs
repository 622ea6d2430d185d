//! The verbs' side of the control socket.

use crate::backend::{log, tail};
use crate::failure::Failure;
use crate::interrupt::{Closed, Interrupt};
use crate::paths::Places;
use crate::plan::{self, Backend};
use crate::progress::Progress;
use crate::proto::{EXIT_OK, EXIT_TESTBED, EXIT_VERDICT, Request, Response, Status};
use crate::result::RunResult;
use images_control::{MAX_LINE, from_line, to_line};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

impl RunResult {
    /// The exit code of a run.
    ///
    /// # Errors
    /// Whatever its verdict is: it is in no file, as it should be.
    pub(crate) fn exit(&self) -> Result<u8, Failure> {
        match &self.unkept {
            Some(why) => Err(Failure {
                exit: EXIT_TESTBED,
                reason: format!("the result is not kept: {why}"),
            }),
            None if self.pass => Ok(EXIT_OK),
            None => Ok(EXIT_VERDICT),
        }
    }
}

impl Response {
    /// How the cluster is, if that is what was asked for.
    pub(crate) fn status(self) -> Result<Status, Failure> {
        match self {
            Self::Up { status } | Self::Status { status } => Ok(status),
            other => Err(other.unexpected()),
        }
    }

    /// What came of a run, if that is what was asked for.
    pub(crate) fn verdict(self) -> Result<Box<RunResult>, Failure> {
        match self {
            Self::Verdict { result } => Ok(result),
            other => Err(other.unexpected()),
        }
    }

    /// The answer, unless it is that something failed.
    pub(crate) fn succeeded(self) -> Result<Self, Failure> {
        let Self::Failed { exit, mut reason, node, frames, console } = self else {
            return Ok(self);
        };
        for (n, frame) in frames.words.iter().enumerate() {
            reason += &format!("\n  {n:2}: {frame}");
        }
        if let Some(node) = node {
            reason += &format!("\nlast lines of the console of {node}:");
            for line in console {
                reason += &format!("\n  {line}");
            }
        }
        Err(Failure { exit, reason })
    }

    /// The answer to another question.
    pub(crate) fn unexpected(&self) -> Failure {
        let reason = format!("the daemon answers something else: {self:?}");
        Failure { exit: EXIT_TESTBED, reason }
    }
}

/// How the nodes of a cluster come to life.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct How {
    /// What the nodes are made of.
    #[arg(long, value_enum, default_value_t = Backend::Qemu)]
    pub(crate) backend: Backend,
    /// Have every guest boot, rather than go on as a copy of one that booted before.
    #[arg(long)]
    pub(crate) cold: bool,
}

/// How a cluster is to be started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch<'a> {
    /// The topology.
    pub(crate) file: &'a Path,
    pub(crate) how: How,
    /// It outlives its owner once it is up.
    pub(crate) detach: bool,
    /// Instead of that of the file.
    pub(crate) seed: Option<u64>,
    /// It has a name of its own, that of its run, so that it is in nobody's way; not that of the file.
    pub(crate) own_name: bool,
    /// No progress is shown.
    pub(crate) quiet: bool,
    /// The `understudy` program, if it is not this one.
    pub(crate) program: Option<&'a Path>,
    /// What ends it before its time.
    pub(crate) interrupt: Option<&'a Interrupt>,
}

impl<'a> Launch<'a> {
    /// As the file says; with progress, and gone with its owner.
    pub(crate) const fn new(file: &'a Path, how: How) -> Self {
        let (detach, seed, own_name, quiet) = (false, None, false, false);
        Self { file, how, detach, seed, own_name, quiet, program: None, interrupt: None }
    }
}

/// A connection to a daemon.
#[derive(Debug)]
pub(crate) struct Connection {
    reader: BufReader<UnixStream>,
    /// Where the daemon writes what nobody asked for, if this is its owner.
    daemon_log: Option<PathBuf>,
    /// Progress is not shown.
    quiet: bool,
    /// A signal closes it.
    _closed: Option<Closed>,
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.get_ref().as_fd()
    }
}

impl Connection {
    /// To the daemon of a cluster that is up.
    pub(crate) fn attach(places: &Places, cluster: &str) -> Result<Self, Failure> {
        let stream = UnixStream::connect(places.socket(cluster)?).map_err(|_| {
            Failure::usage(format!("cluster {cluster} is not up: `understudy up FILE` starts one"))
        })?;
        let reader = BufReader::new(stream);
        Ok(Self { reader, daemon_log: None, quiet: false, _closed: None })
    }

    /// A signal takes this verb away from what it asked for, which goes on.
    pub(crate) fn let_go_by(self, interrupt: &Interrupt) -> Result<Self, Failure> {
        let closed = interrupt.closes(self.reader.get_ref())?;
        Ok(Self { _closed: Some(closed), ..self })
    }

    /// Starts a daemon for a topology file, and is its owner: when this closes before the cluster
    /// is up, or ever unless it is to outlive its owner, the daemon takes everything down.
    pub(crate) fn start(places: &Places, launch: &Launch<'_>) -> Result<Self, Failure> {
        let Launch { file, how: How { backend, cold }, .. } = *launch;
        let topology = topology::load(file).map_err(|e| Failure::usage(e.to_string()))?;
        let unsupported = plan::unsupported(&topology, backend);
        if !unsupported.is_empty() {
            let what = unsupported.join("; ");
            return Err(Failure::usage(format!("{}: cannot do: {what}", file.display())));
        }
        let run_dir = places.new_run(&topology.name)?;
        let own = run_dir.file_name().and_then(|name| name.to_str()).filter(|_| launch.own_name);
        let name = own.unwrap_or(&topology.name);
        // Here only for a message without traces; the daemon decides.
        let free = places.take_name(name).map_err(|e| Failure::usage(e.to_string()));
        if let Err(failure) = free {
            // Nothing of it is there yet.
            drop(std::fs::remove_dir(&run_dir));
            return Err(failure);
        }
        drop(free);
        let daemon_log = run_dir.join("daemon.log");
        let output = log(&daemon_log)?;
        let (ours, theirs) = UnixStream::pair()?;
        let closed = launch.interrupt.map(|interrupt| interrupt.closes(&ours)).transpose()?;
        let mut command =
            Command::new(launch.program.map_or_else(std::env::current_exe, |p| Ok(p.to_owned()))?);
        command
            .arg("--target-dir")
            .arg(places.target())
            .args(["daemon", "--backend", backend.name(), "--run-dir"])
            .arg(&run_dir)
            .args(["--name", name])
            .args(launch.detach.then_some("--detach"))
            .args(cold.then_some("--cold"))
            .args(launch.seed.map(|seed| format!("--seed={seed}")))
            .arg(file)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output))
            // Ctrl-C is for the verb; the daemon hears of it by its closed connection.
            .process_group(0);
        command.spawn()?;
        // `command` holds the daemon's end until it is dropped; the daemon's death must be seen.
        drop(command);
        let (reader, daemon_log) = (BufReader::new(ours), Some(daemon_log));
        Ok(Self { reader, daemon_log, quiet: launch.quiet, _closed: closed })
    }

    /// Up, run, down: the verdict; where the logs are comes in `logs`, once that is known. `is_up` is called when it
    /// has booted. In all endings the cluster is down: its daemon ends when the connection closes.
    pub(crate) fn once(
        places: &Places,
        launch: &Launch<'_>,
        logs: &mut Option<String>,
        is_up: impl FnOnce(),
    ) -> Result<Box<RunResult>, Failure> {
        let (mut connection, dir) = Self::own(places, launch)?;
        *logs = Some(dir);
        is_up();
        let result = connection.ask(&Request::Run).and_then(Response::verdict);
        let down = connection.ask(&Request::Down);
        connection.wait_for_end();
        result.and_then(|result| down.map(|_| result))
    }

    /// Boots a cluster that ends with this connection; and where its logs are.
    pub(crate) fn own(places: &Places, launch: &Launch<'_>) -> Result<(Self, String), Failure> {
        let mut connection = Self::start(places, launch)?;
        let logs = connection.answer()?.status()?.run_dir;
        Ok((connection, logs))
    }

    /// Asks, shows progress, and returns the answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Response, Failure> {
        // A daemon that is gone is noticed by its missing answer.
        let _ = self.reader.get_mut().write_all(to_line(request).as_bytes());
        self.answer()
    }

    /// Shows progress until the answer comes.
    pub(crate) fn answer(&mut self) -> Result<Response, Failure> {
        let progress = (!self.quiet).then(Progress::new);
        loop {
            match (self.next()?, &progress) {
                (Response::Started, _)
                | (Response::Progress { .. } | Response::Note { .. }, None) => {}
                (Response::Progress { done, of, text }, Some(progress)) => {
                    progress.step(done, of, &text)
                }
                (Response::Note { text }, Some(progress)) => progress.line(&text),
                (answer, _) => return answer.succeeded(),
            }
        }
    }

    /// Shows no progress from now on: whoever asks again and again has the screen for something else.
    pub(crate) const fn hush(&mut self) {
        self.quiet = true;
    }

    /// Gives the daemon so long for each answer.
    pub(crate) fn hurry(&self, patience: std::time::Duration) -> Result<(), Failure> {
        Ok(self.reader.get_ref().set_read_timeout(Some(patience))?)
    }

    fn next(&mut self) -> Result<Response, Failure> {
        let mut line = String::new();
        // Results of a long run are larger than what nodes may say at once.
        let read = (&mut self.reader).take(64 * MAX_LINE as u64).read_line(&mut line)?;
        if read > 0 {
            return from_line(&line)
                .map_err(|e| Failure { exit: EXIT_TESTBED, reason: e.to_string() });
        }
        let mut reason = "the daemon is gone without a word".to_owned();
        if let Some(log) = &self.daemon_log {
            reason += &format!(" (its log: {})", log.display());
            for line in tail(log, 5) {
                reason += &format!("\n  {line}");
            }
        }
        Err(Failure { exit: EXIT_TESTBED, reason })
    }

    /// Waits until the daemon has closed the connection: everything of it is gone then.
    pub(crate) fn wait_for_end(mut self) {
        // Whatever comes, or fails to come: the end is what matters.
        let _ = std::io::copy(&mut self.reader, &mut std::io::sink());
    }
}
