//! Lines on consoles, as they come.

use super::Inbox;
use crate::backend::console;
use crate::dispatcher::Event;
use crate::plan::Plan;
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Longest line that is looked at as a whole, in bytes.
const MAX_LINE: usize = 64 << 10;

/// The consoles of all nodes.
#[derive(Debug)]
pub(super) struct Consoles {
    files: Arc<Mutex<Vec<Console>>>,
    inbox: Inbox,
    /// The follower ends when this closes.
    _bell: Option<UnixStream>,
}

/// One of them, and how far it was read.
#[derive(Debug)]
struct Console {
    path: PathBuf,
    at: u64,
    /// A line that has not ended yet.
    rest: Vec<u8>,
}

impl Consoles {
    /// Follows the consoles if a line is expected on one, or somebody may ask for one at any time (`attended`).
    pub(super) fn wanted(
        run_dir: &Path,
        plan: &Plan,
        attended: bool,
        inbox: &Inbox,
    ) -> Result<Option<Self>> {
        let mut sights = plan.expect.iter().flat_map(|e| e.what.sights());
        let is_wanted = sights.any(|sight| matches!(sight.shown, topology::Shown::Line(_)));
        (is_wanted || attended).then(|| Self::follow(run_dir, plan, inbox.clone())).transpose()
    }

    /// Tells every line that is written from now on.
    fn follow(run_dir: &Path, plan: &Plan, inbox: Inbox) -> Result<Self> {
        let console =
            |name: &str| Console { path: console(run_dir, name), at: 0, rest: Vec::new() };
        let files = plan.nodes.iter().map(|node| console(&node.name)).collect();
        let (bell, end) = UnixStream::pair().context("cannot make a socket pair")?;
        let files = Arc::new(Mutex::new(files));
        let cannot = "cannot watch the consoles";
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        let watch = Inotify::init(flags).context(cannot)?;
        watch.add_watch(run_dir, AddWatchFlags::IN_MODIFY).context(cannot)?;
        let follower = Self { files: files.clone(), inbox: inbox.clone(), _bell: None };
        std::thread::Builder::new()
            .name("consoles".to_owned())
            .spawn(move || {
                while is_on(&watch, &end) {
                    // What has changed does not matter: all of them are looked at.
                    let _ = watch.read_events();
                    follower.read();
                }
            })
            .context(cannot)?;
        Ok(Self { files, inbox, _bell: Some(bell) })
    }

    /// Tells all lines that are there and were not told yet.
    pub(super) fn read(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        for (node, console) in files.iter_mut().enumerate() {
            // A node that was not started yet has none.
            for text in console.lines().unwrap_or_default() {
                self.inbox.put(Event::Line { node, text });
            }
        }
    }
}

/// Waits until a file has grown. Says no when the other end of the bell is gone.
fn is_on(watch: &Inotify, end: &UnixStream) -> bool {
    let mut fds = [
        PollFd::new(watch.as_fd(), PollFlags::POLLIN),
        PollFd::new(end.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => fds[1].revents().is_none_or(|events| events.is_empty()),
        Err(e) => e == Errno::EINTR,
    }
}

impl Console {
    fn lines(&mut self) -> std::io::Result<Vec<String>> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.at {
            // A machine that starts again begins it anew.
            self.at = 0;
            self.rest.clear();
        }
        file.seek(SeekFrom::Start(self.at))?;
        let mut bytes = std::mem::take(&mut self.rest);
        self.at += file.read_to_end(&mut bytes)? as u64;
        let end = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        self.rest = bytes.split_off(end);
        if self.rest.len() > MAX_LINE {
            bytes.append(&mut self.rest);
        }
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().map(|line| line.trim_end().to_owned()).collect())
    }
}
