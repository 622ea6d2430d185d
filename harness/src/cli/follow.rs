//! Files of a cluster that grow while one looks.

use crate::client::Connection;
use crate::failure::Failure;
use crate::proto::EXIT_TESTBED;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;

/// A file, and whether it has grown.
#[derive(Debug)]
pub(super) struct Followed {
    file: File,
    watch: Inotify,
}

impl Followed {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = |e: &dyn std::fmt::Display| Failure {
            exit: EXIT_TESTBED,
            reason: format!("cannot follow {}: {e}", path.display()),
        };
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let watch = Inotify::init(flags).map_err(|e| cannot(&e))?;
        watch.add_watch(path, AddWatchFlags::IN_MODIFY).map_err(|e| cannot(&e))?;
        Ok(Self { file: File::open(path).map_err(|e| cannot(&e))?, watch })
    }

    /// Waits until the file may have grown, the daemon closes the connection, or so many milliseconds are over.
    /// Says whether the daemon is still there.
    pub(super) fn wait(&self, connection: &Connection, ms: Option<u16>) -> Result<bool, Failure> {
        let mut fds = [
            PollFd::new(self.watch.as_fd(), PollFlags::POLLIN),
            PollFd::new(connection.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, ms.map_or(PollTimeout::NONE, PollTimeout::from)) {
            // Nothing comes over the connection that was not asked for, but its end.
            Ok(_) => Ok(fds[1].revents().is_none_or(|events| events.is_empty())),
            Err(nix::errno::Errno::EINTR) => Ok(true),
            Err(e) => Err(Failure { exit: EXIT_TESTBED, reason: format!("cannot wait: {e}") }),
        }
    }

    /// Whatever was added is known.
    pub(super) fn skip(&mut self) -> Result<(), Failure> {
        // Nothing there is no error.
        let _ = self.watch.read_events();
        Ok(())
    }

    /// Hands on what was added.
    fn rest(&mut self, out: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<bool, Failure> {
        self.skip()?;
        let mut bytes = vec![0; 1 << 16];
        loop {
            match self.file.read(&mut bytes)? {
                0 => return Ok(true),
                // Nobody reads any more.
                read if out(&bytes[..read]).is_err() => return Ok(false),
                _ => {}
            }
        }
    }
}

/// Hands on a file of a cluster, and what is added to it until the cluster ends.
pub(super) fn follow(
    connection: &Connection,
    path: &Path,
    goes_on: bool,
    out: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
) -> Result<(), Failure> {
    let mut followed = Followed::open(path)?;
    let mut is_up = goes_on;
    loop {
        if !followed.rest(out)? || !is_up {
            return Ok(());
        }
        is_up = followed.wait(connection, None)?;
    }
}
